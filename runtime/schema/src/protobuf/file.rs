//! A Protobuf file's text as descriptors.

use std::fmt::Write as _;
use std::sync::Arc;

use prost_reflect::{DescriptorPool, FileDescriptor, MessageDescriptor};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use super::editions::{self, Shifts};
use crate::error::SchemaError;
use crate::limits::MAX_TEXT;
use crate::text::SchemaText;

/// What the file is called in descriptors.
pub(super) const NAME: &str = "contract.proto";
/// Brackets in brackets. The parser behind this descends by recursion, and has no limit of its own.
const MAX_NESTING: usize = 48;

/// Reads a file, with those that it imports: those that the text brings along, and Google's well-known types. What is of
/// an edition comes as the proto2 or proto3 that says the same.
///
/// # Errors
/// One of them is no Protobuf file, or too large, or imports one that isn't there.
pub fn parse(text: impl Into<SchemaText>) -> Result<FileDescriptor, SchemaError> {
    read(&text.into(), |_, _| Ok(()))
}

/// As [`parse`]; `check` sees each file as the parser has it, before its features are resolved.
pub(super) fn read(
    text: &SchemaText,
    check: impl Fn(&FileDescriptor, &Texts) -> Result<(), SchemaError>,
) -> Result<FileDescriptor, SchemaError> {
    text.within_limits()?;
    let texts = Arc::new(Texts::of(text)?);
    let mut resolver = ChainFileResolver::new();
    resolver.add(GoogleFileResolver::new());
    resolver.add(Files(Arc::clone(&texts)));
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).include_source_info(true);
    compiler
        .open_file(NAME)
        .map_err(|error| refused(&error, text, &texts))?;
    let mut pool: DescriptorPool = compiler.descriptor_pool();
    for one in &texts.0 {
        // One that nothing imports isn't there.
        if let Some(file) = pool.get_file_by_name(&one.name) {
            check(&file, &texts).map_err(|error| within(&one.name, error))?;
        }
    }
    if texts.0.iter().any(|one| one.shifts.is_some()) {
        pool = editions::resolved(&pool, |name| texts.shifts(name))
            .map_err(|(name, error)| within(&name, error))?;
    }
    pool.get_file_by_name(NAME)
        .ok_or_else(|| SchemaError::whole("the Protobuf file is empty"))
}

/// A definition's text and those beside it, as the parser gets them.
pub(super) struct Texts(Vec<Text>);

struct Text {
    name: String,
    /// As the parser gets it.
    content: String,
    /// Of a file of an edition: the way back to the text as it was written.
    shifts: Option<Shifts>,
}

impl Texts {
    fn of(text: &SchemaText) -> Result<Texts, SchemaError> {
        let beside = |name: &str| text.references.iter().any(|r| r.name == name);
        let mut texts = Vec::new();
        for referenced in &text.references {
            let one = Text::of(&referenced.name, &referenced.text, beside);
            texts.push(one.map_err(|error| error.within(&referenced.name))?);
        }
        texts.insert(0, Text::of(NAME, &text.text, beside)?);
        Ok(Texts(texts))
    }

    /// Of a file of an edition: the way from the parser's columns back to the text's.
    pub(super) fn shifts(&self, name: &str) -> Option<&Shifts> {
        let found = self.0.iter().find(|one| one.name == name)?;
        found.shifts.as_ref()
    }
}

impl Text {
    fn of(name: &str, text: &str, beside: impl Fn(&str) -> bool) -> Result<Text, SchemaError> {
        parsable(text)?;
        let text = without_mark(text);
        let rewritten = if is_googles(name) {
            None
        } else {
            editions::rewrite(text, beside)?
        };
        let (content, shifts) = match rewritten {
            Some((text, shifts)) => (text, Some(shifts)),
            None => (text.to_owned(), None),
        };
        Ok(Text {
            name: name.to_owned(),
            content,
            shifts,
        })
    }
}

/// True for one of Google's well-known types, of which the text beside counts for nothing.
fn is_googles(name: &str) -> bool {
    name.starts_with("google/protobuf/") && GoogleFileResolver::new().open_file(name).is_ok()
}

fn within(name: &str, error: SchemaError) -> SchemaError {
    if name == NAME {
        error
    } else {
        error.within(name)
    }
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
struct Files(Arc<Texts>);

impl FileResolver for Files {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        match self.0.0.iter().find(|one| one.name == name) {
            Some(one) => File::from_source(name, &one.content),
            None => Err(protox::Error::file_not_found(name)),
        }
    }
}

fn without_mark(text: &str) -> &str {
    text.strip_prefix('\u{feff}').unwrap_or(text)
}

/// The library writes `file:line:column: message` for people who debug; here it becomes a place.
fn refused(error: &protox::Error, text: &SchemaText, texts: &Texts) -> SchemaError {
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
        let line: usize = rest.next()?.trim().parse().ok()?;
        let column: usize = rest.next()?.trim().parse().ok()?;
        let (row, at) = (line.checked_sub(1)?, column.checked_sub(1)?);
        let original = texts
            .shifts(name)
            .map(|shifts| shifts.original(row, at) + 1);
        Some((line, original.unwrap_or(column)))
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
