//! A Protobuf file's text as descriptors.

use prost_reflect::{DescriptorPool, FileDescriptor, MessageDescriptor};
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver};

use crate::{MAX_TEXT, SchemaError};

/// What the file is called in descriptors.
const NAME: &str = "contract.proto";
/// Brackets in brackets. The parser behind this descends by recursion, and has no limit of its own.
const MAX_NESTING: usize = 48;

/// Reads a file. It may import Google's well-known types.
///
/// # Errors
/// It is no Protobuf file, or too large.
pub fn parse(text: &str) -> Result<FileDescriptor, SchemaError> {
    if text.len() > MAX_TEXT {
        return Err(SchemaError::whole(format!(
            "a Protobuf file may have {MAX_TEXT} bytes, this one has {}",
            text.len()
        )));
    }
    if let Some((line, column)) = too_deep(text) {
        return Err(SchemaError::line(
            line,
            column,
            format!("nested more than {MAX_NESTING} levels deep"),
        ));
    }
    let mut resolver = ChainFileResolver::new();
    resolver.add(One(text.to_owned()));
    resolver.add(GoogleFileResolver::new());
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

/// Only the contract's own file.
struct One(String);

impl FileResolver for One {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == NAME {
            File::from_source(name, &self.0)
        } else {
            Err(protox::Error::file_not_found(name))
        }
    }
}

/// The library writes `file:line:column: message` for people who debug; here it becomes a place.
fn refused(error: &protox::Error) -> SchemaError {
    let mut message = error.to_string();
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

/// Where brackets are nested too deep, outside strings and comments.
fn too_deep(text: &str) -> Option<(usize, usize)> {
    let (mut line, mut column, mut depth) = (1, 0, 0_usize);
    let mut chars = text.chars().peekable();
    let mut until: Option<char> = None; // the end of what we are in: a quote, '\n' or '*' for a comment
    while let Some(c) = chars.next() {
        column += 1;
        if c == '\n' {
            line += 1;
            column = 0;
        }
        match (until, c) {
            (Some('*'), '*') if chars.peek() == Some(&'/') => {
                chars.next();
                column += 1;
                until = None;
            }
            (Some('\n'), '\n') => until = None,
            (Some(quote @ ('"' | '\'')), _) => {
                if c == '\\' {
                    chars.next();
                    column += 1;
                } else if c == quote || c == '\n' {
                    until = None;
                }
            }
            (None, '"' | '\'') => until = Some(c),
            (None, '#') => until = Some('\n'),
            (None, '/') => match chars.peek() {
                Some('/') => until = Some('\n'),
                Some('*') => {
                    chars.next();
                    column += 1;
                    until = Some('*');
                }
                _ => {}
            },
            (None, '{' | '(' | '[' | '<') => {
                depth += 1;
                if depth > MAX_NESTING {
                    return Some((line, column));
                }
            }
            (None, '}' | ')' | ']' | '>') => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}
