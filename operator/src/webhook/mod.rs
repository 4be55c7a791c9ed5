//! Admission: what is wrong with an object is said in the terminal, before it is stored.
//!
//! The API server asks every replica, and each answers from its own warm stores. An object is refused only for what it,
//! or its own old against new, proves wrong; a neighbour that is missing or doesn't fit yet is a warning, because one
//! commit is applied in any order. Deletions always pass, with a word on who still uses the object, and so do changes that leave the spec alone. Nothing is written,
//! and neither Kafka nor a registry nor a store is asked, so a dry run is the same as the real thing.
//!
//! Every check is made again in the reconcile: a cluster where nobody answers here is slower to tell, not less safe.
//! So an answer that takes too long, or a check that fails by our own mistake, lets the object pass.
//!
//! A decision tells of columns, labels, grants and owners, and the API server's questions carry no proof of who asks. So
//! reviews are taken at one path only, which nobody guesses: it is kept in the Secret beside the certificate, and told to
//! the API server with the CA. Whoever may read neither can't ask for somebody else's namespace.
//!
//! What a kind decides stands in its room (`admission::Reviewed`). Here: [`review`] finds the kind, and says what is the same for all;
//! [`serve`] HTTPS; [`certificates`] how they are made, pure; [`cert_rotation`] keeps them, and tells the API server whom to trust.

mod cert_rotation;
mod certificates;
mod review;
mod serve;

use std::{net::SocketAddr, sync::Arc, time::Duration};

use kube::Client;
use tokio::sync::watch;

pub use serve::Failure;

use crate::{stores::Stores, supervise::kept, telemetry::Metrics};

/// The ValidatingWebhookConfiguration of the chart.
pub const CONFIGURATION: &str = "headworks-operator";
/// The Service in front of all replicas.
pub const SERVICE: &str = "headworks-operator-webhook";
/// The Secret that holds certificate and key, in the operator's namespace.
pub const SECRET: &str = "headworks-operator-webhook";
/// Where reviews are posted: behind it comes what nobody guesses.
pub const PATH_PREFIX: &str = "/validate/";

/// How admission is served.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where to listen.
    pub listen: SocketAddr,
    /// More names and addresses for the certificate, beside the Service's.
    pub hosts: Vec<String>,
    /// Namespace of the operator: of Service and Secret.
    pub namespace: String,
    /// How long a certificate is good.
    pub lifetime: Duration,
}

impl Options {
    /// All names that the certificate is for.
    fn names(&self) -> Vec<String> {
        let namespace = &self.namespace;
        let mut names = vec![
            format!("{SERVICE}.{namespace}.svc"),
            format!("{SERVICE}.{namespace}.svc.cluster.local"),
            format!("{SERVICE}.{namespace}"),
        ];
        names.extend(self.hosts.iter().cloned());
        names
    }
}

/// Serves until the process ends. `leading` says whether this replica tells the API server whom to trust; `serving`
/// becomes true once there is a certificate.
pub async fn run(
    client: Client,
    options: Options,
    stores: Arc<Stores>,
    metrics: Arc<Metrics>,
    leading: watch::Receiver<bool>,
    serving: watch::Sender<bool>,
) -> Result<(), Failure> {
    let certificate = serve::Certificate::default();
    // After a mistake of ours it begins anew; the certificate in use is served meanwhile.
    let keeping = kept("webhook certificate", || {
        cert_rotation::keep(
            client.clone(),
            &options,
            certificate.clone(),
            leading.clone(),
        )
    });
    let answering = serve::serve(
        client.clone(),
        options.listen,
        certificate.clone(),
        stores,
        metrics,
        serving,
    );
    tokio::select! {
        () = keeping => Ok(()),
        ended = answering => ended,
    }
}
