//! The memory and disk that the state partitions of a process share.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use fjall::Database;

use crate::changelog_segments::ChangelogSegments;
use crate::error::StateError;
use crate::spill::{Store, disk};

/// The memory and disk that all state partitions of a process share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Pool {
    inner: Arc<PoolInner>,
}

struct PoolInner {
    memory_bytes: u64,
    folder: Option<PathBuf>,
    used: AtomicI64,
    stores: AtomicU64,
    /// Opened when state is spilled for the first time.
    database: Mutex<Option<Database>>,
}

impl std::fmt::Debug for PoolInner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PoolInner")
            .field("memory_bytes", &self.memory_bytes)
            .field("folder", &self.folder)
            .field("used", &self.used)
            .finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool. State beyond `memory_bytes` goes to files in `folder`, which is emptied first; without a
    /// folder everything stays in memory.
    ///
    /// # Errors
    /// The folder can't be emptied or written.
    pub fn open(memory_bytes: u64, folder: Option<PathBuf>) -> Result<Pool, StateError> {
        if let Some(folder) = &folder {
            empty(folder).map_err(disk)?;
        }
        Ok(Pool {
            inner: Arc::new(PoolInner {
                memory_bytes,
                folder,
                used: AtomicI64::new(0),
                stores: AtomicU64::new(0),
                database: Mutex::new(None),
            }),
        })
    }

    /// Changelog segments that suit the pool: what is written at once is a small share of the memory.
    pub(crate) fn segments(&self) -> ChangelogSegments {
        let memory = usize::try_from(self.inner.memory_bytes).unwrap_or(usize::MAX);
        ChangelogSegments::with_limits(memory / 64, memory / 16)
    }

    /// About how many results an epoch may give. Where state can't leave memory, results needn't either.
    pub(crate) fn results(&self) -> usize {
        if self.inner.folder.is_none() {
            return usize::MAX;
        }
        usize::try_from(self.inner.memory_bytes / 1024)
            .unwrap_or(usize::MAX)
            .clamp(1, 500_000)
    }

    /// The least that is worth being spilled.
    pub(crate) fn least(&self) -> usize {
        usize::try_from(self.inner.memory_bytes / 64)
            .unwrap_or(usize::MAX)
            .min(1024 * 1024)
    }

    /// Adds to the memory that is in use.
    pub(crate) fn account(&self, more: i64) {
        self.inner.used.fetch_add(more, Ordering::Relaxed);
    }

    /// True: some state should go to the disk.
    pub(crate) fn is_full(&self) -> bool {
        self.is_above(self.inner.memory_bytes)
    }

    /// True: more should go, once some does, so that it isn't for a moment only.
    pub(crate) fn is_well_filled(&self) -> bool {
        self.is_above(self.inner.memory_bytes / 4 * 3)
    }

    /// How much memory there may be in all.
    pub(crate) fn memory_bytes(&self) -> u64 {
        self.inner.memory_bytes
    }

    /// True: more memory is in use than there may be, whether or not there is a disk.
    pub(crate) fn is_exceeded(&self) -> bool {
        let used = self.inner.used.load(Ordering::Relaxed);
        u64::try_from(used).unwrap_or(0) > self.inner.memory_bytes
    }

    fn is_above(&self, bytes: u64) -> bool {
        let used = self.inner.used.load(Ordering::Relaxed);
        self.inner.folder.is_some() && u64::try_from(used).unwrap_or(0) > bytes
    }

    /// A new place on the disk. `large`: for few large values.
    pub(crate) fn store(&self, large: bool) -> Result<Store, StateError> {
        let Some(folder) = &self.inner.folder else {
            return Err(disk("there is no folder for state"));
        };
        let mut database = self
            .inner
            .database
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let database = if let Some(database) = &*database {
            database.clone()
        } else {
            let opened = Database::builder(folder)
                .cache_size((self.inner.memory_bytes / 8).clamp(1 << 20, 64 << 20))
                .worker_threads(1)
                .manual_journal_persist(true)
                .open()
                .map_err(disk)?;
            database.insert(opened).clone()
        };
        let number = self.inner.stores.fetch_add(1, Ordering::Relaxed);
        Store::open(database, &number.to_string(), large)
    }
}

/// Deletes everything in a folder, which is made if it isn't there.
fn empty(folder: &PathBuf) -> std::io::Result<()> {
    std::fs::create_dir_all(folder)?;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            std::fs::remove_dir_all(entry.path())?;
        } else {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
