//! Everything a grant refers to: its streams with the contracts in force, the Platform they are on, the client's namespace.
//!
//! A stream that can't be used now stops nothing else: the client keeps what it has of it as long as the spec names it, and what
//! the spec no longer names is taken away at once.

use std::collections::BTreeSet;

use headworks_crds::{ACCEPT_GRANTS, AccessGrant, AccessGrantStatus, GrantedStream};
use kube::ResourceExt;

use super::{
    accept::{self, Word},
    derived,
    rights::{self, READ, WRITE},
};
use crate::{
    context::Context,
    data_stream::{
        label_propagation,
        resolve::{ResolvedStream, resolve_stream},
    },
    names::Key,
    platform::resolve::platform_references,
    retry::Error,
};

/// What was found.
#[derive(Debug, Default)]
pub struct References {
    /// The streams, as the client sees them.
    pub streams: Vec<GrantedStream>,
    /// Derived streams that this grant needs.
    pub derived: BTreeSet<String>,
    /// Why a stream can't be used now: the first that was met.
    pub problem: Option<Error>,
}

/// Declares all that the grant refers to, so that a change of it wakes the grant.
pub fn declare(grant: &AccessGrant, key: &Key, platform: Option<&str>, context: &Context) {
    let spec = &grant.spec;
    let streams = spec
        .read
        .iter()
        .chain(&spec.write)
        .map(|name| Key::new("DataStream", &key.namespace, name));
    let derived = spec
        .read
        .iter()
        .filter(|_| !spec.except_labels.is_empty())
        .map(|name| {
            Key::new(
                "DataStream",
                &key.namespace,
                &derived::name(name, &spec.except_labels),
            )
        });
    let platform = platform
        .into_iter()
        .flat_map(|name| platform_references(name, &key.namespace));
    let client = Key::new("Namespace", "", &spec.to.namespace);
    context
        .indexes
        .set_references(key, streams.chain(derived).chain(platform).chain([client]));
}

/// Fails unless the client's namespace accepts grants of this one; else what is to be said of how it does.
///
/// # Errors
/// `NotAccepted`; `InvalidSpec` for a namespace that can't have clients.
pub fn accepted(grant: &AccessGrant, context: &Context) -> Result<Option<String>, Error> {
    rights::check(&grant.spec)?;
    let namespace = &grant.spec.to.namespace;
    let grantor = grant.namespace().unwrap_or_default();
    let labels = context.stores.namespace_labels(namespace);
    let annotation = context
        .stores
        .namespace_annotation(namespace, ACCEPT_GRANTS);
    match accept::word(&labels, annotation.as_deref(), &grantor) {
        Word::Accepts => Ok(None),
        Word::AcceptsAll => Ok(Some(accept::outdated(namespace, &grantor))),
        Word::Refuses => Err(Error::waiting(
            "NotAccepted",
            format!(
                "spec.to.namespace: {}",
                accept::refusal(namespace, &grantor)
            ),
        )),
    }
}

/// Looks at every stream; makes the derived ones.
///
/// # Errors
/// `PlatformMismatch`.
pub async fn streams(
    grant: &AccessGrant,
    status: &AccessGrantStatus,
    platform: &str,
    context: &Context,
) -> Result<References, Error> {
    let mut found = References::default();
    let spec = &grant.spec;
    for (access, names) in [(READ, &spec.read), (WRITE, &spec.write)] {
        for (index, name) in names.iter().enumerate() {
            let place = format!("spec.{}[{index}]", access.to_lowercase());
            match one(grant, access, &place, name, platform, &mut found, context).await {
                Ok(stream) => found.streams.push(stream),
                Err(error @ Error::Stalled { .. }) if error.reason() == "PlatformMismatch" => {
                    return Err(error);
                }
                Err(error) => {
                    found
                        .derived
                        .extend(still_derived(access, name, &spec.except_labels, &error));
                    let kept = kept(status, name, access, &spec.except_labels);
                    // What was derived before has fields with the label now.
                    let kept = kept.filter(|_| !is_nothing_left(&error));
                    found.streams.extend(kept.cloned());
                    found.problem.get_or_insert(error);
                }
            }
        }
    }
    Ok(found)
}

/// The derived stream of one that can't be looked at just now: nothing is known that speaks against it, and with it its records would
/// go. Only of one that has no fields left for the client it is known.
fn still_derived(access: &str, name: &str, except: &[String], error: &Error) -> Option<String> {
    let wanted = access == READ && !except.is_empty() && !is_nothing_left(error);
    wanted.then(|| derived::name(name, except))
}

/// What the client has and the spec still names. It is told from spec and status alone: of the rest nothing may be left, whatever else
/// is in the way. (That a whole stream has none of the excepted labels is its contract's word, which isn't asked here.)
pub fn still_named(
    spec: &headworks_crds::AccessGrantSpec,
    status: &AccessGrantStatus,
) -> Vec<GrantedStream> {
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
    error.reason() == "NothingLeft"
}

async fn one(
    grant: &AccessGrant,
    access: &str,
    place: &str,
    name: &str,
    platform: &str,
    found: &mut References,
    context: &Context,
) -> Result<GrantedStream, Error> {
    let namespace = grant.namespace().unwrap_or_default();
    let resolved = on_platform(
        resolve_stream(context, place, &namespace, name).await?,
        place,
        platform,
    )?;
    let except = &grant.spec.except_labels;
    let mut granted = GrantedStream {
        stream: name.to_owned(),
        topic: resolved.stream.topic.clone(),
        access: access.to_owned(),
        derived: None,
    };
    if access != READ || except.is_empty() {
        return Ok(granted);
    }
    let left_out = derived::left_out(&label_propagation::now(context, &namespace, name), except);
    if !left_out.is_empty() {
        let derived = derived::name(name, except);
        let made = without(grant, name, &resolved, &derived, &left_out, place, context).await;
        if !made.as_ref().is_err_and(is_nothing_left) {
            found.derived.insert(derived.clone());
        }
        granted.topic = made?;
        granted.derived = Some(derived);
        return Ok(granted);
    }
    let has = grant.status.iter().flat_map(|status| &status.streams);
    let new = !has.into_iter().any(|has| *has == granted);
    if let Some(writer) = label_propagation::unsettled(context, &namespace, name).filter(|_| new) {
        return Err(Error::waiting(
            "StreamNotReady",
            format!(
                "{place}: which fields of DataStream {name} have the labels {} isn't known before Pipeline {writer}, which writes it, fits its streams",
                except.join(", ")
            ),
        ));
    }
    Ok(granted)
}

/// Makes the derived stream; gives its topic.
async fn without(
    grant: &AccessGrant,
    name: &str,
    resolved: &ResolvedStream,
    derived: &str,
    left_out: &BTreeSet<String>,
    place: &str,
    context: &Context,
) -> Result<String, Error> {
    let namespace = &grant.namespace().unwrap_or_default();
    let except = &grant.spec.except_labels;
    let stream = context.stores.stream(namespace, name).ok_or_else(|| {
        Error::missing(
            "StreamNotFound",
            format!("{place}: DataStream {namespace}/{name} doesn't exist"),
        )
    })?;
    let owners = derived::owners(context, namespace, derived);
    let built = derived::build(
        &stream,
        &resolved.stream.contract,
        resolved.partitions,
        left_out,
        except,
        &owners,
    )?;
    derived::apply(context, &built).await?;
    let place = format!("{place} without {}", except.join(", "));
    Ok(resolve_stream(context, &place, namespace, derived)
        .await?
        .stream
        .topic)
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
        "PlatformMismatch",
        format!(
            "{place}: DataStream {} is on Platform {} and the others on {platform}; make a grant for each Platform",
            stream.stream.name, stream.platform
        ),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_spec_names_no_longer_is_told_from_spec_and_status_alone() {
        let has = |stream: &str, access: &str, derived: Option<&str>| GrantedStream {
            stream: stream.into(),
            topic: format!("shop.{stream}"),
            access: access.into(),
            derived: derived.map(str::to_owned),
        };
        let whole = has("orders", READ, None);
        let part = has("customers", READ, Some("customers-without-pii"));
        let status = AccessGrantStatus {
            streams: vec![whole.clone(), part.clone()],
            ..AccessGrantStatus::default()
        };
        let left = |spec: serde_json::Value| {
            let mut all = serde_json::json!({"to": {"namespace": "bi", "name": "report"}});
            let fields = spec.as_object().unwrap().clone();
            all.as_object_mut().unwrap().extend(fields);
            still_named(&serde_json::from_value(all).unwrap(), &status)
        };
        let both = serde_json::json!(["orders", "customers"]);
        let read = |names: &serde_json::Value, except: &[&str]| {
            left(serde_json::json!({"read": names, "exceptLabels": except}))
        };
        assert_eq!(read(&both, &["pii"]), [whole.clone(), part.clone()]);
        let customers = serde_json::json!(["customers"]);
        assert_eq!(read(&customers, &["pii"]), [part]);
        // To write is another right than to read.
        assert!(left(serde_json::json!({"write": ["orders"]})).is_empty());
        // What was left out isn't what must be left out now.
        assert_eq!(read(&both, &["pii", "secret"]), [whole]);
    }

    #[test]
    fn a_derived_stream_stays_while_its_stream_cannot_be_looked_at() {
        let except = vec!["pii".to_owned()];
        let away = Error::waiting("ReferenceNotFound", "");
        let derived = still_derived(READ, "customers", &except, &away);
        assert_eq!(derived.as_deref(), Some("customers-without-pii"));
        assert_eq!(still_derived(WRITE, "customers", &except, &away), None);
        assert_eq!(still_derived(READ, "customers", &[], &away), None);
        let nothing = Error::stalled("NothingLeft", "");
        assert_eq!(still_derived(READ, "customers", &except, &nothing), None);
    }

    #[test]
    fn what_a_client_has_of_a_stream_that_is_away_stays_unless_labels_are_excepted_now() {
        let except = vec!["pii".to_owned()];
        let whole = GrantedStream {
            stream: "orders".into(),
            topic: "shop.orders".into(),
            access: READ.into(),
            derived: None,
        };
        let part = GrantedStream {
            topic: "shop.orders-without-pii".into(),
            derived: Some("orders-without-pii".into()),
            ..whole.clone()
        };
        let has = |stream: &GrantedStream| AccessGrantStatus {
            streams: vec![stream.clone()],
            ..AccessGrantStatus::default()
        };
        assert_eq!(kept(&has(&whole), "orders", READ, &[]), Some(&whole));
        assert_eq!(kept(&has(&whole), "orders", WRITE, &[]), None);
        assert_eq!(kept(&has(&whole), "orders", READ, &except), None);
        assert_eq!(kept(&has(&part), "orders", READ, &except), Some(&part));
        assert_eq!(kept(&has(&part), "orders", READ, &[]), None);
        assert_eq!(
            kept(&has(&part), "orders", READ, &["secret".to_owned()]),
            None
        );
    }
}
