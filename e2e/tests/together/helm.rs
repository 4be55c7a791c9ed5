//! The charts' and CRDs' life, on an API server of the test's own that has no nodes: what Helm makes, changes and leaves, and whether the
//! operator can work with just the rights that the chart gives it. (With nodes and data it is tested alone.)

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use headworks_crds::kinds::KINDS;
use headworks_e2e::{Kubectl, bare, cluster, pipeline, pocket, stream, until};
use serde_json::{Value, json};

const SYSTEM: &str = "headworks-system";
const SPACE: &str = "e2e-beside";
const PLACE: &str = "/var/tmp/headworks-e2e-beside";

/// The API server, until dropped.
struct Beside(Kubectl);

impl Beside {
    fn up() -> Beside {
        pocket(&["beside", "down", PLACE]);
        let (ok, text) = pocket(&["beside", "up", PLACE]);
        assert!(ok, "{text}");
        let config = Some(PathBuf::from(PLACE).join("kubeconfig.yaml"));
        Beside(Kubectl { config })
    }

    fn helm(&self, arguments: &[&str]) -> String {
        let mut helm = self.0.program("helm");
        must(helm.args(arguments).args(["-n", SYSTEM]))
    }

    fn get(&self, kind: &str, name: &str, namespace: &str) -> Value {
        let found = self.0.get(kind, name, namespace);
        found.unwrap_or_else(|| panic!("no {kind} {name}"))
    }

    fn apply(&self, yaml: &str) {
        let outcome = self.0.apply(yaml, SPACE);
        assert!(outcome.ok, "{}", outcome.text);
    }

    fn ready(&self, kind: &str, name: &str) {
        let mut last = Value::Null;
        until(name, Duration::from_secs(90), || {
            let object = self.0.get(kind, name, SPACE)?;
            last = object["status"]["conditions"].clone();
            let ready = |c: &Value| c["type"] == "Ready" && c["status"] == "True";
            last.as_array()?.iter().any(ready).then_some(())
        })
        .unwrap_or_else(|| panic!("{kind}/{name} isn't Ready: {last}"));
    }
}

impl Drop for Beside {
    fn drop(&mut self) {
        pocket(&["beside", "down", PLACE]);
    }
}

fn must(command: &mut Command) -> String {
    let output = command.output().expect("it runs");
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(output.status.success(), "{command:?}: {text}");
    text
}

fn chart(name: &str) -> String {
    format!("{}/../charts/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// The operator as a process of this machine, under the chart's ServiceAccount, until dropped.
struct Operator(Child);

impl Operator {
    /// Serves admission at `NODE_IP:port`, where the chart's Service is made to lead.
    fn start(beside: &Beside, port: u16) -> Operator {
        let program = Path::new(&std::env::var("HEADWORKS_CLI").expect("HEADWORKS_CLI"))
            .with_file_name("headworks-operator");
        let account = ["create", "token", "headworks-operator", "-n", SYSTEM];
        let token = beside.0.must(&[&account[..], &["--duration=1h"]].concat());
        let admin = std::fs::read_to_string(Path::new(PLACE).join("kubeconfig.yaml")).unwrap();
        // The administrator's, with the token in place of the certificate.
        let user = admin.find("  user: {").expect("a user");
        let end = user + admin[user..].find('\n').unwrap();
        let config = format!(
            "{}  user: {{token: {}}}{}",
            &admin[..user],
            token.trim(),
            &admin[end..]
        );
        let path = Path::new(PLACE).join("operator.yaml");
        std::fs::write(&path, config).unwrap();
        let log = std::fs::File::create(Path::new(PLACE).join("operator.log")).unwrap();
        let node = std::env::var("NODE_IP").expect("NODE_IP");
        let child = Command::new(program)
            .env("KUBECONFIG", path)
            .env("HEADWORKS_RUNTIME_IMAGE", "headworks.local/runtime:none")
            .args(["--namespace", SYSTEM, "--pod-name", "beside"])
            .arg("--listen=127.0.0.1:0")
            .arg(format!("--webhook-listen={node}:{port}"))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .stdin(Stdio::null())
            .spawn()
            .expect("the operator runs");
        Operator(child)
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        for _ in 0..100 {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    let node = std::env::var("NODE_IP").expect("NODE_IP");
    let listener = std::net::TcpListener::bind((node, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// Both charts, beside what is there.
fn install(beside: &Beside, how: &[&str]) {
    let crds = [
        "install",
        "headworks-crds",
        &chart("headworks-crds"),
        "--create-namespace",
        "--take-ownership",
    ];
    beside.helm(&crds);
    let images = "image.repository=headworks.local/operator,image.tag=none,runtime.image=headworks.local/runtime:none";
    let main = chart("headworks");
    beside.helm(&[&["install", "headworks", &main, "--set", images], how].concat());
}

/// The webhook's Service leads to this machine, as it would to a pod.
fn lead_here(beside: &Beside, port: u16) {
    let node = std::env::var("NODE_IP").expect("NODE_IP");
    let leads = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": {"name": "beside", "namespace": SYSTEM, "labels": {"kubernetes.io/service-name": "headworks-operator-webhook"}},
        "addressType": "IPv4", "endpoints": [{"addresses": [node]}],
        "ports": [{"name": "https", "port": port, "protocol": "TCP"}]});
    assert!(beside.0.apply(&leads.to_string(), SYSTEM).ok);
}

/// Where the API server asks, and whom it trusts.
fn hook(beside: &Beside) -> Value {
    let kind = "validatingwebhookconfigurations";
    beside.get(kind, "headworks-operator", "")["webhooks"][0]["clientConfig"].clone()
}

/// An upgrade changes what it is told to, a rollback takes it back, and neither what is the operator's.
fn upgrade_and_roll_back(beside: &Beside) {
    let before = hook(beside);
    let cpu = || {
        let deployment = beside.get("deployments", "headworks-operator", SYSTEM);
        let at = "/spec/template/spec/containers/0/resources/requests/cpu";
        deployment.pointer(at).cloned().unwrap_or_default()
    };
    let original = cpu();
    let upgrade = [
        "upgrade",
        "headworks",
        &chart("headworks"),
        "--reuse-values",
    ];
    beside.helm(&[&upgrade[..], &["--set", "resources.requests.cpu=11m"]].concat());
    beside.helm(&["upgrade", "headworks-crds", &chart("headworks-crds")]);
    assert_eq!(cpu(), "11m");
    assert_eq!(
        hook(beside),
        before,
        "whom to trust and where to ask stay the operator's"
    );
    beside.helm(&["rollback", "headworks"]);
    assert_eq!(cpu(), original);
    assert_eq!(hook(beside), before);
}

#[test]
fn charts_are_installed_upgraded_rolled_back_and_uninstalled_and_keep_what_is_the_users() {
    let Some((kubectl, kafka)) = bare() else {
        return;
    };
    headworks_e2e::sweep_once(&kubectl, &kafka);
    kafka.forget(&format!("{SPACE}."), &format!(".{SPACE}."));
    let beside = Beside::up();
    install(&beside, &[]);
    for kind in KINDS {
        let established = format!("crd/{}", kind.full_name());
        let wait = [
            "wait",
            "--for=condition=Established",
            "--timeout=30s",
            &established,
        ];
        beside.0.must(&wait);
    }
    let deployment = beside.get("deployments", "headworks-operator", SYSTEM);
    assert_eq!(deployment["spec"]["replicas"], 2);
    beside.get("poddisruptionbudgets", "headworks-operator", SYSTEM);

    let port = free_port();
    lead_here(&beside, port);
    let operator = Operator::start(&beside, port);
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}});
    beside.apply(&namespace.to_string());
    let bootstrap = std::env::var("KAFKA_BOOTSTRAP").expect("KAFKA_BOOTSTRAP");
    beside.apply(&headworks_e2e::platform("e2e", &bootstrap, ""));
    beside.ready("platforms.headworks.dev", "e2e");
    for name in ["a", "b"] {
        beside.apply(&stream(name, "partitions: 1"));
        beside.ready("datastreams.headworks.dev", name);
    }
    beside.apply(&pipeline("p", "SELECT id, n FROM a", "b"));
    let pod = until("a pod", Duration::from_secs(60), || {
        Some(beside.0.get("pods", "p-0", SPACE)?["metadata"]["uid"].clone())
    })
    .expect("the Pipeline's pod is made, though no node takes it");
    until("whom to trust", Duration::from_secs(60), || {
        hook(&beside)["caBundle"].is_string().then_some(())
    })
    .expect("the operator says whom to trust");
    let refused = "SELECT id, n FROM a WHERE";
    until("admission answers", Duration::from_secs(60), || {
        let outcome = beside.0.apply(&pipeline("q", refused, "b"), SPACE);
        (!outcome.ok && outcome.text.contains("spec.sql")).then_some(())
    })
    .expect("a query that can't be read is refused in the terminal");

    upgrade_and_roll_back(&beside);

    drop(operator);
    beside.helm(&["uninstall", "headworks", "--wait", "--timeout=60s"]);
    beside.helm(&["uninstall", "headworks-crds"]);
    for kind in KINDS {
        beside.get("crd", &kind.full_name(), "");
    }
    for (kind, name) in [
        ("clusterroles", "headworks-operator"),
        ("validatingwebhookconfigurations", "headworks-operator"),
    ] {
        let left = beside.0.get(kind, name, "");
        assert!(left.is_none(), "{kind}/{name} goes with its chart");
    }
    beside.get("datastreams.headworks.dev", "a", SPACE);

    install(&beside, &["--set", "replicas=1"]);
    let operator = Operator::start(&beside, port);
    beside.apply(&stream("c", "partitions: 1"));
    beside.ready("datastreams.headworks.dev", "c");
    assert_eq!(
        beside.get("pods", "p-0", SPACE)["metadata"]["uid"],
        pod,
        "the pod was never touched"
    );
    drop(operator);

    let uninstall = || {
        let program = std::env::var("HEADWORKS_CLI").expect("HEADWORKS_CLI");
        must(beside.0.program(&program).args(["uninstall", "--yes"]))
    };
    uninstall();
    let left = beside.0.must(&["get", "crd", "-o", "name"]);
    assert!(!left.contains("headworks.dev"), "{left}");
    assert!(
        kafka.partitions(&format!("{SPACE}.a")).is_some(),
        "topics stay"
    );
    assert!(uninstall().contains("nothing of Headworks is left"));
    kafka.forget(&format!("{SPACE}."), &format!(".{SPACE}."));
}

#[test]
fn kubectl_explain_describes_every_kind() {
    let Some(c) = cluster("e2e-explain") else {
        return;
    };
    for field in [
        "platforms.spec.kafka.bootstrapServers",
        "datastreams.spec.eventTime",
        "sources.spec.http.maxBodyBytes",
        "sources.spec.generate.disorder.by",
        "datastores.spec.postgres.tls.caSecret",
        "pipelines.spec.to.table.create",
        "pipelines.spec.tests.given",
        "pipelines.spec.onBadRecord",
    ] {
        let text = c
            .kubectl
            .must(&["explain", "--api-version=headworks.dev/v1alpha1", field]);
        assert!(
            text.contains("DESCRIPTION") && !text.contains("<empty>"),
            "{field}: {text}"
        );
    }
}
