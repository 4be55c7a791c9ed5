//! Names that `from` selects by and that nobody has, where one is near: what is gone selects all the same, so it is advice. A Replay of
//! a misspelt name selects nothing, and is complete. Pure.

use headworks_crds::ReplaySpec;

use crate::hints::hint;

/// Each with its place in the spec. `rules`: the namespace's QualityRules; `writers`: what writes dead letters in it.
pub fn names(spec: &ReplaySpec, rules: &[&str], writers: &[&str]) -> Vec<(String, String)> {
    let of = |field: &str, kind: &str, named: &[String], known: &[&str]| {
        let mut told = Vec::new();
        for (index, name) in named.iter().enumerate() {
            if known.contains(&name.as_str()) {
                continue;
            }
            let hint = hint(name, known.iter().copied());
            if !hint.is_empty() {
                let message = format!("{name} is no {kind} that is here{hint}");
                told.push((format!("spec.from.{field}[{index}]"), message));
            }
        }
        told
    };
    let mut told = of("rules", "QualityRule", &spec.from.rules, rules);
    let writer = "Pipeline, Source or Replay";
    told.extend(of("by", writer, &spec.from.by, writers));
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_name_that_is_near_one_is_told_and_one_that_is_gone_is_not() {
        let from = json!({"deadLetterOf": "orders", "rules": ["saen", "sane", "retired"], "by": ["big-orders", "big-order"]});
        let spec: ReplaySpec = serde_json::from_value(json!({"from": from})).unwrap();
        let told = names(&spec, &["sane"], &["big-orders", "web"]);
        let told: Vec<String> = told
            .into_iter()
            .map(|(field, message)| format!("{field}: {message}"))
            .collect();
        assert_eq!(
            told,
            [
                "spec.from.rules[0]: saen is no QualityRule that is here; did you mean sane?",
                "spec.from.by[1]: big-order is no Pipeline, Source or Replay that is here; did you mean big-orders?"
            ]
        );
    }
}
