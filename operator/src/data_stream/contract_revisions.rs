//! The accepted contracts of a stream, the last ten: found in the store, written down, swept.
//!
//! The contract in force is what every pod and query is checked against, so it is written down before
//! anything uses it and never changed. How it is written is told in [`crate::contract::revision`].

use std::sync::Arc;

use headworks_crds::AcceptedContract;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{
    Api, Client, ResourceExt,
    api::{ListParams, PostParams},
};

use super::history::History;
use crate::{
    context::Context,
    contract::{
        fingerprint,
        revision::{Revision, config_map, is, name, read},
    },
    names::{CONTRACT_PART, FIELD_MANAGER, Key, PART_LABEL},
    owned,
    reason::ConditionReason,
    retry::Error,
};

/// The accepted contracts of a stream among ConfigMaps at hand, newest first.
pub fn among(owner: &Key, maps: &[ConfigMap]) -> Vec<Revision> {
    let own = maps
        .iter()
        .filter(|map| owned::is_contract(map).as_ref() == Some(owner));
    let mut contracts: Vec<Revision> = own.filter_map(read).collect();
    contracts.sort_by_key(|accepted| std::cmp::Reverse(accepted.version));
    contracts
}

/// So many are kept.
const KEPT: usize = 10;
/// So many are listed at once: each may have a mebibyte.
const LISTED: u32 = 20;
/// A list is followed for so many answers: far more than a stream has contracts, and bounded.
const PAGES: u32 = 20;

/// The contracts that are kept of a stream.
#[derive(Debug, Default)]
pub struct Kept {
    /// They themselves.
    pub history: History,
    /// Where they had to be listed: the ConfigMaps, without their content, of older ones, which are to go.
    pub beyond: Vec<ConfigMap>,
}

/// All accepted contracts of a stream, newest first.
pub(super) fn maps(context: &Context, owner: &Key) -> Vec<Arc<ConfigMap>> {
    let mut maps: Vec<(i32, Arc<ConfigMap>)> = context
        .stores
        .config_maps
        .state_filter(|map| owned::is_contract(map).as_ref() == Some(owner))
        .into_iter()
        .filter_map(|map| Some((read(&map)?.version, map)))
        .collect();
    maps.sort_by_key(|(version, _)| std::cmp::Reverse(*version));
    maps.into_iter().map(|(_, map)| map).collect()
}

/// What the store holds.
pub(super) fn history(context: &Context, owner: &Key) -> History {
    let maps = maps(context, owner);
    History(maps.iter().filter_map(|map| read(map)).collect())
}

/// The contract in force as the store has it: the one that the status names; where it names none, the newest that an
/// earlier object of this name left.
pub fn stored(
    context: &Context,
    owner: &Key,
    named: Option<&AcceptedContract>,
) -> Option<Revision> {
    history(context, owner).named(named).cloned()
}

/// All contracts that are kept. Where the store lacks one of the last ten, by their numbers, the API server is asked: the store holds
/// no more of a namespace's ConfigMaps than its share, a change that is compared with fewer contracts than there are could break a
/// promise, and what a pod isn't told of it can't read.
///
/// # Errors
/// Those of [`listed`].
pub async fn kept(context: &Context, owner: &Key, in_force: &Revision) -> Result<Kept, Error> {
    let held = history(context, owner);
    if is_whole(&held.0, in_force.version) {
        return Ok(Kept {
            history: held,
            beyond: Vec::new(),
        });
    }
    listed(&context.client, owner, in_force.version).await
}

/// Number of the first of the last ten contracts up to this number.
fn first_kept(newest: i32) -> i32 {
    let most = i32::try_from(KEPT).unwrap_or(i32::MAX);
    newest.saturating_sub(most).saturating_add(1).max(1)
}

/// True if the last ten contracts up to this number are there, or all that there can have been.
fn is_whole(held: &[Revision], newest: i32) -> bool {
    (first_kept(newest)..=newest).all(|number| held.iter().any(|one| one.version == number))
}

/// The contracts of a stream as the API server has them, newest first; `in_force` is the number of the one in force.
///
/// # Errors
/// The API server's; `OwnedByAnother` where there are far more than a stream can have.
async fn listed(client: &Client, owner: &Key, in_force: i32) -> Result<Kept, Error> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), &owner.namespace);
    let labels = format!("{},{PART_LABEL}={CONTRACT_PART}", owner.selector_text());
    let mut params = ListParams::default().labels(&labels).limit(LISTED);
    let mut newest = Vec::new();
    let mut beyond: Vec<ConfigMap> = Vec::new();
    for _ in 0..PAGES {
        let list = api.list(&params).await.map_err(|error| {
            let what = format!("listing the contracts of DataStream {}", owner.name);
            Error::api(&what, &error)
        })?;
        for map in list.items {
            if owned::is_contract(&map).as_ref() != Some(owner) {
                continue;
            }
            if let Some(accepted) = read(&map) {
                let map = ConfigMap {
                    metadata: map.metadata,
                    ..ConfigMap::default()
                };
                newest.push((accepted, map));
            }
        }
        // After each answer, so that no more are held than of one.
        beyond.extend(take_older(&mut newest, in_force));
        let Some(next) = list.metadata.continue_.filter(|next| !next.is_empty()) else {
            let history = newest.into_iter().map(|(accepted, _)| accepted).collect();
            return Ok(Kept {
                history: History(history),
                beyond,
            });
        };
        params = params.continue_token(&next);
    }
    let (name, first) = (&owner.name, first_kept(in_force));
    Err(Error::stalled(
        ConditionReason::OwnedByAnother,
        format!(
            "namespace {} has more than {} ConfigMaps with the labels of this stream's contracts ({labels}), and a stream has {KEPT}: not all of them can be looked at. Delete others, but keep {name}-contract-{first} to {name}-contract-{in_force}: the last of these is the contract in force, and what may follow it goes by all of them",
            owner.namespace,
            LISTED * PAGES
        ),
    )
    .after(std::time::Duration::from_secs(60)))
}

/// Takes out what is neither among the newest ten nor among the ten up to the number in force, so that no contract with a number that
/// nobody has reached drives these out; what stays is newest first.
fn take_older(all: &mut Vec<(Revision, ConfigMap)>, in_force: i32) -> Vec<ConfigMap> {
    all.sort_by_key(|(accepted, _)| std::cmp::Reverse(accepted.version));
    let mut older = Vec::new();
    let mut reached = 0;
    for (place, (accepted, map)) in std::mem::take(all).into_iter().enumerate() {
        let is_reached = accepted.version <= in_force;
        if place < KEPT || (is_reached && reached < KEPT) {
            all.push((accepted, map));
        } else {
            older.push(map);
        }
        reached += usize::from(is_reached);
    }
    older
}

/// As [`stored`]; asks the API server where the store doesn't have what the status names.
///
/// # Errors
/// The API server's.
pub async fn in_force(
    context: &Context,
    owner: &Key,
    named: Option<&AcceptedContract>,
) -> Result<Option<Revision>, Error> {
    let (None, Some(named)) = (stored(context, owner, named), named) else {
        return Ok(stored(context, owner, named));
    };
    // Our own write of a moment ago isn't in the store yet.
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &owner.namespace);
    let name = named
        .config_map
        .clone()
        .unwrap_or_else(|| name(&owner.name, named.version));
    let map = api
        .get_opt(&name)
        .await
        .map_err(|e| Error::api(&format!("reading ConfigMap {name}"), &e))?;
    Ok(map.filter(|map| is(map, named)).and_then(|map| read(&map)))
}

/// The contract that a status names and no ConfigMap holds any more: it is what the spec says, if the fingerprint says so,
/// and is to be written down again under its number. Pure.
///
/// # Errors
/// `ContractLost` where the spec says something else.
pub(super) fn again(
    owner: &Key,
    named: &AcceptedContract,
    spec: Revision,
) -> Result<Revision, Error> {
    if fingerprint(&spec.contract) == named.fingerprint {
        return Ok(Revision {
            version: named.version,
            ..spec
        });
    }
    Err(Error::stalled(
        ConditionReason::ContractLost,
        format!(
            "contract {} is in force, and its ConfigMap {}/{} is gone, so nobody can say whether the spec may follow it: put the ConfigMap back, or make the spec what it was and change it afterwards",
            named.version,
            owner.namespace,
            name(&owner.name, named.version)
        ),
    )
    .after(std::time::Duration::from_secs(60)))
}

/// Writes a contract down. One that is there with the same content is the same write, done before.
pub async fn accept(context: &Context, owner: &Key, accepted: &Revision) -> Result<(), Error> {
    let map = config_map(owner, accepted)?;
    let api: Api<ConfigMap> = Api::namespaced(context.client.clone(), &owner.namespace);
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.into()),
        ..PostParams::default()
    };
    context.metrics.wrote("ConfigMap");
    match api.create(&params, &map).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.code == 409 => {
            let there = api
                .get_opt(&map.name_any())
                .await
                .map_err(|e| Error::api("reading a contract", &e))?;
            match there.as_ref().map(read) {
                Some(Some(there)) if there == *accepted => Ok(()),
                None => Err(Error::transient(
                    ConditionReason::Conflict,
                    format!("ConfigMap {} is being replaced", map.name_any()),
                )),
                Some(_) => Err(Error::stalled(
                    ConditionReason::OwnedByAnother,
                    format!(
                        "ConfigMap {}/{} exists and isn't this contract; delete or rename it",
                        owner.namespace,
                        map.name_any()
                    ),
                )
                .after(std::time::Duration::from_secs(60))),
            }
        }
        Err(error) => Err(Error::api(
            &format!("writing ConfigMap {}", map.name_any()),
            &error,
        )),
    }
}

/// Removes all but the last ten of those that the store holds, or all of them. The older ones that it doesn't hold are [`Kept::beyond`].
pub async fn sweep(context: &Context, owner: &Key, all: bool) -> Result<(), Error> {
    for map in maps(context, owner).iter().skip(if all { 0 } else { KEPT }) {
        context.remove(map.as_ref()).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use headworks_plan::Contract;

    use super::*;

    fn first() -> Revision {
        Revision {
            version: 1,
            contract: Contract {
                key: vec!["id".into()],
                ..Contract::default()
            },
            topic: "shop.orders".into(),
            platform: "default".into(),
            kept: vec![],
            schema_ids: vec![],
            compatibility: None,
            used: vec![],
        }
    }

    #[test]
    fn a_lost_contract_is_written_again_under_its_number_or_waited_for() {
        let owner = Key::new("DataStream", "shop", "orders");
        let named = first().reference("orders");
        let spec = Revision {
            version: 0,
            ..first()
        };
        assert_eq!(again(&owner, &named, spec.clone()).unwrap(), first());
        let mut other = spec;
        other.contract.key = vec![];
        let error = again(&owner, &named, other).unwrap_err();
        assert_eq!(error.reason(), "ContractLost");
        assert!(error.message().contains("shop/orders-contract-1"));
    }

    /// An API server that has these ConfigMaps, and says whether there are more.
    fn server(maps: Vec<ConfigMap>, more: &str) -> Client {
        let list = serde_json::json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": {"continue": more}, "items": maps});
        let answer = move |uri: axum::http::Uri| async move {
            let query = uri.query().unwrap_or_default();
            assert!(query.contains("headworks.dev%2Fname%3Dorders"), "{query}");
            axum::Json(list)
        };
        let path = "/api/v1/namespaces/shop/configmaps";
        Client::new(
            axum::Router::new().route(path, axum::routing::get(answer)),
            "default",
        )
    }

    #[tokio::test]
    async fn a_change_is_compared_with_contracts_that_the_store_does_not_hold() {
        let owner = Key::new("DataStream", "shop", "orders");
        let numbered = |version| Revision { version, ..first() };
        let mut maps: Vec<ConfigMap> = [1, 2, 3]
            .map(|version| config_map(&owner, &numbered(version)).unwrap())
            .into();
        // One of another topic, as an earlier object of the name had it.
        let elsewhere = Revision {
            topic: "elsewhere".into(),
            ..numbered(4)
        };
        maps.push(config_map(&owner, &elsewhere).unwrap());
        let (context, _) = crate::context::testing::context(crate::context::testing::stores());
        let in_force = numbered(3);
        assert!(history(&context, &owner).0.is_empty());
        let listed = listed(&server(maps.clone(), ""), &owner, 3).await.unwrap();
        assert!(listed.beyond.is_empty());
        let before = listed
            .history
            .before(in_force.version, &in_force.topic, &in_force.platform);
        let numbers: Vec<i32> = before.map(|one| one.version).collect();
        assert_eq!(numbers, [2, 1]);
        // Of a namespace with room the store has all.
        assert!(!is_whole(&[], 1) && !is_whole(&[numbered(3), numbered(1)], 3));
        let all: Vec<Revision> = (1..=14).map(numbered).collect();
        assert!(is_whole(&all, 14) && is_whole(&all[4..], 14) && !is_whole(&all[5..], 14));
        assert!(is_whole(&all[..2], 2), "younger ones are another matter");
        let many = super::listed(&server(maps, "more"), &owner, 12).await;
        let many = many.unwrap_err();
        assert_eq!(many.reason(), "OwnedByAnother");
        let keep = "keep orders-contract-3 to orders-contract-12: ";
        assert!(many.message().contains(keep), "{many}");
    }

    #[tokio::test]
    async fn of_contracts_that_the_store_does_not_hold_the_older_ones_go() {
        let owner = Key::new("DataStream", "shop", "orders");
        let numbered = |version| Revision { version, ..first() };
        let map = |version| config_map(&owner, &numbered(version)).unwrap();
        // As the API server gives them, by name, in two answers; and one of a number that nobody has reached.
        let pages: [Vec<ConfigMap>; 2] = [
            [1, 10, 11, 12, 13, 2].map(map).into(),
            [3, 4, 5, 6, 7, 8, 9, 900].map(map).into(),
        ];
        let answer = move |uri: axum::http::Uri| async move {
            let rest = uri.query().unwrap_or_default().contains("continue=next");
            let (items, more) = if rest {
                (&pages[1], "")
            } else {
                (&pages[0], "next")
            };
            axum::Json(
                serde_json::json!({"apiVersion": "v1", "kind": "ConfigMapList", "metadata": {"continue": more}, "items": items}),
            )
        };
        let path = "/api/v1/namespaces/shop/configmaps";
        let router = axum::Router::new().route(path, axum::routing::get(answer));
        let listed = listed(&Client::new(router, "default"), &owner, 13).await;
        let listed = listed.unwrap();
        let kept: Vec<i32> = listed.history.0.iter().map(|one| one.version).collect();
        assert_eq!(kept, [900, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4]);
        let mut beyond: Vec<String> = listed.beyond.iter().map(ResourceExt::name_any).collect();
        beyond.sort();
        let older = [
            "orders-contract-1",
            "orders-contract-2",
            "orders-contract-3",
        ];
        assert_eq!(beyond, older);
        assert!(listed.beyond.iter().all(|map| map.data.is_none()));
    }
}
