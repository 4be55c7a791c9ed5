//! Topics and users that Strimzi's operators make, by KafkaTopics and KafkaUsers.
//!
//! With Strimzi a user's password stands in a second Secret beside the KafkaUser, because the User Operator reads it there. Whether the
//! user is as it should be is asked of Kafka all the same; and rights are taken away by the Admin API (those that stand in for them are
//! given first), so that nothing waits for a User Operator that is away. The KafkaUser goes first, or is narrowed first, or it would bring
//! them back.

mod capacity;
mod desired;
pub mod kafka_topics;
pub mod kafka_users;
mod verdict;

use std::time::Duration;

use futures::{FutureExt, future::BoxFuture};
use headworks_crds::{DataStreamStatus, ManagedByStrimzi, Platform};
use k8s_openapi::{api::core::v1::Secret, apimachinery::pkg::apis::meta::v1::ObjectMeta};
use kube::api::DynamicObject;

use self::kafka_users::{PASSWORD, password_secret};
use super::{
    Declared, OfStream, Provisioner, TopicOutcome, in_kafka, secret,
    settings::Settings,
    topic::{DesiredTopic, FoundTopic},
    user::{DesiredUser, Owner, User, said},
};
use crate::{
    context::Context,
    kafka::{Admin, KafkaError, Topic},
    names::Key,
    reason::ConditionReason,
    retry::Error,
    status::ExtraCondition,
    strimzi::{
        KAFKA_TOPIC, count_reference,
        observed::{Observed, observed},
        topic_reference, users,
    },
};

/// A KafkaUser that isn't true yet is looked at again after this long; its watch tells sooner.
const RETRY_SOON: Duration = Duration::from_secs(5);

/// A Platform whose topics and users Strimzi makes.
pub struct ByStrimzi<'a> {
    /// The Platform.
    pub platform: &'a Platform,
    /// Where its Kafka is.
    pub at: &'a ManagedByStrimzi,
}

impl Provisioner for ByStrimzi<'_> {
    fn platform_references(&self) -> Vec<Key> {
        vec![KAFKA_TOPIC.reference(), count_reference(&self.at.namespace)]
    }

    fn look<'a>(
        &'a self,
        context: &'a Context,
    ) -> BoxFuture<'a, Result<Option<ExtraCondition>, Error>> {
        capacity::look(self.at, context).boxed()
    }

    /// Any KafkaTopic for the topic, and Strimzi's coming and going.
    fn topic_references(&self, topic: &str) -> Vec<Key> {
        vec![
            topic_reference(&self.at.namespace, topic),
            KAFKA_TOPIC.reference(),
        ]
    }

    /// A KafkaTopic is in its Kafka's namespace.
    fn declares_topics(&self) -> bool {
        true
    }

    fn declared<'a>(
        &'a self,
        of: OfStream<'a>,
        context: &'a Context,
    ) -> BoxFuture<'a, Result<Declared, Error>> {
        kafka_topics::find(of, self.at, context).boxed()
    }

    /// What a KafkaTopic at hand lists counts before what Kafka has, because the Topic Operator may be away just now.
    fn as_declared(&self, found: Option<Topic>, declared: &Declared) -> Option<Topic> {
        let listed = declared.object.as_deref().filter(|_| !declared.ours);
        desired::as_listed(found, listed)
    }

    fn check_topic(
        &self,
        of: OfStream<'_>,
        settings: &Settings,
        found: &FoundTopic,
        status: &DataStreamStatus,
    ) -> Result<(), Error> {
        desired::check(of, settings, found, status)
    }

    fn desired_topic(
        &self,
        of: OfStream<'_>,
        settings: Settings,
        found: &FoundTopic,
        status: &DataStreamStatus,
    ) -> DesiredTopic {
        desired::desired(of, self.at, settings, found, status)
    }

    fn apply_topic<'a>(
        &'a self,
        of: OfStream<'a>,
        desired: DesiredTopic,
        found: FoundTopic,
        admin: &'a Admin,
        status: &'a mut DataStreamStatus,
        context: &'a Context,
    ) -> BoxFuture<'a, Result<TopicOutcome, Error>> {
        kafka_topics::apply(of, self.at, desired, found, admin, status, context).boxed()
    }

    fn kafka_users(&self) -> Option<&ManagedByStrimzi> {
        Some(self.at)
    }

    fn check_users<'a>(
        &'a self,
        _context: &'a Context,
        _admin: &'a Admin,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async { Ok(()) }.boxed()
    }

    fn kept_password<'a>(
        &'a self,
        context: &'a Context,
        owner: &'a Owner<'a>,
        user: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, Error>> {
        async move {
            let name = password_secret(user);
            let live = secret::get(context, &self.at.namespace, &name, owner.chart).await?;
            Ok(secret::owned(live, owner.key)?.and_then(|live| secret::text(&live, PASSWORD)))
        }
        .boxed()
    }

    fn keep_password<'a>(
        &'a self,
        context: &'a Context,
        owner: &'a Owner<'a>,
        user: &'a str,
        password: &'a str,
    ) -> BoxFuture<'a, Result<(), Error>> {
        put_password(context, self.at, owner, user, password).boxed()
    }

    fn make_user<'a>(
        &'a self,
        context: &'a Context,
        admin: &'a Admin,
        owner: &'a Owner<'a>,
        wanted: &'a DesiredUser<'a>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        self.make(context, admin, owner, wanted).boxed()
    }

    fn set_rights<'a>(
        &'a self,
        context: &'a Context,
        admin: &'a Admin,
        owner: &'a Owner<'a>,
        user: &'a User,
        _password: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            self.declare(context, owner, user).await?;
            in_kafka::users::set_rights(admin, user)
                .await
                .map_err(|e| said(&e, owner.key, self.platform))
        }
        .boxed()
    }
}

impl ByStrimzi<'_> {
    async fn make(
        &self,
        context: &Context,
        admin: &Admin,
        owner: &Owner<'_>,
        wanted: &DesiredUser<'_>,
    ) -> Result<(), Error> {
        let said = |e: KafkaError| said(&e, owner.key, self.platform);
        let name = &wanted.user.name;
        let mut user = wanted.user.clone();
        if !wanted.prune {
            user.acls.extend(admin.acls(name).await.map_err(said)?.acls);
        }
        let applied = self.declare(context, owner, &user).await;
        if wanted.prune {
            // A User Operator that is away puts this off for nobody. What is taken may have its successor among what is
            // given, so both are done here; but nothing is given where the KafkaUser is refused.
            match &applied {
                Err(Error::Stalled { .. }) => {
                    in_kafka::users::narrow(admin, name, &user.acls).await
                }
                _ => in_kafka::users::set_rights(admin, &user).await,
            }
            .map_err(said)?;
        }
        made_true(applied?.as_ref(), self.at, name)?;
        let held = admin.acls(name).await.map_err(said)?;
        if !(wanted.tried && held.acls.is_superset(&user.acls)) {
            in_kafka::users::confirm(admin, &user, wanted.password)
                .await
                .map_err(said)?;
        }
        Ok(())
    }

    async fn declare(
        &self,
        context: &Context,
        owner: &Owner<'_>,
        user: &User,
    ) -> Result<std::sync::Arc<DynamicObject>, Error> {
        let built = kafka_users::build(self.at, user);
        users::apply(&context.strimzi, &built, owner.key).await
    }
}

async fn put_password(
    context: &Context,
    strimzi: &ManagedByStrimzi,
    owner: &Owner<'_>,
    user: &str,
    password: &str,
) -> Result<(), Error> {
    let name = password_secret(user);
    let live = secret::get(context, &strimzi.namespace, &name, owner.chart).await?;
    let live = secret::owned(live, owner.key)?;
    let desired = Secret {
        metadata: ObjectMeta {
            name: Some(name),
            namespace: Some(strimzi.namespace.clone()),
            labels: Some(owner.key.labels()),
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".into()),
        data: Some(secret::data([(PASSWORD.to_owned(), password.to_owned())])),
        ..Secret::default()
    };
    secret::put(context, &desired, live, owner.chart)
        .await
        .map(drop)
}

/// Fails until the User Operator has made a KafkaUser true.
fn made_true(object: &DynamicObject, strimzi: &ManagedByStrimzi, user: &str) -> Result<(), Error> {
    let place = format!("KafkaUser {}/{user}", strimzi.namespace);
    match observed(object) {
        Observed::Ready | Observed::Unmanaged => Ok(()),
        Observed::Failed { reason, message } => Err(Error::waiting(
            reason,
            format!("{place}: the User Operator says: {message}"),
        )),
        Observed::Paused => Err(Error::waiting(
            ConditionReason::UserPaused,
            format!("{place} is paused by its annotation; it is made when that is taken away"),
        )),
        Observed::Pending | Observed::Terminating => Err(Error::waiting(
            ConditionReason::UserNotReady,
            format!("{place}: the User Operator hasn't made it true yet; if that lasts, look whether it runs"),
        )
        .after(RETRY_SOON)),
    }
}

#[cfg(test)]
mod tests;
