//! Expressions with a grammar of their own: CASE, CAST, EXTRACT, TRIM, intervals, typed literals …

use super::ast::{Expr, Interval, Kind, Name, Temporal, TrimSide, Unit};
use super::lexer::Token;
use super::{Parsed, Parser};
use crate::error::{Place, SqlError};
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
    /// An expression that begins with a special word; `None`: the word is an ordinary one here.
    pub(super) fn special(&mut self, upper: &str, call: bool) -> Parsed<Option<Expr>> {
        let place = self.place();
        let kind = match (upper, call) {
            ("CASE", _) => return self.case(place).map(Some),
            ("INTERVAL", _) => {
                self.advance();
                Kind::Interval(self.interval()?)
            }
            ("DATE" | "TIME" | "TIMESTAMP", false) => match self.ahead(1).clone() {
                Token::Text(text) => {
                    self.at += 2;
                    let temporal = match upper {
                        "DATE" => Temporal::Date,
                        "TIME" => Temporal::Time,
                        _ => Temporal::Timestamp,
                    };
                    Kind::Temporal(temporal, text)
                }
                _ => return Ok(None),
            },
            ("ARRAY" | "MAP", _) if self.ahead(1) == &Token::Sign("[") => {
                self.at += 2;
                let list = self.list("]")?;
                let depth = depth_of(&list);
                let kind = if upper == "ARRAY" {
                    Kind::Array(list)
                } else {
                    Kind::Map(list)
                };
                return self.node(place, depth, kind).map(Some);
            }
            (
                "CURRENT_TIMESTAMP"
                | "NOW"
                | "LOCALTIMESTAMP"
                | "CURRENT_DATE"
                | "CURRENT_TIME"
                | "LOCALTIME"
                | "CURRENT_ROW_TIMESTAMP"
                | "PROCTIME"
                | "RAND"
                | "RAND_INTEGER"
                | "UUID"
                | "CURRENT_WATERMARK"
                | "SOURCE_WATERMARK",
                _,
            ) if call
                || !matches!(
                    upper,
                    "NOW"
                        | "PROCTIME"
                        | "RAND"
                        | "RAND_INTEGER"
                        | "UUID"
                        | "CURRENT_ROW_TIMESTAMP"
                        | "CURRENT_WATERMARK"
                        | "SOURCE_WATERMARK"
                ) =>
            {
                return Err(SqlError::new(
                    place,
                    format!(
                        "{upper} gives another answer at every run, so a repeated record would differ from its first; use a column of the record, such as its event time"
                    ),
                ));
            }
            (_, false) => return Ok(None),
            ("CAST" | "TRY_CAST", _) => {
                self.at += 2;
                let expr = self.expression()?;
                self.expect_word("AS")?;
                let to = self.type_name()?;
                self.expect_sign(")")?;
                let depth = expr.depth;
                return self
                    .node(
                        place,
                        depth,
                        Kind::Cast {
                            expr: Box::new(expr),
                            to,
                            try_: upper == "TRY_CAST",
                        },
                    )
                    .map(Some);
            }
            ("ROW", _) => {
                self.at += 2;
                let list = self.list(")")?;
                return self.node(place, depth_of(&list), Kind::Row(list)).map(Some);
            }
            ("EXTRACT", _) => {
                let name = self.callee();
                let unit = self.unit()?;
                self.expect_word("FROM")?;
                return self.timed(name, unit).map(Some);
            }
            ("TIMESTAMPADD" | "TIMESTAMPDIFF", _) => {
                let name = self.callee();
                let unit = self.unit()?;
                self.expect_sign(",")?;
                return self.timed(name, unit).map(Some);
            }
            ("FLOOR" | "CEIL" | "CEILING", _) => return self.floor(place).map(Some),
            ("TRIM", _) => return self.trim(place).map(Some),
            ("SUBSTRING", _) => return self.spelled(&["FROM", "FOR"]).map(Some),
            ("POSITION", _) => {
                let name = self.callee();
                // Above comparison's level, so that IN is the function's own word.
                let needle = self.unary_or_sum()?;
                self.expect_word("IN")?;
                let text = self.expression()?;
                self.expect_sign(")")?;
                let args = vec![needle, text];
                return self
                    .node(place, depth_of(&args), Kind::Call { name, args })
                    .map(Some);
            }
            ("OVERLAY", _) => return self.spelled(&["PLACING", "FROM", "FOR"]).map(Some),
            ("JSON_VALUE" | "JSON_QUERY" | "JSON_EXISTS", _) => return self.json(upper).map(Some),
            _ => return Ok(None),
        };
        self.node(place, 0, kind).map(Some)
    }

    /// The function's name; the parser then stands behind its opening parenthesis.
    pub(super) fn callee(&mut self) -> Name {
        let place = self.place();
        let text = match self.advance() {
            Token::Word(word) => word,
            other => other.shown(),
        };
        self.at += 1;
        Name { text, place }
    }

    fn unary_or_sum(&mut self) -> Parsed<Expr> {
        self.deeper(|p| p.operators(33))
    }

    fn timed(&mut self, name: Name, unit: Unit) -> Parsed<Expr> {
        let args = self.list(")")?;
        let place = name.place;
        self.node(place, depth_of(&args), Kind::Timed { name, unit, args })
    }

    /// `FLOOR(x)` or `FLOOR(t TO unit)`.
    fn floor(&mut self, place: Place) -> Parsed<Expr> {
        let name = self.callee();
        if self.accept_sign(")") {
            return self.node(
                place,
                0,
                Kind::Call {
                    name,
                    args: Vec::new(),
                },
            );
        }
        let arg = self.expression()?;
        let depth = arg.depth;
        let kind = if self.accept_word("TO") {
            let unit = self.unit()?;
            Kind::Timed {
                name,
                unit,
                args: vec![arg],
            }
        } else {
            let mut args = vec![arg];
            while self.accept_sign(",") {
                args.push(self.expression()?);
            }
            Kind::Call { name, args }
        };
        self.expect_sign(")")?;
        self.node(place, depth, kind)
    }

    /// A function whose arguments may be parted by words instead of commas.
    fn spelled(&mut self, separators: &[&str]) -> Parsed<Expr> {
        let name = self.callee();
        let place = name.place;
        let mut args = Vec::new();
        if !self.is_sign(")") {
            args.push(self.expression()?);
            if self.is_sign(",") {
                while self.accept_sign(",") {
                    args.push(self.expression()?);
                }
            } else {
                for word in separators {
                    if self.accept_word(word) {
                        args.push(self.expression()?);
                    }
                }
            }
        }
        self.expect_sign(")")?;
        self.node(place, depth_of(&args), Kind::Call { name, args })
    }

    fn trim(&mut self, place: Place) -> Parsed<Expr> {
        self.at += 2;
        let side = [
            ("LEADING", TrimSide::Leading),
            ("TRAILING", TrimSide::Trailing),
            ("BOTH", TrimSide::Both),
        ]
        .into_iter()
        .find(|(w, _)| self.accept_word(w));
        let mut what = None;
        let expr = if side.is_some() && self.accept_word("FROM") {
            self.expression()?
        } else {
            let first = self.expression()?;
            if self.accept_word("FROM") {
                what = Some(Box::new(first));
                self.expression()?
            } else {
                first
            }
        };
        self.expect_sign(")")?;
        let depth = expr.depth.max(what.as_ref().map_or(0, |w| w.depth));
        let side = side.map_or(TrimSide::Both, |(_, s)| s);
        self.node(
            place,
            depth,
            Kind::Trim {
                side,
                what,
                expr: Box::new(expr),
            },
        )
    }

    fn case(&mut self, place: Place) -> Parsed<Expr> {
        self.advance();
        let operand = if self.is_word("WHEN") {
            None
        } else {
            Some(Box::new(self.expression()?))
        };
        let mut whens = Vec::new();
        while self.accept_word("WHEN") {
            let when = self.expression()?;
            if operand.is_some() && self.is_sign(",") {
                return Err(SqlError::new(
                    self.place(),
                    "a WHEN has one value; write another WHEN",
                ));
            }
            self.expect_word("THEN")?;
            whens.push((when, self.expression()?));
        }
        if whens.is_empty() {
            return Err(self.expected("\"WHEN\""));
        }
        let otherwise = if self.accept_word("ELSE") {
            Some(Box::new(self.expression()?))
        } else {
            None
        };
        self.expect_word("END")?;
        let depth = whens
            .iter()
            .map(|(w, t)| w.depth.max(t.depth))
            .chain(operand.iter().chain(&otherwise).map(|e| e.depth))
            .max()
            .unwrap_or(0);
        self.node(
            place,
            depth,
            Kind::Case {
                operand,
                whens,
                otherwise,
            },
        )
    }

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

    fn interval(&mut self) -> Parsed<Interval> {
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

fn depth_of(list: &[Expr]) -> usize {
    list.iter().map(|e| e.depth).max().unwrap_or(0)
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
