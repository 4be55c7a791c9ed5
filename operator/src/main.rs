//! `headworks-operator`: the control plane's process.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use clap::Parser;
use headworks_operator::{
    context::{Network, Settings},
    run::{Options, run},
    scope::Scope,
    telemetry, webhook,
};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Makes Headworks' objects true: topics, endpoints, pipelines.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Image of the Headworks runtime, for pods whose podTemplate names none.
    #[arg(long, env = "HEADWORKS_RUNTIME_IMAGE")]
    runtime_image: String,
    /// Namespace of the operator: where its leader election Lease is.
    #[arg(long, env = "POD_NAMESPACE", default_value = "headworks-system")]
    namespace: String,
    /// Name of the operator's pod: what it leads by.
    #[arg(long, env = "POD_NAME", default_value = "headworks-operator")]
    pod_name: String,
    /// What is logged, as a tracing filter such as `info` or `headworks_operator=debug,info`.
    #[arg(long, env = "HEADWORKS_LOG", default_value = "info")]
    log: String,
    /// Where /metrics, /healthz and /readyz are served.
    #[arg(long, default_value = "0.0.0.0:8080")]
    listen: SocketAddr,
    /// Lead without a Lease: for debugging outside a cluster, where no other operator runs.
    #[arg(long)]
    no_election: bool,
    /// Where admission is served to the API server (HTTPS), such as 0.0.0.0:9443. Absent: it isn't.
    #[arg(long)]
    webhook_listen: Option<SocketAddr>,
    /// One more name or address for the webhook's certificate, beside those of its Service.
    #[arg(long)]
    webhook_host: Vec<String>,
    /// How long a certificate of the webhook is good, in days; it is renewed when a third is left.
    #[arg(long, default_value_t = 90)]
    webhook_certificate_days: u64,
    /// A namespace with objects of ours; several times for several. Absent: all are watched. With it nothing is asked of any other
    /// namespace, so Roles suffice.
    #[arg(long)]
    watch_namespace: Vec<String>,
    /// A namespace of Strimzi's objects; several times for several. Absent: all, or none with --watch-namespace.
    #[arg(long)]
    strimzi_namespace: Vec<String>,
    /// A namespace of AccessGrants' clients, for --watch-namespace: whether it accepts grants is asked for.
    #[arg(long)]
    grant_namespace: Vec<String>,
    /// Don't look at AccessGrants: the operator has no rights on them.
    #[arg(long)]
    no_access_grants: bool,
    /// Make a NetworkPolicy for each object's pods.
    #[arg(long)]
    network_policies: bool,
    /// A namespace from which the pods' metrics are scraped, for --network-policies; several times for several.
    #[arg(long)]
    metrics_namespace: Vec<String>,
    /// How often a healthy Platform or topic is looked at again, in seconds.
    #[arg(long, default_value_t = 60)]
    recheck_seconds: u64,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    telemetry::logs(&arguments.log);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            tracing::error!(%error, "no threads");
            return ExitCode::FAILURE;
        }
    };
    let outcome = runtime.block_on(async {
        let stop = CancellationToken::new();
        tokio::spawn(stop_on_signal(stop.clone()));
        let webhook = arguments.webhook_listen.map(|listen| webhook::Options {
            listen,
            hosts: arguments.webhook_host,
            namespace: arguments.namespace.clone(),
            lifetime: Duration::from_secs(
                arguments.webhook_certificate_days.clamp(3, 3_650) * 86_400,
            ),
        });
        let options = Options {
            webhook,
            settings: Settings {
                runtime_image: arguments.runtime_image,
                scope: Scope {
                    namespaces: arguments.watch_namespace,
                    clients: arguments.grant_namespace,
                    strimzi: arguments.strimzi_namespace,
                    no_grants: arguments.no_access_grants,
                    network_policies: arguments.network_policies,
                },
                network: arguments.network_policies.then(|| Network {
                    operator: arguments.namespace.clone(),
                    metrics: arguments.metrics_namespace,
                }),
                namespace: arguments.namespace,
                recheck: Duration::from_secs(arguments.recheck_seconds.max(5)),
            },
            pod_name: arguments.pod_name,
            election: !arguments.no_election,
            listen: arguments.listen,
        };
        run(&options, stop).await
    });
    // A call into Kafka that is still waiting must not keep the process.
    runtime.shutdown_timeout(Duration::from_secs(1));
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, "the operator ends");
            ExitCode::FAILURE
        }
    }
}

/// Cancels the token on SIGTERM or SIGINT.
async fn stop_on_signal(stop: CancellationToken) {
    let (Ok(mut terminate), Ok(mut interrupt)) = (
        signal(SignalKind::terminate()),
        signal(SignalKind::interrupt()),
    ) else {
        tracing::error!("signals can't be caught; the process ends only when killed");
        return;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    stop.cancel();
}
