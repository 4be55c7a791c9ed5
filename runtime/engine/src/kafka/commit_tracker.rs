//! What a member knows of its last commit, kept from one session to the next, and what follows from it for a
//! commit that stays pending.
//!
//! The end of a transaction is first decided by its coordinator, then written as a marker into every partition
//! of it. Kafka 4.3 can decide and never write: a coordinator that takes up its work while a partition
//! has no leader believes that partition deleted (KAFKA-20734). Where partitions have one replica, every start
//! of a killed broker has such a moment. A group's commit is pending for ever then, and nobody who asks for
//! stable commits is answered. `kafka-transactions.sh abort` isn't the remedy: it undoes in one partition what
//! was decided, and in others perhaps done.
//!
//! Pending commits are kept by producer id, and the next marker of that id ends them, whatever its epoch.
//! So a member can end its own: by one more transaction over the group's commits, under its own transactional
//! id. The end must be the one that was decided, and the tracker knows it as long as the process lives:
//! * The last commit was confirmed, and the group doesn't show it: it was decided, so it is committed.
//! * The last commit was confirmed, and the group shows it: what is pending was sent later and never asked to
//!   be committed, so it is aborted.
//! * A commit was asked for and nobody knows what became of it: nothing is done.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// See the module. Clones share what is known.
#[derive(Clone, Debug, Default)]
pub struct CommitTracker(Arc<Mutex<Tracked>>);

#[derive(Debug, Default)]
struct Tracked {
    /// The last commit, if Kafka confirmed it and no other was asked for since.
    confirmed: Option<Vec<Entry>>,
    /// What the transaction holds that is open now, or was open last.
    sent: Vec<Entry>,
    unstable_since: Option<Instant>,
    /// What this member had left pending since then is ended.
    ended: bool,
}

/// The position of one partition, as it is committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) topic: String,
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) metadata: String,
}

/// How a transaction is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    Commit,
    Abort,
}

impl CommitTracker {
    /// The positions are about to be added to the open transaction.
    pub(super) fn sent(&self, positions: &TopicPartitionList) {
        let mut tracked = self.tracked();
        tracked.sent = entries(positions);
        // What is pending beside the last commit must not be committed with it.
        let covered = tracked.confirmed.as_ref().is_some_and(|confirmed| {
            tracked.sent.iter().all(|sent| {
                confirmed
                    .iter()
                    .any(|known| known.topic == sent.topic && known.partition == sent.partition)
            })
        });
        if !covered {
            tracked.confirmed = None;
        }
    }

    /// Kafka is about to be asked to commit.
    pub(super) fn asked(&self) {
        self.tracked().confirmed = None;
    }

    /// Kafka said that the transaction is committed.
    pub(super) fn confirmed(&self) {
        let mut tracked = self.tracked();
        tracked.confirmed = Some(std::mem::take(&mut tracked.sent));
    }

    /// The last commit, if there is no doubt about it, and what was pending since isn't ended.
    pub(super) fn last(&self) -> Option<Vec<Entry>> {
        let tracked = self.tracked();
        let known = tracked.confirmed.as_ref().filter(|_| !tracked.ended);
        known.filter(|entries| !entries.is_empty()).cloned()
    }

    /// What this member left pending is ended. What is pending still is somebody else's.
    pub(super) fn ended(&self) {
        self.tracked().ended = true;
    }

    /// The group's stable commits were read, or the group didn't answer at all.
    pub(super) fn not_pending(&self) {
        let mut tracked = self.tracked();
        tracked.unstable_since = None;
        tracked.ended = false;
    }

    /// The group answers, but has no stable commits. Gives for how long by now.
    pub(super) fn pending(&self) -> Duration {
        self.tracked()
            .unstable_since
            .get_or_insert_with(Instant::now)
            .elapsed()
    }

    fn tracked(&self) -> MutexGuard<'_, Tracked> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn entries(positions: &TopicPartitionList) -> Vec<Entry> {
    positions
        .elements()
        .iter()
        .filter_map(|element| match element.offset() {
            Offset::Offset(offset) => Some(Entry {
                topic: element.topic().to_owned(),
                partition: element.partition(),
                offset,
                metadata: element.metadata().to_owned(),
            }),
            _ => None,
        })
        .collect()
}

/// How what this member left pending was decided, from its last commit and the commits that the group shows
/// when it isn't asked to wait for transactions. `None`: the group is beyond that commit, so it is no business
/// of this member any more.
pub(super) fn ending(last: &[Entry], shown: impl Fn(&Entry) -> Option<i64>) -> Option<Ending> {
    let mut ending = Ending::Abort;
    for entry in last {
        match shown(entry) {
            Some(shown) if shown > entry.offset => return None,
            Some(shown) if shown == entry.offset => {}
            _ => ending = Ending::Commit,
        }
    }
    Some(ending)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn positions(offsets: &[(i32, i64)]) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for (partition, offset) in offsets {
            list.add_partition_offset("t", *partition, Offset::Offset(*offset))
                .unwrap();
        }
        list
    }

    fn offsets(tracker: &CommitTracker) -> Option<Vec<(i32, i64)>> {
        let last = tracker.last()?;
        Some(last.iter().map(|e| (e.partition, e.offset)).collect())
    }

    fn commit(tracker: &CommitTracker, offsets: &[(i32, i64)]) {
        tracker.sent(&positions(offsets));
        tracker.asked();
        tracker.confirmed();
    }

    #[test]
    fn only_a_confirmed_commit_is_known() {
        let tracker = CommitTracker::default();
        assert_eq!(offsets(&tracker), None);
        tracker.sent(&positions(&[(0, 1)]));
        assert_eq!(offsets(&tracker), None);
        tracker.asked();
        assert_eq!(offsets(&tracker), None);
        tracker.confirmed();
        assert_eq!(offsets(&tracker), Some(vec![(0, 1)]));
        assert_eq!(offsets(&tracker.clone()), Some(vec![(0, 1)]));
    }

    #[test]
    fn a_commit_that_was_asked_for_and_not_answered_leaves_nothing_to_be_known() {
        let tracker = CommitTracker::default();
        commit(&tracker, &[(0, 1)]);
        tracker.sent(&positions(&[(0, 2)]));
        assert_eq!(
            offsets(&tracker),
            Some(vec![(0, 1)]),
            "the next isn't asked for yet"
        );
        tracker.asked();
        assert_eq!(offsets(&tracker), None);
        // An answer to a repeated question is one.
        tracker.asked();
        tracker.confirmed();
        assert_eq!(offsets(&tracker), Some(vec![(0, 2)]));
    }

    #[test]
    fn positions_of_other_partitions_than_the_last_commit_had_make_it_useless() {
        let tracker = CommitTracker::default();
        commit(&tracker, &[(0, 1), (1, 1)]);
        tracker.sent(&positions(&[(0, 2)]));
        assert_eq!(offsets(&tracker), Some(vec![(0, 1), (1, 1)]));
        tracker.sent(&positions(&[(0, 2), (2, 7)]));
        assert_eq!(offsets(&tracker), None);
    }

    #[test]
    fn what_was_decided_follows_from_what_the_group_shows() {
        let tracker = CommitTracker::default();
        commit(&tracker, &[(0, 10), (1, 20)]);
        let last = tracker.last().unwrap();
        let shown = |zero: Option<i64>, one: Option<i64>| {
            ending(&last, |entry| if entry.partition == 0 { zero } else { one })
        };
        assert_eq!(shown(Some(9), Some(20)), Some(Ending::Commit));
        assert_eq!(shown(None, None), Some(Ending::Commit), "the group's first");
        assert_eq!(shown(Some(10), Some(20)), Some(Ending::Abort));
        assert_eq!(shown(Some(9), Some(21)), None, "somebody else went on");
        assert_eq!(shown(Some(11), None), None);
    }

    #[test]
    fn a_member_ends_its_own_once_and_again_when_commits_were_stable_in_between() {
        let tracker = CommitTracker::default();
        commit(&tracker, &[(0, 1)]);
        tracker.pending();
        tracker.ended();
        assert_eq!(offsets(&tracker), None, "the rest is somebody else's");
        tracker.not_pending();
        assert_eq!(offsets(&tracker), Some(vec![(0, 1)]));
    }

    #[test]
    fn how_long_a_commit_is_pending_is_counted_over_sessions_from_the_last_answer_on() {
        let tracker = CommitTracker::default();
        let next_session = tracker.clone();
        tracker.pending();
        std::thread::sleep(Duration::from_millis(20));
        assert!(next_session.pending() >= Duration::from_millis(20));
        next_session.not_pending();
        assert!(tracker.pending() < Duration::from_millis(20));
    }
}
