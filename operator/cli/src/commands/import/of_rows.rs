//! Expectations about several columns of one row.
//!
//! Which rows they leave out is `ignore_row_if`. In the rows that are left a null is a value like another: equal to a null where
//! values are counted, and neither equal, greater nor part of a sum elsewhere. So these expressions are never null.

use headworks_crds::{Comparison, PairCheck, QualityCheck};
use headworks_sql::types::DataType;

use super::draft::{Drafted, Fate};
use super::fields::{Field, number};
use super::suite::{Ask, TOOL};
use crate::yaml::{Content, Node};

type Fated = Result<Fate, String>;

/// Which rows aren't looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ignored {
    /// Those without any value.
    AllMissing,
    /// Those where one is missing.
    AnyMissing,
    /// None.
    Never,
}

fn ignored(ask: &Ask) -> Result<Ignored, String> {
    match ask.get("ignore_row_if").map(Node::text) {
        None | Some(Some("both_values_are_missing" | "all_values_are_missing")) => {
            Ok(Ignored::AllMissing)
        }
        Some(Some("either_value_is_missing" | "any_value_is_missing")) => Ok(Ignored::AnyMissing),
        Some(Some("neither" | "never")) => Ok(Ignored::Never),
        Some(_) => Err(format!(
            "its ignore_row_if isn't known: {TOOL} raises an error"
        )),
    }
}

/// A check of the rows that aren't ignored; `holds` is never null.
fn of_rows(name: String, fields: &[Field], ignored: Ignored, holds: &str) -> Drafted {
    let each = |what: &str, join: &str| {
        let terms: Vec<String> = fields
            .iter()
            .map(|f| format!("{} IS {what}", f.sql()))
            .collect();
        terms.join(join)
    };
    match ignored {
        Ignored::Never => Drafted::expression(name, holds),
        Ignored::AllMissing => {
            let missing = each("NULL", " AND ");
            Drafted::expression(name, format!("({missing}) OR ({holds})"))
                .counting(Some(each("NOT NULL", " OR ")))
        }
        Ignored::AnyMissing => {
            let missing = each("NULL", " OR ");
            Drafted::expression(name, format!("{missing} OR ({holds})"))
                .counting(Some(each("NOT NULL", " AND ")))
        }
    }
}

fn check(drafted: Drafted) -> Fate {
    Fate::Check(Box::new(drafted))
}

fn pair(ask: &Ask) -> Result<[Field; 2], String> {
    Ok([ask.field("column_A")?, ask.field("column_B")?])
}

/// `Err`: they can't be compared.
fn alike(fields: &[Field]) -> Result<(), String> {
    let group = |t: &DataType| match t {
        t if t.is_numeric() => "a number".to_owned(),
        DataType::Timestamp(_) => "a timestamp".into(),
        DataType::TimestampLtz(_) => "an instant".into(),
        other => other.to_string(),
    };
    let typed: Vec<(&str, String)> = fields
        .iter()
        .filter_map(|f| Some((f.path.as_str(), group(f.data_type.as_ref()?))))
        .collect();
    let [(first, of_first), rest @ ..] = &typed[..] else {
        return Ok(());
    };
    match rest.iter().find(|(_, group)| group != of_first) {
        None => Ok(()),
        Some((other, group)) => Err(format!(
            "{first} is {of_first} and {other} is {group}: they can't be compared"
        )),
    }
}

fn compared(ask: &Ask, what: &str, sign: &str, operator: Comparison) -> Fated {
    let fields = pair(ask)?;
    alike(&fields)?;
    let [left, right] = &fields;
    let name = format!("{}-{what}-{}", left.path, right.path);
    let ignored = ignored(ask)?;
    if ignored == Ignored::AnyMissing {
        let compare = Some(PairCheck {
            left: left.path.clone(),
            operator,
            right: right.path.clone(),
        });
        let checked = QualityCheck {
            compare,
            ..QualityCheck::default()
        };
        let counted = format!("{} IS NOT NULL AND {} IS NOT NULL", left.sql(), right.sql());
        return Ok(check(Drafted::new(name, checked).counting(Some(counted))));
    }
    let holds = format!("({} {sign} {}) IS TRUE", left.sql(), right.sql());
    Ok(check(of_rows(name, &fields, ignored, &holds)))
}

/// `expect_column_pair_values_to_be_equal`.
pub fn pair_equal(ask: &Ask) -> Fated {
    compared(ask, "equals", "=", Comparison::Equal)
}

/// `expect_column_pair_values_a_to_be_greater_than_b`.
pub fn pair_greater(ask: &Ask) -> Fated {
    if ask.flag("or_equal")? {
        compared(ask, "not-below", ">=", Comparison::GreaterOrEqual)
    } else {
        compared(ask, "above", ">", Comparison::Greater)
    }
}

/// `expect_column_pair_values_to_be_in_set`.
pub fn pair_in_set(ask: &Ask) -> Fated {
    let fields = pair(ask)?;
    if ask.get("value_pairs_set").is_none() {
        return Ok(Fate::Holds(
            "no value_pairs_set: it is true of any data".into(),
        ));
    }
    let is = |field: &Field, node: &Node| {
        Ok::<_, String>(match node.content {
            Content::Null => format!("{} IS NULL", field.sql()),
            _ => format!("({} = {}) IS TRUE", field.sql(), field.literal(node, TOOL)?),
        })
    };
    let mut terms = Vec::new();
    for item in ask.items("value_pairs_set")? {
        let [a, b] = item.items() else {
            return Err("value_pairs_set has an item that is no pair".into());
        };
        terms.push(format!(
            "({} AND {})",
            is(&fields[0], a)?,
            is(&fields[1], b)?
        ));
    }
    let holds = if terms.is_empty() {
        "FALSE".to_owned()
    } else {
        terms.join(" OR ")
    };
    let name = format!("{}-{}-in-set", fields[0].path, fields[1].path);
    Ok(check(of_rows(name, &fields, ignored(ask)?, &holds)))
}

fn listed(ask: &Ask) -> Result<Vec<Field>, String> {
    let mut fields = Vec::new();
    for item in ask.items("column_list")? {
        let name = item
            .text()
            .ok_or("column_list has an item that is no name")?;
        fields.push(Field::of(name, ask.schema)?);
    }
    if fields.len() < 2 {
        return Err("column_list has fewer than two columns".into());
    }
    Ok(fields)
}

fn names(fields: &[Field]) -> String {
    let names: Vec<&str> = fields.iter().map(|f| f.path.as_str()).collect();
    names.join("-")
}

/// `expect_select_column_values_to_be_unique_within_record`: two nulls are the same.
pub fn unique_within_record(ask: &Ask) -> Fated {
    let fields = listed(ask)?;
    alike(&fields)?;
    let mut terms = Vec::new();
    for (at, left) in fields.iter().enumerate() {
        for right in &fields[at + 1..] {
            terms.push(format!("{} IS DISTINCT FROM {}", left.sql(), right.sql()));
        }
    }
    let name = format!("{}-differ", names(&fields));
    Ok(check(of_rows(
        name,
        &fields,
        ignored(ask)?,
        &terms.join(" AND "),
    )))
}

/// `expect_multicolumn_values_to_be_equal`: two nulls are the same.
pub fn all_equal(ask: &Ask) -> Fated {
    let fields = listed(ask)?;
    alike(&fields)?;
    let first = fields[0].sql();
    let terms: Vec<String> = fields[1..]
        .iter()
        .map(|f| format!("{first} IS NOT DISTINCT FROM {}", f.sql()))
        .collect();
    let name = format!("{}-equal", names(&fields));
    Ok(check(of_rows(
        name,
        &fields,
        ignored(ask)?,
        &terms.join(" AND "),
    )))
}

/// `expect_multicolumn_sum_to_equal`: a row with a null has no sum.
pub fn sum(ask: &Ask) -> Fated {
    let fields = listed(ask)?;
    let total = match ask.get("sum_total").map(|node| &node.content) {
        Some(Content::Number(text)) => number(text)?,
        _ => return Err("sum_total is no number".into()),
    };
    let mut terms = Vec::new();
    let mut floats = false;
    for field in &fields {
        let name = field.sql();
        terms.push(match &field.data_type {
            // The sum of two is in its range, too.
            Some(DataType::Int) => format!("CAST({name} AS BIGINT)"),
            Some(DataType::Float | DataType::Double) => {
                floats = true;
                name
            }
            None => name,
            Some(t) if t.is_numeric() => name,
            Some(t) => return Err(format!("{} is {t}, which has no sum", field.path)),
        });
    }
    let holds = format!("({} = {total}) IS TRUE", terms.join(" + "));
    let note = (floats && fields.len() > 2)
        .then_some("three or more floating-point numbers may round otherwise when they are added in another order");
    let name = format!("{}-sum", names(&fields));
    Ok(check(
        of_rows(name, &fields, ignored(ask)?, &holds).noting(note),
    ))
}
