//! `headworks dlq`: the dead letters of a stream, listed, shown, counted and exported.
//!
//! They are read where records are read, by a pod beside Kafka with the decoders of Pipelines (docs/decisions/0014). Fields with a
//! label are masked in that pod. A dead letter often can't be decoded, and then nobody knows where in it a labelled field stands:
//! its bytes, and words that may quote them, are shown only where nothing is masked.

mod ask;
mod export;
mod letter;
mod list;
mod one;
mod tally;

use headworks_plan::PeekTask;

use crate::cluster::block_on;
use crate::output::note;
use crate::{EXIT_CODES, End};

use super::peek::Wanted;
use super::peek::reading::Reading;
use ask::Filter;

/// Arguments of `headworks dlq`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Lists the newest dead letters of a stream: when, why, and where they came from.
    #[command(visible_alias = "list", after_help = EXIT_CODES)]
    Ls(List),
    /// Shows one dead letter: what its headers say, and its value, decoded where it can be.
    #[command(after_help = EXIT_CODES)]
    Show(Show),
    /// Counts a stream's dead letters by reason, rule and check: exact for all that its topic still has.
    #[command(after_help = EXIT_CODES)]
    Count(Count),
    /// Writes dead letters to a file, a JSON object a line: what their headers say, key and value.
    #[command(after_help = EXIT_CODES)]
    Export(Export),
}

#[derive(Debug, clap::Args)]
struct List {
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    filter: Filter,
    /// So many at most: the newest.
    #[arg(short, long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    limit: u64,
    /// How they are written: a row each, wide with all words, or a JSON object or YAML document each.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

#[derive(Debug, clap::Args)]
struct Show {
    #[command(flatten)]
    reading: Reading,
    /// Its place in the dead-letter topic, as the column AT of `ls` has it.
    #[arg(long, value_name = "PARTITION:OFFSET")]
    at: ask::At,
    /// For how long records are read at most, such as 5m. Absent: 1m.
    #[arg(long, value_name = "DURATION")]
    timeout: Option<headworks_crds::Duration>,
    /// How it is written: for people, or as JSON or YAML.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

#[derive(Debug, clap::Args)]
struct Count {
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    filter: Filter,
    /// How they are written: a row for each reason, or JSON or YAML.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

#[derive(Debug, clap::Args)]
struct Export {
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    filter: Filter,
    /// The file, which mustn't be there yet; - is standard output.
    #[arg(long, value_name = "FILE")]
    to: std::path::PathBuf,
    /// Goes on in the file where an export ended, which has said so: PARTITION:OFFSET, several with commas between them.
    #[arg(long, value_name = "PLACES", value_delimiter = ',')]
    from: Vec<ask::At>,
    /// So many at most.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// How dead letters are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// For people.
    #[default]
    Text,
    /// For people with wide screens.
    Wide,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
}

/// Does it.
pub fn run(arguments: &Arguments) -> End {
    let done = match &arguments.what {
        What::Ls(of) => block_on(list(of)),
        What::Show(of) => block_on(show(of)),
        What::Count(of) => block_on(count(of)),
        What::Export(of) => block_on(export::export(of)),
    };
    match done {
        Ok(end) | Err(end) => end,
    }
}

fn usage(message: String) -> End {
    note(&format!("headworks: {message}"));
    End::Usage
}

/// A JSON object as a YAML document. Whatever a terminal would obey is escaped in it.
fn yaml(json: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let text = serde_saphyr::to_string(&value).unwrap_or_default();
    let lines = text.lines().map(super::peek::show::printable);
    let lines: Vec<String> = lines.collect();
    format!("---\n{}", lines.join("\n"))
}

async fn list(of: &List) -> Result<End, End> {
    let filter = of.filter.told().map_err(usage)?;
    let stream = of.reading.open(Wanted::DeadLetters).await?;
    stream.note_masked();
    let mut listed = list::Listed::new(of.output, &stream.name(), of.filter.is_any());
    let select = of.filter.select(of.limit);
    stream
        .read(PeekTask::List(filter), select, &mut listed)
        .await?;
    Ok(listed.end())
}

async fn show(of: &Show) -> Result<End, End> {
    let stream = of.reading.open(Wanted::DeadLetters).await?;
    stream.note_masked();
    let mut shown = one::Shown::new(of.output, &stream.name(), of.at);
    let select = of.at.select(of.timeout.as_ref());
    let task = PeekTask::Show(headworks_plan::DeadLetterFilter::default());
    stream.read(task, select, &mut shown).await?;
    Ok(shown.end())
}

async fn count(of: &Count) -> Result<End, End> {
    let filter = of.filter.told().map_err(usage)?;
    let stream = of.reading.open(Wanted::DeadLetters).await?;
    let mut tally = tally::Tally::new(of.output, &stream.name(), of.filter.is_any());
    let select = of.filter.select(1);
    stream
        .read(PeekTask::Count(filter), select, &mut tally)
        .await?;
    Ok(tally.end())
}
