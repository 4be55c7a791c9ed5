//! What a Replay would do, for people and for programs.

use headworks_crds::ReplaySpec;
use headworks_plan::{PeekLine, PreviewKind, PreviewRefusal, ReplayPreview};
use k8s_openapi::jiff::Timestamp;
use serde_json::Value;

use super::super::peek::reading::Listener;
use super::super::peek::{show, wrong};
use super::Form;
use crate::End;
use crate::output::{self, note};

/// What came of it.
pub(super) struct Told {
    form: Form,
    name: String,
    /// `dead letters of orders`.
    from: String,
    /// `into stream orders`.
    into: String,
    /// What it selects by.
    filters: Vec<String>,
    end: Option<End>,
}

impl Told {
    pub(super) fn new(form: Form, name: String, spec: &ReplaySpec) -> Told {
        let what = if spec.from.dead_letter_of.is_some() {
            "dead letters of"
        } else {
            "records of"
        };
        let into = match spec.into_pipeline() {
            Some(pipeline) => format!("Pipeline {pipeline} alone"),
            None => format!("stream {}", spec.target()),
        };
        Told {
            form,
            name,
            from: format!("{what} {}", spec.source()),
            into,
            filters: spec.from.filters(),
            end: None,
        }
    }

    /// How it ended.
    pub(super) fn end(&self) -> End {
        self.end.unwrap_or(End::Fine)
    }

    fn print(&self, told: &ReplayPreview) {
        match self.form {
            Form::Text => output::text(&self.text(told)),
            Form::Json => output::json(&self.json(told)),
            Form::Yaml => {
                let text = serde_saphyr::to_string(&self.json(told)).unwrap_or_default();
                let lines = text.lines().map(show::printable);
                output::line(&lines.collect::<Vec<_>>().join("\n"));
            }
        }
    }

    fn json(&self, told: &ReplayPreview) -> Value {
        let mut json = serde_json::to_value(told).unwrap_or_default();
        json["replay"] = self.name.clone().into();
        json["into"] = self.into.clone().into();
        for (field, ms) in [("first", told.first_ms), ("last", told.last_ms)] {
            json[field] = time(ms).into();
        }
        if let Some(all) = json.as_object_mut() {
            for ours in ["firstMs", "lastMs", "rules"] {
                all.remove(ours);
            }
        }
        json
    }

    fn text(&self, told: &ReplayPreview) -> String {
        let mut rows = vec![
            ["REPLAY".to_owned(), self.name.clone()],
            ["FROM".to_owned(), self.from.clone()],
            ["INTO".to_owned(), self.into.clone()],
            [
                "SELECTED".to_owned(),
                format!("{} of {}", told.selected, told.read),
            ],
        ];
        if let (Some(first), Some(last)) = (time(told.first_ms), time(told.last_ms)) {
            rows.push(["BETWEEN".to_owned(), format!("{first} and {last}")]);
        }
        let refused: u64 = told.refused.iter().map(|refusal| refusal.count).sum();
        for (name, count, why) in [
            ("WRITTEN", told.written, ""),
            (
                "LEFT OUT",
                told.left_out,
                " (by the query, or a rule that drops)",
            ),
            ("REFUSED", refused, " (dead letters again)"),
            (
                "CUT OFF",
                told.truncated,
                " (not the whole record: they stay where they are)",
            ),
        ] {
            let why = if count == 0 { "" } else { why };
            rows.push([name.to_owned(), format!("{count}{why}")]);
        }
        let mut text = output::columns(&rows, "");
        if !told.kinds.is_empty() {
            text.push('\n');
            text.push_str(&kinds(&told.kinds, told.others));
        }
        if !told.refused.is_empty() {
            text.push('\n');
            text.push_str(&refusals(&told.refused));
        }
        text
    }
}

fn word(text: Option<&String>) -> String {
    let text = text.filter(|text| !text.is_empty());
    text.map_or_else(|| "-".to_owned(), |text| show::printable(text))
}

fn kinds(kinds: &[PreviewKind], others: u64) -> String {
    let mut rows = vec![["SELECTED", "REASON", "RULE", "CHECK", "BY"].map(str::to_owned)];
    rows.extend(kinds.iter().map(|kind| {
        [
            kind.count.to_string(),
            word(Some(&kind.reason)),
            word(kind.rule.as_ref()),
            word(kind.check.as_ref()),
            word(kind.by.as_ref()),
        ]
    }));
    if others > 0 {
        let mut row = ["", "others", "-", "-", "-"].map(str::to_owned);
        row[0] = others.to_string();
        rows.push(row);
    }
    output::columns(&rows, "")
}

fn refusals(refused: &[PreviewRefusal]) -> String {
    let mut rows =
        vec![["REFUSED", "REASON", "RULE", "CHECK", "FIRST AT", "WHY"].map(str::to_owned)];
    rows.extend(refused.iter().map(|one| {
        [
            one.count.to_string(),
            word(Some(&one.reason)),
            word(one.rule.as_ref()),
            word(one.check.as_ref()),
            show::printable(&one.at),
            one.message.as_deref().map_or_else(
                || "may quote a masked field; --unmask shows it".to_owned(),
                show::printable,
            ),
        ]
    }));
    output::columns(&rows, "")
}

fn time(ms: Option<i64>) -> Option<String> {
    let at = Timestamp::from_millisecond(ms?).ok()?;
    Some(format!("{at:.3}"))
}

impl Listener for Told {
    fn is_over(&self) -> bool {
        self.end.is_some()
    }

    fn line(&mut self, text: &str) -> bool {
        match serde_json::from_str(text) {
            Ok(PeekLine::Replay(told)) => {
                self.print(&told);
                let refused = !told.refused.is_empty() || told.truncated > 0;
                self.end = Some(if !told.complete {
                    wrong(format!(
                        "time was over when {} records had been read, and not all: give it longer with --timeout",
                        told.read
                    ))
                } else if told.selected == 0 && told.read > 0 && !self.filters.is_empty() {
                    let by = show::printable(&self.filters.join("; "));
                    note(&format!(
                        "nothing is selected: none of {} {} has {by}",
                        told.read, self.from
                    ));
                    End::Problems
                } else if refused {
                    End::Problems
                } else {
                    End::Fine
                });
            }
            Ok(PeekLine::Note { message }) => note(&show::printable(&message)),
            Ok(PeekLine::Failed { reason, message }) => {
                self.end = Some(wrong(show::failed(&reason, &message)));
            }
            _ => note(&show::printable(text)),
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told() -> ReplayPreview {
        let kind = |reason: &str, by: &str, count| PreviewKind {
            reason: reason.into(),
            rule: (reason == "Quality").then(|| "orders-sane".into()),
            check: (reason == "Quality").then(|| "positive".into()),
            by: Some(by.into()),
            count,
        };
        let refusal = |reason: &str, message: Option<&str>| PreviewRefusal {
            reason: reason.into(),
            count: 2,
            at: "0:7".into(),
            message: message.map(Into::into),
            ..PreviewRefusal::default()
        };
        ReplayPreview {
            read: 120,
            complete: true,
            selected: 40,
            truncated: 1,
            first_ms: Some(1_767_225_600_000),
            last_ms: Some(1_767_229_200_500),
            kinds: vec![
                kind("Quality", "shop/web", 30),
                kind("Evaluation", "shop/\u{1b}[2J", 10),
            ],
            written: 35,
            left_out: 1,
            refused: vec![
                refusal("Evaluation", None),
                refusal("Decode", Some("no JSON")),
            ],
            ..ReplayPreview::default()
        }
    }

    fn spec(into: &Value) -> ReplaySpec {
        serde_json::from_value(json!({"from": {"deadLetterOf": "orders"}, "into": into})).unwrap()
    }

    #[test]
    fn it_is_a_text_for_people_and_an_object_for_programs() {
        let shown = Told::new(
            Form::Text,
            "again".into(),
            &spec(&json!({"pipeline": "clean"})),
        );
        insta::assert_snapshot!(format!(
            "{}\n{:#}",
            shown.text(&told()),
            shown.json(&told())
        ));
    }

    #[test]
    fn one_that_leaves_something_behind_is_no_success() {
        let by = |rules: &[&str], change: fn(&mut ReplayPreview)| {
            let mut preview = told();
            change(&mut preview);
            let mut spec = spec(&json!({"stream": "b"}));
            spec.from.rules = rules.iter().map(|&rule| rule.to_owned()).collect();
            let mut shown = Told::new(Form::Text, "again".into(), &spec);
            let line = serde_json::to_string(&PeekLine::Replay(Box::new(preview))).unwrap();
            assert!(shown.line(&line) && shown.is_over());
            shown.end()
        };
        let of = |change| by(&[], change);
        let nothing: fn(&mut ReplayPreview) = |told| {
            told.refused.clear();
            (told.truncated, told.selected) = (0, 0);
        };
        assert_eq!(by(&["ordrs-sane"], nothing), End::Problems);
        assert_eq!(of(nothing), End::Fine);
        assert_eq!(of(|_| {}), End::Problems);
        assert_eq!(
            of(|told| {
                told.refused.clear();
                told.truncated = 0;
            }),
            End::Fine
        );
        assert_eq!(
            of(|told| {
                told.refused.clear();
                told.truncated = 0;
                told.complete = false;
            }),
            End::Problems
        );
    }
}
