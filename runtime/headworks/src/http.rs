//! The role `source` whose records come by HTTP: the source with its Kafka sink, and what both say of
//! themselves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use headworks_connectors::sources::http::{Config, KafkaSink, Listening, Metrics, Service, listen};
use headworks_engine::status::StatusHandle;
use headworks_plan::{Phase, Plan, Problem, ReportedReason, Role};
use prometheus_client::registry::Registry;
use snafu::ResultExt;

use crate::role::{BeginSnafu, End, RunError, Start, SystemSnafu, Work, told_to_stop};

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
pub fn begin(start: &mut Start<'_>) -> Option<Result<Work, RunError>> {
    match &start.plan.role {
        Role::Source(source) if source.generate.is_none() => {}
        _ => return None,
    }
    let http = Http::new(start.plan, start.http_port, start.status, start.registry);
    Some(http.map(|http| -> Work { Box::pin(http.run()) }))
}

/// The watch over Kafka hangs if a look isn't over for so long. With no broker at all one takes 10 s.
const HANGS: Duration = Duration::from_secs(3 * 60);

/// An HTTP source that is ready to run.
struct Http {
    service: Arc<Service<Arc<KafkaSink>>>,
    sink: Arc<KafkaSink>,
    status: StatusHandle,
}

impl Http {
    /// A source by the plan; it doesn't listen yet.
    fn new(
        plan: &Plan,
        port: u16,
        status: &StatusHandle,
        registry: &mut Registry,
    ) -> Result<Http, RunError> {
        let begin = |error: &dyn std::fmt::Display| {
            BeginSnafu {
                message: error.to_string(),
            }
            .build()
        };
        let config = Config {
            port,
            ..Config::from_plan(plan).map_err(|error| begin(&error))?
        };
        let sink = Arc::new(KafkaSink::new(plan.kafka.clone(), &config.plan));
        let metrics = Metrics::register(registry);
        let service = Service::new(config, sink.clone(), status.clone(), metrics)
            .map_err(|error| begin(&error))?;
        Ok(Http {
            service,
            sink,
            status: status.clone(),
        })
    }

    /// Serves until a signal, then until the requests under way are answered.
    async fn run(self) -> Result<End, RunError> {
        let watched = self.sink.clone();
        let pulse = self.status.pulse("kafka-watch", HANGS);
        std::thread::Builder::new()
            .name("kafka-watch".to_owned())
            .spawn(move || {
                let _pulse = pulse.of_this_thread();
                watched.watch();
            })
            .context(SystemSnafu)?;
        let listening = listen(&self.service).map_err(|error| {
            BeginSnafu {
                message: error.to_string(),
            }
            .build()
        })?;
        tracing::info!(address = %listening.address, path = self.service.config().http.path, "taking records");
        let mut shown = Shown::default();
        let told = told_to_stop();
        tokio::pin!(told);
        loop {
            shown.update(self.problems(&listening), &self.status);
            tokio::select! {
                told = &mut told => break told?,
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
            End::Drained
        } else {
            End::CutShort
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

/// What the report shows.
#[derive(Default)]
struct Shown {
    /// One a reason.
    problems: BTreeMap<ReportedReason, Problem>,
    /// Whether records could be taken at any time so far.
    worked: bool,
}

impl Shown {
    fn update(&mut self, problems: Vec<Problem>, status: &StatusHandle) {
        let mut now: BTreeMap<ReportedReason, Problem> = BTreeMap::new();
        for problem in problems {
            match now.get_mut(&problem.reason) {
                Some(same) => {
                    same.message = format!("{}; {}", same.message, problem.message);
                    same.fatal |= problem.fatal;
                }
                None => {
                    now.insert(problem.reason.clone(), problem);
                }
            }
        }
        for reason in self
            .problems
            .keys()
            .filter(|reason| !now.contains_key(*reason))
        {
            status.heal(reason.clone());
        }
        for problem in now.values() {
            status.raise(problem.clone());
        }
        self.worked |= now.is_empty();
        // Once at work, an outage of Kafka leaves the pod in the Service: an answer with Retry-After tells
        // a client more than a connection that is refused.
        status.set_phase(
            match (now.values().any(|problem| problem.fatal), self.worked) {
                (true, _) => Phase::Stalled,
                (false, true) => Phase::Running,
                (false, false) => Phase::Starting,
            },
        );
        self.problems = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use headworks_plan::Reason;

    #[test]
    fn a_source_is_ready_once_nothing_is_wrong_and_stays_so_while_kafka_is_away() {
        let status = StatusHandle::new();
        let mut shown = Shown::default();
        let away = || vec![Problem::new(Reason::KafkaUnavailable, "no broker", false)];
        shown.update(away(), &status);
        assert!(!status.is_ready());
        shown.update(vec![], &status);
        assert!(status.is_ready() && status.report().problems.is_empty());
        shown.update(away(), &status);
        assert!(status.is_ready());
        assert_eq!(status.report().problems, away());
    }

    #[test]
    fn a_missing_secret_makes_it_unready_until_the_secret_is_there() {
        let status = StatusHandle::new();
        let mut shown = Shown::default();
        shown.update(vec![], &status);
        shown.update(
            vec![
                Problem::new(Reason::SecretMissing, "no token", true),
                Problem::new(Reason::SecretMissing, "no password", true),
            ],
            &status,
        );
        assert!(!status.is_ready());
        assert_eq!(
            status.report().problems,
            [Problem::new(
                Reason::SecretMissing,
                "no token; no password",
                true
            )]
        );
        shown.update(
            vec![Problem::new(Reason::SecretMissing, "no password", true)],
            &status,
        );
        assert_eq!(
            status.report().problems,
            [Problem::new(Reason::SecretMissing, "no password", true)]
        );
        shown.update(vec![], &status);
        assert!(status.is_ready());
    }
}
