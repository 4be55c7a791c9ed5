//! Bids with an event time, and what counting them by auction and window gives.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rdkafka::error::KafkaError;
use rdkafka::message::Message;
use rdkafka::producer::{BaseProducer, Producer};
use serde_json::json;

use crate::bid::{Bids, Tally, find};
use crate::topics::{PARTITIONS, producer, send};
use crate::{Result, measure};

/// Event time of the first bid.
const BEGINNING_MS: i64 = 1_700_000_000_000;
/// The records that end the last windows come so much after the last bid.
const CLOSING_MS: i64 = 30 * 24 * 3_600_000;
/// So many of them, of as many auctions: an engine whose clocks are those of the partitions of its own repartition
/// topic needs one in each of those.
const CLOSING: i64 = 200;
const DAY_MS: i64 = 86_400_000;

/// The bids, and the windows over them. All times in milliseconds.
pub struct Shape {
    /// Auctions.
    pub keys: i64,
    /// Event time between two bids.
    pub step: i64,
    /// A window's length, a multiple of `slide`.
    pub size: i64,
    /// Distance of two windows.
    pub slide: i64,
}

/// Writes `records` bids to partition 0, in the order of their time, and what ends the last windows; prints the tally of the right results.
pub fn fill(bootstrap: &str, topic: &str, records: u64, seed: u64, shape: &Shape) -> Result<()> {
    let producer = producer(bootstrap)?;
    let (mut bids, mut value) = (Bids::new(seed), Vec::new());
    let (mut counts, mut bytes) = (Counts::new(shape), 0);
    let begun = Instant::now();
    for at in 0..records {
        let time = BEGINNING_MS + at as i64 * shape.step;
        let auction = bids.timed(time, shape.keys, &mut value);
        counts.add(time, auction);
        bytes += value.len() as u64;
        send(&producer, topic, 0, &value)?;
    }
    send_closing(&producer, topic, records, seed, shape)?;
    producer.flush(Duration::from_secs(60))?;
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{}",
        json!({"results": counts.end().json(), "bytes": bytes / records.max(1), "seconds": seconds})
    );
    Ok(())
}

/// Writes what ends the last windows once more: Kafka Streams looks for windows that have ended once a second at most, and
/// only when a record comes.
pub fn close(bootstrap: &str, topic: &str, records: u64, seed: u64, shape: &Shape) -> Result<()> {
    let producer = producer(bootstrap)?;
    send_closing(&producer, topic, records, seed, shape)?;
    Ok(producer.flush(Duration::from_secs(60))?)
}

fn send_closing(
    producer: &BaseProducer,
    topic: &str,
    records: u64,
    seed: u64,
    shape: &Shape,
) -> Result<()> {
    let (mut bids, mut value) = (Bids::new(seed), Vec::new());
    let last = BEGINNING_MS + records as i64 * shape.step;
    // The beginning of a window, so that nobody takes it for the end of one.
    let closing = (last + CLOSING_MS).div_euclid(shape.slide) * shape.slide;
    for auction in 0..CLOSING {
        bids.of(closing, 1_000_000_000 + auction, &mut value);
        send(producer, topic, 0, &value)?;
    }
    Ok(())
}

/// Reads all results that are committed and prints their tally.
pub fn count(bootstrap: &str, topic: &str) -> Result<()> {
    let consumer = measure::from_beginning(bootstrap, topic)?;
    let (mut tally, mut ends) = (Tally::default(), 0);
    while ends < PARTITIONS {
        match consumer.poll(Duration::from_secs(20)) {
            None => return Err(format!("no record of {topic} for 20 s").into()),
            Some(Err(KafkaError::PartitionEOF(_))) => ends += 1,
            Some(Err(error)) => return Err(error.into()),
            Some(Ok(message)) => {
                let value = message.payload().unwrap_or_default();
                let found = read(value).ok_or_else(|| {
                    format!("{topic} holds no count: {}", String::from_utf8_lossy(value))
                })?;
                tally.add_parts(&[found.auction, found.end_ms, found.bids]);
            }
        }
    }
    println!("{}", tally.json());
    Ok(())
}

/// A result.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    pub auction: i64,
    /// The window's end, to the second.
    pub end_ms: i64,
    pub bids: i64,
}

/// Reads `{"auction":1,"window_end":"2023-11-14T22:13:20…","bids":2}` with its fields in any order.
pub fn read(value: &[u8]) -> Option<Found> {
    let after = |name: &[u8]| {
        let at = value.windows(name.len()).position(|part| part == name)?;
        value.get(at + name.len()..)
    };
    let number = |name: &[u8]| {
        let digits = after(name)?;
        let end = digits
            .iter()
            .position(|byte| !byte.is_ascii_digit())
            .unwrap_or(digits.len());
        std::str::from_utf8(&digits[..end]).ok()?.parse().ok()
    };
    let text = after(br#""window_end":""#)?;
    let text = text.get(..find(text, 0, b'"')?)?;
    Some(Found {
        auction: number(br#""auction":"#)?,
        end_ms: seconds(text)? * 1_000,
        bids: number(br#""bids":"#)?,
    })
}

/// Seconds since 1970 of `YYYY-MM-DDTHH:MM:SS` and whatever follows.
fn seconds(text: &[u8]) -> Option<i64> {
    let part = |from: usize, to: usize| -> Option<i64> {
        std::str::from_utf8(text.get(from..to)?).ok()?.parse().ok()
    };
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    // Hinnant's days_from_civil; the year begins in March.
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some(days * 86_400 + part(11, 13)? * 3_600 + part(14, 16)? * 60 + part(17, 19)?)
}

/// Writes `2023-11-14T22:13:20.000Z` of milliseconds since 1970.
pub fn instant(ms: i64, into: &mut Vec<u8>) {
    use std::io::Write;
    let days = ms.div_euclid(DAY_MS) + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let day = of_year - (153 * march + 2) / 5 + 1;
    let year = year + era * 400 + i64::from(month <= 2);
    let of_day = ms.rem_euclid(DAY_MS);
    let (seconds, millis) = (of_day / 1_000, of_day % 1_000);
    // Writing to memory doesn't fail.
    let _ = write!(
        into,
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{millis:03}Z",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60
    );
}

/// Counts by auction and window, of bids in the order of their time.
struct Counts {
    slide: i64,
    /// Slides in a window.
    slides: usize,
    /// The slide that is counted now.
    now: Option<i64>,
    /// By auction: bids of the windows that are open.
    open: Vec<u32>,
    /// The last slides, oldest first: bids by auction.
    past: VecDeque<Vec<(i64, u32)>>,
    present: Vec<u32>,
    touched: Vec<i64>,
    tally: Tally,
}

impl Counts {
    fn new(shape: &Shape) -> Counts {
        let none = vec![0; usize::try_from(shape.keys).unwrap_or_default()];
        Counts {
            slide: shape.slide,
            slides: (shape.size / shape.slide) as usize,
            now: None,
            open: none.clone(),
            past: VecDeque::new(),
            present: none,
            touched: Vec::new(),
            tally: Tally::default(),
        }
    }

    fn add(&mut self, time: i64, auction: i64) {
        let slide = time.div_euclid(self.slide);
        while self.now.is_some_and(|now| now < slide) {
            self.close();
        }
        self.now = Some(slide);
        let count = &mut self.present[auction as usize];
        if *count == 0 {
            self.touched.push(auction);
        }
        *count += 1;
    }

    /// Ends the slide, and with it one window.
    fn close(&mut self) {
        let Some(now) = self.now else { return };
        let mut slide = Vec::with_capacity(self.touched.len());
        for auction in self.touched.drain(..) {
            let count = std::mem::take(&mut self.present[auction as usize]);
            self.open[auction as usize] += count;
            slide.push((auction, count));
        }
        self.past.push_back(slide);
        let end = (now + 1) * self.slide;
        let mut tell = |auction: i64, count: u32| {
            if count > 0 {
                self.tally.add_parts(&[auction, end, count.into()]);
            }
        };
        if self.slides == 1 {
            for (auction, count) in &self.past[0] {
                tell(*auction, *count);
            }
        } else {
            for (auction, count) in (0..).zip(&self.open) {
                tell(auction, *count);
            }
        }
        if self.past.len() == self.slides {
            for (auction, count) in self.past.pop_front().into_iter().flatten() {
                self.open[auction as usize] -= count;
            }
        }
        self.now = Some(now + 1);
    }

    fn end(mut self) -> Tally {
        for _ in 0..self.slides {
            self.close();
        }
        self.tally
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn counts_are_those_of_every_window_that_holds_a_bid() {
        for (size, slide) in [(10, 10), (30, 10)] {
            let shape = Shape {
                keys: 5,
                step: 3,
                size,
                slide,
            };
            let (mut counts, mut expected) = (Counts::new(&shape), HashMap::new());
            for at in 0..200_i64 {
                let (time, auction) = (at * at / 7, at * 7 % 5);
                counts.add(time, auction);
                let mut end = time.div_euclid(slide) * slide + slide;
                while end - size <= time {
                    *expected.entry((auction, end)).or_insert(0_i64) += 1;
                    end += slide;
                }
            }
            let mut tally = Tally::default();
            for ((auction, end), count) in expected {
                tally.add_parts(&[auction, end, count]);
            }
            assert_eq!(counts.end(), tally, "{size} {slide}");
        }
    }

    #[test]
    fn times_are_written_and_read() {
        for ms in [
            0,
            BEGINNING_MS,
            BEGINNING_MS + 123_456_789_000,
            951_782_400_000,
        ] {
            let mut text = Vec::new();
            instant(ms, &mut text);
            assert_eq!(seconds(&text), Some(ms / 1_000), "{text:?}");
        }
        let mut text = Vec::new();
        instant(1_700_000_000_123, &mut text);
        assert_eq!(text, b"2023-11-14T22:13:20.123Z");
        assert_eq!(
            read(br#"{"auction":7,"window_end":"1970-01-01T00:00:10","bids":12}"#),
            Some(Found {
                auction: 7,
                end_ms: 10_000,
                bids: 12
            })
        );
        assert_eq!(read(br#"{"auction":7,"bids":12}"#), None);
    }
}
