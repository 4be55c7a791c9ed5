//! Panics, kept to the task they happen in.
//!
//! A panic is a mistake of ours, often one that a single object sets off. It is logged, counted in
//! `headworks_operator_panics_total` by task, and everything else goes on. One place ends the process all the same:
//! leadership (`election`), because a leader that no longer renews its Lease must not act.

use std::{
    any::Any,
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::LazyLock,
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family},
};
use tokio::task::JoinError;

/// Labels of a count of panics.
#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
pub struct OfTask {
    /// What panicked, such as `reconcile Pipeline`.
    pub task: String,
}

/// Panics of this process, by task. One for the process, because a panic may happen where no metrics are at hand.
pub static PANICS: LazyLock<Family<OfTask, Counter>> = LazyLock::new(Family::default);

/// A task begins again after so long, and later after each further panic.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Work that goes on as long as the process, such as keeping a watch. Whoever starts it drives it.
pub type Task = BoxFuture<'static, ()>;

/// Something panicked: what it said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Panicked(pub String);

fn counted(task: &str, payload: &(dyn Any + Send)) -> Panicked {
    let said = payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".into());
    PANICS.get_or_create(&OfTask { task: task.into() }).inc();
    tracing::error!(task, panic = said, "a mistake of our own; please report it");
    Panicked(said)
}

/// Runs a future; a panic in it ends here.
///
/// # Errors
/// What the panic said.
pub async fn contained<T>(task: &str, future: impl Future<Output = T>) -> Result<T, Panicked> {
    AssertUnwindSafe(future)
        .catch_unwind()
        .await
        .map_err(|payload| counted(task, payload.as_ref()))
}

/// Calls a function; a panic in it ends here.
///
/// # Errors
/// What the panic said.
pub fn contained_call<T>(task: &str, call: impl FnOnce() -> T) -> Result<T, Panicked> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|payload| counted(task, payload.as_ref()))
}

/// What became of a task that tokio ran: a panic in it is counted.
///
/// # Errors
/// What the panic said, or that the task was cancelled.
pub fn ended<T>(task: &str, outcome: Result<T, JoinError>) -> Result<T, Panicked> {
    outcome.map_err(|error| {
        if error.is_panic() {
            counted(task, error.into_panic().as_ref())
        } else {
            Panicked("it was cancelled".into())
        }
    })
}

/// How long to wait before a task begins again: longer each time, unless it ran well for a while.
#[derive(Debug, Default)]
pub struct Pause {
    last: Option<(Instant, Duration)>,
}

impl Pause {
    /// The pause after a panic at this moment.
    pub fn after(&mut self, now: Instant) -> Duration {
        let pause = match self.last {
            Some((at, pause)) if now.saturating_duration_since(at) < pause + LONGEST_PAUSE => {
                (pause * 2).min(LONGEST_PAUSE)
            }
            _ => PAUSE,
        };
        self.last = Some((now, pause));
        pause
    }
}

/// Runs a task that must not end: after a panic it is begun again. Comes back when it ends by itself.
pub async fn kept<T, F: Future<Output = T>>(task: &str, mut begin: impl FnMut() -> F) -> T {
    let mut pause = Pause::default();
    loop {
        match contained(task, begin()).await {
            Ok(ended) => return ended,
            Err(_) => tokio::time::sleep(pause.after(Instant::now())).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(task: &str) -> u64 {
        PANICS.get_or_create(&OfTask { task: task.into() }).get()
    }

    #[tokio::test]
    async fn a_panic_is_counted_and_goes_no_further() {
        let outcome = contained("test future", async {
            assert_eq!(1 + 1, 3, "arithmetic");
        })
        .await;
        assert!(outcome.unwrap_err().0.contains("arithmetic"));
        assert_eq!(count("test future"), 1);
        assert_eq!(contained("test future", async { 7 }).await, Ok(7));
        assert!(contained_call("test call", || [1][std::hint::black_box(3)]).is_err());
        assert_eq!(count("test call"), 1);
        let task = tokio::task::spawn_blocking(|| [1][std::hint::black_box(3)]);
        assert!(ended("test thread", task.await).is_err());
        assert_eq!(count("test thread"), 1);
    }

    #[tokio::test]
    async fn a_task_that_must_not_end_begins_again() {
        let mut runs = 0;
        let ended = kept("test kept", || {
            runs += 1;
            let run = runs;
            async move {
                assert!(run > 1, "not yet");
                run
            }
        })
        .await;
        assert_eq!((ended, count("test kept")), (2, 1));
    }

    #[test]
    fn pauses_grow_and_are_forgotten() {
        let start = Instant::now();
        let mut pause = Pause::default();
        let seconds: Vec<u64> = (0..8).map(|_| pause.after(start).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pause.after(start + Duration::from_secs(600)).as_secs(), 1);
    }
}
