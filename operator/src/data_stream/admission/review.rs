//! DataStreams: the spec by itself, and its contract against the one in force.

use std::collections::{BTreeMap, BTreeSet};

use headworks_crds::{Compatibility, DataStream, DeletionPolicy, Platform};
use headworks_plan::Contract;
use kube::ResourceExt;

use crate::{
    admission::{AdmissionDecision, NeededTexts, Request},
    contract::{
        self,
        references::{config_maps, inlined},
        topic_name,
    },
    evolution::{self, LIST_MAX, MESSAGE_MAX, Rules},
    hints::missing,
    impact::{self, CatalogSnapshot},
};

/// What the stores know around a stream.
pub struct Around {
    /// Its namespace.
    pub snapshot: CatalogSnapshot,
    /// Its Platform.
    pub platform: Option<Platform>,
    /// Its namespace's labels.
    pub labels: BTreeMap<String, String>,
    /// Names of all Platforms.
    pub platforms: BTreeSet<String>,
    /// Topics of the other DataStreams on the same Platform.
    pub topics: Vec<Taken>,
    /// What the ConfigMaps hold that the stream's definition needs; or why nobody could say.
    pub texts: NeededTexts,
}

/// Another DataStream's topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// The topic.
    pub topic: String,
    /// Whose it is.
    pub namespace: String,
    /// Its name there.
    pub name: String,
}

/// Judges a stream.
pub fn review(request: &Request<DataStream>, around: impl FnOnce() -> Around) -> AdmissionDecision {
    let Request { new, old } = request;
    let around = around();
    // A text of a ConfigMap proves nothing of the object: the next one may be in the same commit, and where all is looked at before
    // anything is applied, a refusal would keep it from ever coming. The reconcile refuses what stays wrong.
    let proven = [Some(new), old.as_ref()]
        .into_iter()
        .flatten()
        .all(|stream| config_maps(&stream.spec).is_empty());
    let request = &match with_texts(request, &around.texts) {
        Ok(request) => request,
        // They may be on their way, in the same commit.
        Err(warnings) => {
            let mut decision = AdmissionDecision::pass();
            for warning in warnings {
                decision.warn(warning);
            }
            unwise(new, old.as_ref(), &mut decision);
            neighbours(new, &around, &mut decision);
            return decision;
        }
    };
    let Request { new, old } = request;
    let mut before = around.snapshot.clone();
    settle(request, &mut before);
    let name = (new.namespace().unwrap_or_default(), new.name_any());
    let in_force = before.streams.get(&name).map(|stream| &stream.contract);
    let wanted = match contract::wanted((&name.0, &name.1), &new.spec, in_force) {
        Ok(wanted) => wanted,
        Err(fault) => return AdmissionDecision::deny(fault).if_proven(proven),
    };
    let mut decision = AdmissionDecision::pass();
    evolve(request, &wanted, &before, &mut decision);
    decision = decision.if_proven(proven);
    if decision.denied.is_none() {
        unwise(new, old.as_ref(), &mut decision);
        neighbours(new, &around, &mut decision);
    }
    decision
}

/// The request with the texts of ConfigMaps in their place, so that contracts can be read; else what is missing.
fn with_texts(
    request: &Request<DataStream>,
    texts: &NeededTexts,
) -> Result<Request<DataStream>, Vec<String>> {
    let texts = texts.as_ref().map_err(|error| {
        vec![format!(
            "{error}; the contract is looked at when the object is stored: see its conditions"
        )]
    })?;
    let of = |name: &str| texts.get(name).cloned().flatten();
    let spec = inlined(&request.new.spec, of)
        .map_err(|faults| faults.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    let old = request.old.clone().map(|mut old| {
        // What isn't there any more can't be compared with.
        if let Ok(spec) = inlined(&old.spec, of) {
            old.spec = spec;
        }
        old
    });
    let mut new = request.new.clone();
    new.spec = spec;
    Ok(Request { new, old })
}

/// Where the stores don't have the contract in force yet, that of the old spec stands for it.
fn settle(Request { new, old }: &Request<DataStream>, before: &mut CatalogSnapshot) {
    let name = (new.namespace().unwrap_or_default(), new.name_any());
    let known = |snapshot: &CatalogSnapshot| snapshot.streams.get(&name).and_then(|s| s.version);
    let Some(old) = old else { return };
    if let (None, Some(named)) = (
        known(before),
        old.status.as_ref().and_then(|s| s.contract.as_ref()),
    ) && let Ok(contract) = contract::wanted((&name.0, &name.1), &old.spec, None)
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
    before: &CatalogSnapshot,
    decision: &mut AdmissionDecision,
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
    let useless = |decision: &mut AdmissionDecision| {
        if newly_noted {
            decision.warn(format!(
                "metadata.annotations: headworks.dev/allow-breaking: {} permits nothing: no change with this fingerprint is refused",
                permitted.unwrap_or_default()
            ));
        }
    };
    let Some(change) = change else {
        useless(decision);
        return;
    };
    let same_as_before = old.as_ref().is_some_and(|old| {
        let in_force = before.streams.get(&name).map(|stream| &stream.contract);
        let old = contract::wanted((&name.0, &name.1), &old.spec, in_force);
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
            decision.warn(message);
        } else {
            decision.denied = Some(message);
        }
        return;
    }
    if !change.permitted {
        useless(decision);
    }
    if same_as_before {
        return;
    }
    if !change.unreadable.is_empty() {
        decision.warn(format!(
            "records that are in the topic go to the dead letters where a query needs {}: every record is read with the contract in force",
            change.unreadable.join(", ")
        ));
    }
    for line in found.list(LIST_MAX).lines() {
        decision.warn(line);
    }
}

/// Legal but unwise.
fn unwise(new: &DataStream, old: Option<&DataStream>, decision: &mut AdmissionDecision) {
    let (spec, before) = (&new.spec, old.map(|o| &o.spec));
    if let Some(before) = before {
        if let (Some(was), Some(now)) = (before.partitions, spec.partitions)
            && now > was
            && !spec.key.is_empty()
        {
            decision.warn(format!(
                "spec.partitions: {was} → {now}: a key may be in another partition from now on, so its records before and after aren't in one order"
            ));
        }
        if let (Some(was), Some(now)) = (&before.retention, &spec.retention)
            && now.millis() < was.millis()
        {
            decision.warn(format!(
                "spec.retention: {was} → {now}: Kafka deletes what is older within minutes"
            ));
        }
        if let (Some(was), Some(now)) = (&before.retention_bytes, &spec.retention_bytes)
            && now.value() < was.value()
        {
            decision.warn(format!(
                "spec.retentionBytes: {was} → {now}: Kafka deletes what is beyond within minutes"
            ));
        }
    }
    if spec.compatibility == Compatibility::None
        && before.is_none_or(|b| b.compatibility != Compatibility::None)
    {
        decision.warn(
            "spec.compatibility: None: any change is accepted, and nobody who reads the stream is asked",
        );
    }
    if spec.deletion_policy == DeletionPolicy::Delete
        && before.is_none_or(|b| b.deletion_policy != DeletionPolicy::Delete)
    {
        decision.warn(
            "spec.deletionPolicy: Delete: the topic and all its records go with this object, also where a whole namespace is deleted",
        );
    }
    let time =
        |spec: &headworks_crds::DataStreamSpec| spec.event_time.as_ref().map(|t| t.field.clone());
    if let Some(before) = before
        && time(before) != time(spec)
        && let Some(was) = time(before)
    {
        decision.warn(format!(
            "spec.eventTime.field: {was} → {}: queries with windows name the field, and those that name {was} no longer fit: they keep their last good plan until they are mended",
            time(spec).unwrap_or_else(|| "none".into())
        ));
    }
}

/// What isn't right yet around it, and may become so.
fn neighbours(new: &DataStream, around: &Around, decision: &mut AdmissionDecision) {
    let (namespace, name) = (new.namespace().unwrap_or_default(), new.name_any());
    let Some(platform) = &around.platform else {
        let known = around.platforms.iter().map(String::as_str);
        let missing = missing("Platform", &new.spec.platform, "stream", known);
        decision.warn(format!("spec.platform: {missing}"));
        return;
    };
    let topic = topic_name::topic_of(&namespace, &name, new.spec.topic.as_deref());
    let policy = &platform.spec.kafka.topic_policy;
    if let Err(fault) = topic_name::allowed(&topic, &namespace, &around.labels, policy) {
        decision.warn(format!("spec.topic: {fault}"));
    }
    taken(&topic, &namespace, &around.topics, decision);
}

/// Topics that another stream has, or that Kafka takes for one with another's. Of streams elsewhere the name isn't told: who asks may have no
/// right to know of them.
fn taken(topic: &str, namespace: &str, others: &[Taken], decision: &mut AdmissionDecision) {
    for other in others {
        let whose = if other.namespace == namespace {
            format!("DataStream {}", other.name)
        } else {
            "a DataStream of another namespace".to_owned()
        };
        if other.topic == topic {
            decision.warn(format!(
                "spec.topic: {topic} is {whose}'s already, and a topic is the older stream's: choose another, or use that stream"
            ));
        } else if let Some(fault) = topic_name::collides(topic, &other.topic, &whose) {
            decision.warn(format!("spec.topic: {fault}"));
        }
    }
}

#[cfg(test)]
mod tests;
