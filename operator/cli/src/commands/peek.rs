//! `headworks peek stream`: records of a stream, decoded by its contract, with labelled fields masked.
//!
//! A laptop rarely reaches Kafka's addresses, and nobody should have to hold Kafka's passwords to look at three records. So a
//! short-lived pod reads beside Kafka, with the image and the decoders of Pipelines, prints to its log, and is deleted,
//! however the command ends (docs/decisions/0014).

mod attend;
mod gather;
mod image;
mod labels;
mod plan;
mod pod;
pub mod reading;
pub mod select;
pub mod show;

use headworks_plan::{PeekLine, PeekTask};
use k8s_openapi::jiff::Timestamp;

use crate::cluster::block_on;
use crate::output::{self, Form, note};
use crate::{EXIT_CODES, End};
pub use plan::Wanted;
use reading::{Listener, Reading};
use show::Line;

/// Arguments of `headworks peek`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Prints records of a DataStream, decoded by its contract, with labelled fields masked.
    #[command(visible_alias = "streams", after_help = EXIT_CODES)]
    Stream(OfStream),
}

#[derive(Debug, clap::Args)]
struct OfStream {
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    selection: select::Selection,
    /// How records are written: rows, or a JSON object a line.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

/// Prints.
pub fn run(arguments: &Arguments) -> End {
    let What::Stream(of) = &arguments.what;
    match block_on(peek(of)) {
        Ok(end) | Err(end) => end,
    }
}

/// Something that is wrong, told.
pub fn wrong(message: impl std::fmt::Display) -> End {
    note(&format!("headworks: {message}"));
    End::Problems
}

async fn peek(of: &OfStream) -> Result<End, End> {
    let select = of.selection.told(Timestamp::now()).map_err(|message| {
        note(&format!("headworks: {message}"));
        End::Usage
    })?;
    let stream = of.reading.open(Wanted::Records).await?;
    let mut shown = Shown {
        form: of.output,
        follow: select.follow,
        records: 0,
        end: None,
    };
    stream.note_masked();
    stream.read(PeekTask::Records, select, &mut shown).await?;
    Ok(shown.end.unwrap_or(End::Fine))
}

/// What was printed so far.
pub struct Shown {
    form: Form,
    /// True: whoever ends it has seen enough.
    follow: bool,
    /// Records that came.
    records: u64,
    /// Present: the reader has said that it is at the end, or why it can't go on.
    end: Option<End>,
}

impl Listener for Shown {
    fn is_over(&self) -> bool {
        self.end.is_some()
    }

    fn may_be_stopped(&self) -> bool {
        self.follow
    }

    fn line(&mut self, text: &str) -> bool {
        match show::line(text) {
            Line::Record(record) => {
                self.records += 1;
                match self.form {
                    Form::Json => output::sent(&show::json(text)),
                    Form::Text => {
                        (self.records > 1 || output::sent(&show::head()))
                            && output::sent(&show::row(&record))
                    }
                }
            }
            Line::Peek(PeekLine::Note { message }) => {
                note(&show::printable(&message));
                true
            }
            Line::Peek(PeekLine::End {
                records,
                read,
                more,
                ..
            }) => {
                note(&show::summary(self.records, read, more));
                self.end = Some(match show::lost(records, self.records) {
                    None => End::Fine,
                    Some(message) => wrong(message),
                });
                true
            }
            Line::Peek(PeekLine::Failed { reason, message }) => {
                self.end = Some(wrong(show::failed(&reason, &message)));
                true
            }
            Line::Log | Line::Peek(_) => {
                note(&show::printable(text));
                true
            }
        }
    }
}
