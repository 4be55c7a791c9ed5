//! Decimal numbers as text: written with all their digits, and read.

use arrow::datatypes::i256;

use super::{Shape, divide_rounded, fit, power};

/// The number as text, with all its digits.
pub(crate) fn to_text(value: i128, scale: u8) -> String {
    let digits = format!(
        "{:0>width$}",
        value.unsigned_abs(),
        width = usize::from(scale) + 1
    );
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(scale));
    let sign = if value < 0 { "-" } else { "" };
    if scale == 0 {
        format!("{sign}{whole}")
    } else {
        format!("{sign}{whole}.{fraction}")
    }
}

/// What a text is as a decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Value(i128),
    /// A number with more digits than fit.
    TooLarge,
    /// No number.
    Unreadable,
}

impl Read {
    /// The value, if there is one.
    pub(crate) fn value(self) -> Option<i128> {
        match self {
            Self::Value(value) => Some(value),
            Self::TooLarge | Self::Unreadable => None,
        }
    }
}

/// Reads a number such as `-12.50` or `1e3`.
pub(crate) fn from_text(text: &str, shape: Shape) -> Read {
    match digits_of(text) {
        None => Read::Unreadable,
        Some((value, scale)) => scaled(value, scale, shape).map_or(Read::TooLarge, Read::Value),
    }
}

/// A number's digits and how many of them stand after the point; `None` if it is no number.
fn digits_of(text: &str) -> Option<(i256, i32)> {
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], text[at + 1..].parse::<i32>().ok()?),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.as_bytes().first()? {
        b'-' => (true, &mantissa[1..]),
        b'+' => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.len() + fraction.len() == 0
        || !whole
            .bytes()
            .chain(fraction.bytes())
            .all(|b| b.is_ascii_digit())
    {
        return None;
    }
    // Digits beyond 76 can't matter to a value that fits.
    let all: String = whole.chars().chain(fraction.chars()).collect();
    let all = all.trim_start_matches('0');
    let scale = (fraction.len() as i32).saturating_sub(exponent);
    let (kept, scale) = if all.len() > 70 {
        (&all[..70], scale.saturating_sub(all.len() as i32 - 70))
    } else {
        (all, scale)
    };
    let mut value = i256::ZERO;
    for digit in kept.bytes() {
        value = value
            .wrapping_mul(i256::from_i128(10))
            .wrapping_add(i256::from_i128(i128::from(digit - b'0')));
    }
    if negative {
        value = value.wrapping_neg();
    }
    Some((value, scale))
}

/// Digits of which `scale` stand after the point (or, negative, zeros that are missing), in a shape.
fn scaled(value: i256, scale: i32, shape: Shape) -> Option<i128> {
    if value == i256::ZERO {
        Some(0)
    } else if scale < 0 {
        if scale < -76 {
            None
        } else {
            value
                .checked_mul(power(scale.unsigned_abs()))
                .and_then(|v| fit(v, 0, shape))
        }
    } else if scale > 76 + 70 {
        Some(0)
    } else if scale > 76 {
        divide_rounded(value, power(scale as u32 - 76)).and_then(|v| fit(v, 76, shape))
    } else {
        fit(value, scale as u8, shape)
    }
}
