//! `examples/shop` as a user applies it: made-up clicks, orders, stock and feedback flow into streams and PostgreSQL; orders that break a
//! rule are kept out, and put right by a Replay.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::collections::BTreeSet;
use std::process::Command;
use std::time::Duration;

use headworks_e2e::{Cluster, Record, cluster, pocket, until};

/// One value of a query in database `shop`.
fn value(sql: &str) -> Option<i64> {
    let (ok, text) = pocket(&["psql", "-At", "-d", "shop", "-c", sql]);
    ok.then(|| text.trim().parse().ok()).flatten()
}

#[test]
fn the_shop_example_applies_whole_and_its_rows_are_in_the_database_once() {
    let Some(c) = cluster("e2e-shop") else { return };
    let mine = c.kubectl.get("namespaces", "shop", "").is_none();
    if mine {
        // Of an earlier run that was cut short.
        forget(&c);
    }
    // As the demo does it.
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let script = ". e2e/bin/env.sh; . e2e/bin/shop.sh; POSTGRES_ADMIN=($POCKET psql); POSTGRES_SERVICE=warehouse.postgres.svc.cluster.local; apply_shop && see_shop";
    let output = Command::new("bash")
        .args(["-c", script, root])
        .current_dir(root)
        .output()
        .expect("bash runs");
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );

    until("200 orders", Duration::from_secs(120), || {
        (value("SELECT count(*) FROM orders")? >= 200).then_some(())
    })
    .expect("200 orders");
    assert_eq!(
        value("SELECT count(*) - count(DISTINCT order_id) FROM orders"),
        Some(0),
        "no order twice"
    );
    let dead = c
        .kafka
        .read_at_least("shop.orders.dlq", 1, Duration::from_secs(60));
    assert!(
        dead.iter().all(|letter| !letter.headers.is_empty()),
        "faulty records keep their reason"
    );
    replayed(&c, root);
    let activity = c
        .kafka
        .read_at_least("shop.activity", 100, Duration::from_secs(60));
    let kinds: std::collections::BTreeSet<String> = activity
        .iter()
        .map(|record| {
            record.json()["kind"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        })
        .collect();
    assert!(kinds.len() >= 3, "UNION ALL of three streams: {kinds:?}");
    if mine {
        // The Platform is the audit example's, too.
        let kinds = "replays.headworks.dev,qualityrules.headworks.dev,pipelines.headworks.dev,sources.headworks.dev,datastores.headworks.dev,datastreams.headworks.dev";
        c.kubectl
            .must(&["delete", kinds, "--all", "-n", "shop", "--timeout=120s"]);
        c.kubectl
            .must(&["delete", "namespace", "shop", "--wait=false"]);
        forget(&c);
    }
}

/// Orders with the coupon that is over are dead letters that name rule and check, and in no table; the Replay brings those that were there
/// when it began, each once and without the coupon.
fn replayed(c: &Cluster, root: &str) {
    let replays = "replays.headworks.dev";
    if c.kubectl.get(replays, "expired-coupons", "shop").is_some() {
        // Somebody's who tries the demo: it took what was there when it began, and takes no more.
        return;
    }
    let rule = |letter: &Record| {
        let said = |name: &str| letter.headers.get(name).map(String::as_str);
        said("headworks.rule") == Some("orders-sane")
            && said("headworks.check") == Some("coupon-is-valid")
    };
    let refused = || -> BTreeSet<String> {
        let letters = c.kafka.read("shop.orders.dlq");
        let refused = letters.iter().filter(|letter| rule(letter));
        let id = |letter: &Record| {
            let json = letter.json();
            assert_eq!(json["coupon"], "SPRING5", "{json}");
            json["order_id"].as_str().unwrap_or_default().to_owned()
        };
        refused.map(id).collect()
    };
    let known = until(
        "orders with an old coupon",
        Duration::from_secs(120),
        || Some(refused()).filter(|refused| refused.len() >= 5),
    )
    .expect("five orders with a coupon that is over");
    let rows = |ids: &BTreeSet<String>, more: &str| {
        let ids: Vec<String> = ids.iter().map(|id| format!("'{id}'")).collect();
        let list = ids.join(", ");
        value(&format!(
            "SELECT count(*) FROM orders WHERE order_id IN ({list}){more}"
        ))
    };
    assert_eq!(rows(&known, ""), Some(0), "they are kept out");
    let file = format!("{root}/examples/shop/replay.yaml");
    c.kubectl.must(&["apply", "-f", &file]);
    let count = i64::try_from(known.len()).unwrap();
    let all = until("the orders put right", Duration::from_secs(180), || {
        (rows(&known, " AND coupon IS NULL") == Some(count)).then_some(())
    });
    assert!(all.is_some(), "{:?} of {count}", rows(&known, ""));
    let complete = until("the Replay is complete", Duration::from_secs(120), || {
        let object = c.kubectl.get(replays, "expired-coupons", "shop")?;
        (object["status"]["phase"] == "Complete").then_some(())
    });
    assert!(complete.is_some(), "the Replay ends");
    assert_eq!(rows(&known, ""), Some(count), "each once");
}

/// Topics and tables go together: how far a table was written stands in its database, and counts for topics of the same name.
fn forget(c: &headworks_e2e::Cluster) {
    c.kafka.forget("shop.", ".shop.");
    pocket(&["psql", "-c", "DROP DATABASE IF EXISTS shop WITH (FORCE)"]);
}
