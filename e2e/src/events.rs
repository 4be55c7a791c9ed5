//! Events with a key and an event time, and what windows, sessions and deduplication must make of them: computed here, row by
//! row, from what is in the input topic, by nobody else's code.

use std::collections::{BTreeMap, BTreeSet};

use crate::{Cluster, Record};

/// 2026-01-01T00:00:00Z, in milliseconds.
const BASE: i64 = 1_767_225_600_000;
/// Event time between two ids, in milliseconds. A second of load is many seconds of event time.
const STEP: i64 = 100;
/// Keys.
const KEYS: u64 = 200;
/// By how many steps an event may be out of order.
const DISORDER: u64 = 100;

/// An event: the record of an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The id, as text.
    pub id: String,
    /// Key.
    pub key: String,
    /// The id.
    pub n: i64,
    /// Event time, in milliseconds since 1970 UTC; no two events have the same.
    pub ts: i64,
    /// Partition of its record.
    pub partition: i32,
    /// Offset of its record.
    pub offset: i64,
}

/// Key and beginning of a window to number and sum of its events.
pub type Window = BTreeMap<(String, i64), (i64, i64)>;
/// Key and beginning of a session to its end and its number of events.
pub type Session = BTreeMap<(String, i64), (i64, i64)>;

/// Events that count.
#[derive(Debug, Default)]
pub struct Events {
    /// Those of a partition in their order.
    pub events: Vec<Event>,
    /// How many more were too late, by the dead letters.
    pub late: usize,
}

/// A dead letter of a stream.
#[derive(Clone, Debug)]
pub struct Letter {
    /// `Decode`, `Contract`, `Late`, …
    pub reason: String,
    /// The Pipeline that wrote it, as namespace/name; empty: a Source did.
    pub pipeline: String,
    /// Partition and offset of the record; nothing where a Source wrote it.
    pub origin: Option<(i32, i64)>,
    /// The bytes that came.
    pub value: Vec<u8>,
}

/// All that is in a topic of events and in its dead letters.
#[derive(Debug, Default)]
pub struct Input {
    /// Events; those of a partition in their order.
    pub events: Vec<Event>,
    /// Partition and offset of what is no event.
    pub bad: BTreeSet<(i32, i64)>,
    /// Dead letters of all Pipelines and Sources.
    pub letters: Vec<Letter>,
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
    /// No event is before this, but for those of [`Events::long_ago`].
    pub const BEGIN: i64 = BASE;
    /// When the ends are that [`Events::close`] writes.
    pub const END: i64 = BASE + 30 * 86_400_000;
}

impl Input {
    /// What is there now. The ends that [`Events::close`] wrote are no events.
    pub fn read(c: &Cluster, topic: &str) -> Input {
        let mut input = Input::default();
        for record in c.kafka.read(topic) {
            match event(&record) {
                Some(event) if event.key == "end" => {}
                Some(event) => input.events.push(event),
                None => {
                    input.bad.insert((record.partition, record.offset));
                }
            }
        }
        for record in c.kafka.read(&format!("{topic}.dlq")) {
            let header = |name: &str| record.headers.get(name).cloned().unwrap_or_default();
            let number = |name: &str| header(name).parse::<i64>().ok();
            let origin = number("headworks.origin.partition")
                .and_then(|p| i32::try_from(p).ok())
                .zip(number("headworks.origin.offset"));
            input.letters.push(Letter {
                reason: header("headworks.reason"),
                pipeline: header("headworks.pipeline"),
                origin,
                value: record.value,
            });
        }
        input
    }

    /// Dead letters of a Pipeline (namespace/name).
    pub fn letters_of<'a>(&'a self, pipeline: &'a str) -> impl Iterator<Item = &'a Letter> {
        self.letters.iter().filter(move |l| l.pipeline == pipeline)
    }

    /// All events.
    pub fn all(&self) -> Events {
        Events {
            events: self.events.clone(),
            late: 0,
        }
    }

    /// The events less those that a Pipeline (namespace/name) named as late.
    pub fn in_time(&self, pipeline: &str) -> Events {
        let late: BTreeSet<(i32, i64)> = self
            .letters_of(pipeline)
            .filter(|letter| letter.reason == "Late")
            .filter_map(|letter| letter.origin)
            .collect();
        let kept = |event: &&Event| !late.contains(&(event.partition, event.offset));
        Events {
            events: self.events.iter().filter(kept).cloned().collect(),
            late: late.len(),
        }
    }
}

impl Events {
    /// A stream `name` of events.
    pub fn stream(name: &str, partitions: u32) -> String {
        format!(
            "apiVersion: headworks.dev/v1alpha1\nkind: DataStream\nmetadata: {{name: {name}}}\nspec:\n  platform: e2e\n  partitions: {partitions}\n  schema:\n    - {{name: id, type: string, nullable: true}}\n    - {{name: k, type: string}}\n    - {{name: \"n\", type: bigint}}\n    - {{name: ts, type: \"timestamp_ltz(3)\"}}\n  key: [k]\n  eventTime: {{field: ts, maxOutOfOrderness: 1m, idleTimeout: 30s}}\n"
        )
    }

    /// Events far in the future, in every partition, by hand: they end every window before them.
    pub fn close(c: &Cluster, topic: &str) {
        let ts = instant(Events::END);
        let count = c.kafka.partitions(topic).expect("the topic is there");
        let value = format!("{{\"id\":\"end\",\"k\":\"end\",\"n\":-1,\"ts\":\"{ts}\"}}");
        for partition in 0..count {
            c.kafka
                .produce_to(topic, partition as i32, value.as_bytes());
        }
    }

    /// An event of a day before all others: late for every window that there is by then.
    pub fn long_ago(n: i64) -> String {
        let ts = instant(BASE - 86_400_000 + n);
        format!("{{\"id\":\"late-{n}\",\"k\":\"late\",\"n\":{n},\"ts\":\"{ts}\"}}")
    }

    /// Number and sum in windows of `size` that begin every `slide`, both in milliseconds: tumbling where they are the same.
    pub fn hops(&self, slide: i64, size: i64) -> Window {
        let mut windows = Window::new();
        for event in &self.events {
            let mut begin = event.ts.div_euclid(slide) * slide;
            while begin > event.ts - size {
                let window = windows.entry((event.key.clone(), begin)).or_default();
                window.0 += 1;
                window.1 += event.n;
                begin -= slide;
            }
        }
        windows
    }

    /// Number and sum of all keys in windows that grow by `step` up to `size`, by beginning and end, in milliseconds.
    pub fn cumulated(&self, step: i64, size: i64) -> BTreeMap<(i64, i64), (i64, i64)> {
        let mut windows = BTreeMap::new();
        for event in &self.events {
            let begin = event.ts.div_euclid(size) * size;
            let mut end = event.ts.div_euclid(step) * step + step;
            while end <= begin + size {
                let window: &mut (i64, i64) = windows.entry((begin, end)).or_default();
                window.0 += 1;
                window.1 += event.n;
                end += step;
            }
        }
        windows
    }

    /// The greatest `most` of each tumbling window of `size` milliseconds, by number.
    pub fn greatest(&self, size: i64, most: usize) -> BTreeMap<i64, Vec<i64>> {
        let mut windows: BTreeMap<i64, Vec<i64>> = BTreeMap::new();
        for event in &self.events {
            let begin = event.ts.div_euclid(size) * size;
            windows.entry(begin).or_default().push(event.n);
        }
        for numbers in windows.values_mut() {
            numbers.sort_unstable_by(|a, b| b.cmp(a));
            numbers.truncate(most);
        }
        windows
    }

    /// Number and sum of each key.
    pub fn totals(&self) -> BTreeMap<String, (i64, i64)> {
        let mut totals: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for event in &self.events {
            let total = totals.entry(event.key.clone()).or_default();
            total.0 += 1;
            total.1 += event.n;
        }
        totals
    }

    /// The number of each key's event that came last.
    pub fn last(&self) -> BTreeMap<String, i64> {
        let mut last: BTreeMap<String, (i64, i64)> = BTreeMap::new();
        for event in &self.events {
            // A key's events are all in one partition.
            let kept = last.entry(event.key.clone()).or_insert((-1, 0));
            if event.offset > kept.0 {
                *kept = (event.offset, event.n);
            }
        }
        last.into_iter().map(|(key, (_, n))| (key, n)).collect()
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

/// The event of a record, if it is one.
fn event(record: &Record) -> Option<Event> {
    let json: serde_json::Value = serde_json::from_slice(&record.value).ok()?;
    Some(Event {
        id: json["id"].as_str()?.to_owned(),
        key: json["k"].as_str()?.to_owned(),
        n: json["n"].as_i64()?,
        ts: millis(json["ts"].as_str()?),
        partition: record.partition,
        offset: record.offset,
    })
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
            let value = line(id).into_bytes();
            let record = Record {
                value,
                ..Record::default()
            };
            event(&record).unwrap()
        };
        let times: BTreeSet<i64> = (0..20_000).map(|id| record(id).ts).collect();
        assert_eq!(times.len(), 20_000);
    }

    fn events(of: &[(&str, i64, i64)]) -> Events {
        let event = |(at, (key, n, ts)): (usize, &(&str, i64, i64))| Event {
            id: n.to_string(),
            key: (*key).to_owned(),
            n: *n,
            ts: *ts,
            partition: 0,
            offset: at as i64,
        };
        Events {
            events: of.iter().enumerate().map(event).collect(),
            late: 0,
        }
    }

    /// The verifier's own sums, by hand: what it expects must not be what the engine happens to say.
    #[test]
    fn windows_are_summed_as_by_hand() {
        let events = events(&[
            ("a", 1, 0),
            ("a", 2, 59_999),
            ("b", 3, 60_000),
            ("a", 4, 125_000),
        ]);
        let a = |begin| ("a".to_owned(), begin);
        let tumbling = events.hops(60_000, 60_000);
        assert_eq!(tumbling[&a(0)], (2, 3));
        assert_eq!(tumbling[&a(120_000)], (1, 4));
        assert_eq!(tumbling.len(), 3);
        let hops = events.hops(60_000, 120_000);
        assert_eq!(hops[&a(-60_000)], (2, 3));
        assert_eq!(hops[&a(0)], (2, 3));
        assert_eq!(hops[&a(60_000)], (1, 4));
        assert_eq!(hops.len(), 6);
        let cumulated = events.cumulated(30_000, 120_000);
        assert_eq!(cumulated[&(0, 30_000)], (1, 1));
        assert_eq!(cumulated[&(0, 60_000)], (2, 3));
        assert_eq!(cumulated[&(0, 90_000)], (3, 6));
        assert_eq!(cumulated[&(0, 120_000)], (3, 6));
        assert_eq!(cumulated[&(120_000, 150_000)], (1, 4));
        assert_eq!(cumulated.len(), 8);
        assert_eq!(events.greatest(60_000, 1)[&0], [2]);
        assert_eq!(events.totals()["a"], (3, 7));
        assert_eq!(events.last()["a"], 4);
        assert_eq!(events.newest()["b"], 3);
        assert_eq!(events.sessions(70_000).len(), 2);
        assert_eq!(events.sessions(60_000)[&a(0)], (119_999, 2));
    }
}
