//! Dead letters, read as the records that they were to be.
//!
//! A Source takes JSON, whatever the stream's format is, and its dead letter holds the body as it came. One of a Pipeline holds the bytes of
//! the topic, in the stream's format. Which of the two it is shows in the bytes: no record of Avro or Protobuf is by chance a whole JSON
//! object that satisfies the contract.

use arrow::array::RecordBatch;
use headworks_engine::format::{DecodeError, Decoder, Encoder, FormatError, Formats};
use headworks_plan::{Contract, Format};

use super::json::JsonDecoder;

/// The formats of dead letters: those of `F`, and JSON besides.
#[derive(Clone, Debug, Default)]
pub struct DeadLetterFormats<F>(pub F);

impl<F: Formats> Formats for DeadLetterFormats<F> {
    fn decoder(
        &self,
        contract: &Contract,
        columns: &[String],
    ) -> Result<Box<dyn Decoder>, FormatError> {
        let own = self.0.decoder(contract, columns)?;
        if contract.format == Format::Json {
            return Ok(own);
        }
        let all: Vec<String> = contract.fields.iter().map(|f| f.name.clone()).collect();
        Ok(Box::new(LetterDecoder {
            own,
            json: JsonDecoder::pruned(contract, &all)?,
            encoder: self.0.encoder(contract)?,
            written: Vec::new(),
        }))
    }

    fn keys(&self, contract: &Contract) -> Result<Box<dyn Decoder>, FormatError> {
        self.0.keys(contract)
    }

    fn encoder(&self, contract: &Contract) -> Result<Box<dyn Encoder>, FormatError> {
        self.0.encoder(contract)
    }
}

/// What is JSON is written in the stream's format, as the Source would have done, and read from there.
struct LetterDecoder {
    own: Box<dyn Decoder>,
    json: JsonDecoder,
    encoder: Box<dyn Encoder>,
    written: Vec<u8>,
}

impl LetterDecoder {
    /// Writes a JSON object in the stream's format.
    fn write(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        self.json.decode(payload)?;
        let waits = |error: FormatError| DecodeError::Waits {
            message: error.to_string(),
        };
        let batch = self.json.finish().map_err(waits)?;
        self.written.clear();
        let encoded = self.encoder.encode(&batch, 0, &mut self.written);
        encoded.map_err(|error| match error {
            FormatError::Value { field, message } => headworks_engine::format::RowError {
                reason: headworks_plan::DeadLetterReason::Contract,
                path: field,
                message,
            }
            .into(),
            other => waits(other),
        })
    }
}

impl Decoder for LetterDecoder {
    fn decode(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        if payload.trim_ascii_start().first() != Some(&b'{') {
            return self.own.decode(payload);
        }
        match self.write(payload) {
            Ok(()) => self.own.decode(&self.written),
            // What is said of the JSON is of more use, if it is none of the stream's format either.
            Err(error) => match self.own.decode(payload) {
                Err(DecodeError::Refused { .. }) => Err(error),
                other => other,
            },
        }
    }

    fn rows(&self) -> usize {
        self.own.rows()
    }

    fn finish(&mut self) -> Result<RecordBatch, FormatError> {
        self.own.finish()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::AsArray;
    use arrow::datatypes::Int64Type;
    use headworks_plan::Field;

    use super::*;
    use crate::formats::FormatRegistry;

    fn contract(format: Format) -> Contract {
        Contract {
            fields: vec![
                Field::new("id", "string", false),
                Field::new("n", "bigint", false),
            ],
            format,
            ..Contract::default()
        }
    }

    #[test]
    fn what_a_source_was_sent_and_what_a_pipeline_read_are_one_batch() {
        for format in [Format::Avro, Format::Protobuf] {
            let contract = contract(format);
            let formats = DeadLetterFormats(FormatRegistry::default());
            // As a topic holds it.
            let all: Vec<String> = vec!["id".into(), "n".into()];
            let mut json = JsonDecoder::pruned(&contract, &all).unwrap();
            json.decode(br#"{"id":"topic","n":2}"#).unwrap();
            let batch = json.finish().unwrap();
            let mut own = Vec::new();
            formats
                .encoder(&contract)
                .unwrap()
                .encode(&batch, 0, &mut own)
                .unwrap();

            let mut decoder = formats.decoder(&contract, &["n".to_owned()]).unwrap();
            decoder
                .decode(b" {\"id\":\"source\",\"n\":1,\"more\":true}")
                .unwrap();
            decoder.decode(&own).unwrap();
            let error = decoder
                .decode(br#"{"id":"source"}"#)
                .unwrap_err()
                .to_string();
            assert!(error.contains('n'), "{error}");
            assert!(decoder.decode(b"{\x01\x02").is_err());
            assert!(decoder.decode(b"nonsense").is_err());
            let batch = decoder.finish().unwrap();
            assert_eq!(
                batch.column(0).as_primitive::<Int64Type>().values(),
                &[1, 2]
            );
        }
    }

    #[test]
    fn a_stream_of_json_has_no_other_form() {
        let formats = DeadLetterFormats(FormatRegistry::default());
        let mut decoder = formats
            .decoder(&contract(Format::Json), &["n".to_owned()])
            .unwrap();
        decoder.decode(br#"{"id":"a","n":1}"#).unwrap();
        assert_eq!(decoder.rows(), 1);
    }
}
