//! Protobuf: numbers, names of enums' numbers, and how a value is written.

use std::collections::{HashMap, HashSet};

use headworks_schema::protobuf;
use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind as K};

use super::{DEEPEST, Fault, Message, join};

/// The field at a path such as `items[].price`.
pub(super) fn field(message: &Message, path: &str) -> Option<FieldDescriptor> {
    let mut message = message.clone();
    let mut steps = path.split('.').map(|step| step.trim_end_matches("[]"));
    let mut found = message.get_field_by_name(steps.next()?)?;
    for step in steps {
        let mut kind = value_kind(&found);
        // A list or map in another one stands in a message of its own.
        while let K::Message(inner) = &kind
            && protobuf::known(inner) == protobuf::Known::Items
        {
            kind = value_kind(&inner.get_field(1)?);
        }
        let K::Message(inner) = kind else {
            return None;
        };
        message = inner;
        found = message.get_field_by_name(step)?;
    }
    Some(found)
}

/// The kind of a field, or of its values where it is a map.
pub(super) fn value_kind(field: &FieldDescriptor) -> K {
    match field.kind() {
        K::Message(entry) if field.is_map() => entry.map_entry_value_field().kind(),
        kind => kind,
    }
}

/// Fields of one name with other numbers, or with another encoding under the same SQL type.
pub(super) fn numbers(
    written: &Message,
    read: &Message,
    path: &str,
    depth: usize,
    compared: &mut Compared,
    faults: &mut Vec<Fault>,
) {
    if depth > DEEPEST {
        return;
    }
    for field in read.fields() {
        let path = join(path, field.name());
        let Some(from) = written.get_field_by_name(field.name()) else {
            // A number that meant something else reads its bytes.
            if let Some(other) = written.get_field(field.number()) {
                let message = format!(
                    "field \"{path}\" takes number {}, which is \"{}\": give it a number that was never used",
                    field.number(),
                    other.name()
                );
                faults.push(Fault {
                    field: path,
                    message,
                });
            }
            continue;
        };
        if from.number() != field.number() {
            let message = format!(
                "field \"{path}\" has number {} in one contract and {} in the other, and numbers are what records carry: keep it",
                from.number(),
                field.number()
            );
            faults.push(Fault {
                field: path,
                message,
            });
            continue;
        }
        match (from.kind(), field.kind()) {
            (K::Message(from), K::Message(to)) if apart(&from, &to) => {
                let message = format!(
                    "field \"{path}\" is {} in one contract and {} in the other, which are written otherwise: keep it",
                    from.full_name(),
                    to.full_name()
                );
                faults.push(Fault {
                    field: path,
                    message,
                });
            }
            // It holds itself, and is one and the same everywhere.
            (K::Message(from), K::Message(_)) if is_json(&from) => {}
            (K::Message(from), K::Message(to))
                if from.is_map_entry() && to.is_map_entry() && truth(&from) != truth(&to) =>
            {
                let message = format!(
                    "field \"{path}\" is a map with booleans for keys in one contract only, and true isn't 1 as a key: keep it"
                );
                faults.push(Fault {
                    field: path,
                    message,
                });
            }
            (K::Message(from), K::Message(to)) => {
                numbers(&from, &to, &path, depth + 1, compared, faults);
            }
            (K::Enum(from), K::Enum(to)) => {
                let both = (from.full_name().to_owned(), to.full_name().to_owned());
                let found = compared.entry(both).or_insert_with(|| renamed(&from, &to));
                if let Some(found) = found {
                    faults.push(Fault {
                        message: format!("field \"{path}\": {found}"),
                        field: path,
                    });
                }
            }
            _ if !reads(&from.kind(), &field.kind()) => {
                let message = format!(
                    "field \"{path}\" is {:?} in one contract and {:?} in the other, which are written otherwise: keep it",
                    from.kind(),
                    field.kind()
                );
                faults.push(Fault {
                    field: path,
                    message,
                });
            }
            _ => {}
        }
    }
}

/// True for JSON in Protobuf's words.
fn is_json(message: &Message) -> bool {
    use protobuf::Known as M;
    matches!(protobuf::known(message), M::Struct | M::Value | M::List)
}

/// Messages that are of one SQL type and that no reader takes for each other: JSON's three, and one without fields and
/// one with a value.
fn apart(from: &Message, to: &Message) -> bool {
    let empty = |message: &Message| protobuf::known(message) == protobuf::Known::Empty;
    let json = is_json(from) || is_json(to);
    json && from.full_name() != to.full_name() || empty(from) != empty(to)
}

/// True for the entry of a map whose keys are booleans.
fn truth(entry: &Message) -> bool {
    entry.map_entry_key_field().kind() == K::Bool
}

/// What was found out about two enums, by their full names: a short text can put one in thousands of places.
pub(super) type Compared = HashMap<(String, String), Option<String>>;

/// An enum's number that has another name, or a name that has another number: a bare record has the number alone.
fn renamed(from: &EnumDescriptor, to: &EnumDescriptor) -> Option<String> {
    let mut numbers: HashMap<String, i32> = HashMap::new();
    let mut names: HashMap<i32, Vec<String>> = HashMap::new();
    for now in to.values() {
        numbers.insert(now.name().to_owned(), now.number());
        let all = names.entry(now.number()).or_default();
        all.push(now.name().to_owned());
    }
    // A number may have several names (allow_alias): one that it keeps is enough.
    let kept: HashSet<i32> = from
        .values()
        .filter(|was| numbers.get(was.name()) == Some(&was.number()))
        .map(|was| was.number())
        .collect();
    from.values().find_map(|was| {
        if let Some(now) = numbers.get(was.name()) {
            return (*now != was.number()).then(|| {
                format!(
                    "{} is number {} of the enum in one contract and {now} in the other, and numbers are what records carry: keep it",
                    was.name(),
                    was.number()
                )
            });
        }
        if kept.contains(&was.number()) {
            return None;
        }
        names.get(&was.number()).and_then(|names| names.first()).map(|now| {
            format!(
                "number {} of the enum is {} in one contract and {now} in the other: keep it, and give a new name a number that was never used",
                was.number(),
                was.name()
            )
        })
    })
}

/// Whether what was written as the one is read right as the other, without knowing what it was written as.
fn reads(written: &K, read: &K) -> bool {
    written == read
        || matches!(
            (written, read),
            (K::Bool, K::Int32 | K::Int64 | K::Uint32)
                | (K::Int32, K::Int64)
                | (K::Sint32, K::Sint64)
                | (K::Uint32, K::Int64 | K::Uint64)
                | (K::String, K::Bytes)
        )
}
