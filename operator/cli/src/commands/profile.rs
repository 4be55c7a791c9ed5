//! `headworks profile stream`: what is in a stream's columns, over a bounded sample. It is read where records are read
//! (docs/decisions/0014), and what is told of a column is made there: no value of a labelled field leaves the pod.

mod show;

use headworks_crds::Duration;
use headworks_plan::{PeekFrom, PeekLine, PeekSelection, PeekTask, ProfileRequest, StreamProfile};
use k8s_openapi::jiff::Timestamp;

use super::peek::reading::{Listener, Reading};
use super::peek::select::{When, between, seconds};
use super::peek::{Wanted, show as peeked, wrong};
use crate::cluster::block_on;
use crate::output::{self, note};
use crate::{EXIT_CODES, End};

/// For how long records are read at most, in seconds.
const SECONDS: u64 = 300;

/// Arguments of `headworks profile`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Of each column of a DataStream: nulls, distinct values, least, greatest, quantiles, lengths, frequent values and shapes.
    #[command(visible_alias = "streams", after_help = EXIT_CODES)]
    Stream(OfStream),
}

#[derive(Debug, clap::Args)]
struct OfStream {
    #[command(flatten)]
    reading: Reading,
    /// So many records at most: the newest, the same share of each partition; with --since the first ones from there.
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    records: u64,
    /// The records from this time on, by Kafka's timestamps: a duration ago, such as 15m, or a time, such as
    /// 2026-01-01T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<When>,
    /// Only records before this time, given as with --since.
    #[arg(long, value_name = "TIME")]
    until: Option<When>,
    /// For how long records are read at most, such as 15m. Absent: 5m.
    #[arg(long, value_name = "DURATION")]
    timeout: Option<Duration>,
    /// How it is written: for people, for people with all quantiles, or as JSON or YAML.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

/// How a profile is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// For people.
    #[default]
    Text,
    /// For people who want all quantiles.
    Wide,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
}

/// Does it.
pub fn run(arguments: &Arguments) -> End {
    let What::Stream(of) = &arguments.what;
    match block_on(profile(of)) {
        Ok(end) | Err(end) => end,
    }
}

async fn profile(of: &OfStream) -> Result<End, End> {
    let select = of.select(Timestamp::now()).map_err(|message| {
        note(&format!("headworks: {message}"));
        End::Usage
    })?;
    let stream = of.reading.open(Wanted::Records).await?;
    stream.note_masked();
    let mut profiled = Profiled {
        form: of.output,
        stream: stream.name(),
        end: None,
    };
    let task = PeekTask::Profile(ProfileRequest {
        records: of.records,
    });
    stream.read(task, select, &mut profiled).await?;
    Ok(profiled.end.unwrap_or(End::Fine))
}

impl OfStream {
    fn select(&self, now: Timestamp) -> Result<PeekSelection, String> {
        let (since, until_ms) = between(self.since.as_ref(), self.until.as_ref(), now)?;
        Ok(PeekSelection {
            from: since.map(PeekFrom::Time),
            until_ms,
            limit: 1,
            seconds: seconds(self.timeout.as_ref(), SECONDS),
            ..PeekSelection::default()
        })
    }
}

struct Profiled {
    form: Form,
    stream: String,
    end: Option<End>,
}

impl Profiled {
    fn print(&self, profile: &StreamProfile) {
        match self.form {
            Form::Json => output::json(profile),
            Form::Yaml => {
                let text = serde_saphyr::to_string(profile).unwrap_or_default();
                let lines = text.lines().map(peeked::printable);
                output::line(&lines.collect::<Vec<_>>().join("\n"));
            }
            Form::Text | Form::Wide => {
                let text = show::text(&self.stream, profile, self.form == Form::Wide);
                output::write(text.as_bytes());
            }
        }
    }
}

impl Listener for Profiled {
    fn is_over(&self) -> bool {
        self.end.is_some()
    }

    fn line(&mut self, text: &str) -> bool {
        match serde_json::from_str(text) {
            Ok(PeekLine::Profile(profile)) => {
                self.print(&profile);
                if !profile.complete {
                    note(&format!(
                        "time was over when {} records had been read: it is a profile of these; --timeout gives it longer",
                        profile.read
                    ));
                }
                self.end = Some(End::Fine);
            }
            Ok(PeekLine::Note { message }) => note(&peeked::printable(&message)),
            Ok(PeekLine::Failed { reason, message }) => {
                self.end = Some(wrong(peeked::failed(&reason, &message)));
            }
            _ => note(&peeked::printable(text)),
        }
        true
    }
}
