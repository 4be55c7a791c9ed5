//! The stages of a Pipeline: what each reads and writes, by which group, and how what it writes changes.

use headworks_crds::{Duration, Pipeline};
use headworks_operator::planning::stages::End;
use headworks_operator::planning::{self, check::unique_columns};
use headworks_plan::{Edge, names::version};
use headworks_sql::Branch;
use headworks_sql::dataflow::{Dataflow, Stage as Part};
use headworks_sql::join::{IntervalJoin, JoinKind, TemporalJoin, WindowJoin};
use headworks_sql::keyed::over::{Frame, Over, OverFunction};
use headworks_sql::keyed::{Aggregate, Function, Keyed, KeyedRows, Operator, Rank, Window};
use serde::Serialize;

use crate::local;
use crate::object::Object;
use crate::validate::{Planned, World};

/// A stage: what reads something, and ends in one system.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stage {
    /// What it ends in.
    ends_in: &'static str,
    /// Its consumer group.
    group: String,
    /// Topics it reads.
    reads: Vec<String>,
    /// True: one record may give several rows.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unnests: bool,
    /// Topics or tables it writes.
    writes: Vec<String>,
    /// How what it writes changes: `append`, or `upsert by (…)`. Only where there is state.
    #[serde(skip_serializing_if = "Option::is_none")]
    changes: Option<String>,
    /// The columns that bring rows together which go to the next stage.
    #[serde(skip_serializing_if = "Option::is_none")]
    repartitions_by: Option<Vec<String>>,
    /// What it keeps.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<State>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct State {
    key: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    window: Option<String>,
    computes: Vec<String>,
    memory: String,
    disk: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl: Option<String>,
    allowed_lateness: String,
    changelog: String,
    version: String,
    #[serde(skip)]
    by_event_time: bool,
    #[serde(skip)]
    is_over: bool,
}

/// The stages, in the order in which records pass them.
pub fn stages(
    world: &World,
    object: &Object,
    pipeline: &Pipeline,
    planned: &Planned,
) -> Vec<Stage> {
    let namespace = &object.namespace;
    let topic = |name: &str| {
        let contract = world.contract(namespace, name).cloned().unwrap_or_default();
        local::stream(world, namespace, name, contract).topic
    };
    let installation = world
        .platform(&pipeline.spec.platform)
        .and_then(|p| {
            let given = p.spec.kafka.installation.clone();
            given.or_else(|| p.status.as_ref().and_then(|s| s.installation.clone()))
        })
        .unwrap_or_else(|| "<installation>".to_owned());
    let dataflow = &planned.dataflow;
    let names = planning::stages::names(&installation, namespace, &object.name, dataflow);
    let stages = planning::stages::stages(dataflow, &planned.inputs, &pipeline.spec.to, &names);
    let written: Vec<String> = pipeline
        .spec
        .to
        .iter()
        .filter_map(|to| to.stream.as_deref())
        .map(topic)
        .collect();
    let results = changes(dataflow);
    let one = |stage: &planning::stages::Stage| {
        let reads = stage.reads.iter().filter_map(|edge| match edge {
            Edge::Stream(name) => Some(topic(name)),
            Edge::Stage(id) => stages.iter().find(|one| one.id == *id).and_then(passed_on),
        });
        let (ends_in, writes) = match &stage.ends {
            End::Streams { results } => ("Kafka", written.iter().chain(results).cloned().collect()),
            End::Exchange(topic) => ("Kafka", vec![topic.clone()]),
            End::Table { store, table } => ("DataStore", vec![format!("table {table} of {store}")]),
        };
        // What of the query it runs, and what reads that by key.
        let part = stage.runs.and_then(|at| dataflow.stages.get(at));
        let mut exchanges = dataflow.stages.iter().flat_map(Part::exchanges);
        let by = exchanges.find(|exchange| Some(exchange.from) == stage.runs);
        let state = part.and_then(Part::stateful);
        let state = state.zip(stage.changelog.as_ref());
        Stage {
            ends_in,
            group: stage.group.clone(),
            reads: reads.collect(),
            unnests: part.is_some_and(unnests),
            writes,
            changes: dataflow.keeps_state().then(|| match (by, &stage.ends) {
                (Some(_), _) => "append".to_owned(),
                (None, End::Table { store, table }) => {
                    replaced(pipeline, store, table).unwrap_or_else(|| results.clone())
                }
                (None, _) => results.clone(),
            }),
            repartitions_by: by.map(|exchange| key(&exchange.rows)),
            state: state
                .map(|((rows, keyed), changelog)| kept(pipeline, rows, keyed, changelog.clone())),
        }
    };
    stages.iter().map(one).collect()
}

/// True: UNNEST or GROUPING SETS make several rows of one, before its state or after it.
fn unnests(part: &Part) -> bool {
    let finish = part.keyed.iter().map(|keyed| &keyed.finish);
    part.branches().chain(finish).any(Branch::multiplies)
}

/// The topic by which a stage's rows reach the stages after it.
fn passed_on(stage: &planning::stages::Stage) -> Option<String> {
    match &stage.ends {
        End::Streams { results } => results.clone(),
        End::Exchange(topic) => Some(topic.clone()),
        End::Table { .. } => None,
    }
}

/// How a table changes in which rows replace others, whatever the results are.
fn replaced(pipeline: &Pipeline, store: &str, table: &str) -> Option<String> {
    let mut tables = pipeline.spec.to.iter().filter_map(|to| to.table.as_ref());
    let target = tables.find(|of| of.store == *store && of.name == *table)?;
    (!target.key.is_empty()).then(|| format!("upsert by ({})", target.key.join(", ")))
}

/// How the query's results change.
fn changes(dataflow: &Dataflow) -> String {
    match unique_columns(dataflow).as_slice() {
        [] => "append".to_owned(),
        columns => format!("upsert by ({})", columns.join(", ")),
    }
}

fn kept(pipeline: &Pipeline, rows: &KeyedRows, keyed: &Keyed, changelog: String) -> State {
    let bounds = pipeline.spec.state.clone().unwrap_or_default();
    State {
        key: key(rows),
        window: keyed.window.map(window),
        computes: match &keyed.operator {
            Operator::Aggregate(list) => list.iter().map(|a| aggregate(rows, a)).collect(),
            Operator::Rank(of) => vec![rank(rows, of)],
            Operator::IntervalJoin(of) => vec![join(of)],
            Operator::WindowJoin(of) => vec![window_join(of)],
            Operator::TemporalJoin(of) => vec![temporal_join(of)],
            Operator::Over(of) => over(rows, of),
        },
        memory: bounds.memory.to_string(),
        disk: bounds.most_disk().to_string(),
        // A window's state ends with it.
        ttl: bounds
            .ttl
            .filter(|_| !keyed.by_event_time())
            .map(|ttl| ttl.to_string()),
        by_event_time: keyed.by_event_time(),
        is_over: keyed.operator.is_over() || matches!(keyed.operator, Operator::TemporalJoin(_)),
        allowed_lateness: pipeline.spec.allowed_lateness.to_string(),
        changelog,
        version: version(&keyed.fingerprint),
    }
}

/// Columns of the key, as the query names them.
fn key(rows: &KeyedRows) -> Vec<String> {
    (0..rows.keys).map(|at| column(rows, at)).collect()
}

/// A column of the rows; one that is computed has no name.
fn column(rows: &KeyedRows, at: usize) -> String {
    let name = rows.schema.columns.get(at).map(|c| c.name.as_str());
    match name.filter(|name| !name.contains('$')) {
        Some(name) => name.to_owned(),
        None => format!("expression {}", at + 1),
    }
}

fn window(window: Window) -> String {
    let text = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or_default()).to_string();
    let shifted = |offset: i64| match offset {
        0 => String::new(),
        ms => format!(", shifted by {}", text(ms)),
    };
    match window {
        Window::Tumble { size, offset } => format!("TUMBLE {}{}", text(size), shifted(offset)),
        Window::Hop {
            size,
            slide,
            offset,
        } => format!(
            "HOP {} every {}{}",
            text(size),
            text(slide),
            shifted(offset)
        ),
        Window::Cumulate { max, step, offset } => format!(
            "CUMULATE {} in steps of {}{}",
            text(max),
            text(step),
            shifted(offset)
        ),
        Window::Session { gap } => format!("SESSION, a gap of {}", text(gap)),
    }
}

fn aggregate(rows: &KeyedRows, of: &Aggregate) -> String {
    let function = match &of.function {
        Function::Count => "COUNT",
        Function::Sum => "SUM",
        Function::Min => "MIN",
        Function::Max => "MAX",
        Function::Avg => "AVG",
        Function::StddevPop => "STDDEV_POP",
        Function::StddevSamp => "STDDEV_SAMP",
        Function::VarPop => "VAR_POP",
        Function::VarSamp => "VAR_SAMP",
        Function::FirstValue => "FIRST_VALUE",
        Function::LastValue => "LAST_VALUE",
        Function::ListAgg(_) => "LISTAGG",
        Function::ArrayAgg { .. } => "ARRAY_AGG",
    };
    let argument = of
        .argument
        .map_or_else(|| "*".to_owned(), |at| column(rows, at));
    let distinct = if of.distinct { "DISTINCT " } else { "" };
    let filter = of.filter.map_or_else(String::new, |at| {
        format!(" FILTER (WHERE {})", column(rows, at))
    });
    format!("{function}({distinct}{argument}){filter}")
}

fn rank(rows: &KeyedRows, of: &Rank) -> String {
    let order: Vec<String> = of
        .order
        .iter()
        .map(|order| {
            let direction = if order.descending { " DESC" } else { "" };
            format!("{}{direction}", column(rows, order.column))
        })
        .collect();
    format!("the first {} by {}", of.limit, order.join(", "))
}

fn join(of: &IntervalJoin) -> String {
    let text = |ms: i64| {
        let length = Duration::from_millis(ms.unsigned_abs());
        format!("{length} {}", if ms < 0 { "before" } else { "after" })
    };
    format!(
        "{} JOIN, the left row from {} to {} the right one",
        join_kind(of.kind),
        text(of.lower),
        text(of.upper)
    )
}

fn join_kind(of: JoinKind) -> &'static str {
    match of {
        JoinKind::Inner => "INNER",
        JoinKind::Left => "LEFT",
        JoinKind::Right => "RIGHT",
        JoinKind::Full => "FULL",
        JoinKind::Semi => "SEMI",
        JoinKind::Anti => "ANTI",
    }
}

fn window_join(of: &WindowJoin) -> String {
    format!("{} JOIN, rows of one window", join_kind(of.join.kind))
}

fn temporal_join(of: &TemporalJoin) -> String {
    let kind = if of.outer { "LEFT" } else { "INNER" };
    format!("{kind} JOIN, the left row with the version that was valid at its time")
}

/// What is computed for each row, and over which rows.
fn over(rows: &KeyedRows, of: &Over) -> Vec<String> {
    let frame = match of.frame {
        Frame::Rows { preceding: None } => "all rows before it".to_owned(),
        Frame::Rows { preceding: Some(n) } => format!("the {n} rows before it"),
        Frame::Range { preceding_ms: None } => "all rows up to its time".to_owned(),
        Frame::Range {
            preceding_ms: Some(ms),
        } => format!(
            "the rows of {} before it and of its time",
            Duration::from_millis(ms.unsigned_abs())
        ),
    };
    let function = |function: &OverFunction| match function {
        OverFunction::Aggregate(of) => format!("{} over {frame}", aggregate(rows, of)),
        OverFunction::Lag {
            column: of, offset, ..
        } => {
            format!("{} of {offset} rows before", column(rows, *of))
        }
        OverFunction::RowNumber => "the row's number".to_owned(),
        OverFunction::Rank => "its rank by event time".to_owned(),
        OverFunction::DenseRank => "its dense rank by event time".to_owned(),
    };
    of.functions.iter().map(function).collect()
}

/// Stages as text.
pub fn text(stages: &[Stage]) -> String {
    let mut text = String::new();
    for (at, stage) in (1..).zip(stages) {
        let changes = stage
            .changes
            .as_ref()
            .map(|how| format!(" ({how})"))
            .unwrap_or_default();
        text.push_str(&format!(
            "  {at}. ends in {}\n     reads   {}{}\n",
            stage.ends_in,
            stage.reads.join(", "),
            if stage.unnests {
                ", of each none or several rows"
            } else {
                ""
            }
        ));
        if let Some(state) = &stage.state {
            text.push_str(&of_state(state));
        }
        text.push_str(&format!(
            "     writes  {}{changes}{}\n     group   {}\n",
            stage.writes.join(", "),
            stage
                .repartitions_by
                .as_ref()
                .map(|key| format!(", rows by {}", by(key)))
                .unwrap_or_default(),
            stage.group
        ));
    }
    text
}

fn by(key: &[String]) -> String {
    if key.is_empty() {
        "one key".to_owned()
    } else {
        format!("({})", key.join(", "))
    }
}

fn of_state(state: &State) -> String {
    let mut text = format!("     keeps   for {}", by(&state.key));
    if let Some(window) = &state.window {
        text.push_str(&format!(" and {window}"));
    }
    text.push_str(&format!(": {}\n", state.computes.join(", ")));
    text.push_str(&match (&state.window, &state.ttl) {
        (Some(_), _) => format!(
            "     until   the watermark is at the window's end plus {} (allowedLateness); then the result is written, once\n",
            state.allowed_lateness
        ),
        (None, _) if state.is_over => format!(
            "     until   the watermark has passed the row by {} (allowedLateness), which is written then, once; and longer where later rows look back on it\n",
            state.allowed_lateness
        ),
        (None, _) if state.by_event_time => format!(
            "     until   the watermark has passed a row's last partner by {} (allowedLateness)\n",
            state.allowed_lateness
        ),
        (None, Some(ttl)) => format!("     until   no row of the key came for {ttl} (state.ttl)\n"),
        (None, None) => "     until   for ever (state.ttl is absent)\n".to_owned(),
    });
    text.push_str(&format!(
        "     state   version {}, changelog {}, up to {} of memory and {} of disk in each pod\n",
        state.version, state.changelog, state.memory, state.disk
    ));
    text
}
