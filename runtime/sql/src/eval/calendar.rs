//! Days, dates and times of day, in the proleptic Gregorian calendar and UTC.
//!
//! Day arithmetic after Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms".

use arrow::array::ArrayRef;
use arrow::array::{Date32Array, PrimitiveArray, Time64MicrosecondArray};
use arrow::datatypes::{
    Date32Type, Time64MicrosecondType, TimestampMicrosecondType, TimestampMillisecondType,
    TimestampSecondType,
};
use std::sync::Arc;

use super::Args;
use crate::types::DataType;

/// Microseconds of a day.
pub(crate) const DAY: i64 = 86_400_000_000;

/// A point in time: days since 1970-01-01 and microseconds of that day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment {
    pub days: i64,
    pub micros: i64,
}

/// A date's parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Date {
    pub year: i64,
    /// 1 to 12.
    pub month: i64,
    /// 1 to 31.
    pub day: i64,
}

impl Date {
    /// The date of a day since 1970-01-01.
    pub(crate) fn of(days: i64) -> Self {
        let z = days + 719_468;
        let era = z.div_euclid(146_097);
        let doe = z.rem_euclid(146_097);
        let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = doy - (153 * mp + 2) / 5 + 1;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        Self {
            year: yoe + era * 400 + i64::from(month <= 2),
            month,
            day,
        }
    }

    /// Days since 1970-01-01.
    pub(crate) fn days(self) -> i64 {
        let y = self.year - i64::from(self.month <= 2);
        let era = y.div_euclid(400);
        let yoe = y.rem_euclid(400);
        let mp = (self.month + 9) % 12;
        let doy = (153 * mp + 2) / 5 + self.day - 1;
        era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468
    }

    /// The date, if it exists.
    pub(crate) fn checked(year: i64, month: i64, day: i64) -> Option<Self> {
        ((1..=12).contains(&month) && day >= 1 && day <= days_of_month(year, month))
            .then_some(Self { year, month, day })
    }

    /// The date, or the month's last if the month has no such day; days are 1 to 31.
    pub(crate) fn nearest(year: i64, month: i64, day: i64) -> Option<Self> {
        if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
            return None;
        }
        let day = day.min(days_of_month(year, month));
        Some(Self { year, month, day })
    }

    /// So many months later, on the month's last day if it has no such day.
    pub(crate) fn plus_months(self, months: i64) -> Self {
        let total = self.year * 12 + self.month - 1 + months;
        let (year, month) = (total.div_euclid(12), total.rem_euclid(12) + 1);
        Self {
            year,
            month,
            day: self.day.min(days_of_month(year, month)),
        }
    }

    /// 1 to 366.
    pub(crate) fn day_of_year(self) -> i64 {
        self.days()
            - Self {
                year: self.year,
                month: 1,
                day: 1,
            }
            .days()
            + 1
    }
}

/// Days in a month.
pub(crate) fn days_of_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Day of the week, Monday 1 to Sunday 7.
pub(crate) fn iso_weekday(days: i64) -> i64 {
    (days + 3).rem_euclid(7) + 1
}

/// ISO 8601 week-based year and week.
pub(crate) fn iso_week(days: i64) -> (i64, i64) {
    let thursday = days - iso_weekday(days) + 4;
    let year = Date::of(thursday).year;
    (year, (Date::of(thursday).day_of_year() - 1) / 7 + 1)
}

impl Moment {
    /// From a count of units since 1970, so many a second.
    pub(crate) fn from_units(value: i64, per_second: i64) -> Self {
        let day = 86_400 * per_second;
        Self {
            days: value.div_euclid(day),
            micros: value.rem_euclid(day) * (1_000_000 / per_second),
        }
    }

    /// As a count of units since 1970, cut; `None` beyond 64 bits.
    pub(crate) fn to_units(self, per_second: i64) -> Option<i64> {
        self.days
            .checked_mul(86_400 * per_second)?
            .checked_add(self.micros / (1_000_000 / per_second))
    }

    pub(crate) fn date(self) -> Date {
        Date::of(self.days)
    }

    /// Hour, minute, second of the day.
    pub(crate) fn clock(self) -> (i64, i64, i64) {
        let seconds = self.micros / 1_000_000;
        (seconds / 3600, seconds / 60 % 60, seconds % 60)
    }

    pub(crate) fn plus_micros(self, micros: i64) -> Option<Self> {
        let total = self.micros.checked_add(micros)?;
        Some(Self {
            days: self.days.checked_add(total.div_euclid(DAY))?,
            micros: total.rem_euclid(DAY),
        })
    }

    pub(crate) fn plus_months(self, months: i64) -> Self {
        Self {
            days: self.date().plus_months(months).days(),
            micros: self.micros,
        }
    }

    /// Microseconds since 1970; wide enough for any moment.
    pub(crate) fn total_micros(self) -> i128 {
        i128::from(self.days) * i128::from(DAY) + i128::from(self.micros)
    }
}

/// Units a second of a time stamp with so many digits.
pub(crate) fn per_second(digits: u8) -> i64 {
    match digits {
        0 => 1,
        3 => 1000,
        _ => 1_000_000,
    }
}

/// Reads argument `i`, a date, time or time stamp, as moments.
pub(crate) fn moments<'a>(
    args: &'a Args,
    i: usize,
    data_type: &DataType,
) -> Box<dyn Fn(usize) -> Option<Moment> + 'a> {
    match data_type {
        DataType::Date => {
            let column = args.primitive::<Date32Type>(i);
            Box::new(move |row| {
                column.get(row).map(|d| Moment {
                    days: i64::from(d),
                    micros: 0,
                })
            })
        }
        DataType::Time => {
            let column = args.primitive::<Time64MicrosecondType>(i);
            Box::new(move |row| column.get(row).map(|micros| Moment { days: 0, micros }))
        }
        DataType::Timestamp(0) | DataType::TimestampLtz(0) => {
            let column = args.primitive::<TimestampSecondType>(i);
            Box::new(move |row| column.get(row).map(|v| Moment::from_units(v, 1)))
        }
        DataType::Timestamp(3) | DataType::TimestampLtz(3) => {
            let column = args.primitive::<TimestampMillisecondType>(i);
            Box::new(move |row| column.get(row).map(|v| Moment::from_units(v, 1000)))
        }
        _ => {
            let column = args.primitive::<TimestampMicrosecondType>(i);
            Box::new(move |row| column.get(row).map(|v| Moment::from_units(v, 1_000_000)))
        }
    }
}

/// Moments as a column of a date, time or time stamp type; a moment beyond the type is an error.
pub(crate) fn column(
    values: impl Iterator<Item = Option<Moment>>,
    data_type: &DataType,
) -> Result<ArrayRef, String> {
    let beyond = || format!("the result is beyond the range of {data_type}");
    let units = |digits: u8,
                 values: &mut dyn Iterator<Item = Option<Moment>>|
     -> Result<Vec<Option<i64>>, String> {
        values
            .map(|v| {
                v.map(|m| m.to_units(per_second(digits)).ok_or_else(beyond))
                    .transpose()
            })
            .collect()
    };
    let mut values = values;
    Ok(match data_type {
        DataType::Date => {
            let days: Result<Vec<Option<i32>>, String> = values
                .map(|v| {
                    v.map(|m| i32::try_from(m.days).map_err(|_| beyond()))
                        .transpose()
                })
                .collect();
            Arc::new(Date32Array::from(days?))
        }
        DataType::Time => Arc::new(
            values
                .map(|v| v.map(|m| m.micros))
                .collect::<Time64MicrosecondArray>(),
        ),
        DataType::Timestamp(digits) | DataType::TimestampLtz(digits) => {
            let units = units(*digits, &mut values)?;
            let zone = matches!(data_type, DataType::TimestampLtz(_)).then(|| "UTC".into());
            let zone: Option<Arc<str>> = zone;
            match digits {
                0 => Arc::new(
                    PrimitiveArray::<TimestampSecondType>::from(units).with_timezone_opt(zone),
                ),
                3 => Arc::new(
                    PrimitiveArray::<TimestampMillisecondType>::from(units).with_timezone_opt(zone),
                ),
                _ => Arc::new(
                    PrimitiveArray::<TimestampMicrosecondType>::from(units).with_timezone_opt(zone),
                ),
            }
        }
        other => return Err(format!("internal error: {other} is no time")),
    })
}

/// `2026-03-31`.
pub(crate) fn date_text(date: Date) -> String {
    format!(
        "{}{:04}-{:02}-{:02}",
        if date.year < 0 { "-" } else { "" },
        date.year.abs(),
        date.month,
        date.day
    )
}

/// `12:34:56`, with so many digits of a second.
pub(crate) fn clock_text(moment: Moment, digits: u8) -> String {
    let (hour, minute, second) = moment.clock();
    let fraction = match digits {
        0 => String::new(),
        3 => format!(".{:03}", moment.micros / 1000 % 1000),
        _ => format!(".{:06}", moment.micros % 1_000_000),
    };
    format!("{hour:02}:{minute:02}:{second:02}{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_and_dates_agree_over_four_centuries() {
        for days in (-800_000..800_000).step_by(37) {
            let date = Date::of(days);
            assert_eq!(date.days(), days);
            assert_eq!(Date::checked(date.year, date.month, date.day), Some(date));
        }
        assert_eq!(date_text(Date::of(20_543)), "2026-03-31");
        assert_eq!(iso_weekday(0), 4);
        assert_eq!(
            iso_week(
                Date {
                    year: 2021,
                    month: 1,
                    day: 3
                }
                .days()
            ),
            (2020, 53)
        );
    }
}
