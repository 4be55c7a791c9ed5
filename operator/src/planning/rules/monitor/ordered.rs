//! The query of a check for order: each record beside the one before it of the same key, by event time.

use headworks_crds::{OrderedCheck, ValueOrder};

use super::figures::{is_ordered, labelled};
use super::query::{From, OfRecord, key, key_text};
use crate::planning::rules::expressions::{Fault, fault, quoted};

/// A row for each record whose value doesn't stand in order to the one before it. `seconds`: the window's length.
///
/// # Errors
/// A field that isn't there or whose values stand in no order, and what is wrong with the key.
pub fn of_order(
    from: &From<'_>,
    check: &OrderedCheck,
    name: &str,
    seconds: u64,
) -> Result<String, Fault> {
    let found = labelled(from.schema, "ordered.field", &check.field)?;
    if !is_ordered(&found.data_type) {
        return fault(
            "ordered.field",
            format!(
                "\"{}\" is {}: an order is one of numbers, dates, times, timestamps or texts",
                check.field, found.data_type
            ),
        );
    }
    let (by, shown) = if check.by.is_empty() {
        // The stream's own key was checked with its contract.
        key(from, "ordered.by", from.key)?
    } else {
        key(from, "ordered.by", &check.by)?
    };
    let keys: Vec<String> = (1..=by.len()).map(|n| format!("key_{n}")).collect();
    let field = quoted(&check.field);
    let renamed = by.iter().zip(&keys);
    let mut columns: Vec<String> = renamed
        .map(|(field, key)| format!("{field} AS {key}"))
        .collect();
    columns.push(format!("{field} AS checked"));
    columns.push(format!("{} AS event_time", quoted(from.time)));
    let partition = if keys.is_empty() {
        String::new()
    } else {
        format!("PARTITION BY {} ", keys.join(", "))
    };
    let wrong = match check.order {
        ValueOrder::Increasing => "<",
        ValueOrder::StrictlyIncreasing => "<=",
        ValueOrder::Decreasing => ">",
        ValueOrder::StrictlyDecreasing => ">=",
    };
    let observed = if found.labels.is_empty() {
        "CONCAT(CAST(checked AS STRING), ' after ', CAST(checked_before AS STRING))"
    } else {
        "CAST(NULL AS STRING)"
    };
    let filter = from.filter.map(|filter| format!("(\n{filter}\n) AND "));
    let rows = format!(
        "SELECT *, CAST(event_time AS TIMESTAMP(3)) AS local_time,\n        LAG(checked) OVER ({partition}ORDER BY event_time) AS checked_before\n      FROM (\n        SELECT {}\n        FROM {}\n        WHERE {}{field} IS NOT NULL\n      )",
        columns.join(", "),
        quoted(from.stream),
        filter.unwrap_or_default(),
    );
    let verdict = OfRecord {
        name,
        observed,
        key: &key_text(&keys, shown),
        seconds,
    };
    Ok(verdict.of(&rows, &format!("checked {wrong} checked_before")))
}
