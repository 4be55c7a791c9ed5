//! Targets that more than one writes. It is allowed, since two queries may well feed one stream; but where nobody means it, rows of
//! one key replace each other's for ever, and each thing is counted twice. Pure.

use std::collections::{BTreeMap, BTreeSet};

use headworks_crds::PipelineSpec;

use super::{targets, uses::RecordUse};

/// Most targets and writers that are named.
const NAMED: usize = 8;

/// By target, as `stream/NAME` or `table/STORE/NAME`: who writes it besides, such as `Pipeline b`.
pub type Shared = BTreeMap<String, BTreeSet<String>>;

/// What a Pipeline writes while it runs.
pub fn targets(spec: &PipelineSpec) -> BTreeSet<String> {
    if spec.suspend {
        return BTreeSet::new();
    }
    targets::wanted(spec)
}

/// The targets of one Pipeline that others of its namespace write, too. `records`: kind, name and use of objects that write records.
pub fn others<'a>(
    (name, spec): (&str, &PipelineSpec),
    pipelines: impl Iterator<Item = (&'a str, &'a PipelineSpec)>,
    records: impl Iterator<Item = (&'a str, &'a str, &'a RecordUse)>,
) -> Shared {
    let own = targets(spec);
    let pipelines = pipelines
        .filter(|(other, _)| *other != name)
        .flat_map(|(other, spec)| {
            let all = targets(spec).into_iter();
            all.map(move |target| (target, format!("Pipeline {other}")))
        });
    let records = records.flat_map(|(kind, other, used)| {
        let all = used.targets().into_iter();
        all.map(move |target| (target, format!("{kind} {other}")))
    });
    let mut shared = Shared::new();
    for (target, writer) in pipelines.chain(records) {
        if own.contains(&target) {
            shared.entry(target).or_default().insert(writer);
        }
    }
    shared
}

/// What is left where some Pipelines don't count.
pub fn without(mut shared: Shared, pipelines: impl IntoIterator<Item = String>) -> Shared {
    for name in pipelines {
        let writer = format!("Pipeline {name}");
        for writers in shared.values_mut() {
            writers.remove(&writer);
        }
    }
    shared.retain(|_, writers| !writers.is_empty());
    shared
}

/// `stream totals is written by Pipeline b, too`.
pub fn words(shared: &Shared) -> String {
    let mut list: Vec<String> = shared
        .iter()
        .take(NAMED)
        .map(|(target, writers)| {
            let named: Vec<&str> = writers.iter().take(NAMED).map(String::as_str).collect();
            let more = match writers.len().saturating_sub(NAMED) {
                0 => String::new(),
                more => format!(" and {more} more"),
            };
            format!(
                "{} is written by {}{more}, too",
                target.replacen('/', " ", 1),
                named.join(", ")
            )
        })
        .collect();
    if shared.len() > NAMED {
        list.push(format!("… and {} more", shared.len() - NAMED));
    }
    list.join("; ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_count_is_left_out() {
        let writers = |all: &[&str]| all.iter().map(|name| (*name).to_owned()).collect();
        let shared: Shared = [
            (
                "stream/a".to_owned(),
                writers(&["Pipeline m", "Pipeline p"]),
            ),
            ("stream/b".to_owned(), writers(&["Pipeline m"])),
            ("stream/c".to_owned(), writers(&["Source m"])),
        ]
        .into();
        let left = without(shared, ["m".to_owned()]);
        assert_eq!(
            words(&left),
            "stream a is written by Pipeline p, too; stream c is written by Source m, too"
        );
    }

    #[test]
    fn a_long_list_is_cut() {
        let writers: BTreeSet<String> = (0..20).map(|n| format!("Pipeline p{n}")).collect();
        let shared: Shared = (0..20)
            .map(|n| (format!("table/w/t{n}"), writers.clone()))
            .collect();
        let message = words(&shared);
        assert!(
            message.contains("table w/t0 is written by Pipeline p0, "),
            "{message}"
        );
        assert!(
            message.contains("and 12 more, too") && message.ends_with("; … and 12 more"),
            "{message}"
        );
    }
}
