//! Health within its window, and what is kept of samples.

use super::*;

const MINUTE: i64 = 60_000;

fn sums(checked: u64, failed: u64) -> Sums {
    let readers = Count {
        checked,
        failed,
        stopped: 0,
    };
    Sums {
        readers,
        ..Sums::default()
    }
}

#[test]
fn health_is_of_the_window_alone() {
    let mut window = Window::default();
    let mut at = |minute: i64, checked, failed| {
        window.note(1, minute * MINUTE, sums(checked, failed), 5 * MINUTE)
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
    window.note(1, 0, sums(0, 0), 5 * MINUTE);
    assert!(window.note(1, MINUTE, sums(10, 10), 5 * MINUTE).is_some());
    assert_eq!(window.note(2, 2 * MINUTE, sums(20, 20), 5 * MINUTE), None);
    assert_eq!(
        window.note(2, 3 * MINUTE, sums(30, 20), 5 * MINUTE),
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
        window.note(1, second * 1_000, sums(1, 0), 5 * MINUTE);
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
