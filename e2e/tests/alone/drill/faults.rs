//! Carries a plan out.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use headworks_e2e::{Cluster, kill_container, millis, pocket, until};

use super::contestants::Runs;
use super::plan::{Fault, Step};

const PIPELINE: &str = "pipelines.headworks.dev";
const SYSTEM: &str = "headworks-system";
/// How long a Pipeline is away.
const SUSPENDED: Duration = Duration::from_secs(8);

/// The hand that does it.
pub struct Faults<'a> {
    c: &'a Cluster,
    runs: Vec<Runs>,
    /// Pipelines that are suspended, and since when.
    resting: Vec<(&'static str, Instant)>,
    /// What was done how often.
    pub done: BTreeMap<Fault, u32>,
}

impl<'a> Faults<'a> {
    pub fn new(c: &'a Cluster, runs: Vec<Runs>) -> Self {
        Self {
            c,
            runs,
            resting: Vec::new(),
            done: BTreeMap::new(),
        }
    }

    /// One step. What couldn't be done (the pod wasn't running) is tried again for some seconds.
    pub fn step(&mut self, step: Step) {
        std::thread::sleep(Duration::from_millis(step.after));
        self.wake(SUSPENDED);
        let limit = Duration::from_secs(20);
        let began = Instant::now();
        let mut pick = step.pick;
        while !self.does(step.fault, pick) {
            if began.elapsed() > limit {
                println!("    ({:?} couldn't be done)", step.fault);
                return;
            }
            std::thread::sleep(Duration::from_millis(500));
            pick = pick.rotate_left(7);
        }
        *self.done.entry(step.fault).or_default() += 1;
    }

    /// Nobody is suspended any more.
    pub fn end(&mut self) {
        self.wake(Duration::ZERO);
    }

    fn wake(&mut self, after: Duration) {
        let (c, resting) = (self.c, std::mem::take(&mut self.resting));
        for (name, since) in resting {
            if since.elapsed() >= after {
                patch(c, name, r#"{"spec":{"suspend":false}}"#);
            } else {
                self.resting.push((name, since));
            }
        }
    }

    fn does(&mut self, fault: Fault, pick: u64) -> bool {
        let c = self.c;
        let runs = self.runs[pick as usize % self.runs.len()];
        let how = pick >> 32;
        match fault {
            Fault::PipelinePod => kill(c, "Pipeline", pick),
            Fault::SourcePod => kill(c, "Source", pick),
            Fault::StorePod => kill(c, "DataStore", pick),
            Fault::DeletedPod => pod(c, "Pipeline", pick).is_some_and(|name| {
                let now = ["--grace-period=0", "--force"];
                let what = ["delete", "pod", &name, "-n", &c.namespace];
                c.kubectl.run(&[&what[..], &now[..]].concat()).ok
            }),
            Fault::Broker => {
                // Whoever is suspended comes back before: its pod must live through it, too.
                self.end();
                pocket(&["kill", "kafka"]).0
            }
            Fault::Postgres => pocket(&["kill", "postgres"]).0,
            Fault::Registry => pocket(&["kill", "registry"]).0,
            Fault::NodeAgent => pocket(&["kill", "kubelet"]).0,
            Fault::Leader => leader(c).is_some_and(|pod| kill_container(&c.kubectl, SYSTEM, &pod)),
            Fault::Scale => {
                let what = format!("{PIPELINE}/{}", runs.name);
                let count = (how % 3 + 1).to_string();
                let scale = ["scale", &what, "-n", &c.namespace, "--replicas", &count];
                c.kubectl.run(&scale).ok
            }
            Fault::Roll => patch(
                c,
                runs.name,
                &format!(
                    r#"{{"spec":{{"podTemplate":{{"resources":{{"requests":{{"cpu":"{}m","memory":"64Mi"}}}}}}}}}}"#,
                    11 + how % 5
                ),
            ),
            Fault::Edit => {
                let spec = match runs.same {
                    Some(queries) => serde_json::json!({"sql": queries[how as usize % 2]}),
                    None => {
                        serde_json::json!({"commitInterval": format!("{}ms", 110 + how % 100)})
                    }
                };
                patch(c, runs.name, &serde_json::json!({"spec": spec}).to_string())
            }
            Fault::Suspend => {
                if self.resting.iter().any(|(name, _)| *name == runs.name) {
                    return false;
                }
                self.resting.push((runs.name, Instant::now()));
                patch(c, runs.name, r#"{"spec":{"suspend":true}}"#)
            }
            Fault::GetOn => {
                self.get_on();
                true
            }
        }
    }

    /// Waits until every Pipeline has committed since the broker came back, and half a minute on top: a Pipeline with state has two
    /// parts, of which the first tells of its commits, and the second ends within that time what hangs.
    fn get_on(&self) {
        let c = self.c;
        c.well("the broker was killed");
        let committed = |name: &str| {
            let pipeline = c.kubectl.get(PIPELINE, name, &c.namespace)?;
            Some(millis(pipeline["status"]["lastCommitTime"].as_str()?))
        };
        let before: Vec<_> = self.runs.iter().map(|r| committed(r.name)).collect();
        for (runs, before) in self.runs.iter().zip(before) {
            until(runs.name, Duration::from_secs(180), || {
                (committed(runs.name) > before).then_some(())
            });
        }
        std::thread::sleep(Duration::from_secs(45));
    }
}

fn patch(c: &Cluster, name: &str, patch: &str) -> bool {
    let what = ["patch", PIPELINE, name, "-n", &c.namespace];
    let how = ["--type=merge", "-p", patch];
    c.kubectl.run(&[&what[..], &how[..]].concat()).ok
}

/// A pod of a kind, by the seed's pick among them.
fn pod(c: &Cluster, kind: &str, pick: u64) -> Option<String> {
    let selector = format!("headworks.dev/kind={kind}");
    let pods = c.kubectl.list("pods", &c.namespace, &selector);
    let mut names: Vec<&str> = pods
        .iter()
        .filter(|pod| pod["metadata"]["deletionTimestamp"].is_null())
        .filter_map(|pod| pod["metadata"]["name"].as_str())
        .collect();
    names.sort_unstable();
    let at = pick as usize % names.len().max(1);
    names.get(at).map(|name| (*name).to_owned())
}

fn kill(c: &Cluster, kind: &str, pick: u64) -> bool {
    pod(c, kind, pick).is_some_and(|name| kill_container(&c.kubectl, &c.namespace, &name))
}

/// The operator's pod that holds the Lease.
pub fn leader(c: &Cluster) -> Option<String> {
    let leases = c.kubectl.list("leases", SYSTEM, "");
    let holder = leases
        .iter()
        .find_map(|lease| lease["spec"]["holderIdentity"].as_str())?;
    let label = "app.kubernetes.io/name=headworks-operator";
    let pods = c.kubectl.list("pods", SYSTEM, label);
    pods.iter()
        .filter_map(|pod| pod["metadata"]["name"].as_str())
        .find(|name| holder.contains(name))
        .map(str::to_owned)
}
