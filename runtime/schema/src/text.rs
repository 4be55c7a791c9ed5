//! A schema's text together with those that it refers to: a Protobuf file and its imports, an Avro schema and the types of
//! others that it uses.

/// A schema's text, and the ones that it needs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SchemaText {
    /// The schema itself.
    pub text: String,
    /// Those that it refers to. What one of them needs stands before it.
    pub references: Vec<ReferencedSchema>,
}

/// A schema that another one needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReferencedSchema {
    /// What it is called there: of Protobuf the import's path, of Avro a type's full name.
    pub name: String,
    /// Its text.
    pub text: String,
}

impl From<&str> for SchemaText {
    fn from(text: &str) -> SchemaText {
        SchemaText {
            text: text.to_owned(),
            references: Vec::new(),
        }
    }
}
