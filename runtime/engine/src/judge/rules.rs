//! Quality rules: what decoded records hold, judged a whole batch at a time.
//!
//! Each check is a condition over the stream's columns. A row for which it is false fails; null passes, as with a CHECK
//! constraint of SQL. A row for which it can't be evaluated fails, too: what can't be said is no yes. All that a batch costs
//! where every row passes is the conditions' kernels and a count of bits.

use std::collections::BTreeSet;

use arrow::array::{Array, BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use headworks_plan::{Check, Rule, RuleAction, RuleFigures, Stream};
use headworks_sql::schema::Schema;
use headworks_sql::{Condition, SqlError};
use snafu::Snafu;

use crate::format::FormatError;

/// What to do where a rule stops the work.
pub const REMEDY: &str = "correct the producer or the rule, or set onError of the rule to Quarantine, Drop or Alert to go on without the record";
/// Longest expression in a message, in characters.
const SHOWN: usize = 200;

/// Why a stream's rules can't be applied. The operator compiles them before a pod does, so this is met only where the two are
/// of different versions; a pod then lets nothing through.
#[derive(Clone, Debug, PartialEq, Eq, Snafu)]
#[snafu(display("rule {rule} of stream {stream}{}: {said}", check.as_ref().map_or_else(String::new, |check| format!(", check {check}"))))]
pub struct RuleError {
    /// The stream.
    pub stream: String,
    /// The rule.
    pub rule: String,
    /// The check; absent: the rule's filter.
    pub check: Option<String>,
    /// What is wrong.
    pub said: String,
}

/// What a record breaks, as its dead letter says it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// The rule's name.
    pub rule: String,
    /// The version of it that judged.
    pub generation: i64,
    /// The check's name.
    pub check: String,
    /// The field that the check is about, where it is one.
    pub field: Option<String>,
    /// What is wrong, in words and without values.
    pub message: String,
}

/// The rules of a stream, compiled.
#[derive(Debug)]
pub struct Rules {
    compiled: Vec<Compiled>,
    columns: BTreeSet<String>,
    none: Vec<RuleFigures>,
}

#[derive(Debug)]
struct Compiled {
    rule: Rule,
    filter: Option<Condition>,
    checks: Vec<Condition>,
}

impl Rules {
    /// Compiles the rules of `stream`. None, where it has none.
    ///
    /// # Errors
    /// An expression is none over the stream's fields.
    pub fn of(stream: &Stream) -> Result<Option<Rules>, RuleError> {
        if stream.rules.is_empty() {
            return Ok(None);
        }
        let refused = |rule: &Rule, check: Option<&Check>, said: String| RuleError {
            stream: stream.name.clone(),
            rule: rule.name.clone(),
            check: check.map(|check| check.name.clone()),
            said,
        };
        let mut columns = BTreeSet::new();
        let mut rules = Vec::with_capacity(stream.rules.len());
        for rule in &stream.rules {
            let schema = Schema::from_contract(&stream.contract)
                .map_err(|error| refused(rule, None, error.to_string()))?;
            let mut compile = |text: &str, check: Option<&Check>| {
                let condition = headworks_sql::expression(text, &schema)
                    .map_err(|errors| refused(rule, check, listed(&errors)))?;
                columns.extend(condition.columns.iter().cloned());
                Ok(condition)
            };
            let filter = rule.filter.as_deref();
            let filter = filter.map(|filter| compile(filter, None)).transpose()?;
            let checks = rule.checks.iter();
            let checks = checks.map(|check| compile(&check.expression, Some(check)));
            rules.push(Compiled {
                filter,
                checks: checks.collect::<Result<_, _>>()?,
                rule: rule.clone(),
            });
        }
        let none = stream.rules.iter();
        let none = none.map(|rule| RuleFigures::none_of(&stream.name, rule));
        Ok(Some(Rules {
            none: none.collect(),
            compiled: rules,
            columns,
        }))
    }

    /// The columns that they read.
    pub fn columns(&self) -> &BTreeSet<String> {
        &self.columns
    }

    /// The same over batches that have these columns alone, in this order.
    #[must_use]
    pub fn among(mut self, columns: &[String]) -> Rules {
        for rule in &mut self.compiled {
            rule.filter = rule.filter.take().map(|filter| filter.among(columns));
            let checks = std::mem::take(&mut rule.checks).into_iter();
            rule.checks = checks.map(|check| check.among(columns)).collect();
        }
        self
    }

    /// What is counted before anything was judged.
    pub fn none(&self) -> &[RuleFigures] {
        &self.none
    }

    /// Judges the rows of a batch.
    ///
    /// # Errors
    /// Arrow refused the columns: a bug, never the data.
    pub fn judge(&self, batch: &RecordBatch) -> Result<Judgement, FormatError> {
        let tallies = self.compiled.iter().map(|rule| rule.judge(batch));
        let tallies: Vec<Tally> = tallies.collect::<Result<_, _>>()?;
        let mut refused: Vec<Refused> = Vec::new();
        for (at, (tally, rule)) in tallies.iter().zip(&self.compiled).enumerate() {
            for (check, failing) in tally.failing.iter().enumerate() {
                let action = rule.rule.checks[check].action;
                if action == RuleAction::Alert {
                    continue;
                }
                refused.extend(failing.rows.iter().map(|row| Refused {
                    row: *row,
                    action,
                    rule: at,
                    check,
                }));
            }
        }
        // The strictest action of a row first, and of that the first check.
        refused.sort_by(|a, b| (a.row, b.action).cmp(&(b.row, a.action)));
        refused.dedup_by_key(|refused| refused.row);
        Ok(Judgement { tallies, refused })
    }

    /// What a refused row breaks.
    pub fn broken(&self, judgement: &Judgement, refused: &Refused) -> Broken {
        let rule = &self.compiled[refused.rule];
        let check = &rule.rule.checks[refused.check];
        let failing = &judgement.tallies[refused.rule].failing[refused.check];
        // Why isn't said: a kernel may quote what it was given, and who may see that is decided elsewhere, and later.
        let what = match failing.unevaluated.binary_search(&refused.row) {
            Err(_) => "is false",
            Ok(_) => "can't be evaluated",
        };
        Broken {
            rule: rule.rule.name.clone(),
            generation: rule.rule.generation,
            check: check.name.clone(),
            field: check.field.clone(),
            message: format!(
                "rule {}, check {}: {} {what}",
                rule.rule.name,
                check.name,
                shown(&check.expression)
            ),
        }
    }

    /// What a judgement counts for: of the rows before `end` alone. `place` says where a row was read.
    pub fn count(
        &self,
        judgement: &Judgement,
        end: u32,
        now_ms: i64,
        place: impl Fn(u32) -> Option<String>,
    ) -> Vec<RuleFigures> {
        let mut all = self.none.clone();
        let rules = judgement.tallies.iter().zip(&self.compiled);
        for (figures, (tally, rule)) in all.iter_mut().zip(rules) {
            figures.checked = tally.judged.before(end);
            let mut any: Vec<u32> = Vec::new();
            let mut stopped: Vec<u32> = Vec::new();
            let checks = tally.failing.iter().zip(&rule.rule.checks);
            for (check, (failing, of)) in figures.checks.iter_mut().zip(checks) {
                let number = failing.rows.partition_point(|row| *row < end);
                let Some(last) = number.checked_sub(1) else {
                    continue;
                };
                let rows = &failing.rows[..number];
                check.failed = number as u64;
                check.last_failure_ms = Some(now_ms);
                check.last_failure_place = place(rows[last]);
                any.extend_from_slice(rows);
                if of.action != RuleAction::Alert {
                    stopped.extend_from_slice(rows);
                }
            }
            figures.failed = distinct(any);
            figures.stopped = (figures.failed > 0).then(|| distinct(stopped));
        }
        all
    }
}

impl Compiled {
    fn judge(&self, batch: &RecordBatch) -> Result<Tally, FormatError> {
        let rows = u32::try_from(batch.num_rows()).unwrap_or(u32::MAX);
        let selected = self.filter.as_ref().and_then(|filter| {
            let selected = selected(filter, batch);
            Some(selected).filter(|selected| selected.len() < rows as usize)
        });
        let failing = match &selected {
            None => self.failing(batch),
            Some(selected) if selected.is_empty() => self.none_failing(),
            Some(selected) => {
                let indexes = UInt32Array::from(selected.clone());
                let here = take_record_batch(batch, &indexes)
                    .map_err(|source| FormatError::Columns { source })?;
                let mut failing = self.failing(&here);
                for failing in &mut failing {
                    failing.move_to(selected);
                }
                failing
            }
        };
        Ok(Tally {
            judged: selected.map_or(RowsJudged::All(rows), RowsJudged::Only),
            failing,
        })
    }

    fn failing(&self, batch: &RecordBatch) -> Vec<Failing> {
        let checks = self.checks.iter();
        checks.map(|check| Failing::of(check, batch)).collect()
    }

    fn none_failing(&self) -> Vec<Failing> {
        self.checks.iter().map(|_| Failing::default()).collect()
    }
}

/// So many rows, each counted once.
fn distinct(mut rows: Vec<u32>) -> u64 {
    rows.sort_unstable();
    rows.dedup();
    rows.len() as u64
}

/// The rows that a filter lets through: those for which it is true, and those for which it can't be evaluated.
fn selected(filter: &Condition, batch: &RecordBatch) -> Vec<u32> {
    let mut selected = Vec::new();
    each(filter, batch, 0, &mut |start, holds| match holds {
        Ok(holds) => {
            let rows = 0..holds.len();
            let rows = rows.filter(|row| holds.is_valid(*row) && holds.value(*row));
            selected.extend(rows.map(|row| start + row as u32));
        }
        Err(Unevaluated) => selected.push(start),
    });
    selected
}

/// A row for which a condition can't be evaluated.
struct Unevaluated;

/// Evaluates a condition over a batch, in halves down to the single row that it can't be evaluated for. `tell` hears of each
/// part, which begins at a row, in order.
fn each(
    condition: &Condition,
    batch: &RecordBatch,
    start: u32,
    tell: &mut impl FnMut(u32, Result<&BooleanArray, Unevaluated>),
) {
    let rows = batch.num_rows();
    if rows == 0 {
        return;
    }
    match condition.evaluate(batch) {
        Ok(holds) => tell(start, Ok(&holds)),
        Err(_) if rows == 1 => tell(start, Err(Unevaluated)),
        Err(_) => {
            let half = rows / 2;
            each(condition, &batch.slice(0, half), start, tell);
            let rest = batch.slice(half, rows - half);
            each(condition, &rest, start + half as u32, tell);
        }
    }
}

/// What the rules say of a batch.
#[derive(Debug)]
pub struct Judgement {
    /// In the order of the rules.
    tallies: Vec<Tally>,
    /// Rows that don't go on, in order and each once.
    pub refused: Vec<Refused>,
}

/// A row that doesn't go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Its number in the batch.
    pub row: u32,
    /// What becomes of it: not `Alert`.
    pub action: RuleAction,
    rule: usize,
    check: usize,
}

impl Judgement {
    /// True: every row goes on. Some may have been counted.
    pub fn lets_all_through(&self) -> bool {
        self.refused.is_empty()
    }

    /// The rows that go on, of a batch of `rows` rows.
    pub fn kept(&self, rows: usize) -> Vec<u32> {
        let mut refused = self.refused.iter().map(|refused| refused.row).peekable();
        (0..rows as u32)
            .filter(|row| refused.next_if_eq(row).is_none())
            .collect()
    }
}

/// What a rule says of a batch.
#[derive(Debug)]
struct Tally {
    judged: RowsJudged,
    /// In the order of the checks.
    failing: Vec<Failing>,
}

#[derive(Debug)]
enum RowsJudged {
    /// All of so many.
    All(u32),
    /// These, in order.
    Only(Vec<u32>),
}

impl RowsJudged {
    fn before(&self, end: u32) -> u64 {
        match self {
            RowsJudged::All(rows) => u64::from(end.min(*rows)),
            RowsJudged::Only(rows) => rows.partition_point(|row| *row < end) as u64,
        }
    }
}

/// The rows that fail a check.
#[derive(Debug, Default)]
struct Failing {
    /// In order.
    rows: Vec<u32>,
    /// Those for which it couldn't be evaluated, in order.
    unevaluated: Vec<u32>,
}

impl Failing {
    fn of(check: &Condition, batch: &RecordBatch) -> Failing {
        let mut failing = Failing::default();
        each(check, batch, 0, &mut |start, holds| match holds {
            // Nearly always: no row is looked at by itself.
            Ok(holds) if holds.false_count() == 0 => {}
            Ok(holds) => {
                let rows = 0..holds.len();
                let rows = rows.filter(|row| holds.is_valid(*row) && !holds.value(*row));
                failing.rows.extend(rows.map(|row| start + row as u32));
            }
            Err(Unevaluated) => {
                failing.rows.push(start);
                failing.unevaluated.push(start);
            }
        });
        failing
    }

    /// From rows of a selection to those of the batch.
    fn move_to(&mut self, selected: &[u32]) {
        for row in self.rows.iter_mut().chain(&mut self.unevaluated) {
            *row = selected[*row as usize];
        }
    }
}

/// An expression as a message shows it: in one line, and not endless.
fn shown(expression: &str) -> String {
    let words: Vec<&str> = expression.split_whitespace().collect();
    let line = words.join(" ");
    if line.chars().count() <= SHOWN {
        return line;
    }
    format!("{}…", line.chars().take(SHOWN).collect::<String>())
}

fn listed(errors: &[SqlError]) -> String {
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    errors.join("; ")
}

#[cfg(test)]
mod tests;
