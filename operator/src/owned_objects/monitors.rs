//! Monitors of QualityRules: Pipelines that judge windows of a stream, and the streams of their verdicts. A rule is their controller.

use headworks_crds::Pipeline;
use kube::{Resource, ResourceExt};

use super::Family;
use crate::{context::Context, planning::rules::monitor};

/// Monitors, and what they write.
pub const FAMILY: Family = Family {
    part: "monitor",
    owner: "QualityRule",
    // Of which stream's records it is.
    content: "headworks.dev/monitor-of",
    role: "a QualityRule's monitor",
    other_content: "is a monitor of another stream; Headworks doesn't change what is read from it: delete the QualityRule that it is for, or name this one otherwise",
};

/// True: the Pipeline is a monitor of a QualityRule that is here.
pub fn is_monitor(pipeline: &Pipeline, context: &Context) -> bool {
    if !FAMILY.claims(pipeline) {
        return false;
    }
    let rules = context.stores.quality_rules.state();
    rules.iter().any(|rule| {
        let meta = rule.meta();
        meta.namespace == pipeline.namespace()
            && meta.uid.as_deref().is_some_and(|uid| owns(pipeline, uid))
    })
}

fn owns(pipeline: &Pipeline, uid: &str) -> bool {
    let mut owners = pipeline.owner_references().iter();
    owners.any(|owner| owner.controller == Some(true) && owner.uid == uid)
}

/// The monitors of the rule that a monitor is of, among which it is itself; none where the Pipeline is no monitor.
pub fn of_one_rule(pipeline: &Pipeline, context: &Context) -> Vec<String> {
    if !is_monitor(pipeline, context) {
        return Vec::new();
    }
    let owners = pipeline.owner_references().iter();
    let rules = owners.filter(|owner| owner.controller == Some(true));
    let namespace = pipeline.namespace().unwrap_or_default();
    rules
        .flat_map(|rule| FAMILY.owned_by::<Pipeline>(context, &namespace, &rule.uid))
        .map(|one| one.name_any())
        .collect()
}

/// What a monitor judges, digested; none where the Pipeline is no monitor.
pub fn judged(pipeline: &Pipeline, context: &Context) -> Option<String> {
    is_monitor(pipeline, context).then(|| monitor::digest_of(&pipeline.spec.sql))
}
