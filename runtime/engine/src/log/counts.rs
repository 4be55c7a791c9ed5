//! What a stage did of a partition, counted beside its position.
//!
//! The counts are committed with the position, in one transaction, so that neither can be ahead of the other: after any number of
//! kills they are what was done. That makes them a witness. What was read, and the offsets that held nothing for a reader, lead from
//! where counting began to the position, always; a position that somebody else has moved lies elsewhere, and by how much is
//! how many records are missing from the results, or are in them again.

/// How the counts begin in a commit's metadata, where they are a word among others.
const WORD: &str = "headworks-counts=";
/// Of the text that follows.
const VERSION: &str = "1";
/// The greatest time that is written: nine digits. In the year 5188.
const LATEST_MS: i64 = 101_559_956_668_415;
/// No count is larger, so that going on from one overflows nothing.
const MOST: u64 = i64::MAX as u64;
/// Digits of a number.
const RADIX: u32 = 36;

/// The counts of one partition, since a stage began to count. See the module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// The offset that all of what follows leads on from. Where counting began, but for what is [unexplained](Counts::settle).
    pub(crate) start: i64,
    /// When counting began, in milliseconds since 1970 UTC.
    pub began_ms: i64,
    /// Why it began.
    pub origin: Origin,
    /// Records read.
    pub read: u64,
    /// Offsets that held no record for a reader: transaction markers, aborted records, compacted ones.
    pub gaps: u64,
    /// Records that went no further here: dropped, or left to the stage that tells of bad records.
    pub dropped: u64,
    /// Records that are dead letters.
    pub dead_letters: u64,
    /// Records or rows that came of them and were written.
    pub written: u64,
    /// Records that nobody has read though the position is behind them, and results that were given and not written.
    pub missing: u64,
    /// Records that were read again though they had been counted, and results that were written and not given.
    pub extra: u64,
    /// The offset of the first that is missing or too much; absent: none is.
    pub at: Option<i64>,
}

/// Why counting began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// The group had no commit of any partition.
    Group,
    /// The partition had none, or what it has been is known in another way.
    #[default]
    Partition,
    /// There was a commit without counts: one of an earlier release, or one that somebody else has made.
    Found,
}

impl Counts {
    /// Nothing is counted yet, and what comes is counted from `offset` on.
    pub fn begin(offset: i64, began_ms: i64, origin: Origin) -> Counts {
        Counts {
            start: offset,
            began_ms: began_ms.clamp(0, LATEST_MS),
            origin,
            ..Counts::default()
        }
    }

    /// Where the position is, if only this stage has moved it.
    pub fn next(&self) -> i64 {
        let counted = i128::from(self.read) + i128::from(self.gaps);
        let next = i128::from(self.start) + counted;
        i64::try_from(next).unwrap_or(i64::MAX)
    }

    /// Takes `offset` for where the position is. What of it isn't counted is missing, what was counted already comes again.
    /// True: it is where it should be.
    pub fn settle(&mut self, offset: i64) -> bool {
        let next = self.next();
        let moved = offset.saturating_sub(next);
        if moved == 0 {
            return true;
        }
        self.at.get_or_insert(next.min(offset));
        if moved > 0 {
            self.missing = sum(self.missing, moved.unsigned_abs());
        } else {
            self.extra = sum(self.extra, moved.unsigned_abs());
        }
        self.move_to(offset);
        false
    }

    /// Takes `offset` for where the position is, whatever was before: the offsets of before are another topic's.
    pub fn move_to(&mut self, offset: i64) {
        let moved = offset.saturating_sub(self.next());
        self.start = self.start.saturating_add(moved);
    }

    /// So many results were given, and so many were written, of records up to `offset`. True: none is lost or doubled.
    pub fn compare(&mut self, given: u64, written: u64, offset: i64) -> bool {
        self.missing = sum(self.missing, given.saturating_sub(written));
        self.extra = sum(self.extra, written.saturating_sub(given));
        if given != written {
            self.at.get_or_insert(offset);
        }
        given == written
    }

    /// The counts as a word of a commit's metadata.
    pub fn word(&self) -> String {
        format!("{WORD}{}", self.text())
    }

    /// The counts of such a word; none: it is another word, or of another version.
    pub fn of_word(word: &str) -> Option<Counts> {
        Counts::of_text(word.strip_prefix(WORD)?)
    }

    /// The counts as text: at most 140 bytes.
    pub fn text(&self) -> String {
        let origin = match self.origin {
            Origin::Group => 'g',
            Origin::Partition => 'p',
            Origin::Found => 'f',
        };
        let mut text = format!("{VERSION}{origin}");
        let mut put = |negative: bool, number: u64| {
            text.push(':');
            if negative {
                text.push('-');
            }
            push(&mut text, number);
        };
        put(self.start < 0, self.start.unsigned_abs());
        put(false, self.began_ms.unsigned_abs());
        for count in [
            self.read,
            self.gaps,
            self.dropped,
            self.dead_letters,
            self.written,
            self.missing,
            self.extra,
        ] {
            put(false, count);
        }
        if let Some(at) = self.at {
            put(at < 0, at.unsigned_abs());
        }
        text
    }

    /// Reads what [`Counts::text`] wrote; none: it is of another version, or somebody else's.
    pub fn of_text(text: &str) -> Option<Counts> {
        let mut parts = text.strip_prefix(VERSION)?.split(':');
        let origin = match parts.next()? {
            "g" => Origin::Group,
            "p" => Origin::Partition,
            "f" => Origin::Found,
            _ => return None,
        };
        let start = i64::from_str_radix(parts.next()?, RADIX).ok()?;
        let began_ms = i64::from_str_radix(parts.next()?, RADIX).ok()?;
        let mut count = || {
            let count = u64::from_str_radix(parts.next()?, RADIX).ok();
            count.filter(|count| *count <= MOST)
        };
        let mut counts = Counts {
            start,
            began_ms: Some(began_ms).filter(|at| (0..=LATEST_MS).contains(at))?,
            origin,
            read: count()?,
            gaps: count()?,
            dropped: count()?,
            dead_letters: count()?,
            written: count()?,
            missing: count()?,
            extra: count()?,
            at: None,
        };
        if let Some(at) = parts.next() {
            counts.at = Some(i64::from_str_radix(at, RADIX).ok()?);
        }
        parts.next().is_none().then_some(counts)
    }
}

fn sum(count: u64, more: u64) -> u64 {
    count.saturating_add(more).min(MOST)
}

/// Appends a number's digits.
fn push(text: &mut String, mut number: u64) {
    const DIGITS: &[u8; RADIX as usize] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut digits = [0_u8; 13];
    let mut first = digits.len();
    loop {
        first -= 1;
        digits[first] = DIGITS[(number % u64::from(RADIX)) as usize];
        number /= u64::from(RADIX);
        if number == 0 {
            break;
        }
    }
    text.extend(digits[first..].iter().copied().map(char::from));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn largest() -> Counts {
        Counts {
            start: i64::MIN,
            began_ms: LATEST_MS,
            origin: Origin::Found,
            read: MOST,
            gaps: MOST,
            dropped: MOST,
            dead_letters: MOST,
            written: MOST,
            missing: MOST,
            extra: MOST,
            at: Some(i64::MAX),
        }
    }

    #[test]
    fn counts_are_read_back_as_they_were_written() {
        let mut some = Counts::begin(1_295, 1_767_225_600_000, Origin::Group);
        (some.read, some.gaps, some.written) = (36, 1, 35);
        assert_eq!(
            some.word(),
            "headworks-counts=1g:zz:mjuohs00:10:1:0:0:z:0:0"
        );
        let fresh = Counts::begin(0, -5, Origin::Partition);
        assert_eq!(fresh.began_ms, 0);
        for counts in [some, fresh, largest()] {
            assert_eq!(Counts::of_word(&counts.word()), Some(counts));
        }
        assert!(largest().text().len() <= 140, "{}", largest().text().len());
    }

    #[test]
    fn what_is_no_count_of_ours_is_none() {
        let text = largest().text();
        let longer = format!("{text}:1");
        for other in [
            "",
            "1",
            "1x:0:0:0:0:0:0:0:0:0",
            "2g:0:0:0:0:0:0:0:0:0",
            "1g:0:0:0:0:0:0:0:0",
            "1g:0:-1:0:0:0:0:0:0:0",
            "1g:0:0:0:0:0:0:0:0:é",
            "1g:0:0:3w5e11264sgsf:0:0:0:0:0:0",
            &longer,
        ] {
            assert_eq!(Counts::of_text(other), None, "{other}");
        }
        assert_eq!(Counts::of_word("headworks-idle"), None);
    }

    #[test]
    fn a_position_that_somebody_moved_is_missing_or_extra_by_as_much() {
        let mut counts = Counts::begin(100, 1, Origin::Group);
        (counts.read, counts.gaps) = (40, 2);
        assert_eq!(counts.next(), 142);
        assert!(counts.settle(142));
        assert_eq!((counts.missing, counts.extra, counts.at), (0, 0, None));
        assert!(!counts.settle(150));
        assert_eq!((counts.missing, counts.extra, counts.at), (8, 0, Some(142)));
        assert!(counts.settle(150), "it is told once");
        assert!(!counts.settle(90));
        assert_eq!(
            (counts.missing, counts.extra, counts.at),
            (8, 60, Some(142))
        );
        assert!(counts.settle(90));
        counts.move_to(5);
        assert!(counts.settle(5));
        assert_eq!((counts.missing, counts.extra), (8, 60));
    }

    #[test]
    fn results_that_were_not_written_or_not_given_are_counted() {
        let mut counts = Counts::begin(0, 1, Origin::Group);
        assert!(counts.compare(5, 5, 9));
        assert!(!counts.compare(5, 3, 9));
        assert!(!counts.compare(5, 6, 12));
        assert_eq!((counts.missing, counts.extra, counts.at), (2, 1, Some(9)));
    }

    #[test]
    fn numbers_that_somebody_made_up_overflow_nothing() {
        let mut counts = largest();
        counts.next();
        for offset in [i64::MIN, -1, 0, i64::MAX] {
            counts.settle(offset);
            counts.move_to(offset);
            counts.compare(u64::MAX, 0, offset);
            counts.compare(0, u64::MAX, offset);
        }
    }
}
