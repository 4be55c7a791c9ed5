//! Objects of two kinds whose pods would be called the same. Kubernetes holds one StatefulSet and one Deployment of a name, and each kind
//! calls its own by the object. The second to come is refused by the first one's owner reference (`OwnedByAnother`); here it is told before.
//! Pure.

/// Kinds of which two objects of one name in one namespace exclude each other, and by what.
const RIVALS: [([&str; 2], &str); 2] = [
    (["Pipeline", "Replay"], "StatefulSet"),
    (["Source", "DataStore"], "Deployment"),
];

/// The kind that mustn't have an object of the same name.
pub fn rival(kind: &str) -> Option<&'static str> {
    let mut pairs = RIVALS.iter().map(|(pair, _)| pair);
    pairs.find_map(|[one, other]| match kind {
        _ if kind == *one => Some(*other),
        _ if kind == *other => Some(*one),
        _ => None,
    })
}

/// What is said where there is one.
pub fn fault(kind: &str, name: &str) -> Option<String> {
    let rival = rival(kind)?;
    let mut pairs = RIVALS.iter();
    let what = pairs.find(|(pair, _)| pair.contains(&kind))?.1;
    Some(format!(
        "metadata.name: a {rival} is called {name}, too, and the pods of both belong to the {what} of this name, of which there is one: give one of them another name"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_kinds_exclude_each_other_and_the_others_nobody() {
        assert_eq!(
            (rival("Pipeline"), rival("Replay")),
            (Some("Replay"), Some("Pipeline"))
        );
        assert_eq!(
            (rival("Source"), rival("DataStore")),
            (Some("DataStore"), Some("Source"))
        );
        assert_eq!(
            (rival("DataStream"), fault("DataStream", "a")),
            (None, None)
        );
        let said = fault("Replay", "again").unwrap();
        assert!(
            said.contains("a Pipeline is called again") && said.contains("StatefulSet"),
            "{said}"
        );
    }
}
