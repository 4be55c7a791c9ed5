//! A query with the whole stateless language in it, on the real engine, into two streams at once.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

use std::time::Duration;

use headworks_e2e::cluster;
use serde_json::json;

const ORDERS: &str = "
apiVersion: headworks.dev/v1alpha1
kind: DataStream
metadata: {name: orders}
spec:
  platform: e2e
  partitions: 1
  schema:
    - {name: id, type: string}
    - {name: user, type: 'struct<name string, city string>'}
    - {name: items, type: 'array<struct<sku string, qty int>>'}
    - {name: amount, type: 'decimal(12,2)'}
    - {name: coupon, type: string, nullable: true}
    - {name: tags, type: 'map<string,string>', nullable: true}
    - {name: payload, type: string, nullable: true}
    - {name: placed_at, type: timestamp_ltz(3)}
  key: [id]
  eventTime: {field: placed_at}
";

/// The same shape twice, so that one query has two targets.
fn target(name: &str) -> String {
    format!(
        "
apiVersion: headworks.dev/v1alpha1
kind: DataStream
metadata: {{name: {name}}}
spec:
  platform: e2e
  partitions: 1
  schema:
    - {{name: id, type: string}}
    - {{name: who, type: string, nullable: true}}
    - {{name: first_sku, type: string, nullable: true}}
    - {{name: items, type: int}}
    - {{name: with_tax, type: 'decimal(30,4)', nullable: true}}
    - {{name: size, type: string}}
    - {{name: coupon, type: string}}
    - {{name: channel, type: string, nullable: true}}
    - {{name: ip, type: string, nullable: true}}
    - {{name: hour_of_day, type: bigint}}
  key: [id]
"
    )
}

const PIPELINE: &str = "
apiVersion: headworks.dev/v1alpha1
kind: Pipeline
metadata: {name: enrich}
spec:
  platform: e2e
  sql: |
    SELECT id,
           UPPER(`user`.name) || ' of ' || `user`.city AS who,
           items[1].sku AS first_sku,
           CARDINALITY(items) AS items,
           amount * 1.21 AS with_tax,
           CASE WHEN amount >= 100 THEN 'large' WHEN amount >= 10 THEN 'middle' ELSE 'small' END AS size,
           COALESCE(coupon, 'none') AS coupon,
           tags['channel'] AS channel,
           JSON_VALUE(payload, '$.client.ip') AS ip,
           EXTRACT(HOUR FROM placed_at) AS hour_of_day
    FROM orders
    WHERE amount > 0 AND `user`.name NOT LIKE 'test%'
  to:
    - stream: big
    - stream: copy
";

#[test]
fn a_query_over_nested_fields_arrays_maps_json_and_time_goes_into_two_streams() {
    let Some(c) = cluster("e2e-sql") else { return };
    for yaml in [ORDERS, &target("big"), &target("copy"), PIPELINE] {
        c.apply(yaml);
    }
    c.ready("pipelines.headworks.dev", "enrich");
    c.kafka.produce(
        &c.topic("orders"),
        &[
            br#"{"id":"1","user":{"name":"ada","city":"Rome"},"items":[{"sku":"x","qty":2},{"sku":"y","qty":1}],"amount":"100.00","coupon":null,"tags":{"channel":"web"},"payload":"{\"client\":{\"ip\":\"10.0.0.1\"}}","placed_at":"2026-01-01T13:00:00+02:00"}"#,
            br#"{"id":"2","user":{"name":"testuser","city":"Rome"},"items":[],"amount":"5.00","placed_at":"2026-01-01T13:00:00Z"}"#,
            br#"{"id":"3","user":{"name":"bob","city":"Oslo"},"items":[],"amount":5.1,"coupon":"SPRING","placed_at":"2026-01-01T23:59:59.999Z"}"#,
        ],
    );
    for name in ["big", "copy"] {
        let records = c
            .kafka
            .read_at_least(&c.topic(name), 2, Duration::from_secs(60));
        let rows: Vec<_> = records.iter().map(headworks_e2e::Record::json).collect();
        assert_eq!(
            rows,
            [
                json!({"id":"1","who":"ADA of Rome","first_sku":"x","items":2,"with_tax":"121.0000","size":"large","coupon":"none","channel":"web","ip":"10.0.0.1","hour_of_day":11}),
                json!({"id":"3","who":"BOB of Oslo","first_sku":null,"items":0,"with_tax":"6.1710","size":"small","coupon":"SPRING","channel":null,"ip":null,"hour_of_day":23}),
            ]
        );
    }
}
