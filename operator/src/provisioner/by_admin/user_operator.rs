//! Is there a Strimzi User Operator that would delete our users?
//!
//! It deletes every SCRAM user, ACL and quota of its Kafka for which there is no KafkaUser, unless the name matches its
//! `STRIMZI_IGNORED_USERS_PATTERN`. So users are made by the Admin API only where none is at work. That is told by two things.
//! A Strimzi `Kafka` object with a User Operator whose addresses are those of the Platform; and KafkaUsers that were made true *in this
//! Kafka*, which also finds a User Operator that runs by itself.

use std::{collections::BTreeSet, time::Duration};

use headworks_crds::Platform;
use kube::{
    ResourceExt,
    api::{ApiResource, DynamicObject, GroupVersionKind, ListParams},
};
use serde_json::Value;

use crate::{
    context::Context,
    kafka::Admin,
    kafka_pool::{credential_field, to_reconcile_error},
    provisioner::user::USER_PREFIX,
    reason::ConditionReason,
    retry::Error,
    strimzi::{GROUP, VERSIONS},
    verified::UserOperator,
};

/// On a Platform: its User Operator was told to leave our users alone, where that can't be seen (no Strimzi `Kafka` object).
pub const IGNORED_ANNOTATION: &str = "headworks.dev/user-operator-ignores-headworks";
const PATTERN: &str = "STRIMZI_IGNORED_USERS_PATTERN";
/// So many objects are looked at.
const MAX_OBJECTS: u32 = 500;

/// Fails where a User Operator would delete users that the Admin API makes.
///
/// # Errors
/// `UserOperatorPresent`; what the API server or Kafka says.
pub async fn absent(context: &Context, platform: &Platform, admin: &Admin) -> Result<(), Error> {
    if platform
        .annotations()
        .get(IGNORED_ANNOTATION)
        .map(String::as_str)
        == Some("true")
    {
        return Ok(());
    }
    let name = platform.name_any();
    let found = if let Some(found) = context.user_operators.get(&name) {
        found
    } else {
        let found = look(context, platform, admin).await?;
        let found = found.map_or(UserOperator::Absent, UserOperator::Present);
        context.user_operators.put(&name, found.clone());
        found
    };
    let UserOperator::Present(found) = found else {
        return Ok(());
    };
    Err(Error::stalled(
        ConditionReason::UserOperatorPresent,
        format!(
            "Platform {name}: {found}, and would delete users that Headworks makes by the Admin API; use management: {{strimzi: …}}, or set {PATTERN} \
             of the User Operator to a pattern that covers headworks\\..* (and, where it has no Strimzi Kafka object, annotate the Platform with {IGNORED_ANNOTATION}: \"true\")"
        ),
    )
    .after(Duration::from_secs(60)))
}

/// Who is at work in this Kafka, in words.
async fn look(
    context: &Context,
    platform: &Platform,
    admin: &Admin,
) -> Result<Option<String>, Error> {
    let bootstrap = &platform.spec.kafka.bootstrap_servers;
    let kafkas = list(context, "Kafka").await?;
    let mut ignored = false;
    for kafka in &kafkas {
        match of_cluster(kafka, bootstrap) {
            Some(true) => {
                return Ok(Some(format!(
                    "Strimzi Kafka {}/{} has a User Operator, which manages this Kafka's users",
                    kafka.namespace().unwrap_or_default(),
                    kafka.name_any()
                )));
            }
            Some(false) => ignored = true,
            None => {}
        }
    }
    if ignored {
        return Ok(None);
    }
    let users: Vec<String> = list(context, "KafkaUser")
        .await?
        .iter()
        .filter_map(made_true)
        .collect();
    for some in users.chunks(50) {
        let here: BTreeSet<String> = admin.users_exist(some).await.map_err(|e| {
            to_reconcile_error(
                &e,
                "looking for a User Operator",
                &credential_field(platform),
            )
        })?;
        if let Some(user) = here.first() {
            return Ok(Some(format!(
                "user {user} of a KafkaUser is in this Kafka: a User Operator manages its users"
            )));
        }
    }
    Ok(None)
}

/// Some: this is the Platform's Kafka and has a User Operator; true if it would delete our users.
fn of_cluster(kafka: &DynamicObject, bootstrap: &str) -> Option<bool> {
    let operator = kafka.data.pointer("/spec/entityOperator")?;
    operator.get("userOperator").filter(|u| !u.is_null())?;
    let service = format!(
        "{}-kafka-bootstrap.{}.svc",
        kafka.name_any(),
        kafka.namespace().unwrap_or_default()
    );
    let listeners = kafka
        .data
        .pointer("/status/listeners")
        .and_then(Value::as_array);
    let addresses: BTreeSet<&str> = listeners
        .into_iter()
        .flatten()
        .filter_map(|l| l["bootstrapServers"].as_str())
        .flat_map(|list| list.split(','))
        .collect();
    let same = bootstrap.split(',').any(|server| {
        let host = server.rsplit_once(':').map_or(server, |(host, _)| host);
        addresses.contains(server)
            || host == service
            || host
                .strip_prefix(service.as_str())
                .is_some_and(|rest| rest.starts_with('.'))
            || format!("{host}.svc") == service
    });
    same.then(|| !leaves_ours(operator))
}

/// True: the pattern of users it leaves alone names ours.
fn leaves_ours(operator: &Value) -> bool {
    let variables = operator
        .pointer("/template/userOperatorContainer/env")
        .and_then(Value::as_array);
    variables
        .into_iter()
        .flatten()
        .filter(|v| v["name"] == PATTERN)
        .filter_map(|v| v["value"].as_str())
        .any(covers_ours)
}

/// A Java pattern isn't read here in full: one of its alternatives must be `.*` or begin with our prefix and end with `.*`.
fn covers_ours(pattern: &str) -> bool {
    pattern
        .trim_matches(['^', '$', '(', ')'])
        .split('|')
        .any(|one| {
            let one = one.trim_matches(['^', '$', '(', ')']);
            let plain = one.replace("\\.", ".");
            one == ".*"
                || plain
                    .strip_suffix(".*")
                    .is_some_and(|head| !head.is_empty() && USER_PREFIX.starts_with(head))
        })
}

/// The Kafka user of a KafkaUser that a User Operator has made true.
fn made_true(user: &DynamicObject) -> Option<String> {
    let conditions = user.data.pointer("/status/conditions")?.as_array()?;
    conditions
        .iter()
        .any(|c| c["type"] == "Ready" && c["status"] == "True")
        .then(|| {
            user.data
                .pointer("/status/username")?
                .as_str()
                .map(str::to_owned)
        })?
}

/// All objects of a kind of Strimzi's where they may be looked for; none where the kind isn't there.
async fn list(context: &Context, kind: &str) -> Result<Vec<DynamicObject>, Error> {
    for version in VERSIONS {
        let resource = ApiResource::from_gvk(&GroupVersionKind::gvk(GROUP, version, kind));
        let params = ListParams::default().limit(MAX_OBJECTS);
        let scope = &context.settings.scope;
        match scope
            .list_strimzi(&context.client, &resource, &params)
            .await
        {
            Ok(list) => return Ok(list),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => {
                return Err(Error::api(
                    &format!("looking for {kind} objects of Strimzi"),
                    &error,
                ));
            }
        }
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    fn kafka(user_operator: Value, env: Value) -> DynamicObject {
        object(
            json!({"metadata": {"name": "main", "namespace": "kafka"}, "spec": {"entityOperator": {
            "userOperator": user_operator, "template": {"userOperatorContainer": {"env": env}}}},
            "status": {"listeners": [{"bootstrapServers": "kafka.example.com:9094"}]}}),
        )
    }

    #[test]
    fn a_cluster_is_known_by_its_addresses() {
        let kafka = kafka(json!({}), json!([]));
        for server in [
            "kafka.example.com:9094",
            "main-kafka-bootstrap.kafka.svc:9093",
            "main-kafka-bootstrap.kafka.svc.cluster.local:9092",
            "x:1,main-kafka-bootstrap.kafka:9092",
        ] {
            assert_eq!(of_cluster(&kafka, server), Some(true), "{server}");
        }
        for server in [
            "kafka.example.com:9092",
            "other-kafka-bootstrap.kafka.svc:9093",
            "main-kafka-bootstrap.kafka.svcs:1",
        ] {
            assert_eq!(of_cluster(&kafka, server), None, "{server}");
        }
    }

    #[test]
    fn one_without_a_user_operator_or_told_to_leave_ours_alone_is_no_danger() {
        let server = "main-kafka-bootstrap.kafka.svc:9093";
        assert_eq!(of_cluster(&kafka(Value::Null, json!([])), server), None);
        let env = |value: &str| json!([{"name": PATTERN, "value": value}]);
        assert_eq!(
            of_cluster(&kafka(json!({}), env("headworks\\..*")), server),
            Some(false)
        );
        assert_eq!(
            of_cluster(&kafka(json!({}), env("other.*")), server),
            Some(true)
        );
    }

    #[test]
    fn patterns_that_cover_our_users_are_told_from_those_that_do_not() {
        for covers in ["headworks\\..*", "^(admin|headworks.*)$", ".*", "head.*"] {
            assert!(covers_ours(covers), "{covers}");
        }
        for not in ["headworks", "headworksx.*", "admin.*", "", "|"] {
            assert!(!covers_ours(not), "{not}");
        }
    }

    #[test]
    fn a_kafka_user_that_nobody_made_true_is_no_sign_of_a_user_operator() {
        let user = |status: Value| object(json!({"metadata": {"name": "ann"}, "status": status}));
        assert_eq!(made_true(&user(Value::Null)), None);
        let ready = json!({"username": "ann", "conditions": [{"type": "Ready", "status": "True"}]});
        assert_eq!(made_true(&user(ready)).as_deref(), Some("ann"));
        let not =
            json!({"username": "ann", "conditions": [{"type": "NotReady", "status": "True"}]});
        assert_eq!(made_true(&user(not)), None);
    }
}
