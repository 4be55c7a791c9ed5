//! `headworks explain rule`: the Pipelines that a QualityRule will own, with their queries.

use std::fmt::Write;
use std::path::PathBuf;

use headworks_crds::{Duration, QualityRule};
use headworks_operator::planning::rules::monitor::{self, Judges, Monitors};
use headworks_operator::planning::rules::{self, Named};
use serde::Serialize;

use crate::End;
use crate::object::Object;
use crate::output::{self, Form};

#[derive(Debug, clap::Args)]
pub struct OfRule {
    /// NAME or NAMESPACE/NAME. May be left out where the files hold one QualityRule.
    name: Option<String>,
    /// Files or folders with the rule and its stream. Of a rule in a cluster, its monitors' Pipelines have the queries.
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true)]
    files: Vec<PathBuf>,
    /// Namespace of objects that name none.
    #[arg(short, long)]
    namespace: Option<String>,
    /// How it is written.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Explanation {
    namespace: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    verdicts: Option<String>,
    monitors: Vec<Monitor>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Monitor {
    pipeline: String,
    window: String,
    checks: Vec<String>,
    sql: String,
}

pub fn explain(of: &OfRule) -> Result<End, End> {
    let (namespace, name) = match of.name.as_deref().and_then(|n| n.split_once('/')) {
        Some((namespace, name)) => (Some(namespace), Some(name)),
        None => (of.namespace.as_deref(), of.name.as_deref()),
    };
    let checked = super::super::load(&of.files, namespace.unwrap_or("default"), true)?;
    let mut found: Vec<(&Object, &QualityRule)> = checked
        .world
        .quality_rules()
        .filter(|(object, _)| name.is_none_or(|name| name == object.name))
        .filter(|(object, _)| namespace.is_none_or(|n| n == object.namespace))
        .collect();
    let told = |what: &str| {
        let errors: Vec<String> = checked.findings.iter().map(ToString::to_string).collect();
        output::note(&format!("headworks: {what}\n{}", errors.join("\n")));
    };
    let Some((object, rule)) = found.pop() else {
        told("no such QualityRule");
        return Err(End::Problems);
    };
    if !found.is_empty() {
        output::note("headworks: there are several QualityRules: name one as NAMESPACE/NAME");
        return Err(End::Usage);
    }
    let contract = checked.world.contract(&object.namespace, &rule.spec.stream);
    let Some(contract) = contract else {
        told(&format!(
            "DataStream {} isn't in the files",
            rule.spec.stream
        ));
        return Err(End::Problems);
    };
    let named = Named {
        name: &object.name,
        generation: 1,
        spec: &rule.spec,
    };
    let built = rules::plan(named, contract).and_then(|_| monitor::of(named, contract));
    let Ok(monitors) = built else {
        told("the QualityRule is wrong:");
        return Err(End::Problems);
    };
    let explanation = explanation(object, monitors);
    match of.output {
        Form::Json => output::json(&explanation),
        Form::Text => output::text(&text(&explanation)),
    }
    Ok(End::Fine)
}

fn explanation(object: &Object, monitors: Option<Monitors>) -> Explanation {
    let verdicts = monitors.as_ref().map(|all| all.verdicts.clone());
    let queries = monitors.into_iter().flat_map(|all| all.queries);
    let monitors = queries.map(|one| Monitor {
        pipeline: one.name,
        window: Duration::from_millis(one.window_ms).to_string(),
        checks: match one.judges {
            Judges::Windows(checks) => checks,
            Judges::Keys(check) => vec![check],
        },
        sql: one.sql,
    });
    Explanation {
        namespace: object.namespace.clone(),
        name: object.name.clone(),
        verdicts,
        monitors: monitors.collect(),
    }
}

fn text(of: &Explanation) -> String {
    let mut text = format!("QualityRule {}/{}\n", of.namespace, of.name);
    let Some(verdicts) = &of.verdicts else {
        text.push_str("\nAll its checks are about each record by itself: it has no monitor.\n");
        return text;
    };
    for one in &of.monitors {
        let checks = if one.checks.is_empty() {
            "freshness alone".to_owned()
        } else {
            one.checks.join(", ")
        };
        let _ = write!(
            text,
            "\nPipeline {}, windows of {}: {checks}\n{}\n",
            one.pipeline,
            one.window,
            indented(&one.sql)
        );
    }
    let _ = writeln!(text, "\nVerdicts: DataStream {verdicts}");
    text
}

fn indented(sql: &str) -> String {
    let lines: Vec<String> = sql.lines().map(|line| format!("  {line}")).collect();
    lines.join("\n")
}
