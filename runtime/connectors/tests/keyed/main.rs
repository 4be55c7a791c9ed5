//! Queries with state against a real Flink: every case of `cases/*.golden`, over the records of
//! `streams.json`, must give the columns and rows that Flink 2.3.0 gave, or those that the file says we give
//! instead, with the reason. Each is run twice: all at once; and with every record an epoch of its own, in
//! which state is lost now and then and restored from its changelog.
//!
//! A case to add is written without an answer; `make parity` asks Flink for it. `GOLDEN_WRITE=1` writes our
//! answers where they differ, without a reason: the test fails until there is one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where it fails"
)]

mod golden;
mod run;
mod streams;

use golden::{Answer, Case};
use run::Way;
use streams::Streams;

/// What is wrong with our answer to a case, if anything; our answer, where it isn't Flink's.
fn checked(case: &Case, streams: &Streams) -> (Option<String>, Option<Answer>) {
    let answer = |way| std::panic::catch_unwind(|| run::answer(&case.sql, streams, way));
    let (Ok(ours), Ok(apart)) = (answer(Way::AtOnce), answer(Way::Epochs)) else {
        return (Some("it panics, as said above".into()), None);
    };
    if !ours.equals(&apart) {
        return (
            Some(format!(
                "one epoch gives\n{ours}a record an epoch, with restores, gives\n{apart}"
            )),
            None,
        );
    }
    if ours.equals(&case.flink) {
        let listed = case.ours.is_some();
        let wrong = listed.then(|| "this is Flink's answer: no difference is to be listed".into());
        return (wrong, None);
    }
    let wrong = match &case.ours {
        None => Some(format!("Flink says\n{}we say\n{ours}", case.flink)),
        Some((reason, listed)) => {
            if !listed.describes(&ours) {
                Some(format!("listed is\n{listed}we say\n{ours}"))
            } else if reason.is_empty() {
                Some("the difference has no reason".into())
            } else {
                None
            }
        }
    };
    (wrong, Some(ours))
}

#[test]
fn queries_with_state_answer_as_flink_does() {
    let streams = Streams::read();
    let writes = std::env::var_os("GOLDEN_WRITE").is_some();
    let only = std::env::var("ONLY").unwrap_or_default();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for mut file in golden::files() {
        let name = file.name();
        for case in &mut file.cases {
            if !case.name.contains(&only) {
                continue;
            }
            count += 1;
            let (problem, ours) = checked(case, &streams);
            if let Some(problem) = problem {
                wrong.push(format!("{}: {}\n{}\n{problem}", name, case.name, case.sql));
            }
            if writes {
                case.ours = ours.map(|ours| match case.ours.take() {
                    Some((reason, listed)) if listed.describes(&ours) => (reason, listed),
                    Some((reason, _)) => (reason, ours.short()),
                    None => (String::new(), ours.short()),
                });
            }
        }
        if writes {
            file.write();
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count} cases:\n\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(count >= 150 || !only.is_empty(), "{count}");
}
