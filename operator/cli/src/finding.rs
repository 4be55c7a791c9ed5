//! What is wrong, where, and what to do: the one shape in which every check speaks.

use std::fmt;

use serde::Serialize;

use crate::yaml::Place;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// A cluster would refuse it, or it would not run.
    Error,
    /// It may be right, but look.
    Warning,
}

/// One thing to say about a file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// The file as it was named; `-` is standard input.
    pub file: String,
    /// Line, from 1; 0 where the file as a whole is meant.
    pub line: u32,
    /// Column in characters, from 1; 0 where the file as a whole is meant.
    pub column: u32,
    /// `Kind namespace/name`, where one object is meant.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// Path of the field, such as `spec.to[0].stream`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Finding {
    /// Something about a file.
    pub fn of_file(severity: Severity, file: &str, place: Place, message: String) -> Self {
        Self {
            severity,
            file: file.to_owned(),
            line: place.line,
            column: place.column,
            object: String::new(),
            field: String::new(),
            message,
        }
    }

    /// True for an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    /// As GitHub's runner turns into an annotation of the pull request.
    pub fn github(&self) -> String {
        let level = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        let mut place = format!("file={}", property(&self.file));
        if self.line > 0 {
            place.push_str(&format!(",line={},col={}", self.line, self.column));
        }
        format!("::{level} {place}::{}", data(&self.said()))
    }

    /// Without file and place.
    fn said(&self) -> String {
        let parts = [self.object.as_str(), &self.field, &self.message];
        parts
            .into_iter()
            .filter(|part| !part.is_empty())
            .collect::<Vec<_>>()
            .join(": ")
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        let warning = match self.severity {
            Severity::Error => "",
            Severity::Warning => "warning: ",
        };
        write!(f, ": {warning}{}", self.said())
    }
}

fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

/// The candidate nearest to `word`, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .filter(|name| name.len() <= 128 && word.len() <= 128)
        .filter_map(|name| {
            let distance = strsim::damerau_levenshtein(&word.to_lowercase(), &name.to_lowercase());
            // `replicas` for `replica`, but also `postgresql` for `postgres`: one begins with the other.
            let long = word.len().min(name.len()) >= 4;
            let begins = long && (name.starts_with(word) || word.starts_with(name));
            (distance <= allowed || begins).then_some((distance, name))
        })
        .min()
        .map(|(_, name)| name)
}

/// `; did you mean "x"?`, or nothing.
pub fn hint<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> String {
    nearest(word, candidates).map_or_else(String::new, |name| format!("; did you mean \"{name}\"?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_annotation_escapes_what_github_reads_as_its_own() {
        let mut finding = Finding::of_file(
            Severity::Error,
            "a,b.yaml",
            Place { line: 3, column: 7 },
            "100% wrong\nsee above".into(),
        );
        assert_eq!(
            finding.github(),
            "::error file=a%2Cb.yaml,line=3,col=7::100%25 wrong%0Asee above"
        );
        finding.severity = Severity::Warning;
        finding.object = "Pipeline shop/p".into();
        finding.field = "spec.sql".into();
        assert_eq!(
            finding.to_string(),
            "a,b.yaml:3:7: warning: Pipeline shop/p: spec.sql: 100% wrong\nsee above"
        );
    }

    #[test]
    fn a_near_word_is_meant_and_a_far_one_is_not() {
        assert_eq!(nearest("strem", ["table", "stream"]), Some("stream"));
        assert_eq!(nearest("Stream", ["table", "stream"]), Some("stream"));
        assert_eq!(nearest("topics", ["topic", "platform"]), Some("topic"));
        assert_eq!(nearest("weather", ["topic", "platform"]), None);
    }
}
