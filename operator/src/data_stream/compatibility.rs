//! Whether the spec's contract may follow the one in force, and what is promised afterwards.
//!
//! `spec.compatibility` is part of the promise: whoever reads a stream relies on the mode its contract was accepted
//! under. So the mode in force is in the status, and a change of both, mode and contract, is judged by both. A mode
//! that is applied alone counts from then on.

use headworks_crds::{Compatibility, DataStream};
use headworks_plan::Contract;
use kube::ResourceExt;

use crate::{
    context::Context,
    contract::{fingerprint, revision::Revision},
    evolution::{self, Earlier, Refusal, Rules},
    impact,
    names::Key,
    status::MAX_MESSAGE,
};

/// Why the new contract may not follow the one in force, unless the object's annotation permits just this change. Pure. `earlier` are
/// the contracts before the one in force, newest first.
pub(super) fn refusal(
    stream: &DataStream,
    key: &Key,
    (in_force, promised): (&Revision, Compatibility),
    earlier: &[Revision],
    new: &Contract,
) -> Option<Refusal> {
    let accepted: Vec<Earlier<'_>> = std::iter::once(in_force)
        .chain(earlier)
        .map(|a| Earlier {
            version: a.version,
            contract: &a.contract,
        })
        .collect();
    let rules = Rules {
        accepted: promised,
        wanted: stream.spec.compatibility,
    };
    evolution::refusal(
        (&key.namespace, &key.name),
        rules,
        stream.annotations(),
        (&accepted, &in_force.used),
        new,
    )
    .filter(|refusal| !refusal.permitted)
}

/// A refusal in the words of admission, which may have been asleep: with whom the change would hit.
pub(super) fn message(
    stream: &DataStream,
    key: &Key,
    refusal: &Refusal,
    asked: &Contract,
    context: &Context,
) -> String {
    let before = context.stores.snapshot(&key.namespace, None);
    let mut after = before.clone();
    let name = (key.namespace.clone(), key.name.clone());
    after.change(&name, &stream.spec, stream.annotations(), asked.clone());
    let impact = impact::impact(&before, &after);
    refusal.message(MAX_MESSAGE, |most| impact.list(most))
}

/// The change's fingerprint, if the object's annotation says it: then it is used, whether it was needed or not.
pub(super) fn permission(
    stream: &DataStream,
    key: &Key,
    in_force: &Revision,
    new: &Contract,
) -> Option<String> {
    let (old, new) = (fingerprint(&in_force.contract), fingerprint(new));
    let name = (key.namespace.as_str(), key.name.as_str());
    let change = evolution::change(name, &old, &new, &in_force.used);
    (evolution::permitted(stream.annotations()) == Some(change.as_str())).then_some(change)
}

/// The mode in force after a reconcile: the spec's, once the spec's contract is in force. One that comes with a contract
/// that isn't accepted doesn't count.
pub(super) fn in_force(
    settled: bool,
    spec: Compatibility,
    promised: Compatibility,
) -> Compatibility {
    if settled { spec } else { promised }
}

#[cfg(test)]
mod tests {
    use headworks_crds::{ANNOTATION_ALLOW_BREAKING, AcceptedContract};
    use serde_json::json;

    use super::*;
    use crate::contract::{contract, obeyed};

    /// A stream as the reconcile goes through it, without a cluster.
    struct Life {
        accepted: Revision,
        status: Option<AcceptedContract>,
    }

    fn stream(type_: &str, mode: &str, annotation: &str) -> DataStream {
        serde_json::from_value(
            json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "DataStream",
            "metadata": {"name": "orders", "namespace": "shop", "annotations": {ANNOTATION_ALLOW_BREAKING: annotation}},
            "spec": {"schema": [{"name": "n", "type": type_}], "compatibility": mode}}),
        )
        .unwrap()
    }

    impl Life {
        fn begin(type_: &str, mode: &str) -> Self {
            let stream = stream(type_, mode, "");
            Self {
                accepted: Revision {
                    version: 1,
                    contract: obeyed(&contract(&stream.spec)),
                    topic: "shop.orders".into(),
                    platform: "default".into(),
                    kept: vec![],
                    schema_ids: vec![],
                    compatibility: Some(stream.spec.compatibility),
                    used: vec![],
                },
                status: None,
            }
        }

        /// One reconcile; gives the fingerprint where it refuses.
        fn apply(&mut self, type_: &str, mode: &str, annotation: &str) -> Option<String> {
            let stream = stream(type_, mode, annotation);
            let key = Key::of(&stream);
            let wanted = obeyed(&contract(&stream.spec));
            let spec = stream.spec.compatibility;
            let promised = self.accepted.promise(self.status.as_ref(), spec);
            let refused = refusal(&stream, &key, (&self.accepted, promised), &[], &wanted);
            if refused.is_none() && fingerprint(&wanted) != fingerprint(&self.accepted.contract) {
                let used = permission(&stream, &key, &self.accepted, &wanted);
                self.accepted = Revision {
                    version: self.accepted.version.saturating_add(1),
                    used: self.accepted.used_with(used),
                    contract: wanted,
                    compatibility: Some(spec),
                    ..self.accepted.clone()
                };
            }
            self.status = Some(AcceptedContract {
                compatibility: Some(in_force(refused.is_none(), spec, promised)),
                ..self.accepted.reference("orders")
            });
            refused.map(|refusal| refusal.change)
        }
    }

    #[test]
    fn a_mode_that_is_loosened_with_the_contract_does_not_count_yet() {
        let mut life = Life::begin("bigint", "Backward");
        assert_eq!(life.apply("bigint", "Backward", ""), None);
        let print = life.apply("int", "None", "").expect("refused");
        // It stays refused, however often it is looked at.
        assert_eq!(life.apply("int", "None", ""), Some(print.clone()));
        // By its fingerprint it passes, and then the new mode is in force.
        assert_eq!(life.apply("int", "None", &print), None);
        assert_eq!(life.apply("string", "None", ""), None);
        // Tightened with a change that the mode before permits: the new one has a say, too.
        assert!(life.apply("int", "Backward", "").is_some());
    }

    #[test]
    fn a_mode_that_is_loosened_alone_counts_for_the_next_change() {
        let mut life = Life::begin("bigint", "Backward");
        assert_eq!(life.apply("bigint", "None", ""), None);
        assert_eq!(life.apply("int", "None", ""), None);
        // Made anew under Retain: what was accepted under a mode is judged by it.
        life.status = None;
        assert_eq!(
            life.apply("boolean", "Backward", "").map(|p| p.len()),
            Some(16)
        );
    }

    #[test]
    fn a_fingerprint_that_stays_in_the_file_permits_nothing_the_second_time() {
        let mut life = Life::begin("bigint", "Backward");
        let print = life.apply("int", "Backward", "").unwrap();
        assert_eq!(life.apply("int", "Backward", &print), None);
        for _ in 0..12 {
            assert_eq!(life.apply("bigint", "Backward", &print), None);
            let next = life.apply("int", "Backward", &print).expect("refused");
            assert_ne!(next, print);
            assert_eq!(life.apply("int", "Backward", &next), None);
        }
    }
}
