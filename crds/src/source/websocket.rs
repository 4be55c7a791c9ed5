//! Records that a WebSocket brings.

use garde::Validate;
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::{CaSecretRef, Duration, Quantity, SecretKeyRef, borrowed};

/// Records come from a WebSocket that the pod connects to: each message is one JSON object, or an array of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, KubeSchema, Validate)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new(r"self.url.matches('^wss?://[A-Za-z0-9._-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~%!$&()*+,;=:@/-]*)?([?][A-Za-z0-9._~%!$&()*+,;=:@/?-]*)?$')").message("url is no address of a WebSocket: write ws://host:port/path or wss://host:port/path; user and password have no place in it, but a header may have a Secret").field_path(".url"))]
#[x_kube(validation = Rule::new("!has(self.caSecret) || self.url.startsWith('wss:')").message("a CA is for wss: ws is not encrypted").field_path(".caSecret"))]
#[garde(allow_unvalidated)]
pub struct WebsocketSource {
    /// Where the feed is, such as `wss://feed.example.com/v1/trades`. It stands in the plan, so that no secret belongs here:
    /// give it a header.
    #[schemars(length(min = 6, max = 2048))]
    pub url: String,
    /// A text that is sent as soon as the pod is connected, such as `{"type":"subscribe"}`. No secret belongs here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 16384))]
    pub subscribe: Option<String>,
    /// Headers of the request that opens the WebSocket, such as Authorization.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    #[x_kube(merge_strategy = ListMerge::Atomic)]
    pub headers: Vec<SecretHeader>,
    /// Secret with the CA that signed the server's certificate. Absent: the CAs that the image knows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_secret: Option<CaSecretRef>,
    /// Where the array of records is in a message, such as `data.trades`. Absent: the message is the records. A message that has
    /// none there, such as one that says that we are subscribed, is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256), regex(pattern = r"^[^.\s]+(\.[^.\s]+)*$"))]
    pub items_path: Option<String>,
    /// Largest message. The connection is closed at a larger one, and made again.
    #[serde(default = "max_message_bytes")]
    #[garde(custom(borrowed::amount_of(1024, 16 << 20)))]
    pub max_message_bytes: Quantity,
    /// The connection is given up, and made again, after so long without a message or an answer to a ping, of which three are
    /// sent meanwhile.
    #[serde(default = "idle_timeout")]
    #[garde(custom(borrowed::between(1_000, 3_600_000)))]
    pub idle_timeout: Duration,
}

/// A header whose value stands in a Secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.name.matches('^[A-Za-z0-9-]+$')").message("name is no name of a header: it has letters, digits and -").field_path(".name"))]
#[x_kube(validation = Rule::new("!(self.name.lowerAscii() in ['host', 'connection', 'upgrade', 'content-length', 'transfer-encoding']) && !self.name.lowerAscii().startsWith('sec-websocket-')").message("this header is the WebSocket's own").field_path(".name"))]
pub struct SecretHeader {
    /// Its name, such as Authorization.
    #[schemars(length(min = 1, max = 64))]
    pub name: String,
    /// Secret with its value, in a key that defaults to `token`. A changed value is taken up at the next connection.
    pub secret: SecretKeyRef,
}

fn max_message_bytes() -> Quantity {
    Quantity::mebibytes(1)
}

fn idle_timeout() -> Duration {
    Duration::from_millis(60_000)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::Source;

    /// What an API server and garde say of a websocket Source.
    fn said(websocket: Value, more: Value) -> String {
        let mut spec = json!({"into": "trades", "websocket": websocket});
        let more = more.as_object().unwrap().clone();
        spec.as_object_mut().unwrap().extend(more);
        let source: Source = serde_json::from_value(json!({
            "apiVersion": "headworks.dev/v1alpha1", "kind": "Source", "metadata": {"name": "feed"}, "spec": spec,
        }))
        .unwrap();
        let rules = source.validate_cel().err();
        let rules = rules.map(|all| all.to_string());
        let checks = crate::check(&source.spec).err();
        rules
            .into_iter()
            .chain(checks)
            .collect::<Vec<_>>()
            .join("; ")
    }

    #[test]
    fn an_address_is_that_of_a_websocket_and_holds_no_password() {
        for url in [
            "ws://feed",
            "wss://feed.example.com:8443/v1/a~b?x=1&y=a/b",
            "ws://10.0.0.1/",
        ] {
            assert_eq!(said(json!({"url": url}), json!({})), "", "{url}");
        }
        for url in [
            "http://feed/",
            "ws://me:secret@feed/",
            "ws://",
            "feed",
            "wss://feed/#x",
            "wss://a b/",
        ] {
            let said = said(json!({"url": url}), json!({}));
            assert!(
                said.contains("no address of a WebSocket") && !said.contains("me:secret"),
                "{url}: {said}"
            );
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let url = "ws://feed";
        let header =
            |name: &str| json!({"url": url, "headers": [{"name": name, "secret": {"name": "s"}}]});
        for (websocket, more, word) in [
            (
                json!({"url": url}),
                json!({"replicas": 2}),
                "one pod at most",
            ),
            (
                json!({"url": url}),
                json!({"http": {}}),
                "exactly one way in",
            ),
            (
                json!({"url": url, "caSecret": {"name": "ca"}}),
                json!({}),
                "a CA is for wss",
            ),
            (
                header("Sec-WebSocket-Key"),
                json!({}),
                "the WebSocket's own",
            ),
            (header("HOST"), json!({}), "the WebSocket's own"),
            (header("a b"), json!({}), "no name of a header"),
            (
                json!({"url": url, "maxMessageBytes": "17Mi"}),
                json!({}),
                "spec.websocket.maxMessageBytes",
            ),
            (
                json!({"url": url, "idleTimeout": "10ms"}),
                json!({}),
                "spec.websocket.idleTimeout",
            ),
        ] {
            let said = said(websocket, more);
            assert!(said.contains(word), "{word}: {said}");
        }
        assert_eq!(said(header("X-Api-Key"), json!({})), "");
    }
}
