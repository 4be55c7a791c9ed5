//! Texts as dates and times.

use super::calendar::{Date, Moment};

/// Reads `2026-03-31`, `2026-03` or `2026`; months and days may have one digit.
pub(crate) fn read_date(text: &str) -> Option<Date> {
    let mut parts = text.splitn(3, '-').map(str::trim);
    let year = number(parts.next()?, 1, 4)?;
    let month = parts.next().map_or(Some(1), |part| number(part, 1, 2))?;
    let day = parts.next().map_or(Some(1), |part| number(part, 1, 2))?;
    Date::checked(year, month, day)
}

/// Reads the date of a time stamp: a day that its month doesn't have is the month's last.
fn read_nearest_date(text: &str) -> Option<Date> {
    let mut parts = text.splitn(3, '-');
    let year = number(parts.next()?, 4, 4).filter(|year| *year > 0)?;
    Date::nearest(
        year,
        number(parts.next()?, 1, 2)?,
        number(parts.next()?, 1, 2)?,
    )
}

/// Reads `12`, `12:34`, `12:34:56` or `12:34:56.789`, as microseconds of the day; further digits are cut.
pub(crate) fn read_clock(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':');
    let hour = number(parts.next()?, 1, 2)?;
    let minute = parts.next().map_or(Some(0), |part| number(part, 1, 2))?;
    let (second, fraction) = match parts.next() {
        None => (0, 0),
        Some(part) => match part.split_once('.') {
            None => (number(part, 1, 2)?, 0),
            Some((second, fraction)) => {
                number(fraction, 1, 9)?;
                let micros: String = format!("{fraction:0<6}").chars().take(6).collect();
                (number(second, 1, 2)?, number(&micros, 6, 6)?)
            }
        },
    };
    (hour < 24 && minute < 60 && second < 60)
        .then_some(((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction)
}

/// Reads a date and time, parted by a space or `T`; also a date alone. With `zone`, a `Z` or an offset
/// such as `+02:00` may follow and is applied.
pub(crate) fn read_moment(text: &str, zone: bool) -> Option<Moment> {
    let Some(at) = text.find([' ', 'T']) else {
        return read_nearest_date(text).map(|d| Moment {
            days: d.days(),
            micros: 0,
        });
    };
    let days = read_nearest_date(&text[..at])?.days();
    let mut clock = &text[at + 1..];
    let mut offset = 0;
    if zone {
        if let Some(rest) = clock.strip_suffix(['Z', 'z']) {
            clock = rest;
        } else if let Some(at) = clock.rfind(['+', '-']) {
            let sign = if clock[at..].starts_with('-') { -1 } else { 1 };
            let (hours, minutes) = clock[at + 1..]
                .split_once(':')
                .unwrap_or((&clock[at + 1..], "0"));
            let (hours, minutes) = (number(hours, 2, 2)?, number(minutes, 1, 2)?);
            if hours > 18 || minutes > 59 {
                return None;
            }
            offset = sign * (hours * 60 + minutes) * 60_000_000;
            clock = &clock[..at];
        }
    }
    if !clock.contains(':') {
        return None;
    }
    // Midnight at the day's end.
    let end = clock
        .strip_prefix("24")
        .filter(|rest| rest.chars().all(|c| ":0.".contains(c)));
    let clock = end.map_or_else(|| clock.to_owned(), |rest| format!("00{rest}"));
    Moment {
        days: days + i64::from(end.is_some()),
        micros: read_clock(&clock)?,
    }
    .plus_micros(-offset)
}

/// Reads a text as Java's `Timestamp.valueOf` and `Date.valueOf` do: `2026-3-1 1:2:3.5` or `2026-3-1`, whose parts
/// may be beyond the end of what they are parts of.
pub(crate) fn read_java_sql(text: &str) -> Option<Moment> {
    let text = text.trim();
    let (date, clock) = text
        .split_once(' ')
        .map_or((text, None), |(d, c)| (d, Some(c)));
    let mut parts = date.splitn(3, '-');
    let year = number(parts.next()?, 4, 4)?;
    let month = number(parts.next()?, 1, 2).filter(|m| (1..=12).contains(m))?;
    let day = number(parts.next()?, 1, 2).filter(|d| (1..=31).contains(d))?;
    let first = Date {
        year,
        month,
        day: 1,
    };
    let start = Moment {
        days: first.days() + day - 1,
        micros: 0,
    };
    let Some(clock) = clock else {
        return Some(start);
    };
    let mut parts = clock.splitn(3, ':');
    let hour = number(parts.next()?, 1, 9)?;
    let minute = number(parts.next()?, 1, 9)?;
    let last = parts.next()?;
    let (second, fraction) = last
        .split_once('.')
        .map_or((last, None), |(s, f)| (s, Some(f)));
    let second = number(second, 1, 9)?;
    let micros = match fraction {
        None => 0,
        Some(fraction) => {
            number(fraction, 1, 9)?;
            let micros: String = format!("{fraction:0<6}").chars().take(6).collect();
            number(&micros, 6, 6)?
        }
    };
    start.plus_micros(((hour * 60 + minute) * 60 + second) * 1_000_000 + micros)
}

fn number(text: &str, least: usize, most: usize) -> Option<i64> {
    if text.len() < least || text.len() > most || !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::eval::calendar::DAY;

    #[test]
    fn moments_are_read_with_and_without_a_zone() {
        let noon = read_moment("2026-03-31 12:00:00", false).unwrap();
        assert_eq!(
            read_moment("2026-03-31T14:00:00.000+02:00", true),
            Some(noon)
        );
        assert_eq!(read_moment("2026-03-31T12:00Z", true), Some(noon));
        assert_eq!(read_moment("2026-03-31T12:00Z", false), None);
        assert_eq!(
            read_moment("2026-02-30", false),
            read_moment("2026-02-28", false)
        );
        assert_eq!(read_moment("2026-02-32", false), None);
        assert_eq!(
            read_moment("2026-03-31 24:00:00", false),
            read_moment("2026-04-01", false)
        );
        assert_eq!(read_moment("2026-03-31 24:00:01", false), None);
        assert_eq!(read_moment("2026-03-31 12", false), None);
        assert_eq!(
            read_java_sql("2026-02-30 25:61:61.5"),
            read_moment("2026-03-03 02:02:01.500", false)
        );
        assert_eq!(
            Moment {
                days: -1,
                micros: DAY - 1
            }
            .to_units(1_000_000),
            Some(-1)
        );
        assert_eq!(
            Moment {
                days: i64::from(i32::MAX),
                micros: 0
            }
            .to_units(1_000_000_000),
            None
        );
    }
}
