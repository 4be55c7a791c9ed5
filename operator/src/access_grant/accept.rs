//! Whose grants a namespace takes: its own word, in an annotation that names the grantors. Pure: admission and the command line ask
//! the same.
//!
//! A bare `true` let every namespace of the cluster write a Secret there, and name itself in it. As a label it is read for one more
//! release.

use std::collections::BTreeMap;

use headworks_crds::ACCEPT_GRANTS;

/// What a namespace says to the grants of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Word {
    /// It takes them.
    Accepts,
    /// It takes everybody's, by the label of before.
    AcceptsAll,
    /// It doesn't.
    Refuses,
}

/// The word of a namespace with these labels and this annotation to grants of namespace `grantor`. Where both are there the
/// annotation counts.
pub fn word(labels: &BTreeMap<String, String>, annotation: Option<&str>, grantor: &str) -> Word {
    if let Some(annotation) = annotation {
        let fits = |name: &str| name == "*" || name == grantor;
        return if names(annotation).any(fits) {
            Word::Accepts
        } else {
            Word::Refuses
        };
    }
    match labels.get(ACCEPT_GRANTS).map(String::as_str) {
        Some("true") => Word::AcceptsAll,
        _ => Word::Refuses,
    }
}

fn names(annotation: &str) -> impl Iterator<Item = &str> {
    annotation
        .split([',', ' ', '\n'])
        .map(str::trim)
        .filter(|name| !name.is_empty())
}

/// What is to be done where a namespace refuses.
pub fn refusal(namespace: &str, grantor: &str) -> String {
    format!(
        "namespace {namespace} doesn't accept grants of namespace {grantor}: whoever owns it annotates it {ACCEPT_GRANTS}: {grantor} (several with commas between them)"
    )
}

/// What is said where it takes everybody's by its label.
pub fn outdated(namespace: &str, grantor: &str) -> String {
    format!(
        "namespace {namespace} accepts everybody's grants by the label {ACCEPT_GRANTS}: \"true\", which the next release doesn't read: whoever owns it annotates it {ACCEPT_GRANTS}: {grantor} instead"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_names_whose_grants_it_takes() {
        let label = BTreeMap::from([(ACCEPT_GRANTS.to_owned(), "true".to_owned())]);
        let other = BTreeMap::from([(ACCEPT_GRANTS.to_owned(), "yes".to_owned())]);
        let none = BTreeMap::new();
        for (labels, annotation, expected) in [
            (&none, None, Word::Refuses),
            (&label, None, Word::AcceptsAll),
            (&other, None, Word::Refuses),
            (&none, Some("shop"), Word::Accepts),
            (&none, Some("crm, shop"), Word::Accepts),
            (&none, Some("crm,shop-a"), Word::Refuses),
            (&none, Some("*"), Word::Accepts),
            (&none, Some("true"), Word::Refuses),
            // Who names some doesn't mean everybody any more.
            (&label, Some("crm"), Word::Refuses),
            (&label, Some(""), Word::Refuses),
        ] {
            assert_eq!(word(labels, annotation, "shop"), expected, "{annotation:?}");
        }
    }
}
