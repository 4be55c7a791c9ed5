//! Leftovers are deleted by name, and nothing else is.

use std::collections::BTreeSet;

use headworks_operator::kafka::Admin;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, ResourceExt};

use crate::cluster::{Cluster, said};
use crate::leftovers::{Kind, Leftover};
use crate::output;
use crate::{End, output::note};

/// Deletes what is named. If one of the names isn't a leftover, nothing is.
pub(super) async fn delete(
    cluster: &Cluster,
    admin: Option<&Admin>,
    names: &[String],
    found: &[Leftover],
) -> Result<End, End> {
    let chosen = chosen(names, found).map_err(|unknown| {
        note(&format!(
            "headworks: no leftover: {unknown}; nothing was deleted. `headworks leftovers` lists them"
        ));
        End::Problems
    })?;
    let mut end = End::Fine;
    for one in chosen {
        match delete_one(cluster, admin, one).await {
            Ok(()) => output::line(&format!("deleted {}", one.id())),
            Err(message) => {
                note(&format!("headworks: {}: {message}", one.id()));
                end = End::Problems;
            }
        }
    }
    Ok(end)
}

/// The leftovers of these names; or the names that aren't one.
fn chosen<'a>(names: &[String], found: &'a [Leftover]) -> Result<Vec<&'a Leftover>, String> {
    let of = |name: &String| found.iter().find(|one| one.id() == *name);
    let unknown: BTreeSet<&str> = names
        .iter()
        .filter(|name| of(name).is_none())
        .map(String::as_str)
        .collect();
    if unknown.is_empty() {
        return Ok(names.iter().filter_map(of).collect());
    }
    Err(unknown.into_iter().collect::<Vec<_>>().join(", "))
}

async fn delete_one(
    cluster: &Cluster,
    admin: Option<&Admin>,
    one: &Leftover,
) -> Result<(), String> {
    let kafka = || admin.ok_or("Kafka can't be reached from here; use the command that is listed");
    match one.kind {
        Kind::Topic => {
            let done = kafka()?.delete_topic(&one.name).await;
            done.map(|_| ()).map_err(|e| e.to_string())
        }
        Kind::Group => {
            let done = kafka()?.delete_group(&one.name).await;
            done.map(|_| ()).map_err(|e| e.to_string())
        }
        Kind::User => {
            let admin = kafka()?;
            // Rights first, so that a connection that is open has none.
            match admin.delete_all_acls(&one.name).await {
                Ok(()) | Err(headworks_operator::kafka::KafkaError::NoAuthorizer { .. }) => {}
                Err(error) => return Err(error.to_string()),
            }
            let done = admin.delete_user(&one.name).await;
            done.map(|_| ()).map_err(|e| e.to_string())
        }
        Kind::ConfigMap => {
            remove::<ConfigMap>(Api::namespaced(cluster.client.clone(), &one.namespace), one).await
        }
        Kind::Secret => {
            remove::<Secret>(Api::namespaced(cluster.client.clone(), &one.namespace), one).await
        }
        Kind::KafkaTopic | Kind::KafkaUser => {
            Err("Strimzi's objects are yours to delete: use the command that is listed".to_owned())
        }
    }
}

/// Deletes exactly what is there now, if it still has no owner.
async fn remove<K>(api: Api<K>, one: &Leftover) -> Result<(), String>
where
    K: kube::Resource + Clone + std::fmt::Debug + serde::de::DeserializeOwned,
{
    let there = api.get_metadata(&one.name).await.map_err(|e| said(&e))?;
    if !there.owner_references().is_empty() {
        return Err("has an owner by now".to_owned());
    }
    let params = DeleteParams {
        preconditions: Some(Preconditions {
            uid: there.uid(),
            resource_version: there.resource_version(),
        }),
        ..DeleteParams::default()
    };
    api.delete(&one.name, &params)
        .await
        .map(|_| ())
        .map_err(|e| said(&e))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn leftover(name: &str) -> Leftover {
        Leftover {
            kind: Kind::Topic,
            namespace: String::new(),
            name: name.into(),
            of: "DataStream shop/a, which is gone".into(),
        }
    }

    #[test]
    fn a_name_that_is_no_leftover_stops_the_whole_deletion() {
        let found = [leftover("shop.a"), leftover("shop.b")];
        let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect::<Vec<_>>();
        let fine = chosen(&names(&["topic/shop.b"]), &found).unwrap();
        assert_eq!(fine, [&found[1]]);
        let unknown = chosen(&names(&["topic/shop.b", "topic/orders", "shop.a"]), &found);
        assert_eq!(unknown, Err("shop.a, topic/orders".to_owned()));
    }
}
