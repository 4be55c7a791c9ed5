//! The shards of a member: the state of each owned partition of the repartition topic, between the loop's
//! transactions and the state's epochs.
//!
//! A shard that has to be given up is kept in memory. If the partition comes back and the group's commit
//! is still the one that this member made last (its offset, and the epoch in its note), the state is the
//! one in the changelog, and is used again; else it is restored.

mod restore;

use std::collections::BTreeMap;
use std::sync::Arc;

use headworks_state::{EpochOutput, Pool, Spec, StateError, StatePartition};

use super::Rule;
use super::meta::Meta;
use super::watermarks::{PartitionWatermark, PartitionWatermarks, Slowest};
use super::wire::{self, Original};
use crate::log::{LogError, Reason};

/// All shards of a member, owned or kept.
pub(crate) struct Shards {
    spec: Arc<Spec>,
    pool: Pool,
    /// How many inputs the first part reads.
    inputs: usize,
    partitions: BTreeMap<i32, Slot>,
    /// For the simulation.
    pub(crate) broken: Option<Rule>,
}

struct Slot {
    shard: StatePartition,
    /// As committed; absent: nothing was, yet.
    committed: Option<Meta>,
    /// Once the open transaction is committed.
    next: Option<Meta>,
    /// As heard in the open transaction.
    watermarks: PartitionWatermarks,
    /// Rows came in the open transaction.
    added: bool,
    /// The epoch was sealed; true: without giving all that is due.
    sealed: Option<bool>,
    /// The last committed epoch didn't give all that was due.
    owes: bool,
    /// Rows since the hottest key was last asked for.
    rows: u64,
}

/// A row that came too late.
#[derive(Debug)]
pub(crate) struct Late {
    /// The partition of the inputs that it came from.
    pub(crate) source: PartitionWatermark,
    pub(crate) offset: i64,
    /// Its record, where the first part could foresee it.
    pub(crate) original: Option<Original>,
    /// The watermark that had passed it.
    pub(crate) watermark_ms: Option<i64>,
}

/// What a partition's epoch gives.
#[derive(Debug)]
pub(crate) struct Epoch {
    pub(crate) sealed: EpochOutput,
    /// The meta record.
    pub(crate) meta: Vec<u8>,
}

fn said(error: StateError) -> LogError {
    let message = error.to_string();
    match error {
        StateError::Unreadable { .. } => LogError::NeedsPerson {
            reason: Reason::StateUnreadable,
            message,
        },
        StateError::Full { .. } => LogError::NeedsPerson {
            reason: Reason::StateTooLarge,
            message,
        },
        StateError::Disk { .. } => LogError::NeedsPerson {
            reason: Reason::StateDisk,
            message,
        },
        StateError::Columns { .. } => LogError::Broken { message },
    }
}

/// Where the state and what is read are kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Topics<'a> {
    pub(crate) repartition: &'a str,
    pub(crate) changelog: &'a str,
    pub(crate) group: &'a str,
}

impl Shards {
    pub(crate) fn new(spec: Arc<Spec>, pool: Pool, inputs: usize) -> Shards {
        Shards {
            spec,
            pool,
            inputs,
            partitions: BTreeMap::new(),
            broken: None,
        }
    }

    pub(crate) fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Takes a record of the repartition topic.
    ///
    /// # Errors
    /// It can't be read, or the state can't take it.
    pub(crate) fn add(
        &mut self,
        partition: i32,
        bytes: &[u8],
        now_ms: i64,
    ) -> Result<Vec<Late>, LogError> {
        let unreadable = |message: String| LogError::NeedsPerson {
            reason: Reason::StateUnreadable,
            message: format!(
                "a record in partition {partition} of the repartition topic can't be read: {message}"
            ),
        };
        let state = self
            .partitions
            .get_mut(&partition)
            .ok_or_else(|| LogError::Broken {
                message: format!("there is no state for partition {partition}"),
            })?;
        let incoming = wire::read(bytes, &self.spec.rows).map_err(unreadable)?;
        let mut late = Vec::new();
        if let Some(rows) = &incoming.rows {
            state.added = true;
            state.rows += rows.batch.num_rows() as u64;
            let refused = state.shard.add(&rows.batch, now_ms).map_err(said)?;
            if !refused.is_empty() {
                let watermark_ms = state.committed.as_ref().and_then(|meta| meta.watermark_ms);
                for (origin, original) in rows.records_of(&refused).map_err(unreadable)? {
                    let Some(source) = incoming.watermarks.get(origin.source as usize) else {
                        return Err(unreadable("a row has no origin".to_owned()));
                    };
                    late.push(Late {
                        source: *source,
                        offset: origin.offset,
                        original,
                        watermark_ms,
                    });
                }
            }
        }
        // A record may give a row to each side of a join, and one for each element of an array.
        let of = |one: &Late| (one.source.topic, one.source.partition, one.offset);
        late.dedup_by(|one, before| of(one) == of(before));
        if !incoming.more {
            for watermark in incoming.watermarks {
                if !state.watermarks.observe(watermark) {
                    return Err(unreadable("it marks an input that isn't there".to_owned()));
                }
            }
        }
        Ok(late)
    }

    /// Ends the epoch of a partition that was read up to `offset`; nothing, where nothing changed.
    ///
    /// # Errors
    /// The state can't be written.
    pub(crate) fn seal(
        &mut self,
        partition: i32,
        offset: i64,
        now_ms: i64,
    ) -> Result<Option<Epoch>, LogError> {
        let Some(state) = self.partitions.get_mut(&partition) else {
            return Ok(None);
        };
        let before = state.committed.as_ref().and_then(|meta| meta.watermark_ms);
        let heard = match self.broken {
            Some(Rule::SilenceIsIdle) => state.watermarks.watermark_of_known(),
            Some(Rule::FastestSide) => state.watermarks.watermark_of_fastest(),
            _ => state.watermarks.watermark(),
        };
        let watermark_ms = before.max(heard);
        let as_before = state
            .committed
            .as_ref()
            .is_some_and(|meta| meta.offset == offset && meta.watermarks == state.watermarks);
        let idle = !state.added && state.sealed.is_none() && !state.owes;
        if as_before && idle {
            return Ok(None);
        }
        let mut sealed = EpochOutput::default();
        if !idle || watermark_ms != before {
            sealed = state
                .shard
                .prepare_commit(watermark_ms, now_ms)
                .map_err(said)?;
            state.sealed = Some(sealed.more);
        }
        let next = Meta {
            offset,
            epoch: state.committed.as_ref().map_or(0, |meta| meta.epoch) + 1,
            watermark_ms,
            watermarks: state.watermarks.clone(),
        };
        let meta = next.write();
        state.next = Some(next);
        Ok(Some(Epoch { sealed, meta }))
    }

    /// Seals where nothing was read: true if there is something to commit, because keys have outlived their
    /// time, or results are due that an earlier epoch didn't give.
    ///
    /// # Errors
    /// See [`Shards::seal`].
    pub(crate) fn look(&mut self, now_ms: i64) -> Result<bool, LogError> {
        let mut any = false;
        for state in self
            .partitions
            .values_mut()
            .filter(|state| !state.added && state.sealed.is_none())
        {
            let watermark_ms = state.committed.as_ref().and_then(|meta| meta.watermark_ms);
            let sealed = state
                .shard
                .prepare_commit(watermark_ms, now_ms)
                .map_err(said)?;
            if sealed.changelog.is_empty() && sealed.gone.is_empty() && sealed.results.is_empty() {
                state.shard.abort();
            } else {
                state.sealed = Some(sealed.more);
                any = true;
            }
        }
        Ok(any)
    }

    /// What the group's commit notes of each partition.
    pub(crate) fn commit_metadata(&self) -> impl Iterator<Item = (i32, String)> {
        self.partitions.iter().filter_map(|(partition, state)| {
            let meta = state.next.as_ref().or(state.committed.as_ref())?;
            Some((*partition, meta.commit_metadata()))
        })
    }

    /// The transaction is committed. A shard that can't follow is forgotten, and the answer is false: it
    /// must be restored.
    pub(crate) fn committed(&mut self) -> bool {
        let mut all = true;
        self.partitions.retain(|partition, state| {
            if let Some(next) = state.next.take() {
                state.committed = Some(next);
            }
            state.added = false;
            if let Some(more) = state.sealed.take() {
                state.owes = more;
                if let Err(error) = state.shard.commit() {
                    tracing::warn!(%error, partition, "the state must be restored");
                    all = false;
                    return false;
                }
            }
            true
        });
        all
    }

    /// The transaction is void.
    pub(crate) fn aborted(&mut self) {
        let keeps = self.broken == Some(Rule::OverlayKept);
        for state in self.partitions.values_mut() {
            if (state.added || state.sealed.is_some()) && !keeps {
                state.shard.abort();
            }
            state.added = false;
            state.sealed = None;
            state.next = None;
            state.watermarks = match &state.committed {
                Some(meta) => meta.watermarks.clone(),
                None => PartitionWatermarks::new(self.inputs),
            };
        }
    }

    /// What the shards of these partitions hold, and the least of their watermarks.
    pub(crate) fn figures(&self, partitions: &[i32]) -> (headworks_state::Figures, Option<i64>) {
        let mut sum = headworks_state::Figures::default();
        let mut least = None;
        for (partition, state) in &self.partitions {
            let figures = state.shard.figures();
            sum.memory_bytes += figures.memory_bytes;
            sum.disk_bytes += figures.disk_bytes;
            if partitions.contains(partition) {
                sum.keys += figures.keys;
                if let Some(at) = state.committed.as_ref().and_then(|meta| meta.watermark_ms) {
                    least = Some(least.map_or(at, |least: i64| least.min(at)));
                }
            }
        }
        (sum, least)
    }

    /// The partition of the inputs that these partitions' watermark waits for.
    pub(crate) fn slowest(&self, partitions: &[i32]) -> Option<Slowest> {
        let owned = self.partitions.iter();
        let owned = owned.filter(|(partition, _)| partitions.contains(partition));
        owned
            .filter_map(|(_, state)| state.watermarks.slowest())
            .min()
    }

    /// The key that most rows had since this was last asked, if it had more than half of them.
    pub(crate) fn hot_key(&mut self) -> Option<String> {
        let all: u64 = self.partitions.values().map(|state| state.rows).sum();
        let mut hottest = None;
        for state in self.partitions.values_mut() {
            let rows = std::mem::take(&mut state.rows);
            if let Some((key, percent)) = state.shard.skewed_key()
                && rows * u64::from(percent) > all * 50
            {
                hottest = Some(key);
            }
        }
        let key = hottest?;
        let text: Vec<String> = key
            .columns()
            .iter()
            .map(|column| {
                arrow::util::display::array_value_to_string(column, 0).unwrap_or_default()
            })
            .collect();
        Some(text.join(", ").chars().take(128).collect())
    }
}
