//! From a contract to SQL types and back.

use headworks_plan::{Contract, Field};
use headworks_sql::schema::Schema;
use headworks_sql::types::{DataType, StructField};

use crate::error::SchemaError;
use crate::limits::{MAX_COLUMNS, MAX_FIELDS};

/// The contract's fields with their types.
pub(crate) fn fields(contract: &Contract) -> Result<Vec<StructField>, SchemaError> {
    let schema = Schema::from_contract(contract).map_err(|error| {
        let field = error.problems.first().map(|p| p.field.clone());
        SchemaError {
            place: field.map(|f| format!("field {f}")).unwrap_or_default(),
            message: error.to_string(),
        }
    })?;
    let fields = schema.columns.into_iter().map(|column| StructField {
        name: column.name,
        data_type: column.data_type,
        nullable: column.nullable,
    });
    Ok(fields.collect())
}

/// Fields of a contract, from what a definition says.
pub(crate) fn contract(fields: Vec<StructField>) -> Result<Vec<Field>, SchemaError> {
    if fields.is_empty() {
        return Err(SchemaError::whole(
            "the record has no fields; a contract has at least one",
        ));
    }
    if fields.len() > MAX_COLUMNS {
        return Err(SchemaError::whole(format!(
            "the record has {} fields, and a contract has {MAX_COLUMNS} at most; group some of them in a nested record",
            fields.len()
        )));
    }
    let made = fields.into_iter().map(|field| {
        let type_ = field.data_type.to_string();
        // Its own limits of length and depth, so that what is accepted here is accepted everywhere.
        if let Err(error) = type_.parse::<DataType>() {
            return Err(SchemaError::at(
                std::slice::from_ref(&field.name),
                format!("its type is too large for a contract: {}", error.message),
            ));
        }
        Ok(Field::new(field.name, type_, field.nullable))
    });
    made.collect()
}

/// Counts fields, so that a text that uses a record many times over can't grow without limit.
pub(crate) struct Budget(usize);

impl Budget {
    pub(crate) fn new() -> Budget {
        Budget(MAX_FIELDS)
    }

    pub(crate) fn take(&mut self, path: &[String]) -> Result<(), SchemaError> {
        self.0 = self.0.checked_sub(1).ok_or_else(|| {
            SchemaError::at(
                path,
                format!("more than {MAX_FIELDS} fields, those of nested records counted at each place where they stand"),
            )
        })?;
        Ok(())
    }
}
