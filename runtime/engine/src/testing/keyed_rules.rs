//! Quality rules over the records of [`keyed_fixture_format`](super::keyed_fixture_format), in two versions, and what each of them makes
//! of a number. In both 17 is dropped and 18 a dead letter; the first makes dead letters of 11, the second of 5 instead.

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use headworks_plan::{Check, Contract, Field, Rule, RuleAction, Stream};

use crate::judge::rules::Rules;
use crate::stateless::{Evaluation, StatelessOperator, taken};

/// What both versions drop.
pub(crate) const DROPPED: i64 = 17;
/// What both versions make a dead letter of.
pub(crate) const REFUSED: i64 = 18;

/// What one version alone makes a dead letter of.
fn own(generation: i64) -> i64 {
    if generation == 1 { 11 } else { 5 }
}

fn stream(generation: i64, drops: bool) -> Stream {
    let check = |name: &str, number: i64, action| Check {
        name: name.into(),
        expression: format!("n <> {number}"),
        field: Some("n".into()),
        action,
    };
    let mut checks = vec![
        check("eighteen", REFUSED, RuleAction::DeadLetter),
        check("own", own(generation), RuleAction::DeadLetter),
    ];
    if drops {
        checks.push(check("seventeen", DROPPED, RuleAction::Drop));
    }
    Stream {
        name: "in".into(),
        topic: "in".into(),
        dead_letter_topic: "in.dlq".into(),
        contract: Contract {
            fields: vec![
                Field::new("k", "string", false),
                Field::new("t", "timestamp_ltz(3)", true),
                Field::new("n", "bigint", false),
            ],
            ..Contract::default()
        },
        max_message_bytes: 1_000_000,
        rules: vec![Rule {
            name: "sane".into(),
            generation,
            filter: None,
            checks,
        }],
    }
}

/// The same operator, which judges its inputs by that version.
pub(crate) fn judged(mut operator: StatelessOperator, generation: i64) -> StatelessOperator {
    set_rules(&mut operator, &stream(generation, true));
    operator
}

/// The same, but what is dropped is taken out by the query alone, behind event time: the mistake that a rule must not make.
pub(crate) fn judged_behind_time(
    mut operator: StatelessOperator,
    generation: i64,
) -> StatelessOperator {
    set_rules(&mut operator, &stream(generation, false));
    for branch in operator.inputs.iter_mut().flat_map(|i| &mut i.branches) {
        let before = std::mem::replace(&mut branch.evaluate, Box::new(|_| Err(String::new())));
        branch.evaluate = Box::new(move |batch| {
            let mut evaluation: Evaluation = before(batch)?;
            let Some(rows) = evaluation.outputs.pop() else {
                return Ok(evaluation);
            };
            let numbers = rows.column(2).as_primitive::<Int64Type>();
            let kept: Vec<u32> = (0..numbers.len())
                .filter(|row| numbers.value(*row) != DROPPED)
                .map(|row| row as u32)
                .collect();
            let from = kept.iter().map(|row| evaluation.rows[*row as usize]);
            Ok(Evaluation {
                rows: from.collect(),
                outputs: vec![taken(&rows, kept)?],
            })
        });
    }
    operator
}

fn set_rules(operator: &mut StatelessOperator, stream: &Stream) {
    let columns = ["k", "t", "n"].map(str::to_owned);
    for input in &mut operator.inputs {
        let rules = Rules::of(stream).unwrap();
        input.rules = rules.map(|rules| rules.among(&columns));
    }
}

/// Whether a record with this number is taken out, where its dead letter names the version `told` (none: it has none), and versions from
/// `first` to `last` may have judged it.
pub(crate) fn is_taken_out(
    number: i64,
    told: Option<i64>,
    (first, last): (i64, i64),
) -> Result<bool, String> {
    let judges = |generation: i64| (first..=last).contains(&generation);
    match (number, told) {
        (DROPPED, None) => Ok(true),
        (REFUSED, Some(generation)) if judges(generation) => Ok(true),
        (DROPPED | REFUSED, told) => {
            Err(format!("{number} and the dead letter's version: {told:?}"))
        }
        (number, Some(generation)) => {
            if judges(generation) && number == own(generation) {
                Ok(true)
            } else {
                Err(format!("{number} passes version {generation}"))
            }
        }
        (number, None) => {
            if (first..=last).all(|generation| number == own(generation)) {
                Err(format!("{number} passes no version from {first} to {last}"))
            } else {
                Ok(false)
            }
        }
    }
}
