//! State on disk. A cache of what is committed and never the truth, which is the changelog; so nothing is synced,
//! and what a process left is deleted when the next one begins.
//!
//! Everything is written in sorted bulk, past the store's journal and its memory.

use fjall::{Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions};

use crate::error::StateError;

/// The place of one state partition. Deleted with it.
pub(crate) struct Store {
    database: Database,
    keyspace: Option<Keyspace>,
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Store {
    pub(crate) fn open(database: Database, name: &str, large: bool) -> Result<Store, StateError> {
        let keyspace = database
            .keyspace(name, || {
                KeyspaceCreateOptions::default()
                    .manual_journal_persist(true)
                    .with_kv_separation(large.then(KvSeparationOptions::default))
            })
            .map_err(disk)?;
        Ok(Store {
            database,
            keyspace: Some(keyspace),
        })
    }

    fn keyspace(&self) -> Result<&Keyspace, StateError> {
        self.keyspace.as_ref().ok_or_else(|| disk("it is closed"))
    }

    /// Writes values; keys ascending and distinct.
    pub(crate) fn write(
        &self,
        entries: impl Iterator<Item = (Vec<u8>, Vec<u8>)>,
    ) -> Result<(), StateError> {
        self.write_chunks(std::iter::once(Ok(entries)))
    }

    /// The same, where entries are made chunk by chunk.
    pub(crate) fn write_chunks<C>(
        &self,
        chunks: impl Iterator<Item = Result<C, StateError>>,
    ) -> Result<(), StateError>
    where
        C: IntoIterator<Item = (Vec<u8>, Vec<u8>)>,
    {
        let mut ingestion = self.keyspace()?.start_ingestion().map_err(disk)?;
        for chunk in chunks {
            for (key, value) in chunk? {
                ingestion.write(key, value).map_err(disk)?;
            }
        }
        ingestion.finish().map_err(disk)
    }

    /// About how many entries there are.
    pub(crate) fn len(&self) -> u64 {
        let len = self.keyspace.as_ref().map_or(0, Keyspace::approximate_len);
        len as u64
    }

    /// Takes values away.
    pub(crate) fn remove(&self, keys: impl Iterator<Item = Vec<u8>>) -> Result<(), StateError> {
        let keyspace = self.keyspace()?;
        for key in keys {
            keyspace.remove(key).map_err(disk)?;
        }
        Ok(())
    }

    /// The value of a key.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<fjall::Slice>, StateError> {
        self.keyspace()?.get(key).map_err(disk)
    }

    /// So many entries behind a key, ascending.
    pub(crate) fn after(
        &self,
        key: &[u8],
        count: usize,
    ) -> Result<Vec<(fjall::Slice, fjall::Slice)>, StateError> {
        let range = (
            std::ops::Bound::Excluded(key.to_vec()),
            std::ops::Bound::Unbounded,
        );
        self.keyspace()?
            .range::<Vec<u8>, _>(range)
            .take(count)
            .map(|entry| entry.into_inner().map_err(disk))
            .collect()
    }

    /// Bytes on disk.
    pub(crate) fn bytes(&self) -> u64 {
        self.keyspace.as_ref().map_or(0, Keyspace::disk_space)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(keyspace) = self.keyspace.take()
            && let Err(error) = self.database.delete_keyspace(keyspace)
        {
            tracing::warn!(%error, "spilled state of a partition that is given up can't be deleted");
        }
    }
}

/// What the disk says.
pub(crate) fn disk(error: impl ToString) -> StateError {
    StateError::Disk {
        message: error.to_string(),
    }
}
