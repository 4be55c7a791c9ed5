//! One connection to a broker for the few requests that librdkafka has no call for, and for trying a password.
//!
//! It is opened, used and closed: no pool, no retries, no controller to find (with KRaft every broker passes requests on to it).
//! Everything is bounded: each step by a time, an answer by its size. TLS is rustls, SASL is SCRAM-SHA-512 (`scram`).

mod scram;

use std::{io, sync::Arc, time::Duration};

use bytes::{Bytes, BytesMut};
use kafka_protocol::{
    messages::{
        ApiKey, RequestHeader, ResponseHeader, SaslAuthenticateRequest, SaslAuthenticateResponse,
        SaslHandshakeRequest, SaslHandshakeResponse,
    },
    protocol::{Decodable, Encodable, StrBytes},
};
use rdkafka::types::RDKafkaErrorCode as Code;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsConnector,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName, pem::PemObject},
    },
};

use super::{Connection, KafkaError, Tls};

/// How long a connection may take to come about, and each answer to come.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer, in bytes.
const MAX_ANSWER: usize = 1 << 20;
const CLIENT: &str = "headworks-operator";
const MECHANISM: &str = "SCRAM-SHA-512";
/// Kafka's code of SASL_AUTHENTICATION_FAILED.
const AUTHENTICATION_FAILED: i16 = 58;

trait Both: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Both for T {}

/// A connection that is logged in.
pub(super) struct Wire {
    stream: Box<dyn Both>,
    broker: String,
    next: i32,
}

impl Wire {
    /// Connects to the first bootstrap server that answers, and logs in.
    pub(super) async fn connect(connection: &Connection) -> Result<Self, KafkaError> {
        let mut last = KafkaError::Unreachable {
            broker: connection.bootstrap_servers.clone(),
            what: "no address".to_owned(),
        };
        for broker in connection.bootstrap_servers.split(',') {
            match Self::to(broker.trim(), connection).await {
                // Another broker may be up; a refused password is refused by all.
                Err(error @ KafkaError::Unreachable { .. }) => last = error,
                other => return other,
            }
        }
        Err(last)
    }

    async fn to(broker: &str, connection: &Connection) -> Result<Self, KafkaError> {
        let unreachable = |what: String| KafkaError::Unreachable {
            broker: broker.to_owned(),
            what,
        };
        let tcp = within(TcpStream::connect(broker))
            .await
            .map_err(|e| unreachable(e.to_string()))?;
        let stream: Box<dyn Both> = match &connection.tls {
            None => Box::new(tcp),
            Some(tls) => Box::new(secured(tcp, broker, tls).await?),
        };
        let mut wire = Self {
            stream,
            broker: broker.to_owned(),
            next: 0,
        };
        if let Some(credentials) = &connection.scram {
            wire.log_in(&credentials.username, &credentials.password)
                .await?;
        }
        Ok(wire)
    }

    /// Sends a request and reads its answer.
    pub(super) async fn ask<Q: Encodable, A: Decodable>(
        &mut self,
        key: ApiKey,
        version: i16,
        request: &Q,
        doing: &str,
    ) -> Result<A, KafkaError> {
        let other = |what: String| KafkaError::Other {
            doing: doing.to_owned(),
            what,
        };
        self.next += 1;
        let header = RequestHeader::default()
            .with_request_api_key(key as i16)
            .with_request_api_version(version)
            .with_correlation_id(self.next)
            .with_client_id(Some(StrBytes::from_static_str(CLIENT)));
        let mut body = BytesMut::new();
        header
            .encode(&mut body, key.request_header_version(version))
            .and_then(|()| request.encode(&mut body, version))
            .map_err(|e| other(e.to_string()))?;
        let exchange = exchange(&mut self.stream, &body);
        let mut answer = within(exchange)
            .await
            .map_err(|e| KafkaError::Unreachable {
                broker: self.broker.clone(),
                what: e.to_string(),
            })?;
        let header = ResponseHeader::decode(&mut answer, key.response_header_version(version))
            .map_err(|e| other(e.to_string()))?;
        if header.correlation_id != self.next {
            return Err(other("an answer to something else".to_owned()));
        }
        A::decode(&mut answer, version).map_err(|e| other(e.to_string()))
    }

    async fn log_in(&mut self, user: &str, password: &str) -> Result<(), KafkaError> {
        let doing = "log in";
        let shake =
            SaslHandshakeRequest::default().with_mechanism(StrBytes::from_static_str(MECHANISM));
        let answer: SaslHandshakeResponse =
            self.ask(ApiKey::SaslHandshake, 1, &shake, doing).await?;
        if answer.error_code != 0 {
            let offered: Vec<&str> = answer.mechanisms.iter().map(StrBytes::as_str).collect();
            return Err(KafkaError::CredentialsRefused {
                what: format!(
                    "the listener takes {} and not {MECHANISM}",
                    offered.join(", ")
                ),
            });
        }
        let refused = |what: String| KafkaError::CredentialsRefused { what };
        let first = scram::First::new(user);
        let challenge = self.authenticate(first.message()).await?;
        let last = first.answer(password, &challenge).map_err(refused)?;
        let verdict = self.authenticate(last.message()).await?;
        last.verify(&verdict).map_err(refused)
    }

    async fn authenticate(&mut self, message: &str) -> Result<String, KafkaError> {
        let request = SaslAuthenticateRequest::default()
            .with_auth_bytes(Bytes::copy_from_slice(message.as_bytes()));
        let answer: SaslAuthenticateResponse = self
            .ask(ApiKey::SaslAuthenticate, 0, &request, "log in")
            .await?;
        let what = answer.error_message.as_deref().unwrap_or("refused");
        match answer.error_code {
            0 => String::from_utf8(answer.auth_bytes.to_vec()).map_err(|_| KafkaError::Other {
                doing: "log in".to_owned(),
                what: "an answer that isn't text".to_owned(),
            }),
            AUTHENTICATION_FAILED => Err(KafkaError::CredentialsRefused {
                what: what.to_owned(),
            }),
            other => Err(KafkaError::from_code(code(other), what, "log in", "")),
        }
    }
}

/// Kafka's error code as librdkafka's, which has the same numbers.
pub(super) fn code(code: i16) -> Code {
    match code {
        0 => Code::NoError,
        29 => Code::TopicAuthorizationFailed,
        31 => Code::ClusterAuthorizationFailed,
        40 => Code::InvalidConfig,
        42 => Code::InvalidRequest,
        44 => Code::PolicyViolation,
        7 => Code::RequestTimedOut,
        _ => Code::Unknown,
    }
}

async fn within<T>(work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    match timeout(TIMEOUT, work).await {
        Ok(done) => done,
        Err(_) => Err(io::Error::new(io::ErrorKind::TimedOut, "no answer in 5 s")),
    }
}

/// A frame there, a frame back.
async fn exchange(stream: &mut Box<dyn Both>, body: &[u8]) -> io::Result<Bytes> {
    let length = u32::try_from(body.len()).map_err(io::Error::other)?;
    let mut frame = BytesMut::with_capacity(body.len() + 4);
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(body);
    stream.write_all(&frame).await?;
    stream.flush().await?;
    let length = stream.read_u32().await? as usize;
    if length > MAX_ANSWER {
        return Err(io::Error::other(format!(
            "an answer of {length} bytes; is this a Kafka listener without TLS or with it?"
        )));
    }
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).await?;
    Ok(answer.into())
}

async fn secured(tcp: TcpStream, broker: &str, tls: &Tls) -> Result<impl Both + use<>, KafkaError> {
    let failed = |what: String| KafkaError::TlsFailed { what };
    let mut roots = RootCertStore::empty();
    match &tls.ca_pem {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate = certificate.map_err(|e| failed(format!("the CA: {e}")))?;
                roots
                    .add(certificate)
                    .map_err(|e| failed(format!("the CA: {e}")))?;
            }
        }
    }
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| failed(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let host = broker.rsplit_once(':').map_or(broker, |(host, _)| host);
    let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
        .map_err(|e| failed(e.to_string()))?;
    within(TlsConnector::from(Arc::new(config)).connect(name, tcp))
        .await
        .map_err(|e| failed(e.to_string()))
}
