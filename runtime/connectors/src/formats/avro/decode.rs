//! The decoder: finds out what a record was written with, and runs the program for it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use headworks_engine::format::{DecodeError, Decoder, FormatError, RowError};
use headworks_plan::{Contract, DeadLetterReason};
use headworks_schema::SchemaText;
use headworks_schema::avro::{Avro, MARKER};
use headworks_sql::types::StructField;

use super::super::frame::{Frame, found, undecodable, unknown_id};
use super::super::refused::Refused;
use super::super::schemas::{EARLY, Schemas};
use super::compile::Compiler;
use super::cursor::Cursor;
use super::read::Record;
use super::{MAGIC, columns, definition};

/// Most programs that are kept. A stream has few versions.
const MOST: usize = 1024;

/// Reads Avro records into Arrow columns by a contract.
pub struct AvroDecoder {
    frame: Frame,
    columns: Vec<StructField>,
    reader: Avro,
    /// By id, or without a registry by fingerprint.
    programs: HashMap<u64, Result<Program, RowError>>,
    registered: bool,
    schemas: Arc<Schemas>,
    known: HashMap<u32, Arc<SchemaText>>,
    /// What the definition in force goes by.
    own: u64,
}

struct Program {
    writer: Avro,
    record: Record,
}

impl AvroDecoder {
    /// Reads only `wanted` (top-level fields, in this order). A field that isn't read isn't checked.
    ///
    /// # Errors
    /// The contract is no contract, has no such field, or its definition isn't of it.
    pub(in crate::formats) fn pruned(
        contract: &Contract,
        wanted: &[String],
        schemas: Arc<Schemas>,
    ) -> Result<AvroDecoder, FormatError> {
        let all = columns(contract)?;
        let columns = super::super::pruned(&all, wanted)?;
        let reader = definition(contract)?;
        let mut decoder = AvroDecoder {
            frame: Frame::new(&columns),
            columns,
            reader,
            programs: HashMap::new(),
            registered: contract.registered.is_some(),
            schemas,
            known: HashMap::new(),
            own: 0,
        };
        // The definition in force is there from the start; a registry's others are read when they come.
        let own = decoder.program(decoder.reader.clone());
        let key = match &contract.registered {
            Some(registered) => {
                let texts = registered.known.iter();
                let texts = texts.map(|known| (known.id, Arc::new(known.into())));
                decoder.known = texts.collect();
                u64::from(registered.id)
            }
            None => decoder.reader.fingerprint(),
        };
        decoder.own = key;
        decoder.programs.insert(key, own);
        // Without a registry nobody else can say what these fingerprints mean. One that doesn't parse was never written
        // with. A fingerprint doesn't see what a number means: of those that are equal the newest counts.
        for text in &contract.earlier {
            let Ok(writer) = Avro::parse(text) else {
                continue;
            };
            let fingerprint = writer.fingerprint();
            if !decoder.programs.contains_key(&fingerprint) {
                let program = decoder.program(writer);
                decoder.programs.insert(fingerprint, program);
            }
        }
        Ok(decoder)
    }

    fn program(&self, writer: Avro) -> Result<Program, RowError> {
        let compiler = Compiler::new(&writer, &self.reader);
        let record = compiler
            .whole(&self.columns)
            .map_err(|(path, message)| RowError {
                reason: DeadLetterReason::Contract,
                path,
                message,
            })?;
        Ok(Program { writer, record })
    }

    /// Makes the program for `key`, which isn't there yet.
    fn learn(&mut self, key: u64) -> Result<(), DecodeError> {
        if !self.registered {
            return Err(self.stranger(key));
        }
        let id = key as u32;
        let text = match self.known.get(&id) {
            Some(text) => Arc::clone(text),
            None => found(id, self.schemas.get(id))?,
        };
        let program = Avro::parse(&*text)
            .map_err(|error| {
                undecodable(format!(
                    "schema {id} of the registry is no Avro schema: {error}"
                ))
            })
            .and_then(|writer| self.program(writer));
        if self.programs.len() >= MOST {
            // Those that come now are read by it, and without a registry it couldn't be had again.
            let own = self.own;
            self.programs.retain(|key, _| *key == own);
        }
        self.programs.insert(key, program);
        Ok(())
    }

    /// Without a registry: the plan has no definition with this fingerprint. Whoever wrote the record may have a newer
    /// plan than this one.
    #[cold]
    fn stranger(&self, fingerprint: u64) -> DecodeError {
        let unknown =
            format!("written with a schema that nobody knows (fingerprint {fingerprint:016x})");
        if self.schemas.stranger(fingerprint) {
            let minutes = EARLY.as_secs() / 60;
            return DecodeError::Waits {
                message: format!(
                    "{unknown}; if it is of a new contract, this plan hasn't got it yet; it waits {minutes} minutes for one that has, and is a dead letter then"
                ),
            };
        }
        undecodable(format!(
            "{unknown}; without a schema registry only the stream's last contracts are known"
        ))
        .into()
    }
}

/// What a record names its schema by, and the rest of it.
fn split(payload: &[u8], registered: bool) -> Result<(u64, &[u8]), Refused> {
    if registered {
        return match payload {
            [MAGIC, a, b, c, d, rest @ ..] => {
                let id = u32::from_be_bytes([*a, *b, *c, *d]);
                Ok((u64::from(id), rest))
            }
            _ => Err(Refused::decode(
                "doesn't begin with a schema registry's id (a zero byte and four bytes)",
            )),
        };
    }
    let split = payload
        .strip_prefix(&MARKER)
        .and_then(<[u8]>::split_first_chunk::<8>);
    match split {
        Some((fingerprint, rest)) => Ok((u64::from_le_bytes(*fingerprint), rest)),
        None => Err(Refused::decode(
            "isn't in Avro's single-object encoding (C3 01 and the schema's fingerprint)",
        )),
    }
}

impl Decoder for AvroDecoder {
    fn decode(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        let (key, bytes) = split(payload, self.registered)?;
        if !self.programs.contains_key(&key) {
            self.learn(key)?;
        }
        let program = match self.programs.get(&key) {
            Some(Ok(program)) => program,
            Some(Err(error)) => return Err(error.clone().into()),
            None => return Err(unknown_id(key as u32).into()),
        };
        let rows = self.frame.object.rows();
        let mut input = Cursor::new(bytes);
        let read = program
            .record
            .read(&program.writer, &mut self.frame.object, &mut input)
            .and_then(|()| match input.left() {
                0 => Ok(()),
                left => Err(Refused::decode(format!(
                    "{left} bytes are left over at the end of the record"
                ))),
            });
        read.map_err(|refused| {
            self.frame.object.truncate(rows);
            refused.into()
        })
    }

    fn rows(&self) -> usize {
        self.frame.object.rows()
    }

    fn finish(&mut self) -> Result<RecordBatch, FormatError> {
        self.frame.finish()
    }
}
