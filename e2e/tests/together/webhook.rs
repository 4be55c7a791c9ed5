//! The webhook's certificate: renewed without a moment in which a change goes by unchecked, and nothing is written afterwards.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use headworks_e2e::{Cluster, cluster, until};
use serde_json::{Value, json};

const CONFIGURATION: &str = "validatingwebhookconfigurations";
const NAME: &str = "headworks-operator";
const SECRET: &str = "headworks-operator-webhook";
const SYSTEM: &str = "headworks-system";
const END: &str = "-----END CERTIFICATE-----\n";
/// Every replica looks within half a minute.
const ROUND: Duration = Duration::from_secs(35);

fn secret(c: &Cluster) -> Value {
    c.kubectl.get("secret", SECRET, SYSTEM).expect("a Secret")
}

fn configuration(c: &Cluster) -> Value {
    c.kubectl
        .get(CONFIGURATION, NAME, SYSTEM)
        .expect("a configuration")
}

fn version(object: &Value) -> String {
    object["metadata"]["resourceVersion"].to_string()
}

/// The CAs that the API server trusts, newest first: the same for every hook.
fn trusted(c: &Cluster) -> Vec<String> {
    let configuration = configuration(c);
    let hooks = configuration["webhooks"].as_array().unwrap();
    let bundle = &hooks[0]["clientConfig"]["caBundle"];
    assert!(
        hooks
            .iter()
            .all(|h| h["clientConfig"]["caBundle"] == *bundle)
    );
    let bytes = STANDARD.decode(bundle.as_str().unwrap()).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    text.split_inclusive(END).map(str::to_owned).collect()
}

/// Where the API server asks: the same for every hook, and as the Secret has it.
fn path(c: &Cluster) -> String {
    let configuration = configuration(c);
    let hooks = configuration["webhooks"].as_array().unwrap();
    let path = hooks[0]["clientConfig"]["service"]["path"].clone();
    assert!(
        hooks
            .iter()
            .all(|h| h["clientConfig"]["service"]["path"] == path)
    );
    let kept = secret(c)["data"]["path"].as_str().unwrap().to_owned();
    let kept = String::from_utf8(STANDARD.decode(kept).unwrap()).unwrap();
    assert_eq!(path, kept.as_str());
    kept
}

/// A stream; without its webhook the API server takes it with any type.
fn stream(type_: &str) -> String {
    format!(
        "apiVersion: headworks.dev/v1alpha1\nkind: DataStream\nmetadata:\n  name: a\nspec:\n  platform: e2e\n  schema:\n    - {{name: id, type: \"{type_}\"}}\n"
    )
}

/// Applies what only the webhook refuses, again and again, for so long; each has to be refused.
fn refused_for(c: &Cluster, time: Duration) {
    let began = Instant::now();
    while began.elapsed() < time {
        let text = c.refused(&stream("no type"));
        assert!(text.contains("admission webhook"), "{text}");
        sleep(Duration::from_millis(200));
    }
}

#[test]
fn the_certificate_is_renewed_without_an_unchecked_moment_and_nothing_is_written_afterwards() {
    let Some(c) = cluster("e2e-certificate") else {
        return;
    };
    refused_for(&c, Duration::from_secs(1));
    let first = trusted(&c)[0].clone();
    let asked = path(&c);
    assert!(
        asked.starts_with("/validate/") && asked.len() > 30,
        "nobody guesses it: {asked}"
    );
    // A certificate for other names than the operator's is one that is to be renewed.
    let other = json!({"data": {"names": STANDARD.encode("elsewhere")}}).to_string();
    let patch = [
        "patch",
        "secret",
        SECRET,
        "-n",
        SYSTEM,
        "--type=merge",
        "-p",
    ];
    c.kubectl.must(&[&patch[..], &[&other]].concat());
    let before = secret(&c)["data"]["tls.crt"].clone();
    until(
        "the certificate is another one",
        Duration::from_secs(90),
        || {
            refused_for(&c, Duration::from_secs(1));
            (secret(&c)["data"]["tls.crt"] != before).then_some(())
        },
    )
    .expect("the leader renews it");
    let both = trusted(&c);
    assert_eq!((both.len(), &both[1]), (2, &first), "{both:?}");
    assert_eq!(path(&c), asked, "the path stays");
    // Meanwhile every replica takes it; then nobody writes any more.
    refused_for(&c, ROUND);
    let settled = (version(&secret(&c)), version(&configuration(&c)));
    refused_for(&c, ROUND);
    assert_eq!(settled, (version(&secret(&c)), version(&configuration(&c))));
    // The new one is served: it is enough to trust its CA. And whoever changes what is trusted isn't left with it.
    let alone = STANDARD.encode(&both[0]);
    let count = configuration(&c)["webhooks"].as_array().unwrap().len();
    let one: Vec<Value> = (0..count)
        .map(|n| json!({"op": "replace", "path": format!("/webhooks/{n}/clientConfig/caBundle"), "value": alone}))
        .collect();
    let one = Value::from(one).to_string();
    c.kubectl
        .must(&["patch", CONFIGURATION, NAME, "--type=json", "-p", &one]);
    sleep(Duration::from_secs(2));
    refused_for(&c, Duration::from_secs(3));
    until("both are trusted again", Duration::from_secs(60), || {
        (trusted(&c) == both).then_some(())
    })
    .expect("the leader puts it back");
}
