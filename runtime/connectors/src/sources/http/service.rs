//! The answers: one request from its head to its status code.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Extensions, Method, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use headworks_engine::format::FormatError;
use headworks_engine::status::{Progress, ReasonTally, StatusHandle};
use headworks_plan::{Problem, RuleFigures};
use tokio::sync::Semaphore;

use super::answer::{Accepted, acknowledged as with_acknowledged};
use super::config::{CALLED, Config};
use super::metrics::Metrics;
use super::request;
use super::work::{Judged, Work};
use crate::server::{
    self, Announced, BearerTokens, Front, HANGS, LONGEST_DEBT, Listen, Listening, Place, Rate,
    Reading, Refusal, Room, ServerError, Share,
};
use crate::sources::cut::Layout;
use crate::sources::kafka::{Cause, Sink, Undelivered};
use crate::sources::record_validation::RecordValidation;
use crate::sources::tally;

/// Bodies above this, or of which there may be more work than this, are parsed on a thread of their own, so that they
/// hold up nobody else's answer.
const LARGE: usize = 128 * 1024;
const MUCH_WORK: usize = 16 * 1024 * 1024;
/// So many of them at once: there is no more to gain by more than there are processors, and each takes memory.
const LARGE_AT_ONCE: usize = 4;

/// Takes records from HTTP requests into a [`Sink`].
pub struct Service<S> {
    config: Config,
    work: Arc<Work>,
    sink: S,
    tokens: Option<BearerTokens>,
    rate: Option<Rate>,
    room: Room,
    large: Arc<Semaphore>,
    status: StatusHandle,
    metrics: Metrics,
    front: Front,
}

impl<S: Sink> Service<S> {
    /// A service that counts into `status` and `metrics`.
    ///
    /// # Errors
    /// The stream's contract is no contract.
    pub fn new(
        config: Config,
        sink: S,
        status: StatusHandle,
        metrics: Metrics,
    ) -> Result<Arc<Service<S>>, FormatError> {
        let rate = config.http.records_per_second;
        let debt = rate.map(|rate| rate.max(1).saturating_mul(LONGEST_DEBT));
        let debt = debt.map_or(usize::MAX, |most| {
            usize::try_from(most).unwrap_or(usize::MAX)
        });
        let validation = RecordValidation::new(&config.source, &config.plan)?;
        status.judges_by(validation.counts_by());
        Ok(Arc::new(Service {
            work: Work::new(
                validation,
                config.plan.on_invalid,
                &config.plan.into.name,
                config.http.items_path.as_ref(),
                config.max_records.min(debt),
            ),
            tokens: (config.bearer_dir.clone()).map(|dir| {
                BearerTokens::new(dir, CALLED, config.retry_after, metrics.requests.clone())
            }),
            rate: rate.map(|rate| Rate::new(rate, CALLED, Instant::now())),
            room: Room::new(config.readers, config.concurrency, config.in_flight_bytes),
            large: Arc::new(Semaphore::new(LARGE_AT_ONCE)),
            front: Front::new(metrics.requests.clone()),
            config,
            sink,
            status,
            metrics,
        }))
    }

    /// The service as axum serves it.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new().fallback(handle::<S>).with_state(self.clone())
    }

    /// The settings.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The sink.
    pub fn sink(&self) -> &S {
        &self.sink
    }

    /// A new connection's share of what may come in at once: one largest body at least.
    pub(super) fn share(&self) -> Share {
        let largest = usize::try_from(self.config.http.max_body_bytes).unwrap_or(usize::MAX);
        Share::new(
            largest
                .saturating_add(1024)
                .max(self.config.in_flight_bytes / 8),
        )
    }

    /// What keeps the source from its work now: a missing Secret, or what the sink says.
    pub fn problems(&self) -> Vec<Problem> {
        let tokens = self.tokens.as_ref().and_then(BearerTokens::problem);
        let sink = self.sink.problem();
        tokens
            .into_iter()
            .chain(self.work.problem())
            .chain(sink)
            .collect()
    }

    /// From now on a connection is closed after its answer, so that clients find another pod.
    pub fn drain(&self) {
        self.front.drain();
    }

    async fn answer(&self, head: &Parts, body: &mut Body) -> Result<Accepted, Refusal> {
        if head.uri.path() != self.config.http.path {
            let error = format!("nothing is here; post records to {}", self.config.http.path);
            return Err(Refusal::new(StatusCode::NOT_FOUND, error));
        }
        if let Some(tokens) = &self.tokens {
            tokens.check(&head.headers)?;
        }
        if head.method != Method::POST {
            let refusal = Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "records are posted: use POST",
            );
            return Err(refusal.with_header(header::ALLOW, "POST"));
        }
        let bounds = self.config.body();
        let announced = Announced::read(&head.headers, &bounds)?;
        let layout = request::layout(&head.headers)?;
        announced.fits(&bounds)?;
        let hindered = self.work.validation.problem();
        if let Some(problem) = hindered.or_else(|| self.sink.problem()) {
            return Err(self.unavailable(&problem));
        }
        if let Some(rate) = &self.rate {
            rate.take(0, Instant::now())?;
        }
        let mut place = self.room.enter(head.extensions.get::<Share>().cloned())?;
        let mut reading = Reading::new(announced, bounds);
        let body = reading.whole(body, &mut place).await?;
        self.metrics.requests.received(reading.received());
        self.room.work(&mut place)?;
        let (judged, place) = self.judged(body, layout, place).await;
        let judged = judged.map_err(|(refusal, number)| {
            self.status.refused(number as u64);
            refusal
        })?;
        let accepted = self.take(judged).await;
        drop(place);
        accepted
    }

    /// The judgement of a body; what it holds is given back by whoever drops the place.
    async fn judged(
        &self,
        body: Bytes,
        layout: Layout,
        mut place: Place,
    ) -> (Result<Judged, (Refusal, usize)>, Option<Place>) {
        if body.len() <= LARGE.min(self.work.validation.longest(MUCH_WORK)) {
            return (self.work.judge(&body, layout, &mut place), Some(place));
        }
        let turn = self.large.clone().acquire_owned().await;
        let work = self.work.clone();
        let judging = tokio::task::spawn_blocking(move || {
            let judged = work.judge(&body, layout, &mut place);
            drop(turn);
            (judged, Some(place))
        });
        judging.await.unwrap_or_else(|_| {
            let refusal = Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the request could not be parsed; this is a fault of Headworks",
            );
            (Err((refusal, 0)), None)
        })
    }

    /// Writes what was judged, and says what became of it.
    async fn take(&self, mut judged: Judged) -> Result<Accepted, Refusal> {
        let accepted = Accepted {
            accepted: judged.accepted,
            dead_lettered: judged.dead_lettered,
            dropped: judged.dropped,
        };
        let rules = std::mem::take(&mut judged.rules);
        let received = accepted.received();
        if received == 0 {
            self.work.end(judged.rest);
            return Ok(accepted);
        }
        if let Some(rate) = &self.rate
            && let Err(refusal) = rate.take(received, Instant::now())
        {
            self.status.refused(received as u64);
            self.work.end(judged.rest);
            return Err(refusal);
        }
        let begun = Instant::now();
        let written = self.write(judged).await;
        self.metrics.acknowledged(begun.elapsed());
        match written {
            Ok(reasons) => {
                self.count(&accepted, reasons, rules);
                Ok(accepted)
            }
            Err((acknowledged, refusal)) => {
                if let Some(rate) = &self.rate {
                    rate.give_back(received.saturating_sub(acknowledged), Instant::now());
                }
                self.status.refused(received as u64);
                Err(refusal)
            }
        }
    }

    /// All of it, in pieces where there wasn't room for the whole, with the reasons of the dead letters; or how many records are in
    /// Kafka all the same.
    async fn write(&self, judged: Judged) -> Result<ReasonTally, (usize, Refusal)> {
        let Judged {
            outgoing, mut rest, ..
        } = judged;
        let mut acknowledged = 0;
        let mut reasons = ReasonTally::default();
        let mut next = outgoing;
        loop {
            if !next.is_empty() {
                let number = next.len();
                reasons.add_all(tally::of(&next, jiff::Timestamp::now().as_millisecond()));
                self.sink.write(next).await.map_err(|undelivered| {
                    let acknowledged = acknowledged + undelivered.acknowledged;
                    (acknowledged, self.undelivered(&undelivered, acknowledged))
                })?;
                acknowledged += number;
            }
            if rest.is_empty() {
                self.work.end(rest);
                return Ok(reasons);
            }
            let work = self.work.clone();
            let checking = tokio::task::spawn_blocking(move || {
                let piece = work.next(&mut rest);
                (piece, rest)
            });
            let (piece, after) = checking.await.map_err(|_| {
                let refusal = Refusal::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the request could not be parsed; this is a fault of Headworks",
                );
                (acknowledged, with_acknowledged(refusal, acknowledged))
            })?;
            rest = after;
            next = piece
                .map_err(|refusal| (acknowledged, with_acknowledged(refusal, acknowledged)))?
                .unwrap_or_default();
        }
    }

    fn undelivered(&self, undelivered: &Undelivered, acknowledged: usize) -> Refusal {
        tracing::warn!(
            acknowledged,
            failed = undelivered.failed,
            "{}",
            undelivered.cause
        );
        let kept = match acknowledged {
            0 => "no record of this request is known to be in Kafka".to_owned(),
            n => format!("{n} records of this request are in Kafka, and a retry writes them again"),
        };
        let refusal = match &undelivered.cause {
            Cause::Unavailable { message } => Refusal::unavailable(
                format!("Kafka did not acknowledge: {message}; {kept}"),
                self.config.retry_after,
            ),
            cause @ Cause::TooLarge => Refusal::too_large(format!("{cause}; {kept}")),
        };
        with_acknowledged(refusal, acknowledged)
    }

    fn unavailable(&self, problem: &Problem) -> Refusal {
        Refusal::unavailable(
            format!(
                "records can't be kept now ({}); nothing was written",
                problem.reason
            ),
            self.config.retry_after,
        )
    }

    fn count(&self, accepted: &Accepted, reasons: ReasonTally, rules: Vec<RuleFigures>) {
        let progress = Progress {
            records_in: accepted.received() as u64,
            records_out: accepted.accepted as u64,
            dead_letters: accepted.dead_lettered as u64,
            dropped: accepted.dropped as u64,
            reasons,
            rules,
            ..Progress::default()
        };
        self.status
            .committed(&progress, jiff::Timestamp::now().as_millisecond());
    }
}

/// Binds the service's port and begins to serve.
///
/// # Errors
/// The port can't be had.
pub fn listen<S: Sink>(service: &Arc<Service<S>>) -> Result<Listening, ServerError> {
    let config = &service.config;
    let marked = service.clone();
    server::listen(Listen {
        called: CALLED,
        port: config.port,
        app: service.router(),
        bounds: config.bounds,
        tls_dir: config.tls_dir.clone(),
        mark: Box::new(move || {
            let mut extensions = Extensions::new();
            extensions.insert(marked.share());
            extensions
        }),
        pulse: service.status.pulse("http-listener", HANGS),
    })
}

async fn handle<S: Sink>(State(service): State<Arc<Service<S>>>, request: Request) -> Response {
    let begun = Instant::now();
    let (head, mut body) = request.into_parts();
    let answer = service.answer(&head, &mut body).await;
    service.front.respond((&head, body), answer, begun)
}
