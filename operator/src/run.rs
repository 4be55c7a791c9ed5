//! The life of the operator: serve health, fill the stores, answer admission; win the election, reconcile until told to stop.
//!
//! Every replica watches, so that each can answer the API server, and a new leader begins with warm stores.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use kube::{Client, runtime::reflector::Store};
use snafu::{ResultExt, Snafu};
use tokio::{sync::watch, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    context::{Context, Settings},
    controller::{self, Reconciler},
    crd_versions::CrdVersions,
    election::{Elector, Lost, PACE},
    events::Events,
    indexes::Indexes,
    kafka_pool::KafkaPool,
    metrics_server,
    names::Key,
    planning::flows::Flows,
    registry_pool::RegistryPool,
    reports::{self, Reports},
    retry::Backoff,
    rollout_turns::RolloutTurns,
    rule_counts::RuleMemory,
    scope::Scope,
    status::LastWrittenStatus,
    stores::{Guarded, Stores},
    strimzi::strimzi,
    supervise::{Task, kept},
    telemetry::{Health, Metrics},
    verified::{SettlingTexts, UserOperatorCache, VerifiedPasswords, VerifiedUsers},
    watches::{Gone, owner_of_pod, warm, watches},
    webhook,
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
    /// How admission is served; none: it isn't.
    pub webhook: Option<webhook::Options>,
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
    /// Admission can't be served.
    #[snafu(display("{source}"))]
    Webhook {
        /// The cause.
        source: webhook::Failure,
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
    let server = metrics_server::serve(options.listen, metrics.clone(), health.clone());
    let mut server = tokio::spawn(server);
    let client = Client::try_default()
        .await
        .map_err(Box::new)
        .context(ConnectSnafu)?;
    let shared = Shared::default();
    let (stores, tasks) = shared.watches(&client, &options.settings.scope, &metrics);
    let mut watching = JoinSet::new();
    watching.spawn(health.clone().tick());
    for task in tasks {
        watching.spawn(task);
    }
    let (leading, leads) = watch::channel(false);
    let mut admission = admission(options, &client, &stores, leads, (&health, &metrics));
    let mut elector = Elector::new(
        client.clone(),
        &options.settings.namespace,
        LEASE,
        options.pod_name.clone(),
        PACE,
    );
    if options.election {
        tokio::select! {
            () = elector.acquire() => {}
            () = stop.cancelled() => {
                // A try that was on its way may have taken it.
                elector.release().await;
                return Ok(());
            }
            ended = &mut server => return Err(listen_error(options, ended)),
            failed = &mut admission => return Err(failed),
            Some(ended) = watching.join_next() => return EndedSnafu { what: format!("watch: {ended:?}") }.fail(),
        }
    }
    // Fails only if nobody serves admission.
    let _ = leading.send(true);
    tracing::info!(pod = options.pod_name, "leading");
    metrics.leads(true);
    let mut work = JoinSet::new();
    let lead = lead(
        options,
        client,
        shared,
        stores,
        (metrics.clone(), health.clone()),
        (&mut work, &mut watching),
        &stop,
    );
    let outcome = tokio::select! {
        outcome = lead => outcome,
        Lost(why) = async { if options.election { elector.hold().await } else { std::future::pending().await } } => LeadershipLostSnafu { why }.fail(),
        ended = &mut server => Err(listen_error(options, ended)),
        failed = &mut admission => Err(failed),
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

/// What the watches tell, and a leader acts on.
#[derive(Default)]
struct Shared {
    indexes: Arc<Indexes>,
    flows: Arc<Flows>,
    memory: Arc<LastWrittenStatus>,
    reports: Arc<Reports>,
    kafka: Arc<KafkaPool>,
    registries: Arc<RegistryPool>,
    rules: Arc<RuleMemory>,
}

impl Shared {
    /// The stores, and the tasks that fill them.
    fn watches(
        &self,
        client: &Client,
        scope: &Scope,
        metrics: &Arc<Metrics>,
    ) -> (Stores, Vec<Task>) {
        let (memory, reports) = (self.memory.clone(), self.reports.clone());
        let (kafka, registries) = (self.kafka.clone(), self.registries.clone());
        let rules = self.rules.clone();
        let gone: Gone = Arc::new(move |key: &Key, uid: &str| {
            memory.forget(uid);
            reports.forget(key);
            registries.forget(key);
            rules.forget(key);
            if key.kind == "Platform" {
                kafka.forget(&key.name);
            }
        });
        watches(client, scope, &self.indexes, &self.flows, metrics, &gone)
    }
}

/// Serves admission, if it is asked for, and says that the replica is ready as soon as it can do what it is for: with
/// warm stores, and with a certificate where admission is served. Whether it leads doesn't matter: a roll-out must not
/// wait for that. Ends only with an error.
fn admission(
    options: &Options,
    client: &Client,
    stores: &Stores,
    leads: watch::Receiver<bool>,
    (health, metrics): (&Arc<Health>, &Arc<Metrics>),
) -> BoxFuture<'static, Error> {
    let (stores, health) = (Arc::new(stores.clone()), health.clone());
    let (serving, mut served) = watch::channel(options.webhook.is_none());
    let serve = options.webhook.clone().map(|webhook| {
        let (stores, metrics) = (stores.clone(), metrics.clone());
        webhook::run(client.clone(), webhook, stores, metrics, leads, serving)
    });
    let ready = async move {
        warm(&stores).await;
        // An error means that the server has ended, which is told below.
        if served.wait_for(|yes| *yes).await.is_ok() {
            health.ready();
        }
        std::future::pending::<()>().await;
    };
    Box::pin(async move {
        let Some(serve) = serve else {
            ready.await;
            return std::future::pending().await;
        };
        tokio::select! {
            () = ready => std::future::pending().await,
            ended = serve => match ended {
                Ok(()) => Error::Ended { what: "admission".into() },
                Err(source) => Error::Webhook { source },
            },
        }
    })
}

/// All the work of a leader. Ends after `stop`, when the running reconciles are done.
async fn lead(
    options: &Options,
    client: Client,
    shared: Shared,
    stores: Stores,
    (metrics, health): (Arc<Metrics>, Arc<Health>),
    (work, watching): (&mut JoinSet<()>, &mut JoinSet<()>),
    stop: &CancellationToken,
) -> Result<(), Error> {
    let Shared {
        indexes,
        flows,
        memory,
        reports,
        kafka,
        registries,
        rules,
    } = shared;
    let (strimzi, tasks) = strimzi(&client, &options.settings.scope, &indexes, &metrics);
    for task in tasks {
        watching.spawn(task);
    }
    tokio::select! {
        () = warm(&stores) => {}
        () = stop.cancelled() => return Ok(()),
        Some(ended) = watching.join_next() => return EndedSnafu { what: format!("watch: {ended:?}") }.fail(),
    }
    figures::remember(&reports, &stores);
    let (pods, lineage, owners) = (stores.pods.clone(), stores.lineage.clone(), indexes.clone());
    watching.spawn(reports::run(
        reports.clone(),
        move || reports::targets(&pods, |pod| owner_of_pod(pod, &lineage, &owners)),
        indexes.clone(),
        metrics.clone(),
        health.clone(),
    ));
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
        health,
        reports,
        kafka,
        strimzi,
        verified_passwords: VerifiedPasswords::default(),
        verified_users: VerifiedUsers::default(),
        user_operators: UserOperatorCache::default(),
        settling: SettlingTexts::default(),
        registries,
        rollouts: RolloutTurns::default(),
        rules,
        crds: CrdVersions::default(),
    });
    // Said at once in the log, also where there is no Platform yet to say it.
    let crds = context.crds.look(&context.client);
    let _ = tokio::time::timeout(Duration::from_secs(5), crds).await;
    let stores = &context.stores;
    let at = &(context.clone(), stop.clone());
    macro_rules! controllers {
        ($($field:ident: $kind:ident,)*) => {
            $(work.spawn(control(at, &stores.$field));)*
        };
    }
    for_each_kind!(controllers);
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

/// One kind's controller. A mistake of ours in it, outside of any one reconcile, begins it again.
fn control<K: Reconciler>(
    at: &(Arc<Context>, CancellationToken),
    store: &Store<Guarded<K>>,
) -> impl Future<Output = ()> + Send + use<K> {
    let ((context, stop), store) = (at.clone(), store.clone());
    async move {
        let name = format!("controller {}", K::kind(&()));
        kept(&name, || {
            controller::run(context.clone(), store.clone(), stop.clone())
        })
        .await;
    }
}
