//! One JSON value into one column.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headworks_sql::types::DataType;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::column::{Column, Full, Text, Values};
use super::fault::{Fault, Step};
use super::{decimal, temporal};

/// Objects with more keys than this are searched for doubles by sorting.
const FEW_KEYS: usize = 16;
/// What a map's key costs beside its text: its end in the column, twice, and its place in a search for doubles.
const MAP_KEY: usize = 16;

/// The place for the next value of a column.
pub(super) struct Slot<'a> {
    pub(super) column: &'a mut Column,
    pub(super) fault: &'a Fault,
}

impl Slot<'_> {
    fn done(self) {
        self.column.valid();
    }

    fn unexpected<E: Error>(&self, found: &str) -> E {
        self.fault.contract(format!(
            "expected {}, found {found}",
            wanted(&self.column.data_type)
        ))
    }

    fn full<E: Error>(&self, _: Full) -> E {
        self.fault
            .contract("the batch has no room for it: its column would pass 2 GiB")
    }

    fn out_of_range<E: Error>(&self) -> E {
        self.fault
            .contract(format!("out of the range of {}", self.column.data_type))
    }

    fn integer<E: Error>(self, value: i64) -> Result<(), E> {
        match &mut self.column.values {
            Values::Int(values) => match i32::try_from(value) {
                Ok(value) => values.push(value),
                Err(_) => return Err(self.out_of_range()),
            },
            Values::BigInt(values) => values.push(value),
            _ => return Err(self.unexpected("a number")),
        }
        self.done();
        Ok(())
    }

    /// A number whose digits matter, as the text that came.
    fn exact<E: Error>(self, raw: &str) -> Result<(), E> {
        let number = match raw.as_bytes().first() {
            Some(b'-' | b'0'..=b'9') => raw,
            Some(b'"') if matches!(self.column.values, Values::Decimal { .. }) => {
                return self.decimal_string(raw);
            }
            Some(b'"') if matches!(self.column.values, Values::BigInt(_)) => {
                return match serde_json::from_str::<String>(raw) {
                    Ok(text) => self.visit_str(&text),
                    Err(error) => Err(self.fault.decode(format!("not JSON: {error}"))),
                };
            }
            Some(b'"') => return Err(self.unexpected("a string")),
            Some(b'{') => return Err(self.unexpected("an object")),
            Some(b'[') => return Err(self.unexpected("an array")),
            Some(b'n') => return self.visit_unit(),
            _ => return Err(self.unexpected("a boolean")),
        };
        match &mut self.column.values {
            Values::BigInt(values) => match decimal::whole(number) {
                Ok(value) => values.push(value),
                Err(wrong) => return Err(self.not_whole(wrong)),
            },
            Values::Int(values) => match decimal::whole(number).and_then(decimal::narrow) {
                Ok(value) => values.push(value),
                Err(wrong) => return Err(self.not_whole(wrong)),
            },
            Values::Decimal {
                precision,
                scale,
                values,
            } => match decimal::parse(number, *precision, *scale) {
                Ok(value) => values.push(value),
                Err(message) => return Err(self.fault.contract(message)),
            },
            Values::Float(values) => match number.parse::<f32>() {
                Ok(value) if value.is_finite() => values.push(value),
                _ => return Err(self.out_of_range()),
            },
            Values::Double(values) => match number.parse::<f64>() {
                Ok(value) if value.is_finite() => values.push(value),
                _ => return Err(self.out_of_range()),
            },
            _ => return Err(self.unexpected("a number")),
        }
        self.done();
        Ok(())
    }

    #[cold]
    fn not_whole<E: Error>(&self, wrong: decimal::Wrong) -> E {
        match wrong {
            decimal::Wrong::TooLarge => self.out_of_range(),
            decimal::Wrong::TooFine => self.unexpected("a number with a fraction"),
            decimal::Wrong::NoNumber => self.unexpected("something else"),
        }
    }

    fn decimal_string<E: Error>(self, raw: &str) -> Result<(), E> {
        // Quotes off. An escape can't be part of a number, and is refused as any other letter.
        let text = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
        if let Values::Decimal {
            precision,
            scale,
            values,
        } = &mut self.column.values
        {
            match decimal::parse(text, *precision, *scale) {
                Ok(value) => values.push(value),
                Err(message) => return Err(self.fault.contract(message)),
            }
        }
        self.done();
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Slot<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        match self.column.values {
            // The parser would make a float of what has a point or an exponent, and not always the nearest one.
            Values::Decimal { .. } | Values::Float(_) | Values::Double(_) => {
                let raw = <&RawValue>::deserialize(deserializer)?;
                self.exact(raw.get())
            }
            Values::Int(_) | Values::BigInt(_) if self.fault.exact => {
                let raw = <&RawValue>::deserialize(deserializer)?;
                self.exact(raw.get())
            }
            _ => deserializer.deserialize_any(self),
        }
    }
}

impl<'de> Visitor<'de> for Slot<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&wanted(&self.column.data_type))
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        match &mut self.column.values {
            Values::Boolean(values) => values.append(value),
            _ => return Err(self.unexpected("a boolean")),
        }
        self.done();
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.integer(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        match (i64::try_from(value), &self.column.values) {
            (Ok(value), _) => self.integer(value),
            (Err(_), Values::Int(_) | Values::BigInt(_)) => Err(self.out_of_range()),
            (Err(_), _) => Err(self.unexpected("a number")),
        }
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Err(match self.column.values {
            Values::Int(_) | Values::BigInt(_) => self.fault.inexact(),
            _ => self.unexpected("a number"),
        })
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        if !self.column.nullable {
            return Err(self
                .fault
                .contract(format!("is null; {} is required", self.column.data_type)));
        }
        self.column.push_null();
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        let parsed = match &mut self.column.values {
            Values::String(text) => match text.push(value.as_bytes()) {
                Ok(()) => Ok(()),
                Err(full) => return Err(self.full(full)),
            },
            Values::Bytes(text) => match STANDARD.decode_vec(value, &mut text.bytes) {
                Ok(()) => match text.end() {
                    Ok(()) => Ok(()),
                    Err(full) => return Err(self.full(full)),
                },
                Err(_) => Err("expected bytes in base64 (RFC 4648 §4, with padding)".to_owned()),
            },
            Values::BigInt(values) => whole_number(value).map(|value| values.push(value)),
            Values::Date(values) => temporal::parse_date(value).map(|value| values.push(value)),
            Values::Time(values) => temporal::parse_time(value).map(|value| values.push(value)),
            Values::Timestamp { digits, values } => {
                temporal::parse_timestamp(value, *digits).map(|value| values.push(value))
            }
            Values::Instant { digits, values } => {
                temporal::parse_instant(value, *digits).map(|value| values.push(value))
            }
            _ => return Err(self.unexpected("a string")),
        };
        match parsed {
            Ok(()) => {
                self.done();
                Ok(())
            }
            Err(message) => Err(self.fault.contract(message)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Slot { column, fault } = self;
        let Values::Array { offsets, items } = &mut column.values else {
            return Err(Slot { column, fault }.unexpected("an array"));
        };
        let mut index = 0;
        loop {
            let next = seq.next_element_seed(Slot {
                column: items,
                fault,
            });
            if next
                .map_err(|error| fault.within(Step::Index(index), error))?
                .is_none()
            {
                break;
            }
            fault.spend(items.cost)?;
            index += 1;
        }
        match i32::try_from(items.len()) {
            Ok(end) => offsets.push(end),
            Err(_) => return Err(Slot { column, fault }.full(Full)),
        }
        column.valid();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Slot { column, fault } = self;
        match &mut column.values {
            Values::Struct(object) => object.read(map, fault)?,
            Values::Map {
                offsets,
                keys,
                items,
            } => {
                read_map(map, keys, items, fault)?;
                match i32::try_from(items.len()) {
                    Ok(end) => offsets.push(end),
                    Err(_) => return Err(Slot { column, fault }.full(Full)),
                }
            }
            _ => return Err(Slot { column, fault }.unexpected("an object")),
        }
        column.valid();
        Ok(())
    }
}

fn read_map<'de, A: MapAccess<'de>>(
    mut map: A,
    keys: &mut Text,
    items: &mut Column,
    fault: &Fault,
) -> Result<(), A::Error> {
    let start = keys.len();
    while map.next_key_seed(MapKey { keys, fault })?.is_some() {
        let named =
            |error, keys: &Text| fault.within(Step::Key(text(keys.get(keys.len() - 1))), error);
        map.next_value_seed(Slot {
            column: items,
            fault,
        })
        .map_err(|error| named(error, keys))?;
        fault.spend(MAP_KEY + items.cost)?;
    }
    if let Some(twice) = double(keys, start) {
        return Err(fault.contract_at(
            Step::Key(text(keys.get(twice))),
            "comes twice in the object",
        ));
    }
    Ok(())
}

/// The index of a key that came before, among the keys from `start` on.
pub(in crate::formats) fn double(keys: &Text, start: usize) -> Option<usize> {
    let range = start..keys.len();
    if range.len() <= FEW_KEYS {
        return range
            .clone()
            .find(|i| (start..*i).any(|j| keys.get(*i) == keys.get(j)));
    }
    let mut sorted: Vec<usize> = range.collect();
    sorted.sort_unstable_by(|a, b| keys.get(*a).cmp(keys.get(*b)));
    sorted
        .windows(2)
        .find(|pair| keys.get(pair[0]) == keys.get(pair[1]))
        .map(|pair| pair[1])
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Appends a map's key.
struct MapKey<'a> {
    keys: &'a mut Text,
    fault: &'a Fault,
}

impl<'de> DeserializeSeed<'de> for MapKey<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for MapKey<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<(), E> {
        self.keys
            .push(key.as_bytes())
            .map_err(|Full| self.fault.contract("the batch has no room for its keys"))
    }
}

fn whole_number(text: &str) -> Result<i64, String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return Err("expected bigint, a whole number, found a string that is none".to_owned());
    }
    text.parse()
        .map_err(|_| "out of the range of bigint".to_owned())
}

fn wanted(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean, true or false".to_owned(),
        DataType::Int | DataType::BigInt => format!("{data_type}, a whole number"),
        DataType::Float | DataType::Double => format!("{data_type}, a number"),
        DataType::Decimal { .. } => format!("{data_type}, a number or a string such as \"12.50\""),
        DataType::String => "string".to_owned(),
        DataType::Bytes => "bytes, a base64 string".to_owned(),
        DataType::Date => "date, a string such as \"2026-01-31\"".to_owned(),
        DataType::Time => "time, a string such as \"23:59:59.123\"".to_owned(),
        DataType::Timestamp(_) => {
            format!("{data_type}, a string such as \"2026-01-31T23:59:59.123\"")
        }
        DataType::TimestampLtz(_) => {
            format!("{data_type}, a string such as \"2026-01-31T23:59:59.123Z\"")
        }
        DataType::Array(_) => "an array".to_owned(),
        DataType::Map(_) | DataType::Struct(_) => "an object".to_owned(),
    }
}
