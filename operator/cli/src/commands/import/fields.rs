//! Fields, and values of other tools' files as a QualityRule writes them.

use headworks_sql::schema::Schema;
use headworks_sql::types::DataType;

use crate::finding::hint;
use crate::yaml::{Content, Node};

/// Most digits of a number that is written out.
const DIGITS: i64 = 40;

/// A field of the stream.
#[derive(Clone, Debug)]
pub struct Field {
    /// Its name; a dot reaches into a struct.
    pub path: String,
    /// Its type, where the contract is known.
    pub data_type: Option<DataType>,
}

impl Field {
    /// The field of that name; `Err` says why it is none.
    pub fn of(name: &str, schema: Option<&Schema>) -> Result<Self, String> {
        let step = |step: &str| {
            let mut letters = step.chars();
            let first = |c: char| c.is_ascii_alphabetic() || matches!(c, '_' | '@');
            letters.next().is_some_and(first)
                && letters.all(|c| first(c) || c.is_ascii_digit() || c == '-')
        };
        let Some(schema) = schema else {
            return if name.len() <= 256 && name.split('.').all(step) {
                Ok(Self {
                    path: name.to_owned(),
                    data_type: None,
                })
            } else {
                Err(format!(
                    "no field of a stream can be called {name:?}: name the field that it is there"
                ))
            };
        };
        let data_type = match schema.path(name) {
            Ok(column) => column.data_type,
            Err(_)
                if schema
                    .column(name.split('.').next().unwrap_or(name))
                    .is_none() =>
            {
                return Err(format!(
                    "the stream has no field {name:?}{}",
                    hint(name, schema.names())
                ));
            }
            Err(missing) => return Err(missing),
        };
        Ok(Self {
            path: name.to_owned(),
            data_type: Some(data_type),
        })
    }

    /// As SQL names it.
    pub fn sql(&self) -> String {
        let steps: Vec<String> = self.path.split('.').map(|s| format!("`{s}`")).collect();
        steps.join(".")
    }

    /// `Err`: the contract says that it is no text.
    pub fn is_text(&self) -> Result<(), String> {
        match &self.data_type {
            None | Some(DataType::String) => Ok(()),
            Some(other) => Err(format!(
                "{} is {other}, and only a text has what this asks for",
                self.path
            )),
        }
    }

    /// A value that the field's is compared with for equality, as a check's text; `Err` says why there is none. `tool` compares a
    /// number with a text as never equal.
    pub fn value(&self, node: &Node, tool: &str) -> Result<String, String> {
        let shown = node.to_json_text();
        let never = |data_type: &DataType| {
            format!(
                "{} is {data_type} and {shown} isn't: to {tool} they are never equal",
                self.path
            )
        };
        let text = match (&node.content, &self.data_type) {
            (Content::Text(text, _), None | Some(DataType::String)) => text.clone(),
            (Content::Number(text), None) => number(text)?,
            (Content::Number(text), Some(t)) if t.is_numeric() => {
                let text = number(text)?;
                if matches!(t, DataType::Int | DataType::BigInt) && text.contains('.') {
                    return Err(never(t));
                }
                text
            }
            (Content::Bool(value, _), None | Some(DataType::Boolean)) => value.to_string(),
            (
                Content::Text(..) | Content::Number(_) | Content::Bool(..),
                Some(
                    t @ (DataType::String
                    | DataType::Boolean
                    | DataType::Int
                    | DataType::BigInt
                    | DataType::Float
                    | DataType::Double
                    | DataType::Decimal { .. }),
                ),
            ) => return Err(never(t)),
            (_, Some(t)) => {
                return Err(format!(
                    "{} is {t}: what {tool} makes of {shown} beside such a value depends on its version",
                    self.path
                ));
            }
            _ => return Err(format!("{shown} is no value that a field can have")),
        };
        if text.chars().count() > 256 {
            return Err("a value has more than 256 characters, which a check doesn't take".into());
        }
        Ok(text)
    }

    /// The same as an SQL literal.
    pub fn literal(&self, node: &Node, tool: &str) -> Result<String, String> {
        let text = self.value(node, tool)?;
        Ok(match node.content {
            Content::Text(..) => quoted(&text),
            Content::Bool(..) => text.to_uppercase(),
            _ => text,
        })
    }
}

/// A text as an SQL literal.
pub fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A number with a decimal point and no exponent, without zeros that say nothing: `1.50`, `15e-1` and `1.5` are `1.5`. Numbers
/// of more than forty digits keep their exponent.
pub fn number(text: &str) -> Result<String, String> {
    let wrong = || format!("{text} is no number that a check can have");
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = digits
        .split_once(['e', 'E'])
        .map_or((digits, "0"), |(mantissa, exponent)| (mantissa, exponent));
    let exponent: i64 = exponent.parse().map_err(|_| wrong())?;
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{part}");
    if all.is_empty() || !all.bytes().all(|b| b.is_ascii_digit()) {
        return Err(wrong());
    }
    let length = i64::try_from(all.len()).unwrap_or(i64::MAX);
    // Where the point stands in `all`.
    let point = i64::try_from(whole.len()).unwrap_or(i64::MAX) + exponent.clamp(-10_000, 10_000);
    if length > DIGITS || !(-DIGITS..=DIGITS).contains(&point) {
        return Ok(text.to_owned());
    }
    let zeros = |count: i64| "0".repeat(usize::try_from(count).unwrap_or(0));
    let (whole, part) = if point <= 0 {
        (String::new(), format!("{}{all}", zeros(-point)))
    } else if point >= length {
        (format!("{all}{}", zeros(point - length)), String::new())
    } else {
        let (whole, part) = all.split_at(usize::try_from(point).unwrap_or(0));
        (whole.to_owned(), part.to_owned())
    };
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        whole => whole,
    };
    let part = part.trim_end_matches('0');
    let zero = whole == "0" && part.is_empty();
    Ok(match (zero, part) {
        (true, _) => "0".into(),
        (false, "") => format!("{sign}{whole}"),
        (false, part) => format!("{sign}{whole}.{part}"),
    })
}

/// A share from 0 to 1 as per cent, exactly.
pub fn per_cent(share: &str) -> Result<String, String> {
    let share = number(share)?;
    let wrong = || format!("mostly is {share}, and a share is from 0 to 1");
    let (whole, part) = share.split_once('.').unwrap_or((&share, ""));
    if !(matches!(whole, "0") || (whole == "1" && part.is_empty())) {
        return Err(wrong());
    }
    let shifted = number(&format!("{share}e2"))?;
    if shifted
        .split_once('.')
        .is_some_and(|(_, part)| part.len() > 9)
    {
        return Err(format!(
            "mostly is {share}, and a threshold has at most nine digits behind the point"
        ));
    }
    Ok(shifted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_written_out_and_keeps_its_value() {
        for (text, wanted) in [
            ("1", "1"),
            ("1.0", "1"),
            ("-0.50", "-0.5"),
            ("1e2", "100"),
            ("15e-1", "1.5"),
            ("-0.0", "0"),
            ("0.30000000000000004", "0.30000000000000004"),
            ("1.5E-3", "0.0015"),
            ("100", "100"),
            ("1e300", "1e300"),
        ] {
            assert_eq!(number(text).as_deref(), Ok(wanted), "{text}");
        }
        for text in ["", "-", "a", "1e", "0x1", "1.2.3", "NaN"] {
            assert!(number(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_share_becomes_per_cent_without_rounding() {
        for (share, wanted) in [
            ("1", "100"),
            ("1.0", "100"),
            ("0", "0"),
            ("0.67", "67"),
            ("0.995", "99.5"),
            ("5e-2", "5"),
            ("0.666666666", "66.6666666"),
            ("0.07", "7"),
        ] {
            assert_eq!(per_cent(share).as_deref(), Ok(wanted), "{share}");
        }
        for share in ["1.01", "-0.1", "2", "0.666666666666"] {
            assert!(per_cent(share).is_err(), "{share}");
        }
    }
}
