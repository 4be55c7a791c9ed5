//! The types a contract and a query know, their one spelling, and their Arrow form.
//!
//! A contract writes a type in one way only (`decimal(12,2)`, `array<struct<sku string, qty int>>`):
//! lower case, canonical words. A synonym such as `varchar` is refused with the canonical word
//! suggested, so that two contracts that mean the same read the same. SQL text has its own, wider
//! spelling (Flink's `INT`, `DECIMAL(12, 2)`, `TIMESTAMP_LTZ(3)`), handled by the front end.

mod parse;

use std::fmt;

use arrow::datatypes::{DataType as Arrow, Field, Fields, TimeUnit};

pub use parse::TypeError;

/// A SQL type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DataType {
    /// True or false.
    Boolean,
    /// 32-bit signed integer.
    Int,
    /// 64-bit signed integer.
    BigInt,
    /// 32-bit IEEE 754.
    Float,
    /// 64-bit IEEE 754.
    Double,
    /// Exact decimal number.
    Decimal {
        /// Digits in all, 1 to 38.
        precision: u8,
        /// Digits after the point, 0 to `precision`.
        scale: u8,
    },
    /// UTF-8 text.
    String,
    /// Bytes.
    Bytes,
    /// A day of the proleptic Gregorian calendar, without zone.
    Date,
    /// A time of day, in microseconds.
    Time,
    /// Date and time without zone; 0, 3 or 6 digits of a second.
    Timestamp(u8),
    /// An instant; 0, 3 or 6 digits of a second. Shown in UTC.
    TimestampLtz(u8),
    /// A list whose elements may be null.
    Array(Box<DataType>),
    /// A map from strings to values that may be null.
    Map(Box<DataType>),
    /// Named fields in order.
    Struct(Vec<StructField>),
}

/// A field of a [`DataType::Struct`]. Written `name type`, or `name type not null`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct StructField {
    /// Field name, case-sensitive.
    pub name: String,
    /// Field type.
    pub data_type: DataType,
    /// False: written `not null`; a record without the field breaks the contract.
    pub nullable: bool,
}

impl DataType {
    /// The Arrow type of this type's columns.
    ///
    /// Children of structs are nullable in Arrow whatever the contract says: where a struct is null,
    /// so are its children. Time stamps that are instants carry the zone `UTC`.
    pub fn to_arrow(&self) -> Arrow {
        match self {
            Self::Boolean => Arrow::Boolean,
            Self::Int => Arrow::Int32,
            Self::BigInt => Arrow::Int64,
            Self::Float => Arrow::Float32,
            Self::Double => Arrow::Float64,
            Self::Decimal { precision, scale } => {
                Arrow::Decimal128(*precision, i8::try_from(*scale).unwrap_or(i8::MAX))
            }
            Self::String => Arrow::Utf8,
            Self::Bytes => Arrow::Binary,
            Self::Date => Arrow::Date32,
            Self::Time => Arrow::Time64(TimeUnit::Microsecond),
            Self::Timestamp(digits) => Arrow::Timestamp(time_unit(*digits), None),
            Self::TimestampLtz(digits) => Arrow::Timestamp(time_unit(*digits), Some("UTC".into())),
            Self::Array(element) => {
                Arrow::List(Field::new("item", element.to_arrow(), true).into())
            }
            Self::Map(value) => {
                let entries = Fields::from(vec![
                    Field::new("key", Arrow::Utf8, false),
                    Field::new("value", value.to_arrow(), true),
                ]);
                Arrow::Map(
                    Field::new("entries", Arrow::Struct(entries), false).into(),
                    false,
                )
            }
            Self::Struct(fields) => Arrow::Struct(
                fields
                    .iter()
                    .map(|f| Field::new(&f.name, f.data_type.to_arrow(), true))
                    .collect(),
            ),
        }
    }

    /// True for `int`, `bigint`, `float`, `double` and `decimal`.
    pub fn is_numeric(&self) -> bool {
        matches!(
            self,
            Self::Int | Self::BigInt | Self::Float | Self::Double | Self::Decimal { .. }
        )
    }
}

/// The Arrow unit of a time stamp with so many digits of a second (0, 3 or 6).
pub(crate) fn time_unit(digits: u8) -> TimeUnit {
    match digits {
        0 => TimeUnit::Second,
        3 => TimeUnit::Millisecond,
        _ => TimeUnit::Microsecond,
    }
}

impl fmt::Display for DataType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean => f.write_str("boolean"),
            Self::Int => f.write_str("int"),
            Self::BigInt => f.write_str("bigint"),
            Self::Float => f.write_str("float"),
            Self::Double => f.write_str("double"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::String => f.write_str("string"),
            Self::Bytes => f.write_str("bytes"),
            Self::Date => f.write_str("date"),
            Self::Time => f.write_str("time"),
            Self::Timestamp(digits) => write!(f, "timestamp({digits})"),
            Self::TimestampLtz(digits) => write!(f, "timestamp_ltz({digits})"),
            Self::Array(element) => write!(f, "array<{element}>"),
            Self::Map(value) => write!(f, "map<string,{value}>"),
            Self::Struct(fields) => {
                f.write_str("struct<")?;
                for (i, field) in fields.iter().enumerate() {
                    let comma = if i == 0 { "" } else { ", " };
                    let null = if field.nullable { "" } else { " not null" };
                    write!(
                        f,
                        "{comma}{} {}{null}",
                        quoted(&field.name),
                        field.data_type
                    )?;
                }
                f.write_str(">")
            }
        }
    }
}

/// A name as a type's text needs it: in backticks unless it is a plain word.
fn quoted(name: &str) -> String {
    if parse::is_plain_word(name) {
        name.to_owned()
    } else {
        format!("`{}`", name.replace('`', "``"))
    }
}
