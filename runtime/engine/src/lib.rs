//! The native engine (being written).

pub mod format;
