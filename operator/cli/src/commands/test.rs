//! `headworks test`: every test in `spec.tests`, through the same decoding, evaluation and encoding as in a pod.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;

use headworks_crds::Pipeline;
use headworks_engine::local::{BadRecord, Row as Encoded, Sink};
use serde::Serialize;
use serde_json::Value;

use crate::object::Object;
use crate::output::{self, Form, green, red};
use crate::rows::{self, Row};
use crate::validate::{self, Planned, World};
use crate::yaml::{Node, steps};
use crate::{End, local};

/// Arguments of `headworks test`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Files, folders, or - for standard input. They are validated first.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Run only tests whose `namespace/pipeline: test` has this in it; * stands for anything.
    #[arg(long, value_name = "PATTERN")]
    name: Option<String>,
    /// Namespace of objects that name none.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// How results are written.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

/// A test's result.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Outcome {
    namespace: String,
    pipeline: String,
    test: String,
    passed: bool,
    /// Why it could not be run to its end.
    #[serde(skip_serializing_if = "String::is_empty")]
    error: String,
    /// Rows that were expected and didn't come.
    #[serde(serialize_with = "as_json")]
    missing: Vec<Row>,
    /// Rows that came and weren't expected.
    #[serde(serialize_with = "as_json")]
    unexpected: Vec<Row>,
    dead_letters: Vec<DeadLetter>,
}

#[derive(Debug, Serialize)]
struct DeadLetter {
    stream: String,
    /// Number of the record in `given`, from 0.
    record: u64,
    reason: &'static str,
    message: String,
}

fn as_json<S: serde::Serializer>(rows: &[Row], serializer: S) -> Result<S::Ok, S::Error> {
    let value = |text: &str| serde_json::from_str::<Value>(text).unwrap_or_default();
    serializer.collect_seq(rows.iter().map(|row| {
        row.iter()
            .map(|(name, text)| (name.clone(), value(text)))
            .collect::<serde_json::Map<_, _>>()
    }))
}

/// Runs the tests.
pub fn run(arguments: &Arguments) -> End {
    let checked = match super::load(&arguments.paths, &arguments.namespace, false) {
        Ok(checked) => checked,
        Err(end) => return end,
    };
    if checked.errors() > 0 {
        let mut errors = String::new();
        for finding in checked.findings.iter().filter(|f| f.is_error()) {
            errors.push_str(&format!("{finding}\n"));
        }
        match arguments.output {
            Form::Text => output::write(errors.as_bytes()),
            Form::Json => output::json(&serde_json::json!({"findings": checked.findings})),
        }
        output::note("no test was run: correct the errors above first");
        return End::Problems;
    }
    let mut outcomes = Vec::new();
    for (object, pipeline) in checked.world.pipelines() {
        let Some(planned) = validate::plan(&checked.world, object, pipeline) else {
            continue;
        };
        for at in 0..pipeline.spec.tests.len() {
            let title = title(object, &pipeline.spec.tests[at].name);
            if arguments.name.as_deref().is_some_and(|p| !fits(p, &title)) {
                continue;
            }
            outcomes.push(one(&checked.world, object, pipeline, &planned, at));
        }
    }
    tell(&outcomes, arguments)
}

fn title(object: &Object, test: &str) -> String {
    format!("{}/{}: {test}", object.namespace, object.name)
}

/// Whether a title has the parts of a pattern, in order.
fn fits(pattern: &str, title: &str) -> bool {
    let mut rest = title;
    pattern.split('*').all(|part| match rest.find(part) {
        Some(at) => {
            rest = &rest[at + part.len()..];
            true
        }
        None => false,
    })
}

#[derive(Default)]
struct Taken {
    rows: Vec<Row>,
    bad: Vec<(usize, u64, &'static str, String)>,
}

impl Sink for Taken {
    fn row(&mut self, row: Encoded<'_>) -> io::Result<()> {
        self.rows.push(rows::parse(row.value));
        Ok(())
    }

    fn bad(&mut self, bad: BadRecord<'_>) -> io::Result<()> {
        self.bad
            .push((bad.input, bad.number, bad.reason, bad.message.to_owned()));
        Ok(())
    }
}

fn one(
    world: &World,
    object: &Object,
    pipeline: &Pipeline,
    planned: &Planned,
    at: usize,
) -> Outcome {
    let mut outcome = Outcome {
        namespace: object.namespace.clone(),
        pipeline: object.name.clone(),
        test: pipeline.spec.tests[at].name.clone(),
        ..Outcome::default()
    };
    // The query's own columns: what every target gets.
    let plan = local::plan(world, object, pipeline, planned, None);
    let mut taken = Taken::default();
    let of = |part: &str| object.node.at(&steps(&format!("spec.tests[{at}].{part}")));
    let mut work = || -> Result<(), String> {
        let mut run = local::compile(&plan).map_err(|e| e.to_string())?;
        for (index, name) in planned.inputs.iter().enumerate() {
            let records = of("given").and_then(|given| given.get(name));
            for record in records.map_or(&[][..], Node::items) {
                run.push(index, record.to_json_text().as_bytes(), &mut taken)
                    .map_err(|e| e.to_string())?;
            }
        }
        run.finish(&mut taken).map_err(|e| e.to_string())
    };
    if let Err(error) = work() {
        outcome.error = error;
    }
    let mut expected = Vec::new();
    for row in of("expect").map_or(&[][..], Node::items) {
        let mut wanted = Row::new();
        for (key, value) in row.entries() {
            match rows::canonical(&plan.outputs[0].contract, &key.name, value) {
                Ok(text) => {
                    wanted.insert(key.name.clone(), text);
                }
                Err(error) => outcome.error = format!("expect: {}: {error}", key.name),
            }
        }
        expected.push(wanted);
    }
    for (input, record, reason, message) in taken.bad {
        outcome.dead_letters.push(DeadLetter {
            stream: planned.inputs[input].clone(),
            record,
            reason,
            message,
        });
    }
    let (missing, unexpected) = difference(&expected, &taken.rows);
    outcome.missing = missing.into_iter().map(|i| expected[i].clone()).collect();
    let shown: BTreeSet<&String> = expected.iter().flat_map(Row::keys).collect();
    outcome.unexpected = unexpected
        .into_iter()
        .map(|i| {
            let mut row = taken.rows[i].clone();
            // What no expected row names isn't compared, and would only be in the way.
            if !shown.is_empty() {
                row.retain(|name, _| shown.contains(name));
            }
            row
        })
        .collect();
    outcome.passed =
        outcome.error.is_empty() && outcome.missing.is_empty() && outcome.unexpected.is_empty();
    outcome
}

/// Indexes of expected rows that didn't come, and of rows that came unexpected: as few of both as can be, since
/// a row that names few fields may stand for several.
fn difference(expected: &[Row], came: &[Row]) -> (Vec<usize>, Vec<usize>) {
    let stands_for = |wanted: &Row, row: &Row| {
        wanted
            .iter()
            .all(|(name, text)| row.get(name) == Some(text))
    };
    let fits: Vec<Vec<usize>> = expected
        .iter()
        .map(|wanted| {
            (0..came.len())
                .filter(|i| stands_for(wanted, &came[*i]))
                .collect()
        })
        .collect();
    let mut taken_by: Vec<Option<usize>> = vec![None; came.len()];
    let mut missing = Vec::new();
    for at in 0..expected.len() {
        let mut seen = vec![false; came.len()];
        if !seat(at, &fits, &mut taken_by, &mut seen) {
            missing.push(at);
        }
    }
    let unexpected = (0..came.len()).filter(|i| taken_by[*i].is_none()).collect();
    (missing, unexpected)
}

/// Finds a row for an expected one, moving others if need be (an augmenting path).
fn seat(at: usize, fits: &[Vec<usize>], taken_by: &mut [Option<usize>], seen: &mut [bool]) -> bool {
    for &row in &fits[at] {
        if std::mem::replace(&mut seen[row], true) {
            continue;
        }
        let free = match taken_by[row] {
            None => true,
            Some(other) => seat(other, fits, taken_by, seen),
        };
        if free {
            taken_by[row] = Some(at);
            return true;
        }
    }
    false
}

fn tell(outcomes: &[Outcome], arguments: &Arguments) -> End {
    let failed = outcomes.iter().filter(|o| !o.passed).count();
    match arguments.output {
        Form::Json => output::json(&serde_json::json!({
            "passed": outcomes.len() - failed, "failed": failed, "tests": outcomes,
        })),
        Form::Text => {
            let mut text = String::new();
            for outcome in outcomes {
                say(outcome, &mut text);
            }
            output::write(text.as_bytes());
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
    for letter in &outcome.dead_letters {
        text.push_str(&format!(
            "    dead letter: given.{}[{}]: {} ({})\n",
            letter.stream, letter.record, letter.message, letter.reason
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

#[cfg(test)]
mod tests {
    use super::*;

    fn row(fields: &[(&str, &str)]) -> Row {
        fields
            .iter()
            .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()))
            .collect()
    }

    #[test]
    fn a_loose_row_gives_way_to_a_strict_one() {
        let came = [
            row(&[("a", "1"), ("b", "1")]),
            row(&[("a", "1"), ("b", "2")]),
        ];
        let loose = row(&[("a", "1")]);
        let strict = row(&[("a", "1"), ("b", "1")]);
        assert_eq!(
            difference(&[loose.clone(), strict], &came),
            (vec![], vec![])
        );
        assert_eq!(difference(&[loose], &came), (vec![], vec![1]));
        assert_eq!(
            difference(&[row(&[("a", "2")])], &came),
            (vec![0], vec![0, 1])
        );
    }

    #[test]
    fn a_pattern_is_parts_in_order() {
        assert!(fits("sums", "shop/p: sums a minute"));
        assert!(fits("shop/*minute", "shop/p: sums a minute"));
        assert!(!fits("minute*shop", "shop/p: sums a minute"));
    }
}
