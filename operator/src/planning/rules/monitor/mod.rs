//! The checks of a QualityRule that are about many records, as queries: a monitor is a Pipeline of the rule's own, whose results say
//! of each window what was observed and whether it passed.
//!
//! All checks of the rule's window are one query, which gives one row a window. Each check for uniqueness is a query of its own, by its
//! key: only so does it keep as little of a key as any count by key, and run in as many pods as there are partitions. It gives a row for
//! each key that comes again; a window without such a row passed. So is each check for order, which gives a row for each record that is
//! out of it, and each of references, which gives one for each record that refers to nothing.
//!
//! All write one stream of verdicts with one contract, whatever the checks are: figures and verdicts are maps by the check's name.

mod anomaly;
mod distribution;
mod figures;
mod ordered;
mod query;
pub mod references;
#[cfg(test)]
mod tests;

use headworks_crds::{Duration, QualityCheck, QualityRuleSpec, SpecFault};
use headworks_plan::{Contract, Field, VerdictColumns};
use headworks_sql::{Catalog, schema::Schema};

use super::{Named, expressions};
use crate::names::digest;

/// A Pipeline's name has at most so many characters.
const MAX_NAME: usize = 48;
/// Most checks for uniqueness of one rule, most for order, and most of references: each is a Pipeline.
const MAX_OF_KEYS: usize = 8;
/// What is judged by key, and what its Pipelines are called after.
const OF_KEYS: [&str; 3] = ["unique", "ordered", "references"];

/// What a rule's checks of many records come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitors {
    /// Name of the stream of verdicts.
    pub verdicts: String,
    /// The queries, each a Pipeline.
    pub queries: Vec<Monitor>,
}

/// A query that judges windows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Monitor {
    /// Name of the Pipeline.
    pub name: String,
    /// The query.
    pub sql: String,
    /// What is judged, digested: verdicts of another are of another version of the rule.
    pub of: String,
    /// The window's length, in milliseconds.
    pub window_ms: u64,
    /// What it judges.
    pub judges: Judges,
}

/// What a monitor judges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judges {
    /// These checks, one row a window.
    Windows(Vec<String>),
    /// This check, one row for each key of a window that comes again, or for each record of it that is out of order or refers to nothing.
    Keys(String),
}

/// Names of the objects that a rule owns, which don't depend on its stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Names {
    /// The stream of verdicts.
    pub verdicts: String,
    /// The Pipelines.
    pub pipelines: Vec<String>,
}

fn is_of_keys(check: &QualityCheck) -> bool {
    check.kind().is_some_and(|kind| OF_KEYS.contains(&kind))
}

/// What a rule's objects are called; none where it has no check of many records.
pub fn names(rule: &str, spec: &QualityRuleSpec) -> Option<Names> {
    let count = |kind: &str| {
        let of = spec
            .checks
            .iter()
            .filter(|check| check.kind() == Some(kind));
        of.count().min(MAX_OF_KEYS)
    };
    let mut of_set = spec.checks.iter().filter(|check| check.is_of_set());
    let windows = of_set.any(|check| !is_of_keys(check));
    let mut pipelines = Vec::new();
    pipelines.extend(windows.then(|| folded(rule, "monitor")));
    for kind in OF_KEYS {
        pipelines.extend((1..=count(kind)).map(|n| folded(rule, &format!("{kind}-{n}"))));
    }
    if pipelines.is_empty() {
        return None;
    }
    Some(Names {
        verdicts: folded(rule, "verdicts"),
        pipelines,
    })
}

/// The contract of a stream of verdicts.
pub fn contract() -> [Field; 7] {
    let field = |name: &str, data_type: &str, nullable: bool| Field::new(name, data_type, nullable);
    [
        field("window_start", "timestamp(3)", false),
        field("window_end", "timestamp(3)", false),
        field("window_time", "timestamp_ltz(3)", false),
        field("records", "bigint", false),
        field("observed", "map<string,string>", false),
        field("passed", "map<string,boolean>", false),
        field("repeated_key", "string", true),
    ]
}

/// Which columns of a monitor's query say what it found.
pub fn columns(of: String) -> VerdictColumns {
    VerdictColumns {
        of,
        window_end: "window_end".to_owned(),
        records: "records".to_owned(),
        observed: "observed".to_owned(),
        passed: "passed".to_owned(),
    }
}

/// What is judged by a query over streams as they are: digested, as plans and pods say it. Pure, so that whoever makes the Pipeline and
/// whoever reads its verdicts say the same.
pub fn digest_of(sql: &str) -> String {
    digest(sql.trim_end().as_bytes())[..16].to_owned()
}

/// The queries of a rule; none where it has no check of many records.
///
/// # Errors
/// Everything that is wrong with such a check, each with its place in the spec.
pub fn of(rule: Named<'_>, contract: &Contract) -> Result<Option<Monitors>, Vec<SpecFault>> {
    let spec = rule.spec;
    let checks: Vec<(usize, &QualityCheck)> = spec
        .checks
        .iter()
        .enumerate()
        .filter(|(_, check)| check.is_of_set())
        .collect();
    let Some((first, _)) = checks.first() else {
        return Ok(None);
    };
    let place = format!("checks[{first}]");
    let Ok(schema) = Schema::from_contract(contract) else {
        // Said of the whole rule already.
        return Ok(None);
    };
    let Some(time) = &contract.event_time else {
        return one_fault(
            &place,
            format!(
                "is about windows, and DataStream {} has no event time: give it spec.eventTime, or check each record by itself",
                spec.stream
            ),
        );
    };
    if contract.compacted {
        return one_fault(
            &place,
            format!(
                "is about windows, and DataStream {} is compacted: its records replace each other, and windows are of records that stay",
                spec.stream
            ),
        );
    }
    let from = query::From {
        stream: &spec.stream,
        time: &time.field,
        filter: spec.filter.as_deref(),
        schema: &schema,
        key: &contract.key,
    };
    let mut faults = Vec::new();
    let mut queries = Vec::new();
    queries.extend(windows(rule.name, spec, &checks, &from, &mut faults));
    for kind in OF_KEYS {
        let of = checks
            .iter()
            .filter(|(_, check)| check.kind() == Some(kind));
        for (number, (index, check)) in (1..).zip(of) {
            if number > MAX_OF_KEYS {
                faults.push(SpecFault::at(
                    &format!("checks[{index}].{kind}"),
                    format!("a rule has at most {MAX_OF_KEYS} of these, since each is a Pipeline: make another rule"),
                ));
                continue;
            }
            let name = folded(rule.name, &format!("{kind}-{number}"));
            match of_keys(name, check.called(*index), check, (spec, &from)) {
                Ok(monitor) => queries.extend(monitor),
                Err(fault) => faults.push(at(*index, fault)),
            }
        }
    }
    if faults.is_empty() {
        faults = uncompiled(&queries, spec, contract, &place);
    }
    if faults.is_empty() {
        let verdicts = folded(rule.name, "verdicts");
        Ok(Some(Monitors { verdicts, queries }))
    } else {
        Err(faults)
    }
}

/// The query of all checks of the rule's window, where there is one to make.
fn windows(
    name: &str,
    spec: &QualityRuleSpec,
    checks: &[(usize, &QualityCheck)],
    from: &query::From<'_>,
    faults: &mut Vec<SpecFault>,
) -> Option<Monitor> {
    let before = faults.len();
    let (mut all, mut fresh) = (Vec::new(), false);
    for (index, check) in checks {
        fresh |= check.freshness.is_some();
        match figures::of(check, from.schema, spec.window.millis()) {
            Ok(Some(figure)) => all.push((check.called(*index), figure)),
            Ok(None) => {}
            Err(fault) => faults.push(at(*index, fault)),
        }
    }
    if (all.is_empty() && !fresh) || faults.len() > before {
        return None;
    }
    let interval = match interval(&spec.window, "window") {
        Ok(interval) => interval,
        Err(fault) => {
            faults.push(SpecFault::at("window", fault.message));
            return None;
        }
    };
    let sql = query::of_windows(from, &all, &interval);
    let names = all.into_iter().map(|(name, _)| name).collect();
    let name = folded(name, "monitor");
    Some(monitor(name, sql, &spec.window, Judges::Windows(names)))
}

/// The monitor of a check that is judged by key.
fn of_keys(
    name: String,
    called: String,
    check: &QualityCheck,
    (spec, from): (&QualityRuleSpec, &query::From<'_>),
) -> Result<Option<Monitor>, expressions::Fault> {
    let (window, sql) = if let Some(unique) = &check.unique {
        let window = unique.within.as_ref().unwrap_or(&spec.window);
        let interval = interval(window, "unique.within")?;
        (window, query::of_keys(from, unique, &called, &interval)?)
    } else if let Some(ordered) = &check.ordered {
        let window = &spec.window;
        interval(window, "ordered")?;
        let seconds = window.millis() / 1_000;
        (window, ordered::of_order(from, ordered, &called, seconds)?)
    } else if let Some(references) = &check.references {
        let window = &spec.window;
        interval(window, "references")?;
        let seconds = window.millis() / 1_000;
        let sql = references::of_references(from, references, &called, seconds)?;
        (window, sql)
    } else {
        return Ok(None);
    };
    Ok(Some(monitor(name, sql, window, Judges::Keys(called))))
}

fn monitor(name: String, sql: String, window: &Duration, judges: Judges) -> Monitor {
    Monitor {
        name,
        of: digest_of(&sql),
        sql,
        window_ms: window.millis(),
        judges,
    }
}

/// What the front end says of queries; of a user's own text with its place in it.
fn uncompiled(
    queries: &[Monitor],
    spec: &QualityRuleSpec,
    contract: &Contract,
    place: &str,
) -> Vec<SpecFault> {
    let catalog = Catalog::new().with(&spec.stream, contract.clone());
    let catalog = references::assumed(catalog, spec, contract);
    let mut faults = Vec::new();
    for (index, check) in spec.checks.iter().enumerate() {
        if let Some(text) = &check.having
            && let Err(errors) = query::having(&spec.stream, text, contract)
        {
            let at = format!("checks[{index}].having");
            faults.extend(errors.into_iter().map(|error| SpecFault::at(&at, error)));
        }
    }
    if !faults.is_empty() {
        return faults;
    }
    for query in queries {
        let Err(errors) = headworks_sql::plan(&query.sql, &catalog) else {
            continue;
        };
        let said = errors
            .into_iter()
            .map(|error| SpecFault::at(place, error.message));
        faults.extend(said);
    }
    faults
}

fn one_fault<T>(place: &str, message: String) -> Result<T, Vec<SpecFault>> {
    Err(vec![SpecFault::at(place, message)])
}

fn at(index: usize, fault: expressions::Fault) -> SpecFault {
    SpecFault::at(&format!("checks[{index}].{}", fault.at), fault.message)
}

/// A window's length as the dialect writes it.
fn interval(window: &Duration, place: &str) -> Result<String, expressions::Fault> {
    const UNITS: [(u64, &str); 4] = [
        (86_400_000, "DAY"),
        (3_600_000, "HOUR"),
        (60_000, "MINUTE"),
        (1_000, "SECOND"),
    ];
    let millis = window.millis();
    let unit = UNITS
        .iter()
        .find(|(unit, _)| millis >= *unit && millis.is_multiple_of(*unit));
    match unit {
        Some((unit, name)) => Ok(format!("INTERVAL '{}' {name}", millis / unit)),
        None => expressions::fault(
            place,
            "a window is of whole seconds: write it so, such as 5m",
        ),
    }
}

/// The name of what a rule owns: one that a Pipeline may have. Where the rule's own doesn't fit, a digest of it tells which.
fn folded(rule: &str, what: &str) -> String {
    let whole = format!("{rule}-{what}");
    let letter = rule.starts_with(|c: char| c.is_ascii_lowercase());
    if whole.len() <= MAX_NAME && letter {
        return whole;
    }
    let tail = format!("-{}-{what}", &digest(rule.as_bytes())[..8]);
    let room = MAX_NAME.saturating_sub(tail.len() + 2);
    let head: String = rule.chars().take(room).collect();
    format!("q-{}{tail}", head.trim_end_matches('-'))
}
