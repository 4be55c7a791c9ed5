//! What the feed says, and when a connection is given up and made again.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::{SinkExt, StreamExt};
use headworks_plan::{Problem, WebsocketSource};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};

use super::Message;
use super::connect::{Socket, connect, unavailable};
use crate::sources::running::Stop;

/// Messages that wait for Kafka, at most.
pub(super) const WAITING: usize = 1024;
/// Bytes of them, at least; two of the largest messages, where that is more.
const KEPT: u64 = 8 << 20;
/// What a message counts for beside its text, in bytes, and the unit that bytes are counted in.
const UNIT: usize = 1024;
/// A connection that lasted so long was well; the pauses begin anew after it.
const WELL_AFTER: Duration = Duration::from_secs(60);
/// How long a feed may be away before it is told: connections end, and are made again.
const PATIENCE: Duration = Duration::from_secs(15);
/// The first pause and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));
/// The first pause where a person must do something.
const LONG_PAUSE: Duration = Duration::from_secs(5);
/// How long a farewell may take.
const FAREWELL: Duration = Duration::from_secs(1);
/// The longest text of the other side that is shown, in characters.
const SHOWN: usize = 200;

/// Whether the feed is there, as the report shows it.
#[derive(Clone, Debug)]
pub(super) struct Health(Arc<Mutex<Away>>);

#[derive(Debug)]
struct Away {
    problem: Option<Problem>,
    /// It was there until then.
    since: Option<Instant>,
}

impl Health {
    fn new(feed: &WebsocketSource) -> Health {
        Health(Arc::new(Mutex::new(Away {
            problem: Some(unavailable(feed, "not connected yet")),
            since: None,
        })))
    }

    /// What is to be told: nothing of a connection that is made again soon.
    pub(super) fn problem(&self) -> Option<Problem> {
        let away = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let short = away.since.is_some_and(|since| since.elapsed() < PATIENCE);
        away.problem.clone().filter(|p| p.fatal || !short)
    }

    fn connected(&self) {
        let mut away = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        away.problem = None;
        away.since = None;
    }

    fn lost(&self, problem: Problem) {
        let mut away = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if away.problem.is_none() {
            away.since = Some(Instant::now());
        }
        away.problem = Some(problem);
    }
}

/// Listens to a feed.
pub(super) struct Feed {
    plan: WebsocketSource,
    room: Arc<Semaphore>,
    tell: mpsc::Sender<Message>,
    health: Health,
}

impl Feed {
    /// Listens for `tell`, who hears of no more than may be kept.
    pub(super) fn new(plan: WebsocketSource, tell: mpsc::Sender<Message>) -> Feed {
        let kept = KEPT.max(plan.max_message_bytes.saturating_mul(2));
        let units = usize::try_from(kept).unwrap_or(usize::MAX) / UNIT + WAITING;
        Feed {
            room: Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS))),
            health: Health::new(&plan),
            plan,
            tell,
        }
    }

    /// Whether the feed is there.
    pub(super) fn health(&self) -> Health {
        self.health.clone()
    }

    /// Listens until `stop`, connection after connection.
    pub(super) async fn listen(self, mut stop: Stop) -> std::io::Result<()> {
        let mut failures = 0;
        loop {
            let begun = Instant::now();
            let socket = tokio::select! {
                told = &mut stop => return told,
                socket = connect(&self.plan) => socket,
            };
            let problem = match socket {
                Ok(mut socket) => {
                    tracing::info!(url = self.plan.url, "listening");
                    self.health.connected();
                    tokio::select! {
                        told = &mut stop => {
                            let _ = tokio::time::timeout(FAREWELL, socket.close(None)).await;
                            return told;
                        }
                        problem = self.read(&mut socket) => problem,
                    }
                }
                Err(problem) => problem,
            };
            tracing::warn!(reason = problem.reason.as_str(), "{}", problem.message);
            if begun.elapsed() > WELL_AFTER {
                failures = 0;
            }
            let pause = pause(failures, problem.fatal, rand::random());
            self.health.lost(problem);
            failures += 1;
            tokio::select! {
                told = &mut stop => return told,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Hands messages on until the connection is of no more use; why that is.
    async fn read(&self, socket: &mut Socket) -> Problem {
        let idle = Duration::from_millis(self.plan.idle_timeout_ms.max(3));
        let lost = |what: String| unavailable(&self.plan, &what);
        let mut ping = tokio::time::interval(idle / 3);
        ping.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut heard = Instant::now();
        loop {
            let frame = tokio::select! {
                frame = socket.next() => frame,
                _ = ping.tick() => {
                    if heard.elapsed() >= idle {
                        return lost(format!(
                            "nothing came for {}, not even the answer to a ping",
                            jiff::SignedDuration::try_from(idle).map_or_else(|_| format!("{idle:?}"), |idle| format!("{idle:#}"))
                        ));
                    }
                    let asking = socket.send(Frame::Ping(Bytes::new()));
                    match tokio::time::timeout(idle, asking).await {
                        Ok(Ok(())) => continue,
                        Ok(Err(error)) => return lost(error.to_string()),
                        Err(_) => return lost("it takes no more".to_owned()),
                    }
                }
            };
            let text = match frame {
                Some(Ok(Frame::Text(text))) => Bytes::from(text),
                Some(Ok(Frame::Binary(bytes))) => bytes,
                Some(Ok(Frame::Close(farewell))) => {
                    let said = farewell
                        .map(|farewell| farewell.to_string())
                        .unwrap_or_default();
                    let said: String = said.chars().take(SHOWN).collect();
                    return lost(format!("it has closed the connection: {said}"));
                }
                Some(Ok(_)) => {
                    heard = Instant::now();
                    continue;
                }
                Some(Err(Error::Capacity(CapacityError::MessageTooLong { size, max_size }))) => {
                    return lost(format!(
                        "a message of {size} bytes is larger than spec.websocket.maxMessageBytes, {max_size}: it is lost, and the connection is made again"
                    ));
                }
                Some(Err(error)) => return lost(error.to_string()),
                None => return lost("the connection was cut".to_owned()),
            };
            if !self.keep(text).await {
                return lost("nobody writes what comes".to_owned());
            }
            // What it said while nobody listened isn't known.
            heard = Instant::now();
        }
    }

    /// Hands a message on once there is room for it. False: nobody is there to take it.
    async fn keep(&self, text: Bytes) -> bool {
        let units = u32::try_from(1 + text.len() / UNIT).unwrap_or(u32::MAX);
        let Ok(held) = self.room.clone().acquire_many_owned(units).await else {
            return false;
        };
        let message = Message { text, _held: held };
        self.tell.send(message).await.is_ok()
    }
}

/// How long to wait after so many failures in a row. `chance`, from 0 to 1, takes up to half of it away.
pub(super) fn pause(failures: u32, needs_person: bool, chance: f64) -> Duration {
    let (first, longest) = PAUSES;
    let first = if needs_person { LONG_PAUSE } else { first };
    let pause = first.saturating_mul(1 << failures.min(10)).min(longest);
    pause.mul_f64(1.0 - chance.clamp(0.0, 1.0) / 2.0)
}
