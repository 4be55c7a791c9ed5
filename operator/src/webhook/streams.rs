//! DataStreams: the spec by itself, and its contract against the one in force.

use std::collections::BTreeMap;

use headworks_crds::{Compatibility, DataStream, DeletionPolicy, Platform};
use headworks_plan::Contract;
use kube::ResourceExt;

use super::verdict::{Request, Verdict};
use crate::{
    data_stream::{contract, topic_name},
    evolution::{self, LIST_MAX, MESSAGE_MAX, Rules},
    impact::{self, World},
};

/// What the stores know around a stream.
pub struct Around {
    /// Its namespace.
    pub world: World,
    /// Its Platform.
    pub platform: Option<Platform>,
    /// Its namespace's labels.
    pub labels: BTreeMap<String, String>,
}

/// Judges a stream.
pub fn judge(request: &Request<DataStream>, around: impl FnOnce() -> Around) -> Verdict {
    let Request { new, old } = request;
    if let Err(fault) = headworks_crds::check(&new.spec) {
        return Verdict::deny(fault);
    }
    let around = around();
    let mut before = around.world.clone();
    settle(request, &mut before);
    let name = (new.namespace().unwrap_or_default(), new.name_any());
    let in_force = before.streams.get(&name).map(|stream| &stream.contract);
    let wanted = match evolution::wanted((&name.0, &name.1), &new.spec, in_force) {
        Ok(wanted) => wanted,
        Err(fault) => return Verdict::deny(fault),
    };
    let mut verdict = Verdict::pass();
    evolve(request, &wanted, &before, &mut verdict);
    if verdict.denied.is_none() {
        unwise(new, old.as_ref(), &mut verdict);
        neighbours(new, &around, &mut verdict);
    }
    verdict
}

/// Where the stores don't have the contract in force yet, that of the old spec stands for it.
fn settle(Request { new, old }: &Request<DataStream>, before: &mut World) {
    let name = (new.namespace().unwrap_or_default(), new.name_any());
    let known = |world: &World| world.streams.get(&name).and_then(|s| s.version);
    let Some(old) = old else { return };
    if let (None, Some(named)) = (
        known(before),
        old.status.as_ref().and_then(|s| s.contract.as_ref()),
    ) && let Ok(contract) = evolution::wanted((&name.0, &name.1), &old.spec, None)
    {
        before.change(&name, &old.spec, old.annotations(), contract);
        if let Some(stream) = before.streams.get_mut(&name) {
            stream.version = Some(named.version);
            stream.compatibility = named.compatibility.unwrap_or(old.spec.compatibility);
        }
    }
}

/// The contract against the one in force.
fn evolve(
    Request { new, old }: &Request<DataStream>,
    wanted: &Contract,
    before: &World,
    verdict: &mut Verdict,
) {
    let name = (new.namespace().unwrap_or_default(), new.name_any());
    let mut after = before.clone();
    after.change(&name, &new.spec, new.annotations(), wanted.clone());
    let found = impact::impact(before, &after);
    let change = found
        .changes
        .iter()
        .find(|c| (&c.namespace, &c.name) == (&name.0, &name.1));
    let permitted = evolution::permitted(new.annotations());
    let noted_before = old
        .as_ref()
        .and_then(|o| evolution::permitted(o.annotations()));
    let newly_noted = permitted.is_some() && permitted != noted_before;
    let useless = |verdict: &mut Verdict| {
        if newly_noted {
            verdict.warn(format!(
                "metadata.annotations: headworks.dev/allow-breaking: {} permits nothing: no change with this fingerprint is refused",
                permitted.unwrap_or_default()
            ));
        }
    };
    let Some(change) = change else {
        useless(verdict);
        return;
    };
    let same_as_before = old.as_ref().is_some_and(|old| {
        let in_force = before.streams.get(&name).map(|stream| &stream.contract);
        let old = evolution::wanted((&name.0, &name.1), &old.spec, in_force);
        old.is_ok_and(|old| contract::fingerprint(&old) == contract::fingerprint(wanted))
    });
    if change.is_refused() {
        let accepted = before.streams.get(&name);
        let refusal = accepted.and_then(|stream| {
            let rules = Rules {
                accepted: stream.compatibility,
                wanted: new.spec.compatibility,
            };
            evolution::refusal(
                (&name.0, &name.1),
                rules,
                new.annotations(),
                (&stream.accepted(), &stream.used),
                wanted,
            )
        });
        let message = refusal.map_or_else(
            || change.faults.join("; "),
            |refusal| refusal.message(MESSAGE_MAX, |most| found.list(most)),
        );
        if same_as_before {
            // Stored already, by a time when nobody answered here: this request doesn't make it worse.
            verdict.warn(message);
        } else {
            verdict.denied = Some(message);
        }
        return;
    }
    if !change.permitted {
        useless(verdict);
    }
    if same_as_before {
        return;
    }
    if !change.unreadable.is_empty() {
        verdict.warn(format!(
            "records that are in the topic go to the dead letters where a query needs {}: every record is read with the contract in force",
            change.unreadable.join(", ")
        ));
    }
    for line in found.list(LIST_MAX).lines() {
        verdict.warn(line);
    }
}

/// Legal but unwise.
fn unwise(new: &DataStream, old: Option<&DataStream>, verdict: &mut Verdict) {
    let (spec, before) = (&new.spec, old.map(|o| &o.spec));
    if let Some(before) = before {
        if let (Some(was), Some(now)) = (before.partitions, spec.partitions)
            && now > was
            && !spec.key.is_empty()
        {
            verdict.warn(format!(
                "spec.partitions: {was} → {now}: a key may be in another partition from now on, so its records before and after aren't in one order"
            ));
        }
        if let (Some(was), Some(now)) = (&before.retention, &spec.retention)
            && now.millis() < was.millis()
        {
            verdict.warn(format!(
                "spec.retention: {was} → {now}: Kafka deletes what is older within minutes"
            ));
        }
        if let (Some(was), Some(now)) = (&before.retention_bytes, &spec.retention_bytes)
            && now.value() < was.value()
        {
            verdict.warn(format!(
                "spec.retentionBytes: {was} → {now}: Kafka deletes what is beyond within minutes"
            ));
        }
    }
    if spec.compatibility == Compatibility::None
        && before.is_none_or(|b| b.compatibility != Compatibility::None)
    {
        verdict.warn(
            "spec.compatibility: None: any change is accepted, and nobody who reads the stream is asked",
        );
    }
    if spec.deletion_policy == DeletionPolicy::Delete
        && before.is_none_or(|b| b.deletion_policy != DeletionPolicy::Delete)
    {
        verdict.warn(
            "spec.deletionPolicy: Delete: the topic and all its records go with this object, also where a whole namespace is deleted",
        );
    }
    let time =
        |spec: &headworks_crds::DataStreamSpec| spec.event_time.as_ref().map(|t| t.field.clone());
    if let Some(before) = before
        && time(before) != time(spec)
        && let Some(was) = time(before)
    {
        verdict.warn(format!(
            "spec.eventTime.field: {was} → {}: queries with windows name the field, and those that name {was} no longer fit: they keep their last good plan until they are mended",
            time(spec).unwrap_or_else(|| "none".into())
        ));
    }
}

/// What isn't right yet around it, and may become so.
fn neighbours(new: &DataStream, around: &Around, verdict: &mut Verdict) {
    let (namespace, name) = (new.namespace().unwrap_or_default(), new.name_any());
    let Some(platform) = &around.platform else {
        verdict.warn(format!(
            "spec.platform: Platform {} isn't there yet: the stream waits for it",
            new.spec.platform
        ));
        return;
    };
    let topic = topic_name::topic_of(&namespace, &name, new.spec.topic.as_deref());
    let policy = &platform.spec.kafka.topic_policy;
    if let Err(fault) = topic_name::allowed(&topic, &namespace, &around.labels, policy) {
        verdict.warn(format!("spec.topic: {fault}"));
    }
}

#[cfg(test)]
mod tests {
    use headworks_crds::ANNOTATION_ALLOW_BREAKING;
    use serde_json::{Value, json};

    use super::*;
    use crate::impact::Stream;

    fn stream(fields: &str, more: Value, annotation: &str) -> DataStream {
        let schema: Vec<Value> = fields
            .split(',')
            .map(|field| {
                let (name, type_) = field.trim().split_once(' ').unwrap();
                let nullable = type_.ends_with('?');
                json!({"name": name, "type": type_.trim_end_matches('?'), "nullable": nullable})
            })
            .collect();
        let mut spec = json!({"schema": schema});
        spec.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        let mut object = json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "DataStream",
            "metadata": {"name": "orders", "namespace": "shop"}, "spec": spec});
        if !annotation.is_empty() {
            object["metadata"]["annotations"] = json!({ANNOTATION_ALLOW_BREAKING: annotation});
        }
        serde_json::from_value(object).unwrap()
    }

    fn world(in_force: &DataStream) -> World {
        let mut world = World::default();
        let name = ("shop".to_owned(), "orders".to_owned());
        let stream = Stream {
            contract: evolution::wanted(("shop", "orders"), &in_force.spec, None).unwrap(),
            version: Some(3),
            ..Stream::default()
        };
        world.streams.insert(name, stream);
        let spec = json!({"sql": "SELECT id, n FROM orders", "to": [{"table": {"store": "w", "name": "t"}}]});
        let name = ("shop".to_owned(), "copy".to_owned());
        world
            .pipelines
            .insert(name, serde_json::from_value(spec).unwrap());
        world
    }

    fn ask(new: &DataStream, old: Option<&DataStream>, world: &World) -> Verdict {
        let request = Request {
            new: new.clone(),
            old: old.cloned(),
        };
        let platform: Platform = serde_json::from_value(json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "Platform",
            "metadata": {"name": "default"}, "spec": {"kafka": {"bootstrapServers": "k:9092", "management": {"admin": {}}}}}))
        .unwrap();
        judge(&request, || Around {
            world: world.clone(),
            platform: Some(platform),
            labels: BTreeMap::new(),
        })
    }

    #[test]
    fn an_incompatible_change_is_refused_with_list_and_fingerprint_and_passes_with_it_once() {
        let old = stream("id string, n bigint", json!({}), "");
        let world = world(&old);
        let new = stream("id string, n int", json!({}), "");
        let denied = ask(&new, Some(&old), &world).denied.unwrap();
        let print = denied
            .split("headworks.dev/allow-breaking: \"")
            .nth(1)
            .and_then(|rest| rest.split('"').next())
            .unwrap();
        insta::assert_snapshot!(denied.replace(print, "[fingerprint]"));
        let with = stream("id string, n int", json!({}), print);
        let verdict = ask(&with, Some(&old), &world);
        assert_eq!(verdict.denied, None);
        assert!(
            verdict.warnings.iter().any(|w| w.contains("dead letters")),
            "{verdict:?}"
        );
        // Another change with the same annotation.
        let other = stream("id string, n string", json!({}), print);
        assert!(ask(&other, Some(&with), &world).denied.is_some());
        // Afterwards it is in force, and the annotation says nothing any more.
        let mut world = self::world(&with);
        assert_eq!(ask(&with, Some(&with), &world), Verdict::pass());
        let again = stream("id string, n boolean", json!({}), print);
        assert!(ask(&again, Some(&with), &world).denied.is_some());
        // Back, which anybody may, and the same mistake with the annotation still there.
        let back = stream("id string, n bigint", json!({}), print);
        assert_eq!(ask(&back, Some(&with), &world).denied, None);
        world = self::world(&back);
        for stream in world.streams.values_mut() {
            stream.used = vec![print.to_owned()];
        }
        let denied = ask(&with, Some(&back), &world).denied.unwrap();
        assert!(!denied.contains(print), "{denied}");
    }

    #[test]
    fn what_was_stored_already_is_no_reason_to_refuse_something_else() {
        let accepted = stream("id string, n bigint", json!({}), "");
        let stored = stream("id string, n int", json!({}), "");
        let edited = stream("id string, n int", json!({"owner": "team-a"}), "");
        let verdict = ask(&edited, Some(&stored), &world(&accepted));
        assert_eq!(verdict.denied, None);
        assert!(verdict.warnings[0].contains("Contract 3 stays in force"));
        // And the way back is open.
        assert_eq!(
            ask(&accepted, Some(&stored), &world(&accepted)).denied,
            None
        );
    }

    #[test]
    fn a_mode_that_is_loosened_in_the_same_apply_does_not_count() {
        let old = stream("id string, n bigint", json!({}), "");
        let mut world = world(&old);
        let new = stream("id string", json!({"compatibility": "None"}), "");
        let denied = ask(&new, Some(&old), &world).denied.unwrap();
        assert!(
            denied.contains("(compatibility: Backward and None)"),
            "{denied}"
        );
        assert!(denied.contains("change it alone first"), "{denied}");
        // Alone it passes, and once it is in force the change does.
        let loose = stream("id string, n bigint", json!({"compatibility": "None"}), "");
        assert_eq!(ask(&loose, Some(&old), &world).denied, None);
        for stream in world.streams.values_mut() {
            stream.compatibility = Compatibility::None;
        }
        assert_eq!(ask(&new, Some(&loose), &world).denied, None);
        // Where our own store is behind, the status says which mode is in force.
        let mut early = loose.clone();
        early.status = serde_json::from_value(
            json!({"contract": {"version": 1, "fingerprint": "x", "compatibility": "Backward"}}),
        )
        .ok();
        assert!(ask(&new, Some(&early), &World::default()).denied.is_some());
    }

    #[test]
    fn the_event_time_is_part_of_the_promise() {
        let fields = "id string, at timestamp_ltz(3), on timestamp_ltz(3)";
        let at = |field: &str, mode: &str| {
            let more = json!({"eventTime": {"field": field}, "compatibility": mode});
            stream(fields, more, "")
        };
        let old = at("at", "Full");
        let denied = ask(&at("on", "Full"), Some(&old), &world(&old)).denied;
        assert!(denied.unwrap().contains("eventTime changes from at to on"));
        let old = at("at", "None");
        let mut loose = world(&old);
        for stream in loose.streams.values_mut() {
            stream.compatibility = Compatibility::None;
        }
        let verdict = ask(&at("on", "None"), Some(&old), &loose);
        assert_eq!(verdict.denied, None);
        assert!(
            verdict.warnings[0].starts_with("spec.eventTime.field: at → on"),
            "{verdict:?}"
        );
    }

    #[test]
    fn one_that_is_made_again_over_what_was_left_is_judged_by_it() {
        let left = stream("id string, n bigint", json!({}), "");
        let new = stream("id string", json!({}), "");
        let denied = ask(&new, None, &world(&left)).denied.unwrap();
        assert!(denied.contains("Contract 3 stays in force"), "{denied}");
        // Nothing was left.
        assert_eq!(ask(&new, None, &World::default()).denied, None);
    }

    #[test]
    fn nothing_is_promised_before_a_contract_is_accepted() {
        let old = stream("id string, n bigint", json!({}), "");
        let mut world = world(&old);
        for stream in world.streams.values_mut() {
            stream.version = None;
        }
        let new = stream("id string, n int", json!({}), "");
        assert_eq!(ask(&new, Some(&old), &world).denied, None);
        // Unless its status says so: our own store is only behind.
        let mut accepted = old.clone();
        accepted.status =
            serde_json::from_value(json!({"contract": {"version": 1, "fingerprint": "x"}})).ok();
        assert!(ask(&new, Some(&accepted), &world).denied.is_some());
    }

    #[test]
    fn legal_but_unwise_is_a_warning() {
        let old = stream(
            "id string, n bigint",
            json!({"partitions": 3, "retention": "7d", "key": ["id"]}),
            "",
        );
        let new = stream(
            "id string, n bigint",
            json!({"partitions": 6, "retention": "1d", "key": ["id"], "compatibility": "None", "deletionPolicy": "Delete",
                "topic": "other.orders"}),
            "feedfeedfeedfeed",
        );
        let verdict = ask(&new, Some(&old), &world(&old));
        assert_eq!(verdict.denied, None);
        insta::assert_snapshot!(verdict.warnings.join("\n"));
        // Said once, not at every apply.
        assert!(ask(&new, Some(&new), &world(&new)).warnings.len() <= 1);
    }

    #[test]
    fn a_wrong_type_is_refused_and_a_compatible_change_warns_of_what_it_alters() {
        let old = stream("id string, n int", json!({}), "");
        let world = world(&old);
        let wrong = ask(&stream("id strin", json!({}), ""), Some(&old), &world);
        assert!(wrong.denied.unwrap().contains("strin"));
        let wider = ask(
            &stream("id string, n bigint", json!({}), ""),
            Some(&old),
            &world,
        );
        assert_eq!(wider.denied, None);
        insta::assert_snapshot!(wider.warnings.join("\n"));
    }
}
