//! `headworks`, the command line for people: it checks, tests and runs Pipelines without a cluster, and looks
//! after a Headworks that runs in one. Linked as `kubectl-headworks` it is `kubectl headworks`.
//!
//! Rooms: [`yaml`] files with places, [`files`] and [`kustomize`] which files, [`object`] what stands in them, [`schema`] and
//! [`validate`] what is wrong with them, [`rows`], [`local`] and [`play`] a run in memory, [`commands`] one file a command.
//!
//! Exit codes: 0 fine; 1 problems were found; 2 wrong usage; 3 an input can't be read, or the cluster
//! can't be reached.

#![allow(
    clippy::format_push_string,
    reason = "what is said to people is short, and reads better so"
)]

mod cluster;
mod commands;
mod files;
mod finding;
mod kustomize;
mod leftovers;
mod local;
mod object;
mod output;
mod patterns;
mod play;
mod rows;
mod schema;
mod validate;
mod yaml;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use commands::{
    dlq, doctor, explain, impact, import, leftovers as staying, peek, profile, quality, replay,
    run, schema as schemas, test, uninstall, validate as validating, version,
};

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Fine.
    Fine,
    /// Problems were found.
    Problems,
    /// Wrong usage.
    Usage,
    /// An input can't be read, or the cluster can't be reached.
    Unreadable,
}

impl From<End> for ExitCode {
    fn from(end: End) -> Self {
        Self::from(match end {
            End::Fine => 0,
            End::Problems => 1,
            End::Usage => 2,
            End::Unreadable => 3,
        })
    }
}

const EXIT_CODES: &str = "Exit codes: 0 fine; 1 problems were found; 2 wrong usage; 3 an input can't be read, or the cluster can't be reached.";

/// Checks, tests and runs Headworks pipelines on files, and looks after a Headworks in a cluster.
#[derive(Debug, Parser)]
#[command(name = "headworks", version, about, after_help = EXIT_CODES, max_term_width = 120)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Checks manifests without a cluster: fields, references, SQL, contracts.
    #[command(after_help = EXIT_CODES)]
    Validate(validating::Arguments),
    /// Runs the tests in Pipelines' spec.tests, without a cluster.
    #[command(after_help = EXIT_CODES)]
    Test(test::Arguments),
    /// Runs a Pipeline on files of records, without a cluster.
    #[command(after_help = EXIT_CODES)]
    Run(run::Arguments),
    /// Says what a Pipeline becomes: stages, columns read, the result's contract, lineage, guarantees.
    #[command(after_help = EXIT_CODES)]
    Explain(explain::Arguments),
    /// Prints a stream's contract as an Avro schema, a Protobuf file or a JSON Schema.
    #[command(after_help = EXIT_CODES)]
    Schema(schemas::Arguments),
    /// Says whom a change of contracts breaks or alters: Pipelines, Sources, grants, tables, owners.
    #[command(
        after_help = "Exit codes: 0 nothing breaks; 1 something breaks, or a change is refused; 2 wrong usage; 3 an input can't be read, or the cluster can't be reached."
    )]
    Impact(impact::Arguments),
    /// Makes QualityRules of suites of Great Expectations and tests of dbt.
    #[command(
        after_help = "Exit codes: 0 all of it was translated; 1 something was left out, and standard error says what and why; 2 wrong usage; 3 an input can't be read."
    )]
    Import(import::Arguments),
    /// Looks at a cluster: what isn't well, and what to do.
    #[command(after_help = EXIT_CODES)]
    Doctor(doctor::Arguments),
    /// Prints records of a stream, decoded by its contract, with labelled fields masked.
    #[command(after_help = EXIT_CODES)]
    Peek(peek::Arguments),
    /// Lists, shows, counts and exports the dead letters of a stream, with labelled fields masked.
    #[command(after_help = EXIT_CODES)]
    Dlq(dlq::Arguments),
    /// Says what is in a stream's columns: nulls, distinct values, ranges, quantiles, frequent values.
    #[command(after_help = EXIT_CODES)]
    Profile(profile::Arguments),
    /// Says what a Replay would do, before it does it.
    #[command(after_help = EXIT_CODES)]
    Replay(replay::Arguments),
    /// Says what a QualityRule would do, before it is applied.
    #[command(after_help = EXIT_CODES)]
    Quality(quality::Arguments),
    /// Says what stayed when objects went, and how it is removed; deletes only what is named.
    #[command(after_help = EXIT_CODES)]
    Leftovers(staying::Arguments),
    /// Takes Headworks out of a cluster; topics, tables and Secrets stay.
    #[command(after_help = EXIT_CODES)]
    Uninstall(uninstall::Arguments),
    /// Prints a script that completes this command in a shell.
    #[command(after_help = "bash: source <(headworks completion bash)")]
    Completion {
        /// The shell.
        shell: Shell,
    },
    /// Prints the version.
    Version(version::Arguments),
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

fn main() -> ExitCode {
    let end = match Arguments::parse().command {
        Command::Validate(arguments) => validating::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Run(arguments) => run::run(&arguments),
        Command::Explain(arguments) => explain::run(&arguments),
        Command::Schema(arguments) => schemas::run(&arguments),
        Command::Impact(arguments) => impact::run(&arguments),
        Command::Import(arguments) => import::run(&arguments),
        Command::Doctor(arguments) => doctor::run(&arguments),
        Command::Peek(arguments) => peek::run(&arguments),
        Command::Dlq(arguments) => dlq::run(&arguments),
        Command::Profile(arguments) => profile::run(&arguments),
        Command::Replay(arguments) => replay::run(&arguments),
        Command::Quality(arguments) => quality::run(&arguments),
        Command::Leftovers(arguments) => staying::run(&arguments),
        Command::Uninstall(arguments) => uninstall::run(&arguments),
        Command::Completion { shell } => {
            complete(shell);
            End::Fine
        }
        Command::Version(arguments) => version::run(&arguments),
    };
    end.into()
}

fn complete(shell: Shell) {
    let shell = match shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "headworks", &mut script);
    output::write(&script);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_fit_together() {
        Arguments::command().debug_assert();
    }
}
