//! Who makes topics and users in a Platform's Kafka: Headworks itself by the Admin API, or Strimzi's operators by KafkaTopics and
//! KafkaUsers. [`Provisioner`] is what the two are asked for, and [`provisioner`] the only place where it is told which one it is.
//!
//! What is to be done is decided purely (`topic`, `settings`, [`Provisioner::desired_topic`]); what both do in Kafka itself is in
//! `in_kafka`. A user's password lives in one place, the Secret of whoever uses it (`secret`), and is never read back from Kafka:
//! where it matters whether Kafka has the same one, it is tried.

pub mod by_admin;
pub mod by_strimzi;
pub mod in_kafka;
pub mod secret;
pub mod settings;
pub mod topic;
pub mod user;
pub mod users;

use std::sync::Arc;

use futures::future::BoxFuture;
use headworks_crds::{DataStream, DataStreamStatus, Defaults, ManagedByStrimzi, Platform};
use kube::api::DynamicObject;

pub use by_strimzi::kafka_users::delete_all as delete_declared_users;
pub use user::password;

use self::{
    by_admin::ByAdmin,
    by_strimzi::ByStrimzi,
    settings::Settings,
    topic::{DesiredTopic, FoundTopic},
    user::{DesiredUser, Owner, User},
};
use crate::{
    context::Context,
    kafka::{Admin, Topic},
    names::Key,
    reason::ConditionReason,
    retry::Error,
    status::ExtraCondition,
};

/// A stream's topic, as its provisioner is asked about it.
#[derive(Clone, Copy)]
pub struct OfStream<'a> {
    /// The stream.
    pub stream: &'a DataStream,
    /// Its key.
    pub key: &'a Key,
    /// Name of the topic.
    pub topic: &'a str,
    /// Name of the topic of its dead letters.
    pub dead_letters: &'a str,
    /// The Platform's defaults.
    pub defaults: &'a Defaults,
}

/// What is declared of a stream's topic elsewhere than in Kafka. Where topics are made by the Admin API there is nothing.
#[derive(Clone, Debug, Default)]
pub struct Declared {
    /// The object that is for the topic.
    pub object: Option<Arc<DynamicObject>>,
    /// True: it is the stream's.
    pub ours: bool,
    /// Why the topic of the dead letters can't be made: somebody's object is for it.
    pub dead_letters_taken: Option<Error>,
}

/// What came of it, where the topic is there but something is still to be said.
#[derive(Debug, Default)]
pub struct TopicOutcome {
    /// Why the stream isn't Ready all the same.
    pub pending: Option<Error>,
    /// Reason and a note where nobody acts on the topic, by somebody's wish.
    pub resting: Option<(ConditionReason, String)>,
    /// What others have set beside our settings.
    pub drift: Option<String>,
}

/// Who makes topics and users. Dead-letter and internal topics are made by the Admin API in any case
/// (docs/decisions/0009-strimzi-mode.md).
pub trait Provisioner: Send + Sync {
    /// What wakes a Platform besides itself.
    fn platform_references(&self) -> Vec<Key>;

    /// Fails where whoever makes topics isn't there; else what is to be said of how it keeps up.
    fn look<'a>(
        &'a self,
        context: &'a Context,
    ) -> BoxFuture<'a, Result<Option<ExtraCondition>, Error>>;

    /// What wakes a stream besides what it refers to.
    fn topic_references(&self, topic: &str) -> Vec<Key>;

    /// True: a topic is declared by an object that no owner reference reaches, so that letting it go is work.
    fn declares_topics(&self) -> bool;

    /// Reads what is declared of a topic; an error if it must be left alone.
    fn declared<'a>(
        &'a self,
        of: OfStream<'a>,
        context: &'a Context,
    ) -> BoxFuture<'a, Result<Declared, Error>>;

    /// The topic in Kafka as it counts for whether it may be taken over. Pure.
    fn as_declared(&self, found: Option<Topic>, declared: &Declared) -> Option<Topic>;

    /// Fails where a topic can't be as the spec says. Pure.
    ///
    /// # Errors
    /// `PartitionsCannotShrink`, `TopicMismatch`.
    fn check_topic(
        &self,
        of: OfStream<'_>,
        settings: &Settings,
        found: &FoundTopic,
        status: &DataStreamStatus,
    ) -> Result<(), Error>;

    /// The topic as it is to be. Pure.
    fn desired_topic(
        &self,
        of: OfStream<'_>,
        settings: Settings,
        found: &FoundTopic,
        status: &DataStreamStatus,
    ) -> DesiredTopic;

    /// Makes the topic so, and says in the status what it is now.
    fn apply_topic<'a>(
        &'a self,
        of: OfStream<'a>,
        desired: DesiredTopic,
        found: FoundTopic,
        admin: &'a Admin,
        status: &'a mut DataStreamStatus,
        context: &'a Context,
    ) -> BoxFuture<'a, Result<TopicOutcome, Error>>;

    /// Where KafkaUsers are kept; none: users are made by the Admin API.
    fn kafka_users(&self) -> Option<&ManagedByStrimzi>;

    /// Fails where somebody else would take the users away again.
    fn check_users<'a>(
        &'a self,
        context: &'a Context,
        admin: &'a Admin,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// The password that stands beside a user, besides the Secret of who uses it.
    fn kept_password<'a>(
        &'a self,
        context: &'a Context,
        owner: &'a Owner<'a>,
        user: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, Error>>;

    /// Puts a password where whoever makes the user reads it.
    fn keep_password<'a>(
        &'a self,
        context: &'a Context,
        owner: &'a Owner<'a>,
        user: &'a str,
        password: &'a str,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Makes a user so, and comes back when Kafka lets it in.
    fn make_user<'a>(
        &'a self,
        context: &'a Context,
        admin: &'a Admin,
        owner: &'a Owner<'a>,
        wanted: &'a DesiredUser<'a>,
    ) -> BoxFuture<'a, Result<(), Error>>;

    /// Gives a user exactly these rights. `password`: it stood beside a KafkaUser that is gone, and must be made again with it.
    fn set_rights<'a>(
        &'a self,
        context: &'a Context,
        admin: &'a Admin,
        owner: &'a Owner<'a>,
        user: &'a User,
        password: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), Error>>;
}

/// Who makes topics and users in a Platform's Kafka.
pub fn provisioner(platform: &Platform) -> Box<dyn Provisioner + '_> {
    match &platform.spec.kafka.management.strimzi {
        Some(at) => Box::new(ByStrimzi { platform, at }),
        None => Box::new(ByAdmin { platform }),
    }
}
