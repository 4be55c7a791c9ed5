//! One foreign kind: found by discovery, watched once it is there, looked for again when it goes.

use std::{collections::HashMap, pin::pin, sync::Arc, time::Duration};

use futures::StreamExt;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResourceList;
use kube::{
    Client,
    api::{ApiResource, DynamicObject},
    runtime::{
        WatchStreamExt,
        reflector::{
            ObjectRef,
            store::{Store, Writer},
        },
        watcher::{self, Event},
    },
};
use tokio::sync::{Notify, watch};

use super::ForeignKind;
use crate::{
    bounds::{Bound, Load},
    indexes::Indexes,
    retry::Error,
    scope::{Scope, merged},
    supervise::{Task, contained, contained_call},
    telemetry::Metrics,
};

/// How often a kind that isn't there is looked for.
const POLL_INTERVAL: Duration = if cfg!(test) {
    Duration::from_millis(50)
} else {
    Duration::from_secs(5)
};
/// An object in memory, about.
const OBJECT_BYTES: usize = 2_048;
/// How long somebody who needs the kind waits for the first answer.
const DISCOVERY_TIMEOUT: Duration = Duration::from_secs(10);

/// What is known of the kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody looked yet.
    Unknown,
    /// The API server doesn't have it.
    Absent,
    /// The API server doesn't say, or doesn't let us look.
    Refused(String),
    /// It is there, in this version, and its store is filled.
    Here(ApiResource),
}

/// A foreign kind and its objects.
pub struct Watched {
    kind: ForeignKind,
    key_type: ApiResource,
    store: Store<DynamicObject>,
    state: watch::Receiver<State>,
    wanted: Arc<Notify>,
}

impl Watched {
    /// The kind, and the task that must be driven for it; `on` is told of each object and whether it is (still) there.
    pub fn new(
        (client, scope, indexes, metrics): (&Client, &Scope, &Arc<Indexes>, &Arc<Metrics>),
        kind: ForeignKind,
        ours: fn(&DynamicObject) -> bool,
        on: impl FnMut(&DynamicObject, bool) + Send + 'static,
    ) -> (Self, Task) {
        let key_type = kind.resource(kind.versions.first().unwrap_or(&"v1"));
        let writer = Writer::<DynamicObject>::new(key_type.clone());
        let store = writer.as_reader();
        let (sender, state) = watch::channel(State::Unknown);
        let wanted = Arc::new(Notify::new());
        let keeper = Keeper {
            client: client.clone(),
            scope: scope.clone(),
            indexes: indexes.clone(),
            metrics: metrics.clone(),
            kind,
            ours,
            writer,
            state: sender,
            known: HashMap::new(),
            load: Load::new(Bound::CHILDREN),
            full: false,
            on: Box::new(on),
        };
        let task: Task = Box::pin(keeper.run(wanted.clone()));
        let watched = Self {
            kind,
            key_type,
            store,
            state,
            wanted,
        };
        (watched, task)
    }

    /// Somebody needs the kind: from now on it is looked for and watched.
    pub fn want(&self) {
        self.wanted.notify_one();
    }

    /// What is known, after waiting a moment for the first look.
    pub async fn looked(&self) -> State {
        self.want();
        let mut state = self.state.clone();
        let known = state.wait_for(|state| *state != State::Unknown);
        match tokio::time::timeout(DISCOVERY_TIMEOUT, known).await {
            Ok(Ok(known)) => known.clone(),
            _ => State::Refused("the API server didn't answer".into()),
        }
    }

    /// The kind's version, or what to tell the user.
    ///
    /// # Errors
    /// Waiting [`ForeignKind::not_installed`] where the kind isn't there, transient [`ForeignKind::unreadable`] where it can't be read.
    pub async fn resource(&self) -> Result<ApiResource, Error> {
        let ForeignKind {
            operator,
            group,
            versions,
            kind,
            ..
        } = self.kind;
        match self.looked().await {
            State::Here(resource) => Ok(resource),
            State::Refused(why) => Err(Error::transient(
                self.kind.unreadable,
                format!(
                    "{operator}'s {kind} objects can't be read: {why}; {}",
                    self.kind.permit
                ),
            )),
            State::Unknown | State::Absent => Err(Error::waiting(
                self.kind.not_installed,
                format!(
                    "the cluster has no kind {kind} of {group} ({}): {}. It is noticed when they come",
                    versions.join(" or "),
                    self.kind.install
                ),
            )
            .after(POLL_INTERVAL)),
        }
    }

    /// One object as last seen.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<DynamicObject>> {
        self.store
            .get(&ObjectRef::new_with(name, self.key_type.clone()).within(namespace))
    }

    /// The objects that fit, by namespace and name.
    pub fn filter(&self, fits: impl Fn(&DynamicObject) -> bool) -> Vec<Arc<DynamicObject>> {
        let mut found = self.store.state_filter(|object| fits(object));
        found.sort_by_key(|o| (o.metadata.namespace.clone(), o.metadata.name.clone()));
        found
    }

    /// Kind of the objects.
    pub fn kind(&self) -> &'static str {
        self.kind.kind
    }
}

/// Told of each object, and whether it is (still) there.
type On = Box<dyn FnMut(&DynamicObject, bool) + Send>;

struct Keeper {
    client: Client,
    scope: Scope,
    indexes: Arc<Indexes>,
    metrics: Arc<Metrics>,
    kind: ForeignKind,
    ours: fn(&DynamicObject) -> bool,
    writer: Writer<DynamicObject>,
    state: watch::Sender<State>,
    known: HashMap<(Option<String>, Option<String>), Arc<DynamicObject>>,
    load: Load,
    /// True: it was said that there are more than are held.
    full: bool,
    on: On,
}

impl Keeper {
    async fn run(mut self, wanted: Arc<Notify>) {
        wanted.notified().await;
        let name = format!("watch {}", self.kind.kind);
        loop {
            match discover(self.client.clone(), self.kind).await {
                Ok(Some(resource)) => {
                    tracing::info!(
                        kind = self.kind.kind,
                        version = resource.version,
                        "a kind of another operator's is there"
                    );
                    // A mistake of ours is said there; the watch begins anew with a whole list.
                    if contained(&name, self.follow(resource)).await.is_ok() {
                        tracing::warn!(
                            kind = self.kind.kind,
                            "a kind of another operator's is gone"
                        );
                    }
                }
                Ok(None) => self.say(State::Absent),
                Err(error) => self.say(State::Refused(error.to_string())),
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// Watches until the kind is gone.
    async fn follow(&mut self, resource: ApiResource) {
        let apis = (self.kind.places)(&self.scope, &self.client, &resource);
        let watches = apis
            .into_iter()
            .map(|api| (api, watcher::Config::default()));
        let events =
            merged(watches.collect()).modify(|object| object.metadata.managed_fields = None);
        let mut events = pin!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    let filled =
                        matches!(event, Event::InitDone | Event::Apply(_) | Event::Delete(_));
                    let Some(event) = self.admitted(event) else {
                        continue;
                    };
                    self.writer.apply_watcher_event(&event);
                    self.tell(event);
                    if filled {
                        self.say(State::Here(resource.clone()));
                    }
                }
                Err(error) if code(&error) == Some(404) => {
                    // Taken as an empty list, so that whoever refers to one of the objects learns that it is gone.
                    self.writer.apply_watcher_event(&Event::Init);
                    self.writer.apply_watcher_event(&Event::InitDone);
                    self.tell(Event::InitDone);
                    self.say(State::Absent);
                    return;
                }
                Err(error) => {
                    // What was listed once is known; the watch goes on without a word when it may again.
                    let here = matches!(*self.state.borrow(), State::Here(_));
                    if code(&error) == Some(403) && !here {
                        self.say(State::Refused(error.to_string()));
                    }
                    tracing::warn!(kind = self.kind.kind, %error, "watch interrupted; it is tried again");
                }
            }
        }
    }

    /// The event, if it is about something that is held.
    fn admitted(&mut self, event: Event<DynamicObject>) -> Option<Event<DynamicObject>> {
        let namespace = |object: &DynamicObject| object.metadata.namespace.clone();
        match &event {
            Event::Apply(object) | Event::InitApply(object) => {
                if !(self.ours)(object) {
                    self.metrics.dropped(self.kind.kind, "foreign");
                    return None;
                }
                let namespace = namespace(object).unwrap_or_default();
                let known =
                    matches!(event, Event::Apply(_)) && self.known.contains_key(&place(object));
                if self
                    .load
                    .put(&namespace, known.then_some(OBJECT_BYTES), OBJECT_BYTES)
                    .is_err()
                {
                    self.metrics.dropped(self.kind.kind, "bound");
                    if !std::mem::replace(&mut self.full, true) {
                        tracing::warn!(
                            kind = self.kind.kind,
                            namespace,
                            "the namespace has more objects than are held"
                        );
                    }
                    return None;
                }
            }
            Event::Delete(object) => {
                if !self.known.contains_key(&place(object)) {
                    return None;
                }
                let namespace = namespace(object).unwrap_or_default();
                self.load.take(&namespace, OBJECT_BYTES);
            }
            Event::Init => self.load = Load::new(Bound::CHILDREN),
            Event::InitDone => {}
        }
        Some(event)
    }

    fn call(&mut self, object: &DynamicObject, here: bool) {
        let on = &mut self.on;
        // One object that sets off a mistake of ours ends the watch for nobody; what it said is logged.
        let _ = contained_call(&format!("change of {}", self.kind.kind), || {
            on(object, here);
        });
    }

    fn tell(&mut self, event: Event<DynamicObject>) {
        match event {
            Event::Apply(object) => {
                self.call(&object, true);
                self.known.insert(place(&object), Arc::new(object));
            }
            Event::Delete(object) => {
                self.known.remove(&place(&object));
                self.call(&object, false);
            }
            Event::InitDone => {
                let listed: HashMap<_, _> = self
                    .writer
                    .as_reader()
                    .state()
                    .into_iter()
                    .map(|object| (place(&object), object))
                    .collect();
                let before = std::mem::replace(&mut self.known, listed.clone());
                for (key, object) in &before {
                    if !listed.contains_key(key) {
                        self.call(object, false);
                    }
                }
                for object in listed.values() {
                    self.call(object, true);
                }
            }
            Event::Init | Event::InitApply(_) => {}
        }
        self.metrics.holds(self.kind.kind, self.known.len());
    }

    /// Publishes a state, and wakes who waits for the kind.
    fn say(&self, state: State) {
        let changed = self.state.send_if_modified(|known| {
            let changed = *known != state;
            *known = state;
            changed
        });
        if changed {
            self.indexes.enqueue_dependents(&self.kind.reference());
        }
    }
}

/// The preferred version that has the kind.
async fn discover(client: Client, kind: ForeignKind) -> Result<Option<ApiResource>, kube::Error> {
    for version in kind.versions {
        match client
            .list_api_group_resources(&format!("{}/{version}", kind.group))
            .await
        {
            Ok(list) if has(&list, kind.plural) => return Ok(Some(kind.resource(version))),
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn place(object: &DynamicObject) -> (Option<String>, Option<String>) {
    (
        object.metadata.namespace.clone(),
        object.metadata.name.clone(),
    )
}

fn has(list: &APIResourceList, plural: &str) -> bool {
    list.resources.iter().any(|r| r.name == plural)
}

/// The API server's answer, where that is what failed.
fn code(error: &watcher::Error) -> Option<u16> {
    match error {
        watcher::Error::InitialListFailed(kube::Error::Api(status))
        | watcher::Error::WatchStartFailed(kube::Error::Api(status))
        | watcher::Error::WatchFailed(kube::Error::Api(status))
        | watcher::Error::WatchError(status) => Some(status.code),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
