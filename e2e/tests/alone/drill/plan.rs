//! What is done to the cluster and when: all of it is decided by the seed, before anything happens.

use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};

/// What can be done, and how often it is, compared with the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// `kill -9` of a Pipeline's pod.
    PipelinePod,
    /// A Pipeline's pod is deleted with grace 0.
    DeletedPod,
    /// `kill -9` of a Source's pod.
    SourcePod,
    /// `kill -9` of a DataStore's pod.
    StorePod,
    /// `kill -9` of Kafka's only broker.
    Broker,
    /// `kill -9` of PostgreSQL.
    Postgres,
    /// `kill -9` of the schema registry.
    Registry,
    /// `kill -9` of the operator that leads.
    Leader,
    /// `kill -9` of the kubelet.
    NodeAgent,
    /// A Pipeline gets another number of pods.
    Scale,
    /// A Pipeline's pods are rolled.
    Roll,
    /// A Pipeline's query or commit interval is changed.
    Edit,
    /// A Pipeline is suspended for some seconds.
    Suspend,
    /// Nothing, until every Pipeline has committed again.
    GetOn,
}

/// Everything but what the broker's death needs.
const ANY: [(Fault, u32); 12] = [
    (Fault::PipelinePod, 6),
    (Fault::DeletedPod, 6),
    (Fault::SourcePod, 3),
    (Fault::StorePod, 1),
    (Fault::Postgres, 2),
    (Fault::Registry, 2),
    (Fault::Leader, 2),
    (Fault::NodeAgent, 1),
    (Fault::Scale, 4),
    (Fault::Roll, 2),
    (Fault::Edit, 2),
    (Fault::Suspend, 2),
];

/// What ends no Pipeline's pod. Kafka may leave a transaction without its end where a partition has one replica (KAFKA-20734),
/// and only a process that lived through the broker's death knows how it was decided.
const SAFE: [(Fault, u32); 5] = [
    (Fault::SourcePod, 3),
    (Fault::StorePod, 1),
    (Fault::Postgres, 2),
    (Fault::Registry, 2),
    (Fault::Leader, 1),
];

/// All that must have happened at the end.
pub fn all() -> impl Iterator<Item = Fault> {
    ANY.into_iter()
        .map(|(fault, _)| fault)
        .chain([Fault::Broker])
}

/// One thing that is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// So long after the one before, in milliseconds.
    pub after: u64,
    /// What.
    pub fault: Fault,
    /// Which pod or Pipeline, and how it is changed.
    pub pick: u64,
}

/// How long a step itself takes, in milliseconds, more or less.
const TAKES: u64 = 1_500;
/// How long a round is, in seconds: pods go, then the broker, then the Pipelines get on.
const ROUND: u64 = 240;

/// Steps for so many seconds.
pub fn plan(seed: u64, seconds: u64) -> Vec<Step> {
    let mut rng = StdRng::seed_from_u64(seed);
    let rounds = (seconds / ROUND).max(1);
    let time = seconds * 1_000 / rounds;
    let mut steps = Vec::new();
    for round in 0..rounds {
        let mut must: Vec<Fault> = ANY.into_iter().map(|(fault, _)| fault).collect();
        must.shuffle(&mut rng);
        let mut at = 0;
        let mut step = |at: &mut u64, after: u64, fault: Fault, rng: &mut StdRng| {
            *at += after + TAKES;
            let pick = rng.random();
            steps.push(Step { after, fault, pick });
        };
        while at < time * 2 / 3 || !must.is_empty() {
            // Each once in any order, so that the shortest run has done all of them.
            let fault = must.pop().unwrap_or_else(|| weighted(&ANY, &mut rng));
            let after = rng.random_range(1_000..4_000);
            step(&mut at, after, fault, &mut rng);
        }
        step(&mut at, 4_000, Fault::Broker, &mut rng);
        while at < time {
            let after = rng.random_range(3_000..7_000);
            let fault = weighted(&SAFE, &mut rng);
            step(&mut at, after, fault, &mut rng);
        }
        if round + 1 < rounds {
            step(&mut at, 0, Fault::GetOn, &mut rng);
        }
    }
    steps
}

fn weighted(of: &[(Fault, u32)], rng: &mut StdRng) -> Fault {
    let one = of.choose_weighted(rng, |(_, weight)| *weight);
    one.expect("there are some").0
}

#[test]
fn a_seed_decides_everything_and_each_victim_falls_before_the_broker_does() {
    for seed in 0..200 {
        for seconds in [30, 90, 600] {
            let steps = plan(seed, seconds);
            assert_eq!(steps, plan(seed, seconds), "the same seed, the same steps");
            for fault in all() {
                assert!(steps.iter().any(|s| s.fault == fault), "{seed}: {fault:?}");
            }
            // Between the broker's death and the Pipelines' getting on no Pipeline's pod goes.
            let mut dead = false;
            for step in steps {
                match step.fault {
                    Fault::Broker => dead = true,
                    Fault::GetOn => dead = false,
                    fault => assert!(
                        !dead || SAFE.iter().any(|(safe, _)| *safe == fault),
                        "{seed}: {fault:?} after the broker's death"
                    ),
                }
            }
        }
    }
    assert_ne!(plan(1, 90), plan(2, 90));
}
