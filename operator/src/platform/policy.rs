//! What a Platform's `podPolicy` lets the pods of its users be. Pure: admission and the command line ask the same.
//!
//! Only what the object itself says is judged; what the Platform's own podTemplate says is its owner's word. An object that says
//! more is held back as a whole, so that what runs goes on as it was.

use std::fmt::Write;

use headworks_crds::{Platform, PodPolicy, PodTemplate};
use kube::ResourceExt;

use crate::{mounts::NeededSecret, reason::ConditionReason, retry::Error};

/// Fails if the object asks for what the Platform doesn't allow. `secrets` are those that the object names, without the Kafka user
/// that the Platform names.
///
/// # Errors
/// `NotAllowedByPolicy`, with each place, what is allowed, and the remedy.
pub fn check(
    platform: &Platform,
    template: Option<&PodTemplate>,
    secrets: &[NeededSecret],
) -> Result<(), Error> {
    match fault(platform, template, secrets) {
        None => Ok(()),
        Some(message) => Err(Error::stalled(ConditionReason::NotAllowedByPolicy, message)),
    }
}

/// What [`check`] says.
pub fn fault(
    platform: &Platform,
    template: Option<&PodTemplate>,
    secrets: &[NeededSecret],
) -> Option<String> {
    let policy = platform.spec.pod_policy.as_ref()?;
    let mut faults = template.map_or_else(Vec::new, |template| of_template(policy, template));
    faults.extend(secrets.iter().filter_map(|secret| {
        refused("secrets", policy.secrets.as_ref(), &secret.name)
            .map(|allowed| format!("Secret {} ({}) {allowed}", secret.name, secret.purpose))
    }));
    if faults.is_empty() {
        return None;
    }
    let mut message = faults.join("; ");
    let _ = write!(
        message,
        ". So says spec.podPolicy of Platform {}: choose what it allows, or ask who runs it",
        platform.name_any()
    );
    Some(message)
}

fn of_template(policy: &PodPolicy, template: &PodTemplate) -> Vec<String> {
    let mut faults = Vec::new();
    let mut judge = |place: &str, list: &str, patterns: Option<&Vec<String>>, value: &str| {
        if let Some(allowed) = refused(list, patterns, value) {
            let value = if value.is_empty() {
                "every taint"
            } else {
                value
            };
            faults.push(format!("spec.podTemplate.{place}: {value} {allowed}"));
        }
    };
    if let Some(image) = &template.image {
        judge("image", "images", policy.images.as_ref(), image);
    }
    if let Some(account) = &template.service_account_name {
        let patterns = policy.service_accounts.as_ref();
        judge("serviceAccountName", "serviceAccounts", patterns, account);
    }
    if let Some(class) = &template.priority_class_name {
        let patterns = policy.priority_classes.as_ref();
        judge("priorityClassName", "priorityClasses", patterns, class);
    }
    for toleration in template.tolerations.iter().flatten() {
        let key = toleration.key.as_deref().unwrap_or_default();
        judge(
            "tolerations",
            "tolerations",
            policy.tolerations.as_ref(),
            key,
        );
    }
    for secret in template.image_pull_secrets.iter().flatten() {
        let patterns = policy.secrets.as_ref();
        judge("imagePullSecrets", "secrets", patterns, &secret.name);
    }
    faults
}

/// What is allowed instead, if this isn't.
fn refused(list: &str, patterns: Option<&Vec<String>>, value: &str) -> Option<String> {
    let patterns = patterns?;
    if patterns.iter().any(|pattern| matches(pattern, value)) {
        return None;
    }
    let allowed = match patterns.as_slice() {
        [] => "none is".to_owned(),
        some => some.join(", "),
    };
    Some(format!("isn't allowed ({list}: {allowed})"))
}

/// Whether a text fits a pattern, in which `*` stands for any text.
pub fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == text;
    };
    let Some(mut text) = text.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let Some(last) = parts.pop() else { return true };
    // The earliest place of each part leaves the most for those that follow.
    for part in parts {
        match text.split_once(part) {
            Some((_, after)) => text = after,
            None => return false,
        }
    }
    text.ends_with(last)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn platform(policy: &Value) -> Platform {
        serde_json::from_value(
            json!({"metadata": {"name": "default"}, "spec": {"podPolicy": policy,
            "kafka": {"bootstrapServers": "k:9092", "management": {"admin": {}}}}}),
        )
        .unwrap()
    }

    fn said(policy: &Value, template: Value, secrets: &[&str]) -> Option<String> {
        let template: PodTemplate = serde_json::from_value(template).unwrap();
        let secrets: Vec<NeededSecret> = secrets
            .iter()
            .map(|name| NeededSecret {
                name: (*name).to_owned(),
                keys: vec!["token".into()],
                purpose: "the bearer token, from spec.http.auth.bearer.secret".into(),
            })
            .collect();
        fault(&platform(policy), Some(&template), &secrets)
    }

    #[test]
    fn a_star_stands_for_any_text_and_nothing_else_does() {
        for (pattern, text, fits) in [
            ("spot", "spot", true),
            ("spot", "spots", false),
            ("*", "", true),
            ("*", "anything/at:all", true),
            ("registry/team/*", "registry/team/a:1", true),
            ("registry/team/*", "registry/team", false),
            ("registry/team/*", "evil/registry/team/a", false),
            ("*/runtime:*", "r.example.com/runtime:2", true),
            ("*/runtime:*", "r.example.com/other:2", false),
            ("a*b*b", "ab", false),
            ("a*b*b", "abb", true),
            ("a*a", "a", false),
            ("a.c", "abc", false),
            ("", "", true),
            ("", "x", false),
        ] {
            assert_eq!(matches(pattern, text), fits, "{pattern} {text}");
        }
    }

    #[test]
    fn each_place_is_named_with_what_is_allowed_and_whom_to_ask() {
        let policy = json!({"images": ["registry/team/*"], "serviceAccounts": ["data-*"], "tolerations": ["spot"],
            "priorityClasses": [], "secrets": ["headworks-*"]});
        let said = |template, secrets: &[&str]| said(&policy, template, secrets);
        for (template, place, allowed) in [
            (
                json!({"image": "docker.io/x"}),
                "spec.podTemplate.image: docker.io/x",
                "registry/team/*",
            ),
            (
                json!({"serviceAccountName": "admin"}),
                "spec.podTemplate.serviceAccountName: admin",
                "data-*",
            ),
            (
                json!({"tolerations": [{"key": "gpu"}]}),
                "spec.podTemplate.tolerations: gpu",
                "spot",
            ),
            (
                json!({"tolerations": [{"operator": "Exists"}]}),
                "spec.podTemplate.tolerations: every taint",
                "spot",
            ),
            (
                json!({"priorityClassName": "high"}),
                "spec.podTemplate.priorityClassName: high",
                "none is",
            ),
            (
                json!({"imagePullSecrets": [{"name": "regcred"}]}),
                "spec.podTemplate.imagePullSecrets: regcred",
                "headworks-*",
            ),
        ] {
            let fault = said(template, &[]).unwrap();
            assert!(fault.starts_with(place), "{fault}");
            assert!(
                fault.contains(allowed) && fault.contains("Platform default"),
                "{fault}"
            );
        }
        let secret = said(json!({}), &["admin-token"]).unwrap();
        assert!(
            secret.contains("Secret admin-token (the bearer token, from spec.http.auth"),
            "{secret}"
        );
        let right = json!({"image": "registry/team/a:1", "serviceAccountName": "data-a", "tolerations": [{"key": "spot"}],
            "imagePullSecrets": [{"name": "headworks-pull"}], "nodeSelector": {"a": "b"}});
        assert_eq!(said(right, &["headworks-ingest"]), None);
        let image: PodTemplate = serde_json::from_value(json!({"image": "x"})).unwrap();
        let error = check(&platform(&policy), Some(&image), &[]).unwrap_err();
        assert_eq!(error.reason(), "NotAllowedByPolicy");
        assert!(check(&platform(&policy), None, &[]).is_ok());
    }

    #[test]
    fn a_list_that_is_absent_allows_all() {
        let anything = json!({"image": "x", "serviceAccountName": "a", "tolerations": [{"operator": "Exists"}], "priorityClassName": "p"});
        assert_eq!(said(&json!({}), anything.clone(), &["s"]), None);
        assert!(said(&json!({"images": []}), anything, &["s"]).is_some());
    }
}
