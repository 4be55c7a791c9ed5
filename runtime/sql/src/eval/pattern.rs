//! Formats of dates and times, in the letters of Java's `DateTimeFormatter` (English names).

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

const MONTHS: [&str; 12] = [
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
const DAYS: [&str; 7] = [
    "Monday",
    "Tuesday",
    "Wednesday",
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
];

impl Pattern {
    /// Compiles a format such as `yyyy-MM-dd HH:mm:ss.SSS`.
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
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
                if !is_known(c, count) {
                    let letters: String = std::iter::repeat_n(c, count).collect();
                    return Err(format!(
                        "the format '{text}' has '{letters}', which is not supported; text stands in quotes, as in yyyy-MM-dd''T''HH:mm:ss"
                    ));
                }
                parts.push(Part::Field(c, count));
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
    /// January, the first day, midnight; an offset (`X`) is read and not applied, as in Flink.
    pub(crate) fn read(&self, text: &str) -> Option<Moment> {
        let mut rest = text;
        let (mut year, mut month, mut day, mut day_of_year) = (1970, 1, 1, None);
        let (mut hour, mut half, mut minute, mut second, mut micros) = (0, None, 0, 0, 0);
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
            let exact = next_is_number || count > 1;
            let mut number = |least: usize, most: usize| take_number(&mut rest, least, most);
            match letter {
                'y' | 'u' if count == 2 => year = 2000 + number(2, 2)?,
                'y' | 'u' => {
                    year = number(
                        if exact { count } else { 1 },
                        if next_is_number { count } else { 6 },
                    )?;
                }
                'M' | 'L' if count >= 3 => month = take_name(&mut rest, &MONTHS, count == 3)? + 1,
                'M' | 'L' => month = number(count, 2)?,
                'd' => day = number(count, 2)?,
                'D' => day_of_year = Some(number(count, 3)?),
                'H' | 'k' | 'h' | 'K' => hour = number(count, 2)?,
                'm' => minute = number(count, 2)?,
                's' => second = number(count, 2)?,
                'S' => {
                    let digits = take_digits(&mut rest, count, count)?;
                    let padded: String = format!("{digits:0<6}").chars().take(6).collect();
                    micros = padded.parse().ok()?;
                }
                'a' => half = Some(take_name(&mut rest, &["AM", "PM"], false)?),
                'E' => {
                    take_name(&mut rest, &DAYS, count < 4)?;
                }
                'X' => rest = skip_offset(rest)?,
                _ => return None,
            }
        }
        if !rest.is_empty() || hour > 24 || minute > 59 || second > 59 {
            return None;
        }
        if let Some(half) = half {
            if !(1..=12).contains(&hour) {
                return None;
            }
            hour = hour % 12 + half * 12;
        }
        if hour > 23 {
            return None;
        }
        let days = match day_of_year {
            Some(day) => Date::checked(year, 1, 1)?.days() + day - 1,
            None => Date::checked(year, month, day)?.days(),
        };
        Some(Moment {
            days,
            micros: ((hour * 60 + minute) * 60 + second) * 1_000_000 + micros,
        })
    }
}

fn is_known(letter: char, count: usize) -> bool {
    match letter {
        'y' | 'u' | 'M' | 'L' | 'E' => count <= 4,
        'd' | 'H' | 'h' | 'k' | 'K' | 'm' | 's' => count <= 2,
        'D' => count <= 3,
        'S' => count <= 9,
        'a' | 'Q' | 'e' | 'X' => count == 1,
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
        ('e', _) => number(iso_weekday(moment.days) % 7 + 1),
        ('Q', _) => number((date.month - 1) / 3 + 1),
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
        if rest
            .get(..name.len())
            .is_some_and(|start| start.eq_ignore_ascii_case(name))
        {
            *rest = &rest[name.len()..];
            return Some(i as i64);
        }
    }
    None
}

/// `Z`, `+02`, `+0200` or `+02:00`.
fn skip_offset(rest: &str) -> Option<&str> {
    if let Some(after) = rest.strip_prefix('Z') {
        return Some(after);
    }
    let digits = rest.strip_prefix(['+', '-'])?;
    let mut after = digits;
    take_digits(&mut after, 2, 2)?;
    after = after.strip_prefix(':').unwrap_or(after);
    let _minutes = take_digits(&mut after, 0, 2)?;
    Some(after)
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
            let pattern = Pattern::compile(format).unwrap();
            let text = pattern.write(moment);
            assert_eq!(pattern.read(&text), Some(moment), "{format}: {text}");
        }
        assert!(
            Pattern::compile("yyyy-MM-ddTHH")
                .unwrap_err()
                .contains("'T'")
        );
        assert!(Pattern::compile("yyyy'x").is_err());
    }
}
