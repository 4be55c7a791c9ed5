//! An Avro schema as the fields of a contract.

use headworks_plan::Field;
use headworks_sql::types::{DataType, StructField};

use super::schema::{Avro, Id, Kind, Logical};
use super::{defaults, union};
use crate::error::SchemaError;
use crate::limits::MAX_DEPTH;
use crate::sql;
use crate::sql::Budget;
use crate::text::SchemaText;

/// The fields of a contract that an Avro schema says. An enum is a string, a fixed is bytes, digits of a second
/// beyond the sixth are cut off.
///
/// # Errors
/// The text is no Avro schema of a record, or has a type that no column can hold.
pub fn to_fields(text: impl Into<SchemaText>) -> Result<Vec<Field>, SchemaError> {
    let avro = Avro::parse_strictly(text)?;
    let mut reader = Reader {
        avro: &avro,
        path: Vec::new(),
        open: vec![avro.root()],
        budget: Budget::new(),
    };
    avro.fields()?;
    sql::contract(reader.record(avro.root())?)
}

/// The SQL type of a type of a schema, and whether it may be null: what a contract read from the schema has.
///
/// # Errors
/// No column can hold it.
pub fn sql_type(avro: &Avro, id: Id) -> Result<(DataType, bool), SchemaError> {
    let mut reader = Reader {
        avro,
        path: Vec::new(),
        open: Vec::new(),
        budget: Budget::new(),
    };
    reader.type_(id)
}

struct Reader<'a> {
    avro: &'a Avro,
    path: Vec<String>,
    /// The records that we are in.
    open: Vec<Id>,
    budget: Budget,
}

impl Reader<'_> {
    fn refuse<T>(&self, message: impl Into<String>) -> Result<T, SchemaError> {
        Err(SchemaError::at(&self.path, message))
    }

    fn record(&mut self, id: Id) -> Result<Vec<StructField>, SchemaError> {
        let avro = self.avro;
        let Kind::Record { fields, .. } = &avro.node(id).kind else {
            return self.refuse("a record is needed here");
        };
        let mut made = Vec::with_capacity(fields.len());
        for field in fields {
            self.path.push(field.name.clone());
            self.budget.take(&self.path)?;
            let (data_type, nullable) = self.type_(field.node)?;
            if let Some(default) = &field.default
                && defaults::encoded(avro, field.node, default).is_none()
            {
                return self.refuse(
                    "its default is no value of its type, so that nobody could read a record without the field; correct the default, or leave it out",
                );
            }
            made.push(StructField {
                name: field.name.clone(),
                data_type,
                nullable,
            });
            self.path.pop();
        }
        Ok(made)
    }

    fn type_(&mut self, id: Id) -> Result<(DataType, bool), SchemaError> {
        if self.path.len() > MAX_DEPTH {
            return self.refuse(format!(
                "a contract is nested {MAX_DEPTH} levels deep at most"
            ));
        }
        let avro = self.avro;
        let node = avro.node(id);
        let data_type = match &node.kind {
            Kind::Union(branches) => {
                let is_null = |id: &&Id| matches!(avro.node(**id).kind, Kind::Null);
                let others: Vec<Id> = branches.iter().filter(|id| !is_null(id)).copied().collect();
                return match others[..] {
                    [only] => Ok((self.type_(only)?.0, others.len() < branches.len())),
                    [] => self.refuse("a field that is always null says nothing; leave it out"),
                    _ => Ok((self.union(id)?, others.len() < branches.len())),
                };
            }
            Kind::Null => {
                return self.refuse("a field that is always null says nothing; leave it out");
            }
            Kind::Bytes | Kind::Fixed { .. } => match node.logical {
                Logical::Decimal { precision, scale } => match (u8::try_from(precision), scale) {
                    (Ok(precision @ 1..=38), scale) => DataType::Decimal {
                        precision,
                        scale: scale as u8,
                    },
                    _ => {
                        return self
                            .refuse(format!("a decimal has 38 digits at most, not {precision}"));
                    }
                },
                Logical::Uuid => DataType::String,
                _ => DataType::Bytes,
            },
            Kind::Boolean => DataType::Boolean,
            Kind::Int => match node.logical {
                Logical::Date => DataType::Date,
                Logical::TimeMillis => DataType::Time,
                _ => DataType::Int,
            },
            Kind::Long => match node.logical {
                Logical::TimeMicros => DataType::Time,
                Logical::Timestamp(1_000) => DataType::TimestampLtz(3),
                Logical::Timestamp(_) => DataType::TimestampLtz(6),
                Logical::LocalTimestamp(1_000) => DataType::Timestamp(3),
                Logical::LocalTimestamp(_) => DataType::Timestamp(6),
                _ => DataType::BigInt,
            },
            Kind::Float => DataType::Float,
            Kind::Double => DataType::Double,
            Kind::String | Kind::Enum { .. } => DataType::String,
            Kind::Array(item) => DataType::Array(Box::new(self.within(*item, "[]")?)),
            Kind::Map(value) => DataType::Map(Box::new(self.within(*value, "{}")?)),
            Kind::Record { name, fields } => {
                if self.open.contains(&id) {
                    return self.refuse(format!(
                        "the record {name} holds itself, and a column has an end; say how deep it goes by records of their own"
                    ));
                }
                if fields.is_empty() {
                    return self.refuse(format!(
                        "the record {name} has no fields; a struct has at least one"
                    ));
                }
                self.open.push(id);
                let fields = self.record(id)?;
                self.open.pop();
                DataType::Struct(fields)
            }
        };
        Ok((data_type, false))
    }

    /// A field for each of the union's types.
    fn union(&mut self, id: Id) -> Result<DataType, SchemaError> {
        let branches = union::branches(self.avro, id).unwrap_or_default();
        if branches.len() > union::MAX_BRANCHES {
            return self.refuse(format!(
                "the union has {} types, and a column {} at most; make records of them",
                branches.len(),
                union::MAX_BRANCHES
            ));
        }
        let mut fields: Vec<StructField> = Vec::with_capacity(branches.len());
        for (branch, name) in branches {
            self.path.push(name.clone());
            self.budget.take(&self.path)?;
            if fields.iter().any(|field| field.name == name) {
                return self.refuse(
                    "two types of the union would be the field of this name; rename one of them",
                );
            }
            let (data_type, _) = self.type_(branch)?;
            fields.push(StructField {
                name,
                data_type,
                nullable: true,
            });
            self.path.pop();
        }
        Ok(DataType::Struct(fields))
    }

    fn within(&mut self, id: Id, step: &str) -> Result<DataType, SchemaError> {
        self.path.push(step.to_owned());
        let (data_type, _) = self.type_(id)?;
        self.path.pop();
        Ok(data_type)
    }
}
