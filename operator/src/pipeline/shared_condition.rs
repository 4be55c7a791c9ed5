//! What a status says of targets that others write, too.

use crate::{
    planning::shared::{Shared, words},
    reason::ConditionReason,
    status::ExtraCondition,
};

/// The condition's type.
const SHARED_TARGET: &str = "SharedTarget";
/// Its reason.
const REASON: ConditionReason = ConditionReason::SeveralWriters;

/// The condition of a Pipeline some of whose targets are shared.
pub fn shared_condition(shared: &Shared) -> Option<ExtraCondition> {
    if shared.is_empty() {
        return None;
    }
    Some(ExtraCondition {
        type_: SHARED_TARGET,
        reason: REASON.into(),
        message: format!(
            "{}. Rows of one key replace each other's, and what both write is there twice: give each a target of its own, or make one query of them with UNION ALL",
            words(shared)
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_else_is_no_condition() {
        assert_eq!(shared_condition(&Shared::new()), None);
        let writers = ["Source in".to_owned()].into();
        let shared = Shared::from([("stream/a".to_owned(), writers)]);
        let message = shared_condition(&shared).unwrap().message;
        assert!(
            message.starts_with("stream a is written by Source in, too. Rows of one key"),
            "{message}"
        );
    }
}
