//! Exact decimals: text to an unscaled integer and back, never through a float.

/// The unscaled value of `text` for `decimal(precision,scale)`.
///
/// `text` is a JSON number (RFC 8259 §6), leading zeros allowed. Zeros beyond the scale lose nothing
/// and are taken; any other digit there is refused.
pub(in crate::formats) fn parse(text: &str, precision: u8, scale: u8) -> Result<i128, String> {
    unscaled(text, precision, scale).map_err(|wrong| match wrong {
        Wrong::NoNumber => not_a_number(precision, scale),
        Wrong::TooLarge => too_large(precision, scale),
        Wrong::TooFine => too_fine(precision, scale),
    })
}

/// Why a text is no value of a decimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::formats) enum Wrong {
    NoNumber,
    /// Too many digits before the point.
    TooLarge,
    /// Digits beyond the scale.
    TooFine,
}

/// As [`parse`]. However large an exponent is, nothing is made of its size.
pub(in crate::formats) fn unscaled(text: &str, precision: u8, scale: u8) -> Result<i128, Wrong> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (mantissa, exponent) = match digits.find(['e', 'E']) {
        Some(at) => (
            &digits[..at],
            exponent(&digits[at + 1..]).ok_or(Wrong::NoNumber)?,
        ),
        None => (digits, 0),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return Err(Wrong::NoNumber),
        Some((whole, fraction)) => (whole, fraction),
        None => (mantissa, ""),
    };
    if whole.is_empty() {
        return Err(Wrong::NoNumber);
    }
    let mut value: i128 = 0;
    let mut significant: i64 = 0;
    // Zeros seen since the last other digit: they count only if another digit follows.
    let mut zeros: i64 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        match digit {
            b'0' if value == 0 => {}
            b'0' => zeros += 1,
            b'1'..=b'9' => {
                significant += zeros + 1;
                if significant > 38 {
                    // More than any decimal holds: which limit it breaks is still worth saying.
                    let beyond = exponent + (whole.len() as i64) > i64::from(precision - scale);
                    return Err(if beyond {
                        Wrong::TooLarge
                    } else {
                        Wrong::TooFine
                    });
                }
                for _ in 0..=zeros {
                    value *= 10;
                }
                value += i128::from(digit - b'0');
                zeros = 0;
            }
            _ => return Err(Wrong::NoNumber),
        }
    }
    if value == 0 {
        return Ok(0);
    }
    // value × 10^power is the number; shift makes it unscaled.
    let power = zeros + exponent - fraction.len() as i64;
    let shift = power + i64::from(scale);
    if significant + shift > i64::from(precision) {
        return Err(Wrong::TooLarge);
    }
    if shift < 0 {
        return Err(Wrong::TooFine);
    }
    for _ in 0..shift {
        value *= 10;
    }
    Ok(if negative { -value } else { value })
}

/// The value of a JSON number that has no fraction, however it is written: `100`, `100.0` and `1e2` are one number
/// (RFC 8259 §6), and JSON Schema calls each of them an integer.
#[inline]
pub(in crate::formats) fn whole(number: &str) -> Result<i64, Wrong> {
    // An i64 has 19 digits at most.
    i64::try_from(unscaled(number, 19, 0)?).map_err(|_| Wrong::TooLarge)
}

/// As an int.
pub(in crate::formats) fn narrow(value: i64) -> Result<i32, Wrong> {
    i32::try_from(value).map_err(|_| Wrong::TooLarge)
}

/// An exponent, held within bounds that no decimal reaches; `None`: not an exponent.
fn exponent(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', ..] => (true, &text[1..]),
        [b'+', ..] => (false, &text[1..]),
        _ => (false, text),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value: i64 = 0;
    for digit in digits.bytes() {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = (value * 10 + i64::from(digit - b'0')).min(1 << 40);
    }
    Some(if negative { -value } else { value })
}

fn not_a_number(precision: u8, scale: u8) -> String {
    format!("expected decimal({precision},{scale}), found a string that is no number")
}

fn too_large(precision: u8, scale: u8) -> String {
    format!(
        "too large for decimal({precision},{scale}), which holds {} digits before the point",
        precision - scale
    )
}

fn too_fine(precision: u8, scale: u8) -> String {
    format!("has more digits after the point than the {scale} of decimal({precision},{scale})")
}

/// Appends an unscaled value as digits with a point: `1250` at scale 2 is `12.50`.
pub(crate) fn write(value: i128, scale: u8, out: &mut Vec<u8>) {
    // 39 digits is the longest u128.
    let mut digits = [b'0'; 40];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    let least = usize::from(scale) + 1;
    while rest > 0 || digits.len() - at < least {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    if value < 0 {
        out.push(b'-');
    }
    let point = digits.len() - usize::from(scale);
    out.extend_from_slice(&digits[at..point]);
    if scale > 0 {
        out.push(b'.');
        out.extend_from_slice(&digits[point..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(value: i128, scale: u8) -> String {
        let mut out = Vec::new();
        write(value, scale, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn digits_are_kept_exactly() {
        for (text, value) in [
            ("0", 0),
            ("-0.00", 0),
            ("12.5", 1250),
            ("-12.50", -1250),
            ("0.01", 1),
            ("12.500000", 1250),
            ("1e2", 10000),
            ("125E-1", 1250),
            ("0.0000125e6", 1250),
            ("9999999999.99", 999_999_999_999),
            ("0e999999999999999999999", 0),
            ("10", 1000),
            ("007", 700),
        ] {
            assert_eq!(parse(text, 12, 2), Ok(value), "{text}");
        }
        let widest = "9".repeat(38);
        assert_eq!(parse(&widest, 38, 0), Ok(10_i128.pow(38) - 1));
        assert_eq!(
            parse(&format!("-0.{widest}"), 38, 38),
            Ok(1 - 10_i128.pow(38))
        );
    }

    #[test]
    fn a_digit_beyond_the_scale_is_refused() {
        for text in [
            "0.001",
            "12.345",
            "1e-3",
            "-0.0000000000000000000000000000000000000000000000001",
        ] {
            assert!(
                parse(text, 12, 2)
                    .unwrap_err()
                    .contains("more digits after the point than the 2 of decimal(12,2)"),
                "{text}"
            );
        }
        assert!(
            parse(&format!("0.{}", "1".repeat(60)), 12, 2)
                .unwrap_err()
                .contains("after the point")
        );
    }

    #[test]
    fn a_number_that_does_not_fit_is_refused() {
        let long = "1".repeat(60);
        for text in [
            "10000000000",
            "-99999999999.99",
            "1e10",
            "1e999999999999999999999",
            long.as_str(),
        ] {
            assert!(
                parse(text, 12, 2)
                    .unwrap_err()
                    .contains("which holds 10 digits before the point"),
                "{text}"
            );
        }
    }

    #[test]
    fn text_that_is_no_number_is_refused() {
        for text in [
            "", "-", ".", "1.", ".5", "+1", "1,5", "1e", "1e+", "1e1.5", "0x10", "NaN", "Infinity",
            " 1", "1 ", "--1", "１",
        ] {
            assert!(parse(text, 12, 2).is_err(), "{text}");
        }
    }

    #[test]
    fn written_digits_follow_the_scale() {
        assert_eq!(written(1250, 2), "12.50");
        assert_eq!(written(-1, 2), "-0.01");
        assert_eq!(written(0, 2), "0.00");
        assert_eq!(written(42, 0), "42");
        assert_eq!(
            written(10_i128.pow(38) - 1, 38),
            format!("0.{}", "9".repeat(38))
        );
    }
}
