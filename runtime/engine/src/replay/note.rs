//! What the group's commit keeps of a partition beside its position: the bounds, and what was done.

/// How a note begins in a commit's metadata.
const MARK: &str = "headworks-replay=";
/// An id is no longer.
const LONGEST_ID: usize = 64;

/// What was done, as far as it is committed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) selected: u64,
    pub(super) replayed: u64,
    pub(super) refused: u64,
    pub(super) truncated: u64,
}

impl Counts {
    pub(super) fn plus(self, other: Counts) -> Counts {
        Counts {
            selected: self.selected + other.selected,
            replayed: self.replayed + other.replayed,
            refused: self.refused + other.refused,
            truncated: self.truncated + other.truncated,
        }
    }
}

/// The note of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Note {
    /// Of which Replay it is.
    pub(super) id: String,
    /// The first offset of the part.
    pub(super) start: i64,
    /// The offset after its last one.
    pub(super) end: i64,
    /// What was done. One partition has the counts of all that its owner reads; those of the others are nought.
    pub(super) counts: Counts,
}

impl Note {
    pub(super) fn write(&self) -> String {
        let Note {
            id,
            start,
            end,
            counts,
        } = self;
        format!(
            "{MARK}{id},{start},{end},{},{},{},{}",
            counts.selected, counts.replayed, counts.refused, counts.truncated
        )
    }

    /// Reads a commit's metadata; none, where it holds no note.
    pub(super) fn read(text: &str) -> Option<Note> {
        let mut parts = text.strip_prefix(MARK)?.splitn(7, ',');
        let id = parts.next().filter(|id| id.len() <= LONGEST_ID)?.to_owned();
        let start = parts.next()?.parse().ok()?;
        let end = parts.next()?.parse().ok()?;
        let mut count = || parts.next()?.parse().ok();
        Some(Note {
            id,
            start,
            end,
            counts: Counts {
                selected: count()?,
                replayed: count()?,
                refused: count()?,
                truncated: count()?,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_note_reads_back_what_was_written_and_nothing_else() {
        let written = Note {
            id: "0123456789abcdef".to_owned(),
            start: 3,
            end: i64::MAX,
            counts: Counts {
                selected: 4,
                replayed: u64::MAX,
                refused: 1,
                truncated: 0,
            },
        };
        let text = written.write();
        assert_eq!(Note::read(&text), Some(written));
        assert!(
            text.len() < 200,
            "a broker takes 4096 bytes: {}",
            text.len()
        );
        for other in [
            "",
            "headworks-first-start=5",
            "headworks-replay=",
            "headworks-replay=id,1,2,3,4,5",
            "headworks-replay=id,1,2,3,4,5,x",
            "headworks-replay=id,1,2,3,4,5,6,7",
        ] {
            assert_eq!(Note::read(other), None, "{other}");
        }
    }
}
