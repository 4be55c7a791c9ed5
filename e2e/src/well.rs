//! Whether the cluster is well: what a test needs before it begins, and has to give back when it killed something. A test that
//! finds the cluster unwell says what is unwell, not that the test itself failed.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio_postgres::NoTls;

use crate::{Kafka, Kubectl, block_on};

/// How long a cluster may take until it is well. After `kill -9` of a broker with thousands of groups, its coordinators alone
/// may take a minute.
pub const PATIENCE: Duration = Duration::from_secs(300);
/// How long the next test waits for what another waited for in vain.
const AGAIN: Duration = Duration::from_secs(30);
/// For so long nobody asks again: tests run side by side, and who kills something says so.
const FRESH: Duration = Duration::from_secs(60);

/// When all was well last, and whether somebody waited in vain since.
static KNOWN: Mutex<(Option<Instant>, bool)> = Mutex::new((None, false));

/// Waits until the API server, the node, the operator, the broker and its coordinators, PostgreSQL and the registry all answer;
/// says what it waits for. Panics with the name of what doesn't.
pub fn well(kubectl: &Kubectl, kafka: &Kafka, when: &str) {
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if known.0.is_some_and(|at| at.elapsed() < FRESH) {
        return;
    }
    let limit = if known.1 { AGAIN } else { PATIENCE };
    match wait(kubectl, kafka, when, limit) {
        Ok(()) => *known = (Some(Instant::now()), false),
        Err(said) => {
            *known = (None, true);
            drop(known);
            panic!("{said}");
        }
    }
}

/// What was well is looked at again: something is about to be killed.
pub fn doubt() {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner).0 = None;
}

type Check<'a> = (&'static str, Box<dyn FnMut() -> Result<(), String> + 'a>);

fn wait(kubectl: &Kubectl, kafka: &Kafka, when: &str, limit: Duration) -> Result<(), String> {
    let checks: Vec<Check<'_>> = vec![
        ("the API server answers", Box::new(|| api(kubectl))),
        ("the node is Ready", Box::new(|| node(kubectl))),
        (
            "the operator's Deployment is available",
            Box::new(|| operator(kubectl)),
        ),
        ("the broker answers", Box::new(|| kafka.answers())),
        (
            "Kafka has loaded its groups' coordinators",
            Box::new(|| kafka.groups_are_known()),
        ),
        (
            "Kafka has loaded a transaction coordinator",
            Box::new(|| kafka.transactions_begin()),
        ),
        ("Kafka knows its SCRAM user", Box::new(Kafka::scram_user)),
        ("PostgreSQL answers", Box::new(postgres)),
        ("the schema registry answers", Box::new(registry)),
    ];
    let began = Instant::now();
    for (what, mut check) in checks {
        let mut said = false;
        while let Err(why) = check() {
            if began.elapsed() > limit {
                return Err(format!(
                    "the cluster is unwell {when}, and this test isn't what is wrong: waited {} s until {what}: {why} (`e2e/pocket/pocket status` says more)",
                    began.elapsed().as_secs()
                ));
            }
            if !said && began.elapsed() > Duration::from_secs(3) {
                println!("    ({when}: waiting until {what}: {why})");
                said = true;
            }
            std::thread::sleep(Duration::from_millis(500));
        }
    }
    Ok(())
}

fn api(kubectl: &Kubectl) -> Result<(), String> {
    let outcome = kubectl.run(&["get", "--raw", "/readyz", "--request-timeout=5s"]);
    outcome.ok.then_some(()).ok_or(outcome.text)
}

fn node(kubectl: &Kubectl) -> Result<(), String> {
    let ready = "jsonpath={.items[*].status.conditions[?(@.type==\"Ready\")].status}";
    let outcome = kubectl.run(&["get", "nodes", "-o", ready]);
    let all = outcome.text.split_whitespace().all(|one| one == "True");
    (outcome.ok && all).then_some(()).ok_or(outcome.text)
}

fn operator(kubectl: &Kubectl) -> Result<(), String> {
    let object = kubectl
        .get("deployments", "headworks-operator", "headworks-system")
        .ok_or("there is none: `make install`")?;
    let status = &object["status"];
    let fresh = status["observedGeneration"] == object["metadata"]["generation"];
    let wanted = object["spec"]["replicas"].as_i64();
    (fresh && status["availableReplicas"].as_i64() == wanted && wanted > Some(0))
        .then_some(())
        .ok_or_else(|| {
            format!(
                "{} of {} pods",
                status["availableReplicas"], object["spec"]["replicas"]
            )
        })
}

/// Where this machine has one.
fn postgres() -> Result<(), String> {
    let (Ok(address), Ok(user), Ok(password)) = (
        std::env::var("POSTGRES"),
        std::env::var("POSTGRES_USER"),
        std::env::var("POSTGRES_PASSWORD_FILE").and_then(|file| {
            std::fs::read_to_string(file).map_err(|_| std::env::VarError::NotPresent)
        }),
    ) else {
        return Ok(());
    };
    let (host, port) = address.split_once(':').ok_or("POSTGRES isn't host:port")?;
    let mut config = tokio_postgres::Config::new();
    config
        .host(host)
        .port(port.parse().map_err(|_| "POSTGRES has no port")?)
        .dbname("postgres")
        .user(user)
        .password(password)
        .connect_timeout(Duration::from_secs(5));
    block_on(async {
        let (client, connection) = config.connect(NoTls).await.map_err(|e| e.to_string())?;
        let connection = tokio::spawn(connection);
        let answer = client.simple_query("SELECT 1").await;
        drop(client);
        let _ = connection.await;
        answer.map(|_| ()).map_err(|e| e.to_string())
    })
}

/// Where this machine has one.
fn registry() -> Result<(), String> {
    let Ok(url) = std::env::var("REGISTRY_URL") else {
        return Ok(());
    };
    block_on(async {
        let answer = reqwest::Client::new()
            .get(format!("{url}/subjects"))
            .timeout(Duration::from_secs(5))
            .send()
            .await
            .map_err(|e| e.to_string())?;
        let status = answer.status();
        status
            .is_success()
            .then_some(())
            .ok_or_else(|| status.to_string())
    })
}
