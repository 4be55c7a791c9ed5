//! Pipelines together with what they refer to: the query over the streams' contracts, the result against
//! every target.

use std::collections::BTreeMap;

use headworks_crds::{Pipeline, Target};
use headworks_operator::connectors::stores::{bind, table_rules};
use headworks_operator::pipeline::{engine::Engine, native::Native};
use headworks_operator::planning::canary;
use headworks_operator::planning::check::{
    delivery_fault, guarantee_fault, stream_fault, table_faults,
};
use headworks_operator::planning::query::overflow;
use headworks_plan::Guarantee;
use headworks_sql::{Catalog, Dataflow, SqlError, target};

use super::{Options, World, streams};
use crate::finding::{Finding, Severity, hint};
use crate::object::{Object, Typed};
use crate::yaml::{Content, Place, steps};

/// A query that could be planned.
#[derive(Debug)]
pub struct Planned {
    /// Streams it reads, each once, in order.
    pub inputs: Vec<String>,
    /// What it became.
    pub dataflow: Dataflow,
}

/// Plans a Pipeline's query over the streams of its namespace; none where a stream isn't there or isn't right.
pub fn plan(world: &World, object: &Object, pipeline: &Pipeline) -> Option<Planned> {
    let (inputs, catalog) = catalog(world, object, pipeline)?;
    let dataflow = headworks_sql::plan(&pipeline.spec.sql, &catalog).ok()?;
    Some(Planned { inputs, dataflow })
}

/// Why a query whose streams are all there can't be planned.
pub fn plan_fault(world: &World, object: &Object, pipeline: &Pipeline) -> Option<String> {
    let (_, catalog) = catalog(world, object, pipeline)?;
    let errors = headworks_sql::plan(&pipeline.spec.sql, &catalog).err()?;
    let errors: Vec<String> = errors.iter().map(ToString::to_string).collect();
    Some(format!("spec.sql {}", errors.join("; ")))
}

fn catalog(world: &World, object: &Object, pipeline: &Pipeline) -> Option<(Vec<String>, Catalog)> {
    let inputs = headworks_sql::inputs(&pipeline.spec.sql).ok()?;
    let mut catalog = Catalog::new().on_overflow(overflow(&pipeline.spec));
    for name in &inputs {
        let contract = world.contract(&object.namespace, name)?;
        catalog = catalog.with(name.clone(), contract.clone());
    }
    Some((inputs, catalog))
}

/// Checks every Pipeline; gives those whose query could be planned, by namespace and name.
pub fn check(
    world: &World,
    options: &Options,
    findings: &mut Vec<Finding>,
) -> BTreeMap<(String, String), Planned> {
    let mut all = BTreeMap::new();
    for (object, pipeline) in world.pipelines() {
        streams::platform(world, object, &pipeline.spec.platform, findings);
        let planned = query(world, object, pipeline, options, findings);
        for (index, target) in pipeline.spec.to.iter().enumerate() {
            let of = To {
                world,
                object,
                pipeline,
                index,
                options,
            };
            of.check(target, planned.as_ref(), findings);
        }
        if let Some(planned) = &planned {
            canary(world, object, pipeline, planned, findings);
            with_state(world, object, pipeline, planned, findings);
        }
        if let Some(planned) = planned {
            all.insert((object.namespace.clone(), object.name.clone()), planned);
        }
    }
    all
}

/// What a canary asks for, against what the query gives. A rule that isn't in the files may be in the cluster.
fn canary(
    world: &World,
    object: &Object,
    pipeline: &Pipeline,
    planned: &Planned,
    findings: &mut Vec<Finding>,
) {
    let spec = &pipeline.spec;
    for fault in canary::faults(spec, &planned.dataflow.output) {
        findings.push(object.wrong(&fault.field, fault.message));
    }
    let (Some(canary), Some(stream)) = (spec.canary(), canary::judged_stream(spec)) else {
        return;
    };
    for (index, name) in canary.rules.iter().enumerate() {
        let mut rules = world.quality_rules();
        let rule = rules.find(|(rule, _)| rule.namespace == object.namespace && rule.name == *name);
        if let Some((_, rule)) = rule.filter(|(_, rule)| rule.spec.stream != stream) {
            findings.push(object.wrong(
                &format!("spec.rollout.canary.rules[{index}]"),
                format!(
                    "QualityRule {name} is of DataStream {}, and the results go to {stream}: name a rule of that",
                    rule.spec.stream
                ),
            ));
        }
    }
}

/// What a query with state asks of the rest of the spec, and what the engine can't run.
fn with_state(
    world: &World,
    object: &Object,
    pipeline: &Pipeline,
    planned: &Planned,
    findings: &mut Vec<Finding>,
) {
    let spec = &pipeline.spec;
    let platform = world.platform(&spec.platform);
    let template = platform.and_then(|p| p.spec.pod_template.clone());
    let own = spec.pod_template.clone().unwrap_or_default();
    if let Some(fault) = delivery_fault(spec, &planned.dataflow) {
        let (field, what) = fault.split_once(": ").unwrap_or(("spec", &fault));
        findings.push(object.wrong(field, what));
    }
    let template = own.over(&template.unwrap_or_default());
    for unsupported in Native::supports(spec, &template, &planned.dataflow) {
        let fault = unsupported.fault;
        findings.push(object.wrong(&fault.field, &fault.message));
    }
}

/// The file's place of a place in the query.
pub fn place(object: &Object, line: u32, column: u32) -> Option<Place> {
    place_in(object, "spec.sql", line, column)
}

/// The file's place of a place in a field's text.
pub(super) fn place_in(object: &Object, field: &str, line: u32, column: u32) -> Option<Place> {
    match &object.node.at(&steps(field))?.content {
        Content::Text(_, block) => block.place(line, column),
        _ => None,
    }
}

fn of_sql(object: &Object, error: &SqlError) -> Finding {
    let said = error.to_string();
    match place(object, error.line, error.column) {
        Some(place) => object.finding(place, "spec.sql", said),
        None => object.wrong("spec.sql", said),
    }
}

fn query(
    world: &World,
    object: &Object,
    pipeline: &Pipeline,
    options: &Options,
    findings: &mut Vec<Finding>,
) -> Option<Planned> {
    let sql = &pipeline.spec.sql;
    let inputs = match headworks_sql::inputs(sql) {
        Ok(inputs) => inputs,
        Err(error) => {
            findings.push(of_sql(object, &error));
            return None;
        }
    };
    let namespace = &object.namespace;
    let absent: Vec<&String> = inputs
        .iter()
        .filter(|name| world.find("DataStream", namespace, name).is_none())
        .collect();
    let mut broken = false;
    let mut catalog = Catalog::new().on_overflow(overflow(&pipeline.spec));
    for name in &inputs {
        match world.contract(namespace, name) {
            Some(contract) => catalog = catalog.with(name.clone(), contract.clone()),
            // What is wrong with a stream is said where it stands.
            None => broken |= !absent.contains(&name),
        }
        if let Some(stream) = world.stream(namespace, name)
            && stream.spec.platform != pipeline.spec.platform
        {
            findings.push(on_other_platform(
                object,
                pipeline,
                "spec.sql",
                name,
                &stream.spec.platform,
            ));
        }
    }
    let result = headworks_sql::plan(sql, &catalog);
    for name in &absent {
        // The planner knows where the name stands.
        let said = format!("unknown stream \"{name}\"");
        let found = match &result {
            Err(errors) => errors.iter().find(|e| e.message.starts_with(&said)),
            Ok(_) => None,
        };
        let at = found.and_then(|e| place(object, e.line, e.column));
        let at = at.or_else(|| place_of_word(object, sql, name));
        let what = ("DataStream", name.as_str());
        findings.push(streams::missing(
            world, object, at, "spec.sql", what, options,
        ));
    }
    match result {
        Ok(dataflow) => {
            findings.extend(dataflow.notes.iter().map(|note| Finding {
                severity: Severity::Warning,
                ..of_sql(object, note)
            }));
            Some(Planned { inputs, dataflow })
        }
        Err(errors) => {
            let rest = errors
                .iter()
                .filter(|e| !e.message.starts_with("unknown stream "));
            // Over streams that aren't known, the rest of the errors would only follow from that.
            if absent.is_empty() && !broken {
                findings.extend(rest.map(|error| of_sql(object, error)));
            }
            None
        }
    }
}

/// Where a name first stands as a word of the query.
fn place_of_word(object: &Object, sql: &str, name: &str) -> Option<Place> {
    let part_of_name = |c: char| c.is_alphanumeric() || c == '_';
    for (line, text) in (1..).zip(sql.lines()) {
        for (at, _) in text.match_indices(name) {
            let before = text[..at].chars().next_back();
            let after = text[at + name.len()..].chars().next();
            if !before.is_some_and(part_of_name) && !after.is_some_and(part_of_name) {
                let column = text[..at].chars().count() as u32 + 1;
                return place(object, line, column);
            }
        }
    }
    None
}

fn on_other_platform(
    object: &Object,
    pipeline: &Pipeline,
    field: &str,
    stream: &str,
    platform: &str,
) -> Finding {
    object.wrong(
        field,
        format!(
            "DataStream {stream} is on Platform {platform} and this Pipeline on {}; a Pipeline reads and writes one Kafka",
            pipeline.spec.platform
        ),
    )
}

/// What a store guarantees; none where its spec is wrong, which is said elsewhere.
fn guarantee(store: &Object) -> Option<Guarantee> {
    let Some(Typed::DataStore(typed)) = &store.typed else {
        return None;
    };
    let binding = bind(&store.name, &typed.spec).ok()?;
    Some(binding.store.connection.guarantee())
}

struct To<'a> {
    world: &'a World,
    object: &'a Object,
    pipeline: &'a Pipeline,
    index: usize,
    options: &'a Options,
}

impl To<'_> {
    fn check(&self, target: &Target, planned: Option<&Planned>, findings: &mut Vec<Finding>) {
        if let Some(name) = &target.stream {
            self.stream(name, planned, findings);
        }
        if let Some(table) = &target.table {
            let field = format!("spec.to[{}].table", self.index);
            let namespace = &self.object.namespace;
            let store = self.world.find("DataStore", namespace, &table.store);
            if store.is_none() {
                let field = format!("{field}.store");
                let what = ("DataStore", table.store.as_str());
                findings.push(streams::missing(
                    self.world,
                    self.object,
                    None,
                    &field,
                    what,
                    self.options,
                ));
            }
            if let Some(planned) = planned {
                let rules = match store.and_then(|store| store.typed.as_ref()) {
                    Some(Typed::DataStore(store)) => table_rules(Some(&store.spec)),
                    _ => table_rules(None),
                };
                for fault in table_faults(&planned.dataflow, table, rules) {
                    let at = table
                        .key
                        .iter()
                        .position(|key| fault.starts_with(&format!("key column \"{key}\"")));
                    let field = at.map_or_else(|| field.clone(), |at| format!("{field}.key[{at}]"));
                    findings.push(self.object.wrong(&field, fault));
                }
                let fault = store
                    .and_then(guarantee)
                    .and_then(|guarantee| guarantee_fault(&planned.dataflow, table, guarantee));
                findings.extend(fault.map(|fault| self.object.wrong(&field, fault)));
            }
        }
    }

    fn stream(&self, name: &str, planned: Option<&Planned>, findings: &mut Vec<Finding>) {
        let Self { world, object, .. } = *self;
        let field = format!("spec.to[{}].stream", self.index);
        if world.find("DataStream", &object.namespace, name).is_none() {
            let what = ("DataStream", name);
            findings.push(streams::missing(
                world,
                object,
                None,
                &field,
                what,
                self.options,
            ));
            return;
        }
        if let Some(stream) = world.stream(&object.namespace, name)
            && stream.spec.platform != self.pipeline.spec.platform
        {
            findings.push(on_other_platform(
                object,
                self.pipeline,
                &field,
                name,
                &stream.spec.platform,
            ));
        }
        let (Some(contract), Some(planned)) = (world.contract(&object.namespace, name), planned)
        else {
            return;
        };
        if let Err(mismatches) = target::check(&planned.dataflow.output, contract) {
            for mismatch in mismatches {
                findings.push(object.wrong(
                    &field,
                    format!("the query's columns don't fit DataStream {name}: {mismatch}"),
                ));
            }
        } else if let Some(fault) = stream_fault(&planned.dataflow, name, contract) {
            findings.push(object.wrong(&field, fault));
        }
    }
}

/// `; did you mean …` among the columns of a result.
pub fn column_hint(planned: &Planned, name: &str) -> String {
    hint(name, planned.dataflow.output.names())
}
