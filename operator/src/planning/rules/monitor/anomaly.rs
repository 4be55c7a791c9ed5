//! The figure that an anomaly check compares with its history: observed here, judged where the history is (`rule_history`).

use headworks_crds::{AggregateFunction, AnomalyCheck, AnomalyMetric};
use headworks_sql::schema::Schema;

use super::figures::{ELSEWHERE, Figure, aggregated, labelled, null_per_cent, shown};
use crate::planning::rules::expressions::{Fault, column, fault};

const MINUTE_MS: u64 = 60_000;

/// The figure of a check.
///
/// # Errors
/// An unknown field, one of the wrong type, one whose values nobody may be told.
pub fn of(of: &AnomalyCheck, schema: &Schema, window_ms: u64) -> Result<Figure, Fault> {
    let figure = |expression: String| Figure {
        observed: Some(shown(&expression)),
        passed: ELSEWHERE.to_owned(),
    };
    let Some(field) = &of.field else {
        let minutes = window_ms.max(1);
        return Ok(figure(format!(
            "CAST(COUNT(*) * {MINUTE_MS} AS DOUBLE) / CAST({minutes} AS DOUBLE)"
        )));
    };
    let function = match of.metric {
        AnomalyMetric::RecordsPerMinute => {
            return fault(
                "anomaly.field",
                "RecordsPerMinute is of no field: leave it out",
            );
        }
        AnomalyMetric::NullRatio => {
            column(schema, "anomaly.field", field)?;
            return Ok(figure(null_per_cent(field)));
        }
        AnomalyMetric::Min => AggregateFunction::Min,
        AnomalyMetric::Max => AggregateFunction::Max,
        AnomalyMetric::Mean => AggregateFunction::Mean,
        AnomalyMetric::Sum => AggregateFunction::Sum,
        AnomalyMetric::StdDev => AggregateFunction::StdDev,
        AnomalyMetric::Distinct => AggregateFunction::Distinct,
    };
    let found = labelled(schema, "anomaly.field", field)?;
    if function == AggregateFunction::Distinct {
        let (expression, _) = aggregated("anomaly.field", field, function, &found)?;
        return Ok(figure(expression));
    }
    if !found.data_type.is_numeric() {
        return fault(
            "anomaly.field",
            format!(
                "\"{field}\" is {}; {:?} has a history for numbers alone: take NullRatio or Distinct, or a field with a number",
                found.data_type, of.metric
            ),
        );
    }
    if !found.labels.is_empty() {
        return fault(
            "anomaly.field",
            format!(
                "\"{field}\" is labelled {}, so {:?} of it isn't told, and has no history: take NullRatio or Distinct",
                found.labels.join(", "),
                of.metric
            ),
        );
    }
    let (expression, _) = aggregated("anomaly.field", field, function, &found)?;
    Ok(figure(expression))
}
