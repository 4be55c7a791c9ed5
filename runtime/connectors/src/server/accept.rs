//! Who gets one of the places for connections.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::Served;
use super::connection::{self, Activity};

/// The accepting loop turns at least this often.
const TURN: Duration = Duration::from_secs(1);
/// After the system refused a connection (mostly: no more files) it is asked again so much later.
const REFUSED: Duration = Duration::from_millis(100);
/// How long a new connection waits for a place that is made free for it.
const PLACE: Duration = Duration::from_secs(1);
/// Somebody who is without a request for so long may have to leave a place; and so often who waits asks for one.
const FREE: Duration = Duration::from_millis(25);
/// So many wait at once, or hear that there is no place; those beyond are closed without a word.
const WAITING: usize = 64;
/// What a client that got no place hears.
const NO_PLACE: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nretry-after: 1\r\nconnection: close\r\ncontent-length: 42\r\n\r\n{\"error\":\"too many connections at work\"}\r\n";

/// All connections of a server.
pub(super) struct Shared {
    pub(super) served: Served,
    pub(super) leaving: watch::Receiver<bool>,
    places: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    open: Mutex<Open>,
}

#[derive(Default)]
struct Open {
    next: u64,
    activities: HashMap<u64, Arc<Activity>>,
}

/// A place that is left on drop.
pub(super) struct ConnectionPlace {
    shared: Arc<Shared>,
    id: u64,
    pub(super) activity: Arc<Activity>,
    _permit: OwnedSemaphorePermit,
}

impl Drop for ConnectionPlace {
    fn drop(&mut self) {
        self.shared.open().activities.remove(&self.id);
    }
}

pub(super) async fn accept(
    listener: TcpListener,
    served: Served,
    places: Arc<Semaphore>,
    leaving: watch::Receiver<bool>,
) {
    let mut told = leaving.clone();
    let shared = Arc::new(Shared {
        served,
        leaving,
        places,
        waiting: Arc::new(Semaphore::new(WAITING)),
        open: Mutex::default(),
    });
    let mut turn = tokio::time::interval(TURN);
    let mut refused = false;
    loop {
        let ready = shared.served.tls.as_ref().is_none_or(|tls| tls.is_there());
        tokio::select! {
            biased;
            () = leaves(&mut told) => break,
            _ = turn.tick() => shared.served.pulse.beat(),
            accepted = listener.accept(), if ready => match accepted {
                Ok((stream, _)) => {
                    refused = false;
                    shared.take(stream);
                }
                Err(error) if is_the_clients(&error) => {}
                Err(error) => {
                    if !std::mem::replace(&mut refused, true) {
                        tracing::warn!("no connection can be accepted: {error}");
                    }
                    tokio::time::sleep(REFUSED).await;
                }
            }
        }
    }
    shared.served.pulse.end();
}

/// Ends when the server is told to leave; never, if it was given up instead.
pub(super) async fn leaves(told: &mut watch::Receiver<bool>) {
    if told.wait_for(|leaving| *leaving).await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The client went away before it was accepted (accept(2)).
fn is_the_clients(error: &std::io::Error) -> bool {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset
    )
}

impl Shared {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(self: &Arc<Self>, stream: TcpStream) {
        if let Ok(permit) = self.places.clone().try_acquire_owned() {
            tokio::spawn(connection::live(self.clone(), stream, self.place(permit)));
            return;
        }
        let Ok(waits) = self.waiting.clone().try_acquire_owned() else {
            return;
        };
        let shared = self.clone();
        tokio::spawn(async move {
            match shared.wait().await {
                Some(permit) => {
                    drop(waits);
                    let place = shared.place(permit);
                    connection::live(shared, stream, place).await;
                }
                None if shared.served.tls.is_none() => no_place(stream).await,
                None => {}
            }
        });
    }

    fn place(self: &Arc<Self>, permit: OwnedSemaphorePermit) -> ConnectionPlace {
        let activity = Arc::new(Activity::new());
        let mut open = self.open();
        let id = open.next;
        open.next += 1;
        open.activities.insert(id, activity.clone());
        ConnectionPlace {
            shared: self.clone(),
            id,
            activity,
            _permit: permit,
        }
    }

    /// A place that somebody leaves, as soon as there is one.
    async fn wait(&self) -> Option<OwnedSemaphorePermit> {
        let mut places = std::pin::pin!(self.places.clone().acquire_owned());
        for _ in 0..PLACE.as_millis() / FREE.as_millis() {
            self.make_room();
            if let Ok(permit) = tokio::time::timeout(FREE, &mut places).await {
                return permit.ok();
            }
        }
        None
    }

    /// Ends the connection that has been without a request for longest.
    fn make_room(&self) {
        let open = self.open();
        let idle = open
            .activities
            .values()
            .filter(|activity| !activity.is_ending())
            .filter_map(|activity| Some((activity.idle()?, activity)))
            .filter(|(idle, _)| *idle >= FREE);
        if let Some((_, longest)) = idle.max_by_key(|(idle, _)| *idle) {
            longest.end();
        }
    }
}

/// Says why, and reads what the client says meanwhile: were the connection shut at once, it might see only that.
async fn no_place(mut stream: TcpStream) {
    let saying = async {
        stream.write_all(NO_PLACE).await?;
        stream.shutdown().await?;
        let mut left = 64 * 1024_usize;
        let mut heard = [0; 4096];
        while left > 0 {
            match stream.read(&mut heard).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
        }
        std::io::Result::Ok(())
    };
    let _ = tokio::time::timeout(PLACE, saying).await;
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_length_of_the_answer_is_as_it_says() {
        let text = std::str::from_utf8(super::NO_PLACE).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())));
    }
}
