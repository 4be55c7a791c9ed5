//! Kernels over dates and times.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray};
use arrow::datatypes::{Int32Type, Int64Type};

use super::calendar::{DAY, Date, Moment, column, iso_week, iso_weekday, moments, per_second};
use super::moments::read_java_sql;
use super::pattern::Pattern;
use super::simple_format::SimpleFormat;
use super::{Args, Kernel, cast};
use crate::syntax::ast::Unit;
use crate::syntax::millis;
use crate::types::DataType as T;

/// EXTRACT.
pub(crate) fn extract(unit: Unit, data_type: T) -> Kernel {
    Arc::new(move |args: &Args| {
        let moments = moments(args, 0, &data_type);
        Ok(Arc::new(
            (0..args.rows)
                .map(|row| moments(row).map(|m| part(unit, m)))
                .collect::<Int64Array>(),
        ))
    })
}

fn part(unit: Unit, moment: Moment) -> i64 {
    let date = moment.date();
    let (hour, minute, second) = moment.clock();
    match unit {
        Unit::Millennium => (date.year + 999).div_euclid(1000),
        Unit::Century => (date.year + 99).div_euclid(100),
        Unit::Decade => date.year.div_euclid(10),
        Unit::Year => date.year,
        Unit::Quarter => (date.month - 1) / 3 + 1,
        Unit::Month => date.month,
        Unit::Week => iso_week(moment.days).1,
        Unit::IsoYear => iso_week(moment.days).0,
        Unit::Day => date.day,
        Unit::DayOfYear => date.day_of_year(),
        Unit::DayOfWeek => iso_weekday(moment.days) % 7 + 1,
        Unit::IsoDayOfWeek => iso_weekday(moment.days),
        Unit::Hour => hour,
        Unit::Minute => minute,
        Unit::Second => second,
        Unit::Millisecond => moment.micros / 1000 % 1000,
        Unit::Microsecond => moment.micros % 1_000_000,
        Unit::Epoch => moment.days * 86_400 + moment.micros / 1_000_000,
    }
}

/// FLOOR and CEIL to a unit; a week begins on Sunday.
pub(crate) fn floor(unit: Unit, up: bool, data_type: T) -> Kernel {
    Arc::new(move |args: &Args| {
        let moments = moments(args, 0, &data_type);
        column(
            (0..args.rows).map(|row| {
                moments(row).map(|m| {
                    if up {
                        ceiling(unit, m)
                    } else {
                        floored(unit, m)
                    }
                })
            }),
            &data_type,
        )
    })
}

fn floored(unit: Unit, moment: Moment) -> Moment {
    let date = moment.date();
    let day = |date: Date| Moment {
        days: date.days(),
        micros: 0,
    };
    match unit {
        Unit::Year => day(Date {
            month: 1,
            day: 1,
            ..date
        }),
        Unit::Quarter => day(Date {
            month: (date.month - 1) / 3 * 3 + 1,
            day: 1,
            ..date
        }),
        Unit::Month => day(Date { day: 1, ..date }),
        Unit::Week => Moment {
            days: moment.days - iso_weekday(moment.days) % 7,
            micros: 0,
        },
        _ => {
            let step = millis(unit).map_or(DAY, |ms| ms * 1000);
            Moment {
                micros: moment.micros / step * step,
                ..moment
            }
        }
    }
}

fn ceiling(unit: Unit, moment: Moment) -> Moment {
    let low = floored(unit, moment);
    if low == moment {
        return moment;
    }
    match unit {
        Unit::Year => low.plus_months(12),
        Unit::Quarter => low.plus_months(3),
        Unit::Month => low.plus_months(1),
        _ => low
            .plus_micros(millis(unit).map_or(DAY, |ms| ms * 1000))
            .unwrap_or(low),
    }
}

/// Adds the second argument (INT) times so many months and milliseconds.
pub(crate) fn add(months: i64, millis: i64, data_type: T) -> Kernel {
    Arc::new(move |args: &Args| {
        let moments = moments(args, 0, &data_type);
        let amount = args.primitive::<Int32Type>(1);
        let mut values = Vec::with_capacity(args.rows);
        for row in 0..args.rows {
            values.push(match (moments(row), amount.get(row)) {
                (Some(moment), Some(amount)) => {
                    let amount = i64::from(amount);
                    let shifted = months
                        .checked_mul(amount)
                        .filter(|m| m.abs() < 12_000_000)
                        .zip(
                            millis
                                .checked_mul(amount)
                                .and_then(|ms| ms.checked_mul(1000)),
                        )
                        .and_then(|(months, micros)| moment.plus_months(months).plus_micros(micros))
                        .ok_or("the result is beyond the range of time")?;
                    // A time of day goes around the clock.
                    Some(if data_type == T::Time {
                        Moment { days: 0, ..shifted }
                    } else {
                        shifted
                    })
                }
                _ => None,
            });
        }
        column(values.into_iter(), &data_type)
    })
}

/// TIMESTAMPDIFF: whole units from the first to the second.
pub(crate) fn difference(unit: Unit, left: T, right: T) -> Kernel {
    Arc::new(move |args: &Args| {
        let (from, to) = (moments(args, 0, &left), moments(args, 1, &right));
        let values = (0..args.rows).map(|row| {
            let (from, to) = (from(row)?, to(row)?);
            let months = match unit {
                Unit::Year => 12,
                Unit::Quarter => 3,
                Unit::Month => 1,
                _ => {
                    let step = i128::from(millis(unit).unwrap_or(1)) * 1000;
                    return Some(((to.total_micros() - from.total_micros()) / step) as i32);
                }
            };
            Some((months_between(from, to) / months) as i32)
        });
        Ok(Arc::new(values.collect::<Int32Array>()))
    })
}

/// Whole months from one moment to another.
fn months_between(from: Moment, to: Moment) -> i64 {
    if to < from {
        return -months_between(to, from);
    }
    let (a, b) = (from.date(), to.date());
    let months = (b.year - a.year) * 12 + b.month - a.month;
    // A month is whole when its day, or the month's last, and the time of day are reached.
    if from.plus_months(months) > to {
        months - 1
    } else {
        months
    }
}

/// DATE_FORMAT.
pub(crate) fn write(pattern: Pattern, data_type: T) -> Kernel {
    Arc::new(move |args: &Args| {
        let moments = moments(args, 0, &data_type);
        Ok(Arc::new(
            (0..args.rows)
                .map(|row| moments(row).map(|m| pattern.write(m)))
                .collect::<StringArray>(),
        ))
    })
}

/// DATE_FORMAT of text, which is read as `2026-03-31 12:34:56` first; null if it can't be.
pub(crate) fn rewrite(from: SimpleFormat, to: SimpleFormat) -> Kernel {
    Arc::new(move |args: &Args| {
        let text = args.text(0);
        let texts = (0..args.rows).map(|row| {
            let text = text.get(row)?;
            let millis = from.read(text).or_else(|| {
                // ISO 8601 is read wherever text is read as a time.
                cast::read_time(text.trim(), &T::Timestamp(3))?.to_units(1000)
            })?;
            Some(to.write(millis))
        });
        Ok(Arc::new(texts.collect::<StringArray>()) as ArrayRef)
    })
}

/// Reads text by a format, or in ISO form; null if it can't be read.
pub(crate) fn read(pattern: Option<Pattern>, to: T) -> Kernel {
    Arc::new(move |args: &Args| {
        let text = args.text(0);
        let values = (0..args.rows).map(|row| {
            let text = text.get(row)?;
            let moment = match &pattern {
                // What the format doesn't fit is tried as Java's `Timestamp.valueOf` reads it, as in Flink.
                Some(pattern) => pattern.read(text).or_else(|| read_java_sql(text)),
                None => cast::read_time(text.trim(), &to),
            }?;
            Some(if to == T::Date {
                Moment {
                    micros: 0,
                    ..moment
                }
            } else {
                moment
            })
        });
        column(values, &to)
    })
}

/// TO_DATE with a format; null if the text can't be read.
pub(crate) fn read_date(format: SimpleFormat) -> Kernel {
    Arc::new(move |args: &Args| {
        let text = args.text(0);
        let values = (0..args.rows).map(|row| {
            let moment = Moment::from_units(format.read(text.get(row)?)?, 1000);
            i32::try_from(moment.days).ok().map(|_| Moment {
                micros: 0,
                ..moment
            })
        });
        column(values, &T::Date)
    })
}

/// An instant from a number of units since 1970; null outside the years 0 to 9999.
pub(crate) fn from_number(digits: u8, to: T) -> Kernel {
    Arc::new(move |args: &Args| {
        let number = args.primitive::<Int64Type>(0);
        let first = |year| {
            Date {
                year,
                month: 1,
                day: 1,
            }
            .days()
        };
        let known = first(0)..first(10_000);
        let values = (0..args.rows).map(|row| {
            let moment = Moment::from_units(number.get(row)?, per_second(digits));
            known.contains(&moment.days).then_some(moment)
        });
        column(values, &to)
    })
}

/// FROM_UNIXTIME: seconds since 1970 as text.
pub(crate) fn from_unix_seconds(format: SimpleFormat) -> Kernel {
    Arc::new(move |args: &Args| {
        let seconds = args.primitive::<Int64Type>(0);
        let write = |row| seconds.get(row).map(|s| format.write(s.wrapping_mul(1000)));
        Ok(Arc::new((0..args.rows).map(write).collect::<StringArray>()) as ArrayRef)
    })
}

/// UNIX_TIMESTAMP of text: seconds since 1970, cut towards zero; the least BIGINT, as in Flink, if it can't be
/// read.
pub(crate) fn to_unix_seconds(format: SimpleFormat) -> Kernel {
    Arc::new(move |args: &Args| {
        let text = args.text(0);
        let seconds = (0..args.rows).map(|row| {
            let millis = format.read(text.get(row)?);
            Some(millis.map_or(i64::MIN, |ms| ms / 1000))
        });
        Ok(Arc::new(seconds.collect::<Int64Array>()) as ArrayRef)
    })
}
