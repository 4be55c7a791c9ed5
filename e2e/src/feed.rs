//! A WebSocket feed in a test's hand, on an address that pods reach: it numbers what it says, says something bad now and then, and
//! ends with words that every listener hears.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::Message;

/// One message in so many breaks the contract: its `n` is a text.
const BAD: u64 = 50;
/// Between two messages.
const PAUSE: Duration = Duration::from_millis(20);

/// A feed. A message is `{"id":"t-7","n":7}`; those that it ends with are `{"id":"end-3","n":3}`. Without a listener nothing is said,
/// and nothing is said twice but its last words.
pub struct Feed {
    /// `host:port` that pods and this machine reach.
    pub address: String,
    said: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
    cut: watch::Sender<u64>,
    _runtime: Runtime,
}

impl Feed {
    /// So many messages are its last words.
    pub const LAST: u64 = 200;

    /// A feed on the node's own address.
    pub fn open() -> Feed {
        Feed::at(&std::env::var("NODE_IP").expect("NODE_IP, from `make -s endpoints`"))
    }

    fn at(here: &str) -> Feed {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let listener = runtime
            .block_on(TcpListener::bind((here, 0)))
            .expect("a free port");
        let address = listener.local_addr().expect("an address").to_string();
        let (said, ends) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (cut, told) = watch::channel(0);
        let (saying, ending) = (said.clone(), ends.clone());
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(talk(client, saying.clone(), ending.clone(), told.clone()));
            }
        });
        Feed {
            address,
            said,
            ends,
            cut,
            _runtime: runtime,
        }
    }

    /// How many messages were said, apart from the last words: their numbers are below this.
    pub fn said(&self) -> u64 {
        self.said.load(Ordering::SeqCst)
    }

    /// From now on each listener, also one that comes later, hears the last words once, and then nothing.
    pub fn end(&self) {
        self.ends.store(true, Ordering::SeqCst);
    }

    /// Cuts off who is listening.
    pub fn cut(&self) {
        self.cut.send_modify(|times| *times += 1);
    }

    /// True: the message of that number breaks the contract.
    pub fn is_bad(number: u64) -> bool {
        number % BAD == BAD - 1
    }
}

fn message(number: u64) -> String {
    if Feed::is_bad(number) {
        format!(r#"{{"id":"t-{number}","n":"seven"}}"#)
    } else {
        format!(r#"{{"id":"t-{number}","n":{number}}}"#)
    }
}

/// One listener, until it goes or is cut off.
async fn talk(
    client: TcpStream,
    said: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
    mut cut: watch::Receiver<u64>,
) {
    let Ok(mut socket) = accept_async(client).await else {
        return;
    };
    cut.mark_unchanged();
    let mut tick = tokio::time::interval(PAUSE);
    let mut last = 0;
    loop {
        tokio::select! {
            _ = cut.changed() => return,
            // Its pings are answered while it is read from.
            heard = socket.next() => if heard.is_none_or(|heard| heard.is_err()) {
                return;
            },
            _ = tick.tick() => {
                let words = if !ends.load(Ordering::SeqCst) {
                    message(said.fetch_add(1, Ordering::SeqCst))
                } else if last < Feed::LAST {
                    last += 1;
                    let number = last - 1;
                    format!(r#"{{"id":"end-{number}","n":{number}}}"#)
                } else {
                    continue;
                };
                if socket.send(Message::text(words)).await.is_err() {
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_listener_hears_the_last_words_and_nobody_anything_else_twice() {
        let feed = Feed::at("127.0.0.1");
        let address = feed.address.clone();
        // What a listener hears until it has so many messages, or is cut off.
        let listen = async |most: usize| {
            let socket = TcpStream::connect(&address).await.unwrap();
            let url = format!("ws://{address}/");
            let (mut socket, _) = tokio_tungstenite::client_async(url, socket).await.unwrap();
            let mut heard = Vec::new();
            while heard.len() < most
                && let Some(Ok(said)) = socket.next().await
            {
                let text = said.into_text().unwrap();
                let json: serde_json::Value = serde_json::from_str(&text).unwrap();
                heard.push(json["id"].as_str().unwrap().to_owned());
            }
            heard
        };
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (first, second) = runtime.block_on(async { (listen(5).await, listen(5).await) });
        let both: BTreeSet<&String> = first.iter().chain(&second).collect();
        assert_eq!(both.len(), 10, "{first:?} {second:?}");
        feed.end();
        for _ in 0..2 {
            let last = runtime.block_on(listen(Feed::LAST as usize));
            let there: BTreeSet<&String> = last.iter().collect();
            assert_eq!(there.len() as u64, Feed::LAST);
            assert!(last.iter().all(|id| id.starts_with("end-")), "{last:?}");
        }
        std::thread::scope(|scope| {
            let cut = scope.spawn(|| runtime.block_on(listen(usize::MAX)));
            while !cut.is_finished() {
                feed.cut();
                std::thread::sleep(Duration::from_millis(50));
            }
            assert!((cut.join().unwrap().len() as u64) <= Feed::LAST);
        });
    }
}
