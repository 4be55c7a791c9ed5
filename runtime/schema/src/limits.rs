//! How large a definition may be.

/// Longest text of a definition, in bytes. A DataStream's has 65,536 characters; a registry's may be longer.
pub const MAX_TEXT: usize = 512 * 1024;
/// Nesting that a definition may have.
pub const MAX_DEPTH: usize = 32;
/// Most fields of a definition, those of nested records counted at each place where they stand.
pub const MAX_FIELDS: usize = 4096;
/// Most fields that a contract has at its top.
pub const MAX_COLUMNS: usize = 256;
/// Most schemas that one may refer to, those that they refer to counted.
pub const MAX_REFERENCES: usize = 64;
/// Most bytes of all of them.
pub(crate) const MAX_REFERENCED: usize = 4 * MAX_TEXT;
