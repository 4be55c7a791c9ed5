//! Dates, times and time stamps as text.
//!
//! The shape is RFC 3339's; a blank or a lower-case `t` is taken for the `T` (RFC 3339 §5.6). Years are
//! 0001 to 9999, as in SQL. Days are counted by Hinnant's algorithm,
//! <https://howardhinnant.github.io/date_algorithms.html>.

/// Microseconds in a day.
const DAY: i64 = 86_400_000_000;
/// 0001-01-01T00:00:00 in microseconds since 1970.
const FIRST: i64 = -719_162 * DAY;
/// The end of 9999-12-31 in microseconds since 1970.
const END: i64 = 2_932_897 * DAY;

/// Days since 1970-01-01 of `YYYY-MM-DD`.
pub(in crate::formats) fn parse_date(text: &str) -> Result<i32, String> {
    let mut scan = Scan(text.as_bytes());
    let days = scan
        .date()
        .ok_or("expected a date such as \"2026-01-31\"")?;
    scan.end()
        .ok_or("expected a date such as \"2026-01-31\", found more text after it")?;
    Ok(days)
}

/// Microseconds since midnight of `HH:MM:SS[.f…]`.
pub(in crate::formats) fn parse_time(text: &str) -> Result<i64, String> {
    let mut scan = Scan(text.as_bytes());
    let micros = scan
        .time()
        .ok_or("expected a time such as \"23:59:59.123\"")?;
    scan.end()
        .ok_or("expected a time such as \"23:59:59.123\", found more text after it")?;
    Ok(micros)
}

/// Units of 10^-`digits` s since 1970-01-01T00:00:00 of a date and time without a zone.
pub(in crate::formats) fn parse_timestamp(text: &str, digits: u8) -> Result<i64, String> {
    const WANTED: &str = "such as \"2026-01-31T23:59:59.123\"";
    let mut scan = Scan(text.as_bytes());
    let micros = scan
        .date_time()
        .ok_or_else(|| format!("expected a date and time {WANTED}"))?;
    if scan
        .0
        .first()
        .is_some_and(|c| matches!(c, b'Z' | b'z' | b'+' | b'-'))
    {
        return Err(
            "has a zone, and timestamp has none: leave it out, or declare the field timestamp_ltz"
                .to_owned(),
        );
    }
    scan.end()
        .ok_or_else(|| format!("expected a date and time {WANTED}, found more text after it"))?;
    Ok(cut(micros, digits))
}

/// Units of 10^-`digits` s since the epoch of an RFC 3339 instant.
pub(in crate::formats) fn parse_instant(text: &str, digits: u8) -> Result<i64, String> {
    const WANTED: &str = "such as \"2026-01-31T23:59:59.123Z\" or \"…+01:00\"";
    let mut scan = Scan(text.as_bytes());
    let local = scan
        .date_time()
        .ok_or_else(|| format!("expected an RFC 3339 instant {WANTED}"))?;
    if scan.0.is_empty() {
        return Err(format!(
            "has no zone, and timestamp_ltz is an instant: add one, {WANTED}"
        ));
    }
    let offset = scan
        .offset()
        .ok_or_else(|| format!("expected an RFC 3339 instant {WANTED}"))?;
    scan.end().ok_or_else(|| {
        format!("expected an RFC 3339 instant {WANTED}, found more text after it")
    })?;
    let micros = local - offset;
    if !(FIRST..END).contains(&micros) {
        return Err("is outside the years 0001 to 9999 in UTC".to_owned());
    }
    Ok(cut(micros, digits))
}

fn cut(micros: i64, digits: u8) -> i64 {
    micros.div_euclid(per_unit(digits))
}

/// Microseconds in a unit of 10^-`digits` s.
fn per_unit(digits: u8) -> i64 {
    match digits {
        0 => 1_000_000,
        3 => 1_000,
        _ => 1,
    }
}

/// Takes text from the front; `None`: something else is there.
struct Scan<'a>(&'a [u8]);

impl Scan<'_> {
    fn digits<const N: usize>(&mut self) -> Option<u32> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        let mut value = 0;
        for digit in head {
            if !digit.is_ascii_digit() {
                return None;
            }
            value = value * 10 + u32::from(digit - b'0');
        }
        self.0 = rest;
        Some(value)
    }

    fn one(&mut self, wanted: u8) -> Option<()> {
        let (first, rest) = self.0.split_first()?;
        (*first == wanted).then(|| self.0 = rest)
    }

    fn end(&self) -> Option<()> {
        self.0.is_empty().then_some(())
    }

    fn date(&mut self) -> Option<i32> {
        let year = self.digits::<4>()?;
        self.one(b'-')?;
        let month = self.digits::<2>()?;
        self.one(b'-')?;
        let day = self.digits::<2>()?;
        let valid =
            year >= 1 && (1..=12).contains(&month) && (1..=days_in(year, month)).contains(&day);
        valid.then(|| days_from_civil(year as i32, month, day))
    }

    fn time(&mut self) -> Option<i64> {
        let hour = self.digits::<2>()?;
        self.one(b':')?;
        let minute = self.digits::<2>()?;
        self.one(b':')?;
        let second = self.digits::<2>()?;
        if hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let mut micros = 0;
        if self.one(b'.').is_some() {
            let mut unit = 100_000;
            let length = self.0.iter().take_while(|c| c.is_ascii_digit()).count();
            if length == 0 {
                return None;
            }
            for digit in self.0.iter().take(length.min(6)) {
                micros += i64::from(digit - b'0') * unit;
                unit /= 10;
            }
            self.0 = &self.0[length..];
        }
        Some(i64::from(hour * 3600 + minute * 60 + second) * 1_000_000 + micros)
    }

    fn date_time(&mut self) -> Option<i64> {
        let days = self.date()?;
        let (separator, rest) = self.0.split_first()?;
        if !matches!(separator, b'T' | b't' | b' ') {
            return None;
        }
        self.0 = rest;
        Some(i64::from(days) * DAY + self.time()?)
    }

    /// Microseconds east of UTC.
    fn offset(&mut self) -> Option<i64> {
        let (sign, rest) = self.0.split_first()?;
        self.0 = rest;
        let sign = match sign {
            b'Z' | b'z' => return Some(0),
            b'+' => 1,
            b'-' => -1,
            _ => return None,
        };
        let hour = self.digits::<2>()?;
        self.one(b':')?;
        let minute = self.digits::<2>()?;
        (hour <= 23 && minute <= 59).then(|| sign * i64::from(hour * 60 + minute) * 60_000_000)
    }
}

fn days_in(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

fn days_from_civil(year: i32, month: u32, day: u32) -> i32 {
    // The year begins in March, so that the leap day is its last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = ((153 * ((month + 9) % 12) + 2) / 5 + day - 1) as i32;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 {
        march_month + 3
    } else {
        march_month - 9
    };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// Appends `YYYY-MM-DD`; false: the year has no four digits, and nothing was appended.
pub(crate) fn write_date(days: i64, out: &mut Vec<u8>) -> bool {
    if !(FIRST / DAY..END / DAY).contains(&days) {
        return false;
    }
    let (year, month, day) = civil_from_days(days);
    padded(year, 4, out);
    out.push(b'-');
    padded(month, 2, out);
    out.push(b'-');
    padded(day, 2, out);
    true
}

/// Appends `HH:MM:SS` with 0, 3 or 6 digits of a second, as few as lose nothing; false: no time of day.
pub(crate) fn write_time(micros: i64, out: &mut Vec<u8>) -> bool {
    if !(0..DAY).contains(&micros) {
        return false;
    }
    let digits = match micros % 1_000_000 {
        0 => 0,
        fraction if fraction % 1_000 == 0 => 3,
        _ => 6,
    };
    clock(micros, digits, out);
    true
}

/// Appends `YYYY-MM-DDTHH:MM:SS` and `digits` digits of a second; false: outside the years 0001 to 9999.
pub(crate) fn write_timestamp(value: i64, digits: u8, out: &mut Vec<u8>) -> bool {
    let Some(micros) = value.checked_mul(per_unit(digits)) else {
        return false;
    };
    if !write_date(micros.div_euclid(DAY), out) {
        return false;
    }
    out.push(b'T');
    clock(micros.rem_euclid(DAY), digits, out);
    true
}

fn clock(micros: i64, digits: u8, out: &mut Vec<u8>) {
    let seconds = micros / 1_000_000;
    padded(seconds / 3600, 2, out);
    out.push(b':');
    padded(seconds / 60 % 60, 2, out);
    out.push(b':');
    padded(seconds % 60, 2, out);
    if digits > 0 {
        out.push(b'.');
        padded(
            micros % 1_000_000 / per_unit(digits),
            usize::from(digits),
            out,
        );
    }
}

fn padded(value: i64, width: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + width, b'0');
    let mut rest = value;
    for digit in out[start..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut Vec<u8>) -> bool) -> String {
        let mut out = Vec::new();
        assert!(write(&mut out));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_day_of_ten_thousand_years_reads_back() {
        let mut expected = parse_date("0001-01-01").unwrap();
        assert_eq!(i64::from(expected), FIRST / DAY);
        for year in 1..=9999_u32 {
            for month in 1..=12 {
                for day in 1..=days_in(year, month) {
                    let written = text(|out| write_date(i64::from(expected), out));
                    assert_eq!(written, format!("{year:04}-{month:02}-{day:02}"));
                    assert_eq!(parse_date(&written), Ok(expected));
                    expected += 1;
                }
            }
        }
        assert_eq!(i64::from(expected), END / DAY);
        assert!(!write_date(i64::from(expected), &mut Vec::new()));
    }

    #[test]
    fn instants_agree_with_jiff() {
        for written in [
            "1970-01-01T00:00:00Z",
            "1969-12-31T23:59:59.999999Z",
            "2026-11-20T10:39:02.123456+01:00",
            "2024-02-29T23:59:59-12:30",
            "0001-01-01T00:00:00Z",
            "9999-12-30T21:59:59.999999Z",
        ] {
            let theirs: jiff::Timestamp = written.parse().unwrap();
            assert_eq!(
                parse_instant(written, 6),
                Ok(theirs.as_microsecond()),
                "{written}"
            );
        }
    }

    #[test]
    fn digits_beyond_the_precision_are_cut_toward_the_past() {
        assert_eq!(parse_instant("1970-01-01T00:00:00.123456789Z", 3), Ok(123));
        assert_eq!(parse_instant("1969-12-31T23:59:59.9999Z", 3), Ok(-1));
        assert_eq!(parse_timestamp("1970-01-01 00:00:01.9", 0), Ok(1));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        for bad in [
            "",
            "2026-13-01",
            "2026-02-29",
            "2026-1-1",
            "0000-01-01",
            "2026-01-01T",
            "20260101",
            "+2026-01-01",
        ] {
            assert!(parse_date(bad).is_err(), "{bad}");
        }
        for bad in [
            "24:00:00",
            "12:60:00",
            "12:00:60",
            "12:00",
            "12:00:00.",
            "12:00:00Z",
            "1:00:00",
            "12:00:00.1x",
        ] {
            assert!(parse_time(bad).is_err(), "{bad}");
        }
        for bad in [
            "2026-01-01T00:00:00+0100",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00 Z",
            "2026-01-01",
            "1767225600",
            "9999-12-31T23:59:59-01:00",
            "0001-01-01T00:00:00+01:00",
            "2026-01-01T00:00:00Zjunk",
        ] {
            assert!(parse_instant(bad, 3).is_err(), "{bad}");
        }
        assert!(
            parse_instant("2026-01-01T00:00:00", 3)
                .unwrap_err()
                .contains("has no zone")
        );
        assert!(
            parse_timestamp("2026-01-01T00:00:00Z", 3)
                .unwrap_err()
                .contains("declare the field timestamp_ltz")
        );
    }

    #[test]
    fn times_are_written_with_the_digits_of_their_precision() {
        assert_eq!(
            text(|out| write_timestamp(0, 3, out)),
            "1970-01-01T00:00:00.000"
        );
        assert_eq!(
            text(|out| write_timestamp(-1, 6, out)),
            "1969-12-31T23:59:59.999999"
        );
        assert_eq!(
            text(|out| write_timestamp(1_700_000_000, 0, out)),
            "2023-11-14T22:13:20"
        );
        assert_eq!(text(|out| write_time(43_200_000_000, out)), "12:00:00");
        assert_eq!(text(|out| write_time(43_200_500_000, out)), "12:00:00.500");
        assert_eq!(
            text(|out| write_time(43_200_000_001, out)),
            "12:00:00.000001"
        );
        assert!(
            !write_timestamp(i64::MAX, 0, &mut Vec::new()) && !write_time(DAY, &mut Vec::new())
        );
    }
}
