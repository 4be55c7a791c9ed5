//! An Avro schema as a table of nodes (Avro 1.12, "Schema Declaration").
//!
//! Our own reader and not a library's: its input comes from users and registries, so it is bounded, names the place of
//! what is wrong, and never panics. Named types are resolved, so a recursive type is a cycle among the nodes.

use serde_json::Value;

use super::parse;
use crate::error::SchemaError;
use crate::text::SchemaText;

/// Index of a node.
pub type Id = usize;

/// A schema.
#[derive(Clone, Debug)]
pub struct Avro {
    nodes: Vec<Node>,
    root: Id,
}

/// One type of a schema.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is on the wire.
    pub kind: Kind,
    /// What it means.
    pub logical: Logical,
}

/// What a value is on the wire.
#[derive(Clone, Debug)]
pub enum Kind {
    /// No bytes.
    Null,
    /// One byte.
    Boolean,
    /// Zigzag varint of 32 bits.
    Int,
    /// Zigzag varint of 64 bits.
    Long,
    /// Four bytes, little end first.
    Float,
    /// Eight bytes, little end first.
    Double,
    /// A length and so many bytes.
    Bytes,
    /// A length and so many bytes of UTF-8.
    String,
    /// So many bytes.
    Fixed {
        /// Full name.
        name: String,
        /// Bytes.
        size: usize,
    },
    /// Index of a symbol, as an int.
    Enum {
        /// Full name.
        name: String,
        /// The symbols.
        symbols: Vec<String>,
        /// The symbol that a reader takes for one that it doesn't know.
        default: Option<String>,
    },
    /// Blocks of items.
    Array(Id),
    /// Blocks of strings and values.
    Map(Id),
    /// Index of the branch, as a long, then its value.
    Union(Vec<Id>),
    /// The fields, one after the other.
    Record {
        /// Full name.
        name: String,
        /// The fields.
        fields: Vec<RecordField>,
    },
}

impl Kind {
    /// What a union knows it by: the full name of what has one, else the type's word.
    pub fn word(&self) -> &str {
        match self {
            Kind::Null => "null",
            Kind::Boolean => "boolean",
            Kind::Int => "int",
            Kind::Long => "long",
            Kind::Float => "float",
            Kind::Double => "double",
            Kind::Bytes => "bytes",
            Kind::String => "string",
            Kind::Array(_) => "array",
            Kind::Map(_) => "map",
            Kind::Union(_) => "union",
            Kind::Fixed { name, .. } | Kind::Enum { name, .. } | Kind::Record { name, .. } => name,
        }
    }
}

/// A field of a record.
#[derive(Clone, Debug)]
pub struct RecordField {
    /// Its name.
    pub name: String,
    /// Names that it had in other versions.
    pub aliases: Vec<String>,
    /// What a reader takes where the writer had no such field.
    pub default: Option<Value>,
    /// Its type.
    pub node: Id,
}

/// What a value means beyond its kind. One that doesn't fit its kind is ignored, as the specification says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Logical {
    /// Nothing more.
    #[default]
    None,
    /// An unscaled number, big end first, in two's complement.
    Decimal {
        /// Digits in all.
        precision: u32,
        /// Digits after the point.
        scale: u32,
    },
    /// Days since 1970-01-01.
    Date,
    /// Milliseconds after midnight.
    TimeMillis,
    /// Microseconds after midnight.
    TimeMicros,
    /// An instant, in so many parts of a second since 1970 in UTC (1,000, 1,000,000 or 1,000,000,000).
    Timestamp(u32),
    /// A date and time without zone, in such parts of a second.
    LocalTimestamp(u32),
    /// A UUID: text, or 16 bytes.
    Uuid,
}

impl Avro {
    /// Reads a schema's text, with the types of those that it refers to.
    ///
    /// # Errors
    /// One of them is no JSON, or no Avro schema, or too large.
    pub fn parse(text: impl Into<SchemaText>) -> Result<Avro, SchemaError> {
        let (nodes, root) = parse::parse(&text.into(), false)?;
        Ok(Avro { nodes, root })
    }

    /// As [`Avro::parse`], and refuses what the specification forbids, or Avro's own libraries and so the registries
    /// do, although records could be read by it: a symbol twice, a type named as a primitive one.
    ///
    /// # Errors
    /// One of them is no JSON, or no Avro schema, or too large.
    pub fn parse_strictly(text: impl Into<SchemaText>) -> Result<Avro, SchemaError> {
        let (nodes, root) = parse::parse(&text.into(), true)?;
        Ok(Avro { nodes, root })
    }

    /// Every type, in the order in which they stand in the texts: those of a text that is referred to before those of one
    /// that needs it.
    pub fn nodes(&self) -> &[Node] {
        &self.nodes
    }

    /// The outermost type.
    pub fn root(&self) -> Id {
        self.root
    }

    /// A type.
    ///
    /// # Panics
    /// Never, for an id that this schema gave.
    pub fn node(&self, id: Id) -> &Node {
        &self.nodes[id]
    }

    /// The full name of the record.
    ///
    /// # Errors
    /// The schema is of something else.
    pub fn record_name(&self) -> Result<String, SchemaError> {
        match &self.node(self.root).kind {
            Kind::Record { name, .. } => Ok(name.clone()),
            _ => Err(not_a_record()),
        }
    }

    /// The fields of the record that the schema is of.
    ///
    /// # Errors
    /// The schema is of something else.
    pub fn fields(&self) -> Result<&[RecordField], SchemaError> {
        match &self.node(self.root).kind {
            Kind::Record { fields, .. } => Ok(fields),
            _ => Err(not_a_record()),
        }
    }
}

fn not_a_record() -> SchemaError {
    SchemaError::whole(
        "a stream's Avro schema is a record: {\"type\": \"record\", \"name\": …, \"fields\": […]}",
    )
}
