//! Columns with types: what a stream holds and what a query gives.

use std::fmt;
use std::sync::Arc;

use arrow::datatypes::{Field, Schema as ArrowSchema, SchemaRef};
use headworks_plan::Contract;

use crate::suggest::nearest;
use crate::types::DataType;

/// Columns in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Schema {
    /// The columns; names are distinct.
    pub columns: Vec<Column>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Column {
    /// Name, case-sensitive.
    pub name: String,
    /// Type.
    pub data_type: DataType,
    /// True: the column may be null.
    pub nullable: bool,
    /// Labels such as `pii`, sorted.
    pub labels: Vec<String>,
}

/// Everything that is wrong with a contract's fields, key and event time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaError {
    /// One entry a problem.
    pub problems: Vec<Problem>,
}

/// One thing wrong with a contract.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field's name.
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl std::error::Error for SchemaError {}

impl fmt::Display for SchemaError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.problems.iter().enumerate() {
            let separator = if i == 0 { "" } else { "; " };
            write!(
                f,
                "{separator}field \"{}\": {}",
                problem.field, problem.message
            )?;
        }
        Ok(())
    }
}

impl Schema {
    /// Reads a contract's fields, and checks that its key and event time fit them.
    pub fn from_contract(contract: &Contract) -> Result<Self, SchemaError> {
        let mut problems = Vec::new();
        let mut columns: Vec<Column> = Vec::new();
        for field in &contract.fields {
            let mut refuse = |message: String| {
                problems.push(Problem {
                    field: field.name.clone(),
                    message,
                });
            };
            if field.name.is_empty() || field.name.len() > 128 {
                refuse("a name has 1 to 128 characters".to_owned());
            } else if field.name.contains(['.', '`']) || field.name.chars().any(char::is_control) {
                refuse("a name has no dot, backtick or control character".to_owned());
            }
            if columns.iter().any(|c| c.name == field.name) {
                refuse("the name is used twice".to_owned());
            }
            match field.type_.parse::<DataType>() {
                Ok(data_type) => {
                    let mut labels = field.labels.clone();
                    labels.sort();
                    labels.dedup();
                    columns.push(Column {
                        name: field.name.clone(),
                        data_type,
                        nullable: field.nullable,
                        labels,
                    });
                }
                Err(error) => refuse(format!("type `{}`, {error}", field.type_)),
            }
        }
        if contract.fields.is_empty() {
            problems.push(Problem {
                field: String::new(),
                message: "a contract has at least one field".to_owned(),
            });
        }
        let schema = Self { columns };
        // With a broken field, what follows could only repeat the same news.
        if problems.is_empty() {
            schema.check_roles(contract, &mut problems);
        }
        if problems.is_empty() {
            Ok(schema)
        } else {
            Err(SchemaError { problems })
        }
    }

    fn check_roles(&self, contract: &Contract, problems: &mut Vec<Problem>) {
        for key in &contract.key {
            let message = match self.path(key) {
                Err(message) => format!("the key names it, but {message}"),
                Ok(Column {
                    data_type: DataType::Array(_) | DataType::Map(_) | DataType::Struct(_),
                    ..
                }) => "a key is made of single values, not of arrays, maps or structs".to_owned(),
                Ok(Column {
                    data_type: DataType::Float | DataType::Double,
                    ..
                }) => "a float or double is no key: equal numbers may be written differently"
                    .to_owned(),
                Ok(_) => continue,
            };
            problems.push(Problem {
                field: key.clone(),
                message,
            });
        }
        if let Some(event_time) = &contract.event_time {
            let message = match self.path(&event_time.field) {
                Err(message) => format!("eventTime names it, but {message}"),
                Ok(Column {
                    data_type: DataType::TimestampLtz(_),
                    ..
                }) => return,
                Ok(Column { data_type, .. }) => {
                    format!(
                        "event time is an instant: its type is timestamp_ltz(3), not {data_type}"
                    )
                }
            };
            problems.push(Problem {
                field: event_time.field.clone(),
                message,
            });
        }
    }

    /// The column or nested struct field of a dotted path such as `customer.id`; `Err` says what is missing.
    pub fn path(&self, path: &str) -> Result<Column, String> {
        let mut steps = path.split('.');
        let first = steps.next().unwrap_or_default();
        let mut found = self
            .column(first)
            .cloned()
            .ok_or_else(|| missing(first, self.names()))?;
        for step in steps {
            let DataType::Struct(fields) = &found.data_type else {
                return Err(format!(
                    "\"{}\" is {}, which has no fields",
                    found.name, found.data_type
                ));
            };
            let field = fields.iter().find(|f| f.name == step);
            let field = field
                .ok_or_else(|| missing(step, fields.iter().map(|f| f.name.as_str())))?
                .clone();
            found = Column {
                name: format!("{}.{step}", found.name),
                data_type: field.data_type,
                nullable: found.nullable || field.nullable,
                labels: found.labels,
            };
        }
        Ok(found)
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|c| c.name == name)
    }

    /// Column names in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|c| c.name.as_str())
    }

    /// The Arrow schema, in the same order.
    pub fn to_arrow(&self) -> SchemaRef {
        let fields: Vec<Field> = self
            .columns
            .iter()
            .map(|c| Field::new(&c.name, c.data_type.to_arrow(), c.nullable))
            .collect();
        Arc::new(ArrowSchema::new(fields))
    }
}

fn missing<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> String {
    match nearest(name, names) {
        Some(near) => format!("there is no \"{name}\"; did you mean \"{near}\"?"),
        None => format!("there is no \"{name}\""),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headworks_plan::{EventTime, Field as PlanField};

    fn field(name: &str, type_: &str) -> PlanField {
        PlanField {
            name: name.into(),
            type_: type_.into(),
            nullable: false,
            labels: vec![],
        }
    }

    #[test]
    fn a_contract_becomes_columns() {
        let contract = Contract {
            fields: vec![
                field("id", "bigint"),
                field("who", "struct<name string not null>"),
                field("at", "timestamp_ltz(3)"),
            ],
            key: vec!["who.name".into()],
            event_time: Some(EventTime {
                field: "at".into(),
                max_out_of_orderness_ms: 0,
                idle_timeout_ms: None,
            }),
            ..Contract::default()
        };
        let schema = Schema::from_contract(&contract).unwrap();
        assert_eq!(schema.names().collect::<Vec<_>>(), ["id", "who", "at"]);
        assert_eq!(schema.path("who.name").unwrap().data_type, DataType::String);
        assert_eq!(
            schema.to_arrow().field(0).data_type(),
            &arrow::datatypes::DataType::Int64
        );
        assert!(!schema.to_arrow().field(0).is_nullable());
    }

    #[test]
    fn every_problem_of_a_contract_is_named() {
        let contract = Contract {
            fields: vec![
                field("a", "varchar"),
                field("a", "int"),
                field("b", "int"),
                field("b", "int"),
            ],
            ..Contract::default()
        };
        let text = Schema::from_contract(&contract).unwrap_err().to_string();
        assert!(
            text.contains("field \"a\": type `varchar`, at character 1")
                && text.contains("did you mean `string`?"),
            "{text}"
        );
        assert!(
            text.contains("field \"b\": the name is used twice"),
            "{text}"
        );
    }

    #[test]
    fn key_and_event_time_must_fit_the_fields() {
        let contract = Contract {
            fields: vec![
                field("user_id", "bigint"),
                field("tags", "array<string>"),
                field("at", "timestamp(3)"),
            ],
            key: vec!["userid".into(), "tags".into()],
            event_time: Some(EventTime {
                field: "at".into(),
                max_out_of_orderness_ms: 0,
                idle_timeout_ms: None,
            }),
            ..Contract::default()
        };
        let text = Schema::from_contract(&contract).unwrap_err().to_string();
        assert!(text.contains("did you mean \"user_id\"?"), "{text}");
        assert!(
            text.contains("not of arrays")
                && text.contains("its type is timestamp_ltz(3), not timestamp(3)"),
            "{text}"
        );
    }
}
