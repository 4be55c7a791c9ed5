//! Reading by a format.

use super::{CENTURY, DAY, DAYS, MONTHS, lenient_days};

/// What was read, each with its part's number: of fields that say the same the later one counts.
#[derive(Default)]
pub(super) struct Fields {
    year: Option<i64>,
    month: Option<i64>,
    day: Option<(usize, i64)>,
    day_of_year: Option<(usize, i64)>,
    hour_of_day: Option<(usize, i64)>,
    hour: Option<(usize, i64)>,
    half: Option<(usize, i64)>,
    minute: i64,
    second: i64,
    millis: i64,
    /// Milliseconds ahead of UTC.
    offset: i64,
}

impl Fields {
    /// Reads one field; gives where the text goes on.
    pub(super) fn read(
        &mut self,
        text: &[char],
        start: usize,
        letter: char,
        count: usize,
        width: Option<usize>,
        part: usize,
    ) -> Option<usize> {
        let spaces = text
            .get(start..)?
            .iter()
            .take_while(|c| matches!(c, ' ' | '\t'));
        let begin = start + spaces.count();
        if begin >= text.len() {
            return None;
        }
        match letter {
            'M' | 'L' if count > 2 => {
                let (at, end) = names(text, start, &MONTHS)?;
                self.month = Some(at + 1);
                return Some(end);
            }
            'E' => return names(text, start, &DAYS).map(|(_, end)| end),
            'a' => {
                let (at, end) = names(text, start, &["AM", "PM"])?;
                self.half = Some((part, at));
                return Some(end);
            }
            'X' | 'Z' => {
                let (offset, end) = offset(text, begin, letter, count)?;
                self.offset = offset * 60_000;
                return Some(end);
            }
            _ => {}
        }
        let limit = width.map_or(text.len(), |width| start + width);
        let (value, end) = number(text.get(..limit)?, begin)?;
        match letter {
            'y' => {
                let two = end - begin == 2 && value >= 0 && count <= 2;
                let wrapped = i64::from(value < CENTURY % 100) * 100;
                self.year = Some(if two {
                    CENTURY / 100 * 100 + wrapped + value
                } else {
                    value
                });
            }
            'M' | 'L' => self.month = Some(value),
            'D' => self.day_of_year = Some((part, value)),
            'd' => self.day = Some((part, value)),
            'H' => self.hour_of_day = Some((part, value)),
            'k' => self.hour_of_day = Some((part, if value == 24 { 0 } else { value })),
            'K' => self.hour = Some((part, value)),
            'h' => self.hour = Some((part, if value == 12 { 0 } else { value })),
            'm' => self.minute = value,
            's' => self.second = value,
            _ => self.millis = value,
        }
        Some(end)
    }

    pub(super) fn millis(&self) -> Option<i64> {
        let year = self.year.unwrap_or(1970);
        let by_day = self.day_of_year.map_or(-1, |(part, _)| part as i64)
            < self.day.map_or(0, |(part, _)| part as i64);
        let days = match self.day_of_year {
            Some((_, day)) if !by_day => lenient_days(year, 1, day),
            _ => {
                let day = self.day.map_or(1, |(_, day)| day);
                lenient_days(year, self.month.unwrap_or(1), day)
            }
        };
        let halved = self.hour.zip(self.half).map(|((a, _), (b, _))| a.max(b));
        let of_day = self
            .hour_of_day
            .filter(|(part, _)| halved.is_none_or(|h| h < *part));
        let hour = match of_day {
            Some((_, hour)) => hour,
            None => {
                self.hour.map_or(0, |(_, hour)| hour) + 12 * self.half.map_or(0, |(_, half)| half)
            }
        };
        let clock = ((hour * 60 + self.minute) * 60 + self.second) * 1000 + self.millis;
        days.checked_mul(DAY)?
            .checked_add(clock)?
            .checked_sub(self.offset)
    }
}

/// A whole number that fits Java's int.
fn number(text: &[char], begin: usize) -> Option<(i64, usize)> {
    let negative = text.get(begin) == Some(&'-');
    let first = begin + usize::from(negative);
    let digits: String = text
        .get(first..)?
        .iter()
        .take_while(|c| c.is_ascii_digit())
        .collect();
    let value: i64 = i32::try_from(digits.parse::<i64>().ok()?).ok()?.into();
    Some((if negative { -value } else { value }, first + digits.len()))
}

/// The longest of the names, or of their first three letters, that the text has here.
fn names(text: &[char], start: usize, names: &[&str]) -> Option<(i64, usize)> {
    let here = |name: &str| {
        let end = start + name.len();
        let found: Option<String> = text.get(start..end).map(|t| t.iter().collect());
        found
            .is_some_and(|t| t.eq_ignore_ascii_case(name))
            .then_some(end)
    };
    let found = (0..).zip(names).filter_map(|(i, name)| {
        here(name)
            .or_else(|| here(name.get(..3)?))
            .map(|end| (end, i))
    });
    found.max_by_key(|(end, _)| *end).map(|(end, i)| (i, end))
}

/// Minutes ahead of UTC: `X` is `Z` or +02, `XX` +0200, `XXX` +02:00, `Z` +0200 or GMT+02:00.
fn offset(text: &[char], begin: usize, letter: char, count: usize) -> Option<(i64, usize)> {
    let mut at = begin;
    let mut colon = count == 3;
    if letter == 'X' && text.get(at) == Some(&'Z') {
        return Some((0, at + 1));
    }
    if letter == 'Z' {
        colon = names(text, at, &["GMT"]).is_some();
        if colon {
            at += 3;
            if !matches!(text.get(at), Some('+' | '-')) {
                return Some((0, at));
            }
        }
    }
    let sign = match text.get(at)? {
        '+' => 1,
        '-' => -1,
        _ => return None,
    };
    at += 1;
    let mut digit = |least: bool| {
        let value = text.get(at).and_then(|c| c.to_digit(10)).map(i64::from);
        at += usize::from(value.is_some());
        if least { value } else { value.or(Some(-1)) }
    };
    let tens = digit(true)?;
    // With GMT one digit will do.
    let ones = digit(!(letter == 'Z' && colon))?;
    let hours = if ones < 0 { tens } else { tens * 10 + ones };
    let mut minutes = 0;
    if letter == 'Z' || count > 1 {
        if colon {
            if text.get(at) != Some(&':') {
                return None;
            }
            at += 1;
        }
        let two = text.get(at..at + 2)?;
        let digits: Option<Vec<u32>> = two.iter().map(|c| c.to_digit(10)).collect();
        let digits = digits?;
        minutes = i64::from(digits[0] * 10 + digits[1]);
        at += 2;
    }
    (hours < 24 && minutes < 60).then_some((sign * (hours * 60 + minutes), at))
}
