//! How many dead letters there are, by reason, rule and check.

use headworks_plan::{DeadLetterCount, PeekLine};
use k8s_openapi::jiff::Timestamp;
use serde_json::{Value, json};

use super::super::peek::reading::Listener;
use super::super::peek::{show, wrong};
use super::Form;
use super::letter::{self, Line};
use super::list::none;
use crate::End;
use crate::output::{self, note};

/// What came of it.
pub(super) struct Tally {
    form: Form,
    stream: String,
    is_filtered: bool,
    end: Option<End>,
}

impl Tally {
    pub(super) fn new(form: Form, stream: &str, is_filtered: bool) -> Tally {
        Tally {
            form,
            stream: stream.to_owned(),
            is_filtered,
            end: None,
        }
    }

    /// How it ended.
    pub(super) fn end(&self) -> End {
        self.end.unwrap_or(End::Fine)
    }

    fn print(&self, counts: &[DeadLetterCount], others: u64, complete: bool) {
        let total = counts.iter().map(|count| count.count).sum::<u64>() + others;
        match self.form {
            Form::Json => output::json(&as_json(counts, others, total, complete)),
            Form::Yaml => {
                let json = as_json(counts, others, total, complete).to_string();
                output::line(&super::yaml(&json));
            }
            Form::Text | Form::Wide if total == 0 => {
                note(&none(&self.stream, self.is_filtered));
            }
            Form::Text | Form::Wide => {
                output::text(&table(counts, others));
                note(&match total {
                    1 => "1 dead letter".to_owned(),
                    n => format!("{n} dead letters"),
                });
            }
        }
    }
}

impl Listener for Tally {
    fn is_over(&self) -> bool {
        self.end.is_some()
    }

    fn line(&mut self, text: &str) -> bool {
        match letter::line(text) {
            Line::Peek(PeekLine::Counts {
                counts,
                others,
                read,
                complete,
            }) => {
                self.print(&counts, others, complete);
                self.end = Some(if complete {
                    End::Fine
                } else {
                    wrong(format!(
                        "time was over when {read} dead letters had been read, and not all: give it longer with --timeout, or count less with --partition"
                    ))
                });
            }
            Line::Peek(PeekLine::Note { message }) => note(&show::printable(&message)),
            Line::Peek(PeekLine::Failed { reason, message }) => {
                self.end = Some(wrong(show::failed(&reason, &message)));
            }
            _ => note(&show::printable(text)),
        }
        true
    }
}

fn time(ms: Option<i64>) -> Option<String> {
    let at = Timestamp::from_millisecond(ms?).ok()?;
    Some(format!("{at:.3}"))
}

fn as_json(counts: &[DeadLetterCount], others: u64, total: u64, complete: bool) -> Value {
    let counts = counts.iter().map(|count| {
        let mut one = json!({"reason": count.reason, "count": count.count,
            "first": time(count.first_ms), "last": time(count.last_ms)});
        for (name, text) in [("rule", &count.rule), ("check", &count.check)] {
            if let Some(text) = text {
                one[name] = Value::String(text.clone());
            }
        }
        one
    });
    let counts: Vec<Value> = counts.collect();
    json!({"counts": counts, "others": others, "total": total, "complete": complete})
}

fn table(counts: &[DeadLetterCount], others: u64) -> String {
    let head = ["REASON", "RULE", "CHECK", "COUNT", "FIRST", "LAST"].map(str::to_owned);
    let word = |text: Option<&String>| {
        let text = text.filter(|text| !text.is_empty());
        text.map_or_else(|| "-".to_owned(), |text| show::printable(text))
    };
    let mut rows = vec![head];
    rows.extend(counts.iter().map(|count| {
        let at = |ms| time(ms).unwrap_or_else(|| "-".to_owned());
        [
            word(Some(&count.reason)),
            word(count.rule.as_ref()),
            word(count.check.as_ref()),
            count.count.to_string(),
            at(count.first_ms),
            at(count.last_ms),
        ]
    }));
    if others > 0 {
        let mut row = ["others", "-", "-", "", "-", "-"].map(str::to_owned);
        row[3] = others.to_string();
        rows.push(row);
    }
    output::columns(&rows, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts() -> Vec<DeadLetterCount> {
        let count = |reason: &str, rule: Option<&str>, count| DeadLetterCount {
            reason: reason.into(),
            rule: rule.map(Into::into),
            check: rule.map(|_| "positive".into()),
            count,
            first_ms: Some(1_767_225_600_000),
            last_ms: Some(1_767_229_200_500),
        };
        vec![
            count("Quality", Some("orders-sane"), 17),
            count("Decode", None, 3),
            count("\u{1b}[2J", None, 1),
        ]
    }

    #[test]
    fn counts_are_rows_for_people_and_objects_for_programs() {
        insta::assert_snapshot!(format!(
            "{}\n{:#}",
            table(&counts(), 2),
            as_json(&counts()[..2], 2, 22, true)
        ));
    }

    #[test]
    fn a_count_that_is_not_of_all_is_no_success() {
        let line = |complete: bool| {
            let mut tally = Tally::new(Form::Text, "orders", false);
            let text = format!(
                r#"{{"peek":"counts","counts":[],"others":0,"read":5,"complete":{complete}}}"#
            );
            assert!(tally.line(&text) && tally.is_over());
            tally.end()
        };
        assert_eq!((line(true), line(false)), (End::Fine, End::Problems));
    }
}
