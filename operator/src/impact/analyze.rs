//! Two snapshots compared: what changed contracts do to each Pipeline within their reach, and to its tables.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use headworks_crds::{ANNOTATION_ACCEPT_MIXED_RESULTS, OnStateChange, PipelineSpec};
use headworks_sql::Dataflow;

use super::{
    CatalogSnapshot, Change, Effect, Impact, Item, Name,
    affected::{MOST_PIPELINES, affected, changed, edited, reads, writes},
    dependents::{arrived, dependents, exposed, owners},
    plans::Plans,
};
use crate::{evolution::changes, planning::targets};

/// What `after` does to `before`.
pub fn impact(before: &CatalogSnapshot, after: &CatalogSnapshot) -> Impact {
    let changed = changed(before, after);
    let affected = affected(before, after, changed.keys(), &edited(before, after));
    let mut found = Impact {
        changes: changed.values().cloned().collect(),
        ..Impact::default()
    };
    let old = Plans::of(before, &affected, None);
    let new = Plans::of(after, &affected, Some(&old));
    let mut broken_streams: BTreeSet<Name> = BTreeSet::new();
    for name in &affected.order {
        pipeline(
            name,
            (before, &old),
            (after, &new),
            &changed,
            &mut broken_streams,
            &mut found.items,
        );
    }
    for name in &affected.unplanned {
        let line =
            format!("is within reach and wasn't planned: {MOST_PIPELINES} Pipelines are at most");
        found
            .items
            .push(item(Effect::Touched, "Pipeline", name, vec![line]));
    }
    for (name, change) in &changed {
        dependents(name, change, before, after, &mut found.items);
    }
    // A changed stream's own labels are told with its contract.
    for name in affected
        .streams
        .iter()
        .filter(|n| !changed.contains_key(*n))
    {
        arrived(name, (before, &old), (after, &new), &mut found.items);
        found.exposed.extend(exposed(name, &old, (after, &new)));
    }
    found.items.sort_by(|a, b| {
        (a.effect, a.kind, &a.namespace, &a.name).cmp(&(b.effect, b.kind, &b.namespace, &b.name))
    });
    found.owners = owners(&affected, after);
    found
}

pub(super) fn item(effect: Effect, kind: &'static str, name: &Name, what: Vec<String>) -> Item {
    Item {
        effect,
        kind,
        namespace: name.0.clone(),
        name: name.1.clone(),
        what,
    }
}

/// Name, type, nullable, labels.
pub(super) type Column = (String, String, bool, Vec<String>);

fn output(flow: &Dataflow) -> Vec<Column> {
    let columns = flow.output.columns.iter();
    columns
        .map(|c| {
            (
                c.name.clone(),
                c.data_type.to_string(),
                c.nullable,
                c.labels.clone(),
            )
        })
        .collect()
}

/// One Pipeline and its tables.
fn pipeline(
    name: &Name,
    (before, old): (&CatalogSnapshot, &Plans),
    (after, new): (&CatalogSnapshot, &Plans),
    changed: &BTreeMap<Name, Change>,
    broken: &mut BTreeSet<Name>,
    items: &mut Vec<Item>,
) {
    let Some(spec) = after.pipelines.get(name) else {
        return;
    };
    let same_spec = before.pipelines.get(name) == Some(spec);
    let (was, now) = (old.pipelines.get(name), new.pipelines.get(name));
    let outputs = || {
        writes(spec)
            .into_iter()
            .map(|stream| (name.0.clone(), stream))
    };
    let (was, now) = match (was, now) {
        (_, None) => return,
        // It was broken before, and nobody has touched it.
        (Some(Err(_)), Some(Err(_))) if same_spec => return,
        (_, Some(Err(message))) => {
            broken.extend(outputs());
            let lines = vec![message.clone()];
            items.push(item(Effect::Broken, "Pipeline", name, lines));
            return;
        }
        (was, Some(Ok(now))) => (was.and_then(|w| w.as_ref().ok()), now),
    };
    let restarts = was.is_some_and(|was| was.state_fingerprint() != now.state_fingerprint());
    if restarts && spec.on_state_change == OnStateChange::Block {
        broken.extend(outputs());
        let line = "needs another state than the one it has: it is held back (StateChange), and its pods go on with the query as it was; spec.onStateChange: Reset gives state and progress up".to_owned();
        items.push(item(Effect::Broken, "Pipeline", name, vec![line]));
        return;
    }
    let different = was.map(|was| changes(&output(was), &output(now)));
    let mut lines: Vec<String> = different
        .iter()
        .flatten()
        .map(|c| format!("result column {c}{}", from(now, &c.name, changed)))
        .collect();
    if restarts {
        lines.push(begins_anew(
            before.pipelines.get(name),
            spec,
            now.state_fingerprint(),
        ));
    }
    if lines.is_empty() {
        let starved: Vec<Name> = reads(spec)
            .into_iter()
            .map(|stream| (name.0.clone(), stream))
            .filter(|stream| broken.contains(stream))
            .collect();
        let used = used(now, &name.0, changed);
        if !starved.is_empty() {
            broken.extend(outputs());
            let names: Vec<&str> = starved.iter().map(|(_, n)| n.as_str()).collect();
            let line = format!("is fed by a broken Pipeline through {}", names.join(", "));
            items.push(item(Effect::Touched, "Pipeline", name, vec![line]));
        } else if !used.is_empty() {
            let line = format!("reads {}", used.join(", "));
            items.push(item(Effect::Touched, "Pipeline", name, vec![line]));
        }
        return;
    }
    items.push(item(Effect::Altered, "Pipeline", name, lines));
    for table in spec.to.iter().filter_map(|t| t.table.as_ref()) {
        // A label is no part of a table.
        let bare = |flow: &Dataflow| -> Vec<Column> {
            let columns = output(flow).into_iter();
            columns
                .map(|(name, type_, null, _)| (name, type_, null, vec![]))
                .collect()
        };
        let columns = was.map(|was| changes(&bare(was), &bare(now)));
        let lines: Vec<String> = columns
            .iter()
            .flatten()
            .map(|c| format!("column {c} (a table that is there is never changed: ALTER it first)"))
            .collect();
        if !lines.is_empty() {
            let title = (name.0.clone(), format!("{}.{}", table.store, table.name));
            items.push(item(Effect::Altered, "Table", &title, lines));
        }
    }
}

/// Which changed columns a result's column is computed from.
fn from(flow: &Dataflow, column: &str, changed: &BTreeMap<Name, Change>) -> String {
    let names: BTreeSet<&String> = changed.keys().map(|(_, name)| name).collect();
    let sources: Vec<String> = flow
        .lineage
        .iter()
        .filter(|l| l.column == column)
        .flat_map(|l| &l.sources)
        .filter(|source| names.contains(&source.stream))
        .map(|source| format!("{}.{}", source.stream, source.column))
        .collect();
    if sources.is_empty() {
        String::new()
    } else {
        format!(" (from {})", sources.join(", "))
    }
}

/// What a Reset does, and whether the new query's results would stand beside those of the one before.
fn begins_anew(was: Option<&PipelineSpec>, spec: &PipelineSpec, now: Option<&str>) -> String {
    let mut line =
        "loses its state and its progress, and begins anew (onStateChange: Reset)".to_owned();
    let before = was.map(targets::wanted).unwrap_or_default();
    let both: Vec<String> = targets::wanted(spec)
        .intersection(&before)
        .map(|target| target.replacen('/', " ", 1))
        .collect();
    if !both.is_empty() {
        let _ = write!(
            line,
            "; it is held back (ResultsWouldMix) while it writes where the query before did ({}): name other targets, or annotate {ANNOTATION_ACCEPT_MIXED_RESULTS}: \"{}\"",
            both.join(", "),
            targets::token(now)
        );
    }
    line
}

/// The changed columns that a query reads.
fn used(flow: &Dataflow, namespace: &str, changed: &BTreeMap<Name, Change>) -> Vec<String> {
    let mut all = BTreeSet::new();
    for branch in flow.branches() {
        let key = (namespace.to_owned(), branch.input.clone());
        let Some(change) = changed.get(&key) else {
            continue;
        };
        for field in &change.fields {
            let name = field.split(": ").next().unwrap_or_default();
            if branch.columns.iter().any(|c| c == name) {
                all.insert(format!("{}.{name}", branch.input));
            }
        }
    }
    all.into_iter().collect()
}
