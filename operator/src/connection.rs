//! How pods reach Kafka: the plan's connection, and the volumes with its files.

use headworks_crds::{Kafka, Platform};
use headworks_plan::{KAFKA_CA_PATH, KAFKA_CREDENTIALS_DIR, KafkaConnection, ScramFiles};
use k8s_openapi::{
    api::core::v1::{ConfigMap, ConfigMapVolumeSource, Volume},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};

use crate::{
    context::Context,
    mounts::{Mounted, NeededSecret, read_only, secret},
    names::Key,
    retry::Error,
};

/// What a pod's plan says of Kafka.
pub fn connection(kafka: &Kafka) -> KafkaConnection {
    KafkaConnection {
        bootstrap_servers: kafka.bootstrap_servers.clone(),
        tls_ca_file: kafka.tls.as_ref().map(|tls| {
            if tls.ca_secret.is_some() {
                KAFKA_CA_PATH.to_owned()
            } else {
                String::new()
            }
        }),
        scram: kafka
            .workload_authentication
            .as_ref()
            .filter(|w| w.scram_sha512.is_some() || w.generated.is_some())
            .map(|_| ScramFiles {
                username_file: format!("{KAFKA_CREDENTIALS_DIR}/username"),
                password_file: format!("{KAFKA_CREDENTIALS_DIR}/password"),
            }),
    }
}

/// The volumes that the connection of an object's pods needs.
pub fn volumes(kafka: &Kafka, owner: &Key) -> Vec<Mounted> {
    let mut all = Vec::new();
    if kafka
        .tls
        .as_ref()
        .is_some_and(|tls| tls.ca_secret.is_some())
    {
        let folder = KAFKA_CA_PATH
            .rsplit_once('/')
            .map_or(KAFKA_CA_PATH, |(folder, _)| folder);
        all.push(Mounted {
            volume: Volume {
                name: "kafka-ca".into(),
                config_map: Some(ConfigMapVolumeSource {
                    name: ca_name(owner),
                    ..ConfigMapVolumeSource::default()
                }),
                ..Volume::default()
            },
            mount: read_only("kafka-ca", folder),
        });
    }
    if let Some(user) = user_secret(kafka, owner) {
        all.push(secret(
            "kafka",
            KAFKA_CREDENTIALS_DIR,
            &user.name,
            &[
                (user.username.as_str(), "username"),
                (user.password.as_str(), "password"),
            ],
        ));
    }
    all
}

/// True: the Platform's workloads have users of their own.
pub fn generated(kafka: &Kafka) -> bool {
    kafka
        .workload_authentication
        .as_ref()
        .is_some_and(|w| w.generated.is_some())
}

/// Name of the Secret beside the pods, with the user that is made for them. Its keys are `username` and `password`.
pub fn user_secret_name(owner: &Key) -> String {
    format!("{}-{}-kafka-user", owner.name, owner.kind.to_lowercase())
}

/// A Secret of the pods' namespace, and its keys.
struct UserSecret {
    name: String,
    username: String,
    password: String,
}

fn user_secret(kafka: &Kafka, owner: &Key) -> Option<UserSecret> {
    if generated(kafka) {
        return Some(UserSecret {
            name: user_secret_name(owner),
            username: "username".to_owned(),
            password: "password".to_owned(),
        });
    }
    let scram = kafka
        .workload_authentication
        .as_ref()?
        .scram_sha512
        .as_ref()?;
    Some(UserSecret {
        name: scram.secret_name.clone(),
        username: scram.username_key.clone(),
        password: scram.password_key.clone(),
    })
}

/// The Secret with the workload's Kafka user, if there is one.
pub fn needed_secret(kafka: &Kafka, owner: &Key) -> Option<NeededSecret> {
    let user = user_secret(kafka, owner)?;
    Some(NeededSecret {
        name: user.name,
        keys: vec![user.username, user.password],
        purpose: "the Kafka user, from the Platform's workloadAuthentication".into(),
    })
}

/// The ConfigMap with Kafka's CA (public) for pods that can't read the Platform's Secret.
pub fn ca_config_map(meta: ObjectMeta, pem: &str) -> ConfigMap {
    ConfigMap {
        metadata: meta,
        data: Some([("ca.crt".to_owned(), pem.to_owned())].into()),
        ..ConfigMap::default()
    }
}

/// Name of that ConfigMap.
pub fn ca_name(owner: &Key) -> String {
    format!("{}-{}-kafka-ca", owner.name, owner.kind.to_lowercase())
}

/// Kafka's CA, if the Platform names one.
pub async fn ca(context: &Context, platform: &Platform) -> Result<Option<String>, Error> {
    let named = platform
        .spec
        .kafka
        .tls
        .as_ref()
        .is_some_and(|tls| tls.ca_secret.is_some());
    if !named {
        return Ok(None);
    }
    let connected = context.kafka.get(&context.client, platform).await?;
    Ok(connected.ca.as_deref().map(ToString::to_string))
}
