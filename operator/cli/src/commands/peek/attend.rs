//! The pod's life: made, waited for, listened to, and deleted, however it ends: also when this command is told to stop, and
//! when whoever reads its output has gone.

use std::cell::Cell;
use std::time::Duration;

use futures::{AsyncBufReadExt, TryStreamExt};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, ListParams, LogParams, PostParams, Preconditions};
use kube::{Api, Client, ResourceExt};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep, timeout_at};

use super::pod::{self, Start};
use super::reading::Listener;
use super::wrong;
use crate::End;
use crate::cluster::said;
use crate::output::note;

/// How long a pod may take to start.
const START: Duration = Duration::from_secs(120);
/// After so long it is said what is waited for.
const TELL: Duration = Duration::from_secs(8);
/// How often it is looked at meanwhile.
const LOOK: Duration = Duration::from_millis(300);
/// A pod that ended so long ago, and that nobody took away, has no reader any more.
const LEFT: SignedDuration = SignedDuration::from_mins(15);

/// How long a deletion is tried for, and how often: a making that was never answered may come to pass later.
const DELETION: Duration = Duration::from_secs(10);
const AGAIN: Duration = Duration::from_millis(500);

/// What the API server was asked of the pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Making {
    /// Nothing yet, or it has refused to make it.
    None,
    /// To make it; it has not answered, or with an error after which it may be there all the same.
    Asked,
    /// It has made it.
    Made,
}

/// What ends a peek from outside.
pub struct Ends<S, A> {
    /// Somebody has stopped it.
    pub stop: S,
    /// Nobody reads what is printed any more, which is no fault.
    pub abandoned: A,
}

/// Makes the pod and prints what it says.
///
/// # Errors
/// It can't be made, doesn't start, or ends without having said that it is at the end.
pub async fn attend(
    client: &Client,
    following: Client,
    pod: &Pod,
    listener: &mut impl Listener,
    ends: Ends<impl Future<Output = ()>, impl Future<Output = ()>>,
) -> Result<(), End> {
    let namespace = pod.namespace().unwrap_or_default();
    let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
    let logs: Api<Pod> = Api::namespaced(following, &namespace);
    let making = Cell::new(Making::None);
    let may_be_stopped = listener.may_be_stopped();
    let outcome = tokio::select! {
        outcome = listen(&pods, &logs, pod, listener, &making) => outcome,
        () = ends.stop => Err(if may_be_stopped { End::Fine } else { End::Problems }),
        () = ends.abandoned => Err(End::Fine),
    };
    if making.get() != Making::None {
        delete(&pods, pod, making.get()).await;
    }
    outcome
}

/// Deletes the pod, or says that it is left.
async fn delete(pods: &Api<Pod>, pod: &Pod, making: Making) {
    let name = pod.name_any();
    let until = Instant::now() + DELETION;
    let mut last = None;
    while Instant::now() < until {
        match timeout_at(until, pods.delete(&name, &DeleteParams::default())).await {
            Ok(Ok(_)) => return,
            Ok(Err(kube::Error::Api(status))) if status.code == 404 => {
                // Somebody else took it away.
                if making == Making::Made {
                    return;
                }
                last = None;
            }
            Ok(Err(error)) => last = Some(said(&error)),
            Err(_) => {
                last.get_or_insert_with(|| "the API server doesn't answer".to_owned());
            }
        }
        sleep(AGAIN).await;
    }
    // It wasn't there all the time: it was never made.
    if let Some(why) = last {
        let may = match making {
            Making::Made => "",
            Making::None | Making::Asked => "may have been made, and ",
        };
        note(&format!(
            "Pod {}/{name} {may}can't be deleted: {why}; it ends by itself, and is deleted with kubectl",
            pod.namespace().unwrap_or_default(),
        ));
    }
}

async fn listen(
    pods: &Api<Pod>,
    logs: &Api<Pod>,
    pod: &Pod,
    listener: &mut impl Listener,
    making: &Cell<Making>,
) -> Result<(), End> {
    take_away(pods).await;
    let name = pod.name_any();
    making.set(Making::Asked);
    if let Err(error) = pods.create(&PostParams::default(), pod).await {
        if is_refusal(&error) {
            making.set(Making::None);
        }
        return Err(refused(pod, &error));
    }
    making.set(Making::Made);
    wait(pods, pod).await?;
    let parameters = LogParams {
        container: Some(pod::CONTAINER.to_owned()),
        follow: true,
        ..LogParams::default()
    };
    let failed = |error: kube::Error| {
        wrong(format!(
            "the log of Pod {name} can't be read: {}{}",
            said(&error),
            rights(&error, pod)
        ))
    };
    let stream = logs.log_stream(&name, &parameters).await.map_err(failed)?;
    let stream = std::pin::pin!(stream);
    let mut lines = stream.lines();
    loop {
        match lines.try_next().await {
            Ok(Some(line)) if listener.line(&line) => {
                if listener.is_over() {
                    return Ok(());
                }
            }
            // Nobody reads any more.
            Ok(Some(_)) => return Ok(()),
            Ok(None) => break,
            Err(error) => {
                return Err(wrong(format!("the log of Pod {name} broke off: {error}")));
            }
        }
    }
    let last = pods.get_opt(&name).await.ok().flatten();
    let why = last.map_or_else(
        || Some("somebody deleted it".to_owned()),
        |pod| pod::ended(&pod),
    );
    Err(wrong(format!(
        "Pod {name} ended before it was done: {}",
        why.unwrap_or_else(|| "its log says no more".to_owned())
    )))
}

/// Waits until there are logs.
async fn wait(pods: &Api<Pod>, pod: &Pod) -> Result<(), End> {
    let name = pod.name_any();
    let place = format!("Pod {}/{name}", pod.namespace().unwrap_or_default());
    let began = Instant::now();
    let mut told = None;
    loop {
        let now = match pods.get_opt(&name).await {
            Ok(Some(now)) => now,
            Ok(None) => return Err(wrong(format!("somebody deleted {place}"))),
            Err(error) => {
                return Err(wrong(format!(
                    "{place}: {}{}",
                    said(&error),
                    rights(&error, pod)
                )));
            }
        };
        match pod::start(&now) {
            Start::Runs => return Ok(()),
            Start::Cannot(why) => return Err(wrong(format!("{place} can't start: {why}"))),
            Start::Waits(why) if began.elapsed() >= START => {
                return Err(wrong(late(&place, pod, &why)));
            }
            Start::Waits(why) => {
                if began.elapsed() >= TELL && told.as_ref() != Some(&why) {
                    note(&format!("{place} isn't started yet: {why}"));
                    told = Some(why);
                }
                sleep(LOOK).await;
            }
        }
    }
}

/// A pod that doesn't start in time. A node that pulls an image may say nothing of it for long, so the image is named.
fn late(place: &str, pod: &Pod, why: &str) -> String {
    let mut containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let image = containers.find_map(|c| c.image.as_deref());
    format!(
        "{place} hasn't started for {} s: {why}; its image is {}",
        START.as_secs(),
        image.unwrap_or("not known")
    )
}

/// Why the API server took no pod: a right that is missing, a quota, a policy.
fn refused(pod: &Pod, error: &kube::Error) -> End {
    let end = wrong(refusal(pod, error));
    match error {
        kube::Error::Api(_) => end,
        _ => End::Unreadable,
    }
}

/// True: nothing was made, nor will be.
fn is_refusal(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if (400..500).contains(&status.code))
}

fn refusal(pod: &Pod, error: &kube::Error) -> String {
    format!(
        "a pod that reads can't be made in namespace {}: {}{}",
        pod.namespace().unwrap_or_default(),
        said(error),
        rights(error, pod)
    )
}

/// Which role has the right that is missing, where it is one.
fn rights(error: &kube::Error, pod: &Pod) -> String {
    match error {
        kube::Error::Api(status) if status.code == 403 && status.message.contains(" cannot ") => {
            format!(
                "; peek needs create, get and delete on pods and get on pods/log in namespace {}: Kubernetes' role edit has them",
                pod.namespace().unwrap_or_default()
            )
        }
        _ => String::new(),
    }
}

/// Deletes pods of earlier peeks whose command was ended by force.
async fn take_away(pods: &Api<Pod>) {
    let ours = ListParams::default().labels(&pod::selector());
    let Ok(there) = pods.list(&ours).await else {
        return;
    };
    let before = Timestamp::now().checked_sub(LEFT).unwrap_or(Timestamp::MIN);
    for (name, uid) in pod::left(&there.items, before) {
        let this_one = DeleteParams::default().preconditions(Preconditions {
            uid: Some(uid),
            resource_version: None,
        });
        let _ = pods.delete(&name, &this_one).await;
    }
}

/// Returns at Ctrl-C, at SIGTERM, and when the terminal is closed.
pub async fn told_to_stop() {
    let kinds = [
        SignalKind::interrupt(),
        SignalKind::terminate(),
        SignalKind::hangup(),
    ];
    let mut signals: Vec<_> = kinds.into_iter().filter_map(|k| signal(k).ok()).collect();
    let told = signals.iter_mut().map(|signal| Box::pin(signal.recv()));
    let told: Vec<_> = told.collect();
    if told.is_empty() {
        std::future::pending::<()>().await;
    }
    futures::future::select_all(told).await;
}

#[cfg(test)]
mod tests;
