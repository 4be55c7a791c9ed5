//! Whether the operator can do its work, and whether it gets on with it.
//!
//! `/healthz` isn't that a thread can answer: it says what stands still. A loop that has to come round beats
//! ([`Health::beat`]), and a reconcile that runs is known ([`Health::begins`]). What waits for others, such as a watch of an API
//! server that is away, stands still for good reason and is no part of it: a restart would mend nothing.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

/// The process's own tick.
const TICK: Duration = Duration::from_secs(1);
/// Without a tick for so long nothing else runs either.
const TICK_LIMIT: Duration = Duration::from_secs(60);
/// A reconcile is ended after ten minutes; one that can't even be ended holds a thread.
const RECONCILE_LIMIT: Duration = Duration::from_secs(900);

#[derive(Debug, Default)]
struct Inner {
    beats: BTreeMap<&'static str, (Instant, Duration)>,
    running: HashMap<u64, (Instant, String)>,
    next: u64,
}

/// Whether the operator can do its work, and gets on with it.
#[derive(Debug, Default)]
pub struct Health {
    ready: AtomicBool,
    inner: Mutex<Inner>,
}

/// A reconcile that runs; it has ended when this is dropped.
#[derive(Debug)]
pub struct Running {
    health: Arc<Health>,
    number: u64,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.health.lock().running.remove(&self.number);
    }
}

impl Health {
    /// The operator leads with warm stores, or stands by.
    pub fn ready(&self) {
        self.ready.store(true, Ordering::Relaxed);
    }

    /// True once the operator can do its work.
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// A loop has come round, and will again within `limit`.
    pub fn beat(&self, what: &'static str, limit: Duration) {
        self.beat_at(what, limit, Instant::now());
    }

    fn beat_at(&self, what: &'static str, limit: Duration, now: Instant) {
        self.lock().beats.insert(what, (now, limit));
    }

    /// A reconcile of this kind begins.
    pub fn begins(self: &Arc<Self>, kind: &str) -> Running {
        self.begins_at(kind, Instant::now())
    }

    fn begins_at(self: &Arc<Self>, kind: &str, now: Instant) -> Running {
        let mut inner = self.lock();
        let number = inner.next;
        inner.next = number.wrapping_add(1);
        inner.running.insert(number, (now, kind.to_owned()));
        drop(inner);
        Running {
            health: self.clone(),
            number,
        }
    }

    /// What stands still, in words; none: all goes on.
    pub fn stands_still(&self, now: Instant) -> Option<String> {
        let inner = self.lock();
        let late = |since: Instant, limit: Duration| {
            let passed = now.saturating_duration_since(since);
            (passed > limit).then_some(passed.as_secs())
        };
        let beats = inner.beats.iter().filter_map(|(what, (at, limit))| {
            let seconds = late(*at, *limit)?;
            Some(format!("{what}: no progress for {seconds} s"))
        });
        let running = inner.running.values().filter_map(|(at, kind)| {
            let seconds = late(*at, RECONCILE_LIMIT)?;
            Some(format!("a reconcile of a {kind} hangs for {seconds} s"))
        });
        let all: Vec<String> = beats.chain(running.take(1)).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }

    /// Ticks until the process ends.
    pub async fn tick(self: Arc<Self>) {
        loop {
            self.beat("tasks", TICK_LIMIT);
            tokio::time::sleep(TICK).await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_still_is_named_and_what_gets_on_is_not() {
        let health = Arc::new(Health::default());
        let start = Instant::now();
        let seconds = Duration::from_secs;
        assert_eq!(health.stands_still(start), None);
        health.beat_at("figures", seconds(120), start);
        let hanging = health.begins_at("Pipeline", start);
        drop(health.begins_at("Source", start));
        assert_eq!(health.stands_still(start + seconds(120)), None);
        assert_eq!(
            health.stands_still(start + seconds(121)).as_deref(),
            Some("figures: no progress for 121 s")
        );
        health.beat_at("figures", seconds(120), start + seconds(850));
        assert_eq!(
            health.stands_still(start + seconds(901)).as_deref(),
            Some("a reconcile of a Pipeline hangs for 901 s")
        );
        drop(hanging);
        assert_eq!(health.stands_still(start + seconds(901)), None);
    }
}
