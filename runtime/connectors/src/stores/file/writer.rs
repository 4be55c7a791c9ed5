//! One session with a table's file.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Error, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use headworks_engine::store::{StoreError, TableRows, TableSchema, Writer};
use headworks_plan::{FileConnection, TableOutput};

use super::fault::fault;
use super::lines::Lines;

/// Rows in memory before they are written, in bytes. What a batch has is bounded by the engine.
const BUFFER: usize = 1 << 20;
/// How much is read at once, from the end, to find the end of the last whole line.
const STEP: u64 = 64 * 1024;

/// Appends rows to a file.
pub struct FileWriter {
    store: String,
    path: PathBuf,
    lines: Lines,
    open: Option<Opened>,
    buffer: Vec<u8>,
}

struct Opened {
    file: File,
    /// What is there to stay.
    flushed: u64,
    /// What was appended since.
    appended: u64,
}

impl FileWriter {
    /// Of a table, in the pod of that name; nothing is opened yet.
    pub fn new(
        table: &TableOutput,
        connection: &FileConnection,
        schema: &TableSchema,
        pod: &str,
    ) -> FileWriter {
        // Neither name can have a slash: a table is letters, digits, _ and a dot, a pod's a name of Kubernetes.
        let name = format!("{}-{pod}.ndjson", table.table).replace('/', "_");
        FileWriter {
            store: table.store.name.clone(),
            path: Path::new(&connection.folder).join(name),
            lines: Lines::new(schema),
            open: None,
            buffer: Vec::new(),
        }
    }

    fn held(&self, doing: &str, error: &Error) -> StoreError {
        let fault = fault(&self.store, doing, &self.path, error);
        StoreError::Held {
            reason: fault.reason,
            message: fault.message,
        }
    }

    fn opened(&mut self) -> Result<&mut Opened, StoreError> {
        let moved = |open: &Opened| open.appended == 0 && !open.is_at(&self.path);
        if self.open.as_ref().is_some_and(moved) {
            // Somebody took it away to hand it on: what comes now is for a new one.
            self.open = None;
        }
        if self.open.is_none() {
            let opened = open(&self.path).map_err(|error| self.held("opening", &error))?;
            return Ok(self.open.insert(opened));
        }
        self.open.as_mut().ok_or_else(|| StoreError::Broken {
            message: "the file isn't open".to_owned(),
        })
    }

    /// Appends what is in the buffer.
    fn append(&mut self) -> Result<(), StoreError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let buffer = std::mem::take(&mut self.buffer);
        let opened = self.opened()?;
        // Also of a part: the whole is cut off then.
        opened.appended += buffer.len() as u64;
        let written = opened.file.write_all(&buffer);
        written.map_err(|error| self.held("writing", &error))
    }
}

impl Opened {
    /// True: the path still leads to it.
    fn is_at(&self, path: &Path) -> bool {
        let of = |meta: std::fs::Metadata| (meta.dev(), meta.ino());
        let there = std::fs::metadata(path).map(of);
        there.is_ok_and(|there| self.file.metadata().map(of).is_ok_and(|mine| mine == there))
    }

    /// True: no name leads to it any more.
    fn is_deleted(&self) -> bool {
        self.file.metadata().is_ok_and(|meta| meta.nlink() == 0)
    }
}

/// Opens a file, or makes it; what stands behind its last whole line goes.
fn open(path: &Path) -> Result<Opened, Error> {
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut options = OpenOptions::new();
    let mut file = options.read(true).append(true).create(true).open(path)?;
    // Two that cut off what they gave up would cut off each other's rows.
    match file.try_lock() {
        Ok(()) => {}
        // A file system without locks.
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {}
        Err(TryLockError::Error(error)) => return Err(error),
        Err(TryLockError::WouldBlock) => {
            return Err(Error::new(
                ErrorKind::ResourceBusy,
                "another writes to it: is the table named twice in spec.to, or an earlier pod still there?",
            ));
        }
    }
    let length = file.metadata()?.len();
    let whole = whole_lines(&mut file, length)?;
    if whole < length {
        file.set_len(whole)?;
    }
    file.sync_all()?;
    // That a new file is there is the folder's to keep.
    File::open(folder)?.sync_all()?;
    Ok(Opened {
        file,
        flushed: whole,
        appended: 0,
    })
}

/// Where the last whole line ends.
fn whole_lines(file: &mut File, length: u64) -> Result<u64, Error> {
    let mut end = length;
    let mut part = Vec::new();
    while end > 0 {
        let start = end.saturating_sub(STEP);
        part.clear();
        file.seek(SeekFrom::Start(start))?;
        Read::by_ref(file)
            .take(end - start)
            .read_to_end(&mut part)?;
        if let Some(at) = part.iter().rposition(|byte| *byte == b'\n') {
            return Ok(start + at as u64 + 1);
        }
        end = start;
    }
    Ok(0)
}

impl Writer for FileWriter {
    fn write(&mut self, rows: &TableRows) -> Result<(), StoreError> {
        self.opened()?;
        let before = self.buffer.len();
        if let Err(error) = self.lines.append(rows.columns(), &mut self.buffer) {
            self.buffer.truncate(before);
            return Err(error);
        }
        if self.buffer.len() > BUFFER {
            self.append()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StoreError> {
        self.append()?;
        let Some(opened) = self.open.as_mut().filter(|opened| opened.appended > 0) else {
            return Ok(());
        };
        if let Err(error) = opened.file.sync_data() {
            // What of it is there isn't known any more, not even to the system.
            self.open = None;
            return Err(self.held("writing", &error));
        }
        if opened.is_deleted() {
            // The rows went with it; they are written again, to another.
            self.open = None;
            let gone = Error::new(
                ErrorKind::NotFound,
                "it was deleted while rows were written",
            );
            return Err(self.held("writing", &gone));
        }
        opened.flushed += std::mem::take(&mut opened.appended);
        Ok(())
    }

    fn discard(&mut self) {
        self.buffer.clear();
        let Some(opened) = &mut self.open else { return };
        if opened.appended == 0 {
            return;
        }
        // Where it can't be cut off, it is there twice.
        if opened.file.set_len(opened.flushed).is_ok() {
            opened.appended = 0;
        } else {
            self.open = None;
        }
    }
}
