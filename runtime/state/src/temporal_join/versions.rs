//! The versions of a key, and which of them is valid when.
//!
//! The record of the one that is valid in the changelog: `0x15` and the encoded key; the value has, behind its beginning, event
//! time, arrival number, the greatest arrival number of the key's versions up to now, and the row.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codec::take_i64;
use crate::epoch::Change;
use crate::error::StateError;
use crate::record;
use crate::timed_rows::buffer::{Entry, Place};

/// The first byte of a key.
pub(super) const VERSION: u8 = 0x15;
/// What an entry costs beside its bytes, about.
const OVERHEAD: usize = 120;

/// A row that is valid from its place on.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub place: Place,
    /// The greatest arrival number of a row of its key that isn't valid from later on: what deletions came after.
    pub last: i64,
    /// Its columns, encoded.
    pub row: Arc<[u8]>,
}

impl Version {
    /// Estimate of the memory in bytes, without the key.
    pub(super) fn size(&self) -> usize {
        OVERHEAD + self.row.len()
    }
}

/// What the changelog must hold of a key.
pub(super) fn change(key: &[u8], valid: Option<&Version>, next: i64, cut: i64) -> Change {
    let mut of_key = vec![VERSION];
    of_key.extend_from_slice(key);
    let value = valid.map(|version| {
        let mut value = record::head(0, next, cut);
        let (time, arrival) = version.place;
        for number in [time, arrival, version.last] {
            value.extend_from_slice(&number.to_le_bytes());
        }
        value.extend_from_slice(&version.row);
        value
    });
    Change { key: of_key, value }
}

/// What a record holds, and the arrival number of the next row.
pub(super) fn read_version(value: &[u8]) -> Result<(Version, i64), StateError> {
    let head = record::read_head(value)?;
    let mut body = head.body;
    let place = (take_i64(&mut body)?, take_i64(&mut body)?);
    let version = Version {
        place,
        last: take_i64(&mut body)?,
        row: body.into(),
    };
    Ok((version, head.next))
}

/// Versions of one key in the order of time; of one time, of arrival.
#[derive(Debug, Default)]
pub(super) struct Versions {
    /// Absent: a deletion.
    by_place: BTreeMap<Place, Option<Arc<[u8]>>>,
    /// See [`Version::last`].
    last: i64,
}

impl Versions {
    /// Those that are known, and the one that is valid before them.
    pub(super) fn new<'e>(
        valid: Option<&Version>,
        known: impl Iterator<Item = (Place, &'e Entry)>,
    ) -> Versions {
        let known = known.map(|(place, entry)| {
            let row = (!entry.marked).then(|| entry.row.clone());
            (place, row)
        });
        let before = valid.map(|version| version.last);
        let valid = valid.map(|version| (version.place, Some(version.row.clone())));
        let mut by_place: BTreeMap<_, _> = known.chain(valid).collect();
        // A deletion ends what came before it. Its time is its record's, which another clock gave than the rows' event times: what
        // came after it and is valid from an earlier time isn't deleted.
        let mut last = before.unwrap_or(i64::MIN);
        by_place.retain(|(_, arrival), row| {
            if row.is_some() {
                last = last.max(*arrival);
            }
            row.is_some() || *arrival > last
        });
        Versions { by_place, last }
    }

    /// The same without deletions: for a mutant.
    pub(super) fn undeleted(mut self) -> Versions {
        self.by_place.retain(|_, row| row.is_some());
        self
    }

    /// The row that is valid at a time, if there is one.
    pub(super) fn at(&self, time: i64) -> Option<Version> {
        let (place, row) = self.by_place.range(..=(time, i64::MAX)).next_back()?;
        Some(Version {
            place: *place,
            last: self.last,
            row: row.clone()?,
        })
    }
}
