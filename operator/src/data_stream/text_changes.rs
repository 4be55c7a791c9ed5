//! When a contract is taken that ConfigMaps ask for.
//!
//! Not before they have said the same for a few seconds: who applies two of them, or one and its stream, writes one after the other,
//! and what stands there in between is nobody's contract. And where many streams share a ConfigMap, not by all of them at once: a
//! contract rolls the pods of all that read or write the stream, and those of many streams are many pods.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use headworks_crds::{DataStream, conditions::READY};
use headworks_plan::Contract;

use super::validate::ContractDecision;
use crate::{
    context::Context,
    contract::{fingerprint, references::config_maps},
    names::Key,
    reason::ConditionReason,
    retry::Error,
    rollout_turns::AT_ONCE,
    status::ReconcileOutcome,
};

/// How often a stream looks whether its turn has come; below a minute, so that none is missed.
const TURN: Duration = Duration::from_secs(20);
/// The beginning of what is added to a Ready condition's message.
const NOTE: &str = "; its ConfigMaps ask for another contract, which is taken ";

/// Whether the contract that was decided on has to wait, because it isn't in force yet; none: it is taken now, or nothing is.
pub(super) fn held(
    stream: &DataStream,
    decision: &ContractDecision,
    context: &Context,
) -> Option<Result<ReconcileOutcome, Error>> {
    match decision {
        ContractDecision::Keep(_) => {
            context.settling.settled(&Key::of(stream));
            None
        }
        ContractDecision::Refuse { .. } => None,
        ContractDecision::Accept { next, .. } => waits(stream, &next.contract, context),
    }
}

fn waits(
    stream: &DataStream,
    contract: &Contract,
    context: &Context,
) -> Option<Result<ReconcileOutcome, Error>> {
    if config_maps(&stream.spec).is_empty() {
        return None;
    }
    let key = Key::of(stream);
    let left = context
        .settling
        .left(&key, &fingerprint(contract), Instant::now());
    // What was Ready with this spec goes on with the contract in force.
    let ready = stream
        .status
        .iter()
        .flat_map(|status| &status.conditions)
        .find(|condition| {
            condition.type_ == READY
                && condition.status == "True"
                && condition.observed_generation == stream.metadata.generation
        });
    let Some(ready) = ready else {
        return left.map(|left| {
            let message = "what the ConfigMaps of the definition say was seen just now: the contract is taken when they have said the same for 5 s";
            Err(Error::waiting(ConditionReason::SchemaTextsSettling, message).after(left))
        });
    };
    let (when, again) = if let Some(left) = left {
        ("when they have said the same for 5 s".to_owned(), left)
    } else {
        let sharers = sharers(stream, context);
        let minute = SystemTime::now().duration_since(UNIX_EPOCH);
        let minute = minute.map_or(0, |since| since.as_secs() / 60);
        if is_turn(&sharers, &key, minute) {
            return None;
        }
        let many = sharers.len();
        let when =
            format!("in its turn: {many} streams share them, and {AT_ONCE} a minute take it");
        (when, TURN)
    };
    let before = ready.message.split(NOTE).next().unwrap_or_default();
    let message = format!("{before}{NOTE}{when}");
    Some(Ok(
        ReconcileOutcome::ready(ready.reason.clone(), message).recheck(again)
    ))
}

/// The streams of the namespace that take texts from a ConfigMap from which this one takes some, it among them, in order.
fn sharers(stream: &DataStream, context: &Context) -> Vec<Key> {
    let own = config_maps(&stream.spec);
    let all = context.stores.streams.state();
    let mut sharers: Vec<Key> = all
        .iter()
        .filter_map(|guarded| guarded.0.as_ref().ok())
        .filter(|other| other.metadata.namespace == stream.metadata.namespace)
        .filter(|other| !config_maps(&other.spec).is_disjoint(&own))
        .map(Key::of)
        .collect();
    sharers.sort();
    sharers
}

/// True in the minutes in which it is a stream's turn: three take turns with the next three.
fn is_turn(sharers: &[Key], key: &Key, minute: u64) -> bool {
    let place = sharers.iter().position(|one| one == key).unwrap_or(0);
    let turns = sharers.len().div_ceil(AT_ONCE).max(1);
    minute % turns as u64 == (place / AT_ONCE) as u64
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        context::testing::{self, store},
        stores::Stores,
    };

    fn stream(name: &str, map: &str, ready: &str) -> DataStream {
        let status: Value = json!({"conditions": [{"type": "Ready", "status": ready, "reason": "TopicReady", "message": "all is well",
            "observedGeneration": 2, "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
        serde_json::from_value(json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "DataStream",
            "metadata": {"name": name, "namespace": "shop", "generation": 2}, "status": status, "spec": {"format": "Protobuf",
            "protobuf": {"schema": "message A {}", "imports": [{"name": "a.proto", "configMap": {"name": map, "key": "a"}}]}}}))
        .unwrap()
    }

    #[tokio::test]
    async fn a_contract_out_of_config_maps_waits_until_they_are_still() {
        let (context, _) = testing::context(testing::stores());
        let wanted = Contract::default();
        let error = waits(&stream("orders", "protos", "False"), &wanted, &context);
        let error = error.unwrap().unwrap_err();
        assert_eq!(error.reason(), "SchemaTextsSettling");
        assert!(matches!(&error, Error::Waiting { after, .. } if after.as_secs() <= 5));
        // What runs goes on: it is Ready still.
        let ready = waits(&stream("orders", "protos", "True"), &wanted, &context);
        let ready = ready.unwrap().unwrap();
        assert!(
            ready.ready
                && ready
                    .message
                    .starts_with("all is well; its ConfigMaps ask for another")
        );
        assert!(ready.recheck.unwrap() <= Duration::from_secs(5));
        // A stream without any takes its contract at once.
        let mut plain = stream("plain", "protos", "False");
        plain.spec.protobuf = None;
        assert!(waits(&plain, &wanted, &context).is_none());
    }

    #[tokio::test]
    async fn a_shared_config_map_changes_three_streams_a_minute() {
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        let mut streams: Vec<DataStream> = names.map(|n| stream(n, "protos", "True")).into();
        streams.push(stream("other", "others", "True"));
        let objects = streams
            .iter()
            .cloned()
            .map(|s| kube::core::DeserializeGuard(Ok(s)));
        let (context, _) = testing::context(Stores {
            streams: store(objects.collect()),
            ..testing::stores()
        });
        let sharers = |stream: &DataStream| super::sharers(stream, &context);
        assert_eq!(sharers(&streams[0]).len(), 7);
        assert_eq!(sharers(&streams[7]).len(), 1);
        let turns = |minute: u64| -> Vec<&str> {
            let all = sharers(&streams[0]);
            let turn = |name: &&str| is_turn(&all, &Key::new("DataStream", "shop", name), minute);
            names.into_iter().filter(turn).collect()
        };
        assert_eq!(turns(0), ["a", "b", "c"]);
        assert_eq!(turns(1), ["d", "e", "f"]);
        assert_eq!(turns(2), ["g"]);
        assert_eq!(turns(3), ["a", "b", "c"]);
        let alone = [Key::new("DataStream", "shop", "x")];
        assert!((0..9).all(|minute| is_turn(&alone, &alone[0], minute)));
    }

    #[test]
    fn the_note_of_a_turn_is_not_repeated() {
        let long = format!("all is well{NOTE}in its turn");
        assert_eq!(long.split(NOTE).next(), Some("all is well"));
    }
}
