//! From a plan to a [`Stage`]: the query checked against its streams, decoders that build only the
//! columns it reads, and encoders for every output.

use arrow::array::RecordBatch;
use headworks_plan::{PipelinePlan, Stream};
use headworks_sql::target::Mapping;
use headworks_sql::{Catalog, Dataflow, target};
use snafu::{ResultExt, Snafu};

use super::stage::{Branch, Evaluation, Input, Output, Stage};
use crate::format::{FormatError, Formats};

/// Why a plan can't be run. The operator checks the same before it makes a pod, so these are met only
/// when operator and runtime differ.
#[derive(Debug, Snafu)]
pub(crate) enum CompileError {
    /// The query has errors.
    #[snafu(display("spec.sql: {said}"))]
    Sql { said: String },
    /// The result doesn't fit an output.
    #[snafu(display("the result doesn't fit stream {stream}: {said}"))]
    Misfit { stream: String, said: String },
    /// The plan's inputs aren't the query's.
    #[snafu(display(
        "the query doesn't read the plan's input {stream}; operator and runtime must be of one version"
    ))]
    Unread { stream: String },
    /// A wire format can't carry a contract.
    #[snafu(display("stream {stream}: {source}"))]
    Format { stream: String, source: FormatError },
}

/// Compiles `plan`. The inputs of the stage are in the plan's order.
pub(crate) fn compile(plan: &PipelinePlan, formats: &dyn Formats) -> Result<Stage, CompileError> {
    let catalog = plan.inputs.iter().fold(Catalog::new(), |catalog, stream| {
        catalog.with(&stream.name, stream.contract.clone())
    });
    let mut dataflow =
        headworks_sql::plan(&plan.sql, &catalog).map_err(|errors| CompileError::Sql {
            said: listed(&errors),
        })?;
    let mut inputs = Vec::with_capacity(plan.inputs.len());
    for stream in &plan.inputs {
        inputs.push(input(stream, plan, &mut dataflow, formats)?);
    }
    let output = |stream: &Stream| {
        let encoder = formats.encoder(&stream.contract).context(FormatSnafu {
            stream: &stream.name,
        })?;
        Ok(Output {
            topic: stream.topic.clone(),
            max_message_bytes: stream.max_message_bytes,
            encoder,
        })
    };
    Ok(Stage {
        inputs,
        outputs: plan.outputs.iter().map(output).collect::<Result<_, _>>()?,
    })
}

fn input(
    stream: &Stream,
    plan: &PipelinePlan,
    dataflow: &mut Dataflow,
    formats: &dyn Formats,
) -> Result<Input, CompileError> {
    let reads = |column: &str| {
        dataflow.branches.iter().any(|branch| {
            branch.input == stream.name && branch.columns.iter().any(|read| read == column)
        })
    };
    // In the contract's order, each once, whichever branches read it.
    let columns: Vec<String> = stream
        .contract
        .fields
        .iter()
        .map(|field| field.name.clone())
        .filter(|name| reads(name))
        .collect();
    if columns.is_empty() {
        return UnreadSnafu {
            stream: &stream.name,
        }
        .fail();
    }
    let event_time = stream
        .contract
        .event_time
        .as_ref()
        .and_then(|time| columns.iter().position(|column| *column == time.field));
    let decoder = formats
        .decoder(&stream.contract, &columns)
        .context(FormatSnafu {
            stream: &stream.name,
        })?;
    let mut branches = Vec::new();
    for branch in dataflow
        .branches
        .extract_if(.., |branch| branch.input == stream.name)
    {
        let mappings = plan
            .outputs
            .iter()
            .map(|to| mapping(&dataflow.output, to))
            .collect::<Result<Vec<_>, _>>()?;
        branches.push(Branch {
            columns: branch
                .columns
                .iter()
                .filter_map(|read| columns.iter().position(|column| column == read))
                .collect(),
            evaluate: Box::new(move |batch: &RecordBatch| {
                let evaluated = branch.evaluate(batch).map_err(|error| error.to_string())?;
                let outputs = mappings
                    .iter()
                    .map(|mapping| mapping.apply(&evaluated.batch))
                    .collect::<Result<_, _>>();
                Ok(Evaluation {
                    rows: evaluated.rows.values().to_vec(),
                    outputs: outputs.map_err(|error| error.to_string())?,
                })
            }),
        });
    }
    Ok(Input {
        decoder,
        event_time,
        branches,
    })
}

fn mapping(output: &headworks_sql::schema::Schema, to: &Stream) -> Result<Mapping, CompileError> {
    target::check(output, &to.contract).map_err(|mismatches| CompileError::Misfit {
        stream: to.name.clone(),
        said: listed(&mismatches),
    })
}

fn listed<E: ToString>(errors: &[E]) -> String {
    errors
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}
