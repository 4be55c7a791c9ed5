//! Writing to standard output and error. A reader that went away (`| head`) is no fault.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use headworks_operator::reports::is_hidden;
use tokio::io::{Interest, Ready};
use tokio::net::unix::pipe::Sender;

/// Writes to standard output.
pub fn write(bytes: &[u8]) {
    let mut out = io::stdout().lock();
    let _ = out.write_all(bytes).and_then(|()| out.flush());
}

/// Writes lines to standard output, [`visible`].
pub fn text(lines: &str) {
    write(visible(lines).as_bytes());
}

/// Writes a line to standard output, [`visible`].
pub fn line(text: &str) {
    write(format!("{}\n", visible(text)).as_bytes());
}

/// Writes a line to standard output; false where nobody reads any more.
pub fn sent(text: &str) -> bool {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", visible(text))
        .and_then(|()| out.flush())
        .is_ok()
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

/// Writes a line to standard error, [`visible`].
pub fn note(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", visible(text));
}

/// What is printed may quote a record, a file, an object's field or another's message. What a terminal would obey or hide in it (control
/// characters but ends of lines, tabs and our own colours; what turns the direction of writing; what has no width) is written as JSON
/// writes it, `\u202e`: in JSON and in YAML's quotes it says the same.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.contains(is_hidden) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len() + 16);
    for (at, c) in text.char_indices() {
        let ours = matches!(c, '\n' | '\t') || COLOURS.iter().any(|of| text[at..].starts_with(of));
        if ours || !is_hidden(c) {
            shown.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            let _ = write!(shown, "\\u{unit:04x}");
        }
    }
    Cow::Owned(shown)
}

const RED: &str = "\u{1b}[31m";
const GREEN: &str = "\u{1b}[32m";
const PLAIN: &str = "\u{1b}[0m";
const COLOURS: [&str; 3] = [RED, GREEN, PLAIN];

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
        format!("{RED}{text}{PLAIN}")
    } else {
        text.to_owned()
    }
}

/// Green, where there are colours.
pub fn green(text: &str) -> String {
    if is_coloured() {
        format!("{GREEN}{text}{PLAIN}")
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

    #[test]
    fn nothing_that_is_printed_is_obeyed_or_hidden_but_our_own_colours() {
        let told =
            visible("a\tb\n\u{1b}[31mred\u{1b}[0m \u{1b}[2J\u{202e}x\u{200b}\u{9b}\r\u{e0041}ü");
        assert_eq!(
            told,
            "a\tb\n\u{1b}[31mred\u{1b}[0m \\u001b[2J\\u202ex\\u200b\\u009b\\u000d\\udb40\\udc41ü"
        );
        // JSON says the same.
        let value = serde_json::json!({"k": "\u{202e}\u{7f}\u{2066}"});
        let text = serde_json::to_string_pretty(&value).unwrap();
        let again: serde_json::Value = serde_json::from_str(&visible(&text)).unwrap();
        assert_eq!(again, value);
        assert!(matches!(visible("plain"), Cow::Borrowed(_)));
    }

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
