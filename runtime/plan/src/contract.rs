//! A stream's contract as pods see it: fields with SQL types, key, event time and wire format.

use serde::{Deserialize, Serialize};

/// The contract of a stream: what every record in its topic obeys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Contract {
    /// Fields in order.
    pub fields: Vec<Field>,
    /// Field names (dotted for nested ones) whose values make the Kafka key, in order; empty: no key.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// True: a record replaces the one with the same key, and one without a value deletes it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compacted: bool,
    /// The field that says when a thing happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_time: Option<EventTime>,
    /// Wire format.
    pub format: Format,
    /// Avro's or Protobuf's own text of the contract. Absent for JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub definition: Option<Definition>,
    /// Present where a schema registry holds the definition: records then begin with its id. Filled in when a plan is
    /// made; it is no part of what is accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registered: Option<Registered>,
    /// Avro without a registry: definitions of earlier contracts, newest first. Their records are told by their
    /// fingerprints. Filled in when a plan is made, as `registered` is.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "earlier")]
    pub earlier: Vec<Definition>,
}

/// A contract in the words of its wire format: an Avro schema (JSON text) or a Protobuf file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    /// The text.
    pub schema: String,
    /// Protobuf: the full name of the message that a record is. Absent for Avro.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Texts that this one needs: files that it imports, schemas whose types it uses. In any order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<ReferencedSchema>,
}

/// A schema that another one needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReferencedSchema {
    /// What it is called there: of Protobuf the import's path, of Avro a type's full name, or whatever tells people which
    /// text is meant.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Earlier definitions in a plan: one that needs no other text is a string, as all of them were once.
mod earlier {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Definition;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Whole(Definition),
    }

    pub(super) fn serialize<S: Serializer>(
        all: &[Definition],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(all.iter().map(|definition| {
            if definition.references.is_empty() && definition.message.is_none() {
                Written::Text(definition.schema.clone())
            } else {
                Written::Whole(definition.clone())
            }
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<Definition>, D::Error> {
        let all = Vec::<Written>::deserialize(deserializer)?;
        let definitions = all.into_iter().map(|one| match one {
            Written::Text(text) => Definition::new(text),
            Written::Whole(definition) => definition,
        });
        Ok(definitions.collect())
    }
}

impl Definition {
    /// Bytes of the text and of those that it needs.
    pub fn bytes(&self) -> usize {
        let referenced = self.references.iter().map(|r| r.text.len());
        self.schema.len() + referenced.sum::<usize>()
    }

    /// A text that says by itself what a record is: an Avro schema.
    pub fn new(schema: impl Into<String>) -> Definition {
        Definition {
            schema: schema.into(),
            message: None,
            references: Vec::new(),
        }
    }

    /// A Protobuf file, and the full name of the message that a record is.
    pub fn of_message(schema: impl Into<String>, message: impl Into<String>) -> Definition {
        Definition {
            schema: schema.into(),
            message: Some(message.into()),
            references: Vec::new(),
        }
    }

    /// The same, with the texts that it needs.
    #[must_use]
    pub fn with(mut self, references: Vec<ReferencedSchema>) -> Definition {
        self.references = references;
        self
    }
}

/// What a schema registry says of a stream's definition (Confluent's wire format: a zero byte, then the schema's id as
/// four bytes, big end first; Protobuf then has the message's indexes).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Registered {
    /// The subject.
    pub subject: String,
    /// Id of the definition in force: what is written carries it.
    pub id: u32,
    /// Definitions of earlier contracts, so that their records can be read while the registry is down.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub known: Vec<KnownSchema>,
}

/// A definition that a registry gave an id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct KnownSchema {
    /// Its id.
    pub id: u32,
    /// Its text.
    pub schema: String,
    /// Texts that this one needs, as at [`Definition::references`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<ReferencedSchema>,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Field {
    /// Field name.
    pub name: String,
    /// SQL type as text, such as `decimal(12,2)` or `array<struct<sku string, qty int>>`.
    #[serde(rename = "type")]
    pub type_: String,
    /// True: the field may be null or absent.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nullable: bool,
    /// Labels such as `pii`, carried through queries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
}

impl Field {
    /// A field without labels.
    pub fn new(name: impl Into<String>, type_: impl Into<String>, nullable: bool) -> Field {
        Field {
            name: name.into(),
            type_: type_.into(),
            nullable,
            labels: Vec::new(),
        }
    }
}

/// Which field is the event time, and how it behaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventTime {
    /// A `timestamp_ltz` field.
    pub field: String,
    /// How far out of order records may come, in milliseconds.
    pub max_out_of_orderness_ms: u64,
    /// After how long without records a partition counts as idle, in milliseconds; absent: never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle_timeout_ms: Option<u64>,
}

/// Wire format of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// UTF-8 JSON objects, one a record.
    #[default]
    Json,
    /// Avro's binary encoding. With a registry: Confluent's wire format; without: Avro's single-object encoding, whose
    /// fingerprint names the definition.
    Avro,
    /// Protobuf messages. With a registry: Confluent's wire format; without: the bare message.
    Protobuf,
}
