//! `headworks validate`.

use std::path::PathBuf;

use serde_json::json;

use crate::validate::Checked;
use crate::{End, output};

/// Arguments of `headworks validate`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Files, folders, or - for standard input.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Namespace of objects that name none.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// A stream or store that isn't in the files is a warning, not an error.
    #[arg(long)]
    allow_missing: bool,
    /// How findings are written: text, json, or annotations of a GitHub workflow (the default there).
    #[arg(short, long, value_enum)]
    output: Option<Form>,
    /// Print nothing but findings.
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    Text,
    Json,
    Github,
}

/// Checks manifests.
pub fn run(arguments: &Arguments) -> End {
    let checked = match super::load_each(
        &arguments.paths,
        &arguments.namespace,
        arguments.allow_missing,
    ) {
        Ok(checked) => checked,
        Err(end) => return end,
    };
    let in_github = std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true");
    let form = arguments
        .output
        .unwrap_or(if in_github { Form::Github } else { Form::Text });
    match form {
        Form::Text => findings(&checked, false),
        Form::Github => findings(&checked, true),
        Form::Json => output::json(&json!({
            "objects": checked.world.objects.len(),
            "files": checked.files,
            "others": checked.others,
            "errors": checked.errors(),
            "warnings": checked.findings.len() - checked.errors(),
            "findings": checked.findings,
        })),
    }
    if !arguments.quiet {
        output::note(&checked.summary());
    }
    end(&checked)
}

/// Prints the findings.
pub fn findings(checked: &Checked, for_github: bool) {
    let mut text = String::new();
    for finding in &checked.findings {
        text.push_str(&if for_github {
            finding.github()
        } else {
            finding.to_string()
        });
        text.push('\n');
    }
    output::text(&text);
}

/// Fine, unless there are errors.
pub fn end(checked: &Checked) -> End {
    if checked.errors() == 0 {
        End::Fine
    } else {
        End::Problems
    }
}
