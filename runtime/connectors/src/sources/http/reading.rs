//! A request's body as it comes in: never more than the limit, no faster held than it comes, and given up
//! where it comes too slowly.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use tokio::time::Instant;

use super::answer::Refusal;
use super::body;
use super::config::Config;
use super::gzip::{self, Inflater};
use super::limits::Place;
use super::request::Encoding;

/// The least that is allocated.
const LEAST: usize = 1024;

/// Reads one body.
pub(super) struct Reading<'a> {
    config: &'a Config,
    begun: Instant,
    /// Bytes that came, packed or not.
    received: usize,
}

impl Reading<'_> {
    pub(super) fn new(config: &Config) -> Reading<'_> {
        Reading {
            config,
            begun: Instant::now(),
            received: 0,
        }
    }

    /// Bytes that came so far, as they came.
    pub(super) fn received(&self) -> usize {
        self.received
    }

    /// The whole body, unpacked. Room is held for what has come, whatever length was announced.
    pub(super) async fn whole(
        &mut self,
        body: &mut Body,
        encoding: Encoding,
        announced: Option<u64>,
        place: &mut Place,
    ) -> Result<Bytes, Refusal> {
        match encoding {
            Encoding::Identity => self.plain(body, announced, place).await,
            Encoding::Gzip => self.inflated(body, place).await,
        }
    }

    async fn plain(
        &mut self,
        body: &mut Body,
        announced: Option<u64>,
        place: &mut Place,
    ) -> Result<Bytes, Refusal> {
        let limit = self.limit();
        // No more is ever allocated than was announced, and no more than comes makes it grow.
        let most = announced.and_then(|length| usize::try_from(length).ok());
        let most = most.map_or(limit, |most| most.min(limit));
        let mut read: Vec<u8> = Vec::new();
        while let Some(chunk) = self.next(body, Encoding::Identity).await? {
            let length = read.len() + chunk.len();
            if length > read.capacity() {
                let capacity = (read.capacity() * 2)
                    .clamp(LEAST, most.max(LEAST))
                    .max(length);
                place.hold(capacity)?;
                read.reserve_exact(capacity - read.len());
            }
            read.extend_from_slice(&chunk);
        }
        Ok(read.into())
    }

    /// Inflated while it comes: neither it nor what it came as is ever held in full beyond the limit.
    async fn inflated(&mut self, body: &mut Body, place: &mut Place) -> Result<Bytes, Refusal> {
        let mut inflater = Inflater::new(self.limit(), place);
        let config = self.config;
        let refusal = |fault: gzip::Fault| match fault {
            gzip::Fault::TooLarge => too_large(config),
            gzip::Fault::Refused(refusal) => refusal,
            fault @ gzip::Fault::Corrupt => Refusal::bad_request(fault.to_string()),
        };
        let mut rested = 0;
        while let Some(chunk) = self.next(body, Encoding::Gzip).await? {
            for piece in chunk.chunks(gzip::PIECE) {
                inflater.take(piece).map_err(refusal)?;
                if inflater.len() - rested > gzip::REST {
                    rested = inflater.len();
                    tokio::task::yield_now().await;
                }
            }
        }
        Ok(inflater.finish().map_err(refusal)?.into())
    }

    /// What comes next, if it comes in time and keeps the limit.
    async fn next(
        &mut self,
        body: &mut Body,
        encoding: Encoding,
    ) -> Result<Option<Bytes>, Refusal> {
        let Ok(next) = tokio::time::timeout_at(self.deadline(), body::next(body)).await else {
            return Err(self.too_slow());
        };
        let Some(chunk) = next else { return Ok(None) };
        let chunk = chunk.map_err(|_| Refusal::bad_request("the body broke off"))?;
        self.received += chunk.len();
        if self.received as u64 > most(self.config, encoding) {
            return Err(too_large(self.config));
        }
        Ok(Some(chunk))
    }

    /// By when more must have come: each byte buys a little time, up to what a body may take.
    fn deadline(&self) -> Instant {
        let config = self.config;
        let bought = self.received as f64 / f64::from(config.body_rate.max(1));
        let time = (config.body_grace + Duration::from_secs_f64(bought)).min(config.body_timeout);
        self.begun + time
    }

    fn too_slow(&self) -> Refusal {
        let config = self.config;
        let error = if self.begun.elapsed() >= config.body_timeout {
            let seconds = config.body_timeout.as_secs_f32();
            format!("the body didn't come within {seconds} s")
        } else {
            format!(
                "the body comes too slowly: {} bytes in {:.1} s, and after the first {} s at least {} a second are expected",
                self.received,
                self.begun.elapsed().as_secs_f32(),
                config.body_grace.as_secs_f32(),
                config.body_rate
            )
        };
        Refusal::new(StatusCode::REQUEST_TIMEOUT, error)
    }

    fn limit(&self) -> usize {
        usize::try_from(self.config.http.max_body_bytes).unwrap_or(usize::MAX)
    }
}

/// Most bytes that a body may have on its way. Packed, it may be a little longer than unpacked.
pub(super) fn most(config: &Config, encoding: Encoding) -> u64 {
    let limit = config.http.max_body_bytes;
    match encoding {
        Encoding::Identity => limit,
        Encoding::Gzip => limit.saturating_add(limit / 1024 + 1024),
    }
}

pub(super) fn too_large(config: &Config) -> Refusal {
    let limit = config.http.max_body_bytes;
    Refusal::too_large(format!(
        "the body is above {limit} bytes, the limit of this source (spec.http.maxBodyBytes); send it in parts"
    ))
}
