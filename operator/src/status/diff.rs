//! The smallest JSON merge patch (RFC 7386) from one status to another.

use serde_json::{Map, Value};

/// What must be sent so that `old` becomes `new`; absent: nothing.
///
/// Keys that `new` no longer has become null. Arrays are replaced whole, as a merge patch must.
pub fn merge_patch(old: &Value, new: &Value) -> Option<Value> {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            let mut patch = Map::new();
            for (key, value) in new {
                match old.get(key) {
                    Some(there) => {
                        if let Some(part) = merge_patch(there, value) {
                            patch.insert(key.clone(), part);
                        }
                    }
                    None if value.is_null() => {}
                    None => {
                        patch.insert(key.clone(), value.clone());
                    }
                }
            }
            for key in old.keys().filter(|key| !new.contains_key(*key)) {
                patch.insert(key.clone(), Value::Null);
            }
            (!patch.is_empty()).then_some(Value::Object(patch))
        }
        (old, new) if old == new => None,
        (_, new) => Some(new.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn equal_statuses_need_no_patch() {
        let status = json!({"a": 1, "b": {"c": [1, 2]}});
        assert_eq!(merge_patch(&status, &status.clone()), None);
        assert_eq!(merge_patch(&json!({}), &json!({"a": null})), None);
    }

    #[test]
    fn only_what_changed_is_sent_and_what_is_gone_becomes_null() {
        let old =
            json!({"rate": "1", "address": "x", "contract": {"version": 1, "fingerprint": "f"}});
        let new = json!({"rate": "2", "contract": {"version": 2, "fingerprint": "f"}});
        assert_eq!(
            merge_patch(&old, &new),
            Some(json!({"rate": "2", "address": null, "contract": {"version": 2}}))
        );
    }
}
