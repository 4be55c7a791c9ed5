//! The source in its pod: the service with its Kafka sink, and what both say of themselves.

use std::sync::Arc;
use std::time::Duration;

use headworks_engine::Outcome;
use headworks_engine::status::StatusHandle;
use headworks_plan::{Phase, Problem, SourceConnection};
use snafu::ResultExt;

use super::{Config, Metrics, Service, listen};
use crate::server::Listening;
use crate::sources::kafka::AcknowledgedWriter;
use crate::sources::problems::Shown;
use crate::sources::running::{Running, SourceError, Start, Stop, SystemSnafu};

/// How often the problems are looked at.
const LOOK: Duration = Duration::from_millis(500);
/// After SIGTERM requests are still taken for this long, until every node has heard that the pod is
/// leaving the Service.
const LEAVING: Duration = Duration::from_secs(3);
/// Longest for requests under way.
const REQUESTS: Duration = Duration::from_secs(13);
/// What remains for acknowledgements after the last request.
const FLUSH: Duration = Duration::from_secs(4);

/// The HTTP source by the plan.
pub fn begin(start: &mut Start<'_>) -> Option<Result<Running, SourceError>> {
    let SourceConnection::Http(_) = &start.source.connection else {
        return None;
    };
    let http = Http::new(start);
    Some(http.map(|http| -> Running { Box::new(|stop| Box::pin(http.run(stop))) }))
}

/// An HTTP source that is ready to run.
struct Http {
    service: Arc<Service<Arc<AcknowledgedWriter>>>,
    sink: Arc<AcknowledgedWriter>,
    status: StatusHandle,
}

impl Http {
    /// A source by the plan; it doesn't listen yet.
    fn new(start: &mut Start<'_>) -> Result<Http, SourceError> {
        let config = Config {
            port: start.http_port,
            ..Config::from_plan(start.plan).map_err(|error| SourceError::begin(&error))?
        };
        let sink = Arc::new(AcknowledgedWriter::new(
            start.plan.kafka.clone(),
            &config.plan,
        ));
        let metrics = Metrics::register(start.registry);
        let service = Service::new(config, sink.clone(), start.status.clone(), metrics)
            .map_err(|error| SourceError::begin(&error))?;
        Ok(Http {
            service,
            sink,
            status: start.status.clone(),
        })
    }

    /// Serves until a signal, then until the requests under way are answered.
    async fn run(self, mut stop: Stop) -> Result<Outcome, SourceError> {
        self.sink
            .watch_on_thread(&self.status)
            .context(SystemSnafu)?;
        let listening = listen(&self.service).map_err(|error| SourceError::begin(&error))?;
        tracing::info!(address = %listening.address, path = self.service.config().http.path, "taking records");
        let mut shown = Shown::of_answering();
        loop {
            shown.update(self.problems(&listening), &self.status);
            tokio::select! {
                told = &mut stop => break told.context(SystemSnafu)?,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
        self.status.set_phase(Phase::Draining);
        self.service.drain();
        tokio::time::sleep(LEAVING).await;
        let in_time = listening.drain(REQUESTS).await;
        let sink = self.sink.clone();
        let flushed = tokio::task::spawn_blocking(move || sink.stop(FLUSH))
            .await
            .unwrap_or(false);
        Ok(if in_time && flushed {
            Outcome::Drained
        } else {
            Outcome::Interrupted
        })
    }

    fn problems(&self, listening: &Listening) -> Vec<Problem> {
        self.service
            .problems()
            .into_iter()
            .chain(listening.problem())
            .collect()
    }
}
