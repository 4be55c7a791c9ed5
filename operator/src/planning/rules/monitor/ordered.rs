//! The query of a check for order: each record beside the one before it of the same key, by event time.

use headworks_crds::{OrderedCheck, ValueOrder};

use super::figures::{is_ordered, labelled};
use super::query::{From, key, key_text};
use crate::planning::rules::expressions::{Fault, fault, quoted, text};

const DAY: u64 = 86_400;

/// A row for each record whose value doesn't stand in order to the one before it. `seconds`: the window's length.
///
/// The window that a record falls into is computed, as no aggregate makes it: windows of events are of those that come together, and
/// here each record is judged by itself, as soon as event time has passed it.
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
    let name = text(name);
    Ok(format!(
        "SELECT\n  window_start, window_end,\n  CAST(window_end - INTERVAL '0.001' SECOND AS TIMESTAMP_LTZ(3)) AS window_time,\n  CAST(1 AS BIGINT) AS records,\n  MAP[{name}, {observed}] AS observed,\n  MAP[{name}, FALSE] AS passed,\n  {} AS repeated_key\nFROM (\n  SELECT *, TIMESTAMPADD(SECOND, {seconds}, window_start) AS window_end\n  FROM (\n    SELECT *, CAST(TIMESTAMPADD(SECOND, -MOD({}, {seconds}), FLOOR(local_time TO SECOND)) AS TIMESTAMP(3)) AS window_start\n    FROM (\n      SELECT *, CAST(event_time AS TIMESTAMP(3)) AS local_time,\n        LAG(checked) OVER ({partition}ORDER BY event_time) AS checked_before\n      FROM (\n        SELECT {}\n        FROM {}\n        WHERE {}{field} IS NOT NULL\n      )\n    )\n    WHERE checked {wrong} checked_before\n  )\n)",
        key_text(&keys, shown),
        since_window(seconds),
        columns.join(", "),
        quoted(from.stream),
        filter.unwrap_or_default(),
    ))
}

/// Seconds since the first window of all, or since one that began with the day; windows begin with 1970, as TUMBLE's do.
fn since_window(seconds: u64) -> &'static str {
    if DAY.is_multiple_of(seconds) {
        "TIMESTAMPDIFF(SECOND, FLOOR(local_time TO DAY), local_time)"
    } else {
        "CAST(TIMESTAMPDIFF(DAY, TIMESTAMP '1970-01-01 00:00:00', local_time) AS BIGINT) * 86400 + TIMESTAMPDIFF(SECOND, FLOOR(local_time TO DAY), local_time)"
    }
}
