//! The accepted contracts of a stream, the last ten: found in the store, written down, swept.
//!
//! The contract in force is what every pod and query is checked against, so it is written down before
//! anything uses it and never changed. How it is written is told in [`crate::contract::revision`].

use std::sync::Arc;

use headworks_crds::AcceptedContract;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt, api::PostParams};

use super::history::History;
use crate::{
    context::Context,
    contract::{
        fingerprint,
        revision::{Revision, config_map, is, name, read},
    },
    names::{FIELD_MANAGER, Key},
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

/// Removes all but the last ten, or all of them.
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
}
