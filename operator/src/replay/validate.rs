//! A Replay's spec by itself, and against the contracts. Pure. After this nothing rejects.

use headworks_crds::{ReplaySpec, SpecFault};
use headworks_plan::Contract;
use headworks_sql::{Branch, Catalog, Dataflow, Overflow, SqlError, target};
use k8s_openapi::jiff::Timestamp;

use crate::{
    planning::{check::stream_fault, query},
    reason::ConditionReason,
    retry::Error,
};

/// Lines of the query before the condition of `spec.from.where`.
const BEFORE: u32 = 2;

/// What is wrong with the spec by itself.
pub fn spec_faults(spec: &ReplaySpec) -> Vec<SpecFault> {
    let mut faults = Vec::new();
    let from = &spec.from;
    let into_stream = spec.into_pipeline().is_none();
    if into_stream && from.stream.is_some() && spec.source() == spec.target() {
        let field = if spec.into.is_some() {
            "into.stream"
        } else {
            "into"
        };
        faults.push(SpecFault::at(
            field,
            "a stream that is replayed into itself has each of its records twice; name another stream",
        ));
    }
    if from.condition.is_some() && spec.fix.is_some() {
        faults.push(SpecFault::at(
            "from.where",
            "goes without a fix; write the condition in the WHERE of spec.fix",
        ));
    }
    if let (Some(start), Some(end)) = (&from.start, &from.end)
        && start.0 >= end.0
    {
        faults.push(SpecFault::at(
            "from.end",
            "must come after start: nothing lies between them",
        ));
    }
    faults
}

/// Checks the query over the contract of the stream that is read, against that of the one that is written. Gives the query.
///
/// # Errors
/// `InvalidSql`, `NotSupported` or `OutputMismatch`, with the place in the spec and the remedy.
pub fn check(spec: &ReplaySpec, source: &Contract, target: &Contract) -> Result<String, Error> {
    let name = spec.source();
    let sql = query_of(spec, source);
    if let Ok(inputs) = query::inputs(&sql)
        && let Some(other) = inputs.iter().find(|input| *input != name)
    {
        return Err(Error::stalled(
            ConditionReason::InvalidSql,
            format!(
                "{}: reads {other}; a Replay reads the stream that {} names, {name}, and no other",
                field(spec),
                spec.source_field()
            ),
        ));
    }
    // A repair that silently makes NULL of a number is none.
    let catalog = Catalog::new()
        .with(name.to_owned(), source.clone())
        .on_overflow(Overflow::from(headworks_plan::OnOverflow::DeadLetter));
    let dataflow = headworks_sql::plan(&sql, &catalog)
        .map_err(|errors| Error::stalled(ConditionReason::InvalidSql, places(spec, &errors)))?;
    if dataflow.keeps_state() || dataflow.stages.len() != 1 {
        return Err(Error::stalled(
            ConditionReason::NotSupported,
            format!(
                "{}: a Replay goes row by row: leave out GROUP BY, DISTINCT and ROW_NUMBER",
                field(spec)
            ),
        ));
    }
    check_target(spec, &dataflow, target)?;
    if spec.into_pipeline().is_some() && dataflow.branches().any(Branch::multiplies) {
        return Err(Error::stalled(
            ConditionReason::NotSupported,
            format!(
                "{}: UNNEST would give a Pipeline several records for one; write it in the Pipeline, or replay into a stream",
                field(spec)
            ),
        ));
    }
    let mut branches = dataflow.stages.iter().map(|stage| stage.branches().count());
    if spec.into_pipeline().is_some() && branches.any(|number| number > 1) {
        return Err(Error::stalled(
            ConditionReason::NotSupported,
            format!(
                "{}: UNION ALL would give a Pipeline several records for one; make a Replay for each part",
                field(spec)
            ),
        ));
    }
    Ok(sql)
}

/// The query that puts records right before a Pipeline sees them; none, where they go as they are. `sql` is what [`check`] gives.
pub fn fix(spec: &ReplaySpec, sql: String) -> Option<String> {
    (spec.fix.is_some() || spec.from.condition.is_some()).then_some(sql)
}

/// Whether the stream takes what the query gives.
fn check_target(spec: &ReplaySpec, dataflow: &Dataflow, contract: &Contract) -> Result<(), Error> {
    let (place, name) = (field(spec), spec.target());
    let misfit = |what: String| Error::stalled(ConditionReason::OutputMismatch, what);
    target::check(&dataflow.output, contract).map_err(|mismatches| {
        let list: Vec<String> = mismatches.iter().map(ToString::to_string).collect();
        misfit(format!(
            "{place}: the columns don't fit DataStream {name}: {}",
            list.join("; ")
        ))
    })?;
    if let Some(fault) = stream_fault(dataflow, name, contract) {
        return Err(misfit(format!("{place}: {fault}")));
    }
    // Nobody who may not read a labelled field is to read it in another.
    for column in &dataflow.output.columns {
        let held = contract.fields.iter().find(|f| f.name == column.name);
        let held = held.map_or(&[][..], |field| field.labels.as_slice());
        if let Some(label) = column.labels.iter().find(|label| !held.contains(label)) {
            return Err(misfit(format!(
                "{place}: column {column} carries label {label}, and field {column} of DataStream {name} doesn't have it; label the field, or leave the column out",
                column = column.name
            )));
        }
    }
    Ok(())
}

/// Fails for a part that begins before the oldest record that is kept.
///
/// # Errors
/// `WindowDeleted`.
pub fn check_window(
    spec: &ReplaySpec,
    retention_ms: Option<u64>,
    now: Timestamp,
) -> Result<(), Error> {
    let (Some(start), Some(retention)) = (&spec.from.start, retention_ms) else {
        return Ok(());
    };
    let retention = i64::try_from(retention).unwrap_or(i64::MAX);
    let kept = now.as_millisecond().saturating_sub(retention);
    if start.0.as_millisecond() >= kept {
        return Ok(());
    }
    let what = if spec.from.dead_letter_of.is_some() {
        "dead letters"
    } else {
        "records"
    };
    let oldest = Timestamp::from_second(kept.div_euclid(1_000)).unwrap_or(now);
    Err(Error::stalled(
        ConditionReason::WindowDeleted,
        format!(
            "spec.from.start: DataStream {} keeps its {what} since {oldest}, so some of this window may be deleted by retention; make a Replay that begins later, or one without start, which takes all that is kept",
            spec.source()
        ),
    ))
}

/// The query that is run.
fn query_of(spec: &ReplaySpec, source: &Contract) -> String {
    if let Some(fix) = &spec.fix {
        // Blanks at the end are YAML's, not the query's.
        return fix.trim_end().to_owned();
    }
    let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
    let columns: Vec<String> = source.fields.iter().map(|f| quoted(&f.name)).collect();
    let all = format!(
        "SELECT {} FROM {}",
        columns.join(", "),
        quoted(spec.source())
    );
    match &spec.from.condition {
        Some(condition) => format!("{all}\nWHERE (\n{}\n)", condition.trim_end()),
        None => all,
    }
}

/// Where the query stands in the spec.
fn field(spec: &ReplaySpec) -> &'static str {
    match (&spec.fix, &spec.from.condition) {
        (Some(_), _) => "spec.fix",
        (None, Some(_)) => "spec.from.where",
        (None, None) => spec.target_field(),
    }
}

/// `spec.fix line 3, column 12: …`.
fn places(spec: &ReplaySpec, errors: &[SqlError]) -> String {
    let before = if spec.fix.is_none() && spec.from.condition.is_some() {
        BEFORE
    } else {
        0
    };
    let list: Vec<String> = errors
        .iter()
        .map(|error| {
            let line = error.line.saturating_sub(before).max(1);
            let error = SqlError {
                line,
                ..error.clone()
            };
            format!("{} {error}", field(spec))
        })
        .collect();
    list.join("; ")
}

#[cfg(test)]
mod tests;
