//! Formats in the letters of Java's `SimpleDateFormat`, which Flink uses for `UNIX_TIMESTAMP`, `FROM_UNIXTIME`,
//! `TO_DATE` with a format and `DATE_FORMAT` of text. [`super::pattern`] has those of `DateTimeFormatter`, which
//! it uses for everything else.
//!
//! It is lenient: 30 February is 2 March, `25:00` is one o'clock of the next day, and what stands behind the
//! format's end isn't looked at. Days before 15 October 1582 are of the Julian calendar, as in Java.

mod read;

use super::calendar::{Date, iso_weekday};
use super::pattern::{DAYS, MONTHS, week};
use read::Fields;

/// A compiled format.
#[derive(Clone, Debug)]
pub(crate) struct SimpleFormat {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Literal(char),
    /// A letter and how often it stands.
    Field(char, usize),
}

const LETTERS: &str = "GyYMLwWDdFEuaHkKhmsSzZX";
/// What can't be read: an era, a week, and the names of zones, of which Java knows hundreds.
const ONLY_WRITTEN: &str = "GYwWFuz";
/// The first day of the Gregorian calendar, 15 October 1582.
const GREGORIAN: i64 = -141_427;
const DAY: i64 = 86_400_000;
/// The year with which two digits of a year begin: Java's is eighty years before today, which would give a
/// repeated record another time; this is that of 2026.
const CENTURY: i64 = 1946;

impl SimpleFormat {
    /// Compiles a format to write with, or to read with.
    pub(crate) fn compile(text: &str, reading: bool) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut chars = text.chars().peekable();
        let mut quoted = false;
        while let Some(c) = chars.next() {
            if c == '\'' {
                if chars.next_if_eq(&'\'').is_some() {
                    parts.push(Part::Literal('\''));
                } else {
                    quoted = !quoted;
                }
            } else if quoted || !c.is_ascii_alphabetic() {
                parts.push(Part::Literal(c));
            } else {
                let mut count = 1;
                while chars.next_if_eq(&c).is_some() {
                    count += 1;
                }
                if !LETTERS.contains(c)
                    || (c == 'X' && count > 3)
                    || (reading && ONLY_WRITTEN.contains(c))
                {
                    let letters: String = std::iter::repeat_n(c, count).collect();
                    let hint = match c {
                        'q' | 'Q' => "QUARTER(…) gives the quarter",
                        'z' => "X and Z read an offset such as +02",
                        'Y' if reading => "the year of a date is yyyy",
                        _ => "text stands in quotes, as in yyyy-MM-dd''T''HH:mm:ss",
                    };
                    return Err(format!(
                        "the format '{text}' has '{letters}', which this function doesn't {}; {hint}",
                        if reading { "read" } else { "know" }
                    ));
                }
                parts.push(Part::Field(c, count));
            }
        }
        if quoted {
            return Err(format!("in the format '{text}' a quote is not closed"));
        }
        let has = |letters: &str| {
            parts
                .iter()
                .any(|p| matches!(p, Part::Field(c, _) if letters.contains(*c)))
        };
        if reading && has("E") && !has("dD") {
            return Err(format!(
                "the format '{text}' names a day of the week and no day; add dd, or leave E out"
            ));
        }
        Ok(Self { parts })
    }

    /// Writes milliseconds since 1970, in UTC.
    pub(crate) fn write(&self, millis: i64) -> String {
        let moment = Moment::of(millis);
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(c) => out.push(*c),
                Part::Field(letter, count) => out.push_str(&moment.field(*letter, *count)),
            }
        }
        out
    }

    /// Reads milliseconds since 1970; `None` if the text doesn't begin as the format does.
    pub(crate) fn read(&self, text: &str) -> Option<i64> {
        let text: Vec<char> = text.chars().collect();
        let mut at = 0;
        let mut fields = Fields::default();
        for (i, part) in self.parts.iter().enumerate() {
            match part {
                Part::Literal(c) => {
                    if text.get(at) != Some(c) {
                        return None;
                    }
                    at += 1;
                }
                Part::Field(letter, count) => {
                    // Digits next to digits are read by width.
                    let obeyed = match self.parts.get(i + 1) {
                        Some(Part::Field('M' | 'L', count)) => *count <= 2,
                        Some(Part::Field(next, _)) => !"EaGzZX".contains(*next),
                        _ => false,
                    };
                    let width = obeyed.then_some(*count);
                    at = fields.read(&text, at, *letter, *count, width, i)?;
                }
            }
        }
        (at > 0).then(|| fields.millis()).flatten()
    }
}

/// The day of a date that may not exist, as [`SimpleFormat`] takes it.
fn lenient_days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = (
        year + (month - 1).div_euclid(12),
        (month - 1).rem_euclid(12) + 1,
    );
    let first = Date {
        year,
        month,
        day: 1,
    };
    let gregorian = first.days() + day - 1;
    if gregorian >= GREGORIAN {
        return gregorian;
    }
    let shift = i64::from(month <= 2);
    let (y, m) = (year + 4800 - shift, month + 12 * shift - 3);
    1 + (153 * m + 2) / 5 + 365 * y + y.div_euclid(4) - 32_083 - 2_440_588 + day - 1
}

struct Moment {
    days: i64,
    date: Date,
    day_of_year: i64,
    /// Milliseconds of the day.
    millis: i64,
}

impl Moment {
    fn of(millis: i64) -> Self {
        let (days, millis) = (millis.div_euclid(DAY), millis.rem_euclid(DAY));
        let date = if days >= GREGORIAN {
            Date::of(days)
        } else {
            let c = days + 2_440_588 + 32_082;
            let d = (4 * c + 3).div_euclid(1461);
            let e = c - (1461 * d).div_euclid(4);
            let m = (5 * e + 2) / 153;
            Date {
                year: d - 4800 + m / 10,
                month: m + 3 - 12 * (m / 10),
                day: e - (153 * m + 2) / 5 + 1,
            }
        };
        Self {
            days,
            date,
            day_of_year: days - lenient_days(date.year, 1, 1) + 1,
            millis,
        }
    }

    fn field(&self, letter: char, count: usize) -> String {
        let date = self.date;
        let number = |value: i64| format!("{value:0>count$}");
        let year = |year: i64| {
            let of_era = if year > 0 { year } else { 1 - year };
            number(if count == 2 { of_era % 100 } else { of_era })
        };
        let hour = self.millis / 3_600_000;
        let weekday = iso_weekday(self.days);
        let name = |names: &[&str], at: i64, long: bool| {
            let name = names.get(at as usize).copied().unwrap_or_default();
            name.chars()
                .take(if long { 20 } else { 3 })
                .collect::<String>()
        };
        match letter {
            'G' => if date.year > 0 { "AD" } else { "BC" }.to_owned(),
            'y' => year(date.year),
            'Y' => year(week(self.days).0),
            'M' | 'L' if count > 2 => name(&MONTHS, date.month - 1, count > 3),
            'M' | 'L' => number(date.month),
            'w' => number(week(self.days).1),
            'W' => {
                let first = self.days - date.day + 1;
                number((date.day - 1 + iso_weekday(first) % 7) / 7 + 1)
            }
            'D' => number(self.day_of_year),
            'd' => number(date.day),
            'F' => number((date.day - 1) / 7 + 1),
            'E' => name(&DAYS, weekday - 1, count > 3),
            'u' => number(weekday),
            'a' => if hour < 12 { "AM" } else { "PM" }.to_owned(),
            'H' => number(hour),
            'k' => number(if hour == 0 { 24 } else { hour }),
            'K' => number(hour % 12),
            'h' => number((hour + 11) % 12 + 1),
            'm' => number(self.millis / 60_000 % 60),
            's' => number(self.millis / 1000 % 60),
            // A number of milliseconds, not digits of a fraction.
            'S' => number(self.millis % 1000),
            'z' if count > 3 => "Coordinated Universal Time".to_owned(),
            'z' => "UTC".to_owned(),
            'Z' => "+0000".to_owned(),
            _ => "Z".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_format_writes_it_reads_back() {
        for format in [
            "yyyy-MM-dd HH:mm:ss.SSS",
            "yyyyMMddHHmmssSSS",
            "EEE, d MMM yyyy h:mm:ss a SSS",
            "yyyy DDD HH:mm:ss.SSSXXX",
            "dd MMMM yyyy KK:mm:ss.SSS a Z",
        ] {
            let format = SimpleFormat::compile(format, true).unwrap();
            for millis in [
                1_774_960_496_789,
                0,
                -1,
                -62_135_596_800_000,
                -12_219_292_800_001,
            ] {
                let text = format.write(millis);
                assert_eq!(format.read(&text), Some(millis), "{text}");
            }
        }
    }

    #[test]
    fn nothing_that_is_read_ends_the_process() {
        let format = SimpleFormat::compile("yyyy-MM-dd'T'HH:mm:ss.SSS X", true).unwrap();
        for text in [
            "",
            "-",
            "2147483647-2147483647-2147483647T2147483647:2147483647:2147483647.2147483647 +23",
            "-2147483647--2147483647--2147483647T-2147483647:1:1.1 -23",
            "99999999999999999999-01-01T00:00:00.000 Z",
            "2026-03-31T00:00:00.000 +",
            "2026-03-31T00:00:00.000 😀",
        ] {
            let _ = format.read(text);
        }
        let _ = SimpleFormat::compile("yyyy DDDD G Y w W F u", false)
            .unwrap()
            .write(i64::MIN);
        assert!(SimpleFormat::compile("yyyy'x", false).is_err());
        assert!(SimpleFormat::compile("XXXX", false).is_err());
        assert!(
            SimpleFormat::compile("EEE", true)
                .unwrap_err()
                .contains("dd")
        );
    }
}
