//! What stands behind a backslash and within brackets.

use super::class::{LINE_ENDS, Set};
use super::java::{MAX_DEPTH, Node, Read};
use super::reader::Reader;

impl Reader {
    /// Behind a backslash, outside brackets.
    pub(super) fn escaped(&mut self) -> Read<Node> {
        let start = self.at - 1;
        let refuse = |s: &Self, message: &str| Err(s.refuse_at(start, message));
        match self.sign() {
            Some('1'..='9' | 'k') => refuse(
                self,
                "back-references are not in this dialect, as their work has no bound; take both groups with REGEXP_EXTRACT and compare them",
            ),
            Some('A') => self.position(r"\A"),
            Some('z') => self.position(r"\z"),
            Some('Z') => {
                self.at += 1;
                Ok(Node::End(self.places[start]))
            }
            Some('b') if self.ahead(1) == Some('{') => {
                refuse(self, r"\b{g} is not in this dialect")
            }
            Some('b') => self.position(r"\b"),
            Some('B') => self.position(r"\B"),
            Some('R') => {
                self.at += 1;
                Ok(Node::One(format!(r"(?:\r\n|[{LINE_ENDS}])")))
            }
            Some('G') => refuse(self, r"\G is not in this dialect"),
            Some('X') => refuse(
                self,
                r"\X is not in this dialect; a character is . or (?s:.)",
            ),
            _ => {
                if let Some(set) = self.named_set(start)? {
                    return Ok(Node::One(format!("[{}]", set.0)));
                }
                Ok(match self.character(start)? {
                    c if self.fold && c.is_ascii_alphabetic() => self.literal(c),
                    c => Node::One(format!(r"\x{{{:X}}}", c as u32)),
                })
            }
        }
    }

    fn position(&mut self, text: &'static str) -> Read<Node> {
        self.at += 1;
        Ok(Node::Position(text))
    }

    /// `\d`, `\p{…}` and their like, behind the backslash.
    fn named_set(&mut self, start: usize) -> Read<Option<Set>> {
        let Some(letter) = self.sign() else {
            return Ok(None);
        };
        if let Some(set) = Set::escape(letter) {
            self.at += 1;
            return Ok(Some(set));
        }
        if !matches!(letter, 'p' | 'P') {
            return Ok(None);
        }
        self.at += 1;
        let mut name = String::new();
        if self.accept('{') {
            while let Some(c) = self.sign().filter(|c| *c != '}') {
                name.push(c);
                self.at += 1;
            }
            if !self.accept('}') {
                return Err(self.refuse_at(start, r"a set's name ends with }, as in \p{L}"));
            }
        } else if let Some(c) = self.sign() {
            name.push(c);
            self.at += 1;
        }
        let set = Set::property(&name, self.fold).map_err(|m| self.refuse_at(start, m))?;
        Ok(Some(if letter == 'P' { set.not() } else { set }))
    }

    /// The character that an escape stands for, behind the backslash.
    fn character(&mut self, start: usize) -> Read<char> {
        let Some((c, _)) = self.chars.get(self.at).copied() else {
            return Err(self.refuse_at(start, r"a backslash at the end; a literal one is \\"));
        };
        self.at += 1;
        let found = match c {
            't' => Some('\t'),
            'n' => Some('\n'),
            'r' => Some('\r'),
            'f' => Some('\u{c}'),
            'a' => Some('\u{7}'),
            'e' => Some('\u{1b}'),
            '0' => self.octal(),
            'x' if self.accept('{') => {
                let digits = self.hex_digits(8);
                let closed = self.accept('}');
                digits.filter(|_| closed).and_then(char::from_u32)
            }
            'x' => self.hex(2).and_then(char::from_u32),
            'u' => self.hex(4).and_then(|high| self.unit(high)),
            'c' => {
                let control = self.chars.get(self.at).map(|(c, _)| *c as u32 ^ 64);
                self.at += 1;
                control.and_then(char::from_u32)
            }
            c if c.is_ascii_alphabetic() => None,
            c => Some(c),
        };
        found.ok_or_else(|| {
            self.refuse_at(start, format!(r"\{c} is no escape that can be used here"))
        })
    }

    fn octal(&mut self) -> Option<char> {
        let digit = |s: &Self| s.sign().and_then(|c| c.to_digit(8));
        let mut value = digit(self)?;
        let most = if value <= 3 { 3 } else { 2 };
        self.at += 1;
        for _ in 1..most {
            let Some(next) = digit(self) else { break };
            value = value * 8 + next;
            self.at += 1;
        }
        char::from_u32(value)
    }

    fn hex(&mut self, count: usize) -> Option<u32> {
        let start = self.at;
        self.hex_digits(count).filter(|_| self.at == start + count)
    }

    fn hex_digits(&mut self, most: usize) -> Option<u32> {
        let mut text = String::new();
        while text.len() < most
            && let Some(c) = self.sign().filter(char::is_ascii_hexdigit)
        {
            text.push(c);
            self.at += 1;
        }
        u32::from_str_radix(&text, 16).ok()
    }

    /// A UTF-16 unit, with the second of a pair.
    fn unit(&mut self, high: u32) -> Option<char> {
        if !(0xD800..0xDC00).contains(&high) {
            return char::from_u32(high);
        }
        let low = self.accept_all(r"\u").then(|| self.hex(4)).flatten()?;
        let low = (0xDC00..0xE000).contains(&low).then_some(low)?;
        char::from_u32(0x1_0000 + (((high - 0xD800) << 10) | (low - 0xDC00)))
    }

    /// Behind an opening bracket, or, with `whole` false, behind `&&` up to the closing one.
    pub(super) fn class(&mut self, whole: bool, depth: usize) -> Read<Set> {
        let start = self.at.saturating_sub(1);
        if depth > MAX_DEPTH {
            return Err(self.refuse(format!(
                "more than {MAX_DEPTH} brackets are within each other"
            )));
        }
        let negated = whole && self.accept('^');
        let mut set: Option<Set> = None;
        let add = |set: &mut Option<Set>, more: &Set| {
            *set = Some(set.take().unwrap_or_default().or(more));
        };
        loop {
            if self.at >= self.chars.len() {
                return Err(self.refuse_at(start, r"the bracket [ has no end; a literal one is \["));
            }
            match self.sign() {
                Some('[') => {
                    self.at += 1;
                    let inner = self.class(true, depth + 1)?;
                    add(&mut set, &Set(format!("[{}]", inner.0)));
                }
                Some(']') if !whole && set.is_none() => {
                    return Err(self.refuse("a set is missing behind &&"));
                }
                Some(']') if set.is_some() => {
                    self.at += usize::from(whole);
                    break;
                }
                Some('&') if self.ahead(1) == Some('&') => {
                    if !whole {
                        return Err(self.refuse("&& stands once in a pair of brackets; put the sets in brackets of their own"));
                    }
                    self.at += 2;
                    let right = self.class(false, depth + 1)?;
                    set = Some(match set {
                        None => right,
                        Some(left) => left.and(&right),
                    });
                }
                _ => {
                    let more = self.span()?;
                    add(&mut set, &more);
                }
            }
        }
        let set = set.unwrap_or_default();
        Ok(if negated { set.not() } else { set })
    }

    /// One character, a range or a named set, within brackets.
    fn span(&mut self) -> Read<Set> {
        let start = self.at;
        if self.sign() == Some('\\') {
            self.at += 1;
            if let Some(set) = self.named_set(start)? {
                return Ok(set);
            }
            self.at -= 1;
        }
        let first = self.single()?;
        if self.sign() == Some('-')
            && self.at + 1 < self.chars.len()
            && !matches!(self.ahead(1), Some('[' | ']'))
        {
            self.at += 1;
            let last = self.single()?;
            if last < first {
                return Err(self.refuse_at(start, "the range's end is before its beginning"));
            }
            return Ok(Set::range(first, last, self.fold));
        }
        Ok(Set::range(first, first, self.fold))
    }

    fn single(&mut self) -> Read<char> {
        let start = self.at;
        let (c, quoted) = self.chars[start];
        self.at += 1;
        if c == '\\' && !quoted {
            return self.character(start);
        }
        Ok(c)
    }
}
