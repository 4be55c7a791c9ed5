//! What pods say of themselves: `GET /status` of each, its problems and figures.
//!
//! Readiness is never taken from here; that is what readiness probes and watches are for. A change of a
//! pod's problems, or of a store's version, wakes its owner at once (an owner whose pods never come to rest, every ten seconds); a change
//! of figures does so when the one token bucket allows, namespaces in turn.
//!
//! A pod may be in wrong hands, so what it says is taken as hostile: [`ask`](mod@ask) bounds the answer, [`clean`](mod@clean) what is in it,
//! `schedule` sees to it that a namespace of silent pods holds up nobody, and whose pod it is, is not for the pod to say
//! (`owned`).

mod ask;
mod bucket;
mod clean;
mod compared;
mod counted;
mod figures;
#[cfg(test)]
mod fuzz;
mod idle;
mod letters;
mod schedule;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bucket::Bucket;
pub use clean::is_hidden;
pub use counted::Counted;
use counted::Counting;
pub use figures::{Coarse, CoarseState, coarse, worst};
use futures::{StreamExt, stream::FuturesUnordered};
use headworks_plan::{Figures, Phase, Problem, Report, RuleFigures, STATUS_PORT};
use k8s_openapi::{api::core::v1::Pod, jiff::Timestamp};
use kube::{ResourceExt, runtime::reflector::Store};
use letters::PodLetters;
pub use letters::{Letters, shown};
use schedule::Schedule;
pub use schedule::Target;
use tokio::time::MissedTickBehavior;

use crate::{
    indexes::Indexes,
    names::Key,
    supervise::{contained, kept},
    telemetry::{Health, Metrics},
};

/// Figure writes in a second, for the whole operator.
const FIGURE_WRITES: f64 = 20.0;
/// News of one owner: so many at once, then one in ten seconds.
const NEWS_BURST: f64 = 10.0;
const NEWS_PER_SECOND: f64 = 0.1;
/// How often answers are taken in, and new questions begun.
const TICK: Duration = Duration::from_millis(500);
/// Without a tick for so long something hangs.
const TICK_LIMIT: Duration = Duration::from_secs(120);

struct Inner {
    by_pod: HashMap<String, (Key, Report)>,
    /// Whose pods haven't all answered yet; none until the pods that there are have been looked at.
    silent: Option<HashSet<Key>>,
    shown: HashMap<Key, Coarse>,
    letters: HashMap<Key, Letters>,
    told: HashMap<Key, News>,
    budgets: HashMap<Key, Bucket>,
    figures: Bucket,
    /// When an owner's figures were let through last: its pods answer one after another.
    paced: HashMap<Key, Instant>,
    /// What is remembered of what stages count.
    counting: HashMap<Key, Counting>,
    /// The namespace whose figures were let through last.
    turn: String,
}

impl Inner {
    /// Owners one of whose pods hasn't said anything yet. `here`: the pods that there are.
    fn silent_of(&self, here: &HashMap<String, Key>) -> HashSet<Key> {
        here.iter()
            .filter(|(uid, _)| !self.by_pod.contains_key(*uid))
            .map(|(_, key)| key.clone())
            .collect()
    }

    /// Adds up what the pods have counted of dead letters. `silent`: owners one of whose pods hasn't said anything yet; they wait,
    /// since a pod without a count is taken for one that has ended.
    fn count_letters(&mut self, silent: &HashSet<Key>, now_ms: i64) {
        let mut counts: HashMap<&Key, BTreeMap<&str, PodLetters<'_>>> = HashMap::new();
        for (uid, (key, report)) in &self.by_pod {
            let figures = &report.figures;
            let said = PodLetters {
                total: figures.dead_letters,
                reasons: &figures.dead_letters_by_reason,
                last: figures.last_dead_letter.as_ref(),
            };
            counts.entry(key).or_default().insert(uid, said);
        }
        for (key, letters) in &mut self.letters {
            let counts = counts.remove(key).unwrap_or_default();
            if !silent.contains(key) {
                letters.take_in(&counts, now_ms);
            }
        }
        for (key, counts) in counts {
            if !silent.contains(key) {
                let letters = self.letters.entry(key.clone()).or_default();
                letters.take_in(&counts, now_ms);
            }
        }
    }
}

/// The last report of each pod.
pub struct Reports(Mutex<Inner>);

impl Default for Reports {
    fn default() -> Self {
        Self::limited(FIGURE_WRITES, Instant::now())
    }
}

/// A pod's answer: its UID, whose it is, and what it said.
type Answer = (String, Key, Option<Report>);

impl Reports {
    fn limited(writes: f64, now: Instant) -> Self {
        Self(Mutex::new(Inner {
            by_pod: HashMap::new(),
            silent: None,
            shown: HashMap::new(),
            letters: HashMap::new(),
            told: HashMap::new(),
            budgets: HashMap::new(),
            figures: Bucket::new(writes, writes, now),
            paced: HashMap::new(),
            counting: HashMap::new(),
            turn: String::new(),
        }))
    }

    /// A pod's last report, by UID.
    pub fn of_pod(&self, uid: &str) -> Option<Report> {
        self.lock()
            .by_pod
            .get(uid)
            .map(|(_, report)| report.clone())
    }

    /// What the pods of an object have judged by QualityRules, by the pods' UIDs; a pod that hasn't answered yet isn't there.
    pub fn rules(&self, owner: &Key) -> BTreeMap<String, Vec<RuleFigures>> {
        let inner = self.lock();
        let of_owner = inner.by_pod.iter().filter(|(_, (key, _))| key == owner);
        of_owner
            .map(|(uid, (_, report))| (uid.clone(), report.figures.rules.clone()))
            .collect()
    }

    /// What each pod of an object counts, of those that have answered.
    pub fn of_pods(&self, owner: &Key) -> Vec<Figures> {
        let inner = self.lock();
        let of_owner = inner.by_pod.values().filter(|(key, _)| key == owner);
        of_owner.map(|(_, report)| report.figures.clone()).collect()
    }

    /// A problem of that object's pods for which `is` says so.
    pub fn problem(&self, owner: &Key, is: impl Fn(&Problem) -> bool) -> Option<Problem> {
        let inner = self.lock();
        let reports = inner.by_pod.values().filter(|(key, _)| key == owner);
        let mut problems = reports.flat_map(|(_, report)| &report.problems);
        problems.find(|problem| is(problem)).cloned()
    }

    /// True: a pod of that object runs and hasn't answered this process yet, as far as is known; so what pods have counted isn't known.
    pub fn is_silent(&self, owner: &Key) -> bool {
        let inner = self.lock();
        let silent = inner.silent.as_ref();
        silent.is_none_or(|silent| silent.contains(owner))
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
        let mut inner = self.lock();
        inner.shown.remove(key);
        inner.counting.remove(key);
    }

    /// Forgets an object that is gone.
    pub fn forget(&self, key: &Key) {
        let mut inner = self.lock();
        inner.shown.remove(key);
        inner.letters.remove(key);
        inner.told.remove(key);
        inner.budgets.remove(key);
        inner.paced.remove(key);
        inner.counting.remove(key);
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in what was answered, and says who must be woken. `here`: the pods that there are, and whose they are.
    fn take_in(
        &self,
        answers: Vec<Answer>,
        here: &HashMap<String, Key>,
        now: Instant,
    ) -> HashSet<Key> {
        let mut inner = self.lock();
        // A pod that doesn't answer keeps its last report until it is gone; its readiness tells the rest.
        for (uid, key, report) in answers {
            if let Some(report) = report {
                inner.by_pod.insert(uid, (key, report));
            }
        }
        inner
            .by_pod
            .retain(|uid, (key, _)| here.get(uid) == Some(key));
        let clock = Timestamp::now().as_millisecond();
        let silent = inner.silent_of(here);
        inner.count_letters(&silent, clock);
        inner.silent = Some(silent);
        let mut wake = inner.tell_news(now);
        wake.extend(inner.let_figures_through(now, clock));
        wake
    }
}

impl Inner {
    /// Owners whose news is another than they were told, as far as their budgets go; what is held back comes later.
    fn tell_news(&mut self, now: Instant) -> HashSet<Key> {
        let mut all = news(&self.by_pod);
        let mut owners: HashSet<Key> = self.told.keys().cloned().collect();
        owners.extend(all.keys().cloned());
        let mut wake = HashSet::new();
        for owner in owners {
            let latest = all.remove(&owner);
            if self.told.get(&owner) == latest.as_ref() {
                continue;
            }
            let budget = self
                .budgets
                .entry(owner.clone())
                .or_insert_with(|| Bucket::new(NEWS_PER_SECOND, NEWS_BURST, now));
            if !budget.take(now) {
                continue;
            }
            match latest {
                Some(latest) => self.told.insert(owner.clone(), latest),
                None => self.told.remove(&owner),
            };
            wake.insert(owner);
        }
        wake
    }

    /// Owners whose figures are others than those shown: as many as the bucket has tokens, namespaces in turn.
    fn let_figures_through(&mut self, now: Instant, now_ms: i64) -> Vec<Key> {
        let mut by_owner: HashMap<&Key, Vec<&Report>> = HashMap::new();
        for (key, report) in self.by_pod.values() {
            by_owner.entry(key).or_default().push(report);
        }
        let mut changed: BTreeMap<String, VecDeque<(Key, Coarse)>> = BTreeMap::new();
        for (key, reports) in by_owner {
            let last = self.paced.get(key);
            if last.is_some_and(|at| now.saturating_duration_since(*at) < schedule::ROUND) {
                continue;
            }
            let before = self.shown.get(key);
            let mut latest = idle::at(figures::coarse(before, &reports), &reports, now_ms);
            latest.dead_letters = shown(self.letters.get(key).map_or(0, Letters::total));
            let counted = counted::add_up(&reports);
            if counted.is_some() {
                let silent = self.silent.as_ref();
                let silent = silent.is_none_or(|silent| silent.contains(key));
                let at_work = |report: &&Report| report.phase == Phase::Running;
                let whole = !silent && reports.iter().all(at_work);
                let counting = self.counting.entry(key.clone()).or_default();
                let shown = before.and_then(|before| before.counted.as_ref());
                let beside = before.is_none_or(|before| *before != latest);
                latest.counted = counting.pace(shown, counted, (whole, beside), now);
            }
            if before.is_none_or(|before| figures::worth_writing(before, &latest)) {
                let of = changed.entry(key.namespace.clone()).or_default();
                of.push_back((key.clone(), latest));
            }
        }
        let mut through = Vec::new();
        while !changed.is_empty() && self.figures.take(now) {
            let after = (
                std::ops::Bound::Excluded(self.turn.clone()),
                std::ops::Bound::Unbounded,
            );
            let next = changed
                .range(after)
                .next()
                .or_else(|| changed.iter().next());
            let Some(namespace) = next.map(|(namespace, _)| namespace.clone()) else {
                break;
            };
            let of = changed.get_mut(&namespace);
            if let Some((key, latest)) = of.and_then(VecDeque::pop_front) {
                self.shown.insert(key.clone(), latest);
                self.paced.insert(key.clone(), now);
                through.push(key);
            }
            changed.retain(|_, of| !of.is_empty());
            self.turn = namespace;
        }
        through
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

/// The pods that can be asked. `owner` says whose a pod is.
pub fn targets(pods: &Store<Pod>, owner: impl Fn(&Pod) -> Option<Key>) -> Vec<Target> {
    pods.state()
        .iter()
        .filter_map(|pod| target(pod, owner(pod)?))
        .collect()
}

fn target(pod: &Pod, owner: Key) -> Option<Target> {
    let status = pod.status.as_ref()?;
    let runs = status.phase.as_deref() == Some("Running");
    if !runs || pod.metadata.deletion_timestamp.is_some() {
        return None;
    }
    Some(Target {
        uid: pod.uid()?,
        owner,
        at: ask::address(status.pod_ip.as_deref()?, STATUS_PORT)?,
    })
}

/// Asks all pods, each in its turn, until the process ends.
pub async fn run(
    reports: Arc<Reports>,
    targets: impl Fn() -> Vec<Target>,
    indexes: Arc<Indexes>,
    metrics: Arc<Metrics>,
    health: Arc<Health>,
) {
    let client = match ask::client() {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "no HTTP client: statuses will show no figures");
            return std::future::pending().await;
        }
    };
    let wake = |key: &Key| indexes.enqueue(key);
    kept("figures", || {
        rounds(&reports, &targets, &client, &wake, &metrics, &health)
    })
    .await;
}

async fn rounds(
    reports: &Reports,
    targets: &impl Fn() -> Vec<Target>,
    client: &reqwest::Client,
    wake: &impl Fn(&Key),
    metrics: &Metrics,
    health: &Health,
) {
    let mut schedule = Schedule::default();
    let mut open = FuturesUnordered::new();
    let mut heard: Vec<Answer> = Vec::new();
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some((target, answer)) = open.next(), if !open.is_empty() => {
                let (target, answer): (Target, Result<Report, ask::Silence>) = (target, answer);
                schedule.answered(&target.uid, answer.is_ok(), Instant::now());
                if let Err(silence) = answer {
                    metrics.unread(silence.label());
                    tracing::debug!(owner = %target.owner, at = %target.at, ?silence, "no report");
                }
                heard.push((target.uid, target.owner, answer.ok()));
            }
            _ = tick.tick() => {
                health.beat("figures", TICK_LIMIT);
                let (all, now) = (targets(), Instant::now());
                let here = all.iter().map(|t| (t.uid.clone(), t.owner.clone())).collect();
                for key in reports.take_in(std::mem::take(&mut heard), &here, now) {
                    wake(&key);
                }
                for target in schedule.next(all, now) {
                    open.push(async move {
                        let asked = contained("ask a pod", ask::ask(client, target.at)).await;
                        (target, asked.unwrap_or(Err(ask::Silence::NotAReport)))
                    });
                }
                metrics.reporting(schedule.speaking());
            }
        }
    }
}

#[cfg(test)]
mod tests;
