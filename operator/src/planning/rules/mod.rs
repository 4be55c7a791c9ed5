//! A QualityRule against the contract of its stream: what pods are told of it, and what is wrong with it.
//!
//! Every check becomes one boolean expression of the SQL dialect, which is compiled here by the same front end as in the pods. So what is
//! accepted here runs there, and what is wrong is said with its place.
//!
//! Pure, so that the reconcile, admission and the command line ask the same.

mod contradictions;
mod expressions;
mod formats;
pub mod monitor;
mod number;
mod plans;
pub mod schema_match;
mod values;

use std::collections::BTreeMap;

use headworks_crds::{CheckSeverity, OnError, QualityCheck, QualityRuleSpec, SpecFault};
use headworks_plan::{Check, Contract, Rule, RuleAction};
use headworks_sql::{SqlError, schema::Schema};

use crate::rule_history;

pub use contradictions::between;
pub use plans::RulePlans;

/// Most rules of one stream.
pub const MAX_RULES: usize = 32;
/// Most bytes of one rule, as a plan has it. A plan has to fit a ConfigMap.
const MAX_TEXT: usize = 64 * 1024;
/// Most bytes of all rules of one stream, as a plan has them: a Pipeline may read several streams.
const MAX_STREAM_TEXT: usize = 128 * 1024;

/// A rule of a stream, as it stands in the cluster or in a file.
#[derive(Clone, Copy, Debug)]
pub struct Named<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its `metadata.generation`.
    pub generation: i64,
    /// What it says.
    pub spec: &'a QualityRuleSpec,
}

/// What the rules of one stream come to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct StreamRules {
    /// What pods are told, by name.
    pub planned: Vec<Rule>,
    /// What keeps each of the others out of the plans.
    pub faults: BTreeMap<String, Vec<SpecFault>>,
    /// Checks of the contract, by rule and check.
    pub of_contract: BTreeMap<String, BTreeMap<String, schema_match::Matched>>,
    /// The queries of those that have checks of many records, by name: also of one that is suspended, whose monitors rest.
    pub monitors: BTreeMap<String, monitor::Monitors>,
}

/// The rules of one stream by its contract, in any order. One with faults is in no plan and holds up no other; one that is suspended
/// is in no plan either.
pub fn of_stream<'a>(
    rules: impl IntoIterator<Item = Named<'a>>,
    contract: &Contract,
) -> StreamRules {
    let mut rules: Vec<Named<'_>> = rules.into_iter().collect();
    rules.sort_by_key(|rule| rule.name);
    let (mut found, mut text) = (StreamRules::default(), 0);
    for (index, rule) in rules.into_iter().enumerate() {
        // Before it is compiled: that many rules stand there must cost nothing.
        let planned = if index < MAX_RULES {
            plan(rule, contract)
        } else {
            Err(vec![SpecFault::at(
                "stream",
                format!(
                    "DataStream {} has more than {MAX_RULES} rules, and only the first of them by name are applied: put checks of several into one",
                    rule.spec.stream
                ),
            )])
        };
        let planned = match planned {
            Ok(planned) => planned,
            Err(faults) => {
                found.faults.insert(rule.name.to_owned(), faults);
                continue;
            }
        };
        let matched = schema_match::of(rule.spec, contract);
        if !matched.is_empty() {
            found.of_contract.insert(rule.name.to_owned(), matched);
        }
        // What is wrong with it was said by `plan`.
        if let Ok(Some(monitors)) = monitor::of(rule, contract) {
            found.monitors.insert(rule.name.to_owned(), monitors);
        }
        if rule.spec.suspend || planned.checks.is_empty() {
            continue;
        }
        let size = bytes(&planned);
        let stream = &rule.spec.stream;
        if text + size <= MAX_STREAM_TEXT {
            text += size;
            found.planned.push(planned);
            continue;
        }
        let fault = format!(
            "the rules of DataStream {stream} together have more than {MAX_STREAM_TEXT} bytes as pods are told of them: make them shorter, or take one away"
        );
        let faults = vec![SpecFault::at("stream", fault)];
        found.faults.insert(rule.name.to_owned(), faults);
    }
    found
}

/// What is wrong with a rule by itself, whatever its stream is: names, texts that are no expressions, patterns that are none.
pub fn own_faults(spec: &QualityRuleSpec) -> Vec<SpecFault> {
    let mut faults = Vec::new();
    if let Some(filter) = &spec.filter
        && let Err(error) = headworks_sql::parse_condition(filter)
    {
        faults.push(SpecFault::at("filter", error.to_string()));
    }
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    for (index, check) in spec.checks.iter().enumerate() {
        let place = |field: &str| format!("checks[{index}].{field}");
        for (kind, text) in [("expression", &check.expression), ("having", &check.having)] {
            if let Some(text) = text
                && let Err(error) = headworks_sql::parse_condition(text)
            {
                faults.push(SpecFault::at(&place(kind), error.to_string()));
            }
        }
        for (kind, pattern) in [
            ("pattern", &check.pattern),
            ("notMatching", &check.not_matching),
        ] {
            let regex = pattern.as_ref().map(|pattern| pattern.regex.as_str());
            if let Some(fault) = regex.and_then(expressions::regex_fault) {
                faults.push(SpecFault::at(&place(&format!("{kind}.regex")), fault));
            }
        }
        faults.extend(of_history(spec, index, check));
        faults.extend(schema_match::own_faults(check, index));
        let name = check.called(index);
        match names.get(&name) {
            Some(first) => faults.push(SpecFault::at(
                &place("name"),
                format!(
                    "\"{name}\" is what checks[{first}] is called, too: give one of them another name"
                ),
            )),
            None => {
                names.insert(name, index);
            }
        }
        let same = |other: &&QualityCheck| unnamed(other) == unnamed(check);
        if let Some(first) = spec.checks[..index].iter().position(|one| same(&one)) {
            faults.push(SpecFault::at(
                &format!("checks[{index}]"),
                format!("checks the same as checks[{first}]: take one of them away"),
            ));
        }
    }
    faults
}

/// What is wrong with a check that compares windows with earlier ones.
fn of_history(spec: &QualityRuleSpec, index: usize, check: &QualityCheck) -> Option<SpecFault> {
    rule_history::compared(check, spec)?;
    let kind = check.kind().unwrap_or_default();
    let before = &spec.checks[..index];
    let many = before
        .iter()
        .filter(|one| rule_history::compared(one, spec).is_some());
    if many.count() >= rule_history::MAX_HISTORIES {
        return Some(SpecFault::at(
            &format!("checks[{index}].{kind}"),
            format!(
                "a rule has at most {} checks with a history: make another rule",
                rule_history::MAX_HISTORIES
            ),
        ));
    }
    let reference = check.distribution.as_ref()?.reference.as_ref()?;
    let lookback = reference.lookback.as_ref()?;
    (lookback.millis() < spec.window.millis().saturating_mul(2)).then(|| {
        SpecFault::at(
            &format!("checks[{index}].distribution.reference.lookback"),
            format!(
                "is shorter than two windows of {}: look back further, or write window: Previous",
                spec.window
            ),
        )
    })
}

/// What a check checks, whatever it is called and however grave it is.
pub fn unnamed(check: &QualityCheck) -> QualityCheck {
    QualityCheck {
        name: None,
        severity: CheckSeverity::default(),
        ..check.clone()
    }
}

/// What becomes of a record that fails a check.
pub fn action(on_error: OnError, severity: CheckSeverity) -> RuleAction {
    match (severity, on_error) {
        (CheckSeverity::Warn, _) | (CheckSeverity::Error, OnError::Alert) => RuleAction::Alert,
        (CheckSeverity::Error, OnError::Quarantine) => RuleAction::DeadLetter,
        (CheckSeverity::Error, OnError::Drop) => RuleAction::Drop,
        (CheckSeverity::Error, OnError::Stop) => RuleAction::Stop,
    }
}

/// One rule by the contract of its stream, as pods are told of it.
///
/// # Errors
/// Everything that is wrong with it, each with its place in the spec.
pub fn plan(rule: Named<'_>, contract: &Contract) -> Result<Rule, Vec<SpecFault>> {
    let spec = rule.spec;
    let mut faults = own_faults(spec);
    if !faults.is_empty() {
        return Err(faults);
    }
    let schema = Schema::from_contract(contract).map_err(|error| {
        let message = format!(
            "the contract of DataStream {} is none: {error}",
            spec.stream
        );
        vec![SpecFault::at("stream", message)]
    })?;
    if let Some(filter) = &spec.filter
        && let Err(errors) = headworks_sql::expression(filter, &schema)
    {
        faults.extend(placed("filter", &errors));
    }
    let mut checks = Vec::with_capacity(spec.checks.len());
    for (index, check) in spec.checks.iter().enumerate() {
        if !check.is_of_record() {
            continue;
        }
        match one(check, &schema) {
            Ok(expression) => checks.push(Check {
                name: check.called(index),
                field: about(check, &expression, &schema),
                expression,
                action: action(spec.on_error, check.severity),
            }),
            Err(all) => faults.extend(all.into_iter().map(|fault| {
                SpecFault::at(&format!("checks[{index}].{}", fault.at), fault.message)
            })),
        }
    }
    // What a monitor's query says of a filter that is wrong is that once more.
    let filter = spec.filter.is_some() && !faults.is_empty();
    if !filter && let Err(more) = monitor::of(rule, contract) {
        faults.extend(more);
    }
    if faults.is_empty() {
        faults.extend(contradictions::of(spec, &schema));
    }
    let planned = Rule {
        name: rule.name.to_owned(),
        generation: rule.generation,
        filter: spec.filter.clone(),
        checks,
    };
    if bytes(&planned) > MAX_TEXT {
        faults.push(SpecFault::at(
            "checks",
            format!(
                "come to more than {MAX_TEXT} bytes as pods are told of them: make them shorter, or make several rules of them"
            ),
        ));
    }
    if faults.is_empty() {
        Ok(planned)
    } else {
        Err(faults)
    }
}

/// The expression of a check, which compiles.
fn one(check: &QualityCheck, schema: &Schema) -> Result<String, Vec<expressions::Fault>> {
    let built = expressions::of(check, schema).map_err(|fault| vec![fault])?;
    match headworks_sql::expression(&built.expression, schema) {
        Ok(_) => Ok(built.expression),
        // The user's own text has places; of ours only what is wrong counts.
        Err(errors) => Err(errors
            .into_iter()
            .map(|error| expressions::Fault {
                at: built.at.to_owned(),
                message: if check.expression.is_some() {
                    error.to_string()
                } else {
                    error.message
                },
            })
            .collect()),
    }
}

/// The field that a check is about, where it is one.
fn about(check: &QualityCheck, expression: &str, schema: &Schema) -> Option<String> {
    if check.compare.is_some() {
        return None;
    }
    if let Some(field) = check.field() {
        return Some(field.to_owned());
    }
    let compiled = headworks_sql::expression(expression, schema).ok()?;
    let mut columns = compiled.columns;
    columns.sort();
    columns.dedup();
    match columns.as_slice() {
        [one] => Some(one.clone()),
        _ => None,
    }
}

fn placed(field: &str, errors: &[SqlError]) -> Vec<SpecFault> {
    let all = errors.iter();
    all.map(|error| SpecFault::at(field, error.to_string()))
        .collect()
}

/// Bytes that a rule takes in a plan, which is JSON: names of fields count, and quotes and backslashes twice.
fn bytes(rule: &Rule) -> usize {
    serde_json::to_string(rule).map_or(usize::MAX, |text| text.len())
}

#[cfg(test)]
mod tests;
