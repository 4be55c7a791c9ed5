//! The pod template of every workload: the `restricted` Pod Security Standard, a read-only root, probes on the
//! status port, and the user's overrides on top.

use headworks_crds::{ImagePullPolicy, PodTemplate, PodUser};
use headworks_plan::{HTTP_PORT, PLAN_PATH, STATUS_PORT};
use k8s_openapi::{
    api::core::v1::{
        Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EmptyDirVolumeSource,
        EnvVar, EnvVarSource, HTTPGetAction, ObjectFieldSelector, PodSecurityContext, PodSpec,
        PodTemplateSpec, Probe, SeccompProfile, SecurityContext, TopologySpreadConstraint, Volume,
        VolumeMount,
    },
    apimachinery::pkg::{
        api::resource::Quantity,
        apis::meta::v1::{LabelSelector, ObjectMeta},
        util::intstr::IntOrString,
    },
};
use kube::ResourceExt;

use super::{
    plan_map::{PLAN_FILE, PlanMap},
    resources::{Needs, resources},
};
use crate::{
    mounts::Mounted,
    names::{Key, digest},
};

/// Label of pods with the digest of the plan they were started with.
pub const PLAN_LABEL: &str = "headworks.dev/plan";
/// Annotation of pods with a digest of what they were built from besides the plan, so that a changed CA rolls them.
pub const INPUTS_ANNOTATION: &str = "headworks.dev/inputs";
/// User and group of the process.
const USER: i64 = 65532;
/// How long a pod has to end by itself, in seconds.
const GRACE: i64 = 30;

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
    /// True: there may be several, which are spread over nodes and zones.
    pub spread: bool,
    /// What it needs besides what every pod needs.
    pub needs: Needs,
}

/// The pod template.
pub fn pod_template(inputs: &PodInputs) -> PodTemplateSpec {
    let template = inputs.template;
    // Ours last: they are what pods are found by.
    let mut labels = template.labels.clone().unwrap_or_default();
    labels.extend(inputs.owner.labels());
    labels.insert(PLAN_LABEL.into(), inputs.plan.digest.clone());
    let mut annotations = template.annotations.clone().unwrap_or_default();
    annotations.extend(inputs.ca.map(|ca| {
        (
            INPUTS_ANNOTATION.to_owned(),
            digest(ca.as_bytes())[..10].to_owned(),
        )
    }));
    let annotations = (!annotations.is_empty()).then_some(annotations);
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
        termination_grace_period_seconds: Some(
            template.termination_grace_period_seconds.unwrap_or(GRACE),
        ),
        security_context: Some(security_context(template.security_context.as_ref())),
        containers: vec![container(inputs)],
        volumes: Some(volumes),
        image_pull_secrets: template.image_pull_secrets.clone(),
        node_selector: template.node_selector.clone(),
        affinity: template.affinity.clone(),
        tolerations: template.tolerations.clone(),
        topology_spread_constraints: spread(inputs),
        priority_class_name: template.priority_class_name.clone(),
        runtime_class_name: template.runtime_class_name.clone(),
        scheduler_name: template.scheduler_name.clone(),
        // Said in any case: left out, the API server would go on with the one before, by the old field serviceAccount.
        service_account_name: Some(
            template
                .service_account_name
                .clone()
                .unwrap_or_else(|| "default".into()),
        ),
        ..PodSpec::default()
    }
}

/// The user's choice of user and groups; never root, whatever is chosen.
fn security_context(user: Option<&PodUser>) -> PodSecurityContext {
    let user = user.cloned().unwrap_or_default();
    PodSecurityContext {
        run_as_non_root: Some(true),
        run_as_user: user.run_as_user.or(Some(USER)),
        run_as_group: user.run_as_group.or(Some(USER)),
        fs_group: user.fs_group.or(Some(USER)),
        supplemental_groups: user.supplemental_groups,
        seccomp_profile: Some(SeccompProfile {
            type_: "RuntimeDefault".into(),
            localhost_profile: None,
        }),
        ..PodSecurityContext::default()
    }
}

/// How the pods are spread: as the user says, else over nodes and zones where there is room. It doesn't depend on how many pods
/// there are, so that scaling restarts none.
fn spread(inputs: &PodInputs) -> Option<Vec<TopologySpreadConstraint>> {
    let own = LabelSelector {
        match_labels: Some(inputs.owner.selector()),
        match_expressions: None,
    };
    if let Some(given) = &inputs.template.topology_spread_constraints {
        let about = |constraint: &TopologySpreadConstraint| TopologySpreadConstraint {
            label_selector: constraint
                .label_selector
                .clone()
                .or_else(|| Some(own.clone())),
            ..constraint.clone()
        };
        return Some(given.iter().map(about).collect());
    }
    let over = |topology_key: &str| TopologySpreadConstraint {
        max_skew: 1,
        topology_key: topology_key.into(),
        when_unsatisfiable: "ScheduleAnyway".into(),
        label_selector: Some(own.clone()),
        ..TopologySpreadConstraint::default()
    };
    inputs.spread.then(|| {
        vec![
            over("kubernetes.io/hostname"),
            over("topology.kubernetes.io/zone"),
        ]
    })
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
        image_pull_policy: Some(
            inputs
                .template
                .image_pull_policy
                .unwrap_or(ImagePullPolicy::IfNotPresent)
                .as_str()
                .into(),
        ),
        args: Some(vec!["run-plan".into(), PLAN_PATH.into()]),
        env: Some(env(inputs.template)),
        ports: Some(ports),
        readiness_probe: Some(probe("/readyz", 2, 2)),
        liveness_probe: Some(probe("/healthz", 10, 6)),
        resources: Some(resources(inputs.template.resources.as_ref(), &inputs.needs)),
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

/// The pod's own name, and what the user adds.
fn env(template: &PodTemplate) -> Vec<EnvVar> {
    let name = EnvVar {
        name: "HEADWORKS_POD_NAME".into(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".into()),
                field_path: "metadata.name".into(),
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    };
    let given = template.env.iter().flatten().map(|entry| EnvVar {
        name: entry.name.clone(),
        value: Some(entry.value.clone()),
        ..EnvVar::default()
    });
    [name].into_iter().chain(given).collect()
}
