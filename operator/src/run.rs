//! The life of the operator: serve health, win the election, fill the stores, reconcile until told to stop.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use kube::Client;
use snafu::{ResultExt, Snafu};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    access::{Tried, user_operator::Seen, workload::Settled},
    context::{Context, Settings},
    controller,
    election::{Elector, Lost, PACE},
    events::Events,
    indexes::Indexes,
    kafka_pool::KafkaPool,
    names::Key,
    pipeline::Flows,
    registry_pool::RegistryPool,
    reports::{self, Reports},
    retry::Backoff,
    status::Memory,
    strimzi::strimzi,
    telemetry::{Health, Metrics, serve},
    watches::{Gone, owner_of, warm, watches},
    workload::figures,
};

/// Name of the leader election Lease.
const LEASE: &str = "headworks-operator";

/// How the operator is run.
#[derive(Clone, Debug)]
pub struct Options {
    /// Facts of the installation.
    pub settings: Settings,
    /// The operator's pod: the name it leads by.
    pub pod_name: String,
    /// False: lead without a Lease, for debugging outside a cluster.
    pub election: bool,
    /// Where `/metrics`, `/healthz` and `/readyz` are served.
    pub listen: SocketAddr,
}

/// Why the operator ended.
#[derive(Debug, Snafu)]
pub enum Error {
    /// No API server.
    #[snafu(display(
        "no connection to the API server: {source}. In a cluster the ServiceAccount's token is used; outside set KUBECONFIG"
    ))]
    Connect {
        /// The cause.
        source: Box<kube::Error>,
    },
    /// The port is taken.
    #[snafu(display(
        "can't serve metrics and health on {listen}: {source}; choose another with --listen"
    ))]
    Listen {
        /// The address.
        listen: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
    /// Another may lead now.
    #[snafu(display("leadership is lost: {why}; the process ends, so that never two act"))]
    LeadershipLost {
        /// What happened.
        why: String,
    },
    /// A task that must not end has ended.
    #[snafu(display("a watch or controller ended: {what}"))]
    Ended {
        /// Which.
        what: String,
    },
}

/// Runs until `stop`, or until leadership is lost.
pub async fn run(options: &Options, stop: CancellationToken) -> Result<(), Error> {
    let metrics = Arc::new(Metrics::default());
    let health = Arc::new(Health::default());
    let mut server = tokio::spawn(serve(options.listen, metrics.clone(), health.clone()));
    let client = Client::try_default()
        .await
        .map_err(Box::new)
        .context(ConnectSnafu)?;
    let mut elector = Elector::new(
        client.clone(),
        &options.settings.namespace,
        LEASE,
        options.pod_name.clone(),
        PACE,
    );
    if options.election {
        // A replica that stands by is ready: a roll-out must not wait for it to lead.
        health.ready();
        tokio::select! {
            () = elector.acquire() => {}
            () = stop.cancelled() => {
                // A try that was on its way may have taken it.
                elector.release().await;
                return Ok(());
            }
            ended = &mut server => return Err(listen_error(options, ended)),
        }
    }
    tracing::info!(pod = options.pod_name, "leading");
    metrics.leads(true);
    let mut work = JoinSet::new();
    let lead = lead(options, client, metrics.clone(), &mut work, &stop, &health);
    let outcome = tokio::select! {
        outcome = lead => outcome,
        Lost(why) = async { if options.election { elector.hold().await } else { std::future::pending().await } } => LeadershipLostSnafu { why }.fail(),
        ended = &mut server => Err(listen_error(options, ended)),
    };
    metrics.leads(false);
    // Nothing of ours may still act when another leads, not even a reconcile that hangs.
    work.shutdown().await;
    if options.election && !matches!(outcome, Err(Error::LeadershipLost { .. })) {
        elector.release().await;
    }
    outcome
}

fn listen_error(
    options: &Options,
    ended: Result<std::io::Result<()>, tokio::task::JoinError>,
) -> Error {
    let source = match ended {
        Ok(Err(source)) => source,
        Ok(Ok(())) => std::io::Error::other("the server ended"),
        Err(error) => std::io::Error::other(error),
    };
    Error::Listen {
        listen: options.listen,
        source,
    }
}

/// All the work of a leader. Ends after `stop`, when the running reconciles are done.
async fn lead(
    options: &Options,
    client: Client,
    metrics: Arc<Metrics>,
    work: &mut JoinSet<()>,
    stop: &CancellationToken,
    health: &Health,
) -> Result<(), Error> {
    let indexes = Arc::new(Indexes::default());
    let flows = Arc::new(Flows::default());
    let memory = Arc::new(Memory::default());
    let reports = Arc::new(Reports::default());
    let kafka = Arc::new(KafkaPool::default());
    let registries = Arc::new(RegistryPool::default());
    let gone: Gone = {
        let (memory, reports, kafka) = (memory.clone(), reports.clone(), kafka.clone());
        let registries = registries.clone();
        Arc::new(move |key: &Key, uid: &str| {
            memory.forget(uid);
            reports.forget(key);
            registries.forget(key);
            if key.kind == "Platform" {
                kafka.forget(&key.name);
            }
        })
    };
    let (stores, tasks) = watches(&client, &indexes, &flows, &gone);
    let (strimzi, strimzi_tasks) = strimzi(&client, &indexes);
    let mut watching = JoinSet::new();
    for task in tasks.into_iter().chain(strimzi_tasks) {
        watching.spawn(task);
    }
    tokio::select! {
        () = warm(&stores) => {}
        () = stop.cancelled() => return Ok(()),
    }
    health.ready();
    figures::remember(&reports, &stores);
    let asking = reports::run(
        reports.clone(),
        stores.pods.clone(),
        indexes.clone(),
        metrics.clone(),
        owner_of,
    );
    watching.spawn(asking);
    let context = Arc::new(Context {
        events: Events::new(client.clone(), options.pod_name.clone()),
        client,
        settings: options.settings.clone(),
        stores,
        indexes,
        flows,
        memory,
        backoff: Backoff::default(),
        metrics,
        reports,
        kafka,
        strimzi,
        tried: Tried::default(),
        settled: Settled::default(),
        user_operators: Seen::default(),
        registries,
    });
    let stores = &context.stores;
    work.spawn(controller::run(
        context.clone(),
        stores.platforms.clone(),
        stop.clone(),
    ));
    work.spawn(controller::run(
        context.clone(),
        stores.streams.clone(),
        stop.clone(),
    ));
    work.spawn(controller::run(
        context.clone(),
        stores.sources.clone(),
        stop.clone(),
    ));
    work.spawn(controller::run(
        context.clone(),
        stores.pipelines.clone(),
        stop.clone(),
    ));
    work.spawn(controller::run(
        context.clone(),
        stores.data_stores.clone(),
        stop.clone(),
    ));
    work.spawn(controller::run(
        context.clone(),
        stores.grants.clone(),
        stop.clone(),
    ));
    loop {
        tokio::select! {
            ended = work.join_next() => match ended {
                None => return Ok(()),
                Some(Ok(())) if stop.is_cancelled() => {}
                Some(ended) => return EndedSnafu { what: format!("controller: {ended:?}") }.fail(),
            },
            Some(ended) = watching.join_next() => return EndedSnafu { what: format!("watch: {ended:?}") }.fail(),
            // A reconcile that hangs must not outlive the pod's grace period.
            () = async { stop.cancelled().await; tokio::time::sleep(Duration::from_secs(20)).await } => return Ok(()),
        }
    }
}
