//! The stream's definition in the Platform's schema registry.
//!
//! A definition is registered before its contract comes into force: a contract in force on a Platform with a registry
//! has an id, always. If the registry doesn't answer, or refuses the definition, the contract before stays in force.
//! Evolution is ours (`spec.compatibility`): where the registry's own check contradicts an accepted contract, the
//! subject's level is set to NONE, unless somebody has set one on the subject itself, or the subject is named by the record
//! alone and so may be other topics', too; then the registry's word stands.
//!
//! Which ids a contract's definition has had is written at its ConfigMap, so that a plan can hold the definitions of
//! earlier contracts by id ([`fn@known`]), and pods read old records while the registry is away.

mod known;
mod needed;
mod subjects;

use headworks_crds::{
    DataStream, DataStreamStatus, DeletionPolicy, Platform, RegisteredSchema, SubjectNaming,
};
use headworks_plan::{Definition, Format, Reason};
use headworks_schema::registry::{Entry, Reference, RegistryError};
use k8s_openapi::api::core::v1::ConfigMap;
pub use known::{earlier, known};
use kube::{
    Api, Resource, ResourceExt,
    api::{Patch, PatchParams},
};
use serde_json::json;

use self::subjects::{owns, record_prefix, subject};
use super::deletion::out_of_patience;
use crate::{
    context::Context,
    contract::revision::{Revision, SCHEMA_IDS_ANNOTATION, name},
    names::{FIELD_MANAGER, Key},
    reason::ConditionReason,
    registry_pool::Registry,
    retry::Error,
};

/// A definition as the registry has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The subject.
    pub subject: String,
    /// Id of the schema.
    pub id: u32,
    /// Version in the subject.
    pub version: Option<i32>,
}

/// Registers the definition of a contract that comes into force after `before`; gives nothing where its records carry no
/// id: JSON, a Platform without a registry, or a stream that began without one.
///
/// # Errors
/// `RegistryUnavailable`, also where records carry ids and the Platform has no registry any more; `RegistryRefused`.
pub async fn register(
    stream: &DataStream,
    next: &Revision,
    before: Option<&Revision>,
    platform: &Platform,
    context: &Context,
) -> Result<Option<Registration>, Error> {
    let Some(definition) = &next.contract.definition else {
        return Ok(None);
    };
    if before.is_some_and(|before| before.schema_ids.is_empty()) {
        return Ok(None);
    }
    let Some(registry) = context.registries.get(&context.client, platform).await? else {
        return match before {
            None => Ok(None),
            Some(_) => Err(gone(platform)),
        };
    };
    look_up(
        stream,
        next,
        definition,
        &registry,
        &allowed(stream, platform, context),
    )
    .await
    .map(Some)
}

/// Fails where a subject that is named by the record alone isn't this namespace's to register.
fn allowed(
    stream: &DataStream,
    platform: &Platform,
    context: &Context,
) -> impl Fn(&str) -> Result<(), Error> {
    let shared = stream.spec.subject == Some(SubjectNaming::RecordName);
    let namespace = stream.namespace().unwrap_or_default();
    let labels = context.stores.namespace_labels(&namespace);
    let policy = platform.spec.kafka.topic_policy.clone();
    move |subject: &str| {
        if !shared || owns(&namespace, &labels, &policy, subject) {
            return Ok(());
        }
        let own = record_prefix(&namespace);
        Err(Error::stalled(
            ConditionReason::SubjectNotAllowed,
            format!(
                "spec.subject is RecordName, and subject {subject} isn't in the schema registry with this definition; namespace {namespace} may not register it, because the record's full name doesn't begin with {own} and no rule of the Platform's spec.kafka.topicPolicy allows it: rename the record's namespace or package, ask for a rule, or use TopicRecordName"
            ),
        )
        .after(std::time::Duration::from_secs(60)))
    }
}

fn gone(platform: &Platform) -> Error {
    Error::waiting(
        Reason::RegistryUnavailable,
        format!(
            "spec.schemaRegistry of Platform {} is gone, and the records of this stream carry ids of its schemas: name the registry again",
            platform.name_any()
        ),
    )
}

/// What the contract's definition is in the registry; registered, if it isn't there.
async fn look_up(
    stream: &DataStream,
    accepted: &Revision,
    definition: &Definition,
    registry: &Registry,
    allowed: &impl Fn(&str) -> Result<(), Error>,
) -> Result<Registration, Error> {
    let subject = subject(stream.spec.subject, &accepted.topic, definition)
        .map_err(|message| Error::stalled(ConditionReason::InvalidSchema, message))?;
    let format = accepted.contract.format;
    let needed = needed::register(registry, &accepted.topic, format, definition).await?;
    let text = Text {
        format,
        schema: &definition.schema,
        needed: &needed,
    };
    let shared = stream.spec.subject == Some(SubjectNaming::RecordName);
    let Entry { id, version } = text
        .find_or_register(registry, &subject, shared, || allowed(&subject))
        .await?;
    if i32::try_from(id).is_err() {
        return Err(Error::stalled(
            ConditionReason::RegistryRefused,
            format!(
                "the schema registry at {} gave the id {id}, which no client of Java's takes",
                registry.connection.url
            ),
        ));
    }
    Ok(Registration {
        subject,
        id,
        version: version.and_then(|version| i32::try_from(version).ok()),
    })
}

/// A text for the registry, and where those are that it needs.
struct Text<'a> {
    format: Format,
    schema: &'a str,
    needed: &'a [Reference],
}

impl Text<'_> {
    /// What it is under the subject; registered, if it isn't there and `allowed`.
    async fn find_or_register(
        &self,
        registry: &Registry,
        subject: &str,
        shared: bool,
        allowed: impl FnOnce() -> Result<(), Error>,
    ) -> Result<Entry, Error> {
        let client = registry.client()?;
        let found = client.lookup(subject, self.format, self.schema, self.needed);
        match found.await {
            Err(RegistryError::NotFound { .. }) => {
                allowed()?;
                self.register(registry, subject, shared).await
            }
            found => registry.heard(found),
        }
    }

    async fn register(
        &self,
        registry: &Registry,
        subject: &str,
        shared: bool,
    ) -> Result<Entry, Error> {
        let client = registry.client()?;
        let register = || client.register(subject, self.format, self.schema, self.needed);
        match register().await {
            // Our contract was accepted: the registry's default level gives way, one that was set on purpose doesn't. Nor
            // does any level of a subject that other topics may share: our contract says nothing of theirs.
            Err(error @ RegistryError::Refused { status: 409, .. }) => {
                if shared
                    || registry
                        .heard(client.compatibility(subject).await)?
                        .is_some()
                {
                    return registry.heard(Err(error));
                }
                registry.heard(client.allow_any_change(subject).await)?;
                registry.heard(register().await)
            }
            answer => registry.heard(answer),
        }
    }
}

/// Sees to it that the status says the id of the contract in force, and that the registry still has it. `fresh` is what
/// was registered just now. Asks the registry no more than once in the recheck interval.
///
/// A stream that is registered already is none the worse for a registry that doesn't answer: then what is to be said of
/// it is given.
///
/// # Errors
/// As [`register`], where the status doesn't know the id.
pub async fn settle(
    stream: &DataStream,
    key: &Key,
    force: &Revision,
    fresh: Option<Registration>,
    platform: &Platform,
    status: &mut DataStreamStatus,
    context: &Context,
) -> Result<Option<String>, Error> {
    let definition = force.contract.definition.as_ref();
    let Some(definition) = definition.filter(|_| !force.schema_ids.is_empty()) else {
        status.registered = None;
        let plain = definition.is_some() && platform.spec.schema_registry.is_some();
        return Ok(plain.then(|| {
            "its records carry no schema ids, because it is older than the Platform's schemaRegistry".to_owned()
        }));
    };
    let known = status
        .registered
        .as_ref()
        .filter(|registered| registered.contract == force.version)
        .and_then(|registered| u32::try_from(registered.id).ok());
    if let (Some(id), None) = (known, &fresh)
        && context.registries.seen(key, id, context.settings.recheck)
    {
        return Ok(None);
    }
    let answer = match (
        fresh,
        context.registries.get(&context.client, platform).await,
    ) {
        (Some(fresh), _) => Ok(fresh),
        (None, Ok(Some(registry))) => {
            let allowed = allowed(stream, platform, context);
            look_up(stream, force, definition, &registry, &allowed).await
        }
        (None, Ok(None)) => Err(gone(platform)),
        (None, Err(error)) => Err(error),
    };
    match (answer, known) {
        (Ok(now), _) => {
            if !force.schema_ids.contains(&now.id) {
                remember(key, force, now.id, context).await?;
            }
            context.registries.note(key, now.id);
            status.registered = Some(RegisteredSchema {
                subject: now.subject,
                id: i32::try_from(now.id).unwrap_or_default(),
                version: now.version,
                contract: force.version,
            });
            Ok(None)
        }
        (Err(error @ Error::Waiting { .. }), Some(id)) if error.is(Reason::RegistryUnavailable) => {
            Ok(Some(format!(
                "the schema registry doesn't answer, and records go on with schema id {id}"
            )))
        }
        (Err(error), Some(id)) => Ok(Some(format!(
            "schema id {id} couldn't be looked up: {error}"
        ))),
        (Err(error), None) => Err(error),
    }
}

/// Writes another id down at the contract's ConfigMap: the registry has lost the schema, and given it a new one.
async fn remember(key: &Key, force: &Revision, id: u32, context: &Context) -> Result<(), Error> {
    let name = name(&key.name, force.version);
    let all = force.schema_ids.iter().chain([&id]);
    let text: Vec<String> = all.map(u32::to_string).collect();
    let body = json!({"metadata": {"annotations": {SCHEMA_IDS_ANNOTATION: text.join(",")}}});
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &key.namespace);
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.into()),
        ..PatchParams::default()
    };
    context.metrics.wrote("ConfigMap");
    match api
        .patch_metadata(&name, &params, &Patch::Merge(&body))
        .await
    {
        Ok(_) => Ok(()),
        // Somebody removed it; what is in force is known all the same, and only the old records' texts are not.
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
        Err(error) => Err(Error::api(&format!("writing ConfigMap {name}"), &error)),
    }
}

/// Under `Delete` the subject goes with the topic (softly: its ids can still be looked up). One that is named by the
/// record alone may be other topics', too, and stays; so does that of a topic that isn't the stream's any more (`lost`).
pub async fn finalize(
    stream: &DataStream,
    status: &DataStreamStatus,
    lost: Option<&str>,
    context: &Context,
) -> Result<(), Error> {
    let Some(registered) = &status.registered else {
        return Ok(());
    };
    if stream.spec.deletion_policy == DeletionPolicy::Retain
        || stream.spec.subject == Some(SubjectNaming::RecordName)
    {
        return Ok(());
    }
    if let Some(why) = lost {
        let note = format!(
            "subject {} stays in the schema registry: {why}",
            registered.subject
        );
        let about = stream.object_ref(&());
        context
            .events
            .warning(&about, ConditionReason::SubjectLeft, &note)
            .await;
        return Ok(());
    }
    let Some(platform) = context.stores.platform(&stream.spec.platform) else {
        return Ok(());
    };
    let answer = match context.registries.get(&context.client, &platform).await {
        Ok(None) => return Ok(()),
        Ok(Some(registry)) => match registry.client() {
            Ok(client) => registry.heard(client.delete_subject(&registered.subject).await),
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    match answer {
        Err(error) if !out_of_patience(stream) => Err(error),
        Err(error) => {
            let note = format!(
                "subject {} stays in the schema registry: {error}; delete it by hand",
                registered.subject
            );
            context
                .events
                .warning(&stream.object_ref(&()), ConditionReason::SubjectLeft, &note)
                .await;
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}
