//! When a contract is taken that ConfigMaps ask for.
//!
//! Not before they have said the same for a few seconds: who applies two of them, or one and its stream, writes one after the other,
//! and what stands there in between is nobody's contract. And where many streams share a ConfigMap, not by all of them at once: a
//! contract rolls the pods of all that read or write the stream, and those of many streams are many pods.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use headworks_crds::{DataStream, DataStreamStatus, conditions::READY};
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

/// A contract that waits.
#[derive(Debug)]
pub(super) struct Held {
    /// When it is taken, in words.
    when: String,
    /// Look again after this long.
    again: Duration,
    /// True: the stream was Ready, and goes on with the contract in force.
    was_ready: bool,
}

impl Held {
    /// What came of the look, with what waits.
    ///
    /// # Errors
    /// What came of it; `SchemaTextsSettling` where the stream wasn't Ready before.
    pub(super) fn said(
        self,
        outcome: Result<ReconcileOutcome, Error>,
    ) -> Result<ReconcileOutcome, Error> {
        let outcome = outcome?;
        if !self.was_ready {
            return Err(self.waiting());
        }
        let message = format!("{}{NOTE}{}", outcome.message, self.when);
        let again = outcome
            .recheck
            .map_or(self.again, |next| next.min(self.again));
        Ok(ReconcileOutcome { message, ..outcome }.recheck(again))
    }

    fn waiting(&self) -> Error {
        let message = format!(
            "the ConfigMaps of the definition ask for another contract than the one in force, if there is one: it is taken {}",
            self.when
        );
        Error::waiting(ConditionReason::SchemaTextsSettling, message).after(self.again)
    }
}

/// Lets the contract that was decided on wait, if it is not to be taken now: the one in force stays meanwhile, and what else there is to
/// do is done.
///
/// # Errors
/// `SchemaTextsSettling` where none is in force.
pub(super) fn hold(
    stream: &DataStream,
    decision: &mut ContractDecision,
    status: &DataStreamStatus,
    context: &Context,
) -> Result<Option<Held>, Error> {
    let (held, before) = match &*decision {
        ContractDecision::Keep(_) => {
            context.settling.settled(&Key::of(stream));
            return Ok(None);
        }
        ContractDecision::Hold(_) | ContractDecision::Refuse { .. } => return Ok(None),
        ContractDecision::Accept { next, before, .. } => {
            let is_first = before.is_none();
            let held = waits(stream, &next.contract, is_first, status, context);
            (held, before.clone())
        }
    };
    let Some(held) = held else {
        return Ok(None);
    };
    let Some(before) = before else {
        return Err(held.waiting());
    };
    *decision = ContractDecision::Hold(before);
    Ok(Some(held))
}

fn waits(
    stream: &DataStream,
    contract: &Contract,
    is_first: bool,
    status: &DataStreamStatus,
    context: &Context,
) -> Option<Held> {
    if config_maps(&stream.spec).is_empty() {
        return None;
    }
    let key = Key::of(stream);
    let generation = stream.metadata.generation;
    let new_spec = status.observed_generation != generation;
    let print = fingerprint(contract);
    let (left, of_spec) = context
        .settling
        .left(&key, &print, new_spec, Instant::now());
    let (when, again) = if let Some(left) = left {
        ("when they have said the same for 5 s".to_owned(), left)
    } else if is_first || of_spec {
        // No pods have a first one, and what is asked for in the spec is asked for of this stream.
        return None;
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
    // What was Ready goes on with the contract in force, unless it is its spec that asks for another one.
    let was_ready = status.conditions.iter().any(|condition| {
        condition.type_ == READY
            && condition.status == "True"
            && (condition.observed_generation == generation || !of_spec)
    });
    Some(Held {
        when,
        again,
        was_ready,
    })
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
        contract::revision::Revision,
        stores::Stores,
    };

    fn stream(name: &str, map: &str, ready: &str) -> DataStream {
        let status: Value = json!({"observedGeneration": 2, "conditions": [{"type": "Ready", "status": ready, "reason": "TopicReady", "message": "all is well",
            "observedGeneration": 2, "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
        serde_json::from_value(json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "DataStream",
            "metadata": {"name": name, "namespace": "shop", "generation": 2}, "status": status, "spec": {"format": "Protobuf",
            "protobuf": {"schema": "message A {}", "imports": [{"name": "a.proto", "configMap": {"name": map, "key": "a"}}]}}}))
        .unwrap()
    }

    fn revision(version: i32, key: &str) -> Revision {
        Revision {
            version,
            contract: Contract {
                key: vec![key.into()],
                ..Contract::default()
            },
            topic: "shop.orders".into(),
            platform: "default".into(),
            kept: vec![],
            schema_ids: vec![],
            compatibility: None,
            used: vec![],
        }
    }

    fn accept(before: Option<Revision>) -> ContractDecision {
        ContractDecision::Accept {
            next: revision(2, "b"),
            before,
            written: false,
        }
    }

    fn fine() -> ReconcileOutcome {
        let outcome = ReconcileOutcome::ready(ConditionReason::TopicReady, "all is well");
        outcome.recheck(Duration::from_secs(60))
    }

    fn holds(
        stream: &DataStream,
        decision: &mut ContractDecision,
        context: &Context,
    ) -> Result<Option<Held>, Error> {
        hold(stream, decision, stream.status.as_ref().unwrap(), context)
    }

    #[tokio::test]
    async fn a_contract_out_of_config_maps_waits_until_they_are_still() {
        let (context, _) = testing::context(testing::stores());
        let (before, mut first) = (revision(1, "a"), accept(None));
        let error = holds(&stream("first", "protos", "False"), &mut first, &context).unwrap_err();
        assert_eq!(error.reason(), "SchemaTextsSettling");
        assert!(matches!(&error, Error::Waiting { after, .. } if after.as_secs() <= 5));
        // What runs goes on, and what else there is to do is done: it is Ready still.
        let mut decision = accept(Some(before.clone()));
        let held = holds(&stream("orders", "protos", "True"), &mut decision, &context);
        let held = held.unwrap().unwrap();
        assert_eq!(decision, ContractDecision::Hold(before.clone()));
        let ready = held.said(Ok(fine())).unwrap();
        let begins = "all is well; its ConfigMaps ask for another";
        assert!(ready.ready && ready.message.starts_with(begins));
        assert!(ready.recheck.unwrap() <= Duration::from_secs(5));
        // What isn't Ready isn't said to be; what keeps it otherwise is said first.
        let stopped = stream("orders", "protos", "False");
        let again = |outcome| {
            let mut decision = accept(Some(before.clone()));
            let held = holds(&stopped, &mut decision, &context).unwrap().unwrap();
            held.said(outcome).unwrap_err().reason().to_owned()
        };
        assert_eq!(again(Ok(fine())), "SchemaTextsSettling");
        let pending = Err(Error::waiting(ConditionReason::TopicPending, ""));
        assert_eq!(again(pending), "TopicPending");
        // A stream without any takes its contract at once.
        let mut plain = stream("plain", "protos", "False");
        plain.spec.protobuf = None;
        let mut decision = accept(Some(before));
        assert!(holds(&plain, &mut decision, &context).unwrap().is_none());
        assert!(matches!(decision, ContractDecision::Accept { .. }));
    }

    #[tokio::test]
    async fn what_a_faulty_config_map_stopped_takes_turns_and_a_changed_spec_does_not() {
        let names = ["a", "b", "c", "d", "e", "f", "g"];
        let streams: Vec<DataStream> = names.map(|n| stream(n, "protos", "False")).into();
        let objects = streams
            .iter()
            .cloned()
            .map(|s| kube::core::DeserializeGuard(Ok(s)));
        let (context, _) = testing::context(Stores {
            streams: store(objects.collect()),
            ..testing::stores()
        });
        let print = fingerprint(&revision(2, "b").contract);
        let earlier = Instant::now().checked_sub(Duration::from_secs(6)).unwrap();
        let waiting = |new_spec: bool| {
            let held = streams.iter().filter(|stream| {
                let key = Key::of(*stream);
                context.settling.settled(&key);
                context.settling.left(&key, &print, new_spec, earlier);
                let mut decision = accept(Some(revision(1, "a")));
                holds(stream, &mut decision, &context).unwrap().is_some()
            });
            held.count()
        };
        assert!(waiting(false) > 0, "not all at once");
        assert_eq!(waiting(true), 0);
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
}
