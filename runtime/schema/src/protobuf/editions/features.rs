//! Features as they are resolved, and descriptors of proto2 or proto3 that say the same.

use std::collections::BTreeSet;

use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::{
    DescriptorProto, FileDescriptorProto,
    field_descriptor_proto::{Label, Type},
};
use prost_reflect::{
    DescriptorError, DescriptorPool, DynamicMessage, FieldDescriptor, FileDescriptor, Kind,
    MessageDescriptor,
};

use super::Shifts;
use crate::error::SchemaError;

/// `FeatureSet.FieldPresence`.
pub(super) mod presence {
    pub(in super::super) const EXPLICIT: i32 = 1;
    pub(in super::super) const IMPLICIT: i32 = 2;
    pub(in super::super) const LEGACY_REQUIRED: i32 = 3;
}
/// `FeatureSet.EnumType`.
pub(super) mod enum_type {
    pub(in super::super) const OPEN: i32 = 1;
}
/// `FeatureSet.RepeatedFieldEncoding`.
pub(super) mod encoding {
    pub(in super::super) const PACKED: i32 = 1;
}
/// `FeatureSet.MessageEncoding`.
mod message_encoding {
    pub(super) const LENGTH_PREFIXED: i32 = 1;
    pub(super) const DELIMITED: i32 = 2;
}

/// The value that these options give a feature, if they do.
pub(super) fn given(options: &DynamicMessage, feature: &str) -> Option<i32> {
    let features = options.get_field_by_name("features")?;
    let features = features.as_message()?;
    if !features.has_field_by_name(feature) {
        return None;
    }
    features.get_field_by_name(feature)?.as_enum_number()
}

/// The features of a file's fields and enums. What stands nearer goes before the file's, and that before the edition's.
pub(super) struct Features {
    presence: i32,
    enum_type: i32,
    encoding: i32,
    message_encoding: i32,
}

impl Features {
    pub(super) fn of(file: &FileDescriptor) -> Features {
        let options = file.options();
        let of = |name: &str, default: i32| known(given(&options, name), default);
        Features {
            presence: of("field_presence", presence::EXPLICIT),
            enum_type: of("enum_type", enum_type::OPEN),
            encoding: of("repeated_field_encoding", encoding::PACKED),
            message_encoding: of("message_encoding", message_encoding::LENGTH_PREFIXED),
        }
    }

    /// How the absence of a field is said. Lists, maps, members of a oneof and messages have an answer of their own.
    pub(super) fn presence(&self, field: &FieldDescriptor) -> i32 {
        let own = known(given(&field.options(), "field_presence"), self.presence);
        let message = matches!(field.kind(), Kind::Message(_));
        let settled = field.is_list() || field.is_map() || field.containing_oneof().is_some();
        if settled || message && own == presence::IMPLICIT {
            presence::EXPLICIT
        } else {
            own
        }
    }

    /// True for an enum of numbers that nobody else may add to.
    pub(super) fn is_closed(&self, options: &DynamicMessage) -> bool {
        known(given(options, "enum_type"), self.enum_type) != enum_type::OPEN
    }

    fn is_packed(&self, field: &FieldDescriptor) -> bool {
        let own = given(&field.options(), "repeated_field_encoding");
        known(own, self.encoding) == encoding::PACKED
    }

    fn is_delimited(&self, field: &FieldDescriptor) -> bool {
        let own = given(&field.options(), "message_encoding");
        matches!(field.kind(), Kind::Message(_))
            && !field.is_map()
            && known(own, self.message_encoding) == message_encoding::DELIMITED
    }

    /// True where some field of the file says its absence by its type's default.
    pub(super) fn any_implicit_in(&self, file: &FileDescriptor) -> bool {
        file.messages().any(|message| self.any_implicit(&message))
    }

    /// True where a field of this message, or of one in it, says its absence by its type's default.
    fn any_implicit(&self, message: &MessageDescriptor) -> bool {
        let mut fields = message.fields();
        !message.is_map_entry()
            && (fields.any(|field| self.presence(&field) == presence::IMPLICIT)
                || message.child_messages().any(|m| self.any_implicit(&m)))
    }
}

/// Zero says nothing.
fn known(given: Option<i32>, otherwise: i32) -> i32 {
    given.filter(|value| *value != 0).unwrap_or(otherwise)
}

/// True where a list of the kind may be packed.
pub(super) fn is_packable(field: &FieldDescriptor) -> bool {
    field.is_list() && !matches!(field.kind(), Kind::Message(_) | Kind::String | Kind::Bytes)
}

/// The files with their features resolved. `shifts` are those of a file of an edition, by its name.
///
/// # Errors
/// A file has what neither proto2 nor proto3 can say together.
pub(in crate::protobuf) fn resolved<'a>(
    pool: &DescriptorPool,
    shifts: impl Fn(&str) -> Option<&'a Shifts>,
) -> Result<DescriptorPool, (String, SchemaError)> {
    let mut made = DescriptorPool::new();
    for file in pool.files() {
        let within = |error: DescriptorError| (file.name().to_owned(), refused(&error));
        let bytes = file.encode_to_vec();
        let proto = shifts(file.name())
            .and_then(|shifts| Some((FileDescriptorProto::decode(&*bytes).ok()?, shifts)));
        match proto {
            Some((mut proto, shifts)) => {
                resolve(&file, &mut proto);
                let places = proto.source_code_info.iter_mut();
                for place in places.flat_map(|info| &mut info.location) {
                    shifts.span(&mut place.span);
                }
                made.add_file_descriptor_proto(proto).map_err(within)?;
            }
            None => made.decode_file_descriptor_proto(&*bytes).map_err(within)?,
        }
    }
    Ok(made)
}

fn refused(error: &DescriptorError) -> SchemaError {
    let message = error.to_string().replace(
        "the first value for proto3 enums must be 0",
        "an enum whose first number isn't 0 can't stand in one file with fields of implicit presence: put it into a file of its own and import that, or give the fields explicit presence",
    );
    match (error.line(), error.column()) {
        (Some(line), Some(column)) => SchemaError::line(line + 1, column + 1, message),
        _ => SchemaError::whole(message),
    }
}

/// Makes of a file, which the parser read as proto2, the one that its features say.
fn resolve(file: &FileDescriptor, proto: &mut FileDescriptorProto) {
    let features = Features::of(file);
    // Implicit presence is proto3's alone, a required field proto2's.
    let proto3 = features.any_implicit_in(file);
    proto.syntax = Some(if proto3 { "proto3" } else { "proto2" }.to_owned());
    for message in &mut proto.message_type {
        let described = file.messages().find(|m| m.name() == message.name());
        if let Some(described) = described {
            resolve_message(&features, &described, message, proto3);
        }
    }
}

fn resolve_message(
    features: &Features,
    described: &MessageDescriptor,
    message: &mut DescriptorProto,
    proto3: bool,
) {
    for nested in &mut message.nested_type {
        let inner = described
            .child_messages()
            .find(|m| m.name() == nested.name());
        if let Some(inner) = inner.filter(|inner| !inner.is_map_entry()) {
            resolve_message(features, &inner, nested, proto3);
        }
    }
    let mut taken = names(message);
    for at in 0..message.field.len() {
        let field = &mut message.field[at];
        let Some(described) = described.get_field_by_name(field.name()) else {
            continue;
        };
        if is_packable(&described) {
            let options = field.options.get_or_insert_default();
            options.packed = Some(features.is_packed(&described));
        }
        if features.is_delimited(&described) {
            field.r#type = Some(Type::Group.into());
        }
        let presence = features.presence(&described);
        if presence == presence::LEGACY_REQUIRED {
            field.label = Some(Label::Required.into());
        }
        let single = !described.is_list() && described.containing_oneof().is_none();
        let scalar = !matches!(described.kind(), Kind::Message(_));
        if proto3 && single && scalar && presence == presence::EXPLICIT {
            field.proto3_optional = Some(true);
            field.oneof_index = Some(message.oneof_decl.len() as i32);
            let mut name = format!("_{}", field.name());
            while !taken.insert(name.clone()) {
                name.insert(0, 'X');
            }
            message.oneof_decl.push(oneof(name));
        }
    }
}

/// The oneof with one member by which proto3 says that a field is optional.
fn oneof(name: String) -> prost_reflect::prost_types::OneofDescriptorProto {
    prost_reflect::prost_types::OneofDescriptorProto {
        name: Some(name),
        options: None,
    }
}

/// The names that are taken within a message.
fn names(message: &DescriptorProto) -> BTreeSet<String> {
    let fields = message.field.iter().chain(&message.extension);
    let values = message.enum_type.iter().flat_map(|e| &e.value);
    fields
        .map(|field| &field.name)
        .chain(message.oneof_decl.iter().map(|oneof| &oneof.name))
        .chain(message.nested_type.iter().map(|nested| &nested.name))
        .chain(message.enum_type.iter().map(|values| &values.name))
        .chain(values.map(|value| &value.name))
        .flatten()
        .cloned()
        .collect()
}
