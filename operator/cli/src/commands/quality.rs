//! `headworks quality plan`: what a QualityRule would do, before it is applied: the last hour of its stream is judged by it, by the code of
//! Pipelines, and nothing becomes of the records. Admission can't ask that: it reads no Kafka.

use std::path::PathBuf;

use headworks_crds::{Duration, QualityRule};
use headworks_operator::planning::rules::{Named, of_stream};
use headworks_plan::{
    CheckFigures, Delivery, Edge, Ends, OnBadRecord, OnOverflow, PeekLine, PeekSelection, PeekTask,
    PipelinePlan, ReplayPlan, ReplayPreview, Rule, RuleAction, StagePlan, StartFrom, Stream,
    stage_id,
};
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::ResourceExt;
use serde_json::{Value, json};

use super::peek::reading::{Access, Listener};
use super::peek::select::seconds;
use super::peek::{Wanted, show, wrong};
use super::replay::{Form, one};
use crate::cluster::block_on;
use crate::object::Typed;
use crate::output::{self, note};
use crate::{EXIT_CODES, End};

/// For how long records are read at most, in seconds.
const SECONDS: u64 = 600;
/// How far back, in seconds.
const HOUR: i64 = 3_600;

/// Arguments of `headworks quality`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Judges the last hour of a stream by a QualityRule in a file, and says how many records each check fails.
    #[command(after_help = EXIT_CODES)]
    Plan(Planned),
}

#[derive(Debug, clap::Args)]
struct Planned {
    /// The rule's name. May be left out where the files hold one.
    name: Option<String>,
    /// Files or folders; - is standard input.
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    access: Access,
    /// How far back records are judged, such as 15m, by Kafka's timestamps. Absent: 1h.
    #[arg(long, value_name = "DURATION")]
    since: Option<Duration>,
    /// For how long records are read at most, such as 30m. Absent: 10m.
    #[arg(long, value_name = "DURATION")]
    timeout: Option<Duration>,
    /// How it is written: for people, or as JSON or YAML.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

/// Does it.
pub fn run(arguments: &Arguments) -> End {
    let What::Plan(of) = &arguments.what;
    match block_on(plan(of)) {
        Ok(end) | Err(end) => end,
    }
}

async fn plan(of: &Planned) -> Result<End, End> {
    let cluster = of.access.connect().await?;
    let namespace = of.access.namespace(&cluster).to_owned();
    let (namespace, rule) = one(
        &of.files,
        &namespace,
        of.name.as_deref(),
        "QualityRule",
        |typed| match typed {
            Typed::QualityRule(rule) => Some((**rule).clone()),
            _ => None,
        },
    )?;
    let records = Wanted::Records;
    let stream = of
        .access
        .open(cluster, &namespace, &rule.spec.stream, records)
        .await?;
    let planned = planned(&rule, stream.stream())?;
    let back = of.since.as_ref().map(Duration::millis);
    let back = back.map_or(HOUR * 1_000, |ms| i64::try_from(ms).unwrap_or(i64::MAX));
    let since = Timestamp::now().checked_sub(SignedDuration::from_millis(back));
    let since = since.map_or(0, Timestamp::as_millisecond);
    let task = PeekTask::Replay(Box::new(judges(stream.stream(), planned.clone(), since)));
    let select = PeekSelection {
        limit: 1,
        seconds: seconds(of.timeout.as_ref(), SECONDS),
        ..PeekSelection::default()
    };
    let mut told = Told {
        form: of.output,
        rule: planned,
        end: None,
    };
    stream.read(task, select, &mut told).await?;
    Ok(told.end.unwrap_or(End::Fine))
}

/// As pods would be told of it.
fn planned(rule: &QualityRule, stream: &Stream) -> Result<Rule, End> {
    let name = rule.name_any();
    let mut spec = rule.spec.clone();
    spec.suspend = false;
    let named = Named {
        name: &name,
        generation: rule.metadata.generation.unwrap_or_default(),
        spec: &spec,
    };
    let mut found = of_stream([named], &stream.contract);
    if let Some(planned) = found.planned.pop() {
        return Ok(planned);
    }
    for fault in found.faults.into_values().flatten() {
        wrong(format!("{}: {}", fault.field, fault.message));
    }
    Err(End::Problems)
}

/// All of a stream's records from a time on, judged by a rule.
fn judges(stream: &Stream, rule: Rule, since_ms: i64) -> ReplayPlan {
    let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
    let fields = stream.contract.fields.iter();
    let columns: Vec<String> = fields.map(|field| quoted(&field.name)).collect();
    ReplayPlan {
        query: PipelinePlan {
            sql: format!(
                "SELECT {} FROM {}",
                columns.join(", "),
                quoted(&stream.name)
            ),
            inputs: vec![Stream {
                rules: vec![rule],
                ..stream.clone()
            }],
            outputs: vec![stream.clone()],
            delivery: Delivery::ExactlyOnce,
            commit_interval_ms: 1,
            start_from: StartFrom::Time(since_ms),
            on_bad_record: OnBadRecord::DeadLetter,
            on_overflow: OnOverflow::DeadLetter,
            stages: vec![StagePlan {
                id: stage_id::STREAMS.into(),
                runs: Some(0),
                group: String::new(),
                reads: vec![Edge::Stream(stream.name.clone())],
                ends: Ends::Streams { results: None },
                state: None,
                max_drift_ms: None,
            }],
            accept_data_loss: None,
            verdicts: None,
        },
        id: String::new(),
        end_ms: None,
        dead_letters: None,
        records_per_second: None,
        begun: false,
        into_pipeline: None,
    }
}

/// What came of it.
struct Told {
    form: Form,
    rule: Rule,
    end: Option<End>,
}

/// What a rule would do.
struct Verdict<'a> {
    /// Records that were judged.
    checked: u64,
    /// Records that would not go on.
    refused: u64,
    /// Records that can't be read, and aren't judged.
    unread: u64,
    checks: &'a [CheckFigures],
}

impl<'a> Verdict<'a> {
    fn of(told: &'a ReplayPreview) -> Verdict<'a> {
        let figures = told.rules.first();
        let by_rule = told.refused.iter().filter(|one| one.rule.is_some());
        let refused: u64 = by_rule.map(|one| one.count).sum();
        let unread = told.refused.iter().filter(|one| one.rule.is_none());
        Verdict {
            checked: figures.map_or(0, |figures| figures.checked),
            refused: refused + told.left_out,
            unread: unread.map(|one| one.count).sum(),
            checks: figures.map_or(&[][..], |figures| figures.checks.as_slice()),
        }
    }

    /// True: more than half of what is read wouldn't go on.
    fn is_too_strict(&self, told: &ReplayPreview) -> bool {
        self.refused > (told.selected - self.unread.min(told.selected)) / 2
    }
}

impl Told {
    fn action(&self, check: &str) -> &'static str {
        let mut checks = self.rule.checks.iter();
        match checks.find(|one| one.name == check).map(|one| one.action) {
            Some(RuleAction::Drop) => "Drop",
            Some(RuleAction::DeadLetter) => "Quarantine",
            Some(RuleAction::Stop) => "Stop",
            Some(RuleAction::Alert) | None => "counted",
        }
    }

    fn json(&self, verdict: &Verdict<'_>, told: &ReplayPreview) -> Value {
        let checks = verdict.checks.iter().map(|check| {
            json!({"check": check.name, "action": self.action(&check.name), "failed": check.failed,
                "lastAt": check.last_failure_place})
        });
        let checks: Vec<Value> = checks.collect();
        json!({"rule": self.rule.name, "read": told.read, "checked": verdict.checked, "refused": verdict.refused,
            "unreadable": verdict.unread, "complete": told.complete, "checks": checks})
    }

    fn text(&self, verdict: &Verdict<'_>) -> String {
        let mut rows = vec![["CHECK", "ACTION", "FAILED", "OF", "LAST AT"].map(str::to_owned)];
        rows.extend(verdict.checks.iter().map(|check| {
            [
                check.name.clone(),
                self.action(&check.name).to_owned(),
                check.failed.to_string(),
                verdict.checked.to_string(),
                check
                    .last_failure_place
                    .clone()
                    .unwrap_or_else(|| "-".to_owned()),
            ]
        }));
        output::columns(&rows, "")
    }

    fn told(&self, told: &ReplayPreview) -> End {
        let verdict = Verdict::of(told);
        match self.form {
            Form::Text => output::text(&self.text(&verdict)),
            Form::Json => output::json(&self.json(&verdict, told)),
            Form::Yaml => {
                let json = self.json(&verdict, told);
                let text = serde_saphyr::to_string(&json).unwrap_or_default();
                let lines = text.lines().map(show::printable);
                output::line(&lines.collect::<Vec<_>>().join("\n"));
            }
        }
        let (refused, read) = (verdict.refused, told.selected);
        let said = format!("{refused} of {read} records would not go on");
        if !told.complete {
            return wrong(format!(
                "{said}, but time was over before all were read: give it longer with --timeout, or judge less with --since"
            ));
        }
        if verdict.is_too_strict(told) {
            return wrong(format!(
                "{said}, which is more than half: is the rule meant so? First apply it with onError: Alert"
            ));
        }
        note(&said);
        End::Fine
    }
}

impl Listener for Told {
    fn is_over(&self) -> bool {
        self.end.is_some()
    }

    fn line(&mut self, text: &str) -> bool {
        match serde_json::from_str(text) {
            Ok(PeekLine::Replay(told)) => self.end = Some(self.told(&told)),
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
    use headworks_connectors::formats::FormatRegistry;
    use headworks_engine::{Preview, PreviewRecord};
    use headworks_plan::{Contract, Field};

    use super::*;

    fn contract(fields: &[(&str, &str)]) -> Contract {
        let fields = fields.iter();
        Contract {
            fields: fields
                .map(|(name, type_)| Field::new(*name, *type_, false))
                .collect(),
            ..Contract::default()
        }
    }

    fn told(on_error: &str) -> (Told, ReplayPreview) {
        let stream = Stream {
            name: "orders".into(),
            topic: "t".into(),
            dead_letter_topic: "t.dlq".into(),
            contract: contract(&[("id", "string"), ("n", "bigint")]),
            max_message_bytes: 1_000_000,
            rules: Vec::new(),
        };
        let rule: QualityRule = serde_json::from_value(json!({"metadata": {"name": "sane"}, "spec": {"stream": "orders",
            "onError": on_error, "checks": [{"name": "small", "expression": "n < 3"}, {"name": "odd", "expression": "n % 2 = 1",
            "severity": "Warn"}]}}))
        .unwrap();
        let rule = planned(&rule, &stream).unwrap();
        let plan = judges(&stream, rule.clone(), 0);
        let mut preview = Preview::new(&plan, &FormatRegistry::default(), false).unwrap();
        let none = Vec::new();
        for offset in 0..8_i64 {
            let value = match offset {
                7 => "no JSON".to_owned(),
                n => format!(r#"{{"id":"r","n":{n}}}"#),
            };
            let record = PreviewRecord {
                partition: 1,
                offset,
                time_ms: None,
                key: None,
                value: Some(value.as_bytes()),
                headers: &none,
            };
            preview.add(&record).unwrap();
        }
        let told = Told {
            form: Form::Text,
            rule,
            end: None,
        };
        (told, preview.end(8, true).unwrap())
    }

    #[test]
    fn each_check_is_counted_and_a_rule_that_refuses_more_than_half_is_told() {
        for on_error in ["Quarantine", "Drop", "Stop"] {
            let (shown, told) = told(on_error);
            let verdict = Verdict::of(&told);
            // 3, 4, 5 and 6 of seven.
            assert_eq!(
                (verdict.checked, verdict.refused, verdict.unread),
                (7, 4, 1),
                "{on_error}"
            );
            assert_eq!(shown.told(&told), End::Problems);
            if on_error == "Quarantine" {
                insta::assert_snapshot!(format!(
                    "{}\n{:#}",
                    shown.text(&verdict),
                    shown.json(&verdict, &told)
                ));
            }
        }
        let (shown, told) = told("Alert");
        assert_eq!(Verdict::of(&told).refused, 0);
        assert_eq!(shown.told(&told), End::Fine);
    }

    #[test]
    fn a_rule_that_does_not_fit_is_told() {
        let stream = Stream {
            name: "orders".into(),
            topic: "t".into(),
            dead_letter_topic: "t.dlq".into(),
            contract: contract(&[("id", "string")]),
            max_message_bytes: 1,
            rules: Vec::new(),
        };
        let rule = json!({"metadata": {"name": "sane"}, "spec": {"stream": "orders", "checks": [{"expression": "m > 0"}]}});
        let rule: QualityRule = serde_json::from_value(rule).unwrap();
        assert_eq!(planned(&rule, &stream).unwrap_err(), End::Problems);
    }
}
