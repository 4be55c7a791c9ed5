//! Writing to standard output and error. A reader that went away (`| head`) is no fault.

use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use tokio::io::{Interest, Ready};
use tokio::net::unix::pipe::Sender;

/// Writes to standard output.
pub fn write(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// Writes a line to standard output.
pub fn line(text: &str) {
    write(format!("{text}\n").as_bytes());
}

/// Writes a line to standard output; false where nobody reads any more.
pub fn sent(text: &str) -> bool {
    let mut out = io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).is_ok()
}

/// Returns when nobody reads standard output any more, where it is a pipe: before anything is written to it.
pub async fn abandoned() {
    closed(io::stdout()).await;
}

/// A file or terminal is never closed by its reader. What is watched is a second descriptor, which is neither written to nor
/// made non-blocking.
async fn closed(pipe: impl AsFd) {
    let second = pipe.as_fd().try_clone_to_owned();
    let watched = second.and_then(Sender::from_owned_fd_unchecked);
    let told = match &watched {
        Ok(pipe) => pipe.ready(Interest::ERROR).await.is_ok_and(Ready::is_error),
        Err(_) => false,
    };
    if !told {
        std::future::pending::<()>().await;
    }
}

/// Writes a line to standard error.
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Pretty JSON with a line end.
pub fn json(value: &impl serde::Serialize) {
    line(&serde_json::to_string_pretty(value).unwrap_or_default());
}

/// Colours, if standard output is a terminal and nobody asked for none.
pub fn is_coloured() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// Red, where there are colours.
pub fn red(text: &str) -> String {
    if is_coloured() {
        format!("\u{1b}[31m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}

/// Green, where there are colours.
pub fn green(text: &str) -> String {
    if is_coloured() {
        format!("\u{1b}[32m{text}\u{1b}[0m")
    } else {
        text.to_owned()
    }
}

/// How a result is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// For people.
    #[default]
    Text,
    /// For programs.
    Json,
}

/// Rows in aligned columns, each line after `indent`.
pub fn columns<const N: usize>(rows: &[[String; N]], indent: &str) -> String {
    let width = |at: usize| rows.iter().map(|row| row[at].chars().count()).max();
    let widths: Vec<usize> = (0..N).map(|at| width(at).unwrap_or(0)).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row
            .iter()
            .zip(&widths)
            .map(|(cell, w)| format!("{cell:<w$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        text.push_str(format!("{indent}{line}").trim_end());
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{sleep, timeout};

    use super::*;

    const SHORT: Duration = Duration::from_millis(100);
    const LONG: Duration = Duration::from_secs(10);

    #[tokio::test]
    async fn a_pipe_whose_reader_goes_is_noticed_while_nothing_is_written() {
        let (reader, writer) = io::pipe().unwrap();
        assert!(timeout(SHORT, closed(&writer)).await.is_err());
        let gone = async {
            sleep(SHORT).await;
            drop(reader);
        };
        let noticed = timeout(LONG, closed(&writer));
        assert!(tokio::join!(gone, noticed).1.is_ok());
        // One that went before anybody looked.
        assert!(timeout(LONG, closed(&writer)).await.is_ok());
    }

    #[tokio::test]
    async fn a_file_has_no_reader_that_goes() {
        let file = std::fs::File::open(std::env::current_exe().unwrap()).unwrap();
        assert!(timeout(SHORT, closed(&file)).await.is_err());
    }
}
