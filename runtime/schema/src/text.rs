//! A schema's text together with those that it refers to: a Protobuf file and its imports, an Avro schema and the texts
//! whose types it uses.

use headworks_plan::{Definition, KnownSchema, ReferencedSchema};

use crate::error::SchemaError;
use crate::limits::{MAX_REFERENCED, MAX_REFERENCES};

/// A schema's text, and the ones that it needs. A text alone is made into one that needs none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaText {
    /// The schema itself.
    pub text: String,
    /// Those that it refers to, and those that they refer to, in any order.
    pub references: Vec<ReferencedSchema>,
}

impl SchemaText {
    /// Refuses what would take too much work.
    pub(crate) fn within_limits(&self) -> Result<(), SchemaError> {
        let count = self.references.len();
        if count > MAX_REFERENCES {
            return Err(SchemaError::whole(format!(
                "the schema refers to {count} others, and {MAX_REFERENCES} are the most; put some of them together"
            )));
        }
        let bytes: usize = self.references.iter().map(|r| r.text.len()).sum();
        if bytes > MAX_REFERENCED {
            return Err(SchemaError::whole(format!(
                "the schemas that this one refers to may have {MAX_REFERENCED} bytes, these have {bytes}"
            )));
        }
        Ok(())
    }

    /// What it refers to, for people; the first eight.
    pub(crate) fn listed(&self) -> String {
        let names = self.references.iter().map(|r| r.name.as_str());
        let mut said = names.take(8).collect::<Vec<_>>().join(", ");
        if self.references.len() > 8 {
            said.push_str(", …");
        }
        said
    }
}

impl From<&str> for SchemaText {
    fn from(text: &str) -> SchemaText {
        SchemaText {
            text: text.to_owned(),
            references: Vec::new(),
        }
    }
}

impl From<&String> for SchemaText {
    fn from(text: &String) -> SchemaText {
        text.as_str().into()
    }
}

impl From<&SchemaText> for SchemaText {
    fn from(text: &SchemaText) -> SchemaText {
        text.clone()
    }
}

impl From<&KnownSchema> for SchemaText {
    fn from(known: &KnownSchema) -> SchemaText {
        SchemaText {
            text: known.schema.clone(),
            references: known.references.clone(),
        }
    }
}

impl From<&Definition> for SchemaText {
    fn from(definition: &Definition) -> SchemaText {
        SchemaText {
            text: definition.schema.clone(),
            references: definition.references.clone(),
        }
    }
}
