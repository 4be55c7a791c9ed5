//! What is said of tests.

use std::collections::BTreeSet;

use headworks_plan::DeadLetterReason;

use super::Outcome;
use crate::End;
use crate::output::{self, Form, green, red};
use crate::rows::Row;

/// Says how the tests went.
pub(super) fn tell(outcomes: &[Outcome], form: Form) -> End {
    let failed = outcomes.iter().filter(|o| !o.passed).count();
    match form {
        Form::Json => output::json(&serde_json::json!({
            "passed": outcomes.len() - failed, "failed": failed, "tests": outcomes,
        })),
        Form::Text => {
            let mut text = String::new();
            for outcome in outcomes {
                say(outcome, &mut text);
            }
            output::text(&text);
            let none = if outcomes.is_empty() {
                "no test was found: write some into spec.tests; "
            } else {
                ""
            };
            output::note(&format!(
                "{none}{} passed, {failed} failed",
                outcomes.len() - failed
            ));
        }
    }
    if failed == 0 {
        End::Fine
    } else {
        End::Problems
    }
}

fn say(outcome: &Outcome, text: &mut String) {
    let verdict = if outcome.passed {
        green("ok")
    } else {
        red("FAILED")
    };
    let letters = match outcome.dead_letters.len() {
        0 => String::new(),
        1 => " (1 dead letter)".to_owned(),
        n => format!(" ({n} dead letters)"),
    };
    text.push_str(&format!(
        "{verdict} {}/{}: {}{letters}\n",
        outcome.namespace, outcome.pipeline, outcome.test
    ));
    if outcome.passed {
        return;
    }
    if !outcome.error.is_empty() {
        text.push_str(&format!("    {}\n", outcome.error));
    }
    table(outcome, text);
    for letter in &outcome.missing_dead_letters {
        let of = match (&letter.stream, letter.record) {
            (Some(stream), Some(record)) => format!(" given.{stream}[{record}]"),
            (Some(stream), None) => format!(" of {stream}"),
            (None, Some(record)) => format!(" of record {record}"),
            (None, None) => String::new(),
        };
        let why = letter
            .reason
            .map(|reason| format!(" ({})", DeadLetterReason::from(reason)));
        text.push_str(&format!(
            "    - dead letter{of}{} was expected and didn't come\n",
            why.unwrap_or_default()
        ));
    }
    let stated =
        !outcome.missing_dead_letters.is_empty() || !outcome.unexpected_dead_letters.is_empty();
    let (sign, letters) = if stated {
        ("+ ", &outcome.unexpected_dead_letters)
    } else {
        ("", &outcome.dead_letters)
    };
    for letter in letters {
        let of = match letter.record {
            Some(record) => format!("given.{}[{record}]", letter.stream),
            None => "a result".to_owned(),
        };
        text.push_str(&format!(
            "    {sign}dead letter: {of}: {} ({})\n",
            letter.message, letter.reason
        ));
    }
}

/// What was expected and what came, one above the other, in columns.
fn table(outcome: &Outcome, text: &mut String) {
    if outcome.missing.is_empty() && outcome.unexpected.is_empty() {
        return;
    }
    let all = || outcome.missing.iter().chain(&outcome.unexpected);
    let names: BTreeSet<&String> = all().flat_map(Row::keys).collect();
    let cell = |row: &Row, name: &String| row.get(name).map_or(" ", |text| text).to_owned();
    let width = |name: &String| {
        let cells = all().map(|row| cell(row, name).chars().count());
        cells.max().unwrap_or(0).max(name.chars().count()).min(60)
    };
    let line = |sign: &str, cells: Vec<String>| {
        let padded: Vec<String> = cells
            .into_iter()
            .zip(&names)
            .map(|(cell, name)| {
                let cell: String = if cell.chars().count() > 60 {
                    cell.chars().take(59).chain(['…']).collect()
                } else {
                    cell
                };
                format!("{cell:<w$}", w = width(name))
            })
            .collect();
        format!("    {sign} {}", padded.join("  "))
            .trim_end()
            .to_owned()
            + "\n"
    };
    text.push_str("    - expected and didn't come, + came and wasn't expected\n");
    text.push_str(&line(" ", names.iter().map(|n| (*n).clone()).collect()));
    let cells = |row: &Row| names.iter().map(|name| cell(row, name)).collect();
    // Each missing row, and below it the unexpected one that is most like it.
    let mut left: Vec<&Row> = outcome.unexpected.iter().collect();
    for row in &outcome.missing {
        text.push_str(&line("-", cells(row)));
        let likeness = |other: &Row| {
            row.iter()
                .filter(|(n, t)| other.get(*n) == Some(*t))
                .count()
        };
        let best = (0..left.len()).rev().max_by_key(|i| likeness(left[*i]));
        if let Some(best) = best {
            let other = left.remove(best);
            text.push_str(&line("+", cells(other)));
        }
    }
    for row in left {
        text.push_str(&line("+", cells(row)));
    }
}
