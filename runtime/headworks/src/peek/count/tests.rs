use headworks_plan::{DeadLetterFilter, PeekSelection};

use super::*;
use crate::peek::select::memory::{Memory, record};

/// A dead letter with these headers.
fn letter(partition: i32, headers: &[(&str, &str)]) -> Found {
    let headers = headers.iter();
    Found {
        headers: headers
            .map(|(name, value)| (format!("headworks.{name}"), value.as_bytes().to_vec()))
            .collect(),
        ..record(partition, 0, 1, "k")
    }
}

/// Six of them, with a marker of a transaction in between, which isn't one.
fn letters() -> Memory {
    let mut topic = Memory::default();
    topic.add(letter(
        0,
        &[("reason", "Decode"), ("time", "2026-01-01T00:00:00Z")],
    ));
    topic.add(letter(
        0,
        &[("reason", "Contract"), ("time", "2026-01-01T01:00:00Z")],
    ));
    topic.marker(0);
    topic.add(letter(
        0,
        &[("reason", "Decode"), ("time", "2026-01-01T02:00:00Z")],
    ));
    for (check, time) in [
        ("positive", "2026-01-01T01:30:00Z"),
        ("positive", "2026-01-01T00:30:00Z"),
        ("known", "2026-01-01T03:00:00Z"),
    ] {
        let quality = [
            ("reason", "Quality"),
            ("rule", "sane"),
            ("check", check),
            ("time", time),
        ];
        topic.add(letter(1, &quality));
    }
    topic
}

fn counted(filter: DeadLetterFilter) -> Vec<String> {
    let selection = PeekSelection {
        limit: 1,
        seconds: 60,
        ..PeekSelection::default()
    };
    let wanted = Wanted::with(&selection, &filter);
    let PeekLine::Counts {
        counts,
        others: 0,
        complete: true,
        ..
    } = count(&mut letters(), wanted).unwrap()
    else {
        panic!("it is counted, and all of it");
    };
    let hour = |ms: Option<i64>| (ms.unwrap() - 1_767_225_600_000) / 60_000;
    let counts = counts.iter();
    counts
        .map(|c| {
            let check = c.check.clone().unwrap_or_default();
            let (first, last) = (hour(c.first_ms), hour(c.last_ms));
            format!("{}{check} {} {first}-{last}", c.reason, c.count)
        })
        .collect()
}

#[test]
fn all_that_are_kept_are_counted_by_reason_and_check() {
    assert_eq!(
        counted(DeadLetterFilter::default()),
        [
            "Decode 2 0-120",
            "Qualitypositive 2 30-90",
            "Contract 1 60-60",
            "Qualityknown 1 180-180"
        ]
    );
}

#[test]
fn filters_go_by_reason_rule_and_the_time_at_which_they_became_dead_letters() {
    let words = |words: &[&str]| words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>();
    let reasons = DeadLetterFilter {
        reasons: words(&["Contract", "Late"]),
        ..DeadLetterFilter::default()
    };
    assert_eq!(counted(reasons), ["Contract 1 60-60"]);
    let rules = DeadLetterFilter {
        rules: words(&["sane"]),
        since_ms: Some(1_767_225_600_000 + 90 * 60_000),
        ..DeadLetterFilter::default()
    };
    assert_eq!(
        counted(rules),
        ["Qualityknown 1 180-180", "Qualitypositive 1 90-90"]
    );
    let before = DeadLetterFilter {
        until_ms: Some(1_767_225_600_000 + 60 * 60_000),
        ..DeadLetterFilter::default()
    };
    assert_eq!(counted(before), ["Decode 1 0-0", "Qualitypositive 1 30-30"]);
}

#[test]
fn reasons_that_somebody_invents_take_bounded_room() {
    let mut counts = Counts::default();
    for n in 0..KINDS + 5 {
        counts.add(&letter(0, &[("reason", &format!("R{n}"))]));
    }
    counts.add(&letter(0, &[("reason", "R0")]));
    assert_eq!((counts.kinds.len(), counts.others), (KINDS, 5));
    assert_eq!(counts.in_order()[0].count, 2);
}
