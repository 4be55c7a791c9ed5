//! A stream's topic where Strimzi makes it: by a KafkaTopic, which the Topic Operator follows.
//!
//! The Topic Operator takes back every setting of a topic that its KafkaTopic doesn't list. So whatever the topic had
//! when its KafkaTopic was made is carried into it (`status.carriedConfig`), except what the spec asks for otherwise.
//! Whether the topic is as it should be is read from Kafka itself; what the Topic Operator says of it is mirrored.
//! Dead-letter and internal topics are made by the Admin API: see docs/decisions/0009-strimzi-mode.md.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use headworks_crds::{DataStream, DataStreamStatus, Defaults, ManagedByStrimzi};
use kube::{Resource, ResourceExt, api::DynamicObject};

use super::{
    settings::{self, Live},
    topic::{self, Claim},
};
use crate::{
    context::Context,
    kafka::{Admin, Setting, Topic},
    names::Key,
    retry::Error,
    strimzi::{
        objects::{self, Applied},
        observed::{self, Observed, observed},
        ownership, release,
        topics::{self, KafkaTopic},
    },
};

/// Settings that a reassignment of replicas makes for itself and takes away again.
const TEMPORARY: [&str; 2] = [
    "leader.replication.throttled.replicas",
    "follower.replication.throttled.replicas",
];
/// Longest value that is carried.
const MAX_VALUE: usize = 1024;

/// The KafkaTopic that is for a stream's topic, if there is one.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The object.
    pub object: Option<Arc<DynamicObject>>,
    /// True: it carries the stream's labels.
    pub ours: bool,
}

/// What came of it, where the topic is there but something is still to be said.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Why the stream isn't Ready all the same.
    pub pending: Option<Error>,
    /// Reason and a note where the Topic Operator doesn't act, by somebody's wish.
    pub resting: Option<(&'static str, String)>,
    /// What others have listed beside our settings.
    pub drift: Option<String>,
}

/// Looks for the stream's KafkaTopic; an error if it must be left alone.
pub async fn find(
    context: &Context,
    stream: &DataStream,
    key: &Key,
    topic: &str,
    at: &ManagedByStrimzi,
) -> Result<Found, Error> {
    let kind = &context.strimzi.topics;
    let resource = kind.resource().await?;
    let all = kind.filter(|o| topics::is_for(o, &at.cluster, &at.namespace, topic));
    if let Some(ours) = all.iter().find(|o| ownership::is_of(o, key)) {
        return Ok(Found {
            object: Some(ours.clone()),
            ours: true,
        });
    }
    let Some(other) = all.into_iter().next() else {
        return Ok(Found::default());
    };
    // The store has no field managers.
    let place = format!("KafkaTopic {}/{}", at.namespace, other.name_any());
    let api = objects::api(context, &resource, &at.namespace);
    let Some(other) = objects::get(&api, &place, &other.name_any()).await? else {
        return Ok(Found::default());
    };
    let taken = ownership::owner(&other).or_else(|| ownership::controller(&other));
    match taken {
        None if stream.spec.adopt => Ok(Found {
            object: Some(Arc::new(other)),
            ours: false,
        }),
        None => Err(objects::foreign(
            &place,
            &other,
            "set spec.adopt: true to take it over (what it lists beside the spec stays), ",
        )),
        Some(_) => Err(objects::foreign(&place, &other, "")),
    }
}

/// The topic as the KafkaTopic at hand wants it: what it lists counts before what Kafka has, because the Topic Operator may be
/// away just now.
pub fn as_listed(found: Option<Topic>, object: Option<&DynamicObject>) -> Option<Topic> {
    let mut topic = found?;
    for (key, value) in object.map(topics::listed).unwrap_or_default() {
        topic.config.insert(
            key,
            Setting {
                value: Some(value),
                on_topic: true,
            },
        );
    }
    Some(topic)
}

/// The settings that must be listed beside the spec's, so that nothing is reset.
///
/// `known`: the stream had the topic before, so that settings in `managed` which the spec no longer names are to go.
pub fn carried(
    desired: &BTreeMap<String, String>,
    managed: &[String],
    topic: Option<&Topic>,
    object: Option<&DynamicObject>,
) -> Result<BTreeMap<String, String>, Error> {
    let of_kafka = topic.into_iter().flat_map(|t| {
        t.config
            .iter()
            .filter(|(_, setting)| setting.on_topic)
            .filter_map(|(key, setting)| Some((key.clone(), setting.value.clone()?)))
    });
    let all: BTreeMap<String, String> = of_kafka
        .chain(object.map(topics::listed).unwrap_or_default())
        .filter(|(key, _)| {
            !desired.contains_key(key)
                && !managed.contains(key)
                && !TEMPORARY.contains(&key.as_str())
        })
        .collect();
    match all.iter().find(|(_, value)| value.len() > MAX_VALUE) {
        None => Ok(all),
        Some((key, _)) => Err(Error::stalled(
            "TopicMismatch",
            format!(
                "the topic's setting {key} is longer than {MAX_VALUE} characters and can't be carried into a KafkaTopic, where it would be reset; shorten it first"
            ),
        )),
    }
}

/// Partitions or replicas to list: the spec's; else what the object lists already, but never fewer than there are; else, in a new
/// object, what the topic has or the Platform's default. An object that leaves the number to the brokers goes on so.
fn count(
    wanted: Option<i32>,
    object: Option<&DynamicObject>,
    field: &str,
    there: Option<i32>,
    default: Option<i32>,
) -> Option<i32> {
    let Some(object) = object else {
        return wanted.or(there).or(default);
    };
    wanted.or_else(|| topics::number(object, field).map(|n| there.map_or(n, |there| n.max(there))))
}

/// What [`ensure`] is about.
pub struct Work<'a> {
    /// The stream.
    pub stream: &'a DataStream,
    /// Its key.
    pub key: &'a Key,
    /// The topic.
    pub topic: &'a str,
    /// The Strimzi cluster.
    pub at: &'a ManagedByStrimzi,
    /// The Platform's defaults.
    pub defaults: &'a Defaults,
}

/// Makes or changes the KafkaTopic, and says in the status what the topic is now.
///
/// # Errors
/// Waiting `TopicPending` while there is no topic yet; what the Topic Operator or the API server says.
pub async fn ensure(
    work: &Work<'_>,
    admin: &Admin,
    found: Found,
    claim: Claim,
    status: &mut DataStreamStatus,
    context: &Context,
) -> Result<Outcome, Error> {
    let (stream, topic) = (work.stream, work.topic);
    let there = match claim {
        Claim::Free => {
            if found.object.is_none() {
                status
                    .default_retention
                    .clone_from(&work.defaults.retention);
                status.kept_config.clear();
            }
            None
        }
        Claim::Ours(there) => Some(there),
        Claim::Adopt(there) => {
            status.default_retention = None;
            Some(there)
        }
    };
    if let (Some(wanted), Some(there)) = (stream.spec.partitions, &there)
        && wanted < there.partitions
    {
        return Err(topic::cannot_shrink(topic, there.partitions, wanted));
    }
    let desired = settings::with_kept(
        settings::desired(&stream.spec, status.default_retention.as_ref()),
        &status.kept_config,
    );
    status
        .kept_config
        .retain(|kept| desired.get(&kept.key) == Some(&kept.kept));
    carry(work, &desired, &found, there.as_ref(), status)?;
    let applied = apply(work, &desired, &found, there.as_ref(), status, context).await?;
    tell(work, &applied, &found, there.as_ref(), status, context).await;
    status.managed_config = desired
        .keys()
        .filter(|key| !status.kept_config.iter().any(|kept| kept.key == **key))
        .cloned()
        .collect();
    status.kafka_topic = Some(applied.object.name_any());
    let listed = topics::listed(&applied.object);
    let mut there = there;
    if observed(&applied.object) == Observed::Ready
        && !as_wanted(there.as_ref(), &listed, &applied.object)
    {
        // The Topic Operator was quicker than our look at Kafka.
        there = admin
            .topic(topic)
            .await
            .map_err(|e| topic::kafka_error(&e, topic))?;
    }
    let fits = as_wanted(there.as_ref(), &listed, &applied.object);
    let place = place(&applied.object);
    let judged = judge(&observed(&applied.object), fits, &place, &applied.object);
    let Some(there) = there else {
        return Err(judged.err().unwrap_or_else(|| pending(&place, "")));
    };
    status.topic = Some(topic.to_owned());
    status.partitions = Some(there.partitions);
    status.replicas = Some(there.replicas);
    sweep(work, &applied.object, context).await?;
    let drift = drift(&desired, &status.carried_config, &applied.object, context).await?;
    Ok(match judged {
        Ok(resting) => Outcome {
            pending: None,
            resting,
            drift,
        },
        Err(error) => Outcome {
            pending: Some(error),
            resting: None,
            drift,
        },
    })
}

/// Settles what is listed beside the spec's settings.
fn carry(
    work: &Work<'_>,
    desired: &BTreeMap<String, String>,
    found: &Found,
    there: Option<&Topic>,
    status: &mut DataStreamStatus,
) -> Result<(), Error> {
    let known = status.topic.as_deref() == Some(work.topic);
    let settled = found.ours && (status.kafka_topic.is_some() || there.is_none());
    if settled || (there.is_none() && found.object.is_none()) {
        status
            .carried_config
            .retain(|key, _| !desired.contains_key(key));
        return Ok(());
    }
    let managed = if known {
        status.managed_config.as_slice()
    } else {
        &[]
    };
    // Ours, and the status was lost: what it lists is what was carried.
    let topic = if found.ours { None } else { there };
    status.carried_config = carried(desired, managed, topic, found.object.as_deref())?;
    Ok(())
}

async fn apply(
    work: &Work<'_>,
    desired: &BTreeMap<String, String>,
    found: &Found,
    there: Option<&Topic>,
    status: &DataStreamStatus,
    context: &Context,
) -> Result<Applied, Error> {
    let resource = context.strimzi.topics.resource().await?;
    let object = found.object.as_deref();
    let mut config = status.carried_config.clone();
    config.extend(desired.clone());
    let wanted = KafkaTopic {
        name: object.map_or_else(|| topics::object_name(work.topic), ResourceExt::name_any),
        namespace: work.at.namespace.clone(),
        cluster: work.at.cluster.clone(),
        topic: work.topic.to_owned(),
        partitions: count(
            work.stream.spec.partitions,
            object,
            "partitions",
            there.map(|t| t.partitions).or(status.partitions),
            work.defaults.partitions,
        ),
        replicas: count(
            None,
            object,
            "replicas",
            // Replicas are changed in the KafkaTopic itself (by Cruise Control), so what is listed holds.
            object
                .is_none()
                .then(|| there.map(|t| t.replicas).or(status.replicas))
                .flatten(),
            work.defaults.replicas,
        ),
        config,
    };
    let built = topics::build(&wanted, work.key, &resource, object);
    objects::apply(
        context,
        &context.strimzi.topics,
        &built,
        work.key,
        object.is_some() && !found.ours,
    )
    .await
}

/// Events of what happened.
async fn tell(
    work: &Work<'_>,
    applied: &Applied,
    found: &Found,
    there: Option<&Topic>,
    status: &DataStreamStatus,
    context: &Context,
) {
    let about = work.stream.object_ref(&());
    let (topic, place) = (work.topic, place(&applied.object));
    if !applied.put_back.is_empty() && found.ours {
        let all: Vec<String> = applied
            .put_back
            .iter()
            .map(|d| {
                let who = d.manager.as_deref().unwrap_or_default();
                format!(
                    "{} was {} ({who}) and is {} again",
                    d.path, d.there, d.wanted
                )
            })
            .collect();
        let note = format!("{place}: {}; change the DataStream instead", all.join(", "));
        context.events.warning(&about, "DriftPutBack", &note).await;
    }
    if there.is_none() && found.object.is_none() && status.topic.as_deref() == Some(topic) {
        let note = format!("topic {topic} was gone from Kafka and is made again, empty");
        context
            .events
            .warning(&about, "TopicRecreated", &note)
            .await;
    }
    if let (Some(wanted), Some(there)) = (work.stream.spec.partitions, there)
        && wanted > there.partitions
        && !work.stream.spec.key.is_empty()
    {
        let note = topic::grew(topic, there.partitions, wanted);
        context
            .events
            .warning(&about, "PartitionsGrew", &note)
            .await;
    }
}

/// KafkaTopics of this stream elsewhere (the Platform's cluster was changed) are let go; their topics stay.
async fn sweep(work: &Work<'_>, kept: &DynamicObject, context: &Context) -> Result<(), Error> {
    for stray in release::strays(context, work.key, &work.at.namespace, &kept.name_any()) {
        release::release(context, &stray).await?;
    }
    Ok(())
}

/// What others have listed in the KafkaTopic's config beside what is ours.
async fn drift(
    desired: &BTreeMap<String, String>,
    carried: &BTreeMap<String, String>,
    object: &DynamicObject,
    context: &Context,
) -> Result<Option<String>, Error> {
    let foreign = |key: &String| !desired.contains_key(key) && !carried.contains_key(key);
    if !topics::listed(object).keys().any(foreign) {
        return Ok(None);
    }
    let resource = context.strimzi.topics.resource().await?;
    let api = objects::api(context, &resource, &object.namespace().unwrap_or_default());
    let place = place(object);
    let Some(fresh) = objects::get(&api, &place, &object.name_any()).await? else {
        return Ok(None);
    };
    let keys: Vec<String> = topics::listed(&fresh)
        .into_iter()
        .filter(|(key, _)| foreign(key))
        .map(|(key, value)| {
            let path = ["spec".to_owned(), "config".to_owned(), key.clone()];
            let who = ownership::holder(&fresh, &path).unwrap_or_else(|| "unknown".into());
            format!("{key}={value} (field manager {who})")
        })
        .collect();
    Ok((!keys.is_empty()).then(|| {
        format!(
            "{place} lists settings that this DataStream doesn't name: {}. They hold; name them in spec.config, or take them out of the KafkaTopic",
            keys.join(", ")
        )
    }))
}

/// True if the topic in Kafka is what the KafkaTopic lists.
fn as_wanted(
    topic: Option<&Topic>,
    listed: &BTreeMap<String, String>,
    object: &DynamicObject,
) -> bool {
    topic.is_some_and(|topic| {
        let live: BTreeMap<String, Live> = topic::live(topic);
        settings::changes(listed, &[], &live).is_empty()
            && topics::number(object, "partitions").is_none_or(|n| n == topic.partitions)
    })
}

/// What is said of a KafkaTopic: nothing, that it rests by somebody's wish, or why the stream isn't Ready.
fn judge(
    observed: &Observed,
    fits: bool,
    place: &str,
    object: &DynamicObject,
) -> Result<Option<(&'static str, String)>, Error> {
    match observed {
        Observed::Ready | Observed::Pending if fits => Ok(None),
        Observed::Failed { reason, message } => {
            let said = format!("Strimzi's Topic Operator says of {place}: {message}");
            // It tries again by itself, every two minutes; these two don't change by trying.
            Err(
                if matches!(reason.as_str(), "NotSupported" | "ResourceConflict") {
                    Error::stalled(reason, said)
                } else {
                    Error::waiting(reason, said)
                },
            )
        }
        Observed::Paused => rest(
            fits,
            "TopicPaused",
            format!(
                "{place} is paused by its annotation {}",
                crate::strimzi::PAUSED
            ),
        ),
        Observed::Unmanaged => rest(
            fits,
            "TopicUnmanaged",
            format!(
                "{place} has the annotation {}: \"false\"",
                crate::strimzi::MANAGED
            ),
        ),
        Observed::Ready => {
            let warnings = observed::warnings(object).join("; ");
            Err(pending(
                place,
                &format!("it says Ready, but Kafka doesn't have the topic so. {warnings}"),
            ))
        }
        Observed::Pending | Observed::Terminating => Err(pending(place, "")),
    }
}

fn rest(
    fits: bool,
    reason: &'static str,
    why: String,
) -> Result<Option<(&'static str, String)>, Error> {
    if fits {
        return Ok(Some((
            reason,
            format!("{why}: what is changed here doesn't reach Kafka"),
        )));
    }
    Err(Error::stalled(
        reason,
        format!(
            "{why}, so the Topic Operator doesn't make or change the topic; remove the annotation"
        ),
    )
    .after(Duration::from_secs(60)))
}

fn pending(place: &str, more: &str) -> Error {
    let more = if more.is_empty() {
        "it hasn't looked at it yet; if that lasts, look whether it runs (Deployment <cluster>-entity-operator) and whether it watches this namespace"
    } else {
        more
    };
    Error::waiting(
        "TopicPending",
        format!("Strimzi's Topic Operator has to make or change the topic of {place}: {more}"),
    )
    .after(Duration::from_secs(30))
}

fn place(object: &DynamicObject) -> String {
    format!(
        "KafkaTopic {}/{}",
        object.namespace().unwrap_or_default(),
        object.name_any()
    )
}

/// The stream's Platform makes topics by the Admin API (again): KafkaTopics are let go, and their topics stay.
///
/// # Errors
/// The API server's.
pub async fn leave(
    key: &Key,
    status: &mut DataStreamStatus,
    context: &Context,
) -> Result<(), Error> {
    if status.kafka_topic.is_none() {
        return Ok(());
    }
    if !release::nothing_there(context).await {
        for object in release::of_owner(context, key).await? {
            release::release(context, &object).await?;
        }
    }
    status.kafka_topic = None;
    status.carried_config.clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::strimzi::watched;

    fn object(spec: &serde_json::Value) -> DynamicObject {
        let resource = watched::resource("KafkaTopic", "kafkatopics", "v1");
        let mut object = DynamicObject::new("shop.orders", &resource).within("kafka");
        object.data = json!({"spec": spec});
        object
    }

    fn topic(config: &[(&str, &str, bool)]) -> Topic {
        Topic {
            name: "shop.orders".into(),
            partitions: 3,
            replicas: 1,
            config: config
                .iter()
                .map(|(key, value, on_topic)| {
                    let setting = Setting {
                        value: Some((*value).into()),
                        on_topic: *on_topic,
                    };
                    ((*key).to_owned(), setting)
                })
                .collect(),
        }
    }

    #[test]
    fn everything_the_topic_has_of_its_own_is_carried() {
        let desired = BTreeMap::from([("retention.ms".to_owned(), "5".to_owned())]);
        let live = topic(&[
            ("retention.ms", "9", true),
            ("segment.bytes", "7", true),
            ("compression.type", "zstd", true),
            ("min.insync.replicas", "1", false),
            ("leader.replication.throttled.replicas", "*", true),
            ("flush.ms", "1", true),
        ]);
        let listed = object(&json!({"config": {"flush.ms": 2}}));
        let carried = carried(
            &desired,
            &["compression.type".into()],
            Some(&live),
            Some(&listed),
        )
        .unwrap();
        let wanted = [("flush.ms", "2"), ("segment.bytes", "7")];
        assert_eq!(
            carried,
            wanted
                .into_iter()
                .map(|(k, v)| (k.to_owned(), v.to_owned()))
                .collect()
        );
    }

    #[test]
    fn what_is_too_long_to_carry_is_refused_and_not_reset() {
        let live = topic(&[("x", &"y".repeat(2000), true)]);
        let error = carried(&BTreeMap::new(), &[], Some(&live), None).unwrap_err();
        assert_eq!(error.reason(), "TopicMismatch");
    }

    #[test]
    fn numbers_are_the_spec_s_or_stay_as_they_are_listed() {
        let (three, none) = (object(&json!({"partitions": 3})), object(&json!({})));
        let count = |wanted, object, there| count(wanted, object, "partitions", there, Some(6));
        assert_eq!(count(Some(4), Some(&three), Some(3)), Some(4));
        assert_eq!(count(None, Some(&three), Some(3)), Some(3));
        assert_eq!(count(None, Some(&three), Some(5)), Some(5));
        assert_eq!(count(None, Some(&none), Some(5)), None);
        assert_eq!(count(None, None, Some(5)), Some(5));
        assert_eq!(count(None, None, None), Some(6));
    }

    #[test]
    fn kafka_decides_and_the_topic_operator_s_words_are_mirrored() {
        let object = object(&json!({}));
        let judge = |observed, fits| judge(&observed, fits, "KafkaTopic kafka/a", &object);
        assert_eq!(judge(Observed::Ready, true), Ok(None));
        assert_eq!(judge(Observed::Pending, true), Ok(None));
        assert_eq!(
            judge(Observed::Pending, false).unwrap_err().reason(),
            "TopicPending"
        );
        assert_eq!(
            judge(Observed::Ready, false).unwrap_err().reason(),
            "TopicPending"
        );
        let (reason, _) = judge(Observed::Paused, true).unwrap().unwrap();
        assert_eq!(reason, "TopicPaused");
        let stuck = judge(Observed::Unmanaged, false).unwrap_err();
        assert!(matches!(stuck, Error::Stalled { .. }) && stuck.reason() == "TopicUnmanaged");
        let failed = |reason: &str| Observed::Failed {
            reason: reason.into(),
            message: "words".into(),
        };
        let error = judge(failed("KafkaError"), true).unwrap_err();
        assert!(matches!(error, Error::Waiting { .. }) && error.message().contains("words"));
        let error = judge(failed("NotSupported"), true).unwrap_err();
        assert!(matches!(error, Error::Stalled { .. }));
    }

    #[test]
    fn a_topic_fits_when_kafka_has_what_is_listed() {
        let kafka_topic = object(&json!({"partitions": 3}));
        let live = topic(&[("retention.ms", "5", true)]);
        let listed = BTreeMap::from([("retention.ms".to_owned(), "5".to_owned())]);
        assert!(as_wanted(Some(&live), &listed, &kafka_topic));
        assert!(!as_wanted(None, &listed, &kafka_topic));
        assert!(!as_wanted(
            Some(&live),
            &listed,
            &object(&json!({"partitions": 4}))
        ));
        let other = BTreeMap::from([("retention.ms".to_owned(), "6".to_owned())]);
        assert!(!as_wanted(Some(&live), &other, &kafka_topic));
    }
}
