//! What pods say of themselves: `GET /status` of each, its problems and figures.
//!
//! Readiness is never taken from here; that is what readiness probes and watches are for. A change of a
//! pod's problems, or of a store's version, wakes its owner at once; a change of figures does so when the one token bucket allows.

mod bucket;
mod figures;
mod idle;
mod letters;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bucket::Bucket;
pub use figures::{Coarse, CoarseState, coarse, worst};
use futures::StreamExt;
use headworks_plan::{Problem, Report, STATUS_PORT};
use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use kube::{ResourceExt, runtime::reflector::Store};
pub use letters::{Letters, shown};

use crate::{indexes::Indexes, names::Key, telemetry::Metrics};

/// Figure writes in a second, for the whole operator.
const FIGURE_WRITES: u32 = 20;
/// Shortest time between two rounds.
const ROUND: Duration = Duration::from_secs(5);
/// A round is stretched so that no more than so many pods are asked in a second.
const PODS_PER_SECOND: usize = 50;
/// A pod that takes longer to answer counts as silent.
const PATIENCE: Duration = Duration::from_secs(3);
/// Pods asked at once.
const AT_ONCE: usize = 16;

#[derive(Default)]
struct Inner {
    by_pod: HashMap<String, (Key, Report)>,
    shown: HashMap<Key, Coarse>,
    letters: HashMap<Key, Letters>,
}

impl Inner {
    /// Adds up what the pods have counted of dead letters.
    fn count_letters(&mut self, now_ms: i64) {
        let mut counts: HashMap<&Key, BTreeMap<&str, u64>> = HashMap::new();
        for (uid, (key, report)) in &self.by_pod {
            let of_owner = counts.entry(key).or_default();
            of_owner.insert(uid, report.figures.dead_letters);
        }
        for (key, letters) in &mut self.letters {
            letters.round(&counts.remove(key).unwrap_or_default(), now_ms);
        }
        for (key, counts) in counts {
            let letters = self.letters.entry(key.clone()).or_default();
            letters.round(&counts, now_ms);
        }
    }
}

/// The last report of each pod.
#[derive(Default)]
pub struct Reports(Mutex<Inner>);

impl Reports {
    /// A pod's last report, by UID.
    pub fn of_pod(&self, uid: &str) -> Option<Report> {
        self.lock()
            .by_pod
            .get(uid)
            .map(|(_, report)| report.clone())
    }

    /// The figures that the object's status may show now; absent: no pod has reported.
    pub fn figures(&self, key: &Key) -> Option<Coarse> {
        self.lock().shown.get(key).cloned()
    }

    /// The figures an object's status shows, so that a new operator goes on from them and rewrites nothing.
    pub fn shown_already(&self, key: &Key, figures: Coarse) {
        self.lock().shown.entry(key.clone()).or_insert(figures);
    }

    /// An object's dead letters, as far as pods have told of them.
    pub fn letters(&self, key: &Key) -> Option<Letters> {
        self.lock().letters.get(key).cloned()
    }

    /// The dead letters that an object's status knows already.
    pub fn letters_already(&self, key: &Key, letters: Letters) {
        self.lock().letters.entry(key.clone()).or_insert(letters);
    }

    /// An object rests: what its pods last said of their pace isn't so any more.
    pub fn rest(&self, key: &Key) {
        self.lock().shown.remove(key);
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, key: &Key) {
        let mut inner = self.lock();
        inner.shown.remove(key);
        inner.letters.remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in one round of answers and says who must be woken.
    fn take_in(
        &self,
        answers: Vec<(String, Key, Option<Report>)>,
        bucket: &mut Bucket,
        now: Instant,
    ) -> Vec<Key> {
        let mut inner = self.lock();
        let before = news(&inner.by_pod);
        let mut by_pod = HashMap::new();
        for (uid, key, report) in answers {
            // A pod that doesn't answer keeps its last report until it is gone; its readiness tells the rest.
            if let Some(report) =
                report.or_else(|| inner.by_pod.remove(&uid).map(|(_, report)| report))
            {
                by_pod.insert(uid, (key, report));
            }
        }
        inner.by_pod = by_pod;
        let clock = Timestamp::now().as_millisecond();
        inner.count_letters(clock);
        let after = news(&inner.by_pod);
        let mut wake: Vec<Key> = after
            .iter()
            .filter(|(key, list)| before.get(*key) != Some(*list))
            .map(|(key, _)| key.clone())
            .collect();
        wake.extend(
            before
                .keys()
                .filter(|key| !after.contains_key(*key))
                .cloned(),
        );
        let mut owners: Vec<Key> = inner.by_pod.values().map(|(key, _)| key.clone()).collect();
        owners.sort();
        owners.dedup();
        for key in owners {
            let before = inner.shown.get(&key);
            let of_owner: Vec<&Report> = inner
                .by_pod
                .values()
                .filter(|(k, _)| *k == key)
                .map(|(_, r)| r)
                .collect();
            let mut now_shown = idle::at(figures::coarse(before, &of_owner), &of_owner, clock);
            let letters = inner.letters.get(&key).map_or(0, Letters::total);
            now_shown.dead_letters = shown(letters);
            let changed = before.is_none_or(|before| figures::worth_writing(before, &now_shown));
            if changed && bucket.take(now) {
                inner.shown.insert(key.clone(), now_shown);
                wake.push(key);
            }
        }
        wake.sort();
        wake.dedup();
        wake
    }
}

/// What an owner is told of at once.
#[derive(Debug, Default, PartialEq)]
struct News {
    problems: Vec<Problem>,
    server_versions: Vec<String>,
}

/// Each owner's news, in a stable order.
fn news(by_pod: &HashMap<String, (Key, Report)>) -> HashMap<Key, News> {
    let mut pods: Vec<_> = by_pod.iter().collect();
    pods.sort_by_key(|(uid, _)| *uid);
    let mut all: HashMap<Key, News> = HashMap::new();
    for (_, (key, report)) in pods {
        if !report.problems.is_empty() || report.server_version.is_some() {
            let news = all.entry(key.clone()).or_default();
            news.problems.extend(report.problems.iter().cloned());
            news.server_versions.extend(report.server_version.clone());
        }
    }
    all
}

/// Asks all pods, round after round, until the process ends. `owner` says whose pod it is.
pub async fn run(
    reports: Arc<Reports>,
    pods: Store<Pod>,
    indexes: Arc<Indexes>,
    metrics: Arc<Metrics>,
    owner: impl Fn(&Pod) -> Option<Key>,
) {
    // Pods are asked directly, never through a proxy that the environment names.
    let client = match reqwest::Client::builder()
        .timeout(PATIENCE)
        .no_proxy()
        .build()
    {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "no HTTP client: statuses will show no figures");
            return;
        }
    };
    let mut bucket = Bucket::new(FIGURE_WRITES, Instant::now());
    loop {
        let asked: Vec<(String, Key, String)> = pods
            .state()
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
            .filter_map(|pod| {
                let ip = pod
                    .status
                    .as_ref()
                    .filter(|s| s.phase.as_deref() == Some("Running"))?
                    .pod_ip
                    .clone()?;
                let host = if ip.contains(':') {
                    format!("[{ip}]")
                } else {
                    ip
                };
                Some((
                    pod.uid()?,
                    owner(pod)?,
                    format!("http://{host}:{STATUS_PORT}/status"),
                ))
            })
            .collect();
        let count = asked.len();
        let answers: Vec<_> = futures::stream::iter(asked)
            .map(|(uid, key, url)| {
                let client = client.clone();
                async move { (uid, key, ask(&client, &url).await) }
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        metrics.reporting(
            answers
                .iter()
                .filter(|(_, _, report)| report.is_some())
                .count(),
        );
        for key in reports.take_in(answers, &mut bucket, Instant::now()) {
            indexes.wake(&key);
        }
        tokio::time::sleep(ROUND.max(Duration::from_secs_f64(
            count as f64 / PODS_PER_SECOND as f64,
        )))
        .await;
    }
}

async fn ask(client: &reqwest::Client, url: &str) -> Option<Report> {
    let answer = client.get(url).send().await.ok()?;
    // A pod with problems may answer with another code than 200; the report is what counts.
    let report: Report = answer.json().await.ok()?;
    (report.version == headworks_plan::VERSION).then_some(report)
}

#[cfg(test)]
mod tests {
    use headworks_plan::Figures;

    use super::*;

    fn answer(pod: &str, rate: f64, reason: Option<&str>) -> (String, Key, Option<Report>) {
        let problems = reason
            .map(|r| Problem {
                reason: r.into(),
                message: String::new(),
                fatal: true,
            })
            .into_iter()
            .collect();
        let report = Report {
            problems,
            figures: Figures {
                rate,
                ..Figures::default()
            },
            ..Report::default()
        };
        (pod.into(), Key::new("Pipeline", "shop", "p"), Some(report))
    }

    #[test]
    fn an_owner_is_woken_by_news_and_by_nothing_else() {
        let (reports, now) = (Reports::default(), Instant::now());
        let mut bucket = Bucket::new(20, now);
        assert_eq!(
            reports
                .take_in(vec![answer("a", 0.0, None)], &mut bucket, now)
                .len(),
            1,
            "first figures"
        );
        assert!(
            reports
                .take_in(vec![answer("a", 0.0, None)], &mut bucket, now)
                .is_empty(),
            "idle"
        );
        assert_eq!(
            reports
                .take_in(vec![answer("a", 0.0, Some("DataLost"))], &mut bucket, now)
                .len(),
            1,
            "a problem"
        );
        assert!(
            reports
                .take_in(
                    vec![("a".into(), Key::new("Pipeline", "shop", "p"), None)],
                    &mut bucket,
                    now
                )
                .is_empty(),
            "silence is no news"
        );
        assert_eq!(
            reports
                .take_in(vec![answer("a", 0.0, None)], &mut bucket, now)
                .len(),
            1,
            "healed"
        );
    }

    #[test]
    fn an_owner_is_told_when_its_store_s_version_becomes_known() {
        let (reports, now) = (Reports::default(), Instant::now());
        let mut bucket = Bucket::new(20, now);
        let mut round = |version: Option<&str>| {
            let report = Report {
                server_version: version.map(str::to_owned),
                ..Report::default()
            };
            let key = Key::new("DataStore", "shop", "warehouse");
            let answers = vec![("a".to_owned(), key, Some(report))];
            reports.take_in(answers, &mut bucket, now).len()
        };
        round(None);
        assert_eq!(round(Some("15.8")), 1);
        assert_eq!(round(Some("15.8")), 0);
    }

    #[test]
    fn dead_letters_outlive_the_pods_that_counted_them() {
        let (reports, now) = (Reports::default(), Instant::now());
        let mut bucket = Bucket::new(20, now);
        let key = Key::new("Pipeline", "shop", "p");
        let mut round = |pods: &[(&str, u64)]| {
            let answers = pods.iter().map(|(pod, count)| {
                let figures = Figures {
                    dead_letters: *count,
                    ..Figures::default()
                };
                let report = Report {
                    figures,
                    ..Report::default()
                };
                ((*pod).to_owned(), key.clone(), Some(report))
            });
            reports.take_in(answers.collect(), &mut bucket, now);
            reports.figures(&key).map(|figures| figures.dead_letters)
        };
        assert_eq!(round(&[("a", 2_000), ("b", 700)]), Some(2_700));
        assert_eq!(round(&[("b", 793)]), Some(2_790));
        assert_eq!(round(&[("b", 793), ("c", 0)]), Some(2_790));
        // It rests: the pace is forgotten, the count is not.
        reports.rest(&key);
        round(&[]);
        assert_eq!(reports.figures(&key), None);
        assert_eq!(reports.letters(&key).map(|l| l.total()), Some(2_793));
        reports.forget(&key);
        assert_eq!(reports.letters(&key), None);
    }

    #[test]
    fn figures_wait_for_a_token() {
        let (reports, now) = (Reports::default(), Instant::now());
        let mut bucket = Bucket::new(1, now);
        reports.take_in(vec![answer("a", 1.0, None)], &mut bucket, now);
        assert!(
            reports
                .take_in(vec![answer("a", 50.0, None)], &mut bucket, now)
                .is_empty()
        );
        let later = now + Duration::from_secs(2);
        assert_eq!(
            reports
                .take_in(vec![answer("a", 50.0, None)], &mut bucket, later)
                .len(),
            1
        );
        assert_eq!(
            reports
                .figures(&Key::new("Pipeline", "shop", "p"))
                .unwrap()
                .rate,
            50
        );
    }
}
