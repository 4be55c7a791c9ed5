//! A tiny wire format, a query and its oracle, for the tests of the loop: the engine itself knows no
//! format.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};

use headworks_plan::{Check, Contract, DeadLetterReason, Rule, RuleAction, Stream, TableOutput};

use super::keyed_fixture_format::BarFormats;
use crate::format::{DecodeError, Decoder, Encoder, FormatError, Formats, RowError};
use crate::judge::rules::Rules;
use crate::stateless::{Branch, Evaluation, Input, Output, ResultForm, StatelessOperator};
use crate::store::{Stores, TableSchema, TableSink};

/// The result has no key.
pub(crate) const NOBODY: &str = "nobody";
/// Longest result that fits the output topic.
pub(crate) const FITS: i64 = 40;

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("id", DataType::Utf8, false),
        Field::new("n", DataType::Int64, false),
    ]))
}

/// Records look like `in-1-17 42`.
#[derive(Default)]
pub(crate) struct Words {
    ids: Vec<String>,
    numbers: Vec<i64>,
    /// Indexes of the columns that are asked for; all, if absent.
    columns: Option<Vec<usize>>,
}

impl Decoder for Words {
    fn decode(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        let refuse = |message: &str| RowError {
            reason: DeadLetterReason::Decode,
            path: String::new(),
            message: message.to_owned(),
        };
        let text = std::str::from_utf8(payload).map_err(|_| refuse("not UTF-8"))?;
        let (id, number) = text.split_once(' ').ok_or_else(|| refuse("no space"))?;
        self.numbers
            .push(number.parse().map_err(|_| refuse("no number"))?);
        self.ids.push(id.to_owned());
        Ok(())
    }

    fn rows(&self) -> usize {
        self.ids.len()
    }

    fn finish(&mut self) -> Result<RecordBatch, FormatError> {
        let ids = StringArray::from(std::mem::take(&mut self.ids));
        let numbers = Int64Array::from(std::mem::take(&mut self.numbers));
        let all: Vec<ArrayRef> = vec![Arc::new(ids), Arc::new(numbers)];
        RecordBatch::try_new(schema(), all)
            .and_then(|all| {
                self.columns
                    .as_ref()
                    .map_or_else(|| Ok(all.clone()), |columns| all.project(columns))
            })
            .map_err(|source| FormatError::Columns { source })
    }
}

/// Writes `id=n` under the key of the input partition, so that order can be checked.
impl Encoder for Words {
    fn encode(
        &mut self,
        batch: &RecordBatch,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        let (id, number) = (
            batch.column(0).as_string::<i32>().value(row),
            batch.column(1).as_primitive::<Int64Type>().value(row),
        );
        out.extend_from_slice(format!("{id}={number}").as_bytes());
        if number.abs() > FITS {
            out.resize(out.len() + 2_000, b'.');
        }
        Ok(())
    }

    fn key(
        &mut self,
        batch: &RecordBatch,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, FormatError> {
        let id = batch.column(0).as_string::<i32>().value(row);
        if id == NOBODY {
            return Ok(false);
        }
        out.extend_from_slice(
            id.rsplit_once('-')
                .map_or(id, |(source, _)| source)
                .as_bytes(),
        );
        Ok(true)
    }
}

/// The same as a format of the engine: for contracts with the fields `id` and `n`.
pub(crate) struct WordFormats;

impl Formats for WordFormats {
    fn decoder(&self, _: &Contract, columns: &[String]) -> Result<Box<dyn Decoder>, FormatError> {
        let known = schema();
        let columns = columns
            .iter()
            .filter_map(|column| known.index_of(column).ok())
            .collect();
        Ok(Box::new(Words {
            columns: Some(columns),
            ..Words::default()
        }))
    }

    fn keys(&self, contract: &Contract) -> Result<Box<dyn Decoder>, FormatError> {
        BarFormats.keys(contract)
    }

    fn encoder(&self, _: &Contract) -> Result<Box<dyn Encoder>, FormatError> {
        Ok(Box::new(Words::default()))
    }
}

/// There are none.
pub(crate) struct NoStores;

impl Stores for NoStores {
    fn sink<'a>(&'a self, _: &'a TableOutput, _: &'a TableSchema) -> TableSink<'a> {
        unreachable!("no plan of these tests has a table")
    }
}

/// Keeps the rows whose number `divisor` divides, and multiplies it. A batch with a 13 in it fails.
fn branch(divisor: i64, factor: i64) -> Branch {
    Branch {
        columns: vec![0, 1],
        evaluate: Box::new(move |batch| {
            let numbers = batch.column(1).as_primitive::<Int64Type>();
            if numbers.iter().flatten().any(|n| n == 13) {
                return Err("thirteen can't be evaluated".to_owned());
            }
            let rows: Vec<u32> = (0..numbers.len())
                .filter(|row| numbers.value(*row) % divisor == 0)
                .map(|row| row as u32)
                .collect();
            let ids = batch.column(0).as_string::<i32>();
            let kept =
                StringArray::from_iter_values(rows.iter().map(|row| ids.value(*row as usize)));
            let results = Int64Array::from_iter_values(
                rows.iter().map(|row| numbers.value(*row as usize) * factor),
            );
            let result = RecordBatch::try_new(schema(), vec![Arc::new(kept), Arc::new(results)])
                .map_err(|error| error.to_string())?;
            Ok(Evaluation {
                rows,
                outputs: vec![result],
            })
        }),
    }
}

pub(crate) fn stateless(inputs: usize, output: &str) -> StatelessOperator {
    let input = |_| Input {
        tombstones: None,
        decoder: Box::new(Words::default()),
        event_time: None,
        columns: Vec::new(),
        fix: None,
        rules: None,
        branches: vec![branch(2, 1), branch(5, -1)],
    };
    StatelessOperator {
        inputs: (0..inputs).map(input).collect(),
        outputs: vec![Output {
            topic: output.to_owned(),
            max_message_bytes: 1_000,
            compacted: false,
            encoder: Box::new(Words::default()),
            rules: None,
        }],
        tells: true,
        results: ResultForm::Records,
    }
}

/// Rules of a stream of such records: 7 becomes a dead letter, and 11, for which it can't be evaluated; 8 is dropped, and 9 is
/// only counted. 6 isn't judged.
pub(crate) fn rules() -> Vec<Rule> {
    let check = |name: &str, expression: &str, action| Check {
        name: name.into(),
        expression: expression.into(),
        field: Some("n".into()),
        action,
    };
    let rule = |name: &str, filter: Option<&str>, checks| Rule {
        name: name.into(),
        generation: 2,
        filter: filter.map(str::to_owned),
        checks,
    };
    vec![
        rule(
            "sane",
            Some("n <> 6"),
            vec![
                check("six", "n <> 6", RuleAction::DeadLetter),
                check("seven", "n <> 7", RuleAction::DeadLetter),
                check("eight", "n <> 8", RuleAction::Drop),
                check("eleven", "100 / (n - 11) < 1000", RuleAction::DeadLetter),
            ],
        ),
        rule(
            "watched",
            None,
            vec![
                check("nine", "n <> 9", RuleAction::Alert),
                check("eight-too", "n <> 8", RuleAction::Alert),
            ],
        ),
    ]
}

/// A stream of such records with these rules.
pub(crate) fn words(name: &str, rules: Vec<Rule>) -> Stream {
    Stream {
        name: name.into(),
        topic: name.into(),
        dead_letter_topic: format!("{name}.dlq"),
        contract: Contract {
            fields: vec![
                headworks_plan::Field::new("id", "string", false),
                headworks_plan::Field::new("n", "bigint", false),
            ],
            ..Contract::default()
        },
        max_message_bytes: 1_000_000,
        rules,
    }
}

/// The same operator, which judges its inputs by [`rules`].
pub(crate) fn judged(mut operator: StatelessOperator) -> StatelessOperator {
    let columns = ["id", "n"].map(str::to_owned);
    for input in &mut operator.inputs {
        let rules = Rules::of(&words("words", rules())).unwrap();
        input.rules = rules.map(|rules| rules.among(&columns));
    }
    operator
}

/// What the query should make of a record that is judged by [`rules`].
pub(crate) fn judged_oracle(value: Option<&str>) -> Result<Vec<String>, &'static str> {
    let number = value.and_then(|value| value.split_once(' ')?.1.parse().ok());
    match number {
        Some(7 | 11) => Err("Quality"),
        Some(8) => Ok(Vec::new()),
        _ => oracle(value),
    }
}

/// The same query, whose results are rows of a table.
pub(crate) fn table_operator(inputs: usize, tells: bool) -> StatelessOperator {
    StatelessOperator {
        outputs: Vec::new(),
        tells,
        results: ResultForm::TableRows,
        ..stateless(inputs, "")
    }
}

/// What the query should make of a record: results, or the reason why it is bad.
pub(crate) fn oracle(value: Option<&str>) -> Result<Vec<String>, &'static str> {
    let value = value.ok_or("Contract")?;
    let (id, n) = value.split_once(' ').ok_or("Decode")?;
    let n: i64 = n.parse().map_err(|_| "Decode")?;
    if n == 13 {
        return Err("Evaluation");
    }
    if n > FITS && (n % 2 == 0 || n % 5 == 0) {
        return Err("TooLarge");
    }
    let mut results = Vec::new();
    if n % 2 == 0 {
        results.push(format!("{id}={n}"));
    }
    if n % 5 == 0 {
        results.push(format!("{id}={}", -n));
    }
    Ok(results)
}
