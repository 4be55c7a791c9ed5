use serde_json::json;

use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + seconds).unwrap()
}

fn times(every: Option<i64>, overlap: i64) -> Times {
    Times {
        expires: None,
        every: every.map(SignedDuration::from_secs),
        overlap: SignedDuration::from_secs(overlap),
    }
}

/// The Secret after a plan was carried out.
fn carried_out(plan: &Plan) -> Held {
    Held {
        slot: plan.current,
        since: plan.since,
        previous: plan.previous.is_some(),
    }
}

#[test]
fn two_users_take_turns_and_never_is_none_of_them_valid() {
    let times = times(Some(100), 30);
    let first = plan(None, None, &times, at(0));
    assert_eq!(
        (first.current, first.fresh, first.previous),
        (Slot::A, true, None)
    );
    assert_eq!(first.next, Some(at(100)));
    let held = carried_out(&first);
    // Nothing happens before its time.
    let still = plan(Some(held), None, &times, at(99));
    assert_eq!(
        (still.current, still.fresh, still.previous, still.next),
        (Slot::A, false, None, Some(at(100)))
    );
    let second = plan(Some(held), None, &times, at(100));
    assert_eq!((second.current, second.fresh), (Slot::B, true));
    assert_eq!(
        (second.previous, second.next),
        (Some(at(130)), Some(at(130)))
    );
    let held = carried_out(&second);
    let overlap = plan(Some(held), None, &times, at(129));
    assert_eq!(
        (overlap.current, overlap.fresh, overlap.previous),
        (Slot::B, false, Some(at(130)))
    );
    let retired = plan(Some(held), None, &times, at(130));
    assert_eq!(
        (retired.current, retired.previous, retired.next),
        (Slot::B, None, Some(at(200)))
    );
    let third = plan(Some(held), None, &times, at(200));
    assert_eq!(
        (third.current, third.fresh, third.previous),
        (Slot::A, true, Some(at(230)))
    );
}

#[test]
fn a_rotation_interrupted_before_the_secret_was_switched_begins_again_with_the_same_user() {
    let times = times(Some(100), 30);
    let held = Held {
        slot: Slot::A,
        since: at(0),
        previous: true,
    };
    for late in [100, 101, 5_000] {
        let again = plan(Some(held), None, &times, at(late));
        assert_eq!(
            (again.current, again.fresh, again.since),
            (Slot::B, true, at(late))
        );
        // The overlap is measured from the switch, however late it comes.
        assert_eq!(again.previous, Some(at(late + 30)));
    }
}

#[test]
fn an_operator_that_was_away_through_the_overlap_retires_at_once() {
    let times = times(Some(100), 30);
    let held = Held {
        slot: Slot::B,
        since: at(0),
        previous: true,
    };
    let plan = plan(Some(held), None, &times, at(99));
    assert_eq!((plan.current, plan.previous), (Slot::B, None));
}

#[test]
fn a_user_that_outlived_its_overlap_goes_once_before_its_next_turn() {
    let times = times(Some(100), 30);
    let held = Held {
        slot: Slot::A,
        since: at(0),
        previous: true,
    };
    let turn = plan(Some(held), Some(Slot::A), &times, at(500));
    assert_eq!((turn.current, turn.fresh), (Slot::B, true));
    assert!(turn.outlived(Some(Slot::B)));
    // When it is gone, what an interrupted attempt has begun is gone on with.
    assert!(!turn.outlived(None));
    let still = plan(Some(held), Some(Slot::A), &times, at(10));
    assert!(!still.outlived(Some(Slot::B)));
}

#[test]
fn a_lost_secret_gets_the_other_user_so_that_the_lost_password_works_on() {
    let times = times(None, 30);
    let plan = plan(None, Some(Slot::A), &times, at(0));
    assert_eq!(
        (plan.current, plan.fresh, plan.previous),
        (Slot::B, true, Some(at(30)))
    );
}

#[test]
fn without_rotation_nothing_ever_changes_but_by_expiry() {
    let mut times = times(None, 30);
    let held = Held {
        slot: Slot::A,
        since: at(0),
        previous: false,
    };
    assert_eq!(plan(Some(held), None, &times, at(9_999_999)).next, None);
    times.expires = Some(at(50));
    assert_eq!(plan(Some(held), None, &times, at(1)).next, Some(at(50)));
}

#[test]
fn a_clock_that_went_back_changes_nothing() {
    let times = times(Some(100), 30);
    let held = Held {
        slot: Slot::A,
        since: at(500),
        previous: false,
    };
    let plan = plan(Some(held), None, &times, at(0));
    assert_eq!(
        (plan.current, plan.fresh, plan.next),
        (Slot::A, false, Some(at(600)))
    );
}

#[test]
fn what_the_spec_says_of_time_is_checked() {
    let spec = |spec: serde_json::Value| -> AccessGrantSpec {
        let mut whole = json!({"to": {"namespace": "bi", "name": "report"}, "read": ["orders"]});
        whole
            .as_object_mut()
            .unwrap()
            .extend(spec.as_object().unwrap().clone());
        serde_json::from_value(whole).unwrap()
    };
    let read = |value| super::times(&spec(value));
    assert_eq!(read(json!({})).unwrap().every, None);
    let short = read(json!({"rotation": {"every": "10m"}})).unwrap();
    assert_eq!(short.overlap, SignedDuration::from_mins(5));
    let long = read(json!({"rotation": {"every": "30d"}})).unwrap();
    assert_eq!(long.overlap, SignedDuration::from_hours(1));
    assert_eq!(
        read(json!({"expires": "2027-01-01T01:00:00+01:00"}))
            .unwrap()
            .expires,
        Some("2027-01-01T00:00:00Z".parse().unwrap())
    );
    for wrong in [
        json!({"rotation": {"every": "1h", "overlap": "1h"}}),
        json!({"expires": "2027-13-01T00:00:00Z"}),
    ] {
        assert_eq!(read(wrong).unwrap_err().reason(), "InvalidSpec");
    }
}

#[test]
fn an_end_that_cannot_be_read_leaves_the_one_before_in_force() {
    let spec = |expires: &str, rotation: serde_json::Value| -> AccessGrantSpec {
        serde_json::from_value(
            json!({"to": {"namespace": "bi", "name": "report"}, "read": ["orders"],
                "expires": expires, "rotation": rotation}),
        )
        .unwrap()
    };
    let good: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
    // Whatever else is wrong with the spec.
    let wrong = spec(
        "2027-01-01T00:00:00Z",
        json!({"every": "1m", "overlap": "1h"}),
    );
    assert_eq!(end(&wrong, None), (Some(good), None));
    let unreadable = spec("2027-13-01T00:00:00Z", json!({"every": "1h"}));
    let (still, error) = end(&unreadable, Some("2027-01-01T00:00:00Z"));
    assert_eq!(still, Some(good));
    assert_eq!(error.unwrap().reason(), "InvalidSpec");
    assert_eq!(end(&unreadable, None).0, None);
}

#[test]
fn a_client_can_put_off_no_turn_by_what_it_writes_into_its_secret() {
    let times = times(Some(100), 30);
    let held = |slot: Slot, since: i64| Held {
        slot,
        since: at(since),
        previous: true,
    };
    let known = Some(Known {
        slot: Slot::A,
        since: at(0),
    });
    let turned = |held: Held, known: Option<Known>, now: i64| {
        let believed = held.believed(known, &times, at(now));
        plan(believed, known.map(|k| k.slot), &times, at(now))
    };
    // A later time than the status has, or than it is.
    for forged in [50, 99, 9_999_999] {
        assert!(!turned(held(Slot::A, forged), known, 99).fresh);
        let turn = turned(held(Slot::A, forged), known, 100);
        assert_eq!((turn.current, turn.fresh), (Slot::B, true));
    }
    let alone = turned(held(Slot::A, 9_999_999), None, 10);
    assert_eq!((alone.since, alone.next), (at(10), Some(at(40))));
    // The other user without a turn.
    let other = turned(held(Slot::B, 50), known, 50);
    assert_eq!(
        (other.current, other.fresh, other.previous),
        (Slot::B, true, Some(at(80)))
    );
    // A turn whose status was never written goes on.
    let cut_short = turned(held(Slot::B, 101), known, 102);
    assert_eq!(
        (cut_short.current, cut_short.fresh, cut_short.since),
        (Slot::B, false, at(101))
    );
    assert_eq!(cut_short.previous, Some(at(131)));
}

#[test]
fn a_user_is_known_by_its_name() {
    let base = "headworks.prod.grant.shop.report";
    for slot in [Slot::A, Slot::B] {
        assert_eq!(Slot::of(&slot.user(base), base), Some(slot));
    }
    assert_eq!(Slot::of(base, base), None);
}
