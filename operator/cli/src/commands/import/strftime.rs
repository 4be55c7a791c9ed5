//! A format of Python's `datetime.strptime` as a regular expression, where one says the same: days of the calendar and times of day
//! in numbers. A text fits exactly where `strptime` reads all of it (CPython 3.11, `_strptime.py`), but for digits: Python takes
//! those of every script, and these are ASCII's.

/// Months, and the days and years that they have.
const CALENDAR: [[&str; 3]; 4] = [
    [
        "1[02]|0[13578]|[13578]",
        "3[01]|[12][0-9]|0[1-9]|[1-9]| [1-9]",
        YEAR,
    ],
    ["11|0[469]|[469]", "30|[12][0-9]|0[1-9]|[1-9]| [1-9]", YEAR],
    ["02|2", "2[0-8]|1[0-9]|0[1-9]|[1-9]| [1-9]", YEAR],
    ["02|2", "29", LEAP_YEAR],
];
/// 0001 to 9999.
const YEAR: &str = "[1-9][0-9]{3}|0[1-9][0-9]{2}|00[1-9][0-9]|000[1-9]";
const LEAP_YEAR: &str =
    "[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:0[48]|[2468][048]|[13579][26])00";
const MONTH: &str = "1[0-2]|0[1-9]|[1-9]";

enum Piece {
    /// A directive, by its letter.
    Number(char),
    /// What stands between them, as a pattern.
    Literal(String),
}

/// The pattern; `Err` says what it can't say.
pub fn pattern(format: &str) -> Result<String, String> {
    let pieces = read(format)?;
    let has = |letter: char| {
        pieces
            .iter()
            .any(|p| matches!(p, Piece::Number(l) if *l == letter))
    };
    let written = |[month, day, year]: [&str; 3]| {
        let one = |piece: &Piece| match piece {
            Piece::Literal(text) => text.clone(),
            Piece::Number(letter) => {
                let part = match letter {
                    'Y' => year,
                    'm' => month,
                    'd' => day,
                    'H' => "2[0-3]|[01][0-9]|[0-9]",
                    'M' | 'S' => "[0-5][0-9]|[0-9]",
                    _ => "[0-9]{1,6}",
                };
                format!("(?:{part})")
            }
        };
        pieces.iter().map(one).collect::<String>()
    };
    // A day without a month is one of January; without a year it is one of 1900, which had no 29 February.
    let text = if has('d') && has('m') {
        let count = if has('Y') { 4 } else { 3 };
        let cases: Vec<String> = CALENDAR[..count].iter().map(|c| written(*c)).collect();
        format!("(?:{})", cases.join("|"))
    } else {
        written([MONTH, CALENDAR[0][1], YEAR])
    };
    Ok(format!(r"\A{text}\z"))
}

fn read(format: &str) -> Result<Vec<Piece>, String> {
    let other = |what: &str| {
        Err(format!(
            "strftime_format {format:?}: {what}; say the form with a pattern check"
        ))
    };
    let mut pieces: Vec<Piece> = Vec::new();
    let mut signs = format.chars().peekable();
    while let Some(c) = signs.next() {
        if c == '%' {
            match signs.next() {
                Some('%') => pieces.push(Piece::Literal("%".into())),
                Some(letter @ ('Y' | 'm' | 'd' | 'H' | 'M' | 'S' | 'f')) => {
                    if matches!(pieces.last(), Some(Piece::Number(_))) {
                        return other("numbers without anything between them aren't translated");
                    }
                    if pieces
                        .iter()
                        .any(|p| matches!(p, Piece::Number(l) if *l == letter))
                    {
                        return other("Python refuses a number that comes twice");
                    }
                    pieces.push(Piece::Number(letter));
                }
                Some(letter) => return other(&format!("%{letter} isn't translated")),
                None => return other("Python refuses a % at the end"),
            }
        } else if c.is_whitespace() {
            while signs.next_if(|c| c.is_whitespace()).is_some() {}
            pieces.push(Piece::Literal(format!("[{}]+", super::python_regex::SPACE)));
        } else if c.is_ascii_alphabetic() {
            let (lower, upper) = (c.to_ascii_lowercase(), c.to_ascii_uppercase());
            pieces.push(Piece::Literal(format!("[{upper}{lower}]")));
        } else if c.is_ascii_punctuation() {
            pieces.push(Piece::Literal(format!("\\{c}")));
        } else {
            return other(&format!("{c:?} isn't translated"));
        }
    }
    if pieces.is_empty() {
        return other("it is empty");
    }
    Ok(pieces)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(format: &str, text: &str) -> bool {
        let pattern = pattern(format).unwrap();
        regex::Regex::new(&pattern).unwrap().is_match(text)
    }

    #[test]
    fn days_are_days_of_the_calendar() {
        for (text, wanted) in [
            ("2026-01-31", true),
            ("2026-1-5", true),
            ("2026-01- 5", true),
            ("2026-02-28", true),
            ("2026-02-29", false),
            ("2024-02-29", true),
            ("1900-02-29", false),
            ("2000-02-29", true),
            ("2026-04-31", false),
            ("2026-13-01", false),
            ("0000-01-01", false),
            ("0001-01-01", true),
            ("2026-01-31 ", false),
            ("2026-01-31\n", false),
            ("26-01-31", false),
        ] {
            assert_eq!(fits("%Y-%m-%d", text), wanted, "{text:?}");
        }
        assert!(!fits("%m/%d", "2/29") && fits("%m/%d", "2/28") && fits("%d", "31"));
    }

    #[test]
    fn times_of_day() {
        let format = "%d.%m.%YT%H:%M:%S.%f";
        for (text, wanted) in [
            ("31.01.2026T23:59:59.5", true),
            ("31.01.2026t0:0:0.123456", true),
            ("31.01.2026T24:00:00.0", false),
            ("31.01.2026T23:60:00.0", false),
            ("31.01.2026T23:59:60.0", false),
            ("31.01.2026T23:59:59.1234567", false),
        ] {
            assert_eq!(fits(format, text), wanted, "{text:?}");
        }
        assert!(fits("%H %M", "1 \t2"));
    }

    #[test]
    fn what_no_pattern_says_is_refused() {
        for format in ["%Y%m%d", "%b %d", "%c", "%", "", "%d/%d", "%Y年"] {
            assert!(pattern(format).is_err(), "{format}");
        }
    }
}
