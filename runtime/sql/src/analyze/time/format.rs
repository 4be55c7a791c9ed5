//! Dates and times as text and as numbers: functions that take a format, which is a constant.

use crate::analyze::bound_expr::{Analyzed, BoundExpr, Nulls, call, refuse};
use crate::analyze::casts::coerce;
use crate::analyze::scope::shortened;
use crate::error::Place;
use crate::eval::pattern::Pattern;
use crate::eval::simple_format::SimpleFormat;
use crate::eval::time as eval;
use crate::types::DataType as T;

/// What a function's constant format is compiled to.
fn fixed<F>(
    name: &str,
    arg: &BoundExpr,
    compile: impl FnOnce(&str) -> Result<F, String>,
) -> Analyzed<F> {
    match arg.literal_text() {
        None => refuse(arg.place, format!("{name}'s format is a constant here")),
        Some(text) => compile(text).or_else(|message| refuse(arg.place, message)),
    }
}

fn to_write(text: &str) -> Result<Pattern, String> {
    Pattern::compile(text, false)
}

fn to_read(text: &str) -> Result<Pattern, String> {
    Pattern::compile(text, true)
}

/// The format `yyyy-MM-dd HH:mm:ss`.
fn default_format(place: Place, reading: bool) -> Analyzed<SimpleFormat> {
    SimpleFormat::compile("yyyy-MM-dd HH:mm:ss", reading).or_else(|message| refuse(place, message))
}

pub(super) fn date_format(
    place: Place,
    name: &'static str,
    mut args: Vec<BoundExpr>,
) -> Analyzed<BoundExpr> {
    let format = args.remove(1);
    if args[0].data_type == T::String {
        let to = fixed(name, &format, |text| SimpleFormat::compile(text, false))?;
        let kernel = eval::rewrite(default_format(place, true)?, to);
        return call(place, T::String, &args, Nulls::Possible, false, kernel);
    }
    let pattern = fixed(name, &format, to_write)?;
    let data_type = args[0].data_type.clone();
    if !matches!(data_type, T::Timestamp(_) | T::TimestampLtz(_)) {
        let hint = if data_type == T::Date {
            "; use CAST(… AS TIMESTAMP(3))"
        } else {
            ""
        };
        return refuse(
            args[0].place,
            format!(
                "{name} takes a time stamp, this is {}{hint}",
                shortened(&data_type)
            ),
        );
    }
    call(
        place,
        T::String,
        &args,
        Nulls::Strict,
        false,
        eval::write(pattern, data_type),
    )
}

/// TO_TIMESTAMP and TO_DATE: null for text that can't be read.
pub(super) fn to_time(
    place: Place,
    name: &'static str,
    mut args: Vec<BoundExpr>,
) -> Analyzed<BoundExpr> {
    let format = args.get(1).cloned();
    args.truncate(1);
    let (to, kernel) = match (name, format) {
        ("TO_DATE", Some(format)) => {
            let format = fixed(name, &format, |text| SimpleFormat::compile(text, true))?;
            (T::Date, eval::read_date(format))
        }
        ("TO_DATE", None) => (T::Date, eval::read(None, T::Date)),
        (_, format) => {
            let pattern = format.map(|f| fixed(name, &f, to_read)).transpose()?;
            (T::Timestamp(3), eval::read(pattern, T::Timestamp(3)))
        }
    };
    call(place, to, &args, Nulls::Possible, false, kernel)
}

/// TO_TIMESTAMP_LTZ: from a number of seconds (0), milliseconds (3) or microseconds (6), or from text in UTC.
pub(super) fn to_instant(
    place: Place,
    name: &'static str,
    mut args: Vec<BoundExpr>,
) -> Analyzed<BoundExpr> {
    if args[0].data_type == T::String && !args[0].untyped_null {
        let pattern = args.get(1).map(|a| fixed(name, a, to_read)).transpose()?;
        args.truncate(1);
        return call(
            place,
            T::TimestampLtz(3),
            &args,
            Nulls::Possible,
            false,
            eval::read(pattern, T::TimestampLtz(3)),
        );
    }
    let digits = match args.get(1) {
        None => 3,
        Some(arg) => match arg.literal_int() {
            Some(digits @ (0 | 3 | 6)) => digits as u8,
            _ => {
                return refuse(
                    arg.place,
                    format!(
                        "{name}'s second argument is 0 (seconds), 3 (milliseconds) or 6 (microseconds)"
                    ),
                );
            }
        },
    };
    args.truncate(1);
    if !matches!(args[0].data_type, T::Int | T::BigInt) {
        return refuse(
            args[0].place,
            format!(
                "{name} takes a whole number or text, this is {}",
                shortened(&args[0].data_type)
            ),
        );
    }
    let args: Analyzed<Vec<BoundExpr>> = args.into_iter().map(|a| coerce(a, &T::BigInt)).collect();
    // As in Flink, seconds too give three digits.
    let to = T::TimestampLtz(digits.max(3));
    call(
        place,
        to.clone(),
        &args?,
        Nulls::Possible,
        false,
        eval::from_number(digits, to),
    )
}

pub(super) fn from_unixtime(
    place: Place,
    name: &'static str,
    mut args: Vec<BoundExpr>,
) -> Analyzed<BoundExpr> {
    let format = match args.get(1) {
        Some(arg) => fixed(name, arg, |text| SimpleFormat::compile(text, false))?,
        None => default_format(place, false)?,
    };
    args.truncate(1);
    let kernel = eval::from_unix_seconds(format);
    call(place, T::String, &args, Nulls::Strict, false, kernel)
}

pub(super) fn unix_timestamp(
    place: Place,
    name: &'static str,
    mut args: Vec<BoundExpr>,
) -> Analyzed<BoundExpr> {
    let Some(_) = args.first() else {
        return refuse(
            place,
            "UNIX_TIMESTAMP() gives another answer at every run, so a repeated record would differ from its first; use a column of the record, such as its event time",
        );
    };
    let format = match args.get(1) {
        Some(arg) => fixed(name, arg, |text| SimpleFormat::compile(text, true))?,
        None => default_format(place, true)?,
    };
    args.truncate(1);
    let kernel = eval::to_unix_seconds(format);
    call(place, T::BigInt, &args, Nulls::Strict, false, kernel)
}
