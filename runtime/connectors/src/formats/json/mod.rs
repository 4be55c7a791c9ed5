//! JSON records: one object each, decoded straight into Arrow columns and written back without loss.
//!
//! The decoder is driven by the contract. It walks the text once; a field that nobody asked for is
//! skipped without being built, a field that was asked for is parsed into its column, and nothing is
//! allocated for a record. It is strict: what it lets through obeys the contract, and what it refuses
//! is refused with the exact path (`items[2].sku`) and leaves no trace in the columns.
//!
//! | type | read | written |
//! |---|---|---|
//! | `boolean` | `true`, `false` | the same |
//! | `int`, `bigint` | a number without a fraction (`100`, `100.0` and `1e2` are one number, `-0` is 0); `bigint` also as a string of digits | its digits |
//! | `float`, `double` | a number (`-0.0` keeps its sign); never `NaN` or infinity, nor one that rounds to it | the shortest number that reads back equal |
//! | `decimal(p,s)` | a number or a string; no digit beyond `s` unless it is 0 | a string with `s` digits: `"12.50"` |
//! | `string` | a string | the same |
//! | `bytes` | a base64 string (RFC 4648 §4, padded) | the same |
//! | `date` | `"2026-01-01"` | the same |
//! | `time` | `"12:00:00"`, with or without a fraction | with 0, 3 or 6 digits of a second, as needed |
//! | `timestamp(p)` | `"2026-01-01T00:00:00.123"`, without a zone | with `p` digits of a second |
//! | `timestamp_ltz(p)` | RFC 3339 with `Z` or an offset | in UTC with `Z` and `p` digits of a second |
//! | `array<t>` | an array; elements may be null | the same |
//! | `map<string,t>` | an object; values may be null | the same |
//! | `struct<…>` | an object | an object with exactly the type's fields |
//!
//! Digits of a second beyond the precision are cut off, as clocks print more of them than contracts
//! keep. Nothing else is rounded, cut or guessed. A key that comes twice in an object is refused: which
//! of its values counts differs from parser to parser (RFC 8259 §4).

pub(in crate::formats) mod column;
mod cost;
pub(crate) mod decimal;
mod decode;
mod encode;
pub(in crate::formats) mod fault;
mod key;
pub(in crate::formats) mod object;
pub(crate) mod temporal;
pub(in crate::formats) mod value;

#[cfg(test)]
pub(in crate::formats) mod tests;

use headworks_engine::format::FormatError;
use headworks_plan::Contract;
use headworks_sql::schema::Schema;

pub use decode::JsonDecoder;
pub use encode::JsonEncoder;
pub(crate) use encode::JsonValue;
pub use key::KeyDecoder;

pub(in crate::formats) fn schema(contract: &Contract) -> Result<Schema, FormatError> {
    Schema::from_contract(contract).map_err(|error| FormatError::Value {
        field: error
            .problems
            .first()
            .map(|p| p.field.clone())
            .unwrap_or_default(),
        message: error.to_string(),
    })
}
