//! A Protobuf file's text as descriptors.

use std::fmt::Write as _;

use prost_reflect::{DescriptorPool, FileDescriptor, MessageDescriptor};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use crate::error::SchemaError;
use crate::limits::MAX_TEXT;
use crate::text::SchemaText;

/// What the file is called in descriptors.
pub(super) const NAME: &str = "contract.proto";
/// Brackets in brackets. The parser behind this descends by recursion, and has no limit of its own.
const MAX_NESTING: usize = 48;

/// Reads a file, with those that it imports: those that the text brings along, and Google's well-known types.
///
/// # Errors
/// One of them is no Protobuf file, or too large, or imports one that isn't there.
pub fn parse(text: impl Into<SchemaText>) -> Result<FileDescriptor, SchemaError> {
    let text = text.into();
    text.within_limits()?;
    for referenced in &text.references {
        parsable(&referenced.text).map_err(|error| error.within(&referenced.name))?;
    }
    parsable(&text.text)?;
    let mut resolver = ChainFileResolver::new();
    resolver.add(GoogleFileResolver::new());
    resolver.add(Files(text.clone()));
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).include_source_info(true);
    compiler
        .open_file(NAME)
        .map_err(|error| refused(&error, &text))?;
    let pool: DescriptorPool = compiler.descriptor_pool();
    pool.get_file_by_name(NAME)
        .ok_or_else(|| SchemaError::whole("the Protobuf file is empty"))
}

/// Refuses what the parser can't be given.
fn parsable(text: &str) -> Result<(), SchemaError> {
    if text.len() > MAX_TEXT {
        return Err(SchemaError::whole(format!(
            "a Protobuf file may have {MAX_TEXT} bytes, this one has {}",
            text.len()
        )));
    }
    if let Some((line, column, why)) = unsafe_to_parse(text) {
        return Err(SchemaError::line(line, column, why));
    }
    if let Some((line, column)) = edition(text) {
        return Err(SchemaError::line(line, column, EDITIONS));
    }
    Ok(())
}

/// The message that a record is: `name` in full, or the file's first.
///
/// # Errors
/// The file has no such message.
pub fn message(
    file: &FileDescriptor,
    name: Option<&str>,
) -> Result<MessageDescriptor, SchemaError> {
    let Some(name) = name else {
        return file.messages().next().ok_or_else(|| {
            SchemaError::whole("the Protobuf file has no message; a record is one")
        });
    };
    let pool = file.parent_pool();
    let found = pool
        .get_message_by_name(name)
        .filter(|message| message.parent_file() == *file && !message.is_map_entry());
    found.ok_or_else(|| {
        let names: Vec<String> = file
            .messages()
            .take(20)
            .map(|message| message.full_name().to_owned())
            .collect();
        SchemaError::whole(format!(
            "the Protobuf file has no message {name}; it has {}",
            if names.is_empty() {
                "none".to_owned()
            } else {
                names.join(", ")
            }
        ))
    })
}

/// The contract's own file, and those that it refers to.
struct Files(SchemaText);

impl FileResolver for Files {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == NAME {
            return File::from_source(name, without_mark(&self.0.text));
        }
        let mut imports = self.0.references.iter();
        match imports.find(|import| import.name == name) {
            Some(import) => File::from_source(name, without_mark(&import.text)),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The library writes `file:line:column: message` for people who debug; here it becomes a place.
fn refused(error: &protox::Error, text: &SchemaText) -> SchemaError {
    let mut message = error.to_string().replace(
        "a field with JSON name '' is already defined",
        "two fields would have one name in JSON: rename one of them",
    );
    if error.is_file_not_found() {
        let beside = text.listed();
        if beside.is_empty() {
            message.push_str("; a contract is one file, which may import google/protobuf/timestamp.proto and Google's other well-known types: copy in what else it needs");
        } else {
            let _ = write!(
                message,
                "; beside the definition there are {beside}, and Google's well-known types: add the file under the name that the import has"
            );
        }
    }
    let said = format!("{error:?}");
    let place = |name: &str| {
        let mut rest = said.strip_prefix(name)?.strip_prefix(':')?.splitn(3, ':');
        let line = rest.next()?.trim().parse().ok()?;
        let column = rest.next()?.trim().parse().ok()?;
        Some((line, column))
    };
    if let Some((line, column)) = place(NAME) {
        return SchemaError::line(line, column, message);
    }
    for referenced in &text.references {
        if let Some((line, column)) = place(&referenced.name) {
            return SchemaError::line(line, column, message).within(&referenced.name);
        }
    }
    SchemaError::whole(message)
}

const EDITIONS: &str = "editions aren't read: the library behind this (protox) knows proto2 and proto3. Of edition 2023 without features the same on the wire is syntax = \"proto3\" with optional before each field that is one value";

/// Where the file says its edition, which stands before everything else.
fn edition(text: &str) -> Option<(usize, usize)> {
    let mut rest = text.trim_start_matches('\u{feff}');
    loop {
        rest = rest.trim_start();
        rest = if rest.starts_with("//") {
            rest.split_once('\n').map_or("", |(_, rest)| rest)
        } else if rest.starts_with("/*") {
            rest.split_once("*/").map_or("", |(_, rest)| rest)
        } else {
            break;
        };
    }
    let after = rest.strip_prefix("edition")?.trim_start();
    let before = &text[..text.len() - rest.len()];
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    after
        .starts_with('=')
        .then(|| (before.matches('\n').count() + 1, column))
}

/// Where the parser would go astray, and why. It descends by recursion as deep as brackets are nested, so they are
/// counted first, outside strings and comments; and since it looks at what is wrong only when all is parsed, what it
/// might take for the end of a string or comment at another place than is done here is refused, or brackets without
/// end could hide there: comments within comments, strings over lines, escapes that there aren't.
fn unsafe_to_parse(text: &str) -> Option<(usize, usize, String)> {
    let mut place = Place {
        rest: text.chars().peekable(),
        line: 1,
        column: 0,
    };
    let mut depth = 0_usize;
    while let Some(c) = place.next() {
        let wrong = match (c, place.rest.peek()) {
            ('"' | '\'', _) => string(&mut place, c),
            ('#', _) | ('/', Some('/')) => {
                while place.next().is_some_and(|c| c != '\n') {}
                None
            }
            ('/', Some('*')) => {
                place.next();
                comment(&mut place)
            }
            ('{' | '(' | '[' | '<', _) => {
                depth += 1;
                (depth > MAX_NESTING).then(|| format!("nested more than {MAX_NESTING} levels deep"))
            }
            ('}' | ')' | ']' | '>', _) => {
                depth = depth.saturating_sub(1);
                None
            }
            _ => None,
        };
        if let Some(why) = wrong {
            return Some((place.line, place.column, why));
        }
    }
    None
}

/// Characters, with the place of the last one.
struct Place<'a> {
    rest: std::iter::Peekable<std::str::Chars<'a>>,
    line: usize,
    column: usize,
}

impl Place<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.next()?;
        self.column += 1;
        if c == '\n' {
            self.line += 1;
            self.column = 0;
        }
        Some(c)
    }
}

/// Passes over a comment, whose beginning is read.
fn comment(place: &mut Place<'_>) -> Option<String> {
    while let Some(c) = place.next() {
        match (c, place.rest.peek()) {
            ('*', Some('/')) => {
                place.next();
                break;
            }
            ('/', Some('*')) => {
                return Some(
                    "a comment within a comment: end the first one before it, or write it with //"
                        .to_owned(),
                );
            }
            _ => {}
        }
    }
    None
}

/// Passes over a string, whose first quote is read.
fn string(place: &mut Place<'_>, quote: char) -> Option<String> {
    while let Some(c) = place.next() {
        match c {
            '\n' | '\0' => return Some("a string that doesn't end on its line".to_owned()),
            '\\' => {
                let digits = match place.next() {
                    Some(c) if "abfnrtv?\\'\"01234567".contains(c) => 0,
                    Some('x' | 'X') => 1,
                    Some('u') => 4,
                    Some('U') => 8,
                    _ => return Some("a string with an escape that there isn't".to_owned()),
                };
                for _ in 0..digits {
                    if !place.next().is_some_and(|c| c.is_ascii_hexdigit()) {
                        return Some("a string with an escape that there isn't".to_owned());
                    }
                }
            }
            c if c == quote => break,
            _ => {}
        }
    }
    None
}
