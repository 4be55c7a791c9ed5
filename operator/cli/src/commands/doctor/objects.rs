//! Headworks' objects: those that aren't well, with the runbook's word on it.

use std::collections::{BTreeMap, BTreeSet};

use super::causes::{Unwell, causes};
use super::watched::Watched;
use super::{Item, runbook};
use crate::cluster::{Cluster, said};
use headworks_crds::conditions::{
    BALANCED, COMPLETE, HEALTHY, INPUTS_HEALTHY, READY, RECONCILING, SCHEMA_REGISTRY_READY, STALLED,
};
use headworks_crds::{GROUP, VERSION, manifest};
use k8s_openapi::jiff::Timestamp;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::{Api, ResourceExt};

/// Our word for an object without a Ready condition.
const UNSEEN: &str = "Unseen";
/// Conditions that are no news while they are true.
const USUAL: [&str; 8] = [
    READY,
    RECONCILING,
    STALLED,
    SCHEMA_REGISTRY_READY,
    HEALTHY,
    INPUTS_HEALTHY,
    BALANCED,
    COMPLETE,
];
/// Objects in one answer of the API server.
const PAGE: u32 = 500;

/// A kind as the dynamic client wants it, and whether it is in namespaces.
pub fn resources() -> Vec<(ApiResource, bool)> {
    manifest::all()
        .into_iter()
        .map(|crd| {
            let kind = GroupVersionKind::gvk(GROUP, VERSION, &crd.spec.names.kind);
            let resource = ApiResource::from_gvk_with_plural(&kind, &crd.spec.names.plural);
            (resource, crd.spec.scope == "Namespaced")
        })
        .collect()
}

/// Every object of a kind, page by page.
pub async fn list(
    cluster: &Cluster,
    resource: &ApiResource,
    namespace: Option<&str>,
) -> Result<Vec<DynamicObject>, kube::Error> {
    let client = cluster.client.clone();
    let api: Api<DynamicObject> = match namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, resource),
        None => Api::all_with(client, resource),
    };
    let mut all = Vec::new();
    let mut params = ListParams::default().limit(PAGE);
    loop {
        let page = api.list(&params).await?;
        let next = page.metadata.continue_.filter(|token| !token.is_empty());
        all.extend(page.items);
        match next {
            Some(token) => params = params.continue_token(&token),
            None => return Ok(all),
        }
    }
}

/// The root causes of what isn't Ready, a line a kind for what is, and what is worth a look beside that.
pub async fn examine(cluster: &Cluster, namespace: Option<&str>) -> Vec<Item> {
    let mut found = Found {
        watched: Watched::of(cluster).await,
        ..Found::default()
    };
    for (resource, namespaced) in resources() {
        let namespace = if namespaced { namespace } else { None };
        match list(cluster, &resource, namespace).await {
            Ok(objects) => found.kind(&resource.kind, &objects),
            // The kind isn't there, which was said already.
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => found.notes.push(Item::warning(
                format!("{}s", resource.kind),
                format!("can't be listed: {}", said(&error)),
                "",
            )),
        }
    }
    found.items()
}

/// What was found of all kinds.
#[derive(Default)]
struct Found {
    watched: Watched,
    well: Vec<Item>,
    unwell: Vec<Unwell>,
    notes: Vec<Item>,
}

impl Found {
    fn kind(&mut self, kind: &str, objects: &[DynamicObject]) {
        let mut ready = objects.len();
        for object in objects {
            match look(kind, object, &self.watched) {
                Looked::Well => {}
                Looked::Waits(item) => {
                    ready -= 1;
                    self.notes.push(item);
                }
                Looked::Unwell(unwell) => {
                    ready -= 1;
                    self.unwell.push(unwell);
                }
            }
            self.notes.extend(notes(kind, object));
        }
        if ready > 0 {
            self.well.push(Item::ok(
                format!("{kind}s"),
                format!("{ready} of {} are Ready", objects.len()),
            ));
        }
    }

    /// Causes before what is only worth a look.
    fn items(self) -> Vec<Item> {
        let mut items = self.well;
        for cause in causes(self.unwell.clone()) {
            let waits = cause.who_waits();
            let title = cause.title.clone();
            items.push(match &cause.object {
                Some(object) => {
                    let mut said = match object.reason.as_str() {
                        UNSEEN => object.message.clone(),
                        reason => format!("{reason}: {}", object.message),
                    };
                    if !waits.is_empty() {
                        said.push_str(&format!(" ({waits})"));
                    }
                    Item::problem(title, said, remedy(&object.reason))
                }
                None if cause.is_there(&self.unwell) => Item::warning(
                    title,
                    format!("wasn't ready when it was waited for ({waits})"),
                    "look again in a moment",
                ),
                None => {
                    let mean = meant(&cause.waiting, &self.unwell);
                    Item::problem(
                        title,
                        format!("isn't there ({waits}){mean}"),
                        "make it, or correct the name",
                    )
                }
            });
        }
        items.extend(self.notes);
        items
    }
}

/// `; did you mean x?` of those who wait for something that isn't there.
fn meant(waiting: &BTreeSet<String>, unwell: &[Unwell]) -> String {
    let mut of_them = unwell
        .iter()
        .filter(|object| waiting.contains(&object.title));
    let found = of_them.find_map(|object| {
        let at = object.message.find("; did you mean ")?;
        let text = &object.message[at..];
        Some(text[..=text.find('?')?].to_owned())
    });
    found.unwrap_or_default()
}

/// How an object is.
enum Looked {
    Well,
    /// It isn't Ready, and nobody has to do anything.
    Waits(Item),
    Unwell(Unwell),
}

fn title(kind: &str, object: &DynamicObject) -> String {
    match object.namespace() {
        Some(namespace) => format!("{kind} {namespace}/{}", object.name_any()),
        None => format!("{kind} {}", object.name_any()),
    }
}

/// A condition: whether it is true, its reason and its message.
fn condition<'a>(object: &'a DynamicObject, type_: &str) -> Option<(bool, &'a str, &'a str)> {
    let all = object.data["status"]["conditions"].as_array()?;
    let found = all.iter().find(|c| c["type"] == type_)?;
    Some((
        found["status"] == "True",
        found["reason"].as_str().unwrap_or_default(),
        found["message"].as_str().unwrap_or_default(),
    ))
}

fn look(kind: &str, object: &DynamicObject, watched: &Watched) -> Looked {
    let title = title(kind, object);
    if let Some(item) = watched.look(kind, &title, object, Timestamp::now()) {
        return Looked::Waits(item);
    }
    let unwell = |reason: &str, message: &str| {
        Looked::Unwell(Unwell {
            title: title.clone(),
            namespace: object.namespace().unwrap_or_default(),
            reason: reason.to_owned(),
            message: message.to_owned(),
        })
    };
    let behind = object.data["status"]["observedGeneration"].as_i64();
    let newest = behind.is_none() || behind >= object.metadata.generation;
    let Some((ready, reason, message)) = condition(object, "Ready") else {
        return unwell(UNSEEN, "nobody has looked at it yet");
    };
    if let Some((true, reason, message)) = condition(object, "Stalled")
        && newest
    {
        return unwell(reason, message);
    }
    if !newest {
        // What was said of an older spec may be so no more.
        return Looked::Waits(Item::warning(
            title,
            "its newest spec hasn't been looked at yet",
            "wait a moment; if it stays so: does the operator run?",
        ));
    }
    if ready {
        Looked::Well
    } else {
        unwell(reason, message)
    }
}

/// What is worth a look of an object that is well: its own conditions, and its dead letters.
fn notes(kind: &str, object: &DynamicObject) -> Vec<Item> {
    let title = title(kind, object);
    let mut items = Vec::new();
    // Kafka is well without a registry, and so is what runs; new contracts are not. A stream says which rule finds it unhealthy.
    for good in [SCHEMA_REGISTRY_READY, HEALTHY] {
        if let Some((false, reason, message)) = condition(object, good)
            && (good != HEALTHY || kind == "DataStream")
        {
            let said = format!("{reason}: {message}");
            items.push(Item::warning(title.clone(), said, remedy(reason)));
        }
    }
    let conditions = object.data["status"]["conditions"].as_array();
    // While nobody has counted there is nothing to be said.
    let unbalanced = |one: &&serde_json::Value| one["type"] == BALANCED && one["status"] == "False";
    if let Some(one) = conditions.into_iter().flatten().find(unbalanced) {
        let reason = one["reason"].as_str().unwrap_or_default();
        let message = one["message"].as_str().unwrap_or_default();
        items.push(Item::warning(
            title.clone(),
            format!("{reason}: {message}"),
            remedy(reason),
        ));
    }
    for one in conditions.into_iter().flatten() {
        let type_ = one["type"].as_str().unwrap_or_default();
        if one["status"] == "True" && !USUAL.contains(&type_) {
            let reason = one["reason"].as_str().unwrap_or_default();
            let message = one["message"].as_str().unwrap_or_default();
            let said = format!("{type_} ({reason}): {message}");
            items.push(Item::warning(title.clone(), said, remedy(reason)));
        }
    }
    items.extend(letters(kind, &title, object));
    items
}

/// Dead letters are data that somebody misses.
fn letters(kind: &str, title: &str, object: &DynamicObject) -> Option<Item> {
    let status = &object.data["status"];
    let count = status["deadLetters"].as_i64().filter(|n| *n > 0)?;
    let last = status["lastDeadLetterTime"].as_str();
    let last = last.map_or_else(String::new, |at| format!(", the last at {at}"));
    let records = if count == 1 { "record" } else { "records" };
    let of = if kind == "Source" {
        "its stream"
    } else {
        "its inputs"
    };
    let reasons = by_reason(&status["deadLettersByReason"]);
    Some(Item::warning(
        title,
        format!(
            "{count} {records}{reasons} went to the dead letters of {of} since it was made{last}"
        ),
        "read them, each with its reason and where it came from: docs/concepts.md#records-that-cant-be-used",
    ))
}

/// ` (2500 Quality, 290 Decode)`, the most frequent first.
fn by_reason(counts: &serde_json::Value) -> String {
    let counts = counts.as_object().into_iter().flatten();
    let counts = counts.filter_map(|(reason, n)| Some((n.as_i64().filter(|n| *n > 0)?, reason)));
    let mut counts: Vec<(i64, &String)> = counts.collect();
    counts.sort_by_key(|(n, _)| std::cmp::Reverse(*n));
    if counts.is_empty() {
        return String::new();
    }
    let words: Vec<String> = counts.iter().map(|(n, r)| format!("{n} {r}")).collect();
    format!(" ({})", words.join(", "))
}

/// What the runbook says of a reason.
fn remedy(reason: &str) -> String {
    if reason == UNSEEN {
        return "does the operator run?".to_owned();
    }
    runbook::row(reason).map_or_else(
        || "docs/runbooks/conditions.md".to_owned(),
        |row| format!("{} {}", row.meaning, row.remedy),
    )
}

/// How many objects of each kind have a finalizer of ours.
pub fn held(objects: &BTreeMap<String, Vec<DynamicObject>>) -> usize {
    let ours = |object: &&DynamicObject| {
        object
            .finalizers()
            .iter()
            .any(|f| f == headworks_crds::FINALIZER)
    };
    objects.values().flatten().filter(ours).count()
}

#[cfg(test)]
mod tests;
