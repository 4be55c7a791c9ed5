//! What a pod asks of its node, and what it may take at most, where nobody says more. Pure.
//!
//! Requests are small, because most workloads idle and a demo, or a user's first objects, share two cores with the rest of a
//! cluster. Memory has a limit, so that a mistake of ours or a flood takes one pod down and not its node. CPU has none: a pod
//! that catches up may take what is idle.

use std::collections::BTreeMap;

use headworks_crds::Quantity as Amount;
use k8s_openapi::{
    api::core::v1::ResourceRequirements, apimachinery::pkg::api::resource::Quantity,
};

/// CPU that a pod asks for.
const CPU: &str = "10m";
/// Memory that a pod asks for besides its state, in mebibytes.
pub const OWN_MEMORY_MI: u64 = 64;
/// Memory that a pod may take besides its state, in mebibytes. Measured: 15 to 21 at low load; Kafka's client keeps up to some
/// 100 of what it fetched and sends.
const OWN_LIMIT_MI: u64 = 512;
/// So many times its bound a state may take: the bound counts rows, and a process that spills 256Mi was seen at 645 with what is on
/// its way in and out.
const STATE_LIMIT_FACTOR: u64 = 2;
/// The part of a request's body that is above what every Source takes may be in memory so many times: packed, unpacked, as
/// columns, as records.
const BODY_FACTOR: u64 = 4;
/// Bodies up to this size, all together, are within a pod's own memory.
const OWN_BODIES: u64 = 32 << 20;
/// What a pod writes beside its state: `/tmp` and its log, in mebibytes.
const SCRATCH_MI: u64 = 1024;
const EPHEMERAL: &str = "ephemeral-storage";

/// What a workload needs beyond what every pod does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Bound of its state in memory, in bytes.
    pub state_memory: u64,
    /// True: its state may take more memory than its bound, so that a limit would be a guess that ends pods.
    pub unbounded: bool,
    /// Its state's disk.
    pub disk: Option<Disk>,
    /// Largest body of a request that it takes, in bytes.
    pub body: u64,
}

/// Disk of a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// What is asked of the node.
    pub asked: Amount,
    /// What it may take.
    pub most: Amount,
}

/// Requests and limits: the user's, or the defaults. A state's disk is asked for, too, where the user's name none, because a pod
/// must not begin on a node that can't hold what it is allowed to write.
pub fn resources(given: Option<&ResourceRequirements>, needs: &Needs) -> ResourceRequirements {
    let mut resources = given.cloned().unwrap_or_else(|| modest(needs));
    let Some(disk) = &needs.disk else {
        return resources;
    };
    let named = |list: &Option<BTreeMap<String, Quantity>>| {
        list.as_ref()
            .is_some_and(|list| list.contains_key(EPHEMERAL))
    };
    if !named(&resources.requests) && !named(&resources.limits) {
        let asked = Quantity(disk.asked.to_string());
        let most = mebibytes(
            disk.most
                .value()
                .div_ceil(1 << 20)
                .saturating_add(SCRATCH_MI),
        );
        resources
            .requests
            .get_or_insert_default()
            .insert(EPHEMERAL.into(), asked);
        resources
            .limits
            .get_or_insert_default()
            .insert(EPHEMERAL.into(), most);
    }
    resources
}

fn modest(needs: &Needs) -> ResourceRequirements {
    let state = needs.state_memory.div_ceil(1 << 20);
    let bodies = needs
        .body
        .saturating_sub(OWN_BODIES)
        .saturating_mul(BODY_FACTOR);
    let limit = OWN_LIMIT_MI
        .saturating_add(state.saturating_mul(STATE_LIMIT_FACTOR))
        .saturating_add(bodies.div_ceil(1 << 20));
    ResourceRequirements {
        requests: Some(BTreeMap::from([
            ("cpu".to_owned(), Quantity(CPU.into())),
            (
                "memory".to_owned(),
                mebibytes(OWN_MEMORY_MI.saturating_add(state)),
            ),
        ])),
        limits: (!needs.unbounded)
            .then(|| BTreeMap::from([("memory".to_owned(), mebibytes(limit))])),
        ..ResourceRequirements::default()
    }
}

fn mebibytes(amount: u64) -> Quantity {
    Quantity(format!("{amount}Mi"))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(given: Option<Value>, needs: &Needs) -> Value {
        let given = given.map(|g| serde_json::from_value(g).unwrap());
        serde_json::to_value(resources(given.as_ref(), needs)).unwrap()
    }

    fn stateful() -> Needs {
        Needs {
            state_memory: 256 << 20,
            unbounded: false,
            disk: Some(Disk {
                asked: Amount::gibibytes(1),
                most: Amount::gibibytes(10),
            }),
            body: 0,
        }
    }

    #[test]
    fn a_pod_asks_for_little_and_its_memory_is_bounded() {
        assert_eq!(
            of(None, &Needs::default()),
            json!({"requests": {"cpu": "10m", "memory": "64Mi"}, "limits": {"memory": "512Mi"}})
        );
        assert_eq!(
            of(None, &stateful()),
            json!({"requests": {"cpu": "10m", "memory": "320Mi", "ephemeral-storage": "1Gi"},
                   "limits": {"memory": "1024Mi", "ephemeral-storage": "11264Mi"}})
        );
        let sessions = Needs {
            unbounded: true,
            ..stateful()
        };
        assert_eq!(
            of(None, &sessions)["limits"],
            json!({"ephemeral-storage": "11264Mi"})
        );
        let large = Needs {
            body: 1 << 30,
            ..Needs::default()
        };
        assert_eq!(of(None, &large)["limits"]["memory"], "4480Mi");
        let small = Needs {
            body: 4 << 20,
            ..Needs::default()
        };
        assert_eq!(of(None, &small)["limits"]["memory"], "512Mi");
    }

    #[test]
    fn what_the_user_says_replaces_all_of_it_but_the_disk_of_a_state() {
        let own = json!({"requests": {"cpu": "2"}});
        assert_eq!(of(Some(own.clone()), &Needs::default()), own);
        assert_eq!(
            of(Some(own), &stateful()),
            json!({"requests": {"cpu": "2", "ephemeral-storage": "1Gi"}, "limits": {"ephemeral-storage": "11264Mi"}})
        );
        let named = json!({"requests": {"ephemeral-storage": "50Gi"}});
        assert_eq!(of(Some(named.clone()), &stateful()), named);
    }

    /// Two cores: the demo's objects, two operators, what a cluster needs itself (a core at most), and five more objects.
    #[test]
    fn the_demo_and_a_user_s_first_five_objects_fit_two_cores() {
        let root = std::path::Path::new("../examples");
        let mut pods = 0;
        for example in ["audit", "shop"] {
            for file in std::fs::read_dir(root.join(example)).unwrap() {
                let path = file.unwrap().path();
                if path.extension().is_some_and(|e| e == "yaml") {
                    let text = std::fs::read_to_string(path).unwrap();
                    let kinds = text.lines().filter(|l| {
                        ["kind: Pipeline", "kind: Source", "kind: DataStore"]
                            .contains(&l.trim_end())
                    });
                    pods += kinds.count();
                }
            }
        }
        assert!(pods > 5, "the examples are found: {pods}");
        let asked = (pods + 5) * 25 + 2 * 50;
        assert!(asked <= 1_000, "{pods} pods of the demo ask for {asked}m");
    }
}
