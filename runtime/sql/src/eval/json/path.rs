//! JSON paths, followed through the text itself: a step reads its object or array once.

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// A compiled path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Path {
    pub(super) strict: bool,
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Member(String),
    Index(usize),
}

impl Path {
    /// Compiles a path such as `$.a.b[0]` or `strict $['a b']`.
    pub(crate) fn compile(text: &str) -> Result<Self, String> {
        let trimmed = text.trim();
        let mode = |word: &str| {
            trimmed
                .get(..word.len())
                .filter(|m| m.eq_ignore_ascii_case(word))
                .map(|_| trimmed[word.len()..].trim_start())
        };
        let (strict, path) = match (mode("strict "), mode("lax ")) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => (true, trimmed),
        };
        let wrong = |what: &str| {
            format!(
                "the JSON path '{text}' {what}; a path is $ with members and indexes, as in $.a.b[0]['c d']"
            )
        };
        let mut rest = path
            .strip_prefix('$')
            .ok_or_else(|| wrong("doesn't begin with $"))?;
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('.') {
                let end = after.find(['.', '[']).unwrap_or(after.len());
                let name = &after[..end];
                if name.is_empty() || name == "*" || name.contains(['(', '?', '@']) {
                    return Err(wrong(
                        "has a step that is not supported (wildcards, descents and filters are not)",
                    ));
                }
                steps.push(Step::Member(name.to_owned()));
                rest = &after[end..];
            } else if let Some(after) = rest.strip_prefix('[') {
                let quote = after.chars().next().filter(|c| matches!(c, '\'' | '"'));
                if let Some(quote) = quote {
                    let name = &after[1..];
                    let end = name
                        .find(quote)
                        .ok_or_else(|| wrong("has a quote that is not closed"))?;
                    steps.push(Step::Member(name[..end].to_owned()));
                    rest = name[end + 1..]
                        .strip_prefix(']')
                        .ok_or_else(|| wrong("lacks ]"))?;
                } else {
                    let end = after.find(']').ok_or_else(|| wrong("lacks ]"))?;
                    let index = after[..end].trim().parse().map_err(|_| wrong("has an index that is not supported (wildcards, ranges and negative ones are not)"))?;
                    steps.push(Step::Index(index));
                    rest = &after[end + 1..];
                }
            } else {
                return Err(wrong("can't be read"));
            }
        }
        if steps.len() > 64 {
            return Err(wrong("has more than 64 steps"));
        }
        Ok(Self { strict, steps })
    }

    pub(super) fn find<'a>(&self, document: &'a str) -> Found<'a> {
        // As in Flink, what follows the document is not looked at.
        let mut here = document.trim_start();
        let mut found = None;
        for step in &self.steps {
            let mut reader = serde_json::Deserializer::from_str(here);
            let next = match step {
                Step::Member(name) if here.starts_with('{') => {
                    Member(name).deserialize(&mut reader)
                }
                Step::Index(index) if here.starts_with('[') => {
                    Element(*index).deserialize(&mut reader)
                }
                _ => Ok(None),
            };
            match next {
                Ok(Some(value)) => {
                    here = value.get();
                    found = Some(value);
                }
                Ok(None) | Err(_) => return self.nothing(),
            }
        }
        let here = match found {
            Some(value) => value,
            None => {
                match <&'a RawValue>::deserialize(&mut serde_json::Deserializer::from_str(here)) {
                    Ok(value) => value,
                    Err(_) => return self.nothing(),
                }
            }
        };
        // In lax mode null is as good as nothing.
        if !self.strict && here.get() == "null" {
            Found::Missing
        } else {
            Found::Value(here)
        }
    }

    /// What it means that a path leads nowhere, or that the text is no JSON.
    fn nothing<'a>(&self) -> Found<'a> {
        if self.strict {
            Found::Invalid
        } else {
            Found::Missing
        }
    }
}

/// What a path leads to.
pub(super) enum Found<'a> {
    Value(&'a RawValue),
    /// Nothing is there, or the text is no JSON, and the path is lax.
    Missing,
    /// The same for a strict path.
    Invalid,
}

/// Finds a member of an object; of equal names the last counts.
struct Member<'n>(&'n str);

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
            if key == self.0 {
                found = Some(map.next_value()?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

/// Finds an element of an array.
struct Element(usize);

impl<'de> DeserializeSeed<'de> for Element {
    type Value = Option<&'de RawValue>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Element {
    type Value = Option<&'de RawValue>;

    fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        let mut at = 0;
        let mut found = None;
        loop {
            if at == self.0 {
                found = seq.next_element()?;
                if found.is_none() {
                    return Ok(None);
                }
            } else if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(found);
            }
            at += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_through_the_text() {
        let document = r#" {"a": {"b": [1, {"c d": "x\n"}], "b2": 1.50}, "a.b": null} "#;
        for (path, want) in [
            ("$.a.b[1]['c d']", Some("\"x\\n\"")),
            ("lax $.a.b2", Some("1.50")),
            ("$['a.b']", Some("null")),
            ("lax $.a.zz", None),
            ("$[0]", None),
            ("$.a.b[7]", None),
        ] {
            let got = match Path::compile(path).unwrap().find(document) {
                Found::Value(v) => Some(v.get().to_owned()),
                _ => None,
            };
            assert_eq!(got.as_deref(), want, "{path}");
        }
        for path in ["a", "$..a", "$.*", "$.a[*]", "$.a[-1]", "$['a", "$x", ""] {
            assert!(Path::compile(path).is_err(), "{path}");
        }
    }
}
