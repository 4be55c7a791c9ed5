//! What becomes of a number with more digits than its decimal type has. As in Flink it is NULL where an argument
//! may be null, and the row fails where none is; a query may say that the row always fails.
//!
//! It is one setting of a query as a whole, and the places where it matters are said for the query as a whole.
//! The rules are functions of their arguments alone; so both stand beside them, for as long as a query
//! is checked.

use std::cell::RefCell;
use std::collections::BTreeSet;

use super::bound_expr::{Analyzed, BoundExpr, Nulls, call};
use crate::catalog::Overflow;
use crate::error::{Place, SqlError};
use crate::eval::Kernel;
use crate::eval::arithmetic::or_fail;
use crate::types::DataType;

struct Query {
    overflow: Overflow,
    /// Where, and the type that may be too narrow.
    places: BTreeSet<(u32, u32, String)>,
}

thread_local! {
    static QUERY: RefCell<Option<Query>> = const { RefCell::new(None) };
}

/// Checks a query under a setting; gives where numbers may silently become NULL, too.
pub(super) fn checked<V>(overflow: Overflow, check: impl FnOnce() -> V) -> (V, Vec<SqlError>) {
    let query = Query {
        overflow,
        places: BTreeSet::new(),
    };
    let before = QUERY.replace(Some(query));
    let result = check();
    let places = QUERY
        .replace(before)
        .map(|query| query.places)
        .unwrap_or_default();
    let said = places.into_iter().map(|(line, column, data_type)| {
        SqlError::new(
            Place { line, column },
            format!(
                "where the value has more digits than {data_type}, this is NULL without a word, as in Flink, and COALESCE would hide it; a wider decimal has room, and onOverflow: DeadLetter fails the row"
            ),
        )
    });
    (result, said.collect())
}

/// True if the query says that the row fails.
pub(super) fn asked() -> bool {
    QUERY.with_borrow(|query| query.as_ref().is_some_and(|q| q.overflow == Overflow::Fail))
}

/// True if the row fails: the query says so, or the result is never null, as no argument is. (Flink's job fails
/// then.)
pub(super) fn fails(args: &[BoundExpr]) -> bool {
    args.iter().all(|a| !a.nullable) || asked()
}

/// Remembers a cast that may make a number NULL.
pub(super) fn note(place: Place, data_type: &DataType) {
    QUERY.with_borrow_mut(|query| {
        if let Some(query) = query {
            let what = data_type.to_string();
            query.places.insert((place.line, place.column, what));
        }
    });
}

/// A call with a decimal result that may have too many digits.
pub(super) fn decimal(
    place: Place,
    data_type: DataType,
    args: &[BoundExpr],
    fallible: bool,
    kernel: Kernel,
) -> Analyzed<BoundExpr> {
    if fails(args) {
        let kernel = or_fail(kernel, data_type.clone());
        return call(place, data_type, args, Nulls::Strict, true, kernel);
    }
    call(place, data_type, args, Nulls::Possible, fallible, kernel)
}
