//! Pipelines: the query's text is proved by itself; its names and types by contracts, which may be on their way.

use std::collections::BTreeSet;

use headworks_crds::{DeletionPolicy, Pipeline};
use headworks_plan::Contract;
use kube::ResourceExt;

use super::verdict::{Request, Verdict};
use crate::{
    impact::{self, World},
    pipeline::{check, query},
};

/// Judges a Pipeline.
pub fn judge(request: &Request<Pipeline>, world: impl FnOnce() -> World) -> Verdict {
    let Request { new, old } = request;
    if let Err(fault) = headworks_crds::check(&new.spec) {
        return Verdict::deny(fault);
    }
    let inputs = match query::inputs(&new.spec.sql) {
        Ok(inputs) => inputs,
        Err(fault) => return Verdict::deny(fault),
    };
    let mut verdict = Verdict::pass();
    if new.spec.deletion_policy == DeletionPolicy::Delete
        && old
            .as_ref()
            .is_none_or(|old| old.spec.deletion_policy != DeletionPolicy::Delete)
    {
        verdict.warn(
            "spec.deletionPolicy: Delete: progress and state go with this object; one of the same name begins anew, at startFrom",
        );
    }
    let world = world();
    let namespace = new.namespace().unwrap_or_default();
    let contract = |name: &str| -> Option<Contract> {
        let key = (namespace.clone(), name.to_owned());
        world
            .streams
            .get(&key)
            .map(crate::impact::Stream::effective)
    };
    let (mut found, mut missing) = (Vec::new(), BTreeSet::new());
    for name in inputs {
        match contract(&name) {
            Some(contract) => found.push((name, contract)),
            None => {
                missing.insert(name);
            }
        }
    }
    let mut outputs = Vec::new();
    for (index, target) in new.spec.to.iter().enumerate() {
        if let Some(name) = &target.stream {
            match contract(name) {
                Some(contract) => outputs.push((index, name.clone(), contract)),
                None => {
                    missing.insert(name.clone());
                }
            }
        }
    }
    if !missing.is_empty() {
        let names: Vec<&str> = missing.iter().map(String::as_str).collect();
        verdict.warn(format!(
            "DataStream {} isn't there yet: the Pipeline waits for it",
            names.join(", ")
        ));
    }
    // With an input that isn't known nothing can be said of the columns.
    if found.len() < query::inputs(&new.spec.sql).map_or(0, |all| all.len()) {
        return verdict;
    }
    let inputs: Vec<(&str, &Contract)> = found.iter().map(|(n, c)| (n.as_str(), c)).collect();
    let targets: Vec<(usize, &str, &Contract)> = outputs
        .iter()
        .map(|(index, name, contract)| (*index, name.as_str(), contract))
        .collect();
    match check::check(&new.spec, &inputs, &targets) {
        Err(error) => verdict.warn(format!(
            "not right as things are ({}): {}",
            error.reason(),
            error.message()
        )),
        Ok(_) => exposed(request, &world, &mut verdict),
    }
    verdict
}

/// Labels that this query brings, through as many Pipelines as there are, into streams that others were granted.
fn exposed(Request { new, old }: &Request<Pipeline>, world: &World, verdict: &mut Verdict) {
    let name = (new.namespace().unwrap_or_default(), new.name_any());
    let (mut before, mut after) = (world.clone(), world.clone());
    match old {
        Some(old) => before.pipelines.insert(name.clone(), old.spec.clone()),
        None => before.pipelines.remove(&name),
    };
    after.pipelines.insert(name, new.spec.clone());
    for exposure in impact::impact(&before, &after).exposed {
        verdict.warn(format!(
            "field {} of DataStream {} gets label {} by this query, and AccessGrant {} lets {} read it",
            exposure.field,
            exposure.stream,
            exposure.labels.join(", "),
            exposure.grant,
            exposure.client
        ));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{evolution, impact::Stream};

    fn world() -> World {
        let mut world = World::default();
        for (name, schema) in [
            (
                "a",
                json!([{"name": "id", "type": "string"}, {"name": "mail", "type": "string", "labels": ["pii"]}]),
            ),
            (
                "b",
                json!([{"name": "id", "type": "string"}, {"name": "who", "type": "string"}]),
            ),
        ] {
            let spec = serde_json::from_value(json!({"schema": schema})).unwrap();
            let stream = Stream {
                contract: evolution::wanted(("shop", "a"), &spec, None).unwrap(),
                version: Some(1),
                ..Stream::default()
            };
            world.streams.insert(("shop".into(), name.into()), stream);
        }
        let grant = json!({"to": {"namespace": "bi", "name": "app"}, "read": ["b"]});
        let grant = serde_json::from_value(grant).unwrap();
        world.grants.insert(("shop".into(), "bi-b".into()), grant);
        world
    }

    fn ask(sql: &str, to: &Value) -> Verdict {
        ask_of(sql, to, None, world())
    }

    fn ask_of(sql: &str, to: &Value, old: Option<&str>, world: World) -> Verdict {
        let pipeline = |sql: &str| -> Pipeline {
            serde_json::from_value(
                json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "Pipeline",
                "metadata": {"name": "p", "namespace": "shop"}, "spec": {"sql": sql, "to": to}}),
            )
            .unwrap()
        };
        let request = Request {
            new: pipeline(sql),
            old: old.map(pipeline),
        };
        judge(&request, || world)
    }

    #[test]
    fn a_label_that_comes_two_streams_on_is_told_once() {
        let mut world = world();
        let spec = json!({"schema": [{"name": "id", "type": "string"}, {"name": "person", "type": "string"}]});
        let stream = Stream {
            contract: evolution::wanted(
                ("shop", "c"),
                &serde_json::from_value(spec).unwrap(),
                None,
            )
            .unwrap(),
            version: Some(1),
            ..Stream::default()
        };
        world.streams.insert(("shop".into(), "c".into()), stream);
        let copy = json!({"sql": "SELECT id, who AS person FROM b", "to": [{"stream": "c"}]});
        let copy = serde_json::from_value(copy).unwrap();
        world.pipelines.insert(("shop".into(), "q".into()), copy);
        let grant = world
            .grants
            .remove(&("shop".into(), "bi-b".into()))
            .unwrap();
        let grant = headworks_crds::AccessGrantSpec {
            read: vec!["c".into()],
            ..grant
        };
        world.grants.insert(("shop".into(), "bi-c".into()), grant);
        let (plain, labelled) = (
            "SELECT id, id AS who FROM a",
            "SELECT id, mail AS who FROM a",
        );
        let to = json!([{"stream": "b"}]);
        let told = [
            "field person of DataStream c gets label pii by this query, and AccessGrant bi-c lets bi/app read it",
        ];
        assert_eq!(ask_of(labelled, &to, None, world.clone()).warnings, told);
        assert_eq!(
            ask_of(labelled, &to, Some(plain), world.clone()).warnings,
            told
        );
        // It was there before.
        let more = "SELECT id, LOWER(mail) AS who FROM a";
        assert_eq!(ask_of(more, &to, Some(labelled), world).warnings, [""; 0]);
    }

    #[test]
    fn what_the_text_proves_is_refused_and_what_contracts_say_is_a_warning() {
        let to = json!([{"stream": "b"}]);
        let denied = ask("SELECT id,\n  FROM a", &to).denied.unwrap();
        assert!(denied.contains("spec.sql line 2"), "{denied}");
        let denied = ask("SELECT id AS at FROM a", &to).denied.unwrap();
        assert!(denied.contains("reserved word"), "{denied}");
        let verdict = ask("SELECT idd FROM a", &to);
        assert_eq!(verdict.denied, None);
        assert!(
            verdict.warnings[0].contains("unknown column \"idd\""),
            "{verdict:?}"
        );
        let verdict = ask("SELECT id FROM nobody", &to);
        assert_eq!(verdict.denied, None);
        assert_eq!(
            verdict.warnings,
            ["DataStream nobody isn't there yet: the Pipeline waits for it"]
        );
        let verdict = ask("SELECT id FROM a", &to);
        assert!(
            verdict.warnings[0].contains("(OutputMismatch)"),
            "{verdict:?}"
        );
        assert_eq!(ask("SELECT id, id AS who FROM a", &to), Verdict::pass());
    }

    #[test]
    fn a_label_that_comes_to_a_granted_stream_is_told() {
        let verdict = ask(
            "SELECT id, UPPER(mail) AS who FROM a",
            &json!([{"stream": "b"}]),
        );
        assert_eq!(
            verdict.warnings,
            [
                "field who of DataStream b gets label pii by this query, and AccessGrant bi-b lets bi/app read it"
            ]
        );
    }
}
