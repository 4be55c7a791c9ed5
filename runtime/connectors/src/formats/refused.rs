//! Why a record or a value was refused, with the path that is made on the way out.

use std::fmt::Write as _;

use headworks_engine::format::{DecodeError, FormatError, RowError};
use headworks_plan::DeadLetterReason;

/// Longest name or map key that a path shows, in characters.
const SHOWN: usize = 64;

/// A record that is refused. On the heap: the way of a good record carries only a pointer.
#[derive(Debug)]
pub(super) struct Refused(Box<Inner>);

#[derive(Debug)]
struct Inner {
    reason: DeadLetterReason,
    message: String,
    /// Innermost first, each as it stands in the path.
    steps: Vec<String>,
}

impl Refused {
    /// The bytes aren't of the format.
    #[cold]
    pub(super) fn decode(message: impl Into<String>) -> Refused {
        Refused::new(DeadLetterReason::Decode, message.into())
    }

    /// The value breaks the contract.
    #[cold]
    pub(super) fn contract(message: impl Into<String>) -> Refused {
        Refused::new(DeadLetterReason::Contract, message.into())
    }

    fn new(reason: DeadLetterReason, message: String) -> Refused {
        Refused(Box::new(Inner {
            reason,
            message,
            steps: Vec::new(),
        }))
    }

    #[cold]
    pub(super) fn field(mut self, name: &str) -> Refused {
        self.0.steps.push(format!(".{}", shown(name)));
        self
    }

    #[cold]
    pub(super) fn index(mut self, index: usize) -> Refused {
        self.0.steps.push(format!("[{index}]"));
        self
    }

    #[cold]
    pub(super) fn key(mut self, key: &[u8]) -> Refused {
        let key = String::from_utf8_lossy(key);
        let mut step = String::new();
        let _ = write!(step, "[{:?}]", shown(&key));
        self.0.steps.push(step);
        self
    }

    fn path(&self) -> String {
        let path: String = self.0.steps.iter().rev().map(String::as_str).collect();
        path.strip_prefix('.').unwrap_or(&path).to_owned()
    }
}

impl From<Refused> for RowError {
    fn from(refused: Refused) -> RowError {
        RowError {
            reason: refused.0.reason,
            path: refused.path(),
            message: refused.0.message,
        }
    }
}

impl From<Refused> for DecodeError {
    fn from(refused: Refused) -> DecodeError {
        RowError::from(refused).into()
    }
}

impl From<Refused> for FormatError {
    fn from(refused: Refused) -> FormatError {
        FormatError::Value {
            field: refused.path(),
            message: refused.0.message,
        }
    }
}

fn shown(name: &str) -> String {
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}
