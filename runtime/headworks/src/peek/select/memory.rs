//! A topic in memory, whose offsets have holes as those of transactions have.

use super::*;

/// Records by partition; a hole is an offset without one, such as a transaction's marker.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) partitions: BTreeMap<i32, Vec<Option<Found>>>,
    pub(crate) lows: BTreeMap<i32, i64>,
    pub(crate) at: BTreeMap<i32, i64>,
    /// How often reading began.
    pub(crate) begun: usize,
    pub(crate) mute: bool,
    /// Come one each time that there is nothing else.
    pub(crate) later: Vec<Found>,
}

impl Memory {
    pub(crate) fn with(mut self, partition: i32, records: &[(i64, &str)]) -> Memory {
        self.partitions.entry(partition).or_default();
        for (timestamp, key) in records {
            self.push(partition, *timestamp, key);
        }
        self
    }

    pub(crate) fn push(&mut self, partition: i32, timestamp: i64, key: &str) {
        let all = self.partitions.entry(partition).or_default();
        let offset = i64::try_from(all.len()).unwrap();
        all.push(Some(record(partition, offset, timestamp, key)));
    }

    pub(crate) fn add(&mut self, found: Found) {
        let all = self.partitions.entry(found.partition).or_default();
        let offset = i64::try_from(all.len()).unwrap();
        all.push(Some(Found { offset, ..found }));
    }

    pub(crate) fn marker(&mut self, partition: i32) {
        self.partitions.entry(partition).or_default().push(None);
    }
}

pub(crate) fn record(partition: i32, offset: i64, timestamp: i64, key: &str) -> Found {
    Found {
        partition,
        offset,
        timestamp: Some(timestamp),
        key: Some(key.as_bytes().to_vec()),
        value: Some(Vec::new()),
        headers: Vec::new(),
    }
}

impl Topic for Memory {
    fn partitions(&mut self) -> Result<BTreeSet<i32>, Failure> {
        Ok(self.partitions.keys().copied().collect())
    }

    fn bounds(&mut self, partition: i32) -> Result<(i64, i64), Failure> {
        let low = self.lows.get(&partition).copied().unwrap_or(0);
        Ok((low, self.partitions[&partition].len() as i64))
    }

    fn at_time(
        &mut self,
        partitions: &BTreeSet<i32>,
        ms: i64,
    ) -> Result<BTreeMap<i32, i64>, Failure> {
        let first = |partition: &i32| {
            let mut all = self.partitions[partition].iter().flatten();
            let found = all.find(|found| found.timestamp >= Some(ms))?;
            Some((*partition, found.offset))
        };
        Ok(partitions.iter().filter_map(first).collect())
    }

    fn read_from(&mut self, offsets: &BTreeMap<i32, i64>) -> Result<(), Failure> {
        self.begun += 1;
        self.at.clone_from(offsets);
        Ok(())
    }

    fn leave(&mut self, partition: i32) -> Result<(), Failure> {
        self.at.remove(&partition);
        Ok(())
    }

    fn next(&mut self, _: Duration) -> Result<Option<Event>, Failure> {
        if self.mute {
            return Ok(None);
        }
        for (partition, at) in &mut self.at {
            let all = &self.partitions[partition];
            while let Some(found) = all.get(usize::try_from(*at).unwrap()) {
                *at += 1;
                if let Some(found) = found {
                    return Ok(Some(Event::Record(found.clone())));
                }
                if usize::try_from(*at).unwrap() == all.len() {
                    return Ok(Some(Event::End(*partition)));
                }
            }
        }
        Ok((!self.later.is_empty()).then(|| Event::Record(self.later.remove(0))))
    }

    fn silent(&self, _: Duration) -> Failure {
        Failure::new("KafkaUnavailable", "silent")
    }
}
