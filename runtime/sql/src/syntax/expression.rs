//! Expressions, by precedence climbing. The levels are Calcite's, which Flink uses:
//! OR, AND, NOT, IS, comparison, BETWEEN/IN/LIKE, `+ -`, `* / % ||`, unary, `[ ]` and `.`.

use super::ast::{Arithmetic, Compare, Expr, Is, JsonKind, Kind, Name};
use super::lexer::Token;
use super::refused::refused;
use super::{MAX_DEPTH, Parsed, Parser, words};
use crate::error::{Place, SqlError};

const IS: u8 = 28;
const COMPARISON: u8 = 30;
const RANGE: u8 = 32;
const SUM: u8 = 40;
const PRODUCT: u8 = 60;
const UNARY: u8 = 80;

impl Parser {
    pub(super) fn expression(&mut self) -> Parsed<Expr> {
        self.deeper(Self::or)
    }

    fn or(&mut self) -> Parsed<Expr> {
        self.chain("OR", Self::and, Kind::Or)
    }

    fn and(&mut self) -> Parsed<Expr> {
        self.chain("AND", Self::not, Kind::And)
    }

    fn chain(
        &mut self,
        word: &str,
        part: fn(&mut Self) -> Parsed<Expr>,
        make: fn(Vec<Expr>) -> Kind,
    ) -> Parsed<Expr> {
        let first = part(self)?;
        if !self.is_word(word) {
            return Ok(first);
        }
        let place = self.place();
        let mut parts = vec![first];
        while self.accept_word(word) {
            parts.push(part(self)?);
        }
        let depth = parts.iter().map(|p| p.depth).max().unwrap_or(0);
        Self::node(place, depth, make(parts))
    }

    fn not(&mut self) -> Parsed<Expr> {
        let place = self.place();
        if self.is_words(&["NOT", "EXISTS"]) || self.is_word("EXISTS") {
            return Err(refused(place, "EXISTS"));
        }
        if !self.accept_word("NOT") {
            return self.operators(0);
        }
        let inner = self.deeper(Self::not)?;
        Self::node(place, inner.depth, Kind::Not(Box::new(inner)))
    }

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
                return Err(refused(self.place(), "IN with a sub-query"));
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

    fn unary(&mut self) -> Parsed<Expr> {
        let place = self.place();
        if self.accept_sign("-") {
            // A literal takes its sign here, so that -2147483648 is an INT.
            if let Token::Number(number) = self.token() {
                let number = format!("-{number}");
                self.advance();
                let literal = Self::node(place, 0, Kind::Number(number))?;
                return self.postfix(literal);
            }
            let inner = self.deeper(|p| p.operators(UNARY))?;
            return Self::node(place, inner.depth, Kind::Negate(Box::new(inner)));
        }
        if self.accept_sign("+") {
            return self.deeper(|p| p.operators(UNARY));
        }
        let primary = self.primary()?;
        self.postfix(primary)
    }

    fn postfix(&mut self, mut expr: Expr) -> Parsed<Expr> {
        loop {
            let place = self.place();
            if self.accept_sign("[") {
                let index = self.expression()?;
                self.expect_sign("]")?;
                expr = Self::node(
                    place,
                    expr.depth.max(index.depth),
                    Kind::Index(Box::new(expr), Box::new(index)),
                )?;
            } else if self.accept_sign(".") {
                let name = self.name("a field's name")?;
                expr = Self::node(name.place, expr.depth, Kind::Field(Box::new(expr), name))?;
            } else if self.is_sign("::") {
                return Err(SqlError::new(place, "\"::\" is not part of the dialect")
                    .meant(Some("CAST(… AS type)".into())));
            } else {
                return Ok(expr);
            }
        }
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let place = self.place();
        match self.token().clone() {
            Token::Number(number) => {
                self.advance();
                Self::node(place, 0, Kind::Number(number))
            }
            Token::Text(text) => {
                self.advance();
                Self::node(place, 0, Kind::Text(text))
            }
            Token::Sign("(") => self.parenthesised(place),
            Token::Sign("*") => Err(SqlError::new(
                place,
                "\"*\" stands alone in a SELECT list; here an expression is expected",
            )),
            Token::Quoted(_) => {
                if self.ahead(1) == &Token::Sign("(") {
                    return Err(SqlError::new(
                        place,
                        "a function's name stands without backticks",
                    ));
                }
                self.path()
            }
            Token::Word(word) => self.word(&word),
            _ => Err(self.expected("an expression")),
        }
    }

    fn parenthesised(&mut self, place: Place) -> Parsed<Expr> {
        self.advance();
        if self.is_word("SELECT") || self.is_word("WITH") {
            return Err(refused(self.place(), "a sub-query in an expression"));
        }
        let inner = self.expression()?;
        if self.is_sign(",") {
            return Err(
                SqlError::new(place, "a list in parentheses is not part of the dialect")
                    .meant(Some("ROW(…)".into())),
            );
        }
        self.expect_sign(")")?;
        Ok(inner)
    }

    fn word(&mut self, word: &str) -> Parsed<Expr> {
        let place = self.place();
        let upper = word.to_ascii_uppercase();
        let call = self.ahead(1) == &Token::Sign("(");
        if let Some(special) = self.special(&upper, call)? {
            return Ok(special);
        }
        if call {
            if let Some(aggregate) = self.aggregate(&upper)? {
                return Ok(aggregate);
            }
            self.at += 2;
            let args = self.list(")")?;
            self.no_clause_of_aggregates(&upper)?;
            let depth = args.iter().map(|a| a.depth).max().unwrap_or(0);
            let name = Name {
                text: word.to_owned(),
                place,
            };
            return Self::node(place, depth, Kind::Call { name, args });
        }
        let constant = match upper.as_str() {
            "NULL" => Kind::Null,
            "TRUE" => Kind::Boolean(true),
            "FALSE" => Kind::Boolean(false),
            "UNKNOWN" => {
                return Err(
                    SqlError::new(place, "UNKNOWN stands only after IS").meant(Some("NULL".into()))
                );
            }
            _ if words::is_reserved(word) => return Err(self.reserved("an expression")),
            _ => return self.path(),
        };
        self.advance();
        Self::node(place, 0, constant)
    }

    /// `a.b.c`: the checker finds out which part is a stream, a column, a field.
    fn path(&mut self) -> Parsed<Expr> {
        let place = self.place();
        let mut names = vec![self.name("a column's name")?];
        while self.is_sign(".") {
            self.advance();
            if self.is_sign("*") {
                return Err(SqlError::new(
                    self.place(),
                    "\".*\" stands only directly in a SELECT list, after a stream's name",
                ));
            }
            if names.len() == MAX_DEPTH {
                return Err(Self::too_deep(self.place()));
            }
            names.push(self.name("a field's name")?);
        }
        Self::node(place, 0, Kind::Path(names))
    }

    /// Expressions up to the closing sign, which is taken.
    pub(super) fn list(&mut self, close: &str) -> Parsed<Vec<Expr>> {
        let mut list = Vec::new();
        if self.accept_sign(close) {
            return Ok(list);
        }
        loop {
            if self.is_word("DISTINCT") {
                return Err(SqlError::new(
                    self.place(),
                    "DISTINCT stands only in an aggregate, as in COUNT(DISTINCT x)",
                ));
            }
            list.push(self.expression()?);
            if self.accept_sign("=>") {
                return Err(SqlError::new(
                    self.place(),
                    "arguments are given by position, without names",
                ));
            }
            if self.accept_sign(close) {
                return Ok(list);
            }
            if !self.accept_sign(",") {
                return Err(self.expected(&format!("\",\" or \"{close}\"")));
            }
        }
    }

    /// A node one deeper than its deepest child.
    pub(super) fn node(place: Place, children: usize, kind: Kind) -> Parsed<Expr> {
        let depth = children + 1;
        if depth > MAX_DEPTH {
            Err(Self::too_deep(place))
        } else {
            Ok(Expr { place, depth, kind })
        }
    }
}
