//! Arrays and maps in FROM: `orders CROSS JOIN UNNEST(items) WITH ORDINALITY AS i (sku, qty, pos)`.

use super::ast::{From, FromSource, Unnest};
use super::{Parsed, Parser};
use crate::error::{Place, SqlError};

/// The words that may stand before UNNEST, and what they ask for.
const BEFORE: &[(&[&str], Before)] = &[
    (&["CROSS", "JOIN"], Before::Cross),
    (&["INNER", "JOIN"], Before::Inner),
    (&["JOIN"], Before::Inner),
    (&["LEFT", "JOIN"], Before::Left),
    (&["LEFT", "OUTER", "JOIN"], Before::Left),
    (&["RIGHT", "JOIN"], Before::Refused),
    (&["RIGHT", "OUTER", "JOIN"], Before::Refused),
    (&["FULL", "JOIN"], Before::Refused),
    (&["FULL", "OUTER", "JOIN"], Before::Refused),
];
const FIRST: &str = "UNNEST stands behind the stream whose array or map it takes: FROM orders CROSS JOIN UNNEST(items) AS i (sku, qty)";
const NO_MIX: &str = "a join of what stands beside an UNNEST is not in this version: put the UNNEST in a sub-query that is joined, FROM (SELECT … FROM orders CROSS JOIN UNNEST(items) AS i (sku, qty)) AS o JOIN …, or behind the join";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Cross,
    Inner,
    Left,
    Refused,
}

impl Parser {
    /// The words before UNNEST, if those stand here: what they ask for, and how many they are.
    fn before_unnest(&self) -> Option<(Before, usize)> {
        if self.is_sign(",") && self.is_word_ahead(1, "UNNEST") {
            return Some((Before::Cross, 1));
        }
        let stand =
            |words: &&[&str]| self.is_words(words) && self.is_word_ahead(words.len(), "UNNEST");
        let mut all = BEFORE.iter();
        let found = all.find(|(words, _)| stand(words));
        found.map(|(words, before)| (*before, words.len()))
    }

    /// True where an UNNEST of what stands before it begins.
    pub(super) fn at_unnest(&self) -> bool {
        self.before_unnest().is_some()
    }

    /// UNNEST where a stream should stand.
    pub(super) fn unnest_first(place: Place) -> SqlError {
        SqlError::new(place, FIRST)
    }

    /// A join behind an UNNEST.
    pub(super) fn unnest_and_join(place: Place) -> SqlError {
        SqlError::new(place, NO_MIX)
    }

    /// What FROM reads, with every UNNEST that stands behind it.
    pub(super) fn unnested(&mut self, mut input: From) -> Parsed<From> {
        while let Some((before, words)) = self.before_unnest() {
            let place = self.place();
            if before == Before::Refused {
                return Err(SqlError::new(
                    place,
                    "UNNEST takes the array of a row that is there already, so its join is CROSS JOIN, JOIN or LEFT JOIN",
                ));
            }
            self.at += words;
            let unnest = self.unnest(input, place, before)?;
            input = From {
                source: FromSource::Unnest(Box::new(unnest)),
                as_of: None,
                alias: None,
                columns: Vec::new(),
            };
        }
        Ok(input)
    }

    fn unnest(&mut self, input: From, place: Place, before: Before) -> Parsed<Unnest> {
        self.expect_word("UNNEST")?;
        self.expect_sign("(")?;
        let argument = self.expression()?;
        if self.is_sign(",") {
            return Err(SqlError::new(
                self.place(),
                "UNNEST takes one array or map; a second one is an UNNEST of its own",
            ));
        }
        self.expect_sign(")")?;
        let ordinality = self.accept_words(&["WITH", "ORDINALITY"]);
        let alias = self.alias("an alias")?;
        let columns = match alias {
            Some(_) => self.column_names()?,
            None => Vec::new(),
        };
        let at = self.place();
        let on = if self.accept_word("ON") {
            if before == Before::Cross {
                return Err(SqlError::new(
                    at,
                    "CROSS JOIN has no condition; write JOIN UNNEST(…) ON …",
                ));
            }
            Some(self.expression()?)
        } else if before == Before::Cross {
            None
        } else {
            let error = self.expected("\"ON\" and the condition of the join");
            return Err(error.meant(Some("ON TRUE".into())));
        };
        Ok(Unnest {
            place,
            input,
            argument,
            ordinality,
            outer: before == Before::Left,
            on,
            alias,
            columns,
        })
    }
}
