//! How JSON values become text, as Flink writes them.

use std::collections::BTreeMap;

use serde_json::value::RawValue;

/// What a JSON value is to JSON_VALUE.
pub(super) enum Scalar {
    Null,
    /// A string, number or boolean, as Flink shows it.
    Text(String),
    /// An object or array.
    Nested,
}

/// Looks at a JSON value.
pub(super) fn scalar(value: &RawValue) -> Scalar {
    let raw = value.get();
    match raw.as_bytes().first() {
        Some(b'{' | b'[') => Scalar::Nested,
        Some(b'"') => Scalar::Text(serde_json::from_str(raw).unwrap_or_else(|_| raw.to_owned())),
        Some(b'n') | None => Scalar::Null,
        Some(b't' | b'f') => Scalar::Text(raw.to_owned()),
        Some(_) => Scalar::Text(number_text(raw)),
    }
}

/// A number as Java's `BigDecimal.toString` writes it.
fn number_text(raw: &str) -> String {
    let (mantissa, exponent) = raw.split_once(['e', 'E']).unwrap_or((raw, "0"));
    if !raw.contains(['.', 'e', 'E']) {
        return if raw == "-0" {
            "0".to_owned()
        } else {
            raw.to_owned()
        };
    }
    let Ok(exponent) = exponent.parse::<i64>() else {
        return raw.to_owned();
    };
    let (sign, mantissa) = mantissa
        .strip_prefix('-')
        .map_or(("", mantissa), |m| ("-", m));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let joined = format!("{whole}{fraction}");
    let digits = joined.trim_start_matches('0');
    let digits = if digits.is_empty() { "0" } else { digits };
    let sign = if digits == "0" { "" } else { sign };
    let scale = fraction.len() as i64 - exponent;
    let adjusted = digits.len() as i64 - 1 - scale;
    if scale == 0 {
        return format!("{sign}{digits}");
    }
    if scale > 0 && adjusted >= -6 {
        let scale = scale as usize;
        let padded = format!("{digits:0>width$}", width = scale + 1);
        let (whole, fraction) = padded.split_at(padded.len() - scale);
        return format!("{sign}{whole}.{fraction}");
    }
    let (first, rest) = digits.split_at(1);
    let point = if rest.is_empty() { "" } else { "." };
    format!(
        "{sign}{first}{point}{rest}E{}{adjusted}",
        if adjusted >= 0 { "+" } else { "" }
    )
}

/// JSON text as Flink writes it: without spaces, members sorted by name, numbers as [`number_text`].
pub(super) fn canonical(value: &RawValue) -> String {
    let raw = value.get();
    match raw.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<String, &RawValue> =
                serde_json::from_str(raw).unwrap_or_default();
            let members: Vec<String> = members
                .iter()
                .map(|(name, value)| format!("{}:{}", quoted(name), canonical(value)))
                .collect();
            format!("{{{}}}", members.join(","))
        }
        Some(b'[') => {
            let elements: Vec<&RawValue> = serde_json::from_str(raw).unwrap_or_default();
            format!(
                "[{}]",
                elements
                    .into_iter()
                    .map(canonical)
                    .collect::<Vec<_>>()
                    .join(",")
            )
        }
        Some(b'"') => serde_json::from_str::<String>(raw)
            .map_or_else(|_| raw.to_owned(), |text| quoted(&text)),
        Some(b'-' | b'0'..=b'9') => number_text(raw),
        _ => raw.to_owned(),
    }
}

fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_javas_big_decimals() {
        for (raw, text) in [
            ("1", "1"),
            ("2.50", "2.50"),
            ("1e2", "1E+2"),
            ("1E-7", "1E-7"),
            ("1.0", "1.0"),
            ("-12.5e1", "-125"),
            ("0.00000012", "1.2E-7"),
            ("123e-2", "1.23"),
        ] {
            assert_eq!(number_text(raw), text);
        }
    }
}
