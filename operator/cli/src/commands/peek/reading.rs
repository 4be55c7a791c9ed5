//! The one way to a stream's records: objects are read, a pod beside Kafka is made, listened to and deleted. `peek`, `dlq`, `profile`,
//! `replay` and `quality` go it, each with a listener of its own.

use std::collections::{BTreeMap, BTreeSet};

use headworks_operator::data_stream::resolve::ResolvedStream;
use headworks_operator::names::{Key, digest};
use headworks_plan::{PEEK_CA_PATH, PEEK_VERSION, PeekPlan, PeekSelection, PeekTask, Plan, Stream};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use super::gather::Gathered;
use super::plan::Wanted;
use super::{attend, gather, image, plan, pod, wrong};
use crate::End;
use crate::cluster::{self, Cluster};
use crate::output::{self, note};

/// Which stream, read as whom, and what is masked.
#[derive(Debug, clap::Args)]
pub struct Reading {
    /// NAME or NAMESPACE/NAME.
    name: String,
    #[command(flatten)]
    access: Access,
}

/// As whom a stream is read, and what is masked.
#[derive(Debug, clap::Args)]
pub struct Access {
    /// Mask only fields with this label; may be given several times. Absent: fields with any label are masked.
    #[arg(long, value_name = "LABEL")]
    mask: Vec<String>,
    /// Mask nothing.
    #[arg(long, conflicts_with = "mask")]
    unmask: bool,
    /// Read as the client of this AccessGrant of the stream's namespace: by its Secret, in the client's namespace.
    #[arg(long, value_name = "NAME")]
    grant: Option<String>,
    /// Image of the runtime. Absent: the Platform's podTemplate's, that of what runs in the pod's namespace, or the operator's.
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Namespace of the stream. Absent: the context's.
    #[arg(short, long)]
    namespace: Option<String>,
    #[command(flatten)]
    cluster: cluster::Arguments,
}

/// Who hears what the pod prints.
pub trait Listener {
    /// A line of its log; false where nobody wants to hear more.
    fn line(&mut self, text: &str) -> bool;
    /// True: the pod has said its last line.
    fn is_over(&self) -> bool;
    /// True: who stops it has what was asked for.
    fn may_be_stopped(&self) -> bool {
        false
    }
}

/// A stream that can be read.
pub struct Opened {
    cluster: Cluster,
    arguments: cluster::Arguments,
    found: Gathered,
    /// Without what is done, and with which records.
    plan: PeekPlan,
    login: plan::Login,
    ca: Option<String>,
    image: String,
    masked: BTreeMap<String, BTreeSet<String>>,
}

impl Reading {
    /// Reads all that the pod is made of.
    ///
    /// # Errors
    /// What isn't there, may not be read, or can't be said yet.
    pub async fn open(&self, wants: Wanted) -> Result<Opened, End> {
        let cluster = self.access.connect().await?;
        if let Some((namespace, name)) = self.name.split_once('/') {
            self.access.open(cluster, namespace, name, wants).await
        } else {
            let namespace = self.access.namespace(&cluster).to_owned();
            self.access
                .open(cluster, &namespace, &self.name, wants)
                .await
        }
    }
}

impl Access {
    /// The cluster.
    ///
    /// # Errors
    /// It can't be reached.
    pub async fn connect(&self) -> Result<Cluster, End> {
        self.cluster.connect().await
    }

    /// The namespace of what names none.
    pub fn namespace<'a>(&'a self, cluster: &'a Cluster) -> &'a str {
        self.namespace.as_deref().unwrap_or(&cluster.namespace)
    }

    /// Reads all that the pod is made of which reads this stream.
    ///
    /// # Errors
    /// What isn't there, may not be read, or can't be said yet.
    pub async fn open(
        &self,
        cluster: Cluster,
        namespace: &str,
        name: &str,
        wants: Wanted,
    ) -> Result<Opened, End> {
        let found = gather::gather(&cluster, namespace, name, self.grant.as_deref()).await?;
        let stream = plan::stream(&found.stream, &found.contracts).map_err(wrong)?;
        let login = plan::login(
            wants,
            &found.stream,
            &found.platform,
            found.grant.as_ref(),
            &found.others,
        );
        let login = login.map_err(wrong)?;
        let masked = if self.unmask {
            BTreeMap::new()
        } else {
            let arrived = gather::labels(&cluster, &found.stream).await?;
            let all = plan::masked(&stream, &found.stream, &arrived, &[]);
            plan::known_labels(&all, &self.mask).map_err(wrong)?;
            plan::masked(&stream, &found.stream, &arrived, &self.mask)
        };
        let registry = match stream.contract.registered {
            Some(_) => gather::registry(&cluster, &found.platform).await,
            None => None,
        };
        let plan = PeekPlan {
            version: PEEK_VERSION,
            kafka: plan::kafka(&found.platform, &login),
            registry,
            group: plan::group(&found.stream, &found.platform, &login),
            masked: masked.keys().cloned().collect(),
            stream,
            task: PeekTask::Records,
            select: PeekSelection::default(),
        };
        let ca = match plan.kafka.tls_ca_file.as_deref() {
            Some(PEEK_CA_PATH) => Some(gather::ca(&cluster, &found).await?),
            _ => None,
        };
        let image = self.image(&cluster, &found, &login).await?;
        Ok(Opened {
            cluster,
            arguments: self.cluster.clone(),
            found,
            plan,
            login,
            ca,
            image,
            masked,
        })
    }

    async fn image(
        &self,
        cluster: &Cluster,
        found: &Gathered,
        login: &plan::Login,
    ) -> Result<String, End> {
        let template = pod::template_of(&found.platform);
        let place = match login {
            plan::Login::Secret(credentials) => credentials.namespace.clone(),
            plan::Login::Nobody => Key::of(&found.stream).namespace,
        };
        match self.image.clone().or(template.image) {
            Some(image) => Ok(image),
            None => image::image(&cluster.client, &place).await,
        }
    }
}

impl Opened {
    /// The stream as pods see it that judge its records.
    ///
    /// # Errors
    /// Its rules can't be listed.
    pub async fn judged(&self) -> Result<ResolvedStream, End> {
        self.resolved(&self.found, self.plan.stream.clone()).await
    }

    /// The same of another stream of its namespace.
    ///
    /// # Errors
    /// It isn't there, may not be read, or can't be said yet.
    pub async fn other(&self, name: &str) -> Result<ResolvedStream, End> {
        let namespace = Key::of(&self.found.stream).namespace;
        let found = gather::gather(&self.cluster, &namespace, name, None).await?;
        let stream = plan::stream(&found.stream, &found.contracts).map_err(wrong)?;
        self.resolved(&found, stream).await
    }

    async fn resolved(&self, found: &Gathered, stream: Stream) -> Result<ResolvedStream, End> {
        let rules = gather::rules(&self.cluster, &found.stream, &stream.contract).await?;
        Ok(ResolvedStream {
            stream: Stream { rules, ..stream },
            platform: found.stream.spec.platform.clone(),
            partitions: None,
            registry: None,
        })
    }

    /// The plan of a Pipeline of its namespace, as its pods have it.
    ///
    /// # Errors
    /// It isn't there, or was never run.
    pub async fn pipeline(&self, name: &str) -> Result<Plan, End> {
        let namespace = Key::of(&self.found.stream).namespace;
        gather::pipeline(&self.cluster, &namespace, name).await
    }

    /// The stream's fields by their contract, without rules.
    pub fn stream(&self) -> &Stream {
        &self.plan.stream
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.found.stream.name_any()
    }

    /// Says which fields are masked, if any are.
    pub fn note_masked(&self) {
        if self.masked.is_empty() {
            return;
        }
        let fields = self.masked.iter().map(|(field, labels)| {
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            format!("{field} ({})", labels.join(", "))
        });
        let fields: Vec<String> = fields.collect();
        note(&format!(
            "masked: {}; --unmask shows them",
            fields.join(", ")
        ));
    }

    /// Has a pod do it, and hears it to its end.
    ///
    /// # Errors
    /// The pod can't be made, doesn't start, or ends without having said that it is at the end.
    pub async fn read(
        &self,
        task: PeekTask,
        select: PeekSelection,
        listener: &mut impl Listener,
    ) -> Result<(), End> {
        let plan = PeekPlan {
            task,
            select,
            ..self.plan.clone()
        };
        let pod = self.pod(&plan)?;
        let following = self.arguments.following().await?;
        let ends = attend::Ends {
            stop: attend::told_to_stop(),
            abandoned: output::abandoned(),
        };
        attend::attend(&self.cluster.client, following, &pod, listener, ends).await
    }

    /// The pod, as it is to be made.
    fn pod(&self, plan: &PeekPlan) -> Result<Pod, End> {
        let key = Key::of(&self.found.stream);
        // The name is chosen here and not by the API server, so that the pod can be deleted before its making was answered.
        let seed = format!("{key} {} {}", std::process::id(), Timestamp::now());
        let name = format!("{}{}", pod::PREFIX, &digest(seed.as_bytes())[..10]);
        pod::pod(&pod::Inputs {
            name,
            stream: &key,
            plan,
            login: &self.login,
            ca: self.ca.as_deref(),
            image: &self.image,
            template: &pod::template_of(&self.found.platform),
        })
        .map_err(|message| wrong(format!("{}: {message}", self.name())))
    }
}
