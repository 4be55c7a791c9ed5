//! Java's syntax of regular expressions (`java.util.regex.Pattern`, Java 17) to that of the `regex` crate.
//!
//! The two agree on which match is found (the leftmost, by the order of alternatives), and differ in what the
//! same signs mean: `\d`, `\w`, `\s` and `(?i)` are ASCII's in Java, `.` stops at five line ends, `$` also
//! matches before the last of them. All sets are therefore written out. What the engine can't do in time
//! linear in the text's length (look-around, back-references, possessive repetition) is refused.

use super::reader::Reader;

/// A pattern for the engine.
pub(super) struct Translated {
    pub text: String,
    /// The same for texts that end with `\r\n`, where the pattern has a `$`.
    pub text_before_crlf: Option<String>,
    /// For each group of the pattern, from 0, its number in `text`.
    pub groups: Vec<usize>,
    /// The groups of `text` that hold the line end behind a `$`.
    pub ends: Vec<usize>,
}

/// Why a pattern is refused.
#[derive(Debug)]
pub(super) struct Refused {
    /// Which character of the pattern, from 0.
    pub at: usize,
    pub message: String,
}

pub(super) type Read<T> = Result<T, Refused>;

/// Most groups within each other.
pub(super) const MAX_DEPTH: usize = 100;

pub(super) enum Node {
    Empty,
    /// Text for the engine that takes one character, or `\R`.
    One(String),
    /// A position: the text for the engine.
    Position(&'static str),
    /// `$` or `\Z`, at a character of the pattern.
    End(usize),
    Group(Box<Node>, bool),
    Sequence(Vec<Node>),
    Choice(Vec<Node>),
    Repeat(Box<Node>, String),
}

/// Translates a pattern.
pub(super) fn translate(pattern: &str) -> Read<Translated> {
    let node = Reader::new(pattern).whole()?;
    let mut writer = Writer::default();
    writer.write(&node, true)?;
    Ok(Translated {
        text: writer.text.replace(LINE_END, r"[\n\r\x85\x{2028}\x{2029}]"),
        text_before_crlf: (!writer.ends.is_empty())
            .then(|| writer.text.replace(LINE_END, r"(?:\r\n)")),
        groups: writer.groups,
        ends: writer.ends,
    })
}

/// Stands for a text's last line end until it is known which one is meant; no pattern has it after escaping.
const LINE_END: &str = "\u{0}";

struct Writer {
    text: String,
    count: usize,
    groups: Vec<usize>,
    ends: Vec<usize>,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            text: String::new(),
            count: 0,
            groups: vec![0],
            ends: Vec::new(),
        }
    }
}

impl Writer {
    /// `last`: nothing of the pattern comes behind.
    fn write(&mut self, node: &Node, last: bool) -> Read<()> {
        match node {
            Node::Empty => {}
            Node::One(text) => self.text.push_str(text),
            Node::Position(text) => self.text.push_str(text),
            Node::End(at) if !last => {
                return Err(Refused {
                    at: *at,
                    message: "$ stands at the end of the pattern, or of an alternative that ends it; behind it there is nothing to match but a last line end, which \\z takes".to_owned(),
                });
            }
            Node::End(_) => {
                self.count += 1;
                self.ends.push(self.count);
                self.text += "(";
                self.text += LINE_END;
                self.text += r"?)\z";
            }
            Node::Group(inner, captures) => {
                if *captures {
                    self.count += 1;
                    self.groups.push(self.count);
                    self.text.push('(');
                } else {
                    self.text.push_str("(?:");
                }
                self.write(inner, last)?;
                self.text.push(')');
            }
            Node::Sequence(nodes) => {
                for (i, node) in nodes.iter().enumerate() {
                    self.write(node, last && i + 1 == nodes.len())?;
                }
            }
            Node::Choice(nodes) => {
                for (i, node) in nodes.iter().enumerate() {
                    if i > 0 {
                        self.text.push('|');
                    }
                    self.write(node, last)?;
                }
            }
            Node::Repeat(inner, times) => {
                self.write(inner, false)?;
                self.text.push_str(times);
            }
        }
        Ok(())
    }
}

/// True if it has a group that captures.
pub(super) fn captures(node: &Node) -> bool {
    match node {
        Node::Empty | Node::One(_) | Node::Position(_) | Node::End(_) => false,
        Node::Group(inner, captured) => *captured || captures(inner),
        Node::Repeat(inner, _) => captures(inner),
        Node::Sequence(nodes) | Node::Choice(nodes) => nodes.iter().any(captures),
    }
}

/// True if it may match without taking a character.
pub(super) fn nullable(node: &Node) -> bool {
    match node {
        Node::Empty | Node::Position(_) | Node::End(_) => true,
        Node::One(_) => false,
        Node::Group(inner, _) => nullable(inner),
        Node::Sequence(nodes) => nodes.iter().all(nullable),
        Node::Choice(nodes) => nodes.iter().any(nullable),
        Node::Repeat(inner, times) => {
            times.starts_with(['?', '*']) || times.starts_with("{0,") || nullable(inner)
        }
    }
}
