//! A regular expression of Python's `re` in the words of our SQL, which are Java's.
//!
//! What differs: classes (`\d`, `\w`, `\s` are Unicode's in Python), `.` (takes all but `\n`), `$` (also stands before a last `\n`, but
//! before no other line end), `\Z`, named groups, `{,3}`, escapes, and what `[` and `&&` mean in brackets. The check asks whether
//! the pattern is found at all, so a `$` at the pattern's end may take the `\n` that it looks at. Whatever our SQL refuses besides
//! (looking around, back-references) it refuses by itself.
//!
//! Source: the Python 3.11 library reference, module `re`; `java.util.regex.Pattern` of Java 17.

/// `str.isspace`, within brackets.
pub const SPACE: &str =
    r"\x09-\x0D\x1C-\x20\x85\xA0\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000}";

/// A pattern in our words; `also` says what isn't quite the same.
#[derive(Debug, PartialEq, Eq)]
pub struct Translated {
    /// The pattern.
    pub pattern: String,
    /// What to know of it.
    pub also: Option<&'static str>,
}

/// Translates; `Err` says what has no equal.
pub fn translate(pattern: &str) -> Result<Translated, String> {
    let mut reader = Reader {
        text: pattern.chars().collect(),
        at: 0,
        out: String::new(),
        ascii: false,
        dot_all: false,
        folds: false,
    };
    reader.flags()?;
    reader.read()?;
    Ok(Translated {
        also: reader
            .folds
            .then_some("(?i) folds letters of ASCII alone; Python folds Unicode's"),
        pattern: reader.out,
    })
}

struct Reader {
    text: Vec<char>,
    at: usize,
    out: String,
    /// `(?a)`: classes are ASCII's.
    ascii: bool,
    /// `(?s)`: a dot takes `\n`.
    dot_all: bool,
    /// `(?i)`.
    folds: bool,
}

impl Reader {
    fn ahead(&self, by: usize) -> Option<char> {
        self.text.get(self.at + by).copied()
    }

    fn starts(&self, with: &str) -> bool {
        with.chars()
            .enumerate()
            .all(|(i, c)| self.ahead(i) == Some(c))
    }

    fn refuse<T>(&self, what: &str) -> Result<T, String> {
        Err(format!(
            "the regular expression, at its character {}: {what}",
            self.at + 1
        ))
    }

    /// Flags at the beginning, as in `(?i)`.
    fn flags(&mut self) -> Result<(), String> {
        while self.starts("(?") && self.ahead(2).is_some_and(|c| c.is_ascii_lowercase()) {
            let mut end = self.at + 2;
            while self.text.get(end).is_some_and(char::is_ascii_lowercase) {
                end += 1;
            }
            if self.text.get(end) != Some(&')') {
                return Ok(());
            }
            let flags = self.text[self.at + 2..end].to_vec();
            for flag in flags {
                match flag {
                    'a' => self.ascii = true,
                    'i' => self.folds = true,
                    's' => self.dot_all = true,
                    'u' => {}
                    _ => return self.refuse(&format!("the flag {flag} isn't known here")),
                }
            }
            self.at = end + 1;
        }
        if self.folds {
            self.out.push_str("(?i)");
        }
        Ok(())
    }

    fn read(&mut self) -> Result<(), String> {
        while let Some(c) = self.ahead(0) {
            match c {
                '\\' => self.escape()?,
                '[' => self.class()?,
                '(' => self.group()?,
                '.' if !self.dot_all => self.put(r"[^\n]", 1),
                '.' => self.put("(?s:.)", 1),
                '$' => self.end()?,
                '{' => self.repetition(),
                '}' => self.put(r"\}", 1),
                ']' => self.put(r"\]", 1),
                _ => self.literal(c),
            }
        }
        Ok(())
    }

    fn put(&mut self, text: &str, taken: usize) {
        self.out.push_str(text);
        self.at += taken;
    }

    fn literal(&mut self, c: char) {
        self.out.push(c);
        self.at += 1;
    }

    /// Behind it only the ends of groups and other branches may stand, so that nothing can follow what it looks at.
    fn end(&mut self) -> Result<(), String> {
        let mut depth = 0;
        let mut skips = false;
        let mut at = self.at + 1;
        while let Some(c) = self.text.get(at) {
            match (skips, c) {
                // Another branch of this group or of one around it: what stands there isn't behind this.
                (false, '|') => {
                    skips = true;
                    depth = 0;
                }
                (true, '\\') => at += 1,
                (true, '[') => {
                    let close = (at + 2..self.text.len())
                        .find(|i| self.text[*i] == ']' && self.text[*i - 1] != '\\');
                    at = close.unwrap_or(at);
                }
                (true, '(') => depth += 1,
                (true, ')') if depth > 0 => depth -= 1,
                (true, ')') => skips = false,
                (false, ')') | (true, _) => {}
                (false, _) => {
                    return self.refuse("a $ before other parts of the pattern has no equal here");
                }
            }
            at += 1;
        }
        self.put(r"\n?\z", 1);
        Ok(())
    }

    fn repetition(&mut self) {
        let close = self.text[self.at..].iter().position(|c| *c == '}');
        let inner: String = close.map_or_else(String::new, |close| {
            self.text[self.at + 1..self.at + close].iter().collect()
        });
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        let counts = match inner.split_once(',') {
            Some((from, to)) if digits(from) && digits(to) && inner != "," => Some(format!(
                "{{{},{to}}}",
                if from.is_empty() { "0" } else { from }
            )),
            None if !inner.is_empty() && digits(&inner) => Some(format!("{{{inner}}}")),
            _ => None,
        };
        match counts {
            Some(counts) => self.put(&counts, inner.chars().count() + 2),
            None => self.put(r"\{", 1),
        }
    }

    fn group(&mut self) -> Result<(), String> {
        if self.starts("(?P<") || self.starts("(?:") {
            let end = if self.starts("(?:") { ':' } else { '>' };
            let close = self.text[self.at..].iter().position(|c| *c == end);
            let Some(close) = close else {
                return self.refuse("a group's name has no end");
            };
            self.put("(?:", close + 1);
        } else if self.starts("(?#") {
            let close = self.text[self.at..].iter().position(|c| *c == ')');
            let Some(close) = close else {
                return self.refuse("a comment has no end");
            };
            self.at += close + 1;
        } else if self.starts("(?P=") {
            return self.refuse("back-references have no equal here");
        } else if self.starts("(?P>") || self.starts("(?>") {
            return self.refuse("an atomic group has no equal here");
        } else if self.starts("(?")
            && self
                .ahead(2)
                .is_some_and(|c| c.is_ascii_alphabetic() || c == '-')
        {
            return self.refuse(
                "flags for a part of the pattern, or behind its beginning, have no equal here",
            );
        } else {
            // Looking around is refused by our SQL, with the way round.
            self.literal('(');
            while self
                .ahead(0)
                .is_some_and(|c| matches!(c, '?' | '=' | '!' | '<'))
                && self.text[..self.at]
                    .last()
                    .is_some_and(|c| matches!(c, '(' | '?' | '<'))
            {
                let c = self.text[self.at];
                self.literal(c);
            }
        }
        Ok(())
    }

    /// Outside brackets.
    fn escape(&mut self) -> Result<(), String> {
        let Some(c) = self.ahead(1) else {
            return self.refuse("a backslash at the end");
        };
        match c {
            'A' | 'b' | 'B' => {
                let text = format!("\\{c}");
                self.put(&text, 2);
            }
            'Z' => self.put(r"\z", 2),
            'D' | 'W' | 'S' => {
                let text = format!("[^{}]", self.set(c.to_ascii_lowercase()));
                self.put(&text, 2);
            }
            'd' if !self.ascii => self.put(r"\p{Nd}", 2),
            'd' | 'w' | 's' => {
                let text = format!("[{}]", self.set(c));
                self.put(&text, 2);
            }
            '1'..='9' if !self.is_octal() => {
                return self.refuse("back-references have no equal here");
            }
            _ => {
                let text = self.character()?;
                self.out.push_str(&text);
            }
        }
        Ok(())
    }

    /// Three octal digits are a character's number, not a group's.
    fn is_octal(&self) -> bool {
        (1..=3).all(|i| self.ahead(i).is_some_and(|c| ('0'..='7').contains(&c)))
            && self.ahead(1).is_some_and(|c| c <= '3')
    }

    fn set(&self, letter: char) -> &'static str {
        match (letter, self.ascii) {
            ('d', false) => r"\p{Nd}",
            ('d', true) => "0-9",
            ('w', false) => r"\p{L}\p{N}_",
            ('w', true) => "A-Za-z0-9_",
            (_, false) => SPACE,
            (_, true) => r"\x09-\x0D\x20",
        }
    }

    /// An escape that is one character; `at` stands on the backslash, and behind it afterwards.
    fn character(&mut self) -> Result<String, String> {
        let Some(c) = self.ahead(1) else {
            return self.refuse("a backslash at the end");
        };
        let hex = |reader: &mut Self, digits: usize| {
            let text: String = (2..2 + digits).filter_map(|i| reader.ahead(i)).collect();
            let code = u32::from_str_radix(&text, 16)
                .ok()
                .filter(|_| text.len() == digits);
            match code.and_then(char::from_u32) {
                Some(c) => {
                    reader.at += 2 + digits;
                    Ok(coded(c))
                }
                None => reader.refuse("an escape that isn't complete"),
            }
        };
        let simple = match c {
            'a' => '\x07',
            'f' => '\x0C',
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            'v' => '\x0B',
            'x' => return hex(self, 2),
            'u' => return hex(self, 4),
            'U' => return hex(self, 8),
            '0'..='7' => {
                let most = if c == '0' || self.is_octal() { 3 } else { 0 };
                let digits: String = (1..=most)
                    .map_while(|i| self.ahead(i).filter(|c| ('0'..='7').contains(c)))
                    .collect();
                let code = u32::from_str_radix(&digits, 8)
                    .ok()
                    .and_then(char::from_u32);
                let Some(code) = code else {
                    return self.refuse("an escape that has no equal here");
                };
                self.at += 1 + digits.len();
                return Ok(coded(code));
            }
            c if c.is_ascii_alphanumeric() => {
                return self.refuse(&format!("\\{c} isn't known here"));
            }
            c => {
                self.at += 2;
                return Ok(if c.is_ascii_punctuation() && c != '_' {
                    format!("\\{c}")
                } else {
                    c.to_string()
                });
            }
        };
        self.at += 2;
        Ok(coded(simple))
    }

    /// Brackets.
    fn class(&mut self) -> Result<(), String> {
        self.literal('[');
        if self.ahead(0) == Some('^') {
            self.literal('^');
        }
        let start = self.at;
        loop {
            let Some(c) = self.ahead(0) else {
                return self.refuse("the bracket [ has no end");
            };
            match c {
                ']' if self.at > start => {
                    self.literal(']');
                    return Ok(());
                }
                '\\' => match self.ahead(1) {
                    Some(c @ ('d' | 'w' | 's')) => {
                        let text = self.set(c);
                        self.put(text, 2);
                        // What stands there is no range.
                        if self.ahead(0) == Some('-') {
                            self.put(r"\-", 1);
                        }
                    }
                    Some(c @ ('D' | 'W' | 'S')) => {
                        let text = format!("[^{}]", self.set(c.to_ascii_lowercase()));
                        self.put(&text, 2);
                        if self.ahead(0) == Some('-') {
                            self.put(r"\-", 1);
                        }
                    }
                    Some('b') => self.put(r"\x08", 2),
                    _ => {
                        let text = self.character()?;
                        self.out.push_str(&text);
                    }
                },
                ']' | '[' | '&' | '^' => {
                    let text = format!("\\{c}");
                    self.put(&text, 1);
                }
                _ => self.literal(c),
            }
        }
    }
}

/// A character by its number.
fn coded(c: char) -> String {
    match c {
        '\n' => r"\n".into(),
        '\r' => r"\r".into(),
        '\t' => r"\t".into(),
        c if u32::from(c) < 0x100 => format!(r"\x{:02X}", u32::from(c)),
        c => format!(r"\x{{{:X}}}", u32::from(c)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_python_means_is_said_in_our_words() {
        for (python, wanted) in [
            ("^[A-Z]{2}$", r"^[A-Z]{2}\n?\z"),
            (r"^\d+$", r"^\p{Nd}+\n?\z"),
            (r"(?a)\d", "[0-9]"),
            (r"\W", r"[^\p{L}\p{N}_]"),
            (r"a.b\Z", r"a[^\n]b\z"),
            ("(?s)a.b", "a(?s:.)b"),
            ("(?P<y>a)(?:b)", "(?:a)(?:b)"),
            ("(?#why)a", "a"),
            ("(a$|b)c?|d$", ""),
            ("(a$|bc)|d$", r"(a\n?\z|bc)|d\n?\z"),
            ("((a$|b[)]))", r"((a\n?\z|b[)]))"),
            ("a{,3}b{2}c{d}", r"a{0,3}b{2}c\{d\}"),
            (r"[]\w&&-[^]", r"[\]\p{L}\p{N}_\&\&-\[\^]"),
            (r"[\d-x]", r"[\p{Nd}\-x]"),
            (r"\v\x41\u00e9\0\101\/\ ", r"\x0B\x41\xE9\x00\x41\/ "),
            (r"[\b]", r"[\x08]"),
        ] {
            match translate(python) {
                Ok(got) => assert_eq!(got.pattern, wanted, "{python}"),
                Err(why) => assert!(wanted.is_empty(), "{python}: {why}"),
            }
        }
    }

    #[test]
    fn what_has_no_equal_is_refused_with_its_place() {
        for (python, at) in [
            (r"(a)\1", 4),
            ("(?P<a>x)(?P=a)", 9),
            ("(?m)^a$", 1),
            ("a(?i)b", 2),
            ("a$b", 2),
            (r"\q", 1),
            ("[a", 3),
            (r"a\", 2),
        ] {
            let why = translate(python).unwrap_err();
            assert!(why.contains(&format!("character {at}:")), "{python}: {why}");
        }
    }

    #[test]
    fn folding_beyond_ascii_is_told() {
        let got = translate("(?i)abc").unwrap();
        assert_eq!(got.pattern, "(?i)abc");
        assert!(got.also.is_some());
    }
}
