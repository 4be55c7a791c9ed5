//! What runs a Pipeline's query: an engine. The reconcile knows what a Pipeline is, and asks its engine for all that is about *how* it
//! runs. `native` is one of pods of our own; an engine that another operator runs sits in the same trait
//! (docs/decisions/0029-an-engine-is-a-choice.md).

use std::future::Future;

use headworks_crds::{
    Pipeline, PipelineSpec, PipelineStatus, PodTemplate, QueryInForce, SpecFault, fault_text,
};
use headworks_sql::Dataflow;

use super::dereference::References;
use crate::{reason::ConditionReason, retry::Error, status::ReconcileOutcome};

/// Something of a right query that an engine can't run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EngineFault {
    /// In one word.
    pub reason: ConditionReason,
    /// Where, what, and what to do.
    pub fault: SpecFault,
}

/// A Pipeline whose query and targets are right.
#[derive(Clone, Copy)]
pub struct Checked<'a> {
    /// The object.
    pub pipeline: &'a Pipeline,
    /// What it refers to.
    pub found: &'a References,
    /// What its query comes to.
    pub dataflow: &'a Dataflow,
}

/// An engine, at one Pipeline.
///
/// A reconcile asks it in this order: [`show_figures`](Self::show_figures); [`suspend`](Self::suspend), if that is asked for;
/// [`supports`](Self::supports); [`forget`](Self::forget), if the query begins anew; [`prepare`](Self::prepare);
/// [`build`](Self::build); [`apply`](Self::apply); [`observe`](Self::observe). What comes before `apply` leaves what runs as it is, but
/// for `forget`. A step that fails is asked again with the next reconcile, so each may be done twice.
pub trait Engine {
    /// What `prepare` made.
    type Prepared: Send;
    /// All that is to run, not yet written.
    type Built: Send;
    /// What was written.
    type Applied: Send + Sync;

    /// What it can't run of a query that is right, each with its place. Pure, and without an object: the command line asks the same.
    /// `template` is the pod template in force.
    fn supports(
        spec: &PipelineSpec,
        template: &PodTemplate,
        dataflow: &Dataflow,
    ) -> Vec<EngineFault>;

    /// True: deletion needs work outside the API server.
    fn needs_finalizer(spec: &PipelineSpec) -> bool;

    /// Puts in the status how fast what runs is, from what was heard of it last. It is asked whatever may be wrong with the spec.
    fn show_figures(&self, status: &mut PipelineStatus);

    /// The version of the query that runs, as far as the engine knows; what it doesn't know is as in `wanted`.
    fn running(&self, wanted: &QueryInForce) -> Option<QueryInForce>;

    /// Ends what runs and keeps what it has done, whatever may be wrong with the spec.
    ///
    /// # Errors
    /// What whoever runs it says.
    fn suspend(&self) -> impl Future<Output = Result<(), Error>> + Send;

    /// Ends what runs, and deletes progress and state of the query that the status tells of, so that another can begin.
    ///
    /// # Errors
    /// `Waiting`, while something still ends; what Kafka and the API server say.
    fn forget(
        &self,
        checked: Checked<'_>,
        status: &PipelineStatus,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Makes what must be there before the query runs, and writes down in the status (`state`) whose state it is; nothing is to be
    /// written down for a query without state.
    ///
    /// # Errors
    /// What isn't there, or can't be made.
    fn prepare(
        &self,
        checked: Checked<'_>,
        status: &mut PipelineStatus,
    ) -> impl Future<Output = Result<Self::Prepared, Error>> + Send;

    /// What is to run. Pure.
    fn build(&self, checked: Checked<'_>, prepared: Self::Prepared) -> Self::Built;

    /// Writes it, and counts in the status what runs. What the reconcile resolved besides is given back. A spec that is held back comes
    /// here, too: what runs stays, and is counted.
    ///
    /// # Errors
    /// The error that is held back for; what the API server and Kafka say.
    fn apply<T: Send>(
        &self,
        resolved: Result<(Self::Built, T), Error>,
        status: &mut PipelineStatus,
    ) -> impl Future<Output = Result<(Self::Applied, T), Error>> + Send;

    /// What its progress is called: the consumer group. A status that names one says that something ran.
    fn progress<'b>(&self, applied: &'b Self::Applied) -> &'b str;

    /// How what was written does.
    ///
    /// # Errors
    /// What is wrong with what runs.
    fn observe(
        &self,
        applied: &Self::Applied,
    ) -> impl Future<Output = Result<ReconcileOutcome, Error>> + Send;

    /// The work that deletion needs: by `deletionPolicy`, what it did is kept or goes. It must not fail for ever.
    ///
    /// # Errors
    /// They delay the deletion.
    fn finalize(&self, status: &PipelineStatus) -> impl Future<Output = Result<(), Error>> + Send;
}

/// Fails where an engine can't run a query, with all that it said; the first reason is the condition's.
///
/// # Errors
/// See above.
pub fn supported(faults: &[EngineFault]) -> Result<(), Error> {
    let Some(first) = faults.first() else {
        return Ok(());
    };
    let all: Vec<SpecFault> = faults.iter().map(|fault| fault.fault.clone()).collect();
    let text = fault_text(&all).unwrap_or_default();
    Err(Error::stalled(first.reason, text))
}

#[cfg(test)]
mod tests;
