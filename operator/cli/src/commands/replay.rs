//! `headworks replay plan`: what a Replay would do, before it does it. The records are read where the Replay would read them, and are
//! selected, put right and judged by the code of its pod; nothing is written.

mod told;

use std::path::PathBuf;

use headworks_crds::{Duration, Replay};
use headworks_operator::replay::{build, validate};
use headworks_plan::{PeekSelection, PeekTask};
use kube::ResourceExt;

use super::peek::reading::Access;
use super::peek::select::seconds;
use super::peek::{Wanted, wrong};
use crate::cluster::block_on;
use crate::object::{Object, Typed};
use crate::output::note;
use crate::{EXIT_CODES, End};
use told::Told;

/// For how long records are read at most, in seconds.
const SECONDS: u64 = 600;

/// Arguments of `headworks replay`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Says what a Replay in a file would do: how many records it selects, by reason, and what would become of them.
    #[command(after_help = EXIT_CODES)]
    Plan(Planned),
}

#[derive(Debug, clap::Args)]
struct Planned {
    /// The Replay's name. May be left out where the files hold one.
    name: Option<String>,
    /// Files or folders; - is standard input.
    #[arg(short = 'f', long = "filename", value_name = "PATH", required = true)]
    files: Vec<PathBuf>,
    #[command(flatten)]
    access: Access,
    /// For how long records are read at most, such as 30m. Absent: 10m.
    #[arg(long, value_name = "DURATION")]
    timeout: Option<Duration>,
    /// How it is written: for people, or as JSON or YAML.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

/// How it is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
    /// For programs and people.
    Yaml,
}

/// Does it.
pub fn run(arguments: &Arguments) -> End {
    let What::Plan(of) = &arguments.what;
    match block_on(plan(of)) {
        Ok(end) | Err(end) => end,
    }
}

async fn plan(of: &Planned) -> Result<End, End> {
    let cluster = of.access.connect().await?;
    let namespace = of.access.namespace(&cluster).to_owned();
    let (namespace, replay) = one(
        &of.files,
        &namespace,
        of.name.as_deref(),
        "Replay",
        |typed| match typed {
            Typed::Replay(replay) => Some((**replay).clone()),
            _ => None,
        },
    )?;
    let spec = &replay.spec;
    let letters = spec.from.dead_letter_of.is_some();
    let wants = if letters {
        Wanted::DeadLetters
    } else {
        Wanted::Records
    };
    let stream = of
        .access
        .open(cluster, &namespace, spec.source(), wants)
        .await?;
    let source = stream.judged().await?;
    let target = if spec.target() == spec.source() {
        source.clone()
    } else {
        stream.other(spec.target()).await?
    };
    let sql = validate::check(spec, &source.stream.contract, &target.stream.contract);
    let sql = sql.map_err(|error| wrong(error.message()))?;
    let pipeline = match spec.into_pipeline() {
        None => None,
        Some(name) => Some(stream.pipeline(name).await?),
    };
    let between = build::Between {
        source: &source,
        target: &target,
        pipeline: pipeline.as_ref(),
    };
    let replay = Replay {
        metadata: kube::api::ObjectMeta {
            namespace: Some(namespace),
            ..replay.metadata.clone()
        },
        ..replay.clone()
    };
    let plan = build::role(&replay, between, sql, "").map_err(|e| wrong(e.message()))?;
    stream.note_masked();
    let mut told = Told::new(of.output, replay.name_any(), spec);
    let select = PeekSelection {
        limit: 1,
        seconds: seconds(of.timeout.as_ref(), SECONDS),
        ..PeekSelection::default()
    };
    let task = PeekTask::Replay(Box::new(plan));
    stream.read(task, select, &mut told).await?;
    Ok(told.end())
}

/// The object of a kind in files, with its namespace; `name` says which, where there are several. What is wrong with it is said.
///
/// # Errors
/// What can't be read, is wrong, or isn't there.
pub fn one<T>(
    files: &[PathBuf],
    namespace: &str,
    name: Option<&str>,
    kind: &str,
    of: impl Fn(&Typed) -> Option<T>,
) -> Result<(String, T), End> {
    let checked = super::load(files, namespace, true)?;
    let fits =
        |object: &&Object| object.kind == kind && name.is_none_or(|name| name == object.name);
    let all: Vec<&Object> = checked.world.objects.iter().filter(fits).collect();
    let [object] = all[..] else {
        let names: Vec<&str> = all.iter().map(|object| object.name.as_str()).collect();
        note(&match (names.is_empty(), name) {
            (true, None) => format!("headworks: the files hold no {kind}"),
            (true, Some(name)) => format!("headworks: the files hold no {kind} {name}"),
            (false, _) => format!(
                "headworks: the files hold several: name one of {}",
                names.join(", ")
            ),
        });
        return Err(End::Usage);
    };
    let title = object.title();
    let wrong = checked.findings.iter();
    let mut is_wrong = false;
    for finding in wrong.filter(|finding| finding.is_error() && finding.object == title) {
        note(&finding.to_string());
        is_wrong = true;
    }
    match object.typed.as_ref().and_then(of) {
        Some(found) if !is_wrong => Ok((object.namespace.clone(), found)),
        _ => Err(End::Problems),
    }
}
