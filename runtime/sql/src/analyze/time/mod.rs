//! Dates and times: EXTRACT and its short forms, FLOOR/CEIL to a unit, intervals; formats are in [`format`].
//!
//! The session's zone is UTC. A `timestamp_ltz` is taken apart in UTC.

mod format;

use super::bound_expr::{Analyzed, BoundExpr, Nulls, call, refuse};
use super::casts::coerce;
use super::functions::{Function, ParamType, own, times_of};
use super::literals;
use super::scope::shortened;
use crate::error::Place;
use crate::eval::time as eval;
use crate::syntax::ast::{Interval, Name, Unit};
use crate::syntax::millis;
use crate::types::DataType as T;

use ParamType::{Any, Text};
use format::{date_format, from_unixtime, to_instant, to_time, unix_timestamp};

pub(super) const FUNCTIONS: &[Function] = &[
    own("YEAR", &[Any], 1, false, |p, n, a| {
        short(p, n, Unit::Year, a)
    }),
    own("QUARTER", &[Any], 1, false, |p, n, a| {
        short(p, n, Unit::Quarter, a)
    }),
    own("MONTH", &[Any], 1, false, |p, n, a| {
        short(p, n, Unit::Month, a)
    }),
    own("WEEK", &[Any], 1, false, |p, n, a| {
        short(p, n, Unit::Week, a)
    }),
    own("DAYOFYEAR", &[Any], 1, false, |p, n, a| {
        short(p, n, Unit::DayOfYear, a)
    }),
    own("DAYOFMONTH", &[Any], 1, false, |p, n, a| {
        short(p, n, Unit::Day, a)
    }),
    own("DAYOFWEEK", &[Any], 1, false, |p, n, a| {
        short(p, n, Unit::DayOfWeek, a)
    }),
    own("HOUR", &[Any], 1, false, |p, n, a| {
        short(p, n, Unit::Hour, a)
    }),
    own("MINUTE", &[Any], 1, false, |p, n, a| {
        short(p, n, Unit::Minute, a)
    }),
    own("SECOND", &[Any], 1, false, |p, n, a| {
        short(p, n, Unit::Second, a)
    }),
    own("DATE_FORMAT", &[Any, Text], 2, false, date_format),
    own("TO_TIMESTAMP", &[Text, Text], 1, false, to_time),
    own("TO_DATE", &[Text, Text], 1, false, to_time),
    own("TO_TIMESTAMP_LTZ", &[Any, Any], 1, false, to_instant),
    own(
        "FROM_UNIXTIME",
        &[ParamType::BigInt, Text],
        1,
        false,
        from_unixtime,
    ),
    own("UNIX_TIMESTAMP", &[Text, Text], 0, false, unix_timestamp),
];

fn is_time(data_type: &T) -> bool {
    matches!(
        data_type,
        T::Date | T::Time | T::Timestamp(_) | T::TimestampLtz(_)
    )
}

fn short(
    place: Place,
    name: &'static str,
    unit: Unit,
    args: Vec<BoundExpr>,
) -> Analyzed<BoundExpr> {
    extract(place, name, unit, args)
}

/// A call whose first argument is a unit.
pub(super) fn timed(name: &Name, unit: Unit, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    let upper = name.text.to_ascii_uppercase();
    let wanted = match upper.as_str() {
        "TIMESTAMPADD" | "TIMESTAMPDIFF" => 2,
        _ => 1,
    };
    if args.len() != wanted {
        return refuse(
            name.place,
            format!(
                "{upper} takes {wanted} argument(s) besides the unit, not {}",
                args.len()
            ),
        );
    }
    match upper.as_str() {
        "EXTRACT" => extract(name.place, &upper, unit, args),
        "TIMESTAMPADD" => add(name.place, unit, args),
        "TIMESTAMPDIFF" => difference(name.place, unit, args),
        _ => floor(name.place, &upper, unit, args),
    }
}

fn no_time(arg: &BoundExpr, name: &str) -> Analyzed<BoundExpr> {
    let hint = if arg.data_type == T::String {
        "; use CAST(… AS TIMESTAMP(3)), or TO_TIMESTAMP with a format"
    } else {
        ""
    };
    refuse(
        arg.place,
        format!(
            "{name} takes a date or time, this is {}{hint}",
            shortened(&arg.data_type)
        ),
    )
}

fn extract(place: Place, name: &str, unit: Unit, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    let data_type = args[0].data_type.clone();
    if !is_time(&data_type) {
        return no_time(&args[0], name);
    }
    let clock = matches!(
        unit,
        Unit::Hour | Unit::Minute | Unit::Second | Unit::Millisecond | Unit::Microsecond
    );
    if data_type == T::Time && !clock {
        return refuse(place, format!("a time of day has no {unit:?}"));
    }
    call(
        place,
        T::BigInt,
        &args,
        Nulls::Strict,
        false,
        eval::extract(unit, data_type),
    )
}

/// `FLOOR(t TO unit)`, `CEIL(t TO unit)`.
fn floor(place: Place, name: &str, unit: Unit, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    let data_type = args[0].data_type.clone();
    if !is_time(&data_type) {
        return no_time(&args[0], name);
    }
    let calendar = matches!(
        unit,
        Unit::Year | Unit::Quarter | Unit::Month | Unit::Week | Unit::Day
    );
    if !calendar && millis(unit).is_none() {
        return refuse(
            place,
            format!(
                "{name} goes to YEAR, QUARTER, MONTH, WEEK, DAY, HOUR, MINUTE, SECOND or MILLISECOND"
            ),
        );
    }
    if data_type == T::Time && calendar {
        return refuse(place, format!("a time of day can't go to {unit:?}"));
    }
    if data_type == T::Date && !calendar {
        return refuse(place, format!("a date has no {unit:?}"));
    }
    let up = name != "FLOOR";
    // Only CEIL near the end of time could go beyond it.
    call(
        place,
        data_type.clone(),
        &args,
        Nulls::Strict,
        true,
        eval::floor(unit, up, data_type),
    )
}

/// `t + INTERVAL …` and `t - INTERVAL …`.
pub(super) fn shift(
    place: Place,
    typed: BoundExpr,
    interval: Interval,
    minus: bool,
) -> Analyzed<BoundExpr> {
    let once = literals::int(place, 1);
    shift_times(place, typed, once, interval, minus)
}

/// `t + n * INTERVAL …` and `t - n * INTERVAL …`.
pub(super) fn shift_times(
    place: Place,
    typed: BoundExpr,
    times: BoundExpr,
    interval: Interval,
    minus: bool,
) -> Analyzed<BoundExpr> {
    let data_type = typed.data_type.clone();
    if !is_time(&data_type) {
        return no_time(&typed, "an interval's addition");
    }
    if data_type == T::Time && matches!(interval, Interval::Months(_)) {
        return refuse(place, "a time of day has no months or years");
    }
    if times.data_type != T::Int && !times.untyped_null {
        return refuse(
            times.place,
            format!(
                "an interval is taken int times, this is {}; use CAST(… AS INT), or TIMESTAMPADD(SECOND, CAST(… AS INT), t)",
                shortened(&times.data_type)
            ),
        );
    }
    let times = coerce(times, &T::Int)?;
    let sign = if minus { -1 } else { 1 };
    let (months, millis) = match interval {
        Interval::Months(n) => (n * sign, 0),
        Interval::Millis(n) => (0, n * sign),
    };
    call(
        place,
        data_type.clone(),
        &[typed, times],
        Nulls::Strict,
        true,
        eval::add(months, millis, data_type),
    )
}

fn add(place: Place, unit: Unit, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    let Ok([amount, time]) = <[BoundExpr; 2]>::try_from(args) else {
        return refuse(place, "TIMESTAMPADD takes a unit, an amount and a time");
    };
    let data_type = time.data_type.clone();
    if !is_time(&data_type) {
        return no_time(&time, "TIMESTAMPADD");
    }
    if amount.data_type != T::Int && !amount.untyped_null {
        return refuse(
            amount.place,
            format!(
                "TIMESTAMPADD's amount is int, this is {}",
                shortened(&amount.data_type)
            ),
        );
    }
    let months = match unit {
        Unit::Year => 12,
        Unit::Quarter => 3,
        Unit::Month => 1,
        _ => 0,
    };
    let unit_millis = if months == 0 { millis(unit) } else { Some(0) };
    let Some(unit_millis) = unit_millis else {
        return refuse(
            place,
            "TIMESTAMPADD's unit is YEAR, QUARTER, MONTH, WEEK, DAY, HOUR, MINUTE or SECOND",
        );
    };
    if data_type == T::Date
        && matches!(
            unit,
            Unit::Hour | Unit::Minute | Unit::Second | Unit::Millisecond
        )
    {
        return refuse(
            time.place,
            "a date has no time of day; use CAST(… AS TIMESTAMP(3)) first",
        );
    }
    if data_type == T::Time && months > 0 {
        return refuse(place, "a time of day has no months or years");
    }
    let amount = coerce(amount, &T::Int)?;
    call(
        place,
        data_type.clone(),
        &[time, amount],
        Nulls::Strict,
        true,
        eval::add(months, unit_millis, data_type),
    )
}

fn difference(place: Place, unit: Unit, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    let args = times_of(args)?;
    for arg in &args {
        if !is_time(&arg.data_type) || arg.data_type == T::Time {
            return no_time(arg, "TIMESTAMPDIFF");
        }
    }
    let (left, right) = (args[0].data_type.clone(), args[1].data_type.clone());
    if matches!(left, T::TimestampLtz(_)) != matches!(right, T::TimestampLtz(_)) {
        return refuse(
            place,
            format!(
                "TIMESTAMPDIFF mixes {left} and {right}; one is an instant, the other has no zone: cast one of them"
            ),
        );
    }
    let months = matches!(unit, Unit::Year | Unit::Quarter | Unit::Month);
    if !months && millis(unit).is_none() {
        return refuse(
            place,
            "TIMESTAMPDIFF's unit is YEAR, QUARTER, MONTH, WEEK, DAY, HOUR, MINUTE or SECOND",
        );
    }
    call(
        place,
        T::Int,
        &args,
        Nulls::Strict,
        false,
        eval::difference(unit, left, right),
    )
}
