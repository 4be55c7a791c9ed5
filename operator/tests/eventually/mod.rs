//! A broker answers from what it has replayed of the controller's log (KIP-631): what was just changed is read until it's
//! seen. The last answer is handed back, so that a test says what stood there instead.

use std::time::Duration;

/// What `read` answers as soon as `wanted` holds of it, or its last answer after ten seconds.
pub async fn eventually<T>(wanted: impl Fn(&T) -> bool, read: impl AsyncFn() -> T) -> T {
    for _ in 0..100 {
        let found = read().await;
        if wanted(&found) {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    read().await
}
