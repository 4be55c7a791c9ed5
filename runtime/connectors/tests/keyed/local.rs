//! A query over the streams by the engine's run in memory, which `headworks test` stands on.

use std::io;

use headworks_connectors::formats::AsJson;
use headworks_engine::local::{BadRecord, Local, Row, Sink};
use headworks_plan::{Contract, Delivery, OnBadRecord, PipelinePlan, StartFrom, Stream};
use headworks_sql::{Catalog, Dataflow, plan};
use serde_json::Value;

use crate::golden::Answer;
use crate::run::{contract, dead_letter, described};
use crate::streams::Streams;

/// What the engine answers; none where it can't be asked: the query is refused, or the key of its upserts
/// may be null, which no stream takes. Late rows are no part of the answer.
pub fn answer(sql: &str, streams: &Streams) -> Option<Answer> {
    let (columns, given) = run(sql, streams)?;
    Some(Answer::Rows {
        columns,
        rows: given.rows,
    })
}

/// The numbers of the records that came too late.
pub fn dead_letters(sql: &str, streams: &Streams) -> Vec<u64> {
    run(sql, streams).map_or_else(Vec::new, |(_, given)| given.late)
}

fn run(sql: &str, streams: &Streams) -> Option<(String, Given)> {
    let catalog: Catalog = streams.catalog();
    let flow = plan(sql, &catalog).ok()?;
    let unique = flow.stateful().flat_map(|(_, keyed)| &keyed.unique);
    let key: Vec<_> = unique.map(|column| &flow.output.columns[*column]).collect();
    if key.iter().any(|column| column.nullable) {
        return None;
    }
    let out = Contract {
        compacted: !key.is_empty(),
        key: key.iter().map(|column| column.name.clone()).collect(),
        ..contract(&flow.output)
    };
    let mut given = Given {
        columns: out.fields.iter().map(|field| field.name.clone()).collect(),
        rows: Vec::new(),
        late: Vec::new(),
    };
    let plan = planned(sql, &flow, out, streams);
    let mut local = Local::new(&plan, &AsJson).unwrap();
    let most = plan
        .inputs
        .iter()
        .map(|input| streams.get(&input.name).records.len())
        .max();
    for at in 0..most.unwrap_or(0) {
        for (number, input) in plan.inputs.iter().enumerate() {
            if let Some(record) = streams.get(&input.name).records.get(at) {
                let json = record.to_string();
                local.push(number, json.as_bytes(), &mut given).unwrap();
            }
        }
        if at == 2 {
            // A batch of its own.
            local.flush(&mut given).unwrap();
        }
    }
    local.finish(&mut given).unwrap();
    Some((described(&flow.output), given))
}

fn planned(sql: &str, flow: &Dataflow, out: Contract, streams: &Streams) -> PipelinePlan {
    let stream = |name: &str, contract: Contract| Stream {
        name: name.to_owned(),
        topic: name.to_owned(),
        dead_letter_topic: format!("{name}.dlq"),
        contract,
        max_message_bytes: 1 << 20,
        rules: Vec::new(),
    };
    let mut inputs: Vec<Stream> = Vec::new();
    for branch in flow.branches() {
        if inputs.iter().all(|input| input.name != branch.input) {
            inputs.push(stream(
                &branch.input,
                streams.get(&branch.input).contract.clone(),
            ));
        }
    }
    PipelinePlan {
        sql: sql.to_owned(),
        inputs,
        outputs: vec![stream("out", out)],
        delivery: Delivery::ExactlyOnce,
        commit_interval_ms: 100,
        start_from: StartFrom::Earliest,
        on_bad_record: OnBadRecord::DeadLetter,
        on_overflow: headworks_plan::OnOverflow::SetNull,
        stages: Vec::new(),
        accept_data_loss: None,
        verdicts: None,
    }
}

/// What came out.
struct Given {
    columns: Vec<String>,
    rows: Vec<Value>,
    late: Vec<u64>,
}

impl Sink for Given {
    fn row(&mut self, row: Row<'_>) -> io::Result<()> {
        let mut object: Value = serde_json::from_slice(row.value)?;
        let values = self.columns.iter().map(|name| object[name].take());
        self.rows.push(values.collect());
        Ok(())
    }

    fn bad(&mut self, bad: BadRecord<'_>) -> io::Result<()> {
        match bad.number {
            Some(number) if bad.reason == "Late" => self.late.push(number),
            _ => self.rows.push(dead_letter()),
        }
        Ok(())
    }
}
