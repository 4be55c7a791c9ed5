//! The drill: every kind, connector and shape of query that there is runs at once under load, while pods, broker, PostgreSQL, registry,
//! operator and kubelet are killed, and Pipelines are scaled, rolled, edited and suspended. Then everything is computed again from the
//! inputs: topics, tables, windows, sessions, sums, dead letters, figures.
//!
//! `HEADWORKS_DRILL_MINUTES` says how long it takes in all (4), `HEADWORKS_DRILL_SEED` decides everything (printed),
//! `HEADWORKS_DRILL_RATE` is the load in records a second (300). Rooms: `plan` what happens when, by the seed; `faults` does it;
//! `contestants` who takes part; `upgrade` brings a new version instead of faults.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod contestants;
mod faults;
mod plan;
mod upgrade;

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use headworks_crds::kinds;
use headworks_e2e::{Cluster, Events, Input, Verdict, Warehouse, bootstrap, cluster, platform};

use contestants::{Contestant, LATE, PLATFORM, Runs, Seen};
use faults::Faults;
use plan::Fault;

const PIPELINE: &str = "pipelines.headworks.dev";
/// How long what is right may take to be there, once the load has ended.
const SETTLED: Duration = Duration::from_secs(300);

fn setting(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is no number: {text}")),
    )
}

#[test]
fn everything_at_once_under_load_while_everything_is_killed_is_what_the_inputs_say() {
    let Some(c) = cluster("e2e-drill") else {
        return;
    };
    let began = Instant::now();
    let minutes = setting("HEADWORKS_DRILL_MINUTES").unwrap_or(4);
    let seed = setting("HEADWORKS_DRILL_SEED").unwrap_or_else(|| rand::random::<u32>().into());
    println!("    the drill: HEADWORKS_DRILL_SEED={seed} HEADWORKS_DRILL_MINUTES={minutes}");
    // Beside setting up and verifying, which take their minute each.
    let seconds = (minutes * 60).saturating_sub(130).max(60);
    let warehouse = c.warehouse();
    let mut all = set_up(&c, seed, seconds);
    let runs: Vec<Runs> = all.iter().flat_map(|one| one.runs()).collect();
    println!("    all is Ready after {} s", began.elapsed().as_secs());
    for one in &mut all {
        one.begin(&c);
    }
    // There is something to lose before anything is killed.
    std::thread::sleep(Duration::from_secs(5));
    let mut faults = Faults::new(&c, runs.clone());
    let loaded = Instant::now();
    let mut left_out = 0;
    for step in plan::plan(seed, seconds) {
        // Where the machine is slow, what was done already isn't done again: the time is a promise.
        let late = loaded.elapsed().as_secs() > seconds && step.fault != Fault::GetOn;
        if late && faults.done.contains_key(&step.fault) {
            left_out += 1;
        } else {
            faults.step(step);
        }
    }
    faults.end();
    for one in &mut all {
        one.end(&c);
    }
    println!(
        "    done in {} s of load: {:?}, {} in all, {left_out} left out for want of time",
        loaded.elapsed().as_secs(),
        faults.done,
        faults.done.values().sum::<u32>()
    );
    c.well("the drill");
    let mut failed = verify(&c, &warehouse, &all, &runs, &contestants::OF_KINDS);
    for fault in plan::all().filter(|fault| !faults.done.contains_key(fault)) {
        failed.push(format!("{fault:?} never happened"));
    }
    println!("    the drill took {} s", began.elapsed().as_secs());
    // The same again: HEADWORKS_DRILL_SEED.
    assert!(failed.is_empty(), "seed {seed}:\n{}", failed.join("\n"));
    c.kubectl.run(&[
        "delete",
        PIPELINE,
        "--all",
        "-n",
        &c.namespace,
        "--timeout=90s",
    ]);
}

/// Everybody's objects, all at once as GitOps would, and Ready.
fn set_up(c: &Cluster, seed: u64, seconds: u64) -> Vec<Box<dyn Contestant>> {
    platform_of_all(c);
    let all = contestants::all(c, seed, seconds);
    let yaml: String = all.iter().map(|one| one.yaml()).collect();
    c.apply(&yaml);
    ready_all(c);
    assert!(faults::leader(c).is_some(), "an operator leads");
    all
}

/// [`PLATFORM`].
fn platform_of_all(c: &Cluster) {
    let url = std::env::var("REGISTRY_URL_IN_CLUSTER")
        .unwrap_or_else(|_| "http://registry.kafka.svc:8080/apis/ccompat/v7".into());
    let plain = platform(PLATFORM, &bootstrap(), "");
    c.apply(&format!("{plain}  schemaRegistry: {{url: \"{url}\"}}\n"));
}

/// Waits until everything that was applied is Ready.
fn ready_all(c: &Cluster) {
    for kind in ["datastreams", "sources", "pipelines"] {
        let kind = format!("{kind}.headworks.dev");
        for object in c.kubectl.list(&kind, &c.namespace, "") {
            let name = object["metadata"]["name"].as_str().expect("a name");
            let limit = Duration::from_secs(240);
            c.condition_within(&kind, name, "Ready", "True", None, limit);
        }
    }
}

/// Everybody's verification, again and again until all is clean, and then once more: what comes twice comes later. One that fails
/// doesn't keep the others from being looked at. `of_kinds`: the kinds that take part. Gives what is wrong.
fn verify(
    c: &Cluster,
    warehouse: &Warehouse,
    all: &[Box<dyn Contestant>],
    runs: &[Runs],
    of_kinds: &[(&str, &str)],
) -> Vec<String> {
    Events::close(c, &c.topic("a"));
    let began = Instant::now();
    let mut said = began;
    let mut last: BTreeMap<&str, Vec<Verdict>> = BTreeMap::new();
    loop {
        let input = Input::read(c, &c.topic("a"));
        let seen = Seen {
            c,
            warehouse,
            input: &input,
        };
        let open = |last: &BTreeMap<&str, Vec<Verdict>>, name: &str| {
            last.get(name)
                .is_none_or(|of| !of.iter().all(Verdict::clean))
        };
        for one in all {
            if open(&last, one.name()) {
                last.insert(one.name(), judged(one.as_ref(), &seen));
            }
        }
        if open(&last, "dead letters") {
            last.insert("dead letters", letters(&seen, runs));
        }
        let done = last.values().flatten().all(Verdict::clean);
        if done || began.elapsed() > SETTLED {
            break;
        }
        if said.elapsed() > Duration::from_secs(30) {
            said = Instant::now();
            let open: Vec<String> = last
                .iter()
                .flat_map(|(name, of)| of.iter().map(move |verdict| (name, verdict)))
                .filter(|(_, verdict)| !verdict.clean())
                .map(|(name, verdict)| format!("{name}: {verdict}"))
                .collect();
            println!("    not settled yet: {}", open.join("; "));
        }
        std::thread::sleep(Duration::from_secs(3));
    }
    println!("    settled after {} s", began.elapsed().as_secs());
    std::thread::sleep(Duration::from_secs(5));
    let input = Input::read(c, &c.topic("a"));
    let seen = Seen {
        c,
        warehouse,
        input: &input,
    };
    for one in all {
        last.insert(one.name(), judged(one.as_ref(), &seen));
    }
    last.insert("dead letters", letters(&seen, runs));
    last.insert("figures", figures(&seen, runs, of_kinds));
    let mut failed = Vec::new();
    for (name, verdicts) in &last {
        for verdict in verdicts {
            // What must simply be so is told where it isn't.
            if verdict.expected > 1 || !verdict.clean() {
                println!("    {name}: {verdict}");
            }
            if !verdict.clean() {
                let examples = verdict.examples.join("\n        ");
                failed.push(format!("    {name}: {verdict}\n        {examples}"));
            }
        }
    }
    failed
}

/// What a contestant says; one that can't even read what is there says so.
fn judged(one: &dyn Contestant, seen: &Seen<'_>) -> Vec<Verdict> {
    catch_unwind(AssertUnwindSafe(|| one.verify(seen)))
        .unwrap_or_else(|panic| vec![Verdict::must("can be read", false, &words(&*panic))])
}

fn words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "panicked".to_owned())
}

/// Each Pipeline that reads `a` has written each bad record once, and what came too late for its windows.
fn letters(seen: &Seen<'_>, runs: &[Runs]) -> Vec<Verdict> {
    let input = seen.input;
    let mut verdicts = Vec::new();
    let long_ago: BTreeSet<(i32, i64)> = input
        .events
        .iter()
        .filter(|event| event.n <= LATE)
        .map(|event| (event.partition, event.offset))
        .collect();
    for runs in runs.iter().filter(|runs| runs.reads_a) {
        let name = seen.full(runs.name);
        let said = |letter: &headworks_e2e::Letter| match letter.reason.as_str() {
            "Decode" | "Contract" => "bad".to_owned(),
            other => other.to_owned(),
        };
        let found: Vec<((i32, i64), String)> = input
            .letters_of(&name)
            .map(|letter| (letter.origin.unwrap_or((-1, -1)), said(letter)))
            .collect();
        let mut expected: BTreeMap<(i32, i64), String> =
            input.bad.iter().map(|at| (*at, "bad".to_owned())).collect();
        if runs.windows {
            // Others may be late by chance: what they are is in the letters only, and the windows agree with that.
            let late = found
                .iter()
                .filter(|(at, said)| said == "Late" && !input.bad.contains(at));
            let late: Vec<(i32, i64)> = late.map(|(at, _)| *at).collect();
            let all = late.iter().chain(&long_ago);
            expected.extend(all.map(|at| (*at, "Late".to_owned())));
        }
        let late = found.iter().filter(|(_, said)| said == "Late").count();
        let verdict = Verdict::of(runs.name, &expected, &found).at_least(5);
        verdicts.push(verdict);
        if runs.windows {
            let few = late.saturating_sub(long_ago.len()) * 100 < input.events.len().max(100);
            let said = format!("{late} of {}", input.events.len());
            let what = format!("{}: hardly anything is late", runs.name);
            verdicts.push(Verdict::must(&what, few, &said));
        }
    }
    verdicts
}

/// What the objects say of themselves at the end.
fn figures(seen: &Seen<'_>, runs: &[Runs], of_kinds: &[(&str, &str)]) -> Vec<Verdict> {
    let c = seen.c;
    let mut verdicts = Vec::new();
    let conditions = |object: &serde_json::Value| object["status"]["conditions"].to_string();
    for (name, file) in of_kinds {
        let kind = kinds::named(name).expect("a kind of ours");
        let namespace = if kind.namespaced {
            c.namespace.as_str()
        } else {
            ""
        };
        let kind = kind.full_name();
        let ready = || -> Result<(), String> {
            let mut all = c.kubectl.list(&kind, namespace, "");
            // Other tests' Platforms are none of ours.
            all.retain(|one| !namespace.is_empty() || one["metadata"]["name"] == PLATFORM);
            if all.is_empty() {
                return Err(format!("there is none: {file} should have one"));
            }
            for object in all {
                let list = object["status"]["conditions"].as_array();
                let ready = |c: &serde_json::Value| c["type"] == "Ready" && c["status"] == "True";
                if !list.is_some_and(|list| list.iter().any(ready)) {
                    let said = conditions(&object);
                    return Err(format!("{}: {said}", object["metadata"]["name"]));
                }
            }
            Ok(())
        };
        let limit = Duration::from_secs(90);
        headworks_e2e::until(&kind, limit, || ready().is_ok().then_some(()));
        let outcome = ready();
        let said = outcome.clone().err().unwrap_or_default();
        verdicts.push(Verdict::must(
            &format!("{kind} are Ready"),
            outcome.is_ok(),
            &said,
        ));
    }
    let statuses = || -> BTreeMap<String, serde_json::Value> {
        let all = c.kubectl.list(PIPELINE, &c.namespace, "").into_iter();
        let name = |o: &serde_json::Value| o["metadata"]["name"].as_str().unwrap_or("").to_owned();
        all.map(|o| (name(&o), o["status"].clone())).collect()
    };
    let lag = |status: &serde_json::Value| status["lag"].as_i64().unwrap_or(0);
    headworks_e2e::until("no lag", Duration::from_secs(90), || {
        statuses().values().all(|s| lag(s) == 0).then_some(())
    });
    let unbalanced = || -> Vec<String> {
        let all = statuses();
        let not = all.iter().filter(|(_, status)| {
            let list = status["conditions"].as_array();
            !list.is_some_and(|list| {
                list.iter()
                    .any(|c| c["type"] == "Balanced" && c["status"] == "True")
            })
        });
        not.map(|(name, status)| format!("{name}: {status}"))
            .collect()
    };
    headworks_e2e::until("all are Balanced", Duration::from_secs(90), || {
        unbalanced().is_empty().then_some(())
    });
    let unbalanced = unbalanced();
    verdicts.push(Verdict::must(
        "every Pipeline is Balanced",
        unbalanced.is_empty(),
        &unbalanced.join("; "),
    ));
    let statuses = statuses();
    for runs in runs {
        let status = statuses.get(runs.name).cloned().unwrap_or_default();
        let (what, lag) = (format!("{}: no lag", runs.name), lag(&status));
        verdicts.push(Verdict::must(&what, lag == 0, &format!("lag {lag}")));
        let letters = seen.input.letters_of(&seen.full(runs.name)).count() as u64;
        if let Some(told) = status["deadLetters"].as_u64().filter(|_| runs.reads_a) {
            let what = format!("{}: no more dead letters than there are", runs.name);
            let said = format!("status says {told}, there are {letters}");
            verdicts.push(Verdict::must(&what, told <= letters, &said));
        }
    }
    verdicts
}
