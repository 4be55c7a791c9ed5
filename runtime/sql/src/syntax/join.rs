//! Joins in FROM: `a LEFT JOIN b ON …`.

use super::ast::{From, FromSource, Join, Wants};
use super::{Parsed, Parser, refused};
use crate::error::{Place, SqlError};

impl Parser {
    /// What FROM reads: one stream, or two that are joined.
    pub(super) fn all_of_from(&mut self) -> Parsed<From> {
        let left = self.from()?;
        let Some((outer, place)) = self.join()? else {
            return Ok(left);
        };
        let right = self.from()?;
        if self.is_word("USING") {
            return Err(SqlError::new(
                self.place(),
                "USING is not in this version; write ON a.key = b.key",
            ));
        }
        if !self.accept_word("ON") {
            return Err(self.expected("\"ON\" and the condition of the join"));
        }
        let on = self.expression()?;
        let again = self.place();
        if self.join()?.is_some() {
            return Err(refused::refused(again, "a join of more than two inputs"));
        }
        if let Some(refused) = self.refused_in_from() {
            return Err(refused);
        }
        Ok(From {
            source: FromSource::Join(Box::new(Join {
                place,
                wants: Wants::Pairs { outer },
                left,
                right,
                on,
            })),
            alias: None,
            columns: Vec::new(),
        })
    }

    /// The words of a join, if they stand here: which sides are outer ones, and where the words begin.
    fn join(&mut self) -> Parsed<Option<((bool, bool), Place)>> {
        let place = self.place();
        let outer = [
            ("LEFT", (true, false)),
            ("RIGHT", (false, true)),
            ("FULL", (true, true)),
        ];
        for (word, outer) in outer {
            if self.accept_word(word) {
                self.accept_word("OUTER");
                self.expect_word("JOIN")?;
                return Ok(Some((outer, place)));
            }
        }
        let inner = (false, false);
        if self.accept_word("INNER") {
            self.expect_word("JOIN")?;
            return Ok(Some((inner, place)));
        }
        Ok(self.accept_word("JOIN").then_some((inner, place)))
    }
}
