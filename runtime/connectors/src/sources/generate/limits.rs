//! What a stream's own Avro schema or Protobuf file allows of a value, beyond its SQL type: an enum's symbols, a
//! fixed's size, a UUID, and of a oneof one member.

use std::collections::{HashMap, HashSet};

use headworks_plan::{Contract, Format};
use headworks_schema::avro::union::branches;
use headworks_schema::avro::{Avro, Id, Kind, Logical};
use headworks_schema::protobuf::{self, Known};
use prost_reflect::{FieldDescriptor, Kind as K, MessageDescriptor};

/// Records in records; a contract's own limit is lower.
const DEEPEST: usize = 40;

/// What may stand at one place.
#[derive(Clone, Debug)]
pub(super) enum Limit {
    /// One of these.
    Symbols(Vec<String>),
    /// So many bytes.
    Bytes(usize),
    /// Text that is a UUID.
    Uuid,
    /// A message without fields: `true`.
    Present,
    /// Text that is JSON of this kind.
    Json(Known),
}

/// By the place: names with dots between, `[]` for what is in a list or map.
#[derive(Clone, Debug, Default)]
pub(super) struct Limits {
    pub(super) values: HashMap<String, Limit>,
    /// Which oneof a field is in.
    pub(super) oneofs: HashMap<String, String>,
    /// Members of a union, of which exactly one is set: where it is chosen it isn't null.
    pub(super) chosen: HashSet<String>,
    /// Maps whose keys are numbers (true) or booleans (false).
    pub(super) keys: HashMap<String, bool>,
}

impl Limits {
    /// Those of the contract's definition. Of one that can't be read the encoder tells.
    pub(super) fn of(contract: &Contract) -> Limits {
        let mut limits = Limits::default();
        let Some(definition) = &contract.definition else {
            return limits;
        };
        match contract.format {
            Format::Json => {}
            Format::Avro => {
                if let Ok(avro) = Avro::parse(definition) {
                    limits.avro(&avro, avro.root(), "", 0);
                }
            }
            Format::Protobuf => {
                let file = protobuf::parse(definition);
                let message =
                    file.and_then(|file| protobuf::message(&file, definition.message.as_deref()));
                if let Ok(message) = message {
                    limits.message(&message, "", 0);
                }
            }
        }
        limits
    }

    fn avro(&mut self, avro: &Avro, id: Id, at: &str, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        let node = avro.node(id);
        let limit = match (&node.kind, node.logical) {
            (Kind::Enum { symbols, .. }, _) => Limit::Symbols(symbols.clone()),
            (Kind::String | Kind::Fixed { .. }, Logical::Uuid) => Limit::Uuid,
            (Kind::Fixed { size, .. }, Logical::None) => Limit::Bytes(*size),
            (Kind::Record { fields, .. }, _) => {
                for field in fields {
                    self.avro(avro, field.node, &within(at, &field.name), depth + 1);
                }
                return;
            }
            (Kind::Array(inner) | Kind::Map(inner), _) => {
                return self.avro(avro, *inner, &format!("{at}[]"), depth + 1);
            }
            (Kind::Union(all), _) => {
                if let Some(branches) = branches(avro, id) {
                    for (branch, name) in branches {
                        let place = within(at, &name);
                        self.oneofs.insert(place.clone(), format!("{at}, a union"));
                        self.chosen.insert(place.clone());
                        self.avro(avro, branch, &place, depth + 1);
                    }
                    return;
                }
                for branch in all {
                    self.avro(avro, *branch, at, depth + 1);
                }
                return;
            }
            _ => return,
        };
        self.values.insert(at.to_owned(), limit);
    }

    fn message(&mut self, message: &MessageDescriptor, at: &str, depth: usize) {
        if depth > DEEPEST {
            return;
        }
        for field in message.fields() {
            let place = within(at, field.name());
            let oneof = field
                .containing_oneof()
                .filter(|oneof| !oneof.is_synthetic());
            if let Some(oneof) = oneof {
                let oneof = oneof.full_name().to_owned();
                self.oneofs.insert(place.clone(), oneof);
            }
            self.field(&field, place, depth + 1);
        }
    }

    fn field(&mut self, field: &FieldDescriptor, mut at: String, depth: usize) {
        let mut kind = field.kind();
        if field.is_list() || field.is_map() {
            at.push_str("[]");
        }
        if let K::Message(entry) = &kind
            && field.is_map()
        {
            match entry.map_entry_key_field().kind() {
                K::String => {}
                key => {
                    self.keys.insert(at.clone(), key != K::Bool);
                }
            }
            kind = entry.map_entry_value_field().kind();
        }
        match kind {
            K::Enum(symbols) => {
                let names = symbols.values().map(|value| value.name().to_owned());
                self.values.insert(at, Limit::Symbols(names.collect()));
            }
            K::Message(message) => match (protobuf::known(&message), message.get_field(1)) {
                (Known::Items, Some(items)) if depth < DEEPEST => {
                    self.field(&items, at, depth + 1);
                }
                (Known::None, _) => self.message(&message, &at, depth + 1),
                (Known::Empty, _) => {
                    self.values.insert(at, Limit::Present);
                }
                (known @ (Known::Struct | Known::Value | Known::List), _) => {
                    self.values.insert(at, Limit::Json(known));
                }
                _ => {}
            },
            _ => {}
        }
    }
}

/// The place of a field in what is at `at`.
pub(super) fn within(at: &str, name: &str) -> String {
    if at.is_empty() {
        name.to_owned()
    } else {
        format!("{at}.{name}")
    }
}
