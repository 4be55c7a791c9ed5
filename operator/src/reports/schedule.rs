//! Whom to ask next: each pod in its turn, no namespace at the cost of another.
//!
//! There are no rounds that the slowest ends. A pod is due again a while after it answered; one that is silent, later each time.
//! Of the pods that are due, those of the namespace with the fewest open questions come first, and a namespace has so many at
//! most: a namespace whose pods all keep silent holds its own questions open and nobody else's.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    net::SocketAddr,
    time::{Duration, Instant},
};

use crate::names::Key;

/// Shortest time between two questions to one pod.
pub const ROUND: Duration = Duration::from_secs(5);
/// The time is stretched so that no more than so many pods are asked in a second.
const PODS_PER_SECOND: usize = 50;
/// Questions open at once.
pub const AT_ONCE: usize = 32;
/// Of these, in one namespace.
pub const PER_NAMESPACE: usize = 4;
/// How many times as long as others a pod is left alone after so many silences in a row.
const SILENT: [u32; 6] = [1, 1, 1, 2, 4, 6];

/// A pod to be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its UID.
    pub uid: String,
    /// Whose it is.
    pub owner: Key,
    /// Where it is asked.
    pub at: SocketAddr,
}

#[derive(Debug)]
struct Known {
    namespace: String,
    due: Instant,
    silent: usize,
    asking: bool,
    speaks: bool,
}

/// What is known of the pods.
#[derive(Debug, Default)]
pub struct Schedule {
    pods: HashMap<String, Known>,
    period: Duration,
}

impl Schedule {
    /// The questions to begin now, of all pods that there are.
    pub fn next(&mut self, targets: Vec<Target>, now: Instant) -> Vec<Target> {
        let here: HashSet<&str> = targets.iter().map(|t| t.uid.as_str()).collect();
        self.pods
            .retain(|uid, known| known.asking || here.contains(uid.as_str()));
        let stretched = Duration::from_secs_f64(targets.len() as f64 / PODS_PER_SECOND as f64);
        self.period = ROUND.max(stretched);
        let mut open: BTreeMap<String, usize> = BTreeMap::new();
        for known in self.pods.values().filter(|known| known.asking) {
            *open.entry(known.namespace.clone()).or_default() += 1;
        }
        let mut due: BTreeMap<String, VecDeque<(Instant, Target)>> = BTreeMap::new();
        for target in targets {
            let namespace = target.owner.namespace.clone();
            let known = self
                .pods
                .entry(target.uid.clone())
                .or_insert_with(|| Known {
                    namespace: namespace.clone(),
                    due: now,
                    silent: 0,
                    asking: false,
                    speaks: false,
                });
            if !known.asking && known.due <= now {
                due.entry(namespace)
                    .or_default()
                    .push_back((known.due, target));
            }
        }
        for queue in due.values_mut() {
            queue.make_contiguous().sort_by_key(|(at, _)| *at);
        }
        let mut chosen = Vec::new();
        let mut all: usize = open.values().sum();
        while all < AT_ONCE {
            // The one with the fewest open questions; of equals, who has waited longest.
            let next = due
                .iter()
                .filter_map(|(namespace, queue)| {
                    let open = open.get(namespace).copied().unwrap_or_default();
                    let (at, _) = queue.front()?;
                    (open < PER_NAMESPACE).then_some((open, *at, namespace))
                })
                .min()
                .map(|(_, _, namespace)| namespace.clone());
            let Some(namespace) = next else { break };
            let Some((_, target)) = due.get_mut(&namespace).and_then(VecDeque::pop_front) else {
                break;
            };
            if let Some(known) = self.pods.get_mut(&target.uid) {
                known.asking = true;
            }
            *open.entry(namespace).or_default() += 1;
            all += 1;
            chosen.push(target);
        }
        chosen
    }

    /// A question has ended.
    pub fn answered(&mut self, uid: &str, spoke: bool, now: Instant) {
        let Some(known) = self.pods.get_mut(uid) else {
            return;
        };
        known.asking = false;
        known.speaks = spoke;
        known.silent = if spoke { 0 } else { known.silent + 1 };
        let times = SILENT[known.silent.min(SILENT.len() - 1)];
        known.due = now + self.period * times;
    }

    /// How many pods have answered when they were last asked.
    pub fn speaking(&self) -> usize {
        self.pods.values().filter(|known| known.speaks).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(namespace: &str, name: &str) -> Target {
        Target {
            uid: format!("{namespace}/{name}"),
            owner: Key::new("Pipeline", namespace, name),
            at: "10.0.0.1:1".parse().unwrap(),
        }
    }

    fn many(namespace: &str, count: usize) -> Vec<Target> {
        (0..count)
            .map(|n| target(namespace, &n.to_string()))
            .collect()
    }

    fn of<'a>(asked: &'a [Target], namespace: &str) -> Vec<&'a Target> {
        asked
            .iter()
            .filter(|t| t.owner.namespace == namespace)
            .collect()
    }

    #[test]
    fn silent_namespaces_hold_up_nobody() {
        let start = Instant::now();
        let mut schedule = Schedule::default();
        let all = || {
            let mut all: Vec<Target> = (0..20)
                .flat_map(|n| many(&format!("silent{n}"), 50))
                .collect();
            all.extend(many("shop", 3));
            all
        };
        // One question of each namespace, then more of each, and no more than there is room for.
        let first = schedule.next(all(), start);
        assert_eq!(first.len(), AT_ONCE);
        assert!(!of(&first, "shop").is_empty());
        assert!(of(&first, "silent0").len() <= 2);
        // Those of the shop answer, the others don't yet: whenever there is room the shop comes first.
        let mut answers = 0;
        let mut waiting: VecDeque<Target> = first.into();
        let mut now = start;
        for _ in 0..200 {
            now += Duration::from_millis(500);
            let (shop, others): (Vec<_>, Vec<_>) =
                waiting.drain(..).partition(|t| t.owner.namespace == "shop");
            for target in shop {
                schedule.answered(&target.uid, true, now);
                answers += 1;
            }
            waiting = others.into();
            // A few time out.
            for target in waiting.drain(..waiting.len().min(6)).collect::<Vec<_>>() {
                schedule.answered(&target.uid, false, now);
            }
            waiting.extend(schedule.next(all(), now));
            assert!(waiting.len() <= AT_ONCE);
        }
        // 100 s, 1003 pods: each is asked every 20 s.
        assert!(answers >= 3 * 4, "{answers}");
    }

    #[test]
    fn one_namespace_has_so_many_questions_open() {
        let start = Instant::now();
        let mut schedule = Schedule::default();
        assert_eq!(schedule.next(many("a", 40), start).len(), PER_NAMESPACE);
        assert!(schedule.next(many("a", 40), start).is_empty());
        schedule.answered("a/0", true, start);
        let next = schedule.next(many("a", 40), start);
        assert_eq!(next.len(), 1);
        assert_ne!(next[0].uid, "a/0", "each in its turn");
    }

    #[test]
    fn a_pod_is_asked_again_after_a_while_and_a_silent_one_later() {
        let start = Instant::now();
        let mut schedule = Schedule::default();
        let mut now = start;
        let mut gaps = Vec::new();
        for _ in 0..8 {
            let asked = now;
            while schedule.next(many("a", 1), now).is_empty() {
                now += Duration::from_secs(1);
            }
            gaps.push(now.duration_since(asked).as_secs());
            schedule.answered("a/0", false, now);
        }
        assert_eq!(gaps, [0, 5, 5, 10, 20, 30, 30, 30]);
        assert_eq!(schedule.speaking(), 0);
        while schedule.next(many("a", 1), now).is_empty() {
            now += Duration::from_secs(1);
        }
        schedule.answered("a/0", true, now);
        assert_eq!(schedule.speaking(), 1);
        assert!(
            schedule
                .next(many("a", 1), now + Duration::from_secs(4))
                .is_empty()
        );
        assert_eq!(
            schedule
                .next(many("a", 1), now + Duration::from_secs(5))
                .len(),
            1
        );
        // One that is gone is forgotten, also if it never answered.
        schedule.answered("a/0", true, now);
        schedule.next(Vec::new(), now);
        assert!(schedule.pods.is_empty());
    }
}
