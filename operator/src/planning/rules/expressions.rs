//! The expression of each kind of check. It is false for a row that fails, and null, which passes, where the field is null; `notNull`
//! alone is never null.

use headworks_crds::{Comparison, LengthCheck, PairCheck, QualityCheck, RangeCheck, ValuesCheck};
use headworks_sql::{
    schema::{Column, Schema},
    suggest::nearest,
    types::DataType,
};

use super::{
    formats,
    values::{self, Value},
};

/// A check as an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// The expression.
    pub expression: String,
    /// Where in the check its text comes from, such as `pattern.regex`.
    pub at: &'static str,
}

/// What is wrong with a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Where, as a path within the check, such as `range.min`.
    pub at: String,
    /// What is wrong, and what to do.
    pub message: String,
}

/// Says that something is wrong there.
///
/// # Errors
/// Always.
pub fn fault<T>(at: impl Into<String>, message: impl Into<String>) -> Result<T, Fault> {
    Err(Fault {
        at: at.into(),
        message: message.into(),
    })
}

/// The expression of a check over the columns of a stream.
///
/// # Errors
/// An unknown field, one of the wrong type, a value that its type doesn't have, a range in which nothing lies.
pub fn of(check: &QualityCheck, schema: &Schema) -> Result<Built, Fault> {
    let built = |expression: String, at: &'static str| Ok(Built { expression, at });
    if let Some(text) = &check.expression {
        return built(text.trim().to_owned(), "expression");
    }
    if let Some(of) = &check.not_null {
        column(schema, "notNull.field", &of.field)?;
        return built(format!("{} IS NOT NULL", quoted(&of.field)), "notNull");
    }
    if let Some(of) = &check.length {
        return built(length(of, schema)?, "length");
    }
    if let Some(of) = &check.range {
        return built(range(of, schema)?, "range");
    }
    if let Some(of) = &check.pattern {
        text_column(schema, "pattern", &of.field)?;
        let found = found(&of.field, &of.regex);
        return built(found, "pattern.regex");
    }
    if let Some(of) = &check.not_matching {
        text_column(schema, "notMatching", &of.field)?;
        let found = found(&of.field, &of.regex);
        return built(format!("NOT {found}"), "notMatching.regex");
    }
    if let Some(of) = &check.format {
        text_column(schema, "format", &of.field)?;
        return built(found(&of.field, &formats::regex(of.is)), "format");
    }
    if let Some(of) = &check.accepted {
        let list = listed("accepted", of, schema)?;
        return built(format!("{} IN ({list})", quoted(&of.field)), "accepted");
    }
    if let Some(of) = &check.forbidden {
        let list = listed("forbidden", of, schema)?;
        let field = quoted(&of.field);
        return built(format!("{field} NOT IN ({list})"), "forbidden");
    }
    if let Some(of) = &check.compare {
        return built(compare(of, schema)?, "compare");
    }
    // The schema asks for one.
    fault(
        "name",
        "the check checks nothing: say what, such as notNull",
    )
}

/// A path of fields as the dialect writes it: each name in backticks.
pub fn quoted(path: &str) -> String {
    let steps: Vec<String> = path.split('.').map(|step| format!("`{step}`")).collect();
    steps.join(".")
}

/// A text as the dialect writes it.
pub fn text(value: &str) -> String {
    format!("'{}'", value.replace('\'', "''"))
}

fn found(field: &str, regex: &str) -> String {
    format!("REGEXP({}, {})", quoted(field), text(regex))
}

/// What is wrong with a regular expression.
pub fn regex_fault(regex: &str) -> Option<String> {
    let probe = format!("REGEXP('', {})", text(regex));
    let errors = headworks_sql::expression(&probe, &Schema::default()).err()?;
    errors.into_iter().next().map(|error| error.message)
}

/// The column that a check names.
///
/// # Errors
/// An unknown field, with the one that was probably meant.
pub fn column(schema: &Schema, at: &str, field: &str) -> Result<Column, Fault> {
    schema.path(field).or_else(|message| {
        let near = nearest(field, schema.names()).filter(|_| !message.contains("did you mean"));
        let hint = near.map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
        fault(at, format!("{message}{hint}"))
    })
}

fn text_column(schema: &Schema, kind: &str, field: &str) -> Result<(), Fault> {
    let at = format!("{kind}.field");
    let found = column(schema, &at, field)?;
    if found.data_type == DataType::String {
        return Ok(());
    }
    fault(
        at,
        format!(
            "\"{field}\" is {}; {kind} is for string: write an expression with CAST({} AS STRING), or check a range",
            found.data_type,
            quoted(field)
        ),
    )
}

fn length(of: &LengthCheck, schema: &Schema) -> Result<String, Fault> {
    text_column(schema, "length", &of.field)?;
    let characters = format!("CHAR_LENGTH({})", quoted(&of.field));
    let parts = [
        of.min.map(|min| format!("{characters} >= {min}")),
        of.max.map(|max| format!("{characters} <= {max}")),
    ];
    Ok(joined(parts))
}

fn range(of: &RangeCheck, schema: &Schema) -> Result<String, Fault> {
    let (min, max) = bounds(of, schema)?;
    let field = quoted(&of.field);
    let above = if of.min_exclusive { ">" } else { ">=" };
    let below = if of.max_exclusive { "<" } else { "<=" };
    let parts = [
        min.map(|min| format!("{field} {above} {}", min.sql())),
        max.map(|max| format!("{field} {below} {}", max.sql())),
    ];
    Ok(joined(parts))
}

fn joined(parts: [Option<String>; 2]) -> String {
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    parts.join(" AND ")
}

/// The bounds of a range, between which something lies.
pub fn bounds(of: &RangeCheck, schema: &Schema) -> Result<(Option<Value>, Option<Value>), Fault> {
    let found = column(schema, "range.field", &of.field)?;
    if found.data_type == DataType::Boolean {
        return fault(
            "range.field",
            format!("\"{}\" is boolean: check accepted values instead", of.field),
        );
    }
    let read = |bound: &Option<String>, at: &str| -> Result<Option<Value>, Fault> {
        let Some(bound) = bound else { return Ok(None) };
        values::read(bound, &found.data_type)
            .map(Some)
            .or_else(|message| fault(at, message))
    };
    let (min, max) = (read(&of.min, "range.min")?, read(&of.max, "range.max")?);
    if let (Some(least), Some(most)) = (&min, &max) {
        let exclusive = of.min_exclusive || of.max_exclusive;
        if least > most || (exclusive && least == most) {
            return fault(
                "range.min",
                "nothing lies between min and max: swap or correct them",
            );
        }
    }
    Ok((min, max))
}

fn listed(kind: &str, of: &ValuesCheck, schema: &Schema) -> Result<String, Fault> {
    let all = list(kind, of, schema)?;
    let all: Vec<String> = all.iter().map(Value::sql).collect();
    Ok(all.join(", "))
}

/// The values of a list, each of the field's type.
pub fn list(kind: &str, of: &ValuesCheck, schema: &Schema) -> Result<Vec<Value>, Fault> {
    let found = column(schema, &format!("{kind}.field"), &of.field)?;
    let mut all = Vec::with_capacity(of.values.len());
    for (index, value) in of.values.iter().enumerate() {
        let value = values::read(value, &found.data_type)
            .and_then(|value| value.held_by(&found.data_type).map(|()| value));
        match value {
            Ok(value) => all.push(value),
            Err(message) => return fault(format!("{kind}.values[{index}]"), message),
        }
    }
    Ok(all)
}

fn compare(of: &PairCheck, schema: &Schema) -> Result<String, Fault> {
    column(schema, "compare.left", &of.left)?;
    column(schema, "compare.right", &of.right)?;
    if of.left == of.right {
        return fault("compare.right", "is left itself: name another field");
    }
    let operator = match of.operator {
        Comparison::Equal => "=",
        Comparison::NotEqual => "<>",
        Comparison::Less => "<",
        Comparison::LessOrEqual => "<=",
        Comparison::Greater => ">",
        Comparison::GreaterOrEqual => ">=",
    };
    let (left, right) = (quoted(&of.left), quoted(&of.right));
    Ok(format!("{left} {operator} {right}"))
}
