//! Signs of life: each loop that a pod's work depends on says now and then that it still turns.
//!
//! A loop that is idle, or waits for a broker that is down, turns; one that hangs doesn't, and only a
//! restart helps. `/healthz` asks for that and for nothing else.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::StatusHandle;

/// The signs of life of one loop; clones are the same loop's.
#[derive(Clone, Debug)]
pub struct Pulse(Arc<Beats>);

#[derive(Debug)]
struct Beats {
    name: String,
    limit: Duration,
    born: Instant,
    /// Milliseconds after `born` of the last beat; [`ENDED`]: none is to come.
    last: AtomicU64,
}

const ENDED: u64 = u64::MAX;

thread_local! {
    static CURRENT: RefCell<Option<Pulse>> = const { RefCell::new(None) };
}

impl Pulse {
    fn new(name: &str, limit: Duration) -> Pulse {
        Pulse(Arc::new(Beats {
            name: name.to_owned(),
            limit,
            born: Instant::now(),
            last: AtomicU64::new(0),
        }))
    }

    /// The loop turns.
    pub fn beat(&self) {
        self.at(Instant::now());
    }

    fn at(&self, now: Instant) {
        let at = now.saturating_duration_since(self.0.born).as_millis();
        self.0.last.store(at as u64, Ordering::Relaxed);
    }

    /// The loop is over, as it should be.
    pub fn end(&self) {
        self.0.last.store(ENDED, Ordering::Relaxed);
    }

    /// How long the loop has been silent, if that is too long.
    fn silent(&self, now: Instant) -> Option<Duration> {
        let last = match self.0.last.load(Ordering::Relaxed) {
            ENDED => return None,
            last => self.0.born + Duration::from_millis(last),
        };
        let silent = now.saturating_duration_since(last);
        (silent > self.0.limit).then_some(silent)
    }

    /// While the guard lives, [`alive`] on this thread is a beat of this pulse.
    #[must_use]
    pub fn of_this_thread(self) -> OfThisThread {
        self.beat();
        CURRENT.with_borrow_mut(|current| *current = Some(self));
        OfThisThread(())
    }
}

/// Ends the pulse of a thread.
#[derive(Debug)]
pub struct OfThisThread(());

impl Drop for OfThisThread {
    fn drop(&mut self) {
        if let Some(pulse) = CURRENT.take() {
            // A thread that panics doesn't end as it should; whoever waits for it ends the process.
            if !std::thread::panicking() {
                pulse.end();
            }
        }
    }
}

/// The loop of this thread turns. Without a pulse nothing happens; it costs less than a microsecond.
pub fn alive() {
    CURRENT.with_borrow(|current| {
        if let Some(pulse) = current {
            pulse.beat();
        }
    });
}

impl StatusHandle {
    /// The pulse of a loop, which hangs if it is silent for longer than `limit`.
    pub fn pulse(&self, name: &str, limit: Duration) -> Pulse {
        let pulse = Pulse::new(name, limit);
        self.lock().pulses.push(pulse.clone());
        pulse
    }

    /// Says which loop hangs, if one does.
    pub fn hangs(&self) -> Option<String> {
        self.hangs_at(Instant::now())
    }

    fn hangs_at(&self, now: Instant) -> Option<String> {
        let inner = self.lock();
        let own = inner.pulses.iter().find_map(|pulse| {
            let silent = pulse.silent(now)?.as_secs();
            Some(format!("{} has hung for {silent} s", pulse.0.name))
        });
        own.or_else(|| inner.parts.iter().find_map(|part| part.hangs_at(now)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_secs(60);

    #[test]
    fn a_loop_hangs_once_it_is_silent_for_too_long_and_until_it_turns_again() {
        let pod = StatusHandle::new();
        let part = pod.part();
        let (quick, slow) = (pod.pulse("a", LIMIT), part.pulse("b", LIMIT));
        let start = Instant::now();
        quick.at(start);
        slow.at(start);
        // Beats are kept in whole milliseconds.
        assert_eq!(pod.hangs_at(start + Duration::from_millis(59_999)), None);
        quick.at(start + LIMIT);
        let later = start + LIMIT + Duration::from_secs(2);
        assert_eq!(pod.hangs_at(later), Some("b has hung for 62 s".into()));
        slow.at(later);
        assert_eq!(pod.hangs_at(later), None);
        slow.end();
        quick.end();
        assert_eq!(pod.hangs_at(later + LIMIT * 100), None);
    }

    #[test]
    fn a_thread_beats_from_wherever_it_is_until_it_ends() {
        let pod = StatusHandle::new();
        let pulse = pod.pulse("a", LIMIT);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let guard = pulse.clone().of_this_thread();
                std::thread::sleep(Duration::from_millis(5));
                alive();
                assert!(pulse.0.last.load(Ordering::Relaxed) >= 5);
                drop(guard);
                assert_eq!(pod.hangs_at(Instant::now() + LIMIT * 2), None);
                alive();
            });
        });
        let died = std::thread::spawn({
            let pulse = pod.pulse("c", LIMIT);
            move || {
                let _guard = pulse.of_this_thread();
                panic!("as this test wants");
            }
        });
        assert!(died.join().is_err());
        let hangs = pod.hangs_at(Instant::now() + LIMIT * 2);
        assert!(hangs.unwrap().starts_with("c has hung"));
    }

    #[test]
    fn waiting_for_a_stop_is_a_sign_of_life() {
        let pod = StatusHandle::new();
        let pulse = pod.pulse("a", LIMIT);
        let _guard = pulse.clone().of_this_thread();
        let before = pulse.0.last.load(Ordering::Relaxed);
        assert!(!crate::StopFlag::new().wait(Duration::from_millis(60)));
        assert!(pulse.0.last.load(Ordering::Relaxed) >= before + 50);
    }
}
