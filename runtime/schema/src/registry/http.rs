//! As much of HTTP/1.1 as a registry needs: one request a connection, a bounded answer, TLS.
//!
//! A schema is asked for a few times in a pod's life, so nothing is pooled; and the workspace's HTTP client is built
//! without TLS, which a registry may need.

use std::io;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::{PATIENCE, RegistryError};

/// Most bytes of an answer, head included.
const MAX_ANSWER: u64 = 2 * 1024 * 1024;

#[derive(Clone, Debug)]
pub(super) struct Http {
    host: String,
    port: u16,
    /// Path before every call's own, without a slash at the end.
    base: String,
    tls: Option<Arc<ClientConfig>>,
}

impl Http {
    pub(super) fn new(url: &str, ca_pem: Option<&str>) -> Result<Http, RegistryError> {
        let wrong = |what: &str| RegistryError::Misconfigured {
            what: format!(
                "address {what}; it is such as http://registry.kafka.svc:8080/apis/ccompat/v7"
            ),
        };
        let (scheme, rest) = url
            .split_once("://")
            .ok_or_else(|| wrong("begins with http:// or https://"))?;
        let secure = match scheme {
            "http" => false,
            "https" => true,
            _ => return Err(wrong("begins with http:// or https://")),
        };
        let (authority, path) = rest
            .find('/')
            .map_or((rest, ""), |slash| rest.split_at(slash));
        if authority.contains('@') {
            return Err(wrong("has no user or password in it"));
        }
        if url.bytes().any(|b| b <= b' ' || b == 0x7f) || path.contains(['?', '#']) {
            return Err(wrong("has no spaces, ? or #"));
        }
        let default = if secure { 443 } else { 80 };
        let after_bracket = authority.rfind(']').map_or(0, |at| at + 1);
        let (host, port) = match authority[after_bracket..].rfind(':') {
            Some(colon) => {
                let (host, port) = authority.split_at(after_bracket + colon);
                let port = port[1..]
                    .parse()
                    .map_err(|_| wrong("has a port from 1 to 65535"))?;
                (host, port)
            }
            None => (authority, default),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err(wrong("names a host"));
        }
        Ok(Http {
            host: host.to_owned(),
            port,
            base: path.trim_end_matches('/').to_owned(),
            tls: if secure { Some(client(ca_pem)?) } else { None },
        })
    }

    fn address(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    pub(super) fn unreachable(&self, message: &str) -> RegistryError {
        RegistryError::Unreachable {
            address: self.address(),
            message: message.to_owned(),
        }
    }

    /// One request: the status and the body of its answer.
    pub(super) async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<&str>,
    ) -> Result<(u16, Vec<u8>), RegistryError> {
        match tokio::time::timeout(PATIENCE, self.exchange(method, path, body)).await {
            Ok(Ok(Some(answer))) => Ok(answer),
            Ok(Ok(None)) => Err(RegistryError::TooLarge { most: MAX_ANSWER }),
            Ok(Err(error)) => Err(self.unreachable(&error.to_string())),
            Err(_) => Err(self.unreachable(&format!("no answer within {} s", PATIENCE.as_secs()))),
        }
    }

    /// Nothing, if the answer is too large.
    async fn exchange(
        &self,
        method: &str,
        path: &str,
        body: Option<&str>,
    ) -> io::Result<Option<(u16, Vec<u8>)>> {
        let body = body.unwrap_or_default();
        let request = format!(
            "{method} {}{path} HTTP/1.1\r\nHost: {}\r\nAccept: application/vnd.schemaregistry.v1+json, application/json\r\n\
             Content-Type: application/vnd.schemaregistry.v1+json\r\nContent-Length: {}\r\nUser-Agent: headworks\r\nConnection: close\r\n\r\n{body}",
            self.base,
            self.address(),
            body.len()
        );
        let plain = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let answer = match &self.tls {
            None => talk(plain, &request).await?,
            Some(tls) => {
                let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
                let secure = TlsConnector::from(Arc::clone(tls))
                    .connect(name, plain)
                    .await?;
                talk(secure, &request).await?
            }
        };
        let Some(answer) = answer else {
            return Ok(None);
        };
        let parsed = parse(&answer);
        let parsed =
            parsed.ok_or_else(|| io::Error::other("its answer is no HTTP, or was cut off"));
        parsed.map(Some)
    }
}

fn client(ca_pem: Option<&str>) -> Result<Arc<ClientConfig>, RegistryError> {
    let wrong = |what: String| RegistryError::Misconfigured { what };
    let mut roots = RootCertStore::empty();
    match ca_pem {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
                let certificate =
                    certificate.map_err(|error| wrong(format!("CA is no PEM: {error}")))?;
                roots
                    .add(certificate)
                    .map_err(|error| wrong(format!("CA can't be used: {error}")))?;
            }
            if roots.is_empty() {
                return Err(wrong("CA holds no certificate".to_owned()));
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| wrong(format!("TLS can't be set up: {error}")))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The whole answer; nothing, if it is too large.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    request: &str,
) -> io::Result<Option<Vec<u8>>> {
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    let mut bounded = stream.take(MAX_ANSWER + 1);
    match bounded.read_to_end(&mut answer).await {
        // Many servers close TLS without saying so; whether all came is seen below.
        Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => return Err(error),
        _ => {}
    }
    Ok((answer.len() as u64 <= MAX_ANSWER).then_some(answer))
}

/// Status and body of a whole answer.
fn parse(answer: &[u8]) -> Option<(u16, Vec<u8>)> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).ok()?;
    let body = &answer[end + 4..];
    let mut lines = head.split("\r\n");
    let mut first = lines.next()?.splitn(3, ' ');
    first.next()?.strip_prefix("HTTP/1.")?;
    let status = first.next()?.parse().ok()?;
    let header = |name: &str| {
        lines.clone().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    if header("Transfer-Encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked")) {
        return Some((status, unchunked(body)?));
    }
    let length = match header("Content-Length") {
        Some(length) => length.parse().ok()?,
        None => body.len(),
    };
    Some((status, body.get(..length)?.to_vec()))
}

fn unchunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..line]).ok()?;
        let size = size.split(';').next()?.trim();
        let size = usize::from_str_radix(size, 16).ok()?;
        rest = &rest[line + 2..];
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(rest.get(..size)?);
        rest = rest.get(size..)?.strip_prefix(b"\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_a_host_a_port_and_a_path() {
        let made = |url: &str| match Http::new(url, None) {
            Ok(http) => format!("{} {} {}", http.address(), http.base, http.tls.is_some()),
            Err(error) => error.to_string(),
        };
        assert_eq!(
            made("http://r.kafka.svc:8080/apis/ccompat/v7/"),
            "r.kafka.svc:8080 /apis/ccompat/v7 false"
        );
        assert_eq!(made("https://r"), "r:443  true");
        assert_eq!(made("http://[::1]:81/x"), "[::1]:81 /x false");
        for url in [
            "r:8080",
            "ftp://r",
            "http://",
            "http://u:p@r",
            "http://r:x",
            "http://r/a b",
            "http://r/?a",
        ] {
            assert!(made(url).contains("it is such as"), "{url}: {}", made(url));
        }
        assert!(Http::new("https://r", Some("nothing")).is_err());
    }

    #[test]
    fn an_answer_is_whole_or_none() {
        let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
        assert_eq!(parse(chunked), Some((200, b"abcde".to_vec())));
        let counted = b"HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\n{}";
        assert_eq!(parse(counted), Some((404, b"{}".to_vec())));
        for whole in [chunked.as_slice(), counted] {
            // What ends the body may be missing, but nothing of it.
            for end in 0..whole.len() - 4 {
                assert_ne!(
                    parse(&whole[..end]).map(|(_, body)| body.len()),
                    Some(5),
                    "{end}"
                );
            }
        }
        assert_eq!(parse(&counted[..counted.len() - 1]), None);
        assert_eq!(parse(b"SSH-2.0\r\n\r\n"), None);
    }
}
