//! A schema by its id, with those that it refers to.
//!
//! A Protobuf file that imports others, and an Avro schema that uses types of others, stand in a registry with
//! references: a name (the import, or the type's full name), and the subject and version where the text is. The other
//! text may have references of its own.

use std::collections::HashSet;

use headworks_plan::ReferencedSchema;
use serde::{Deserialize, Serialize};

use super::{Registry, RegistryError, escaped};
use crate::limits::{MAX_REFERENCED, MAX_REFERENCES};
use crate::text::SchemaText;

#[derive(Deserialize)]
struct Text {
    schema: String,
    #[serde(default)]
    references: Option<Vec<Reference>>,
}

/// Where a text stands that another one needs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reference {
    /// What it is called there: the import, or the type's full name.
    pub name: String,
    /// The subject that has it.
    pub subject: String,
    /// Its number under the subject, from 1.
    pub version: u32,
}

/// What is to be done next: on a heap, as chains may be long.
enum Todo {
    Ask(Reference),
    /// All that it needs is there.
    Keep(ReferencedSchema),
}

impl Registry {
    /// The schema with this id.
    ///
    /// # Errors
    /// [`RegistryError::NotFound`]: there is none.
    pub async fn schema_by_id(&self, id: u32) -> Result<SchemaText, RegistryError> {
        let text: Text = self.ask("GET", &format!("/schemas/ids/{id}"), None).await?;
        let mut written = SchemaText {
            text: text.schema,
            references: Vec::new(),
        };
        let mut todo: Vec<Todo> = asked(text.references);
        let mut seen: HashSet<(String, String, u32)> = HashSet::new();
        let mut bytes = 0;
        while let Some(next) = todo.pop() {
            let reference = match next {
                Todo::Keep(referenced) => {
                    written.references.push(referenced);
                    continue;
                }
                Todo::Ask(reference) => reference,
            };
            let (name, subject, version) = (reference.name, reference.subject, reference.version);
            if !seen.insert((name.clone(), subject.clone(), version)) {
                continue;
            }
            if seen.len() > MAX_REFERENCES {
                return Err(RegistryError::References {
                    message: format!("there are more than {MAX_REFERENCES} of them"),
                });
            }
            let path = format!("/subjects/{}/versions/{version}", escaped(&subject));
            let found: Text = match self.ask("GET", &path, None).await {
                Err(RegistryError::NotFound { message }) => {
                    return Err(RegistryError::References {
                        message: format!("{subject}, version {version}, isn't there: {message}"),
                    });
                }
                other => other?,
            };
            bytes += found.schema.len();
            if bytes > MAX_REFERENCED {
                return Err(RegistryError::References {
                    message: format!("they have more than {MAX_REFERENCED} bytes"),
                });
            }
            todo.push(Todo::Keep(ReferencedSchema {
                name,
                text: found.schema,
            }));
            todo.extend(asked(found.references));
        }
        Ok(written)
    }
}

fn asked(references: Option<Vec<Reference>>) -> Vec<Todo> {
    let all = references.unwrap_or_default();
    // The last one is taken first.
    all.into_iter().rev().map(Todo::Ask).collect()
}
