//! `headworks-runtime`, the data plane's one binary: what a pod runs.
//!
//! `headworks-runtime run-plan /etc/headworks/plan.json` does what the plan says and nothing else: runs a
//! pipeline's SQL, takes records in, or watches a store. It never talks to Kubernetes; it answers `/status`, `/metrics`,
//! `/healthz` and `/readyz` on a port of its own, logs JSON lines to standard error, and on SIGTERM
//! finishes what it has within 20 s.
//!
//! Exit codes: 0 drained; 1 a thread or a port failed; 2 wrong usage; 3 the plan can't be read, or is
//! of another version; 4 the drain was cut short (nothing is lost: a pipeline reads it again, and a
//! client that heard no 202 sends it again).

mod compare;
mod health;
mod logs;
mod peek;
mod pipeline;
mod plan_file;
mod role;
mod run;
mod source;
mod status;
mod store;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The Headworks runtime: runs pipelines and takes records in.
#[derive(Debug, Parser)]
#[command(name = "headworks-runtime", version, about, long_about = None)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Does what a plan says, until SIGTERM or SIGINT.
    RunPlan {
        /// The plan, as the operator writes it.
        #[arg(default_value = headworks_plan::PLAN_PATH)]
        path: PathBuf,
        /// Port of /status, /metrics, /healthz and /readyz; 0: any.
        #[arg(long, default_value_t = headworks_plan::STATUS_PORT)]
        status_port: u16,
        /// Port of an HTTP source; 0: any.
        #[arg(long, default_value_t = headworks_plan::HTTP_PORT)]
        http_port: u16,
        /// The pod's name. A pipeline's ends in its number: `orders-to-revenue-0`.
        #[arg(long, env = "HEADWORKS_POD_NAME", default_value = "local-0")]
        pod_name: String,
        /// What is logged, as in `info,headworks_engine=debug`.
        #[arg(long, env = "HEADWORKS_LOG", default_value = "info")]
        log: String,
    },
    /// Prints records of a stream as JSON lines, and ends: what `headworks peek` starts.
    Peek {
        /// Which records, as `headworks peek` writes it.
        #[arg(default_value = headworks_plan::PEEK_PATH)]
        path: PathBuf,
        /// What is logged, as in `info,headworks_engine=debug`.
        #[arg(long, env = "HEADWORKS_LOG", default_value = "error")]
        log: String,
    },
    /// Prints the version, and that of the plans it runs.
    Version,
}

fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Version => {
            println!(
                "headworks-runtime {} (plan version {})",
                env!("CARGO_PKG_VERSION"),
                headworks_plan::VERSION
            );
            ExitCode::SUCCESS
        }
        Command::Peek { path, log } => {
            if let Err(error) = logs::init(&log) {
                eprintln!("HEADWORKS_LOG: {error}");
                return ExitCode::from(2);
            }
            peek::run(&path)
        }
        Command::RunPlan {
            path,
            status_port,
            http_port,
            pod_name,
            log,
        } => {
            if let Err(error) = logs::init(&log) {
                eprintln!("HEADWORKS_LOG: {error}");
                return ExitCode::from(2);
            }
            run::run(&run::Settings {
                path,
                status_port,
                http_port,
                pod_name,
            })
        }
    }
}
