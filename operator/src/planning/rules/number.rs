//! Decimal numbers as they stand in a rule.

use std::cmp::Ordering;

/// Most digits of a number.
const DIGITS: usize = 38;

/// A decimal number, exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Number {
    /// Less than nothing.
    negative: bool,
    /// Digits before the point, without zeros in front.
    pub whole: String,
    /// Digits behind the point, without zeros at the end.
    pub fraction: String,
}

impl Number {
    /// Reads digits with a sign and a point; nothing where it is written otherwise, or has too many.
    pub fn read(text: &str) -> Option<Number> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(digits) => (true, digits),
            None => (false, text),
        };
        let (whole, fraction) = match digits.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (digits, None),
        };
        let all_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if !all_digits(whole) || !fraction.is_none_or(all_digits) {
            return None;
        }
        let whole = whole.trim_start_matches('0');
        let fraction = fraction.unwrap_or_default().trim_end_matches('0');
        if whole.len() + fraction.len() > DIGITS {
            return None;
        }
        Some(Number {
            negative: negative && !(whole.is_empty() && fraction.is_empty()),
            whole: whole.to_owned(),
            fraction: fraction.to_owned(),
        })
    }

    fn magnitude(&self, other: &Number) -> Ordering {
        let whole = (self.whole.len(), &self.whole).cmp(&(other.whole.len(), &other.whole));
        whole.then_with(|| self.fraction.cmp(&other.fraction))
    }
}

impl Ord for Number {
    fn cmp(&self, other: &Number) -> Ordering {
        match (self.negative, other.negative) {
            (false, true) => Ordering::Greater,
            (true, false) => Ordering::Less,
            (false, false) => self.magnitude(other),
            (true, true) => other.magnitude(self),
        }
    }
}

impl PartialOrd for Number {
    fn partial_cmp(&self, other: &Number) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl std::fmt::Display for Number {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let whole = if self.whole.is_empty() {
            "0"
        } else {
            &self.whole
        };
        let sign = if self.negative { "-" } else { "" };
        write!(f, "{sign}{whole}")?;
        if self.fraction.is_empty() {
            Ok(())
        } else {
            write!(f, ".{}", self.fraction)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_compare_by_what_they_are_worth() {
        let number = |text: &str| Number::read(text).unwrap();
        let ordered = [
            "-100", "-12.5", "-12.45", "0", "0.5", "9", "10", "10.01", "100",
        ];
        for pair in ordered.windows(2) {
            assert!(number(pair[0]) < number(pair[1]), "{pair:?}");
        }
        assert_eq!(number("1.50"), number("01.5"));
        assert_eq!(number("-0.0"), number("0"));
        assert_eq!(Number::read(&"9".repeat(39)), None);
    }
}
