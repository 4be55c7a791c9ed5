//! Sources, DataStores, Platforms and AccessGrants: the spec by itself; what it names may be on its way.

use headworks_crds::{AccessGrant, DataStore, Platform, Source};
use kube::ResourceExt;

use super::verdict::{Request, Verdict};
use crate::{data_store::address, impact::World, source::check};

/// Judges a Source.
pub fn source(request: &Request<Source>, world: impl FnOnce() -> World) -> Verdict {
    let new = &request.new;
    if let Err(fault) = headworks_crds::check(&new.spec) {
        return Verdict::deny(fault);
    }
    if let Err(error) = check::check(&new.spec) {
        return Verdict::deny(error.message());
    }
    let mut verdict = Verdict::pass();
    let key = (new.namespace().unwrap_or_default(), new.spec.into.clone());
    if !world().streams.contains_key(&key) {
        verdict.warn(format!(
            "spec.into: DataStream {} isn't there yet: the Source waits for it",
            new.spec.into
        ));
    }
    verdict
}

/// Judges a DataStore.
pub fn data_store(request: &Request<DataStore>) -> Verdict {
    let new = &request.new;
    if let Err(fault) = headworks_crds::check(&new.spec) {
        return Verdict::deny(fault);
    }
    match address::check(&new.spec) {
        Ok(_) => Verdict::pass(),
        Err(error) => Verdict::deny(error.message()),
    }
}

/// Judges a Platform.
pub fn platform(request: &Request<Platform>) -> Verdict {
    match headworks_crds::check(&request.new.spec) {
        Ok(()) => Verdict::pass(),
        Err(fault) => Verdict::deny(fault),
    }
}

/// Judges an AccessGrant. `now` is in seconds since 1970.
pub fn grant(request: &Request<AccessGrant>, now: i64, world: impl FnOnce() -> World) -> Verdict {
    let new = &request.new;
    if let Err(fault) = headworks_crds::check(&new.spec) {
        return Verdict::deny(fault);
    }
    let mut verdict = Verdict::pass();
    if let Some(text) = &new.spec.expires {
        match text.parse::<jiff::Timestamp>() {
            Err(_) => {
                return Verdict::deny(format!(
                    "spec.expires: {text} is no instant: write it as 2027-01-01T00:00:00Z"
                ));
            }
            Ok(at) if at.as_second() <= now => {
                verdict.warn(format!(
                    "spec.expires: {text} is over: the client gets no rights"
                ));
            }
            Ok(_) => {}
        }
    }
    let world = world();
    let namespace = new.namespace().unwrap_or_default();
    for name in new.spec.read.iter().chain(&new.spec.write) {
        let Some(stream) = world.streams.get(&(namespace.clone(), name.clone())) else {
            verdict.warn(format!(
                "DataStream {name} isn't there yet: the AccessGrant waits for it"
            ));
            continue;
        };
        if !new.spec.read.contains(name) {
            continue;
        }
        let shown: Vec<String> = stream
            .effective()
            .fields
            .into_iter()
            .filter(|f| !f.labels.is_empty())
            .filter(|f| !f.labels.iter().any(|l| new.spec.except_labels.contains(l)))
            .map(|f| format!("{} ({})", f.name, f.labels.join(", ")))
            .collect();
        if !shown.is_empty() {
            verdict.warn(format!(
                "the client will read fields of DataStream {name} that carry labels: {}; leave them out with exceptLabels",
                shown.join(", ")
            ));
        }
    }
    verdict
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{evolution, impact::Stream};

    fn world() -> World {
        let spec = json!({"schema": [{"name": "id", "type": "string"}, {"name": "mail", "type": "string", "labels": ["pii"]}]});
        let spec = serde_json::from_value(spec).unwrap();
        let stream = Stream {
            contract: evolution::wanted(("shop", "a"), &spec, None).unwrap(),
            ..Stream::default()
        };
        World {
            streams: [(("shop".into(), "a".into()), stream)].into(),
            ..World::default()
        }
    }

    #[test]
    fn a_grant_of_labelled_fields_is_told() {
        let ask = |more: serde_json::Value| {
            let mut spec = json!({"to": {"namespace": "bi", "name": "app"}, "read": ["a"]});
            spec.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            let new = json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "AccessGrant",
                "metadata": {"name": "g", "namespace": "shop"}, "spec": spec});
            let new = serde_json::from_value(new).unwrap();
            grant(&Request { new, old: None }, 1_800_000_000, world)
        };
        assert!(ask(json!({})).warnings[0].contains("mail (pii)"));
        assert_eq!(ask(json!({"exceptLabels": ["pii"]})), Verdict::pass());
        assert!(
            ask(json!({"expires": "2026-02-30T00:00:00Z"}))
                .denied
                .is_some()
        );
        let over =
            json!({"expires": "2020-01-01T00:00:00Z", "exceptLabels": ["pii"], "write": ["b"]});
        assert_eq!(ask(over).warnings.len(), 2);
    }

    #[test]
    fn a_source_waits_for_its_stream() {
        let new = json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "Source",
            "metadata": {"name": "s", "namespace": "shop"}, "spec": {"into": "nobody", "http": {}}});
        let new: Source = serde_json::from_value(new).unwrap();
        let verdict = source(&Request { new, old: None }, world);
        assert_eq!((verdict.denied, verdict.warnings.len()), (None, 1));
    }
}
