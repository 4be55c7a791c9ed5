//! A Protobuf message as the fields of a contract.

use headworks_plan::Field;
use headworks_sql::types::{DataType, StructField};
use prost_reflect::{Cardinality, FieldDescriptor, Kind, MessageDescriptor, Syntax};

use crate::error::SchemaError;
use crate::limits::MAX_DEPTH;
use crate::sql;
use crate::sql::Budget;
use crate::text::SchemaText;

/// What a message is beyond its fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// `google.protobuf.Timestamp`: an instant.
    Timestamp,
    /// One of `google.protobuf.StringValue` and its kin: a value that may be missing, in field 1.
    Wrapper,
    /// `google.protobuf.Struct`: a JSON object, as text.
    Struct,
    /// `google.protobuf.Value`: any JSON value, as text.
    Value,
    /// `google.protobuf.ListValue`: a JSON array, as text.
    List,
    /// A message without fields, such as `google.protobuf.Empty`: whether it is there.
    Empty,
    /// Ours: `items`, a list or map that stands where Protobuf allows none (in a list, as a map's value).
    Items,
    /// Nothing.
    None,
}

/// What is known of a message.
pub fn known(message: &MessageDescriptor) -> Known {
    match message.full_name() {
        "google.protobuf.Timestamp" => Known::Timestamp,
        "google.protobuf.DoubleValue"
        | "google.protobuf.FloatValue"
        | "google.protobuf.Int64Value"
        | "google.protobuf.UInt64Value"
        | "google.protobuf.Int32Value"
        | "google.protobuf.UInt32Value"
        | "google.protobuf.BoolValue"
        | "google.protobuf.StringValue"
        | "google.protobuf.BytesValue" => Known::Wrapper,
        "google.protobuf.Struct" => Known::Struct,
        "google.protobuf.Value" => Known::Value,
        "google.protobuf.ListValue" => Known::List,
        _ => {
            let mut fields = message.fields();
            match (fields.next(), fields.next()) {
                (None, _) => Known::Empty,
                (Some(only), None) if only.name() == super::ITEMS && only.number() == 1 => {
                    if only.is_list() || only.is_map() {
                        Known::Items
                    } else {
                        Known::None
                    }
                }
                _ => Known::None,
            }
        }
    }
}

/// The fields of a contract that a Protobuf message says, and the message's full name. `message` names it in full;
/// absent: the file's first.
///
/// # Errors
/// The text is no Protobuf file, has no such message, or has a type that no column can hold.
pub fn to_fields(
    text: impl Into<SchemaText>,
    message: Option<&str>,
) -> Result<(Vec<Field>, String), SchemaError> {
    let file = super::parse_strictly(text)?;
    let message = super::message(&file, message)?;
    let mut reader = Reader {
        path: Vec::new(),
        open: vec![message.full_name().to_owned()],
        budget: Budget::new(),
    };
    let fields = sql::contract(reader.message(&message)?)?;
    Ok((fields, message.full_name().to_owned()))
}

struct Reader {
    path: Vec<String>,
    /// The messages that we are in.
    open: Vec<String>,
    budget: Budget,
}

impl Reader {
    fn refuse<T>(&self, field: &FieldDescriptor, message: &str) -> Result<T, SchemaError> {
        let mut error = SchemaError::at(&self.path, message);
        if let Some((line, column)) = place(field) {
            error.place = format!("line {line}, column {column}, {}", error.place);
        }
        let file = field.parent_file();
        Err(if file.name() == super::file::NAME {
            error
        } else {
            error.within(file.name())
        })
    }

    fn message(&mut self, message: &MessageDescriptor) -> Result<Vec<StructField>, SchemaError> {
        let mut made = Vec::new();
        for field in message.fields() {
            self.path.push(field.name().to_owned());
            self.budget.take(&self.path)?;
            let data_type = self.field(&field)?;
            made.push(StructField {
                name: field.name().to_owned(),
                data_type,
                nullable: nullable(&field),
            });
            self.path.pop();
        }
        Ok(made)
    }

    fn field(&mut self, field: &FieldDescriptor) -> Result<DataType, SchemaError> {
        if self.path.len() > MAX_DEPTH {
            return self.refuse(field, "a contract is nested 32 levels deep at most");
        }
        if field.is_group() {
            return self.refuse(field, "a group is no column; make it a message");
        }
        if field.is_map() {
            let Kind::Message(entry) = field.kind() else {
                return self.refuse(field, "the map has no entries");
            };
            return Ok(DataType::Map(Box::new(
                self.single(&entry.map_entry_value_field(), field)?,
            )));
        }
        let single = self.single(field, field)?;
        Ok(if field.is_list() {
            DataType::Array(Box::new(single))
        } else {
            single
        })
    }

    fn single(
        &mut self,
        field: &FieldDescriptor,
        at: &FieldDescriptor,
    ) -> Result<DataType, SchemaError> {
        let message = match field.kind() {
            Kind::Message(message) => message,
            kind => return Ok(scalar(&kind)),
        };
        match known(&message) {
            Known::Timestamp => return Ok(DataType::TimestampLtz(6)),
            Known::Struct | Known::Value | Known::List => return Ok(DataType::String),
            Known::Empty => return Ok(DataType::Boolean),
            Known::Wrapper | Known::Items => {
                if let Some(inner) = message.get_field(1) {
                    return self.nested(&message, at, |reader| reader.field(&inner));
                }
            }
            Known::None => {}
        }
        let fields = self.nested(&message, at, |reader| reader.message(&message))?;
        Ok(DataType::Struct(fields))
    }

    fn nested<T>(
        &mut self,
        message: &MessageDescriptor,
        at: &FieldDescriptor,
        read: impl FnOnce(&mut Reader) -> Result<T, SchemaError>,
    ) -> Result<T, SchemaError> {
        let name = message.full_name();
        if self.open.iter().any(|open| open == name) {
            return self.refuse(at, "the message holds itself, and a column has an end; say how deep it goes by messages of their own");
        }
        self.open.push(name.to_owned());
        let read = read(self)?;
        self.open.pop();
        Ok(read)
    }
}

/// Whether a column of this field may be null: where the record can tell "absent" from a value. A list or map that is
/// absent is an empty one.
pub fn nullable(field: &FieldDescriptor) -> bool {
    if field.is_list() || field.is_map() {
        return false;
    }
    if field.parent_file().syntax() == Syntax::Proto2
        && field.cardinality() == Cardinality::Required
    {
        return false;
    }
    field.supports_presence()
}

/// Whether a list of numbers, booleans or an enum is written packed: as its definition says, else as its syntax has it.
pub fn is_packed(field: &FieldDescriptor) -> bool {
    let options = field.options();
    let given = options
        .has_field_by_name("packed")
        .then(|| options.get_field_by_name("packed")?.as_bool())
        .flatten();
    given.unwrap_or(field.parent_file().syntax() == Syntax::Proto3)
}

/// The SQL type of a scalar. What has no sign is given room.
pub fn scalar(kind: &Kind) -> DataType {
    match kind {
        Kind::Double => DataType::Double,
        Kind::Float => DataType::Float,
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => DataType::Int,
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint32 | Kind::Fixed32 => {
            DataType::BigInt
        }
        Kind::Uint64 | Kind::Fixed64 => DataType::Decimal {
            precision: 20,
            scale: 0,
        },
        Kind::Bool => DataType::Boolean,
        Kind::Bytes | Kind::Message(_) => DataType::Bytes,
        Kind::String | Kind::Enum(_) => DataType::String,
    }
}

/// Where the field stands in its file, from 1.
fn place(field: &FieldDescriptor) -> Option<(i32, i32)> {
    super::strict::place(&field.parent_file(), field.path())
}
