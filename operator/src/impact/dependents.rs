//! What else stands around a changed stream: who reads or writes its records, grants, labels that arrive by lineage, owners.

use std::collections::BTreeMap;

use headworks_crds::AccessGrantSpec;
use headworks_plan::Contract;

use super::{
    CatalogSnapshot, Change, Effect, Exposure, Item, Name, Owner,
    affected::Affected,
    analyze::{Column, item},
    plans::Plans,
};
use crate::evolution::{self, changes, columns};
use crate::planning::rules::{self, Named};

/// Rules of a changed stream that fitted the contract and don't any more: nothing would be judged by them.
fn of_rules(
    stream: &Name,
    was: &Contract,
    now: &Contract,
    after: &CatalogSnapshot,
    items: &mut Vec<Item>,
) {
    for (rule, spec) in &after.rules {
        if rule.0 != stream.0 || spec.stream != stream.1 {
            continue;
        }
        let named = Named {
            name: &rule.1,
            generation: 0,
            spec,
        };
        if rules::plan(named, was).is_err() {
            continue;
        }
        if let Err(faults) = rules::plan(named, now) {
            let faults = faults.iter().map(ToString::to_string).collect();
            items.push(item(Effect::Broken, "QualityRule", rule, faults));
        }
    }
}

/// Readers and writers of records, rules and grants, around a changed stream.
pub(super) fn dependents(
    name: &Name,
    change: &Change,
    before: &CatalogSnapshot,
    after: &CatalogSnapshot,
    items: &mut Vec<Item>,
) {
    let (Some(was), Some(now)) = (before.streams.get(name), after.streams.get(name)) else {
        return;
    };
    // What clients see goes by all labels, those that came by lineage, too.
    let labelled = (was.effective(), now.effective());
    let (was, now) = (&was.contract, &now.contract);
    let refused: Vec<String> = evolution::refused_of_writers(was, now)
        .into_iter()
        .map(|fault| format!("records as before are refused: {}", fault.message))
        .collect();
    let readers = evolution::broken_for_readers(was, now);
    // A label is nothing to whoever writes.
    let bare = |contract: &Contract| -> Contract {
        let mut contract = contract.clone();
        for field in &mut contract.fields {
            field.labels.clear();
        }
        contract
    };
    let written: Vec<String> = columns(&bare(was), &bare(now))
        .iter()
        .map(ToString::to_string)
        .collect();
    for ((kind, user), used) in &after.records {
        if user.0 != name.0 {
            continue;
        }
        let (reads, writes) = (used.is_reader(&name.1), used.is_writer(&name.1));
        let mut faults = Vec::new();
        if reads {
            faults.extend(readers.iter().map(|fault| fault.message.clone()));
        }
        if writes {
            faults.extend(refused.iter().cloned());
        }
        let lines = match (reads, writes) {
            (true, _) => change.fields.clone(),
            (false, true) => written.clone(),
            (false, false) => continue,
        };
        if !faults.is_empty() {
            items.push(item(Effect::Broken, kind, user, faults));
        } else if !lines.is_empty() {
            items.push(item(Effect::Altered, kind, user, lines));
        }
    }
    of_rules(name, was, now, after, items);
    for (grant, spec) in &after.grants {
        if grant.0 != name.0 {
            continue;
        }
        let (reads, writes) = (spec.read.contains(&name.1), spec.write.contains(&name.1));
        // A field that the client never saw is nothing to it.
        let unseen = |field: &str| {
            let hidden = |contract| hidden(contract, field, &spec.except_labels);
            hidden(&labelled.0) == Some(true) && hidden(&labelled.1) != Some(false)
        };
        let readers: Vec<String> = readers
            .iter()
            .filter(|fault| !unseen(&fault.field))
            .map(|fault| fault.message.clone())
            .collect();
        let faults: Vec<String> = match (reads, writes) {
            (false, false) => continue,
            (true, false) => readers.clone(),
            (false, true) => refused.clone(),
            (true, true) => readers.iter().chain(&refused).cloned().collect(),
        };
        let (effect, lines) = if !faults.is_empty() {
            (Effect::Broken, faults)
        } else if reads {
            let seen: Vec<String> = change
                .fields
                .iter()
                .filter(|line| !unseen(line.split(": ").next().unwrap_or_default()))
                .cloned()
                .collect();
            (Effect::Altered, client_sees(&seen, &spec.except_labels))
        } else {
            (Effect::Altered, written.clone())
        };
        if lines.is_empty() {
            continue;
        }
        let mut what = vec![client(spec, &name.1)];
        what.extend(lines);
        items.push(item(effect, "AccessGrant", grant, what));
    }
}

/// Whether a grant's exceptLabels leave a field out, given by its dotted path; none where the contract hasn't got it.
fn hidden(contract: &Contract, path: &str, except: &[String]) -> Option<bool> {
    let top = path.split(['.', '[']).next().unwrap_or_default();
    let field = contract.fields.iter().find(|f| f.name == top)?;
    Some(field.labels.iter().any(|label| except.contains(label)))
}

fn client(spec: &AccessGrantSpec, stream: &str) -> String {
    let does = match (
        spec.read.iter().any(|s| s == stream),
        spec.write.iter().any(|s| s == stream),
    ) {
        (true, true) => "reads and writes",
        (true, false) => "reads",
        _ => "writes",
    };
    let to = &spec.to;
    format!("client {}/{} {does} {stream}", to.namespace, to.name)
}

/// The lines of a change, with what exceptLabels make of those about a label.
fn client_sees(lines: &[String], except: &[String]) -> Vec<String> {
    lines
        .iter()
        .map(|line| {
            let hit = except.iter().any(|label| {
                line.contains(&format!("label {label}")) || line.contains(&format!(", {label}"))
            });
            if hit {
                format!("{line}: its exceptLabels decide anew whether the client sees it")
            } else {
                line.clone()
            }
        })
        .collect()
}

/// Labels that come to a stream, or go from it, by lineage.
pub(super) fn arrived(
    name: &Name,
    (_, old): (&CatalogSnapshot, &Plans),
    (after, new): (&CatalogSnapshot, &Plans),
    items: &mut Vec<Item>,
) {
    let (Some(was), Some(now)) = (old.contracts.get(name), new.contracts.get(name)) else {
        return;
    };
    let labelled = |contract: &Contract| -> Vec<Column> {
        let fields = contract.fields.iter();
        fields
            .map(|f| (f.name.clone(), String::new(), false, f.labels.clone()))
            .collect()
    };
    // Fields that come and go are told where the contract is; here it is about labels alone.
    let both: Vec<Column> = labelled(now)
        .into_iter()
        .filter(|(n, ..)| was.fields.iter().any(|f| f.name == *n))
        .collect();
    let before: Vec<Column> = labelled(was)
        .into_iter()
        .filter(|(n, ..)| both.iter().any(|(b, ..)| b == n))
        .collect();
    let lines: Vec<String> = changes(&before, &both)
        .iter()
        .map(ToString::to_string)
        .collect();
    if lines.is_empty() {
        return;
    }
    items.push(item(Effect::Altered, "DataStream", name, lines.clone()));
    for (grant, spec) in &after.grants {
        if grant.0 != name.0 || !spec.read.contains(&name.1) {
            continue;
        }
        let mut what = vec![client(spec, &name.1)];
        what.extend(client_sees(&lines, &spec.except_labels));
        items.push(item(Effect::Altered, "AccessGrant", grant, what));
    }
}

/// Labels that come to a stream's fields by lineage, and whom a grant lets read them.
pub(super) fn exposed(
    name: &Name,
    old: &Plans,
    (after, new): (&CatalogSnapshot, &Plans),
) -> Vec<Exposure> {
    let (Some(was), Some(now)) = (old.contracts.get(name), new.contracts.get(name)) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for field in &now.fields {
        let Some(before) = was.fields.iter().find(|f| f.name == field.name) else {
            continue;
        };
        let came: Vec<&String> = field
            .labels
            .iter()
            .filter(|label| !before.labels.contains(label))
            .collect();
        for (grant, spec) in &after.grants {
            let reads = grant.0 == name.0 && spec.read.contains(&name.1);
            // One label that is left out leaves out the field.
            let covered = hidden(now, &field.name, &spec.except_labels) == Some(true);
            if came.is_empty() || !reads || covered {
                continue;
            }
            all.push(Exposure {
                grant: grant.1.clone(),
                client: format!("{}/{}", spec.to.namespace, spec.to.name),
                stream: name.1.clone(),
                field: field.name.clone(),
                labels: came.iter().map(|label| (*label).clone()).collect(),
            });
        }
    }
    all
}

/// Owners of all streams within reach.
pub(super) fn owners(affected: &Affected, after: &CatalogSnapshot) -> Vec<Owner> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for name in &affected.streams {
        let owner = after.streams.get(name).and_then(|s| s.owner.clone());
        if let Some(owner) = owner {
            let stream = format!("{}/{}", name.0, name.1);
            all.entry(owner).or_default().push(stream);
        }
    }
    all.into_iter()
        .map(|(owner, streams)| Owner { owner, streams })
        .collect()
}
