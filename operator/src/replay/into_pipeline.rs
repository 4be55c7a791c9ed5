//! A Replay into one Pipeline alone: its pod runs the first stage of the Pipeline's own plan over what is replayed. Pure.
//!
//! Without state that stage writes the Pipeline's streams. With state it ends in the exchange, and the Pipeline's pods take the rows from
//! there like their own, so that a row whose windows are over is late, and no event time moves by it.

use headworks_crds::{PipelineSpec, ReplaySpec};
use headworks_plan::{
    self as plan, Edge, Ends, OnBadRecord, PipelinePlan, Rule, RuleAction, StagePlan,
};

use crate::{planning::query, reason::ConditionReason, retry::Error};

/// What keeps a Pipeline's spec from it, as far as the spec by itself says it.
pub fn spec_fault(spec: &ReplaySpec, pipeline: &PipelineSpec) -> Option<String> {
    let source = spec.source();
    let inputs = query::inputs(&pipeline.sql).ok()?;
    (!inputs.iter().any(|input| input == source)).then(|| unread(spec))
}

/// The same, where it is known whether the Pipeline's query keeps state: so what [`stage`] refuses is told before anything is applied.
pub fn query_fault(spec: &ReplaySpec, pipeline: &PipelineSpec, stateful: bool) -> Option<String> {
    let tables = pipeline.to.iter().any(|target| target.table.is_some());
    if !stateful && tables {
        return Some(straight(spec));
    }
    let stops = pipeline.on_bad_record == headworks_crds::OnBadRecord::Stop;
    (stateful && stops).then(|| would_stop(spec))
}

fn straight(spec: &ReplaySpec) -> String {
    format!(
        "spec.into.pipeline: Pipeline {} writes a table straight from its input: how far it has come stands in the store, where a Replay has no place; replay into DataStream {} instead (leave into out)",
        spec.into_pipeline().unwrap_or_default(),
        spec.source()
    )
}

fn would_stop(spec: &ReplaySpec) -> String {
    format!(
        "spec.into.pipeline: Pipeline {} has onBadRecord: Stop, and would stop at a replayed row whose windows are over; set it to DeadLetter or Drop first",
        spec.into_pipeline().unwrap_or_default()
    )
}

fn unread(spec: &ReplaySpec) -> String {
    format!(
        "spec.into.pipeline: Pipeline {} doesn't read DataStream {}, which {} names; name a Pipeline that does, or replay into a stream",
        spec.into_pipeline().unwrap_or_default(),
        spec.source(),
        spec.source_field()
    )
}

/// The stage of the Pipeline's plan that a Replay stands in for.
///
/// # Errors
/// `NotSupported`, with the remedy.
pub fn stage<'a>(spec: &ReplaySpec, pipeline: &'a PipelinePlan) -> Result<&'a StagePlan, Error> {
    let refused = |message: String| Err(Error::stalled(ConditionReason::NotSupported, message));
    let name = spec.into_pipeline().unwrap_or_default();
    let source = spec.source();
    let reads = |stage: &&StagePlan| {
        let mut edges = stage.reads.iter();
        edges.any(|edge| matches!(edge, Edge::Stream(stream) if stream == source))
    };
    let stages: Vec<&StagePlan> = pipeline.stages.iter().filter(reads).collect();
    if stages.is_empty() {
        return refused(unread(spec));
    }
    if stages
        .iter()
        .any(|stage| matches!(stage.ends, Ends::Table(_)))
    {
        return refused(straight(spec));
    }
    let [stage] = stages[..] else {
        return refused(format!(
            "spec.into.pipeline: Pipeline {name} reads DataStream {source} more than once; replay into the stream instead (leave into out)"
        ));
    };
    if stage.exchange().is_some() && pipeline.on_bad_record == OnBadRecord::Stop {
        return refused(would_stop(spec));
    }
    Ok(stage)
}

/// The Pipeline's query over what is replayed: its first stage under the Replay's own group. `input` is the stream that is replayed, as
/// the Replay reads it.
pub fn query(
    pipeline: &PipelinePlan,
    stage: &StagePlan,
    input: &plan::Stream,
    of_replay: PipelinePlan,
    group: &str,
) -> PipelinePlan {
    let inputs = pipeline.inputs.iter().map(|stream| {
        let mut stream = stream.clone();
        stream.rules.clear();
        if stream.name == input.name {
            stream.topic.clone_from(&input.topic);
            stream
                .dead_letter_topic
                .clone_from(&input.dead_letter_topic);
            stream.rules.clone_from(&input.rules);
        }
        stream
    });
    PipelinePlan {
        sql: pipeline.sql.clone(),
        inputs: inputs.collect(),
        outputs: pipeline.outputs.clone(),
        on_overflow: pipeline.on_overflow,
        stages: vec![StagePlan {
            group: group.to_owned(),
            reads: vec![Edge::Stream(input.name.clone())],
            max_drift_ms: None,
            ..stage.clone()
        }],
        ..of_replay
    }
}

/// Rules as a Replay applies them: what one would stop at stays what it is, a dead letter, and the rest goes on.
pub fn applied(rules: &[Rule]) -> Vec<Rule> {
    let mut rules = rules.to_vec();
    for check in rules.iter_mut().flat_map(|rule| &mut rule.checks) {
        if check.action == RuleAction::Stop {
            check.action = RuleAction::DeadLetter;
        }
    }
    rules
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec() -> ReplaySpec {
        serde_json::from_value(json!({"from": {"deadLetterOf": "a"}, "into": {"pipeline": "p"}}))
            .unwrap()
    }

    fn pipeline(on_bad_record: &str, stages: &Value) -> PipelinePlan {
        let stream = |name: &str| {
            json!({"name": name, "topic": format!("shop.{name}"), "deadLetterTopic": format!("shop.{name}.dlq"),
                "contract": {"fields": [], "format": "Json"}, "maxMessageBytes": 1})
        };
        serde_json::from_value(json!({"sql": "SELECT", "inputs": [stream("a"), stream("b")], "outputs": [stream("c")],
            "delivery": "AtLeastOnce", "commitIntervalMs": 1, "startFrom": "latest", "onBadRecord": on_bad_record,
            "stages": stages}))
        .unwrap()
    }

    fn streams(name: &str) -> Value {
        json!({"id": "streams", "runs": 0, "group": "g", "reads": [{"stream": name}], "ends": {"streams": {}}})
    }

    fn exchange() -> Value {
        json!({"id": "exchange", "runs": 0, "group": "g", "reads": [{"stream": "a"}, {"stream": "b"}], "maxDriftMs": 5,
            "ends": {"exchange": {"topic": "re", "partitions": 2, "maxMessageBytes": 1}}})
    }

    fn table() -> Value {
        json!({"id": "table-0", "runs": 0, "group": "g.table", "reads": [{"stream": "a"}], "ends": {"table": {
            "store": {"name": "w", "connection": {"postgres": {"host": "db", "port": 5432, "database": "d", "usernameFile": "u", "passwordFile": "p"}}},
            "table": "t", "group": "g.table"}}})
    }

    fn refusal(on_bad_record: &str, stages: &Value) -> String {
        let pipeline = pipeline(on_bad_record, stages);
        let refused = stage(&spec(), &pipeline).unwrap_err();
        assert!(refused.is(ConditionReason::NotSupported));
        refused.message().to_owned()
    }

    #[test]
    fn what_cannot_be_right_is_refused_with_what_to_do() {
        assert!(refusal("Drop", &json!([streams("b")])).contains("doesn't read DataStream a"));
        let tables = refusal("Drop", &json!([streams("a"), table()]));
        assert!(tables.contains("writes a table straight"), "{tables}");
        let twice = refusal("Drop", &json!([streams("a"), exchange()]));
        assert!(twice.contains("more than once"), "{twice}");
        assert!(refusal("Stop", &json!([exchange()])).contains("onBadRecord: Stop"));
        // Without state it is the Replay that meets the record, and it says what becomes of it.
        let strict = pipeline("Stop", &json!([streams("a")]));
        assert!(stage(&spec(), &strict).is_ok());
    }

    #[test]
    fn the_first_stage_is_the_pipelines_under_a_group_of_its_own() {
        let pipeline = pipeline("Drop", &json!([exchange()]));
        let found = stage(&spec(), &pipeline).unwrap();
        let mut input = pipeline.inputs[0].clone();
        input.topic = "shop.a.dlq".into();
        let of_replay = PipelinePlan {
            on_bad_record: OnBadRecord::DeadLetter,
            delivery: plan::Delivery::ExactlyOnce,
            start_from: plan::StartFrom::Earliest,
            ..pipeline.clone()
        };
        let query = query(&pipeline, found, &input, of_replay, "again");
        assert_eq!(
            (query.inputs.len(), &*query.inputs[0].topic),
            (2, "shop.a.dlq")
        );
        assert_eq!(query.delivery, plan::Delivery::ExactlyOnce);
        let [stage] = &query.stages[..] else {
            panic!("one stage")
        };
        assert_eq!(
            (&*stage.group, stage.reads.len(), stage.max_drift_ms),
            ("again", 1, None)
        );
        assert_eq!(stage.exchange().unwrap().topic, "re");
    }

    #[test]
    fn a_rule_that_stops_leaves_a_dead_letter_what_it_is() {
        let rule = json!({"name": "sane", "generation": 1, "checks": [
            {"name": "a", "expression": "n > 0", "action": "Stop"}, {"name": "b", "expression": "n > 1", "action": "Drop"}]});
        let rules: Vec<Rule> = vec![serde_json::from_value(rule).unwrap()];
        let actions: Vec<RuleAction> = applied(&rules)[0].checks.iter().map(|c| c.action).collect();
        assert_eq!(actions, [RuleAction::DeadLetter, RuleAction::Drop]);
    }

    #[test]
    fn a_pipeline_that_reads_something_else_is_told_by_its_spec() {
        let of = |sql: &str| -> Option<String> {
            let pipeline = json!({"platform": "default", "sql": sql, "to": [{"stream": "c"}]});
            spec_fault(&spec(), &serde_json::from_value(pipeline).unwrap())
        };
        assert_eq!(of("SELECT id FROM a"), None);
        assert!(
            of("SELECT id FROM b")
                .unwrap()
                .starts_with("spec.into.pipeline: ")
        );
    }
}
