//! Protobuf: numbers, names of enums' numbers, and how a value is written.

use headworks_schema::protobuf;
use prost_reflect::{FieldDescriptor, Kind as K};

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
        match (from.kind().as_message(), field.kind().as_message()) {
            (Some(from), Some(to)) => numbers(from, to, &path, depth + 1, faults),
            _ if from.kind().as_enum().is_some() && field.kind().as_enum().is_some() => {
                if let Some(message) = renamed(&from, &field, &path) {
                    faults.push(Fault {
                        field: path,
                        message,
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

/// An enum's number that has another name, or a name that has another number: a bare record has the number alone.
fn renamed(from: &FieldDescriptor, to: &FieldDescriptor, path: &str) -> Option<String> {
    let (K::Enum(from), K::Enum(to)) = (from.kind(), to.kind()) else {
        return None;
    };
    let names = |number: i32| -> Vec<String> {
        let values = to.values().filter(|now| now.number() == number);
        values.map(|now| now.name().to_owned()).collect()
    };
    from.values().find_map(|was| {
        if let Some(now) = to.values().find(|now| now.name() == was.name()) {
            return (now.number() != was.number()).then(|| {
                format!(
                    "field \"{path}\": {} is number {} of the enum in one contract and {} in the other, and numbers are what records carry: keep it",
                    was.name(),
                    was.number(),
                    now.number()
                )
            });
        }
        // A number may have several names (allow_alias).
        let names = names(was.number());
        let mut others = from.values().filter(|v| v.number() == was.number());
        if others.any(|other| names.iter().any(|now| now == other.name())) {
            return None;
        }
        names.first().map(|now| {
            format!(
                "field \"{path}\": number {} of the enum is {} in one contract and {now} in the other: keep it, and give a new name a number that was never used",
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
