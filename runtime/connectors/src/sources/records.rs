//! Records as they came: places in one text, so that none is copied and a dead letter is the original.

use bytes::Bytes;

/// The records in a text.
#[derive(Clone, Debug, Default)]
pub(super) struct Records {
    text: Bytes,
    places: Vec<(u32, u32)>,
}

impl Records {
    /// None yet. `text` has less than 4 GiB: places are kept as 32-bit numbers, since there may be 100,000 of them.
    pub(super) fn of(text: Bytes) -> Records {
        Records {
            text,
            places: Vec::new(),
        }
    }

    /// Appends a record, a slice of the text.
    pub(super) fn push(&mut self, range: std::ops::Range<usize>) {
        // Both are at most the text's length.
        self.places.push((range.start as u32, range.end as u32));
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    /// Bytes of all of them.
    pub(super) fn bytes(&self) -> usize {
        let lengths = self.places.iter().map(|(start, end)| end - start);
        lengths.map(|length| length as usize).sum()
    }

    /// Record `index`.
    pub(super) fn get(&self, index: usize) -> &[u8] {
        let (start, end) = self.places[index];
        &self.text[start as usize..end as usize]
    }

    /// The bytes of record `index`, shared with the text.
    pub(super) fn shared(&self, index: usize) -> Bytes {
        let (start, end) = self.places[index];
        self.text.slice(start as usize..end as usize)
    }

    /// Bytes that the places take, and would take with one more record.
    pub(super) fn memory(&self) -> (usize, usize) {
        let one = size_of::<(u32, u32)>();
        let now = self.places.capacity();
        let grown = if self.places.len() == now {
            // While they are copied there are both.
            (now * 3).max(12)
        } else {
            now
        };
        (now * one, grown * one)
    }
}
