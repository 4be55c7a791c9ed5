//! Bids as Nexmark has them: about 180 bytes of JSON, made from a seed, read by a scan.

use std::io::Write;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};

use crate::windows::instant;

/// A bid below this price leaves in the workload `filter`. Prices are uniform below twice that.
pub const LEAST_PRICE: i64 = 5_000;

const CHANNELS: [&str; 4] = ["Google", "Facebook", "Baidu", "Apple"];
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";

/// Makes bids, equal ones for equal seeds.
pub struct Bids {
    rng: SmallRng,
    /// Bytes of the field `extra`.
    extra: usize,
}

/// Bytes of `extra` that make a bid about 180 bytes long.
pub const SHORT: usize = 16;

impl Bids {
    pub fn new(seed: u64) -> Bids {
        Bids::with_extra(seed, SHORT)
    }

    /// Bids with so many bytes in the field `extra`.
    pub fn with_extra(seed: u64, extra: usize) -> Bids {
        Bids {
            rng: SmallRng::seed_from_u64(seed),
            extra,
        }
    }

    /// The next bid, in place of what was in `into`. `date_time` is in milliseconds since 1970.
    pub fn next(&mut self, date_time: i64, into: &mut Vec<u8>) -> Numbers {
        let rng = &mut self.rng;
        let numbers = Numbers {
            auction: rng.random_range(1_000..101_000),
            bidder: rng.random_range(1_000..51_000),
            price: rng.random_range(0..2 * LEAST_PRICE),
            date_time,
        };
        self.write(&numbers, into, |into| number(date_time, into));
        numbers
    }

    /// A bid for one of so many auctions, whose `date_time` is text. Gives the auction.
    pub fn timed(&mut self, date_time: i64, auctions: i64, into: &mut Vec<u8>) -> i64 {
        let auction = self.rng.random_range(0..auctions);
        self.of(date_time, auction, into);
        auction
    }

    /// A bid for this auction, whose `date_time` is text.
    pub fn of(&mut self, date_time: i64, auction: i64, into: &mut Vec<u8>) {
        let numbers = Numbers {
            auction,
            bidder: self.rng.random_range(1_000..51_000),
            price: self.rng.random_range(0..2 * LEAST_PRICE),
            date_time,
        };
        self.write(&numbers, into, |into| {
            into.push(b'"');
            instant(date_time, into);
            into.push(b'"');
        });
    }

    fn write(&mut self, bid: &Numbers, into: &mut Vec<u8>, time: impl FnOnce(&mut Vec<u8>)) {
        let rng = &mut self.rng;
        let mut words = [0_u8; 12];
        for letter in &mut words {
            *letter = LETTERS[rng.random_range(0..LETTERS.len())];
        }
        let words = std::str::from_utf8(&words).unwrap_or_default();
        into.clear();
        // Writing to memory doesn't fail.
        let _ = write!(
            into,
            r#"{{"auction":{},"bidder":{},"price":{},"channel":"{}","url":"https://auctions.example/{words}/item.htm","date_time":"#,
            bid.auction,
            bid.bidder,
            bid.price,
            CHANNELS[rng.random_range(0..CHANNELS.len())],
        );
        time(into);
        into.extend_from_slice(br#","extra":""#);
        for _ in 0..self.extra {
            into.push(LETTERS[rng.random_range(0..LETTERS.len())]);
        }
        into.extend_from_slice(br#""}"#);
    }
}

/// The numbers of a bid: what the workload `filter` keeps of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Numbers {
    pub auction: i64,
    pub bidder: i64,
    pub price: i64,
    pub date_time: i64,
}

impl Numbers {
    /// Appends the projected bid.
    pub fn write(&self, into: &mut Vec<u8>) {
        let mut part = |name: &[u8], value: i64| {
            into.extend_from_slice(name);
            number(value, into);
        };
        part(br#"{"auction":"#, self.auction);
        part(br#","bidder":"#, self.bidder);
        part(br#","price":"#, self.price);
        part(br#","date_time":"#, self.date_time);
        into.push(b'}');
    }

    /// Finds the four numbers without looking at the rest: right for our own bids in any order of
    /// fields, no JSON parser.
    pub fn scan(value: &[u8]) -> Option<Numbers> {
        let mut found = [None; 4];
        let mut at = 0;
        while let Some(quote) = find(value, at, b'"') {
            let end = find(value, quote + 1, b'"')?;
            at = end + 1;
            if value.get(at) != Some(&b':') {
                continue;
            }
            at += 1;
            let place = match &value[quote + 1..end] {
                b"auction" => 0,
                b"bidder" => 1,
                b"price" => 2,
                b"date_time" => 3,
                _ => {
                    // A field that isn't wanted: past its text, if it is one.
                    if value.get(at) == Some(&b'"') {
                        at = find(value, at + 1, b'"')? + 1;
                    }
                    continue;
                }
            };
            let mut sum: i64 = 0;
            while let Some(digit @ b'0'..=b'9') = value.get(at) {
                sum = sum.wrapping_mul(10).wrapping_add(i64::from(digit - b'0'));
                at += 1;
            }
            found[place] = Some(sum);
        }
        Some(Numbers {
            auction: found[0]?,
            bidder: found[1]?,
            price: found[2]?,
            date_time: found[3]?,
        })
    }
}

/// Where a byte is next.
pub fn find(value: &[u8], from: usize, byte: u8) -> Option<usize> {
    let at = value.get(from..)?.iter().position(|found| *found == byte)?;
    Some(from + at)
}

fn number(value: i64, into: &mut Vec<u8>) {
    let mut digits = [0_u8; 20];
    let mut at = digits.len();
    let mut rest = value.unsigned_abs();
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    if value < 0 {
        into.push(b'-');
    }
    into.extend_from_slice(&digits[at..]);
}

/// How many bids, and a sum over them that doesn't depend on their order: two topics that agree in
/// both hold the same bids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub records: u64,
    pub sum: u64,
}

impl Tally {
    pub fn add(&mut self, bid: &Numbers) {
        self.add_parts(&[bid.auction, bid.bidder, bid.price, bid.date_time]);
    }

    /// Adds a record that consists of these numbers.
    pub fn add_parts(&mut self, parts: &[i64]) {
        let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
        for part in parts {
            hash = (hash ^ *part as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            hash ^= hash >> 29;
        }
        self.records += 1;
        self.sum = self.sum.wrapping_add(hash);
    }

    pub fn json(self) -> Value {
        json!({"records": self.records, "sum": format!("{:016x}", self.sum)})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scan_reads_what_was_made_and_what_is_written() {
        let (mut bids, mut bid) = (Bids::new(7), Vec::new());
        for at in 0..1_000 {
            let made = bids.next(1_700_000_000_000 + at, &mut bid);
            let parsed: Value = serde_json::from_slice(&bid).unwrap();
            assert_eq!(parsed["price"], made.price);
            assert_eq!(Numbers::scan(&bid), Some(made));
            let mut written = Vec::new();
            made.write(&mut written);
            assert_eq!(Numbers::scan(&written), Some(made));
            assert!((160..200).contains(&bid.len()), "{}", bid.len());
        }
        assert_eq!(Numbers::scan(br#"{"auction":1,"bidder":2}"#), None);
        assert_eq!(Numbers::scan(br#"{"auction"#), None);
    }

    #[test]
    fn a_tally_sees_a_changed_or_doubled_bid_and_not_the_order() {
        let bid = |price| Numbers {
            auction: 1,
            bidder: 2,
            price,
            date_time: 3,
        };
        let of = |prices: &[i64]| {
            let mut tally = Tally::default();
            for price in prices {
                tally.add(&bid(*price));
            }
            tally
        };
        assert_eq!(of(&[1, 2, 3]), of(&[3, 1, 2]));
        assert_ne!(of(&[1, 2, 3]), of(&[1, 2, 2]));
        assert_ne!(of(&[1, 2]), of(&[1, 2, 2]));
    }
}
