//! Which contracts and Pipelines changed, and which streams and Pipelines that reaches.

use std::collections::{BTreeMap, BTreeSet};

use headworks_crds::PipelineSpec;
use headworks_plan::Contract;

use super::{CatalogSnapshot, Change, Name};
use crate::{
    contract::fingerprint,
    evolution::{self, Rules, columns},
    planning::lineage,
};

/// Most Pipelines that are planned for one change, so that the answer comes in time.
pub(super) const MOST_PIPELINES: usize = 300;

/// Streams whose contract is another one.
pub(super) fn changed(before: &CatalogSnapshot, after: &CatalogSnapshot) -> BTreeMap<Name, Change> {
    let mut all = BTreeMap::new();
    for (name, now) in &after.streams {
        let Some(was) = before.streams.get(name) else {
            continue;
        };
        let (old, new) = (fingerprint(&was.contract), fingerprint(&now.contract));
        if old == new {
            continue;
        }
        let accepted = was.accepted();
        let rules = Rules {
            accepted: was.compatibility,
            wanted: now.compatibility,
        };
        let refusal = evolution::refusal(
            (&name.0, &name.1),
            rules,
            &now.annotations,
            (&accepted, &was.used),
            &now.contract,
        );
        let mut fields: Vec<String> = columns(&was.contract, &now.contract)
            .iter()
            .map(ToString::to_string)
            .collect();
        let time = |contract: &Contract| {
            let time = contract.event_time.as_ref();
            time.map_or_else(|| "none".to_owned(), |t| t.field.clone())
        };
        if time(&was.contract) != time(&now.contract) {
            let (was, now) = (time(&was.contract), time(&now.contract));
            fields.push(format!("eventTime: {was} → {now}"));
        }
        all.insert(
            name.clone(),
            Change {
                namespace: name.0.clone(),
                name: name.1.clone(),
                in_force: was.version,
                fields,
                faults: refusal
                    .iter()
                    .flat_map(|r| r.faults.iter().map(|f| f.message.clone()))
                    .collect(),
                unreadable: evolution::unreadable(&was.contract, &now.contract),
                change: evolution::change((&name.0, &name.1), &old, &new, &was.used),
                permitted: refusal.is_some_and(|r| r.permitted),
                compatibility: rules.to_string(),
            },
        );
    }
    all
}

/// What changed streams reach.
#[derive(Default)]
pub(super) struct Affected {
    /// Streams that changed, or are written from them or by an edited Pipeline.
    pub streams: BTreeSet<Name>,
    /// Pipelines that read or write them, in the order of the records.
    pub order: Vec<Name>,
    /// Pipelines beyond [`MOST_PIPELINES`].
    pub unplanned: Vec<Name>,
}

/// Pipelines that are made, or have another spec.
pub(super) fn edited(before: &CatalogSnapshot, after: &CatalogSnapshot) -> BTreeSet<Name> {
    let other = after
        .pipelines
        .iter()
        .filter(|(name, spec)| before.pipelines.get(*name) != Some(spec));
    other.map(|(name, _)| name.clone()).collect()
}

/// What changed streams and edited Pipelines reach.
pub(super) fn affected<'a>(
    before: &CatalogSnapshot,
    after: &CatalogSnapshot,
    changed: impl Iterator<Item = &'a Name>,
    edited: &BTreeSet<Name>,
) -> Affected {
    let mut affected = Affected {
        streams: changed.cloned().collect(),
        ..Affected::default()
    };
    let namespaces: BTreeSet<String> = affected
        .streams
        .iter()
        .chain(edited)
        .map(|(namespace, _)| namespace.clone())
        .collect();
    let mut steps: BTreeMap<&Name, &PipelineSpec> = BTreeMap::new();
    for (name, spec) in before.pipelines.iter().chain(&after.pipelines) {
        if namespaces.contains(&name.0) {
            steps.insert(name, spec);
        }
    }
    // A query that changes with the stream may read another one from now on: both count.
    let both = |name: &Name, of: fn(&PipelineSpec) -> Vec<String>| -> BTreeSet<Name> {
        [before.pipelines.get(name), after.pipelines.get(name)]
            .into_iter()
            .flatten()
            .flat_map(of)
            .map(|stream| (name.0.clone(), stream))
            .collect()
    };
    let flows: BTreeMap<&Name, (BTreeSet<Name>, BTreeSet<Name>)> = steps
        .keys()
        .map(|name| (*name, (both(name, reads), both(name, writes))))
        .collect();
    let mut members: BTreeSet<&Name> = BTreeSet::new();
    // What an edited Pipeline writes, or wrote, may carry something else.
    for (name, (_, writes)) in flows.iter().filter(|(name, _)| edited.contains(**name)) {
        members.insert(name);
        affected.streams.extend(writes.iter().cloned());
    }
    let written_first = affected.streams.clone();
    loop {
        let count = (members.len(), affected.streams.len());
        for (name, (reads, writes)) in &flows {
            if !reads.is_disjoint(&affected.streams) {
                members.insert(name);
                affected.streams.extend(writes.iter().cloned());
            } else if !writes.is_disjoint(&written_first) {
                members.insert(name);
            }
        }
        if count == (members.len(), affected.streams.len()) {
            break;
        }
    }
    let mut ordered: Vec<Name> = lineage::in_order(steps.iter().map(|(n, s)| (*n, *s)))
        .into_iter()
        .filter(|name| members.contains(name))
        .cloned()
        .collect();
    // Those of a ring come last.
    let rest: Vec<Name> = members
        .iter()
        .filter(|name| !ordered.contains(name))
        .map(|name| (*name).clone())
        .collect();
    ordered.extend(rest);
    affected.unplanned = ordered.split_off(MOST_PIPELINES.min(ordered.len()));
    affected.order = ordered;
    affected
}

pub(super) fn reads(spec: &PipelineSpec) -> Vec<String> {
    headworks_sql::inputs(&spec.sql).unwrap_or_default()
}

pub(super) fn writes(spec: &PipelineSpec) -> Vec<String> {
    spec.to.iter().filter_map(|t| t.stream.clone()).collect()
}
