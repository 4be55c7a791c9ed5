//! Records of sources on their way into Kafka. There are two ways, and a source takes one of them:
//!
//! - [`AcknowledgedWriter`]: whoever sent a record is told once every in-sync replica has it. Records of many senders are on their way
//!   at once; what is sent again after a failure is written again.
//! - [`SequenceWriter`]: records with a place in a sequence, written in one Kafka transaction with the place after them, so that each
//!   is there once.
//!
//! `producer` is what both have in common: how a producer is set up, the topics, and a record as Kafka has it.

mod acknowledged;
mod outgoing;
mod producer;
mod sequence;
mod sink;

pub use acknowledged::AcknowledgedWriter;
pub use outgoing::{Outgoing, Target};
pub(super) use sequence::{Ledger, SequenceWriter};
pub use sink::{Cause, Sink, Undelivered};
