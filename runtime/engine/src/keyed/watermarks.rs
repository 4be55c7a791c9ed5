//! How far event time has come in each partition of the inputs, as a shard has heard it, and the
//! watermark that follows.
//!
//! Every record of the repartition topic carries the watermarks of the partitions that its writer owns. A
//! shard's watermark is the least of **all** partitions that aren't idle; one that was never heard of
//! holds it back, and only the owner of a partition can say that it is idle. If all are idle, the
//! watermark is the greatest of them.

use std::collections::BTreeMap;

use super::bytes::{Broken, Reader, put, put_optional};

/// The watermark of one input partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PartitionWatermark {
    /// Index of the input.
    pub(crate) topic: u16,
    pub(crate) partition: i32,
    /// How many partitions the topic has.
    pub(crate) of: i32,
    /// Every later row has at least this event time, or is late; absent: nothing is known yet.
    pub(crate) watermark_ms: Option<i64>,
    pub(crate) idle: bool,
}

/// Partition numbers with one of these bits name places that a Replay read, in the input's topic or in that of its dead letters: no topic of
/// Kafka has so many partitions.
const REPLAYED: i32 = 1 << 29;
const REPLAYED_LETTERS: i32 = 1 << 30;

/// Where a row was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RowPlace {
    pub(crate) partition: i32,
    /// True: of the input's dead letters.
    pub(crate) letters: bool,
}

impl PartitionWatermark {
    /// Names a place that a Replay read for an input, and says nothing of event time: it is of no partition of the input, so that also a
    /// pod which takes it for a watermark waits for none of its.
    pub(crate) fn replayed(topic: u16, partition: i32, letters: bool) -> PartitionWatermark {
        let bit = if letters { REPLAYED_LETTERS } else { REPLAYED };
        PartitionWatermark {
            topic,
            partition: partition | bit,
            of: 0,
            watermark_ms: None,
            idle: false,
        }
    }

    /// Where the rows were read that name it.
    pub(crate) fn place(&self) -> RowPlace {
        RowPlace {
            partition: self.partition & !(REPLAYED | REPLAYED_LETTERS),
            letters: self.partition & REPLAYED_LETTERS != 0,
        }
    }

    fn is_replayed(&self) -> bool {
        self.partition & (REPLAYED | REPLAYED_LETTERS) != 0
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        put(out, u64::from(self.topic));
        put(out, self.partition as u64);
        put(out, self.of as u64);
        out.push(u8::from(self.idle));
        put_optional(out, self.watermark_ms);
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<PartitionWatermark, Broken> {
        let small = |number: u64| i32::try_from(number).map_err(|_| "a number is too large");
        Ok(PartitionWatermark {
            topic: u16::try_from(reader.number()?).map_err(|_| "a number is too large")?,
            partition: small(reader.number()?)?,
            of: small(reader.number()?)?,
            idle: reader.byte()? != 0,
            watermark_ms: reader.optional()?,
        })
    }
}

/// A partition that is further behind than another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Slowest {
    /// Its watermark; absent: it has no event time yet.
    pub(crate) watermark_ms: Option<i64>,
    /// Index of the input.
    pub(crate) topic: u16,
    /// Absent: none of the input's was heard of.
    pub(crate) partition: Option<i32>,
}

/// What a shard has heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct PartitionWatermarks {
    /// By input: how many partitions it has, and what is known of them.
    topics: Vec<(i32, BTreeMap<i32, PartitionWatermark>)>,
}

impl PartitionWatermarks {
    /// Nothing is known of so many inputs.
    pub(crate) fn new(inputs: usize) -> PartitionWatermarks {
        PartitionWatermarks {
            topics: vec![(0, BTreeMap::new()); inputs],
        }
    }

    /// Takes a watermark, which replaces the one before. Gives false for an input that isn't there.
    pub(crate) fn observe(&mut self, watermark: PartitionWatermark) -> bool {
        let Some((of, known)) = self.topics.get_mut(usize::from(watermark.topic)) else {
            return false;
        };
        if watermark.is_replayed() {
            return true;
        }
        *of = (*of).max(watermark.of);
        known.insert(watermark.partition, watermark);
        true
    }

    /// The watermark; absent while some partition may still bring rows of any time.
    pub(crate) fn watermark(&self) -> Option<i64> {
        let (mut least, mut greatest) = (None, None);
        for (of, known) in &self.topics {
            if *of == 0 {
                return None;
            }
            for partition in 0..*of {
                let watermark = known.get(&partition)?;
                if watermark.idle {
                    greatest = greatest.max(watermark.watermark_ms);
                } else {
                    let watermark = watermark.watermark_ms?;
                    least = Some(least.map_or(watermark, |least: i64| least.min(watermark)));
                }
            }
        }
        least.or(greatest)
    }

    /// The partition that the watermark waits for; none, where no other is further.
    pub(crate) fn slowest(&self) -> Option<Slowest> {
        let mut slowest: Option<Slowest> = None;
        let mut furthest = None;
        for (topic, (of, known)) in self.topics.iter().enumerate() {
            let numbers = 0..*of;
            let unheard = numbers.is_empty().then_some((None, None));
            let partitions = numbers.map(|number| (Some(number), known.get(&number)));
            for (partition, known) in unheard.into_iter().chain(partitions) {
                let watermark_ms = known.and_then(|known| known.watermark_ms);
                furthest = furthest.max(watermark_ms);
                if known.is_some_and(|known| known.idle) {
                    continue;
                }
                let this = Slowest {
                    watermark_ms,
                    topic: u16::try_from(topic).unwrap_or(u16::MAX),
                    partition,
                };
                slowest = Some(slowest.map_or(this, |least| least.min(this)));
            }
        }
        slowest.filter(|slowest| slowest.watermark_ms < furthest)
    }

    /// What the watermark would be if silence meant idleness, which it must not: for the simulation.
    pub(super) fn watermark_of_known(&self) -> Option<i64> {
        let known = self.topics.iter().flat_map(|(_, known)| known.values());
        known
            .filter(|watermark| !watermark.idle)
            .filter_map(|watermark| watermark.watermark_ms)
            .min()
    }

    /// What the watermark would be if nobody waited for who is behind, which they must: for the simulation.
    pub(super) fn watermark_of_fastest(&self) -> Option<i64> {
        let known = self.topics.iter().flat_map(|(_, known)| known.values());
        known.filter_map(|watermark| watermark.watermark_ms).max()
    }

    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let watermarks: Vec<&PartitionWatermark> = self
            .topics
            .iter()
            .flat_map(|(_, known)| known.values())
            .collect();
        put(out, self.topics.len() as u64);
        put(out, watermarks.len() as u64);
        for watermark in watermarks {
            watermark.write(out);
        }
    }

    pub(super) fn read(reader: &mut Reader<'_>) -> Result<PartitionWatermarks, Broken> {
        let mut watermarks = PartitionWatermarks::new(usize::from(
            u16::try_from(reader.number()?).map_err(|_| "a number is too large")?,
        ));
        for _ in 0..reader.count()? {
            if !watermarks.observe(PartitionWatermark::read(reader)?) {
                return Err("it marks an input that isn't there");
            }
        }
        Ok(watermarks)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watermark(
        topic: u16,
        partition: i32,
        of: i32,
        watermark_ms: Option<i64>,
    ) -> PartitionWatermark {
        PartitionWatermark {
            topic,
            partition,
            of,
            watermark_ms,
            idle: false,
        }
    }

    fn idle(watermark: PartitionWatermark) -> PartitionWatermark {
        PartitionWatermark {
            idle: true,
            ..watermark
        }
    }

    #[test]
    fn the_watermark_is_the_least_of_all_partitions_and_silence_is_not_idleness() {
        let mut watermarks = PartitionWatermarks::new(2);
        assert_eq!(watermarks.watermark(), None);
        assert!(watermarks.observe(watermark(0, 0, 2, Some(50))));
        assert_eq!(
            watermarks.watermark(),
            None,
            "partition 1 was never heard of"
        );
        watermarks.observe(watermark(0, 1, 2, Some(70)));
        assert_eq!(watermarks.watermark(), None, "nor was the other input");
        watermarks.observe(watermark(1, 0, 1, None));
        assert_eq!(watermarks.watermark(), None, "it has no record yet");
        watermarks.observe(idle(watermark(1, 0, 1, None)));
        assert_eq!(watermarks.watermark(), Some(50));
        watermarks.observe(idle(watermark(0, 0, 2, Some(50))));
        assert_eq!(watermarks.watermark(), Some(70));
        watermarks.observe(idle(watermark(0, 1, 2, Some(60))));
        assert_eq!(watermarks.watermark(), Some(60), "all idle: the greatest");
        watermarks.observe(watermark(0, 0, 3, Some(80)));
        assert_eq!(watermarks.watermark(), None, "a partition was added");
        assert!(!watermarks.observe(watermark(2, 0, 1, None)));
    }

    #[test]
    fn who_holds_the_watermark_back_is_known() {
        let slowest = |topic, partition, watermark_ms| {
            Some(Slowest {
                watermark_ms,
                topic,
                partition,
            })
        };
        let mut watermarks = PartitionWatermarks::new(2);
        assert_eq!(watermarks.slowest(), None, "nobody is further");
        watermarks.observe(watermark(0, 0, 2, Some(50)));
        assert_eq!(
            watermarks.slowest(),
            slowest(0, Some(1), None),
            "partition 1 was never heard of"
        );
        watermarks.observe(watermark(0, 1, 2, Some(70)));
        assert_eq!(
            watermarks.slowest(),
            slowest(1, None, None),
            "nor was an input"
        );
        watermarks.observe(idle(watermark(1, 0, 1, None)));
        assert_eq!(watermarks.slowest(), slowest(0, Some(0), Some(50)));
        watermarks.observe(watermark(0, 0, 2, Some(70)));
        assert_eq!(watermarks.slowest(), None, "they are equally far");
    }

    #[test]
    fn what_a_replay_read_is_a_place_and_holds_nothing_up() {
        let mut watermarks = PartitionWatermarks::new(1);
        watermarks.observe(watermark(0, 0, 1, Some(50)));
        let before = watermarks.clone();
        for letters in [true, false] {
            let replayed = PartitionWatermark::replayed(0, 7, letters);
            let place = RowPlace {
                partition: 7,
                letters,
            };
            assert_eq!(replayed.place(), place);
            let mut out = Vec::new();
            replayed.write(&mut out);
            assert_eq!(
                PartitionWatermark::read(&mut Reader::new(&out)),
                Ok(replayed)
            );
            assert!(watermarks.observe(replayed));
        }
        assert_eq!(watermarks, before);
        let own = watermark(0, 3, 4, None).place();
        assert_eq!((own.partition, own.letters), (3, false));
    }

    #[test]
    fn marks_survive_being_written() {
        let mut watermarks = PartitionWatermarks::new(2);
        watermarks.observe(watermark(0, 1, 3, Some(-5)));
        watermarks.observe(idle(watermark(1, 0, 1, None)));
        let mut out = Vec::new();
        watermarks.write(&mut out);
        assert_eq!(
            PartitionWatermarks::read(&mut Reader::new(&out)),
            Ok(watermarks)
        );
        assert!(PartitionWatermarks::read(&mut Reader::new(&out[..out.len() - 1])).is_err());
    }
}
