//! The stages of a Pipeline: what its query is cut into, and what its targets add.
//!
//! Whoever must know of all of them (internal topics, rights, the plan, a deletion, `headworks explain`) goes through this list.
//! Pure.

use headworks_crds::Target;
use headworks_plan::{Edge, names::PipelineNames, stage_id};
use headworks_sql::{Dataflow, dataflow::Stage as Part};

/// A stage, by its names in Kafka.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// Its name within the Pipeline.
    pub id: String,
    /// The stage of the dataflow that it runs; none: it writes what it reads as it is.
    pub runs: Option<usize>,
    /// Its consumer group.
    pub group: String,
    /// Where its rows come from.
    pub reads: Vec<Edge>,
    /// Where its results go.
    pub ends: End,
    /// The topic of its state, if it keeps any.
    pub changelog: Option<String>,
}

/// Where a stage ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// In every stream that the Pipeline writes.
    Streams {
        /// The topic of results, where tables are written from it.
        results: Option<String>,
    },
    /// In the topic that brings rows with equal keys together.
    Exchange(String),
    /// In a table of a store.
    Table {
        /// The DataStore.
        store: String,
        /// The table, as the user wrote it.
        table: String,
    },
}

impl Stage {
    /// The topics of the Pipeline's own that it writes: its state, its results, its exchange.
    pub fn topics(&self) -> impl Iterator<Item = &str> {
        let end = match &self.ends {
            End::Streams { results } => results.as_deref(),
            End::Exchange(topic) => Some(topic.as_str()),
            End::Table { .. } => None,
        };
        self.changelog.as_deref().into_iter().chain(end)
    }
}

/// What a Pipeline's query is called in Kafka.
pub fn names(
    installation: &str,
    namespace: &str,
    name: &str,
    dataflow: &Dataflow,
) -> PipelineNames {
    PipelineNames::new(installation, namespace, name, dataflow.state_fingerprint())
}

/// The stages, in the order in which records pass them. `inputs` are the streams of the query, in the plan's order.
pub fn stages(
    dataflow: &Dataflow,
    inputs: &[String],
    to: &[Target],
    names: &PipelineNames,
) -> Vec<Stage> {
    let tables = || to.iter().filter_map(|target| target.table.as_ref());
    let has_streams = to.iter().any(|target| target.stream.is_some());
    let mut all: Vec<Stage> = Vec::new();
    let mut after: Option<(Option<usize>, Vec<Edge>)> = None;
    for (at, part) in dataflow.stages.iter().enumerate() {
        let mut later = dataflow.stages.iter().flat_map(Part::exchanges);
        let is_read = later.any(|exchange| exchange.from == at);
        let of_streams = inputs
            .iter()
            .filter(|name| part.branches().any(|b| b.input == **name));
        let of_stages = part.exchanges().filter_map(|exchange| {
            let before = all.iter().find(|stage| stage.runs == Some(exchange.from))?;
            Some(Edge::Stage(before.id.clone()))
        });
        let reads: Vec<Edge> = of_streams
            .cloned()
            .map(Edge::Stream)
            .chain(of_stages)
            .collect();
        let keeps = part.keyed.is_some();
        let id = match (keeps, is_read) {
            (true, _) => stage_id::KEYED,
            (false, true) => stage_id::EXCHANGE,
            (false, false) => stage_id::STREAMS,
        };
        if !is_read {
            // What a table's stage runs, and what it reads: a query without state is run again for each table.
            after = Some(if keeps {
                (None, vec![Edge::Stage(id.to_owned())])
            } else {
                (Some(at), reads.clone())
            });
            if !keeps && !has_streams {
                continue;
            }
        }
        all.push(Stage {
            id: id.to_owned(),
            runs: Some(at),
            group: if keeps {
                names.keyed_group()
            } else {
                names.group().to_owned()
            },
            reads,
            ends: if is_read {
                End::Exchange(names.repartition())
            } else {
                let results = keeps && tables().next().is_some();
                End::Streams {
                    results: results.then(|| names.results()),
                }
            },
            changelog: keeps.then(|| names.changelog()),
        });
    }
    let Some((runs, reads)) = after else {
        return all;
    };
    for (index, table) in tables().enumerate() {
        all.push(Stage {
            id: stage_id::table(index),
            runs,
            group: names.table_group(&table.store, &table.name),
            reads: reads.clone(),
            ends: End::Table {
                store: table.store.clone(),
                table: table.name.clone(),
            },
            changelog: None,
        });
    }
    all
}

/// The consumer groups that a Pipeline of these names may have, where all that is known is whether its query has state and
/// which tables (store and name) it writes or wrote.
pub fn groups<'a>(
    names: &PipelineNames,
    with_state: bool,
    tables: impl Iterator<Item = (&'a str, &'a str)>,
) -> Vec<String> {
    let of_state = with_state.then(|| names.keyed_group());
    std::iter::once(names.group().to_owned())
        .chain(of_state)
        .chain(tables.map(|(store, table)| names.table_group(store, table)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::json;

    use super::*;
    use crate::planning::testing;

    fn shown(dataflow: &Dataflow, to: &serde_json::Value) -> Vec<String> {
        let to: Vec<Target> = serde_json::from_value(to.clone()).unwrap();
        let names = names("i", "shop", "p", dataflow);
        let all = stages(dataflow, &["a".to_owned()], &to, &names);
        let groups: BTreeSet<String> = all.iter().map(|stage| stage.group.clone()).collect();
        let tables = to.iter().filter_map(|t| t.table.as_ref());
        let tables = tables.map(|t| (t.store.as_str(), t.name.as_str()));
        let known = super::groups(&names, dataflow.keeps_state(), tables);
        assert!(
            groups.iter().all(|group| known.contains(group)),
            "a deletion finds every group: {groups:?} {known:?}"
        );
        all.iter()
            .map(|stage| {
                let topics: Vec<&str> = stage.topics().collect();
                format!("{} {:?} {} {topics:?}", stage.id, stage.runs, stage.group)
            })
            .collect()
    }

    #[test]
    fn a_query_without_state_has_a_stage_for_each_system_that_it_ends_in() {
        let a = testing::contract(&[("id", "string", false)]);
        let catalog = headworks_sql::Catalog::new().with("a", a);
        let dataflow = headworks_sql::plan("SELECT id FROM a", &catalog).unwrap();
        let table = json!({"table": {"store": "w", "name": "t"}});
        let g = "headworks.i.shop.p";
        assert_eq!(
            shown(&dataflow, &json!([table, {"stream": "b"}, {"stream": "c"}])),
            [
                format!("streams Some(0) {g} []"),
                format!("table-0 Some(0) {g}.table.w.t []")
            ]
        );
        assert_eq!(
            shown(&dataflow, &json!([table])),
            [format!("table-0 Some(0) {g}.table.w.t []")]
        );
    }

    #[test]
    fn a_query_with_state_has_an_exchange_and_tables_that_copy_its_results() {
        let a = testing::contract(&[("id", "string", false), ("n", "bigint", false)]);
        let dataflow = testing::keyed("SELECT id, n FROM a", &a, &[0]);
        let table = json!({"table": {"store": "w", "name": "t"}});
        let g = "headworks.i.shop.p.01234567";
        let first = format!(r#"exchange Some(0) {g} ["{g}-repartition"]"#);
        assert_eq!(
            shown(&dataflow, &json!([{"stream": "b"}, table])),
            [
                first.clone(),
                format!(r#"keyed Some(1) {g}.keyed ["{g}-changelog", "{g}-results"]"#),
                format!("table-0 None {g}.table.w.t []"),
            ]
        );
        assert_eq!(
            shown(&dataflow, &json!([{"stream": "b"}])),
            [
                first,
                format!(r#"keyed Some(1) {g}.keyed ["{g}-changelog"]"#)
            ]
        );
    }
}
