//! Passes over values that nobody asked for. What is passed over is still checked to be there.
//!
//! The schema is the writer's, and records of records without fields take no bytes: what is passed over is counted
//! ([`Cursor::step`]), so that no schema makes a short record a long work.

use headworks_schema::avro::{Avro, Id, Kind};

use super::super::refused::Refused;
use super::cursor::Cursor;

/// Records within records: a schema may hold itself.
const MAX_DEPTH: usize = 64;

pub(super) fn skip(
    avro: &Avro,
    id: Id,
    input: &mut Cursor<'_>,
    depth: usize,
) -> Result<(), Refused> {
    if depth > MAX_DEPTH {
        return Err(Refused::decode(format!(
            "nested more than {MAX_DEPTH} levels deep"
        )));
    }
    input.step()?;
    match &avro.node(id).kind {
        Kind::Null => {}
        Kind::Boolean => drop(input.take(1)?),
        Kind::Int | Kind::Long | Kind::Enum { .. } => drop(input.long()?),
        Kind::Float => drop(input.take(4)?),
        Kind::Double => drop(input.take(8)?),
        Kind::Bytes | Kind::String => drop(input.prefixed()?),
        Kind::Fixed { size, .. } => drop(input.take(*size)?),
        Kind::Union(branches) => {
            let branch = branch(branches, input)?;
            skip(avro, branch, input, depth + 1)?;
        }
        Kind::Array(item) => blocks(input, |input| skip(avro, *item, input, depth + 1))?,
        Kind::Map(value) => blocks(input, |input| {
            input.prefixed()?;
            skip(avro, *value, input, depth + 1)
        })?,
        Kind::Record { fields, .. } => {
            for field in fields {
                skip(avro, field.node, input, depth + 1)?;
            }
        }
    }
    Ok(())
}

fn branch(branches: &[Id], input: &mut Cursor<'_>) -> Result<Id, Refused> {
    let index = usize::try_from(input.long()?).ok();
    index
        .and_then(|index| branches.get(index).copied())
        .ok_or_else(|| Refused::decode("a branch that the union doesn't have"))
}

fn blocks(
    input: &mut Cursor<'_>,
    mut item: impl FnMut(&mut Cursor<'_>) -> Result<(), Refused>,
) -> Result<(), Refused> {
    loop {
        let (count, size) = input.block()?;
        if count == 0 {
            return Ok(());
        }
        match size {
            Some(size) => drop(input.take(size)?),
            None => {
                for _ in 0..count {
                    item(input)?;
                }
            }
        }
    }
}
