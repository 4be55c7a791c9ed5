//! Pipelines: the query's text is proved by itself; its names and types by contracts, which may be on their way.

use std::collections::BTreeSet;

use headworks_crds::{
    ANNOTATION_ACCEPT_MIXED_RESULTS, DeletionPolicy, OnStateChange, Pipeline, PipelineStatus,
};
use headworks_plan::Contract;
use headworks_sql::Dataflow;
use kube::ResourceExt;

use super::state::{self, StateCompatibility};
use crate::{
    admission::{self, AdmissionDecision, Request, Reviewed},
    connectors::stores::table_rules,
    hints::missing,
    impact::{self, CatalogSnapshot},
    planning::{
        check, query,
        shared::{self, Shared},
        targets,
    },
    stores::names,
};

impl Reviewed for Pipeline {
    const PERMITS: Option<&'static str> = Some(ANNOTATION_ACCEPT_MIXED_RESULTS);

    fn review(request: &Request<Self>, around: admission::Around<'_>) -> AdmissionDecision {
        review(request, || Around {
            snapshot: around.snapshot(),
            stores: names(&around.stores.data_stores, Some(around.namespace)),
            platforms: names(&around.stores.platforms, None),
        })
    }

    fn deletion(_: &str, _: &admission::Around<'_>) -> AdmissionDecision {
        AdmissionDecision::pass()
    }
}

/// What the stores know around a Pipeline.
#[derive(Clone, Debug, Default)]
struct Around {
    /// Its namespace.
    snapshot: CatalogSnapshot,
    /// Names of the namespace's DataStores.
    stores: BTreeSet<String>,
    /// Names of all Platforms.
    platforms: BTreeSet<String>,
}

/// Judges a Pipeline.
fn review(request: &Request<Pipeline>, around: impl FnOnce() -> Around) -> AdmissionDecision {
    let Request { new, old } = request;
    let inputs = match query::inputs(&new.spec.sql) {
        Ok(inputs) => inputs,
        Err(fault) => return AdmissionDecision::deny(fault),
    };
    let mut decision = AdmissionDecision::pass();
    if new.spec.deletion_policy == DeletionPolicy::Delete
        && old
            .as_ref()
            .is_none_or(|old| old.spec.deletion_policy != DeletionPolicy::Delete)
    {
        decision.warn(
            "spec.deletionPolicy: Delete: progress and state go with this object; one of the same name begins anew, at startFrom",
        );
    }
    let around = around();
    let snapshot = &around.snapshot;
    let namespace = new.namespace().unwrap_or_default();
    let contract = |name: &str| -> Option<Contract> {
        let key = (namespace.clone(), name.to_owned());
        snapshot
            .streams
            .get(&key)
            .map(crate::impact::Stream::effective)
    };
    let (mut found, mut absent) = (Vec::new(), BTreeSet::new());
    let read = inputs.len();
    for name in inputs {
        match contract(&name) {
            Some(contract) => found.push((name, contract)),
            None => {
                absent.insert(name);
            }
        }
    }
    let mut outputs = Vec::new();
    for (index, target) in new.spec.to.iter().enumerate() {
        if let Some(name) = &target.stream {
            match contract(name) {
                Some(contract) => outputs.push((index, name.clone(), contract)),
                None => {
                    absent.insert(name.clone());
                }
            }
        }
    }
    let streams = || snapshot.streams.keys().map(|(_, name)| name.as_str());
    for name in &absent {
        let key = (namespace.clone(), name.clone());
        if snapshot.unread.contains(&key) {
            decision.warn(format!(
                "DataStream {name} has no contract yet (its conditions say why), so what this Pipeline does with it is looked at later: see the Pipeline's conditions"
            ));
            continue;
        }
        decision.warn(missing("DataStream", name, "Pipeline", streams()));
    }
    neighbours(new, &around, &mut decision);
    // With an input that isn't known nothing can be said of the columns.
    if found.len() < read {
        return decision;
    }
    let inputs: Vec<(&str, &Contract)> = found.iter().map(|(n, c)| (n.as_str(), c)).collect();
    let targets: Vec<(usize, &str, &Contract)> = outputs
        .iter()
        .map(|(index, name, contract)| (*index, name.as_str(), contract))
        .collect();
    let rules = |store: &str| {
        let key = (namespace.clone(), store.to_owned());
        table_rules(snapshot.stores.get(&key))
    };
    match check::check(&new.spec, &inputs, &targets, rules) {
        Err(error) => decision.warn(format!(
            "not right as things are ({}): {}",
            error.reason(),
            error.message()
        )),
        Ok(flow) => {
            begins_anew(request, &flow, &mut decision);
            exposed(request, snapshot, &mut decision);
        }
    }
    decision
}

/// Stores and Platform that aren't there, and who else writes where it does.
fn neighbours(new: &Pipeline, around: &Around, decision: &mut AdmissionDecision) {
    let name = new.name_any();
    let platform = &new.spec.platform;
    if !around.platforms.contains(platform) {
        let known = around.platforms.iter().map(String::as_str);
        decision.warn(missing("Platform", platform, "Pipeline", known));
    }
    let tables = new.spec.to.iter().filter_map(|t| t.table.as_ref());
    let stores: BTreeSet<&String> = tables.map(|table| &table.store).collect();
    for store in stores.into_iter().filter(|s| !around.stores.contains(*s)) {
        let known = around.stores.iter().map(String::as_str);
        decision.warn(missing("DataStore", store, "Pipeline", known));
    }
    let snapshot = &around.snapshot;
    let shared = shared::others(
        (&name, &new.spec),
        snapshot
            .pipelines
            .iter()
            .map(|(key, spec)| (key.1.as_str(), spec)),
        snapshot
            .records
            .iter()
            .map(|((kind, key), used)| (*kind, key.1.as_str(), used)),
    );
    told(&shared, decision);
}

fn told(shared: &Shared, decision: &mut AdmissionDecision) {
    if !shared.is_empty() {
        decision.warn(format!(
            "{}: what both write is there twice; give each its own, or UNION ALL them",
            shared::words(shared)
        ));
    }
}

/// Whether the query can go on with the state that there is, and if not, what comes of it. In few words: the API server cuts them.
fn begins_anew(
    Request { new, old }: &Request<Pipeline>,
    flow: &Dataflow,
    decision: &mut AdmissionDecision,
) {
    let Some(status) = old.as_ref().and_then(|old| old.status.as_ref()) else {
        return;
    };
    let fingerprint = flow.state_fingerprint();
    let compatibility = state::compatibility(status, fingerprint);
    let changed = matches!(compatibility, StateCompatibility::Changed(_));
    if changed && new.spec.on_state_change == OnStateChange::Block {
        decision.warn("spec.sql: it can't go on with the state that there is: it will be held back (StateChange), and the pods go on with the query before. Make another Pipeline for it, or set onStateChange: Reset and other targets");
        return;
    }
    if let Some(warning) = mixed(new, status, changed, fingerprint) {
        decision.warn(warning);
    } else if changed {
        decision.warn("spec.onStateChange: Reset: progress and state of the query before are deleted, and this one begins anew at spec.startFrom");
    }
}

fn mixed(
    new: &Pipeline,
    status: &PipelineStatus,
    changed: bool,
    fingerprint: Option<&str>,
) -> Option<String> {
    let accepted = state::accepts_mixed(new);
    targets::check(&new.spec, status, changed, fingerprint, accepted).err()?;
    let both = targets::mixed(&new.spec, status, changed);
    Some(format!(
        "spec.to: held back (ResultsWouldMix): an earlier query wrote {}. Name other targets, or annotate {ANNOTATION_ACCEPT_MIXED_RESULTS}: \"{}\"",
        both.join(", "),
        targets::token(fingerprint)
    ))
}

/// Labels that this query brings, through as many Pipelines as there are, into streams that others were granted.
fn exposed(
    Request { new, old }: &Request<Pipeline>,
    snapshot: &CatalogSnapshot,
    decision: &mut AdmissionDecision,
) {
    let name = (new.namespace().unwrap_or_default(), new.name_any());
    let (mut before, mut after) = (snapshot.clone(), snapshot.clone());
    match old {
        Some(old) => before.pipelines.insert(name.clone(), old.spec.clone()),
        None => before.pipelines.remove(&name),
    };
    after.pipelines.insert(name, new.spec.clone());
    for exposure in impact::impact(&before, &after).exposed {
        decision.warn(format!(
            "field {} of DataStream {} gets label {} by this query, and AccessGrant {} lets {} read it",
            exposure.field,
            exposure.stream,
            exposure.labels.join(", "),
            exposure.grant,
            exposure.client
        ));
    }
}

#[cfg(test)]
mod tests;
