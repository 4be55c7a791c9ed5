//! The formats of a run in memory: people write and read JSON, whatever a stream's records are in Kafka.
//!
//! What a record may be is the format's to say all the same. So a row goes through the very encoder that a pod has, and what
//! that refuses is refused here, in the same words; what it wrote is read back, and shown as a reader of the stream gets it.

use std::sync::Arc;

use arrow::array::RecordBatch;
use headworks_engine::format::{Decoder, Encoder, FormatError, Formats};
use headworks_plan::{Contract, Format, Stream};

use super::{FormatRegistry, json};

/// Records of every contract as JSON.
#[derive(Clone, Copy, Debug, Default)]
pub struct AsJson;

impl Formats for AsJson {
    fn decoder(
        &self,
        contract: &Contract,
        columns: &[String],
    ) -> Result<Box<dyn Decoder>, FormatError> {
        Ok(Box::new(json::JsonDecoder::pruned(contract, columns)?))
    }

    fn keys(&self, contract: &Contract) -> Result<Box<dyn Decoder>, FormatError> {
        Ok(Box::new(json::KeyDecoder::new(contract)?))
    }

    fn encoder(&self, contract: &Contract) -> Result<Box<dyn Encoder>, FormatError> {
        Ok(match contract.format {
            Format::Json => Box::new(json::JsonEncoder::new(contract)?),
            Format::Avro | Format::Protobuf => Box::new(Through::new(contract)?),
        })
    }

    /// A stream without a topic is nobody's: its rows are only shown.
    fn encoder_of(&self, stream: &Stream) -> Result<Box<dyn Encoder>, FormatError> {
        if stream.topic.is_empty() {
            return Ok(Box::new(json::JsonEncoder::showing(&stream.contract)?));
        }
        self.encoder(&stream.contract)
    }
}

/// Through a format and back.
struct Through {
    encoder: Box<dyn Encoder>,
    decoder: Box<dyn Decoder>,
    shown: json::JsonEncoder,
    record: Vec<u8>,
}

impl Through {
    fn new(contract: &Contract) -> Result<Through, FormatError> {
        let known = FormatRegistry {
            schemas: Arc::default(),
        };
        let columns = contract.fields.iter().map(|field| field.name.clone());
        let columns: Vec<String> = columns.collect();
        Ok(Through {
            encoder: known.encoder(contract)?,
            decoder: known.decoder(contract, &columns)?,
            shown: json::JsonEncoder::showing(contract)?,
            record: Vec::new(),
        })
    }

    /// The record as it is read.
    fn read(&mut self) -> Option<RecordBatch> {
        self.decoder.decode(&self.record).ok()?;
        self.decoder.finish().ok()
    }
}

impl Encoder for Through {
    fn encode(
        &mut self,
        batch: &RecordBatch,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), FormatError> {
        self.record.clear();
        self.encoder.encode(batch, row, &mut self.record)?;
        match self.read() {
            Some(read) => self.shown.encode(&read, 0, out),
            // A pod has written it, so it is no dead letter.
            None => self.shown.encode(batch, row, out),
        }
    }

    fn key(
        &mut self,
        batch: &RecordBatch,
        row: usize,
        out: &mut Vec<u8>,
    ) -> Result<bool, FormatError> {
        self.encoder.key(batch, row, out)
    }

    fn wire_len(&self) -> Option<usize> {
        Some(self.record.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc as Shared;

    use arrow::array::{ArrayRef, Float64Array, StringArray};
    use headworks_plan::{Definition, Field};

    use super::*;

    fn contract(schema: &str, fields: &[(&str, &str)]) -> Contract {
        let field = |(name, type_): &(&str, &str)| Field {
            name: (*name).into(),
            type_: (*type_).into(),
            nullable: false,
            labels: Vec::new(),
        };
        Contract {
            fields: fields.iter().map(field).collect(),
            format: Format::Avro,
            definition: Some(Definition::new(schema)),
            ..Contract::default()
        }
    }

    fn shown(contract: &Contract, column: (&str, ArrayRef)) -> Result<String, String> {
        let batch = RecordBatch::try_from_iter([column]).unwrap();
        let mut encoder = AsJson.encoder(contract).unwrap();
        let mut out = b"before".to_vec();
        encoder
            .encode(&batch, 0, &mut out)
            .map_err(|error| error.to_string())?;
        assert!(encoder.wire_len().is_some_and(|len| len < out.len()));
        Ok(String::from_utf8(out.split_off(6)).unwrap())
    }

    #[test]
    fn what_the_format_refuses_is_refused_and_what_json_has_no_word_for_is_shown() {
        let state = contract(
            r#"{"type": "record", "name": "r", "fields": [{"name": "state", "type": {"type": "enum", "name": "s", "symbols": ["NEW", "PAID"]}}]}"#,
            &[("state", "string")],
        );
        let text = |text: &str| -> ArrayRef { Shared::new(StringArray::from(vec![text])) };
        assert_eq!(
            shown(&state, ("state", text("PAID"))).as_deref(),
            Ok(r#"{"state":"PAID"}"#)
        );
        let refused = shown(&state, ("state", text("LOST"))).unwrap_err();
        let mut pod = super::super::encoder(&state).unwrap();
        let batch = RecordBatch::try_from_iter([("state", text("LOST"))]).unwrap();
        let said = pod.encode(&batch, 0, &mut Vec::new()).unwrap_err();
        assert_eq!(refused, said.to_string());
        let ratio = contract(
            r#"{"type": "record", "name": "r", "fields": [{"name": "ratio", "type": "double"}]}"#,
            &[("ratio", "double")],
        );
        for (number, written) in [
            (f64::INFINITY, r#"{"ratio":"Infinity"}"#),
            (f64::NEG_INFINITY, r#"{"ratio":"-Infinity"}"#),
            (f64::NAN, r#"{"ratio":"NaN"}"#),
            (0.5, r#"{"ratio":0.5}"#),
        ] {
            let number: ArrayRef = Shared::new(Float64Array::from(vec![number]));
            assert_eq!(shown(&ratio, ("ratio", number)).as_deref(), Ok(written));
        }
    }
}
