//! Whether the state in memory is that of the group's commit, and how it is read from the changelog where it isn't.

use headworks_state::StatePartition;

use super::{Rule, Shards, Slot, Topics, said};
use crate::keyed::meta::{self, Meta};
use crate::keyed::watermarks::PartitionWatermarks;
use crate::log::{Log, LogError, Reason};

impl Shards {
    /// True: the shard in memory is the state of this commit.
    pub(crate) fn is_current(
        &self,
        partition: i32,
        committed: Option<i64>,
        note: Option<&str>,
    ) -> bool {
        let Some(state) = self.partitions.get(&partition) else {
            return false;
        };
        match (&state.committed, committed) {
            (Some(meta), Some(offset)) => {
                meta.offset == offset && note.is_some_and(|note| note == meta.commit_metadata())
            }
            _ => false,
        }
    }

    /// Forgets the shards of other partitions.
    pub(crate) fn keep(&mut self, partitions: &[i32]) {
        self.partitions
            .retain(|partition, _| partitions.contains(partition));
    }

    /// Reads a shard from the changelog, and checks that it is the state of the group's commit.
    ///
    /// # Errors
    /// `StateOffsetMismatch` where it isn't; else see [`LogError`].
    pub(crate) fn restore(
        &mut self,
        log: &mut impl Log,
        topics: Topics<'_>,
        partition: i32,
        committed: Option<i64>,
        note: Option<&str>,
    ) -> Result<(), LogError> {
        self.partitions.remove(&partition);
        let mut shard = StatePartition::new(self.spec.clone(), self.pool.clone());
        if let Some(Rule::Join(mutant)) = self.broken {
            shard.break_rule(mutant);
        }
        let mut found: Option<Vec<u8>> = None;
        let mut failure = None;
        let mut of_state = 0_u64;
        let forgets = self.broken == Some(Rule::StateForgotten);
        let answer = log.restore(topics.changelog, partition, &mut |key, value| {
            if key.first().is_none_or(|first| *first < meta::STATE_KEYS) {
                if key == meta::KEY {
                    found = value.map(<[u8]>::to_vec);
                }
                return Ok(());
            }
            of_state += 1;
            if forgets {
                return Ok(());
            }
            shard.restore(key, value).map_err(|error| {
                let message = error.to_string();
                failure = Some(error);
                message
            })
        });
        if let Some(error) = failure {
            return Err(said(error));
        }
        answer?;
        let mut meta = match found.as_deref().map(Meta::read).transpose() {
            Ok(meta) => meta,
            Err(why) => {
                return Err(LogError::NeedsPerson {
                    reason: Reason::StateUnreadable,
                    message: format!("{} partition {partition}: {why}", topics.changelog),
                });
            }
        };
        let fits = match (&meta, committed) {
            (Some(meta), Some(offset)) => {
                meta.offset == offset && note.is_none_or(|note| note == meta.commit_metadata())
            }
            (None, None) => of_state == 0,
            _ => false,
        };
        if !fits {
            return Err(mismatch(topics, partition, meta.as_ref(), committed));
        }
        if self.broken == Some(Rule::WatermarkForgotten)
            && let Some(meta) = &mut meta
        {
            meta.watermark_ms = None;
            meta.watermarks = PartitionWatermarks::new(self.inputs);
        }
        let watermark_ms = meta.as_ref().and_then(|meta| meta.watermark_ms);
        shard.restored(watermark_ms).map_err(said)?;
        let watermarks = meta.as_ref().map_or_else(
            || PartitionWatermarks::new(self.inputs),
            |meta| meta.watermarks.clone(),
        );
        self.partitions.insert(
            partition,
            Slot {
                shard,
                committed: meta,
                next: None,
                watermarks,
                added: false,
                sealed: None,
                owes: false,
                rows: 0,
            },
        );
        Ok(())
    }
}

fn mismatch(
    topics: Topics<'_>,
    partition: i32,
    meta: Option<&Meta>,
    committed: Option<i64>,
) -> LogError {
    let Topics {
        repartition,
        changelog,
        group,
    } = topics;
    let state = meta.map_or_else(
        || format!("{changelog} holds no whole state"),
        |meta| {
            format!(
                "the state in {changelog} counts what was read up to {}",
                meta.offset
            )
        },
    );
    let stands = committed.map_or_else(
        || "has no position".to_owned(),
        |offset| format!("stands at {offset}"),
    );
    let back = meta.map_or_else(String::new, |meta| {
        format!(
            "to go on with the state, suspend the Pipeline and set the group back to {} with kafka-consumer-groups --reset-offsets --to-offset; ",
            meta.offset
        )
    });
    LogError::NeedsPerson {
        reason: Reason::StateOffsetMismatch,
        message: format!(
            "partition {partition} of {repartition}: {state}, but the consumer group {group} {stands}; somebody has changed one of them. {back}to begin anew, delete the Pipeline with deletionPolicy: Delete and make it again"
        ),
    }
}
