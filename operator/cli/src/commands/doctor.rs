//! `headworks doctor`: is a cluster's Headworks well, and if not, what is to be done?

mod causes;
mod checks;
mod objects;
mod pods;
mod runbook;
mod watched;

pub use checks::OPERATOR;
pub use objects::{held, list, resources};

use serde::Serialize;

use crate::End;
use crate::cluster::{self, Cluster, block_on};
use crate::output::{self, Form};

/// Arguments of `headworks doctor`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Look at this namespace's objects only.
    #[arg(short, long, conflicts_with = "all_namespaces")]
    namespace: Option<String>,
    /// Look at all namespaces: the default, where your rights suffice.
    #[arg(short = 'A', long)]
    all_namespaces: bool,
    /// How the result is written.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
    #[command(flatten)]
    cluster: cluster::Arguments,
}

/// How one thing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// Well.
    Ok,
    /// It may be well; look.
    Warning,
    /// Not well.
    Problem,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Item {
    /// How it is.
    pub health: Health,
    /// What was looked at, such as `operator` or `Pipeline shop/revenue`.
    pub what: String,
    /// How it is, in words.
    pub said: String,
    /// What to do; empty where nothing is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl Item {
    /// Well.
    pub fn ok(what: impl Into<String>, said: impl Into<String>) -> Self {
        Self::new(Health::Ok, what, said, "")
    }

    /// Perhaps not well.
    pub fn warning(
        what: impl Into<String>,
        said: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(Health::Warning, what, said, remedy)
    }

    /// Not well.
    pub fn problem(
        what: impl Into<String>,
        said: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self::new(Health::Problem, what, said, remedy)
    }

    fn new(
        health: Health,
        what: impl Into<String>,
        said: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            health,
            what: what.into(),
            said: said.into(),
            remedy: remedy.into(),
        }
    }
}

/// Looks at everything.
pub fn run(arguments: &Arguments) -> End {
    let items = block_on(async {
        let cluster = arguments.cluster.connect().await?;
        examine(&cluster, arguments).await
    });
    let items = match items {
        Ok(items) => items,
        Err(end) => return end,
    };
    let well = items.iter().all(|item| item.health != Health::Problem);
    match arguments.output {
        Form::Json => output::json(&serde_json::json!({"well": well, "items": items})),
        Form::Text => output::text(&text(&items)),
    }
    if well { End::Fine } else { End::Problems }
}

async fn examine(cluster: &Cluster, arguments: &Arguments) -> Result<Vec<Item>, End> {
    let mut items = vec![checks::cluster(cluster).await?];
    items.extend(checks::crds(cluster).await);
    items.extend(checks::operator(cluster).await);
    let all = arguments.namespace.is_none();
    let namespace = match &arguments.namespace {
        Some(namespace) => Some(namespace.clone()),
        None if arguments.all_namespaces || checks::may_list_everywhere(cluster).await => None,
        None => Some(cluster.namespace.clone()),
    };
    if let (true, Some(namespace)) = (all, &namespace) {
        items.push(Item::warning(
            "namespaces",
            format!("you may not list all namespaces: only {namespace} was looked at"),
            "name another with -n",
        ));
    }
    items.push(checks::rights(cluster, namespace.as_deref()).await);
    items.extend(objects::examine(cluster, namespace.as_deref()).await);
    items.extend(pods::examine(cluster, namespace.as_deref()).await);
    Ok(items)
}

fn text(items: &[Item]) -> String {
    let width = items.iter().map(|i| i.what.chars().count()).max();
    let width = width.unwrap_or(0).min(48);
    let mut text = String::new();
    for item in items {
        let word = match item.health {
            Health::Ok => output::green("ok     "),
            Health::Warning => "look   ".to_owned(),
            Health::Problem => output::red("PROBLEM"),
        };
        text.push_str(&format!("{word}  {:<width$}  {}\n", item.what, item.said));
        if !item.remedy.is_empty() {
            text.push_str(&format!("         {:<width$}  → {}\n", "", item.remedy));
        }
    }
    let problems = items.iter().filter(|i| i.health == Health::Problem).count();
    text.push_str(&match problems {
        0 => "all is well\n".to_owned(),
        1 => "1 problem\n".to_owned(),
        n => format!("{n} problems\n"),
    });
    text
}
