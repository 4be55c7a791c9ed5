//! What is left of a changelog.

use std::collections::BTreeMap;

use headworks_state::Change;
use rand::Rng;
use rand::rngs::SmallRng;

/// What compaction leaves of the log: the last record of each key, and now and then some before.
pub fn compacted(log: &[Change], random: &mut SmallRng) -> Vec<Change> {
    let mut last = BTreeMap::new();
    for (at, change) in log.iter().enumerate() {
        last.insert(change.key.clone(), at);
    }
    let from = random.random_range(0..=log.len());
    let kept = log.iter().enumerate();
    kept.filter(|(at, change)| *at >= from || last[&change.key] == *at)
        .map(|(_, change)| change.clone())
        .collect()
}
