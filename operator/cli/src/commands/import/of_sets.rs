//! Expectations about all rows of a batch: here about those of a window, which a monitor judges.
//!
//! A batch is what somebody hands over, a window is a time: what the tool says of a day's file is asked here of each window of the rule.
//! That is told with each.

use headworks_crds::{AggregateCheck, AggregateFunction, QualityCheck, RowCountCheck, UniqueCheck};

use super::draft::{Drafted, Fate};
use super::fields::{Field, per_cent};
use super::of_columns::bound;
use super::suite::{Ask, TOOL};
use crate::yaml::{Content, Node};

type Fated = Result<Fate, String>;

/// What to know of each.
pub const WINDOW: &str = "is about a batch, and here about each window of event time: set the rule's window to the time that a batch is of";
/// Most fields of a key.
const MOST_FIELDS: usize = 8;

fn check(name: impl Into<String>, check: QualityCheck) -> Fate {
    Fate::Check(Box::new(Drafted::new(name, check).noting(Some(WINDOW))))
}

/// A check that no key comes again.
pub fn of_key(name: String, key: Vec<String>) -> Fate {
    let unique = Some(UniqueCheck { key, within: None });
    check(
        name,
        QualityCheck {
            unique,
            ..QualityCheck::default()
        },
    )
}

/// `Err`: a share of the rows may come again.
fn all_of_them(ask: &Ask) -> Result<(), String> {
    let Some(mostly) = ask.get("mostly") else {
        return Ok(());
    };
    match &mostly.content {
        Content::Number(share) if per_cent(share)? == "100" => Ok(()),
        Content::Number(_) => Err(
            "mostly: here no key may come again; allow for some with an aggregate check of the function Distinct"
                .into(),
        ),
        _ => Err("mostly is no number".into()),
    }
}

/// `expect_column_values_to_be_unique`: nulls are skipped.
pub fn unique(ask: &Ask) -> Fated {
    let field = ask.field("column")?;
    all_of_them(ask)?;
    Ok(of_key(format!("{}-unique", field.path), vec![field.path]))
}

/// `expect_compound_columns_to_be_unique`: a null is a value like another, but for rows without any.
pub fn compound(ask: &Ask) -> Fated {
    all_of_them(ask)?;
    match ask.get("ignore_row_if").map(Node::text) {
        None | Some(Some("all_values_are_missing")) => {}
        Some(Some(other @ ("any_value_is_missing" | "never"))) => {
            return Err(format!(
                "ignore_row_if: {other}: a unique check leaves out records in which every field of the key is null; say the others with the rule's filter"
            ));
        }
        Some(_) => {
            return Err(format!(
                "its ignore_row_if isn't known: {TOOL} raises an error"
            ));
        }
    }
    let mut key: Vec<String> = Vec::new();
    for item in ask.items("column_list")? {
        let name = item
            .text()
            .ok_or("column_list has an item that is no name")?;
        let field = Field::of(name, ask.schema)?;
        if !key.contains(&field.path) {
            key.push(field.path);
        }
    }
    if key.is_empty() || key.len() > MOST_FIELDS {
        return Err(format!("a key has 1 to {MOST_FIELDS} fields"));
    }
    Ok(of_key(format!("{}-unique", key.join("-")), key))
}

/// A whole number that isn't negative.
fn count(ask: &Ask, key: &str) -> Result<Option<i64>, String> {
    let Some(node) = ask.get(key) else {
        return Ok(None);
    };
    let number = match &node.content {
        Content::Number(text) => super::fields::number(text)?.parse().ok(),
        _ => None,
    };
    number
        .filter(|number: &i64| *number >= 0)
        .map(Some)
        .ok_or_else(|| format!("{key} is no number of rows"))
}

fn rows(min: Option<i64>, max: Option<i64>) -> Fate {
    if min.is_none() && max.is_none() {
        return Fate::Holds("no bounds: it is true of any data".to_owned());
    }
    let row_count = Some(RowCountCheck { min, max });
    check(
        "row-count",
        QualityCheck {
            row_count,
            ..QualityCheck::default()
        },
    )
}

/// `expect_table_row_count_to_be_between`.
pub fn row_count(ask: &Ask) -> Fated {
    let strict = |key: &str| ask.flag(key).map(i64::from);
    let (above, below) = (strict("strict_min")?, strict("strict_max")?);
    let min = count(ask, "min_value")?.map(|min| min.saturating_add(above));
    let max = count(ask, "max_value")?.map(|max| max.saturating_sub(below));
    Ok(rows(min, max))
}

/// `expect_table_row_count_to_equal`.
pub fn row_count_equal(ask: &Ask) -> Fated {
    let value = count(ask, "value")?;
    if value.is_none() {
        return Err("value is missing".into());
    }
    Ok(rows(value, value))
}

fn aggregate(ask: &Ask, function: AggregateFunction, what: &str) -> Fated {
    for key in ["strict_min", "strict_max"] {
        if ask.flag(key)? {
            return Err(format!(
                "{key}: an aggregate check's bounds belong to what passes; write a having check, such as MIN(amount) > 0"
            ));
        }
    }
    let field = ask.field("column")?;
    let bounds = (
        bound(ask, &field, "min_value")?,
        bound(ask, &field, "max_value")?,
    );
    if bounds.0.is_none() && bounds.1.is_none() {
        return Ok(Fate::Holds("no bounds: it is true of any data".to_owned()));
    }
    let name = format!("{}-{what}", field.path);
    let aggregate = Some(AggregateCheck {
        field: field.path,
        function,
        min: bounds.0.map(|(text, _)| text),
        max: bounds.1.map(|(text, _)| text),
    });
    Ok(check(
        name,
        QualityCheck {
            aggregate,
            ..QualityCheck::default()
        },
    ))
}

/// `expect_column_min_to_be_between`.
pub fn min(ask: &Ask) -> Fated {
    aggregate(ask, AggregateFunction::Min, "min")
}

/// `expect_column_max_to_be_between`.
pub fn max(ask: &Ask) -> Fated {
    aggregate(ask, AggregateFunction::Max, "max")
}

/// `expect_column_mean_to_be_between`.
pub fn mean(ask: &Ask) -> Fated {
    aggregate(ask, AggregateFunction::Mean, "mean")
}

/// `expect_column_sum_to_be_between`.
pub fn sum(ask: &Ask) -> Fated {
    aggregate(ask, AggregateFunction::Sum, "sum")
}

/// `expect_column_stdev_to_be_between`: of a sample, as in pandas.
pub fn stdev(ask: &Ask) -> Fated {
    aggregate(ask, AggregateFunction::StdDev, "stdev")
}

/// `expect_column_unique_value_count_to_be_between`.
pub fn distinct(ask: &Ask) -> Fated {
    aggregate(ask, AggregateFunction::Distinct, "distinct")
}
