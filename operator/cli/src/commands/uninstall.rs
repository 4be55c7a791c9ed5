//! `headworks uninstall`: takes Headworks out of a cluster and leaves users' data alone.
//!
//! Without the operator nobody takes finalizers off, and a CRD whose objects have one is never gone. So the order is:
//! the operator ends, our finalizers go, then the CRDs (and with them the objects). Topics, tables, consumer
//! groups and Secrets are never touched. Every step can be repeated.

use std::collections::BTreeMap;
use std::io::{self, BufRead, IsTerminal};
use std::time::Duration;

use headworks_crds::{FINALIZER, manifest};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use tokio::process::Command;

use super::doctor::{OPERATOR, held, list, resources};
use crate::cluster::{self, Cluster, block_on, said};
use crate::{End, output};

/// How often a finalizer's removal is tried while others write the object.
const ATTEMPTS: usize = 5;
/// How long CRDs are waited for: their objects go first.
const PATIENCE: Duration = Duration::from_secs(120);

/// Arguments of `headworks uninstall`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Don't ask.
    #[arg(short, long)]
    yes: bool,
    /// Keep the CRDs, and with them every object and its pods.
    #[arg(long)]
    keep_crds: bool,
    /// Say what would be done, and do nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    cluster: cluster::Arguments,
}

/// What is there.
struct Found {
    deployments: Vec<Deployment>,
    crds: Vec<CustomResourceDefinition>,
    /// By kind.
    objects: BTreeMap<String, Vec<DynamicObject>>,
    resources: BTreeMap<String, (ApiResource, bool)>,
}

/// Takes Headworks out.
pub fn run(arguments: &Arguments) -> End {
    let done = block_on(async {
        let cluster = arguments.cluster.connect().await?;
        uninstall(&cluster, arguments).await
    });
    match done {
        Ok(end) | Err(end) => end,
    }
}

fn failed(what: impl Into<String>) -> impl FnOnce(kube::Error) -> End {
    let what = what.into();
    move |error| {
        output::note(&format!("headworks: {what}: {}", said(&error)));
        match error {
            kube::Error::Api(_) => End::Problems,
            _ => End::Unreadable,
        }
    }
}

async fn uninstall(cluster: &Cluster, arguments: &Arguments) -> Result<End, End> {
    let found = look(cluster).await?;
    if found.deployments.is_empty() && found.crds.is_empty() {
        output::line("nothing of Headworks is left in this cluster");
        return Ok(End::Fine);
    }
    output::text(&plan(&found, arguments.keep_crds));
    if arguments.dry_run {
        return Ok(End::Fine);
    }
    if !arguments.yes && !agreed()? {
        output::line("nothing was done");
        return Ok(End::Problems);
    }
    stop_operator(cluster, &found).await?;
    release_objects(cluster, &found).await?;
    if !arguments.keep_crds {
        delete_crds(cluster, &found).await?;
    }
    for release in releases(&found, arguments.keep_crds) {
        end_release(&release).await;
    }
    output::line("done; topics, tables, consumer groups and Secrets are as they were");
    Ok(End::Fine)
}

async fn look(cluster: &Cluster) -> Result<Found, End> {
    let deployments: Api<Deployment> = Api::all(cluster.client.clone());
    let deployments = deployments
        .list(&ListParams::default().labels(OPERATOR))
        .await
        .map_err(failed("listing the operator's Deployments"))?;
    let api: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    let mut crds = Vec::new();
    for ours in manifest::all() {
        let name = ours.name_any();
        let there = api.get_opt(&name).await.map_err(failed(&*name))?;
        crds.extend(there);
    }
    let mut found = Found {
        deployments: deployments.items,
        crds,
        objects: BTreeMap::new(),
        resources: BTreeMap::new(),
    };
    for (resource, namespaced) in resources() {
        let kind = resource.kind.clone();
        if found.crds.iter().any(|crd| crd.spec.names.kind == kind) {
            let objects = list(cluster, &resource, None)
                .await
                .map_err(failed(format!("listing {}", resource.plural)))?;
            found.objects.insert(kind.clone(), objects);
            found.resources.insert(kind, (resource, namespaced));
        }
    }
    Ok(found)
}

/// What will be done, in words.
fn plan(found: &Found, keep_crds: bool) -> String {
    let mut text = String::from("This will be done:\n");
    for deployment in &found.deployments {
        text.push_str(&format!(
            "  the operator ends: Deployment {}/{}\n",
            deployment.namespace().unwrap_or_default(),
            deployment.name_any()
        ));
    }
    text.push_str(&format!(
        "  the finalizer {FINALIZER} is taken off {} objects\n",
        held(&found.objects)
    ));
    let counts: Vec<String> = found
        .objects
        .iter()
        .map(|(kind, objects)| format!("{} {kind}s", objects.len()))
        .collect();
    if keep_crds {
        text.push_str(&format!(
            "  kept: {} CRDs and their objects ({}); pods go on, and nobody looks after them\n",
            found.crds.len(),
            counts.join(", ")
        ));
    } else {
        text.push_str(&format!(
            "  {} CRDs are deleted, and with them every object ({}) and its pods\n",
            found.crds.len(),
            counts.join(", ")
        ));
    }
    for release in releases(found, keep_crds) {
        text.push_str(&format!("  {}\n", release.command().join(" ")));
    }
    text.push_str(
        "Kept in any case: topics and their records, tables, consumer groups, Secrets, namespaces; also where deletionPolicy is Delete.\n",
    );
    text
}

fn agreed() -> Result<bool, End> {
    if !io::stdin().is_terminal() {
        output::note("headworks: nobody is there to ask: pass --yes");
        return Err(End::Usage);
    }
    output::write(b"Type yes to go on: ");
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    Ok(read.is_ok() && answer.trim() == "yes")
}

/// It would put its finalizers back.
async fn stop_operator(cluster: &Cluster, found: &Found) -> Result<(), End> {
    for deployment in &found.deployments {
        let (namespace, name) = (
            deployment.namespace().unwrap_or_default(),
            deployment.name_any(),
        );
        let api: Api<Deployment> = Api::namespaced(cluster.client.clone(), &namespace);
        let none = Patch::Merge(json!({"spec": {"replicas": 0}}));
        match api.patch(&name, &PatchParams::default(), &none).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => continue,
            Err(error) => return Err(failed(format!("Deployment {namespace}/{name}"))(error)),
        }
        output::note(&format!(
            "waiting for the operator's pods: {namespace}/{name}"
        ));
        for _ in 0..60 {
            let now = api.get_opt(&name).await.map_err(failed(&*name))?;
            let status = now.and_then(|d| d.status).unwrap_or_default();
            if status.replicas.unwrap_or(0) == 0 {
                break;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }
    Ok(())
}

async fn release_objects(cluster: &Cluster, found: &Found) -> Result<(), End> {
    let all = held(&found.objects);
    let mut freed = 0;
    for (kind, objects) in &found.objects {
        let Some((resource, namespaced)) = found.resources.get(kind) else {
            continue;
        };
        for object in objects {
            let (client, name) = (cluster.client.clone(), object.name_any());
            let api: Api<DynamicObject> = if *namespaced {
                Api::namespaced_with(client, &object.namespace().unwrap_or_default(), resource)
            } else {
                Api::all_with(client, resource)
            };
            if object.finalizers().iter().any(|f| f == FINALIZER) {
                free(&api, &name)
                    .await
                    .map_err(failed(format!("{kind} {name}")))?;
                freed += 1;
                if freed % 50 == 0 || freed == all {
                    output::note(&format!("finalizers: {freed} of {all}"));
                }
            }
        }
    }
    Ok(())
}

/// Takes our finalizer off, unless somebody else changed the object meanwhile: then again.
async fn free(api: &Api<DynamicObject>, name: &str) -> Result<(), kube::Error> {
    for attempt in 1.. {
        let Some(object) = api.get_opt(name).await? else {
            return Ok(());
        };
        let others: Vec<&String> = object
            .finalizers()
            .iter()
            .filter(|f| *f != FINALIZER)
            .collect();
        if others.len() == object.finalizers().len() {
            return Ok(());
        }
        let patch = json!({"metadata": {
            "finalizers": others, "resourceVersion": object.resource_version(),
        }});
        match api
            .patch(name, &PatchParams::default(), &Patch::Merge(patch))
            .await
        {
            Err(kube::Error::Api(status)) if status.code == 409 && attempt < ATTEMPTS => {}
            Err(kube::Error::Api(status)) if status.code == 404 => return Ok(()),
            answer => return answer.map(|_| ()),
        }
    }
    Ok(())
}

async fn delete_crds(cluster: &Cluster, found: &Found) -> Result<(), End> {
    let api: Api<CustomResourceDefinition> = Api::all(cluster.client.clone());
    for crd in &found.crds {
        let name = crd.name_any();
        match api.delete(&name, &DeleteParams::background()).await {
            Ok(_) => output::note(&format!("deleting {name}")),
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(failed(name)(error)),
        }
    }
    let begun = std::time::Instant::now();
    loop {
        let mut left = Vec::new();
        for crd in &found.crds {
            let name = crd.name_any();
            if api.get_opt(&name).await.map_err(failed(&*name))?.is_some() {
                left.push(name);
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            output::note(&format!(
                "headworks: still there: {}; an object of theirs has a finalizer of somebody else: look at it, then run this again",
                left.join(", ")
            ));
            return Err(End::Problems);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// A Helm release.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Release {
    name: String,
    namespace: String,
}

impl Release {
    fn command(&self) -> [&str; 5] {
        ["helm", "uninstall", &self.name, "-n", &self.namespace]
    }
}

/// The releases that the operator and, unless they are kept, the CRDs belong to.
fn releases(found: &Found, keep_crds: bool) -> Vec<Release> {
    let of = |annotations: &BTreeMap<String, String>| {
        Some(Release {
            name: annotations.get("meta.helm.sh/release-name")?.clone(),
            namespace: annotations.get("meta.helm.sh/release-namespace")?.clone(),
        })
    };
    let mut releases: Vec<Release> = found
        .deployments
        .iter()
        .filter_map(|d| of(d.annotations()))
        .collect();
    if !keep_crds {
        releases.extend(found.crds.iter().filter_map(|crd| of(crd.annotations())));
    }
    releases.sort();
    releases.dedup();
    releases
}

/// Runs helm if it is there; else says the command.
async fn end_release(release: &Release) {
    let [helm, rest @ ..] = release.command();
    let shown = release.command().join(" ");
    match Command::new(helm).args(rest).output().await {
        Ok(output) if output.status.success() => output::line(&shown),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            output::note(&format!("{shown}: {}", said.trim()));
        }
        Err(_) => output::note(&format!("helm isn't here; run this where it is: {shown}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_will_be_done_is_counted_and_releases_are_named_once() {
        let crd = |release: &str| {
            let mut crd = manifest::all().remove(0);
            let annotations = crd.metadata.annotations.get_or_insert_default();
            annotations.insert("meta.helm.sh/release-name".into(), release.into());
            annotations.insert("meta.helm.sh/release-namespace".into(), "hw".into());
            crd
        };
        let object = |finalizers: &[&str]| {
            let mut object =
                DynamicObject::new("a", &ApiResource::erase::<headworks_crds::DataStream>(&()));
            object.metadata.finalizers = Some(finalizers.iter().map(|f| (*f).into()).collect());
            object
        };
        let objects = vec![object(&[FINALIZER, "other/one"]), object(&["other/one"])];
        let found = Found {
            deployments: Vec::new(),
            crds: vec![crd("crds"), crd("crds")],
            objects: BTreeMap::from([("DataStream".into(), objects)]),
            resources: BTreeMap::new(),
        };
        let text = plan(&found, false);
        assert!(text.contains("is taken off 1 objects"), "{text}");
        assert!(text.contains("2 DataStreams"), "{text}");
        assert_eq!(text.matches("helm uninstall crds -n hw").count(), 1);
        let kept = plan(&found, true);
        assert!(
            kept.contains("kept: 2 CRDs") && !kept.contains("helm"),
            "{kept}"
        );
    }
}
