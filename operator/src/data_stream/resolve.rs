//! What Sources and Pipelines ask of a DataStream: its topics and the contract in force.

use headworks_crds::{DataStream, QualityRule, RegisteredSchema, conditions::READY};
use headworks_plan::{Contract, Format, Registered, RegistryConnection, Stream};
use kube::ResourceExt;

use super::{contract_revisions, registry};
use crate::{
    context::Context,
    contract::{self, revision::Revision},
    names::Key,
    planning::rules::{self, Named, StreamRules},
    provisioner::settings::MAX_MESSAGE,
    reason::ConditionReason,
    retry::Error,
};

/// Kafka's own default of `max.message.bytes`.
const DEFAULT_MAX_MESSAGE: u64 = 1_048_588;

/// A DataStream that can be read and written.
#[derive(Clone, Debug)]
pub struct ResolvedStream {
    /// As a pod sees it.
    pub stream: Stream,
    /// Its Platform.
    pub platform: String,
    /// Partitions of its topic.
    pub partitions: Option<i32>,
    /// How pods reach the schema registry, if the stream's records carry its ids.
    pub registry: Option<RegistryConnection>,
}

/// The stream, if it has a topic and a contract in force. A stream whose newest spec isn't accepted still has
/// both: what runs goes on with the accepted contract.
pub async fn resolve_stream(
    context: &Context,
    place: &str,
    namespace: &str,
    name: &str,
) -> Result<ResolvedStream, Error> {
    let Some(stream) = context.stores.stream(namespace, name) else {
        return Err(Error::missing(
            ConditionReason::StreamNotFound,
            format!(
                "{place}: DataStream {namespace}/{name} doesn't exist; make it, or correct the name{}",
                context.stores.near_stream(namespace, name)
            ),
        ));
    };
    if stream.metadata.deletion_timestamp.is_some() {
        return Err(Error::waiting(
            ConditionReason::StreamNotReady,
            format!("{place}: DataStream {name} is being deleted"),
        ));
    }
    let status = stream.status.clone().unwrap_or_default();
    let (Some(_), Some(_), Some(in_force)) =
        (&status.topic, &status.dead_letter_topic, &status.contract)
    else {
        return Err(no_topic(place, &stream));
    };
    let owner = Key::of(&stream);
    let Some(accepted) = contract_revisions::in_force(context, &owner, Some(in_force)).await?
    else {
        return Err(Error::waiting(
            ConditionReason::StreamNotReady,
            format!(
                "{place}: DataStream {name} has no accepted contract: {}",
                why(&stream)
            ),
        ));
    };
    // Records without a definition of their own are all read by the one contract.
    let contracts = match accepted.contract.definition {
        Some(_) => {
            contract_revisions::kept(context, &owner, &accepted)
                .await?
                .history
                .0
        }
        None => Vec::new(),
    };
    let seen = seen(place, &stream, &accepted, &contracts)?;
    let rules = stream_rules(context, namespace, name, &seen.contract).planned;
    let registry = match context.stores.platform(&stream.spec.platform) {
        Some(platform) if seen.contract.registered.is_some() => {
            context.registries.get(&context.client, &platform).await?
        }
        _ => None,
    };
    Ok(ResolvedStream {
        stream: Stream { rules, ..seen },
        platform: stream.spec.platform,
        partitions: status.partitions,
        registry: registry.map(|registry| registry.connection.clone()),
    })
}

/// Stands for all QualityRules of a stream, also those to come: what whoever applies them refers to.
pub fn rules_of(namespace: &str, stream: &str) -> Key {
    Key::new("RulesOfStream", namespace, stream)
}

/// What whoever reads or writes a stream refers to.
pub fn stream_references(namespace: &str, name: &str) -> [Key; 2] {
    [
        Key::new("DataStream", namespace, name),
        rules_of(namespace, name),
    ]
}

/// What the QualityRules of a stream come to by a contract. One that is being deleted is none any more.
pub fn stream_rules(
    context: &Context,
    namespace: &str,
    name: &str,
    contract: &Contract,
) -> StreamRules {
    let all = context.stores.quality_rules.state();
    let rules: Vec<(String, &QualityRule)> = all
        .iter()
        .filter_map(|guarded| guarded.0.as_ref().ok())
        .filter(|rule| rule.metadata.namespace.as_deref() == Some(namespace))
        .filter(|rule| rule.spec.stream == name && rule.metadata.deletion_timestamp.is_none())
        .map(|rule| (rule.name_any(), rule))
        .collect();
    let named = rules.iter().map(|(name, rule)| Named {
        name,
        generation: rule.metadata.generation.unwrap_or_default(),
        spec: &rule.spec,
    });
    rules::of_stream(named, contract)
}

/// A stream as a pod sees it, by its contract in force and all that are kept, newest first. Pure.
///
/// # Errors
/// `StreamNotReady`.
pub fn seen(
    place: &str,
    stream: &DataStream,
    accepted: &Revision,
    contracts: &[Revision],
) -> Result<Stream, Error> {
    let status = stream.status.clone().unwrap_or_default();
    let (Some(topic), Some(dead_letter_topic)) = (status.topic, status.dead_letter_topic) else {
        return Err(no_topic(place, stream));
    };
    let registered = registered(
        place,
        stream,
        status.registered.as_ref(),
        accepted,
        contracts,
    )?;
    let max_message_bytes = stream
        .spec
        .config
        .get(MAX_MESSAGE)
        .and_then(|v| v.to_string().parse().ok())
        .unwrap_or(DEFAULT_MAX_MESSAGE);
    Ok(Stream {
        name: stream.name_any(),
        topic,
        dead_letter_topic,
        contract: Contract {
            earlier: if registered.is_none() && accepted.contract.format == Format::Avro {
                registry::earlier(accepted, contracts.iter().cloned())
            } else {
                Vec::new()
            },
            registered,
            ..contract::as_read(&accepted.contract, &stream.spec)
        },
        max_message_bytes,
        rules: Vec::new(),
    })
}

fn no_topic(place: &str, stream: &DataStream) -> Error {
    Error::waiting(
        ConditionReason::StreamNotReady,
        format!(
            "{place}: DataStream {} has no topic yet: {}",
            stream.name_any(),
            why(stream)
        ),
    )
}

/// What the schema registry says of the contract in force, if its records carry ids.
fn registered(
    place: &str,
    stream: &DataStream,
    status: Option<&RegisteredSchema>,
    accepted: &Revision,
    contracts: &[Revision],
) -> Result<Option<Registered>, Error> {
    if accepted.schema_ids.is_empty() {
        return Ok(None);
    }
    let registered = status
        .filter(|registered| registered.contract == accepted.version)
        .and_then(|registered| Some((registered, u32::try_from(registered.id).ok()?)));
    let Some((registered, id)) = registered else {
        return Err(Error::waiting(
            ConditionReason::StreamNotReady,
            format!(
                "{place}: the schema of DataStream {} isn't looked up yet: {}",
                stream.name_any(),
                why(stream)
            ),
        ));
    };
    Ok(Some(Registered {
        subject: registered.subject.clone(),
        id,
        known: registry::known(accepted, id, contracts.iter().cloned()),
    }))
}

impl ResolvedStream {
    /// As those pods see it that write it: whoever reads it judges its records.
    pub fn written(&self) -> Stream {
        Stream {
            rules: Vec::new(),
            ..self.untimed()
        }
    }

    /// As those pods see it that don't go by event time: how long somebody waits for stragglers must not roll them.
    pub fn untimed(&self) -> Stream {
        let contract = &self.stream.contract;
        Stream {
            contract: Contract {
                compacted: contract.compacted,
                registered: contract.registered.clone(),
                earlier: contract.earlier.clone(),
                ..contract::obeyed(contract)
            },
            ..self.stream.clone()
        }
    }
}

fn why(stream: &DataStream) -> String {
    let ready = stream
        .status
        .iter()
        .flat_map(|s| &s.conditions)
        .find(|c| c.type_ == READY);
    ready.map_or_else(
        || "it wasn't looked at yet".into(),
        |c| format!("{}: {}", c.reason, c.message),
    )
}
