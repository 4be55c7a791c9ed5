//! `headworks profile stream`: what is in a stream's columns, over a bounded sample. It is read where records are read
//! (docs/decisions/0014), and what is told of a column is made there: no value of a labelled field leaves the pod. Over time: a profile
//! of each interval.

mod over_time;
mod show;

use headworks_crds::Duration;
use headworks_plan::{
    PROFILE_INTERVALS, PeekFrom, PeekLine, PeekSelection, PeekTask, ProfileRequest, StreamProfile,
};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;

use super::peek::reading::{Listener, Reading};
use super::peek::select::{When, between, seconds};
use super::peek::{Wanted, show as peeked, wrong};
use crate::cluster::block_on;
use crate::output::{self, note};
use crate::{EXIT_CODES, End};

/// For how long records are read at most, in seconds.
const SECONDS: u64 = 300;
/// Records of a profile.
const RECORDS: u64 = 100_000;
/// Records of each interval of a profile over time.
const RECORDS_OF_INTERVAL: u64 = 10_000;

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
    /// So many records at most: the newest, the same share of each partition; with --since the first ones from there. Absent: 100000,
    /// with --every 10000.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    records: Option<u64>,
    /// The records from this time on, by Kafka's timestamps: a duration ago, such as 15m, or a time, such as
    /// 2026-01-01T12:00:00Z.
    #[arg(long, value_name = "TIME")]
    since: Option<When>,
    /// Only records before this time, given as with --since.
    #[arg(long, value_name = "TIME")]
    until: Option<When>,
    /// Over time: a profile of each interval of this length from --since on, each of its first --records records.
    #[arg(long, value_name = "DURATION", requires = "since")]
    every: Option<Duration>,
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
        over_time: of.every.is_some().then(Vec::new),
        end: None,
    };
    let usual = match of.every {
        Some(_) => RECORDS_OF_INTERVAL,
        None => RECORDS,
    };
    let task = PeekTask::Profile(ProfileRequest {
        records: of.records.unwrap_or(usual),
        every_ms: of.every.as_ref().map(Duration::millis),
    });
    stream.read(task, select, &mut profiled).await?;
    Ok(profiled.end.unwrap_or(End::Fine))
}

impl OfStream {
    fn select(&self, now: Timestamp) -> Result<PeekSelection, String> {
        let (since, until) = between(self.since.as_ref(), self.until.as_ref(), now)?;
        let mut until_ms = until;
        if let Some((since, every)) = since.zip(self.every.as_ref()) {
            let end = until.unwrap_or_else(|| now.as_millisecond());
            ProfileRequest::intervals(since, end, every.millis())
                .map_err(|why| format!("--every {every}: {why}; choose another length, or another time with --since and --until"))?;
            until_ms = Some(end);
        }
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
    /// Present: the profiles of the intervals so far.
    over_time: Option<Vec<StreamProfile>>,
    end: Option<End>,
}

/// Profiles over time, as JSON and YAML have them.
#[derive(Serialize)]
struct OverTime<'a> {
    intervals: &'a [StreamProfile],
}

impl Profiled {
    /// `text` has it for people: the stream's name, and whether they want all of it.
    fn print<T: Serialize>(&self, told: &T, text: impl FnOnce(&str, bool) -> String) {
        match self.form {
            Form::Json => output::json(told),
            Form::Yaml => {
                let text = serde_saphyr::to_string(told).unwrap_or_default();
                let lines = text.lines().map(peeked::printable);
                output::line(&lines.collect::<Vec<_>>().join("\n"));
            }
            Form::Text | Form::Wide => {
                let text = text(&self.stream, self.form == Form::Wide);
                output::text(&text);
            }
        }
    }

    /// One that came; of those over time the first, or one more.
    fn take(&mut self, profile: StreamProfile) {
        match &mut self.over_time {
            // A runtime of an earlier release knows of no intervals, and says one profile of all.
            Some(_) if profile.interval.is_none() => {
                self.end = Some(wrong(
                    "this stream's runtime knows no profile over time: use --image, or a headworks command, of the same release",
                ));
            }
            Some(profiles) if profiles.len() as u64 >= PROFILE_INTERVALS => {}
            Some(profiles) => profiles.push(profile),
            None => {
                self.print(&profile, |stream, wide| show::text(stream, &profile, wide));
                if !profile.complete {
                    note(&format!(
                        "time was over when {} records had been read: it is a profile of these; --timeout gives it longer",
                        profile.read
                    ));
                }
                self.end = Some(End::Fine);
            }
        }
    }

    /// All intervals came, or all that there was time and room for.
    fn ended(&mut self) {
        let intervals = self.over_time.take().unwrap_or_default();
        let told = OverTime {
            intervals: &intervals,
        };
        self.print(&told, |stream, _| over_time::text(stream, &intervals));
        self.end = Some(End::Fine);
    }
}

impl Listener for Profiled {
    fn is_over(&self) -> bool {
        self.end.is_some()
    }

    fn line(&mut self, text: &str) -> bool {
        match serde_json::from_str(text) {
            Ok(PeekLine::Profile(profile)) => self.take(*profile),
            Ok(PeekLine::End { .. }) if self.over_time.is_some() => self.ended(),
            Ok(PeekLine::Note { message }) => note(&peeked::printable(&message)),
            Ok(PeekLine::Failed { reason, message }) => {
                self.end = Some(wrong(peeked::failed(&reason, &message)));
            }
            _ => note(&peeked::printable(text)),
        }
        true
    }
}
