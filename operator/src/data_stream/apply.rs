//! What was decided of a stream is done: its contract is registered and written down, then its topics are made so.
//!
//! The contract is written down before the topic is made, so that an operator that dies in between finds its own work again.

use headworks_crds::{AcceptedContract, DataStreamStatus, Platform};
use headworks_plan::Contract;
use kube::Resource;

use super::{
    build::Desired,
    compatibility, contract_revisions, label_propagation,
    registry::{self, Registration},
    validate::{ContractDecision, Decision},
};
use crate::{
    context::Context,
    contract::revision::Revision,
    evolution::Refusal,
    kafka::Admin,
    provisioner::{OfStream, Provisioner, TopicOutcome, in_kafka, topic::Claim},
    reason::ConditionReason,
    retry::Error,
};

/// What came of it.
#[derive(Debug)]
pub struct Applied {
    /// Number of the contract in force.
    pub version: i32,
    /// What is to be said of the topic.
    pub topic: TopicOutcome,
    /// What the spec asks for and doesn't get, and why.
    pub refused: Option<(Contract, Refusal)>,
    /// Why the spec's contract couldn't be registered; the one before stays in force.
    pub unregistered: Option<Error>,
    /// What is to be said of the schema registry.
    pub note: Option<String>,
}

/// Where it is done.
#[derive(Clone, Copy)]
pub struct On<'a> {
    /// The Platform.
    pub platform: &'a Platform,
    /// Who makes its topics.
    pub by: &'a dyn Provisioner,
    /// Its Kafka.
    pub admin: &'a Admin,
}

/// Does it, and says in the status what is so now, as far as it comes.
///
/// # Errors
/// What Kafka, the schema registry and the API server say.
pub async fn apply(
    of: OfStream<'_>,
    decision: Decision,
    desired: Desired,
    on: On<'_>,
    status: &mut DataStreamStatus,
    context: &Context,
) -> Result<Applied, Error> {
    let (key, mode) = (of.key, of.stream.spec.compatibility);
    if let Some(lost) = &decision.lost {
        tracing::warn!(stream = %key, version = lost.version, "a contract's ConfigMap is gone and is written again");
        contract_revisions::accept(context, key, lost).await?;
    }
    let Accepted {
        in_force,
        registration,
        refused,
        unregistered,
        held,
    } = accept(of, decision.contract, on.platform, context).await?;
    let adopted = matches!(decision.topic.claim, Claim::Adopt(_));
    let topic = on
        .by
        .apply_topic(of, desired.topic, decision.topic, on.admin, status, context);
    let topic = topic.await?;
    let (name, desired) = (of.dead_letters, desired.dead_letters);
    in_kafka::topics::ensure_dead_letters(on.admin, name, desired, status).await?;
    let settled = refused.is_none() && unregistered.is_none() && !held;
    status.contract = Some(AcceptedContract {
        compatibility: Some(compatibility::in_force(settled, mode, decision.promised)),
        ..in_force.reference(&key.name)
    });
    label_propagation::settle(context, key, &in_force.contract, status);
    let note = registry::settle(
        of.stream,
        key,
        &in_force,
        registration,
        on.platform,
        status,
        context,
    )
    .await?;
    contract_revisions::sweep(context, key, false).await?;
    for older in &decision.beyond {
        context.remove(older).await?;
    }
    if adopted {
        let about = of.stream.object_ref(&());
        let note = format!("topic {} was taken over with its settings", of.topic);
        context
            .events
            .normal(&about, ConditionReason::TopicAdopted, &note)
            .await;
    }
    Ok(Applied {
        version: in_force.version,
        topic,
        refused,
        unregistered,
        note,
    })
}

/// The contract in force afterwards.
struct Accepted {
    in_force: Revision,
    /// What was registered for it just now.
    registration: Option<Registration>,
    refused: Option<(Contract, Refusal)>,
    unregistered: Option<Error>,
    /// True: the spec's contract waits.
    held: bool,
}

impl Accepted {
    fn stays(in_force: Revision) -> Self {
        Self {
            in_force,
            registration: None,
            refused: None,
            unregistered: None,
            held: false,
        }
    }
}

/// Registers a contract that comes into force, and writes it down. Registered first: a contract in force has its id.
async fn accept(
    of: OfStream<'_>,
    decision: ContractDecision,
    platform: &Platform,
    context: &Context,
) -> Result<Accepted, Error> {
    let (mut next, before, written) = match decision {
        ContractDecision::Keep(in_force) => return Ok(Accepted::stays(in_force)),
        ContractDecision::Hold(in_force) => {
            return Ok(Accepted {
                held: true,
                ..Accepted::stays(in_force)
            });
        }
        ContractDecision::Refuse {
            in_force,
            asked,
            why,
        } => {
            return Ok(Accepted {
                refused: Some((asked, why)),
                ..Accepted::stays(in_force)
            });
        }
        ContractDecision::Accept {
            next,
            before,
            written,
        } => (next, before, written),
    };
    let answer = registry::register(of.stream, &next, before.as_ref(), platform, context).await;
    match (answer, before) {
        (Ok(registration), _) => {
            if !written {
                next.schema_ids.extend(registration.iter().map(|r| r.id));
                contract_revisions::accept(context, of.key, &next).await?;
            }
            Ok(Accepted {
                registration,
                ..Accepted::stays(next)
            })
        }
        (Err(error), Some(before)) => Ok(Accepted {
            unregistered: Some(error),
            ..Accepted::stays(before)
        }),
        (Err(error), None) => Err(error),
    }
}
