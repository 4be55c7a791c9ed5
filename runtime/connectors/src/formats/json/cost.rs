//! What a value may cost in memory, whatever its text looks like: `{}` fills a row of nulls.

use headworks_sql::types::DataType;

/// Bytes for one record beside its fields: its places in our lists, and what a dead letter of it says.
pub(super) const RECORD: usize = 256;

/// An upper bound of the bytes that one value takes, null or not, as a column and written as JSON, beyond
/// those of its own text. An entry counts twice as a column, because vectors grow by doubling; what is
/// inside of an array or a map is counted an element at a time.
pub(super) fn cost(data_type: &DataType) -> usize {
    // As a column; and by how much a written value may be longer than what was read (`1` is read, `1.00` written).
    let (entry, longer) = match data_type {
        DataType::Boolean => (2, 0),
        DataType::Int => (5, 8),
        DataType::Float => (5, 16),
        DataType::Date
        | DataType::String
        | DataType::Bytes
        | DataType::Array(_)
        | DataType::Map(_) => (5, 0),
        DataType::BigInt | DataType::Double => (9, 16),
        DataType::Time | DataType::Timestamp(_) | DataType::TimestampLtz(_) => (9, 8),
        DataType::Decimal { scale, .. } => (17, usize::from(*scale) + 4),
        DataType::Struct(fields) => {
            let fields = fields.iter().map(|f| field(&f.name, &f.data_type));
            return 2 + fields.sum::<usize>();
        }
    };
    2 * entry + longer
}

/// The same of a field, which is written as `"name":null,` where it is absent.
pub(super) fn field(name: &str, data_type: &DataType) -> usize {
    name.len() + 8 + cost(data_type)
}
