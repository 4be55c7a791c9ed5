//! Tables of a real PostgreSQL: what a user sees when all is well, and for each wrong turn there is with a database.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use headworks_e2e::{Cluster, Warehouse, cluster, data_store, stream, table_pipeline, until};

const STREAM: &str = "datastreams.headworks.dev";
const PIPELINE: &str = "pipelines.headworks.dev";
const STORE: &str = "datastores.headworks.dev";

#[track_caller]
fn says(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "{word:?} should be in: {message}");
    }
}

fn stream_a(c: &Cluster) {
    c.apply(&stream("a", "partitions: 1"));
    c.ready(STREAM, "a");
}

/// Writes records `{"id":…,"n":…}` to the topic of stream `a`.
fn records(c: &Cluster, records: &[(&str, i64)]) {
    let json: Vec<String> = records
        .iter()
        .map(|(id, n)| format!("{{\"id\":\"{id}\",\"n\":{n}}}"))
        .collect();
    let bytes: Vec<&[u8]> = json.iter().map(String::as_bytes).collect();
    c.kafka.produce(&c.topic("a"), &bytes);
}

/// Waits until the query gives these rows.
#[track_caller]
fn rows(warehouse: &Warehouse, sql: &str, wanted: &[&[&str]]) {
    let mut last = None;
    until(sql, Duration::from_secs(90), || {
        last = warehouse.ask(sql);
        last.as_ref()
            .is_some_and(|rows| rows == wanted)
            .then_some(())
    })
    .unwrap_or_else(|| panic!("{sql} gave {last:?}, not {wanted:?}"));
}

/// Waits for this many dead letters of stream `a`; gives their values and the reasons in their headers.
fn dead_letters(c: &Cluster, count: usize) -> Vec<(String, String)> {
    c.kafka
        .read_at_least(
            &format!("{}.dlq", c.topic("a")),
            count,
            Duration::from_secs(60),
        )
        .iter()
        .map(|record| {
            (
                String::from_utf8_lossy(&record.value).into_owned(),
                format!("{:?}", record.headers),
            )
        })
        .collect()
}

#[test]
fn a_table_is_made_from_the_query_and_gets_each_record_once_appended_or_by_key() {
    let Some(c) = cluster("e2e-table") else {
        return;
    };
    let warehouse = c.warehouse();
    stream_a(&c);
    c.apply(&table_pipeline(
        "all",
        "SELECT id, n FROM a",
        "appended",
        ", create: true",
    ));
    c.apply(&table_pipeline(
        "newest",
        "SELECT id, n FROM a",
        "newest",
        ", create: true, key: [id]",
    ));
    c.ready(PIPELINE, "all");
    c.ready(PIPELINE, "newest");
    records(&c, &[("x", 1), ("y", 2), ("x", 3)]);
    rows(
        &warehouse,
        "SELECT id, n FROM appended ORDER BY n",
        &[&["x", "1"], &["y", "2"], &["x", "3"]],
    );
    rows(
        &warehouse,
        "SELECT id, n FROM newest ORDER BY id",
        &[&["x", "3"], &["y", "2"]],
    );
    records(&c, &[("y", 4)]);
    rows(
        &warehouse,
        "SELECT id, n FROM newest ORDER BY id",
        &[&["x", "3"], &["y", "4"]],
    );
    let status = c.kubectl.get(PIPELINE, "newest", &c.namespace).unwrap()["status"].clone();
    assert_eq!(status["tables"][0], "warehouse/newest", "{status}");
    let store = c.kubectl.get(STORE, "warehouse", &c.namespace).unwrap()["status"].clone();
    assert!(
        store["serverVersion"]
            .as_str()
            .is_some_and(|v| v.starts_with("15.")),
        "{store}"
    );
}

#[test]
fn a_store_over_tls_is_verified_by_its_ca() {
    let Some(c) = cluster("e2e-store-tls") else {
        return;
    };
    let warehouse = c.database();
    let ca = std::fs::read_to_string(std::env::var("POSTGRES_CA_FILE").unwrap()).unwrap();
    c.secret("warehouse-ca", &[("ca.crt", &ca)]);
    let tls = "secret: warehouse-app, tls: {caSecret: {name: warehouse-ca, key: ca.crt}}";
    c.apply(&data_store("warehouse", &warehouse.name).replace("secret: warehouse-app", tls));
    c.ready(STORE, "warehouse");
    stream_a(&c);
    c.apply(&table_pipeline(
        "p",
        "SELECT id, n FROM a",
        "t",
        ", create: true",
    ));
    c.ready(PIPELINE, "p");
    records(&c, &[("x", 1)]);
    rows(&warehouse, "SELECT id FROM t", &[&["x"]]);
    let encrypted = "SELECT bool_and(ssl) FROM pg_stat_ssl s JOIN pg_stat_activity a USING (pid) WHERE a.usename = current_user AND a.pid <> pg_backend_pid()";
    rows(&warehouse, encrypted, &[&["t"]]);
}

#[test]
fn a_wrong_password_is_said_by_store_and_pipeline_and_heals_when_the_secret_is_mended() {
    let Some(c) = cluster("e2e-store-password") else {
        return;
    };
    let warehouse = c.database();
    let secret = c
        .kubectl
        .get("secrets", "warehouse-app", &c.namespace)
        .unwrap();
    c.secret(
        "warehouse-app",
        &[("username", &warehouse.name), ("password", "not-the-one")],
    );
    c.apply(&data_store("warehouse", &warehouse.name));
    stream_a(&c);
    c.apply(&table_pipeline(
        "p",
        "SELECT id, n FROM a",
        "t",
        ", create: true",
    ));
    for (kind, name) in [(STORE, "warehouse"), (PIPELINE, "p")] {
        let message = c.condition(
            kind,
            name,
            "Ready",
            "False",
            Some("StoreCredentialsRefused"),
        );
        says(&message, &["warehouse"]);
        assert!(!message.contains("not-the-one"), "{message}");
    }
    records(&c, &[("x", 1)]);
    c.kubectl
        .run(&["delete", "secret", "warehouse-app", "-n", &c.namespace]);
    let mended = serde_json::json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "warehouse-app"}, "data": secret["data"]});
    c.apply(&mended.to_string());
    let limit = Duration::from_secs(200);
    c.condition_within(PIPELINE, "p", "Ready", "True", None, limit);
    c.condition_within(STORE, "warehouse", "Ready", "True", None, limit);
    rows(&warehouse, "SELECT id FROM t", &[&["x"]]);
}

#[test]
fn a_table_that_does_not_fit_or_is_not_there_is_told_with_the_remedy_and_heals() {
    let Some(c) = cluster("e2e-table-misfit") else {
        return;
    };
    let warehouse = c.warehouse();
    stream_a(&c);
    warehouse.sql("CREATE TABLE t (id text, n text)");
    c.apply(&table_pipeline("p", "SELECT id, n FROM a", "t", ""));
    c.apply(&table_pipeline("q", "SELECT id, n FROM a", "nowhere", ""));
    let message = c.condition(PIPELINE, "p", "Ready", "False", Some("TableMismatch"));
    says(
        &message,
        &["warehouse", "t", "\"n\"", "bigint", "text", "ALTER TABLE"],
    );
    let message = c.condition(PIPELINE, "q", "Ready", "False", Some("TableNotFound"));
    says(&message, &["nowhere", "create: true"]);
    records(&c, &[("x", 1)]);
    warehouse.sql("ALTER TABLE t ALTER COLUMN n TYPE bigint USING n::bigint");
    warehouse.sql("CREATE TABLE nowhere (id text, n bigint)");
    for (pipeline, table) in [("p", "t"), ("q", "nowhere")] {
        c.ready(PIPELINE, pipeline);
        rows(
            &warehouse,
            &format!("SELECT id, n FROM {table}"),
            &[&["x", "1"]],
        );
    }
}

#[test]
fn rows_that_the_table_refuses_are_dead_letters_and_the_rest_goes_in() {
    let Some(c) = cluster("e2e-table-refuses") else {
        return;
    };
    let warehouse = c.warehouse();
    stream_a(&c);
    warehouse.sql("CREATE TABLE t (id text PRIMARY KEY, n bigint NOT NULL, half numeric(4,2))");
    let sql = "SELECT id, NULLIF(n, 0) AS n, CAST(n AS DECIMAL(12,2)) AS half FROM a";
    c.apply(&table_pipeline("p", sql, "t", ""));
    c.ready(PIPELINE, "p");
    // Null into NOT NULL; numeric overflow; a key that is there already; a character that text can't hold.
    records(
        &c,
        &[
            ("one", 1),
            ("null", 0),
            ("two", 2),
            ("overflow", 5000),
            ("one", 7),
            ("nul\\u0000", 3),
            ("three", 3),
        ],
    );
    rows(
        &warehouse,
        "SELECT id, n FROM t ORDER BY n",
        &[&["one", "1"], &["two", "2"], &["three", "3"]],
    );
    let letters = dead_letters(&c, 4);
    assert_eq!(letters.len(), 4, "{letters:#?}");
    for (value, words) in [
        ("\"null\"", "null value in column \\\"n\\\""),
        ("overflow", "numeric field overflow"),
        ("\"n\":7", "duplicate key"),
        ("nul\\u0000", "StoreRefused"),
    ] {
        let (_, headers) = letters
            .iter()
            .find(|(v, _)| v.contains(value))
            .unwrap_or_else(|| panic!("{value} in {letters:#?}"));
        assert!(
            headers.contains(words) && headers.contains("StoreRefused"),
            "{words:?} should be in {headers}"
        );
    }
}

#[test]
fn a_key_that_is_no_column_of_the_query_is_told_with_the_nearest_and_a_store_that_nobody_made_is_waited_for()
 {
    let Some(c) = cluster("e2e-table-key") else {
        return;
    };
    let warehouse = c.database();
    stream_a(&c);
    c.apply(&table_pipeline(
        "p",
        "SELECT id, n FROM a",
        "t",
        ", create: true, key: [idd]",
    ));
    let message = c.condition(PIPELINE, "p", "Reconciling", "True", Some("StoreNotFound"));
    says(&message, &["warehouse", "spec.to[0].table.store"]);
    c.apply(&data_store("warehouse", &warehouse.name));
    let message = c.condition(PIPELINE, "p", "Ready", "False", Some("OutputMismatch"));
    says(&message, &["spec.to[0].table.key", "idd", "\"id\""]);
    c.apply(&table_pipeline(
        "p",
        "SELECT id, n FROM a",
        "t",
        ", create: true, key: [id]",
    ));
    c.ready(PIPELINE, "p");
}

#[test]
fn a_full_disk_holds_the_table_up_and_loses_nothing() {
    let Some(c) = cluster("e2e-disk-full") else {
        return;
    };
    let warehouse = c.warehouse();
    stream_a(&c);
    // Of an earlier run.
    let _ = warehouse.ask("DROP TABLE IF EXISTS t");
    if !warehouse
        .admin("SELECT 1 FROM pg_tablespace WHERE spcname = 'small'")
        .is_empty()
    {
        warehouse.admin("DROP TABLESPACE small");
    }
    warehouse.admin("CREATE TABLESPACE small LOCATION '/small/space'");
    warehouse.admin(&format!(
        "GRANT CREATE ON TABLESPACE small TO {}",
        warehouse.name
    ));
    warehouse.sql("CREATE TABLE filler (x text) TABLESPACE small; ALTER TABLE filler ALTER x SET STORAGE PLAIN");
    warehouse.sql("CREATE TABLE t (id text, n bigint) TABLESPACE small");
    c.apply(&table_pipeline("p", "SELECT id, n FROM a", "t", ""));
    c.ready(PIPELINE, "p");
    records(&c, &[("first", 1)]);
    rows(&warehouse, "SELECT id FROM t", &[&["first"]]);
    while warehouse
        .ask("INSERT INTO filler SELECT repeat('x', 7000) FROM generate_series(1, 8)")
        .is_some()
    {}
    while warehouse
        .ask("INSERT INTO filler SELECT repeat('x', 7000)")
        .is_some()
    {}
    let many: Vec<(String, i64)> = (0..20_000)
        .map(|n| (format!("a record that takes some room {n:>40}"), n))
        .collect();
    let many: Vec<(&str, i64)> = many.iter().map(|(id, n)| (id.as_str(), *n)).collect();
    records(&c, &many);
    let message = c.condition(PIPELINE, "p", "Ready", "False", Some("StoreFull"));
    says(&message, &["warehouse"]);
    warehouse.sql("DROP TABLE filler");
    warehouse.sql("ALTER TABLE t SET TABLESPACE pg_default");
    c.ready(PIPELINE, "p");
    rows(
        &warehouse,
        "SELECT count(*), count(DISTINCT id) FROM t",
        &[&["20001", "20001"]],
    );
    warehouse.admin("DROP TABLESPACE small");
}
