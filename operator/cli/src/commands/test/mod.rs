//! `headworks test`: every test in `spec.tests`, through the same decoding, evaluation and encoding as in a pod.

mod tell;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::io;
use std::path::PathBuf;

use headworks_crds::{ExpectedDeadLetter, Pipeline};
use headworks_engine::local::{BadRecord, Row as Encoded, Sink};
use headworks_plan::DeadLetterReason;
use serde::Serialize;
use serde_json::Value;

use crate::object::Object;
use crate::output::{self, Form};
use crate::play::{Ended, Source, play};
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
    /// Where the test says which are expected: those that didn't come.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing_dead_letters: Vec<ExpectedDeadLetter>,
    /// The same: those that came and weren't expected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    unexpected_dead_letters: Vec<DeadLetter>,
}

#[derive(Clone, Debug, Serialize)]
struct DeadLetter {
    stream: String,
    /// Number of the record in `given`, from 0; absent for a result that can't be written.
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<u64>,
    reason: &'static str,
    message: String,
}

/// The records of a stream in `given`.
struct Given<'a> {
    stream: usize,
    records: std::slice::Iter<'a, Node>,
    record: String,
}

impl Source<Infallible> for Given<'_> {
    fn stream(&self) -> usize {
        self.stream
    }

    fn next(&mut self) -> Result<Option<&[u8]>, Infallible> {
        let Some(record) = self.records.next() else {
            return Ok(None);
        };
        self.record = record.to_json_text();
        Ok(Some(self.record.as_bytes()))
    }
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
            Form::Text => output::text(&errors),
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
    tell::tell(&outcomes, arguments.output)
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
    bad: Vec<(usize, Option<u64>, &'static str, String)>,
}

impl Sink for Taken {
    fn row(&mut self, row: Encoded<'_>) -> io::Result<()> {
        if row.output > 0 {
            return Ok(());
        }
        self.rows.push(rows::parse(row.value));
        Ok(())
    }

    fn bad(&mut self, bad: BadRecord<'_>) -> io::Result<()> {
        self.bad.push((
            bad.input,
            bad.number,
            bad.reason.as_str(),
            bad.message.to_owned(),
        ));
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
    // The query's own columns: what every target gets. What a target can't take is a dead letter.
    let plan = local::plan(world, object, pipeline, planned, None);
    let mut taken = Taken::default();
    let of = |part: &str| object.node.at(&steps(&format!("spec.tests[{at}].{part}")));
    let mut work = || -> Result<(), String> {
        let mut run = local::compile(&plan).map_err(|e| e.to_string())?;
        let mut sources: Vec<Box<dyn Source<Infallible> + '_>> = Vec::new();
        for (stream, name) in planned.inputs.iter().enumerate() {
            let records = of("given").and_then(|given| given.get(name));
            sources.push(Box::new(Given {
                stream,
                records: records.map_or(&[][..], Node::items).iter(),
                record: String::new(),
            }));
        }
        let played = play(&mut run, planned.inputs.len(), sources, &mut taken);
        played.map(|_| ()).map_err(|ended| match ended {
            Ended::Source(never) => match never {},
            Ended::Run(error) => error.to_string(),
        })
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
    if let Some(wanted) = &pipeline.spec.tests[at].dead_letters {
        letters(wanted, &mut outcome);
    }
    let (missing, unexpected) = difference(expected.len(), taken.rows.len(), |wanted, row| {
        let came = &taken.rows[row];
        expected[wanted]
            .iter()
            .all(|(name, text)| came.get(name) == Some(text))
    });
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
    outcome.passed = outcome.error.is_empty()
        && outcome.missing.is_empty()
        && outcome.unexpected.is_empty()
        && outcome.missing_dead_letters.is_empty()
        && outcome.unexpected_dead_letters.is_empty();
    outcome
}

/// Compares the dead letters that came with those that are expected.
fn letters(wanted: &[ExpectedDeadLetter], outcome: &mut Outcome) {
    let came = &outcome.dead_letters;
    let stands_for = |wanted: &ExpectedDeadLetter, letter: &DeadLetter| {
        let stream = wanted.stream.as_ref();
        let number = wanted.record.and_then(|record| u64::try_from(record).ok());
        stream.is_none_or(|stream| *stream == letter.stream)
            && (wanted.record.is_none() || number == letter.record)
            && wanted
                .reason
                .is_none_or(|reason| DeadLetterReason::from(reason) == letter.reason)
    };
    let (missing, unexpected) = difference(wanted.len(), came.len(), |at, letter| {
        stands_for(&wanted[at], &came[letter])
    });
    let unexpected = unexpected.into_iter().map(|i| came[i].clone()).collect();
    outcome.missing_dead_letters = missing.into_iter().map(|i| wanted[i].clone()).collect();
    outcome.unexpected_dead_letters = unexpected;
}

/// Indexes of what was expected and didn't come, and of what came unexpected: as few of both as can be, since
/// a row that names few fields may stand for several.
fn difference(
    expected: usize,
    came: usize,
    stands_for: impl Fn(usize, usize) -> bool,
) -> (Vec<usize>, Vec<usize>) {
    let fits: Vec<Vec<usize>> = (0..expected)
        .map(|wanted| (0..came).filter(|i| stands_for(wanted, *i)).collect())
        .collect();
    let mut taken_by: Vec<Option<usize>> = vec![None; came];
    let mut missing = Vec::new();
    for at in 0..expected {
        let mut seen = vec![false; came];
        if !seat(at, &fits, &mut taken_by, &mut seen) {
            missing.push(at);
        }
    }
    let unexpected = (0..came).filter(|i| taken_by[*i].is_none()).collect();
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
        let difference = |expected: &[Row]| {
            difference(expected.len(), came.len(), |wanted, row| {
                let mut fields = expected[wanted].iter();
                fields.all(|(name, text)| came[row].get(name) == Some(text))
            })
        };
        assert_eq!(difference(&[loose.clone(), strict]), (vec![], vec![]));
        assert_eq!(difference(&[loose]), (vec![], vec![1]));
        assert_eq!(difference(&[row(&[("a", "2")])]), (vec![0], vec![0, 1]));
    }

    #[test]
    fn a_pattern_is_parts_in_order() {
        assert!(fits("sums", "shop/p: sums a minute"));
        assert!(fits("shop/*minute", "shop/p: sums a minute"));
        assert!(!fits("minute*shop", "shop/p: sums a minute"));
    }
}
