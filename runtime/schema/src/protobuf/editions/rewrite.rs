//! The text of an edition as proto2.

use super::shifts::{Edit, Shifts};
use super::tokens::{Kind, Token, tokens};
use crate::error::SchemaError;

/// The edition that is read.
const EDITION: &str = "2023";

/// What a statement stands in.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    File,
    Message,
    Oneof,
    Extend,
    Enum,
    /// A service, and whatever else has braces.
    Other,
}

/// The text as proto2, if it is of an edition. `beside` says whether there is a file of this name.
///
/// # Errors
/// The edition is none that is read, or something stands in it that editions don't have: labels, groups, reserved
/// names in quotes.
pub(in crate::protobuf) fn rewrite(
    text: &str,
    beside: impl Fn(&str) -> bool,
) -> Result<Option<(String, Shifts)>, SchemaError> {
    let tokens = tokens(text);
    let word = |at: usize| tokens.get(at).map(|token| token.text);
    if (word(0), word(1)) != (Some("edition"), Some("=")) {
        return Ok(None);
    }
    let mut rewriter = Rewriter {
        text,
        tokens: &tokens,
        next: 0,
        edits: Vec::new(),
    };
    rewriter.header()?;
    let mut open = vec![Body::File];
    while let Some(word) = rewriter.word(0) {
        match word {
            "}" => {
                rewriter.next += 1;
                if open.len() > 1 {
                    open.pop();
                }
            }
            ";" => rewriter.next += 1,
            _ => {
                let body = open.last().copied().unwrap_or(Body::File);
                open.extend(rewriter.statement(body, &beside)?);
            }
        }
    }
    Ok(Some(Shifts::apply(text, rewriter.edits)))
}

struct Rewriter<'a> {
    text: &'a str,
    tokens: &'a [Token<'a>],
    next: usize,
    edits: Vec<Edit>,
}

impl<'a> Rewriter<'a> {
    fn token(&self, ahead: usize) -> Option<&'a Token<'a>> {
        self.tokens.get(self.next + ahead)
    }

    fn word(&self, ahead: usize) -> Option<&'a str> {
        self.token(ahead).map(|token| token.text)
    }

    fn refuse<T>(&self, token: &Token<'_>, message: impl Into<String>) -> Result<T, SchemaError> {
        let before = &self.text[..token.at];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        Err(SchemaError::line(line, column, message))
    }

    fn insert(&mut self, at: usize, inserted: &str) {
        self.replace(at, 0, inserted);
    }

    fn replace(&mut self, at: usize, removed: usize, inserted: &str) {
        self.edits.push(Edit {
            at,
            removed,
            inserted: inserted.to_owned(),
        });
    }

    /// Puts spaces where these bytes stand.
    fn blank(&mut self, from: usize, to: usize) {
        let space = |byte: u8| if byte == b'\n' { '\n' } else { ' ' };
        let spaces: String = self.text[from..to].bytes().map(space).collect();
        self.replace(from, to - from, &spaces);
    }

    /// `edition = "2023";`, the first statement.
    fn header(&mut self) -> Result<(), SchemaError> {
        let Some(edition) = self.token(0) else {
            return Ok(());
        };
        let value = self.token(2).filter(|token| token.kind == Kind::Text);
        let Some(value) = value.filter(|_| self.word(3) == Some(";")) else {
            return self.refuse(
                edition,
                format!("an edition is written edition = \"{EDITION}\";"),
            );
        };
        if value.unquoted() != EDITION {
            return self.refuse(
                value,
                format!("edition {} isn't read; editions that are: {EDITION}. Write edition = \"{EDITION}\", which can say the same on the wire, or syntax = \"proto3\"", value.text),
            );
        }
        self.replace(edition.at, edition.text.len(), "syntax ");
        self.replace(value.at, value.text.len(), "\"proto2\"");
        self.next = 4;
        Ok(())
    }

    /// Reads a statement, up to its end or to what stands in its braces.
    fn statement(
        &mut self,
        body: Body,
        beside: &impl Fn(&str) -> bool,
    ) -> Result<Option<Body>, SchemaError> {
        use Body::{Enum, Extend, File, Message, Oneof, Other};
        match (body, self.word(0).unwrap_or_default()) {
            (File, "import") => Ok(self.import(beside)),
            (File | Message, "message") => Ok(self.rest().map(|_| Message)),
            (File | Message, "enum") => Ok(self.rest().map(|_| Enum)),
            (File | Message, "extend") => Ok(self.rest().map(|_| Extend)),
            (Message, "oneof") => Ok(self.rest().map(|_| Oneof)),
            (_, "option") => {
                self.option();
                Ok(None)
            }
            (Message | Enum, "reserved") => self.reserved(),
            (Message, "extensions") | (File | Enum | Other, _) => Ok(self.rest()),
            (Message | Oneof | Extend, _) => self.field(body),
        }
    }

    /// Up to the statement's end, or behind the brace that opens a body. A body's end is left.
    fn rest(&mut self) -> Option<Body> {
        while let Some(word) = self.word(0) {
            match word {
                "}" => return None,
                "[" => {
                    self.brackets();
                    continue;
                }
                _ => self.next += 1,
            }
            match word {
                ";" => return None,
                "{" => return Some(Body::Other),
                _ => {}
            }
        }
        None
    }

    /// Features of a single language are in a file that isn't there, and say nothing of records.
    fn import(&mut self, beside: &impl Fn(&str) -> bool) -> Option<Body> {
        let from = self.next;
        let rest = self.rest();
        let statement = &self.tokens[from..self.next];
        let named = statement.iter().find(|token| token.kind == Kind::Text);
        if let (Some(name), Some(last)) = (named, statement.last()) {
            let name = name.unquoted();
            let languages =
                name.starts_with("google/protobuf/") && name.ends_with("_features.proto");
            if languages && !beside(name) {
                self.blank(statement[0].at, last.end());
            }
        }
        rest
    }

    fn option(&mut self) {
        let from = self.next;
        let language = is_language(&self.tokens[from + 1..]);
        let mut depth = 0_usize;
        while let Some(word) = self.word(0) {
            match word {
                "{" | "[" | "(" => depth += 1,
                "}" if depth == 0 => break,
                "}" | "]" | ")" => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.next += 1;
            if word == ";" && depth == 0 {
                break;
            }
        }
        if language {
            self.blank(self.tokens[from].at, self.tokens[self.next - 1].end());
        }
    }

    /// `reserved foo, bar;` stands in proto2 with quotes.
    fn reserved(&mut self) -> Result<Option<Body>, SchemaError> {
        self.next += 1;
        // Else numbers.
        let names = |token: &Token<'_>| {
            token.kind == Kind::Text || token.kind == Kind::Word && !begins_with_digit(token)
        };
        if !self.token(0).is_some_and(names) {
            return Ok(self.rest());
        }
        while let Some(name) = self.token(0) {
            if name.kind == Kind::Text {
                return self.refuse(
                    name,
                    format!(
                        "in an edition reserved names have no quotes: reserved {};",
                        name.unquoted()
                    ),
                );
            }
            if !names(name) {
                return self.refuse(name, "expected a name that is reserved");
            }
            self.replace(name.at, name.text.len(), &format!("\"{}\"", name.text));
            self.next += 1;
            match self.token(0) {
                Some(comma) if comma.text == "," => self.next += 1,
                Some(other) if other.text != ";" => {
                    return self.refuse(other, "expected ',' or ';' behind a reserved name");
                }
                _ => break,
            }
        }
        Ok(self.rest())
    }

    fn field(&mut self, body: Body) -> Result<Option<Body>, SchemaError> {
        let Some(first) = self.token(0) else {
            return Ok(None);
        };
        match first.text {
            "optional" if body != Body::Oneof => {
                return self.refuse(first, "an edition has no optional: leave the word out, every field of one value may be absent unless features.field_presence = IMPLICIT");
            }
            "required" if body != Body::Oneof => {
                return self.refuse(first, "an edition has no required: write [features.field_presence = LEGACY_REQUIRED] behind the field's number");
            }
            _ => {}
        }
        let repeated = first.text == "repeated";
        let type_ = self.token(usize::from(repeated));
        if let Some(group) = type_.filter(|token| token.text == "group") {
            return self.refuse(
                group,
                "an edition has no groups, and a group is no column; make it a message",
            );
        }
        let map = first.text == "map" && self.word(1) == Some("<");
        let begins = first.kind == Kind::Word || first.text == ".";
        if begins && !repeated && !map && body != Body::Oneof {
            self.insert(first.at, "optional ");
        }
        Ok(self.rest())
    }

    /// Options in brackets, without those of single languages.
    fn brackets(&mut self) {
        let open = self.next;
        let mut items: Vec<(usize, usize)> = Vec::new();
        let (mut depth, mut from) = (0_usize, open + 1);
        while let Some(word) = self.word(0) {
            let at = self.next;
            self.next += 1;
            match word {
                "[" | "{" | "(" => depth += 1,
                "]" | "}" | ")" => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 || word == "," && depth == 1 {
                items.push((from, at));
                from = at + 1;
            }
            if depth == 0 {
                break;
            }
        }
        let gone = |item: &(usize, usize)| is_language(&self.tokens[item.0..item.1]);
        let (gone, kept): (Vec<_>, Vec<_>) = items.into_iter().partition(gone);
        let Some(last) = kept.last() else {
            if !gone.is_empty() {
                self.blank(self.tokens[open].at, self.tokens[self.next - 1].end());
            }
            return;
        };
        for (from, to) in &gone {
            // With the comma behind it. One behind the last that is kept goes, too.
            let comma = *self
                .tokens
                .get(*to)
                .filter(|t| t.text == ",")
                .unwrap_or(&self.tokens[to - 1]);
            self.blank(self.tokens[*from].at, comma.end());
        }
        if let Some(comma) = self.tokens.get(last.1).filter(|token| token.text == ",") {
            self.blank(comma.at, comma.end());
        }
    }
}

fn begins_with_digit(token: &Token<'_>) -> bool {
    token.text.starts_with(|c: char| c.is_ascii_digit())
}

/// True for `features.(pb.cpp)…`: a feature of a single language.
fn is_language(option: &[Token<'_>]) -> bool {
    let mut words = option.iter().map(|token| token.text);
    (words.next(), words.next(), words.next()) == (Some("features"), Some("."), Some("("))
}
