//! `headworks leftovers`: what stayed when objects went, and how it is removed.

mod delete;
mod gather;

use headworks_crds::Platform;
use kube::Api;
use serde_json::json;

use crate::cluster::{self, Cluster, block_on, said};
use crate::leftovers::{Leftover, Seen, leftovers};
use crate::output::{self, Form};
use crate::{End, output::note};

/// Arguments of `headworks leftovers`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only what belonged to objects of this namespace.
    #[arg(short, long)]
    namespace: Option<String>,
    /// The Platform whose Kafka is looked at. Its credentials are read from its Secrets, by your rights.
    #[arg(long, default_value = "default", value_name = "NAME")]
    platform: String,
    /// Where that Kafka is, as this machine reaches it. Absent: as the Platform says.
    #[arg(long, value_name = "HOST:PORT")]
    bootstrap_servers: Option<String>,
    /// Don't ask Kafka: what is in it is told by what stayed in Kubernetes alone.
    #[arg(long)]
    without_kafka: bool,
    /// Delete these leftovers, as they are listed: topic/shop.orders, configmap/shop/orders-contract-1. Without it nothing is
    /// deleted. What isn't a leftover isn't deleted either.
    #[arg(long, num_args = 1.., value_name = "WHAT")]
    delete: Vec<String>,
    /// How the result is written.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
    #[command(flatten)]
    cluster: cluster::Arguments,
}

/// Looks, and deletes what is named.
pub fn run(arguments: &Arguments) -> End {
    let done = block_on(async {
        let cluster = arguments.cluster.connect().await?;
        look(&cluster, arguments).await
    });
    match done {
        Ok(end) | Err(end) => end,
    }
}

async fn look(cluster: &Cluster, arguments: &Arguments) -> Result<End, End> {
    let platform = platform(cluster, &arguments.platform).await?;
    let mut seen = Seen::default();
    gather::labelled(cluster, &arguments.platform, &mut seen).await;
    let bootstrap = arguments.bootstrap_servers.clone().or_else(|| {
        let kafka = platform.as_ref().map(|p| &p.spec.kafka);
        kafka.map(|kafka| kafka.bootstrap_servers.clone())
    });
    let mut admin = None;
    if let (false, Some(platform), Some(at)) = (arguments.without_kafka, &platform, &bootstrap) {
        match gather::in_kafka(cluster, platform, at, &mut seen).await {
            Ok(connected) => admin = Some(connected),
            Err(message) => note(&format!(
                "headworks: Kafka wasn't asked ({message}): topics are told by what stayed in Kubernetes, groups and users not at all; --bootstrap-servers names an address that this machine reaches"
            )),
        }
    }
    // Last: what an object makes that comes meanwhile wasn't seen, and is never taken for left over.
    gather::objects(cluster, platform.as_ref(), &mut seen).await?;
    let found = leftovers(&seen, arguments.namespace.as_deref());
    if !arguments.delete.is_empty() {
        return delete::delete(cluster, admin.as_ref(), &arguments.delete, &found).await;
    }
    let bootstrap = bootstrap.unwrap_or_else(|| "KAFKA:9092".to_owned());
    match arguments.output {
        Form::Json => {
            let list: Vec<_> = found
                .iter()
                .map(|one| json!({"what": one.id(), "of": one.of, "command": one.command(&bootstrap)}))
                .collect();
            output::json(&json!({"leftovers": list}));
        }
        Form::Text => output::text(&text(&found, &bootstrap)),
    }
    Ok(End::Fine)
}

fn text(found: &[Leftover], bootstrap: &str) -> String {
    let mut text = String::new();
    for one in found {
        text.push_str(&format!(
            "{}\n    of {}\n    → {}\n",
            one.id(),
            one.of,
            one.command(bootstrap)
        ));
    }
    text.push_str(&match found.len() {
        0 => "nothing is left over\n".to_owned(),
        1 => "1 is left over; nothing was deleted\n".to_owned(),
        n => format!("{n} are left over; nothing was deleted\n"),
    });
    text
}

fn failed(what: &str, error: &kube::Error) -> End {
    note(&format!("headworks: {what}: {}", said(error)));
    End::Unreadable
}

async fn platform(cluster: &Cluster, name: &str) -> Result<Option<Platform>, End> {
    let api: Api<Platform> = Api::all(cluster.client.clone());
    let found = api.get_opt(name).await;
    let found = found.map_err(|e| failed(&format!("Platform {name}"), &e))?;
    if found.is_none() {
        note(&format!(
            "headworks: Platform {name} isn't there: what is in Kafka isn't looked at; name another with --platform"
        ));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::delete::tests::leftover;
    use super::*;

    #[test]
    fn the_list_says_what_to_do() {
        let text = text(&[leftover("shop.a")], "k:9092");
        assert!(
            text.contains(
                "topic/shop.a\n    of DataStream shop/a, which is gone\n    → kafka-topics.sh"
            ),
            "{text}"
        );
        assert!(text.ends_with("1 is left over; nothing was deleted\n"));
        assert_eq!(super::text(&[], ""), "nothing is left over\n");
    }
}
