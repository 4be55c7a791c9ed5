//! Queries with state against a real Flink: every case of `cases/*.golden`, over the records of
//! `streams.json`, must give the columns and rows that Flink 2.3.0 gave, or those that the file says we give
//! instead, with the reason. Each is run three times: all at once; with every record an epoch of its own, in
//! which state is lost now and then and restored from its changelog; and by the engine's run in memory.
//!
//! Rows that come too late are in `late/`, over streams of their own. What is late depends on when the watermark moves, which in
//! Flink is asked to be with each record, as it is in the engine's run in memory; so only that is asked there.
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
mod local;
mod run;
mod streams;

use golden::{Answer, Case};
use run::Way;
use streams::Streams;

/// What came of a case.
#[derive(Default)]
struct Checked {
    /// What is wrong with our answer, if anything.
    wrong: Option<String>,
    /// Our answer, where it isn't Flink's.
    ours: Option<Answer>,
    /// The engine ran it, too.
    by_engine: bool,
}

fn checked(case: &Case, streams: &Streams) -> Checked {
    let wrong = |said: String| Checked {
        wrong: Some(said),
        ..Checked::default()
    };
    let answer = |way| std::panic::catch_unwind(|| run::answer(&case.sql, streams, way));
    let local = || std::panic::catch_unwind(|| local::answer(&case.sql, streams));
    let (Ok(ours), Ok(apart), Ok(local)) = (answer(Way::AtOnce), answer(Way::Epochs), local())
    else {
        return wrong("it panics, as said above".into());
    };
    if !ours.equals(&apart) {
        return wrong(format!(
            "one epoch gives\n{ours}a record an epoch, with restores, gives\n{apart}"
        ));
    }
    if let Some(local) = local.as_ref().filter(|local| !local.equals(&ours)) {
        return wrong(format!(
            "the engine's run in memory gives\n{local}the parts alone give\n{ours}"
        ));
    }
    let same = ours.equals(&case.flink);
    Checked {
        wrong: unlisted(case, &ours, same),
        ours: (!same).then_some(ours),
        by_engine: local.is_some(),
    }
}

/// Whether the file says what it should of our answer.
fn unlisted(case: &Case, ours: &Answer, same: bool) -> Option<String> {
    match &case.ours {
        None if same => None,
        None => Some(format!("Flink says\n{}we say\n{ours}", case.flink)),
        Some(_) if same => Some("this is Flink's answer: no difference is to be listed".into()),
        Some((_, listed)) if !listed.describes(ours) => {
            Some(format!("listed is\n{listed}we say\n{ours}"))
        }
        Some((reason, _)) => reason
            .is_empty()
            .then(|| "the difference has no reason".into()),
    }
}

#[test]
fn queries_with_state_answer_as_flink_does() {
    let streams = Streams::read("streams.json");
    let writes = std::env::var_os("GOLDEN_WRITE").is_some();
    let only = std::env::var("ONLY").unwrap_or_default();
    let (mut wrong, mut count, mut by_engine) = (Vec::new(), 0, 0);
    for mut file in golden::files("cases") {
        let name = file.name();
        for case in &mut file.cases {
            if !case.name.contains(&only) {
                continue;
            }
            count += 1;
            let checked = checked(case, &streams);
            by_engine += usize::from(checked.by_engine);
            if let Some(problem) = checked.wrong {
                wrong.push(format!("{}: {}\n{}\n{problem}", name, case.name, case.sql));
            }
            if writes {
                case.ours = checked.ours.map(|ours| match case.ours.take() {
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
    assert!(
        (count >= 200 && by_engine >= 150) || !only.is_empty(),
        "{count} cases, the engine ran {by_engine}"
    );
}

#[test]
fn late_rows_answer_as_flink_does() {
    let streams = Streams::read("late/streams.json");
    let (mut wrong, mut count, mut late) = (Vec::new(), 0, 0);
    for file in golden::files("late") {
        for case in &file.cases {
            count += 1;
            let dead_letters = local::dead_letters(&case.sql, &streams);
            late += usize::from(!dead_letters.is_empty());
            let ours = local::answer(&case.sql, &streams).expect("the engine runs it");
            let same = ours.equals(&case.flink);
            if let Some(problem) = unlisted(case, &ours, same) {
                wrong.push(format!("{}\n{}\n{problem}", case.name, case.sql));
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count} cases:\n\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(
        count >= 7 && late >= 7,
        "{count} cases, {late} with late rows"
    );
}
