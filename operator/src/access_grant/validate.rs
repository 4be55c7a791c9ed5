//! What a grant's client gets now. Pure.
//!
//! A stream that can't be used now stops nothing else: the client keeps what it has of it as long as the spec names it, and what
//! the spec no longer names is taken away at once.

use std::collections::BTreeSet;

use headworks_crds::{AccessGrant, AccessGrantSpec, AccessGrantStatus, GrantedStream};
use kube::ResourceExt;

use super::{
    accept::{self, Word},
    dereference::{FoundFields, FoundStream},
    derived::{self, DesiredDerived},
    rights::{self, READ, WRITE},
    rotation::{self, Times},
};
use crate::{
    data_stream::resolve::ResolvedStream, platform::resolve::ResolvedPlatform,
    reason::ConditionReason, retry::Error,
};

/// What neither schema nor rules can say: that times fit each other.
///
/// # Errors
/// `InvalidSpec`.
pub fn beyond_schema(spec: &AccessGrantSpec) -> Result<Times, Error> {
    rights::check(spec)?;
    rotation::times(spec)
}

/// The spec by itself.
///
/// # Errors
/// `InvalidSpec`.
pub fn spec(spec: &AccessGrantSpec) -> Result<Times, Error> {
    headworks_crds::check(spec)
        .map_err(|message| Error::stalled(ConditionReason::InvalidSpec, message))?;
    rotation::times(spec)
}

/// Fails unless the client's namespace accepts grants of this one; else what is to be said of how it does.
///
/// # Errors
/// `NotAccepted`; `InvalidSpec` for a namespace that can't have clients.
pub fn accepted(grant: &AccessGrant, word: Word) -> Result<Option<String>, Error> {
    rights::check(&grant.spec)?;
    let namespace = &grant.spec.to.namespace;
    let grantor = grant.namespace().unwrap_or_default();
    match word {
        Word::Accepts => Ok(None),
        Word::AcceptsAll => Ok(Some(accept::outdated(namespace, &grantor))),
        Word::Refuses => Err(Error::waiting(
            ConditionReason::NotAccepted,
            format!(
                "spec.to.namespace: {}",
                accept::refusal(namespace, &grantor)
            ),
        )),
    }
}

/// A listener that asks nobody who they are can't tell a client from another.
pub fn logs_in(platform: &ResolvedPlatform) -> Result<(), Error> {
    let kafka = &platform.platform.spec.kafka;
    if kafka.authentication.is_some() || kafka.workload_authentication.is_some() {
        return Ok(());
    }
    Err(Error::stalled(
        ConditionReason::NoAuthentication,
        format!(
            "Platform {}: its listener takes no users (spec.kafka.authentication is absent), so nothing could be granted or refused; name one that asks for SCRAM-SHA-512",
            platform.platform.name_any()
        ),
    ))
}

/// What becomes of one of the grant's streams.
#[derive(Clone, Debug)]
pub struct StreamDecision {
    /// Its name.
    pub name: String,
    /// [`READ`] or [`WRITE`].
    pub access: &'static str,
    /// What the client gets of it; or why it gets nothing more now.
    pub granted: Result<GrantedStream, Error>,
    /// The derived stream that is to be made for it.
    pub derive: Option<DesiredDerived>,
}

/// Decides for each stream by itself.
///
/// # Errors
/// `PlatformMismatch`.
pub fn streams(
    grant: &AccessGrant,
    platform: &str,
    found: Vec<FoundStream>,
) -> Result<Vec<StreamDecision>, Error> {
    let mut decisions = Vec::with_capacity(found.len());
    for one in found {
        let (name, access, place) = (one.name, one.access, one.place);
        let resolved = match one.resolved {
            Ok(resolved) => Ok(on_platform(resolved, &place, platform)?),
            Err(error) => Err(error),
        };
        let mut derive = None;
        let granted = resolved.and_then(|resolved| {
            let whole = GrantedStream {
                stream: name.clone(),
                topic: resolved.stream.topic.clone(),
                access: access.to_owned(),
                derived: None,
            };
            match one.fields {
                // Without a look at its fields the whole of it is never given to who leaves some out.
                None if access == READ && !grant.spec.except_labels.is_empty() => {
                    let namespace = grant.namespace().unwrap_or_default();
                    Err(Error::missing(
                        ConditionReason::StreamNotFound,
                        format!("{place}: DataStream {namespace}/{name} doesn't exist"),
                    ))
                }
                None => Ok(whole),
                Some(fields) => narrowed(grant, &place, whole, &resolved, fields, &mut derive),
            }
        });
        decisions.push(StreamDecision {
            name,
            access,
            granted,
            derive,
        });
    }
    Ok(decisions)
}

/// A stream without the fields that the grant leaves out; the whole of it where it has none of them.
fn narrowed(
    grant: &AccessGrant,
    place: &str,
    whole: GrantedStream,
    resolved: &ResolvedStream,
    fields: FoundFields,
    derive: &mut Option<DesiredDerived>,
) -> Result<GrantedStream, Error> {
    let except = &grant.spec.except_labels;
    let left_out = derived::left_out(&fields.labels, except);
    if left_out.is_empty() {
        return settled(grant, place, whole, fields.unsettled);
    }
    let desired = DesiredDerived {
        stream: fields.stream,
        contract: resolved.stream.contract.clone(),
        partitions: resolved.partitions,
        left_out,
        except: except.clone(),
        owners: fields.owners,
    };
    derived::check(&desired)?;
    let name = derived::name(&whole.stream, except);
    *derive = Some(desired);
    Ok(GrantedStream {
        topic: fields.derived_topic?,
        derived: Some(name),
        ..whole
    })
}

/// The whole stream, unless the client doesn't have it yet and it isn't known whether fields of it are to be left out.
fn settled(
    grant: &AccessGrant,
    place: &str,
    whole: GrantedStream,
    unsettled: Option<String>,
) -> Result<GrantedStream, Error> {
    let has = grant.status.iter().flat_map(|status| &status.streams);
    let new = !has.into_iter().any(|has| *has == whole);
    let Some(writer) = unsettled.filter(|_| new) else {
        return Ok(whole);
    };
    Err(Error::waiting(
        ConditionReason::StreamNotReady,
        format!(
            "{place}: which fields of DataStream {} have the labels {} isn't known before Pipeline {writer}, which writes it, fits its streams",
            whole.stream,
            grant.spec.except_labels.join(", ")
        ),
    ))
}

/// What the client gets now, all in all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Granted {
    /// The streams, as the client sees them.
    pub streams: Vec<GrantedStream>,
    /// Derived streams that this grant needs.
    pub derived: BTreeSet<String>,
    /// Why a stream can't be used now: the first that was met.
    pub problem: Option<Error>,
}

/// Adds it up, with what the client has already of a stream that can't be used now.
pub fn granted(
    spec: &AccessGrantSpec,
    status: &AccessGrantStatus,
    decisions: Vec<StreamDecision>,
) -> Granted {
    let except = &spec.except_labels;
    let mut all = Granted::default();
    for StreamDecision {
        name,
        access,
        granted,
        ..
    } in decisions
    {
        match granted {
            Ok(granted) => {
                all.derived.extend(granted.derived.clone());
                all.streams.push(granted);
            }
            Err(error) => {
                all.derived
                    .extend(still_derived(access, &name, except, &error));
                let kept = kept(status, &name, access, except);
                // What was derived before has fields with the label now.
                let kept = kept.filter(|_| !is_nothing_left(&error));
                all.streams.extend(kept.cloned());
                all.problem.get_or_insert(error);
            }
        }
    }
    all
}

/// The derived stream of one that can't be looked at just now: nothing is known that speaks against it, and with it its records would
/// go. Only of one that has no fields left for the client it is known.
fn still_derived(access: &str, name: &str, except: &[String], error: &Error) -> Option<String> {
    let wanted = access == READ && !except.is_empty() && !is_nothing_left(error);
    wanted.then(|| derived::name(name, except))
}

/// What the client has and the spec still names. It is told from spec and status alone: of the rest nothing may be left, whatever else
/// is in the way. (That a whole stream has none of the excepted labels is its contract's word, which isn't asked here.)
pub fn still_named(spec: &AccessGrantSpec, status: &AccessGrantStatus) -> Vec<GrantedStream> {
    let except = &spec.except_labels;
    let named = |stream: &&GrantedStream| {
        let names = if stream.access == WRITE {
            &spec.write
        } else {
            &spec.read
        };
        let derived = stream.derived.as_ref();
        names.contains(&stream.stream)
            && (except.is_empty()
                || derived.is_none_or(|there| *there == derived::name(&stream.stream, except)))
    };
    status.streams.iter().filter(named).cloned().collect()
}

/// What the client has of a stream already. With exceptLabels that must not be the whole stream: that it once had no such fields
/// doesn't say that it has none now.
fn kept<'a>(
    status: &'a AccessGrantStatus,
    name: &str,
    access: &str,
    except: &[String],
) -> Option<&'a GrantedStream> {
    let derived = derived::name(name, except);
    status.streams.iter().find(|stream| {
        stream.stream == name
            && stream.access == access
            && match &stream.derived {
                None => except.is_empty(),
                Some(there) => !except.is_empty() && *there == derived,
            }
    })
}

fn is_nothing_left(error: &Error) -> bool {
    error.is(ConditionReason::NothingLeft)
}

/// One user is a user of one Kafka.
fn on_platform(
    stream: ResolvedStream,
    place: &str,
    platform: &str,
) -> Result<ResolvedStream, Error> {
    if stream.platform == platform {
        return Ok(stream);
    }
    Err(Error::stalled(
        ConditionReason::PlatformMismatch,
        format!(
            "{place}: DataStream {} is on Platform {} and the others on {platform}; make a grant for each Platform",
            stream.stream.name, stream.platform
        ),
    ))
}

#[cfg(test)]
mod tests;
