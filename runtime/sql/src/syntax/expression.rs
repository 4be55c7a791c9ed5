//! Expressions: what stands around operators (OR, AND, NOT) and between them (signs, `[ ]` and `.`, names, calls).

use super::ast::{Expr, Kind, Name};
use super::lexer::Token;
use super::operators::UNARY;
use super::refused::refused;
use super::{MAX_DEPTH, Parsed, Parser, words};
use crate::error::{Place, SqlError};

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
        if self.accept_words(&["NOT", "EXISTS"]) {
            return self.exists(place, true);
        }
        if self.accept_word("EXISTS") {
            return self.exists(place, false);
        }
        if !self.accept_word("NOT") {
            return self.operators(0);
        }
        let inner = self.deeper(Self::not)?;
        Self::node(place, inner.depth, Kind::Not(Box::new(inner)))
    }

    pub(super) fn unary(&mut self) -> Parsed<Expr> {
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

    /// `a.b.c`: the analysis finds out which part is a stream, a column, a field.
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
