//! Which key has most of the rows: Misra and Gries' counters over a sample of each batch.

use crate::codec::Rows;

/// A key with a share above one of so many is found.
const COUNTERS: usize = 12;

/// So many rows of a batch are looked at.
const SAMPLE: usize = 64;

/// An estimate of the heaviest key.
#[derive(Debug, Default)]
pub(crate) struct Sketch {
    counters: Vec<(Vec<u8>, u64)>,
    seen: u64,
    random: u64,
}

impl Sketch {
    /// Looks at some rows of a batch, whose keys begin after `head` bytes.
    pub(crate) fn take(&mut self, rows: &Rows, head: usize) {
        let step = rows.len().div_ceil(SAMPLE).max(1);
        // A fixed place would see one key only, if rows have a rhythm.
        self.random = self
            .random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        let mut random = self.random;
        for start in (0..rows.len()).step_by(step) {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let row = (start + (random >> 33) as usize % step).min(rows.len() - 1);
            self.count(&rows.row(row)[head..], step as u64);
        }
    }

    fn count(&mut self, key: &[u8], weight: u64) {
        self.seen += weight;
        if let Some((_, count)) = self.counters.iter_mut().find(|(k, _)| k == key) {
            *count += weight;
        } else if self.counters.len() < COUNTERS {
            self.counters.push((key.to_vec(), weight));
        } else {
            let least = self
                .counters
                .iter()
                .map(|c| c.1)
                .min()
                .unwrap_or(0)
                .min(weight);
            self.counters.iter_mut().for_each(|c| c.1 -= least);
            self.counters.retain(|c| c.1 > 0);
            if weight > least {
                self.counters.push((key.to_vec(), weight - least));
            }
        }
    }

    /// The heaviest key and its share in per cent; the next answer is about what comes from now on.
    pub(crate) fn heaviest(&mut self) -> Option<(Vec<u8>, u8)> {
        let seen = std::mem::take(&mut self.seen);
        let counters = std::mem::take(&mut self.counters);
        let (key, count) = counters.into_iter().max_by_key(|c| c.1)?;
        Some((key, (count * 100 / seen.max(1)).min(100) as u8))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};
    use arrow::datatypes::DataType;

    use super::*;
    use crate::codec::Codec;

    #[test]
    fn a_key_with_more_than_a_third_is_found() {
        let codec = Codec::new(vec![DataType::Int64]);
        let mut sketch = Sketch::default();
        for batch in 0..50i64 {
            let keys = (0..2000).map(|i| if i % 5 < 2 { 7 } else { batch * 2000 + i });
            let keys: ArrayRef = Arc::new(Int64Array::from_iter_values(keys));
            sketch.take(&codec.encode(&[keys], 2000, None).unwrap(), 0);
        }
        let (key, share) = sketch.heaviest().unwrap();
        let heavy: ArrayRef = Arc::new(Int64Array::from(vec![7]));
        assert_eq!(key, codec.encode(&[heavy], 1, None).unwrap().row(0));
        assert!((25..=45).contains(&share), "{share}");
        assert_eq!(sketch.heaviest(), None);
    }
}
