//! Whether a stream may be as its spec says, and what becomes of its topic and of its contract. Pure: after this nothing is refused.

use headworks_crds::{Compatibility, DataStream, DataStreamSpec, DataStreamStatus, KeptSetting};
use headworks_plan::Contract;
use k8s_openapi::api::core::v1::ConfigMap;

use super::{
    compatibility, contract_revisions,
    dereference::{Observed, References},
    history::History,
    limits, topic_conflicts,
};
use crate::{
    contract::{self, definition, fingerprint, revision::Revision, topic_name},
    evolution::Refusal,
    names::Key,
    provisioner::{
        OfStream, Provisioner,
        settings::Settings,
        topic::{Claim, FoundTopic, adoption, claim, dead_letter_claim},
    },
    reason::ConditionReason,
    retry::Error,
};

/// Whether the stream may have its topic.
///
/// # Errors
/// `TopicNotAllowed`, `TopicOwnedBy`, `LimitExceeded`.
pub fn spec(stream: &DataStream, key: &Key, topic: &str, found: &References) -> Result<(), Error> {
    let platform = &found.platform.platform;
    let policy = &platform.spec.kafka.topic_policy;
    topic_name::allowed(topic, &key.namespace, &found.labels, policy)
        .map_err(|message| Error::stalled(ConditionReason::TopicNotAllowed, message))?;
    topic_conflicts::check_precedence(stream, topic, &found.rivals)?;
    limits::check(&stream.spec, platform, found.around)
}

/// The contract that the spec describes. `resolved` is the spec with the texts that its definition takes from elsewhere, `before` the
/// contract in force.
///
/// # Errors
/// `InvalidSchema`.
pub fn contract(
    spec: &DataStreamSpec,
    resolved: &DataStreamSpec,
    before: Option<&Contract>,
) -> Result<Contract, Error> {
    let contract = contract::read_after(resolved, before);
    let contract = contract.map_err(|fault| invalid(&fault.to_string()))?;
    contract::check_at(&contract, definition::place(spec)).map_err(|message| invalid(&message))?;
    Ok(contract)
}

fn invalid(message: &str) -> Error {
    Error::stalled(ConditionReason::InvalidSchema, message)
}

/// What becomes of a stream.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The topic, and whose it is.
    pub topic: FoundTopic,
    /// Its settings.
    pub settings: Settings,
    /// The topic of its dead letters, and whose it is.
    pub dead_letters: Claim,
    /// A contract in force that is to be written down again, because somebody removed its ConfigMap.
    pub lost: Option<Revision>,
    /// What becomes of the contract.
    pub contract: ContractDecision,
    /// The mode that the contract in force is promised under.
    pub promised: Compatibility,
    /// ConfigMaps of contracts older than those that are kept.
    pub beyond: Vec<ConfigMap>,
}

/// What becomes of a contract.
#[derive(Clone, Debug, PartialEq)]
pub enum ContractDecision {
    /// The one in force says what the spec says, and stays.
    Keep(Revision),
    /// The one in force stays for now: the spec's waits until its ConfigMaps are still, or for its turn.
    Hold(Revision),
    /// The one in force stays, because the spec's may not follow it.
    Refuse {
        /// What is in force.
        in_force: Revision,
        /// What the spec asks for.
        asked: Contract,
        /// Why not.
        why: Refusal,
    },
    /// The spec's comes into force.
    Accept {
        /// What comes into force.
        next: Revision,
        /// What is in force until then.
        before: Option<Revision>,
        /// True: an attempt that was cut short has written it down.
        written: bool,
    },
}

/// Decides, by what was observed. Nothing is done to a topic before it is certain that the topic is this object's.
///
/// # Errors
/// `TopicExists`, `TopicMismatch`, `OwnedByAnother`, `PartitionsCannotShrink`, `InvalidSchema`, `ContractLost`.
pub fn decide(
    of: OfStream<'_>,
    contract: Contract,
    observed: Observed,
    by: &dyn Provisioner,
    status: &DataStreamStatus,
) -> Result<Decision, Error> {
    let (spec, declared) = (&of.stream.spec, observed.declared);
    let ours = status.topic.as_deref() == Some(of.topic);
    // Somebody removed its ConfigMap. (Of another topic than this it would say nothing.)
    let missing = observed.in_force.is_none() && status.contract.is_some() && ours;
    // An earlier object of this name may have had another topic or another Kafka: its contracts are not about this one.
    let in_force = observed
        .in_force
        .filter(|a| a.topic == of.topic && a.platform == spec.platform);
    let known = ours || in_force.is_some() || declared.ours;
    let foreign = declared.object.is_some() && !declared.ours;
    let found = by.as_declared(observed.topic, &declared);
    let claim = claim(of.topic, found, known && !foreign, spec.adopt)?;
    // Before anything is written down: who has a contract about the topic, or a KafkaTopic, has had its dead letters, too.
    let known = in_force.is_some()
        || declared.ours
        || status.dead_letter_topic.as_deref() == Some(of.dead_letters);
    if let Some(taken) = declared.dead_letters_taken.as_ref().filter(|_| !known) {
        return Err(taken.clone());
    }
    let dead_letters =
        dead_letter_claim(of.dead_letters, observed.dead_letters, known, spec.adopt)?;
    let kept = match &claim {
        Claim::Adopt(found) => adoption(of.stream, of.topic, found)?,
        _ if status.topic.is_some() => status.kept_config.clone(),
        _ => in_force
            .as_ref()
            .map(|accepted| accepted.kept.clone())
            .unwrap_or_default(),
    };
    let topic = FoundTopic { claim, declared };
    let settings = Settings::of(spec, status, &topic, kept.clone(), of.defaults);
    by.check_topic(of, &settings, &topic, status)?;
    let (lost, contract, promised) = Contracts {
        of,
        in_force,
        missing,
        kept,
        history: &observed.history,
        status,
    }
    .decide(contract)?;
    Ok(Decision {
        topic,
        settings,
        dead_letters,
        lost,
        contract,
        promised,
        beyond: observed.beyond,
    })
}

/// What a contract is judged by.
struct Contracts<'a> {
    of: OfStream<'a>,
    /// The one in force, about this topic.
    in_force: Option<Revision>,
    /// True: the status names one that isn't written down any more.
    missing: bool,
    kept: Vec<KeptSetting>,
    history: &'a History,
    status: &'a DataStreamStatus,
}

impl Contracts<'_> {
    fn decide(
        self,
        contract: Contract,
    ) -> Result<(Option<Revision>, ContractDecision, Compatibility), Error> {
        let (of, history, status) = (self.of, self.history, self.status);
        let (key, spec) = (of.key, &of.stream.spec);
        // A derived definition goes on from the one before it: so does one that is to be found again.
        let named = status.contract.as_ref().filter(|_| self.missing);
        let older = named.and_then(|named| {
            history
                .before(named.version, of.topic, &spec.platform)
                .next()
        });
        let contract = definition::complete(
            contract,
            &key.namespace,
            &key.name,
            self.in_force.as_ref().or(older).map(|a| &a.contract),
        )
        .map_err(|fault| invalid(&fault.to_string()))?;
        let lost = match named {
            None => None,
            Some(named) => Some(contract_revisions::again(
                key,
                named,
                self.lost(named, &contract),
            )?),
        };
        let in_force = lost.clone().or_else(|| self.in_force.clone());
        let promised = in_force.as_ref().map_or(spec.compatibility, |accepted| {
            accepted.promise(status.contract.as_ref(), spec.compatibility)
        });
        let Some(accepted) = in_force else {
            return Ok((lost, self.accept(None, &contract), promised));
        };
        let earlier: Vec<Revision> = history
            .before(accepted.version, &accepted.topic, &accepted.platform)
            .cloned()
            .collect();
        let judged = (&accepted, promised);
        if let Some(why) = compatibility::refusal(of.stream, key, judged, &earlier, &contract) {
            let refused = ContractDecision::Refuse {
                in_force: accepted,
                asked: contract,
                why,
            };
            return Ok((lost, refused, promised));
        }
        let same = fingerprint(&accepted.contract) == fingerprint(&contract::obeyed(&contract));
        let decision = if same {
            ContractDecision::Keep(accepted)
        } else {
            self.accept(Some(accepted), &contract)
        };
        Ok((lost, decision, promised))
    }

    /// The contract that the status names, as the spec would have it.
    fn lost(&self, named: &headworks_crds::AcceptedContract, contract: &Contract) -> Revision {
        let registered = self.status.registered.iter();
        Revision {
            version: named.version,
            contract: contract::obeyed(contract),
            topic: self.of.topic.to_owned(),
            platform: self.of.stream.spec.platform.clone(),
            kept: self.kept.clone(),
            schema_ids: registered
                .filter(|r| r.contract == named.version)
                .filter_map(|r| u32::try_from(r.id).ok())
                .collect(),
            compatibility: named.compatibility,
            used: self.history.used(),
        }
    }

    /// The next contract: one that was begun, or a new one under the next number.
    fn accept(&self, before: Option<Revision>, contract: &Contract) -> ContractDecision {
        let (of, history) = (self.of, self.history);
        let spec = &of.stream.spec;
        let contract = contract::obeyed(contract);
        // Without one in force nothing was begun: what is there is about another topic, and its time is over.
        let after = before
            .as_ref()
            .map_or_else(|| history.last(None), |accepted| accepted.version);
        if let Some(begun) = history.begun(after, &contract, of.topic, &spec.platform) {
            return ContractDecision::Accept {
                next: begun.clone(),
                before,
                written: true,
            };
        }
        // What was permitted once isn't permitted again, whatever the topic was.
        let used = match &before {
            None => history.used(),
            Some(before) => before.used_with(compatibility::permission(
                of.stream, of.key, before, &contract,
            )),
        };
        let last = history.last(self.status.contract.as_ref());
        ContractDecision::Accept {
            next: Revision {
                version: last.saturating_add(1),
                contract,
                topic: of.topic.to_owned(),
                platform: spec.platform.clone(),
                kept: self.kept.clone(),
                schema_ids: Vec::new(),
                compatibility: Some(spec.compatibility),
                used,
            },
            before,
            written: false,
        }
    }
}

#[cfg(test)]
mod tests;
