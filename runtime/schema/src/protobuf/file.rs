//! A Protobuf file's text as descriptors.

use prost_reflect::{DescriptorPool, FileDescriptor, MessageDescriptor};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use crate::error::SchemaError;
use crate::limits::MAX_TEXT;
use crate::text::{ReferencedSchema, SchemaText};

/// What the file is called in descriptors.
const NAME: &str = "contract.proto";
/// Brackets in brackets. The parser behind this descends by recursion, and has no limit of its own.
const MAX_NESTING: usize = 48;

/// Reads a file. It may import Google's well-known types.
///
/// # Errors
/// It is no Protobuf file, or too large.
pub fn parse(text: &str) -> Result<FileDescriptor, SchemaError> {
    of(text, &[])
}

/// A registry's file, with those that it imports.
///
/// # Errors
/// One of them is no Protobuf file, or too large.
pub fn parse_written(written: &SchemaText) -> Result<FileDescriptor, SchemaError> {
    for referenced in &written.references {
        parsable(&referenced.text)
            .map_err(|error| SchemaError::whole(format!("{}: {error}", referenced.name)))?;
    }
    of(&written.text, &written.references)
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

fn of(text: &str, imports: &[ReferencedSchema]) -> Result<FileDescriptor, SchemaError> {
    parsable(text)?;
    let mut resolver = ChainFileResolver::new();
    resolver.add(GoogleFileResolver::new());
    resolver.add(Files {
        own: text.to_owned(),
        imports: imports.to_vec(),
    });
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).include_source_info(true);
    compiler.open_file(NAME).map_err(|error| refused(&error))?;
    let pool: DescriptorPool = compiler.descriptor_pool();
    pool.get_file_by_name(NAME)
        .ok_or_else(|| SchemaError::whole("the Protobuf file is empty"))
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

/// The contract's own file, and those that a registry has it with.
struct Files {
    own: String,
    imports: Vec<ReferencedSchema>,
}

impl FileResolver for Files {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == NAME {
            let own = &self.own;
            return File::from_source(name, own.strip_prefix('\u{feff}').unwrap_or(own));
        }
        match self.imports.iter().find(|import| import.name == name) {
            Some(import) => File::from_source(name, &import.text),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

/// The library writes `file:line:column: message` for people who debug; here it becomes a place.
fn refused(error: &protox::Error) -> SchemaError {
    let mut message = error.to_string().replace(
        "a field with JSON name '' is already defined",
        "two fields would have one name in JSON: rename one of them",
    );
    if error.is_file_not_found() {
        message.push_str(
            "; a contract is one file, which may import google/protobuf/timestamp.proto and Google's other well-known types: copy in what else it needs",
        );
    }
    let said = format!("{error:?}");
    let place = said
        .strip_prefix(NAME)
        .and_then(|rest| rest.strip_prefix(':'))
        .map(|rest| rest.splitn(3, ':').collect::<Vec<_>>());
    match place.as_deref() {
        Some([line, column, ..]) => match (line.trim().parse(), column.trim().parse()) {
            (Ok(line), Ok(column)) => SchemaError::line(line, column, message),
            _ => SchemaError::whole(message),
        },
        _ => SchemaError::whole(message),
    }
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
