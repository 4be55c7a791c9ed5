//! What the engine asks of a wire format: bytes to columns and back.
//!
//! The engine knows no format; `connectors` implements these for JSON and the others. A decoder is
//! made for a pruned schema, so it never builds a column that no query reads.

use arrow::array::RecordBatch;
use headworks_plan::DeadLetterReason;
use snafu::Snafu;

/// Why a record can't be read: which rule, where in the record, and what was found.
#[derive(Clone, Debug, PartialEq, Eq, Snafu)]
#[snafu(display("{}{message}", if path.is_empty() { String::new() } else { format!("field {path}: ") }))]
pub struct RowError {
    /// Of one that is read: `Decode` (not of the format at all), `Contract` (breaks the contract) or `TooLarge`.
    pub reason: DeadLetterReason,
    /// Path of the field, such as `items[2].sku`; empty for the record itself.
    pub path: String,
    /// What was expected and what was found; never the whole value.
    pub message: String,
}

/// Why a record isn't in the batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DecodeError {
    /// It can't be used.
    Refused {
        /// Why.
        error: RowError,
    },
    /// It can be judged only once something outside has answered, such as a schema registry. It is neither good nor bad
    /// yet: the engine gives up the transaction, waits, and reads it again.
    Waits {
        /// For what.
        message: String,
    },
}

impl From<RowError> for DecodeError {
    fn from(error: RowError) -> DecodeError {
        DecodeError::Refused { error }
    }
}

impl std::fmt::Display for DecodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            DecodeError::Refused { error } => error.fmt(f),
            DecodeError::Waits { message } => f.write_str(message),
        }
    }
}

impl std::error::Error for DecodeError {}

impl DecodeError {
    /// Why the record can't be used; none of one that has to wait.
    pub fn refused(self) -> Option<RowError> {
        match self {
            DecodeError::Refused { error } => Some(error),
            DecodeError::Waits { .. } => None,
        }
    }
}

/// Why a batch can't be built or written.
#[derive(Debug, Snafu)]
#[snafu(visibility(pub))]
pub enum FormatError {
    /// Arrow refused the columns: a bug of ours, never of the data.
    #[snafu(display("cannot build columns: {source}"))]
    Columns {
        /// What Arrow said.
        source: arrow::error::ArrowError,
    },
    /// A value that the format cannot write.
    #[snafu(display("cannot write field {field}: {message}"))]
    Value {
        /// The field.
        field: String,
        /// What is wrong.
        message: String,
    },
    /// A record has to wait, and with it the batch.
    #[snafu(display("{message}"))]
    Waits {
        /// For what.
        message: String,
    },
}

/// Turns payloads into rows of one batch. A refused payload leaves no trace in the batch.
pub trait Decoder: Send {
    /// Adds one record.
    ///
    /// # Errors
    /// The record isn't of the format, breaks the contract, or has to wait.
    fn decode(&mut self, payload: &[u8]) -> Result<(), DecodeError>;
    /// Records added since the last [`Decoder::finish`].
    fn rows(&self) -> usize;
    /// Gives the batch and starts a new one.
    ///
    /// # Errors
    /// Arrow refused the columns.
    fn finish(&mut self) -> Result<RecordBatch, FormatError>;
}

/// Writes rows of a batch that has the contract's schema.
pub trait Encoder: Send {
    /// Appends row `row`'s value to `out`.
    ///
    /// # Errors
    /// A value that the format cannot write.
    fn encode(
        &mut self,
        batch: &RecordBatch,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError>;
    /// Appends row `row`'s Kafka key to `out`; false where the contract has no key.
    ///
    /// # Errors
    /// A value that the format cannot write.
    fn key(
        &mut self,
        batch: &RecordBatch,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, FormatError>;
    /// How many bytes the value that was encoded last has in Kafka, where those aren't what was appended: a run in memory
    /// shows rows in another form.
    fn wire_len(&self) -> Option<usize> {
        None
    }
}

/// Makes decoders and encoders: the seam through which the binary hands formats to the engine.
pub trait Formats: Send + Sync {
    /// A decoder for `columns` (top-level fields, in this order) of `contract`.
    ///
    /// # Errors
    /// The contract has a type that the format cannot carry.
    fn decoder(
        &self,
        contract: &headworks_plan::Contract,
        columns: &[String],
    ) -> Result<Box<dyn Decoder>, FormatError>;
    /// A decoder for the keys of records, as [`Encoder::key`] writes them: its batches have the key's fields, in the key's order.
    ///
    /// # Errors
    /// The contract has no key, or one that the format cannot carry.
    fn keys(&self, contract: &headworks_plan::Contract) -> Result<Box<dyn Decoder>, FormatError>;
    /// An encoder for batches that have the contract's whole schema.
    ///
    /// # Errors
    /// The contract has a type that the format cannot carry.
    fn encoder(&self, contract: &headworks_plan::Contract)
    -> Result<Box<dyn Encoder>, FormatError>;
    /// The same for the stream that is written.
    ///
    /// # Errors
    /// See [`Formats::encoder`].
    fn encoder_of(&self, stream: &headworks_plan::Stream) -> Result<Box<dyn Encoder>, FormatError> {
        self.encoder(&stream.contract)
    }
}
