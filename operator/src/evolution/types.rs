//! Which types can be read as which others, format by format.
//!
//! JSON is text, so what is lossless as a value is readable: an `int` as a `bigint`, a `double` or a wide enough
//! `decimal`. Avro resolves a writer's schema against a reader's by its own table (Avro 1.11, "Schema Resolution"),
//! and does not change units or scales. Protobuf's wire knows varints, fixed widths and lengths ("Updating a Message
//! Type"): what shares a wire type can be read as the other, and only the wider one loses nothing.

use headworks_plan::Format;
use headworks_sql::{target::lossless, types::DataType as T};

/// Why something that was written can't be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Misfit {
    /// Of one type, read as another.
    Type {
        /// Dotted path; `[]` behind a list's or map's name.
        path: String,
        /// As it was written.
        written: T,
        /// As it is read.
        read: T,
    },
    /// It may be null, and the reader expects a value.
    Null { path: String },
    /// The reader requires it, and what was written hasn't got it.
    Missing {
        path: String,
        /// As it is read.
        read: T,
    },
}

/// Everything that keeps a reader from reading what was written.
pub(super) fn misfits(format: Format, path: &str, written: &T, read: &T, found: &mut Vec<Misfit>) {
    match (written, read) {
        _ if written == read => {}
        (T::Array(a), T::Array(b)) | (T::Map(a), T::Map(b)) => {
            misfits(format, &format!("{path}[]"), a, b, found);
        }
        (T::Struct(written), T::Struct(read)) => {
            for field in read {
                let path = format!("{path}.{}", field.name);
                match written.iter().find(|f| f.name == field.name) {
                    None if field.nullable => {}
                    None => found.push(Misfit::Missing {
                        path,
                        read: field.data_type.clone(),
                    }),
                    Some(from) => {
                        if from.nullable && !field.nullable {
                            found.push(Misfit::Null { path: path.clone() });
                        }
                        misfits(format, &path, &from.data_type, &field.data_type, found);
                    }
                }
            }
        }
        _ if promotes(format, written, read) => {}
        _ => found.push(Misfit::Type {
            path: path.to_owned(),
            written: written.clone(),
            read: read.clone(),
        }),
    }
}

/// True if every value of the one type can be read as the other.
pub(super) fn promotes(format: Format, written: &T, read: &T) -> bool {
    if written == read {
        return true;
    }
    match format {
        // What loses nothing as text is what SQL widens by itself.
        Format::Json => lossless(written, read),
        Format::Avro => avro(written, read),
        Format::Protobuf => protobuf(written, read),
    }
}

/// Avro's own table.
fn avro(written: &T, read: &T) -> bool {
    matches!(
        (written, read),
        (T::Int, T::BigInt | T::Float | T::Double)
            | (T::BigInt, T::Float | T::Double)
            | (T::Float, T::Double)
            | (T::String, T::Bytes)
            | (T::Bytes, T::String)
    )
}

/// What shares a wire type and has room for every value.
fn protobuf(written: &T, read: &T) -> bool {
    matches!(
        (written, read),
        (T::Boolean, T::Int | T::BigInt) | (T::Int, T::BigInt) | (T::String, T::Bytes)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> T {
        text.parse().unwrap()
    }

    fn reads(format: Format, written: &str, read: &str) -> bool {
        let mut found = Vec::new();
        misfits(format, "f", &of(written), &of(read), &mut found);
        found.is_empty()
    }

    #[test]
    fn json_reads_what_loses_nothing() {
        for (written, read) in [
            ("int", "bigint"),
            ("int", "double"),
            ("int", "decimal(12,2)"),
            ("bigint", "decimal(19,0)"),
            ("float", "double"),
            ("decimal(12,2)", "decimal(14,2)"),
            ("decimal(12,2)", "decimal(13,3)"),
            ("timestamp_ltz(3)", "timestamp_ltz(6)"),
            ("array<int>", "array<bigint>"),
            ("map<string,float>", "map<string,double>"),
            ("struct<a int>", "struct<a bigint, b string>"),
        ] {
            assert!(reads(Format::Json, written, read), "{written} as {read}");
            assert!(!reads(Format::Json, read, written), "{read} as {written}");
        }
        for (written, read) in [
            ("int", "decimal(10,2)"),
            ("bigint", "double"),
            ("int", "float"),
            ("decimal(12,2)", "decimal(12,3)"),
            ("string", "bytes"),
            ("int", "string"),
            ("timestamp(3)", "timestamp_ltz(3)"),
            ("struct<a int>", "struct<a int, b string not null>"),
            ("struct<a int>", "struct<a int not null>"),
        ] {
            assert!(!reads(Format::Json, written, read), "{written} as {read}");
        }
    }

    #[test]
    fn avro_resolves_by_its_table_and_never_changes_units() {
        for (written, read) in [
            ("int", "bigint"),
            ("int", "float"),
            ("bigint", "double"),
            ("float", "double"),
            ("string", "bytes"),
            ("bytes", "string"),
        ] {
            assert!(reads(Format::Avro, written, read), "{written} as {read}");
        }
        for (written, read) in [
            ("bigint", "int"),
            ("timestamp_ltz(3)", "timestamp_ltz(6)"),
            ("decimal(12,2)", "decimal(14,2)"),
            ("int", "decimal(12,2)"),
        ] {
            assert!(!reads(Format::Avro, written, read), "{written} as {read}");
        }
    }

    #[test]
    fn protobuf_reads_what_shares_a_wire_type_and_fits() {
        assert!(reads(Format::Protobuf, "int", "bigint"));
        assert!(reads(Format::Protobuf, "boolean", "bigint"));
        assert!(reads(Format::Protobuf, "string", "bytes"));
        assert!(!reads(Format::Protobuf, "bigint", "int"));
        assert!(!reads(Format::Protobuf, "float", "double"));
        assert!(!reads(Format::Protobuf, "int", "string"));
    }

    #[test]
    fn a_misfit_is_told_by_its_path() {
        let mut found = Vec::new();
        misfits(
            Format::Json,
            "items",
            &of("array<struct<sku string, qty int>>"),
            &of("array<struct<sku string not null, qty boolean, at date not null>>"),
            &mut found,
        );
        assert_eq!(
            found,
            [
                Misfit::Null {
                    path: "items[].sku".into()
                },
                Misfit::Type {
                    path: "items[].qty".into(),
                    written: T::Int,
                    read: T::Boolean
                },
                Misfit::Missing {
                    path: "items[].at".into(),
                    read: T::Date
                },
            ]
        );
    }
}
