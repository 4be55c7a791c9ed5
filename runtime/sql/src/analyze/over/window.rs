//! The window of a SELECT's functions: its key, its order and its frame.

use super::super::bound_expr::{Analyzed, refuse};
use super::super::grouping::of_times;
use super::super::rows::{Cell, check_key};
use super::super::scope::Scope;
use super::super::{BoundSelect, window};
use super::Calls;
use super::functions::{Asked, What};
use crate::error::Place;
use crate::keyed::over;
use crate::suggest::nearest;
use crate::syntax::ast::{Expr, Frame, Ordering, OverWindow, OverWindowRef, Select};

/// The one window that all functions of a SELECT have.
pub(super) struct Bound {
    pub keys: Vec<Cell>,
    pub time: Cell,
    /// None: no function asks for one, or it isn't said.
    pub frame: Option<over::Frame>,
}

/// What OVER says, wherever it is said.
struct Said<'a> {
    place: Place,
    partition: &'a [Expr],
    order: &'a [Ordering],
    frame: Option<(Frame, Place)>,
}

const ONE: &str = "all functions with OVER of a SELECT have the same window, as in Flink: the same PARTITION BY, ORDER BY and frame; write what has another window to a stream by a Pipeline of its own";

/// Binds the window.
pub(super) fn bound(
    select: &Select,
    asked: &Calls,
    inputs: &[(BoundSelect, Scope)],
) -> Analyzed<Bound> {
    let mut all: Option<(Vec<Cell>, Cell)> = None;
    let mut frame: Option<Frame> = None;
    for one in asked {
        let said = said(select, one)?;
        let keys = keys(said.partition, inputs)?;
        let time = time(&said, one, inputs)?;
        match &all {
            None => all = Some((keys, time)),
            Some((known, _)) => {
                let same = known.len() == keys.len()
                    && known
                        .iter()
                        .all(|k| keys.iter().any(|c| c.identity == k.identity));
                if !same {
                    return refuse(said.place, ONE);
                }
            }
        }
        if let What::Aggregate(_) = one.what {
            let own = said.frame.map_or(Frame::Range(None), |(f, _)| f);
            if frame.is_some_and(|known| known != own) {
                return refuse(said.frame.map_or(said.place, |(_, place)| place), ONE);
            }
            frame = Some(own);
        } else if let Some((_, place)) = said.frame
            && matches!(one.window, Some(OverWindowRef::Named(_)))
            && asked.iter().all(|a| !matches!(a.what, What::Aggregate(_)))
        {
            return refuse(place, format!("{} has no frame; leave it out", one.name));
        }
    }
    match all {
        Some((keys, time)) => Ok(Bound {
            keys,
            time,
            frame: frame.map(compiled),
        }),
        None => refuse(select.place, "OVER is missing"),
    }
}

fn compiled(frame: Frame) -> over::Frame {
    match frame {
        Frame::Rows(preceding) => over::Frame::Rows { preceding },
        Frame::Range(preceding_ms) => over::Frame::Range { preceding_ms },
    }
}

/// What a function's OVER says.
fn said<'a>(select: &'a Select, one: &Asked<'a>) -> Analyzed<Said<'a>> {
    let of = |window: &'a OverWindow| Said {
        place: window.place,
        partition: &window.partition,
        order: &window.order,
        frame: window.frame,
    };
    match (&one.what, one.window) {
        (What::RowNumber(number), _) => Ok(Said {
            place: one.place,
            partition: &number.partition,
            order: &number.order,
            frame: None,
        }),
        (_, Some(OverWindowRef::Here(window))) => Ok(of(window)),
        (_, Some(OverWindowRef::Named(name))) => {
            let mut windows = select.windows.iter();
            if let Some((_, window)) = windows.find(|(known, _)| known.text == name.text) {
                return Ok(of(window));
            }
            let names = select.windows.iter().map(|(known, _)| known.text.as_str());
            let near = nearest(&name.text, names);
            let message = format!(
                "no window is named \"{}\"; WINDOW {} AS (PARTITION BY … ORDER BY …) at the end of the SELECT defines it",
                name.text, name.text
            );
            let error = crate::error::SqlError::new(name.place, message);
            Err(vec![error.meant(near)])
        }
        (_, None) => refuse(one.place, "OVER is missing"),
    }
}

fn keys(partition: &[Expr], inputs: &[(BoundSelect, Scope)]) -> Analyzed<Vec<Cell>> {
    let mut keys: Vec<Cell> = Vec::new();
    for expr in partition {
        let cell = Cell::bind(inputs, expr)?;
        check_key("PARTITION BY", &cell, expr.place)?;
        if !keys.iter().any(|known| known.identity == cell.identity) {
            keys.push(cell);
        }
    }
    Ok(keys)
}

/// The event time that the rows are ordered by.
fn time(said: &Said, one: &Asked, inputs: &[(BoundSelect, Scope)]) -> Analyzed<Cell> {
    let Some(by) = said.order.first() else {
        return refuse(
            said.place,
            format!(
                "{} OVER (…) needs ORDER BY and the stream's event time: without an order there is no row before another",
                one.name
            ),
        );
    };
    if let Some(second) = said.order.get(1) {
        return refuse(
            second.expr.place,
            "over a stream, rows are ordered by the event time alone; those of one time are in the order in which they come",
        );
    }
    if by.descending {
        return refuse(
            by.expr.place,
            "over a stream, rows are given as event time goes on, so ORDER BY ascends; leave DESC out. The last row of each key is found by ROW_NUMBER() with DESC and rn = 1",
        );
    }
    let cell = Cell::bind(inputs, &by.expr)?;
    let mut times = Vec::with_capacity(inputs.len());
    for ((checked, _), typed) in inputs.iter().zip(&cell.typed) {
        let typed = typed.clone().at(by.expr.place);
        times.push(window::event_time("OVER", checked, typed)?);
    }
    Ok(of_times(times))
}
