//! Load over HTTP that knows what was acknowledged, and the comparison with what came out.

use std::collections::{BTreeMap, HashSet};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::block_on;

/// What the sender knows: ids answered 202, and ids whose answer never came or was no yes.
#[derive(Default)]
pub struct Posted {
    /// Must be in the output once.
    pub acknowledged: HashSet<u64>,
    /// May be in the output once.
    pub unknown: HashSet<u64>,
}

/// A sender at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Posted>,
}

impl Load {
    /// Posts batches of 50 fresh records `{"id":"7","n":7}`, about 1,000 a second, until told to stop. An id
    /// is posted once, so a double is never ours.
    pub fn start(url: String) -> Load {
        let line = |id| format!("{{\"id\":\"{id}\",\"n\":{id}}}");
        Load::of(url, line, Duration::from_millis(50))
    }

    /// The same with records of another form (`line` makes the record of an id), and so long between two batches.
    pub fn of(url: String, line: fn(u64) -> String, pause: Duration) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let told = stop.clone();
        let thread = std::thread::spawn(move || post(&url, &told, line, pause));
        Load { stop, thread }
    }

    /// Ends it.
    pub fn stop(self) -> Posted {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the sender ends well")
    }
}

fn post(url: &str, stop: &AtomicBool, line: fn(u64) -> String, pause: Duration) -> Posted {
    let client = reqwest::Client::new();
    let mut posted = Posted::default();
    let mut next = 0_u64;
    block_on(async {
        while !stop.load(Ordering::Relaxed) {
            let ids: Vec<u64> = (next..next + 50).collect();
            next += 50;
            let mut body = String::new();
            for id in &ids {
                let _ = writeln!(body, "{}", line(*id));
            }
            let answer = client
                .post(url)
                .header("content-type", "application/x-ndjson")
                .timeout(Duration::from_secs(20))
                .body(body)
                .send()
                .await;
            match answer {
                Ok(answer) if answer.status() == 202 => posted.acknowledged.extend(ids),
                Ok(answer) if answer.status().is_client_error() && answer.status() != 429 => {
                    panic!("{}", answer.status())
                }
                _ => posted.unknown.extend(ids),
            }
            tokio::time::sleep(pause).await;
        }
    });
    posted
}

impl Posted {
    /// Asks `read` for the ids and values that came out until all that was acknowledged is there, or for `limit`; prints the
    /// counts, and panics where one is missing, doubled, wrong or was never posted.
    pub fn verify(
        &self,
        place: &str,
        limit: Duration,
        mut read: impl FnMut() -> Option<Vec<(u64, i64)>>,
        right: impl Fn(u64, i64) -> bool,
    ) {
        let began = Instant::now();
        let seen: BTreeMap<u64, Vec<i64>> = loop {
            let mut seen: BTreeMap<u64, Vec<i64>> = BTreeMap::new();
            for (id, n) in read().unwrap_or_default() {
                seen.entry(id).or_default().push(n);
            }
            if self.acknowledged.iter().all(|id| seen.contains_key(id)) || began.elapsed() > limit {
                break seen;
            }
            std::thread::sleep(Duration::from_secs(1));
        };
        let missing = self
            .acknowledged
            .iter()
            .filter(|id| !seen.contains_key(id))
            .count();
        let doubled = seen.values().filter(|values| values.len() > 1).count();
        let wrong = seen
            .iter()
            .filter(|(id, values)| values.iter().any(|n| !right(**id, *n)))
            .count();
        let strangers = seen
            .keys()
            .filter(|id| !self.acknowledged.contains(id) && !self.unknown.contains(id))
            .count();
        println!(
            "    {place}: acknowledged {}, without an answer {}, there {}: missing {missing}, doubled {doubled}, wrong {wrong}, never posted {strangers}",
            self.acknowledged.len(),
            self.unknown.len(),
            seen.len()
        );
        assert!(self.acknowledged.len() > 1000, "there was load");
        assert_eq!(
            (missing, doubled, wrong, strangers),
            (0, 0, 0, 0),
            "{place}"
        );
    }
}
