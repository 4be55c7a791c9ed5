//! What a stage of a plan reads and writes: from its entry in the plan to topics and streams.

use headworks_plan::{Edge, Ends, InternalTopic, PipelinePlan, StagePlan, StartFrom, Stream};
use snafu::OptionExt;

use super::compile::{CompileError, PartsSnafu};

/// What a stage reads.
#[derive(Debug, PartialEq)]
pub(crate) enum Reads<'a> {
    /// Streams, in the order of its edges: the plan's inputs, or the results of a stage before it.
    Streams(Vec<&'a Stream>),
    /// The rows that the stage before it brought together.
    Exchange(&'a InternalTopic),
}

/// What `stage` reads.
pub(crate) fn reads<'a>(
    plan: &'a PipelinePlan,
    stage: &StagePlan,
) -> Result<Reads<'a>, CompileError> {
    if let [Edge::Stage(id)] = stage.reads.as_slice()
        && let Some(topic) = before(plan, stage, id)?.exchange()
    {
        return Ok(Reads::Exchange(topic));
    }
    let streams = stage.reads.iter().map(|edge| match edge {
        Edge::Stream(name) => input(plan, name),
        Edge::Stage(id) => before(plan, stage, id)?.results().context(PartsSnafu),
    });
    streams.collect::<Result<_, _>>().map(Reads::Streams)
}

/// The streams that a stage's rows come from, through exchanges too: bad ones among them go to these streams' dead letters.
pub(crate) fn origins<'a>(
    plan: &'a PipelinePlan,
    stage: &StagePlan,
) -> Result<Vec<&'a Stream>, CompileError> {
    let mut all = Vec::new();
    for edge in &stage.reads {
        match edge {
            Edge::Stream(name) => all.push(input(plan, name)?),
            Edge::Stage(id) => {
                let before = before(plan, stage, id)?;
                match before.results() {
                    Some(results) => all.push(results),
                    // Only stages before that one are looked at, so this ends.
                    None => all.extend(origins(plan, before)?),
                }
            }
        }
    }
    Ok(all)
}

/// The topics that a stage writes apart from dead letters, each with its largest message in bytes.
pub(crate) fn writes<'a>(plan: &'a PipelinePlan, stage: &'a StagePlan) -> Vec<(&'a str, u64)> {
    let of = |topic: &'a InternalTopic| (topic.topic.as_str(), topic.max_message_bytes);
    let mut all: Vec<(&str, u64)> = match &stage.ends {
        Ends::Streams { results } => {
            let streams = plan.outputs.iter().chain(results.as_deref());
            let streams = streams.map(|s| (s.topic.as_str(), s.max_message_bytes));
            streams.collect()
        }
        Ends::Exchange(topic) => vec![of(topic)],
        Ends::Table(_) => Vec::new(),
    };
    all.extend(stage.state.iter().map(|state| of(&state.changelog)));
    all
}

/// True for the stage that tells of bad records: the first of those that read the same.
pub(crate) fn tells(plan: &PipelinePlan, stage: &StagePlan) -> bool {
    let first = plan.stages.iter().find(|one| one.reads == stage.reads);
    first.is_some_and(|first| first.id == stage.id)
}

/// For a stage that writes the results of another one as they are: the plan that has these as its input, and the stage
/// in it. None for a stage that runs a part of the query.
pub(crate) fn copies(
    plan: &PipelinePlan,
    stage: &StagePlan,
) -> Result<Option<(PipelinePlan, StagePlan)>, CompileError> {
    if stage.runs.is_some() {
        return Ok(None);
    }
    let Reads::Streams(streams) = reads(plan, stage)? else {
        return PartsSnafu.fail();
    };
    let [results] = streams.as_slice() else {
        return PartsSnafu.fail();
    };
    let quoted = |name: &str| format!("`{}`", name.replace('`', "``"));
    let columns: Vec<String> = results
        .contract
        .fields
        .iter()
        .map(|field| quoted(&field.name))
        .collect();
    let copy = |one: &StagePlan| StagePlan {
        runs: Some(0),
        reads: vec![Edge::Stream(results.name.clone())],
        ..one.clone()
    };
    let beside = plan.stages.iter().filter(|one| one.reads == stage.reads);
    let copied = PipelinePlan {
        sql: format!(
            "SELECT {} FROM {}",
            columns.join(", "),
            quoted(&results.name)
        ),
        inputs: vec![(*results).clone()],
        outputs: Vec::new(),
        start_from: StartFrom::Earliest,
        stages: beside.map(copy).collect(),
        ..plan.clone()
    };
    Ok(Some((copied, copy(stage))))
}

/// The plan's input of that name.
fn input<'a>(plan: &'a PipelinePlan, name: &str) -> Result<&'a Stream, CompileError> {
    let mut inputs = plan.inputs.iter();
    inputs
        .find(|stream| stream.name == name)
        .context(PartsSnafu)
}

/// The stage of that id, which comes before `stage` in the plan.
fn before<'a>(
    plan: &'a PipelinePlan,
    stage: &StagePlan,
    id: &str,
) -> Result<&'a StagePlan, CompileError> {
    let mut earlier = plan.stages.iter().take_while(|one| one.id != stage.id);
    earlier.find(|one| one.id == id).context(PartsSnafu)
}
