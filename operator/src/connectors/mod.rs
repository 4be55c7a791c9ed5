//! What each kind of source and of store says of its spec: what can be wrong with it, where it is, which files its pods
//! need, what it leaves open, which columns it takes.
//!
//! Two lists, [`sources::KINDS`] and [`stores::KINDS`], of one file each kind; `runtime/connectors` has the same two of what
//! runs. Pure, so that the reconcile, admission, the planner and the command line ask the same.

pub mod sources;
pub mod stores;

use crate::reason::ConnectorReason;

/// The words that the operator says of one kind of source or store alone, of all kinds.
pub fn reasons() -> impl Iterator<Item = ConnectorReason> {
    let sources = sources::KINDS.iter().map(|kind| kind.reasons);
    sources
        .chain(stores::KINDS.iter().map(|kind| kind.reasons))
        .flatten()
        .copied()
}

#[cfg(test)]
mod tests {
    use headworks_plan::Reason;

    use super::*;
    use crate::reason::ConditionReason;

    #[test]
    fn a_kind_s_own_word_is_nobody_else_s() {
        let words: Vec<&str> = reasons().map(ConnectorReason::as_str).collect();
        assert!(words.contains(&"TokenInClear") && words.contains(&"StoreWithoutTls"));
        for (place, word) in words.iter().enumerate() {
            assert!(!words[..place].contains(word), "{word}");
            assert_eq!(ConditionReason::from_word(word), None, "{word}");
            assert_eq!(Reason::from_word(word), None, "{word}");
        }
    }
}
