//! `headworks version`.

use serde_json::json;

use crate::output::{self, Form};
use crate::{End, commands};

/// Arguments of `headworks version`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// How the version is written.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
}

/// Prints the version.
pub fn run(arguments: &Arguments) -> End {
    let (version, api) = (
        env!("CARGO_PKG_VERSION"),
        format!("{}/{}", headworks_crds::GROUP, headworks_crds::VERSION),
    );
    match arguments.output {
        Form::Text => output::line(&format!(
            "headworks {version} (API {api}, plan version {})",
            headworks_plan::VERSION
        )),
        Form::Json => output::json(&json!({
            "version": version, "api": api, "planVersion": headworks_plan::VERSION,
            "kinds": commands::kinds(),
        })),
    }
    End::Fine
}
