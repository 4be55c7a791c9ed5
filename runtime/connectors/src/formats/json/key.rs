//! Reading keys, which are JSON of a kind in every format: of one field the bare text of its value, of several an array.

use arrow::array::RecordBatch;
use headworks_engine::format::{DecodeError, Decoder, FormatError, RowError};
use headworks_plan::{Contract, DeadLetterReason, Format};
use headworks_sql::types::DataType;
use serde_json::value::RawValue;

use super::JsonDecoder;

/// Reads what [`JsonEncoder`](super::JsonEncoder) and its like in other formats write as a key.
pub struct KeyDecoder {
    fields: Vec<String>,
    /// Of a single field: its values are texts in JSON, and stand in the key without quotes.
    bare: bool,
    decoder: JsonDecoder,
    object: Vec<u8>,
}

impl KeyDecoder {
    /// For the key of a contract.
    ///
    /// # Errors
    /// The contract is no contract, has no key, or one of fields within structs.
    pub fn new(contract: &Contract) -> Result<KeyDecoder, FormatError> {
        let fields = contract.key.clone();
        let Some(first) = fields.first() else {
            return Err(FormatError::Value {
                field: "key".to_owned(),
                message: "the contract has none".to_owned(),
            });
        };
        let contract = Contract {
            format: Format::Json,
            definition: None,
            ..contract.clone()
        };
        let schema = super::schema(&contract)?;
        let bare = schema.column(first).is_some_and(|column| {
            fields.len() == 1
                && !matches!(
                    column.data_type,
                    DataType::Boolean
                        | DataType::Int
                        | DataType::BigInt
                        | DataType::Float
                        | DataType::Double
                )
        });
        Ok(KeyDecoder {
            decoder: JsonDecoder::pruned(&contract, &fields)?,
            fields,
            bare,
            object: Vec::new(),
        })
    }

    /// The key as an object with the fields' names.
    fn write(&mut self, key: &[u8]) -> Result<(), RowError> {
        let refused = |message: String| RowError {
            reason: DeadLetterReason::Decode,
            path: String::new(),
            message,
        };
        let text = std::str::from_utf8(key);
        let text = text.map_err(|_| refused("a key that is not UTF-8".to_owned()))?;
        let written = |text: &str| serde_json::to_string(text).unwrap_or_default();
        let raw = |text: &str| {
            let raw: Result<Box<RawValue>, _> = serde_json::from_str(text);
            raw.map(|raw| raw.get().to_owned())
        };
        let values: Vec<String> = if self.bare {
            vec![written(text)]
        } else if self.fields.len() == 1 {
            let value = raw(text).map_err(|_| {
                refused(format!(
                    "a key that is no value of field {}",
                    self.fields[0]
                ))
            })?;
            vec![value]
        } else {
            let several: Result<Vec<Box<RawValue>>, _> = serde_json::from_str(text);
            let several = several.ok().filter(|all| all.len() == self.fields.len());
            let several = several.ok_or_else(|| {
                let fields = self.fields.join(", ");
                refused(format!("a key that is no JSON array of {fields}"))
            })?;
            several.iter().map(|raw| raw.get().to_owned()).collect()
        };
        self.object.clear();
        for (at, (field, value)) in self.fields.iter().zip(values).enumerate() {
            let between = if at == 0 { "{" } else { "," };
            for part in [between, &written(field), ":", &value] {
                self.object.extend_from_slice(part.as_bytes());
            }
        }
        self.object.push(b'}');
        Ok(())
    }
}

impl Decoder for KeyDecoder {
    fn decode(&mut self, key: &[u8]) -> Result<(), DecodeError> {
        self.write(key)?;
        self.decoder.decode(&self.object)
    }

    fn rows(&self) -> usize {
        self.decoder.rows()
    }

    fn finish(&mut self) -> Result<RecordBatch, FormatError> {
        self.decoder.finish()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int32Array, Int64Array, StringArray};
    use headworks_engine::format::Encoder;
    use headworks_plan::Field;

    use super::*;
    use crate::formats::json::JsonEncoder;

    fn contract(fields: &[(&str, &str)]) -> Contract {
        let field = |(name, type_): &(&str, &str)| Field {
            name: (*name).into(),
            type_: (*type_).into(),
            nullable: false,
            labels: Vec::new(),
        };
        Contract {
            fields: fields.iter().map(field).collect(),
            key: fields.iter().map(|(name, _)| (*name).to_owned()).collect(),
            ..Contract::default()
        }
    }

    /// Writes each row's key and reads it back.
    fn there_and_back(contract: &Contract, batch: &RecordBatch) -> RecordBatch {
        let mut encoder = JsonEncoder::new(contract).unwrap();
        let mut decoder = KeyDecoder::new(contract).unwrap();
        for row in 0..batch.num_rows() {
            let mut key = Vec::new();
            assert!(encoder.key(batch, row, &mut key).unwrap());
            decoder.decode(&key).unwrap();
        }
        assert_eq!(decoder.rows(), batch.num_rows());
        decoder.finish().unwrap()
    }

    fn refused(contract: &Contract, key: &[u8]) -> String {
        let mut decoder = KeyDecoder::new(contract).unwrap();
        let error = decoder.decode(key).unwrap_err();
        assert_eq!(decoder.rows(), 0, "what is refused leaves nothing");
        error.to_string()
    }

    #[test]
    fn what_was_written_as_a_key_is_read_back() {
        let texts = [
            "eur",
            "",
            "7",
            "true",
            "null",
            "[\"a\"]",
            "a\"b\\c",
            "ä\u{1F600}\n",
        ];
        let texts: ArrayRef = std::sync::Arc::new(StringArray::from(texts.to_vec()));
        let numbers: ArrayRef = std::sync::Arc::new(Int64Array::from(vec![
            0,
            -1,
            i64::MAX,
            i64::MIN,
            5,
            6,
            7,
            8,
        ]));
        let days: ArrayRef = std::sync::Arc::new(Int32Array::from((0..8).collect::<Vec<_>>()));
        let days = arrow::compute::cast(&days, &arrow::datatypes::DataType::Date32).unwrap();
        let of = |fields: &[(&str, &str)], columns: &[&ArrayRef]| {
            let contract = contract(fields);
            let named = fields.iter().zip(columns);
            let named = named.map(|((name, _), column)| (*name, (*column).clone()));
            let batch = RecordBatch::try_from_iter_with_nullable(
                named.map(|(name, column)| (name, column, false)),
            )
            .unwrap();
            let back = there_and_back(&contract, &batch);
            assert_eq!(back.columns(), batch.columns(), "{fields:?}");
        };
        of(&[("t", "string")], &[&texts]);
        of(&[("n", "bigint")], &[&numbers]);
        of(&[("d", "date")], &[&days]);
        of(
            &[("t", "string"), ("n", "bigint"), ("d", "date")],
            &[&texts, &numbers, &days],
        );
    }

    #[test]
    fn what_is_no_key_is_refused_in_words() {
        let number = contract(&[("n", "int")]);
        assert_eq!(
            refused(&number, b"1,\"m\":2"),
            "a key that is no value of field n"
        );
        assert_eq!(refused(&number, b""), "a key that is no value of field n");
        assert_eq!(
            refused(&number, b"abc"),
            "a key that is no value of field n"
        );
        assert!(refused(&number, b"99999999999").starts_with("field n: "));
        let two = contract(&[("t", "string"), ("n", "int")]);
        for key in [&b"[\"a\"]"[..], b"[\"a\",1,2]", b"{}", b"a"] {
            assert_eq!(refused(&two, key), "a key that is no JSON array of t, n");
        }
        assert!(refused(&two, b"[1,1]").starts_with("field t: "));
        assert_eq!(
            refused(&contract(&[("t", "string")]), &[0xff]),
            "a key that is not UTF-8"
        );
    }
}
