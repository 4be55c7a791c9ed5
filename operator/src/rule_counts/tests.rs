use super::*;

fn tally(checked: u64, failed: u64, checks: &[(&str, u64)]) -> Tally {
    Tally {
        checked,
        failed,
        checks: checks
            .iter()
            .map(|(name, n)| ((*name).to_owned(), *n))
            .collect(),
    }
}

fn pods(all: &[(&str, &str, Tally)]) -> BTreeMap<String, BTreeMap<String, Tally>> {
    let mut pods: BTreeMap<String, BTreeMap<String, Tally>> = BTreeMap::new();
    for (by, pod, tally) in all {
        let of = pods.entry((*by).to_owned()).or_default();
        of.insert((*pod).to_owned(), tally.clone());
    }
    pods
}

fn total(all: &[(&str, &str, Tally)], refuses: &[&str]) -> Tally {
    let mut counts = Counts::default();
    counts.round(&pods(all));
    counts.total(|check| refuses.contains(&check))
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
        ("Source/in", "a", tally(70, 7, &[("c", 7)])),
        ("Pipeline/p", "b", tally(63, 0, &[])),
    ]));
    counts.round(&pods(&[("Source/in", "z", tally(30, 3, &[("c", 3)]))]));
    let json = serde_json::to_value(counts.to_status()).unwrap();
    let mut next = Counts::of_status(&serde_json::from_value::<Vec<JudgeCount>>(json).unwrap());
    // The pod has counted on while nobody led.
    next.round(&pods(&[("Source/in", "z", tally(40, 3, &[("c", 3)]))]));
    let total = next.total(|_| true);
    assert_eq!(
        (total.checked, total.failed, total.check("c")),
        (110, 10, 10)
    );
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
    let read = Tally::of(&said, "s", "r", &["c".to_owned()].into());
    assert_eq!(read, tally(u64::MAX, 18, &[("c", 18)]));
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

const MINUTE: i64 = 60_000;

#[test]
fn health_is_of_the_window_alone() {
    let mut window = Window::default();
    let mut at = |minute: i64, checked, failed| {
        window.note(1, minute * MINUTE, (checked, failed), 5 * MINUTE)
    };
    assert_eq!(at(0, 1_000, 900), None, "what was before nobody knows");
    assert_eq!(
        at(1, 1_100, 950),
        Some(Judged {
            checked: 100,
            failed: 50
        })
    );
    assert_eq!(
        at(5, 2_000, 950),
        Some(Judged {
            checked: 1_000,
            failed: 50
        })
    );
    // The bad minute is more than five minutes ago.
    assert_eq!(
        at(6, 2_100, 950),
        Some(Judged {
            checked: 1_000,
            failed: 0
        })
    );
    assert_eq!(at(20, 2_100, 950), None, "nothing was judged of late");
}

#[test]
fn a_changed_rule_begins_anew() {
    let mut window = Window::default();
    window.note(1, 0, (0, 0), 5 * MINUTE);
    assert!(window.note(1, MINUTE, (10, 10), 5 * MINUTE).is_some());
    assert_eq!(window.note(2, 2 * MINUTE, (20, 20), 5 * MINUTE), None);
    assert_eq!(
        window.note(2, 3 * MINUTE, (30, 20), 5 * MINUTE),
        Some(Judged {
            checked: 10,
            failed: 0
        })
    );
}

#[test]
fn samples_are_bounded() {
    let mut window = Window::default();
    for second in 0..10_000 {
        window.note(1, second * 1_000, (1, 0), 5 * MINUTE);
    }
    assert!(format!("{window:?}").matches("Sample").count() <= 62);
}

#[test]
fn a_threshold_is_compared_exactly() {
    let judged = |checked, failed| Judged { checked, failed };
    // Great Expectations says the same of mostly=0.67.
    assert!(!judged(3, 1).meets("67"));
    assert!(judged(3, 1).meets("66.666666666"));
    assert!(!judged(3, 1).meets("66.666666667"));
    assert!(judged(200, 1).meets("99.5") && !judged(200, 1).meets("99.500000001"));
    assert!(judged(1, 0).meets("100") && !judged(u64::MAX, 1).meets("100"));
    assert!(judged(5, 5).meets("0"));
    assert!(!judged(5, 0).meets("all") && !judged(5, 0).meets("1.0000000000"));
}

#[test]
fn a_hundred_per_cent_means_all() {
    let pass = |checked, failed| Judged { checked, failed }.pass();
    assert_eq!(pass(0, 0), None);
    assert_eq!(pass(10, 0).as_deref(), Some("100"));
    assert_eq!(pass(1_000_000, 1).as_deref(), Some("99.99"));
    assert_eq!(pass(1_000, 5).as_deref(), Some("99.5"));
    assert_eq!(pass(3, 1).as_deref(), Some("66.66"));
    assert_eq!(pass(4, 4).as_deref(), Some("0"));
}
