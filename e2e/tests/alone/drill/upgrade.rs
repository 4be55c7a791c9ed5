//! An upgrade under load: the drill's contestants run on the version that is installed, then `HEADWORKS_UPGRADE` (a command) brings the
//! new one by Helm, as docs tell a user. Nothing is killed besides, so that what is lost or doubled is the upgrade's doing. Run by
//! `make upgrade-test`: it takes the images of the version before, which `make test` doesn't build.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use headworks_crds::kinds;
use headworks_e2e::{Cluster, Kubectl, cluster, until};

use super::contestants::{OF_KINDS, Runs};
use super::{platform_of_all, ready_all, verify};

/// Objects whose pods are rolled at once, by the operator's turns, whatever their kind.
const AT_ONCE: usize = 3;
/// How long there is load before and after the upgrade.
const LOAD: Duration = Duration::from_secs(20);
/// How long all pods may take to be of the new version: some twenty objects, three at once, two cores.
const ROLLED: Duration = Duration::from_secs(600);

#[test]
#[ignore = "needs another version's images: make upgrade-test"]
fn an_upgrade_under_load_loses_and_doubles_nothing_and_rolls_a_few_at_a_time() {
    let Some(c) = cluster("e2e-upgrade") else {
        return;
    };
    let command = std::env::var("HEADWORKS_UPGRADE").expect("HEADWORKS_UPGRADE, a command");
    let warehouse = c.warehouse();
    platform_of_all(&c);
    let known = kinds_before(&c.kubectl);
    let mut all = super::contestants::all(&c, 1, 120);
    // What the version before doesn't know yet isn't upgraded.
    all.retain(|one| {
        let known = taken(&c, &one.yaml());
        if let Err(why) = &known {
            println!("    {}: not known before: {why}", one.name());
        }
        known.is_ok()
    });
    assert!(all.len() >= 8, "most of what there is was there before");
    let yaml: String = all.iter().map(|one| one.yaml()).collect();
    c.apply(&yaml);
    ready_all(&c);
    let runs: Vec<Runs> = all.iter().flat_map(|one| one.runs()).collect();
    for one in &mut all {
        one.hold_still();
        one.begin(&c);
    }
    std::thread::sleep(LOAD);
    let old = images(&c.kubectl, &c.namespace);
    let began = Instant::now();
    let ended = AtomicBool::new(false);
    let most = std::thread::scope(|threads| {
        let watched = threads.spawn(|| most_at_once(&c, &ended));
        let done = Command::new("bash").args(["-c", &command]).status();
        assert!(done.is_ok_and(|status| status.success()), "{command}");
        println!("    upgraded after {} s", began.elapsed().as_secs());
        let rolled = until("all pods of the new version", ROLLED, || {
            images(&c.kubectl, &c.namespace)
                .is_disjoint(&old)
                .then_some(())
        });
        ended.store(true, Ordering::Relaxed);
        assert!(rolled.is_some(), "pods of the version before are left");
        watched.join().expect("it watches")
    });
    println!(
        "    all pods are of the new version after {} s; {most} objects rolled at once at most",
        began.elapsed().as_secs()
    );
    std::thread::sleep(LOAD);
    for one in &mut all {
        one.end(&c);
    }
    c.well("the upgrade");
    let mut failed = verify(&c, &warehouse, &all, &runs, &known);
    if most > AT_ONCE {
        failed.push(format!("{most} objects rolled at once, {AT_ONCE} may"));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

/// The kinds that the version before has: those of later ones aren't there yet, and have nobody who takes part.
fn kinds_before(kubectl: &Kubectl) -> Vec<(&'static str, &'static str)> {
    let mut all = OF_KINDS.to_vec();
    all.retain(|(name, _)| {
        let kind = kinds::named(name).expect("a kind of ours");
        kubectl.get("crd", &kind.full_name(), "").is_some()
    });
    all
}

/// Whether the API server, and the operator by admission, take it as they are now.
fn taken(c: &Cluster, yaml: &str) -> Result<(), String> {
    let apply = ["apply", "--dry-run=server", "-n", &c.namespace, "-f", "-"];
    let outcome = c.kubectl.pipe(&apply, yaml);
    if outcome.ok {
        return Ok(());
    }
    Err(outcome.text.lines().take(2).collect::<Vec<_>>().join(" "))
}

/// The images of all running workloads' pods.
fn images(kubectl: &Kubectl, namespace: &str) -> BTreeSet<String> {
    let pods = kubectl.list("pods", namespace, "headworks.dev/kind");
    let all = pods.iter().filter_map(|pod| {
        let image = &pod["spec"]["containers"][0]["image"];
        image.as_str().map(str::to_owned)
    });
    all.collect()
}

/// The most objects that were seen with pods of two versions, or with fewer pods than they had, at one time.
fn most_at_once(c: &Cluster, ended: &AtomicBool) -> usize {
    let mut most = 0;
    while !ended.load(Ordering::Relaxed) {
        let mut rolling = 0;
        for kind in ["statefulsets", "deployments"] {
            for object in c.kubectl.list(kind, &c.namespace, "headworks.dev/kind") {
                let number = |at: &str| object["status"][at].as_u64().unwrap_or(0);
                let wanted = object["spec"]["replicas"].as_u64().unwrap_or(1);
                let behind = number("updatedReplicas") < wanted;
                let seen =
                    object["metadata"]["generation"] == object["status"]["observedGeneration"];
                rolling += usize::from(seen && behind);
            }
        }
        most = most.max(rolling);
        std::thread::sleep(Duration::from_millis(500));
    }
    most
}
