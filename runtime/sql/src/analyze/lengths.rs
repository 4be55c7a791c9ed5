//! The lengths of windows.

use super::bound_expr::{Analyzed, refuse};
use crate::error::Place;
use crate::keyed::Window;
use crate::syntax::ast::Interval;

/// Longest window: a hundred years, in milliseconds.
const MAX_LENGTH: i64 = 36_525 * 86_400_000;
/// Most windows that a row may be in.
const MAX_WINDOWS: i64 = 20_000;

/// Checks lengths and makes the window of them.
pub(super) fn window(
    function: &str,
    given: &dyn Fn(&str) -> Option<(Interval, Place)>,
) -> Analyzed<Window> {
    let length = |parameter: &str| match given(parameter) {
        Some((interval, place)) => {
            positive(function, parameter, interval, place).map(|millis| (millis, place))
        }
        None => refuse(
            Place::default(),
            format!("{function}: {parameter} is missing"),
        ),
    };
    let offset = |below: i64| match given("OFFSET") {
        None => Ok(0),
        Some((Interval::Millis(offset), _)) if offset.abs() < below => Ok(offset.rem_euclid(below)),
        Some((_, place)) => refuse(
            place,
            format!("{function}: the offset is shorter than the distance of two windows"),
        ),
    };
    let parts = |(whole, place): (i64, Place), part: i64, names: [&str; 2]| {
        if whole % part != 0 {
            return refuse(
                place,
                format!(
                    "{function}: {} is a multiple of {}, as windows are put together from pieces of that length",
                    names[0], names[1]
                ),
            );
        }
        if whole / part > MAX_WINDOWS {
            return refuse(
                place,
                format!(
                    "{function}: a row would be in {} windows; at most {MAX_WINDOWS}",
                    whole / part
                ),
            );
        }
        Ok(())
    };
    Ok(match function {
        "TUMBLE" => {
            let (size, _) = length("SIZE")?;
            Window::Tumble {
                size,
                offset: offset(size)?,
            }
        }
        "HOP" => {
            let ((slide, _), size) = (length("SLIDE")?, length("SIZE")?);
            parts(size, slide, ["size", "slide"])?;
            Window::Hop {
                size: size.0,
                slide,
                offset: offset(slide)?,
            }
        }
        "CUMULATE" => {
            let ((step, _), max) = (length("STEP")?, length("SIZE")?);
            parts(max, step, ["size", "step"])?;
            Window::Cumulate {
                max: max.0,
                step,
                offset: offset(max.0)?,
            }
        }
        _ => Window::Session {
            gap: length("GAP")?.0,
        },
    })
}

fn positive(function: &str, parameter: &str, interval: Interval, place: Place) -> Analyzed<i64> {
    match interval {
        Interval::Millis(millis) if (1..=MAX_LENGTH).contains(&millis) => Ok(millis),
        Interval::Millis(_) => refuse(
            place,
            format!("{function}: {parameter} is more than nothing and at most 36525 days"),
        ),
        Interval::Months(_) => refuse(
            place,
            format!(
                "{function}: months differ in length, so {parameter} is given in DAY, HOUR, MINUTE or SECOND"
            ),
        ),
    }
}
