//! The user that a Source had on the Platform before: it goes when the Source's pods run on another.
//!
//! On both Platforms the user has the same name, and so has its KafkaUser. So only what is the old Platform's alone goes: two
//! Platforms may be two ways to one Kafka, or two Kafkas of one namespace.

use headworks_crds::Platform;

use super::workload::{CHART, about, user};
use crate::{
    context::Context,
    controller::Reconciler,
    names::Key,
    provisioner::{provisioner, user::Owner, users},
    retry::Error,
};

/// What an object leaves behind on a Platform.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// A user that it has nowhere else.
    Everything,
    /// A user whose namesake on the present Platform stays; and, if so, the KafkaUser of its own.
    Namesake { kafka_user: bool },
    /// Nothing: it is the user that it has now.
    Nothing,
}

/// `now`: the present Platform, if the object has a user there.
fn left(before: &Platform, now: Option<&Platform>) -> Left {
    let Some(now) = now.filter(|now| installation(now) == installation(before)) else {
        return Left::Everything;
    };
    if same_kafka(before, now) {
        return Left::Nothing;
    }
    let namespace = |platform: &Platform| {
        let by = provisioner(platform);
        by.kafka_users().map(|at| at.namespace.clone())
    };
    Left::Namesake {
        kafka_user: namespace(before) != namespace(now),
    }
}

fn installation(platform: &Platform) -> Option<&str> {
    platform.status.as_ref()?.installation.as_deref()
}

/// By Kafka's own word, or by an address that both name.
fn same_kafka(one: &Platform, other: &Platform) -> bool {
    let id = |platform: &Platform| platform.status.as_ref()?.cluster_id.clone();
    if let (Some(one), Some(other)) = (id(one), id(other)) {
        return one == other;
    }
    let servers = |platform: &Platform| -> Vec<String> {
        let list = platform.spec.kafka.bootstrap_servers.split(',');
        list.map(|server| server.trim().to_owned()).collect()
    };
    let known = servers(one);
    servers(other).iter().any(|server| known.contains(server))
}

/// Takes the user that an object had on another Platform away from there. `now`: the present one, if the object has a user there.
///
/// # Errors
/// What Kafka says.
pub async fn migrate_away<K: Reconciler>(
    object: &K,
    before: &Platform,
    now: Option<&Platform>,
    context: &Context,
) -> Result<(), Error> {
    let Some(installation) = installation(before) else {
        return Ok(());
    };
    let (key, about) = (Key::of(object), about(object));
    let owner = Owner {
        key: &key,
        about: &about,
        chart: CHART,
    };
    let user = user(installation, &key);
    match left(before, now) {
        Left::Everything => {
            context.verified_passwords.note(&user, None);
            context.verified_users.set(&user, None);
            users::revoke(context, before, &owner, &user).await
        }
        Left::Namesake { kafka_user } => {
            users::revoke_there(context, before, &owner, &user, kafka_user).await
        }
        Left::Nothing => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn platform(servers: &str, management: &Value, id: Option<&str>) -> Platform {
        serde_json::from_value(json!({"metadata": {"name": "p"},
            "spec": {"kafka": {"bootstrapServers": servers, "management": management}},
            "status": {"installation": "prod", "clusterId": id}}))
        .unwrap()
    }

    #[test]
    fn the_user_that_a_source_has_now_stays() {
        let (admin, strimzi) = (
            json!({"admin": {}}),
            |namespace: &str| json!({"strimzi": {"cluster": "events", "namespace": namespace}}),
        );
        let before = platform("a:9092, b:9092", &strimzi("kafka"), Some("1"));
        let left = |now: &Platform| super::left(&before, Some(now));
        let namesake = |kafka_user| Left::Namesake { kafka_user };
        // Another Kafka: of the KafkaUsers only the one beside the old Kafka goes.
        let elsewhere = platform("c:9092", &strimzi("other"), Some("2"));
        assert_eq!(left(&elsewhere), namesake(true));
        assert_eq!(left(&platform("c:9092", &admin, Some("2"))), namesake(true));
        let beside = platform("c:9092", &strimzi("kafka"), Some("2"));
        assert_eq!(left(&beside), namesake(false));
        // One Kafka by two Platforms.
        let same = [
            platform("c:9092", &strimzi("other"), Some("1")),
            platform("c:9092,b:9092", &admin, None),
        ];
        assert_eq!(same.each_ref().map(left), [Left::Nothing; 2]);
        // It has no user there, or another one.
        assert_eq!(super::left(&before, None), Left::Everything);
        let mut other = elsewhere;
        other.status.as_mut().unwrap().installation = Some("test".into());
        assert_eq!(left(&other), Left::Everything);
    }
}
