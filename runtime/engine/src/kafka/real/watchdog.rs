//! An end for a test that hangs: a call into librdkafka can't be called off, and a test run that nobody ends hangs with it.

use std::io::Write;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Ends the process, naming the test, unless it is dropped in time.
pub(super) struct Watchdog {
    /// Dropping it calls the watchdog off.
    _over: Sender<()>,
}

impl Watchdog {
    /// A watchdog of the test that runs on this thread; `what` says which part of it.
    pub(super) fn new(what: &str, limit: Duration) -> Watchdog {
        let (over, ended) = channel::<()>();
        let test = std::thread::current().name().unwrap_or("a test").to_owned();
        let what = what.to_owned();
        std::thread::spawn(move || {
            if ended.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
                let seconds = limit.as_secs();
                // `eprintln` would go into the test's captured output, which is lost with the process.
                let _ = writeln!(
                    std::io::stderr(),
                    "{test} ({what}) hangs: it isn't over after {seconds} s. The whole test run ends here."
                );
                std::process::abort();
            }
        });
        Watchdog { _over: over }
    }
}
