//! A Source's spec against what it refers to. After this nothing rejects.

use headworks_crds::{GenerateSource, HttpSource, Kafka, PodTemplate, Source};
use headworks_plan as plan;

use super::{check, dereference::References};
use crate::{
    names::Key,
    retry::Error,
    workload::connection::{self, NeededSecret},
};

/// A Source that can be built.
#[derive(Clone, Debug)]
pub struct Valid {
    /// What the pods are told.
    pub plan: plan::Plan,
    /// The HTTP part of the spec, if records come that way.
    pub http: Option<HttpSource>,
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
pub fn validate(source: &Source, found: &References) -> Result<Valid, Error> {
    let spec = &source.spec;
    check::check(spec)?;
    let http = spec.http.as_ref();
    let kafka = &found.platform.platform.spec.kafka;
    let bearer = http.and_then(|h| h.auth.as_ref()?.bearer.as_ref());
    let key = Key::of(source);
    let mut secrets: Vec<NeededSecret> =
        connection::needed_secret(kafka, &key).into_iter().collect();
    secrets.extend(check::secrets(spec));
    let generate = match &spec.generate {
        Some(generate) => Some(generated(source, generate, &found.platform.installation)?),
        None => None,
    };
    let role = plan::SourcePlan {
        into: found.stream.untimed(),
        http: http.map(|http| plan::HttpSource {
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
        generate,
        on_invalid: spec.on_invalid.into(),
        unknown_fields: spec.unknown_fields.into(),
    };
    let template = spec.pod_template.clone().unwrap_or_default();
    Ok(Valid {
        plan: plan::Plan {
            registry: found.stream.registry.clone(),
            version: plan::VERSION,
            installation: found.platform.installation.clone(),
            namespace: source.metadata.namespace.clone().unwrap_or_default(),
            name: source.metadata.name.clone().unwrap_or_default(),
            kafka: connection::connection(kafka),
            role: plan::Role::Source(role),
        },
        http: http.cloned(),
        kafka: kafka.clone(),
        ca: found.ca.clone(),
        replicas: match (spec.suspend, http) {
            (true, _) => 0,
            (false, Some(_)) => spec.replicas,
            (false, None) => spec.replicas.min(1),
        },
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

/// The making-up side of the plan. Its group belongs to the name, so that the sequence goes on after a delete and
/// re-create.
fn generated(
    source: &Source,
    generate: &GenerateSource,
    installation: &str,
) -> Result<plan::GenerateSource, Error> {
    let small = |percent: i32| u8::try_from(percent.clamp(0, 100)).unwrap_or(0);
    let disorder = generate.disorder.as_ref();
    Ok(plan::GenerateSource {
        records_per_second: generate.records_per_second.value(),
        seed: u64::try_from(generate.seed).unwrap_or(0),
        template: check::template(generate, &source.spec.into)?,
        disorder_percent: disorder.map_or(0, |d| small(d.percent)),
        disorder_by_ms: disorder.map_or(0, |d| d.by.millis()),
        faulty_percent: small(generate.faulty_percent),
        limit: generate.limit.as_ref().map(headworks_crds::Quantity::value),
        group: format!(
            "headworks.{installation}.{}.{}.generate",
            source.metadata.namespace.as_deref().unwrap_or_default(),
            source.metadata.name.as_deref().unwrap_or_default()
        ),
    })
}
