//! Whether the streams that a Pipeline reads are healthy: the condition `InputsHealthy`. Absent where none of them says so.

use headworks_crds::{
    Condition, Pipeline, PipelineStatus,
    conditions::{HEALTHY, INPUTS_HEALTHY, find},
};
use k8s_openapi::jiff::Timestamp;

use crate::{
    context::Context,
    names::Key,
    reason::ConditionReason,
    retry::Error,
    status::{mark, set},
};

/// Says it, by what the streams' statuses say.
pub fn settle(pipeline: &Pipeline, key: &Key, status: &mut PipelineStatus, context: &Context) {
    let inputs = status.inputs.iter();
    let streams = inputs.filter_map(|name| context.stores.stream(&key.namespace, name));
    let said = streams.filter_map(|stream| {
        let status = stream.status.unwrap_or_default();
        let name = stream.metadata.name.unwrap_or_default();
        find(&status.conditions, HEALTHY)
            .cloned()
            .map(|c| (name, c))
    });
    let said: Vec<(String, Condition)> = said.collect();
    let generation = pipeline.metadata.generation;
    say(&said, &mut status.conditions, generation, Timestamp::now());
}

fn say(
    inputs: &[(String, Condition)],
    conditions: &mut Vec<Condition>,
    generation: Option<i64>,
    now: Timestamp,
) {
    let broken = inputs
        .iter()
        .filter(|(_, healthy)| healthy.status != "True");
    let broken: Vec<String> = broken
        .map(|(name, healthy)| format!("DataStream {name}: {}", healthy.message))
        .collect();
    if !broken.is_empty() {
        let all = inputs
            .iter()
            .filter(|(_, healthy)| healthy.status != "True");
        // Where they differ, the one that is about records.
        let reasons = [
            ConditionReason::WindowFailed,
            ConditionReason::SchemaMismatch,
        ];
        let reason = reasons.into_iter().find(|reason| {
            let mut all = all.clone();
            all.all(|(_, said)| said.reason == reason.as_str())
        });
        let reason = reason.unwrap_or(ConditionReason::TooFewPass);
        let error = Error::stalled(reason, broken.join("; "));
        let broken = Err::<(ConditionReason, _), _>(&error);
        set(conditions, INPUTS_HEALTHY, broken, generation, now);
    } else if inputs.is_empty() {
        mark(
            conditions,
            INPUTS_HEALTHY,
            None::<&(ConditionReason, String)>,
            generation,
        );
    } else {
        let names: Vec<&str> = inputs.iter().map(|(name, _)| name.as_str()).collect();
        let message = format!(
            "as many records of {} pass as is asked for",
            names.join(", ")
        );
        let kept = Ok((ConditionReason::EnoughPass, message.as_str()));
        set(conditions, INPUTS_HEALTHY, kept, generation, now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_that_is_not_healthy_is_named_with_its_rule() {
        let input = |name: &str, status: &str| {
            let healthy = serde_json::json!({"type": "Healthy", "status": status, "reason": "TooFewPass",
                "message": "fewer records pass than QualityRule sane asks for", "lastTransitionTime": "2026-01-01T00:00:00Z"});
            (name.to_owned(), serde_json::from_value(healthy).unwrap())
        };
        let mut conditions = Vec::new();
        let mut ask = |inputs: &[(String, Condition)]| {
            say(inputs, &mut conditions, Some(1), Timestamp::UNIX_EPOCH);
            let found = find(&conditions, INPUTS_HEALTHY)?;
            Some((found.status.clone(), found.message.clone()))
        };
        assert_eq!(ask(&[]), None);
        assert_eq!(ask(&[input("a", "True")]).unwrap().0, "True");
        let (status, message) = ask(&[input("a", "True"), input("b", "False")]).unwrap();
        assert_eq!(
            (status.as_str(), message.as_str()),
            (
                "False",
                "DataStream b: fewer records pass than QualityRule sane asks for"
            )
        );
        assert_eq!(ask(&[]), None);
    }
}
