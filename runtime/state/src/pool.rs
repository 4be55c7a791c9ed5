//! The memory and disk that the shards of a process share.

use std::path::PathBuf;
use std::sync::Arc;

use crate::StateError;

/// The memory and disk that all shards of a process share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pool {
    inner: Arc<PoolInner>,
}

#[derive(Debug)]
struct PoolInner {
    memory_bytes: u64,
    folder: Option<PathBuf>,
}

impl Pool {
    /// A pool. State beyond `memory_bytes` goes to files in `folder`, which is emptied first; without a
    /// folder everything stays in memory.
    ///
    /// # Errors
    /// The folder can't be emptied or written.
    pub fn open(memory_bytes: u64, folder: Option<PathBuf>) -> Result<Pool, StateError> {
        Ok(Pool {
            inner: Arc::new(PoolInner {
                memory_bytes,
                folder,
            }),
        })
    }
}
