//! `headworks run`: a Pipeline over files of records, through the same decoding, evaluation and encoding as in a
//! pod. Memory is bounded: a batch is read, run and written before the next one.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use headworks_crds::Pipeline;
use headworks_engine::local::{BadRecord, LocalError, Row, Sink};
use serde_json::json;

use crate::finding::Finding;
use crate::object::Object;
use crate::play::{Ended, Source, play};
use crate::validate::{self, Checked};
use crate::{End, local, output};

/// Longest record. Kafka takes 1 MB if it isn't told otherwise.
const LONGEST: u64 = 64 << 20;

/// Arguments of `headworks run`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The file or folder with the Pipeline; its streams may stand there too.
    file: PathBuf,
    /// Records, one JSON object a line: STREAM=FILE, or FILE alone where the query reads one stream; - is standard
    /// input. May be given several times.
    #[arg(short, long, required = true, value_name = "[STREAM=]FILE")]
    input: Vec<String>,
    /// More files or folders with streams.
    #[arg(long, value_name = "PATH")]
    stream_file: Vec<PathBuf>,
    /// Which Pipeline, where there are several: NAME or NAMESPACE/NAME.
    #[arg(short, long, value_name = "NAME")]
    pipeline: Option<String>,
    /// In whose form rows are written, by the target's name: a stream's contract, or a table's columns. Absent: the
    /// first target's.
    #[arg(long, value_name = "TARGET")]
    to: Option<String>,
    /// Where rows go, one JSON object a line; - is standard output.
    #[arg(short, long, default_value = "-", value_name = "FILE")]
    output: PathBuf,
    /// Where records that can't be used go, one JSON object a line with the reason. Absent: standard error.
    #[arg(long, value_name = "FILE")]
    dead_letters: Option<PathBuf>,
    /// Namespace of objects that name none.
    #[arg(short, long, default_value = "default")]
    namespace: String,
}

/// Runs a Pipeline on files.
pub fn run(arguments: &Arguments) -> End {
    match prepare(arguments) {
        Ok(end) => end,
        Err((end, message)) => {
            output::note(&format!("headworks: {message}"));
            end
        }
    }
}

type Failure = (End, String);

fn prepare(arguments: &Arguments) -> Result<End, Failure> {
    let paths: Vec<PathBuf> = std::iter::once(arguments.file.clone())
        .chain(arguments.stream_file.iter().cloned())
        .collect();
    let checked = match super::load(&paths, &arguments.namespace, true) {
        Ok(checked) => checked,
        Err(end) => return Ok(end),
    };
    let (object, pipeline) = choose(&checked, arguments.pipeline.as_deref())?;
    let about = about(&checked, object, pipeline);
    let errors: Vec<&Finding> = about.iter().copied().filter(|f| f.is_error()).collect();
    if !errors.is_empty() {
        return Err((End::Problems, why_not(&errors)));
    }
    let Some(planned) = validate::plan(&checked.world, object, pipeline) else {
        return Err((End::Problems, why_not(&about)));
    };
    let target = match &arguments.to {
        None => pipeline.spec.to.first(),
        Some(name) => {
            let found = pipeline.spec.to.iter().find(|to| {
                to.stream.as_ref() == Some(name)
                    || to.table.as_ref().is_some_and(|t| t.name == *name)
            });
            let unknown = || {
                (
                    End::Usage,
                    format!("--to {name}: the Pipeline has no such target"),
                )
            };
            Some(found.ok_or_else(unknown)?)
        }
    };
    let inputs = inputs(&arguments.input, &planned.inputs)?;
    let plan = local::plan(&checked.world, object, pipeline, &planned, target);
    let mut run = local::compile(&plan).map_err(|e| (End::Problems, e.to_string()))?;

    let read: Vec<&Path> = paths
        .iter()
        .chain(inputs.iter().map(|(_, path)| path))
        .map(PathBuf::as_path)
        .collect();
    let written: Vec<&Path> = std::iter::once(arguments.output.as_path())
        .chain(arguments.dead_letters.as_deref())
        .collect();
    if let Some(path) = overwritten(&read, &written) {
        return Err((
            End::Usage,
            format!(
                "{}: it can't be read and written, or written twice: choose another file for --output or --dead-letters",
                path.display()
            ),
        ));
    }
    let unwritable = |path: &Path| {
        let path = path.display().to_string();
        move |error: io::Error| (End::Unreadable, format!("{path}: {error}"))
    };
    let open = |path: &Path| -> Result<Box<dyn Write>, Failure> {
        if path.as_os_str() == "-" {
            return Ok(Box::new(io::stdout().lock()));
        }
        let file = File::create(path).map_err(unwritable(path))?;
        Ok(Box::new(file))
    };
    let mut sink = Written {
        streams: &planned.inputs,
        rows: BufWriter::with_capacity(1 << 16, open(&arguments.output)?),
        letters: match &arguments.dead_letters {
            Some(path) => BufWriter::new(open(path)?),
            None => BufWriter::new(Box::new(io::stderr())),
        },
        given: 0,
        bad: 0,
    };
    let read = Rc::new(Cell::new(0));
    let result = files(&inputs, &read).and_then(|files| {
        play(&mut run, planned.inputs.len(), files, &mut sink).map_err(|ended| match ended {
            Ended::Source(failure) => failure,
            Ended::Run(error) => failed(error),
        })
    });
    let result = result.map(|_| ());
    let flushed = sink.rows.flush().and_then(|()| sink.letters.flush());
    if gone(&result) || flushed.as_ref().is_err_and(is_gone) {
        return Ok(End::Fine);
    }
    flushed.map_err(|e| (End::Unreadable, format!("writing: {e}")))?;
    output::note(&format!(
        "{}/{}: {} records read, {} rows written, {} dead letters",
        object.namespace,
        object.name,
        read.get(),
        sink.given,
        sink.bad
    ));
    result.map(|()| End::Fine)
}

fn choose<'a>(
    checked: &'a Checked,
    name: Option<&str>,
) -> Result<(&'a Object, &'a Pipeline), Failure> {
    let fits = |object: &Object| {
        name.is_none_or(|name| {
            name == object.name || name == format!("{}/{}", object.namespace, object.name)
        })
    };
    let mut found = checked.world.pipelines().filter(|(o, _)| fits(o));
    let Some(first) = found.next() else {
        let mut said = match name {
            Some(name) => format!("no Pipeline {name} in these files"),
            None => "no Pipeline in these files".to_owned(),
        };
        for finding in checked.findings.iter().filter(|f| f.is_error()) {
            said.push_str(&format!("\n{finding}"));
        }
        return Err((End::Problems, said));
    };
    let rest: Vec<String> = found
        .map(|(o, _)| format!("{}/{}", o.namespace, o.name))
        .collect();
    if rest.is_empty() {
        return Ok(first);
    }
    Err((
        End::Usage,
        format!(
            "there are several Pipelines: choose one by --pipeline: {}/{}, {}",
            first.0.namespace,
            first.0.name,
            rest.join(", ")
        ),
    ))
}

/// What was found of a Pipeline, the streams that it reads, the rules of these, and the streams that it writes; its tests are
/// another matter.
fn about<'a>(checked: &'a Checked, object: &Object, pipeline: &Pipeline) -> Vec<&'a Finding> {
    let written = pipeline.spec.to.iter().filter_map(|to| to.stream.clone());
    let read = headworks_sql::inputs(&pipeline.spec.sql).unwrap_or_default();
    let mut titles = vec![object.title()];
    let rules = checked.world.quality_rules();
    let judging = rules.filter(|(rule, spec)| {
        rule.namespace == object.namespace && read.contains(&spec.spec.stream)
    });
    titles.extend(judging.map(|(rule, _)| rule.title()));
    for name in read.into_iter().chain(written) {
        titles.push(format!("DataStream {}/{name}", object.namespace));
    }
    let findings = checked.findings.iter();
    findings
        .filter(|f| titles.contains(&f.object) && !f.field.starts_with("spec.tests"))
        .collect()
}

fn why_not(findings: &[&Finding]) -> String {
    let said: Vec<String> = findings.iter().map(ToString::to_string).collect();
    format!("the Pipeline can't run:\n{}", said.join("\n"))
}

/// Which input is which stream's.
fn inputs(given: &[String], streams: &[String]) -> Result<Vec<(usize, PathBuf)>, Failure> {
    let mut inputs = Vec::new();
    for text in given {
        let named = text.split_once('=').and_then(|(name, path)| {
            let at = streams.iter().position(|stream| stream == name)?;
            Some((at, PathBuf::from(path)))
        });
        match named {
            Some(input) => inputs.push(input),
            None if streams.len() == 1 && (!text.contains('=') || Path::new(text).exists()) => {
                inputs.push((0, PathBuf::from(text)));
            }
            None => {
                return Err((
                    End::Usage,
                    format!(
                        "--input {text}: write STREAM=FILE; the query reads {}",
                        streams.join(", ")
                    ),
                ));
            }
        }
    }
    Ok(inputs)
}

/// A file that would be written although it is read, or is written already. Devices may be: they keep nothing.
fn overwritten<'a>(read: &[&Path], written: &[&'a Path]) -> Option<&'a Path> {
    let whole = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let mut taken: Vec<PathBuf> = read.iter().map(|path| whole(path)).collect();
    for path in written {
        let at = whole(path);
        let kept = at.is_file() || !at.exists();
        if kept && path.as_os_str() != "-" && taken.contains(&at) {
            return Some(path);
        }
        taken.push(at);
    }
    None
}

/// Opens the inputs, all of them: which one is read next depends on their records.
fn files(
    inputs: &[(usize, PathBuf)],
    read: &Rc<Cell<u64>>,
) -> Result<Vec<Box<dyn Source<Failure>>>, Failure> {
    let open = |(stream, path): &(usize, PathBuf)| -> Result<Box<dyn Source<Failure>>, Failure> {
        let shown = path.display().to_string();
        let source: Box<dyn Read> = if path.as_os_str() == "-" {
            Box::new(io::stdin())
        } else {
            let file = File::open(path).map_err(|e| (End::Unreadable, format!("{shown}: {e}")))?;
            Box::new(file)
        };
        Ok(Box::new(Lines {
            shown,
            stream: *stream,
            reader: BufReader::with_capacity(1 << 16, source),
            line: Vec::new(),
            number: 0,
            read: Rc::clone(read),
        }))
    };
    inputs.iter().map(open).collect()
}

/// A file's lines as records.
struct Lines {
    shown: String,
    stream: usize,
    reader: BufReader<Box<dyn Read>>,
    line: Vec<u8>,
    number: u64,
    read: Rc<Cell<u64>>,
}

impl Source<Failure> for Lines {
    fn stream(&self) -> usize {
        self.stream
    }

    fn next(&mut self) -> Result<Option<&[u8]>, Failure> {
        let record = loop {
            self.line.clear();
            let taken = self
                .reader
                .by_ref()
                .take(LONGEST)
                .read_until(b'\n', &mut self.line)
                .map_err(|error| (End::Unreadable, format!("{}: {error}", self.shown)))?;
            if taken == 0 {
                return Ok(None);
            }
            self.number += 1;
            if taken as u64 == LONGEST && self.line.last() != Some(&b'\n') {
                return Err((
                    End::Unreadable,
                    format!(
                        "{}: line {} is longer than 64 MiB: write one record a line",
                        self.shown, self.number
                    ),
                ));
            }
            let mark = self.number == 1 && self.line.starts_with(b"\xef\xbb\xbf");
            let start = if mark { 3 } else { 0 };
            let blank = |byte: &u8| byte.is_ascii_whitespace();
            if !self.line[start..].iter().all(blank) {
                break start;
            }
        };
        self.read.set(self.read.get() + 1);
        Ok(Some(self.line[record..].trim_ascii()))
    }
}

fn failed(error: LocalError) -> Failure {
    let end = match &error {
        LocalError::Sink { .. } => End::Unreadable,
        _ => End::Problems,
    };
    let gone = matches!(&error, LocalError::Sink { source } if is_gone(source));
    (
        end,
        if gone {
            GONE.to_owned()
        } else {
            error.to_string()
        },
    )
}

/// Stands for a reader that went away, which is no failure.
const GONE: &str = "the reader went away";

fn gone(result: &Result<(), Failure>) -> bool {
    matches!(result, Err((_, message)) if message == GONE)
}

fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::BrokenPipe
}

struct Written<'a> {
    streams: &'a [String],
    rows: BufWriter<Box<dyn Write>>,
    letters: BufWriter<Box<dyn Write>>,
    given: u64,
    bad: u64,
}

impl Sink for Written<'_> {
    fn row(&mut self, row: Row<'_>) -> io::Result<()> {
        if row.output > 0 {
            return Ok(());
        }
        self.given += 1;
        self.rows.write_all(row.value)?;
        self.rows.write_all(b"\n")
    }

    fn bad(&mut self, bad: BadRecord<'_>) -> io::Result<()> {
        self.bad += 1;
        let letter = json!({
            "stream": self.streams[bad.input],
            "record": bad.number.map(|number| number + 1),
            "reason": bad.reason.as_str(),
            "error": bad.message,
            "value": String::from_utf8_lossy(bad.value),
        });
        writeln!(self.letters, "{letter}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_read_is_not_written() {
        let folder = std::env::temp_dir();
        let input = folder.join(format!("headworks-run-{}.jsonl", std::process::id()));
        std::fs::write(&input, "{}").unwrap();
        let again = folder.join(".").join(input.file_name().unwrap());
        let (other, dash) = (folder.join("headworks-run-none"), Path::new("-"));
        assert_eq!(overwritten(&[&input], &[&again]), Some(again.as_path()));
        assert_eq!(
            overwritten(&[&input], &[&other, &other]),
            Some(other.as_path())
        );
        assert_eq!(overwritten(&[&input, dash], &[dash, &other]), None);
        let null = Path::new("/dev/null");
        assert_eq!(overwritten(&[&input], &[null, null]), None);
        std::fs::remove_file(&input).unwrap();
    }
}
