//! The results of a query with state on their way into topics.

use headworks_plan::OnBadRecord;

use super::{InputTopic, Settings, dead_letter};
use crate::keyed::results::ResultRecord;
use crate::log::{Log, LogError, Outgoing, Partition, Reason, Record};
use crate::stateless::Bad;
use crate::status::Progress;

/// Writes a record of the results, or the dead letter of a result that is bad.
pub(super) fn write(
    log: &mut impl Log,
    settings: &Settings,
    input: Option<&InputTopic>,
    pending: &mut Progress,
    (partition, offset): (Partition, i64),
    now_ms: i64,
    given: ResultRecord<'_>,
) -> Result<(), LogError> {
    match given {
        ResultRecord::Record {
            topic, key, value, ..
        } => {
            pending.records_out += 1;
            log.produce(&Outgoing {
                topic,
                partition: None,
                key,
                value,
                // The time of writing. A window's own end may be long past, and the topic's retention would delete
                // the result at once; or be to come, and the broker would refuse it.
                timestamp_ms: None,
                headers: &[],
            })
        }
        ResultRecord::Bad {
            reason,
            message,
            text,
        } => match (settings.on_bad_record, input) {
            (OnBadRecord::DeadLetter, Some(input)) => {
                pending.dead_letters += 1;
                // There is no input record: where it stood between the parts is all that is known.
                let record = Record {
                    partition,
                    offset: offset - 1,
                    timestamp_ms: None,
                    key: None,
                    value: Some(text.as_bytes()),
                };
                let bad = Bad::new(0, reason, message.to_owned());
                let from = settings.inputs.first().unwrap_or(input);
                let to = InputTopic {
                    topic: from.topic.clone(),
                    ..input.clone()
                };
                let tally = &mut pending.reasons;
                dead_letter::produce(log, settings, &to, &record, &bad, now_ms, tally)
            }
            (OnBadRecord::Stop, _) => Err(LogError::NeedsPerson {
                reason: Reason::BadRecord,
                message: format!(
                    "a result: {message} ({reason}); mend the query, or set onBadRecord to DeadLetter or Drop to go on without it"
                ),
            }),
            _ => {
                pending.dropped += 1;
                Ok(())
            }
        },
    }
}
