//! Values of `accepted_values`, as dbt writes them into its query.

use headworks_sql::types::DataType;

use crate::commands::import::fields::{Field, number};
use crate::yaml::{Content, Node};

/// `Err`: Jinja that dbt would render.
pub fn is_rendered(text: &str, what: &str) -> Result<(), String> {
    if ["{{", "{%", "{#"].iter().any(|mark| text.contains(mark)) {
        return Err(format!(
            "{what} has Jinja in it, which gets its value when dbt runs: write the value"
        ));
    }
    Ok(())
}

/// A value in quotes, as `'{{ value }}'` prints it, by the field's type.
pub fn quoted(field: &Field, node: &Node) -> Result<String, String> {
    let text = printed(node)?;
    if text.contains('\'') {
        return Err(format!(
            "dbt doesn't escape the quote in {text:?}, which makes a faulty query"
        ));
    }
    let refused = |t: &DataType| {
        format!(
            "{} is {t}, and what a database makes of '{text}' there is its own",
            field.path
        )
    };
    match &field.data_type {
        None | Some(DataType::String) => Ok(text),
        Some(t @ (DataType::Int | DataType::BigInt)) => match number(text.trim()) {
            Ok(text) if !text.contains(['.', 'e']) => Ok(text),
            _ => Err(refused(t)),
        },
        Some(t) if t.is_numeric() => number(text.trim()).map_err(|_| refused(t)),
        Some(t @ DataType::Boolean) => match text.to_ascii_lowercase().as_str() {
            word @ ("true" | "false") => Ok(word.to_owned()),
            _ => Err(refused(t)),
        },
        Some(DataType::Date) => Ok(text),
        Some(t) => Err(refused(t)),
    }
}

/// A value without quotes: SQL as it stands there.
pub fn plain(field: &Field, node: &Node) -> Result<String, String> {
    let text = printed(node)?;
    let refused = || {
        format!(
            "quote is false, and {text} is no constant that {} can have",
            field.path
        )
    };
    let literal = text.strip_prefix('\'').and_then(|t| t.strip_suffix('\''));
    match &field.data_type {
        None | Some(DataType::String)
            if literal.is_some_and(|t| !t.replace("''", "").contains('\'')) =>
        {
            Ok(literal.unwrap_or_default().replace("''", "'"))
        }
        None | Some(DataType::Boolean)
            if matches!(text.to_ascii_lowercase().as_str(), "true" | "false") =>
        {
            Ok(text.to_ascii_lowercase())
        }
        None => number(&text).map_err(|_| refused()),
        Some(t) if t.is_numeric() => number(&text).map_err(|_| refused()),
        Some(_) => Err(refused()),
    }
}

/// A value of YAML as Python prints it: PyYAML's words are those of YAML 1.1.
pub fn printed(node: &Node) -> Result<String, String> {
    Ok(match &node.content {
        Content::Text(text, _) => {
            is_rendered(text, "a value")?;
            text.clone()
        }
        Content::Bool(true, _) => "True".into(),
        Content::Bool(false, _) => "False".into(),
        Content::Null => "None".into(),
        Content::Number(text) if !text.contains(['.', 'e', 'E']) => text.clone(),
        // To PyYAML a number with an exponent has a point and the exponent a sign; any other is a text.
        Content::Number(text) if !is_float(text) => text.clone(),
        Content::Number(text) => {
            let value: f64 = text.parse().map_err(|_| format!("{text} is no number"))?;
            if !(1e-4..1e16).contains(&value.abs()) {
                return Err(format!(
                    "dbt may write {text} otherwise: write it in quotes"
                ));
            }
            format!("{value:?}")
        }
        Content::List(_) | Content::Map(_) => return Err("a value is no single value".into()),
    })
}

fn is_float(text: &str) -> bool {
    match text.split_once(['e', 'E']) {
        None => text.contains('.'),
        Some((mantissa, exponent)) => mantissa.contains('.') && exponent.starts_with(['-', '+']),
    }
}
