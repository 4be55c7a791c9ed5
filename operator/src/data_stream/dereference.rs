//! Everything that a stream depends on: what the cluster has, and then what Kafka has.

use std::collections::BTreeMap;

use headworks_crds::{DataStream, DataStreamStatus};
use k8s_openapi::api::core::v1::ConfigMap;

use super::{
    contract_revisions::{self, Kept},
    history::History,
    label_propagation,
    limits::{self, Around},
    topic_conflicts,
};
use crate::{
    context::Context,
    contract::revision::Revision,
    kafka::{Admin, Topic},
    names::Key,
    platform::resolve::{ResolvedPlatform, platform_references, resolve_platform},
    provisioner::{Declared, OfStream, Provisioner, in_kafka, provisioner},
    retry::Error,
};

/// What the cluster has.
pub struct References {
    /// The Platform.
    pub platform: ResolvedPlatform,
    /// The namespace's labels.
    pub labels: BTreeMap<String, String>,
    /// Other DataStreams that name the topic, and may use it.
    pub rivals: Vec<DataStream>,
    /// What the Platform's limits go by.
    pub around: Around,
}

/// Declares what a change of wakes the stream; gives the other DataStreams that name its topic.
pub fn declare(stream: &DataStream, key: &Key, topic: &str, context: &Context) -> Vec<DataStream> {
    let rivals = topic_conflicts::of(stream, topic, context);
    let platform = context.stores.platform(&stream.spec.platform);
    let by = platform.as_ref().map(provisioner);
    let of_topic = by.map(|by| by.topic_references(topic)).unwrap_or_default();
    context.indexes.set_references(
        key,
        platform_references(&stream.spec.platform, &key.namespace)
            .into_iter()
            .chain(rivals.iter().map(Key::of))
            .chain(of_topic)
            .chain(label_propagation::references(context, key)),
    );
    rivals
}

/// Reads what the cluster has.
///
/// # Errors
/// Where the Platform isn't there, or doesn't admit the namespace.
pub fn references(
    stream: &DataStream,
    key: &Key,
    rivals: Vec<DataStream>,
    context: &Context,
) -> Result<References, Error> {
    let platform = resolve_platform(context, &stream.spec.platform, &key.namespace)?;
    let rivals = topic_conflicts::entitled_among(rivals, &platform.platform, context);
    let streams = context.stores.streams.state();
    let streams = streams.iter().filter_map(|guarded| guarded.0.as_ref().ok());
    let around = limits::around(stream, &platform.platform, streams);
    Ok(References {
        labels: context.stores.namespace_labels(&key.namespace),
        platform,
        rivals,
        around,
    })
}

/// What Kafka has, what is declared of the topic, and the contracts that are written down.
#[derive(Clone, Debug, Default)]
pub struct Observed {
    /// The topic in Kafka.
    pub topic: Option<Topic>,
    /// What is declared of it elsewhere.
    pub declared: Declared,
    /// The topic of the dead letters in Kafka.
    pub dead_letters: Option<Topic>,
    /// The contract that the status names, or that an earlier object of the name left. It may be about another topic.
    pub in_force: Option<Revision>,
    /// All contracts that are kept.
    pub history: History,
    /// ConfigMaps of older ones, which are to go.
    pub beyond: Vec<ConfigMap>,
}

/// Looks at Kafka, and at who makes topics in it.
///
/// # Errors
/// What Kafka and the API server say; `OwnedByAnother` where somebody has declared the topic.
pub async fn observe(
    of: OfStream<'_>,
    by: &dyn Provisioner,
    admin: &Admin,
    status: &DataStreamStatus,
    context: &Context,
) -> Result<Observed, Error> {
    let topic = in_kafka::topics::look(admin, of.topic).await?;
    let in_force = contract_revisions::in_force(context, of.key, status.contract.as_ref()).await?;
    let declared = by.declared(of, context).await?;
    let dead_letters = in_kafka::topics::look(admin, of.dead_letters).await?;
    let Kept { history, beyond } = match &in_force {
        Some(in_force) => contract_revisions::kept(context, of.key, in_force).await?,
        None => Kept {
            history: contract_revisions::history(context, of.key),
            beyond: Vec::new(),
        },
    };
    Ok(Observed {
        topic,
        declared,
        dead_letters,
        in_force,
        history,
        beyond,
    })
}
