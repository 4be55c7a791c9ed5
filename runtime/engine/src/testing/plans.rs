//! Stages as the operator would put them into a plan.

use headworks_plan::{
    Edge, Ends, InternalTopic, PostgresConnection, StagePlan, StatePlan, Store, StoreConnection,
    Stream, TableOutput, stage_id,
};

/// A topic of the pipeline's own.
fn internal_topic(name: &str, partitions: i32) -> InternalTopic {
    InternalTopic {
        topic: name.into(),
        partitions,
        max_message_bytes: 1_000_000,
    }
}

fn streams(names: &[&str]) -> Vec<Edge> {
    let names = names.iter();
    names.map(|name| Edge::Stream((*name).into())).collect()
}

/// The stage of a query without state.
pub(crate) fn streams_stage(group: &str, inputs: &[&str]) -> StagePlan {
    StagePlan {
        id: stage_id::STREAMS.into(),
        runs: Some(0),
        group: group.into(),
        reads: streams(inputs),
        ends: Ends::Streams { results: None },
        state: None,
        max_drift_ms: None,
    }
}

/// The two stages of a query with state: groups `g` and `g.keyed`, topics `re` and `state`.
pub(crate) fn keyed_stages(
    inputs: &[&str],
    partitions: i32,
    results: Option<Stream>,
) -> Vec<StagePlan> {
    let exchange = StagePlan {
        id: stage_id::EXCHANGE.into(),
        ends: Ends::Exchange(internal_topic("re", partitions)),
        max_drift_ms: Some(u64::MAX),
        ..streams_stage("g", inputs)
    };
    let keyed = StagePlan {
        id: stage_id::KEYED.into(),
        runs: Some(1),
        group: "g.keyed".into(),
        reads: vec![Edge::Stage(exchange.id.clone())],
        ends: Ends::Streams {
            results: results.map(Box::new),
        },
        state: Some(StatePlan {
            changelog: internal_topic("state", partitions),
            allowed_lateness_ms: 0,
            ttl_ms: None,
            memory_bytes: 64 << 20,
        }),
        max_drift_ms: None,
    };
    vec![exchange, keyed]
}

/// The stage of a table, the first of its plan.
pub(crate) fn table_stage(table: &str, reads: Edge, runs: Option<usize>) -> StagePlan {
    let group = format!("g.table.s.{table}");
    let connection = PostgresConnection {
        host: "h".into(),
        port: 1,
        database: "d".into(),
        username_file: "u".into(),
        password_file: "p".into(),
        tls_ca_file: None,
    };
    StagePlan {
        id: stage_id::table(0),
        runs,
        reads: vec![reads],
        ends: Ends::Table(Box::new(TableOutput {
            store: Store {
                name: "s".into(),
                connection: StoreConnection::Postgres(connection),
            },
            table: table.into(),
            key: Vec::new(),
            create: false,
            group: group.clone(),
        })),
        ..streams_stage(&group, &[])
    }
}
