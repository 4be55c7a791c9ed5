//! What the conditions of a Source, Pipeline or DataStore say about its pods.
//!
//! Pure. Readiness comes from the pods' own conditions; the words come from the pods' reports, and where a
//! pod can't report (it isn't scheduled, its image can't be pulled, it crashes), from Kubernetes.

use std::{fmt::Write, sync::Arc};

use headworks_plan::{Reason, Report, ReportedReason};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;

use super::pod::PLAN_LABEL;
use crate::{
    mounts::NeededSecret,
    reason::{AnyReason, ConditionReason},
    reports,
    retry::Error,
    status::ReconcileOutcome,
};

/// What is known of the pods.
pub struct Pods<'a> {
    /// All pods of the object.
    pub pods: &'a [Arc<Pod>],
    /// Digest of the plan in force.
    pub plan: &'a str,
    /// Pods that should run.
    pub wanted: i32,
    /// Pods of the present template, as the StatefulSet or Deployment counts them.
    pub updated: i32,
    /// Pods that are ready, by the same count.
    pub ready: i32,
    /// True: the counts are about the present generation of the StatefulSet or Deployment.
    pub observed: bool,
    /// Secrets that the pods read.
    pub secrets: &'a [NeededSecret],
    /// DataStores that the pods work with.
    pub stores: &'a [String],
    /// Namespace of the pods.
    pub namespace: &'a str,
}

/// The verdict over the pods.
pub fn verdict(
    seen: &Pods,
    report: impl Fn(&str) -> Option<Report>,
) -> Result<ReconcileOutcome, Error> {
    let current: Vec<&Arc<Pod>> = current(seen.pods, seen.plan).collect();
    let reported: Vec<Report> = current
        .iter()
        .filter_map(|pod| report(pod.metadata.uid.as_deref().unwrap_or_default()))
        .collect();
    let all_ready = seen.observed && seen.ready >= seen.wanted && seen.updated >= seen.wanted;
    let worst = reports::worst(reported.iter(), |problem| {
        problem.fatal || !all_ready || holds_up_a_part(&problem.reason, seen)
    });
    if let Some(problem) = worst {
        let message = explain(&problem.reason, &problem.message, seen);
        let reason = &problem.reason;
        // A missing reference is waited for, whatever the pod thinks of it: GitOps applies in any order.
        return Err(if *reason == Reason::SecretMissing {
            Error::missing(reason, message)
        } else if problem.fatal {
            Error::stalled(reason, message)
        } else {
            Error::waiting(reason, message)
        });
    }
    if all_ready {
        let plural = if seen.wanted == 1 { "pod" } else { "pods" };
        return Ok(ReconcileOutcome::ready(
            ConditionReason::Running,
            format!("{} {plural} ready", seen.wanted),
        ));
    }
    let mut message = format!(
        "{} of {} pods are ready",
        seen.ready.min(seen.updated).max(0),
        seen.wanted
    );
    let mut reason = AnyReason::from(ConditionReason::PodsNotReady);
    if let Some((pod, why, text)) = current
        .iter()
        .find_map(|pod| trouble(pod).map(|(why, text)| (pod.name_any(), why, text)))
    {
        reason = why;
        let _ = write!(message, "; pod {pod}: {text}");
    }
    Ok(ReconcileOutcome::progressing(reason, message))
}

/// The pods of the plan in force that aren't ending.
pub fn current<'a>(pods: &'a [Arc<Pod>], plan: &'a str) -> impl Iterator<Item = &'a Arc<Pod>> {
    pods.iter().filter(move |pod| {
        pod.metadata.deletion_timestamp.is_none()
            && pod.labels().get(PLAN_LABEL).is_some_and(|p| p == plan)
    })
}

/// True: a pod of an older plan is still there. One that ends counts: until it is gone it may be finishing what it began.
pub fn superseded(pods: &[Arc<Pod>], plan: &str) -> bool {
    pods.iter().any(|pod| {
        let phase = pod.status.as_ref().and_then(|s| s.phase.as_deref());
        !matches!(phase, Some("Succeeded" | "Failed"))
            && pod.labels().get(PLAN_LABEL).is_none_or(|p| p != plan)
    })
}

/// True: although the pod is ready, and goes on with its streams, one of its tables stands still. Who reads that
/// table must be able to see it.
fn holds_up_a_part(reason: &ReportedReason, seen: &Pods) -> bool {
    !seen.stores.is_empty() && (about_a_store(reason) || *reason == Reason::SecretMissing)
}

/// By the word, so that what a newer pod says of stores is understood, too.
fn about_a_store(reason: &ReportedReason) -> bool {
    let word = reason.as_str();
    word.starts_with("Store") || word.starts_with("Table")
}

/// A pod knows the file that is missing; only we know which Secret it comes from.
fn explain(reason: &ReportedReason, message: &str, seen: &Pods) -> String {
    if about_a_store(reason) && !seen.stores.iter().any(|name| message.contains(name)) {
        return match seen.stores {
            [] => message.to_owned(),
            [one] => format!("DataStore {one}: {message}"),
            several => format!("one of the DataStores {}: {message}", several.join(", ")),
        };
    }
    if *reason != Reason::SecretMissing || seen.secrets.is_empty() {
        return message.to_owned();
    }
    let list: Vec<String> = seen.secrets.iter().map(ToString::to_string).collect();
    format!(
        "{message}; the pods need in namespace {}: {}. They go on by themselves once it is there",
        seen.namespace,
        list.join(", ")
    )
}

/// Why Kubernetes can't run a pod, if it says so.
fn trouble(pod: &Pod) -> Option<(AnyReason, String)> {
    let status = pod.status.as_ref()?;
    let unscheduled = status
        .conditions
        .iter()
        .flatten()
        .find(|c| c.type_ == "PodScheduled" && c.status == "False");
    if let Some(condition) = unscheduled {
        return Some((
            ConditionReason::PodUnschedulable.into(),
            condition
                .message
                .clone()
                .unwrap_or_else(|| "no node takes it".into()),
        ));
    }
    status
        .container_statuses
        .iter()
        .flatten()
        .find_map(|container| {
            let state = container.state.as_ref()?;
            if let Some(waiting) = state.waiting.as_ref().filter(|w| {
                !matches!(
                    w.reason.as_deref(),
                    Some("ContainerCreating" | "PodInitializing") | None
                )
            }) {
                let reason = waiting.reason.clone().unwrap_or_default();
                // Kubernetes goes to and fro between two words for one state, with a new text each time.
                if matches!(reason.as_str(), "ErrImagePull" | "ImagePullBackOff") {
                    return Some((
                        ConditionReason::ImagePullBackOff.into(),
                        format!(
                            "image {} can't be pulled; see kubectl describe pod",
                            container.image
                        ),
                    ));
                }
                let last = container
                    .last_state
                    .as_ref()
                    .and_then(|s| s.terminated.as_ref())
                    .map(|t| format!(" (last exit code {})", t.exit_code));
                let text = format!(
                    "{reason}{}: {}",
                    last.unwrap_or_default(),
                    waiting
                        .message
                        .as_deref()
                        .unwrap_or("see kubectl describe pod")
                );
                return Some((AnyReason::read(&reason), text));
            }
            let ended = state.terminated.as_ref()?;
            Some((
                ConditionReason::PodEnded.into(),
                format!(
                    "ended with exit code {}: {}",
                    ended.exit_code,
                    ended.reason.as_deref().unwrap_or("see its log")
                ),
            ))
        })
}

/// Pods of an older template that aren't ready: a StatefulSet may wait for them for ever, so they are deleted.
pub fn stuck<'a>(pods: &'a [Arc<Pod>], revision_label: &str, revision: &str) -> Vec<&'a Arc<Pod>> {
    pods.iter()
        .filter(|pod| {
            let ready = pod
                .status
                .iter()
                .flat_map(|s| s.conditions.iter().flatten())
                .any(|c| c.type_ == "Ready" && c.status == "True");
            pod.metadata.deletion_timestamp.is_none()
                && !ready
                && pod
                    .labels()
                    .get(revision_label)
                    .is_some_and(|r| r != revision)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use headworks_plan::Problem;
    use serde_json::{Value, json};

    use super::*;

    fn pod(name: &str, plan: &str, status: &Value) -> Arc<Pod> {
        Arc::new(serde_json::from_value(json!({"metadata": {"name": name, "uid": name, "labels": {PLAN_LABEL: plan, "rev": plan}}, "status": status})).unwrap())
    }

    fn seen<'a>(pods: &'a [Arc<Pod>], secrets: &'a [NeededSecret], ready: i32) -> Pods<'a> {
        Pods {
            pods,
            plan: "new",
            wanted: 1,
            updated: 1,
            ready,
            observed: true,
            secrets,
            stores: &[],
            namespace: "shop",
        }
    }

    fn reporting(reason: &'static str, fatal: bool) -> impl Fn(&str) -> Option<Report> {
        move |_| {
            Some(Report {
                problems: vec![Problem {
                    reason: ReportedReason::read(reason.to_owned()),
                    message: "no file".into(),
                    fatal,
                }],
                ..Report::default()
            })
        }
    }

    #[test]
    fn a_fatal_problem_is_the_object_s_reason() {
        let pods = [pod("p-0", "new", &json!({}))];
        let error = verdict(&seen(&pods, &[], 1), reporting("DataLost", true)).unwrap_err();
        assert_eq!((error.reason(), error.message()), ("DataLost", "no file"));
        assert!(matches!(error, Error::Stalled { .. }));
    }

    #[test]
    fn a_reason_that_only_a_newer_pod_knows_is_shown_as_it_is() {
        let pods = [pod("p-0", "new", &json!({}))];
        let error = verdict(&seen(&pods, &[], 1), reporting("MoonPhase", true)).unwrap_err();
        assert_eq!(error.reason(), "MoonPhase");
        let error = verdict(&seen(&pods, &[], 0), reporting("", false)).unwrap_err();
        assert_eq!(error.reason(), "PodProblem");
    }

    #[test]
    fn a_passing_problem_of_a_ready_pod_is_not_shown() {
        let pods = [pod("p-0", "new", &json!({}))];
        assert!(
            verdict(&seen(&pods, &[], 1), reporting("KafkaUnavailable", false))
                .unwrap()
                .ready
        );
        assert_eq!(
            verdict(&seen(&pods, &[], 0), reporting("KafkaUnavailable", false))
                .unwrap_err()
                .reason(),
            "KafkaUnavailable"
        );
    }

    #[test]
    fn a_table_that_stands_still_is_shown_although_the_pod_is_ready() {
        let pods = [pod("p-0", "new", &json!({}))];
        let stores = ["warehouse".to_owned()];
        let seen = Pods {
            stores: &stores,
            ..seen(&pods, &[], 1)
        };
        let two = |_: &str| {
            Some(Report {
                problems: vec![
                    Problem::new(Reason::KafkaUnavailable, "a broker is away", false),
                    Problem::new(Reason::StoreUnavailable, "connection refused", false),
                ],
                ..Report::default()
            })
        };
        let error = verdict(&seen, two).unwrap_err();
        assert!(matches!(error, Error::Waiting { .. }));
        assert_eq!(
            (error.reason(), error.message()),
            (
                "StoreUnavailable",
                "DataStore warehouse: connection refused"
            )
        );
        assert!(
            verdict(&seen, reporting("KafkaUnavailable", false))
                .unwrap()
                .ready
        );
        let error = verdict(&seen, reporting("TableMismatch", true)).unwrap_err();
        assert!(matches!(error, Error::Stalled { .. }));
    }

    #[test]
    fn a_pod_of_an_older_plan_has_no_say() {
        let pods = [pod("p-0", "old", &json!({}))];
        assert!(
            verdict(&seen(&pods, &[], 1), reporting("BadRecord", true))
                .unwrap()
                .ready
        );
    }

    #[test]
    fn a_missing_secret_is_named_with_its_keys() {
        let pods = [pod("p-0", "new", &json!({}))];
        let secrets = [NeededSecret {
            name: "ingest".into(),
            keys: vec!["token".into()],
            purpose: "the bearer token".into(),
        }];
        let error =
            verdict(&seen(&pods, &secrets, 0), reporting("SecretMissing", true)).unwrap_err();
        assert!(
            error.message().contains("Secret ingest with token")
                && error.message().contains("shop"),
            "{error}"
        );
    }

    #[test]
    fn a_pod_of_an_older_plan_is_there_until_it_has_ended() {
        let ending = |phase: &str| -> Arc<Pod> {
            Arc::new(
                serde_json::from_value(
                    json!({"metadata": {"name": "p-0", "labels": {PLAN_LABEL: "old"},
                "deletionTimestamp": "2027-01-01T00:00:00Z"}, "status": {"phase": phase}}),
                )
                .unwrap(),
            )
        };
        let new = || pod("p-1", "new", &json!({"phase": "Running"}));
        assert!(superseded(&[new(), ending("Running")], "new"));
        assert!(!superseded(&[new(), ending("Failed")], "new"));
        assert!(!superseded(&[new()], "new"));
    }

    #[test]
    fn an_image_that_cannot_be_pulled_is_said() {
        let status = json!({"containerStatuses": [{"name": "headworks", "image": "reg/x:1", "imageID": "", "ready": false, "restartCount": 0,
            "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}}}]});
        let pods = [pod("p-0", "new", &status)];
        let verdict = verdict(&seen(&pods, &[], 0), |_| None).unwrap();
        assert_eq!(verdict.reason, "ImagePullBackOff");
        assert!(
            verdict.message.contains("p-0")
                && verdict.message.contains("0 of 1")
                && verdict.message.contains("reg/x:1"),
            "{}",
            verdict.message
        );
    }

    #[test]
    fn an_unready_pod_of_an_older_revision_is_stuck() {
        let ready = json!({"conditions": [{"type": "Ready", "status": "True"}]});
        let pods = [
            pod("p-0", "old", &json!({})),
            pod("p-1", "old", &ready),
            pod("p-2", "new", &json!({})),
        ];
        let names: Vec<String> = stuck(&pods, "rev", "new")
            .iter()
            .map(|p| p.name_any())
            .collect();
        assert_eq!(names, ["p-0"]);
    }
}
