//! What has arrived in every stream of a snapshot, by lineage (see [`crate::planning::lineage`]).

use super::CatalogSnapshot;
use crate::planning::lineage::{Name, brought, in_order, planned};

/// Works out what has arrived in every stream of a snapshot, from the contracts alone.
pub fn settle(snapshot: &mut CatalogSnapshot) {
    for stream in snapshot.streams.values_mut() {
        stream.arrived.clear();
    }
    let order: Vec<Name> = in_order(&snapshot.pipelines).into_iter().cloned().collect();
    for name in order {
        let Some(spec) = snapshot.pipelines.get(&name) else {
            continue;
        };
        let flow = planned(&spec.sql, |stream| {
            let key = (name.0.clone(), stream.to_owned());
            snapshot.streams.get(&key).map(super::Stream::effective)
        });
        let Some(flow) = flow else { continue };
        let targets: Vec<Name> = spec
            .to
            .iter()
            .filter_map(|t| Some((name.0.clone(), t.stream.clone()?)))
            .collect();
        for target in targets {
            if let Some(stream) = snapshot.streams.get_mut(&target) {
                for (field, labels) in brought(&flow, &stream.contract) {
                    stream.arrived.entry(field).or_default().extend(labels);
                }
            }
        }
    }
}
