//! `headworks peek stream`: records of a stream, decoded by its contract, with labelled fields masked.
//!
//! A laptop rarely reaches Kafka's addresses, and nobody should have to hold Kafka's passwords to look at three records. So a
//! short-lived pod reads beside Kafka, with the image and the decoders of Pipelines, prints to its log, and is deleted,
//! however the command ends (docs/decisions/0014).

mod attend;
mod gather;
mod image;
mod labels;
mod plan;
mod pod;
mod select;
mod show;

use headworks_operator::names::{Key, digest};
use headworks_plan::{PEEK_VERSION, PeekLine, PeekPlan};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;

use crate::cluster::{self, block_on};
use crate::output::{self, Form, note};
use crate::{EXIT_CODES, End};
use gather::Gathered;
use show::Line;

/// Arguments of `headworks peek`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Prints records of a DataStream, decoded by its contract, with labelled fields masked.
    #[command(visible_alias = "streams", after_help = EXIT_CODES)]
    Stream(OfStream),
}

#[derive(Debug, clap::Args)]
struct OfStream {
    /// NAME or NAMESPACE/NAME.
    name: String,
    #[command(flatten)]
    selection: select::Selection,
    /// Mask only fields with this label; may be given several times. Absent: fields with any label are masked.
    #[arg(long, value_name = "LABEL")]
    mask: Vec<String>,
    /// Mask nothing.
    #[arg(long, conflicts_with = "mask")]
    unmask: bool,
    /// Read as the client of this AccessGrant of the stream's namespace: by its Secret, in the client's namespace.
    #[arg(long, value_name = "NAME")]
    grant: Option<String>,
    /// Image of the runtime. Absent: the Platform's podTemplate's, that of what runs in the pod's namespace, or the operator's.
    #[arg(long, value_name = "IMAGE")]
    image: Option<String>,
    /// Namespace of the stream. Absent: the context's.
    #[arg(short, long)]
    namespace: Option<String>,
    /// How records are written: rows, or a JSON object a line.
    #[arg(short, long, value_enum, default_value_t)]
    output: Form,
    #[command(flatten)]
    cluster: cluster::Arguments,
}

/// Prints.
pub fn run(arguments: &Arguments) -> End {
    let What::Stream(of) = &arguments.what;
    match block_on(peek(of)) {
        Ok(end) | Err(end) => end,
    }
}

/// Something that is wrong, told.
fn wrong(message: impl std::fmt::Display) -> End {
    note(&format!("headworks: {message}"));
    End::Problems
}

async fn peek(of: &OfStream) -> Result<End, End> {
    let select = of.selection.told(Timestamp::now()).map_err(|message| {
        note(&format!("headworks: {message}"));
        End::Usage
    })?;
    let cluster = of.cluster.connect().await?;
    let (namespace, name) = match of.name.split_once('/') {
        Some((namespace, name)) => (namespace, name),
        None => (
            of.namespace.as_deref().unwrap_or(&cluster.namespace),
            of.name.as_str(),
        ),
    };
    let found = gather::gather(&cluster, namespace, name, of.grant.as_deref()).await?;
    let stream = plan::stream(&found.stream, &found.contracts).map_err(wrong)?;
    let login = plan::login(
        &found.stream,
        &found.platform,
        found.grant.as_ref(),
        &found.others,
    );
    let login = login.map_err(wrong)?;
    let masked = if of.unmask {
        std::collections::BTreeMap::new()
    } else {
        let arrived = gather::labels(&cluster, &found.stream).await?;
        let all = plan::masked(&stream, &found.stream, &arrived, &[]);
        plan::known_labels(&all, &of.mask).map_err(wrong)?;
        plan::masked(&stream, &found.stream, &arrived, &of.mask)
    };
    let registry = match stream.contract.registered {
        Some(_) => gather::registry(&cluster, &found.platform).await,
        None => None,
    };
    let told = PeekPlan {
        version: PEEK_VERSION,
        kafka: plan::kafka(&found.platform, &login),
        registry,
        group: plan::group(&found.stream, &found.platform, &login),
        masked: masked.keys().cloned().collect(),
        stream,
        select,
    };
    let pod = made(&cluster, of, &found, &told, &login).await?;
    let shown = Shown {
        form: of.output,
        follow: told.select.follow,
        records: 0,
        end: None,
    };
    let following = of.cluster.following().await?;
    if !masked.is_empty() {
        let fields = masked.iter().map(|(field, labels)| {
            let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
            format!("{field} ({})", labels.join(", "))
        });
        let fields: Vec<String> = fields.collect();
        note(&format!(
            "masked: {}; --unmask shows them",
            fields.join(", ")
        ));
    }
    let ends = attend::Ends {
        stop: attend::told_to_stop(),
        abandoned: output::abandoned(),
    };
    let shown = attend::attend(&cluster.client, following, &pod, shown, ends).await?;
    Ok(shown.end.unwrap_or(End::Fine))
}

/// The pod, as it is to be made.
async fn made(
    cluster: &cluster::Cluster,
    of: &OfStream,
    found: &Gathered,
    told: &PeekPlan,
    login: &plan::Login,
) -> Result<k8s_openapi::api::core::v1::Pod, End> {
    let key = Key::of(&found.stream);
    let ca = match told.kafka.tls_ca_file.as_deref() {
        Some(headworks_plan::PEEK_CA_PATH) => Some(gather::ca(cluster, found).await?),
        _ => None,
    };
    let template = pod::template_of(&found.platform);
    let place = match login {
        plan::Login::Secret(credentials) => &credentials.namespace,
        plan::Login::Nobody => &key.namespace,
    };
    let image = match of.image.clone().or_else(|| template.image.clone()) {
        Some(image) => image,
        None => image::image(&cluster.client, place).await?,
    };
    // The name is chosen here and not by the API server, so that the pod can be deleted before its making was answered.
    let seed = format!("{key} {} {}", std::process::id(), Timestamp::now());
    let name = format!("{}{}", pod::PREFIX, &digest(seed.as_bytes())[..10]);
    pod::pod(&pod::Inputs {
        name,
        stream: &key,
        plan: told,
        login,
        ca: ca.as_deref(),
        image: &image,
        template: &template,
    })
    .map_err(|message| wrong(format!("{}: {message}", found.stream.name_any())))
}

/// What was printed so far.
pub struct Shown {
    form: Form,
    /// True: whoever ends it has seen enough.
    follow: bool,
    /// Records that came.
    records: u64,
    /// Present: the reader has said that it is at the end, or why it can't go on.
    end: Option<End>,
}

impl Shown {
    /// Prints a line of the pod's log; false where nobody reads any more.
    fn line(&mut self, text: &str) -> bool {
        match show::line(text) {
            Line::Record(record) => {
                self.records += 1;
                match self.form {
                    Form::Json => output::sent(&show::json(text)),
                    Form::Text => {
                        (self.records > 1 || output::sent(&show::head()))
                            && output::sent(&show::row(&record))
                    }
                }
            }
            Line::Peek(PeekLine::Note { message }) => {
                note(&show::printable(&message));
                true
            }
            Line::Peek(PeekLine::End {
                records,
                read,
                more,
            }) => {
                note(&show::summary(self.records, read, more));
                self.end = Some(match show::lost(records, self.records) {
                    None => End::Fine,
                    Some(message) => wrong(message),
                });
                true
            }
            Line::Peek(PeekLine::Failed { reason, message }) => {
                self.end = Some(wrong(show::failed(&reason, &message)));
                true
            }
            Line::Log => {
                note(&show::printable(text));
                true
            }
        }
    }
}
