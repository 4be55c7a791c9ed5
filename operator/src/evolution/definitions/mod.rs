//! What an Avro or Protobuf text says beyond the fields of its contract: defaults, enums' symbols, units, field numbers,
//! encodings. A text that can't be read says nothing here; it was refused elsewhere.

mod avro;
mod protobuf;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use headworks_plan::{Contract, Definition, Format};
use headworks_schema::avro::Avro;
use headworks_sql::types::DataType as T;
use prost_reflect::{Kind as K, MessageDescriptor};

use super::Fault;
use avro::{Found, kinds, misread, symbols, unions, walk};
use protobuf::{Compared, field, numbers, value_kind};

/// Records in records; a schema that names itself ends here.
const DEEPEST: usize = 32;

/// What a reader takes where the writer had no such field.
pub(super) enum Defaults {
    /// JSON: nothing.
    None,
    /// Avro: paths of the fields that have a default.
    Avro(BTreeSet<String>),
    /// Protobuf: what the wire hasn't got is its type's default, where the type has one.
    Protobuf(Option<Message>),
}

impl Defaults {
    pub(super) fn of(read: &Contract) -> Defaults {
        match read.format {
            Format::Json => Defaults::None,
            Format::Protobuf => Defaults::Protobuf(message(read)),
            Format::Avro => {
                let mut all = BTreeSet::new();
                if let Some(avro) = avro(read) {
                    walk(&avro, avro.root(), "", 0, &mut |path, found| {
                        if let Found::Default = found {
                            all.insert(path.to_owned());
                        }
                    });
                }
                Defaults::Avro(all)
            }
        }
    }

    /// Whether a required field of this type is read where it was never written.
    pub(super) fn has(&self, path: &str, read: &T) -> bool {
        match self {
            Defaults::None => false,
            Defaults::Avro(paths) => paths.contains(path),
            Defaults::Protobuf(message) if is_message(message.as_ref(), path) => false,
            Defaults::Protobuf(message) => match read {
                T::Boolean
                | T::Int
                | T::BigInt
                | T::Float
                | T::Double
                | T::String
                | T::Bytes
                | T::Array(_)
                | T::Map(_) => true,
                // Of a number it is 0; of text, as decimals are otherwise written, it is no decimal.
                T::Decimal { .. } => {
                    let field = message.as_ref().and_then(|message| field(message, path));
                    field.is_some_and(|field| matches!(value_kind(&field), K::Uint64 | K::Fixed64))
                }
                // Text that is none of them when it is empty, or a message.
                T::Date | T::Time | T::Timestamp(_) | T::TimestampLtz(_) | T::Struct(_) => false,
            },
        }
    }
}

/// True where one message stands: proto2 may require it, and none has a default, whatever SQL type it is here.
fn is_message(message: Option<&Message>, path: &str) -> bool {
    let field = message.and_then(|message| field(message, path));
    field.is_some_and(|field| {
        !field.is_list() && !field.is_map() && matches!(field.kind(), K::Message(_))
    })
}

/// What a reader can't make of what was written, although its SQL types fit.
pub(super) fn faults(written: &Contract, read: &Contract) -> Vec<Fault> {
    let mut all = Vec::new();
    if let (Some(written), Some(read)) = (avro(written), avro(read)) {
        kinds(&written, &read, &mut all);
        unions(&written, &read, &mut all);
        symbols(&written, &read, &mut all);
        for path in misread(&written, &read) {
            let message = format!(
                "field \"{path}\" gets another unit or scale, which Avro's readers don't see: keep it, and add a new field beside it"
            );
            all.push(Fault {
                field: path,
                message,
            });
        }
    }
    if let (Some(written), Some(read)) = (message(written), message(read)) {
        numbers(&written, &read, "", 0, &mut Compared::new(), &mut all);
    }
    all
}

/// Fields whose records nobody can tell from those of before: Avro's fingerprint, by which records name their schema
/// where there is no registry, doesn't see what a number means.
///
/// Of the contracts before, newest first, the newest with that fingerprint counts. Another meaning that an older one
/// gave it was given up with permission.
pub(super) fn indistinct<'a>(
    before: impl Iterator<Item = &'a Contract>,
    new: &Contract,
) -> Vec<Fault> {
    let Some(read) = avro(new) else {
        return Vec::new();
    };
    let print = read.fingerprint();
    let mut before = before.filter_map(avro);
    let Some(written) = before.find(|old| old.fingerprint() == print) else {
        return Vec::new();
    };
    let told = misread(&written, &read).into_iter().map(|path| {
        let message = format!(
            "field \"{path}\" means something else, and the schema's fingerprint stays as it is: without a schema registry old records would be misread; keep it, and add a new field beside it"
        );
        Fault {
            field: path,
            message,
        }
    });
    told.collect()
}

fn text(contract: &Contract, format: Format) -> Option<&Definition> {
    contract
        .definition
        .as_ref()
        .filter(|_| contract.format == format)
}

fn avro(contract: &Contract) -> Option<Avro> {
    Avro::parse(text(contract, Format::Avro)?).ok()
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

type Message = MessageDescriptor;

fn message(contract: &Contract) -> Option<Message> {
    let definition = text(contract, Format::Protobuf)?;
    let file = headworks_schema::protobuf::parse(definition).ok()?;
    headworks_schema::protobuf::message(&file, definition.message.as_deref()).ok()
}
