//! What a plain word means. kubectl reads YAML 1.1, so `yes` is true and `010` is eight.

use serde_json::Value;

use super::{Block, Content};

/// The value of a plain (unquoted) scalar.
pub(super) fn plain(text: &str, block: Block) -> Content {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Content::Null,
        _ => {}
    }
    if let Some(value) = boolean(text) {
        return Content::Bool(value, text.to_owned());
    }
    number(text).map_or_else(|| Content::Text(text.to_owned(), block), Content::Number)
}

/// The words that YAML 1.1 reads as true or false.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Some(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Some(false)
        }
        _ => None,
    }
}

/// True for the words that YAML reads as infinite or not a number. JSON has no such numbers, so kubectl refuses the file.
pub(super) fn non_finite(text: &str) -> bool {
    let text = text.strip_prefix(['+', '-']).unwrap_or(text);
    matches!(text, ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN")
}

/// A number in JSON's spelling, with every digit. What is one is Go's to say (`sigs.k8s.io/yaml`, which kubectl and Helm use):
/// its integers have prefixes, signs and underscores; what is none of them is a fraction by YAML's own pattern.
fn number(text: &str) -> Option<String> {
    let first = text.chars().next()?;
    if !matches!(first, '0'..='9' | '+' | '-' | '.') {
        return None;
    }
    // Of a word that begins with a point Go's own parser judges, to which an underscore is wrong.
    let plain = if first == '.' {
        text.to_owned()
    } else {
        text.replace('_', "")
    };
    integer(&plain).or_else(|| fraction(&plain))
}

/// An integer of 64 bits.
fn integer(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let radix = |prefix: [char; 2]| {
        let rest = digits.strip_prefix('0')?;
        rest.strip_prefix(prefix)
    };
    let (digits, radix) = if let Some(rest) = radix(['x', 'X']) {
        (rest, 16)
    } else if let Some(rest) = radix(['o', 'O']) {
        (rest, 8)
    } else if let Some(rest) = radix(['b', 'B']) {
        (rest, 2)
    } else if let Some(rest) = digits.strip_prefix('0').filter(|rest| !rest.is_empty()) {
        (rest, 8)
    } else {
        (digits, 10)
    };
    // Rust's parser would take a second sign.
    if digits.starts_with(['+', '-']) {
        return None;
    }
    let value = u64::from_str_radix(digits, radix).ok()?;
    let is_signed = text.starts_with(['+', '-']);
    let least = i64::MIN.unsigned_abs();
    if is_signed && value > i64::MAX.unsigned_abs() && !(sign == "-" && value == least) {
        return None;
    }
    Some(if value == 0 {
        "0".to_owned()
    } else {
        format!("{sign}{value}")
    })
}

/// A number with a fraction or exponent, or too large for an integer.
fn fraction(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (&digits[..at], &digits[at..]),
        None => (digits, ""),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let all = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !all(whole) || !fraction.is_none_or(all) {
        return None;
    }
    if whole.is_empty() && fraction.is_none_or(str::is_empty) {
        return None;
    }
    if !exponent.is_empty() {
        let power = exponent[1..].trim_start_matches(['+', '-']);
        if power.is_empty() || !all(power) || exponent.len() - 1 > power.len() + 1 {
            return None;
        }
    }
    let whole = match whole.trim_start_matches('0') {
        "" => "0",
        rest => rest,
    };
    let fraction = match fraction {
        None | Some("") => String::new(),
        Some(fraction) => format!(".{fraction}"),
    };
    let number = format!("{sign}{whole}{fraction}{exponent}");
    // Beyond what the computer's fractions hold it is a word.
    let value: f64 = number.parse().ok()?;
    value.is_finite().then_some(number)
}

/// A number's value as the API server gets it: kubectl writes a fraction without decimals as an integer (`3.0`, `6.048e+08`),
/// and what is beyond 64 bits as a fraction.
pub(super) fn value(text: &str) -> Value {
    if let Ok(integer) = text.parse::<i64>() {
        return integer.into();
    }
    let Ok(number) = text.parse::<f64>() else {
        return Value::Null;
    };
    // Go writes larger ones with an exponent, and like Rust the fewest digits that tell a number from its neighbours.
    let whole = number.fract() == 0.0 && number.abs() < 1e21;
    if whole && let Ok(integer) = format!("{number}").parse::<i64>() {
        return integer.into();
    }
    number.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::yaml;

    /// `tests/kubectl/scalars.go` wrote the file.
    #[test]
    fn words_mean_what_kubectl_makes_of_them() {
        let answers = include_str!("../../tests/kubectl/scalars.tsv");
        let (mut wrong, mut numbers) = (Vec::new(), 0);
        for line in answers.lines() {
            let mut parts = line.split('\t');
            let (word, kind, json) = (
                parts.next().unwrap(),
                parts.next().unwrap(),
                parts.next().unwrap(),
            );
            let (documents, flaws) = yaml::read(&format!("v: {word}\n"));
            let ours = documents.first().and_then(|node| node.get("v"));
            let ours = ours.map(yaml::Node::to_json);
            let refused = flaws.iter().any(|flaw| flaw.fatal);
            let said = format!("{word}: {ours:?} {refused}; kubectl: {kind} {json}");
            if kind == "!" {
                if !refused {
                    wrong.push(said);
                }
                continue;
            }
            let theirs: Value = serde_json::from_str(json).unwrap();
            numbers += usize::from(theirs.is_number());
            // Go says of an integral fraction beyond 64 bits what JSON reads as an integer.
            let same = if kind == "float" {
                ours.as_ref().is_some_and(Value::is_f64)
                    && ours.as_ref().and_then(Value::as_f64) == json.parse().ok()
            } else {
                ours.as_ref() == Some(&theirs)
            };
            if !same || refused {
                wrong.push(said);
            }
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(numbers > 100, "{numbers}");
    }
}
