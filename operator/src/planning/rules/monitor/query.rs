//! The queries of monitors, as text that a person can read and run.

use headworks_crds::UniqueCheck;
use headworks_plan::Contract;
use headworks_sql::{Catalog, SqlError, schema::Schema, types::DataType};

use super::figures::{Figure, is_ordered, labelled};
use crate::planning::rules::expressions::{Fault, fault, quoted, text};

/// What a monitor reads.
#[derive(Clone, Copy, Debug)]
pub struct From<'a> {
    /// The stream.
    pub stream: &'a str,
    /// Its event time.
    pub time: &'a str,
    /// Only records for which this is true.
    pub filter: Option<&'a str>,
    /// Its columns.
    pub schema: &'a Schema,
    /// The fields of its key.
    pub key: &'a [String],
}

impl From<'_> {
    fn windows(&self, interval: &str) -> String {
        format!(
            "FROM TABLE(TUMBLE(TABLE `{}`, DESCRIPTOR(`{}`), {interval}))\n",
            self.stream, self.time
        )
    }
}

const DAY: u64 = 86_400;
const WINDOW: &str = "  window_start, window_end, window_time,\n  COUNT(*) AS records,\n";
const BY_WINDOW: &str = "window_start, window_end, window_time";

/// One row a window, with what each check observed and whether it passed.
pub fn of_windows(from: &From<'_>, checks: &[(String, Figure)], interval: &str) -> String {
    let none = "CAST(NULL AS STRING)";
    let observed = checks.iter().map(|(name, figure)| {
        let observed = figure.observed.as_deref().unwrap_or(none);
        format!("    {}, {observed}", text(name))
    });
    let passed = checks
        .iter()
        .map(|(name, figure)| format!("    {}, {}", text(name), figure.passed));
    let (mut observed, mut passed): (Vec<_>, Vec<_>) = (observed.collect(), passed.collect());
    if checks.is_empty() {
        // A rule that asks for freshness alone: its monitor is there for the newest event time, and a map isn't empty.
        observed.push("    'records', CAST(COUNT(*) AS STRING)".to_owned());
        passed.push("    'records', TRUE".to_owned());
    }
    let filter = from.filter.map(|filter| format!("WHERE (\n{filter}\n)\n"));
    format!(
        "SELECT\n{WINDOW}  MAP[\n{}\n  ] AS observed,\n  MAP[\n{}\n  ] AS passed,\n  {none} AS repeated_key\n{}{}GROUP BY {BY_WINDOW}",
        observed.join(",\n"),
        passed.join(",\n"),
        from.windows(interval),
        filter.unwrap_or_default(),
    )
}

/// The fields of a key, as the dialect writes them, and whether their values may be shown.
///
/// # Errors
/// A field that isn't there, one that rows can't be brought together by, one that is named twice; each at its place in `list`.
pub fn key(from: &From<'_>, list: &str, fields: &[String]) -> Result<(Vec<String>, bool), Fault> {
    let mut keys = Vec::with_capacity(fields.len());
    let mut shown = true;
    for (index, field) in fields.iter().enumerate() {
        let at = format!("{list}[{index}]");
        let found = labelled(from.schema, &at, field)?;
        let key = is_ordered(&found.data_type)
            && !matches!(found.data_type, DataType::Float | DataType::Double);
        if !key && found.data_type != DataType::Boolean {
            let floating = matches!(found.data_type, DataType::Float | DataType::Double);
            let why = if floating {
                ", and equal numbers of that type may be written differently"
            } else {
                ""
            };
            return fault(
                at,
                format!(
                    "\"{field}\" is {}{why}: a key is made of whole numbers, decimals, texts, dates and times",
                    found.data_type
                ),
            );
        }
        if fields[..index].contains(field) {
            return fault(at, format!("\"{field}\" stands in the key already"));
        }
        shown &= found.labels.is_empty();
        keys.push(quoted(field));
    }
    Ok((keys, shown))
}

/// A key as one text; null where it may not be shown, or there is none.
pub fn key_text(keys: &[String], shown: bool) -> String {
    if keys.is_empty() || !shown {
        return "CAST(NULL AS STRING)".to_owned();
    }
    let texts: Vec<String> = keys
        .iter()
        .map(|key| format!("CAST({key} AS STRING)"))
        .collect();
    format!("CONCAT_WS(', ', {})", texts.join(", "))
}

/// A row for each key of a window that comes again.
///
/// # Errors
/// What is wrong with the key.
pub fn of_keys(
    from: &From<'_>,
    check: &UniqueCheck,
    name: &str,
    interval: &str,
) -> Result<String, Fault> {
    let (keys, shown) = key(from, "unique.key", &check.key)?;
    let repeated = key_text(&keys, shown);
    let there: Vec<String> = keys
        .iter()
        .map(|key| format!("{key} IS NOT NULL"))
        .collect();
    let filter = from.filter.map(|filter| format!("(\n{filter}\n) AND "));
    let name = text(name);
    Ok(format!(
        "SELECT\n{WINDOW}  MAP[{name}, CAST(COUNT(*) AS STRING)] AS observed,\n  MAP[{name}, FALSE] AS passed,\n  {repeated} AS repeated_key\n{}WHERE {}({})\nGROUP BY {}, {BY_WINDOW}\nHAVING COUNT(*) > 1",
        from.windows(interval),
        filter.unwrap_or_default(),
        there.join(" OR "),
        keys.join(", "),
    ))
}

/// The verdict of a record that fails by itself, once event time has passed it. The window that it falls into is computed, as no
/// aggregate makes it: windows of events are of those that come together.
#[derive(Clone, Copy, Debug)]
pub struct OfRecord<'a> {
    /// The check.
    pub name: &'a str,
    /// What was observed, as an expression.
    pub observed: &'a str,
    /// The key, as an expression.
    pub key: &'a str,
    /// The window's length.
    pub seconds: u64,
}

impl OfRecord<'_> {
    /// A row for each of `rows` of which `wrong` is true. They have the columns that the expressions name, and `local_time`.
    pub fn of(&self, rows: &str, wrong: &str) -> String {
        let (name, seconds) = (text(self.name), self.seconds);
        format!(
            "SELECT\n  window_start, window_end,\n  CAST(window_end - INTERVAL '0.001' SECOND AS TIMESTAMP_LTZ(3)) AS window_time,\n  CAST(1 AS BIGINT) AS records,\n  MAP[{name}, {}] AS observed,\n  MAP[{name}, FALSE] AS passed,\n  {} AS repeated_key\nFROM (\n  SELECT *, TIMESTAMPADD(SECOND, {seconds}, window_start) AS window_end\n  FROM (\n    SELECT *, CAST(TIMESTAMPADD(SECOND, -MOD({}, {seconds}), FLOOR(local_time TO SECOND)) AS TIMESTAMP(3)) AS window_start\n    FROM (\n      {rows}\n    )\n    WHERE {wrong}\n  )\n)",
            self.observed,
            self.key,
            since_window(seconds),
        )
    }
}

/// Seconds since the first window of all, or since one that began with the day; windows begin with 1970, as TUMBLE's do.
fn since_window(seconds: u64) -> &'static str {
    if DAY.is_multiple_of(seconds) {
        "TIMESTAMPDIFF(SECOND, FLOOR(local_time TO DAY), local_time)"
    } else {
        "CAST(TIMESTAMPDIFF(DAY, TIMESTAMP '1970-01-01 00:00:00', local_time) AS BIGINT) * 86400 + TIMESTAMPDIFF(SECOND, FLOOR(local_time TO DAY), local_time)"
    }
}

/// Whether a user's expression over aggregates is one, and gives yes or no.
///
/// # Errors
/// What is wrong with it, with its place in the text.
pub fn having(stream: &str, expression: &str, contract: &Contract) -> Result<(), Vec<String>> {
    let time = contract.event_time.as_ref().map(|time| time.field.as_str());
    let sql = format!(
        "SELECT (\n{}\n) AS passed FROM TABLE(TUMBLE(TABLE `{stream}`, DESCRIPTOR(`{}`), INTERVAL '1' MINUTE)) GROUP BY window_start, window_end",
        expression.trim(),
        time.unwrap_or_default()
    );
    let catalog = Catalog::new().with(stream, contract.clone());
    let flow = headworks_sql::plan(&sql, &catalog).map_err(|errors| {
        let placed = |error: SqlError| match error.line {
            0 | 1 => error.message,
            line => SqlError {
                line: line - 1,
                ..error
            }
            .to_string(),
        };
        errors.into_iter().map(placed).collect::<Vec<_>>()
    })?;
    let gives = flow.output.columns.first().map(|column| &column.data_type);
    match gives {
        None | Some(DataType::Boolean) => Ok(()),
        Some(other) => Err(vec![format!(
            "gives {other}, and a check is true or false: compare it with something"
        )]),
    }
}
