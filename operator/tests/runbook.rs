//! The runbook has a row for every reason that a condition or an Event can carry, and for nothing else.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use headworks_operator::connectors;
use headworks_operator::reason::{ConditionReason, ConnectorReason, OF_OTHERS};
use headworks_plan::Reason;

/// Conditions of a kind's own, whose rows begin with the condition: their reasons stand in brackets behind.
const CONDITIONS: [&str; 3] = ["Drifted", "SharedTarget", "TopicOperatorCapacity"];

/// The words in the first column of the runbook's tables.
fn rows() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/runbooks/conditions.md");
    let text = fs::read_to_string(path).unwrap();
    let first = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let words = first.flat_map(|cell| cell.split('`').step_by(2));
    words.map(str::to_owned).collect()
}

#[test]
fn every_reason_has_a_row_and_every_row_is_of_a_reason() {
    let own = ConditionReason::all().map(ConditionReason::as_str);
    let kinds = connectors::reasons().map(ConnectorReason::as_str);
    let pods = Reason::all().map(Reason::as_str);
    let given: BTreeSet<&str> = own.chain(kinds).chain(pods).chain(OF_OTHERS).collect();
    let rows = rows();
    let there: BTreeSet<&str> = rows
        .iter()
        .map(String::as_str)
        .filter(|word| !CONDITIONS.contains(word))
        .collect();
    let missing: Vec<_> = given.difference(&there).collect();
    assert!(
        missing.is_empty(),
        "docs/runbooks/conditions.md has no row for {missing:?}"
    );
    let unknown: Vec<_> = there.difference(&given).collect();
    assert!(
        unknown.is_empty(),
        "docs/runbooks/conditions.md explains {unknown:?}, which nothing says"
    );
}

/// Words after which a reason stands as the next string literal, where it is none of the types.
const GIVES: [&str; 7] = [
    "Error::stalled(",
    "Error::waiting(",
    "Error::missing(",
    "Error::transient(",
    "ReconcileOutcome::ready(",
    "ReconcileOutcome::progressing(",
    ".warning(",
];

fn sources(folder: &Path, into: &mut Vec<(String, String)>) {
    for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, into);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            into.push((path.display().to_string(), text));
        }
    }
}

#[test]
fn every_reason_that_is_given_as_text_is_one_of_the_types() {
    let mut all = Vec::new();
    sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
    let (mut given, mut unknown) = (0, Vec::new());
    for (path, text) in &all {
        // Tests invent reasons of their own.
        let code = text.split("#[cfg(test)]").next().unwrap();
        for gives in GIVES {
            for after in code.split(gives).skip(1) {
                given += 1;
                let first = after.split([',', ')']).take(4).find(|it| it.contains('"'));
                let Some(word) = first.and_then(|text| text.split('"').nth(1)) else {
                    continue;
                };
                let camel = word.len() > 4 && word.chars().all(|c| c.is_ascii_alphabetic());
                let camel = camel && word.starts_with(|c: char| c.is_ascii_uppercase());
                let known =
                    ConditionReason::from_word(word).is_some() || Reason::from_word(word).is_some();
                if camel && !known {
                    unknown.push(format!("{path}: {word}"));
                }
            }
        }
    }
    assert!(given > 100, "reasons are given: {given}");
    assert!(unknown.is_empty(), "no ConditionReason: {unknown:?}");
}
