//! Room on the stack for what descends as deep as a query is nested.
//!
//! A query comes from a user, and the thread that reads it from whoever calls: an operator's worker, a pod's stage, a test. Depth has
//! bounds (`syntax`, `analyze`), but what a level of it takes of the stack isn't known to whoever sets them: it is another for each
//! compiler and each profile. A stack that is too small ends the process, and with it the work of all others.

/// What must be left for one level, with all that it calls besides.
const LEFT: usize = 256 << 10;
/// What is added where it isn't left: a piece of memory that is touched only as far as it is used.
const PIECE: usize = 4 << 20;

/// Goes one level deeper, on a new piece of stack where little is left of this one.
pub(crate) fn deeper<T>(descend: impl FnOnce() -> T) -> T {
    stacker::maybe_grow(LEFT, PIECE, descend)
}
