//! What a run says in its last lines: which tests were skipped for what, and which took long. `e2e/bin/test` names the files.

use std::io::Write as _;
use std::time::Duration;

/// A test that takes longer is named at the end of the run.
const LONG: Duration = Duration::from_secs(20);

/// Says that a test was skipped, by its name, for what it needs; the run's last lines count it.
pub fn skipped(test: &str, needs: &str) {
    let test = name(test);
    println!("SKIPPED {test}: needs {needs}");
    tell("HEADWORKS_SKIPPED", &format!("needs {needs}"));
}

/// Notes a test that took long.
pub(crate) fn took(test: &str, time: Duration) {
    if time > LONG {
        println!("    ({test} took {} s)", time.as_secs());
        tell(
            "HEADWORKS_SLOW",
            &format!("{:>5} s  {test}", time.as_secs()),
        );
    }
}

/// Name of the test that runs, as the harness names its thread; with one thread only, what the caller calls it.
pub(crate) fn name(otherwise: &str) -> String {
    let thread = std::thread::current();
    match thread.name() {
        Some(name) if name != "main" => name.to_owned(),
        _ => otherwise.to_owned(),
    }
}

fn tell(file: &str, line: &str) {
    let Some(path) = std::env::var_os(file) else {
        return;
    };
    let file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path);
    if let Ok(mut file) = file {
        // One write a line: tests run side by side.
        let _ = file.write_all(format!("{line}\n").as_bytes());
    }
}
