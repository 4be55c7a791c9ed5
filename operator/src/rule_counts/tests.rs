mod bounds;

use super::*;

fn tally(checked: u64, failed: u64, checks: &[(&str, u64)]) -> Tally {
    Tally {
        checked,
        failed,
        stopped: 0,
        checks: checks
            .iter()
            .map(|(name, n)| ((*name).to_owned(), *n))
            .collect(),
    }
}

/// Of which those went no further that failed one of these.
fn stopping(mut tally: Tally, refuses: &[&str]) -> Tally {
    let all: u64 = refuses.iter().map(|name| tally.check(name)).sum();
    tally.stopped = all.min(tally.failed);
    tally
}

fn pods(all: &[(&str, &str, Tally)]) -> Heard {
    let mut pods = Heard::new();
    for (by, pod, tally) in all {
        let of = pods.entry((*by).to_owned()).or_default();
        let of = of.get_or_insert_default();
        of.insert((*pod).to_owned(), tally.clone());
    }
    pods
}

fn total(all: &[(&str, &str, Tally)], refuses: &[&str]) -> Tally {
    let mut heard = pods(all);
    let tallies = heard.values_mut().flatten().flat_map(BTreeMap::values_mut);
    tallies.for_each(|tally| *tally = stopping(tally.clone(), refuses));
    of_heard(&heard, refuses)
}

fn of_heard(heard: &Heard, refuses: &[&str]) -> Tally {
    let mut counts = Counts::default();
    counts.round(heard);
    counts.total(|check| refuses.contains(&check))
}

#[test]
fn a_record_that_a_source_refuses_for_two_reasons_is_one_record() {
    // 490 come in, of which 60 are refused, 5 of them by two checks, and 100 of those that go on fail what only warns.
    let source = Tally {
        stopped: 60,
        ..tally(
            490,
            160,
            &[("positive", 50), ("country", 15), ("soft", 113)],
        )
    };
    let reader = tally(430, 100, &[("soft", 97)]);
    let heard = pods(&[("Source/in", "a", source), ("Pipeline/p", "b", reader)]);
    let counted = of_heard(&heard, &["positive", "country"]);
    assert_eq!((counted.checked, counted.failed), (490, 160));
    let of = |name| counted.check(name);
    assert_eq!((of("positive"), of("country"), of("soft")), (50, 15, 113));
}

#[test]
fn a_check_that_refuses_since_its_rule_was_changed_has_refused_none_before() {
    // Ten failed while the check only warned, and went on.
    let heard = pods(&[
        ("Source/in", "a", tally(100, 10, &[("positive", 10)])),
        ("Pipeline/p", "b", tally(100, 10, &[("positive", 10)])),
    ]);
    let counted = of_heard(&heard, &["positive"]);
    assert_eq!((counted.checked, counted.failed), (100, 10));
    assert_eq!(counted.check("positive"), 10);
    // So it is for a process that goes on from the status.
    let mut counts = Counts::default();
    counts.round(&heard);
    let next = Counts::of_status(&counts.to_status(), |_| true);
    assert_eq!(next, counts);
    // One of an earlier release hasn't said how many were refused: that follows from the checks.
    let mut earlier = counts.to_status();
    for judge in &mut earlier {
        judge
            .pods
            .values_mut()
            .for_each(|count| count.stopped = None);
    }
    let next = Counts::of_status(&earlier, |_| true);
    assert_eq!(next.total(|_| true).checked, 110);
}

#[test]
fn a_record_that_is_judged_twice_is_one_record() {
    // A Source judges 100 and refuses 10; both readers judge the 90 that are left, one of them is behind.
    let all = [
        ("Source/in", "a", tally(60, 6, &[("positive", 6)])),
        ("Source/in", "b", tally(40, 4, &[("positive", 4)])),
        ("Pipeline/p", "c", tally(90, 0, &[])),
        ("Pipeline/q", "d", tally(30, 0, &[])),
    ];
    let counted = total(&all, &["positive"]);
    assert_eq!(
        (counted.checked, counted.failed, counted.check("positive")),
        (100, 10, 10)
    );
    // Others write to the topic, too: what readers refuse is added.
    let all = [
        ("Source/in", "a", tally(100, 10, &[("positive", 10)])),
        ("Pipeline/p", "c", tally(120, 5, &[("positive", 5)])),
        ("Pipeline/q", "d", tally(110, 4, &[("positive", 4)])),
    ];
    let counted = total(&all, &["positive"]);
    assert_eq!(
        (counted.checked, counted.failed, counted.check("positive")),
        (130, 15, 15)
    );
    // What only alerts passes the Source and fails again: once.
    let counted = total(
        &[
            ("Source/in", "a", tally(100, 10, &[("positive", 10)])),
            ("Pipeline/p", "c", tally(100, 10, &[("positive", 10)])),
        ],
        &[],
    );
    assert_eq!(
        (counted.checked, counted.failed, counted.check("positive")),
        (100, 10, 10)
    );
    // Nobody reads it, or hasn't yet.
    let counted = total(
        &[("Source/in", "a", tally(100, 10, &[("positive", 10)]))],
        &["positive"],
    );
    assert_eq!((counted.checked, counted.failed), (100, 10));
    // Some checks refuse, others alert: 3 of 10 went no further, the other 7 fail again at the reader.
    let counted = total(
        &[
            (
                "Source/in",
                "a",
                tally(100, 10, &[("hard", 3), ("soft", 7)]),
            ),
            ("Pipeline/p", "c", tally(97, 7, &[("soft", 7)])),
        ],
        &["hard"],
    );
    assert_eq!((counted.checked, counted.failed), (100, 10));
    assert_eq!((counted.check("hard"), counted.check("soft")), (3, 7));
}

#[test]
fn counts_go_on_over_pods_that_end_and_processes_that_begin_anew() {
    let mut counts = Counts::default();
    let mut round = |all: &[(&str, Tally)]| {
        let all: Vec<_> = all
            .iter()
            .map(|(pod, tally)| ("Pipeline/p", *pod, tally.clone()))
            .collect();
        counts.round(&pods(&all));
        let total = counts.total(|_| true);
        (total.checked, total.failed, total.check("c"))
    };
    assert_eq!(round(&[("a", tally(50, 5, &[("c", 5)]))]), (50, 5, 5));
    // Nobody answers for a moment, and then the same pod does.
    assert_eq!(round(&[]), (50, 5, 5));
    assert_eq!(round(&[("a", tally(60, 6, &[("c", 6)]))]), (60, 6, 6));
    // Another pod in its place.
    assert_eq!(round(&[("b", tally(10, 1, &[("c", 1)]))]), (70, 7, 7));
    // Its container begins anew.
    assert_eq!(round(&[("b", tally(3, 0, &[]))]), (73, 7, 7));
    assert_eq!(round(&[("b", tally(0, 0, &[]))]), (73, 7, 7));
    assert_eq!(round(&[("b", tally(2, 1, &[("c", 1)]))]), (75, 8, 8));
}

#[test]
fn a_new_leader_goes_on_from_what_the_status_says() {
    let mut counts = Counts::default();
    counts.round(&pods(&[
        (
            "Source/in",
            "a",
            stopping(tally(70, 7, &[("c", 7)]), &["c"]),
        ),
        ("Pipeline/p", "b", tally(63, 0, &[])),
    ]));
    let of = |checked| stopping(tally(checked, 3, &[("c", 3)]), &["c"]);
    counts.round(&pods(&[("Source/in", "z", of(30))]));
    let json = serde_json::to_value(counts.to_status()).unwrap();
    let judges = serde_json::from_value::<Vec<JudgeCount>>(json).unwrap();
    let mut next = Counts::of_status(&judges, |_| true);
    // The pod has counted on while nobody led.
    next.round(&pods(&[("Source/in", "z", of(40))]));
    let total = next.total(|_| true);
    assert_eq!(
        (total.checked, total.failed, total.check("c")),
        (110, 10, 10)
    );
}

#[test]
fn a_judge_waits_while_one_of_its_pods_has_not_answered() {
    let of = |from: u32, each: u64| -> Heard {
        let all = (from..from + 80).map(|n| (format!("pod-{n}"), tally(each, 0, &[])));
        [("Source/in".to_owned(), Some(all.collect()))].into()
    };
    let mut counts = Counts::default();
    counts.round(&of(0, 10));
    let mut next = Counts::of_status(&counts.to_status(), |_| true);
    // The operator began anew, and no pod has answered it yet; then all 80 do, more than are remembered of ended ones.
    next.round(&[("Source/in".to_owned(), None)].into());
    assert_eq!(next, counts);
    next.round(&of(0, 11));
    assert_eq!(next.total(|_| true).checked, 880);
}

#[test]
fn judges_that_are_gone_leave_room_for_others() {
    let mut counts = Counts::default();
    let mut round = |kind: &str, n: usize| {
        let by = format!("{kind}/x{n}");
        counts.round(&pods(&[(&by, "a", tally(10, 1, &[("c", 1)]))]));
        let total = counts.total(|_| false);
        assert!(counts.to_status().len() <= JUDGES);
        (total.checked, total.failed, total.check("c"))
    };
    for n in 0..200_u64 {
        let all = (10 * (n + 1), n + 1, n + 1);
        assert_eq!(round("Source", usize::try_from(n).unwrap()), all);
    }
    for n in 0..200 {
        assert_eq!(round("Pipeline", n), (2_000, 200, 200));
    }
    // A reader that judged more than each that is gone.
    counts.round(&pods(&[("Pipeline/y", "a", tally(2_500, 0, &[]))]));
    assert_eq!(counts.total(|_| false).checked, 2_500);
    let json = serde_json::to_value(counts.to_status()).unwrap();
    let judges = serde_json::from_value::<Vec<JudgeCount>>(json).unwrap();
    let next = Counts::of_status(&judges, |_| false);
    assert_eq!(next.total(|_| false), counts.total(|_| false));
}

/// What a look gives: records that were judged since the first one, and those that failed.
fn looks(refuses: &'static [&str]) -> impl FnMut(&Heard) -> (u64, u64) {
    let (mut remembered, mut first) = (Remembered::default(), None);
    move |heard| {
        let mut heard = heard.clone();
        let tallies = heard.values_mut().flatten().flat_map(BTreeMap::values_mut);
        tallies.for_each(|tally| *tally = stopping(tally.clone(), refuses));
        let sums = remembered.round(&heard);
        let judged = sums.since(*first.get_or_insert(sums)).judged();
        (judged.checked, judged.failed)
    }
}

#[test]
fn health_goes_on_when_the_reader_is_gone_that_judged_most() {
    let mut look = looks(&[]);
    let old = ("Pipeline/old", "a", tally(1_000, 900, &[("c", 900)]));
    let new = |checked, failed| {
        (
            "Pipeline/new",
            "b",
            tally(checked, failed, &[("c", failed)]),
        )
    };
    assert_eq!(look(&pods(&[old.clone(), new(100, 0)])), (0, 0));
    assert_eq!(look(&pods(&[old, new(110, 1)])), (10, 1));
    assert_eq!(look(&pods(&[new(150, 31)])), (50, 31));
    // Its pod ends, too, and another takes its place.
    assert_eq!(
        look(&pods(&[("Pipeline/new", "c", tally(5, 5, &[]))])),
        (55, 36)
    );
}

#[test]
fn health_takes_checked_and_failed_of_the_same_reader() {
    let mut look = looks(&[]);
    let at = |p: (u64, u64), q: (u64, u64)| {
        let p = ("Pipeline/p", "a", tally(p.0, p.1, &[]));
        pods(&[p, ("Pipeline/q", "b", tally(q.0, q.1, &[]))])
    };
    assert_eq!(look(&at((1_000, 0), (500, 500))), (0, 0));
    assert_eq!(look(&at((1_100, 1), (510, 510))), (100, 1));
}

#[test]
fn health_counts_a_record_once_that_a_source_and_a_reader_judge() {
    let mut look = looks(&["hard"]);
    let source = |n: u64| {
        (
            "Source/in",
            "a",
            tally(100 * n, 10 * n, &[("hard", 10 * n)]),
        )
    };
    let reader = |n: u64| ("Pipeline/p", "b", tally(90 * n, 0, &[]));
    assert_eq!(look(&pods(&[source(1), reader(1)])), (0, 0));
    assert_eq!(look(&pods(&[source(2), reader(1)])), (100, 10));
    // The reader comes a look later.
    assert_eq!(look(&pods(&[source(2), reader(2)])), (100, 10));
}

#[test]
fn what_was_counted_while_nobody_led_is_not_of_late() {
    let mut counts = Counts::default();
    counts.round(&pods(&[("Source/in", "a", tally(10, 0, &[]))]));
    let mut next = Remembered {
        counts,
        ..Remembered::default()
    };
    let silent: Heard = [
        ("Source/in".to_owned(), None),
        ("Source/new".to_owned(), None),
    ]
    .into();
    let mut look = |heard: &Heard| next.round(heard).judged().checked;
    assert_eq!(look(&silent), 0);
    let both = |n, m| {
        let old = ("Source/in", "a", tally(n, 0, &[]));
        pods(&[old, ("Source/new", "b", tally(m, 0, &[]))])
    };
    // A new one's first count is of late.
    assert_eq!(look(&both(1_000, 7)), 7);
    assert_eq!(look(&silent), 7);
    assert_eq!(look(&both(1_003, 7)), 10);
}

#[test]
fn a_pod_can_neither_invent_checks_nor_fill_the_status() {
    let figures = |name: &str, stream: &str| RuleFigures {
        stream: stream.into(),
        name: name.into(),
        checked: u64::MAX,
        failed: 9,
        checks: ["c", "invented"]
            .map(|name| headworks_plan::CheckFigures {
                name: name.into(),
                failed: 9,
                ..Default::default()
            })
            .to_vec(),
        ..RuleFigures::default()
    };
    let said = [
        figures("r", "s"),
        figures("r", "s"),
        figures("r", "other"),
        figures("other", "s"),
    ];
    let checks = ["c".to_owned()].into();
    let read = Tally::of(&said, "s", "r", &checks, |_| true);
    let wanted = stopping(tally(u64::MAX, 18, &[("c", 18)]), &["c"]);
    assert_eq!(read, wanted);
    let many: Vec<_> = (0..100)
        .map(|n| (format!("Pipeline/p{n}"), "a", tally(1, 0, &[])))
        .collect();
    let many: Vec<_> = many
        .iter()
        .map(|(by, pod, tally)| (by.as_str(), *pod, tally.clone()))
        .collect();
    let mut counts = Counts::default();
    counts.round(&pods(&many));
    assert_eq!(counts.to_status().len(), JUDGES);
    let many: Vec<_> = (0..300)
        .map(|n| (format!("pod-{n}"), tally(1, 0, &[])))
        .collect();
    let many: Vec<_> = many
        .iter()
        .map(|(pod, tally)| ("Source/in", pod.as_str(), tally.clone()))
        .collect();
    let mut counts = Counts::default();
    counts.round(&pods(&many));
    assert_eq!(counts.to_status()[0].pods.len(), PODS);
}
