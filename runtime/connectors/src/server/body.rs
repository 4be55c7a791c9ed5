//! A body as it comes, and what to do with the rest of one that was refused.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use tokio::sync::Semaphore;

/// The next piece of the body; `None`: it is whole.
pub(super) async fn next(body: &mut Body) -> Option<Result<Bytes, axum::Error>> {
    loop {
        match poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await? {
            // What isn't data is trailers.
            Ok(frame) => {
                if let Ok(data) = frame.into_data() {
                    return Some(Ok(data));
                }
            }
            Err(error) => return Some(Err(error)),
        }
    }
}

/// Bytes of a refused body that are read and thrown away; they cost no memory.
const MOST: usize = 64 * 1024 * 1024;
/// For how long.
const LONGEST: Duration = Duration::from_secs(2);
/// How many at once.
const AT_ONCE: usize = 64;

/// Takes what a client is still sending after its answer is known. Were the connection shut at once, many
/// a client would see only that, and not the answer (RFC 9112 §9.6; a reset stream in HTTP/2).
#[derive(Debug)]
pub(super) struct Leftovers(Arc<Semaphore>);

impl Default for Leftovers {
    fn default() -> Leftovers {
        Leftovers(Arc::new(Semaphore::new(AT_ONCE)))
    }
}

impl Leftovers {
    /// Reads on in the background, within bounds.
    pub(super) fn swallow(&self, mut body: Body) {
        if body.is_end_stream() {
            return;
        }
        let Ok(permit) = self.0.clone().try_acquire_owned() else {
            return;
        };
        tokio::spawn(async move {
            let mut left = MOST;
            let reading = async {
                while let Some(Ok(chunk)) = next(&mut body).await {
                    left = left.saturating_sub(chunk.len());
                    if left == 0 {
                        break;
                    }
                }
            };
            let _ = tokio::time::timeout(LONGEST, reading).await;
            drop(permit);
        });
    }
}
