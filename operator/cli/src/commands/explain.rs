//! `headworks explain pipeline`: what a query becomes: stages, the columns that are read, the result's contract and
//! where each of its columns comes from. `headworks explain rule`: the queries of a QualityRule's monitors.

mod rule;
mod stages;

use std::path::PathBuf;

use headworks_crds::{DataStream, Delivery, Duration, Pipeline, Platform};
use headworks_operator::impact::cluster::{Objects, of};
use headworks_operator::names::{CONTRACT_PART, PART_LABEL};
use headworks_plan::{Contract, EventTime};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use serde::Serialize;

use crate::cluster::{self, block_on};
use crate::files::File;
use crate::object::Object;
use crate::output::{self, Form};
use crate::validate::{self, Checked, Options, Planned, World};
use crate::{End, local};

/// Arguments of `headworks explain`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Explains a Pipeline, of the cluster or of files.
    #[command(visible_alias = "pipelines", after_help = crate::EXIT_CODES)]
    Pipeline(OfPipeline),
    /// Explains the monitors of a QualityRule of files: the queries that judge windows.
    #[command(visible_alias = "rules", after_help = crate::EXIT_CODES)]
    Rule(rule::OfRule),
}

#[derive(Debug, clap::Args)]
struct OfPipeline {
    /// NAME or NAMESPACE/NAME. May be left out where the files hold one Pipeline.
    name: Option<String>,
    /// Files or folders to read instead of the cluster.
    #[arg(short = 'f', long = "filename", value_name = "PATH")]
    files: Vec<PathBuf>,
    /// Namespace. Absent: the context's; for files: default.
    #[arg(short, long)]
    namespace: Option<String>,
    /// How it is written.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
    #[command(flatten)]
    cluster: cluster::Arguments,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Explanation {
    namespace: String,
    name: String,
    stages: Vec<stages::Stage>,
    reads: Vec<Read>,
    columns: Vec<Column>,
    delivery: String,
    commit_interval: String,
    on_bad_record: String,
    fingerprint: String,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Read {
    stream: String,
    topic: String,
    dead_letter_topic: String,
    columns: Vec<String>,
    /// How many columns its contract has.
    of: usize,
    /// How its records are written, where that isn't JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<String>,
    /// Its event time, where the query goes by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    event_time: Option<String>,
}

#[derive(Debug, Serialize)]
struct Column {
    name: String,
    #[serde(rename = "type")]
    type_: String,
    nullable: bool,
    labels: Vec<String>,
    /// `stream.column`, sorted.
    from: Vec<String>,
}

/// Explains.
pub fn run(arguments: &Arguments) -> End {
    let explained = match &arguments.what {
        What::Pipeline(of) => explain(of),
        What::Rule(of) => rule::explain(of),
    };
    match explained {
        Ok(end) | Err(end) => end,
    }
}

fn explain(of: &OfPipeline) -> Result<End, End> {
    let (namespace, name) = match of.name.as_deref().and_then(|n| n.split_once('/')) {
        Some((namespace, name)) => (Some(namespace.to_owned()), Some(name.to_owned())),
        None => (of.namespace.clone(), of.name.clone()),
    };
    let mut checked = if of.files.is_empty() {
        let Some(name) = &name else {
            output::note("headworks: name a Pipeline, or give files with -f");
            return Err(End::Usage);
        };
        block_on(from_cluster(of, namespace.as_deref(), name))?
    } else {
        super::load(&of.files, namespace.as_deref().unwrap_or("default"), true)?
    };
    checked.world.arrive();
    let fits = |object: &Object| {
        name.as_ref().is_none_or(|name| *name == object.name)
            && namespace.as_ref().is_none_or(|n| *n == object.namespace)
    };
    let mut found: Vec<(&Object, &Pipeline)> = checked
        .world
        .pipelines()
        .filter(|(object, _)| fits(object))
        .collect();
    let Some((object, pipeline)) = found.pop() else {
        let errors: Vec<String> = checked.findings.iter().map(ToString::to_string).collect();
        output::note(&format!(
            "headworks: no such Pipeline\n{}",
            errors.join("\n")
        ));
        return Err(End::Problems);
    };
    if !found.is_empty() {
        output::note("headworks: there are several Pipelines: name one as NAMESPACE/NAME");
        return Err(End::Usage);
    }
    let Some(planned) = validate::plan(&checked.world, object, pipeline) else {
        output::note("headworks: the Pipeline can't be planned:");
        for finding in &checked.findings {
            output::note(&finding.to_string());
        }
        // By the contracts in force it may be wrong where by the specs it isn't.
        if let Some(fault) = validate::plan_fault(&checked.world, object, pipeline) {
            output::note(&fault);
        }
        return Err(End::Problems);
    };
    let explanation = explanation(&checked.world, object, pipeline, &planned);
    match of.output {
        Form::Json => output::json(&explanation),
        Form::Text => output::text(&text(&explanation)),
    }
    Ok(End::Fine)
}

/// The Pipeline and the streams of its namespace as the cluster has them, as if they stood in a file.
async fn from_cluster(
    of: &OfPipeline,
    namespace: Option<&str>,
    name: &str,
) -> Result<Checked, End> {
    let cluster = of.cluster.connect().await?;
    let namespace = namespace.unwrap_or(&cluster.namespace).to_owned();
    let failed = |what: String| {
        move |error: kube::Error| {
            output::note(&format!("headworks: {what}: {}", cluster::said(&error)));
            match error {
                kube::Error::Api(status) if status.code == 404 => End::Problems,
                _ => End::Unreadable,
            }
        }
    };
    let pipelines: Api<Pipeline> = Api::namespaced(cluster.client.clone(), &namespace);
    let streams: Api<DataStream> = Api::namespaced(cluster.client.clone(), &namespace);
    let platforms: Api<Platform> = Api::all(cluster.client.clone());
    let pipeline = pipelines
        .get(name)
        .await
        .map_err(failed(format!("Pipeline {namespace}/{name}")))?;
    let streams = streams
        .list(&ListParams::default())
        .await
        .map_err(failed(format!("DataStreams of {namespace}")))?;
    // Platforms belong to the cluster; who may not read them learns less, and that is all.
    let platform = platforms.get_opt(&pipeline.spec.platform).await;
    let mut items = vec![item("Pipeline", &pipeline)];
    items.extend(streams.items.iter().map(|s| item("DataStream", s)));
    items.extend(platform.ok().flatten().iter().map(|p| item("Platform", p)));
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items});
    let file = File {
        name: format!("cluster:{}", pipeline.name_any()),
        text: list.to_string(),
        built: None,
    };
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client.clone(), &namespace);
    let accepted = ListParams::default().labels(&format!("{PART_LABEL}={CONTRACT_PART}"));
    let contracts = match maps.list(&accepted).await {
        Ok(list) => list.items,
        Err(error) => {
            output::note(&format!(
                "headworks: the accepted contracts of {namespace} can't be read ({}): the streams' specs are taken instead",
                cluster::said(&error)
            ));
            Vec::new()
        }
    };
    let options = Options {
        namespace: namespace.clone(),
        allow_missing: true,
    };
    let mut checked = validate::check(&[file], &options);
    prevail(&mut checked, &namespace, &streams.items, &contracts);
    Ok(checked)
}

/// What runs reads by the contracts in force, also where a spec asks for another that is refused.
fn prevail(
    checked: &mut Checked,
    namespace: &str,
    streams: &[DataStream],
    contracts: &[ConfigMap],
) {
    let objects = Objects {
        streams: streams.iter().collect(),
        contracts: contracts.iter().collect(),
        ..Objects::default()
    };
    for (name, stream) in of(namespace, &objects).streams {
        if stream.version.is_some() {
            checked.world.prevail(name, stream.contract);
        }
    }
}

/// What a list leaves out: apiVersion and kind.
fn item(kind: &str, object: &impl Serialize) -> serde_json::Value {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    value["apiVersion"] = format!("{}/{}", headworks_crds::GROUP, headworks_crds::VERSION).into();
    value["kind"] = kind.into();
    value
}

fn explanation(
    world: &World,
    object: &Object,
    pipeline: &Pipeline,
    planned: &Planned,
) -> Explanation {
    let namespace = &object.namespace;
    let stream = |name: &str| {
        let contract = world.contract(namespace, name).cloned().unwrap_or_default();
        local::stream(world, namespace, name, contract)
    };
    let dataflow = &planned.dataflow;
    let timed = dataflow.stateful().any(|(rows, _)| rows.time.is_some());
    let reads = planned.inputs.iter().map(|name| {
        let of = stream(name);
        let used = |column: &str| {
            let mut branches = dataflow.branches().filter(|b| b.input == *name);
            branches.any(|b| b.columns.iter().any(|c| c == column))
        };
        let all = of.contract.fields.iter().map(|f| f.name.clone());
        Read {
            stream: name.clone(),
            columns: all.filter(|c| used(c)).collect(),
            of: of.contract.fields.len(),
            format: format_of(&of.contract),
            event_time: of
                .contract
                .event_time
                .filter(|_| timed)
                .map(|time| said(&time)),
            topic: of.topic,
            dead_letter_topic: of.dead_letter_topic,
        }
    });
    let columns = dataflow.output.columns.iter().zip(&dataflow.lineage);
    Explanation {
        namespace: namespace.clone(),
        name: object.name.clone(),
        stages: stages::stages(world, object, pipeline, planned),
        reads: reads.collect(),
        columns: columns
            .map(|(column, lineage)| Column {
                name: column.name.clone(),
                type_: column.data_type.to_string(),
                nullable: column.nullable,
                labels: column.labels.clone(),
                from: lineage
                    .sources
                    .iter()
                    .map(|s| format!("{}.{}", s.stream, s.column))
                    .collect(),
            })
            .collect(),
        delivery: match pipeline.spec.delivery {
            Delivery::ExactlyOnce => "ExactlyOnce".into(),
            Delivery::AtLeastOnce => "AtLeastOnce".into(),
        },
        commit_interval: pipeline.spec.commit_interval.to_string(),
        on_bad_record: format!("{:?}", pipeline.spec.on_bad_record),
        fingerprint: dataflow.fingerprint.clone(),
    }
}

/// The wire format and the record's name in it.
fn format_of(contract: &Contract) -> Option<String> {
    let definition = contract.definition.as_ref()?;
    let name = headworks_schema::record_name(definition).unwrap_or_default();
    Some(format!("{:?}, record {name}", contract.format))
}

/// An event time in words.
fn said(time: &EventTime) -> String {
    let text = |ms: u64| Duration::from_millis(ms).to_string();
    let idle = time
        .idle_timeout_ms
        .map_or_else(|| "never".to_owned(), |ms| format!("after {}", text(ms)));
    format!(
        "{}, up to {} out of order (maxOutOfOrderness); a silent partition is left out {idle} (idleTimeout)",
        time.field,
        text(time.max_out_of_orderness_ms)
    )
}

fn text(of: &Explanation) -> String {
    let mut text = format!("Pipeline {}/{}\n\nStages\n", of.namespace, of.name);
    text.push_str(&stages::text(&of.stages));
    text.push_str("\nReads\n");
    for read in &of.reads {
        text.push_str(&format!(
            "  {} (topic {}, dead letters {})\n     {} of {} columns: {}\n",
            read.stream,
            read.topic,
            read.dead_letter_topic,
            read.columns.len(),
            read.of,
            read.columns.join(", ")
        ));
        if let Some(format) = &read.format {
            text.push_str(&format!("     format: {format}\n"));
        }
        if let Some(time) = &read.event_time {
            text.push_str(&format!("     event time: {time}\n"));
        }
    }
    text.push_str("\nResult\n");
    let mut rows = vec![["COLUMN", "TYPE", "NULL", "LABELS", "FROM"].map(str::to_owned)];
    rows.extend(of.columns.iter().map(|column| {
        let list = |items: &[String]| {
            if items.is_empty() {
                "-".to_owned()
            } else {
                items.join(", ")
            }
        };
        [
            column.name.clone(),
            column.type_.clone(),
            if column.nullable { "yes" } else { "no" }.to_owned(),
            list(&column.labels),
            list(&column.from),
        ]
    }));
    text.push_str(&output::columns(&rows, "  "));
    text.push_str(&format!(
        "\nGuarantees\n  delivery         {}{}\n  commitInterval   {}\n  onBadRecord      {}\n  fingerprint      {}\n",
        of.delivery,
        match of.delivery.as_str() {
            "ExactlyOnce" => ": results, dead letters and progress are one transaction of Kafka (readers need isolation.level=read_committed); a table's rows and progress one of its database",
            _ => ": a crash repeats a little",
        },
        of.commit_interval,
        of.on_bad_record,
        of.fingerprint
    ));
    text
}

#[cfg(test)]
mod tests;
