//! `headworks-runtime peek`: prints records of a stream as JSON lines and ends. It is what `headworks peek` starts in a pod.
//!
//! Records are read as a committed reader gets them, by a client that joins no group and commits nothing, and decoded by the
//! decoders that pipelines have. What can't be decoded is shown with the reason that its dead letter would have.
//!
//! Exit codes: 0 done, or told to stop; 1 it can't be done, which the last line says; 3 the plan can't be read.

mod kafka;
mod render;
mod select;

use std::fmt::Display;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use headworks_plan::{PEEK_VERSION, PeekLine, PeekPlan};
use serde::Deserialize;
use tokio::sync::oneshot;

use crate::role::told_to_stop;
use kafka::KafkaTopic;
use render::Renderer;
use select::{Counts, Found, Out, peek};

/// Why there is nothing more to print.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    /// In one word, as conditions have it.
    reason: &'static str,
    /// What, and what to do.
    message: String,
}

impl Failure {
    fn new(reason: &'static str, message: impl Into<String>) -> Failure {
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
        Ok(counts) => {
            if let Some(counts) = counts {
                say(&PeekLine::End {
                    records: counts.records,
                    read: counts.read,
                    more: counts.more,
                });
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

/// None: whoever reads what is printed went away.
fn work(plan: &PeekPlan) -> Result<Option<Counts>, Failure> {
    let mut topic = KafkaTopic::open(plan)?;
    let renderer = Renderer::new(plan)
        .map_err(|e| Failure::new("PlanRefused", format!("the contract can't be read by: {e}")))?;
    peek(&mut topic, &plan.select, &mut Printer(renderer))
}

/// To standard output, a line a record.
struct Printer(Renderer);

impl Out for Printer {
    fn record(&mut self, found: &Found) -> bool {
        print(&self.0.line(found))
    }

    fn note(&mut self, message: String) {
        say(&PeekLine::Note { message });
    }
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
        assert!(said(r#"{"version":2,"new":{}}"#).contains("asks by version 2"));
        assert!(said(r#"{"version":1}"#).contains("is no plan of a peek: missing field"));
        std::fs::remove_file(&path).unwrap();
        let error = read(&path).unwrap_err();
        assert!(error.starts_with("cannot read the plan"), "{error}");
    }
}
