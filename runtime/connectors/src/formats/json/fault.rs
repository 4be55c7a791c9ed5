//! Where and why a record was refused. Built while the error travels up, so the way down costs nothing.

use std::cell::{Cell, RefCell};
use std::fmt::Write;

use headworks_engine::format::RowError;
use headworks_plan::DeadLetterReason;
use serde::de;

/// The record would take more memory than it may.
pub(super) const TOO_MUCH: &str =
    "takes too much memory: it has too many values, or too many fields that aren't there";

/// Longest map key that a path shows, in characters: a path is for reading, the value stays in the record.
const SHOWN: usize = 64;

/// One step of a path.
pub(in crate::formats) enum Step {
    Field(String),
    Index(usize),
    Key(String),
}

/// Collects the reason at the place of the fault, and the path on the way out of it; and counts what the
/// record costs, so that no text makes much more memory of little.
pub(in crate::formats) struct Fault {
    inner: RefCell<Inner>,
    /// Bytes that may still be spent; absent: too many were.
    left: Cell<Option<usize>>,
    /// Whole numbers are read from their text. That is slower, and only what has a point or an exponent needs it.
    pub(in crate::formats) exact: bool,
}

#[derive(Default)]
struct Inner {
    /// The record is to be read again, exactly.
    again: bool,
    found: Option<(DeadLetterReason, String)>,
    /// Innermost first.
    steps: Vec<Step>,
}

impl Fault {
    /// Of a record that may cost so many bytes; `exact`: whole numbers are read from their text.
    pub(in crate::formats) fn new(exact: bool, left: usize) -> Fault {
        Fault {
            inner: RefCell::default(),
            left: Cell::new(Some(left)),
            exact,
        }
    }

    /// Spends `bytes`.
    pub(in crate::formats) fn spend<E: de::Error>(&self, bytes: usize) -> Result<(), E> {
        let left = self.left.get().and_then(|left| left.checked_sub(bytes));
        self.left.set(left);
        match left {
            Some(_) => Ok(()),
            None => Err(self.note(DeadLetterReason::TooLarge, TOO_MUCH.to_owned())),
        }
    }

    /// Bytes that may still be spent; absent: the record was given up because it cost too many.
    pub(in crate::formats) fn left(&self) -> Option<usize> {
        self.left.get()
    }

    /// What stands here can be judged by its text only.
    #[cold]
    pub(in crate::formats) fn inexact<E: de::Error>(&self) -> E {
        self.inner.borrow_mut().again = true;
        E::custom("")
    }

    /// True if another reading may take what this one hasn't: no rule of ours was broken. The parser makes a float of a
    /// number with an exponent, and calls one that is too large no number at all.
    pub(in crate::formats) fn undecided(&self) -> bool {
        let inner = self.inner.borrow();
        !self.exact && (inner.again || inner.found.is_none())
    }

    /// The value here breaks the contract.
    pub(in crate::formats) fn contract<E: de::Error>(&self, message: impl Into<String>) -> E {
        self.note(DeadLetterReason::Contract, message.into())
    }

    /// The record isn't of the format.
    pub(in crate::formats) fn decode<E: de::Error>(&self, message: impl Into<String>) -> E {
        self.note(DeadLetterReason::Decode, message.into())
    }

    /// The field `step` here breaks the contract.
    pub(in crate::formats) fn contract_at<E: de::Error>(
        &self,
        step: Step,
        message: impl Into<String>,
    ) -> E {
        let error = self.contract(message);
        self.within(step, error)
    }

    /// Passes `error` on, one step further out.
    pub(in crate::formats) fn within<E>(&self, step: Step, error: E) -> E {
        self.inner.borrow_mut().steps.push(step);
        error
    }

    fn note<E: de::Error>(&self, reason: DeadLetterReason, message: String) -> E {
        self.inner.borrow_mut().found = Some((reason, message));
        E::custom("")
    }

    /// The whole story. Where no rule of ours was broken, `error` is the parser's own.
    pub(in crate::formats) fn into_row_error(self, error: &serde_json::Error) -> RowError {
        let Inner { found, steps, .. } = self.inner.into_inner();
        let (reason, message) =
            found.unwrap_or_else(|| (DeadLetterReason::Decode, format!("not JSON: {error}")));
        RowError {
            reason,
            path: path(&steps),
            message,
        }
    }
}

fn path(steps: &[Step]) -> String {
    let mut path = String::new();
    for step in steps.iter().rev() {
        match step {
            Step::Field(name) => {
                if !path.is_empty() {
                    path.push('.');
                }
                path.push_str(&shown(name));
            }
            Step::Index(index) => {
                let _ = write!(path, "[{index}]");
            }
            Step::Key(key) => {
                let _ = write!(path, "[{:?}]", shown(key));
            }
        }
    }
    path
}

fn shown(name: &str) -> String {
    match name.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &name[..end]),
        None => name.to_owned(),
    }
}
