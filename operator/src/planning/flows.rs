//! Which streams every object reads and writes, and which objects close a loop.
//!
//! A loop of streams feeds itself for ever. Of the objects of a loop, mostly Pipelines, one must give way: those whose present
//! flow is already in force go first, then the older ones; one is refused if it closes a loop with
//! those that went before it. So an edit of an old Pipeline doesn't stop a younger one that runs.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, PoisonError},
};

use headworks_crds::Pipeline;
use kube::ResourceExt;

use super::{
    query,
    shared::{self, Shared},
    versions,
};
use crate::names::{CANARY_PART, Key, PART_LABEL};

/// What one object reads and writes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Streams it reads.
    pub inputs: BTreeSet<String>,
    /// Streams it writes.
    pub outputs: BTreeSet<String>,
    /// Streams and tables that it writes while it runs, as `stream/NAME` and `table/STORE/NAME`.
    pub targets: BTreeSet<String>,
    /// True: its status says that just this flow is in force.
    pub in_force: bool,
    /// Seconds since 1970 UTC when it was made.
    pub born: i64,
    /// False: it tries something out on records that others judge.
    pub judges: bool,
    /// True: its reconcile asks for loops and shared targets, and is woken when what it would be told changes.
    pub heeds: bool,
}

/// A loop as one object sees it: the way back from its output to its input.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loop {
    /// Streams in order, beginning and ending with the same one.
    pub streams: Vec<String>,
    /// The others on the way.
    pub through: Vec<Key>,
}

impl std::fmt::Display for Loop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.streams.join(" → "))?;
        let mut before = None;
        for key in &self.through {
            match before.replace(&key.kind) {
                None => write!(f, ", through {} {}", key.kind, key.name)?,
                Some(kind) if *kind == key.kind => write!(f, ", {}", key.name)?,
                Some(_) => write!(f, ", {} {}", key.kind, key.name)?,
            }
        }
        Ok(())
    }
}

/// The flows of a namespace.
type Namespace = BTreeMap<Key, Flow>;

/// The flows of all objects, by namespace: an object's streams are in its own.
#[derive(Default)]
pub struct Flows(Mutex<HashMap<String, Namespace>>);

impl Flows {
    /// Notes an object's flow; says for which objects what they are told changed by it.
    pub fn set(&self, key: &Key, flow: Flow) -> Vec<Key> {
        self.change(key, |namespace| {
            namespace.insert(key.clone(), flow);
        })
    }

    /// An object is gone; says for which objects what they are told changed by it.
    pub fn remove(&self, key: &Key) -> Vec<Key> {
        self.change(key, |namespace| {
            namespace.remove(key);
        })
    }

    /// The loop for which an object is refused, if it is.
    pub fn refused(&self, key: &Key) -> Option<Loop> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&key.namespace)
            .and_then(|namespace| verdicts(namespace).remove(key))
    }

    /// The targets of an object that others write, too.
    pub fn shared(&self, key: &Key) -> Shared {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(&key.namespace)
            .and_then(|namespace| shared_targets(namespace).remove(key))
            .unwrap_or_default()
    }

    /// The objects that meet the records of a stream first: those that bring them in from outside, and those that read them to write
    /// something. Their pods judge the records. Those of a Replay don't: it brings back what was judged before, or will be by readers.
    pub fn judges(&self, namespace: &str, stream: &str) -> Vec<Key> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let flows = all.get(namespace).into_iter().flatten();
        let meets = |flow: &Flow| {
            let brings = flow.inputs.is_empty() && flow.outputs.contains(stream);
            let reads = flow.inputs.contains(stream);
            brings || reads
        };
        flows
            .filter(|(key, flow)| key.kind != "Replay" && flow.judges && meets(flow))
            .map(|(key, _)| key.clone())
            .collect()
    }

    fn change(&self, key: &Key, how: impl FnOnce(&mut Namespace)) -> Vec<Key> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let namespace = all.entry(key.namespace.clone()).or_default();
        let before = (verdicts(namespace), shared_targets(namespace));
        let gone = namespace.get(key).cloned();
        how(namespace);
        let after = (verdicts(namespace), shared_targets(namespace));
        let keys: BTreeSet<&Key> = [&before, &after]
            .into_iter()
            .flat_map(|(loops, shared)| loops.keys().chain(shared.keys()))
            .collect();
        let heeds = |one: &Key| {
            let flow = namespace.get(one).or(gone.as_ref());
            flow.is_some_and(|flow| flow.heeds)
        };
        keys.into_iter()
            .filter(|one| {
                before.0.get(*one) != after.0.get(*one) || before.1.get(*one) != after.1.get(*one)
            })
            .filter(|one| heeds(one))
            .cloned()
            .collect()
    }
}

/// The objects of a namespace that share targets with others.
fn shared_targets(namespace: &Namespace) -> BTreeMap<Key, Shared> {
    let title = |key: &Key| format!("{} {}", key.kind, key.name);
    let mut writers: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for (key, flow) in namespace {
        for target in &flow.targets {
            let all = writers.entry(target).or_default();
            all.insert(title(key));
        }
    }
    let mut found: BTreeMap<Key, Shared> = BTreeMap::new();
    for (key, flow) in namespace {
        let own = title(key);
        for target in &flow.targets {
            let all = writers.get(target.as_str()).into_iter().flatten();
            let others: BTreeSet<String> = all.filter(|one| **one != own).cloned().collect();
            if !others.is_empty() {
                let shared = found.entry(key.clone()).or_default();
                shared.insert(target.clone(), others);
            }
        }
    }
    found
}

/// The refused objects of one namespace, each with its loop.
fn verdicts(flows: &Namespace) -> BTreeMap<Key, Loop> {
    let mut order: Vec<(&Key, &Flow)> = flows.iter().collect();
    order.sort_by_key(|(key, flow)| (!flow.in_force, flow.born, key.name.as_str()));
    let mut accepted: Vec<(&Key, &Flow)> = Vec::new();
    let mut refused = BTreeMap::new();
    for (key, flow) in order {
        match way_back(flow, &accepted) {
            Some(found) => {
                refused.insert(key.clone(), found);
            }
            None => accepted.push((key, flow)),
        }
    }
    refused
}

/// The shortest way from one of a flow's outputs to one of its inputs, through accepted objects.
fn way_back(flow: &Flow, accepted: &[(&Key, &Flow)]) -> Option<Loop> {
    let mut queue: Vec<Loop> = flow
        .outputs
        .iter()
        .map(|stream| Loop {
            streams: vec![stream.clone()],
            through: vec![],
        })
        .collect();
    let mut seen: BTreeSet<String> = flow.outputs.clone();
    let mut next = 0;
    while let Some(way) = queue.get(next).cloned() {
        next += 1;
        let Some(last) = way.streams.last().cloned() else {
            continue;
        };
        if flow.inputs.contains(&last) {
            let mut streams = vec![last];
            streams.extend(way.streams);
            return Some(Loop {
                streams,
                through: way.through,
            });
        }
        for (key, step) in accepted
            .iter()
            .filter(|(_, step)| step.inputs.contains(&last))
        {
            for stream in step
                .outputs
                .iter()
                .filter(|stream| seen.insert((*stream).clone()))
            {
                let mut way = way.clone();
                way.streams.push(stream.clone());
                way.through.push((*key).clone());
                queue.push(way);
            }
        }
    }
    None
}

/// True: it is the new version of another Pipeline, which is tried out.
pub fn is_canary(pipeline: &Pipeline) -> bool {
    pipeline.labels().get(PART_LABEL).map(String::as_str) == Some(CANARY_PART)
}

/// What a Pipeline reads and writes, by its spec, and by the version in force where a canary holds the spec's back; a query that can't be
/// parsed flows nowhere.
pub fn flow_of(pipeline: &Pipeline) -> Flow {
    let specs = versions::all(pipeline);
    let inputs: BTreeSet<String> = specs
        .iter()
        .flat_map(|spec| query::inputs(&spec.sql).unwrap_or_default())
        .collect();
    let outputs: BTreeSet<String> = specs
        .iter()
        .flat_map(|spec| spec.to.iter().filter_map(|t| t.stream.clone()))
        .collect();
    let in_force = pipeline.status.as_ref().is_some_and(|s| {
        s.group.is_some()
            && s.inputs.iter().cloned().collect::<BTreeSet<_>>() == inputs
            && s.outputs.iter().cloned().collect::<BTreeSet<_>>() == outputs
    });
    Flow {
        inputs,
        outputs,
        targets: specs.iter().flat_map(shared::targets).collect(),
        in_force,
        born: pipeline
            .creation_timestamp()
            .map_or(i64::MAX, |t| t.0.as_second()),
        judges: !is_canary(pipeline),
        heeds: true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn key(name: &str) -> Key {
        Key::new("Pipeline", "shop", name)
    }

    fn flow(inputs: &[&str], outputs: &[&str], born: i64, in_force: bool) -> Flow {
        let set = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        Flow {
            inputs: set(inputs),
            outputs: set(outputs),
            targets: outputs
                .iter()
                .map(|name| format!("stream/{name}"))
                .collect(),
            in_force,
            born,
            judges: true,
            heeds: true,
        }
    }

    /// What a Source writes, which isn't told who writes the same.
    fn from_outside(target: &str) -> Flow {
        Flow {
            heeds: false,
            ..flow(&[], &[target], 3, false)
        }
    }

    #[test]
    fn who_shares_a_target_is_told_and_woken_when_it_changes() {
        let flows = Flows::default();
        let source = Key::new("Source", "shop", "in");
        flows.set(&key("one"), flow(&["a"], &["b", "c"], 1, true));
        assert!(flows.shared(&key("one")).is_empty());
        assert_eq!(
            flows.set(&key("two"), flow(&["a"], &["c"], 2, true)),
            [key("one"), key("two")]
        );
        assert_eq!(flows.set(&source, from_outside("b")), [key("one")]);
        assert_eq!(
            shared::words(&flows.shared(&key("one"))),
            "stream b is written by Source in, too; stream c is written by Pipeline two, too"
        );
        // The same again is no news.
        assert!(flows.set(&source, from_outside("b")).is_empty());
        assert!(
            flows
                .set(&key("two"), flow(&["a"], &["c"], 2, true))
                .is_empty()
        );
        // Nor is a stream of another namespace.
        let other = Key::new("Pipeline", "audit", "one");
        assert!(flows.set(&other, flow(&["a"], &["c"], 1, true)).is_empty());
        // It rests: nothing is shared.
        let resting = Flow {
            targets: BTreeSet::new(),
            ..flow(&["a"], &["c"], 2, true)
        };
        assert_eq!(flows.set(&key("two"), resting), [key("one"), key("two")]);
        assert_eq!(flows.remove(&source), [key("one")]);
        assert!(flows.shared(&key("one")).is_empty());
    }

    #[test]
    fn sources_and_readers_judge_and_a_replay_does_not() {
        let flows = Flows::default();
        flows.set(&Key::new("Replay", "shop", "again"), from_outside("b"));
        flows.set(
            &Key::new("Replay", "shop", "copy"),
            flow(&["b"], &["c"], 1, false),
        );
        // Nor does what is tried out beside the version that does.
        let tried = Flow {
            judges: false,
            ..flow(&["b"], &["d"], 1, false)
        };
        flows.set(&key("sums-canary"), tried);
        assert!(flows.judges("shop", "b").is_empty());
        let source = Key::new("Source", "shop", "in");
        flows.set(&source, from_outside("b"));
        flows.set(&key("reads"), flow(&["b"], &["c"], 1, true));
        flows.set(&key("writes"), flow(&["a"], &["b"], 1, true));
        assert_eq!(flows.judges("shop", "b"), [key("reads"), source]);
    }

    #[test]
    fn the_younger_of_two_that_close_a_loop_is_refused_and_told_the_way() {
        let flows = Flows::default();
        assert!(
            flows
                .set(&key("forth"), flow(&["a"], &["b"], 1, true))
                .is_empty()
        );
        assert_eq!(
            flows.set(&key("back"), flow(&["b"], &["a"], 2, false)),
            [key("back")]
        );
        assert_eq!(flows.refused(&key("forth")), None);
        let text = flows.refused(&key("back")).unwrap().to_string();
        assert_eq!(text, "b → a → b, through Pipeline forth");
        assert_eq!(flows.remove(&key("forth")), [key("back")]);
        assert_eq!(flows.refused(&key("back")), None);
    }

    #[test]
    fn an_object_of_another_kind_closes_a_loop_too() {
        let flows = Flows::default();
        let copy = Key::new("Copy", "shop", "copy");
        flows.set(&key("forth"), flow(&["a"], &["b"], 1, true));
        flows.set(&key("on"), flow(&["b"], &["c"], 1, true));
        assert_eq!(
            flows.set(&copy, flow(&["c"], &["a"], 9, false)),
            std::slice::from_ref(&copy)
        );
        let text = flows.refused(&copy).unwrap().to_string();
        assert_eq!(text, "c → a → b → c, through Pipeline forth, on");
        flows.set(&copy, flow(&["c"], &["a"], 0, true));
        let text = flows.refused(&key("on")).unwrap().to_string();
        assert_eq!(text, "b → c → a → b, through Copy copy, Pipeline forth");
    }

    #[test]
    fn a_long_way_round_is_found() {
        let flows = Flows::default();
        flows.set(&key("one"), flow(&["a"], &["b"], 1, false));
        flows.set(&key("two"), flow(&["b"], &["c", "x"], 2, false));
        flows.set(&key("three"), flow(&["c"], &["a"], 3, false));
        assert!(flows.refused(&key("three")).is_some());
        assert!(flows.refused(&key("two")).is_none());
    }

    #[test]
    fn a_pipeline_into_its_own_input_is_a_loop_by_itself() {
        let flows = Flows::default();
        flows.set(&key("self"), flow(&["a"], &["a"], 1, false));
        assert_eq!(flows.refused(&key("self")).unwrap().to_string(), "a → a");
    }

    #[test]
    fn an_edit_of_an_old_pipeline_does_not_stop_a_younger_one_that_runs() {
        let flows = Flows::default();
        flows.set(&key("old"), flow(&["a"], &["b"], 1, true));
        flows.set(&key("young"), flow(&["b"], &["c"], 2, true));
        assert_eq!(
            flows.set(&key("old"), flow(&["c"], &["b"], 1, false)),
            [key("old")]
        );
    }

    #[test]
    fn a_refused_pipeline_closes_no_loop_for_others() {
        let flows = Flows::default();
        flows.set(&key("one"), flow(&["a"], &["b"], 1, true));
        flows.set(&key("two"), flow(&["b", "x"], &["a"], 2, false));
        flows.set(&key("three"), flow(&["a"], &["x"], 3, false));
        assert!(flows.refused(&key("two")).is_some());
        assert!(flows.refused(&key("three")).is_none());
    }

    #[test]
    fn a_table_is_no_stream_that_could_close_a_loop() {
        let pipeline: Pipeline = serde_json::from_value(json!({"metadata": {"name": "p"}, "spec": {
            "sql": "SELECT id FROM a", "to": [{"stream": "b"}, {"table": {"store": "a", "name": "a"}}]}}))
        .unwrap();
        let flow = flow_of(&pipeline);
        assert_eq!(flow.inputs, ["a".to_owned()].into());
        assert_eq!(flow.outputs, ["b".to_owned()].into());
    }
}
