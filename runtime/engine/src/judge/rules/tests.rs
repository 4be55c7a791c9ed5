//! Rules over batches, held against rows that are looked at one by one.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, StringArray};
use headworks_plan::{Contract, Field, Format};

use super::*;
use crate::memory::Chance;

fn stream(rules: Vec<Rule>) -> Stream {
    let mut secret = Field::new("s", "string", true);
    secret.labels = vec!["pii".into()];
    Stream {
        name: "orders".into(),
        topic: "t".into(),
        dead_letter_topic: "t.dlq".into(),
        contract: Contract {
            fields: vec![
                Field::new("a", "bigint", true),
                Field::new("b", "bigint", true),
                secret,
            ],
            format: Format::Json,
            ..Contract::default()
        },
        max_message_bytes: 1_000,
        rules,
    }
}

fn check(name: &str, expression: &str, action: RuleAction) -> Check {
    Check {
        name: name.into(),
        expression: expression.into(),
        field: None,
        action,
    }
}

fn rule(filter: Option<&str>, checks: Vec<Check>) -> Rule {
    Rule {
        name: "r".into(),
        generation: 1,
        filter: filter.map(str::to_owned),
        checks,
    }
}

type Row = (Option<i64>, Option<i64>, Option<&'static str>);

fn batch(rows: &[Row]) -> RecordBatch {
    let a: Int64Array = rows.iter().map(|row| row.0).collect();
    let b: Int64Array = rows.iter().map(|row| row.1).collect();
    let s: StringArray = rows.iter().map(|row| row.2).collect();
    let columns: Vec<ArrayRef> = vec![Arc::new(a), Arc::new(b), Arc::new(s)];
    let schema = Schema::from_contract(&stream(Vec::new()).contract).unwrap();
    RecordBatch::try_new(schema.to_arrow(), columns).unwrap()
}

fn compiled(rules: Vec<Rule>) -> Rules {
    Rules::of(&stream(rules)).unwrap().unwrap()
}

#[test]
fn null_passes_and_only_what_says_that_a_value_is_there_asks_for_one() {
    let rules = compiled(vec![rule(
        None,
        vec![
            check("range", "a BETWEEN 1 AND 9", RuleAction::Drop),
            check("there", "a IS NOT NULL", RuleAction::Alert),
        ],
    )]);
    let judgement = rules
        .judge(&batch(&[
            (Some(1), None, None),
            (None, None, None),
            (Some(10), None, None),
        ]))
        .unwrap();
    assert_eq!(judgement.kept(3), [0, 1]);
    let [figures] = &rules.count(&judgement, 3, 5, |_| None)[..] else {
        panic!("one rule")
    };
    assert_eq!((figures.checked, figures.failed), (3, 2));
    let failed: Vec<u64> = figures.checks.iter().map(|check| check.failed).collect();
    assert_eq!(failed, [1, 1]);
}

#[test]
fn a_row_that_fails_several_checks_that_refuse_is_stopped_once() {
    let rules = compiled(vec![rule(
        None,
        vec![
            check("small", "a < 5", RuleAction::DeadLetter),
            check("even", "a <> 7", RuleAction::Drop),
            check("soft", "a < 4", RuleAction::Alert),
        ],
    )]);
    let rows = [Some(1), Some(4), Some(6), Some(7)].map(|a| (a, None, None));
    let judgement = rules.judge(&batch(&rows)).unwrap();
    assert_eq!(judgement.kept(4), [0, 1]);
    let figures = &rules.count(&judgement, 4, 5, |_| None)[0];
    assert_eq!((figures.failed, figures.stopped), (3, Some(2)));
    // Of the rows before the third, none is stopped, and of the first none fails.
    let before = |end| rules.count(&judgement, end, 5, |_| None)[0].stopped;
    assert_eq!((before(2), before(1)), (Some(0), None));
}

#[test]
fn a_filter_that_guards_a_check_keeps_it_from_failing() {
    let share = || vec![check("share", "a / b < 5", RuleAction::DeadLetter)];
    let rows = batch(&[
        (Some(1), Some(0), None),
        (Some(9), Some(1), None),
        (Some(1), Some(1), None),
    ]);
    let guarded = compiled(vec![rule(Some("b <> 0"), share())]);
    let judgement = guarded.judge(&rows).unwrap();
    assert_eq!(judgement.kept(3), [0, 2]);
    assert_eq!(guarded.count(&judgement, 3, 5, |_| None)[0].checked, 2);
    // Without it the row can't be judged, and that is no yes.
    let bare = compiled(vec![rule(None, share())]);
    let judgement = bare.judge(&rows).unwrap();
    assert_eq!(judgement.kept(3), [2]);
    let broken = bare.broken(&judgement, &judgement.refused[0]);
    assert_eq!(
        broken.message,
        "rule r, check share: a / b < 5 can't be evaluated"
    );
    // A filter that can't be evaluated lets nobody off.
    let filter = compiled(vec![rule(
        Some("a / b > 0"),
        vec![check("no", "a <> 1", RuleAction::Drop)],
    )]);
    let judgement = filter.judge(&rows).unwrap();
    assert_eq!(judgement.kept(3), [1]);
}

#[test]
fn what_a_field_holds_is_never_said() {
    let checks = vec![check(
        "number",
        "CAST(s AS BIGINT) > 0",
        RuleAction::DeadLetter,
    )];
    let rules = compiled(vec![rule(None, checks)]);
    let judgement = rules
        .judge(&batch(&[(None, None, Some("hunter2"))]))
        .unwrap();
    let broken = rules.broken(&judgement, &judgement.refused[0]);
    assert_eq!(
        broken.message,
        "rule r, check number: CAST(s AS BIGINT) > 0 can't be evaluated"
    );
}

#[test]
fn a_long_expression_is_shown_by_its_beginning() {
    let long = format!("a {} > 0", "+ 1".repeat(120));
    let rules = compiled(vec![rule(None, vec![check("c", &long, RuleAction::Drop)])]);
    let judgement = rules.judge(&batch(&[(Some(-1_000), None, None)])).unwrap();
    let broken = rules.broken(&judgement, &judgement.refused[0]);
    assert!(broken.message.chars().count() < 260, "{}", broken.message);
    assert!(broken.message.ends_with("… is false"), "{}", broken.message);
}

#[test]
fn what_is_counted_ends_where_the_batch_does() {
    let rules = compiled(vec![rule(
        Some("b = 1"),
        vec![check("c", "a > 0", RuleAction::Stop)],
    )]);
    let rows = [
        (Some(1), Some(1)),
        (Some(0), Some(2)),
        (Some(0), Some(1)),
        (Some(0), Some(1)),
    ];
    let rows: Vec<Row> = rows.iter().map(|(a, b)| (*a, *b, None)).collect();
    let judgement = rules.judge(&batch(&rows)).unwrap();
    for (end, checked, failed, place) in [
        (0, 0, 0, None),
        (2, 1, 0, None),
        (3, 2, 1, Some("at 2")),
        (4, 3, 2, Some("at 3")),
    ] {
        let figures = &rules.count(&judgement, end, 9, |row| Some(format!("at {row}")))[0];
        assert_eq!(
            (figures.checked, figures.failed),
            (checked, failed),
            "before {end}"
        );
        let check = &figures.checks[0];
        assert_eq!(check.last_failure_place.as_deref(), place);
        assert_eq!(check.last_failure_ms, place.map(|_| 9));
    }
}

/// An expression, and what it says of a row: none is null, an error can't be said.
type Known = (
    &'static str,
    fn(Option<i64>, Option<i64>) -> Result<Option<bool>, ()>,
);

const KNOWN: [Known; 6] = [
    ("a > 3", |a, _| Ok(a.map(|a| a > 3))),
    ("a <= b", |a, b| Ok(a.zip(b).map(|(a, b)| a <= b))),
    ("a IS NOT NULL OR b IS NOT NULL", |a, b| {
        Ok(Some(a.is_some() || b.is_some()))
    }),
    ("MOD(a, 2) = 0 AND b IS NOT NULL", |a, b| {
        let even = a.map(|a| a % 2 == 0);
        Ok(match (even, b.is_some()) {
            (_, false) | (Some(false), _) => Some(false),
            (even, true) => even,
        })
    }),
    ("10 / b < 5", |_, b| match b {
        Some(0) => Err(()),
        b => Ok(b.map(|b| 10 / b < 5)),
    }),
    ("TRUE", |_, _| Ok(Some(true))),
];

#[test]
fn a_batch_is_judged_as_its_rows_are_one_by_one() {
    for seed in 0..400 {
        let mut chance = Chance::new(seed);
        let mut below = |n: usize| chance.below(n as u64) as usize;
        let mut rows: Vec<Row> = Vec::new();
        for _ in 0..below(40) {
            let mut number = || Some(below(13) as i64 - 2).filter(|number| *number < 9);
            rows.push((number(), number(), None));
        }
        let mut picked = Vec::new();
        let mut rules = Vec::new();
        for _ in 0..=below(3) {
            let filter = Some(below(2 * KNOWN.len())).filter(|of| *of < KNOWN.len());
            let checks: Vec<(usize, RuleAction)> = (0..=below(4))
                .map(|_| {
                    let actions = [
                        RuleAction::Alert,
                        RuleAction::Drop,
                        RuleAction::DeadLetter,
                        RuleAction::Stop,
                    ];
                    (below(KNOWN.len()), actions[below(4)])
                })
                .collect();
            let named = checks.iter().enumerate();
            let named =
                named.map(|(at, (of, action))| check(&format!("c{at}"), KNOWN[*of].0, *action));
            rules.push(rule(filter.map(|of| KNOWN[of].0), named.collect()));
            picked.push((filter, checks));
        }
        let rules = compiled(rules);
        let judgement = rules.judge(&batch(&rows)).unwrap();
        let counted = rules.count(&judgement, rows.len() as u32, 1, |_| None);
        let mut strictest = vec![RuleAction::Alert; rows.len()];
        for ((filter, checks), figures) in picked.iter().zip(&counted) {
            let judged = |row: &Row| {
                filter.is_none_or(|of| !matches!(KNOWN[of].1(row.0, row.1), Ok(None | Some(false))))
            };
            let fails = |row: &Row, of: usize| {
                matches!(KNOWN[of].1(row.0, row.1), Ok(Some(false)) | Err(()))
            };
            let judged: Vec<(usize, &Row)> = rows
                .iter()
                .enumerate()
                .filter(|(_, row)| judged(row))
                .collect();
            assert_eq!(figures.checked, judged.len() as u64, "seed {seed}");
            let any = judged
                .iter()
                .filter(|(_, row)| checks.iter().any(|(of, _)| fails(row, *of)));
            assert_eq!(figures.failed, any.count() as u64, "seed {seed}");
            for ((of, action), figures) in checks.iter().zip(&figures.checks) {
                let failing: Vec<usize> = judged
                    .iter()
                    .filter(|(_, row)| fails(row, *of))
                    .map(|(at, _)| *at)
                    .collect();
                assert_eq!(figures.failed, failing.len() as u64, "seed {seed}");
                for at in failing {
                    strictest[at] = strictest[at].max(*action);
                }
            }
        }
        let refused: Vec<(usize, RuleAction)> = judgement
            .refused
            .iter()
            .map(|r| (r.row as usize, r.action))
            .collect();
        let expected = strictest.into_iter().enumerate();
        let expected: Vec<_> = expected
            .filter(|(_, action)| *action > RuleAction::Alert)
            .collect();
        assert_eq!(refused, expected, "seed {seed}");
    }
}
