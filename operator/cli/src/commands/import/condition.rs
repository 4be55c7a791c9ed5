//! A `row_condition` of Great Expectations: which rows an expectation is about.
//!
//! In version 1 it is a tree of comparisons; as a text it has a parser: `pandas` (and `python`) is what `DataFrame.query` takes,
//! `great_expectations` (and `great_expectations__experimental__`) one comparison as `col("a") > 1`. Where pandas compares, a
//! missing value is unequal to everything (IEEE 754), so that `!=` and NOT_IN take rows without one; SQL's `<>` doesn't.

use headworks_sql::schema::Schema;

use super::fields::{Field, quoted};
use crate::yaml::{Content, Node};

const TOOL: &str = "Great Expectations";
/// Deepest tree.
const DEEPEST: usize = 16;

/// The rows that the expectation of these arguments is about, as an SQL condition.
pub fn of(kwargs: &Node, schema: Option<&Schema>) -> Result<Option<String>, String> {
    let there = kwargs.get("row_condition");
    match there.map(|node| (node, &node.content)) {
        None | Some((_, Content::Null)) => Ok(None),
        Some((node, Content::Map(_))) => tree(node, schema, 0).map(Some),
        Some((_, Content::Text(text, _))) => {
            let parser = kwargs.get("condition_parser").and_then(Node::text);
            match parser {
                Some("pandas" | "python") => query(text, schema).map(Some),
                Some("great_expectations" | "great_expectations__experimental__") => {
                    column(text, schema).map(Some)
                }
                other => Err(format!(
                    "its row_condition is for {}: write what it says as the filter of a QualityRule",
                    other.unwrap_or("a parser that it doesn't name")
                )),
            }
        }
        Some(_) => Err("its row_condition is neither a text nor a condition".into()),
    }
}

fn tree(node: &Node, schema: Option<&Schema>, depth: usize) -> Result<String, String> {
    if depth > DEEPEST {
        return Err("its row_condition is nested too deeply".into());
    }
    let field = || {
        let column = node.get("column");
        let name = column.and_then(|c| c.get("name").and_then(Node::text).or(c.text()));
        let name = name.ok_or("its row_condition names no column")?;
        Field::of(name, schema)
    };
    match node.get("type").and_then(Node::text) {
        Some("nullity") => {
            let not = match node.get("is_null").map(|n| &n.content) {
                Some(Content::Bool(true, _)) => "",
                Some(Content::Bool(false, _)) => "NOT ",
                _ => return Err("its row_condition doesn't say whether is_null".into()),
            };
            Ok(format!("{} IS {not}NULL", field()?.sql()))
        }
        Some("comparison") => {
            let operator = node
                .get("operator")
                .and_then(Node::text)
                .unwrap_or_default();
            let parameter = node
                .get("parameter")
                .ok_or("its row_condition has no parameter")?;
            comparison(&field()?, operator, parameter)
        }
        Some(kind @ ("and" | "or")) => {
            let parts = node.get("conditions").map_or(&[][..], Node::items);
            if parts.is_empty() {
                return Err("its row_condition has no conditions".into());
            }
            let parts: Result<Vec<String>, String> = parts
                .iter()
                .map(|part| tree(part, schema, depth + 1).map(|text| format!("({text})")))
                .collect();
            Ok(parts?.join(if kind == "and" { " AND " } else { " OR " }))
        }
        Some("pass_through") => match node.get("pass_through_filter").and_then(Node::text) {
            Some(text) => query(text, schema),
            None => Err("its row_condition passes nothing through".into()),
        },
        other => Err(format!(
            "its row_condition is of the type {}, which isn't known",
            other.unwrap_or("(none)")
        )),
    }
}

/// As pandas compares.
fn comparison(field: &Field, operator: &str, parameter: &Node) -> Result<String, String> {
    let name = field.sql();
    if matches!(operator, "IN" | "NOT_IN") {
        let values: Result<Vec<String>, String> = parameter
            .items()
            .iter()
            .map(|value| field.literal(value, TOOL))
            .collect();
        let values = values?;
        if values.is_empty() {
            return Err("its row_condition compares with no value at all".into());
        }
        let list = values.join(", ");
        return Ok(if operator == "IN" {
            format!("{name} IN ({list})")
        } else {
            format!("{name} IS NULL OR {name} NOT IN ({list})")
        });
    }
    let value = field.literal(parameter, TOOL)?;
    Ok(match operator {
        "==" => format!("{name} = {value}"),
        "!=" => format!("{name} IS DISTINCT FROM {value}"),
        "<" | "<=" | ">" | ">=" => format!("{name} {operator} {value}"),
        _ => {
            return Err(format!(
                "its row_condition compares by {operator:?}, which isn't known"
            ));
        }
    })
}

const OPERATORS: [&str; 6] = ["==", "!=", "<=", ">=", "<", ">"];

/// A comparison's parts: what stands before the operator, it, and what stands behind.
fn split(text: &str) -> Option<(&str, &str, &str)> {
    let at = text.find(['=', '!', '<', '>'])?;
    let operator = OPERATORS.into_iter().find(|o| text[at..].starts_with(o))?;
    let (left, right) = (text[..at].trim(), text[at + operator.len()..].trim());
    (!left.is_empty() && !right.is_empty()).then_some((left, operator, right))
}

/// A literal of Python's: a number, a text in quotes, True or False.
fn literal(text: &str) -> Option<Node> {
    let quote = text.chars().next().filter(|c| matches!(c, '\'' | '"'));
    let json = if let Some(quote) = quote {
        let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
        if inner.contains(quote) || inner.contains('\\') {
            return None;
        }
        serde_json::Value::from(inner).to_string()
    } else {
        match text {
            "True" => "true".into(),
            "False" => "false".into(),
            _ => super::fields::number(text).ok()?,
        }
    };
    let (mut documents, _) = crate::yaml::read(&json);
    documents.pop()
}

/// Comparisons that `and` or `&` join, as `DataFrame.query` takes them.
fn query(text: &str, schema: Option<&Schema>) -> Result<String, String> {
    let unknown = || {
        format!(
            "its row_condition {text:?} is more than comparisons with `and` between them: write what it says as the filter of a QualityRule"
        )
    };
    let joined = text.replace(" and ", "&");
    let mut parts = Vec::new();
    for part in joined.split('&').map(str::trim) {
        let part = part
            .strip_prefix('(')
            .and_then(|p| p.strip_suffix(')'))
            .unwrap_or(part);
        let nullity = [
            (".notnull()", "NOT NULL"),
            (".notna()", "NOT NULL"),
            (".isnull()", "NULL"),
            (".isna()", "NULL"),
        ];
        if let Some((name, is)) = nullity
            .iter()
            .find_map(|(end, is)| Some((part.strip_suffix(end)?, is)))
        {
            parts.push(format!(
                "{} IS {is}",
                named(name, schema).ok_or_else(unknown)??.sql()
            ));
            continue;
        }
        let (left, operator, right) = split(part).ok_or_else(unknown)?;
        let field = named(left, schema).ok_or_else(unknown)??;
        let value = literal(right).ok_or_else(unknown)?;
        parts.push(comparison(&field, operator, &value)?);
    }
    match &parts[..] {
        [one] => Ok(one.clone()),
        _ => Ok(parts
            .iter()
            .map(|p| format!("({p})"))
            .collect::<Vec<_>>()
            .join(" AND ")),
    }
}

/// A name by itself, or in backticks.
fn named(text: &str, schema: Option<&Schema>) -> Option<Result<Field, String>> {
    let inner = text.strip_prefix('`').and_then(|t| t.strip_suffix('`'));
    let name = inner.unwrap_or(text);
    let plain = name.chars().all(|c| c.is_alphanumeric() || c == '_');
    (!name.is_empty() && (plain || inner.is_some_and(|t| !t.contains('`'))))
        .then(|| Field::of(name, schema))
}

/// `col("a") > 1`, `col("a").notNull()`: what SQL and Spark are asked, so `!=` is theirs.
fn column(text: &str, schema: Option<&Schema>) -> Result<String, String> {
    let unknown = || format!("its row_condition {text:?} isn't of the form col(\"a\") > 1");
    let rest = text.trim().strip_prefix("col(\"").ok_or_else(unknown)?;
    let (name, rest) = rest.split_once("\")").ok_or_else(unknown)?;
    let field = Field::of(name, schema)?;
    if rest.trim().eq_ignore_ascii_case(".notnull()") {
        return Ok(format!("{} IS NOT NULL", field.sql()));
    }
    let rest = format!("x{rest}");
    let (left, operator, right) = split(&rest).ok_or_else(unknown)?;
    if left != "x" {
        return Err(unknown());
    }
    let date = right
        .strip_prefix("date(")
        .and_then(|r| r.strip_suffix(')'));
    let value = match date {
        Some(date) => {
            let date = literal(date).ok_or_else(unknown)?;
            quoted(date.text().ok_or_else(unknown)?)
        }
        None => field.literal(&literal(right).ok_or_else(unknown)?, TOOL)?,
    };
    let operator = match operator {
        "==" => "=",
        "!=" => "<>",
        other => other,
    };
    Ok(format!("{} {operator} {value}", field.sql()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(json: &str) -> Result<Option<String>, String> {
        let (documents, flaws) = crate::yaml::read(json);
        assert!(flaws.is_empty(), "{flaws:?}");
        of(&documents[0], None)
    }

    #[test]
    fn conditions_as_texts() {
        for (condition, parser, wanted) in [
            ("a > 1", "pandas", "`a` > 1"),
            ("a!=2", "pandas", "`a` IS DISTINCT FROM 2"),
            ("`a` == \\\"x y\\\"", "python", "`a` = 'x y'"),
            (
                "(a > 1) & b.isnull()",
                "pandas",
                "(`a` > 1) AND (`b` IS NULL)",
            ),
            (
                "a > 1 and b == True",
                "pandas",
                "(`a` > 1) AND (`b` = TRUE)",
            ),
            ("col(\\\"a\\\") != 2", "great_expectations", "`a` <> 2"),
            (
                "col(\\\"a\\\").notNull()",
                "great_expectations__experimental__",
                "`a` IS NOT NULL",
            ),
            (
                "col(\\\"a\\\") >= date('2026-01-01')",
                "great_expectations",
                "`a` >= '2026-01-01'",
            ),
        ] {
            let json =
                format!(r#"{{"row_condition": "{condition}", "condition_parser": "{parser}"}}"#);
            assert_eq!(asked(&json), Ok(Some(wanted.into())), "{condition}");
        }
        for (condition, parser) in [
            ("a > 1 or b > 2", "pandas"),
            ("a.str.contains('x')", "pandas"),
            ("a > b", "pandas"),
            ("a = 1", "pandas"),
            ("a > 1", "spark"),
            ("a > 1", "great_expectations"),
        ] {
            let json =
                format!(r#"{{"row_condition": "{condition}", "condition_parser": "{parser}"}}"#);
            assert!(asked(&json).is_err(), "{condition}");
        }
        assert_eq!(asked(r#"{"row_condition": null}"#), Ok(None));
    }

    #[test]
    fn conditions_as_trees() {
        let leaf = |operator: &str, parameter: &str| {
            format!(
                r#"{{"type": "comparison", "column": {{"name": "a"}}, "operator": "{operator}", "parameter": {parameter}}}"#
            )
        };
        for (tree, wanted) in [
            (leaf("==", "\"it's\""), "`a` = 'it''s'"),
            (leaf("NOT_IN", "[1, 2]"), "`a` IS NULL OR `a` NOT IN (1, 2)"),
            (
                format!(
                    r#"{{"type": "or", "conditions": [{}, {{"type": "nullity", "column": {{"name": "b"}}, "is_null": false}}]}}"#,
                    leaf("<", "0.50")
                ),
                "(`a` < 0.5) OR (`b` IS NOT NULL)",
            ),
        ] {
            let json = format!(r#"{{"row_condition": {tree}}}"#);
            assert_eq!(asked(&json), Ok(Some(wanted.into())), "{tree}");
        }
        for tree in [
            leaf("~", "1"),
            leaf("IN", "[]"),
            r#"{"type": "xor"}"#.into(),
        ] {
            assert!(
                asked(&format!(r#"{{"row_condition": {tree}}}"#)).is_err(),
                "{tree}"
            );
        }
    }
}
