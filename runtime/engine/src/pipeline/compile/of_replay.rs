//! A stage of a Pipeline that a Replay runs: it reads what is replayed, and puts it right first.

use arrow::array::RecordBatch;
use headworks_plan::{Edge, IntoPipeline, OnOverflow, PipelinePlan, StagePlan, Stream};
use headworks_sql::Catalog;
use snafu::{OptionExt, ResultExt, ensure};

use super::{CompileError, FormatSnafu, PartsSnafu, listed, mapping};
use crate::format::Formats;
use crate::stateless::{Evaluate, Evaluation, Fix, Input, StatelessOperator};

/// Of a compiled stage, the same for a Replay into the Pipeline: only the inputs that `stage` reads, whose records `into` puts right.
pub(crate) fn replayed(
    stateless: StatelessOperator,
    plan: &PipelinePlan,
    stage: &StagePlan,
    into: &IntoPipeline,
    formats: &dyn Formats,
) -> Result<StatelessOperator, CompileError> {
    let is_read = |stream: &Stream| {
        let mut reads = stage.reads.iter();
        reads.any(|edge| matches!(edge, Edge::Stream(name) if *name == stream.name))
    };
    let inputs = plan.inputs.iter().zip(stateless.inputs);
    let inputs = inputs.filter(|(stream, _)| is_read(stream));
    let inputs = inputs.map(|(stream, input)| match &into.fix {
        None => Ok(input),
        Some(fix) => fixed(stream, input, fix, formats),
    });
    Ok(StatelessOperator {
        inputs: inputs.collect::<Result<_, _>>()?,
        outputs: stateless.outputs,
        tells: stateless.tells,
        results: stateless.results,
    })
}

/// The same input, whose records are put right first.
fn fixed(
    stream: &Stream,
    input: Input,
    fix: &str,
    formats: &dyn Formats,
) -> Result<Input, CompileError> {
    let catalog = Catalog::new()
        .with(&stream.name, stream.contract.clone())
        .on_overflow(OnOverflow::DeadLetter.into());
    let dataflow = headworks_sql::plan(fix, &catalog).map_err(|errors| CompileError::Sql {
        said: listed(&errors),
    })?;
    let mapping = mapping(&dataflow.output, stream)?;
    let [stage] = <[_; 1]>::try_from(dataflow.stages).map_err(|_| PartsSnafu.build())?;
    ensure!(stage.keyed.is_none(), PartsSnafu);
    // One row for each at most, or it would be told of twice.
    let [branch] = <[_; 1]>::try_from(stage.into_branches()).map_err(|_| PartsSnafu.build())?;
    ensure!(!branch.multiplies(), PartsSnafu);
    let places = input.columns.iter().map(|column| {
        let mut fields = stream.contract.fields.iter();
        fields.position(|field| field.name == *column)
    });
    let places: Vec<usize> = places.collect::<Option<_>>().context(PartsSnafu)?;
    let decoder = formats
        .decoder(&stream.contract, &branch.columns)
        .context(FormatSnafu {
            stream: &stream.name,
        })?;
    let evaluate: Evaluate = Box::new(move |batch: &RecordBatch| {
        let evaluated = branch.evaluate(batch).map_err(|error| error.to_string())?;
        let all = mapping.apply(&evaluated.batch);
        let read = all.and_then(|all| all.project(&places));
        Ok(Evaluation {
            rows: evaluated.rows.values().to_vec(),
            outputs: vec![read.map_err(|error| error.to_string())?],
        })
    });
    Ok(Input {
        tombstones: None,
        decoder,
        fix: Some(Fix { evaluate }),
        ..input
    })
}
