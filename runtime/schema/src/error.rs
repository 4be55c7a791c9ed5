//! What is wrong with a definition, where, and what to do about it.

use snafu::Snafu;

/// A definition that can't be read or made.
#[derive(Clone, Debug, PartialEq, Eq, Snafu)]
#[snafu(display("{}{message}", if place.is_empty() { String::new() } else { format!("{place}: ") }))]
pub struct SchemaError {
    /// `line 3, column 7`, `field items.sku`, or both; empty where the whole text is meant.
    pub place: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl SchemaError {
    /// Something wrong with the whole.
    pub(crate) fn whole(message: impl Into<String>) -> SchemaError {
        SchemaError {
            place: String::new(),
            message: message.into(),
        }
    }

    /// Something wrong at a field, given by its path.
    pub(crate) fn at(path: &[String], message: impl Into<String>) -> SchemaError {
        SchemaError {
            place: if path.is_empty() {
                String::new()
            } else {
                format!("field {}", path.join("."))
            },
            message: message.into(),
        }
    }

    /// The same, in a text that another one refers to by this name.
    pub(crate) fn within(self, name: &str) -> SchemaError {
        SchemaError {
            place: if self.place.is_empty() {
                name.to_owned()
            } else {
                format!("{name}: {}", self.place)
            },
            message: self.message,
        }
    }

    /// Something wrong at a place in the text, both counted from 1.
    pub(crate) fn line(line: usize, column: usize, message: impl Into<String>) -> SchemaError {
        SchemaError {
            place: format!("line {line}, column {column}"),
            message: message.into(),
        }
    }
}
