//! The checks that need our own parsing (garde), with faults named as users write them.

use garde::Validate;

/// Something that is wrong with a spec.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpecFault {
    /// Where, as YAML has it: `spec.http.maxBodyBytes`, or `spec` where it is about the whole.
    pub field: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl SpecFault {
    /// At a field below `spec`, given by its path from there; empty: about the whole.
    pub fn at(field: &str, message: impl Into<String>) -> Self {
        Self {
            field: if field.is_empty() {
                "spec".to_owned()
            } else {
                format!("spec.{field}")
            },
            message: message.into(),
        }
    }

    /// A message that begins with its place: `spec.into: is missing`. One that doesn't is about the whole spec.
    #[must_use]
    pub fn placed(message: &str) -> Self {
        match message.split_once(": ") {
            Some((field, what))
                if !field.contains(' ') && (field == "spec" || field.starts_with("spec.")) =>
            {
                Self {
                    field: field.to_owned(),
                    message: what.to_owned(),
                }
            }
            _ => Self::at("", message),
        }
    }
}

impl std::fmt::Display for SpecFault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// Several faults in one line; none: nothing is wrong.
#[must_use]
pub fn fault_text(faults: &[SpecFault]) -> Option<String> {
    let all: Vec<String> = faults.iter().map(ToString::to_string).collect();
    (!all.is_empty()).then(|| all.join("; "))
}

/// What is wrong with a spec beyond its schema, such as
/// `spec.http.maxBodyBytes: 2Gi is out of range: choose between 1 and 1073741824 bytes`.
pub fn faults<S: Validate<Context = ()>>(spec: &S) -> Vec<SpecFault> {
    let Err(report) = spec.validate() else {
        return Vec::new();
    };
    report
        .iter()
        .map(|(path, error)| SpecFault::at(&yaml_path(&path.to_string()), error.to_string()))
        .collect()
}

/// Checks a spec beyond its schema.
///
/// # Errors
/// Its [`faults`] in [`fault_text`].
pub fn check<S: Validate<Context = ()>>(spec: &S) -> Result<(), String> {
    fault_text(&faults(spec)).map_or(Ok(()), Err)
}

/// Rust's `http.max_body_bytes` as YAML's `http.maxBodyBytes`.
fn yaml_path(path: &str) -> String {
    let mut after_underscore = false;
    let mut yaml = String::with_capacity(path.len());
    for c in path.chars() {
        match c {
            '_' => after_underscore = true,
            c if after_underscore => {
                yaml.push(c.to_ascii_uppercase());
                after_underscore = false;
            }
            c => yaml.push(c),
        }
    }
    yaml
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_in_yaml() {
        assert_eq!(yaml_path("http.max_body_bytes"), "http.maxBodyBytes");
        assert_eq!(yaml_path("to[0].stream"), "to[0].stream");
    }

    #[test]
    fn a_message_says_its_place_or_is_about_the_whole() {
        let place = |message| SpecFault::placed(message).field;
        assert_eq!(
            place("spec.rotation.overlap: must be shorter"),
            "spec.rotation.overlap"
        );
        assert_eq!(place("spec: exactly one of a: or b"), "spec");
        assert_eq!(place("the definition is wrong: see there"), "spec");
        let faults = [SpecFault::at("into", "a"), SpecFault::at("", "b")];
        assert_eq!(
            fault_text(&faults).as_deref(),
            Some("spec.into: a; spec: b")
        );
        assert_eq!(fault_text(&[]), None);
    }
}
