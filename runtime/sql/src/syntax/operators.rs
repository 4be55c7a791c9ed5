//! Operators, by precedence climbing. The levels are Calcite's, which Flink uses:
//! OR, AND, NOT, IS, comparison, BETWEEN/IN/LIKE, `+ -`, `* / % ||`, unary, `[ ]` and `.`.

use super::ast::{Arithmetic, Compare, Expr, Is, JsonKind, Kind};
use super::lexer::Token;
use super::refused::refused;
use super::{Parsed, Parser};
use crate::error::SqlError;

const IS: u8 = 28;
const COMPARISON: u8 = 30;
const RANGE: u8 = 32;
const SUM: u8 = 40;
const PRODUCT: u8 = 60;
pub(super) const UNARY: u8 = 80;

impl Parser {
    pub(super) fn operators(&mut self, least: u8) -> Parsed<Expr> {
        let mut left = self.unary()?;
        loop {
            let place = self.place();
            let next = if let Some((op, level)) = self.arithmetic() {
                if level < least {
                    return Ok(left);
                }
                self.advance();
                let right = self.deeper(|p| p.operators(level + 1))?;
                (
                    left.depth.max(right.depth),
                    Kind::Arithmetic(op, Box::new(left), Box::new(right)),
                )
            } else if let Some(op) = self.comparison() {
                if COMPARISON < least {
                    return Ok(left);
                }
                self.advance();
                if self.is_word("ANY") || self.is_word("SOME") || self.is_word("ALL") {
                    return Err(refused(self.place(), "a comparison with a sub-query"));
                }
                let right = self.deeper(|p| p.operators(COMPARISON + 1))?;
                (
                    left.depth.max(right.depth),
                    Kind::Compare(op, Box::new(left), Box::new(right)),
                )
            } else if self.is_word("IS") {
                if IS < least {
                    return Ok(left);
                }
                self.advance();
                self.is(left)?
            } else if self.at_range() {
                if RANGE < least {
                    return Ok(left);
                }
                self.range(left)?
            } else {
                return Ok(left);
            };
            left = Self::node(place, next.0, next.1)?;
        }
    }

    fn arithmetic(&self) -> Option<(Arithmetic, u8)> {
        let Token::Sign(sign) = self.token() else {
            return None;
        };
        Some(match *sign {
            "+" => (Arithmetic::Add, SUM),
            "-" => (Arithmetic::Subtract, SUM),
            "*" => (Arithmetic::Multiply, PRODUCT),
            "/" => (Arithmetic::Divide, PRODUCT),
            "%" => (Arithmetic::Remainder, PRODUCT),
            "||" => (Arithmetic::Concat, PRODUCT),
            _ => return None,
        })
    }

    fn comparison(&self) -> Option<Compare> {
        let Token::Sign(sign) = self.token() else {
            return None;
        };
        Some(match *sign {
            "=" => Compare::Equal,
            "<>" | "!=" => Compare::NotEqual,
            "<" => Compare::Less,
            "<=" => Compare::LessOrEqual,
            ">" => Compare::Greater,
            ">=" => Compare::GreaterOrEqual,
            _ => return None,
        })
    }

    fn is(&mut self, left: Expr) -> Parsed<(usize, Kind)> {
        let negated = self.accept_word("NOT");
        if self.accept_words(&["DISTINCT", "FROM"]) {
            let right = self.deeper(|p| p.operators(IS + 1))?;
            let depth = left.depth.max(right.depth);
            return Ok((
                depth,
                Kind::Distinct {
                    negated,
                    left: Box::new(left),
                    right: Box::new(right),
                },
            ));
        }
        let depth = left.depth;
        let expr = Box::new(left);
        if self.accept_word("JSON") {
            let kind = [
                ("VALUE", JsonKind::Value),
                ("SCALAR", JsonKind::Scalar),
                ("ARRAY", JsonKind::Array),
                ("OBJECT", JsonKind::Object),
            ];
            let kind = kind
                .into_iter()
                .find(|(w, _)| self.accept_word(w))
                .map_or(JsonKind::Value, |(_, k)| k);
            return Ok((
                depth,
                Kind::IsJson {
                    expr,
                    kind,
                    negated,
                },
            ));
        }
        let what = [
            ("NULL", Is::Null),
            ("TRUE", Is::True),
            ("FALSE", Is::False),
            ("UNKNOWN", Is::Unknown),
        ];
        match what.into_iter().find(|(w, _)| self.accept_word(w)) {
            Some((_, what)) => Ok((
                depth,
                Kind::Is {
                    expr,
                    what,
                    negated,
                },
            )),
            None => Err(self.expected("NULL, TRUE, FALSE, UNKNOWN, JSON or DISTINCT FROM")),
        }
    }

    fn at_range(&self) -> bool {
        let by = usize::from(self.is_word("NOT"));
        ["BETWEEN", "IN", "LIKE", "SIMILAR", "ILIKE", "RLIKE"]
            .iter()
            .any(|w| self.is_word_ahead(by, w))
    }

    fn range(&mut self, left: Expr) -> Parsed<(usize, Kind)> {
        let negated = self.accept_word("NOT");
        let place = self.place();
        let expr = Box::new(left);
        if self.accept_word("BETWEEN") {
            let symmetric = self.accept_word("SYMMETRIC");
            self.accept_word("ASYMMETRIC");
            let low = self.deeper(|p| p.operators(RANGE + 1))?;
            self.expect_word("AND")?;
            let high = self.deeper(|p| p.operators(RANGE + 1))?;
            let depth = expr.depth.max(low.depth).max(high.depth);
            return Ok((
                depth,
                Kind::Between {
                    expr,
                    low: Box::new(low),
                    high: Box::new(high),
                    symmetric,
                    negated,
                },
            ));
        }
        if self.accept_word("IN") {
            self.expect_sign("(")?;
            if self.is_word("SELECT") || self.is_word("WITH") {
                let depth = expr.depth;
                return Ok((depth, self.in_query(*expr, place, negated)?));
            }
            let list = self.list(")")?;
            if list.is_empty() {
                return Err(SqlError::new(place, "the list of IN is empty"));
            }
            let depth = list
                .iter()
                .map(|e| e.depth)
                .max()
                .unwrap_or(0)
                .max(expr.depth);
            return Ok((
                depth,
                Kind::In {
                    expr,
                    list,
                    negated,
                },
            ));
        }
        if self.accept_word("LIKE") {
            let pattern = self.deeper(|p| p.operators(RANGE + 1))?;
            let mut escape = None;
            if self.accept_word("ESCAPE") {
                let place = self.place();
                let Token::Text(text) = self.token() else {
                    return Err(self.expected("one character in quotes"));
                };
                escape = Some((text.clone(), place));
                self.advance();
            }
            let depth = expr.depth.max(pattern.depth);
            return Ok((
                depth,
                Kind::Like {
                    expr,
                    pattern: Box::new(pattern),
                    escape,
                    negated,
                },
            ));
        }
        let word = self.token().shown();
        Err(SqlError::new(
            place,
            format!("{word} is not part of the dialect; use LIKE, or REGEXP(text, 'pattern')"),
        ))
    }
}
