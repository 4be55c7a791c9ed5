//! A request's body as it comes in: never more than the limit, no faster held than it comes, and given up
//! where it comes too slowly.

use std::time::Duration;

use axum::body::Body;
use axum::http::StatusCode;
use bytes::Bytes;
use tokio::time::Instant;

use super::Called;
use super::announced::{Announced, Encoding};
use super::body;
use super::gzip::{self, Inflater};
use super::refusal::Refusal;
use super::room::Place;

/// The least that is allocated.
const LEAST: usize = 1024;

/// How large a body may be, and how slow.
#[derive(Clone, Copy, Debug)]
pub struct BodyBounds {
    /// Whose bounds they are.
    pub called: Called,
    /// Most bytes of a body, unpacked.
    pub most: u64,
    /// Longest time for a body to come in, from the first byte to the last.
    pub timeout: Duration,
    /// After this, a body comes at `rate` or is given up.
    pub grace: Duration,
    /// Bytes a second of a body that isn't given up.
    pub rate: u32,
}

/// Reads one body.
#[derive(Debug)]
pub struct Reading {
    bounds: BodyBounds,
    announced: Announced,
    begun: Instant,
    /// Bytes that came, packed or not.
    received: usize,
}

impl Reading {
    /// The body that was announced so; its time begins now.
    pub fn new(announced: Announced, bounds: BodyBounds) -> Reading {
        Reading {
            bounds,
            announced,
            begun: Instant::now(),
            received: 0,
        }
    }

    /// Bytes that came so far, as they came.
    pub fn received(&self) -> usize {
        self.received
    }

    /// The whole body, unpacked. Room is held for what has come, whatever length was announced.
    ///
    /// # Errors
    /// It is too large (413) or too slow (408), breaks off or isn't what it says (400), or there is no room for it (503).
    pub async fn whole(&mut self, body: &mut Body, place: &mut Place) -> Result<Bytes, Refusal> {
        match self.announced.encoding() {
            Encoding::Identity => self.plain(body, place).await,
            Encoding::Gzip => self.inflated(body, place).await,
        }
    }

    async fn plain(&mut self, body: &mut Body, place: &mut Place) -> Result<Bytes, Refusal> {
        let limit = self.bounds.limit();
        // No more is ever allocated than was announced, and no more than comes makes it grow.
        let most = self
            .announced
            .length()
            .and_then(|length| usize::try_from(length).ok());
        let most = most.map_or(limit, |most| most.min(limit));
        let mut read: Vec<u8> = Vec::new();
        while let Some(chunk) = self.next(body).await? {
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
        let bounds = self.bounds;
        let mut inflater = Inflater::new(bounds.limit(), place);
        let refusal = |fault: gzip::Fault| match fault {
            gzip::Fault::TooLarge => bounds.too_large(),
            gzip::Fault::Refused(refusal) => refusal,
            fault @ gzip::Fault::Corrupt => Refusal::bad_request(fault.to_string()),
        };
        let mut rested = 0;
        while let Some(chunk) = self.next(body).await? {
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
    async fn next(&mut self, body: &mut Body) -> Result<Option<Bytes>, Refusal> {
        let Ok(next) = tokio::time::timeout_at(self.deadline(), body::next(body)).await else {
            return Err(self.too_slow());
        };
        let Some(chunk) = next else { return Ok(None) };
        let chunk = chunk.map_err(|_| Refusal::bad_request("the body broke off"))?;
        self.received += chunk.len();
        if self.received as u64 > self.bounds.on_its_way(self.announced.encoding()) {
            return Err(self.bounds.too_large());
        }
        Ok(Some(chunk))
    }

    /// By when more must have come: each byte buys a little time, up to what a body may take.
    fn deadline(&self) -> Instant {
        let bounds = &self.bounds;
        let bought = self.received as f64 / f64::from(bounds.rate.max(1));
        let time = (bounds.grace + Duration::from_secs_f64(bought)).min(bounds.timeout);
        self.begun + time
    }

    fn too_slow(&self) -> Refusal {
        let bounds = &self.bounds;
        let error = if self.begun.elapsed() >= bounds.timeout {
            let seconds = bounds.timeout.as_secs_f32();
            format!("the body didn't come within {seconds} s")
        } else {
            format!(
                "the body comes too slowly: {} bytes in {:.1} s, and after the first {} s at least {} a second are expected",
                self.received,
                self.begun.elapsed().as_secs_f32(),
                bounds.grace.as_secs_f32(),
                bounds.rate
            )
        };
        Refusal::new(StatusCode::REQUEST_TIMEOUT, error)
    }
}

impl BodyBounds {
    /// Most bytes of a body, unpacked.
    fn limit(&self) -> usize {
        usize::try_from(self.most).unwrap_or(usize::MAX)
    }

    /// Most bytes that a body may have on its way. Packed, it may be a little longer than unpacked.
    pub(super) fn on_its_way(&self, encoding: Encoding) -> u64 {
        match encoding {
            Encoding::Identity => self.most,
            Encoding::Gzip => self.most.saturating_add(self.most / 1024 + 1024),
        }
    }

    pub(super) fn too_large(&self) -> Refusal {
        let (Called { this, field, .. }, limit) = (self.called, self.most);
        Refusal::too_large(format!(
            "the body is above {limit} bytes, the limit of {this} ({field}.maxBodyBytes); send it in parts"
        ))
    }
}
