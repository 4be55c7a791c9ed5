//! Formats of dates and times, in the letters of Java's `DateTimeFormatter` (English names), which Flink uses for
//! `DATE_FORMAT` of a time stamp, `TO_TIMESTAMP` and `TO_TIMESTAMP_LTZ`; for the others see
//! [`super::simple_format`].

use super::calendar::{Date, Moment, iso_weekday};

/// A compiled format.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    /// A letter and how often it stands.
    Field(char, usize),
}

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
pub(super) const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

impl Pattern {
    /// Compiles a format such as `yyyy-MM-dd HH:mm:ss.SSS`, to write with or to read with.
    pub(crate) fn compile(text: &str, reading: bool) -> Result<Self, String> {
        let mut parts: Vec<Part> = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            if c == '\'' {
                let mut literal = String::new();
                loop {
                    match chars.next() {
                        None => {
                            return Err(format!("in the format '{text}' a quote is not closed"));
                        }
                        Some('\'') if chars.next_if_eq(&'\'').is_some() => literal.push('\''),
                        Some('\'') => break,
                        Some(c) => literal.push(c),
                    }
                }
                parts.push(Part::Literal(if literal.is_empty() {
                    "'".to_owned()
                } else {
                    literal
                }));
            } else if c.is_ascii_alphabetic() {
                let mut count = 1;
                while chars.next_if_eq(&c).is_some() {
                    count += 1;
                }
                let letters = || std::iter::repeat_n(c, count).collect::<String>();
                if !is_known(c, count) {
                    return Err(format!(
                        "the format '{text}' has '{}', which is not supported; text stands in quotes, as in yyyy-MM-dd''T''HH:mm:ss",
                        letters()
                    ));
                }
                if reading && matches!(c, 'Y' | 'w' | 'W' | 'Q' | 'q' | 'e' | 'c') {
                    return Err(format!(
                        "the format '{text}' has '{}', which says no date and isn't read; a date is read by yyyy, MM and dd, or by yyyy and DDD",
                        letters()
                    ));
                }
                parts.push(Part::Field(c, count));
            } else if matches!(c, '[' | ']' | '{' | '}' | '#') {
                return Err(format!(
                    "the format '{text}' has {c}, which Java keeps for itself; text stands in quotes, as in ''{c}''"
                ));
            } else {
                match parts.last_mut() {
                    Some(Part::Literal(literal)) => literal.push(c),
                    _ => parts.push(Part::Literal(c.to_string())),
                }
            }
        }
        Ok(Self { parts })
    }

    /// Writes a moment.
    pub(crate) fn write(&self, moment: Moment) -> String {
        let mut out = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Field(letter, count) => out.push_str(&write_field(*letter, *count, moment)),
            }
        }
        out
    }

    /// Reads a moment; `None` if the text doesn't fit the format. What the format doesn't name is
    /// January, the first day, midnight; an offset (`X`) is read and not applied, as in Flink. A day that its month
    /// doesn't have is the month's last, and 24:00 is midnight of the next day.
    pub(crate) fn read(&self, text: &str) -> Option<Moment> {
        let mut rest = text;
        let mut read = Fields::default();
        for (i, part) in self.parts.iter().enumerate() {
            let (letter, count) = match part {
                Part::Literal(literal) => {
                    rest = rest.strip_prefix(literal.as_str())?;
                    continue;
                }
                Part::Field(letter, count) => (*letter, *count),
            };
            // Digits next to digits are read by width.
            let next_is_number = matches!(self.parts.get(i + 1), Some(Part::Field(l, _)) if !matches!(l, 'a' | 'E' | 'X'));
            let mut number = |least: usize, most: usize| take_number(&mut rest, least, most);
            match letter {
                'y' | 'u' if count == 2 => read.year = 2000 + number(2, 2)?,
                'y' | 'u' if count == 4 || next_is_number => read.year = number(count, count)?,
                'y' | 'u' => read.year = number(count, 6)?,
                'M' | 'L' if count >= 3 => {
                    read.month = take_name(&mut rest, &MONTHS, count == 3)? + 1;
                }
                'M' | 'L' => read.month = number(count, 2)?,
                'd' => read.day = number(count, 2)?,
                'D' => read.day_of_year = Some(number(count, 3)?),
                'H' => read.hour = Some(number(count, 2)?),
                'k' => read.hour = Some(number(count, 2).filter(|h| (1..=24).contains(h))? % 24),
                'h' => {
                    read.half_hour = number(count, 2).filter(|h| (1..=12).contains(h))? % 12;
                }
                'K' => read.half_hour = number(count, 2).filter(|h| *h < 12)?,
                'm' => read.minute = number(count, 2)?,
                's' => read.second = number(count, 2)?,
                'S' => {
                    let digits = take_digits(&mut rest, count, count)?;
                    let padded: String = format!("{digits:0<6}").chars().take(6).collect();
                    read.micros = padded.parse().ok()?;
                }
                'a' => read.half = Some(take_name(&mut rest, &["AM", "PM"], false)?),
                'E' => read.weekday = Some(take_name(&mut rest, &DAYS, count < 4)? + 1),
                'X' => rest = skip_offset(rest, count)?,
                _ => return None,
            }
        }
        if rest.is_empty() { read.moment() } else { None }
    }
}

/// What was read by a format.
struct Fields {
    year: i64,
    month: i64,
    day: i64,
    day_of_year: Option<i64>,
    weekday: Option<i64>,
    hour: Option<i64>,
    /// Of twelve; says nothing without `half`.
    half_hour: i64,
    half: Option<i64>,
    minute: i64,
    second: i64,
    micros: i64,
}

impl Default for Fields {
    fn default() -> Self {
        Self {
            year: 1970,
            month: 1,
            day: 1,
            day_of_year: None,
            weekday: None,
            hour: None,
            half_hour: 0,
            half: None,
            minute: 0,
            second: 0,
            micros: 0,
        }
    }
}

impl Fields {
    fn moment(&self) -> Option<Moment> {
        let half = self.half.map(|half| self.half_hour + half * 12);
        let hour = self.hour.or(half).unwrap_or(0);
        let midnight = hour == 24 && (self.minute, self.second, self.micros) == (0, 0, 0);
        if self.year < 1 || (hour > 23 && !midnight) || self.minute > 59 || self.second > 59 {
            return None;
        }
        let days = match self.day_of_year {
            Some(day) => {
                let days = Date::checked(self.year, 1, 1)?.days() + day - 1;
                (day >= 1 && Date::of(days).year == self.year).then_some(days)?
            }
            None => Date::nearest(self.year, self.month, self.day)?.days(),
        };
        if self.weekday.is_some_and(|day| day != iso_weekday(days)) {
            return None;
        }
        Some(Moment {
            days: days + i64::from(midnight),
            micros: ((hour % 24 * 60 + self.minute) * 60 + self.second) * 1_000_000 + self.micros,
        })
    }
}

/// The year and number of a week as America counts: it begins on Sunday, and the first has 1 January.
pub(super) fn week(days: i64) -> (i64, i64) {
    let date = Date::of(days);
    let first = |year: i64| {
        let new_year = Date {
            year,
            month: 1,
            day: 1,
        };
        let days = new_year.days();
        days - iso_weekday(days) % 7
    };
    if days >= first(date.year + 1) {
        return (date.year + 1, 1);
    }
    (date.year, (days - first(date.year)) / 7 + 1)
}

fn is_known(letter: char, count: usize) -> bool {
    match letter {
        'y' | 'u' | 'Y' | 'M' | 'L' | 'E' | 'Q' | 'q' => count <= 4,
        'd' | 'H' | 'h' | 'k' | 'K' | 'm' | 's' | 'w' | 'e' => count <= 2,
        'D' | 'X' => count <= 3,
        'S' => count <= 9,
        'a' | 'c' | 'W' => count == 1,
        _ => false,
    }
}

fn write_field(letter: char, count: usize, moment: Moment) -> String {
    let date = moment.date();
    let (hour, minute, second) = moment.clock();
    let number = |value: i64| format!("{value:0>count$}");
    let name = |names: &[&str], at: i64| {
        names
            .get(at as usize)
            .copied()
            .unwrap_or_default()
            .to_owned()
    };
    let short = |names: &[&str], at: i64| name(names, at).chars().take(3).collect::<String>();
    match (letter, count) {
        ('Y', 2) => number(week(moment.days).0.rem_euclid(100)),
        ('Y', _) => number(week(moment.days).0),
        ('w', _) => number(week(moment.days).1),
        ('W', _) => {
            let first = moment.days - date.day + 1;
            number((date.day - 1 + iso_weekday(first) % 7) / 7 + 1)
        }
        ('y' | 'u', 2) => number(date.year.rem_euclid(100)),
        ('y' | 'u', _) => number(date.year),
        ('M' | 'L', 4) => name(&MONTHS, date.month - 1),
        ('M' | 'L', 3) => short(&MONTHS, date.month - 1),
        ('M' | 'L', _) => number(date.month),
        ('d', _) => number(date.day),
        ('D', _) => number(date.day_of_year()),
        ('E', 4) => name(&DAYS, iso_weekday(moment.days) - 1),
        ('E', _) => short(&DAYS, iso_weekday(moment.days) - 1),
        // The week begins on Sunday, as in Java's locale en_US.
        ('e' | 'c', _) => number(iso_weekday(moment.days) % 7 + 1),
        ('Q' | 'q', 3) => format!("Q{}", (date.month - 1) / 3 + 1),
        ('Q' | 'q', 4) => {
            let ordinals = ["1st", "2nd", "3rd", "4th"];
            name(&ordinals, (date.month - 1) / 3) + " quarter"
        }
        ('Q' | 'q', _) => number((date.month - 1) / 3 + 1),
        ('a', _) => if hour < 12 { "AM" } else { "PM" }.to_owned(),
        ('H', _) => number(hour),
        ('k', _) => number(if hour == 0 { 24 } else { hour }),
        ('K', _) => number(hour % 12),
        ('h', _) => number((hour + 11) % 12 + 1),
        ('m', _) => number(minute),
        ('s', _) => number(second),
        ('S', _) => format!("{:06}000", moment.micros % 1_000_000)
            .chars()
            .take(count)
            .collect(),
        // The session's zone is UTC.
        _ => "Z".to_owned(),
    }
}

fn take_digits<'a>(rest: &mut &'a str, least: usize, most: usize) -> Option<&'a str> {
    let count = rest
        .bytes()
        .take(most)
        .take_while(u8::is_ascii_digit)
        .count();
    if count < least {
        return None;
    }
    let (digits, after) = rest.split_at(count);
    *rest = after;
    Some(digits)
}

fn take_number(rest: &mut &str, least: usize, most: usize) -> Option<i64> {
    take_digits(rest, least.max(1), most)?.parse().ok()
}

fn take_name(rest: &mut &str, names: &[&str], short: bool) -> Option<i64> {
    for (i, name) in names.iter().enumerate() {
        let name = if short {
            &name[..3.min(name.len())]
        } else {
            name
        };
        if rest.get(..name.len()).is_some_and(|start| start == name) {
            *rest = &rest[name.len()..];
            return Some(i as i64);
        }
    }
    None
}

/// `X` is `Z`, `+02` or `+0230`, `XX` is `+0200`, `XXX` is `+02:00`.
fn skip_offset(rest: &str, count: usize) -> Option<&str> {
    if let Some(after) = rest.strip_prefix('Z') {
        return Some(after);
    }
    let mut after = rest.strip_prefix(['+', '-'])?;
    take_digits(&mut after, 2, 2)?;
    if count == 3 {
        after = after.strip_prefix(':')?;
    }
    let has_minutes = take_digits(&mut after, 2, 2).is_some();
    (has_minutes || count == 1).then_some(after)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_format_writes_it_reads_back() {
        let moment = Moment {
            days: 20_543,
            micros: 45_296_789_000,
        };
        for format in [
            "yyyy-MM-dd HH:mm:ss.SSS",
            "yyyyMMddHHmmssSSS",
            "EEE, d MMM yyyy h:mm:ss a SSS",
            "dd.MM.yy''HH:mm:ss,SSS",
            "yyyy DDD HH:mm:ss.SSSX",
        ] {
            let pattern = Pattern::compile(format, true).unwrap();
            let text = pattern.write(moment);
            assert_eq!(pattern.read(&text), Some(moment), "{format}: {text}");
        }
        assert!(
            Pattern::compile("yyyy-MM-ddTHH", false)
                .unwrap_err()
                .contains("'T'")
        );
        assert!(Pattern::compile("yyyy'x", false).is_err());
        assert!(Pattern::compile("YYYY", true).unwrap_err().contains("yyyy"));
    }

    #[test]
    fn weeks_begin_on_sunday_and_the_first_has_new_year() {
        let of = |year, month, day| week(Date { year, month, day }.days());
        assert_eq!(of(2026, 3, 31), (2026, 14));
        assert_eq!(of(2026, 1, 1), (2026, 1));
        assert_eq!(of(2025, 12, 28), (2026, 1));
        assert_eq!(of(2025, 12, 27), (2025, 52));
    }
}
