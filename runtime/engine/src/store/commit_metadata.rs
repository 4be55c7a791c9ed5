//! The note beside a group's commit: which records between two offsets are dead letters already.
//!
//! It is written in the Kafka transaction that holds the dead letters, before the store's transaction that
//! holds the other records' rows. If the latter is lost, the records are read again, and perhaps judged
//! otherwise (a constraint may have gone, a row of the same key may have come). The note keeps the first
//! judgement where a dead letter was its result.

use std::collections::BTreeSet;

/// How a note begins in a commit's metadata.
const MARK: &str = "headworks-letters=";
/// A broker takes 4096 bytes of metadata (`offset.metadata.max.bytes`).
const LONGEST: usize = 4_000;
/// Five bits a digit; the sixth says that another digit follows.
const DIGITS: &[u8; 64] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";

/// Which records below `end` are dead letters. Of what lies below `start` the store has had the rows: there
/// the list is only of dead letters that came while they were written again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CommitMetadata {
    pub(crate) start: i64,
    pub(crate) end: i64,
    pub(crate) dead_letters: BTreeSet<i64>,
}

impl CommitMetadata {
    /// The note as metadata. Dead letters beyond what fits are left out, the latest first: such a record is
    /// judged again, so that it is never lost, at worst told of twice.
    pub(crate) fn write(&self) -> String {
        let mut before = self.dead_letters.first().copied().unwrap_or(self.start);
        let mut text = format!("{MARK}{},{},{before},", self.start, self.end);
        for dead_letter in &self.dead_letters {
            let mut digits = Vec::new();
            let mut step = dead_letter - before;
            loop {
                let (low, rest) = (step & 31, step >> 5);
                let more = if rest > 0 { 32 } else { 0 };
                digits.push(DIGITS[(low | more) as usize & 63]);
                if rest <= 0 {
                    break;
                }
                step = rest;
            }
            if text.len() + digits.len() > LONGEST {
                tracing::warn!(
                    dead_letters = self.dead_letters.len(),
                    "more dead letters in one commit than its note can name"
                );
                break;
            }
            text.extend(digits.into_iter().map(char::from));
            before = *dead_letter;
        }
        text
    }

    /// Reads a commit's metadata; absent where it holds no note.
    pub(crate) fn read(text: &str) -> Option<CommitMetadata> {
        let mut parts = text.strip_prefix(MARK)?.splitn(4, ',');
        let start = parts.next()?.parse().ok()?;
        let end = parts.next()?.parse().ok()?;
        let mut before: i64 = parts.next()?.parse().ok()?;
        let mut dead_letters = BTreeSet::new();
        let (mut step, mut shift) = (0_i64, 0);
        for byte in parts.next()?.bytes() {
            let digit = DIGITS.iter().position(|known| *known == byte)? as i64;
            if shift > 55 {
                return None;
            }
            step |= (digit & 31) << shift;
            if digit & 32 == 0 {
                before += step;
                dead_letters.insert(before);
                (step, shift) = (0, 0);
            } else {
                shift += 5;
            }
        }
        Some(CommitMetadata {
            start,
            end,
            dead_letters,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(start: i64, end: i64, dead_letters: impl IntoIterator<Item = i64>) -> CommitMetadata {
        CommitMetadata {
            start,
            end,
            dead_letters: dead_letters.into_iter().collect(),
        }
    }

    #[test]
    fn a_note_reads_back_what_was_written() {
        for written in [
            note(0, 0, []),
            note(0, 10, [0, 9]),
            note(7, 5_000, [7, 38, 39, 71, 1_100, 4_999]),
            note(1 << 50, (1 << 50) + (1 << 40), [(1 << 50) + (1 << 39)]),
            note(3, 2_003, 3..2_003),
            note(900, 1_000, [5, 901]),
        ] {
            assert_eq!(CommitMetadata::read(&written.write()), Some(written));
        }
        for other in [
            "",
            "headworks-first-start=5",
            "headworks-letters=",
            "headworks-letters=1,2",
            "headworks-letters=1,2,1,!",
        ] {
            assert_eq!(CommitMetadata::read(other), None, "{other}");
        }
    }

    #[test]
    fn a_note_fits_the_brokers_limit_and_leaves_out_the_latest() {
        let many = note(0, 20_000_000, (0..20_000_000).step_by(1_500));
        let text = many.write();
        assert!(text.len() <= LONGEST, "{}", text.len());
        let kept = CommitMetadata::read(&text).unwrap().dead_letters;
        assert!(kept.len() > 1_000 && many.dead_letters.iter().take(kept.len()).eq(kept.iter()));
        // The most that one commit brings: 500 far apart, and then a batch of nothing but dead letters.
        let worst = note(
            0,
            700_000,
            (0..500).map(|n| n * 1_000).chain(500_000..502_000),
        );
        assert_eq!(CommitMetadata::read(&worst.write()), Some(worst));
    }
}
