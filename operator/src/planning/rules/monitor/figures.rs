//! What each check of a window's records observes, and when it passes, as expressions over aggregates. Null passes; a count is never
//! null, so a window without values passes where nothing else is said.

use headworks_crds::{
    AggregateCheck, AggregateFunction, NullRatioCheck, QualityCheck, QuantileCheck, RowCountCheck,
};
use headworks_sql::{
    schema::{Column, Schema},
    types::DataType,
};

use super::{anomaly, distribution};
use crate::planning::rules::{
    expressions::{Fault, column, fault, quoted},
    values::{self, Value},
};

/// Says nothing of whether a window passed: whoever has the windows before it does.
pub const ELSEWHERE: &str = "CAST(NULL AS BOOLEAN)";

/// A check as two expressions over the aggregates of a window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Figure {
    /// Of type STRING: what is observed. None: it would show what is labelled, or there is no figure.
    pub observed: Option<String>,
    /// Of type BOOLEAN: false fails.
    pub passed: String,
}

/// The figure of a check; none where the check isn't judged by one row a window.
///
/// # Errors
/// An unknown field, one of the wrong type, a bound that its type doesn't have, bounds between which nothing lies.
pub fn of(check: &QualityCheck, schema: &Schema, window_ms: u64) -> Result<Option<Figure>, Fault> {
    let figure = if let Some(of) = &check.row_count {
        row_count(of)
    } else if let Some(of) = &check.null_ratio {
        null_ratio(of, schema)?
    } else if let Some(of) = &check.aggregate {
        aggregate(of, schema)?
    } else if let Some(of) = &check.quantile {
        quantile(of, schema)?
    } else if let Some(of) = &check.distribution {
        distribution::of(of, schema)?
    } else if let Some(of) = &check.anomaly {
        anomaly::of(of, schema, window_ms)?
    } else if let Some(text) = &check.having {
        Figure {
            observed: None,
            // On lines of its own: a comment at its end must not take the rest along.
            passed: format!("(\n{}\n)", text.trim()),
        }
    } else {
        return Ok(None);
    };
    Ok(Some(figure))
}

/// The expression as a text.
pub fn shown(expression: &str) -> String {
    format!("CAST({expression} AS STRING)")
}

/// The same, where the field may be shown.
pub fn shown_of(field: &Column, expression: &str) -> Option<String> {
    field.labels.is_empty().then(|| shown(expression))
}

/// A column that a check names, with the labels of the field that it is in.
///
/// # Errors
/// An unknown field.
pub fn labelled(schema: &Schema, at: &str, field: &str) -> Result<Column, Fault> {
    let found = column(schema, at, field)?;
    let top = field.split('.').next().unwrap_or(field);
    let mut columns = schema.columns.iter();
    let top = columns.find(|column| column.name == top);
    let labels = top.map(|column| column.labels.clone()).unwrap_or_default();
    Ok(Column {
        labels: if found.labels.is_empty() {
            labels
        } else {
            found.labels.clone()
        },
        ..found
    })
}

fn row_count(of: &RowCountCheck) -> Figure {
    let parts = [
        of.min.map(|min| format!("COUNT(*) >= {min}")),
        of.max.map(|max| format!("COUNT(*) <= {max}")),
    ];
    Figure {
        observed: Some(shown("COUNT(*)")),
        passed: joined(parts),
    }
}

fn null_ratio(of: &NullRatioCheck, schema: &Schema) -> Result<Figure, Fault> {
    column(schema, "nullRatio.field", &of.field)?;
    let max = values::read(&of.max, &DataType::Double)
        .or_else(|message| fault("nullRatio.max", message))?;
    Ok(Figure {
        observed: Some(shown(&null_per_cent(&of.field))),
        // Without a division, which would round.
        passed: format!("{} * 100 <= {} * COUNT(*)", nulls(&of.field), max.sql()),
    })
}

fn nulls(field: &str) -> String {
    format!("(COUNT(*) - COUNT({}))", quoted(field))
}

/// How many records have no value, in per cent.
pub fn null_per_cent(field: &str) -> String {
    format!("ROUND({} * 100.0000 / COUNT(*), 4)", nulls(field))
}

fn aggregate(of: &AggregateCheck, schema: &Schema) -> Result<Figure, Fault> {
    let found = labelled(schema, "aggregate.field", &of.field)?;
    let (expression, gives) = aggregated("aggregate.field", &of.field, of.function, &found)?;
    let (min, max) = between("aggregate", (&of.min, &of.max), &gives)?;
    let parts = [
        min.map(|min| format!("{expression} >= {}", min.sql())),
        max.map(|max| format!("{expression} <= {}", max.sql())),
    ];
    let counted = of.function == AggregateFunction::Distinct;
    Ok(Figure {
        observed: if counted {
            Some(shown(&expression))
        } else {
            shown_of(&found, &expression)
        },
        passed: joined(parts),
    })
}

/// What a field's values come to, with its type. `at`: where the check names the field.
///
/// # Errors
/// The function isn't for the field's type.
pub fn aggregated(
    at: &str,
    name: &str,
    function: AggregateFunction,
    found: &Column,
) -> Result<(String, DataType), Fault> {
    let field = quoted(name);
    let number = found.data_type.is_numeric();
    let decimal = matches!(found.data_type, DataType::Decimal { .. });
    let whole = matches!(found.data_type, DataType::Int | DataType::BigInt);
    let double = format!("CAST({field} AS DOUBLE)");
    let wrong = |what: &str| {
        fault(
            at,
            format!(
                "\"{name}\" is {}; {function:?} is for {what}",
                found.data_type
            ),
        )
    };
    Ok(match function {
        AggregateFunction::Min | AggregateFunction::Max => {
            if !is_ordered(&found.data_type) {
                return wrong("numbers, dates, times, timestamps and texts");
            }
            let name = format!("{function:?}").to_uppercase();
            (format!("{name}({field})"), found.data_type.clone())
        }
        AggregateFunction::Distinct => {
            if !is_ordered(&found.data_type) && found.data_type != DataType::Boolean {
                return wrong("single values");
            }
            (format!("COUNT(DISTINCT {field})"), DataType::BigInt)
        }
        _ if !number => return wrong("numbers"),
        // The mean of whole numbers would be cut, and their sum would wrap around.
        AggregateFunction::Mean if decimal => (format!("AVG({field})"), DataType::Double),
        AggregateFunction::Mean => (format!("AVG({double})"), DataType::Double),
        AggregateFunction::Sum if whole => (
            format!("SUM(CAST({field} AS DECIMAL(38, 0)))"),
            DataType::Double,
        ),
        AggregateFunction::Sum => (format!("SUM({field})"), DataType::Double),
        AggregateFunction::StdDev => (format!("STDDEV_SAMP({double})"), DataType::Double),
    })
}

fn quantile(of: &QuantileCheck, schema: &Schema) -> Result<Figure, Fault> {
    let found = column(schema, "quantile.field", &of.field)?;
    if !is_ordered(&found.data_type) {
        return fault(
            "quantile.field",
            format!(
                "\"{}\" is {}; quantile is for numbers, dates, times, timestamps and texts",
                of.field, found.data_type
            ),
        );
    }
    let part =
        values::read(&of.of, &DataType::Double).or_else(|message| fault("quantile.of", message))?;
    if part.sql() == "0" {
        return fault(
            "quantile.of",
            "0 is the least value: check an aggregate with the function Min",
        );
    }
    let (min, max) = between("quantile", (&of.min, &of.max), &found.data_type)?;
    let field = quoted(&of.field);
    let all = format!("COUNT({field})");
    let counted = |condition: String| format!("{all} FILTER (WHERE {field} {condition})");
    // The quantile is at most max where so many values are; it is at least min where fewer are below.
    let above = max.map(|max| counted(format!("<= {}", max.sql())));
    let below = min.map(|min| counted(format!("< {}", min.sql())));
    let told = above.as_ref().or(below.as_ref());
    let observed = told.map(|count| format!("CONCAT({}, ' of ', {})", shown(count), shown(&all)));
    let parts = [
        below.map(|below| format!("{below} < {} * {all}", part.sql())),
        above.map(|above| format!("{above} >= {} * {all}", part.sql())),
    ];
    Ok(Figure {
        observed,
        passed: format!("{all} = 0 OR ({})", joined(parts)),
    })
}

/// True: values of the type stand in an order, and a text can say one.
pub fn is_ordered(data_type: &DataType) -> bool {
    !matches!(
        data_type,
        DataType::Boolean
            | DataType::Bytes
            | DataType::Array(_)
            | DataType::Map(_)
            | DataType::Struct(_)
    )
}

/// Two bounds of a type, between which something lies.
fn between(
    kind: &str,
    (min, max): (&Option<String>, &Option<String>),
    data_type: &DataType,
) -> Result<(Option<Value>, Option<Value>), Fault> {
    let read = |bound: &Option<String>, name: &str| -> Result<Option<Value>, Fault> {
        let Some(bound) = bound else { return Ok(None) };
        values::read(bound, data_type)
            .map(Some)
            .or_else(|message| fault(format!("{kind}.{name}"), message))
    };
    let (min, max) = (read(min, "min")?, read(max, "max")?);
    if let (Some(least), Some(most)) = (&min, &max)
        && least > most
    {
        return fault(
            format!("{kind}.min"),
            "nothing lies between min and max: swap or correct them",
        );
    }
    Ok((min, max))
}

fn joined(parts: [Option<String>; 2]) -> String {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join(" AND ")
}
