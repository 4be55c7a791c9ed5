//! Topics and users that Headworks makes by Kafka's Admin API.

mod user_operator;

use futures::{FutureExt, future::BoxFuture};
use headworks_crds::{DataStreamStatus, ManagedByStrimzi, Platform};

use super::{
    Declared, OfStream, Provisioner, TopicOutcome, by_strimzi, in_kafka,
    settings::{self, Settings},
    topic::{Action, Claim, DesiredTopic, FoundTopic, Growth, live},
    user::{DesiredUser, Owner, User, said},
};
use crate::{
    context::Context,
    kafka::{Admin, NewTopic, Topic},
    names::Key,
    retry::Error,
    status::ExtraCondition,
};

/// A Platform whose topics and users are made by the Admin API.
pub struct ByAdmin<'a> {
    /// The Platform.
    pub platform: &'a Platform,
}

impl Provisioner for ByAdmin<'_> {
    fn platform_references(&self) -> Vec<Key> {
        Vec::new()
    }

    fn look<'a>(
        &'a self,
        _context: &'a Context,
    ) -> BoxFuture<'a, Result<Option<ExtraCondition>, Error>> {
        async { Ok(None) }.boxed()
    }

    fn topic_references(&self, _topic: &str) -> Vec<Key> {
        Vec::new()
    }

    fn declares_topics(&self) -> bool {
        false
    }

    fn declared<'a>(
        &'a self,
        _of: OfStream<'a>,
        _context: &'a Context,
    ) -> BoxFuture<'a, Result<Declared, Error>> {
        async { Ok(Declared::default()) }.boxed()
    }

    fn as_declared(&self, found: Option<Topic>, _declared: &Declared) -> Option<Topic> {
        found
    }

    /// Fewer partitions than there are, are refused when all else is done.
    fn check_topic(
        &self,
        _of: OfStream<'_>,
        _settings: &Settings,
        _found: &FoundTopic,
        _status: &DataStreamStatus,
    ) -> Result<(), Error> {
        Ok(())
    }

    fn desired_topic(
        &self,
        of: OfStream<'_>,
        settings: Settings,
        found: &FoundTopic,
        status: &DataStreamStatus,
    ) -> DesiredTopic {
        desired(of, settings, &found.claim, status)
    }

    /// A topic that Strimzi made before is let go of first: the Topic Operator would put back what is changed here.
    fn apply_topic<'a>(
        &'a self,
        of: OfStream<'a>,
        desired: DesiredTopic,
        _found: FoundTopic,
        admin: &'a Admin,
        status: &'a mut DataStreamStatus,
        context: &'a Context,
    ) -> BoxFuture<'a, Result<TopicOutcome, Error>> {
        async move {
            by_strimzi::kafka_topics::leave(of.key, status, context).await?;
            in_kafka::topics::ensure(admin, of.stream, desired, status, context).await?;
            Ok(TopicOutcome::default())
        }
        .boxed()
    }

    fn kafka_users(&self) -> Option<&ManagedByStrimzi> {
        None
    }

    fn check_users<'a>(
        &'a self,
        context: &'a Context,
        admin: &'a Admin,
    ) -> BoxFuture<'a, Result<(), Error>> {
        user_operator::absent(context, self.platform, admin).boxed()
    }

    fn kept_password<'a>(
        &'a self,
        _context: &'a Context,
        _owner: &'a Owner<'a>,
        _user: &'a str,
    ) -> BoxFuture<'a, Result<Option<String>, Error>> {
        async { Ok(None) }.boxed()
    }

    fn keep_password<'a>(
        &'a self,
        _context: &'a Context,
        _owner: &'a Owner<'a>,
        _user: &'a str,
        _password: &'a str,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async { Ok(()) }.boxed()
    }

    fn make_user<'a>(
        &'a self,
        _context: &'a Context,
        admin: &'a Admin,
        owner: &'a Owner<'a>,
        wanted: &'a DesiredUser<'a>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            let DesiredUser {
                user,
                password,
                tried,
                prune,
            } = wanted;
            in_kafka::users::ensure(admin, user, password, *tried, *prune)
                .await
                .map_err(|e| said(&e, owner.key, self.platform))
        }
        .boxed()
    }

    fn set_rights<'a>(
        &'a self,
        _context: &'a Context,
        admin: &'a Admin,
        owner: &'a Owner<'a>,
        user: &'a User,
        password: Option<&'a str>,
    ) -> BoxFuture<'a, Result<(), Error>> {
        async move {
            match password {
                Some(password) => in_kafka::users::ensure(admin, user, password, false, true).await,
                None => in_kafka::users::set_rights(admin, user).await,
            }
            .map_err(|e| said(&e, owner.key, self.platform))
        }
        .boxed()
    }
}

/// The topic as it is to be.
fn desired(
    of: OfStream<'_>,
    settings: Settings,
    claim: &Claim,
    status: &DataStreamStatus,
) -> DesiredTopic {
    let spec = &of.stream.spec;
    let (action, growth) = match claim {
        Claim::Free => {
            let made = NewTopic {
                name: of.topic.to_owned(),
                partitions: spec
                    .partitions
                    .or(status.partitions)
                    .or(of.defaults.partitions),
                replicas: status.replicas.or(of.defaults.replicas),
                config: settings.desired.clone(),
            };
            (Action::Create(made), Growth::Stays)
        }
        Claim::Ours(found) | Claim::Adopt(found) => {
            let changes =
                settings::changes(&settings.desired, &status.managed_config, &live(found));
            let growth = Growth::of(spec, found.partitions);
            (
                Action::Alter {
                    changes,
                    partitions: found.partitions,
                    replicas: found.replicas,
                },
                growth,
            )
        }
    };
    DesiredTopic {
        name: of.topic.to_owned(),
        remade: *claim == Claim::Free && status.topic.as_deref() == Some(of.topic),
        growth,
        action,
        settings,
    }
}
