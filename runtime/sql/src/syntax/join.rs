//! Joins in FROM: `a LEFT JOIN b ON …`.

use super::ast::{Expr, From, FromSource, Join, Wants};
use super::{Parsed, Parser, refused};
use crate::error::{Place, SqlError};

impl Parser {
    /// What FROM reads: one stream, or two that are joined.
    pub(super) fn all_of_from(&mut self) -> Parsed<From> {
        let left = self.from()?;
        let left = self.unnested(left)?;
        let Some((outer, place)) = self.join()? else {
            if let Some(refused) = self.refused_in_from() {
                return Err(refused);
            }
            return Ok(left);
        };
        if matches!(left.source, FromSource::Unnest(_)) {
            return Err(Self::unnest_and_join(place));
        }
        let right = self.from()?;
        if self.at_unnest() {
            return Err(Self::unnest_and_join(self.place()));
        }
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
        let joined = From {
            source: FromSource::Join(Box::new(Join {
                place,
                wants: Wants::Pairs { outer },
                left,
                right,
                on,
            })),
            as_of: None,
            alias: None,
            columns: Vec::new(),
        };
        let joined = self.unnested(joined)?;
        let again = self.place();
        if self.join()?.is_some() {
            return Err(refused::refused(again, "a join of more than two inputs"));
        }
        if let Some(refused) = self.refused_in_from() {
            return Err(refused);
        }
        Ok(joined)
    }

    /// `FOR SYSTEM_TIME AS OF time`, if it stands here.
    pub(super) fn as_of(&mut self, source: &FromSource) -> Parsed<Option<Expr>> {
        if !matches!(source, FromSource::Name(_)) || !self.is_words(&["FOR", "SYSTEM_TIME"]) {
            return Ok(None);
        }
        self.accept_word("FOR");
        self.accept_word("SYSTEM_TIME");
        self.expect_word("AS")?;
        self.expect_word("OF")?;
        if self.is_word("PROCTIME") {
            return Err(SqlError::new(
                self.place(),
                "what is valid when a record is processed would be another answer at each run; take the event time of the left side: FOR SYSTEM_TIME AS OF o.placed_at",
            ));
        }
        self.expression().map(Some)
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
