//! Expectations about the values of one column.

use headworks_crds::{
    FieldCheck, LengthCheck, PatternCheck, QualityCheck, RangeCheck, ValuesCheck,
};
use headworks_sql::types::DataType;

use super::draft::{Drafted, Fate};
use super::fields::{Field, number, quoted};
use super::python_regex::translate;
use super::strftime;
use super::suite::{Ask, TOOL};
use crate::yaml::{Content, Node};

type Fated = Result<Fate, String>;

fn check(drafted: Drafted) -> Fate {
    Fate::Check(Box::new(drafted))
}

/// Nulls are skipped, so they don't count in a share.
fn skipping(field: &Field, drafted: Drafted) -> Drafted {
    drafted.counting(Some(format!("{} IS NOT NULL", field.sql())))
}

fn called(field: &Field, what: &str) -> String {
    format!("{}-{what}", field.path)
}

/// `expect_column_values_to_not_be_null`: every row counts.
pub fn not_null(ask: &Ask) -> Fated {
    let field = ask.field("column")?;
    let not_null = Some(FieldCheck {
        field: field.path.clone(),
    });
    let name = called(&field, "not-null");
    Ok(check(Drafted::new(
        name,
        QualityCheck {
            not_null,
            ..QualityCheck::default()
        },
    )))
}

/// `expect_column_values_to_be_null`: every row counts.
pub fn null(ask: &Ask) -> Fated {
    let field = ask.field("column")?;
    let expression = format!("{} IS NULL", field.sql());
    Ok(check(Drafted::expression(
        called(&field, "null"),
        expression,
    )))
}

fn values(ask: &Ask, field: &Field) -> Result<Option<Vec<String>>, String> {
    if ask.get("value_set").is_none() {
        return Ok(None);
    }
    let items = ask.items("value_set")?;
    // Nulls are skipped, so one in the set is never asked for.
    let there = items
        .iter()
        .filter(|item| !matches!(item.content, Content::Null));
    let mut values: Vec<String> = Vec::new();
    for item in there {
        let value = field.value(item, TOOL)?;
        if !values.contains(&value) {
            values.push(value);
        }
    }
    if values.len() > 256 {
        return Err("more than 256 values, which a check doesn't take: keep them in a stream, and join with it".into());
    }
    Ok(Some(values))
}

const NO_SET: &str = "no value_set: it is true of any data";

/// `expect_column_values_to_be_in_set`.
pub fn in_set(ask: &Ask) -> Fated {
    let field = ask.field("column")?;
    let name = called(&field, "in-set");
    let Some(values) = values(ask, &field)? else {
        return Ok(Fate::Holds(NO_SET.into()));
    };
    let drafted = if values.is_empty() {
        Drafted::expression(name, format!("{} IS NULL", field.sql()))
    } else {
        let accepted = Some(ValuesCheck {
            field: field.path.clone(),
            values,
        });
        Drafted::new(
            name,
            QualityCheck {
                accepted,
                ..QualityCheck::default()
            },
        )
    };
    Ok(check(skipping(&field, drafted)))
}

/// `expect_column_distinct_values_to_be_in_set`: no value is outside, which each row can be asked.
pub fn distinct_in_set(ask: &Ask) -> Fated {
    in_set(ask)
}

/// `expect_column_values_to_not_be_in_set`.
pub fn not_in_set(ask: &Ask) -> Fated {
    let field = ask.field("column")?;
    let values = match values(ask, &field)? {
        Some(values) if !values.is_empty() => values,
        Some(_) => {
            return Ok(Fate::Holds(
                "an empty value_set: it is true of any data".into(),
            ));
        }
        None => return Ok(Fate::Holds(NO_SET.into())),
    };
    let forbidden = Some(ValuesCheck {
        field: field.path.clone(),
        values,
    });
    let drafted = Drafted::new(
        called(&field, "not-in-set"),
        QualityCheck {
            forbidden,
            ..QualityCheck::default()
        },
    );
    Ok(check(skipping(&field, drafted)))
}

/// A bound of a range as text, and what to know of it.
pub fn bound(
    ask: &Ask,
    field: &Field,
    key: &str,
) -> Result<Option<(String, Option<&'static str>)>, String> {
    let Some(node) = ask.get(key) else {
        return Ok(None);
    };
    let shown = node.to_json_text();
    let raises = || {
        format!(
            "{TOOL} raises an error where {} is compared with {shown}",
            field.path
        )
    };
    let text = match (&node.content, &field.data_type) {
        (Content::Number(text), None) => (number(text)?, None),
        (Content::Number(text), Some(t)) if t.is_numeric() => (number(text)?, None),
        (Content::Text(text, _), None) if is_time(text) => (text.clone(), None),
        (Content::Text(text, _), Some(DataType::Date)) if is_day(text) => (text.clone(), None),
        (Content::Text(text, _), Some(DataType::Timestamp(_))) if is_day(text) => (
            format!("{text}T00:00:00"),
            ask.is_new.then_some("1.x raises an error where a timestamp is compared with a day; here it is its first instant, as in 0.18"),
        ),
        (Content::Text(text, _), Some(DataType::Timestamp(_))) if is_time(text) && !has_zone(text) => {
            (text.clone(), None)
        }
        (Content::Text(text, _), Some(DataType::TimestampLtz(_))) if is_time(text) && has_zone(text) => {
            (text.clone(), None)
        }
        (Content::Text(..), None) => {
            return Err(format!("{key} is a text and no date: {TOOL} takes numbers and dates"));
        }
        _ => return Err(raises()),
    };
    Ok(Some(text))
}

/// `2026-01-31`.
fn is_day(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(at, b)| match at {
            4 | 7 => b == b'-',
            _ => b.is_ascii_digit(),
        })
}

/// `2026-01-31`, alone or with a time of day.
fn is_time(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_digit() || matches!(c, ':' | '.' | '+' | '-' | 'Z');
    match (text.get(..10), text.get(10..)) {
        (Some(day), Some("")) => is_day(day),
        (Some(day), Some(rest)) => {
            is_day(day)
                && rest.starts_with(['T', ' '])
                && rest.len() > 5
                && rest[1..].chars().all(fits)
        }
        _ => false,
    }
}

fn has_zone(text: &str) -> bool {
    text.get(10..)
        .is_some_and(|rest| rest.contains(['Z', '+', '-']))
}

/// `expect_column_values_to_be_between`.
pub fn between(ask: &Ask) -> Fated {
    let field = ask.field("column")?;
    let (min, max) = (
        bound(ask, &field, "min_value")?,
        bound(ask, &field, "max_value")?,
    );
    if min.is_none() && max.is_none() {
        return Err(format!(
            "neither min_value nor max_value: {TOOL} raises an error"
        ));
    }
    let note = min.iter().chain(&max).find_map(|(_, note)| *note);
    let (min, max) = (min.map(|(text, _)| text), max.map(|(text, _)| text));
    if let (Some(min), Some(max)) = (&min, &max) {
        let above = match (min.parse::<f64>(), max.parse::<f64>()) {
            (Ok(min), Ok(max)) => min > max,
            _ => min > max,
        };
        if above {
            return Err(format!(
                "min_value is above max_value: {TOOL} raises an error"
            ));
        }
    }
    let range = Some(RangeCheck {
        field: field.path.clone(),
        min_exclusive: min.is_some() && ask.flag("strict_min")?,
        max_exclusive: max.is_some() && ask.flag("strict_max")?,
        min,
        max,
    });
    let drafted = Drafted::new(
        called(&field, "between"),
        QualityCheck {
            range,
            ..QualityCheck::default()
        },
    );
    Ok(check(skipping(&field, drafted.noting(note))))
}

fn count(ask: &Ask, key: &str) -> Result<Option<i64>, String> {
    let Some(node) = ask.get(key) else {
        return Ok(None);
    };
    let whole = match &node.content {
        Content::Number(text) => number(text).ok().and_then(|text| text.parse().ok()),
        _ => None,
    };
    whole.map(Some).ok_or_else(|| {
        format!(
            "{key} is {}, and a length is a whole number",
            node.to_json_text()
        )
    })
}

fn of_length(field: &Field, min: Option<i64>, max: Option<i64>) -> Fated {
    field.is_text()?;
    let length = match (min, max) {
        (Some(min), Some(max)) if min > max || max < 0 => None,
        (None, Some(max)) if max < 0 => None,
        (Some(min), None) if min > i64::from(i32::MAX) => None,
        _ => Some(LengthCheck {
            field: field.path.clone(),
            min: min.map(|min| min.max(0)),
            max: max.map(|max| max.min(i64::from(i32::MAX))),
        }),
    };
    let name = called(field, "length");
    // No text has such a length.
    let drafted = match length {
        None => Drafted::expression(name, format!("{} IS NULL", field.sql())),
        Some(_) => Drafted::new(
            name,
            QualityCheck {
                length,
                ..QualityCheck::default()
            },
        ),
    };
    Ok(check(skipping(field, drafted)))
}

/// `expect_column_value_lengths_to_be_between`.
pub fn lengths(ask: &Ask) -> Fated {
    let field = ask.field("column")?;
    let min = count(ask, "min_value")?;
    let max = count(ask, "max_value")?;
    if min.is_none() && max.is_none() {
        return Err(format!(
            "neither min_value nor max_value: {TOOL} raises an error"
        ));
    }
    let strict = |key: &str| Ok::<_, String>(i64::from(ask.flag(key)?));
    let (above, below) = (strict("strict_min")?, strict("strict_max")?);
    of_length(
        &field,
        min.map(|min| min.saturating_add(above)),
        max.map(|max| max.saturating_sub(below)),
    )
}

/// `expect_column_value_lengths_to_equal`.
pub fn length(ask: &Ask) -> Fated {
    let field = ask.field("column")?;
    let value = count(ask, "value")?.ok_or("value is missing")?;
    of_length(&field, Some(value), Some(value))
}

/// A pattern in our words, that our SQL takes.
fn pattern(text: &str) -> Result<(String, Option<&'static str>), String> {
    let translated = translate(text)?;
    if translated.pattern.chars().count() > 1024 {
        return Err("the regular expression has more than 1024 characters".into());
    }
    super::is_condition(
        &format!("REGEXP('', {})", quoted(&translated.pattern)),
        None,
    )?;
    Ok((translated.pattern, translated.also))
}

fn with_pattern(ask: &Ask, found: bool) -> Fated {
    let field = ask.field("column")?;
    field.is_text()?;
    let (regex, note) = pattern(ask.text("regex")?)?;
    let of = Some(PatternCheck {
        field: field.path.clone(),
        regex,
    });
    let mut checked = QualityCheck::default();
    let what = if found {
        checked.pattern = of;
        "matching"
    } else {
        checked.not_matching = of;
        "not-matching"
    };
    let drafted = Drafted::new(called(&field, what), checked);
    Ok(check(skipping(&field, drafted.noting(note))))
}

/// `expect_column_values_to_match_regex`: found anywhere, as `re.search` does.
pub fn matching(ask: &Ask) -> Fated {
    with_pattern(ask, true)
}

/// `expect_column_values_to_not_match_regex`.
pub fn not_matching(ask: &Ask) -> Fated {
    with_pattern(ask, false)
}

fn with_patterns(ask: &Ask, found: bool, join: &str) -> Fated {
    let field = ask.field("column")?;
    field.is_text()?;
    let mut note = None;
    let mut terms = Vec::new();
    for item in ask.items("regex_list")? {
        let (regex, also) = pattern(
            item.text()
                .ok_or("regex_list has an item that is no text")?,
        )?;
        note = note.or(also);
        let not = if found { "" } else { "NOT " };
        terms.push(format!("{not}REGEXP({}, {})", field.sql(), quoted(&regex)));
    }
    if terms.is_empty() {
        return Err("regex_list is empty".into());
    }
    let what = if found { "matching" } else { "not-matching" };
    let drafted = Drafted::expression(called(&field, what), terms.join(join));
    Ok(check(skipping(&field, drafted.noting(note))))
}

/// `expect_column_values_to_match_regex_list`.
pub fn matching_list(ask: &Ask) -> Fated {
    match ask.get("match_on").map(Node::text) {
        None | Some(Some("any")) => with_patterns(ask, true, " OR "),
        Some(Some("all")) => with_patterns(ask, true, " AND "),
        Some(_) => Err("match_on is neither any nor all".into()),
    }
}

/// `expect_column_values_to_not_match_regex_list`: none of them is found.
pub fn not_matching_list(ask: &Ask) -> Fated {
    with_patterns(ask, false, " AND ")
}

/// `expect_column_values_to_match_strftime_format`, for formats that a pattern can say.
pub fn strftime(ask: &Ask) -> Fated {
    let field = ask.field("column")?;
    field.is_text()?;
    let regex = strftime::pattern(ask.text("strftime_format")?)?;
    super::is_condition(&format!("REGEXP('', {})", quoted(&regex)), None)?;
    let pattern = Some(PatternCheck {
        field: field.path.clone(),
        regex,
    });
    let drafted = Drafted::new(
        called(&field, "format"),
        QualityCheck {
            pattern,
            ..QualityCheck::default()
        },
    );
    Ok(check(skipping(&field, drafted)))
}

/// `expect_column_values_to_be_json_parseable`.
pub fn json(ask: &Ask) -> Fated {
    let field = ask.field("column")?;
    field.is_text()?;
    let name = field.sql();
    let expression = format!("{name} IS JSON OR {name} IN ('NaN', 'Infinity', '-Infinity')");
    let note =
        "Python's json takes NaN and Infinity within arrays and objects, too; SQL's JSON doesn't";
    Ok(check(skipping(
        &field,
        Drafted::expression(called(&field, "json"), expression).noting(Some(note)),
    )))
}
