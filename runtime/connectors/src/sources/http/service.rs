//! The answers: one request from its head to its status code.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::{Bytes, BytesMut};
use headworks_engine::format::FormatError;
use headworks_engine::status::{Progress, StatusHandle};
use headworks_plan::{OnInvalid, Problem};

use super::answer::{Accepted, BadRecord, Refusal};
use super::auth::Tokens;
use super::body::{self, Leftovers};
use super::config::Config;
use super::gzip::{self, Inflater};
use super::limits::{Place, Rate, Room};
use super::metrics::Metrics;
use super::request::{self, Encoding, Layout};
use super::sink::{Cause, Sink, Undelivered};
use crate::sources::intake::{Checked, Intake};

/// Bodies above this are parsed on a thread of their own, so that they hold up nobody else's answer.
const LARGE: usize = 128 * 1024;

/// Takes records from HTTP requests into a [`Sink`].
pub struct Service<S> {
    config: Config,
    intake: Arc<Intake>,
    sink: S,
    tokens: Option<Tokens>,
    rate: Option<Rate>,
    room: Room,
    status: StatusHandle,
    metrics: Metrics,
    leftovers: Leftovers,
    draining: AtomicBool,
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
        Ok(Arc::new(Service {
            intake: Arc::new(Intake::new(&config.source, &config.plan)?),
            tokens: config
                .bearer_dir
                .clone()
                .map(|dir| Tokens::new(dir, config.retry_after)),
            rate: config
                .http
                .records_per_second
                .map(|rate| Rate::new(rate, Instant::now())),
            room: Room::new(config.concurrency, config.in_flight_bytes),
            leftovers: Leftovers::default(),
            draining: AtomicBool::new(false),
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

    /// What keeps the source from its work now: a missing Secret, or what the sink says.
    pub fn problems(&self) -> Vec<Problem> {
        let tokens = self.tokens.as_ref().and_then(Tokens::problem);
        let tokens = tokens.map(|message| Problem {
            reason: "SecretMissing".to_owned(),
            message,
            fatal: true,
        });
        tokens.into_iter().chain(self.sink.problem()).collect()
    }

    /// From now on a connection is closed after its answer, so that clients find another pod.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
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
        let encoding = request::encoding(&head.headers)?;
        let layout = request::layout(&head.headers)?;
        let announced = head
            .headers
            .get(header::CONTENT_LENGTH)
            .and_then(|v| v.to_str().ok()?.parse::<u64>().ok());
        if announced.is_some_and(|length| length > self.most(encoding)) {
            return Err(self.body_too_large());
        }
        if let Some(problem) = self.sink.problem() {
            return Err(self.unavailable(&problem));
        }
        if let Some(rate) = &self.rate {
            rate.take(0, Instant::now())?;
        }
        let mut place = self.room.enter()?;
        if encoding == Encoding::Identity {
            place.hold(usize::try_from(announced.unwrap_or(0)).unwrap_or(usize::MAX))?;
        }
        let reading = async {
            match encoding {
                Encoding::Identity => self.read(body, &mut place).await,
                Encoding::Gzip => self.inflate(body, &mut place).await,
            }
        };
        let Ok(body) = tokio::time::timeout(self.config.body_timeout, reading).await else {
            let seconds = self.config.body_timeout.as_secs_f32();
            return Err(Refusal::new(
                StatusCode::REQUEST_TIMEOUT,
                format!("the body didn't come within {seconds} s"),
            ));
        };
        let body = body?;
        let checked = self.checked(body, layout).await?;
        self.take(checked).await
    }

    /// The whole body. The limit is kept while it comes, whatever its length was said to be.
    async fn read(&self, body: &mut Body, place: &mut Place) -> Result<Bytes, Refusal> {
        let mut read = BytesMut::new();
        while let Some(chunk) = body::next(body).await {
            let chunk = chunk.map_err(|_| Refusal::bad_request("the body broke off"))?;
            let length = read.len() + chunk.len();
            if length as u64 > self.config.http.max_body_bytes {
                return Err(self.body_too_large());
            }
            place.hold(length)?;
            read.extend_from_slice(&chunk);
        }
        self.metrics.received(read.len());
        Ok(read.freeze())
    }

    /// The whole body, inflated while it comes: neither it nor what it came as is ever held in full beyond
    /// the limit.
    async fn inflate(&self, body: &mut Body, place: &mut Place) -> Result<Bytes, Refusal> {
        let limit = usize::try_from(self.config.http.max_body_bytes).unwrap_or(usize::MAX);
        let mut inflater = Inflater::new(limit, place);
        let refusal = |fault: gzip::Fault| match fault {
            gzip::Fault::TooLarge => self.body_too_large(),
            gzip::Fault::Refused(refusal) => refusal,
            fault @ gzip::Fault::Corrupt => Refusal::bad_request(fault.to_string()),
        };
        let (mut received, mut rested) = (0, 0);
        while let Some(chunk) = body::next(body).await {
            let chunk = chunk.map_err(|_| Refusal::bad_request("the body broke off"))?;
            received += chunk.len();
            if received as u64 > self.most(Encoding::Gzip) {
                return Err(self.body_too_large());
            }
            for piece in chunk.chunks(gzip::PIECE) {
                inflater.take(piece).map_err(refusal)?;
                if inflater.len() - rested > gzip::REST {
                    rested = inflater.len();
                    tokio::task::yield_now().await;
                }
            }
        }
        let whole = inflater.finish().map_err(refusal)?;
        self.metrics.received(received);
        Ok(whole.into())
    }

    /// Most bytes that a body may have on its way. Packed, it may be a little longer than unpacked.
    fn most(&self, encoding: Encoding) -> u64 {
        let limit = self.config.http.max_body_bytes;
        match encoding {
            Encoding::Identity => limit,
            Encoding::Gzip => limit.saturating_add(limit / 1024 + 1024),
        }
    }

    fn body_too_large(&self) -> Refusal {
        let limit = self.config.http.max_body_bytes;
        Refusal::too_large(format!(
            "the body is above {limit} bytes, the limit of this source (spec.http.maxBodyBytes); send it in parts"
        ))
    }

    async fn checked(&self, body: Bytes, layout: Layout) -> Result<Checked, Refusal> {
        let large = body.len() > LARGE;
        let (intake, items_path, most) = (
            self.intake.clone(),
            self.config.http.items_path.clone(),
            self.config.max_records,
        );
        let work = move || {
            let records = request::records(&body, layout, items_path.as_deref(), most)?;
            intake.check(&body, &records).map_err(|error| {
                tracing::error!("a request could not be encoded: {error}");
                Refusal::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "the records could not be encoded; this is a fault of Headworks",
                )
            })
        };
        if !large {
            return work();
        }
        tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| {
            Err(Refusal::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "the request could not be parsed; this is a fault of Headworks",
            ))
        })
    }

    async fn take(&self, Checked { good, bad }: Checked) -> Result<Accepted, Refusal> {
        let received = good.len() + bad.len();
        if let Some(rate) = self.rate.as_ref().filter(|_| received > 0) {
            rate.take(received, Instant::now())?;
        }
        let listed = || bad.iter().map(|bad| BadRecord::new(bad.index, &bad.error));
        if self.config.plan.on_invalid == OnInvalid::Reject && !bad.is_empty() {
            self.status.refused(received as u64);
            let error = format!(
                "{} of {received} records break the contract of stream {}; nothing was written",
                bad.len(),
                self.config.plan.into.name
            );
            return Err(Refusal::bad_request(error).with_records(listed()));
        }
        let letters = self.intake.dead_letters(&bad, jiff::Timestamp::now()).map_err(|too_large| {
            self.status.refused(received as u64);
            let error = format!("{} of {received} records break the contract and are too large for the dead-letter topic; nothing was written", too_large.len());
            Refusal::too_large(error).with_records(listed().filter(|bad| too_large.contains(&bad.index)).collect::<Vec<_>>().into_iter())
        })?;
        let accepted = Accepted {
            accepted: good.len(),
            dead_lettered: letters.len(),
        };
        let outgoing: Vec<_> = good.into_iter().chain(letters).collect();
        if outgoing.is_empty() {
            return Ok(accepted);
        }
        let begun = Instant::now();
        let written = self.sink.write(outgoing).await;
        self.metrics.acknowledged(begun.elapsed());
        match written {
            Ok(()) => {
                self.count(received, accepted.accepted, accepted.dead_lettered);
                Ok(accepted)
            }
            Err(undelivered) => {
                self.status.refused(received as u64);
                Err(self.undelivered(&undelivered))
            }
        }
    }

    fn undelivered(&self, undelivered: &Undelivered) -> Refusal {
        tracing::warn!(
            acknowledged = undelivered.acknowledged,
            failed = undelivered.failed,
            "{}",
            undelivered.cause
        );
        let kept = match undelivered.acknowledged {
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
        refusal.with_acknowledged(undelivered.acknowledged)
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

    fn count(&self, received: usize, accepted: usize, dead: usize) {
        let progress = Progress {
            records_in: received as u64,
            records_out: accepted as u64,
            dead_letters: dead as u64,
            ..Progress::default()
        };
        self.status
            .committed(&progress, jiff::Timestamp::now().as_millisecond());
    }
}

async fn handle<S: Sink>(State(service): State<Arc<Service<S>>>, request: Request) -> Response {
    let begun = Instant::now();
    let (head, mut body) = request.into_parts();
    let version = head.version;
    let mut response = match service.answer(&head, &mut body).await {
        Ok(accepted) => accepted.into_response(),
        Err(refusal) => {
            tracing::debug!(code = refusal.status.as_u16(), "{}", refusal.message());
            if refusal.status != StatusCode::REQUEST_TIMEOUT
                && !head.headers.contains_key(header::EXPECT)
            {
                service.leftovers.swallow(body);
            }
            refusal.into_response()
        }
    };
    if service.draining.load(Ordering::Acquire) && version < axum::http::Version::HTTP_2 {
        response.headers_mut().insert(
            header::CONNECTION,
            axum::http::HeaderValue::from_static("close"),
        );
    }
    service
        .metrics
        .answered(response.status().as_u16(), begun.elapsed());
    response
}
