//! What a rule refers to: its stream, and the objects whose pods judge by it, with what these pods say.

use std::collections::{BTreeMap, BTreeSet};

use headworks_crds::{QualityRule, QualityRuleSpec};
use headworks_plan::RuleFigures;

use crate::{
    context::Context,
    data_stream::resolve::{resolve_stream, stream_references, stream_rules},
    names::Key,
    owned_objects::monitors,
    planning::rules::{StreamRules, monitor::Monitors},
    retry::Error,
    rule_counts::{Heard, Tally},
};

use super::status::refuses;

/// An object whose pods judge the stream's records, and what each of them says.
#[derive(Clone, Debug)]
pub struct Judge {
    /// The object.
    pub key: Key,
    /// By the pod's UID; pods that haven't answered yet aren't there.
    pub pods: BTreeMap<String, Vec<RuleFigures>>,
    /// True: one of its pods hasn't answered yet.
    pub silent: bool,
}

/// A check's last failure.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LastFailure {
    /// When, in milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// Where, if it was read from Kafka.
    pub place: Option<String>,
}

/// Declares all that is read, before it is.
pub fn declare(rule: &QualityRule, key: &Key, context: &Context) {
    let references = stream_references(&key.namespace, &rule.spec.stream);
    context.indexes.set_references(key, references);
}

/// A rule's stream: what its rules come to, and where it is.
#[derive(Clone, Debug)]
pub struct Found {
    /// What its rules come to.
    pub rules: StreamRules,
    /// Its Platform.
    pub platform: String,
}

impl Found {
    /// The monitors of a rule that has checks of many records and is right.
    pub fn monitors(&self, rule: &Key) -> Option<&Monitors> {
        self.rules.monitors.get(&rule.name)
    }
}

/// Who judges, and what was said of it. Monitors judge no records.
pub fn judges(rule: &QualityRule, key: &Key, context: &Context) -> Vec<Judge> {
    let mut keys = context.flows.judges(&key.namespace, &rule.spec.stream);
    keys.retain(|key| {
        let pipeline = context.stores.pipeline(&key.namespace, &key.name);
        key.kind != "Pipeline" || !pipeline.is_some_and(|one| monitors::is_monitor(&one, context))
    });
    let judge = |of: Key| Judge {
        pods: context.reports.rules(&of),
        silent: context.reports.is_silent(&of),
        key: of,
    };
    keys.into_iter().map(judge).collect()
}

/// What the rules of the stream come to.
///
/// # Errors
/// The stream isn't there, or has no contract yet.
pub async fn stream(rule: &QualityRule, key: &Key, context: &Context) -> Result<Found, Error> {
    let stream = &rule.spec.stream;
    let found = resolve_stream(context, "spec.stream", &key.namespace, stream).await?;
    let contract = &found.stream.contract;
    Ok(Found {
        rules: stream_rules(context, &key.namespace, stream, contract),
        platform: found.platform,
    })
}

/// What each pod has counted by a rule of the stream.
pub fn counted(
    judges: &[Judge],
    spec: &QualityRuleSpec,
    rule: &str,
    checks: &BTreeSet<String>,
) -> Heard {
    let tally = |said: &[RuleFigures]| {
        Tally::of(said, &spec.stream, rule, checks, |name| refuses(spec, name))
    };
    let of = |judge: &Judge| {
        let pods = judge.pods.iter();
        let pods = pods.map(|(pod, said)| (pod.clone(), tally(said)));
        (judge.title(), (!judge.silent).then(|| pods.collect()))
    };
    judges.iter().map(of).collect()
}

/// When and where each check last failed, as far as pods that are there tell.
pub fn last_failures(
    judges: &[Judge],
    stream: &str,
    rule: &str,
    checks: &BTreeSet<String>,
) -> BTreeMap<String, LastFailure> {
    let said = judges
        .iter()
        .flat_map(|judge| judge.pods.values().flatten());
    let said = said.filter(|figures| figures.stream == stream && figures.name == rule);
    let mut last: BTreeMap<String, LastFailure> = BTreeMap::new();
    for check in said.flat_map(|figures| &figures.checks) {
        let Some(at_ms) = check.last_failure_ms else {
            continue;
        };
        if !checks.contains(&check.name) {
            continue;
        }
        let known = last.entry(check.name.clone()).or_default();
        if at_ms >= known.at_ms {
            known.at_ms = at_ms;
            known.place.clone_from(&check.last_failure_place);
        }
    }
    last
}

impl Judge {
    /// As a status says it: `Source/in`.
    pub fn title(&self) -> String {
        format!("{}/{}", self.key.kind, self.key.name)
    }

    /// True: each pod that answers judges by that version. One without pods that answer has nothing to take up.
    pub fn is_of(&self, stream: &str, rule: &str, generation: i64) -> bool {
        self.pods.values().all(|said| {
            let mut of_rule = said
                .iter()
                .filter(|figures| figures.stream == stream && figures.name == rule);
            of_rule.any(|figures| figures.generation == generation)
        })
    }

    /// True: no pod that answers judges by that rule any more.
    pub fn is_free_of(&self, stream: &str, rule: &str) -> bool {
        let mut said = self.pods.values().flatten();
        !said.any(|figures| figures.stream == stream && figures.name == rule)
    }
}
