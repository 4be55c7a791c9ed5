//! Feeds over TLS.

use std::sync::Arc;

use futures::{SinkExt, StreamExt};
use headworks_plan::WebsocketSource;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message as Frame;

use super::{feed, listener, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_feed_is_reached_by_tls_if_its_ca_is_the_one_that_is_named() {
    let signed = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let certificate = signed.cert.der().clone();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signed.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.unwrap())
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let (listener, address) = listener().await;
    let serving = tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            if let Ok(socket) = acceptor.accept(socket).await
                && let Ok(mut client) = accept_async(socket).await
            {
                let _ = client.send(Frame::text(r#"{"id":1}"#)).await;
                while client.next().await.is_some_and(|frame| frame.is_ok()) {}
            }
        }
    });
    let port = address.rsplit_once(':').unwrap().1;
    let file = |name: &str, text: String| {
        let name = format!("headworks-{}-feed-{name}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (right, wrong) = (
        file("ca", signed.cert.pem()),
        file("other-ca", other.cert.pem()),
    );
    let of = |ca: &str| WebsocketSource {
        url: format!("wss://localhost:{port}/"),
        ca_file: Some(ca.to_owned()),
        ..feed(&address)
    };
    let running = run(of(&wrong));
    running.told("FeedUnavailable", "certificate").await;
    assert!(running.stop().await);
    let running = run(of(&right));
    running.has_written(1).await;
    assert!(running.stop().await);
    serving.abort();
    for path in [right, wrong] {
        std::fs::remove_file(path).unwrap();
    }
}
