//! What a canary asks for, against what its query gives. Pure.

use headworks_crds::{Canary, OutputComparison, PipelineSpec, QualityRuleSpec, SpecFault};
use headworks_plan::Rule;
use headworks_sql::{schema::Schema, suggest::nearest, types::DataType};

/// Who gives the columns that a new version's are compared with.
const OF_OLD: &str = "the version in force";

/// What is wrong with what is to be compared, by the columns that the query gives; and rules where there is no stream for them.
pub fn faults(spec: &PipelineSpec, output: &Schema) -> Vec<SpecFault> {
    let Some(canary) = spec.canary() else {
        return Vec::new();
    };
    let mut faults = Vec::new();
    if !canary.rules.is_empty() && judged_stream(spec).is_none() {
        faults.push(SpecFault::at(
            "rollout.canary.rules",
            "a rule is of a stream, and spec.to names none: leave rules out, and compare instead",
        ));
    }
    if let Some(compare) = &canary.compare {
        faults.extend(columns(compare, output, "the query"));
    }
    faults
}

/// What can't be compared with the version in force, by the columns that this one gives.
pub fn faults_of_old(canary: &Canary, output: &Schema) -> Vec<SpecFault> {
    let compare = canary.compare.as_ref();
    compare.map_or_else(Vec::new, |compare| columns(compare, output, OF_OLD))
}

/// What `compare` asks of results that have no such column. `whose`: who gives them.
fn columns(compare: &OutputComparison, output: &Schema, whose: &str) -> Vec<SpecFault> {
    let unknown = |name: &str| {
        let hint = nearest(name, output.names());
        let hint = hint.map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
        format!("{whose} has no column \"{name}\"{hint}")
    };
    let mut faults = Vec::new();
    for (index, name) in compare.keys.iter().enumerate() {
        if output.column(name).is_none() {
            let place = format!("rollout.canary.compare.keys[{index}]");
            faults.push(SpecFault::at(&place, unknown(name)));
        }
    }
    for (index, name) in compare.sums.iter().enumerate() {
        let place = format!("rollout.canary.compare.sums[{index}]");
        match output.column(name) {
            None => faults.push(SpecFault::at(&place, unknown(name))),
            Some(column) if !is_number(&column.data_type) => faults.push(SpecFault::at(
                &place,
                format!(
                    "column \"{name}\" is {}{}, and only numbers add up: leave it out, or compare it among keys",
                    column.data_type,
                    if whose == OF_OLD { " in the version in force" } else { "" }
                ),
            )),
            Some(_) => {}
        }
    }
    faults
}

fn is_number(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Int
            | DataType::BigInt
            | DataType::Float
            | DataType::Double
            | DataType::Decimal { .. }
    )
}

/// The stream whose rules judge a canary's results: the first that the Pipeline writes.
pub fn judged_stream(spec: &PipelineSpec) -> Option<&str> {
    spec.to.iter().find_map(|target| target.stream.as_deref())
}

/// What is wrong with the rules that are to judge. `found`: a rule of that name; `planned`: those of the stream that pods judge by.
pub fn rule_faults<'a>(
    canary: &Canary,
    stream: &str,
    found: impl Fn(&str) -> Option<&'a QualityRuleSpec>,
    planned: &[Rule],
) -> Vec<SpecFault> {
    let mut faults = Vec::new();
    for (index, name) in canary.rules.iter().enumerate() {
        let fault = match found(name) {
            None => format!("QualityRule {name} doesn't exist: make it, or correct the name"),
            Some(rule) if rule.stream != stream => format!(
                "QualityRule {name} is of DataStream {}, and the results go to {stream}: name a rule of that",
                rule.stream
            ),
            Some(_) if planned.iter().any(|rule| rule.name == *name) => continue,
            Some(_) => format!(
                "QualityRule {name} judges no records now, because it is suspended, or has no checks of single records, or its conditions say what is wrong with it"
            ),
        };
        let place = format!("rollout.canary.rules[{index}]");
        faults.push(SpecFault::at(&place, fault));
    }
    faults
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::planning::testing::contract;

    fn spec(canary: &Value, to: &Value) -> PipelineSpec {
        serde_json::from_value(json!({"sql": "SELECT 1", "to": to, "rollout": {"canary": canary}}))
            .unwrap()
    }

    fn told(faults: &[SpecFault]) -> Vec<String> {
        faults.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn what_is_compared_is_a_column_and_what_is_added_up_a_number() {
        let columns = contract(&[
            ("id", "string", false),
            ("amount", "decimal(12,2)", true),
            ("n", "bigint", true),
        ]);
        let output = Schema::from_contract(&columns).unwrap();
        let stream = json!([{"stream": "s"}]);
        let right =
            json!({"compare": {"keys": ["id"], "sums": ["amount", "n"]}, "rules": ["sane"]});
        assert_eq!(faults(&spec(&right, &stream), &output), []);
        let wrong = json!({"compare": {"keys": ["idd"], "sums": ["id", "none"]}});
        assert_eq!(
            told(&faults(&spec(&wrong, &stream), &output)),
            [
                "spec.rollout.canary.compare.keys[0]: the query has no column \"idd\"; did you mean \"id\"?",
                "spec.rollout.canary.compare.sums[0]: column \"id\" is string, and only numbers add up: leave it out, or compare it among keys",
                "spec.rollout.canary.compare.sums[1]: the query has no column \"none\"",
            ]
        );
        let canary = spec(&json!({"compare": {"keys": ["id", "idd"]}}), &stream);
        let of_old = faults_of_old(canary.canary().unwrap(), &output);
        assert_eq!(
            told(&of_old),
            [
                "spec.rollout.canary.compare.keys[1]: the version in force has no column \"idd\"; did you mean \"id\"?"
            ]
        );
        assert_eq!(faults_of_old(&Canary::default(), &output), []);
        let table = json!([{"table": {"store": "pg", "name": "t"}}]);
        let of_table = faults(&spec(&json!({"rules": ["sane"]}), &table), &output);
        assert!(told(&of_table)[0].starts_with("spec.rollout.canary.rules: a rule is of a stream"));
        let none = PipelineSpec::new("SELECT 1".into(), Vec::new());
        assert_eq!(faults(&none, &output), []);
    }

    #[test]
    fn rules_are_there_of_the_stream_and_judge() {
        let canary: Canary =
            serde_json::from_value(json!({"rules": ["sane", "other", "gone", "idle"]})).unwrap();
        let of = |stream| QualityRuleSpec::new(stream, Vec::new());
        let (sane, other) = (of("s"), of("t"));
        let found = |name: &str| match name {
            "sane" | "idle" => Some(&sane),
            "other" => Some(&other),
            _ => None,
        };
        let rule = json!({"name": "sane", "generation": 1, "checks": []});
        let planned: Vec<Rule> = vec![serde_json::from_value(rule).unwrap()];
        let told = told(&rule_faults(&canary, "s", found, &planned));
        assert_eq!(told.len(), 3);
        assert!(
            told[0]
                .starts_with("spec.rollout.canary.rules[1]: QualityRule other is of DataStream t"),
            "{}",
            told[0]
        );
        assert!(
            told[1].starts_with("spec.rollout.canary.rules[2]: QualityRule gone doesn't exist"),
            "{}",
            told[1]
        );
        assert!(
            told[2].starts_with("spec.rollout.canary.rules[3]: QualityRule idle judges no records"),
            "{}",
            told[2]
        );
    }
}
