//! What protoc refuses in a file and the parser behind [`super::parse`] takes.
//!
//! Only a text that becomes a contract is held against it: what a registry gives for a record is whatever its writer's
//! tools took. `corpus/protobuf.json` has protoc's verdicts; what differs still is listed in the crate's tests.

use prost_reflect::prost::Message as _;
use prost_reflect::prost_types::{
    DescriptorProto, EnumDescriptorProto, EnumValueDescriptorProto, FieldDescriptorProto,
    FileDescriptorProto,
    field_descriptor_proto::{Label, Type},
    field_options::JsType,
};
use prost_reflect::{DynamicMessage, FileDescriptor, Kind, MessageDescriptor, Syntax};

use super::editions::{Shifts, rules};
use super::file::Texts;
use crate::error::SchemaError;
use crate::text::SchemaText;

const MAP_ENTRY: &str = "map_entry is the compiler's own; write map<key, value>";
/// Messages in messages, as protoc has it.
const DEEPEST: usize = 31;

/// Numbers of the fields of descriptors, of which paths are made.
mod tag {
    pub(super) const MESSAGES: i32 = 4;
    pub(super) const ENUMS: i32 = 5;
    pub(super) const FIELDS: i32 = 2;
    pub(super) const NESTED: i32 = 3;
    pub(super) const NESTED_ENUMS: i32 = 4;
    pub(super) const EXTENSION_RANGES: i32 = 5;
    pub(super) const RESERVED: i32 = 9;
    pub(super) const ENUM_RESERVED: i32 = 4;
    pub(super) const VALUES: i32 = 2;
}

/// As [`super::parse`], and refuses what protoc does: for a text that is to be a contract.
///
/// # Errors
/// One of the files is no Protobuf file, or too large, or imports one that isn't there.
pub fn parse_strictly(text: impl Into<SchemaText>) -> Result<FileDescriptor, SchemaError> {
    super::file::read(&text.into(), check)
}

fn check(file: &FileDescriptor, texts: &Texts) -> Result<(), SchemaError> {
    let shifts = texts.shifts(file.name());
    if let Some(shifts) = shifts {
        rules::check(file, shifts, &|name| texts.shifts(name).is_some())?;
    }
    // With its options, which the parser keeps apart.
    let bytes = file.encode_to_vec();
    let Ok(proto) = FileDescriptorProto::decode(bytes.as_slice()) else {
        return Ok(());
    };
    let checker = Checker {
        file,
        proto3: file.syntax() == Syntax::Proto3,
        shifts,
    };
    checker.options(&[], &file.options())?;
    for message in file.messages() {
        if message.is_map_entry() {
            return checker.refuse(message.path(), MAP_ENTRY);
        }
        checker.described(&message)?;
    }
    for (at, message) in proto.message_type.iter().enumerate() {
        checker.message(message, &mut vec![tag::MESSAGES, at as i32], 0)?;
    }
    for (at, values) in proto.enum_type.iter().enumerate() {
        checker.enumeration(values, &mut vec![tag::ENUMS, at as i32])?;
    }
    Ok(())
}

/// Where what has this path stands in its file, from 1.
pub(super) fn place(file: &FileDescriptor, path: &[i32]) -> Option<(i32, i32)> {
    let info = file.file_descriptor_proto().source_code_info.as_ref()?;
    let found = info.location.iter().find(|l| l.path == path)?;
    Some((found.span.first()? + 1, found.span.get(1)? + 1))
}

/// Something wrong at what `path` leads to, or the nearest thing around it that has a place.
pub(super) fn refused(
    file: &FileDescriptor,
    shifts: Option<&Shifts>,
    path: &[i32],
    message: String,
) -> SchemaError {
    let mut ends = (1..=path.len()).rev();
    match ends.find_map(|end| place(file, &path[..end])) {
        Some((line, column)) => {
            let (line, mut column) = (line as usize, column as usize);
            if let Some(shifts) = shifts {
                column = shifts.original(line - 1, column - 1) + 1;
            }
            SchemaError::line(line, column, message)
        }
        None => SchemaError::whole(message),
    }
}

struct Checker<'a> {
    file: &'a FileDescriptor,
    proto3: bool,
    /// Of a file of an edition.
    shifts: Option<&'a Shifts>,
}

impl Checker<'_> {
    fn refuse<T>(&self, path: &[i32], message: impl Into<String>) -> Result<T, SchemaError> {
        Err(refused(self.file, self.shifts, path, message.into()))
    }

    fn message(
        &self,
        message: &DescriptorProto,
        path: &mut Vec<i32>,
        depth: usize,
    ) -> Result<(), SchemaError> {
        if depth > DEEPEST {
            return self.refuse(path, "messages nested more than 32 levels deep");
        }
        let set = message
            .options
            .as_ref()
            .and_then(|o| o.message_set_wire_format);
        if set == Some(true) && self.proto3 {
            return self.refuse(path, "a message set is proto2's, and this file is proto3; leave message_set_wire_format out");
        }
        if set == Some(true) && !message.field.is_empty() {
            return self.refuse(path, "a message set has extensions and no fields of its own; leave message_set_wire_format out");
        }
        self.ranges(message, path)?;
        for (at, field) in message.field.iter().enumerate() {
            path.extend([tag::FIELDS, at as i32]);
            self.field(field, path)?;
            path.truncate(path.len() - 2);
        }
        for (at, nested) in message.nested_type.iter().enumerate() {
            let entry = nested.options.as_ref().and_then(|o| o.map_entry);
            if entry == Some(true) {
                continue;
            }
            path.extend([tag::NESTED, at as i32]);
            self.message(nested, path, depth + 1)?;
            path.truncate(path.len() - 2);
        }
        for (at, values) in message.enum_type.iter().enumerate() {
            path.extend([tag::NESTED_ENUMS, at as i32]);
            self.enumeration(values, path)?;
            path.truncate(path.len() - 2);
        }
        Ok(())
    }

    /// What only the descriptors know, which are resolved.
    fn described(&self, message: &MessageDescriptor) -> Result<(), SchemaError> {
        self.options(message.path(), &message.options())?;
        for field in message.fields() {
            self.options(field.path(), &field.options())?;
            if let Kind::Message(entry) = field.kind()
                && field.is_map()
                && let Kind::Enum(values) = entry.map_entry_value_field().kind()
                && values.default_value().number() != 0
            {
                return self.refuse(field.path(), "an enum that is a map's value has 0 for its first number: a value that isn't there is 0");
            }
        }
        for nested in message.child_messages() {
            self.described(&nested)?;
        }
        Ok(())
    }

    /// Options that nobody may set here.
    fn options(&self, path: &[i32], options: &DynamicMessage) -> Result<(), SchemaError> {
        if self.shifts.is_none() && options.has_field_by_name("features") {
            return self.refuse(
                path,
                "features are of editions, and this file has a syntax; leave them out",
            );
        }
        if options.has_field_by_name("unverified_lazy") {
            return self.refuse(path, "unverified_lazy is Google's own; leave it out");
        }
        Ok(())
    }

    /// Numbers that are reserved, or left to extensions.
    fn ranges(&self, message: &DescriptorProto, path: &[i32]) -> Result<(), SchemaError> {
        let at = |tag: i32, index: usize| [path, &[tag, index as i32]].concat();
        // Ends are behind the last number.
        let mut taken: Vec<(i32, i32)> = Vec::new();
        for (index, range) in message.reserved_range.iter().enumerate() {
            self.range(
                (range.start(), range.end() - 1),
                &mut taken,
                &at(tag::RESERVED, index),
            )?;
        }
        for (index, range) in message.extension_range.iter().enumerate() {
            let path = at(tag::EXTENSION_RANGES, index);
            if self.proto3 {
                return self.refuse(&path, "extensions are proto2's, and this file is proto3; make them fields, or reserve their numbers");
            }
            self.range((range.start(), range.end() - 1), &mut taken, &path)?;
        }
        let mut names: Vec<&str> = message.reserved_name.iter().map(String::as_str).collect();
        names.sort_unstable();
        if let Some([twice, _]) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return self.refuse(path, format!("the name \"{twice}\" is reserved twice"));
        }
        if let Some(field) = message
            .field
            .iter()
            .find(|f| names.binary_search(&f.name()).is_ok())
        {
            return self.refuse(
                path,
                format!("the field {} has a name that is reserved", field.name()),
            );
        }
        Ok(())
    }

    fn range(
        &self,
        (first, last): (i32, i32),
        taken: &mut Vec<(i32, i32)>,
        path: &[i32],
    ) -> Result<(), SchemaError> {
        if last < first {
            return self.refuse(
                path,
                format!("{first} to {last} is no range: the smaller number comes first"),
            );
        }
        if let Some((a, b)) = taken.iter().find(|(a, b)| first <= *b && *a <= last) {
            return self.refuse(path, format!("{first} to {last} overlaps with {a} to {b}"));
        }
        taken.push((first, last));
        Ok(())
    }

    fn field(&self, field: &FieldDescriptorProto, path: &[i32]) -> Result<(), SchemaError> {
        let refuse = |why: String| {
            let named = format!("field {}", field.name());
            self.refuse(path, why).map_err(|mut error: SchemaError| {
                if error.place.is_empty() {
                    error.place = named;
                }
                error
            })
        };
        let name = field.json_name();
        if field.json_name.is_some() && name.starts_with('[') && name.ends_with(']') {
            return refuse(format!(
                "\"{name}\" is no JSON name: in brackets stand extensions"
            ));
        }
        if name.contains('\0') {
            return refuse("a JSON name can't have a NUL".to_owned());
        }
        let Some(options) = &field.options else {
            return Ok(());
        };
        let repeated = field.label() == Label::Repeated;
        let packable = !matches!(
            field.r#type(),
            Type::String | Type::Bytes | Type::Message | Type::Group
        );
        if options.packed == Some(true) && !(repeated && packable) {
            return refuse(
                "only a list of numbers, booleans or an enum can be packed; leave [packed] out"
                    .to_owned(),
            );
        }
        let long = matches!(
            field.r#type(),
            Type::Int64 | Type::Uint64 | Type::Sint64 | Type::Fixed64 | Type::Sfixed64
        );
        if options.jstype.is_some() && options.jstype() != JsType::JsNormal && !long {
            return refuse("only a number of 64 bits has a jstype; leave it out".to_owned());
        }
        let lazy = options.lazy == Some(true);
        if lazy && field.r#type() != Type::Message {
            return refuse("only a message can be lazy; leave the option out".to_owned());
        }
        Ok(())
    }

    fn enumeration(
        &self,
        values: &EnumDescriptorProto,
        path: &mut Vec<i32>,
    ) -> Result<(), SchemaError> {
        let mut taken: Vec<(i32, i32)> = Vec::new();
        for (index, range) in values.reserved_range.iter().enumerate() {
            let at = [path.as_slice(), &[tag::ENUM_RESERVED, index as i32]].concat();
            // Of enums both ends are in it.
            self.range((range.start(), range.end()), &mut taken, &at)?;
        }
        let mut names: Vec<&str> = values.reserved_name.iter().map(String::as_str).collect();
        names.sort_unstable();
        if let Some([twice, _]) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return self.refuse(path, format!("the name \"{twice}\" is reserved twice"));
        }
        for (index, value) in values.value.iter().enumerate() {
            if names.binary_search(&value.name()).is_ok() {
                path.extend([tag::VALUES, index as i32]);
                return self.refuse(
                    path,
                    format!("the value {} has a name that is reserved", value.name()),
                );
            }
        }
        self.aliases(values, path)?;
        self.alike(values, path)
    }

    /// `allow_alias` where nothing is one, and the other way round.
    fn aliases(&self, values: &EnumDescriptorProto, path: &[i32]) -> Result<(), SchemaError> {
        let allowed = values
            .options
            .as_ref()
            .and_then(|options| options.allow_alias);
        let mut numbers: Vec<i32> = values
            .value
            .iter()
            .map(EnumValueDescriptorProto::number)
            .collect();
        numbers.sort_unstable();
        let twice = numbers.windows(2).any(|pair| pair[0] == pair[1]);
        match allowed {
            Some(false) => self.refuse(path, "allow_alias = false says nothing; leave it out"),
            Some(true) if !twice => self.refuse(
                path,
                "the enum allows aliases and has none; leave allow_alias out",
            ),
            _ => Ok(()),
        }
    }

    /// Values that would have one name in languages that leave the enum's own name out of it.
    fn alike(&self, values: &EnumDescriptorProto, path: &mut Vec<i32>) -> Result<(), SchemaError> {
        if !self.proto3 && self.shifts.is_none() {
            return Ok(());
        }
        let prefix: String = values.name().chars().filter(|c| *c != '_').collect();
        let mut seen: std::collections::HashMap<String, (&str, i32)> =
            std::collections::HashMap::new();
        for (index, value) in values.value.iter().enumerate() {
            let name = camel(without_prefix(value.name(), &prefix));
            match seen.get(&name) {
                Some((other, number)) if *number != value.number() => {
                    path.extend([tag::VALUES, index as i32]);
                    return self.refuse(path, format!("{} and {other} are one name without the enum's own before it; rename one", value.name()));
                }
                Some(_) => {}
                None => {
                    seen.insert(name, (value.name(), value.number()));
                }
            }
        }
        Ok(())
    }
}

/// The name without the enum's, which is compared without case and underscores.
fn without_prefix<'a>(name: &'a str, prefix: &str) -> &'a str {
    let mut wanted = prefix.chars();
    let mut rest = name;
    for c in name.chars() {
        if wanted.as_str().is_empty() {
            break;
        }
        if c == '_' {
            rest = &rest[1..];
            continue;
        }
        match wanted.next() {
            Some(w) if w.eq_ignore_ascii_case(&c) => rest = &rest[c.len_utf8()..],
            _ => return name,
        }
    }
    let rest = rest.trim_start_matches('_');
    if wanted.as_str().is_empty() && !rest.is_empty() {
        rest
    } else {
        name
    }
}

/// `PAID_NOW` as `PaidNow`.
fn camel(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    let mut first = true;
    for c in name.chars() {
        if c == '_' {
            first = true;
        } else if first {
            out.push(c.to_ascii_uppercase());
            first = false;
        } else {
            out.push(c.to_ascii_lowercase());
        }
    }
    out
}
