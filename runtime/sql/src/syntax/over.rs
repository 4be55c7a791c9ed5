//! OVER: functions of the rows up to each row, and the windows that WINDOW names.

use super::ast::{
    Expr, Frame, Interval, Kind, Name, OverCall, OverFunction, OverWindow, OverWindowRef,
};
use super::group::MAX_KEYS;
use super::{Parsed, Parser};
use crate::error::{Place, SqlError};

/// Most rows that a frame or LAG looks back.
pub(crate) const MAX_ROWS: u32 = 10_000;
/// Most windows that WINDOW names.
const MAX_WINDOWS: usize = 64;
const SHAPE: &str = "OVER ([PARTITION BY key] ORDER BY time [ROWS BETWEEN n PRECEDING AND CURRENT ROW | RANGE BETWEEN INTERVAL '1' HOUR PRECEDING AND CURRENT ROW])";

/// Where a frame begins or ends.
enum Bound {
    Unbounded,
    CurrentRow,
    Preceding(Expr),
}

impl Parser {
    /// A function that there is only with OVER; `None`: it is another one.
    pub(super) fn only_over(&mut self, place: Place, upper: &str) -> Parsed<Option<Expr>> {
        let function = match upper {
            "LAG" => {
                self.at += 2;
                let args = self.list(")")?;
                if self.is_word("IGNORE") || self.is_word("RESPECT") {
                    return Err(SqlError::new(
                        self.place(),
                        format!(
                            "{} is not in this version: LAG takes each row as it is, also where its value is null",
                            self.token().shown()
                        ),
                    ));
                }
                OverFunction::Lag(args)
            }
            "RANK" | "DENSE_RANK" => {
                self.at += 2;
                self.expect_sign(")")?;
                if upper == "RANK" {
                    OverFunction::Rank
                } else {
                    OverFunction::DenseRank
                }
            }
            _ => return Ok(None),
        };
        if !self.is_word("OVER") {
            return Err(self.expected(&format!("\"OVER\", without which {upper} has no rows,")));
        }
        let depth = match &function {
            OverFunction::Lag(args) => args.iter().map(|a| a.depth).max().unwrap_or(0),
            _ => 0,
        };
        self.over(place, function, depth).map(Some)
    }

    /// `OVER (…)` or `OVER name` behind a function.
    pub(super) fn over(
        &mut self,
        place: Place,
        function: OverFunction,
        depth: usize,
    ) -> Parsed<Expr> {
        self.expect_word("OVER")?;
        let window = if self.is_sign("(") {
            let window = self.over_window()?;
            if let Some((_, frame)) = window.frame
                && !matches!(function, OverFunction::Aggregate(_))
            {
                return Err(SqlError::new(
                    frame,
                    format!("{} has no frame; leave it out", name(&function)),
                ));
            }
            OverWindowRef::Here(window)
        } else {
            OverWindowRef::Named(self.name("\"(\", or the name of a window that WINDOW defines,")?)
        };
        let depth = match &window {
            OverWindowRef::Here(window) => {
                let parts = window.partition.iter();
                let parts = parts.chain(window.order.iter().map(|by| &by.expr));
                parts.map(|part| part.depth).fold(depth, usize::max)
            }
            OverWindowRef::Named(_) => depth,
        };
        Self::node(
            place,
            depth,
            Kind::Over(Box::new(OverCall { function, window })),
        )
    }

    /// `WINDOW name AS (…), …`.
    pub(super) fn windows(&mut self) -> Parsed<Vec<(Name, OverWindow)>> {
        let mut windows: Vec<(Name, OverWindow)> = Vec::new();
        if !self.accept_word("WINDOW") {
            return Ok(windows);
        }
        loop {
            let name = self.name("a window's name")?;
            if windows.iter().any(|(known, _)| known.text == name.text) {
                return Err(SqlError::new(
                    name.place,
                    format!("WINDOW defines \"{}\" twice", name.text),
                ));
            }
            if windows.len() == MAX_WINDOWS {
                return Err(SqlError::new(
                    name.place,
                    format!("WINDOW defines at most {MAX_WINDOWS} windows"),
                ));
            }
            self.expect_word("AS")?;
            windows.push((name, self.over_window()?));
            if !self.accept_sign(",") {
                return Ok(windows);
            }
        }
    }

    fn over_window(&mut self) -> Parsed<OverWindow> {
        let place = self.place();
        self.expect_sign("(")?;
        let mut window = OverWindow {
            place,
            partition: Vec::new(),
            order: Vec::new(),
            frame: None,
        };
        if self.accept_words(&["PARTITION", "BY"]) {
            window.partition.push(self.expression()?);
            while self.accept_sign(",") {
                window.partition.push(self.expression()?);
            }
        }
        if self.accept_words(&["ORDER", "BY"]) {
            window.order.push(self.ordering()?);
            while self.accept_sign(",") {
                window.order.push(self.ordering()?);
            }
        }
        if window.partition.len() > MAX_KEYS || window.order.len() > MAX_KEYS {
            return Err(SqlError::new(
                place,
                format!("PARTITION BY and ORDER BY have at most {MAX_KEYS} expressions"),
            ));
        }
        let frame = self.place();
        if self.is_word("ROWS") || self.is_word("RANGE") {
            window.frame = Some((self.frame()?, frame));
        }
        if !self.is_sign(")") {
            return Err(self.expected(&format!("\")\", as in {SHAPE},")));
        }
        self.at += 1;
        Ok(window)
    }

    /// `ROWS | RANGE (BETWEEN bound AND CURRENT ROW | bound)`.
    fn frame(&mut self) -> Parsed<Frame> {
        let rows = self.is_word("ROWS");
        self.at += 1;
        let low = if self.accept_word("BETWEEN") {
            let low = self.bound()?;
            self.expect_word("AND")?;
            let place = self.place();
            if !matches!(self.bound()?, Bound::CurrentRow) {
                return Err(SqlError::new(
                    place,
                    "a frame ends with CURRENT ROW, as in Flink over streams; one earlier row by itself is LAG",
                ));
            }
            low
        } else {
            self.bound()?
        };
        if rows {
            return Ok(Frame::Rows(match low {
                Bound::Unbounded => None,
                Bound::CurrentRow => Some(0),
                Bound::Preceding(expr) => Some(count(&expr)?),
            }));
        }
        Ok(Frame::Range(match low {
            Bound::Unbounded => None,
            Bound::CurrentRow => Some(0),
            Bound::Preceding(expr) => Some(length(&expr)?),
        }))
    }

    fn bound(&mut self) -> Parsed<Bound> {
        let place = self.place();
        if self.accept_words(&["CURRENT", "ROW"]) {
            return Ok(Bound::CurrentRow);
        }
        let bound = if self.accept_word("UNBOUNDED") {
            Bound::Unbounded
        } else {
            Bound::Preceding(self.expression()?)
        };
        if self.is_word("FOLLOWING") {
            return Err(SqlError::new(
                place,
                "FOLLOWING would wait for rows that are yet to come, which Flink doesn't take over streams, either; end the frame with CURRENT ROW",
            ));
        }
        self.expect_word("PRECEDING")?;
        Ok(bound)
    }
}

/// How many rows a frame of ROWS has before its own.
fn count(expr: &Expr) -> Parsed<u32> {
    if let Kind::Interval(_) = expr.kind {
        return Err(SqlError::new(
            expr.place,
            "ROWS counts rows; for a length of time write RANGE",
        ));
    }
    let number = match &expr.kind {
        Kind::Number(number) => number.parse::<u32>().ok().filter(|n| *n <= MAX_ROWS),
        _ => None,
    };
    number.ok_or_else(|| {
        SqlError::new(
            expr.place,
            format!("ROWS … PRECEDING takes a whole number from 0 to {MAX_ROWS}; for more, take RANGE with an INTERVAL, or UNBOUNDED"),
        )
    })
}

/// How much time a frame of RANGE has before its row, in milliseconds.
fn length(expr: &Expr) -> Parsed<i64> {
    let message = match expr.kind {
        Kind::Interval(Interval::Millis(ms)) if ms >= 0 => return Ok(ms),
        Kind::Interval(Interval::Millis(_)) => {
            "RANGE … PRECEDING looks back: the interval is not negative"
        }
        Kind::Interval(Interval::Months(_)) => {
            "a month has no fixed length; write the interval in days, hours, minutes or seconds"
        }
        _ => {
            "RANGE … PRECEDING takes an interval, such as INTERVAL '10' MINUTE; to count rows write ROWS"
        }
    };
    Err(SqlError::new(expr.place, message))
}

/// What the function is called.
pub(crate) fn name(function: &OverFunction) -> &str {
    match function {
        OverFunction::Aggregate(call) => &call.function,
        OverFunction::Lag(_) => "LAG",
        OverFunction::Rank => "RANK",
        OverFunction::DenseRank => "DENSE_RANK",
    }
}

/// The expressions that the call is made of.
pub(super) fn children(call: &OverCall) -> Vec<&Expr> {
    let mut all: Vec<&Expr> = match &call.function {
        OverFunction::Aggregate(call) => call.args.iter().chain(&call.filter).collect(),
        OverFunction::Lag(args) => args.iter().collect(),
        OverFunction::Rank | OverFunction::DenseRank => Vec::new(),
    };
    if let OverWindowRef::Here(window) = &call.window {
        all.extend(&window.partition);
        all.extend(window.order.iter().map(|by| &by.expr));
    }
    all
}

/// What the call is, but for those.
pub(super) fn label(call: &OverCall) -> String {
    let function = match &call.function {
        OverFunction::Aggregate(of) => format!(
            "{} {} {} {} {}",
            of.function,
            of.distinct,
            of.star,
            of.args.len(),
            of.filter.is_some()
        ),
        OverFunction::Lag(args) => format!("LAG {}", args.len()),
        OverFunction::Rank | OverFunction::DenseRank => name(&call.function).to_owned(),
    };
    match &call.window {
        OverWindowRef::Named(name) => format!("over {function} {:?}", name.text),
        OverWindowRef::Here(window) => {
            let order = window
                .order
                .iter()
                .map(|by| (by.descending, by.nulls_first));
            format!(
                "over {function} {} {:?} {:?}",
                window.partition.len(),
                order.collect::<Vec<_>>(),
                window.frame.map(|(frame, _)| frame)
            )
        }
    }
}
