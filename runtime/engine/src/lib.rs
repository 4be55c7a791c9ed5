//! The native engine: runs one pipeline, exactly once, over a [`log::Log`].
//!
//! [`Engine::run`] is a pipeline pod's working thread. It compiles the plan's SQL, joins the consumer
//! group, and then does the same round for ever: poll a bounded batch, decode only the columns the
//! query reads, evaluate it column by column, encode, produce, and at every `commitInterval` commit
//! output, dead letters and the position of every owned partition in **one** Kafka transaction
//! (KIP-98, KIP-447). It never gives up a partition before it has committed what it did with it, and
//! never commits once a partition was taken away.
//!
//! Rooms: [`dead_letter`] what is said of a record that can't be used; [`format`](mod@format) what a wire format offers; [`judge`] whether a record can be used; [`log`] what the loop asks of a broker,
//! with [`kafka`] and [`memory`] (deterministic, seeded, a whole broker in one process) behind it;
//! [`local`] a run without any broker; [`store`] what the loop asks of a store, for the stages that
//! write tables; `stateless` one batch through the query; `pipeline` the loop; `replay` a log that ends; `preview` what a Replay would do; [`session`] how it goes on over failures; `keyed` what queries with state need besides; [`status`] what a pod says of itself meanwhile.

pub mod dead_letter;
pub mod format;
pub mod judge;
pub mod kafka;
pub mod local;
pub mod log;
pub mod memory;
pub mod session;
pub mod status;
pub mod store;

mod keyed;
mod pipeline;
mod preview;
mod replay;
mod run;
mod stateless;
#[cfg(test)]
mod testing;

pub use preview::{Preview, PreviewRecord};
pub use run::{Engine, Identity, Work, thread_name};
pub use session::{Outcome, StopFlag};
