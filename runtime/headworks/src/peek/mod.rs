//! `headworks-runtime peek`: prints records of a stream, its dead letters, their count, statistics of its columns, or what a Replay
//! would do, as JSON lines, and ends. It is what `headworks peek`, `dlq`, `profile`, `replay plan` and `quality plan` start in a pod.
//!
//! Records are read as a committed reader gets them, by a client that joins no group and commits nothing, and decoded by the
//! decoders that pipelines have. What can't be decoded is shown with the reason that its dead letter would have.
//!
//! Exit codes: 0 done, or told to stop; 1 it can't be done, which the last line says; 3 the plan can't be read.

mod count;
mod dead_letter;
mod export;
mod kafka;
mod profile;
mod render;
mod replay;
pub(crate) mod select;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use headworks_plan::{PEEK_VERSION, PeekLine, PeekPlan, PeekTask};
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::role::told_to_stop;
pub(crate) use kafka::KafkaTopic;
use render::{Renderer, Rows};
pub(crate) use select::{Event, Found, Span, Topic, spans};
use select::{Out, Sent, Wanted, peek};

/// Records that are printed in one peek, in bytes of the pod's log: a kubelet begins a new file at 10 MiB (containerLogMaxSize),
/// and whoever follows the log may miss what stood in the old one.
const PRINTED_BYTES: usize = 8 << 20;

/// Why there is nothing more to print.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// In one word, as conditions have it.
    pub(crate) reason: &'static str,
    /// What, and what to do.
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(reason: &'static str, message: impl Into<String>) -> Failure {
        Failure {
            reason,
            message: message.into(),
        }
    }
}

/// Prints what the plan in a file selects.
pub fn run(path: &Path) -> ExitCode {
    let plan = match read(path) {
        Ok(plan) => plan,
        Err(message) => {
            fail(&Failure::new("PlanRefused", message));
            return ExitCode::from(3);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            fail(&Failure::new("Internal", error.to_string()));
            return ExitCode::FAILURE;
        }
    };
    // On a thread of its own, since reading blocks.
    let (tell, done) = oneshot::channel();
    std::thread::spawn(move || {
        let _ = tell.send(work(&plan));
    });
    let outcome = runtime.block_on(async {
        tokio::select! {
            done = done => done.unwrap_or_else(|_| Err(Failure::new("Internal", "the reading thread ended unasked"))),
            _ = told_to_stop() => Ok(None),
        }
    });
    match outcome {
        Ok(last) => {
            if let Some(last) = last {
                say(&last);
            }
            ExitCode::SUCCESS
        }
        Err(failure) => {
            fail(&failure);
            ExitCode::FAILURE
        }
    }
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

fn read(path: &Path) -> Result<PeekPlan, String> {
    let shown = path.display();
    let text = std::fs::read(path).map_err(|e| format!("cannot read the plan {shown}: {e}"))?;
    let no_plan = |e: serde_json::Error| format!("the file {shown} is no plan of a peek: {e}");
    // First the version alone: a plan of another one need not parse as ours.
    let Versioned { version } = serde_json::from_slice(&text).map_err(no_plan)?;
    if version != PEEK_VERSION {
        return Err(format!(
            "the command line asks by version {version}, and this runtime ({}) answers version {PEEK_VERSION}: use a headworks command of the same release",
            env!("CARGO_PKG_VERSION")
        ));
    }
    serde_json::from_slice(&text).map_err(no_plan)
}

/// What is said last; none where whoever reads what is printed went away.
fn work(plan: &PeekPlan) -> Result<Option<PeekLine>, Failure> {
    let mut topic = KafkaTopic::open(plan)?;
    let unreadable = |error: &dyn Display| {
        Failure::new(
            "PlanRefused",
            format!("the contract can't be read by: {error}"),
        )
    };
    let printer = || {
        let renderer = Renderer::new(plan).map_err(|error| unreadable(&error))?;
        Ok(Printer {
            renderer,
            room: Room::default(),
        })
    };
    match &plan.task {
        PeekTask::Records | PeekTask::List(_) | PeekTask::Show(_) => {
            let counts = peek(&mut topic, Wanted::of(plan), &mut printer()?)?;
            Ok(counts.map(|counts| PeekLine::End {
                records: counts.records,
                read: counts.read,
                more: counts.more,
                positions: Vec::new(),
            }))
        }
        PeekTask::Export(_) => export::export(&mut topic, Wanted::of(plan), &mut printer()?),
        PeekTask::Count(_) => count::count(&mut topic, Wanted::of(plan)).map(Some),
        PeekTask::Profile(asked) => {
            let rows = || Rows::new(plan).map_err(|error| unreadable(&error));
            match asked.every_ms {
                None => profile::profile(&mut topic, plan, *asked, rows()?).map(Some),
                Some(every) => {
                    let mut room = Room::default();
                    let tell = |line: PeekLine| room.say(&line);
                    profile::over_time(&mut topic, plan, (*asked, every), rows, tell)
                }
            }
        }
        PeekTask::Replay(replay) => replay::preview(&mut topic, plan, replay).map(Some),
    }
}

/// To standard output, a line a record.
struct Printer {
    renderer: Renderer,
    room: Room,
}

impl Out for Printer {
    fn record(&mut self, found: &Found) -> Sent {
        let mut line = self.renderer.line(found);
        if log_bytes(&line) > PRINTED_BYTES {
            line = self.renderer.too_long(found, line.len());
        }
        if !self.room.take(&line) {
            return Sent::Full;
        }
        if print(&line) {
            Sent::Shown
        } else {
            Sent::Unheard
        }
    }

    fn note(&mut self, message: String) {
        say(&PeekLine::Note { message });
    }
}

/// What may be printed still.
struct Room(usize);

impl Default for Room {
    fn default() -> Room {
        Room(PRINTED_BYTES)
    }
}

impl Room {
    /// False: a line has no room any more, nor has what comes after it.
    fn take(&mut self, line: &str) -> bool {
        match self.0.checked_sub(log_bytes(line)) {
            Some(left) => {
                self.0 = left;
                true
            }
            None => false,
        }
    }

    /// Prints a line that is no record, if there is room for it. For what a reader ought to know there is.
    fn say(&mut self, line: &PeekLine) -> Sent {
        let text = serde_json::to_string(line).unwrap_or_default();
        if !self.take(&text) && !matches!(line, PeekLine::Note { .. }) {
            return Sent::Full;
        }
        if print(&text) {
            Sent::Shown
        } else {
            Sent::Unheard
        }
    }
}

/// How many bytes a line has in a pod's log: the container runtime cuts it into pieces, and writes time and stream before each.
fn log_bytes(line: &str) -> usize {
    const PIECE: usize = 16 << 10;
    const HEAD: usize = 64;
    line.len() + HEAD * (1 + line.len() / PIECE)
}

fn fail(failure: &Failure) {
    say(&PeekLine::Failed {
        reason: failure.reason.to_owned(),
        message: failure.message.clone(),
    });
}

fn say(line: &PeekLine) {
    if let Ok(text) = serde_json::to_string(line) {
        print(&text);
    }
}

/// False: nobody reads it any more.
fn print(line: &impl Display) -> bool {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}").and_then(|()| out.flush()).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_of_another_version_is_refused_with_the_remedy() {
        let path = std::env::temp_dir().join(format!("headworks-peek-{}.json", std::process::id()));
        let said = |text: &str| {
            std::fs::write(&path, text).unwrap();
            read(&path).unwrap_err()
        };
        assert!(said(r#"{"version":3,"new":{}}"#).contains("asks by version 3"));
        assert!(said(r#"{"version":2}"#).contains("is no plan of a peek: missing field"));
        std::fs::remove_file(&path).unwrap();
        let error = read(&path).unwrap_err();
        assert!(error.starts_with("cannot read the plan"), "{error}");
    }

    #[test]
    fn what_is_printed_stays_below_the_size_at_which_logs_are_cut() {
        let mut room = Room::default();
        let line = "x".repeat(100 << 10);
        let printed = (0..1_000).take_while(|_| room.take(&line)).count();
        assert_eq!(printed, 81, "of 100 KiB and 7 heads each");
        assert!(!room.take(&line));
        // Many short ones have as many heads.
        let mut room = Room::default();
        let printed = (0..1_000_000).take_while(|_| room.take("")).count();
        assert_eq!(printed, PRINTED_BYTES / 64);
    }
}
