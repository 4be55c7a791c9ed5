//! What the pods of a plan may do in Kafka: what the plan has them do, and nothing else. Pure.

use std::collections::BTreeSet;

use headworks_plan::{
    ComparePlan, Edge, Ends, OnBadRecord, OnInvalid, PipelinePlan, Plan, Role, SourcePlan,
    StagePlan, Stream, names,
};

use crate::kafka::{Acl, Operation, Resource as About};

/// The most pods that a Pipeline has: `spec.replicas` goes to here.
pub const MAX_MEMBERS: i32 = 256;

/// What a plan's pods, of which there are so many, do in Kafka.
pub fn rights(plan: &Plan, pods: i32) -> BTreeSet<Acl> {
    let mut all = Rights::of(pods);
    match &plan.role {
        Role::Pipeline(pipeline) => all.pipeline(pipeline),
        Role::Source(source) => all.source(source),
        Role::Store(_) => {}
        Role::Replay(replay) | Role::ReplayIntoPipeline(replay) => all.pipeline(&replay.query),
        Role::Compare(comparison) => all.compare(comparison),
    }
    all.acls
}

struct Rights {
    acls: BTreeSet<Acl>,
    pods: i32,
}

impl Rights {
    /// However many are said to be, there are rights for as many as there can be.
    fn of(pods: i32) -> Self {
        Self {
            acls: BTreeSet::new(),
            pods: pods.clamp(0, MAX_MEMBERS),
        }
    }

    fn topic(&mut self, topic: &str, operations: &[Operation]) {
        for operation in operations.iter().chain(&[Operation::Describe]) {
            self.acls
                .insert(Acl::literal(About::Topic, topic, *operation));
        }
    }

    fn writes(&mut self, stream: &Stream) {
        self.topic(&stream.topic, &[Operation::Write]);
    }

    /// A consumer group, and the transactional ids of its members, `<group>-<number>`: each by itself, because what begins
    /// with the group of Pipeline `p` and a hyphen may be that of Pipeline `p-2`.
    fn group(&mut self, group: &str) {
        for operation in [Operation::Read, Operation::Describe] {
            self.acls
                .insert(Acl::literal(About::Group, group, operation));
        }
        for number in 0..self.pods.unsigned_abs() {
            let member = names::member(group, number);
            for operation in [Operation::Write, Operation::Describe] {
                self.acls
                    .insert(Acl::literal(About::TransactionalId, &member, operation));
            }
        }
    }

    fn pipeline(&mut self, plan: &PipelinePlan) {
        for stage in &plan.stages {
            self.group(&stage.group);
            for edge in &stage.reads {
                self.reads(plan, edge);
            }
            self.ends(plan, stage);
        }
    }

    fn reads(&mut self, plan: &PipelinePlan, edge: &Edge) {
        match edge {
            Edge::Stream(name) => {
                for input in plan.inputs.iter().filter(|input| input.name == *name) {
                    self.topic(&input.topic, &[Operation::Read]);
                    if plan.on_bad_record == OnBadRecord::DeadLetter || input.quarantines() {
                        self.topic(&input.dead_letter_topic, &[Operation::Write]);
                    }
                }
            }
            Edge::Stage(id) => {
                let before = plan.stage(id);
                if let Some(exchange) = before.and_then(StagePlan::exchange) {
                    // What is done with is deleted (DeleteRecords).
                    let and_trim = [Operation::Read, Operation::Delete];
                    self.topic(&exchange.topic, &and_trim);
                }
                if let Some(results) = before.and_then(StagePlan::results) {
                    self.topic(&results.topic, &[Operation::Read]);
                    self.topic(&results.dead_letter_topic, &[Operation::Write]);
                }
            }
        }
    }

    fn ends(&mut self, plan: &PipelinePlan, stage: &StagePlan) {
        match &stage.ends {
            Ends::Streams { results } => {
                for stream in plan.outputs.iter().chain(results.as_deref()) {
                    self.writes(stream);
                }
            }
            Ends::Exchange(topic) => self.topic(&topic.topic, &[Operation::Write]),
            Ends::Table(_) => {}
        }
        if let Some(state) = &stage.state {
            let both = [Operation::Read, Operation::Write];
            self.topic(&state.changelog.topic, &both);
        }
    }

    /// It reads, in no group.
    fn compare(&mut self, plan: &ComparePlan) {
        let inputs = plan.old.inputs.iter().chain(&plan.new.inputs);
        for stream in inputs.chain(&plan.shadow) {
            self.topic(&stream.topic, &[Operation::Read]);
        }
    }

    fn source(&mut self, plan: &SourcePlan) {
        self.writes(&plan.into);
        if plan.on_invalid == OnInvalid::DeadLetter || plan.into.quarantines() {
            self.topic(&plan.into.dead_letter_topic, &[Operation::Write]);
        }
        // The place of a source that keeps one stands as its group's in the stream's topic, and Kafka takes a place only from who
        // may read the topic.
        if let Some(group) = plan.connection.group() {
            self.topic(&plan.into.topic, &[Operation::Read]);
            for operation in [Operation::Read, Operation::Describe] {
                self.acls
                    .insert(Acl::literal(About::Group, group, operation));
            }
            for operation in [Operation::Write, Operation::Describe] {
                self.acls
                    .insert(Acl::literal(About::TransactionalId, group, operation));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kafka::Pattern;

    fn stream(name: &str) -> serde_json::Value {
        json!({"name": name, "topic": format!("shop.{name}"), "deadLetterTopic": format!("shop.{name}.dlq"),
            "contract": {"fields": [], "format": "Json"}, "maxMessageBytes": 1})
    }

    fn shown(acls: &BTreeSet<Acl>) -> Vec<String> {
        let mut all: Vec<String> = acls
            .iter()
            .map(|a| {
                format!(
                    "{:?} {:?} {} {:?}",
                    a.resource, a.pattern, a.name, a.operation
                )
            })
            .collect();
        all.sort();
        all
    }

    #[test]
    fn a_pipeline_may_do_what_its_stages_do() {
        let plan: PipelinePlan = serde_json::from_value(
            json!({"sql": "", "inputs": [stream("a")], "outputs": [stream("b")],
            "delivery": "ExactlyOnce", "commitIntervalMs": 1, "startFrom": "earliest", "onBadRecord": "DeadLetter",
            "stages": [{"id": "streams", "runs": 0, "group": "headworks.i.shop.p.01234567", "reads": [{"stream": "a"}],
                "ends": {"streams": {}}}]}),
        )
        .unwrap();
        let mut rights = Rights::of(2);
        rights.pipeline(&plan);
        insta::assert_yaml_snapshot!("pipeline_rights", shown(&rights.acls));
        let mut strict = plan.clone();
        strict.on_bad_record = OnBadRecord::Stop;
        let mut rights = Rights::of(2);
        rights.pipeline(&strict);
        assert!(!rights.acls.iter().any(|a| a.name == "shop.a.dlq"));
        // What a rule refuses becomes a dead letter all the same.
        for (action, writes) in [("DeadLetter", true), ("Drop", false)] {
            let rule = json!({"name": "sane", "generation": 1,
                "checks": [{"name": "positive", "expression": "n > 0", "action": action}]});
            strict.inputs[0].rules = vec![serde_json::from_value(rule).unwrap()];
            let mut rights = Rights::of(2);
            rights.pipeline(&strict);
            assert_eq!(
                rights.acls.iter().any(|a| a.name == "shop.a.dlq"),
                writes,
                "{action}"
            );
        }
    }

    #[test]
    fn a_pipeline_with_state_and_a_table_may_do_what_its_stages_do() {
        let text = include_str!("../../../../runtime/plan/tests/v1/keyed.json");
        let old: headworks_plan::v1::Plan = serde_json::from_str(text).unwrap();
        insta::assert_yaml_snapshot!("keyed_rights", shown(&rights(&old.into(), 1)));
    }

    #[test]
    fn no_pipeline_may_fence_another_whose_name_begins_with_its_own() {
        let of = |group: &str| {
            let mut rights = Rights::of(3);
            rights.group(group);
            rights.acls
        };
        let (one, other) = (of("headworks.i.shop.p"), of("headworks.i.shop.p-2"));
        assert!(one.is_disjoint(&other));
        let literal = |acl: &Acl| acl.pattern == Pattern::Literal;
        assert!(one.iter().chain(&other).all(literal));
        let last = Acl::literal(
            About::TransactionalId,
            "headworks.i.shop.p-2",
            Operation::Write,
        );
        assert!(one.contains(&last), "its third pod's");
    }

    #[test]
    fn rights_are_bounded_whatever_the_number_of_pods_is_said_to_be() {
        let of = |pods: i32| {
            let mut rights = Rights::of(pods);
            rights.group("g");
            rights.acls.len()
        };
        assert_eq!(of(i32::MAX), 2 + 2 * 256);
        assert_eq!(of(i32::MIN), 2);
    }

    #[test]
    fn a_source_writes_its_stream_and_reads_nothing() {
        let plan: SourcePlan = serde_json::from_value(
            json!({"into": stream("orders"), "onInvalid": "Reject", "unknownFields": "Ignore", "http":
                {"path": "/", "bearer": false, "tls": false, "maxBodyBytes": 1}}),
        )
        .unwrap();
        let mut rights = Rights::of(2);
        rights.source(&plan);
        assert_eq!(
            shown(&rights.acls),
            [
                "Topic Literal shop.orders Describe",
                "Topic Literal shop.orders Write"
            ]
        );
    }
}
