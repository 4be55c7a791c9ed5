//! What rows come to: how many, which keys, what columns add up to.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;

use headworks_engine::local::{BadRecord, Row, Sink};
use headworks_plan::{Contract, KeysCompared};
use serde_json::Value;
use serde_json::value::RawValue;

/// So many keys are held. Beyond, only those are looked at whose hash ends in a zero more.
const MOST_KEYS: usize = 1 << 20;

/// Which version a row is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Version {
    Old,
    New,
}

impl Version {
    fn bit(self) -> u8 {
        match self {
            Version::Old => 1,
            Version::New => 2,
        }
    }
}

/// The keys of both versions' rows, by their hashes of 64 bits. Two of a million keys have one hash once in 30 million times.
pub(super) struct Keys {
    hasher: RandomState,
    seen: HashMap<u64, u8>,
    /// Hashes that are held end in so many zeros.
    zeros: u32,
    most: usize,
}

impl Keys {
    pub(super) fn new() -> Keys {
        Keys::of_most(MOST_KEYS)
    }

    fn of_most(most: usize) -> Keys {
        Keys {
            hasher: RandomState::new(),
            seen: HashMap::new(),
            zeros: 0,
            most,
        }
    }

    fn is_held(hash: u64, zeros: u32) -> bool {
        hash.trailing_zeros() >= zeros
    }

    fn add(&mut self, version: Version, key: &[&str]) {
        let hash = self.hasher.hash_one(key);
        if !Keys::is_held(hash, self.zeros) {
            return;
        }
        *self.seen.entry(hash).or_default() |= version.bit();
        while self.seen.len() > self.most && self.zeros < 40 {
            self.zeros += 1;
            let zeros = self.zeros;
            self.seen.retain(|hash, _| Keys::is_held(*hash, zeros));
        }
    }

    pub(super) fn told(&self) -> KeysCompared {
        let count = |wanted: &[u8]| {
            self.seen
                .values()
                .filter(|seen| wanted.contains(seen))
                .count()
        };
        KeysCompared {
            old: count(&[1, 3]) as u64,
            missing: count(&[1]) as u64,
            extra: count(&[2]) as u64,
            one_in: 1 << self.zeros,
        }
    }
}

/// A sum of numbers as JSON has them.
#[derive(Clone, Debug)]
pub(super) enum Sum {
    /// Of whole numbers and decimals: units of ten to the minus `scale`. None: more than 128 bits hold.
    Exact { scale: usize, total: Option<i128> },
    /// Of floats.
    Float(f64),
}

impl Sum {
    /// Of a column of that type; none where its values are no numbers.
    pub(super) fn of(type_: &str) -> Option<Sum> {
        let (word, rest) = type_.split_once('(').unwrap_or((type_, ""));
        let exact = |scale| Sum::Exact {
            scale,
            total: Some(0),
        };
        match word.trim().to_ascii_lowercase().as_str() {
            "tinyint" | "smallint" | "int" | "integer" | "bigint" => Some(exact(0)),
            "decimal" | "numeric" => {
                let scale = rest.trim_end_matches(')').split(',').nth(1);
                Some(exact(scale.map_or(Some(0), |s| s.trim().parse().ok())?))
            }
            "float" | "double" => Some(Sum::Float(0.0)),
            _ => None,
        }
    }

    fn add(&mut self, text: &str) {
        match self {
            Sum::Exact { scale, total } => {
                *total = match (*total, unscaled(text, *scale)) {
                    (Some(total), Some(value)) => total.checked_add(value),
                    _ => None,
                };
            }
            Sum::Float(total) => *total += text.parse::<f64>().unwrap_or(f64::NAN),
        }
    }

    pub(super) fn told(&self) -> String {
        match self {
            Sum::Exact { total: None, .. } => "too large".to_owned(),
            Sum::Exact {
                scale,
                total: Some(total),
            } => {
                let digits = format!("{:0width$}", total.unsigned_abs(), width = scale + 1);
                let (whole, part) = digits.split_at(digits.len() - scale);
                let sign = if *total < 0 { "-" } else { "" };
                let point = if *scale > 0 { "." } else { "" };
                format!("{sign}{whole}{point}{part}")
            }
            Sum::Float(total) => format!("{total:e}"),
        }
    }
}

/// A decimal's text in units of ten to the minus `scale`.
fn unscaled(text: &str, scale: usize) -> Option<i128> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    if part.len() > scale || !part.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    format!("{whole}{part:0<scale$}").parse().ok()
}

/// Takes one version's results.
pub(super) struct Tally<'a> {
    pub(super) version: Version,
    pub(super) rows: u64,
    pub(super) dead_letters: u64,
    pub(super) key: &'a [String],
    pub(super) keys: &'a mut Keys,
    pub(super) sums: &'a mut [(String, Sum)],
}

/// The columns of one version that are added up.
pub(super) fn sums(contract: &Contract, columns: &[String]) -> Vec<(String, Sum)> {
    let sum = |name: &String| {
        let field = contract.fields.iter().find(|field| field.name == *name)?;
        Some((name.clone(), Sum::of(&field.type_)?))
    };
    columns.iter().filter_map(sum).collect()
}

impl Sink for Tally<'_> {
    fn row(&mut self, row: Row<'_>) -> io::Result<()> {
        self.rows += 1;
        if self.key.is_empty() && self.sums.is_empty() || row.value.is_empty() {
            return Ok(());
        }
        let members: HashMap<String, &RawValue> = serde_json::from_slice(row.value)?;
        let text = |name: &String| members.get(name).map_or("null", |value| value.get());
        if !self.key.is_empty() {
            let key: Vec<&str> = self.key.iter().map(text).collect();
            self.keys.add(self.version, &key);
        }
        for (name, sum) in self.sums.iter_mut() {
            match serde_json::from_str(text(name))? {
                Value::Null => {}
                Value::String(value) => sum.add(&value),
                _ => sum.add(text(name)),
            }
        }
        Ok(())
    }

    fn bad(&mut self, _: BadRecord<'_>) -> io::Result<()> {
        self.dead_letters += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn added(type_: &str, values: &[&str]) -> String {
        let mut sum = Sum::of(type_).unwrap();
        for value in values {
            sum.add(value);
        }
        sum.told()
    }

    #[test]
    fn sums_of_decimals_are_exact_and_those_of_floats_have_an_exponent() {
        assert_eq!(added("decimal(12,2)", &["12.50", "-0.75", "3"]), "14.75");
        assert_eq!(added("decimal(12,2)", &["-0.05"]), "-0.05");
        assert_eq!(
            added("bigint", &["9007199254740993", "1"]),
            "9007199254740994"
        );
        assert_eq!(added("int", &[]), "0");
        assert_eq!(
            added("decimal(38,0)", &[&"9".repeat(38), &"9".repeat(38)]),
            "too large"
        );
        assert_eq!(added("double", &["1000", "250.5"]), "1.2505e3");
        assert_eq!(added("double", &["NaN"]), "NaN");
        for type_ in ["string", "boolean", "array<int>", "timestamp(3)"] {
            assert!(Sum::of(type_).is_none(), "{type_}");
        }
    }

    #[test]
    fn keys_are_counted_once_and_told_from_each_other() {
        let mut keys = Keys::new();
        for key in ["a", "b", "b", "c"] {
            keys.add(Version::Old, &[key, "1"]);
        }
        for key in ["b", "c", "d"] {
            keys.add(Version::New, &[key, "1"]);
        }
        keys.add(Version::New, &["b1", ""]);
        let told = keys.told();
        assert_eq!(
            (told.old, told.missing, told.extra, told.one_in),
            (3, 1, 2, 1)
        );
    }

    #[test]
    fn of_too_many_keys_the_same_ones_are_held_of_both() {
        let mut keys = Keys::of_most(100);
        for number in 0..10_000 {
            keys.add(Version::Old, &[&number.to_string()]);
        }
        // Every tenth is missing, and nothing is extra.
        for number in (0..10_000).filter(|number| number % 10 != 0) {
            keys.add(Version::New, &[&number.to_string()]);
        }
        let told = keys.told();
        assert!(told.one_in >= 64 && told.old <= 200, "{told:?}");
        assert!(told.old > 20 && told.missing < told.old / 2, "{told:?}");
        assert_eq!(told.extra, 0, "{told:?}");
    }
}
