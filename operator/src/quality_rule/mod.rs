//! QualityRule: checks of a stream's records. It has no pods: those of the Sources and Pipelines that meet the stream's records judge
//! by it, because it is in their plans (`data_stream::resolve`).
//!
//! Checks of many records are judged by monitors, Pipelines that the rule owns (`monitor`); what these found is read from their pods'
//! reports, too (`verdicts`).
//!
//! It is Ready once every pod that judges says that it does so by this version. Its counts and its health come from what these pods
//! say; nobody is woken by those, so a rule looks at them by itself.

mod admission;
mod dereference;
mod health;
mod history;
mod monitor;
mod status;
mod validate;
mod verdicts;
mod watched;

use std::time::Duration;

use headworks_crds::{QualityRule, QualityRuleSpec, QualityRuleStatus, SpecFault};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::{
    context::Context,
    controller::{PodRequest, Reconciler, ShownFigures, SpecCheck, checked},
    names::Key,
    planning::rules,
    retry::Error,
    rule_counts::{Counts, Judged, Remembered},
    rule_history::History,
    security::Open,
    status::ReconcileOutcome,
};

pub use monitor::stream as verdict_stream;

/// How often pods' counts are looked at.
const LOOK: Duration = Duration::from_secs(10);
/// The same while pods are to take a rule up.
const LOOK_SOON: Duration = Duration::from_secs(1);

impl Reconciler for QualityRule {
    type Status = QualityRuleStatus;

    /// Nothing is judged by one that is wrong, so its health is no more.
    const SPEC_CHECK: SpecCheck = SpecCheck::InReconcile;

    fn status(&self) -> Option<&QualityRuleStatus> {
        self.status.as_ref()
    }

    fn spec_faults(&self) -> Vec<SpecFault> {
        let own = rules::own_faults(&self.spec);
        headworks_crds::faults(&self.spec)
            .into_iter()
            .chain(own)
            .collect()
    }

    fn open(&self) -> Option<Open> {
        None
    }

    fn pods(&self) -> Option<PodRequest<'_>> {
        None
    }

    fn shown_figures(&self) -> Option<ShownFigures> {
        None
    }

    fn needs_finalizer(&self) -> bool {
        false
    }

    async fn reconcile(
        &self,
        status: &mut QualityRuleStatus,
        context: &Context,
    ) -> Result<ReconcileOutcome, Error> {
        let outcome = applied(self, status, context).await;
        health::only_while_applied(&outcome, &mut status.conditions);
        outcome
    }

    async fn finalize(&self, _: &QualityRuleStatus, _: &Context) -> Result<(), Error> {
        Ok(())
    }
}

/// Counts, and says who judges by it.
async fn applied(
    rule: &QualityRule,
    status: &mut QualityRuleStatus,
    context: &Context,
) -> Result<ReconcileOutcome, Error> {
    let key = Key::of(rule);
    dereference::declare(rule, &key, context);
    checked(rule)?;
    let judges = dereference::judges(rule, &key, context);
    let now = Timestamp::now();
    let of_late = count(rule, &key, &judges, status, context, now);
    let found = dereference::stream(rule, &key, context).await;
    judge(rule, &key, found.as_ref().ok(), status, context, now).await?;
    health::settle(
        &rule.spec,
        of_late,
        &verdicts::found(&rule.spec, &status.checks),
        &mut status.conditions,
        (rule.metadata.generation, now),
    );
    let found = found?;
    let monitors = found.monitors(&key);
    let outcome = validate::outcome(rule, &found.rules, &judges);
    let wanted = monitors.filter(|_| outcome.is_ok());
    monitor::apply(rule, &key, wanted, &found.platform, context, now).await?;
    let outcome = outcome?;
    let of_monitors = monitor::states(&key, wanted.filter(|_| !rule.spec.suspend), context);
    let outcome = monitor::with(outcome, &of_monitors);
    let look = if outcome.ready { LOOK } else { LOOK_SOON };
    Ok(outcome.recheck(look))
}

/// Judges the contract, and windows by what monitors' pods say of them and by what was before.
async fn judge(
    rule: &QualityRule,
    key: &Key,
    found: Option<&dereference::Found>,
    status: &mut QualityRuleStatus,
    context: &Context,
    now: Timestamp,
) -> Result<(), Error> {
    let matched = found.and_then(|found| found.rules.of_contract.get(&key.name));
    verdicts::of_contract(rule, matched, &mut status.checks, now);
    let monitors = found.and_then(|found| found.monitors(key));
    let heard = monitor::heard(key, monitors, context);
    let uid = rule.uid().unwrap_or_default();
    let with_history = |work: &mut dyn FnMut(&mut Option<History>)| {
        let known = || remembered(&rule.spec, status);
        let with = |all: &mut Remembered| work(&mut all.history);
        context.rules.with(key, &uid, known, with);
    };
    let needed = history::is_needed(rule);
    if !needed {
        history::remove(rule, key, context).await?;
    }
    let mut is_known = false;
    with_history(&mut |history| is_known = history.is_some());
    let read = if needed && !is_known {
        Some(history::read(rule, key, context).await?)
    } else {
        None
    };
    let (mut checks, mut text) = (status.checks.clone(), None);
    with_history(&mut |history| {
        let history = history.get_or_insert_with(|| read.clone().unwrap_or_default());
        verdicts::settle(rule, monitors, &heard, &mut checks, history, now);
        text = (needed && history.is_changed()).then(|| history.write());
    });
    if let Some(text) = text {
        history::write(rule, key, text, context).await?;
        with_history(&mut |history| history.iter_mut().for_each(History::saved));
    }
    status.checks = checks;
    Ok(())
}

/// What is known of a rule at first.
fn remembered(spec: &QualityRuleSpec, status: &QualityRuleStatus) -> Remembered {
    Remembered {
        counts: Counts::of_status(&status.judges, |name| status::refuses(spec, name)),
        ..Remembered::default()
    }
}

/// Counts what pods have judged, and says in the status how many there were. Gives what was judged of late.
fn count(
    rule: &QualityRule,
    key: &Key,
    judges: &[dereference::Judge],
    status: &mut QualityRuleStatus,
    context: &Context,
    now: Timestamp,
) -> Option<Judged> {
    let (spec, before) = (&rule.spec, &*status);
    let known = || remembered(spec, before);
    let uid = rule.uid().unwrap_or_default();
    let generation = rule.metadata.generation;
    let names = status::names(spec);
    let pods = dereference::counted(judges, spec, &key.name, &names);
    let last = dereference::last_failures(judges, &spec.stream, &key.name, &names);
    let look = |remembered: &mut Remembered| {
        let sums = remembered.round(&pods);
        let total = remembered.counts.total(|name| status::refuses(spec, name));
        let length = i64::try_from(spec.window.millis()).unwrap_or(i64::MAX);
        let now_ms = now.as_millisecond();
        let of_late = remembered
            .window
            .note(generation.unwrap_or_default(), now_ms, sums, length);
        let mut shown = before.clone();
        status::show(&mut shown, spec, &total, &last);
        let due = status::worth_writing(before, &shown, now_ms - remembered.written_ms);
        if due {
            remembered.written_ms = now_ms;
            shown.judges = remembered.counts.to_status();
        }
        (of_late, due.then_some(shown))
    };
    let (of_late, shown) = context.rules.with(key, &uid, known, look);
    if let Some(shown) = shown {
        *status = shown;
    }
    of_late
}
