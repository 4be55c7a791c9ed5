//! The cluster that `kubectl` would talk to: KUBECONFIG, `--context`, `--kubeconfig`.

use std::path::PathBuf;
use std::time::Duration;

use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};

use crate::{End, output};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Which cluster.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Arguments {
    /// The kubeconfig file. Absent: as kubectl chooses it (KUBECONFIG, ~/.kube/config).
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// The context of the kubeconfig. Absent: its current one.
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

/// A client, and the namespace that the context names.
pub struct Cluster {
    /// The client.
    pub client: Client,
    /// Address of its API server.
    pub server: String,
    /// Namespace of the context.
    pub namespace: String,
}

impl Arguments {
    /// Reads the configuration and makes a client. Nothing is sent yet.
    pub async fn connect(&self) -> Result<Cluster, End> {
        self.configured().await.map_err(|message| {
            output::note(&format!("headworks: {message}"));
            End::Unreadable
        })
    }

    /// A client for answers that take as long as they take: logs that are followed.
    pub async fn following(&self) -> Result<Client, End> {
        let client = async {
            let mut config = self.config().await?;
            config.connect_timeout = Some(PATIENCE);
            config.read_timeout = None;
            Client::try_from(config).map_err(|e| e.to_string())
        };
        client.await.map_err(|message: String| {
            output::note(&format!("headworks: {message}"));
            End::Unreadable
        })
    }

    async fn configured(&self) -> Result<Cluster, String> {
        let mut config = self.config().await?;
        config.connect_timeout = Some(PATIENCE);
        config.read_timeout = Some(PATIENCE);
        let namespace = config.default_namespace.clone();
        let server = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(|e| e.to_string())?;
        Ok(Cluster {
            client,
            server,
            namespace,
        })
    }

    async fn config(&self) -> Result<Config, String> {
        let options = KubeConfigOptions {
            context: self.context.clone(),
            ..KubeConfigOptions::default()
        };
        let hint = "name one with --kubeconfig or KUBECONFIG";
        match &self.kubeconfig {
            Some(path) => {
                let shown = path.display();
                let file = Kubeconfig::read_from(path).map_err(|e| format!("{shown}: {e}"))?;
                Config::from_custom_kubeconfig(file, &options)
                    .await
                    .map_err(|e| format!("{shown}: {e}"))
            }
            None if self.context.is_some() || std::env::var_os("KUBECONFIG").is_some() => {
                Config::from_kubeconfig(&options)
                    .await
                    .map_err(|e| format!("the kubeconfig can't be used: {e}; {hint}"))
            }
            // In a pod there is no kubeconfig, but a service account.
            None => Config::infer()
                .await
                .map_err(|e| format!("there is no cluster to talk to: {e}; {hint}")),
        }
    }
}

/// Runs a future to its end on a runtime of its own.
pub fn block_on<T>(work: impl Future<Output = Result<T, End>>) -> Result<T, End> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    match runtime {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => {
            output::note(&format!("headworks: {error}"));
            Err(End::Unreadable)
        }
    }
}

/// An API server's refusal in words.
pub fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} ({})", status.message, status.code),
        // The sources say more than the outermost "client error".
        other => {
            let mut text = other.to_string();
            let mut source = std::error::Error::source(other);
            while let Some(inner) = source {
                let inner_text = inner.to_string();
                if !text.contains(&inner_text) {
                    text.push_str(": ");
                    text.push_str(&inner_text);
                }
                source = inner.source();
            }
            text
        }
    }
}
