//! A record as a line of JSON: decoded by its contract, without the values of masked fields.
//!
//! What isn't decoded may have a masked value anywhere in it. So where fields are masked neither its bytes nor words that
//! may quote them are shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use headworks_connectors::formats::json::JsonEncoder;
use headworks_connectors::formats::{DeadLetterFormats, FormatRegistry};
use headworks_engine::format::{DecodeError, Decoder, Encoder, FormatError, Formats, RowError};
use headworks_plan::{DeadLetterLine, PeekPlan, PeekTask, Reason};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::value::RawValue;

use super::dead_letter;
use super::select::Found;
use members::Members;
pub(super) use rows::{Rows, Values};

mod rows;

/// What stands in place of a masked value.
const MASK: &str = "***";
/// Bytes of a record that couldn't be decoded that are shown at most.
const RAW_BYTES: usize = 1024;
/// What is said in place of words that may quote a masked value.
const HIDDEN: &str = "the message may quote a masked field; --unmask shows it";

/// Writes records of one stream.
pub(super) struct Renderer {
    decoder: Box<dyn Decoder>,
    encoder: JsonEncoder,
    /// Top-level fields that are masked.
    masked: Vec<String>,
    /// True: the Kafka key is masked.
    masks_key: bool,
    /// True: a record without a value is a deletion.
    compacted: bool,
    /// How much of a record is shown.
    shows: Shows,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shows {
    /// Its key and value.
    Record,
    /// What its headers say of it.
    Headers,
    /// Both.
    DeadLetter,
    /// Both, and all bytes of its value where nothing is masked.
    Everything,
}

impl Shows {
    fn of(task: &PeekTask) -> Shows {
        match task {
            PeekTask::Records | PeekTask::Profile(_) | PeekTask::Replay(_) => Shows::Record,
            PeekTask::List(_) | PeekTask::Count(_) => Shows::Headers,
            PeekTask::Show(_) => Shows::DeadLetter,
            PeekTask::Export(_) => Shows::Everything,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line {
    partition: i32,
    offset: i64,
    timestamp: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dead_letter: Option<DeadLetterLine>,
    /// Absent: it isn't shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[allow(
        clippy::option_option,
        reason = "not shown, and no key, are two things"
    )]
    key: Option<Option<Text>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<Value>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Told>,
    /// Its bytes in base64: the first ones of what wasn't decoded, or all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    raw: Option<String>,
    /// How many bytes the value has, where it wasn't decoded.
    #[serde(skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Text {
    Text(String),
    Bytes { base64: String },
}

#[derive(Serialize)]
#[serde(untagged)]
enum Value {
    Deleted(()),
    Members(Members),
}

#[derive(Serialize)]
struct Told {
    reason: &'static str,
    message: String,
}

impl Renderer {
    /// For the plan's stream.
    ///
    /// # Errors
    /// The contract is no contract.
    pub(super) fn new(plan: &PeekPlan) -> Result<Renderer, FormatError> {
        let contract = &plan.stream.contract;
        let columns: Vec<String> = contract.fields.iter().map(|f| f.name.clone()).collect();
        let top = |name: &String| name.split('.').next().unwrap_or_default().to_owned();
        let is_masked = |name: &String| plan.masked.contains(&top(name));
        // A key that the contract says nothing of may be made of anything.
        let masks_key = !plan.masked.is_empty()
            && (contract.key.is_empty() || contract.key.iter().any(is_masked));
        let formats = FormatRegistry::with(plan.registry.as_ref());
        let decoder = if plan.task.reads_letters() {
            DeadLetterFormats(formats).decoder(contract, &columns)
        } else {
            formats.decoder(contract, &columns)
        };
        Ok(Renderer {
            decoder: decoder?,
            encoder: JsonEncoder::showing(contract)?,
            masked: plan.masked.clone(),
            masks_key,
            compacted: contract.compacted,
            shows: Shows::of(&plan.task),
        })
    }

    /// A record as one line, without its end.
    pub(super) fn line(&mut self, found: &Found) -> String {
        if self.shows == Shows::Headers {
            return written(&self.head(found));
        }
        let (value, error) = match &found.value {
            None if self.compacted => (Some(Value::Deleted(())), None),
            value => match self.members(value.as_deref().unwrap_or_default()) {
                Ok(members) => (Some(Value::Members(members)), None),
                Err(told) => (None, Some(told)),
            },
        };
        let all = self.shows == Shows::Everything;
        let bytes = found.value.as_deref().filter(|_| all || error.is_some());
        let shown = bytes.filter(|_| self.masked.is_empty());
        let most = self.most();
        written(&Line {
            key: Some(found.key.as_deref().map(|key| self.key(key))),
            value,
            error,
            raw: shown.map(|bytes| STANDARD.encode(&bytes[..bytes.len().min(most)])),
            bytes: bytes.map(<[u8]>::len),
            ..self.head(found)
        })
    }

    /// A line in place of a record's own, which is too long to be printed: where it is, and how long it would be.
    pub(super) fn too_long(&self, found: &Found, line: usize) -> String {
        written(&Line {
            // It may be what is so long.
            key: Some(None),
            error: Some(Told {
                reason: "TooLong",
                message: format!("it would be a line of {line} bytes, and isn't shown"),
            }),
            bytes: found.value.as_ref().map(Vec::len),
            ..self.head(found)
        })
    }

    /// Where it is, and what its headers say.
    fn head(&self, found: &Found) -> Line {
        let said = (self.shows != Shows::Record).then(|| self.without_quotes(found));
        Line {
            partition: found.partition,
            offset: found.offset,
            timestamp: found.timestamp.map(time),
            dead_letter: said,
            key: None,
            value: None,
            error: None,
            raw: None,
            bytes: None,
        }
    }

    /// What the headers say, without words that may quote a masked value.
    fn without_quotes(&self, found: &Found) -> DeadLetterLine {
        let mut said = dead_letter::line(found);
        let is_open = self.masked.is_empty()
            || dead_letter::quotes_nothing(&said)
            || dead_letter::about_field(&said).is_some_and(|top| !self.is_masked(top));
        if !is_open && said.error.is_some() {
            said.error = Some(HIDDEN.to_owned());
        }
        said
    }

    /// Bytes that are shown of what isn't text.
    fn most(&self) -> usize {
        if self.shows == Shows::Everything {
            usize::MAX
        } else {
            RAW_BYTES
        }
    }

    fn key(&self, key: &[u8]) -> Text {
        if self.masks_key {
            return Text::Text(MASK.to_owned());
        }
        match std::str::from_utf8(key) {
            Ok(text) => Text::Text(text.to_owned()),
            Err(_) => Text::Bytes {
                base64: STANDARD.encode(&key[..key.len().min(self.most())]),
            },
        }
    }

    fn members(&mut self, payload: &[u8]) -> Result<Members, Told> {
        self.decoder
            .decode(payload)
            .map_err(|error| self.undecoded(error))?;
        let batch = self.decoder.finish();
        let batch = batch.map_err(unread)?;
        let mut text = Vec::new();
        self.encoder.encode(&batch, 0, &mut text).map_err(unread)?;
        let mut members: Members = serde_json::from_slice(&text).map_err(|error| Told {
            reason: "Internal",
            message: error.to_string(),
        })?;
        for (name, value) in &mut members.0 {
            if self.masked.contains(name)
                && let Ok(mask) = serde_json::value::to_raw_value(MASK)
            {
                *value = mask;
            }
        }
        Ok(members)
    }

    fn undecoded(&self, error: DecodeError) -> Told {
        match error {
            DecodeError::Refused { error } => self.told(&error),
            DecodeError::Waits { message } => waits(message),
        }
    }

    /// Why a record can't be decoded, without what may quote a masked value.
    fn told(&self, error: &RowError) -> Told {
        let top = error.path.split(['.', '[']).next().unwrap_or_default();
        let message = if self.masked.is_empty() || !(top.is_empty() || self.is_masked(top)) {
            error.to_string()
        } else {
            let place = if top.is_empty() {
                String::new()
            } else {
                format!("field {top}: ")
            };
            format!("{place}{HIDDEN}")
        };
        Told {
            reason: error.reason.as_str(),
            message,
        }
    }

    /// True: a field with this name, as a path has it, is masked. A long name is cut in a path.
    fn is_masked(&self, top: &str) -> bool {
        let cut = top.strip_suffix('…');
        let mut masked = self.masked.iter();
        masked.any(|field| field == top || cut.is_some_and(|start| field.starts_with(start)))
    }
}

fn written(line: &Line) -> String {
    serde_json::to_string(line).unwrap_or_default()
}

fn unread(error: FormatError) -> Told {
    match error {
        FormatError::Waits { message } => waits(message),
        other => Told {
            reason: "Internal",
            message: other.to_string(),
        },
    }
}

/// A schema that isn't known: what is said of it is about no value.
fn waits(message: String) -> Told {
    Told {
        reason: Reason::RegistryUnavailable.as_str(),
        message,
    }
}

/// Kafka's timestamp in RFC 3339, UTC, to the millisecond.
fn time(ms: i64) -> String {
    Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |at| format!("{at:.3}"))
}

/// An object's members in their order, each as the text that it is: no digit of a number is lost.
mod members {
    use super::RawValue;
    use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
    use serde::ser::{Serialize, Serializer};

    pub(super) struct Members(pub(super) Vec<(String, Box<RawValue>)>);

    impl Serialize for Members {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
        }
    }

    impl<'de> Deserialize<'de> for Members {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_map(InOrder)
        }
    }

    struct InOrder;

    impl<'de> Visitor<'de> for InOrder {
        type Value = Members;

        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
            let mut members = Vec::new();
            while let Some(member) = map.next_entry()? {
                members.push(member);
            }
            Ok(Members(members))
        }
    }
}

#[cfg(test)]
mod tests;
