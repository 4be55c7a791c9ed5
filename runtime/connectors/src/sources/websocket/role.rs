//! The source in its pod: the feed on one side, Kafka on the other, and what both say of themselves.

use std::sync::Arc;
use std::time::Duration;

use headworks_engine::Outcome;
use headworks_engine::format::FormatError;
use headworks_engine::status::StatusHandle;
use headworks_plan::{OnInvalid, Phase, SourceConnection, SourcePlan, WebsocketSource};
use snafu::ResultExt;
use tokio::sync::{mpsc, oneshot};

use super::feed::{Feed, WAITING};
use super::writer::{Halted, Writer};
use crate::sources::kafka::{AcknowledgedWriter, Sink};
use crate::sources::problems::Shown;
use crate::sources::record_validation::RecordValidation;
use crate::sources::running::{DiedSnafu, Running, SourceError, Start, Stop, SystemSnafu};

/// How often the problems are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// From SIGTERM until what was heard is written, at most.
const DRAIN: Duration = Duration::from_secs(14);
/// What remains for acknowledgements.
const FLUSH: Duration = Duration::from_secs(4);

/// The WebSocket source by the plan.
pub fn begin(start: &mut Start<'_>) -> Option<Result<Running, SourceError>> {
    let SourceConnection::Websocket(feed) = &start.source.connection else {
        return None;
    };
    let kafka = Arc::new(AcknowledgedWriter::new(
        start.plan.kafka.clone(),
        start.source,
    ));
    let (name, sink, status) = (start.name(), kafka.clone(), start.status.clone());
    let source = match Websocket::new(&name, start.source, feed.clone(), sink, status) {
        Ok(source) => source,
        Err(error) => return Some(Err(SourceError::begin(&error))),
    };
    let status = start.status.clone();
    Some(Ok(Box::new(move |stop| {
        Box::pin(async move {
            kafka.watch_on_thread(&status).context(SystemSnafu)?;
            let written = source.run(stop).await?;
            let flushed = tokio::task::spawn_blocking(move || kafka.stop(FLUSH))
                .await
                .unwrap_or(false);
            Ok(if written && flushed {
                Outcome::Drained
            } else {
                Outcome::Interrupted
            })
        })
    })))
}

/// A WebSocket source that is ready to run.
pub struct Websocket<S> {
    pub(super) feed: WebsocketSource,
    pub(super) validation: RecordValidation,
    pub(super) on_invalid: OnInvalid,
    pub(super) sink: S,
    pub(super) status: StatusHandle,
}

impl<S: Sink + Clone> Websocket<S> {
    /// A source of that name that listens to `feed`, writes to `sink` and counts into `status`.
    ///
    /// # Errors
    /// The stream's contract is no contract.
    pub fn new(
        name: &str,
        source: &SourcePlan,
        feed: WebsocketSource,
        sink: S,
        status: StatusHandle,
    ) -> Result<Websocket<S>, FormatError> {
        Ok(Websocket {
            feed,
            validation: RecordValidation::new(name, source)?,
            on_invalid: source.on_invalid,
            sink,
            status,
        })
    }

    /// Listens until `stop`, and then until what was heard is written. False: time ran out first.
    ///
    /// # Errors
    /// The system gives no threads, or the writer's ended unasked.
    pub async fn run(self, stop: Stop) -> Result<bool, SourceError> {
        if let Some(problem) = self.validation.problem() {
            // Nothing is heard: what can't be judged isn't taken.
            self.status.hold_up(problem);
            stop.await.context(SystemSnafu)?;
            return Ok(true);
        }
        self.status.judges_by(self.validation.counts_by());
        let halted = Halted::default();
        let (tell, told) = mpsc::channel(WAITING);
        let writer = Writer {
            validation: self.validation,
            on_invalid: self.on_invalid,
            items_path: self.feed.items_path.clone(),
            sink: self.sink.clone(),
            status: self.status.clone(),
            halted: halted.clone(),
        };
        let mut written = on_thread(writer, told)?;
        let feed = Feed::new(self.feed, tell);
        let health = feed.health();
        let mut listening = Box::pin(feed.listen(stop));
        let mut shown = Shown::default();
        loop {
            let problems = health.problem().into_iter().chain(self.sink.problem());
            let problems = problems.chain(halted.problem());
            shown.update(problems.collect(), &self.status);
            tokio::select! {
                ended = &mut listening => {
                    ended.context(SystemSnafu)?;
                    break;
                }
                _ = &mut written => return DiedSnafu { thread: "websocket-writer" }.fail(),
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        self.status.set_phase(Phase::Draining);
        // The writer ends once nobody can tell it more.
        drop(listening);
        Ok(matches!(
            tokio::time::timeout(DRAIN, written).await,
            Ok(Ok(()))
        ))
    }
}

/// Runs a writer on a thread of its own; told when it ends, unless it panics.
fn on_thread<S: Sink>(
    writer: Writer<S>,
    told: mpsc::Receiver<super::Message>,
) -> Result<oneshot::Receiver<()>, SourceError> {
    let (tell, ended) = oneshot::channel();
    let runtime = tokio::runtime::Handle::current();
    std::thread::Builder::new()
        .name("websocket-writer".to_owned())
        .spawn(move || {
            runtime.block_on(writer.run(told));
            let _ = tell.send(());
        })
        .context(SystemSnafu)?;
    Ok(ended)
}
