//! Files of edition 2023.
//!
//! The parser behind this reads proto2 and proto3. An edition is these two with other defaults, said by features, so
//! it is read in two steps:
//!
//! 1. [`rewrite`] turns the text into proto2, which is the syntax that takes most: a label before each field, quotes
//!    around reserved names, no features of single languages. Lines stay, and [`Shifts`] lead back to the columns.
//! 2. [`features`] resolves the features in the descriptors that the parser made, and makes of each file the proto2 or
//!    proto3 that says the same: presence, packed lists, delimited messages.
//!
//! What protoc refuses of editions and this takes is in [`rules`], for a text that becomes a contract.
//!
//! What is registered and shown is always the text as it was written. Sources:
//! <https://protobuf.dev/editions/features/>, and for what is refused protoc's `descriptor.cc` and `parser.cc`.

mod features;
mod rewrite;
pub(super) mod rules;
mod shifts;
#[cfg(test)]
mod tests;
mod tokens;

pub(super) use features::resolved;
pub(super) use rewrite::rewrite;
pub(super) use shifts::Shifts;
