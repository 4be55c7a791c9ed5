//! What stayed when objects went: what belongs to no object any more, and how it is removed. Pure.
//!
//! Under `deletionPolicy: Retain`, the default, a topic, its contracts, the progress and the state of a Pipeline outlive their object, so that
//! one of the same name goes on with them. Whoever doesn't want that any more finds here what there is. A thing is known
//! by what we wrote on it (labels) or by a name that only we give (`headworks.<installation>.`), never by a guess.

use std::collections::{BTreeMap, BTreeSet};

use headworks_plan::names::{Owner, dead_letters, of_installation, owner, version_of};
use serde::Serialize;

/// What kind of thing is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A topic in Kafka.
    Topic,
    /// A consumer group in Kafka.
    Group,
    /// A user in Kafka.
    User,
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
    /// A KafkaTopic of Strimzi's.
    KafkaTopic,
    /// A KafkaUser of Strimzi's.
    KafkaUser,
}

impl Kind {
    /// As `--delete` takes it, and as kubectl calls it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Topic => "topic",
            Self::Group => "group",
            Self::User => "user",
            Self::ConfigMap => "configmap",
            Self::Secret => "secret",
            Self::KafkaTopic => "kafkatopic",
            Self::KafkaUser => "kafkauser",
        }
    }
}

/// A thing that belongs to no object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Leftover {
    /// What it is.
    pub kind: Kind,
    /// Its namespace; empty for what is in Kafka.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Whose it was, such as `DataStream shop/orders, which is gone`.
    pub of: String,
}

impl Leftover {
    /// As `--delete` takes it: `topic/shop.orders`, `configmap/shop/orders-contract-1`.
    pub fn id(&self) -> String {
        let word = self.kind.word();
        if self.namespace.is_empty() {
            format!("{word}/{}", self.name)
        } else {
            format!("{word}/{}/{}", self.namespace, self.name)
        }
    }

    /// The command that removes it. `bootstrap` is where Kafka is.
    pub fn command(&self, bootstrap: &str) -> String {
        let (name, namespace) = (&self.name, &self.namespace);
        match self.kind {
            Kind::Topic => {
                format!("kafka-topics.sh --bootstrap-server {bootstrap} --delete --topic {name}")
            }
            Kind::Group => format!(
                "kafka-consumer-groups.sh --bootstrap-server {bootstrap} --delete --group {name}"
            ),
            // Kafka's own tools want each right by its resource; this takes all of a user's.
            Kind::User => format!("headworks leftovers --delete {}", self.id()),
            Kind::ConfigMap | Kind::Secret => {
                format!("kubectl -n {namespace} delete {} {name}", self.kind.word())
            }
            Kind::KafkaTopic | Kind::KafkaUser => format!(
                "kubectl -n {namespace} delete {}s.kafka.strimzi.io {name}",
                self.kind.word()
            ),
        }
    }
}

/// Something in Kubernetes that carries our labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labelled {
    /// What it is.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Kind, namespace and name of its object, as the labels have them (a long name is shortened).
    pub owner: (String, String, String),
    /// Of a contract: the topic that it is about.
    pub topic: Option<String>,
}

/// All that was looked at.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// The installation's name in Kafka.
    pub installation: String,
    /// Kind, namespace and name of every object.
    pub objects: BTreeSet<(String, String, String)>,
    /// The same, as labels have them.
    pub labels: BTreeSet<(String, String, String)>,
    /// Topics that objects name as theirs.
    pub used: BTreeSet<String>,
    /// The version of the state that each Pipeline has; none where its query needs none. Absent: nobody has looked at it yet.
    pub versions: BTreeMap<(String, String), Option<String>>,
    /// What carries our labels.
    pub labelled: Vec<Labelled>,
    /// Topics in Kafka. Absent: nobody could ask.
    pub topics: Option<Vec<String>>,
    /// Consumer groups.
    pub groups: Vec<String>,
    /// Users.
    pub users: Vec<String>,
}

/// What is left. `namespace`: of the objects of that namespace only.
pub fn leftovers(seen: &Seen, namespace: Option<&str>) -> Vec<Leftover> {
    let mut found = BTreeSet::new();
    let here = |one: &str| namespace.is_none_or(|n| n == one);
    for thing in &seen.labelled {
        let (kind, of_namespace, name) = &thing.owner;
        if !here(of_namespace) || seen.labels.contains(&thing.owner) {
            continue;
        }
        let of = format!("{kind} {of_namespace}/{name}, which is gone");
        found.insert(Leftover {
            kind: thing.kind,
            namespace: thing.namespace.clone(),
            name: thing.name.clone(),
            of: of.clone(),
        });
        let topics = thing.topic.iter();
        let topics = topics.flat_map(|topic| [topic.clone(), dead_letters(topic)]);
        for topic in topics.filter(|topic| !seen.used.contains(topic)) {
            let there = seen.topics.as_ref();
            if there.is_none_or(|all| all.contains(&topic)) {
                found.insert(in_kafka(Kind::Topic, &topic, of.clone()));
            }
        }
    }
    let topics = seen.topics.iter().flatten().map(|name| (Kind::Topic, name));
    let groups = seen.groups.iter().map(|name| (Kind::Group, name));
    for (kind, name) in topics.chain(groups) {
        if seen.used.contains(name) {
            continue;
        }
        if let Some(of) = internal(seen, name, &here) {
            found.insert(in_kafka(kind, name, of));
        }
    }
    for user in &seen.users {
        if let Some(of) = user_of(seen, user, &here) {
            found.insert(in_kafka(Kind::User, user, of));
        }
    }
    found.into_iter().collect()
}

fn in_kafka(kind: Kind, name: &str, of: String) -> Leftover {
    Leftover {
        kind,
        namespace: String::new(),
        name: name.to_owned(),
        of,
    }
}

/// Whose a group or an internal topic was: `headworks.<installation>.<namespace>.<name>[.<version>]…`.
fn internal(seen: &Seen, name: &str, here: &impl Fn(&str) -> bool) -> Option<String> {
    let Owner {
        namespace,
        object,
        rest,
    } = owner(&seen.installation, name)?;
    if !here(namespace) {
        return None;
    }
    let is_there = |kind: &str| {
        let key = (kind.to_owned(), namespace.to_owned(), object.to_owned());
        seen.objects.contains(&key)
    };
    if rest == "generate" {
        let gone = !is_there("Source");
        return gone.then(|| format!("Source {namespace}/{object}, which is gone"));
    }
    if rest == "replay" {
        let gone = !is_there("Replay");
        return gone.then(|| {
            format!("Replay {namespace}/{object}, which is gone, and would begin anew without it")
        });
    }
    if !is_there("Pipeline") {
        return Some(format!("Pipeline {namespace}/{object}, which is gone"));
    }
    let key = (namespace.to_owned(), object.to_owned());
    let of = version_of(rest);
    let in_force = seen.versions.get(&key)?;
    (*in_force != of).then(|| format!("an earlier query of Pipeline {namespace}/{object}, which goes on with it if it comes back"))
}

/// Whose a user was: `headworks.<installation>.<kind>.<namespace>.<name>`, of a grant with `-a` or `-b`.
fn user_of(seen: &Seen, user: &str, here: &impl Fn(&str) -> bool) -> Option<String> {
    let rest = of_installation(&seen.installation, user)?;
    let mut parts = rest.splitn(3, '.');
    let (what, namespace, name) = (parts.next()?, parts.next()?, parts.next()?);
    let (kind, name) = match what {
        "pipeline" => ("Pipeline", name),
        "source" => ("Source", name),
        "replay" => ("Replay", name),
        "grant" => (
            "AccessGrant",
            name.strip_suffix("-a")
                .or_else(|| name.strip_suffix("-b"))?,
        ),
        _ => return None,
    };
    let key = (kind.to_owned(), namespace.to_owned(), name.to_owned());
    (here(namespace) && !seen.objects.contains(&key))
        .then(|| format!("{kind} {namespace}/{name}, which is gone"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: &str, name: &str) -> (String, String, String) {
        (kind.to_owned(), "shop".to_owned(), name.to_owned())
    }

    fn contract(stream: &str, topic: &str) -> Labelled {
        Labelled {
            kind: Kind::ConfigMap,
            namespace: "shop".into(),
            name: format!("{stream}-contract-1"),
            owner: key("DataStream", stream),
            topic: Some(topic.into()),
        }
    }

    fn seen() -> Seen {
        let objects: BTreeSet<_> = [
            key("DataStream", "orders"),
            key("Pipeline", "sum"),
            key("Pipeline", "copy"),
            key("Pipeline", "new"),
            key("Source", "in"),
            key("Replay", "again"),
            key("AccessGrant", "bi"),
        ]
        .into();
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        Seen {
            installation: "prod".into(),
            labels: objects.clone(),
            objects,
            used: names(&["shop.orders", "shop.orders.dlq", "shop.taken"])
                .into_iter()
                .collect(),
            versions: [
                (
                    ("shop".to_owned(), "sum".to_owned()),
                    Some("89abcdef".to_owned()),
                ),
                (("shop".to_owned(), "copy".to_owned()), None),
            ]
            .into(),
            labelled: vec![
                contract("orders", "shop.orders"),
                contract("gone", "shop.gone"),
                contract("moved", "shop.taken"),
            ],
            topics: Some(names(&[
                "shop.orders",
                "shop.orders.dlq",
                "shop.gone",
                "shop.gone.dlq",
                "shop.taken",
                "others",
                "headworks.prod.shop.sum.89abcdef-changelog",
                "headworks.prod.shop.sum.01234567-changelog",
                "headworks.prod.shop.old.01234567-results.dlq",
                "headworks.prod.shop.new.01234567-changelog",
                "headworks.other.shop.old.01234567-changelog",
            ])),
            groups: names(&[
                "headworks.prod.shop.sum.89abcdef",
                "headworks.prod.shop.sum.89abcdef.keyed",
                "headworks.prod.shop.sum",
                "headworks.prod.shop.copy",
                "headworks.prod.shop.copy.table.w.t",
                "headworks.prod.shop.old.table.w.t",
                "headworks.prod.shop.in.generate",
                "headworks.prod.shop.out.generate",
                "headworks.prod.shop.again.replay",
                "headworks.prod.shop.ended.replay",
                "console-consumer-1",
            ]),
            users: names(&[
                "headworks.prod.pipeline.shop.sum",
                "headworks.prod.pipeline.shop.old",
                "headworks.prod.replay.shop.again",
                "headworks.prod.replay.shop.ended",
                "headworks.prod.grant.shop.bi-a",
                "headworks.prod.grant.shop.gone-b",
                "ann",
            ]),
        }
    }

    #[test]
    fn what_belongs_to_no_object_is_found_and_nothing_else() {
        let ids: Vec<String> = leftovers(&seen(), None).iter().map(Leftover::id).collect();
        assert_eq!(
            ids,
            [
                "topic/headworks.prod.shop.old.01234567-results.dlq",
                "topic/headworks.prod.shop.sum.01234567-changelog",
                "topic/shop.gone",
                "topic/shop.gone.dlq",
                "group/headworks.prod.shop.ended.replay",
                "group/headworks.prod.shop.old.table.w.t",
                "group/headworks.prod.shop.out.generate",
                "group/headworks.prod.shop.sum",
                "user/headworks.prod.grant.shop.gone-b",
                "user/headworks.prod.pipeline.shop.old",
                "user/headworks.prod.replay.shop.ended",
                "configmap/shop/gone-contract-1",
                "configmap/shop/moved-contract-1",
            ]
        );
        assert!(leftovers(&seen(), Some("audit")).is_empty());
        let unknown = Seen {
            installation: String::new(),
            ..seen()
        };
        let kinds: Vec<Kind> = leftovers(&unknown, None).iter().map(|l| l.kind).collect();
        assert!(!kinds.contains(&Kind::Group) && !kinds.contains(&Kind::User));
    }

    #[test]
    fn where_kafka_cannot_be_asked_the_contracts_name_the_topics() {
        let blind = Seen {
            topics: None,
            groups: Vec::new(),
            users: Vec::new(),
            ..seen()
        };
        let ids: Vec<String> = leftovers(&blind, None).iter().map(Leftover::id).collect();
        assert!(ids.contains(&"topic/shop.gone.dlq".to_owned()), "{ids:?}");
        assert!(!ids.iter().any(|id| id.ends_with("shop.taken")), "{ids:?}");
    }

    #[test]
    fn each_comes_with_the_command_that_removes_it() {
        let all = leftovers(&seen(), None);
        let commands: Vec<String> = all.iter().map(|one| one.command("k:9092")).collect();
        assert!(commands.contains(
            &"kafka-topics.sh --bootstrap-server k:9092 --delete --topic shop.gone".to_owned()
        ));
        assert!(commands.contains(&"kubectl -n shop delete configmap gone-contract-1".to_owned()));
    }
}
