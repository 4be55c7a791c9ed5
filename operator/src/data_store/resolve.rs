//! What Pipelines ask of a DataStore: how to reach it. Whether it answers now is no question here: a pipeline's
//! pods wait for it by themselves.

use crate::{
    connectors::stores::{self, StoreBinding},
    context::Context,
    reason::ConditionReason,
    retry::Error,
};

/// The store, if there is one of that name. `place` is where the reader names it.
pub fn resolve_store(
    context: &Context,
    place: &str,
    namespace: &str,
    name: &str,
) -> Result<StoreBinding, Error> {
    let Some(found) = context.stores.data_store(namespace, name) else {
        return Err(Error::missing(
            ConditionReason::StoreNotFound,
            format!(
                "{place}: DataStore {namespace}/{name} doesn't exist; make it, or correct the name{}",
                context.stores.near_store(namespace, name)
            ),
        ));
    };
    if found.metadata.deletion_timestamp.is_some() {
        return Err(Error::waiting(
            ConditionReason::StoreNotReady,
            format!("{place}: DataStore {name} is being deleted"),
        ));
    }
    stores::bind(name, &found.spec).map_err(|error| {
        Error::waiting(
            ConditionReason::StoreNotReady,
            format!("{place}: DataStore {name} can't be used: {error}"),
        )
    })
}
