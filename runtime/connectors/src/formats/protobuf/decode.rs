//! The decoder: finds out what a record was written with, and runs the program for it.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use headworks_engine::format::{DecodeError, Decoder, FormatError, RowError};
use headworks_plan::{Contract, DeadLetterReason};
use headworks_schema::SchemaText;
use headworks_schema::protobuf;
use headworks_sql::types::StructField;
use prost_reflect::{FileDescriptor, MessageDescriptor};

use super::super::frame::{Frame, found, undecodable, unknown_id};
use super::super::refused::Refused;
use super::super::schemas::Schemas;
use super::compile::{self, Message};
use super::read::Scratch;
use super::wire::{unzigzag, varint, zigzag};
use super::{MAGIC, definition, indexes};

/// Most programs that are kept. A stream has few versions.
const MOST: usize = 1024;
/// Most indexes of a message in its file.
const MOST_INDEXES: u64 = 64;

/// Reads Protobuf records into Arrow columns by a contract.
pub struct ProtobufDecoder {
    frame: Frame,
    scratch: Scratch,
    columns: Vec<StructField>,
    reader: MessageDescriptor,
    /// By what stands before the message; without a registry that is nothing.
    programs: HashMap<Vec<u8>, Result<Message, RowError>>,
    registered: bool,
    schemas: Arc<Schemas>,
    known: HashMap<u32, Arc<SchemaText>>,
}

impl ProtobufDecoder {
    /// Reads only `wanted` (top-level fields, in this order). A field that isn't read isn't checked.
    ///
    /// # Errors
    /// The contract is no contract, has no such field, or its definition isn't of it.
    pub(in crate::formats) fn pruned(
        contract: &Contract,
        wanted: &[String],
        schemas: Arc<Schemas>,
    ) -> Result<ProtobufDecoder, FormatError> {
        let columns = super::super::pruned(&super::super::columns(contract)?, wanted)?;
        let reader = definition(contract)?;
        let mut decoder = ProtobufDecoder {
            frame: Frame::new(&columns),
            scratch: Scratch::default(),
            columns,
            reader,
            programs: HashMap::new(),
            registered: contract.registered.is_some(),
            schemas,
            known: HashMap::new(),
        };
        let own = decoder.program(&decoder.reader);
        decoder
            .programs
            .insert(head(contract, &decoder.reader), own);
        if let Some(registered) = &contract.registered {
            let texts = registered.known.iter();
            let texts = texts.map(|known| (known.id, Arc::new(known.into())));
            decoder.known = texts.collect();
            if let Some(definition) = &contract.definition {
                let own = Arc::new(definition.into());
                decoder.known.insert(registered.id, own);
            }
        }
        Ok(decoder)
    }

    fn program(&self, writer: &MessageDescriptor) -> Result<Message, RowError> {
        compile::message(writer, &self.reader, &self.columns, 0).map_err(|(path, message)| {
            RowError {
                reason: DeadLetterReason::Contract,
                path,
                message,
            }
        })
    }

    /// Makes the program for the head, which isn't there yet.
    fn learn(&mut self, head: &[u8]) -> Result<(), DecodeError> {
        let id = match head {
            [_, a, b, c, d, ..] => u32::from_be_bytes([*a, *b, *c, *d]),
            _ => 0,
        };
        let text = match self.known.get(&id) {
            Some(text) => Arc::clone(text),
            None => found(id, self.schemas.get(id))?,
        };
        let path = head.get(5..).unwrap_or_default();
        let program = protobuf::parse(&*text)
            .map_err(|error| {
                undecodable(format!(
                    "schema {id} of the registry is no Protobuf file: {error}"
                ))
            })
            .and_then(|file| {
                message_at(&file, path).ok_or_else(|| {
                    undecodable(format!(
                        "schema {id} has no such message as the record names"
                    ))
                })
            })
            .and_then(|writer| self.program(&writer));
        if self.programs.len() >= MOST {
            self.programs.clear();
        }
        self.programs.insert(head.to_vec(), program);
        Ok(())
    }
}

/// What stands before every record of the contract.
pub(super) fn head(contract: &Contract, message: &MessageDescriptor) -> Vec<u8> {
    let mut head = Vec::new();
    if let Some(registered) = &contract.registered {
        head.push(MAGIC);
        head.extend_from_slice(&registered.id.to_be_bytes());
        match indexes(message)[..] {
            // The file's first message has a short form.
            [0] => head.push(0),
            ref path => {
                super::wire::put_varint(unzigzag(path.len() as i64), &mut head);
                for index in path {
                    super::wire::put_varint(unzigzag(i64::from(*index)), &mut head);
                }
            }
        }
    }
    head
}

/// How many bytes stand before the message.
fn head_length(payload: &[u8]) -> Result<usize, Refused> {
    if payload.len() < 6 || payload[0] != MAGIC {
        return Err(Refused::decode(
            "doesn't begin with a schema registry's id (a zero byte and four bytes) and the message's indexes",
        ));
    }
    let mut at = 5;
    let count = zigzag(varint(payload, &mut at)?).unsigned_abs();
    if count > MOST_INDEXES {
        return Err(Refused::decode("names a message by too many indexes"));
    }
    for _ in 0..count {
        varint(payload, &mut at)?;
    }
    Ok(at)
}

fn message_at(file: &FileDescriptor, mut path: &[u8]) -> Option<MessageDescriptor> {
    let mut next = || {
        let mut at = 0;
        let value = varint(path, &mut at).ok()?;
        path = &path[at..];
        usize::try_from(zigzag(value)).ok()
    };
    let count = next()?;
    if count == 0 {
        return file.messages().next();
    }
    let mut message = file.messages().nth(next()?)?;
    for _ in 1..count {
        let index = next()?;
        let child = message.child_messages().nth(index);
        message = child?;
    }
    Some(message)
}

impl Decoder for ProtobufDecoder {
    fn decode(&mut self, payload: &[u8]) -> Result<(), DecodeError> {
        let length = if self.registered {
            head_length(payload)?
        } else {
            0
        };
        let (head, bytes) = payload.split_at(length);
        if !self.programs.contains_key(head) {
            self.learn(head)?;
        }
        let program = match self.programs.get(head) {
            Some(Ok(program)) => program,
            Some(Err(error)) => return Err(error.clone().into()),
            None => return Err(unknown_id(0).into()),
        };
        let rows = self.frame.object.rows();
        let read = program.read(bytes, &mut self.frame.object, &mut self.scratch);
        read.map_err(|refused| {
            self.frame.object.truncate(rows);
            self.scratch.clear();
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
