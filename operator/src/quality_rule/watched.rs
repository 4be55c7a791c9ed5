//! What a change of a QualityRule wakes: who judges the stream's records, whose plans have the rules; and the stream, which says
//! whether it is healthy.

use headworks_crds::{
    QualityRule,
    conditions::{HEALTHY, find},
};

use crate::{
    data_stream::resolve::rules_of,
    indexes::WatchedFields,
    names::Key,
    planning::uses::{StreamUse, UsesStreams},
    scope::Watch,
    stores::Guarded,
    watches::{Wake, Watched, Watching},
};

impl Watched for QualityRule {
    fn watches(at: &Watching<'_>) -> Vec<Watch<Guarded<Self>>> {
        at.everywhere()
    }

    fn changed(&self, here: bool, wake: &Wake) {
        let key = Key::of(self);
        let meta = &self.metadata;
        let planned = WatchedFields {
            uid: meta.uid.clone().unwrap_or_default(),
            generation: meta.generation.unwrap_or_default(),
            deleting: meta.deletion_timestamp.is_some(),
            ..WatchedFields::default()
        };
        if wake.indexes.observe(&key, &planned) || !here {
            let rules = rules_of(&key.namespace, &self.spec.stream);
            wake.indexes.enqueue_dependents(&rules);
        }
        let conditions = self.status.iter().flat_map(|status| &status.conditions);
        let conditions: Vec<_> = conditions.cloned().collect();
        let healthy = find(&conditions, HEALTHY).map(|c| c.status.clone());
        let health = Key::new("RuleHealth", &key.namespace, &key.name);
        let said = WatchedFields {
            uid: planned.uid.clone(),
            detail: format!("{healthy:?}"),
            ..WatchedFields::default()
        };
        if wake.indexes.observe(&health, &said) || !here {
            let stream = Key::new("DataStream", &key.namespace, &self.spec.stream);
            wake.enqueue([stream]);
        }
        if !here {
            wake.indexes.removed(&health);
        }
    }
}

impl UsesStreams for QualityRule {
    fn streams(&self) -> StreamUse {
        StreamUse::Rule(Box::new(self.spec.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::{Value, json};

    use super::*;
    use crate::{
        data_stream::resolve::stream_references, indexes::Indexes, planning::flows::Flows,
        planning::store_writers::StoreWriters,
    };

    fn rule(generation: i64, status: &Value) -> QualityRule {
        serde_json::from_value(json!({
            "metadata": {"name": "sane", "namespace": "shop", "uid": "u", "generation": generation},
            "spec": {"stream": "orders", "checks": [{"notNull": {"field": "id"}}]}, "status": status}))
        .unwrap()
    }

    #[test]
    fn a_rule_wakes_who_judges_by_its_spec_and_its_stream_by_its_health() {
        let indexes = Arc::new(Indexes::default());
        let wake = Wake {
            indexes: indexes.clone(),
            flows: Arc::new(Flows::default()),
            writers: StoreWriters::default(),
        };
        let (mut pipelines, mut streams) = (indexes.queue("Pipeline"), indexes.queue("DataStream"));
        let of = |stream: &str| stream_references("shop", stream);
        indexes.set_references(&Key::new("Pipeline", "shop", "p"), of("orders"));
        indexes.set_references(&Key::new("Pipeline", "shop", "q"), of("others"));
        let mut woken = |rule: &QualityRule, here: bool| {
            rule.changed(here, &wake);
            let names =
                |queue: &mut futures::channel::mpsc::UnboundedReceiver<Key>| -> Vec<String> {
                    std::iter::from_fn(|| queue.try_recv().ok())
                        .map(|key| key.name)
                        .collect()
                };
            (
                names(&mut pipelines).join(" "),
                names(&mut streams).join(" "),
            )
        };
        let both = ("p".to_owned(), "orders".to_owned());
        let nobody = (String::new(), String::new());
        assert_eq!(woken(&rule(1, &Value::Null), true), both);
        assert_eq!(woken(&rule(1, &json!({"checked": 5})), true), nobody);
        assert_eq!(woken(&rule(2, &Value::Null), true).0, "p");
        let healthy = json!({"conditions": [{"type": "Healthy", "status": "False", "reason": "TooFewPass",
            "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}]});
        let (judges, stream) = woken(&rule(2, &healthy), true);
        assert_eq!((judges.as_str(), stream.as_str()), ("", "orders"));
        assert_eq!(woken(&rule(2, &healthy), true), nobody);
        assert_eq!(woken(&rule(2, &healthy), false), both);
    }
}
