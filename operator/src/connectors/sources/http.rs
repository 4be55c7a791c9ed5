//! Records that are posted by HTTP.

use headworks_crds::{HttpService, HttpSource, Quantity, SourceSpec};
use headworks_plan::{self as plan, BEARER_DIR, HTTP_PORT, HTTP_TLS_DIR, SourceConnection};

use super::{Owner, Pods, SourceConnector, SourceKind};
use crate::{
    mounts::{Mounted, NeededSecret, secret, secret_key},
    names::Key,
    reason::connector_reasons,
    security::Open,
};

pub(super) const KIND: SourceKind = SourceKind {
    field: "http",
    reasons: REASONS,
    of,
};

connector_reasons! {
    /// What is open.
    enum HttpReason {
        /// No authentication.
        AnyoneMayPost,
        /// No TLS.
        TokenInClear,
    }
}

fn of(spec: &SourceSpec) -> Option<&dyn SourceConnector> {
    spec.http.as_ref().map(|it| it as &dyn SourceConnector)
}

impl SourceConnector for HttpSource {
    fn connect(&self, _: &Owner<'_>) -> Result<SourceConnection, String> {
        Ok(SourceConnection::Http(plan::HttpSource {
            path: self.path.clone(),
            bearer: bearer(self).is_some(),
            tls: self.tls.is_some(),
            max_body_bytes: self.max_body_bytes.value(),
            records_per_second: self.records_per_second.as_ref().map(Quantity::value),
            items_path: self.items_path.clone(),
        }))
    }

    fn pods(&self) -> Pods {
        Pods::Several
    }

    fn suspended(&self) -> &'static str {
        "spec.suspend is true: no pods run, and the address answers nobody"
    }

    fn secrets(&self) -> Vec<NeededSecret> {
        let token = bearer(self).map(|bearer| NeededSecret {
            name: bearer.secret.name.clone(),
            keys: vec![bearer.secret.key.clone()],
            purpose: "the bearer token, from spec.http.auth.bearer.secret".into(),
        });
        let certificate = self.tls.as_ref().map(|tls| NeededSecret {
            name: tls.secret_name.clone(),
            keys: vec!["tls.crt".into(), "tls.key".into()],
            purpose: "the certificate, from spec.http.tls.secretName".into(),
        });
        token.into_iter().chain(certificate).collect()
    }

    fn volumes(&self) -> Vec<Mounted> {
        let bearer =
            bearer(self).map(|bearer| secret_key("bearer", BEARER_DIR, &bearer.secret, "token"));
        let files = [("tls.crt", "tls.crt"), ("tls.key", "tls.key")];
        let tls = (self.tls.as_ref())
            .map(|tls| secret("http-tls", HTTP_TLS_DIR, &tls.secret_name, &files));
        bearer.into_iter().chain(tls).collect()
    }

    fn body(&self) -> u64 {
        self.max_body_bytes.value()
    }

    fn service(&self) -> Option<HttpService> {
        Some(self.service.clone().unwrap_or_default())
    }

    fn address(&self, key: &Key) -> Option<String> {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let (name, namespace, path) = (&key.name, &key.namespace, &self.path);
        Some(format!(
            "{scheme}://{name}.{namespace}.svc:{HTTP_PORT}{path}"
        ))
    }

    /// Anybody can post to it, or can read its token on the way.
    fn open(&self) -> Option<Open> {
        match (&self.auth, &self.tls) {
            (None, tls) => {
                let and = if tls.is_none() {
                    ", and what is posted can be read on the way (spec.http.tls is absent)"
                } else {
                    ""
                };
                Some((
                    HttpReason::AnyoneMayPost.into(),
                    format!(
                        "spec.http.auth is absent: whoever reaches the address can post records{and}; give it auth.bearer, and tls unless the network encrypts"
                    ),
                ))
            }
            (Some(_), None) => Some((
                HttpReason::TokenInClear.into(),
                "spec.http.tls is absent: the token and the records can be read on the way; give it tls unless the network encrypts".to_owned(),
            )),
            (Some(_), Some(_)) => None,
        }
    }
}

fn bearer(http: &HttpSource) -> Option<&headworks_crds::BearerAuth> {
    http.auth.as_ref()?.bearer.as_ref()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_is_open_is_named_and_what_is_not_is_left_alone() {
        let auth = json!({"bearer": {"secret": {"name": "t"}}});
        let tls = json!({"secretName": "c"});
        let open = |http: Value| {
            let http: HttpSource = serde_json::from_value(http).unwrap();
            http.open().map(|(reason, message)| {
                assert!(message.contains("spec."), "{message}");
                reason.to_string()
            })
        };
        assert_eq!(open(json!({})).as_deref(), Some("AnyoneMayPost"));
        assert_eq!(open(json!({"tls": tls})).as_deref(), Some("AnyoneMayPost"));
        assert_eq!(open(json!({"auth": auth})).as_deref(), Some("TokenInClear"));
        assert_eq!(open(json!({"auth": auth, "tls": tls})), None);
    }
}
