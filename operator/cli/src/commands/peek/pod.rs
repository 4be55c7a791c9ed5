//! The pod that reads: what it is made of, and why one doesn't start. Pure.
//!
//! It is built as a Pipeline's pods are, so that placement, pull secrets and the restricted security context are the
//! Platform's. The plan comes in an annotation, mounted as a file: nothing but the pod is made, and nothing else has to be
//! deleted.

use headworks_crds::PodTemplate;
use headworks_operator::mounts::{Mounted, read_only, secret};
use headworks_operator::names::Key;
use headworks_operator::workload::plan_map::PlanMap;
use headworks_operator::workload::pod::{PodInputs, pod_template};
use headworks_operator::workload::resources::Needs;
use headworks_plan::{KAFKA_CREDENTIALS_DIR, PEEK_PATH, PeekPlan};
use k8s_openapi::api::core::v1::{
    ConfigMap, ContainerState, DownwardAPIVolumeFile, DownwardAPIVolumeSource, ObjectFieldSelector,
    Pod, Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::plan::Login;

/// Label of the pods, and its value.
pub const LABEL: (&str, &str) = ("app.kubernetes.io/name", "headworks-peek");
/// What the pods' names begin with.
pub const PREFIX: &str = "headworks-peek-";
/// Name of the container.
pub const CONTAINER: &str = "headworks";
/// Which stream is read, for whoever finds the pod.
const STREAM_ANNOTATION: &str = "headworks.dev/peek-stream";
const PLAN_ANNOTATION: &str = "headworks.dev/peek-plan";
const CA_ANNOTATION: &str = "headworks.dev/peek-kafka-ca";
/// Volume with what stands in annotations.
const VOLUME: &str = "plan";
/// All annotations of an object together may have 256 KiB (Kubernetes' own bound); this is left for the Platform's.
const ANNOTATIONS_BYTES: usize = 240 << 10;
/// What the pod may take beyond the time for reading, until it is ended whatever happens: starting, and printing.
const SLACK_SECONDS: u64 = 180;
/// How long it has to end when it is told to.
const GRACE_SECONDS: i64 = 3;

/// What a pod is made of.
pub struct Inputs<'a> {
    /// Its name.
    pub name: String,
    /// The stream.
    pub stream: &'a Key,
    /// What it is told.
    pub plan: &'a PeekPlan,
    /// How it logs in.
    pub login: &'a Login,
    /// Kafka's CA, where it doesn't come with the credentials.
    pub ca: Option<&'a str>,
    /// The runtime's image.
    pub image: &'a str,
    /// The Platform's template.
    pub template: &'a PodTemplate,
}

/// The pod; its namespace is the Secret's, where one is mounted, else the stream's.
///
/// # Errors
/// The contract is too large.
pub fn pod(inputs: &Inputs<'_>) -> Result<Pod, String> {
    let text = plan_text(inputs)?;
    let mut annotations = inputs.template.annotations.clone().unwrap_or_default();
    annotations.insert(STREAM_ANNOTATION.into(), place(inputs.stream));
    annotations.insert(PLAN_ANNOTATION.into(), text);
    annotations.extend(inputs.ca.map(|ca| (CA_ANNOTATION.into(), ca.to_owned())));
    let mut labels = inputs.template.labels.clone().unwrap_or_default();
    labels.insert(LABEL.0.into(), LABEL.1.into());
    let credentials = match inputs.login {
        Login::Nobody => None,
        Login::Secret(of) => {
            let mut items = vec![
                (of.username.as_str(), "username"),
                (of.password.as_str(), "password"),
            ];
            if of.has_ca {
                items.push(("ca.crt", "ca.crt"));
            }
            Some(secret("kafka", KAFKA_CREDENTIALS_DIR, &of.secret, &items))
        }
    };
    let nobody = PlanMap {
        config_map: ConfigMap::default(),
        digest: String::new(),
    };
    let template = PodTemplate {
        image: Some(inputs.image.to_owned()),
        ..inputs.template.clone()
    };
    let built = pod_template(&PodInputs {
        owner: inputs.stream,
        plan: &nobody,
        image: inputs.image,
        template: &template,
        volumes: credentials.into_iter().collect(),
        ca: None,
        http: false,
        spread: false,
        needs: Needs::default(),
    });
    let mut spec = built.spec.unwrap_or_default();
    let annotated = annotated(inputs.ca.is_some());
    let volumes = spec.volumes.get_or_insert_default();
    volumes.retain(|volume| volume.name != VOLUME);
    volumes.push(annotated.volume);
    for container in &mut spec.containers {
        let mounts = container.volume_mounts.get_or_insert_default();
        mounts.retain(|mount| mount.name != VOLUME);
        mounts.push(annotated.mount.clone());
        container.args = Some(vec!["peek".into(), PEEK_PATH.into()]);
        container.ports = None;
        container.readiness_probe = None;
        container.liveness_probe = None;
    }
    spec.restart_policy = Some("Never".into());
    spec.topology_spread_constraints = None;
    spec.termination_grace_period_seconds = Some(GRACE_SECONDS);
    let seconds = inputs.plan.select.seconds.saturating_add(SLACK_SECONDS);
    spec.active_deadline_seconds =
        Some(i64::try_from(seconds).unwrap_or(i64::MAX).min(MAX_DEADLINE));
    Ok(Pod {
        metadata: ObjectMeta {
            name: Some(inputs.name.clone()),
            namespace: Some(namespace(inputs)),
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        spec: Some(spec),
        status: None,
    })
}

/// The longest that a pod's deadline may be (Kubernetes' own bound).
const MAX_DEADLINE: i64 = i32::MAX as i64;

fn place(key: &Key) -> String {
    format!("{}/{}", key.namespace, key.name)
}

fn namespace(inputs: &Inputs<'_>) -> String {
    match inputs.login {
        Login::Secret(of) => of.namespace.clone(),
        Login::Nobody => inputs.stream.namespace.clone(),
    }
}

/// The plan as JSON. Where it is too large it goes without definitions of earlier contracts, oldest first.
fn plan_text(inputs: &Inputs<'_>) -> Result<String, String> {
    let given = inputs.template.annotations.iter().flatten();
    let given: usize = given.map(|(key, value)| key.len() + value.len()).sum();
    let room = ANNOTATIONS_BYTES.saturating_sub(given + inputs.ca.map_or(0, str::len));
    let mut plan = inputs.plan.clone();
    loop {
        let text = serde_json::to_string(&plan).map_err(|error| error.to_string())?;
        if text.len() <= room {
            return Ok(text);
        }
        let contract = &mut plan.stream.contract;
        let known = contract.registered.as_mut().map(|r| &mut r.known);
        let shorter = known.is_some_and(|known| known.pop().is_some());
        if !shorter && contract.earlier.pop().is_none() {
            return Err(format!(
                "the contract and Kafka's CA have {} bytes, and a pod's annotations hold {ANNOTATIONS_BYTES}",
                text.len() + inputs.ca.map_or(0, str::len)
            ));
        }
    }
}

/// The annotations as files.
fn annotated(has_ca: bool) -> Mounted {
    let file = |annotation: &str, path: &str| DownwardAPIVolumeFile {
        path: path.into(),
        field_ref: Some(ObjectFieldSelector {
            api_version: Some("v1".into()),
            field_path: format!("metadata.annotations['{annotation}']"),
        }),
        ..DownwardAPIVolumeFile::default()
    };
    let mut items = vec![file(PLAN_ANNOTATION, "plan.json")];
    if has_ca {
        items.push(file(CA_ANNOTATION, "ca.crt"));
    }
    let folder = PEEK_PATH.rsplit_once('/').map_or(PEEK_PATH, |(f, _)| f);
    Mounted {
        volume: Volume {
            name: VOLUME.into(),
            downward_api: Some(DownwardAPIVolumeSource {
                items: Some(items),
                ..DownwardAPIVolumeSource::default()
            }),
            ..Volume::default()
        },
        mount: read_only(VOLUME, folder),
    }
}

/// How far a pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// Not yet: for what it waits.
    Waits(String),
    /// It runs, or has run: there are logs.
    Runs,
    /// It won't, and why.
    Cannot(String),
}

/// Reasons of a waiting container that don't pass by themselves while somebody looks.
const HOPELESS: [&str; 8] = [
    "ImagePullBackOff",
    "InvalidImageName",
    "ErrImageNeverPull",
    "ImageInspectError",
    "RegistryUnavailable",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

/// How far a pod is, and why no farther.
pub fn start(pod: &Pod) -> Start {
    let status = pod.status.clone().unwrap_or_default();
    let mut containers = status.container_statuses.iter().flatten();
    // Others may have put a container beside it.
    let container = containers.find(|c| c.name == CONTAINER);
    let state = container.and_then(|c| c.state.clone()).unwrap_or_default();
    if state.running.is_some() || state.terminated.is_some() {
        return Start::Runs;
    }
    let words = |reason: Option<&String>, message: Option<&String>| {
        let both = [reason, message].into_iter().flatten();
        let both: Vec<&str> = both.map(String::as_str).collect();
        both.join(": ")
    };
    if status.phase.as_deref() == Some("Failed") {
        return Start::Cannot(words(status.reason.as_ref(), status.message.as_ref()));
    }
    if let ContainerState {
        waiting: Some(waiting),
        ..
    } = &state
    {
        let reason = waiting.reason.clone().unwrap_or_default();
        let said = words(waiting.reason.as_ref(), waiting.message.as_ref());
        if HOPELESS.contains(&reason.as_str()) {
            return Start::Cannot(said);
        }
        return Start::Waits(said);
    }
    let conditions = status.conditions.iter().flatten();
    let unmet = conditions
        .filter(|c| c.type_ == "PodScheduled" && c.status != "True")
        .map(|c| words(c.reason.as_ref(), c.message.as_ref()))
        .next();
    Start::Waits(unmet.unwrap_or_else(|| "no node has begun to start it".to_owned()))
}

/// How its container ended, where it wasn't by itself.
pub fn ended(pod: &Pod) -> Option<String> {
    let status = pod.status.as_ref()?;
    if status.reason.as_deref() == Some("DeadlineExceeded") {
        return Some("its time was over".to_owned());
    }
    let mut containers = status.container_statuses.iter().flatten();
    let container = containers.find(|c| c.name == CONTAINER)?;
    let end = container.state.as_ref()?.terminated.as_ref()?;
    let reason = end.reason.as_deref().unwrap_or("it ended");
    Some(format!("{reason}, exit code {}", end.exit_code))
}

/// Pods of ours that ended before a time and that nobody took away, by name and UID.
pub fn left(pods: &[Pod], before: k8s_openapi::jiff::Timestamp) -> Vec<(String, String)> {
    let long_ago = |pod: &&Pod| ended_at(pod).is_some_and(|at| at < before);
    pods.iter()
        .filter(long_ago)
        .filter_map(|pod| Some((pod.metadata.name.clone()?, pod.metadata.uid.clone()?)))
        .filter(|(name, _)| name.starts_with(PREFIX))
        .collect()
}

/// When a pod ended. Of one that was refused by its node no container ran: it ended when it was made.
fn ended_at(pod: &Pod) -> Option<k8s_openapi::jiff::Timestamp> {
    let status = pod.status.as_ref()?;
    if !matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")) {
        return None;
    }
    let containers = status.container_statuses.iter().flatten();
    let ends = containers.filter_map(|c| c.state.as_ref()?.terminated.as_ref());
    let last = ends
        .filter_map(|end| Some(end.finished_at.as_ref()?.0))
        .max();
    let made = pod.metadata.creation_timestamp.as_ref();
    last.or_else(|| made.map(|made| made.0))
}

/// Labels by which they are listed.
pub fn selector() -> String {
    let (key, value) = LABEL;
    format!("{key}={value}")
}

/// What the Platform says of its pods.
pub fn template_of(platform: &headworks_crds::Platform) -> PodTemplate {
    platform.spec.pod_template.clone().unwrap_or_default()
}

#[cfg(test)]
mod tests;
