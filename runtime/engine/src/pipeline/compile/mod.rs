//! From a plan to a [`StatelessOperator`]: the query checked against its streams, decoders that build only the
//! columns it reads, and encoders for every output.

mod of_replay;
#[cfg(test)]
mod tests;

pub(crate) use of_replay::replayed;

use arrow::array::RecordBatch;
use headworks_plan::{PipelinePlan, Reason, Stream};
use headworks_sql::schema::Schema;
use headworks_sql::target::Mapping;
use headworks_sql::types::DataType;
use headworks_sql::{Branch, Catalog, Dataflow, Reads, target};
use snafu::{ResultExt, Snafu, ensure};

use crate::format::{FormatError, Formats};
use crate::judge::rules::{RuleError, Rules};
use crate::stateless::{
    self, Evaluation, EventTime, Input, Output, ResultForm, StatelessOperator, Tombstones,
};

/// Why a plan can't be run. The operator checks the same before it makes a pod, so these are met only
/// when operator and runtime differ.
#[derive(Debug, Snafu)]
#[snafu(visibility(pub(super)))]
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
    /// The query needs state and the plan has none, or the other way round; or a stage reads what isn't there.
    #[snafu(display(
        "the plan's parts aren't the query's (with or without state); operator and runtime must be of one version"
    ))]
    Parts,
    /// The columns in which a monitor's verdicts should be aren't there.
    #[snafu(display(
        "the query hasn't the columns of a monitor's verdicts; operator and runtime must be of one version"
    ))]
    Verdicts,
    /// State can't be kept.
    #[snafu(display("{said}"))]
    State { said: String },
    /// Keys of a type by which rows can't be brought together.
    #[snafu(display("column {column}: {type_} is no key; group by its fields or items instead"))]
    Key { column: String, type_: String },
    /// A store that keeps rows by their key is given none.
    #[snafu(display(
        "table {table}: its store tells rows apart by their key alone, and the table has none: set `key`"
    ))]
    Keyless { table: String },
    /// A quality rule's expression is none.
    #[snafu(display("{source}; operator and runtime must be of one version"))]
    Rule { source: RuleError },
}

impl CompileError {
    /// Under which it is reported.
    pub(crate) fn reason(&self) -> Reason {
        match self {
            CompileError::Rule { .. } => Reason::RuleInvalid,
            _ => Reason::PlanRefused,
        }
    }
}

/// Compiles the part of `plan` that writes streams. The inputs of the stage are in the plan's order.
pub(crate) fn compile(
    plan: &PipelinePlan,
    formats: &dyn Formats,
) -> Result<StatelessOperator, CompileError> {
    let (mut branches, output) = only_stage(plan)?;
    let to = Some((&output, plan.outputs.as_slice()));
    let inputs = plan
        .inputs
        .iter()
        .map(|stream| input(stream, to, None, &mut branches, formats))
        .collect::<Result<_, _>>()?;
    let output = |stream: &Stream| {
        let encoder = formats.encoder_of(stream).context(FormatSnafu {
            stream: &stream.name,
        })?;
        Ok(Output {
            topic: stream.topic.clone(),
            max_message_bytes: stream.max_message_bytes,
            compacted: stream.contract.compacted,
            encoder,
            rules: Rules::of(stream).context(RuleSnafu)?,
        })
    };
    Ok(StatelessOperator {
        inputs,
        outputs: plan.outputs.iter().map(output).collect::<Result<_, _>>()?,
        tells: true,
        results: ResultForm::Records,
    })
}

/// Compiles the part of `plan` that writes a table, and gives the query's columns. `tells`: see
/// [`StatelessOperator::tells`].
pub(crate) fn compile_table(
    plan: &PipelinePlan,
    formats: &dyn Formats,
    tells: bool,
) -> Result<(StatelessOperator, Schema), CompileError> {
    let (mut branches, output) = only_stage(plan)?;
    let inputs = plan
        .inputs
        .iter()
        .map(|stream| input(stream, None, None, &mut branches, formats))
        .collect::<Result<_, _>>()?;
    let stateless = StatelessOperator {
        inputs,
        outputs: Vec::new(),
        tells,
        results: ResultForm::TableRows,
    };
    Ok((stateless, output))
}

/// The branches of a query without state, and its columns.
fn only_stage(plan: &PipelinePlan) -> Result<(Vec<Branch>, Schema), CompileError> {
    let dataflow = query(plan)?;
    let output = dataflow.output;
    let [stage] = <[_; 1]>::try_from(dataflow.stages).map_err(|_| PartsSnafu.build())?;
    ensure!(stage.keyed.is_none(), PartsSnafu);
    Ok((stage.into_branches(), output))
}

pub(super) fn query(plan: &PipelinePlan) -> Result<Dataflow, CompileError> {
    let catalog = plan.inputs.iter().fold(Catalog::new(), |catalog, stream| {
        catalog.with(&stream.name, stream.contract.clone())
    });
    let catalog = catalog.on_overflow(plan.on_overflow.into());
    headworks_sql::plan(&plan.sql, &catalog).map_err(|errors| CompileError::Sql {
        said: listed(&errors),
    })
}

/// What happens to `stream`'s records by those of `branches` that read it, which are taken out. Without `outputs` (the query's
/// columns, and the streams that get them) the results stay as the query gives them.
/// `clock`: the event time is read whatever the query reads; true, if a record must have one.
pub(super) fn input(
    stream: &Stream,
    outputs: Option<(&Schema, &[Stream])>,
    clock: Option<bool>,
    branches: &mut Vec<Branch>,
    formats: &dyn Formats,
) -> Result<Input, CompileError> {
    let reads = |column: &str| {
        branches.iter().any(|branch| {
            branch.input == stream.name && branch.columns.iter().any(|read| read == column)
        })
    };
    let time = stream
        .contract
        .event_time
        .as_ref()
        .map(|time| time.field.as_str());
    let first = time
        .and_then(|time| time.split('.').next())
        .filter(|_| clock.is_some());
    let rules = Rules::of(stream).context(RuleSnafu)?;
    let judged = |column: &String| {
        let rules = rules.as_ref();
        rules.is_some_and(|rules| rules.columns().contains(column))
    };
    // In the contract's order, each once, whichever branches read it.
    let columns: Vec<String> = stream
        .contract
        .fields
        .iter()
        .map(|field| field.name.clone())
        .filter(|name| reads(name) || first == Some(name) || judged(name))
        .collect();
    ensure!(
        branches.iter().any(|branch| branch.input == stream.name),
        UnreadSnafu {
            stream: &stream.name,
        }
    );
    let event_time = event_time(stream, &columns, clock == Some(true));
    let decoder = formats
        .decoder(&stream.contract, &columns)
        .context(FormatSnafu {
            stream: &stream.name,
        })?;
    let tombstones = tombstones(stream, branches, formats)?;
    let mut of_stream = Vec::new();
    for branch in branches.extract_if(.., |branch| branch.input == stream.name) {
        let mappings = outputs
            .map(|(output, streams)| {
                streams
                    .iter()
                    .map(|to| mapping(output, to))
                    .collect::<Result<Vec<_>, _>>()
            })
            .transpose()?;
        of_stream.push(stateless::Branch {
            columns: branch
                .columns
                .iter()
                .filter_map(|read| columns.iter().position(|column| column == read))
                .collect(),
            evaluate: Box::new(move |batch: &RecordBatch| {
                let evaluated = branch.evaluate(batch).map_err(|error| error.to_string())?;
                let outputs = match &mappings {
                    None => vec![evaluated.batch],
                    Some(mappings) => mappings
                        .iter()
                        .map(|mapping| mapping.apply(&evaluated.batch))
                        .collect::<Result<_, _>>()
                        .map_err(|error| error.to_string())?,
                };
                Ok(Evaluation {
                    rows: evaluated.rows.values().to_vec(),
                    outputs,
                })
            }),
        });
    }
    Ok(Input {
        decoder,
        event_time,
        rules: rules.map(|rules| rules.among(&columns)),
        branches: of_stream,
        columns,
        fix: None,
        tombstones,
    })
}

/// What happens to the stream's records without a value, if a branch of the query, which is taken out, wants them.
fn tombstones(
    stream: &Stream,
    branches: &mut Vec<Branch>,
    formats: &dyn Formats,
) -> Result<Option<Tombstones>, CompileError> {
    let wants = |branch: &Branch| branch.input == stream.name && branch.reads == Reads::Tombstones;
    let Some(branch) = branches.extract_if(.., |branch| wants(branch)).next() else {
        return Ok(None);
    };
    let contract = &stream.contract;
    let keys = formats.keys(contract).context(FormatSnafu {
        stream: &stream.name,
    })?;
    let column = |read: &String| contract.key.iter().position(|key| key == read);
    Ok(Some(Tombstones {
        keys,
        schema: branch.input_schema.clone(),
        columns: branch.columns.iter().map(column).collect(),
        evaluate: Box::new(move |batch: &RecordBatch| {
            let evaluated = branch.evaluate(batch).map_err(|error| error.to_string())?;
            Ok(Evaluation {
                rows: evaluated.rows.values().to_vec(),
                outputs: vec![evaluated.batch],
            })
        }),
    }))
}

/// Where the stream's event time is among these columns, if it is there.
fn event_time(stream: &Stream, columns: &[String], required: bool) -> Option<EventTime> {
    let field = &stream.contract.event_time.as_ref()?.field;
    let mut steps = field.split('.');
    let first = steps.next()?;
    let mut path = vec![columns.iter().position(|column| column == first)?];
    let schema = Schema::from_contract(&stream.contract).ok()?;
    let mut level = schema.column(first)?.data_type.clone();
    for step in steps {
        let DataType::Struct(fields) = level else {
            return None;
        };
        let at = fields.iter().position(|field| field.name == step)?;
        path.push(at);
        level = fields[at].data_type.clone();
    }
    Some(EventTime {
        path,
        field: field.clone(),
        required,
    })
}

pub(super) fn mapping(output: &Schema, to: &Stream) -> Result<Mapping, CompileError> {
    target::check(output, &to.contract).map_err(|mismatches| CompileError::Misfit {
        stream: to.name.clone(),
        said: listed(&mismatches),
    })
}

pub(super) fn listed<E: ToString>(errors: &[E]) -> String {
    errors
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("; ")
}
