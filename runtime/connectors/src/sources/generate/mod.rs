//! The generate source: a seeded sequence of made-up records, each written exactly once.
//!
//! Record `i` is a function of the seed and of `i`, its times apart. The place in the sequence is a
//! committed offset: the next `i` stands as the offset of partition 0 of the stream's topic under the
//! source's own consumer group, which nobody joins, and is written in the Kafka transaction that holds
//! the records before it. A pod that dies takes its open transaction with it, and the next one, which
//! has the same transactional id and so fences the first, goes on at the committed `i`.
//!
//! About every 100 ms the records that are due by the rate are made, checked and encoded as those of any
//! source, and committed. After an outage no more than a second is made up for.
//!
//! Rooms: `seeded_rng` chance that can be had again; `shop`, `random` and `fault` what records say, `limits`
//! what a definition allows of it; `record_factory`
//! which of them is next; `rate` when; `run` the loop and what it reports.

mod fault;
mod limits;
mod random;
mod rate;
mod record_factory;
mod role;
mod run;
mod seeded_rng;
mod shop;

#[cfg(test)]
mod tests;

pub use role::begin;
pub use run::run;

use headworks_plan::{GenerateSource, Plan, Role, SourceConnection, SourcePlan};
use snafu::Snafu;

/// A generate source's settings.
#[derive(Clone, Debug)]
pub struct Config {
    /// Namespace and name of the Source, `ns/name`: goes into dead letters.
    pub source: String,
    /// What the pod runs.
    pub plan: SourcePlan,
    /// The making-up side of it.
    pub generate: GenerateSource,
}

/// Why the plan makes no generate source.
#[derive(Debug, Snafu)]
pub enum ConfigError {
    /// The plan has another role, or a source of another kind.
    #[snafu(display("the plan of {namespace}/{name} has no generate source"))]
    NoGenerate {
        /// Namespace of the object.
        namespace: String,
        /// Name of the object.
        name: String,
    },
}

impl Config {
    /// The settings that the plan asks for.
    ///
    /// # Errors
    /// The plan has no generate source.
    pub fn from_plan(plan: &Plan) -> Result<Config, ConfigError> {
        match &plan.role {
            Role::Source(
                source @ SourcePlan {
                    connection: SourceConnection::Generate(generate),
                    ..
                },
            ) => Ok(Config {
                source: format!("{}/{}", plan.namespace, plan.name),
                plan: source.clone(),
                generate: generate.clone(),
            }),
            _ => NoGenerateSnafu {
                namespace: &plan.namespace,
                name: &plan.name,
            }
            .fail(),
        }
    }
}

/// An instant as records have it, with milliseconds.
fn instant(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |at| format!("{at:.3}"))
}
