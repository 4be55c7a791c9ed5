//! The rotation against an API server that holds one Secret and one configuration, and HTTPS as a client sees it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::*;
use crate::{context::testing::stores, webhook::serve::serve};

/// What it holds, and how often each was written.
#[derive(Default)]
struct Server {
    secret: Mutex<Option<Value>>,
    configuration: Mutex<Value>,
    writes: Mutex<(u32, u32)>,
}

type Shared = State<Arc<Server>>;

fn failure(code: u16, reason: &str) -> Response {
    let body = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "message": reason, "code": code});
    (StatusCode::from_u16(code).unwrap(), Json(body)).into_response()
}

impl Server {
    fn new() -> Arc<Self> {
        let server = Self::default();
        // As the chart makes them.
        *server.secret.lock().unwrap() = Some(json!({"apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": SECRET, "namespace": "here", "resourceVersion": "1"}}));
        let hook = json!({"name": "validate.headworks.dev", "admissionReviewVersions": ["v1"], "sideEffects": "None",
            "clientConfig": {"service": {"name": SERVICE, "namespace": "here", "port": 443}}});
        *server.configuration.lock().unwrap() = json!({"apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration", "metadata": {"name": CONFIGURATION}, "webhooks": [hook]});
        Arc::new(server)
    }

    fn client(self: &Arc<Self>) -> Client {
        let secrets = "/api/v1/namespaces/here/secrets";
        let configurations =
            "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations";
        let router = Router::new()
            // A right to make Secrets isn't ours.
            .route(secrets, post(|| async { failure(403, "Forbidden") }))
            .route(
                &format!("{secrets}/{SECRET}"),
                get(|State(server): Shared| async move {
                    match server.secret.lock().unwrap().clone() {
                        Some(secret) => Json(secret).into_response(),
                        None => failure(404, "NotFound"),
                    }
                })
                .put(|State(server): Shared, Json(new): Json<Value>| async move {
                    server.writes.lock().unwrap().0 += 1;
                    *server.secret.lock().unwrap() = Some(new.clone());
                    Json(new)
                }),
            )
            .route(
                &format!("{configurations}/{CONFIGURATION}"),
                get(|State(server): Shared| async move {
                    Json(server.configuration.lock().unwrap().clone())
                })
                .patch(|State(server): Shared, body: String| async move {
                    server.writes.lock().unwrap().1 += 1;
                    let new: Value = serde_json::from_str(&body).unwrap();
                    let mut there = server.configuration.lock().unwrap();
                    let config = &new["webhooks"][0]["clientConfig"];
                    there["webhooks"][0]["clientConfig"]["caBundle"] = config["caBundle"].clone();
                    there["webhooks"][0]["clientConfig"]["service"] = config["service"].clone();
                    Json(there.clone())
                }),
            )
            .with_state(self.clone());
        Client::new(router, "here")
    }

    fn writes(&self) -> (u32, u32) {
        *self.writes.lock().unwrap()
    }

    fn kept(&self, key: &str) -> String {
        let secret = self.secret.lock().unwrap().clone().unwrap();
        let secret: Secret = serde_json::from_value(secret).unwrap();
        texts(&secret)[key].clone()
    }
}

fn options(listen: SocketAddr) -> Options {
    Options {
        listen,
        hosts: vec!["127.0.0.1".into()],
        namespace: "here".into(),
        lifetime: Duration::from_secs(90 * 86_400),
    }
}

fn rotation<'a>(server: &Arc<Server>, options: &'a Options) -> CertRotation<'a> {
    let client = server.client();
    CertRotation {
        secrets: Api::namespaced(client.clone(), "here"),
        configurations: Api::all(client),
        names: options.names(),
        options,
    }
}

#[tokio::test]
async fn the_leader_tells_whom_to_trust_and_where_to_ask_and_writes_nothing_afterwards() {
    let server = Server::new();
    let options = options("127.0.0.1:0".parse().unwrap());
    let rotation = rotation(&server, &options);
    let certificate = Certificate::default();
    // Whoever finds none makes it; only the leader tells.
    assert_eq!(rotation.round(&certificate, false).await, Ok(true));
    assert_eq!(server.writes(), (1, 0));
    let path = server.kept(PATH);
    assert!(
        path.strip_prefix(PATH_PREFIX).is_some_and(|part| {
            part.len() == 40
                && part
                    .chars()
                    .all(|c| c.is_ascii_hexdigit() && !c.is_ascii_uppercase())
        }),
        "nobody guesses it, and the API server takes it: {path}"
    );
    assert_eq!(rotation.round(&certificate, true).await, Ok(true));
    assert_eq!(server.writes(), (1, 1));
    let config =
        server.configuration.lock().unwrap()["webhooks"][0]["clientConfig"]["service"].clone();
    assert_eq!(
        config,
        json!({"name": SERVICE, "namespace": "here", "path": path})
    );
    for leads in [true, false, true] {
        assert_eq!(rotation.round(&certificate, leads).await, Ok(true));
    }
    assert_eq!(server.writes(), (1, 1));
    // Another chart's upgrade may take the path away; it is put back.
    server.configuration.lock().unwrap()["webhooks"][0]["clientConfig"]["service"]["path"] =
        json!("/");
    assert_eq!(rotation.round(&certificate, true).await, Ok(true));
    assert_eq!(server.writes(), (1, 2));
}

#[tokio::test]
async fn a_secret_that_is_gone_is_said_with_its_remedy() {
    let server = Server::new();
    *server.secret.lock().unwrap() = None;
    let options = options("127.0.0.1:0".parse().unwrap());
    let said = rotation(&server, &options)
        .round(&Certificate::default(), true)
        .await;
    assert!(said.unwrap_err().contains("helm upgrade"));
}

/// Posts a review of a Platform whose spec is wrong; none where the server isn't trusted.
async fn post_review(at: SocketAddr, authorities: &str, path: &str) -> Option<String> {
    let mut roots = RootCertStore::empty();
    for authority in CertificateDer::pem_slice_iter(authorities.as_bytes()) {
        roots.add(authority.unwrap()).unwrap();
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let tcp = TcpStream::connect(at).await.unwrap();
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connector = TlsConnector::from(Arc::new(config));
    let mut tls = connector.connect(name, tcp).await.ok()?;
    let kind = json!({"group": "headworks.dev", "version": "v1alpha1", "kind": "Pipeline"});
    let resource =
        json!({"group": "headworks.dev", "version": "v1alpha1", "resource": "pipelines"});
    let object = json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "Pipeline",
        "metadata": {"name": "p", "namespace": "shop"}, "spec": {"sql": "SELECT id,\n FROM a", "to": [{"stream": "b"}]}});
    let review = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "1", "kind": kind, "resource": resource, "name": "p", "namespace": "shop", "operation": "CREATE",
        "userInfo": {}, "object": object, "oldObject": null, "dryRun": false, "options": null}});
    let body = review.to_string();
    let text = format!(
        "POST {path} HTTP/1.1\r\nhost: webhook\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    );
    tls.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // Not everybody says goodbye.
    let _ = tls.read_to_end(&mut answer).await;
    Some(String::from_utf8(answer).unwrap())
}

#[tokio::test]
async fn a_replica_that_does_not_lead_answers_at_its_path_alone_and_takes_a_new_certificate() {
    let server = Server::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = free.local_addr().unwrap();
    drop(free);
    let options = options(at);
    let rotation = rotation(&server, &options);
    let certificate = Certificate::default();
    assert_eq!(rotation.round(&certificate, false).await, Ok(true));
    let (up, mut is_up) = watch::channel(false);
    let client = server.client();
    let running = tokio::spawn(serve(
        client,
        at,
        certificate.clone(),
        Arc::new(stores()),
        Arc::default(),
        up,
    ));
    is_up.wait_for(|is| *is).await.unwrap();

    let (path, first) = (server.kept(PATH), server.kept(AUTHORITIES));
    // The API server says how long it waits.
    let answer = post_review(at, &first, &format!("{path}?timeout=5s"))
        .await
        .unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.contains("spec.sql line 2"), "{answer}");
    for other in ["/", "/validate", "/validate/", "/validate/guessed"] {
        let answer = post_review(at, &first, other).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 404"), "{other}: {answer}");
        assert!(!answer.contains("spec.sql"), "{other}: {answer}");
    }

    // Another certificate, as the leader writes it: taken without a new start, and trusted by its own CA.
    let made = make(&options.names(), options.lifetime, Timestamp::now()).unwrap();
    certificate
        .load(&made.certificate, &made.key, &path)
        .unwrap();
    assert_eq!(post_review(at, &first, &path).await, None);
    let answer = post_review(at, &made.authority, &path).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // Another path: the one before is answered until the API server has heard; the one before that isn't.
    for new in ["/validate/second", "/validate/third"] {
        certificate.load(&made.certificate, &made.key, new).unwrap();
    }
    for (path, code) in [
        ("/validate/third", 200),
        ("/validate/second", 200),
        (path.as_str(), 404),
    ] {
        let answer = post_review(at, &made.authority, path).await.unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {code}")),
            "{path}: {answer}"
        );
    }
    running.abort();
}
