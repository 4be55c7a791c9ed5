//! Units of time, and INTERVAL literals in their base unit.

use super::ast::{Interval, Unit};
use super::lexer::Token;
use super::{Parsed, Parser};
use crate::error::SqlError;
use crate::suggest::nearest;

const UNITS: &[(&str, Unit)] = &[
    ("MILLENNIUM", Unit::Millennium),
    ("CENTURY", Unit::Century),
    ("DECADE", Unit::Decade),
    ("YEAR", Unit::Year),
    ("QUARTER", Unit::Quarter),
    ("MONTH", Unit::Month),
    ("WEEK", Unit::Week),
    ("DAY", Unit::Day),
    ("HOUR", Unit::Hour),
    ("MINUTE", Unit::Minute),
    ("SECOND", Unit::Second),
    ("MILLISECOND", Unit::Millisecond),
    ("MICROSECOND", Unit::Microsecond),
    ("DOW", Unit::DayOfWeek),
    ("ISODOW", Unit::IsoDayOfWeek),
    ("DOY", Unit::DayOfYear),
    ("ISOYEAR", Unit::IsoYear),
    ("EPOCH", Unit::Epoch),
];

impl Parser {
    pub(super) fn unit(&mut self) -> Parsed<Unit> {
        let Token::Word(word) = self.token() else {
            return Err(self.expected("a unit of time such as DAY"));
        };
        if let Some((_, unit)) = UNITS.iter().find(|(w, _)| w.eq_ignore_ascii_case(word)) {
            self.advance();
            return Ok(*unit);
        }
        let near = nearest(word, UNITS.iter().map(|(w, _)| *w));
        Err(SqlError::new(self.place(), format!("\"{word}\" is no unit of time")).meant(near))
    }

    pub(super) fn interval(&mut self) -> Parsed<Interval> {
        let negative = self.accept_sign("-");
        let place = self.place();
        let text = match self.token() {
            Token::Text(text) => text.clone(),
            Token::Number(number) => {
                let message = "an interval's amount stands in quotes";
                return Err(
                    SqlError::new(place, message).meant(Some(format!("INTERVAL '{number}' …")))
                );
            }
            _ => {
                return Err(
                    self.expected("an interval's amount in quotes, as in INTERVAL '5' MINUTE,")
                );
            }
        };
        self.advance();
        let from = self.interval_unit()?;
        let to = if self.accept_word("TO") {
            self.interval_unit()?
        } else {
            from
        };
        let Some(interval) = read_interval(&text, from, to) else {
            return Err(SqlError::new(
                place,
                format!(
                    "'{text}' is no interval of this unit; examples: INTERVAL '5' MINUTE, INTERVAL '1:30' HOUR TO MINUTE, INTERVAL '2-6' YEAR TO MONTH"
                ),
            ));
        };
        Ok(match (interval, negative) {
            (Interval::Months(n), true) => Interval::Months(-n),
            (Interval::Millis(n), true) => Interval::Millis(-n),
            (interval, false) => interval,
        })
    }

    fn interval_unit(&mut self) -> Parsed<Unit> {
        let place = self.place();
        let unit = match self.token() {
            // Flink also takes the plural.
            Token::Word(word) if word.len() > 1 && word.to_ascii_uppercase().ends_with('S') => {
                let singular = &word[..word.len() - 1];
                let unit = UNITS
                    .iter()
                    .find(|(w, _)| w.eq_ignore_ascii_case(singular))
                    .map(|(_, u)| *u);
                match unit {
                    Some(unit) => {
                        self.advance();
                        unit
                    }
                    None => self.unit()?,
                }
            }
            _ => self.unit()?,
        };
        if self.accept_sign("(") {
            while matches!(self.token(), Token::Number(_)) || self.is_sign(",") {
                self.advance();
            }
            self.expect_sign(")")?;
        }
        match unit {
            Unit::Year
            | Unit::Quarter
            | Unit::Month
            | Unit::Week
            | Unit::Day
            | Unit::Hour
            | Unit::Minute
            | Unit::Second => Ok(unit),
            _ => Err(SqlError::new(
                place,
                "an interval is in YEAR, QUARTER, MONTH, WEEK, DAY, HOUR, MINUTE or SECOND",
            )),
        }
    }
}

/// Reads an interval's text; `None` if it doesn't fit its units or is too large.
fn read_interval(text: &str, from: Unit, to: Unit) -> Option<Interval> {
    let text = text.trim();
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let signed = |n: i64| if negative { -n } else { n };
    let number = |s: &str| {
        if s.is_empty() || s.len() > 12 || !s.bytes().all(|b| b.is_ascii_digit()) {
            None
        } else {
            s.parse::<i64>().ok()
        }
    };
    if let (Unit::Year, Unit::Month) = (from, to) {
        let (years, months) = text.split_once('-')?;
        return Some(Interval::Months(signed(
            number(years)?
                .checked_mul(12)?
                .checked_add(number(months).filter(|m| *m < 12)?)?,
        )));
    }
    if from == to {
        let months = match from {
            Unit::Year => 12,
            Unit::Quarter => 3,
            Unit::Month => 1,
            _ => 0,
        };
        if months > 0 {
            return Some(Interval::Months(signed(number(text)?.checked_mul(months)?)));
        }
        if from != Unit::Second {
            return Some(Interval::Millis(signed(
                number(text)?.checked_mul(millis(from)?)?,
            )));
        }
    }
    let units = [Unit::Day, Unit::Hour, Unit::Minute, Unit::Second];
    let first = units.iter().position(|u| *u == from)?;
    let last = units
        .iter()
        .position(|u| *u == to)
        .filter(|last| *last >= first)?;
    let mut rest = text;
    let mut total = 0i64;
    for (i, unit) in units.iter().enumerate().take(last + 1).skip(first) {
        let part;
        if i == last {
            part = rest;
        } else {
            (part, rest) = rest.split_once(if *unit == Unit::Day { ' ' } else { ':' })?;
        }
        let (whole, fraction) = if *unit == Unit::Second {
            part.split_once('.').unwrap_or((part, ""))
        } else {
            (part, "")
        };
        total = total.checked_add(number(whole)?.checked_mul(millis(*unit)?)?)?;
        if !fraction.is_empty() {
            let digits: String = format!("{fraction:0<3}").chars().take(3).collect();
            if fraction.len() > 9 || !fraction.bytes().all(|b| b.is_ascii_digit()) {
                return None;
            }
            total = total.checked_add(number(&digits)?)?;
        }
    }
    Some(Interval::Millis(signed(total)))
}

/// Milliseconds of a unit of fixed length.
pub(crate) fn millis(unit: Unit) -> Option<i64> {
    Some(match unit {
        Unit::Week => 7 * 86_400_000,
        Unit::Day => 86_400_000,
        Unit::Hour => 3_600_000,
        Unit::Minute => 60_000,
        Unit::Second => 1000,
        Unit::Millisecond => 1,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_read_in_their_units() {
        for (text, from, to, want) in [
            (
                "5",
                Unit::Minute,
                Unit::Minute,
                Some(Interval::Millis(300_000)),
            ),
            (
                "-1:30",
                Unit::Hour,
                Unit::Minute,
                Some(Interval::Millis(-5_400_000)),
            ),
            (
                "1 02:03:04.5",
                Unit::Day,
                Unit::Second,
                Some(Interval::Millis(93_784_500)),
            ),
            ("2-6", Unit::Year, Unit::Month, Some(Interval::Months(30))),
            (
                "1.25",
                Unit::Second,
                Unit::Second,
                Some(Interval::Millis(1250)),
            ),
            ("1.5", Unit::Day, Unit::Day, None),
            ("x", Unit::Day, Unit::Day, None),
            ("999999999999", Unit::Week, Unit::Week, None),
            ("1:2", Unit::Minute, Unit::Hour, None),
        ] {
            assert_eq!(read_interval(text, from, to), want, "{text}");
        }
    }
}
