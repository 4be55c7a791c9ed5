//! Texts that a stream's definition needs, in the registry: each under a subject of its own, before those that need it.
//!
//! The subjects are the topic's: a name such as `common/money.proto` says nothing of whose file it is, and in a subject that
//! streams share one could put another text under it.

use std::collections::HashMap;

use headworks_plan::{Definition, Format};
use headworks_schema::{
    needs::in_order,
    registry::{Entry, Reference},
};

use super::Text;
use crate::{
    contract::references::SUBJECT, reason::ConditionReason, registry_pool::Registry, retry::Error,
};

/// Sees to it that the registry has the texts that the definition needs, and says where those are that it needs by itself.
///
/// # Errors
/// As [`super::register`]; `RegistryRefused` also where the registry doesn't say what number it gave a text.
pub(super) async fn register(
    registry: &Registry,
    topic: &str,
    format: Format,
    definition: &Definition,
) -> Result<Vec<Reference>, Error> {
    let (texts, own) = in_order(definition)
        .map_err(|error| Error::stalled(ConditionReason::InvalidSchema, error.to_string()))?;
    let mut there: HashMap<String, Reference> = HashMap::new();
    for text in texts {
        let name = text.schema.name;
        let subject = subject(topic, &name);
        let needed = of(&there, &text.needs);
        let one = Text {
            format,
            schema: &text.schema.text,
            needed: &needed,
        };
        let Entry { version, .. } = one
            .find_or_register(registry, &subject, false, || Ok(()))
            .await?;
        let Some(version) = version else {
            return Err(Error::stalled(
                ConditionReason::RegistryRefused,
                format!(
                    "the schema registry doesn't say which version of subject {subject} has {name}, so no schema can refer to it: copy its text into the definition"
                ),
            ));
        };
        let reference = Reference {
            name: name.clone(),
            subject,
            version,
        };
        there.insert(name, reference);
    }
    Ok(of(&there, &own))
}

fn of(there: &HashMap<String, Reference>, names: &[String]) -> Vec<Reference> {
    let found = names.iter().filter_map(|name| there.get(name).cloned());
    found.collect()
}

/// The subject of a text that a stream's definition needs. Its name may have slashes, which not every registry takes in a subject; what
/// could make it another topic's subject is refused with the spec.
fn subject(topic: &str, name: &str) -> String {
    format!("{topic}{SUBJECT}{}", name.replace('/', "."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_s_subject_is_the_topic_s() {
        assert_eq!(
            subject("shop.orders", "common/money.proto"),
            "shop.orders-reference-common.money.proto"
        );
    }
}
