//! What protoc refuses of a file of an edition: features where they don't belong, and options that a feature took the
//! place of. The rules are those of `ValidateFieldFeatures` and `ValidateFileFeatures` in protoc's `descriptor.cc`, and
//! of the targets in `descriptor.proto`.

use prost_reflect::{
    DynamicMessage, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor,
};

use super::Shifts;
use super::features::{Features, encoding, given, is_packable, presence};
use crate::error::SchemaError;
use crate::protobuf::strict;

/// What options stand at, and the field of its descriptor that has them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Target {
    File,
    Message,
    Field,
    Oneof,
    Enum,
    Value,
    Service,
    Method,
}

impl Target {
    /// The numbers of `options` in its descriptor, and of `features` in its options.
    fn path(self) -> [i32; 2] {
        match self {
            Target::File => [8, 50],
            Target::Message => [7, 12],
            Target::Field => [8, 21],
            Target::Oneof => [2, 1],
            Target::Enum => [3, 7],
            Target::Value => [3, 2],
            Target::Service => [3, 34],
            Target::Method => [4, 35],
        }
    }
}

/// Each feature, its number, and what it may be set for, as `descriptor.proto` has it, in words.
const TARGETS: [(&str, i32, &[Target], &str); 6] = [
    (
        "field_presence",
        1,
        &[Target::File, Target::Field],
        "a file or a field",
    ),
    (
        "enum_type",
        2,
        &[Target::File, Target::Enum],
        "a file or an enum",
    ),
    (
        "repeated_field_encoding",
        3,
        &[Target::File, Target::Field],
        "a file or a field",
    ),
    (
        "utf8_validation",
        4,
        &[Target::File, Target::Field],
        "a file or a field",
    ),
    (
        "message_encoding",
        5,
        &[Target::File, Target::Field],
        "a file or a field",
    ),
    (
        "json_format",
        6,
        &[Target::File, Target::Message, Target::Enum],
        "a file, a message or an enum",
    ),
];

/// Refuses what protoc does. `is_edition` says whether a file, by its name, is of an edition.
///
/// # Errors
/// What was found first.
pub(in crate::protobuf) fn check(
    file: &FileDescriptor,
    shifts: &Shifts,
    is_edition: &dyn Fn(&str) -> bool,
) -> Result<(), SchemaError> {
    let features = Features::of(file);
    let rules = Rules {
        file,
        shifts,
        implicit: features.any_implicit_in(file),
        features,
        is_edition,
    };
    rules.file()
}

struct Rules<'a> {
    file: &'a FileDescriptor,
    shifts: &'a Shifts,
    features: Features,
    /// True where some field of the file has implicit presence.
    implicit: bool,
    is_edition: &'a dyn Fn(&str) -> bool,
}

impl Rules<'_> {
    fn refuse<T>(&self, path: &[i32], message: impl Into<String>) -> Result<T, SchemaError> {
        Err(strict::refused(
            self.file,
            Some(self.shifts),
            path,
            message.into(),
        ))
    }

    /// At a feature's own place.
    fn refuse_feature<T>(
        &self,
        (target, path): (Target, &[i32]),
        feature: &str,
        message: impl Into<String>,
    ) -> Result<T, SchemaError> {
        let number = TARGETS.iter().find(|(name, ..)| *name == feature);
        let number = number.map_or(0, |(_, number, ..)| *number);
        let at = [path, &target.path(), &[number]].concat();
        self.refuse(&at, message)
    }

    fn file(&self) -> Result<(), SchemaError> {
        let options = self.file.options();
        let at = (Target::File, [].as_slice());
        self.targets(at, &options)?;
        if given(&options, "field_presence") == Some(presence::LEGACY_REQUIRED) {
            return self.refuse_feature(
                at,
                "field_presence",
                "fields aren't required by default: set LEGACY_REQUIRED for each that is",
            );
        }
        if set(&options, "java_string_check_utf8") {
            return self.refuse(
                &[8, 27],
                "an edition has no java_string_check_utf8; leave it out",
            );
        }
        for message in self.file.messages() {
            self.message(&message)?;
        }
        for values in self.file.enums() {
            self.enumeration(&values)?;
        }
        for extension in self.file.extensions() {
            self.extension(extension.path(), &extension.options())?;
        }
        for service in self.file.services() {
            self.targets((Target::Service, service.path()), &service.options())?;
            for method in service.methods() {
                self.targets((Target::Method, method.path()), &method.options())?;
            }
        }
        Ok(())
    }

    /// Whether each feature that is set here belongs here, and has a value.
    fn targets(&self, at: (Target, &[i32]), options: &DynamicMessage) -> Result<(), SchemaError> {
        for (feature, _, targets, words) in TARGETS {
            let Some(value) = given(options, feature) else {
                continue;
            };
            if !targets.contains(&at.0) {
                return self.refuse_feature(
                    at,
                    feature,
                    format!("features.{feature} is set for {words}; move it there"),
                );
            }
            if value == 0 {
                return self.refuse_feature(
                    at,
                    feature,
                    format!("features.{feature} has a value that says nothing; leave it out"),
                );
            }
        }
        Ok(())
    }

    fn message(&self, message: &MessageDescriptor) -> Result<(), SchemaError> {
        if message.is_map_entry() {
            return Ok(());
        }
        self.targets((Target::Message, message.path()), &message.options())?;
        for field in message.fields() {
            self.field(&field)?;
        }
        for oneof in message.oneofs() {
            self.targets((Target::Oneof, oneof.path()), &oneof.options())?;
        }
        for extension in message.child_extensions() {
            self.extension(extension.path(), &extension.options())?;
        }
        for nested in message.child_messages() {
            self.message(&nested)?;
        }
        message
            .child_enums()
            .try_for_each(|values| self.enumeration(&values))
    }

    fn enumeration(&self, values: &EnumDescriptor) -> Result<(), SchemaError> {
        self.targets((Target::Enum, values.path()), &values.options())?;
        for value in values.values() {
            self.targets((Target::Value, value.path()), &value.options())?;
        }
        // In the order of the text.
        let first = values.enum_descriptor_proto().value.first();
        if !self.features.is_closed(&values.options()) && first.is_some_and(|v| v.number() != 0) {
            let at = [values.path(), &[2, 0]].concat();
            return self.refuse(&at, "the first number of an enum is 0, unless it has option features.enum_type = CLOSED");
        }
        Ok(())
    }

    fn extension(&self, path: &[i32], options: &DynamicMessage) -> Result<(), SchemaError> {
        self.targets((Target::Field, path), options)?;
        if given(options, "field_presence").is_some() {
            return self.refuse_feature(
                (Target::Field, path),
                "field_presence",
                "an extension says nothing of its presence; leave features.field_presence out",
            );
        }
        self.packed(path, options)
    }

    fn packed(&self, path: &[i32], options: &DynamicMessage) -> Result<(), SchemaError> {
        if options.has_field_by_name("packed") {
            return self.refuse(path, "an edition has no [packed]: lists of numbers are, unless features.repeated_field_encoding = EXPANDED");
        }
        Ok(())
    }

    fn field(&self, field: &FieldDescriptor) -> Result<(), SchemaError> {
        let options = field.options();
        let at = (Target::Field, field.path());
        self.targets(at, &options)?;
        self.packed(at.1, &options)?;
        self.presence(field, &options)?;
        let encoded = given(&options, "repeated_field_encoding");
        // A map is a list of entries.
        let repeated = field.is_list() || field.is_map();
        if encoded.is_some() && !repeated
            || encoded == Some(encoding::PACKED) && !is_packable(field)
        {
            return self.refuse_feature(at, "repeated_field_encoding", "only a list of numbers, booleans or an enum can be packed; leave features.repeated_field_encoding out");
        }
        if given(&options, "utf8_validation").is_some() && !has_text(field) {
            return self.refuse_feature(
                at,
                "utf8_validation",
                "only a string is looked at for UTF-8; leave features.utf8_validation out",
            );
        }
        let message = matches!(field.kind(), Kind::Message(_)) && !field.is_map();
        if given(&options, "message_encoding").is_some() && !message {
            return self.refuse_feature(
                at,
                "message_encoding",
                "only a message is delimited or not; leave features.message_encoding out",
            );
        }
        Ok(())
    }

    fn presence(
        &self,
        field: &FieldDescriptor,
        options: &DynamicMessage,
    ) -> Result<(), SchemaError> {
        let at = (Target::Field, field.path());
        let own = given(options, "field_presence");
        let why = if field.containing_oneof().is_some() {
            "a member of a oneof may always be absent"
        } else if field.is_list() || field.is_map() {
            "a list or map that is absent is an empty one"
        } else {
            ""
        };
        if own.is_some() && !why.is_empty() {
            return self.refuse_feature(
                at,
                "field_presence",
                format!("{why}; leave features.field_presence out"),
            );
        }
        if own == Some(presence::IMPLICIT) && matches!(field.kind(), Kind::Message(_)) {
            return self.refuse_feature(
                at,
                "field_presence",
                "a message may always be absent; leave features.field_presence out",
            );
        }
        match self.features.presence(field) {
            presence::IMPLICIT => self.implicit(field),
            presence::LEGACY_REQUIRED if self.implicit => self.refuse_feature(at, "field_presence", "a required field can't stand in one file with fields of implicit presence: put it into a file of its own and import that, or give the others explicit presence"),
            _ => Ok(()),
        }
    }

    fn implicit(&self, field: &FieldDescriptor) -> Result<(), SchemaError> {
        if field.field_descriptor_proto().default_value.is_some() {
            return self.refuse(field.path(), "a field of implicit presence has its type's default; leave [default] out, or give it explicit presence");
        }
        if let Kind::Enum(values) = field.kind()
            && self.is_closed(&values)
        {
            return self.refuse(
                field.path(),
                format!(
                    "{} is a closed enum, which has no default: give the field explicit presence",
                    values.full_name()
                ),
            );
        }
        Ok(())
    }

    fn is_closed(&self, values: &EnumDescriptor) -> bool {
        let file = values.parent_file();
        if (self.is_edition)(file.name()) {
            Features::of(&file).is_closed(&values.options())
        } else {
            file.syntax() == prost_reflect::Syntax::Proto2
        }
    }
}

/// True for a string, a list of strings, or a map with one.
fn has_text(field: &FieldDescriptor) -> bool {
    match field.kind() {
        Kind::Message(entry) if entry.is_map_entry() => {
            let string = |kind: Kind| matches!(kind, Kind::String);
            string(entry.map_entry_key_field().kind())
                || string(entry.map_entry_value_field().kind())
        }
        kind => matches!(kind, Kind::String),
    }
}

fn set(options: &DynamicMessage, name: &str) -> bool {
    options
        .get_field_by_name(name)
        .and_then(|value| value.as_bool())
        .unwrap_or_default()
}
