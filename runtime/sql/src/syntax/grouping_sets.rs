//! GROUPING SETS, ROLLUP and CUBE: several groupings of one GROUP BY.

use super::ast::{Expr, Group};
use super::group::MAX_KEYS;
use super::{Parsed, Parser};
use crate::error::{Place, SqlError};

/// Most groupings of a GROUP BY: each row goes into every one.
const MAX_SETS: usize = 64;
/// Most keys of a CUBE, whose groupings are all of their choices.
const MAX_CUBE: usize = 6;

/// Groupings, each by the places of its keys among the GROUP BY's.
type Sets = Vec<Vec<usize>>;

impl Parser {
    /// Behind `GROUP BY`.
    pub(super) fn groupings(&mut self, place: Place) -> Parsed<Group> {
        let mut keys = Vec::new();
        let mut sets: Sets = vec![Vec::new()];
        let mut several = false;
        loop {
            let more = match self.several(&mut keys)? {
                Some(more) => {
                    several = true;
                    more
                }
                None => vec![self.set(&mut keys)?],
            };
            if sets.len() * more.len() > MAX_SETS {
                return Err(SqlError::new(
                    place,
                    format!(
                        "GROUP BY has at most {MAX_SETS} groupings, and each row goes into every one"
                    ),
                ));
            }
            let with = |set: &Vec<usize>| {
                let set = set.clone();
                more.iter().map(move |one| [set.as_slice(), one].concat())
            };
            sets = sets.iter().flat_map(with).collect();
            if !self.accept_sign(",") {
                break;
            }
        }
        if keys.len() > MAX_KEYS {
            return Err(SqlError::new(
                place,
                format!("GROUP BY has at most {MAX_KEYS} keys"),
            ));
        }
        Ok(Group {
            place,
            keys,
            sets: several.then_some(sets),
        })
    }

    /// `GROUPING SETS (…)`, `ROLLUP (…)` or `CUBE (…)`, if one stands here.
    fn several(&mut self, keys: &mut Vec<Expr>) -> Parsed<Option<Sets>> {
        let place = self.place();
        if self.accept_words(&["GROUPING", "SETS"]) {
            let mut sets = Vec::new();
            self.expect_sign("(")?;
            loop {
                match self.deeper(|p| p.several(keys))? {
                    Some(more) => sets.extend(more),
                    None => sets.push(self.set(keys)?),
                }
                if sets.len() > MAX_SETS {
                    return Err(SqlError::new(
                        place,
                        format!("GROUP BY has at most {MAX_SETS} groupings"),
                    ));
                }
                if !self.accept_sign(",") {
                    break;
                }
            }
            self.expect_sign(")")?;
            return Ok(Some(sets));
        }
        let cube = self.is_word("CUBE");
        if !cube && !self.is_word("ROLLUP") {
            return Ok(None);
        }
        self.advance();
        self.expect_sign("(")?;
        let mut parts = vec![self.set(keys)?];
        while self.accept_sign(",") {
            parts.push(self.set(keys)?);
        }
        self.expect_sign(")")?;
        if cube && parts.len() > MAX_CUBE {
            return Err(SqlError::new(
                place,
                format!(
                    "a CUBE has at most {MAX_CUBE} parts; name the groupings that are needed with GROUPING SETS"
                ),
            ));
        }
        let chosen = |which: &dyn Fn(usize) -> bool| {
            let parts = parts.iter().enumerate();
            let parts = parts.filter(|(at, _)| which(*at));
            parts.flat_map(|(_, part)| part.clone()).collect()
        };
        let last = parts.len();
        Ok(Some(if cube {
            // The first part is the most significant, as in the standard's list of a cube.
            let all = (0..1_usize << last).rev();
            all.map(|bits| chosen(&|at| bits >> (last - 1 - at) & 1 == 1))
                .collect()
        } else {
            (0..=last)
                .rev()
                .map(|count| chosen(&|at| at < count))
                .collect()
        }))
    }

    /// A key, or several in parentheses, or none in them.
    fn set(&mut self, keys: &mut Vec<Expr>) -> Parsed<Vec<usize>> {
        let first = keys.len();
        let start = self.at;
        if self.accept_sign("(") {
            if self.accept_sign(")") {
                return Ok(Vec::new());
            }
            let mut some = vec![self.expression()?];
            while self.accept_sign(",") {
                some.push(self.expression()?);
            }
            if some.len() > 1 {
                self.expect_sign(")")?;
                keys.extend(some);
                return Ok((first..keys.len()).collect());
            }
            // One in parentheses may be where an expression begins, such as (a + b) * 2.
            self.at = start;
        }
        keys.push(self.expression()?);
        Ok(vec![first])
    }
}
