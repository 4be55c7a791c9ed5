//! The query of a check of references: each record beside what the other stream held at its event time.

use headworks_crds::{QualityRuleSpec, ReferencesCheck, SpecFault};
use headworks_plan::{Contract, EventTime, Field};
use headworks_sql::{Catalog, schema::Schema};

use super::query::{From, OfRecord, key, key_text};
use crate::planning::rules::expressions::{Fault, fault, quoted, text};

/// The event time of a stream that isn't known yet: no field is called so.
const SINCE: &str = "since$";

/// A row for each record that refers to what isn't there. `seconds`: the window's length.
///
/// # Errors
/// What is wrong with the fields.
pub fn of_references(
    from: &From<'_>,
    check: &ReferencesCheck,
    name: &str,
    seconds: u64,
) -> Result<String, Fault> {
    let (fields, shown) = key(from, "references.fields", &check.fields)?;
    if check.keys().len() != fields.len() {
        return fault(
            "references.key",
            format!(
                "{} fields refer to a key of {}: name one for each, in their order",
                fields.len(),
                check.keys().len()
            ),
        );
    }
    if check.stream == from.stream {
        return fault(
            "references.stream",
            format!(
                "\"{}\" is the stream that is checked: a record is there as soon as it refers to itself",
                check.stream
            ),
        );
    }
    let keys: Vec<String> = (1..=fields.len()).map(|n| format!("key_{n}")).collect();
    let columns: Vec<String> = fields
        .iter()
        .zip(&keys)
        .map(|(field, key)| format!("{field} AS {key}"))
        .collect();
    let there: Vec<String> = fields
        .iter()
        .map(|field| format!("{field} IS NOT NULL"))
        .collect();
    let held: Vec<String> = check.keys().iter().map(|key| quoted(key)).collect();
    let equal: Vec<String> = held
        .iter()
        .zip(&keys)
        .map(|(held, key)| format!("held.{held} = checked.{key}"))
        .collect();
    let filter = from.filter.map(|filter| format!("(\n{filter}\n) AND "));
    let rows = format!(
        "SELECT checked.*, CAST(checked.event_time AS TIMESTAMP(3)) AS local_time, held.{} AS held_key\n      FROM (\n        SELECT {}, {} AS event_time\n        FROM {}\n        WHERE {}{}\n      ) AS checked\n      LEFT JOIN {} FOR SYSTEM_TIME AS OF checked.event_time AS held\n        ON {}",
        held[0],
        columns.join(", "),
        quoted(from.time),
        quoted(from.stream),
        filter.unwrap_or_default(),
        there.join(" AND "),
        quoted(&check.stream),
        equal.join(" AND "),
    );
    let verdict = OfRecord {
        name,
        observed: &text(&format!("not in {}", check.stream)),
        key: &key_text(&keys, shown),
        seconds,
    };
    Ok(verdict.of(&rows, "held_key IS NULL"))
}

/// The catalog with what a rule refers to, as it would have to be: what it is, is found out where it is known.
pub fn assumed(catalog: Catalog, spec: &QualityRuleSpec, contract: &Contract) -> Catalog {
    let checks = spec.checks.iter().filter_map(|c| c.references.as_ref());
    checks.fold(catalog, |catalog, check| {
        let of_type = |field: &String| {
            let known = Schema::from_contract(contract).ok();
            let known = known.and_then(|schema| type_of(&schema, field));
            known.unwrap_or_else(|| "string".to_owned())
        };
        let fields = check.keys().iter().zip(&check.fields);
        let mut fields: Vec<Field> = fields
            .map(|(key, field)| Field::new(key.clone(), of_type(field), false))
            .collect();
        fields.push(Field::new(SINCE, "timestamp_ltz(3)", false));
        let other = Contract {
            fields,
            key: check.keys().to_vec(),
            compacted: true,
            event_time: Some(EventTime {
                field: SINCE.to_owned(),
                max_out_of_orderness_ms: 0,
                idle_timeout_ms: None,
            }),
            ..Contract::default()
        };
        catalog.with(&check.stream, other)
    })
}

fn type_of(schema: &Schema, field: &str) -> Option<String> {
    let condition = format!("{} IS NULL", quoted(field));
    headworks_sql::expression(&condition, schema).ok()?;
    super::figures::labelled(schema, "", field)
        .ok()
        .map(|found| found.data_type.to_string())
}

/// What is wrong with what a rule refers to, each with its place; `contract_of` gives the contract of a stream that is there.
pub fn faults<'c>(
    spec: &QualityRuleSpec,
    contract: &Contract,
    contract_of: impl Fn(&str) -> Option<&'c Contract>,
) -> Vec<SpecFault> {
    let Ok(schema) = Schema::from_contract(contract) else {
        return Vec::new();
    };
    let mut faults = Vec::new();
    for (index, check) in spec.checks.iter().enumerate() {
        let Some(check) = &check.references else {
            continue;
        };
        // One that isn't there is told elsewhere.
        let Some(other) = contract_of(&check.stream) else {
            continue;
        };
        if let Some((field, message)) = unfit(check, &schema, other) {
            let place = format!("checks[{index}].references.{field}");
            faults.push(SpecFault::at(&place, message));
        }
    }
    faults
}

/// Why what is referred to can't be, and which field says it.
fn unfit(
    check: &ReferencesCheck,
    schema: &Schema,
    other: &Contract,
) -> Option<(&'static str, String)> {
    let stream = &check.stream;
    if !other.compacted {
        return Some((
            "stream",
            format!(
                "DataStream {stream} isn't compacted, so that its records say what happened and not what is: refer to one that is (compacted: true)"
            ),
        ));
    }
    if other.event_time.is_none() {
        return Some((
            "stream",
            format!(
                "DataStream {stream} has no event time, so that nobody can say since when a key is there: give it spec.eventTime"
            ),
        ));
    }
    let sorted = |keys: &[String]| {
        let mut keys = keys.to_vec();
        keys.sort();
        keys
    };
    if sorted(check.keys()) != sorted(&other.key) {
        return Some((
            "key",
            format!(
                "the key of DataStream {stream} is {}, and this names {}: name all of it, and nothing else",
                other.key.join(", "),
                check.keys().join(", ")
            ),
        ));
    }
    let of_other = Schema::from_contract(other).ok()?;
    for (field, key) in check.fields.iter().zip(check.keys()) {
        let (mine, theirs) = (type_of(schema, field)?, type_of(&of_other, key)?);
        if mine != theirs {
            return Some((
                "fields",
                format!(
                    "\"{field}\" is {mine}, and \"{key}\" of DataStream {stream} is {theirs}: what refers to a key has its type"
                ),
            ));
        }
    }
    None
}
