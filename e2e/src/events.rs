//! Events with a key and an event time, and what windows, sessions and deduplication must make of them: computed here, row by
//! row, from what is in the input topic, by nobody else's code.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::{Cluster, Load, Record};

/// 2026-01-01T00:00:00Z, in milliseconds.
const BASE: i64 = 1_767_225_600_000;
/// Event time between two ids, in milliseconds. A second of load is more than a minute of event time.
const STEP: i64 = 100;
/// Keys.
const KEYS: u64 = 200;
/// By how many steps an event may be out of order.
const DISORDER: u64 = 100;

/// An event: the record of an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Key.
    pub key: String,
    /// The id.
    pub n: i64,
    /// Event time, in milliseconds since 1970 UTC; no two events have the same.
    pub ts: i64,
}

/// Key and beginning of a window to number and sum of its events.
pub type Window = BTreeMap<(String, i64), (i64, i64)>;
/// Key and beginning of a session to its end and its number of events.
pub type Session = BTreeMap<(String, i64), (i64, i64)>;

/// What is in the input topic, less the dead letters.
#[derive(Debug, Default)]
pub struct Events {
    /// In no order.
    pub events: Vec<Event>,
    /// How many more were too late, by the dead letters.
    pub late: usize,
}

fn mixed(id: u64) -> u64 {
    let mut x = id.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    x ^= x >> 29;
    x = x.wrapping_mul(0xBF58_476D_1CE4_E5B9);
    x ^ (x >> 32)
}

/// The record of an id.
pub fn line(id: u64) -> String {
    let mixed = mixed(id);
    let key = mixed % KEYS;
    let back = (mixed >> 20) % DISORDER;
    // Steps back and forth, and the id's place within its step, make the time unlike any other's.
    let ts = BASE + (id as i64 + DISORDER as i64 - back as i64) * STEP + (id % STEP as u64) as i64;
    format!(
        "{{\"id\":\"{id}\",\"k\":\"k{key}\",\"n\":{id},\"ts\":\"{}\"}}",
        instant(ts)
    )
}

/// Milliseconds since 1970 as JSON shows an instant.
pub fn instant(ms: i64) -> String {
    let (days, rest) = (ms.div_euclid(86_400_000), ms.rem_euclid(86_400_000));
    // Civil from days: Howard Hinnant, chrono-compatible low-level date algorithms.
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
    let (second, milli) = (rest / 1_000 % 60, rest % 1_000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

impl Events {
    /// A sender of events, about 1,000 a second.
    pub fn load(url: String) -> Load {
        Load::of(url, line)
    }

    /// A stream `name` of events.
    pub fn stream(name: &str, partitions: u32) -> String {
        format!(
            "apiVersion: headworks.dev/v1alpha1\nkind: DataStream\nmetadata: {{name: {name}}}\nspec:\n  platform: e2e\n  partitions: {partitions}\n  schema:\n    - {{name: id, type: string, nullable: true}}\n    - {{name: k, type: string}}\n    - {{name: \"n\", type: bigint}}\n    - {{name: ts, type: \"timestamp_ltz(3)\"}}\n  key: [k]\n  eventTime: {{field: ts, maxOutOfOrderness: 1m, idleTimeout: 30s}}\n"
        )
    }

    /// Events far in the future, in every partition, by hand: they end every window before them.
    pub fn close(c: &Cluster, topic: &str) {
        let ts = instant(BASE + 30 * 86_400_000);
        let count = c.kafka.partitions(topic).expect("the topic is there");
        let value = format!("{{\"id\":\"end\",\"k\":\"end\",\"n\":-1,\"ts\":\"{ts}\"}}");
        for partition in 0..count {
            c.kafka
                .produce_to(topic, partition as i32, value.as_bytes());
        }
    }

    /// What is in a topic of events, less those that its dead-letter topic names as late for a pipeline. Any other dead letter
    /// fails.
    pub fn read(c: &Cluster, topic: &str, pipeline: &str) -> Events {
        let pipeline = format!("{}/{pipeline}", c.namespace);
        let letters = c.kafka.read(&format!("{topic}.dlq"));
        let mut late = BTreeSet::new();
        for letter in &letters {
            let header = |name: &str| letter.headers.get(name).cloned().unwrap_or_default();
            assert_eq!(header("headworks.reason"), "Late", "{:?}", letter.headers);
            if header("headworks.pipeline") != pipeline {
                continue;
            }
            let number = |name: &str| header(name).parse::<i64>().expect("a number");
            let origin = (
                number("headworks.origin.partition"),
                number("headworks.origin.offset"),
            );
            assert!(late.insert(origin), "{origin:?} is a dead letter twice");
        }
        let kept = |record: &Record| !late.contains(&(i64::from(record.partition), record.offset));
        let records = c.kafka.read(topic);
        let events = records.iter().filter(|record| kept(record)).map(event);
        Events {
            events: events.filter(|event| event.n >= 0).collect(),
            late: late.len(),
        }
    }

    /// Number and sum in tumbling windows of `size` milliseconds.
    pub fn windows(&self, size: i64) -> Window {
        let mut windows = Window::new();
        for event in &self.events {
            let begin = event.ts.div_euclid(size) * size;
            let window = windows.entry((event.key.clone(), begin)).or_default();
            window.0 += 1;
            window.1 += event.n;
        }
        windows
    }

    /// Sessions that end after `gap` milliseconds of silence; events just that far apart are still one session, as in Flink.
    pub fn sessions(&self, gap: i64) -> Session {
        let mut times: BTreeMap<&str, Vec<i64>> = BTreeMap::new();
        for event in &self.events {
            times.entry(&event.key).or_default().push(event.ts);
        }
        let mut sessions = Session::new();
        for (key, mut times) in times {
            times.sort_unstable();
            let mut begin = times[0];
            let (mut last, mut count) = (begin, 0);
            for ts in times {
                if ts - last > gap {
                    sessions.insert((key.to_owned(), begin), (last + gap, count));
                    (begin, count) = (ts, 0);
                }
                last = ts;
                count += 1;
            }
            sessions.insert((key.to_owned(), begin), (last + gap, count));
        }
        sessions
    }

    /// The number of each key's event with the greatest event time.
    pub fn newest(&self) -> BTreeMap<String, i64> {
        let mut newest: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for event in &self.events {
            let kept = newest
                .entry(event.key.clone())
                .or_insert((event.ts, event.n));
            if event.ts > kept.0 {
                *kept = (event.ts, event.n);
            }
        }
        newest.into_iter().map(|(key, (_, n))| (key, n)).collect()
    }
}

fn event(record: &Record) -> Event {
    let json = record.json();
    let text = json["ts"].as_str().expect("ts");
    Event {
        key: json["k"].as_str().expect("k").to_owned(),
        n: json["n"].as_i64().expect("n"),
        ts: millis(text),
    }
}

/// Milliseconds since 1970 of `2026-01-01T00:00:00[.000][Z]`, as JSON shows a timestamp with or without zone.
pub fn millis(text: &str) -> i64 {
    let number = |from: usize, to: usize| text[from..to].parse::<i64>().expect("digits");
    let (year, month, day) = (number(0, 4), number(5, 7), number(8, 10));
    let (y, m) = if month <= 2 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let era = y.div_euclid(400);
    let yoe = y.rem_euclid(400);
    let doy = (153 * m + 2) / 5 + day - 1;
    let days = era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468;
    let seconds = number(11, 13) * 3_600 + number(14, 16) * 60 + number(17, 19);
    let fraction = text[19..].trim_end_matches('Z').trim_start_matches('.');
    let milli = format!("{fraction:0<3}")[..3]
        .parse::<i64>()
        .expect("digits");
    days * 86_400_000 + seconds * 1_000 + milli
}

/// Asks `read` until it gives what `expected` gives, or for `limit`; prints the counts, and panics where something is missing,
/// doubled (`read` tells how often) or wrong.
pub fn compare<K: Ord + std::fmt::Debug, V: PartialEq + std::fmt::Debug>(
    what: &str,
    limit: Duration,
    expected: &BTreeMap<K, V>,
    mut read: impl FnMut() -> Vec<(K, V)>,
) {
    let began = std::time::Instant::now();
    let found = loop {
        let found = read();
        if found.len() >= expected.len() || began.elapsed() > limit {
            break found;
        }
        std::thread::sleep(Duration::from_secs(1));
    };
    let mut seen: BTreeMap<&K, Vec<&V>> = BTreeMap::new();
    for (key, value) in &found {
        seen.entry(key).or_default().push(value);
    }
    let missing: Vec<&K> = expected
        .keys()
        .filter(|key| !seen.contains_key(key))
        .collect();
    let doubled: Vec<_> = seen.iter().filter(|(_, values)| values.len() > 1).collect();
    let wrong: Vec<_> = seen
        .iter()
        .filter(|(key, values)| values.iter().any(|value| expected.get(key) != Some(value)))
        .map(|(key, values)| (key, values, expected.get(key)))
        .collect();
    println!(
        "    {what}: {} expected, {} there: missing {}, doubled {}, wrong {}",
        expected.len(),
        found.len(),
        missing.len(),
        doubled.len(),
        wrong.len()
    );
    assert!(
        expected.len() > 10,
        "{what}: there was something to compare"
    );
    assert!(
        missing.is_empty() && doubled.is_empty() && wrong.is_empty(),
        "{what}: missing {:?}, doubled {:?}, wrong {:?}",
        &missing[..missing.len().min(5)],
        &doubled[..doubled.len().min(5)],
        &wrong[..wrong.len().min(5)]
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_they_are_written_and_no_two_events_have_the_same() {
        for ms in [0, BASE, BASE + 59 * 86_400_000 + 1, 951_782_400_000] {
            assert_eq!(millis(&instant(ms)), ms, "{}", instant(ms));
        }
        assert_eq!(instant(BASE), "2026-01-01T00:00:00.000Z");
        let record = |id| {
            event(&Record {
                value: line(id).into_bytes(),
                ..Record::default()
            })
        };
        let times: BTreeSet<i64> = (0..20_000).map(|id| record(id).ts).collect();
        assert_eq!(times.len(), 20_000);
    }
}
