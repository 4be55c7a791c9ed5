//! Kubernetes Events, said once.
//!
//! An Event tells of something that happened; a condition tells what is. The same words about the same
//! object are said again only after an hour, so that a loop of reconciles fills nobody's event list.

use std::{
    collections::HashMap,
    sync::Mutex,
    time::{Duration, Instant},
};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{Event, EventType, Recorder, Reporter},
};

use crate::reason::AnyReason;

const QUIET: Duration = Duration::from_secs(3600);

/// Publishes Events about our objects.
pub struct Events {
    recorder: Recorder,
    said: Mutex<HashMap<(String, String, String), Instant>>,
}

impl Events {
    /// `instance` is the operator's pod.
    pub fn new(client: Client, instance: String) -> Self {
        let reporter = Reporter {
            controller: "headworks.dev/operator".into(),
            instance: Some(instance),
        };
        Self {
            recorder: Recorder::new(client, reporter),
            said: Mutex::default(),
        }
    }

    /// Says that something normal happened.
    pub async fn normal(&self, about: &ObjectReference, reason: impl Into<AnyReason>, note: &str) {
        self.publish(about, EventType::Normal, &reason.into(), note)
            .await;
    }

    /// Says that something deserves a look.
    pub async fn warning(&self, about: &ObjectReference, reason: impl Into<AnyReason>, note: &str) {
        self.publish(about, EventType::Warning, &reason.into(), note)
            .await;
    }

    async fn publish(
        &self,
        about: &ObjectReference,
        type_: EventType,
        reason: &AnyReason,
        note: &str,
    ) {
        let key = (
            about.uid.clone().unwrap_or_default(),
            reason.to_string(),
            note.to_owned(),
        );
        if !first_within(
            &mut self
                .said
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
            key,
            Instant::now(),
        ) {
            return;
        }
        let note = Some(note.chars().take(1000).collect());
        let event = Event {
            type_,
            reason: reason.to_string(),
            note,
            action: "Reconcile".into(),
            secondary: None,
        };
        // An Event is a courtesy: failing to say it must not fail the work.
        if let Err(error) = self.recorder.publish(&event, about).await {
            tracing::warn!(%error, reason = reason.as_str(), "an Event could not be published");
        }
    }
}

/// True if these words weren't said within the last hour; notes that they are said now.
fn first_within<K: std::hash::Hash + Eq>(
    said: &mut HashMap<K, Instant>,
    key: K,
    now: Instant,
) -> bool {
    said.retain(|_, at| now.duration_since(*at) < QUIET);
    said.insert(key, now).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_words_are_said_once_an_hour() {
        let mut said = HashMap::new();
        let start = Instant::now();
        assert!(first_within(&mut said, "a", start));
        assert!(!first_within(
            &mut said,
            "a",
            start + Duration::from_secs(10)
        ));
        assert!(first_within(
            &mut said,
            "b",
            start + Duration::from_secs(10)
        ));
        assert!(first_within(
            &mut said,
            "a",
            start + Duration::from_secs(10) + QUIET
        ));
    }
}
