//! From a writer's schema and the columns that a reader wants to a program (Avro 1.12, "Schema Resolution").
//!
//! What the writer has and nobody wants is skipped. Numbers are promoted (int, long, float, double), bytes and strings
//! read as each other, a decimal gets digits after its point. A column that the writer doesn't have is the default of
//! the reader's definition, else null, else the record breaks the contract.

use std::cell::Cell;
use std::collections::HashSet;

use headworks_schema::avro::{Avro, Id, Kind, Logical, RecordField, defaults};
use headworks_sql::types::{DataType, StructField};

use super::read::{Length, Op, Record, Rest, RestValue, Step};

/// Nesting of columns; a contract's own limit is lower.
const MAX_DEPTH: usize = 40;
/// Most operations of a program. A writer's schema is anybody's: with unions of records in each other a small text can
/// ask for any number.
const MAX_OPS: u32 = 65_536;
/// So many symbols of an enum weigh as much as an operation: some 65 MB of them at most.
const SYMBOLS_PER_OP: u32 = 16;

pub(super) struct Compiler<'a> {
    pub(super) writer: &'a Avro,
    /// The contract's own definition: its defaults and aliases count.
    pub(super) reader: &'a Avro,
    /// So many more operations may be made.
    left: Cell<u32>,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(writer: &'a Avro, reader: &'a Avro) -> Compiler<'a> {
        Compiler {
            writer,
            reader,
            left: Cell::new(MAX_OPS),
        }
    }

    /// A program for the writer's records.
    ///
    /// # Errors
    /// The writer's type of a column isn't one that the column can hold: the path and why.
    pub(super) fn whole(&self, columns: &[StructField]) -> Result<Record, (String, String)> {
        let program = self.record(self.writer.root(), Some(self.reader.root()), columns, 0);
        // A union's branch that can't be read is no fault yet, and would hide this.
        if self.left.get() == 0 {
            return Err((
                String::new(),
                format!(
                    "the definition that the record was written with needs more than {MAX_OPS} steps to read"
                ),
            ));
        }
        program
    }

    /// A program for the writer's record `id`. `known`: the record of the reader's definition that it is read as.
    fn record(
        &self,
        id: Id,
        known: Option<Id>,
        columns: &[StructField],
        depth: usize,
    ) -> Result<Record, (String, String)> {
        let fields = fields(self.writer, id).ok_or_else(|| {
            (
                String::new(),
                "is no record in the definition that the record was written with".to_owned(),
            )
        })?;
        let known = known
            .and_then(|id| fields_of(self.reader, id))
            .unwrap_or_default();
        let mut program = Record::default();
        let mut found = vec![false; columns.len()];
        let read_as = read_as(fields, known);
        for (field, name) in fields.iter().zip(read_as) {
            let column = columns
                .iter()
                .position(|column| Some(column.name.as_str()) == name);
            match column {
                None => program.steps.push(Step::Skip(field.node)),
                Some(at) => {
                    found[at] = true;
                    let column = &columns[at];
                    let reader = known.iter().find(|f| f.name == column.name).map(|f| f.node);
                    let op = self
                        .op(field.node, reader, &column.data_type, depth)
                        .map_err(|(path, why)| (step(&column.name, &path), why))?;
                    program.steps.push(Step::Read {
                        column: at,
                        name: column.name.clone(),
                        op,
                    });
                }
            }
        }
        for (at, column) in columns.iter().enumerate().filter(|(at, _)| !found[*at]) {
            let field = known.iter().find(|f| f.name == column.name);
            program.rest.push(Rest {
                column: at,
                name: column.name.clone(),
                value: self.rest(column, field, depth)?,
            });
        }
        Ok(program)
    }

    /// What each of the writer's symbols is read as: itself, or the default of the reader's enum where that doesn't
    /// have it. Without a default it stays as it is: the column is text, and a writer may know a newer contract that
    /// `compatibility` has let pass.
    ///
    /// Symbols count as operations: a short text can put one enum with thousands of them in thousands of places.
    fn symbols(&self, written: &[String], reader: Option<Id>) -> Option<Vec<String>> {
        let count = u32::try_from(written.len()).unwrap_or(u32::MAX);
        let Some(left) = self.left.get().checked_sub(count / SYMBOLS_PER_OP) else {
            self.left.set(0);
            return None;
        };
        self.left.set(left);
        let read = reader.map(|id| &self.reader.node(id).kind);
        let Some(Kind::Enum {
            symbols,
            default: Some(default),
            ..
        }) = read
        else {
            return Some(written.to_vec());
        };
        let known: HashSet<&String> = symbols.iter().collect();
        let one = |symbol: &String| {
            let symbol = if known.contains(symbol) {
                symbol
            } else {
                default
            };
            symbol.clone()
        };
        Some(written.iter().map(one).collect())
    }

    fn rest(
        &self,
        column: &StructField,
        field: Option<&RecordField>,
        depth: usize,
    ) -> Result<RestValue, (String, String)> {
        let default = field.and_then(|field| Some((field.node, field.default.as_ref()?)));
        if let Some((node, default)) = default
            && let Some(bytes) = defaults::encoded(self.reader, node, default)
        {
            let own = Compiler::new(self.reader, self.reader);
            let op = own
                .op(node, Some(node), &column.data_type, depth)
                .map_err(|(path, why)| (step(&column.name, &path), why))?;
            return Ok(RestValue::Default(op, bytes));
        }
        Ok(if column.nullable {
            RestValue::Null
        } else {
            RestValue::Required
        })
    }

    /// One of several types. It is of use where one of them can be read, or null.
    fn union(
        &self,
        branches: &[Id],
        reader: Option<Id>,
        to: &DataType,
        depth: usize,
    ) -> Result<Op, (String, String)> {
        let branch = |branch: &Id| {
            self.op(*branch, reader, to, depth + 1)
                .unwrap_or_else(|(_, why)| Op::Never(why))
        };
        let ops: Vec<Op> = branches.iter().map(branch).collect();
        let useful = |op: &Op| !matches!(op, Op::Null | Op::Never(_));
        if !ops.iter().any(useful)
            && let Some(Op::Never(why)) = ops.iter().find(|op| matches!(op, Op::Never(_)))
        {
            return Err((String::new(), why.clone()));
        }
        Ok(Op::Union(ops))
    }

    pub(super) fn op(
        &self,
        id: Id,
        reader: Option<Id>,
        to: &DataType,
        depth: usize,
    ) -> Result<Op, (String, String)> {
        let node = self.writer.node(id);
        if depth > MAX_DEPTH {
            return Err((String::new(), "is nested too deep".to_owned()));
        }
        let Some(left) = self.left.get().checked_sub(1) else {
            return Err((String::new(), "needs too many steps to read".to_owned()));
        };
        self.left.set(left);
        let reader = reader.map(|id| without_null(self.reader, id));
        if let Some(chosen) = self.chosen(id, reader, to, depth) {
            return chosen;
        }
        let op = match (&node.kind, node.logical, to) {
            (Kind::Null, _, _) => Op::Null,
            (Kind::Union(branches), _, _) => self.union(branches, reader, to, depth)?,
            (Kind::Boolean, _, DataType::Boolean) => Op::Boolean,
            (Kind::Int, Logical::Date, DataType::Date) => Op::Date,
            (Kind::Int, Logical::TimeMillis, DataType::Time) => Op::TimeMillis,
            (Kind::Long, Logical::TimeMicros, DataType::Time) => Op::TimeMicros,
            (Kind::Long, Logical::Timestamp(unit), DataType::TimestampLtz(_))
            | (Kind::Long, Logical::LocalTimestamp(unit), DataType::Timestamp(_)) => {
                Op::Point(unit)
            }
            // What was written before the field had a meaning is read as it was.
            (Kind::Int, Logical::None, DataType::Float | DataType::Double)
            | (Kind::Int, _, DataType::Int | DataType::BigInt) => Op::Int,
            (Kind::Long, Logical::None, DataType::Float | DataType::Double)
            | (Kind::Long, _, DataType::BigInt) => Op::Long,
            (Kind::Float, _, DataType::Float | DataType::Double) => Op::Float,
            (Kind::Double, _, DataType::Double) => Op::Double,
            (Kind::Bytes, Logical::Decimal { scale, .. }, DataType::Decimal { .. }) => {
                Op::Decimal {
                    length: Length::Prefixed,
                    scale: scale_of(scale)?,
                }
            }
            (
                Kind::Fixed { size, .. },
                Logical::Decimal { scale, .. },
                DataType::Decimal { .. },
            ) => Op::Decimal {
                length: Length::Fixed(*size),
                scale: scale_of(scale)?,
            },
            (Kind::Fixed { .. }, Logical::Uuid, DataType::String) => Op::Uuid,
            (Kind::String, _, DataType::String | DataType::Bytes) => Op::Text,
            (Kind::Bytes, _, DataType::Bytes | DataType::String) => Op::Bytes(Length::Prefixed),
            (Kind::Fixed { size, .. }, _, DataType::Bytes) => Op::Bytes(Length::Fixed(*size)),
            (Kind::Enum { symbols, .. }, _, DataType::String) => {
                let symbols = self.symbols(symbols, reader);
                Op::Enum(
                    symbols.ok_or_else(|| {
                        (String::new(), "needs too many steps to read".to_owned())
                    })?,
                )
            }
            (Kind::Array(item), _, DataType::Array(to)) => {
                let reader = reader.and_then(|id| match self.reader.node(id).kind {
                    Kind::Array(item) => Some(item),
                    _ => None,
                });
                let op = self.op(*item, reader, to, depth + 1);
                Op::Array(Box::new(
                    op.map_err(|(path, why)| (step("[]", &path), why))?,
                ))
            }
            (Kind::Map(value), _, DataType::Map(to)) => {
                let reader = reader.and_then(|id| match self.reader.node(id).kind {
                    Kind::Map(value) => Some(value),
                    _ => None,
                });
                let op = self.op(*value, reader, to, depth + 1);
                Op::Map(Box::new(
                    op.map_err(|(path, why)| (step("[]", &path), why))?,
                ))
            }
            (Kind::Record { .. }, _, DataType::Struct(columns)) => {
                Op::Struct(Box::new(self.record(id, reader, columns, depth + 1)?))
            }
            _ => {
                return Err((
                    String::new(),
                    format!(
                        "is {} in the definition that the record was written with, which is no {to}",
                        said(self.writer, id)
                    ),
                ));
            }
        };
        Ok(op)
    }
}

/// What each of the writer's fields is read as: the field of that name; else one that has the name for an alias, if the
/// writer has no field of its own name and none before was read as it. Whether a column is wanted makes no difference.
fn read_as<'a>(fields: &[RecordField], known: &'a [RecordField]) -> Vec<Option<&'a str>> {
    let mut taken: Vec<&str> = Vec::new();
    let mut all = Vec::with_capacity(fields.len());
    for field in fields {
        let named = known.iter().find(|f| f.name == field.name);
        let found = named.or_else(|| {
            known.iter().find(|f| {
                f.aliases.contains(&field.name)
                    && !taken.contains(&f.name.as_str())
                    && !fields.iter().any(|other| other.name == f.name)
            })
        });
        let name = found.map(|f| f.name.as_str());
        taken.extend(name);
        all.push(name);
    }
    all
}

fn scale_of(scale: u32) -> Result<u8, (String, String)> {
    u8::try_from(scale)
        .ok()
        .filter(|scale| *scale <= 38)
        .ok_or_else(|| {
            (
                String::new(),
                "has more than 38 digits after the point".to_owned(),
            )
        })
}

fn step(name: &str, path: &str) -> String {
    if path.is_empty() {
        name.to_owned()
    } else if path.starts_with('[') {
        format!("{name}{path}")
    } else {
        format!("{name}.{path}")
    }
}

/// The only branch that isn't null, of a union that has just one.
pub(super) fn without_null(avro: &Avro, id: Id) -> Id {
    let Kind::Union(branches) = &avro.node(id).kind else {
        return id;
    };
    let mut others = branches
        .iter()
        .filter(|id| !matches!(avro.node(**id).kind, Kind::Null));
    match (others.next(), others.next()) {
        (Some(only), None) => *only,
        _ => id,
    }
}

fn fields(avro: &Avro, id: Id) -> Option<&[RecordField]> {
    match &avro.node(id).kind {
        Kind::Record { fields, .. } => Some(fields),
        _ => None,
    }
}

fn fields_of(avro: &Avro, id: Id) -> Option<&[RecordField]> {
    fields(avro, without_null(avro, id))
}

fn said(avro: &Avro, id: Id) -> String {
    let node = avro.node(id);
    let word = match &node.kind {
        Kind::Null => "null",
        Kind::Boolean => "boolean",
        Kind::Int => "int",
        Kind::Long => "long",
        Kind::Float => "float",
        Kind::Double => "double",
        Kind::Bytes => "bytes",
        Kind::String => "string",
        Kind::Fixed { .. } => "fixed",
        Kind::Enum { .. } => "an enum",
        Kind::Array(_) => "an array",
        Kind::Map(_) => "a map",
        Kind::Union(_) => "a union",
        Kind::Record { .. } => "a record",
    };
    match node.logical {
        Logical::None => word.to_owned(),
        logical => format!("{word} ({logical:?})"),
    }
}
