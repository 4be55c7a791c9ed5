//! GROUP BY, aggregate functions and ROW_NUMBER() OVER (…).

use super::ast::{AggregateCall, Expr, Group, Kind, Name, Ordering, OverFunction, RowNumber};
use super::refused;
use super::{Parsed, Parser};
use crate::error::SqlError;

/// Most keys of a GROUP BY or PARTITION BY.
pub(super) const MAX_KEYS: usize = 64;

/// The aggregate functions.
pub(crate) const AGGREGATES: &[&str] = &[
    "ARRAY_AGG",
    "AVG",
    "COUNT",
    "FIRST_VALUE",
    "LAST_VALUE",
    "LISTAGG",
    "MAX",
    "MIN",
    "STDDEV",
    "STDDEV_POP",
    "STDDEV_SAMP",
    "SUM",
    "VARIANCE",
    "VAR_POP",
    "VAR_SAMP",
];

impl Parser {
    pub(super) fn group_by(&mut self) -> Parsed<Option<Group>> {
        let place = self.place();
        if !self.accept_words(&["GROUP", "BY"]) {
            return Ok(None);
        }
        self.groupings(place).map(Some)
    }

    /// An aggregate or ROW_NUMBER; `None`: the function is another one.
    pub(super) fn aggregate(&mut self, upper: &str) -> Parsed<Option<Expr>> {
        let place = self.place();
        if let "GROUPING" | "GROUPING_ID" | "GROUP_ID" = upper {
            let name = Name {
                text: upper.to_owned(),
                place,
            };
            self.at += 2;
            let args = self.list(")")?;
            let depth = args.iter().map(|arg| arg.depth).max().unwrap_or(0);
            return Self::node(place, depth, Kind::Call { name, args }).map(Some);
        }
        if let Some(error) = refused::aggregate(place, upper) {
            return Err(error);
        }
        if upper == "ROW_NUMBER" {
            return self.row_number().map(Some);
        }
        if let Some(over) = self.only_over(place, upper)? {
            return Ok(Some(over));
        }
        if !AGGREGATES.contains(&upper) {
            return Ok(None);
        }
        self.at += 2;
        let distinct = self.accept_word("DISTINCT");
        if !distinct {
            self.accept_word("ALL");
        }
        let star = self.is_sign("*");
        let args = if star {
            if upper != "COUNT" || distinct {
                return Err(SqlError::new(
                    self.place(),
                    "\"*\" stands only in COUNT(*); here a column or expression is expected",
                ));
            }
            self.at += 1;
            self.expect_sign(")")?;
            Vec::new()
        } else if upper == "ARRAY_AGG" {
            let arg = self.expression()?;
            if self.is_word("ORDER") {
                return Err(SqlError::new(
                    self.place(),
                    "ORDER BY in ARRAY_AGG is not in this version: values stand in the order in which they came (Flink takes ORDER BY and doesn't heed it); sort what it gives: ARRAY_SORT(ARRAY_AGG(x))",
                ));
            }
            self.expect_sign(")")?;
            vec![arg]
        } else {
            self.list(")")?
        };
        let collects = upper == "ARRAY_AGG";
        let ignores = collects && self.accept_words(&["IGNORE", "NULLS"]);
        if collects && !ignores {
            self.accept_words(&["RESPECT", "NULLS"]);
        }
        if self.is_word("WITHIN") || self.is_word("IGNORE") || self.is_word("RESPECT") {
            return Err(SqlError::new(
                self.place(),
                format!(
                    "{} is not in this version: {upper} takes values in the order they come{}",
                    self.token().shown(),
                    if collects {
                        ""
                    } else {
                        ", and leaves null out"
                    }
                ),
            ));
        }
        let mut filter = None;
        if self.accept_word("FILTER") {
            self.expect_sign("(")?;
            self.expect_word("WHERE")?;
            filter = Some(self.expression()?);
            self.expect_sign(")")?;
        }
        let depth = args
            .iter()
            .chain(&filter)
            .map(|a| a.depth)
            .max()
            .unwrap_or(0);
        let call = AggregateCall {
            function: upper.to_owned(),
            distinct,
            star,
            args,
            ignores_nulls: ignores,
            filter,
        };
        if self.is_word("OVER") {
            return self
                .over(place, OverFunction::Aggregate(call), depth)
                .map(Some);
        }
        Self::node(place, depth, Kind::Aggregate(Box::new(call))).map(Some)
    }

    /// Clauses that only aggregates have, behind another function.
    pub(super) fn no_clause_of_aggregates(&self, upper: &str) -> Parsed<()> {
        if self.is_word("OVER") || self.is_word("FILTER") {
            return Err(SqlError::new(
                self.place(),
                format!(
                    "{upper} is no aggregate, so {} can't follow it",
                    self.token().shown()
                ),
            ));
        }
        Ok(())
    }

    fn row_number(&mut self) -> Parsed<Expr> {
        let place = self.place();
        self.at += 2;
        self.expect_sign(")")?;
        self.expect_word("OVER")?;
        if !self.is_sign("(") {
            return Err(self.expected("\"(\" (a window without a name)"));
        }
        self.expect_sign("(")?;
        let mut number = RowNumber {
            partition: Vec::new(),
            order: Vec::new(),
        };
        if self.accept_words(&["PARTITION", "BY"]) {
            number.partition.push(self.expression()?);
            while self.accept_sign(",") {
                number.partition.push(self.expression()?);
            }
        }
        if !self.accept_words(&["ORDER", "BY"]) {
            return Err(self.expected("\"ORDER BY\", which says which rows are first,"));
        }
        number.order.push(self.ordering()?);
        while self.accept_sign(",") {
            number.order.push(self.ordering()?);
        }
        if number.partition.len() > MAX_KEYS || number.order.len() > MAX_KEYS {
            return Err(SqlError::new(
                place,
                format!("PARTITION BY and ORDER BY have at most {MAX_KEYS} expressions"),
            ));
        }
        if self.is_word("ROWS") || self.is_word("RANGE") {
            return Err(SqlError::new(
                self.place(),
                "ROW_NUMBER has no frame; leave it out",
            ));
        }
        self.expect_sign(")")?;
        let depth = number
            .partition
            .iter()
            .chain(number.order.iter().map(|o| &o.expr))
            .map(|e| e.depth)
            .max()
            .unwrap_or(0);
        Self::node(place, depth, Kind::RowNumber(Box::new(number)))
    }

    pub(super) fn ordering(&mut self) -> Parsed<Ordering> {
        let expr = self.expression()?;
        let descending = if self.accept_word("DESC") {
            true
        } else {
            self.accept_word("ASC");
            false
        };
        // Flink takes null for the least value.
        let mut nulls_first = !descending;
        if self.accept_word("NULLS") {
            nulls_first = if self.accept_word("FIRST") {
                true
            } else {
                self.expect_word("LAST")?;
                false
            };
        }
        Ok(Ordering {
            expr,
            descending,
            nulls_first,
        })
    }
}
