//! The pod template of every workload: the `restricted` Pod Security Standard, a read-only root, probes on the
//! status port, and the user's overrides on top.

use std::collections::BTreeMap;

use headworks_crds::PodTemplate;
use headworks_plan::{HTTP_PORT, PLAN_PATH, STATUS_PORT};
use k8s_openapi::{
    api::core::v1::{
        Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource,
        EnvVar, EnvVarSource, HTTPGetAction, ObjectFieldSelector, PodSecurityContext, PodSpec,
        PodTemplateSpec, Probe, ResourceRequirements, SeccompProfile, SecurityContext, Volume,
        VolumeMount,
    },
    apimachinery::pkg::{
        api::resource::Quantity, apis::meta::v1::ObjectMeta, util::intstr::IntOrString,
    },
};
use kube::ResourceExt;

use super::{
    connection::Mounted,
    plan_map::{PLAN_FILE, PlanMap},
};
use crate::names::{Key, digest};

/// Label of pods with the digest of the plan they were started with.
pub const PLAN_LABEL: &str = "headworks.dev/plan";
/// Annotation of pods with a digest of what they were built from besides the plan, so that a changed CA rolls them.
pub const INPUTS_ANNOTATION: &str = "headworks.dev/inputs";
/// User and group of the process.
const USER: i64 = 65532;

/// What a pod template is made from.
pub struct PodInputs<'a> {
    /// Whose pods.
    pub owner: &'a Key,
    /// The plan.
    pub plan: &'a PlanMap,
    /// Image where the template names none.
    pub image: &'a str,
    /// The user's template, laid over the Platform's.
    pub template: &'a PodTemplate,
    /// Volumes beside the plan and `/tmp`.
    pub volumes: Vec<Mounted>,
    /// Kafka's CA, if the pods get a copy.
    pub ca: Option<&'a str>,
    /// True: the pod serves HTTP.
    pub http: bool,
    /// Memory that it needs besides what every pod needs, in bytes.
    pub memory: u64,
}

/// The pod template.
pub fn pod_template(inputs: &PodInputs) -> PodTemplateSpec {
    let mut labels = inputs.owner.labels();
    labels.insert(PLAN_LABEL.into(), inputs.plan.digest.clone());
    let annotations = inputs.ca.map(|ca| {
        BTreeMap::from([(
            INPUTS_ANNOTATION.to_owned(),
            digest(ca.as_bytes())[..10].to_owned(),
        )])
    });
    PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(labels),
            annotations,
            ..ObjectMeta::default()
        }),
        spec: Some(pod_spec(inputs)),
    }
}

fn pod_spec(inputs: &PodInputs) -> PodSpec {
    let template = inputs.template;
    let mut volumes = vec![
        Volume {
            name: "plan".into(),
            config_map: Some(ConfigMapVolumeSource {
                name: inputs.plan.config_map.name_any(),
                ..ConfigMapVolumeSource::default()
            }),
            ..Volume::default()
        },
        Volume {
            name: "tmp".into(),
            empty_dir: Some(EmptyDirVolumeSource {
                size_limit: Some(Quantity("1Gi".into())),
                ..Default::default()
            }),
            ..Volume::default()
        },
    ];
    volumes.extend(inputs.volumes.iter().map(|m| m.volume.clone()));
    PodSpec {
        automount_service_account_token: Some(false),
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(30),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            fs_group: Some(USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".into(),
                localhost_profile: None,
            }),
            ..PodSecurityContext::default()
        }),
        containers: vec![container(inputs)],
        volumes: Some(volumes),
        image_pull_secrets: template.image_pull_secrets.clone(),
        node_selector: template.node_selector.clone(),
        tolerations: template.tolerations.clone(),
        service_account_name: template.service_account_name.clone(),
        ..PodSpec::default()
    }
}

fn container(inputs: &PodInputs) -> Container {
    let port = |name: &str, number: u16| ContainerPort {
        name: Some(name.into()),
        container_port: i32::from(number),
        ..ContainerPort::default()
    };
    let mut ports = vec![port("status", STATUS_PORT)];
    if inputs.http {
        ports.push(port("http", HTTP_PORT));
    }
    let mut mounts = vec![
        // One file, not the folder: other volumes are mounted below the same folder.
        VolumeMount {
            name: "plan".into(),
            mount_path: PLAN_PATH.into(),
            sub_path: Some(PLAN_FILE.into()),
            read_only: Some(true),
            ..VolumeMount::default()
        },
        VolumeMount {
            name: "tmp".into(),
            mount_path: "/tmp".into(),
            ..VolumeMount::default()
        },
    ];
    mounts.extend(inputs.volumes.iter().map(|m| m.mount.clone()));
    Container {
        name: "headworks".into(),
        image: Some(
            inputs
                .template
                .image
                .clone()
                .unwrap_or_else(|| inputs.image.to_owned()),
        ),
        image_pull_policy: Some("IfNotPresent".into()),
        args: Some(vec!["run-plan".into(), PLAN_PATH.into()]),
        env: Some(vec![EnvVar {
            name: "HEADWORKS_POD_NAME".into(),
            value_from: Some(EnvVarSource {
                field_ref: Some(ObjectFieldSelector {
                    api_version: Some("v1".into()),
                    field_path: "metadata.name".into(),
                }),
                ..EnvVarSource::default()
            }),
            ..EnvVar::default()
        }]),
        ports: Some(ports),
        readiness_probe: Some(probe("/readyz", 2, 2)),
        liveness_probe: Some(probe("/healthz", 10, 6)),
        resources: Some(
            inputs
                .template
                .resources
                .clone()
                .unwrap_or_else(|| modest(inputs.memory)),
        ),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            run_as_non_root: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".into()]),
                add: None,
            }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(mounts),
        ..Container::default()
    }
}

fn probe(path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::String("status".into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(3),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// Memory that a pod asks for besides its state, in mebibytes.
pub const OWN_MEMORY_MI: u64 = 64;

/// What a pod asks for where nobody says more: little besides its state, and no limit, because only the user knows
/// the load.
fn modest(state: u64) -> ResourceRequirements {
    let memory = OWN_MEMORY_MI + state.div_ceil(1 << 20);
    ResourceRequirements {
        requests: Some(BTreeMap::from([
            ("cpu".to_owned(), Quantity("50m".into())),
            ("memory".to_owned(), Quantity(format!("{memory}Mi"))),
        ])),
        ..ResourceRequirements::default()
    }
}
