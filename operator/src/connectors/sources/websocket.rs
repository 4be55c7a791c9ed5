//! Records that a WebSocket brings.

use headworks_crds::{SourceSpec, source::WebsocketSource};
use headworks_plan::{self as plan, HeaderFile, SourceConnection};

use super::{Owner, Pods, SourceConnector, SourceKind};
use crate::{
    mounts::{Mounted, NeededSecret, projected},
    reason::connector_reasons,
    security::Open,
};

pub(super) const KIND: SourceKind = SourceKind {
    field: "websocket",
    reasons: REASONS,
    of,
};

connector_reasons! {
    /// What is open.
    enum WebsocketReason {
        /// No TLS.
        FeedInClear,
    }
}

fn of(spec: &SourceSpec) -> Option<&dyn SourceConnector> {
    spec.websocket.as_ref().map(|it| it as &dyn SourceConnector)
}

/// Where the headers' values and the CA are.
const FOLDER: &str = "/etc/headworks/websocket";
/// The CA's file.
const CA: &str = "ca.crt";

/// The file with the value of the so-manieth header.
fn file(index: usize) -> String {
    format!("header-{index}")
}

impl SourceConnector for WebsocketSource {
    fn check(&self, _into: &str) -> Result<(), String> {
        let rest = self.url.split_once("://").map_or("", |(_, rest)| rest);
        let place = rest.split(['/', '?']).next().unwrap_or_default();
        match place.split_once(':').map(|(_, port)| port.parse::<u16>()) {
            None | Some(Ok(1..)) => Ok(()),
            Some(_) => Err(
                "spec.websocket.url: the port is out of range: choose between 1 and 65535"
                    .to_owned(),
            ),
        }
    }

    fn connect(&self, owner: &Owner<'_>) -> Result<SourceConnection, String> {
        self.check(owner.into)?;
        let headers = self.headers.iter().enumerate();
        Ok(SourceConnection::Websocket(plan::WebsocketSource {
            url: self.url.clone(),
            subscribe: self.subscribe.clone(),
            headers: headers
                .map(|(index, header)| HeaderFile {
                    name: header.name.clone(),
                    file: format!("{FOLDER}/{}", file(index)),
                })
                .collect(),
            ca_file: self.ca_secret.as_ref().map(|_| format!("{FOLDER}/{CA}")),
            items_path: self.items_path.clone(),
            max_message_bytes: self.max_message_bytes.value(),
            idle_timeout_ms: self.idle_timeout.millis(),
        }))
    }

    /// Two pods would hear everything twice.
    fn pods(&self) -> Pods {
        Pods::One
    }

    fn suspended(&self) -> &'static str {
        "spec.suspend is true: nobody listens, and what the feed says meanwhile is lost"
    }

    fn secrets(&self) -> Vec<NeededSecret> {
        let headers = self.headers.iter().map(|header| NeededSecret {
            name: header.secret.name.clone(),
            keys: vec![header.secret.key.clone()],
            purpose: format!("the header {}, from spec.websocket.headers", header.name).into(),
        });
        let ca = self.ca_secret.iter().map(|ca| NeededSecret {
            name: ca.name.clone(),
            keys: vec![ca.key.clone()],
            purpose: "the feed's CA, from spec.websocket.caSecret".into(),
        });
        headers.chain(ca).collect()
    }

    fn volumes(&self) -> Vec<Mounted> {
        let headers = self.headers.iter().enumerate().map(|(index, header)| {
            let secret = &header.secret;
            (secret.name.as_str(), secret.key.as_str(), file(index))
        });
        let ca = self.ca_secret.iter();
        let ca = ca.map(|ca| (ca.name.as_str(), ca.key.as_str(), CA.to_owned()));
        let files: Vec<_> = headers.chain(ca).collect();
        let items: Vec<_> = files
            .iter()
            .map(|(secret, key, file)| (*secret, [(*key, file.as_str())]))
            .collect();
        let sources: Vec<(&str, &[(&str, &str)])> = items
            .iter()
            .map(|(secret, items)| (*secret, items.as_slice()))
            .collect();
        if sources.is_empty() {
            return Vec::new();
        }
        vec![projected("websocket", FOLDER, &sources)]
    }

    /// What is sent and what comes can be read, and written, by anybody on the way.
    fn open(&self) -> Option<Open> {
        self.url.starts_with("ws:").then(|| {
            let headers = if self.headers.is_empty() {
                ""
            } else {
                " with the headers' secrets"
            };
            (
                WebsocketReason::FeedInClear.into(),
                format!(
                    "spec.websocket.url is ws: what is sent and what comes{headers} can be read and changed on the way; use wss unless the network encrypts"
                ),
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::names::Key;

    fn source(more: Value) -> WebsocketSource {
        let mut source = json!({"url": "wss://feed.example.com/v1"});
        let more = more.as_object().unwrap().clone();
        source.as_object_mut().unwrap().extend(more);
        serde_json::from_value(source).unwrap()
    }

    #[test]
    fn a_port_is_in_range() {
        for (url, right) in [
            ("ws://a", true),
            ("ws://a:65535/x:y", true),
            ("ws://a/x:0", true),
            ("ws://a?b:0", true),
            ("wss://a:0/", false),
            ("wss://a:65536", false),
        ] {
            let fault = source(json!({"url": url})).check("x");
            assert_eq!(fault.is_ok(), right, "{url}: {fault:?}");
        }
    }

    #[test]
    fn the_plan_names_files_and_no_secret() {
        let key = Key::new("Source", "shop", "trades");
        let owner = Owner {
            key: &key,
            installation: "prod",
            into: "trades",
        };
        let source = source(json!({
            "subscribe": "{}", "itemsPath": "data", "caSecret": {"name": "feed-ca"},
            "headers": [{"name": "Authorization", "secret": {"name": "feed"}},
                        {"name": "X-Key", "secret": {"name": "feed", "key": "other"}}]}));
        assert_eq!(
            serde_json::to_value(source.connect(&owner).unwrap()).unwrap(),
            json!({"websocket": {
                "url": "wss://feed.example.com/v1", "subscribe": "{}", "itemsPath": "data",
                "headers": [{"name": "Authorization", "file": "/etc/headworks/websocket/header-0"},
                            {"name": "X-Key", "file": "/etc/headworks/websocket/header-1"}],
                "caFile": "/etc/headworks/websocket/ca.crt",
                "maxMessageBytes": 1_048_576, "idleTimeoutMs": 60_000}})
        );
        let of = |secret: &str, key: &str, path: &str| json!({"secret": {"name": secret, "optional": true, "items": [{"key": key, "path": path}]}});
        assert_eq!(
            serde_json::to_value(&source.volumes()[0].volume).unwrap(),
            json!({"name": "websocket", "projected": {"sources": [
                of("feed", "token", "header-0"), of("feed", "other", "header-1"), of("feed-ca", "ca.crt", "ca.crt")]}})
        );
        let secrets: Vec<String> = source.secrets().iter().map(ToString::to_string).collect();
        assert_eq!(
            secrets,
            [
                "Secret feed with token (the header Authorization, from spec.websocket.headers)",
                "Secret feed with other (the header X-Key, from spec.websocket.headers)",
                "Secret feed-ca with ca.crt (the feed's CA, from spec.websocket.caSecret)",
            ]
        );
    }

    #[test]
    fn a_feed_in_clear_is_said_to_be_open() {
        assert_eq!(source(json!({})).open(), None);
        let (reason, message) = source(json!({"url": "ws://a"})).open().unwrap();
        assert!(reason == "FeedInClear" && message.contains("spec.websocket.url"));
        assert!(source(json!({})).volumes().is_empty());
    }
}
