//! What is said of one request. Pure: the stores' content comes in as values.

use kube::{Resource, core::DynamicObject};
use serde::de::DeserializeOwned;

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AdmissionDecision {
    /// Why it is refused; none: it passes.
    pub denied: Option<String>,
    /// What is legal but unwise, or not yet right.
    pub warnings: Vec<String>,
}

/// Longest warning: of longer ones the API server may show the first 256 characters.
const WARNING_MAX: usize = 250;
/// Most warnings: all together it takes 4096 characters.
const WARNINGS: usize = 14;
/// A warning goes on in so many more at most.
const PIECES: usize = 5;

impl AdmissionDecision {
    /// It passes, and nothing is to be said.
    pub fn pass() -> Self {
        Self::default()
    }

    /// It is refused.
    pub fn deny(message: impl Into<String>) -> Self {
        Self {
            denied: Some(message.into()),
            warnings: Vec::new(),
        }
    }

    /// What the object itself doesn't prove is a warning, and no refusal.
    #[must_use]
    pub fn if_proven(mut self, proven: bool) -> Self {
        if !proven && let Some(message) = self.denied.take() {
            self.warn(format!(
                "as its ConfigMaps are now, it will be refused when it is looked at: {message}"
            ));
        }
        self
    }

    /// Adds a warning. A long one becomes several, so that its end, which mostly says what to do, is seen.
    pub fn warn(&mut self, message: impl AsRef<str>) {
        self.warnings.extend(pieces(message.as_ref()));
    }

    /// Leaves out what is too much for a terminal.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let count = self.warnings.len();
        if count > WARNINGS {
            self.warnings.truncate(WARNINGS);
            self.warnings
                .push(format!("… and {} more warnings", count - WARNINGS));
        }
        self
    }
}

/// A message in pieces that fit, broken between words.
fn pieces(message: &str) -> Vec<String> {
    let line = message.replace(['\n', '\r'], " ");
    let mut rest = line.trim();
    let mut all = Vec::new();
    while rest.len() + '…'.len_utf8() > WARNING_MAX && all.len() < PIECES {
        // Room for the marks at both ends.
        let end = boundary(rest, WARNING_MAX - 2 * '…'.len_utf8() - 1);
        let (piece, more) = match rest[..end].rfind(' ') {
            Some(blank) if blank > end / 2 => (&rest[..blank], &rest[blank + 1..]),
            _ => rest.split_at(end),
        };
        all.push(piece.trim_end().to_owned());
        rest = more.trim_start();
    }
    if rest.len() + '…'.len_utf8() > WARNING_MAX {
        let end = boundary(rest, WARNING_MAX - 2 * '…'.len_utf8() - 1);
        all.push(format!("{}…", &rest[..end]));
    } else {
        all.push(rest.to_owned());
    }
    let last = all.len() - 1;
    all.iter()
        .enumerate()
        .map(|(index, piece)| {
            let begin = if index == 0 { "" } else { "… " };
            let end = if index == last { "" } else { " …" };
            format!("{begin}{piece}{end}")
        })
        .collect()
}

fn boundary(text: &str, most: usize) -> usize {
    let mut end = most.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    end
}

/// A request about one kind: the object as it is to be, and as it was.
#[derive(Debug)]
pub struct Request<K> {
    /// As it is to be.
    pub new: K,
    /// As it was; none where it is made.
    pub old: Option<K>,
}

/// Reads a request about a kind; `annotation`: one whose change is worth a look, too. `None`: there is nothing to look at, because the object is being deleted, or its spec
/// stays as it was, or this version can't read it (its reconcile says so).
pub fn request<K>(
    new: Option<&DynamicObject>,
    old: Option<&DynamicObject>,
    annotation: Option<&str>,
) -> Option<Request<K>>
where
    K: Resource + DeserializeOwned,
{
    let new = new?;
    if new.metadata.deletion_timestamp.is_some() {
        return None;
    }
    if let Some(old) = old
        && old.data.get("spec") == new.data.get("spec")
        && noted(old, annotation) == noted(new, annotation)
    {
        return None;
    }
    Some(Request {
        new: read(new)?,
        old: old.and_then(read),
    })
}

fn noted<'a>(object: &'a DynamicObject, annotation: Option<&str>) -> Option<&'a String> {
    object.metadata.annotations.as_ref()?.get(annotation?)
}

fn read<K: DeserializeOwned>(object: &DynamicObject) -> Option<K> {
    let value = serde_json::to_value(object).ok()?;
    serde_json::from_value(value).ok()
}

#[cfg(test)]
mod tests {
    use headworks_crds::{ANNOTATION_ALLOW_BREAKING, Source};
    use serde_json::{Value, json};

    use super::*;

    fn object(spec: Value, meta: Value) -> DynamicObject {
        let mut metadata = json!({"name": "in", "namespace": "shop"});
        metadata
            .as_object_mut()
            .unwrap()
            .extend(meta.as_object().unwrap().clone());
        let object = json!({"apiVersion": "headworks.dev/v1alpha1", "kind": "Source", "metadata": metadata, "spec": spec});
        serde_json::from_value(object).unwrap()
    }

    fn looked_at(new: &DynamicObject, old: Option<&DynamicObject>) -> bool {
        request::<Source>(Some(new), old, Some(ANNOTATION_ALLOW_BREAKING)).is_some()
    }

    #[test]
    fn what_always_passes_is_not_looked_at() {
        let spec = json!({"into": "a", "http": {}});
        let old = object(spec.clone(), json!({}));
        assert!(looked_at(&old, None));
        // Finalizers and labels.
        let marked = object(
            spec.clone(),
            json!({"finalizers": ["f"], "labels": {"a": "b"}}),
        );
        assert!(!looked_at(&marked, Some(&old)));
        // An annotation that permits something is worth a look.
        let noted = json!({"annotations": {ANNOTATION_ALLOW_BREAKING: "1"}});
        assert!(looked_at(&object(spec.clone(), noted), Some(&old)));
        // A deletion, even with a spec that is wrong by now.
        let going = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
        let wrong = json!({"into": "b", "http": {}});
        assert!(!looked_at(&object(wrong.clone(), going), Some(&old)));
        assert!(looked_at(&object(wrong, json!({})), Some(&old)));
        // Of another version.
        let unknown = json!({"into": "a", "http": {}, "onInvalid": "Sometimes"});
        assert!(!looked_at(&object(unknown, json!({})), None));
    }

    #[test]
    fn warnings_are_one_line_and_bounded() {
        let mut decision = AdmissionDecision::pass();
        decision.warn("one\ntwo");
        decision.warn("ä".repeat(3_000));
        assert_eq!(decision.warnings[0], "one two");
        assert_eq!(decision.warnings.len(), 2 + PIECES);
        assert!(
            decision.warnings.iter().all(|w| w.len() <= 256),
            "{decision:?}"
        );
        let mut decision = AdmissionDecision::pass();
        for n in 0..42 {
            decision.warn(n.to_string());
        }
        let decision = decision.bounded();
        assert_eq!(decision.warnings.len(), WARNINGS + 1);
        assert_eq!(decision.warnings[WARNINGS], "… and 28 more warnings");
    }

    #[test]
    fn the_end_of_a_long_warning_is_seen() {
        let mut decision = AdmissionDecision::pass();
        let long = format!("{}do this.", "what is wrong with it, ".repeat(20));
        decision.warn(&long);
        assert_eq!(decision.warnings.len(), 2, "{decision:?}");
        assert!(decision.warnings[0].ends_with(" …") && decision.warnings[1].starts_with("… "));
        assert!(decision.warnings[1].ends_with(" do this."));
        assert!(decision.warnings.iter().all(|w| w.chars().count() <= 256));
        // Nothing is lost between the pieces.
        let whole: Vec<&str> = decision
            .warnings
            .iter()
            .map(|w| w.trim_matches(['…', ' ']))
            .collect();
        assert_eq!(whole.join(" "), long);
        decision.warn("x".repeat(WARNING_MAX - 3));
        assert_eq!(decision.warnings.len(), 3);
    }
}
