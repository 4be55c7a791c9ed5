//! Dead letters into a file, a JSON object a line. A pod's log holds 8 MiB, so one pod after another goes on where the last one ended,
//! each to the ends that the first has found. An export that breaks off says where it can be gone on with.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::Path;

use headworks_plan::{PeekLine, PeekPosition, PeekTask};

use super::super::peek::Wanted;
use super::super::peek::reading::Listener;
use super::super::peek::{show, wrong};
use super::ask::At;
use super::letter::{self, Line};
use super::list::none;
use crate::End;
use crate::output::note;

/// Does it.
///
/// # Errors
/// It has broken off, and says where it can be gone on with; or it never began.
pub(super) async fn export(of: &super::Export) -> Result<End, End> {
    let filter = of.filter.told().map_err(super::usage)?;
    let mut to = sink(&of.to, !of.from.is_empty()).map_err(super::usage)?;
    let stream = of.reading.open(Wanted::DeadLetters).await?;
    stream.note_masked();
    let mut positions: Vec<PeekPosition> = of.from.iter().map(|at| at.position()).collect();
    let mut written = 0;
    loop {
        let mut select = of.filter.select(of.limit.unwrap_or(u64::MAX) - written);
        select.positions.clone_from(&positions);
        let mut part = Part::new(&mut to, &positions);
        let done = stream
            .read(PeekTask::Export(filter.clone()), select, &mut part)
            .await;
        let ended = part.ended();
        written += ended.written;
        let is_moved = ended.positions != positions;
        positions = ended.positions;
        let end = match (done, ended.end) {
            (Ok(()), Some(Ok(more))) => {
                let enough = of.limit.is_some_and(|limit| written >= limit);
                if more && !enough && is_moved {
                    note(&format!("{written} dead letters so far"));
                    continue;
                }
                if more && !enough {
                    Err(wrong("a pod came no farther than the one before"))
                } else {
                    Ok(End::Fine)
                }
            }
            (Ok(()), Some(Err(end))) | (Err(end), _) => Err(end),
            (Ok(()), None) => Ok(End::Fine),
        };
        let is_none = written == 0 && end.is_ok() && of.from.is_empty();
        note(&if is_none {
            none(&stream.name(), of.filter.is_any())
        } else {
            format!("{written} dead letters{}", go_on(&positions))
        });
        return end;
    }
}

/// What is said of how to go on, later or after a failure.
fn go_on(positions: &[PeekPosition]) -> String {
    if positions.is_empty() {
        return String::new();
    }
    let places = positions.iter().map(|position| {
        let at = At {
            partition: position.partition,
            offset: position.offset,
        };
        at.to_string()
    });
    let places: Vec<String> = places.collect();
    format!("; what comes after them: --from {}", places.join(","))
}

/// Where they are written.
enum Sink {
    Standard(io::Stdout),
    File(BufWriter<File>),
}

/// `goes_on`: what is in the file stays.
fn sink(path: &Path, goes_on: bool) -> Result<Sink, String> {
    if path == Path::new("-") {
        return Ok(Sink::Standard(io::stdout()));
    }
    let mut options = OpenOptions::new();
    if goes_on {
        options.append(true).create(true);
    } else {
        options.write(true).create_new(true);
    }
    let shown = path.display();
    match options.open(path) {
        Ok(file) => Ok(Sink::File(BufWriter::new(file))),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(format!(
            "--to: {shown} is there already: name another file, or go on in it with --from, where the export that wrote it says"
        )),
        Err(error) => Err(format!("--to: {shown} can't be written: {error}")),
    }
}

impl Sink {
    fn line(&mut self, text: &str) -> io::Result<()> {
        match self {
            Sink::Standard(out) => writeln!(out, "{}", show::json(text)),
            Sink::File(file) => writeln!(file, "{text}"),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Sink::Standard(out) => out.flush(),
            Sink::File(file) => file.flush().and_then(|()| file.get_ref().sync_all()),
        }
    }
}

/// What one pod exports.
struct Part<'a> {
    to: &'a mut Sink,
    written: u64,
    /// The next offsets, by what was written.
    next: BTreeMap<i32, PeekPosition>,
    /// Whether there are more, or how it failed.
    end: Option<Result<bool, End>>,
}

/// How far it came.
struct Ended {
    written: u64,
    positions: Vec<PeekPosition>,
    end: Option<Result<bool, End>>,
}

impl<'a> Part<'a> {
    fn new(to: &'a mut Sink, from: &[PeekPosition]) -> Part<'a> {
        Part {
            to,
            written: 0,
            next: from.iter().map(|p| (p.partition, *p)).collect(),
            end: None,
        }
    }

    fn ended(mut self) -> Ended {
        if let Err(error) = self.to.flush() {
            self.end = Some(Err(unwritten(&error)));
        }
        Ended {
            written: self.written,
            positions: self.next.into_values().collect(),
            end: self.end,
        }
    }

    fn write(&mut self, letter: &letter::Letter, text: &str) -> bool {
        if let Err(error) = self.to.line(text) {
            if error.kind() != io::ErrorKind::BrokenPipe {
                self.end = Some(Err(unwritten(&error)));
            }
            return false;
        }
        self.written += 1;
        let known = self.next.get(&letter.partition);
        let position = PeekPosition {
            partition: letter.partition,
            offset: letter.offset + 1,
            end: known.and_then(|position| position.end),
        };
        self.next.insert(letter.partition, position);
        true
    }
}

fn unwritten(error: &io::Error) -> End {
    wrong(format!("--to can't be written: {error}"))
}

impl Listener for Part<'_> {
    fn is_over(&self) -> bool {
        self.end.is_some()
    }

    fn line(&mut self, text: &str) -> bool {
        match letter::line(text) {
            Line::Letter(letter) => return self.write(&letter, text),
            Line::Peek(PeekLine::End {
                records,
                more,
                positions,
                ..
            }) => {
                self.end = Some(match show::lost(records, self.written) {
                    None => {
                        self.next = positions.into_iter().map(|p| (p.partition, p)).collect();
                        Ok(more)
                    }
                    Some(message) => Err(wrong(message)),
                });
            }
            Line::Peek(PeekLine::Note { message }) => note(&show::printable(&message)),
            Line::Peek(PeekLine::Failed { reason, message }) => {
                self.end = Some(Err(wrong(show::failed(&reason, &message))));
            }
            Line::Log | Line::Peek(_) => note(&show::printable(text)),
        }
        true
    }
}

#[cfg(test)]
mod tests;
