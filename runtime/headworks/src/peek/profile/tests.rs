use headworks_plan::{Contract, Field, PEEK_VERSION, PeekSelection, PeekTask, Stream};

use super::*;
use crate::peek::select::Sent;
use crate::peek::select::memory::{Memory, record};

fn plan(from: Option<PeekFrom>, masked: &[&str]) -> PeekPlan {
    let field = |name: &str, type_: &str| Field {
        name: name.into(),
        type_: type_.into(),
        nullable: true,
        labels: Vec::new(),
    };
    PeekPlan {
        version: PEEK_VERSION,
        kafka: headworks_plan::KafkaConnection::default(),
        registry: None,
        stream: Stream {
            name: "orders".into(),
            topic: "shop.orders".into(),
            dead_letter_topic: "shop.orders.dlq".into(),
            contract: Contract {
                fields: vec![field("n", "bigint"), field("mail", "string")],
                ..Contract::default()
            },
            max_message_bytes: 1_048_588,
            rules: Vec::new(),
        },
        group: "g".into(),
        masked: masked.iter().map(|m| (*m).to_owned()).collect(),
        task: PeekTask::default(),
        select: PeekSelection {
            from,
            limit: 1,
            seconds: 60,
            ..PeekSelection::default()
        },
    }
}

/// Two partitions of 600 records each; every third is no JSON.
fn topic() -> Memory {
    let mut topic = Memory::default();
    for n in 0..1_200_i64 {
        let partition = i32::try_from(n % 2).unwrap();
        let value = match n % 3 {
            0 => format!("broken {n}"),
            _ => format!(r#"{{"n":{n},"mail":"m{}@example.com"}}"#, n % 7),
        };
        topic.add(Found {
            value: Some(value.into_bytes()),
            ..record(partition, 0, n, "k")
        });
    }
    topic
}

fn profiled(plan: &PeekPlan, records: u64) -> StreamProfile {
    let rows = Rows::new(plan).unwrap();
    let asked = ProfileRequest {
        records,
        every_ms: None,
    };
    match profile(&mut topic(), plan, asked, rows).unwrap() {
        PeekLine::Profile(profile) => *profile,
        other => panic!("{other:?}"),
    }
}

#[test]
fn all_rows_are_counted_and_what_cannot_be_read_is_told() {
    let told = profiled(&plan(None, &[]), 10_000);
    assert_eq!((told.read, told.rows, told.undecoded), (1_200, 800, 400));
    assert_eq!(
        (told.first_ms, told.last_ms, told.complete),
        (Some(1), Some(1_199), true)
    );
    let [n, mail] = &told.columns[..] else {
        panic!("{told:?}");
    };
    assert_eq!((n.count, n.nulls, n.distinct), (800, 0, 800));
    assert_eq!(
        (n.min.as_deref(), n.max.as_deref()),
        (Some("1"), Some("1199"))
    );
    assert_eq!(
        (mail.distinct, mail.shapes[0].shape.as_str()),
        (7, "a9@a.a")
    );
}

#[test]
fn the_sample_is_the_newest_of_each_partition_or_the_first_of_a_time() {
    let told = profiled(&plan(None, &[]), 100);
    assert_eq!((told.read, told.last_ms), (100, Some(1_199)));
    assert!(told.first_ms >= Some(1_100), "{told:?}");
    let told = profiled(&plan(Some(PeekFrom::Time(600)), &[]), 100);
    assert_eq!(
        (told.rows + told.undecoded, told.first_ms),
        (100, Some(601))
    );
    assert!(told.last_ms < Some(700), "{told:?}");
}

#[test]
fn values_of_masked_fields_stay_in_the_pod() {
    let told = profiled(&plan(None, &["mail"]), 10_000);
    let text = serde_json::to_string(&told).unwrap();
    assert!(!text.contains("example.com"), "{text}");
    assert_eq!(told.columns[1].distinct, 7);
    assert_eq!(told.columns[1].length.as_ref().map(|l| l.max), Some(14));
}

/// What is told of intervals of 250 ms from 0 to `until`, and the last line; `sent` says what becomes of a profile.
fn over(
    until: i64,
    seconds: u64,
    sent: impl Fn(usize) -> Sent,
) -> (Vec<StreamProfile>, Vec<String>, Option<PeekLine>) {
    let mut plan = plan(Some(PeekFrom::Time(0)), &["mail"]);
    plan.select.until_ms = Some(until);
    plan.select.seconds = seconds;
    let asked = ProfileRequest {
        records: 100,
        every_ms: Some(250),
    };
    let rows = || Ok(Rows::new(&plan).unwrap());
    let (mut told, mut notes) = (Vec::new(), Vec::new());
    let last = over_time(&mut topic(), &plan, (asked, 250), rows, |line| match line {
        PeekLine::Profile(profile) => {
            let sent = sent(told.len());
            if sent == Sent::Shown {
                told.push(*profile);
            }
            sent
        }
        PeekLine::Note { message } => {
            notes.push(message);
            Sent::Shown
        }
        other => panic!("{other:?}"),
    });
    (told, notes, last.unwrap())
}

#[test]
fn over_time_each_interval_has_a_profile_of_its_own_first_records() {
    let (told, notes, last) = over(1_100, 60, |_| Sent::Shown);
    assert!(notes.is_empty(), "{notes:?}");
    let places: Vec<_> = told.iter().map(|profile| profile.interval).collect();
    let expected = [
        (0, 250),
        (250, 500),
        (500, 750),
        (750, 1_000),
        (1_000, 1_100),
    ];
    assert_eq!(places, expected.map(Some));
    for profile in &told {
        let (begin, end) = profile.interval.unwrap();
        // The first of the interval, the same share of each partition, so that none is told by another's records.
        assert_eq!(profile.read, 100, "{profile:?}");
        assert!(profile.first_ms.unwrap() - begin <= 2, "{profile:?}");
        assert!(profile.last_ms.unwrap() < end, "{profile:?}");
        let [n, mail] = &profile.columns[..] else {
            panic!("{profile:?}")
        };
        assert_eq!(n.count, profile.rows);
        assert_eq!(
            n.min.as_ref(),
            profile.first_ms.map(|ms| ms.to_string()).as_ref()
        );
        assert!(mail.masked && mail.top.is_empty() && mail.min.is_none());
    }
    let rows: u64 = told.iter().map(|profile| profile.rows).sum();
    let end = PeekLine::End {
        records: rows,
        read: 500,
        more: false,
        positions: Vec::new(),
    };
    assert_eq!(last, Some(end));
}

#[test]
fn over_time_an_empty_interval_is_told_and_what_there_is_no_time_or_room_for_is_noted() {
    let (told, notes, _) = over(2_000, 60, |_| Sent::Shown);
    assert_eq!((told.len(), notes.len()), (8, 0));
    assert_eq!((told[7].read, told[7].rows, told[7].complete), (0, 0, true));
    let is_cut = |last| matches!(last, Some(PeekLine::End { more: true, .. }));
    let (told, notes, last) = over(2_000, 0, |_| Sent::Shown);
    assert!(told.is_empty() && is_cut(last));
    assert!(
        notes[0].starts_with("time was over after 0 of 8 intervals"),
        "{notes:?}"
    );
    let (told, notes, last) = over(2_000, 60, |at| [Sent::Shown, Sent::Full][at / 2]);
    assert_eq!(told.len(), 2);
    assert!(
        notes[0].starts_with("2 of 8 intervals are shown") && is_cut(last),
        "{notes:?}"
    );
    // Who went away is told no more.
    let (told, notes, last) = over(2_000, 60, |at| [Sent::Shown, Sent::Unheard][at / 2]);
    assert_eq!((told.len(), notes.len(), last), (2, 0, None));
}

#[test]
fn over_time_asks_for_a_time_span_of_not_too_many_intervals() {
    let refused = |from: Option<PeekFrom>, until: Option<i64>| {
        let mut plan = plan(from, &[]);
        plan.select.until_ms = until;
        let asked = ProfileRequest::default();
        let rows = || Ok(Rows::new(&plan).unwrap());
        let failed = over_time(&mut topic(), &plan, (asked, 1), rows, |_| Sent::Shown);
        failed.unwrap_err().message
    };
    assert!(refused(None, Some(5)).contains("from a time to a time"));
    assert!(refused(Some(PeekFrom::Time(0)), None).contains("from a time to a time"));
    assert!(refused(Some(PeekFrom::Time(0)), Some(5_000)).contains("5000 intervals"));
}
