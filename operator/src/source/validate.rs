//! A Source's spec against what it refers to. After this nothing rejects.

use headworks_crds::{HttpSource, Kafka, PodTemplate, Source};
use headworks_plan as plan;

use super::{check, dereference::Found};
use crate::{
    retry::Error,
    workload::connection::{self, NeededSecret},
};

/// A Source that can be built.
#[derive(Clone, Debug)]
pub struct Valid {
    /// What the pods are told.
    pub plan: plan::Plan,
    /// The HTTP part of the spec.
    pub http: HttpSource,
    /// How to reach Kafka.
    pub kafka: Kafka,
    /// Kafka's CA.
    pub ca: Option<String>,
    /// Pods.
    pub replicas: i32,
    /// The user's pod template over the Platform's.
    pub template: PodTemplate,
    /// Secrets that the pods read.
    pub secrets: Vec<NeededSecret>,
}

/// Checks and resolves.
pub fn validate(source: &Source, found: &Found) -> Result<Valid, Error> {
    let spec = &source.spec;
    check::check(spec)?;
    let Some(http) = &spec.http else {
        return Err(Error::stalled(
            "InvalidSpec",
            "spec: a Source needs exactly one way in: http",
        ));
    };
    let kafka = &found.platform.platform.spec.kafka;
    let bearer = http.auth.as_ref().and_then(|a| a.bearer.as_ref());
    let mut secrets: Vec<NeededSecret> = connection::needed_secret(kafka).into_iter().collect();
    secrets.extend(bearer.map(|b| NeededSecret {
        name: b.secret.name.clone(),
        keys: vec![b.secret.key.clone()],
        purpose: "the bearer token, from spec.http.auth.bearer.secret",
    }));
    secrets.extend(http.tls.as_ref().map(|tls| NeededSecret {
        name: tls.secret_name.clone(),
        keys: vec!["tls.crt".into(), "tls.key".into()],
        purpose: "the certificate, from spec.http.tls.secretName",
    }));
    let role = plan::SourcePlan {
        into: found.stream.stream.clone(),
        http: Some(plan::HttpSource {
            path: http.path.clone(),
            bearer: bearer.is_some(),
            tls: http.tls.is_some(),
            max_body_bytes: http.max_body_bytes.value(),
            records_per_second: http
                .records_per_second
                .as_ref()
                .map(headworks_crds::Quantity::value),
            items_path: http.items_path.clone(),
        }),
        generate: None,
        on_invalid: match spec.on_invalid {
            headworks_crds::OnInvalid::Reject => plan::OnInvalid::Reject,
            headworks_crds::OnInvalid::DeadLetter => plan::OnInvalid::DeadLetter,
        },
        unknown_fields: match spec.unknown_fields {
            headworks_crds::UnknownFields::Ignore => plan::UnknownFields::Ignore,
            headworks_crds::UnknownFields::Reject => plan::UnknownFields::Reject,
        },
    };
    let template = spec.pod_template.clone().unwrap_or_default();
    Ok(Valid {
        plan: plan::Plan {
            version: plan::VERSION,
            installation: found.platform.installation.clone(),
            namespace: source.metadata.namespace.clone().unwrap_or_default(),
            name: source.metadata.name.clone().unwrap_or_default(),
            kafka: connection::connection(kafka),
            role: plan::Role::Source(role),
        },
        http: http.clone(),
        kafka: kafka.clone(),
        ca: found.ca.clone(),
        replicas: if spec.suspend { 0 } else { spec.replicas },
        template: template.over(
            &found
                .platform
                .platform
                .spec
                .pod_template
                .clone()
                .unwrap_or_default(),
        ),
        secrets,
    })
}
