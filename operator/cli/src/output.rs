//! Writing to standard output and error. A reader that went away (`| head`) is no fault.

use std::io::{self, IsTerminal, Write};

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
