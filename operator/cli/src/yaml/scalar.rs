//! What a plain word means. kubectl reads YAML 1.1, so `yes` is true and `010` is eight.

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

/// A number in JSON's spelling.
fn number(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", text.strip_prefix('+').unwrap_or(text)),
    };
    let first = digits.chars().next()?;
    if !first.is_ascii_digit() && first != '.' {
        return None;
    }
    let digits = digits.replace('_', "");
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(rest) = digits.strip_prefix(prefix) {
            let value = u64::from_str_radix(rest, radix).ok()?;
            return Some(format!("{sign}{value}"));
        }
    }
    if digits.len() > 1 && digits.starts_with('0') && digits.bytes().all(|b| b.is_ascii_digit()) {
        let value = u64::from_str_radix(&digits, 8).ok()?;
        return Some(format!("{sign}{value}"));
    }
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (&digits[..at], &digits[at..]),
        None => (digits.as_str(), ""),
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
    Some(format!("{sign}{whole}{fraction}{exponent}"))
}
