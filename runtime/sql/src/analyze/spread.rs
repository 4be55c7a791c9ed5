//! Window tables below a join, or where nothing aggregates them: each window that a row falls into is a row of its own.
//!
//! Above an aggregation a window is the aggregation's matter, which keeps slices. Rows that are joined are kept by themselves, so here the
//! window's columns are computed of each: a branch for each window that a row falls into at most.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, TimestampMillisecondArray};
use arrow::datatypes::TimestampMillisecondType;

use super::bound_expr::{Analyzed, BoundExpr, Nulls, call, refuse};
use super::scope::Scope;
use super::select::and;
use super::window::{COLUMNS, TIME, Windowed, table};
use super::{BoundSelect, Input};
use crate::error::Place;
use crate::eval::Args;
use crate::keyed::Window;
use crate::syntax::ast::WindowTable;
use crate::types::DataType;

/// Most windows of a row.
const MAX_WINDOWS: i64 = 32;

/// The window of a branch's rows.
#[derive(Clone)]
pub(crate) struct Spread {
    pub window: Window,
    pub place: Place,
    /// The last moment of the row's window.
    pub time: BoundExpr,
    /// True: of the windows that a row falls into this is the one that ends last.
    pub last: bool,
}

/// A window table over what it reads, each window of a row as a row.
pub(super) fn spread(
    of: &WindowTable,
    inputs: Vec<(BoundSelect, Scope)>,
) -> Analyzed<Vec<BoundSelect>> {
    let mut all = Vec::new();
    for mut branch in table(of, inputs)? {
        let Some(windowed) = branch.take_window() else {
            continue;
        };
        let Some(count) = count(windowed.window) else {
            return refuse(
                windowed.place,
                "a join of session windows is not in this version: which rows are in one depends on all of them; join the streams with bounds on their event times",
            );
        };
        if count > MAX_WINDOWS {
            return refuse(
                windowed.place,
                format!(
                    "each row falls into {count} of these windows, and without an aggregation into at most {MAX_WINDOWS}: make the slide or step longer"
                ),
            );
        }
        for number in 0..count {
            all.push(one(&branch, &windowed, (number, count))?);
        }
    }
    Ok(all)
}

/// How many windows a row falls into at most; none of sessions.
fn count(window: Window) -> Option<i64> {
    match window {
        Window::Tumble { .. } => Some(1),
        Window::Hop { size, slide, .. } => Some(size / slide),
        Window::Cumulate { max, step, .. } => Some(max / step),
        Window::Session { .. } => None,
    }
}

/// The beginning and the end of the window with this number that a moment falls into; of CUMULATE the first ones may end before it.
fn bounds(window: Window, number: i64, at: i64) -> (i64, i64) {
    let begins = |every: i64, offset: i64| {
        let since = at.saturating_sub(offset);
        since
            .div_euclid(every)
            .saturating_mul(every)
            .saturating_add(offset)
    };
    match window {
        Window::Tumble { size, offset } => {
            let start = begins(size, offset);
            (start, start.saturating_add(size))
        }
        Window::Hop {
            size,
            slide,
            offset,
        } => {
            let start = begins(slide, offset).saturating_sub(number.saturating_mul(slide));
            (start, start.saturating_add(size))
        }
        Window::Cumulate { max, step, offset } => {
            let start = begins(max, offset);
            let end = start.saturating_add((number + 1).saturating_mul(step));
            (start, end)
        }
        Window::Session { gap } => (at, at.saturating_add(gap)),
    }
}

/// A window as a text that stays short, as longer ones are digested, and a join looks at how it begins.
fn short(window: Window) -> String {
    match window {
        Window::Tumble { size, offset } => format!("t{size}+{offset}"),
        Window::Hop {
            size,
            slide,
            offset,
        } => format!("h{size}/{slide}+{offset}"),
        Window::Cumulate { max, step, offset } => format!("c{max}/{step}+{offset}"),
        Window::Session { gap } => format!("s{gap}"),
    }
}

/// A branch with the windows of one number.
fn one(
    branch: &BoundSelect,
    windowed: &Windowed,
    (number, count): (i64, i64),
) -> Analyzed<BoundSelect> {
    let mut branch = branch.clone();
    let window = windowed.window;
    let time = &windowed.time;
    let computed = [
        moment(time, &COLUMNS[0].1, move |at| bounds(window, number, at).0)?,
        moment(time, &COLUMNS[1].1, move |at| bounds(window, number, at).1)?,
        moment(time, &TIME, move |at| {
            bounds(window, number, at).1.saturating_sub(1)
        })?,
    ];
    let first = branch.columns.len().saturating_sub(COLUMNS.len());
    let columns = branch.columns.iter_mut().skip(first);
    for ((name, column), mut typed) in columns.zip(computed.clone()) {
        typed.identity = Some(format!("{name}({} {number})", short(window)).into());
        *column = typed;
    }
    if matches!(window, Window::Cumulate { .. }) {
        let falls = falls_into(time, window, number)?;
        branch
            .conditions
            .push(format!("in({} {number})", short(window)));
        branch.filter = Some(match branch.filter.take() {
            None => falls,
            Some(before) => and(before, falls)?,
        });
    }
    let [_, _, time] = computed;
    let ends_last = match window {
        Window::Hop { .. } => number == 0,
        _ => number + 1 == count,
    };
    if let Input::Stream(stream) = &mut branch.input {
        stream.spread = Some(Box::new(Spread {
            window,
            place: windowed.place,
            time,
            last: ends_last,
        }));
    }
    Ok(branch)
}

/// A time that is computed of the event time.
fn moment(
    time: &BoundExpr,
    data_type: &DataType,
    of: impl Fn(i64) -> i64 + Send + Sync + 'static,
) -> Analyzed<BoundExpr> {
    let arrow = data_type.to_arrow();
    let args = std::slice::from_ref(time);
    let kernel = Arc::new(move |args: &Args| {
        let at = args.primitive::<TimestampMillisecondType>(0);
        let values = (0..args.rows).map(|row| at.get(row).map(&of));
        let array: TimestampMillisecondArray = values.collect();
        Ok(Arc::new(array.with_data_type(arrow.clone())) as ArrayRef)
    });
    call(
        time.place,
        data_type.clone(),
        args,
        Nulls::Strict,
        false,
        kernel,
    )
}

/// True for a row whose event time is before the end of that window.
fn falls_into(time: &BoundExpr, window: Window, number: i64) -> Analyzed<BoundExpr> {
    let args = std::slice::from_ref(time);
    let kernel = Arc::new(move |args: &Args| {
        let at = args.primitive::<TimestampMillisecondType>(0);
        let falls = |at: i64| at < bounds(window, number, at).1;
        let values = (0..args.rows).map(|row| at.get(row).map(falls));
        Ok(Arc::new(values.collect::<BooleanArray>()) as ArrayRef)
    });
    call(
        time.place,
        DataType::Boolean,
        args,
        Nulls::Strict,
        false,
        kernel,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_falls_into_the_windows_that_flink_says() {
        let tumble = Window::Tumble {
            size: 60,
            offset: 10,
        };
        assert_eq!(bounds(tumble, 0, 9), (-50, 10));
        assert_eq!(bounds(tumble, 0, 10), (10, 70));
        assert_eq!(bounds(tumble, 0, 69), (10, 70));
        let hop = Window::Hop {
            size: 60,
            slide: 20,
            offset: 0,
        };
        let of = |at| [0, 1, 2].map(|number| bounds(hop, number, at));
        assert_eq!(of(65), [(60, 120), (40, 100), (20, 80)]);
        assert_eq!(of(-1), [(-20, 40), (-40, 20), (-60, 0)]);
        let cumulate = Window::Cumulate {
            max: 60,
            step: 20,
            offset: 0,
        };
        let of = |at| [0, 1, 2].map(|number| bounds(cumulate, number, at));
        assert_eq!(of(65), [(60, 80), (60, 100), (60, 120)]);
    }
}
