//! An end for what librdkafka may wait for without one.
//!
//! * `rd_kafka_send_offsets_to_transaction` takes a time-out and doesn't keep it (librdkafka #5456, since 1.4): once a search for the
//!   group's coordinator was answered "not available" three times, or the coordinator went away, nothing goes on before some
//!   broker connects or breaks. Between healthy brokers that is never.
//! * `rd_kafka_commit` that waits for its answer takes no time-out at all: it looks for the coordinator for as long as it lives.
//! * A consumer's close waits until its group lets it go, and the end of any client until each of its threads has ended.
//!
//! Neither can be called off. So they run on threads of their own, which are left alone when they take too long: a new session
//! fences whatever such a client would still do.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};

/// How much later than its time-out a call may come back.
const OVERDUE: Duration = Duration::from_secs(2);
/// How long the end of a client is waited for.
const END: Duration = Duration::from_secs(10);

/// Makes a call that is given `limit` as its time-out, and answers with a time-out of its own where the call doesn't keep it.
/// The client takes no other call of its kind then, until that one is back.
///
/// # Errors
/// Those of the call, or `OperationTimedOut`.
pub fn bounded_call<T: Send + 'static>(
    limit: Duration,
    call: impl FnOnce(Duration) -> KafkaResult<T> + Send + 'static,
) -> KafkaResult<T> {
    within(limit + OVERDUE, move || call(limit))
        .unwrap_or(Err(KafkaError::Global(RDKafkaErrorCode::OperationTimedOut)))
}

/// A call was given up while it runs. Trying it again by the same client is of no use, since that takes only one at a time.
/// (A time-out that librdkafka keeps itself comes as an error of the call's own kind.)
pub fn is_given_up(error: &KafkaError) -> bool {
    matches!(
        error,
        KafkaError::Global(RDKafkaErrorCode::OperationTimedOut)
    )
}

/// Makes a call on a thread of its own. `None`: it isn't back within `limit`. It goes on then, and what it holds is
/// freed when it returns; but one that hadn't begun is never made, since its caller goes on as if it weren't.
fn within<T: Send + 'static>(
    limit: Duration,
    call: impl FnOnce() -> T + Send + 'static,
) -> Option<T> {
    let (tell, told) = mpsc::sync_channel(1);
    // Taken by the call when it begins, or by who gives it up: one of them comes first.
    let turn = Arc::new(AtomicBool::new(false));
    let taken = Arc::clone(&turn);
    let calling = std::thread::Builder::new()
        .name("kafka-call".to_owned())
        .spawn(move || {
            if !taken.swap(true, Ordering::AcqRel) {
                // Nobody listens any more if the limit came first.
                let _ = tell.send(call());
            }
        });
    if let Err(error) = calling {
        tracing::warn!(%error, "no thread for a call to Kafka");
    }
    let answer = told.recv_timeout(limit).ok();
    turn.store(true, Ordering::Release);
    answer
}

/// A client whose end is waited for 10 s and no longer: then it ends by itself, whenever that is.
pub struct BoundedClient<T: Send + Sync + 'static> {
    client: Arc<T>,
    /// Fields go in this order, so this is the last reference, unless a call that hangs has one.
    _end: End<T>,
}

struct End<T: Send + Sync + 'static>(Option<Arc<T>>);

impl<T: Send + Sync + 'static> BoundedClient<T> {
    /// Takes over a client that was made.
    pub fn new(client: T) -> BoundedClient<T> {
        let client = Arc::new(client);
        BoundedClient {
            _end: End(Some(Arc::clone(&client))),
            client,
        }
    }
}

impl<T: Send + Sync + 'static> Deref for BoundedClient<T> {
    type Target = Arc<T>;

    fn deref(&self) -> &Arc<T> {
        &self.client
    }
}

impl<T: Send + Sync + 'static> Drop for End<T> {
    fn drop(&mut self) {
        let client = self.0.take();
        if within(END, move || drop(client)).is_none() {
            tracing::warn!(
                "a Kafka client doesn't end within {} s and is left to itself",
                END.as_secs()
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn a_call_that_does_not_return_is_given_up_and_one_that_does_is_heard() {
        assert_eq!(within(Duration::from_secs(60), || 7), Some(7));
        let (release, held) = mpsc::channel::<()>();
        let begun = Instant::now();
        assert_eq!(within(Duration::from_millis(50), move || held.recv()), None);
        assert!(begun.elapsed() < Duration::from_secs(30));
        drop(release);
    }

    #[test]
    fn a_client_ends_with_its_owner() {
        struct Tells(mpsc::Sender<()>);
        impl Drop for Tells {
            fn drop(&mut self) {
                let _ = self.0.send(());
            }
        }
        let (tell, told) = mpsc::channel();
        let client = BoundedClient::new(std::sync::Mutex::new(Tells(tell)));
        let lent = Arc::clone(&client);
        drop(lent);
        assert!(told.try_recv().is_err());
        drop(client);
        assert!(told.try_recv().is_ok(), "the owner waits for it");
    }
}
