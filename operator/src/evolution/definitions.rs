//! What an Avro or Protobuf text says beyond the fields of its contract: defaults, enums' symbols, field numbers,
//! encodings. A text that can't be read says nothing here; it was refused elsewhere.

use std::collections::{BTreeMap, BTreeSet};

use headworks_plan::{Contract, Definition, Format};
use headworks_schema::{
    avro::{Avro, Id, Kind},
    protobuf,
};

use prost_reflect::{FieldDescriptor, Kind as K, MessageDescriptor};

use super::Fault;

/// Records in records; a schema that names itself ends here.
const DEEPEST: usize = 32;

/// Paths of fields that have a default: a reader takes it where the writer had no such field.
pub(super) fn defaults(read: &Contract) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    if let Some(avro) = avro(read) {
        walk(&avro, avro.root(), "", 0, &mut |path, found| {
            if let Found::Default = found {
                all.insert(path.to_owned());
            }
        });
    }
    all
}

/// What a reader can't make of what was written, although its SQL types fit.
pub(super) fn faults(written: &Contract, read: &Contract) -> Vec<Fault> {
    let mut all = Vec::new();
    if let (Some(written), Some(read)) = (avro(written), avro(read)) {
        symbols(&written, &read, &mut all);
    }
    if let (Some(written), Some(read)) = (message(written), message(read)) {
        numbers(&written, &read, "", 0, &mut all);
    }
    all
}

fn text(contract: &Contract, format: Format) -> Option<&Definition> {
    contract
        .definition
        .as_ref()
        .filter(|_| contract.format == format)
}

fn avro(contract: &Contract) -> Option<Avro> {
    Avro::parse(&text(contract, Format::Avro)?.schema).ok()
}

enum Found<'a> {
    Default,
    Enum(&'a [String]),
}

/// Calls `on` for each field with a default and each enum, by its path.
fn walk(avro: &Avro, id: Id, path: &str, depth: usize, on: &mut impl FnMut(&str, Found<'_>)) {
    if depth > DEEPEST {
        return;
    }
    match &avro.node(id).kind {
        Kind::Record { fields, .. } => {
            for field in fields {
                let path = join(path, &field.name);
                if field.default.is_some() {
                    on(&path, Found::Default);
                }
                walk(avro, field.node, &path, depth + 1, on);
            }
        }
        Kind::Array(inner) | Kind::Map(inner) => {
            walk(avro, *inner, &format!("{path}[]"), depth + 1, on);
        }
        Kind::Union(branches) => {
            for branch in branches {
                walk(avro, *branch, path, depth + 1, on);
            }
        }
        Kind::Enum { symbols, .. } => on(path, Found::Enum(symbols)),
        _ => {}
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// Symbols that the reader's enum hasn't got.
fn symbols(written: &Avro, read: &Avro, faults: &mut Vec<Fault>) {
    let of = |avro: &Avro| {
        let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
        walk(avro, avro.root(), "", 0, &mut |path, found| {
            if let Found::Enum(symbols) = found {
                all.insert(path.to_owned(), symbols.to_vec());
            }
        });
        all
    };
    let read = of(read);
    for (path, symbols) in of(written) {
        let Some(known) = read.get(&path) else {
            continue;
        };
        let missing: Vec<String> = symbols
            .into_iter()
            .filter(|symbol| !known.contains(symbol))
            .collect();
        if !missing.is_empty() {
            let message = format!(
                "field \"{path}\": an enum that is to be read hasn't got {}, which is written: keep the symbols",
                missing.join(", ")
            );
            faults.push(Fault {
                field: path,
                message,
            });
        }
    }
}

type Message = MessageDescriptor;

fn message(contract: &Contract) -> Option<Message> {
    let definition = text(contract, Format::Protobuf)?;
    let file = protobuf::parse(&definition.schema).ok()?;
    protobuf::message(&file, definition.message.as_deref()).ok()
}

/// Fields of one name with other numbers, or with another encoding under the same SQL type.
fn numbers(written: &Message, read: &Message, path: &str, depth: usize, faults: &mut Vec<Fault>) {
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
            _ if encoding(&from) != encoding(&field) => {
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

/// How a field is written: those of one encoding can be read as each other.
fn encoding(field: &FieldDescriptor) -> u8 {
    match field.kind() {
        K::Int32 | K::Int64 | K::Uint32 | K::Uint64 | K::Bool | K::Enum(_) => 0,
        K::Sint32 | K::Sint64 => 1,
        K::Fixed32 | K::Sfixed32 => 2,
        K::Fixed64 | K::Sfixed64 => 3,
        K::Float => 4,
        K::Double => 5,
        K::String | K::Bytes => 6,
        K::Message(_) => 7,
    }
}
