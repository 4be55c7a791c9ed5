//! Amounts as Kubernetes writes them: `500`, `20k`, `16Mi`, `1.5G`. Decimal suffixes are powers of 1000,
//! those with an `i` of 1024.

use std::{borrow::Cow, fmt, str::FromStr};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const MAX_CHARACTERS: usize = 20;
const PATTERN: &str = r"^[0-9]{1,15}(\.[0-9]{1,3})?(k|M|G|T|Ki|Mi|Gi|Ti)?$";

/// A non-negative amount: bytes, or records in a second. Keeps the text the user wrote.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Quantity {
    text: String,
    value: u64,
}

/// Why a text isn't a quantity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuantityError {
    text: String,
}

impl fmt::Display for QuantityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is not a quantity: write a number, with one of k, M, G, T (thousands) or Ki, Mi, Gi, Ti (1024s) if \
             wanted, such as 500, 20k or 16Mi",
            self.text
        )
    }
}

impl std::error::Error for QuantityError {}

impl Quantity {
    /// The amount, rounded down to a whole number and capped at the largest signed 64-bit number (the most
    /// that a Kafka setting can hold).
    pub fn value(&self) -> u64 {
        self.value
    }

    /// So many times 1024 x 1024.
    pub fn mebibytes(n: u32) -> Self {
        Self {
            text: format!("{n}Mi"),
            value: u64::from(n) << 20,
        }
    }

    /// So many times 1024 x 1024 x 1024.
    pub fn gibibytes(n: u32) -> Self {
        Self {
            text: format!("{n}Gi"),
            value: u64::from(n) << 30,
        }
    }

    /// The text as the user wrote it.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl From<u64> for Quantity {
    fn from(value: u64) -> Self {
        let value = value.min(i64::MAX as u64);
        Self {
            text: value.to_string(),
            value,
        }
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let refused = || QuantityError {
            text: text.chars().take(32).collect(),
        };
        let end = text
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let unit: u128 = match suffix {
            "" => 1,
            "k" => 1_000,
            "M" => 1_000_000,
            "G" => 1_000_000_000,
            "T" => 1_000_000_000_000,
            "Ki" => 1 << 10,
            "Mi" => 1 << 20,
            "Gi" => 1 << 30,
            "Ti" => 1 << 40,
            _ => return Err(refused()),
        };
        let (whole, fraction) = number
            .split_once('.')
            .map_or((number, None), |(w, f)| (w, Some(f)));
        if whole.is_empty()
            || whole.len() > 15
            || fraction.is_some_and(|f| f.is_empty() || f.len() > 3)
        {
            return Err(refused());
        }
        let whole: u128 = whole.parse().map_err(|_| refused())?;
        let thousandths: u128 = format!("{:0<3}", fraction.unwrap_or("0"))
            .parse()
            .map_err(|_| refused())?;
        let value = (whole * 1_000 + thousandths) * unit / 1_000;
        let value = u64::try_from(value)
            .unwrap_or(u64::MAX)
            .min(i64::MAX as u64);
        Ok(Self {
            text: text.to_owned(),
            value,
        })
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quantity({})", self.text)
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Written {
            Number(u64),
            Text(String),
        }
        match Written::deserialize(deserializer)? {
            Written::Number(value) => Ok(value.into()),
            Written::Text(text) => text.parse().map_err(de::Error::custom),
        }
    }
}

impl JsonSchema for Quantity {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "pattern": PATTERN,
            "maxLength": MAX_CHARACTERS,
            "minimum": 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Option<u64> {
        text.parse::<Quantity>().ok().map(|q| q.value())
    }

    #[test]
    fn suffixes_are_kubernetes() {
        assert_eq!(value("500"), Some(500));
        assert_eq!(value("20k"), Some(20_000));
        assert_eq!(value("16Mi"), Some(16 * 1024 * 1024));
        assert_eq!(value("1.5k"), Some(1_500));
        assert_eq!(value("1.05Ki"), Some(1_075));
        assert_eq!(value("999999999999999Ti"), Some(i64::MAX as u64));
    }

    #[test]
    fn what_the_pattern_refuses_the_parser_refuses() {
        for text in [
            "",
            "k",
            "-1",
            "1m",
            "1.",
            ".5",
            "1.2345",
            "1.2.3",
            "1 k",
            "1K",
            "1e3",
            "1234567890123456",
        ] {
            assert_eq!(value(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_plain_number_in_yaml_is_a_quantity() {
        assert_eq!(
            serde_json::from_str::<Quantity>("1000").unwrap().value(),
            1000
        );
        assert!(serde_json::from_str::<Quantity>("-1").is_err());
        assert!(serde_json::from_str::<Quantity>("1.5").is_err());
    }
}
