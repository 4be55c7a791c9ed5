//! What rules came to, remembered: a rule is looked at all the time, and compiled when something has changed.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
    sync::{Mutex, PoisonError},
};

use headworks_plan::Contract;

use super::{Named, StreamRules, of_stream};
use crate::names::Key;

/// What the rules of streams came to when they were last asked for: a rule is looked at all the time, and compiled when it, a
/// neighbour or the contract has changed.
#[derive(Debug, Default)]
pub struct RulePlans(Mutex<HashMap<Key, (u64, StreamRules)>>);

/// So many streams are remembered.
const REMEMBERED: usize = 4_096;

impl RulePlans {
    /// As [`of_stream`], of the rules of the stream with this key.
    pub fn of_stream(&self, key: &Key, rules: &[Named<'_>], contract: &Contract) -> StreamRules {
        let mut hasher = DefaultHasher::new();
        for field in &contract.fields {
            (&field.name, &field.type_, field.nullable, &field.labels).hash(&mut hasher);
        }
        let time = contract.event_time.as_ref();
        (time.map(|time| &time.field), contract.compacted).hash(&mut hasher);
        let mut named: Vec<String> = rules
            .iter()
            .map(|rule| format!("{} {} {:?}", rule.name, rule.generation, rule.spec))
            .collect();
        named.sort();
        named.hash(&mut hasher);
        let hash = hasher.finish();
        let lock = || self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, found)) = lock().get(key)
            && *of == hash
        {
            return found.clone();
        }
        let found = of_stream(rules.iter().copied(), contract);
        let mut all = lock();
        if all.len() >= REMEMBERED {
            all.clear();
        }
        all.insert(key.clone(), (hash, found.clone()));
        found
    }
}

#[cfg(test)]
mod tests {
    use headworks_crds::QualityRuleSpec;
    use headworks_plan::Field;

    use super::*;

    #[test]
    fn what_was_compiled_is_remembered_until_something_changes() {
        let plans = RulePlans::default();
        let contract = Contract {
            fields: vec![
                Field::new("id", "string", true),
                Field::new("n", "int", true),
            ],
            ..Contract::default()
        };
        let key = Key::new("DataStream", "shop", "orders");
        let checks = serde_json::json!([{"notNull": {"field": "id"}}]);
        let mut one = QualityRuleSpec::new("orders", serde_json::from_value(checks).unwrap());
        let ask = |spec: &QualityRuleSpec, contract: &Contract| {
            plans.of_stream(
                &key,
                &[Named {
                    name: "sane",
                    generation: 1,
                    spec,
                }],
                contract,
            )
        };
        assert_eq!(ask(&one, &contract).planned.len(), 1);
        assert_eq!(ask(&one, &contract), ask(&one, &contract));
        one.suspend = true;
        assert!(ask(&one, &contract).planned.is_empty());
        one.suspend = false;
        let mut other = contract.clone();
        other.fields.remove(0);
        assert!(ask(&one, &other).faults.contains_key("sane"));
        assert!(ask(&one, &contract).faults.is_empty());
    }
}
