//! The plan as a file.

use std::path::{Path, PathBuf};

use headworks_plan::{Plan, VERSION, v1};
use serde::Deserialize;
use snafu::{ResultExt, Snafu, ensure};

/// Why there is no plan to run.
#[derive(Debug, Snafu)]
pub enum PlanError {
    /// No such file, or not readable.
    #[snafu(display("cannot read the plan {}: {source}", path.display()))]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Written for another runtime.
    #[snafu(display(
        "the plan {} is of version {found}, and this runtime ({}) runs version {VERSION}; operator and runtime image must be of one release",
        path.display(), env!("CARGO_PKG_VERSION")
    ))]
    Version {
        /// The file.
        path: PathBuf,
        /// The plan's version.
        found: u32,
    },
    /// Not a plan.
    #[snafu(display("the file {} is no plan: {source}", path.display()))]
    Parse {
        /// The file.
        path: PathBuf,
        /// What serde said.
        source: serde_json::Error,
    },
}

#[derive(Deserialize)]
struct Versioned {
    version: u32,
}

/// Reads a plan of [`VERSION`], or of the one before.
pub fn read(path: &Path) -> Result<Plan, PlanError> {
    let text = std::fs::read(path).context(ReadSnafu { path })?;
    // First the version alone: a plan of another one need not parse as ours.
    let Versioned { version } = serde_json::from_slice(&text).context(ParseSnafu { path })?;
    if version == v1::V1 {
        let plan: v1::Plan = serde_json::from_slice(&text).context(ParseSnafu { path })?;
        return Ok(plan.into());
    }
    ensure!(
        version == VERSION,
        VersionSnafu {
            path,
            found: version
        }
    );
    serde_json::from_slice(&text).context(ParseSnafu { path })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(name: &str, text: &str) -> Result<Plan, String> {
        let path =
            std::env::temp_dir().join(format!("headworks-plan-{}-{name}", std::process::id()));
        std::fs::write(&path, text).unwrap();
        let plan = read(&path).map_err(|error| error.to_string());
        std::fs::remove_file(&path).unwrap();
        plan
    }

    #[test]
    fn a_plan_of_another_version_is_refused_by_name() {
        let error =
            read_text("version", r#"{"version":99,"role":{"somethingNew":{}}}"#).unwrap_err();
        assert!(
            error.contains("is of version 99")
                && error.contains("runs version 2")
                && error.contains("one release"),
            "{error}"
        );
    }

    #[test]
    fn a_plan_of_the_version_before_is_read() {
        for (name, text, stages) in [
            (
                "v1-pipeline",
                include_str!("../../plan/tests/v1/pipeline.json"),
                vec!["streams"],
            ),
            (
                "v1-keyed",
                include_str!("../../plan/tests/v1/keyed.json"),
                vec!["exchange", "keyed", "table-0"],
            ),
        ] {
            let plan = read_text(name, text).unwrap();
            assert_eq!(plan.version, VERSION);
            let headworks_plan::Role::Pipeline(plan) = plan.role else {
                panic!("a pipeline")
            };
            let ids: Vec<&str> = plan.stages.iter().map(|stage| stage.id.as_str()).collect();
            assert_eq!(ids, stages);
        }
        // What a version 2 has in a plan that says it is of version 1 isn't taken for it.
        let mixed =
            include_str!("../../plan/tests/v1/pipeline.json").replace("\"group\"", "\"groups\"");
        assert!(read_text("v1-mixed", &mixed).unwrap_err().contains("group"));
    }

    #[test]
    fn what_is_no_plan_is_refused_with_the_place() {
        for text in [
            "",
            "{}",
            r#"{"version":1}"#,
            r#"{"version":1,"installation":"x","namespace":"a","name":"b","kafka":{},"role":{"cook":{}}}"#,
        ] {
            assert!(
                read_text("broken", text)
                    .unwrap_err()
                    .contains("is no plan: "),
                "{text}"
            );
        }
        assert!(
            read(Path::new("/nonexistent/plan.json"))
                .unwrap_err()
                .to_string()
                .starts_with("cannot read the plan /nonexistent/plan.json")
        );
    }
}
