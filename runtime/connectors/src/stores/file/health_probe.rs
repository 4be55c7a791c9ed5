//! Whether files can be written.

use std::io::{Error, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use headworks_engine::log::Reason;
use headworks_plan::FileConnection;

use super::fault::fault;
use crate::stores::{self, Checking, StoreFault};

/// Longest wait for the disk.
const ANSWER: Duration = Duration::from_secs(15);

/// Writes a small file now and then, and takes it away.
#[derive(Debug)]
pub struct HealthProbe {
    store: String,
    folder: PathBuf,
}

impl HealthProbe {
    /// Of a store.
    pub fn new(store: &str, connection: &FileConnection) -> HealthProbe {
        HealthProbe {
            store: store.to_owned(),
            folder: PathBuf::from(&connection.folder),
        }
    }
}

fn write(folder: &Path, path: &Path) -> Result<(), Error> {
    std::fs::create_dir_all(folder)?;
    let mut file = std::fs::File::create(path)?;
    file.write_all(b"can files be written?\n")?;
    file.sync_all()?;
    drop(file);
    std::fs::remove_file(path)
}

impl stores::HealthProbe for HealthProbe {
    fn check(&mut self) -> Checking<'_> {
        let path = self.folder.join(format!(".headworks-{}", self.store));
        let (folder, tried) = (self.folder.clone(), path.clone());
        Box::pin(async move {
            let writing = tokio::task::spawn_blocking(move || write(&folder, &tried));
            let slow = |what: &str| StoreFault {
                reason: Reason::StoreUnavailable,
                message: format!("DataStore {}: {}: {what}", self.store, path.display()),
            };
            match tokio::time::timeout(ANSWER, writing).await {
                Ok(Ok(Ok(()))) => Ok(None),
                Ok(Ok(Err(error))) => Err(fault(&self.store, "writing", &path, &error)),
                Ok(Err(_)) => Err(slow("the file system can't be asked")),
                Err(_) => Err(slow(
                    "the disk doesn't answer within 15 s; is the volume well?",
                )),
            }
        })
    }
}
