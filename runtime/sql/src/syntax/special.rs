//! Expressions with a grammar of their own: CASE, CAST, EXTRACT, TRIM, intervals, typed literals …

use super::ast::{Expr, Kind, Name, Temporal, TrimSide, Unit};
use super::lexer::Token;
use super::{Parsed, Parser};
use crate::error::{Place, SqlError};

/// What gives another answer at every run isn't taken.
fn changes(upper: &str, place: Place) -> SqlError {
    if upper == "PROCTIME" {
        return SqlError::new(
            place,
            "PROCTIME() is processing time, by which a repeated record would fall into another window than at first; windows are over event time: name the stream's event-time column",
        );
    }
    SqlError::new(
        place,
        format!(
            "{upper} gives another answer at every run, so a repeated record would differ from its first; use a column of the record, such as its event time"
        ),
    )
}

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
                return Self::node(place, depth, kind).map(Some);
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
                return Err(changes(upper, place));
            }
            (_, false) => return Ok(None),
            ("CAST" | "TRY_CAST", _) => return self.cast(place, upper == "TRY_CAST").map(Some),
            ("ROW", _) => {
                self.at += 2;
                let list = self.list(")")?;
                return Self::node(place, depth_of(&list), Kind::Row(list)).map(Some);
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
            ("POSITION", _) => return self.position(place).map(Some),
            ("OVERLAY", _) => return self.spelled(&["PLACING", "FROM", "FOR"]).map(Some),
            ("JSON_VALUE" | "JSON_QUERY" | "JSON_EXISTS", _) => return self.json(upper).map(Some),
            _ => return Ok(None),
        };
        Self::node(place, 0, kind).map(Some)
    }

    /// `CAST(… AS …)`; the parser stands before its name.
    fn cast(&mut self, place: Place, try_: bool) -> Parsed<Expr> {
        self.at += 2;
        let expr = self.expression()?;
        self.expect_word("AS")?;
        let to = self.type_name()?;
        self.expect_sign(")")?;
        let depth = expr.depth;
        let expr = Box::new(expr);
        Self::node(place, depth, Kind::Cast { expr, to, try_ })
    }

    /// `POSITION(… IN …)`.
    fn position(&mut self, place: Place) -> Parsed<Expr> {
        let name = self.callee();
        // Above comparison's level, so that IN is the function's own word.
        let needle = self.unary_or_sum()?;
        self.expect_word("IN")?;
        let text = self.expression()?;
        self.expect_sign(")")?;
        let args = vec![needle, text];
        Self::node(place, depth_of(&args), Kind::Call { name, args })
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
        Self::node(place, depth_of(&args), Kind::Timed { name, unit, args })
    }

    /// `FLOOR(x)` or `FLOOR(t TO unit)`.
    fn floor(&mut self, place: Place) -> Parsed<Expr> {
        let name = self.callee();
        if self.accept_sign(")") {
            return Self::node(
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
        Self::node(place, depth, kind)
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
        Self::node(place, depth_of(&args), Kind::Call { name, args })
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
        Self::node(
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
        Self::node(
            place,
            depth,
            Kind::Case {
                operand,
                whens,
                otherwise,
            },
        )
    }
}

fn depth_of(list: &[Expr]) -> usize {
    list.iter().map(|e| e.depth).max().unwrap_or(0)
}
