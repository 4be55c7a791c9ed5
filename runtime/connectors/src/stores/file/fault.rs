//! What an error of the file system means to the person who can mend it.

use std::io::{Error, ErrorKind};
use std::path::Path;

use headworks_engine::log::Reason;
use headworks_plan::StoreReason;

use crate::stores::StoreFault;

/// What went wrong while `doing` something to `path` of a store.
pub(super) fn fault(store: &str, doing: &str, path: &Path, error: &Error) -> StoreFault {
    let (reason, remedy) = match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => (
            Reason::StoreFull,
            "the volume is full: take files away, or enlarge its PersistentVolumeClaim; nothing is lost, and writing goes on by itself",
        ),
        ErrorKind::FileTooLarge => (
            Reason::StoreFull,
            "the file is as large as the file system allows: move it away",
        ),
        ErrorKind::ReadOnlyFilesystem => (
            Reason::StoreFull,
            "the volume is read-only: a Pipeline needs a PersistentVolumeClaim that can be written",
        ),
        ErrorKind::PermissionDenied => (
            StoreReason::StorePermissionDenied.into(),
            "the volume's files belong to somebody else: set podTemplate.securityContext.fsGroup to their group, of the DataStore and of the Pipelines that write to it",
        ),
        _ => (
            Reason::StoreUnavailable,
            "it is tried again by itself; is the volume well?",
        ),
    };
    StoreFault {
        reason,
        message: format!(
            "DataStore {store}: {doing} {}: {error}; {remedy}",
            path.display()
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_person_must_do_is_said() {
        for (kind, reason, word) in [
            (ErrorKind::StorageFull, Reason::StoreFull, "enlarge"),
            (ErrorKind::QuotaExceeded, Reason::StoreFull, "enlarge"),
            (
                ErrorKind::ReadOnlyFilesystem,
                Reason::StoreFull,
                "read-only",
            ),
            (
                ErrorKind::PermissionDenied,
                StoreReason::StorePermissionDenied.into(),
                "fsGroup",
            ),
            (ErrorKind::Other, Reason::StoreUnavailable, "by itself"),
        ] {
            let fault = fault("dump", "writing", Path::new("/x/a.ndjson"), &kind.into());
            assert_eq!(fault.reason, reason);
            let message = fault.message;
            assert!(
                message.contains(word) && message.contains("DataStore dump"),
                "{message}"
            );
        }
    }
}
