//! A pattern's text to a tree: alternatives, repetitions, groups and flags.

use super::class::Set;
use super::java::{MAX_DEPTH, Node, Read, Refused, captures, nullable};

pub(super) struct Reader {
    /// The pattern's characters; true: it was quoted by `\Q…\E` and means itself.
    pub(super) chars: Vec<(char, bool)>,
    /// Where in the pattern each of them stood.
    pub(super) places: Vec<usize>,
    pub(super) at: usize,
    pub(super) fold: bool,
    dot_all: bool,
    /// The groups' names.
    names: Vec<String>,
}

impl Reader {
    pub(super) fn new(pattern: &str) -> Self {
        let (mut chars, mut places) = (Vec::new(), Vec::new());
        let all: Vec<char> = pattern.chars().collect();
        let (mut i, mut quoted) = (0, false);
        while i < all.len() {
            let pair = (all[i], all.get(i + 1));
            match pair {
                ('\\', Some('E')) if quoted => quoted = false,
                ('\\', Some('Q')) if !quoted => quoted = true,
                ('\\', Some(next)) if !quoted => {
                    chars.extend([('\\', false), (*next, false)]);
                    places.extend([i, i + 1]);
                }
                (c, _) => {
                    chars.push((c, quoted));
                    places.push(i);
                    i += 1;
                    continue;
                }
            }
            i += 2;
        }
        Self {
            chars,
            places,
            at: 0,
            fold: false,
            dot_all: false,
            names: Vec::new(),
        }
    }

    pub(super) fn refuse(&self, message: impl Into<String>) -> Refused {
        self.refuse_at(self.at, message)
    }

    pub(super) fn refuse_at(&self, at: usize, message: impl Into<String>) -> Refused {
        let end = self.places.last().map_or(0, |p| p + 1);
        Refused {
            at: self.places.get(at).copied().unwrap_or(end),
            message: message.into(),
        }
    }

    /// The sign here; `None` at the end and for what is quoted.
    pub(super) fn sign(&self) -> Option<char> {
        self.ahead(0)
    }

    pub(super) fn ahead(&self, by: usize) -> Option<char> {
        self.chars
            .get(self.at + by)
            .and_then(|(c, quoted)| (!quoted).then_some(*c))
    }

    pub(super) fn accept(&mut self, sign: char) -> bool {
        let here = self.sign() == Some(sign);
        self.at += usize::from(here);
        here
    }

    pub(super) fn accept_all(&mut self, signs: &str) -> bool {
        let here = signs
            .chars()
            .enumerate()
            .all(|(i, c)| self.ahead(i) == Some(c));
        if here {
            self.at += signs.chars().count();
        }
        here
    }

    /// All of the pattern.
    pub(super) fn whole(mut self) -> Read<Node> {
        let node = self.choice(0)?;
        if self.at < self.chars.len() {
            return Err(self.refuse(r"the parenthesis ) has no beginning; a literal one is \)"));
        }
        Ok(node)
    }

    fn choice(&mut self, depth: usize) -> Read<Node> {
        if depth > MAX_DEPTH {
            return Err(self.refuse(format!(
                "more than {MAX_DEPTH} groups are within each other"
            )));
        }
        let mut alternatives = vec![self.sequence(depth)?];
        while self.accept('|') {
            alternatives.push(self.sequence(depth)?);
        }
        Ok(match alternatives.len() {
            1 => alternatives.remove(0),
            _ => Node::Choice(alternatives),
        })
    }

    fn sequence(&mut self, depth: usize) -> Read<Node> {
        let mut nodes = Vec::new();
        while self.at < self.chars.len() && !matches!(self.sign(), Some('|' | ')')) {
            let begin = self.at;
            let Some(node) = self.atom(depth)? else {
                continue;
            };
            nodes.push(self.repeated(node, begin)?);
        }
        Ok(match nodes.len() {
            0 => Node::Empty,
            1 => nodes.remove(0),
            _ => Node::Sequence(nodes),
        })
    }

    /// What may be repeated; `None` for flags.
    fn atom(&mut self, depth: usize) -> Read<Option<Node>> {
        let Some(sign) = self.sign() else {
            // Quoted.
            let (c, _) = self.chars[self.at];
            self.at += 1;
            return Ok(Some(self.literal(c)));
        };
        self.at += 1;
        Ok(Some(match sign {
            '(' => return self.group(depth),
            '[' => Node::One(format!("[{}]", self.class(true, 0)?.0)),
            '.' if self.dot_all => Node::One("(?s:.)".to_owned()),
            '.' => Node::One(r"[^\n\r\x85\x{2028}\x{2029}]".to_owned()),
            '^' => Node::Position(r"\A"),
            '$' => Node::End(self.places[self.at - 1]),
            '\\' => self.escaped()?,
            '*' | '+' | '?' => {
                return Err(self.refuse_at(
                    self.at - 1,
                    format!("{sign} repeats nothing; a literal one is \\{sign}"),
                ));
            }
            '{' => {
                return Err(self.refuse_at(
                    self.at - 1,
                    "{ begins a repetition such as {2} or {2,3}; a literal one is \\{",
                ));
            }
            c => self.literal(c),
        }))
    }

    pub(super) fn literal(&self, c: char) -> Node {
        Node::One(if self.fold && c.is_ascii_alphabetic() {
            format!("[{}]", Set::range(c, c, true).0)
        } else {
            format!(r"\x{{{:X}}}", c as u32)
        })
    }

    /// The repetition behind what began at `begin`, if there is one.
    fn repeated(&mut self, node: Node, begin: usize) -> Read<Node> {
        let start = self.at;
        let Some(mut times) = self.times()? else {
            return Ok(node);
        };
        if matches!(node, Node::Position(_) | Node::End(_)) {
            return Err(self.refuse_at(start, "a position can't be repeated"));
        }
        if self.accept('?') {
            times.push('?');
        } else if self.sign() == Some('+') {
            return Err(self.refuse(
                "possessive repetition (as in a*+) is not in this dialect; leave the last + out, and exclude from what is repeated what comes behind it, as in [^,]*,",
            ));
        }
        let again = self.at;
        if self.times()?.is_some() {
            return Err(self.refuse_at(
                again,
                "two repetitions stand behind each other; put the first in a group: (?:…)",
            ));
        }
        if nullable(&node) && captures(&node) && !times.starts_with('?') {
            return Err(self.refuse_at(
                begin,
                "what is repeated here may be empty, and Java's and this engine's groups differ then; make it take at least one character, as in (?:a+)* for (?:a*)*",
            ));
        }
        Ok(Node::Repeat(Box::new(node), times))
    }

    /// `?`, `*`, `+` or `{…}`.
    fn times(&mut self) -> Read<Option<String>> {
        let Some(sign @ ('?' | '*' | '+' | '{')) = self.sign() else {
            return Ok(None);
        };
        let start = self.at;
        self.at += 1;
        if sign != '{' {
            return Ok(Some(sign.to_string()));
        }
        let least = self.number();
        let most = match (self.accept(','), &least) {
            (true, _) => self.number(),
            (false, least) => *least,
        };
        let comma = self.chars[self.at - 1].0 == ',';
        let least = least.filter(|_| self.accept('}') && (comma || most.is_some()));
        let (Some(least), true) = (least, least.zip(most).is_none_or(|(l, m)| l <= m)) else {
            return Err(self.refuse_at(
                start,
                "{ begins a repetition such as {2} or {2,3}; a literal one is \\{",
            ));
        };
        Ok(Some(match most {
            Some(most) => format!("{{{least},{most}}}"),
            None => format!("{{{least},}}"),
        }))
    }

    fn number(&mut self) -> Option<u32> {
        let mut text = String::new();
        while let Some(digit @ '0'..='9') = self.sign() {
            text.push(digit);
            self.at += 1;
        }
        text.parse().ok()
    }

    /// Behind an opening parenthesis.
    fn group(&mut self, depth: usize) -> Read<Option<Node>> {
        let start = self.at - 1;
        let (fold, dot_all) = (self.fold, self.dot_all);
        let mut captures = true;
        if self.accept('?') {
            if self.accept_all("=")
                || self.accept_all("!")
                || self.accept_all("<=")
                || self.accept_all("<!")
            {
                return Err(self.refuse_at(
                    start,
                    "looking ahead or behind is not in this dialect, as its work has no bound; match what is around, too, and take a group of it: REGEXP_EXTRACT(text, 'before(what)behind', 1), or put two conditions together with AND",
                ));
            }
            if self.accept('>') {
                return Err(self.refuse_at(
                    start,
                    "atomic groups (?>…) are not in this dialect; write (?:…)",
                ));
            }
            if self.accept('<') {
                self.group_name()?;
            } else {
                captures = false;
                if !self.accept(':') && self.flags()? {
                    return Ok(None);
                }
            }
        }
        let inner = self.choice(depth + 1)?;
        if !self.accept(')') {
            return Err(self.refuse_at(start, r"the parenthesis ( has no end; a literal one is \("));
        }
        (self.fold, self.dot_all) = (fold, dot_all);
        Ok(Some(Node::Group(Box::new(inner), captures)))
    }

    fn group_name(&mut self) -> Read<()> {
        let start = self.at;
        while self.sign().is_some_and(|c| c.is_ascii_alphanumeric()) {
            self.at += 1;
        }
        let begins = self
            .chars
            .get(start)
            .is_some_and(|(c, _)| c.is_ascii_alphabetic());
        if !begins || !self.accept('>') {
            return Err(
                self.refuse("a group's name is of letters and digits, as in (?<year>[0-9]{4})")
            );
        }
        let name: String = self.chars[start..self.at].iter().map(|(c, _)| *c).collect();
        if self.names.contains(&name) {
            return Err(self.refuse_at(start, "two groups have this name"));
        }
        self.names.push(name);
        Ok(())
    }

    /// `i`, `s`, `-i` …; true if they hold from here to the end of the group around.
    fn flags(&mut self) -> Read<bool> {
        let mut on = true;
        loop {
            let way_round = match self.sign() {
                Some('-') => {
                    on = false;
                    self.at += 1;
                    continue;
                }
                Some('i') => {
                    self.fold = on;
                    self.at += 1;
                    continue;
                }
                Some('s') => {
                    self.dot_all = on;
                    self.at += 1;
                    continue;
                }
                Some(')') => {
                    self.at += 1;
                    return Ok(true);
                }
                Some(':') => {
                    self.at += 1;
                    return Ok(false);
                }
                Some('m') => {
                    "(?m) is not in this dialect; take the lines apart with SPLIT, or match a line's end as \\R"
                }
                Some('u' | 'U') => {
                    "Unicode's cases and sets are not in this dialect; compare LOWER(text), or name sets as \\p{L}"
                }
                Some('x') => {
                    "(?x) is not in this dialect; write the pattern without spaces and remarks"
                }
                Some('d') => "(?d) is not in this dialect; write the line end as \\n",
                _ => "the flags are i and s, as in (?i)",
            };
            return Err(self.refuse(way_round));
        }
    }
}
