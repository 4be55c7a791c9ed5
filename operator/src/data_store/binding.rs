//! How pods reach a store: the plan's connection, and the volume with its Secrets' files.
//!
//! One volume a store, at a folder of the store's name: credentials and CA come from two Secrets, and a
//! kubelet can't mount one folder below another that it brings up to date.

use headworks_crds::DataStoreSpec;
use headworks_plan::{PostgresConnection, STORES_DIR, Store, StoreConnection};
use k8s_openapi::api::core::v1::{
    ProjectedVolumeSource, SecretProjection, Volume, VolumeMount, VolumeProjection,
};

use super::address;
use crate::{
    connection::{Mounted, NeededSecret, files, read_only},
    retry::Error,
};

/// All that a pod needs to reach a store.
#[derive(Clone, Debug, PartialEq)]
pub struct StoreBinding {
    /// What the plan says of it.
    pub store: Store,
    /// The store's files.
    pub volume: Mounted,
    /// Secrets that the files come from.
    pub secrets: Vec<NeededSecret>,
}

/// How to reach the DataStore of that name. Fails as [`address::check`] does.
pub fn bind(name: &str, spec: &DataStoreSpec) -> Result<StoreBinding, Error> {
    let address = address::check(spec)?;
    let folder = format!("{STORES_DIR}/{name}");
    let postgres = spec.postgres.as_ref();
    let secret = postgres.map_or("", |p| p.secret.as_str());
    let tls = postgres.and_then(|p| p.tls.as_ref());
    let ca = tls.and_then(|tls| tls.ca_secret.as_ref());

    let mut sources = vec![projected(
        secret,
        &[("username", "username"), ("password", "password")],
    )];
    let mut secrets = vec![NeededSecret {
        name: secret.to_owned(),
        keys: vec!["username".into(), "password".into()],
        purpose: format!("the user of DataStore {name}, from its spec.postgres.secret").into(),
    }];
    if let Some(ca) = ca {
        sources.push(projected(&ca.name, &[(ca.key.as_str(), "ca.crt")]));
        secrets.push(NeededSecret {
            name: ca.name.clone(),
            keys: vec![ca.key.clone()],
            purpose: format!("the CA of DataStore {name}, from its spec.postgres.tls.caSecret")
                .into(),
        });
    }
    Ok(StoreBinding {
        store: Store {
            name: name.to_owned(),
            connection: StoreConnection::Postgres(PostgresConnection {
                host: address.host,
                port: address.port,
                database: address.database,
                username_file: format!("{folder}/username"),
                password_file: format!("{folder}/password"),
                tls_ca_file: tls
                    .map(|_| ca.map_or_else(String::new, |_| format!("{folder}/ca.crt"))),
            }),
        },
        volume: mounted(name, &folder, sources),
        secrets,
    })
}

fn mounted(name: &str, folder: &str, sources: Vec<VolumeProjection>) -> Mounted {
    let volume = format!("store-{name}");
    let mount: VolumeMount = read_only(&volume, folder);
    Mounted {
        volume: Volume {
            name: volume,
            projected: Some(ProjectedVolumeSource {
                sources: Some(sources),
                ..ProjectedVolumeSource::default()
            }),
            ..Volume::default()
        },
        mount,
    }
}

/// Optional, so that the pod can say in words which file is missing.
fn projected(secret: &str, items: &[(&str, &str)]) -> VolumeProjection {
    VolumeProjection {
        secret: Some(SecretProjection {
            name: secret.to_owned(),
            optional: Some(true),
            items: Some(files(items)),
        }),
        ..VolumeProjection::default()
    }
}
