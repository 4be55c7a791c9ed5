//! What is said of a stream. Pure, but for the words of a refusal, which name whom the change would hit.

use std::time::Duration;

use headworks_crds::{DataStream, DataStreamStatus, conditions::READY};
use headworks_plan::Reason;

use super::{apply::Applied, compatibility};
use crate::{
    context::Context,
    names::{Key, digest},
    provisioner::OfStream,
    reason::{AnyReason, ConditionReason},
    registry_pool,
    retry::Error,
    status::{ExtraCondition, ReconcileOutcome},
};

/// A stream is looked at again so soon where Kafka couldn't be asked.
const UNVERIFIED_RECHECK: Duration = Duration::from_secs(30);

/// True for what our own calls to Kafka say of a Kafka that doesn't answer. Strimzi's Topic Operator has a `KafkaError`,
/// too, which is waited for and not tried again: Kafka has answered it, and refused the topic as it is wanted.
pub fn is_outage(error: &Error) -> bool {
    match error {
        Error::Transient { .. } => error.is(Reason::KafkaError),
        Error::Waiting { .. } => error.is(Reason::KafkaUnavailable),
        Error::Stalled { .. } => false,
    }
}

/// A Ready stream stays Ready while Kafka can't be asked: the Platform says what is wrong, once, instead of every stream.
///
/// # Errors
/// `error` itself, where the stream isn't Ready.
pub fn unverified(
    stream: &DataStream,
    status: &DataStreamStatus,
    error: Error,
) -> Result<ReconcileOutcome, Error> {
    let before = status.conditions.iter().find(|c| {
        c.type_ == READY
            && c.status == "True"
            && c.observed_generation == stream.metadata.generation
    });
    match before {
        Some(ready) => {
            tracing::warn!(stream = %Key::of(stream), %error, "not looked at in Kafka");
            Ok(
                ReconcileOutcome::ready(AnyReason::read(&ready.reason), ready.message.clone())
                    .recheck(UNVERIFIED_RECHECK),
            )
        }
        None => Err(error),
    }
}

/// How a look ended that came to its end.
///
/// # Errors
/// `IncompatibleContract`; what keeps the topic, or the registration of the contract.
pub fn outcome(
    of: OfStream<'_>,
    applied: Applied,
    context: &Context,
) -> Result<ReconcileOutcome, Error> {
    if let Some((asked, why)) = &applied.refused {
        let message = compatibility::message(of.stream, of.key, why, asked, context);
        return Err(Error::stalled(
            ConditionReason::IncompatibleContract,
            message,
        ));
    }
    said(of, applied, context.settings.recheck)
}

fn said(of: OfStream<'_>, applied: Applied, recheck: Duration) -> Result<ReconcileOutcome, Error> {
    let outcome = applied.topic;
    if let Some(error) = outcome.pending.or(applied.unregistered) {
        return Err(error);
    }
    let mut message = format!(
        "topic {} is as the spec says, contract {} is in force",
        of.topic, applied.version
    );
    let mut reason = ConditionReason::TopicReady;
    if let Some((why, resting)) = outcome.resting {
        reason = why;
        message = format!("{message}. {resting}");
    }
    let mut recheck = spread(recheck, of.key);
    if let Some(note) = applied.note {
        message = format!("{message}; {note}");
        recheck = recheck.min(registry_pool::RECHECK);
    }
    let drift = outcome.drift.map(|message| ExtraCondition {
        type_: "Drifted",
        reason: ConditionReason::SettingsOfOthers.into(),
        message,
    });
    Ok(ReconcileOutcome::ready(reason, message)
        .and(drift)
        .recheck(recheck))
}

/// Looks are spread by name over half the interval, so that a thousand streams don't ask Kafka at once.
fn spread(interval: Duration, key: &Key) -> Duration {
    let digest = digest(key.to_string().as_bytes());
    let share = u32::from_str_radix(&digest[..4], 16).unwrap_or(0);
    interval + interval.mul_f64(f64::from(share) / 131_072.0)
}

#[cfg(test)]
mod tests {
    use headworks_crds::Defaults;
    use serde_json::json;

    use super::*;
    use crate::provisioner::TopicOutcome;

    #[test]
    fn what_the_topic_operator_says_of_a_setting_is_no_outage() {
        assert!(is_outage(&Error::transient(Reason::KafkaError, "")));
        assert!(is_outage(&Error::waiting(Reason::KafkaUnavailable, "")));
        // As `verdict` hands on what stands in a KafkaTopic's condition.
        assert!(!is_outage(&Error::waiting(Reason::KafkaError, "")));
        assert!(!is_outage(&Error::stalled(Reason::NotAuthorized, "")));
    }

    #[test]
    fn what_is_said_names_the_topic_the_contract_and_all_that_is_beside_them() {
        let stream: DataStream = serde_json::from_value(json!({
            "metadata": {"name": "orders", "namespace": "shop"},
            "spec": {"schema": [{"name": "id", "type": "string"}]},
        }))
        .unwrap();
        let (key, defaults) = (Key::of(&stream), Defaults::default());
        let of = OfStream {
            stream: &stream,
            key: &key,
            topic: "shop.orders",
            dead_letters: "shop.orders.dlq",
            defaults: &defaults,
        };
        let applied =
            |topic: TopicOutcome, note: Option<&str>, unregistered: Option<Error>| Applied {
                version: 3,
                topic,
                refused: None,
                unregistered,
                note: note.map(str::to_owned),
            };
        let minute = Duration::from_secs(60);
        let fine = said(of, applied(TopicOutcome::default(), None, None), minute * 5).unwrap();
        assert_eq!(
            (fine.reason.as_str(), fine.message.as_str()),
            (
                "TopicReady",
                "topic shop.orders is as the spec says, contract 3 is in force"
            )
        );
        assert!(
            fine.recheck
                .is_some_and(|after| after >= minute * 5 && after <= minute * 8)
        );
        let resting = TopicOutcome {
            resting: Some((ConditionReason::TopicPaused, "it is paused".into())),
            drift: Some("others".into()),
            pending: None,
        };
        let rests = said(of, applied(resting, Some("no registry"), None), minute * 5).unwrap();
        assert_eq!(rests.reason, "TopicPaused");
        assert!(
            rests
                .message
                .ends_with("in force. it is paused; no registry")
        );
        assert_eq!(rests.also[0].type_, "Drifted");
        assert!(rests.recheck <= Some(registry_pool::RECHECK));
        let waits = TopicOutcome {
            pending: Some(Error::waiting(ConditionReason::TopicPending, "")),
            ..TopicOutcome::default()
        };
        let refused = || Some(Error::stalled(ConditionReason::RegistryRefused, ""));
        let reason = |topic, unregistered| {
            let error = said(of, applied(topic, None, unregistered), minute).unwrap_err();
            error.reason().to_owned()
        };
        assert_eq!(reason(waits, refused()), "TopicPending");
        assert_eq!(
            reason(TopicOutcome::default(), refused()),
            "RegistryRefused"
        );
    }
}
