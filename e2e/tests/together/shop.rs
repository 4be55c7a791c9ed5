//! `examples/shop` as a user applies it: made-up clicks, orders, stock and feedback flow into streams and PostgreSQL.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::process::Command;
use std::time::Duration;

use headworks_e2e::{cluster, pocket, until};

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
        let kinds = "pipelines.headworks.dev,sources.headworks.dev,datastores.headworks.dev,datastreams.headworks.dev";
        c.kubectl
            .must(&["delete", kinds, "--all", "-n", "shop", "--timeout=120s"]);
        c.kubectl
            .must(&["delete", "namespace", "shop", "--wait=false"]);
        forget(&c);
    }
}

/// Topics and tables go together: how far a table was written stands in its database, and counts for topics of the same name.
fn forget(c: &headworks_e2e::Cluster) {
    c.kafka.forget("shop.", ".shop.");
    pocket(&["psql", "-c", "DROP DATABASE IF EXISTS shop WITH (FORCE)"]);
}
