//! Users, access rules and quotas against a real Kafka with an authorizer. `KAFKA_SCRAM_…` names its SASL listener and the
//! user that may do all that; without it everything here is skipped, and says so.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod eventually;

use std::{collections::BTreeSet, io::Write as _};

use eventually::eventually;
use headworks_operator::kafka::{
    Acl, Admin, Connection, Held, KafkaError, NewTopic, Operation, Quota, Resource, Scram, Tls,
};

fn connection() -> Option<Connection> {
    let Some(bootstrap_servers) = std::env::var("KAFKA_SCRAM_BOOTSTRAP")
        .ok()
        .filter(|a| !a.is_empty())
    else {
        let _ = writeln!(
            std::io::stderr(),
            "SKIPPED: KAFKA_SCRAM_BOOTSTRAP names no Kafka"
        );
        return None;
    };
    let file = |variable: &str| {
        std::env::var(variable)
            .ok()
            .map(|f| std::fs::read_to_string(f).expect("readable"))
    };
    let password = file("KAFKA_SCRAM_PASSWORD_FILE").expect("a password");
    Some(Connection {
        bootstrap_servers,
        tls: file("KAFKA_CA_FILE").map(|pem| Tls { ca_pem: Some(pem) }),
        scram: Some(Scram {
            username: std::env::var("KAFKA_SCRAM_USER").expect("a user"),
            password: password.trim().to_owned(),
        }),
    })
}

fn fresh(what: &str) -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .expect("after 1970");
    format!("users-test.{what}-{}", now.as_nanos())
}

fn credentials(user: &str, password: &str) -> Scram {
    Scram {
        username: user.to_owned(),
        password: password.to_owned(),
    }
}

#[tokio::test]
async fn a_user_is_made_tried_changed_and_deleted() {
    let Some(connection) = connection() else {
        return;
    };
    let admin = Admin::new(&connection).unwrap();
    let user = fresh("made");
    assert!(!admin.delete_user(&user).await.unwrap());
    assert!(
        admin
            .users_exist(std::slice::from_ref(&user))
            .await
            .unwrap()
            .is_empty()
    );
    admin.set_password(&user, "first password").await.unwrap();
    let asked = [user.clone(), fresh("absent")];
    let exist = eventually(
        |found: &BTreeSet<String>| !found.is_empty(),
        async || admin.users_exist(&asked).await.unwrap(),
    );
    assert_eq!(exist.await.len(), 1);
    assert!(admin.user_names().await.unwrap().contains(&user));
    let accepts = async |password: &str, wanted: bool| {
        let credentials = credentials(&user, password);
        let answer = eventually(
            |accepted| *accepted == wanted,
            async || admin.accepts(&credentials).await.unwrap(),
        );
        answer.await == wanted
    };
    assert!(accepts("first password", true).await);
    assert!(accepts("another", false).await);
    admin
        .set_password(&user, "second = , password")
        .await
        .unwrap();
    assert!(accepts("second = , password", true).await);
    assert!(accepts("first password", false).await);
    assert!(admin.delete_user(&user).await.unwrap());
    assert!(accepts("second = , password", false).await);
}

#[tokio::test]
async fn rules_are_made_described_and_taken_away_one_by_one_and_all_at_once() {
    let Some(connection) = connection() else {
        return;
    };
    let admin = Admin::new(&connection).unwrap();
    let user = fresh("rules");
    assert!(admin.acls(&user).await.unwrap().is_empty());
    let acls = [
        Acl::literal(Resource::Topic, "users-test.a", Operation::Read),
        Acl::literal(Resource::Topic, "users-test.a", Operation::Describe),
        Acl::prefixed(Resource::Group, "users-test.g", Operation::Read),
        Acl::prefixed(Resource::TransactionalId, "users-test.t", Operation::Write),
        Acl::literal(Resource::Topic, "users-test.a", Operation::Delete),
        Acl::literal(Resource::Topic, "users-test.a", Operation::DescribeConfigs),
    ];
    admin.create_acls(&user, &acls).await.unwrap();
    let held = async || admin.acls(&user).await.unwrap();
    let first = eventually(|h| h.acls.len() == acls.len(), held).await;
    assert_eq!(first.acls, acls.iter().cloned().collect());
    assert_eq!(first.others, 0);
    // Made twice they are there once.
    admin.create_acls(&user, &acls[..2]).await.unwrap();
    admin.delete_acls(&user, &acls[1..2]).await.unwrap();
    let fewer = eventually(|h| h.acls.len() == 5, held).await;
    assert!(
        fewer.acls.len() == 5 && !fewer.acls.contains(&acls[1]),
        "{fewer:?}"
    );
    assert!(admin.acls(&fresh("other")).await.unwrap().is_empty());
    admin.delete_all_acls(&user).await.unwrap();
    let none = eventually(Held::is_empty, held).await;
    assert!(none.is_empty(), "{none:?}");
}

#[tokio::test]
async fn what_a_user_may_do_is_what_its_rules_say() {
    let Some(connection) = connection() else {
        return;
    };
    let admin = Admin::new(&connection).unwrap();
    let (user, topic) = (fresh("may"), fresh("topic"));
    admin
        .create_topic(&NewTopic {
            name: topic.clone(),
            partitions: Some(1),
            ..NewTopic::default()
        })
        .await
        .unwrap();
    admin.set_password(&user, "word").await.unwrap();
    let as_user = Admin::new(&Connection {
        scram: Some(credentials(&user, "word")),
        ..connection.clone()
    })
    .unwrap();
    // Kafka doesn't say whether a topic is there to whom may not know.
    let before = eventually(
        |found| matches!(found, Err(KafkaError::NotAuthorized { .. })),
        async || as_user.topic(&topic).await,
    )
    .await;
    assert!(
        matches!(before, Err(KafkaError::NotAuthorized { .. })),
        "{before:?}"
    );
    let acls = [
        Acl::literal(Resource::Topic, &topic, Operation::Read),
        Acl::literal(Resource::Topic, &topic, Operation::DescribeConfigs),
    ];
    admin.create_acls(&user, &acls).await.unwrap();
    let after = eventually(
        |found| matches!(found, Ok(Some(_))),
        async || as_user.topic(&topic).await,
    )
    .await;
    assert!(matches!(after, Ok(Some(_))), "{after:?}");
    let refused = as_user.delete_topic(&topic).await;
    assert!(
        matches!(refused, Err(KafkaError::NotAuthorized { .. })),
        "{refused:?}"
    );
    admin.delete_all_acls(&user).await.unwrap();
    admin.delete_user(&user).await.unwrap();
    admin.delete_topic(&topic).await.unwrap();
}

#[tokio::test]
async fn a_quota_is_set_described_and_taken_away() {
    let Some(connection) = connection() else {
        return;
    };
    let admin = Admin::new(&connection).unwrap();
    let user = fresh("quota");
    assert_eq!(admin.quota(&user).await.unwrap(), Quota::default());
    let quota = Quota {
        producer_bytes: Some(1_048_576.0),
        consumer_bytes: Some(2_000_000.0),
        request_percentage: Some(25.0),
    };
    let less = Quota {
        consumer_bytes: None,
        ..quota
    };
    for wanted in [quota, less, Quota::default()] {
        admin.set_quota(&user, wanted).await.unwrap();
        let found = eventually(|q| *q == wanted, async || admin.quota(&user).await.unwrap());
        assert_eq!(found.await, wanted);
    }
}

#[tokio::test]
async fn a_wrong_password_of_the_operator_is_told_apart_by_our_own_connection_too() {
    let Some(mut connection) = connection() else {
        return;
    };
    let admin = Admin::new(&connection).unwrap();
    let user = connection.scram.as_ref().unwrap().username.clone();
    connection.scram = Some(credentials(&user, "not the password"));
    let error = Admin::new(&connection)
        .unwrap()
        .quota("a")
        .await
        .expect_err("refused");
    assert!(
        matches!(error, KafkaError::CredentialsRefused { .. }),
        "{error:?}"
    );
    assert!(admin.quota("a").await.is_ok());
}
