//! Which column of a table takes which type of a query.
//!
//! The same type, a wider one, or one that the server compares each value with (a shorter text, a
//! narrower number): a value that doesn't fit makes its own record a dead letter. What the server would
//! change in silence (a digit rounded away, a blank added) is refused for the whole table.

use headworks_sql::types::DataType;

/// A column as the server describes it. Of a domain: the type below.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "the catalogue describes a column so"
)]
pub(super) struct Found {
    pub(super) name: String,
    /// `pg_type.typname`: `int4`, `numeric`, ….
    pub(super) type_name: String,
    /// `pg_attribute.atttypmod`; -1: none.
    pub(super) modifier: i32,
    pub(super) is_enum: bool,
    /// As users write it: `numeric(12,2)`.
    pub(super) shown: String,
    pub(super) not_null: bool,
    pub(super) has_default: bool,
    /// The server computes it, and takes no value for it.
    pub(super) generated: bool,
}

/// The type that a column is made with.
pub(super) fn made(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "boolean",
        DataType::Int => "integer",
        DataType::BigInt => "bigint",
        DataType::Float => "real",
        DataType::Double => "double precision",
        DataType::Decimal { precision, scale } => return format!("numeric({precision},{scale})"),
        DataType::String => "text",
        DataType::Bytes => "bytea",
        DataType::Date => "date",
        DataType::Time => "time",
        DataType::Timestamp(_) => "timestamp",
        DataType::TimestampLtz(_) => "timestamptz",
        DataType::Array(_) | DataType::Map(_) | DataType::Struct(_) => "jsonb",
    }
    .to_owned()
}

/// True if values of the query's type can go into the column.
pub(super) fn takes(column: &Found, given: &DataType) -> bool {
    let named = |names: &[&str]| names.contains(&column.type_name.as_str());
    let digits_kept = |digits: u8| column.modifier < 0 || column.modifier >= i32::from(digits);
    match given {
        DataType::Boolean => named(&["bool"]),
        DataType::Int => named(&["int4", "int8", "int2", "float8"]) || numeric(column, 0),
        DataType::BigInt => named(&["int8", "int4", "int2"]) || numeric(column, 0),
        DataType::Float => named(&["float4", "float8"]),
        DataType::Double => named(&["float8"]),
        DataType::Decimal { scale, .. } => numeric(column, *scale),
        DataType::String => {
            named(&["text", "varchar", "citext", "uuid", "json", "jsonb"]) || column.is_enum
        }
        DataType::Bytes => named(&["bytea"]),
        DataType::Date => named(&["date"]),
        DataType::Time => named(&["time"]) && digits_kept(6),
        DataType::Timestamp(digits) => named(&["timestamp"]) && digits_kept(*digits),
        DataType::TimestampLtz(digits) => named(&["timestamptz"]) && digits_kept(*digits),
        DataType::Array(_) | DataType::Map(_) | DataType::Struct(_) => named(&["jsonb", "json"]),
    }
}

/// A `numeric` that rounds nothing with so many digits after the point.
fn numeric(column: &Found, scale: u8) -> bool {
    if column.type_name != "numeric" {
        return false;
    }
    // numerictypmodin: precision in the upper half, an 11-bit signed scale in the lower, plus 4.
    let kept = (((column.modifier - 4) & 0x7ff) ^ 1024) - 1024;
    column.modifier < 0 || kept >= i32::from(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(type_name: &str, modifier: i32) -> Found {
        Found {
            name: "c".into(),
            type_name: type_name.into(),
            modifier,
            is_enum: false,
            shown: String::new(),
            not_null: false,
            has_default: false,
            generated: false,
        }
    }

    fn numeric(precision: i32, scale: i32) -> Found {
        column("numeric", ((precision << 16) | (scale & 0x7ff)) + 4)
    }

    #[test]
    fn a_column_takes_what_it_keeps_or_refuses_value_by_value() {
        let decimal = DataType::Decimal {
            precision: 12,
            scale: 2,
        };
        for (column, given) in [
            (column("int8", -1), DataType::Int),
            (column("int4", -1), DataType::BigInt),
            (column("varchar", 7), DataType::String),
            (column("uuid", -1), DataType::String),
            (column("numeric", -1), decimal.clone()),
            (numeric(5, 2), decimal.clone()),
            (numeric(20, 4), DataType::BigInt),
            (column("timestamptz", 3), DataType::TimestampLtz(3)),
            (
                column("jsonb", -1),
                DataType::Array(Box::new(DataType::Int)),
            ),
        ] {
            assert!(takes(&column, &given), "{column:?} {given}");
        }
    }

    #[test]
    fn a_column_that_would_change_a_value_in_silence_is_refused() {
        let decimal = DataType::Decimal {
            precision: 12,
            scale: 2,
        };
        for (column, given) in [
            (numeric(12, 1), decimal),
            (numeric(12, -2), DataType::Int),
            (column("float4", -1), DataType::Double),
            (column("float8", -1), DataType::BigInt),
            (column("bpchar", 7), DataType::String),
            (column("timestamp", 0), DataType::Timestamp(3)),
            (column("timestamp", -1), DataType::TimestampLtz(3)),
            (column("timestamptz", -1), DataType::Timestamp(3)),
            (column("time", 3), DataType::Time),
            (column("text", -1), DataType::Int),
        ] {
            assert!(!takes(&column, &given), "{column:?} {given}");
        }
    }
}
