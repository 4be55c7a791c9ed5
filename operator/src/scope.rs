//! Where the operator looks: in the whole cluster, or in the namespaces that its chart was told, where it has Roles and nothing
//! beyond. (Platforms are cluster-scoped, and are watched in any case.)
//!
//! Several namespaces are several watches with one store: [`merged`] makes one stream of events of them that begins when all
//! have listed, and in which a list that is made again touches its own namespace alone.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use futures::{
    StreamExt,
    stream::{self, BoxStream},
};
use kube::{
    Api, Client, Resource, ResourceExt,
    api::{ApiResource, DynamicObject, ListParams},
    core::NamespaceResourceScope,
    runtime::{
        WatchStreamExt,
        watcher::{self, Error, Event},
    },
};
use serde::de::DeserializeOwned;

/// Where the operator looks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Namespaces with objects of ours; empty: all.
    pub namespaces: Vec<String>,
    /// More namespaces whose labels and annotations are asked for: those of AccessGrants' clients.
    pub clients: Vec<String>,
    /// Namespaces of Strimzi's objects; empty: all, unless `namespaces` says some, and then none.
    pub strimzi: Vec<String>,
    /// False: AccessGrants aren't looked at.
    pub no_grants: bool,
    /// True: NetworkPolicies are made, and so are watched.
    pub network_policies: bool,
}

/// One watch: of what, and which of them.
pub type Watch<K> = (Api<K>, watcher::Config);

impl Scope {
    /// Watches of a namespaced kind.
    pub fn watches<K>(&self, client: &Client, config: &watcher::Config) -> Vec<Watch<K>>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        if self.namespaces.is_empty() {
            return vec![(Api::all(client.clone()), config.clone())];
        }
        let one = |name: &String| (Api::namespaced(client.clone(), name), config.clone());
        self.namespaces.iter().map(one).collect()
    }

    /// Watches of namespaces themselves. One by name where only some are looked at: a role can name them. kube-system is among
    /// them, whose UID is the default name of the installation.
    pub fn namespaces<K>(&self, client: &Client) -> Vec<Watch<K>>
    where
        K: Resource<DynamicType = ()>,
    {
        if self.namespaces.is_empty() {
            return vec![(Api::all(client.clone()), watcher::Config::default())];
        }
        self.named()
            .iter()
            .map(|name| {
                let only = watcher::Config::default().fields(&format!("metadata.name={name}"));
                (Api::all(client.clone()), only)
            })
            .collect()
    }

    /// The namespaces whose metadata is asked for.
    fn named(&self) -> Vec<&str> {
        let all = self.namespaces.iter().chain(&self.clients);
        let mut all: Vec<&str> = all.map(String::as_str).chain(["kube-system"]).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// True if objects of that namespace are looked at.
    pub fn includes(&self, namespace: &str) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|n| n == namespace)
    }

    /// Strimzi's objects of one kind, in every namespace that may be asked.
    pub fn strimzi(&self, client: &Client, resource: &ApiResource) -> Vec<Api<DynamicObject>> {
        if self.strimzi.is_empty() && self.namespaces.is_empty() {
            return vec![Api::all_with(client.clone(), resource)];
        }
        let one = |name: &String| Api::namespaced_with(client.clone(), name, resource);
        self.strimzi.iter().map(one).collect()
    }

    /// All of Strimzi's objects of one kind that the parameters select.
    ///
    /// # Errors
    /// What the API server says.
    pub async fn list_strimzi(
        &self,
        client: &Client,
        resource: &ApiResource,
        params: &ListParams,
    ) -> kube::Result<Vec<DynamicObject>> {
        let mut found = Vec::new();
        for api in self.strimzi(client, resource) {
            found.extend(api.list(params).await?.items);
        }
        Ok(found)
    }
}

/// One stream of the events of several watches, for one store. Without any watch the kind is empty.
pub fn merged<K>(watches: Vec<Watch<K>>) -> BoxStream<'static, Result<Event<K>, Error>>
where
    K: Resource + DeserializeOwned + Clone + std::fmt::Debug + Send + Sync + 'static,
{
    let one = |(api, config): Watch<K>| watcher::watcher(api, config).default_backoff().boxed();
    let mut parts: Vec<_> = watches.into_iter().map(one).collect();
    if parts.is_empty() {
        return stream::iter([Ok(Event::Init), Ok(Event::InitDone)])
            .chain(stream::pending())
            .boxed();
    }
    if parts.len() == 1 {
        return parts.swap_remove(0);
    }
    let mut merger = Merger::new(parts.len());
    let parts = parts
        .into_iter()
        .enumerate()
        .map(|(index, part)| part.map(move |event| (index, event)).boxed());
    stream::select_all(parts)
        .flat_map(move |(index, event)| stream::iter(merger.take(index, event)))
        .boxed()
}

/// Namespace and name of an object.
type Name = (Option<String>, String);

/// What one watch has shown.
struct Part<K> {
    /// Filled while it lists.
    listing: Option<HashMap<Name, K>>,
    /// True once it has listed.
    listed: bool,
    objects: HashMap<Name, K>,
}

/// A namespace that can't be listed at the start holds up the others for so long.
const START_TIMEOUT: Duration = Duration::from_secs(60);

struct Merger<K> {
    parts: Vec<Part<K>>,
    begun: bool,
    since: Instant,
}

impl<K: Resource + Clone> Merger<K> {
    fn new(count: usize) -> Self {
        let part = || Part {
            listing: None,
            listed: false,
            objects: HashMap::new(),
        };
        Self {
            parts: std::iter::repeat_with(part).take(count).collect(),
            begun: false,
            since: Instant::now(),
        }
    }

    /// What an event of one watch means for the whole.
    fn take(
        &mut self,
        index: usize,
        event: Result<Event<K>, Error>,
    ) -> Vec<Result<Event<K>, Error>> {
        let name = |object: &K| (object.namespace(), object.name_any());
        let begun = self.begun;
        let Some(part) = self.parts.get_mut(index) else {
            return Vec::new();
        };
        match event {
            // The namespace is gone, and the Role with it: taken as empty, so that the others are served. Should it come back, its
            // list brings it in.
            Err(error) if !begun && refused(&error) && self.since.elapsed() >= START_TIMEOUT => {
                part.listed = true;
                let mut all = vec![Err(error)];
                all.extend(self.begin());
                all
            }
            Err(error) => vec![Err(error)],
            Ok(Event::Init) => {
                part.listing = Some(HashMap::new());
                Vec::new()
            }
            Ok(Event::InitApply(object)) => {
                let listing = part.listing.get_or_insert_default();
                listing.insert(name(&object), object);
                Vec::new()
            }
            Ok(Event::Apply(object)) => {
                part.objects.insert(name(&object), object.clone());
                if begun {
                    vec![Ok(Event::Apply(object))]
                } else {
                    Vec::new()
                }
            }
            Ok(Event::Delete(object)) => {
                part.objects.remove(&name(&object));
                if begun {
                    vec![Ok(Event::Delete(object))]
                } else {
                    Vec::new()
                }
            }
            Ok(Event::InitDone) => {
                let listed = part.listing.take().unwrap_or_default();
                let before = std::mem::replace(&mut part.objects, listed);
                part.listed = true;
                if begun {
                    let gone = before
                        .into_iter()
                        .filter(|(name, _)| !part.objects.contains_key(name))
                        .map(|(_, object)| Ok(Event::Delete(object)));
                    let here = part.objects.values().cloned();
                    return gone.chain(here.map(|o| Ok(Event::Apply(o)))).collect();
                }
                self.begin()
            }
        }
    }

    /// The first list of all, once each watch has listed.
    fn begin(&mut self) -> Vec<Result<Event<K>, Error>> {
        if self.begun || !self.parts.iter().all(|part| part.listed) {
            return Vec::new();
        }
        self.begun = true;
        let all = self.parts.iter().flat_map(|part| part.objects.values());
        let listed = all.cloned().map(|object| Ok(Event::InitApply(object)));
        [Ok(Event::Init)]
            .into_iter()
            .chain(listed)
            .chain([Ok(Event::InitDone)])
            .collect()
    }
}

/// True where the API server doesn't let us look, or has no such thing.
fn refused(error: &Error) -> bool {
    let (Error::InitialListFailed(error) | Error::WatchStartFailed(error)) = error else {
        return false;
    };
    matches!(error, kube::Error::Api(status) if matches!(status.code, 403 | 404))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    use super::*;

    fn object(namespace: &str, name: &str) -> ConfigMap {
        serde_json::from_value(json!({"metadata": {"namespace": namespace, "name": name}})).unwrap()
    }

    #[test]
    fn a_namespace_that_is_gone_holds_up_the_others_for_a_minute_only() {
        let forbidden = || {
            let status = serde_json::from_value(json!({
                "kind": "Status", "status": "Failure", "message": "no", "reason": "Forbidden", "code": 403
            }));
            Err(Error::InitialListFailed(kube::Error::Api(status.unwrap())))
        };
        let mut merger = Merger::new(2);
        assert!(merger.take(0, Ok(Event::Init)).is_empty());
        merger.take(0, Ok(Event::InitApply(object("shop", "a"))));
        assert!(merger.take(0, Ok(Event::InitDone)).is_empty());
        assert_eq!(merger.take(1, forbidden()).len(), 1, "it may only be slow");
        merger.since -= START_TIMEOUT;
        let mut events = merger.take(1, forbidden());
        assert!(events.remove(0).is_err());
        assert_eq!(said(events), ["init", "list a", "done"]);
        // It comes back.
        merger.take(1, Ok(Event::Init));
        merger.take(1, Ok(Event::InitApply(object("bi", "b"))));
        assert_eq!(said(merger.take(1, Ok(Event::InitDone))), ["apply b"]);
    }

    fn said(events: Vec<Result<Event<ConfigMap>, Error>>) -> Vec<String> {
        let mut said: Vec<String> = events
            .into_iter()
            .map(|event| match event.unwrap() {
                Event::Init => "init".to_owned(),
                Event::InitDone => "done".to_owned(),
                Event::InitApply(o) => format!("list {}", o.name_any()),
                Event::Apply(o) => format!("apply {}", o.name_any()),
                Event::Delete(o) => format!("delete {}", o.name_any()),
            })
            .collect();
        // Objects of one list come in no order.
        if said.len() > 2 && said[0] == "init" {
            let end = said.len() - 1;
            said[1..end].sort();
        }
        said
    }

    #[test]
    fn the_store_is_filled_once_every_namespace_has_listed() {
        let mut merger = Merger::new(2);
        assert!(merger.take(0, Ok(Event::Init)).is_empty());
        assert!(
            merger
                .take(0, Ok(Event::InitApply(object("a", "a1"))))
                .is_empty()
        );
        assert!(merger.take(0, Ok(Event::InitDone)).is_empty());
        // Changes meanwhile aren't lost.
        assert!(
            merger
                .take(0, Ok(Event::Apply(object("a", "a2"))))
                .is_empty()
        );
        assert!(
            merger
                .take(0, Ok(Event::Delete(object("a", "a1"))))
                .is_empty()
        );
        assert!(merger.take(1, Ok(Event::Init)).is_empty());
        assert!(
            merger
                .take(1, Ok(Event::InitApply(object("b", "b1"))))
                .is_empty()
        );
        assert_eq!(
            said(merger.take(1, Ok(Event::InitDone))),
            ["init", "list a2", "list b1", "done"]
        );
        assert_eq!(
            said(merger.take(1, Ok(Event::Apply(object("b", "b2"))))),
            ["apply b2"]
        );
    }

    #[test]
    fn a_namespace_that_lists_again_takes_nothing_from_another() {
        let mut merger = Merger::new(2);
        for (index, name) in [(0, "a"), (1, "b")] {
            merger.take(index, Ok(Event::Init));
            merger.take(index, Ok(Event::InitApply(object(name, name))));
            merger.take(index, Ok(Event::InitDone));
        }
        assert!(merger.take(0, Ok(Event::Init)).is_empty());
        merger.take(0, Ok(Event::InitApply(object("a", "new"))));
        assert_eq!(
            said(merger.take(0, Ok(Event::InitDone))),
            ["delete a", "apply new"]
        );
        assert_eq!(
            said(merger.take(1, Ok(Event::Delete(object("b", "b"))))),
            ["delete b"]
        );
    }

    #[tokio::test]
    async fn a_kind_that_is_not_looked_at_is_empty_at_once() {
        let events: Vec<_> = merged::<ConfigMap>(Vec::new()).take(2).collect().await;
        assert_eq!(said(events), ["init", "done"]);
    }

    #[test]
    fn namespaces_are_asked_for_by_name_where_only_some_are_looked_at() {
        let scope = Scope {
            namespaces: vec!["shop".into(), "audit".into()],
            clients: vec!["bi".into(), "shop".into()],
            ..Scope::default()
        };
        assert_eq!(scope.named(), ["audit", "bi", "kube-system", "shop"]);
        assert!(scope.includes("shop") && !scope.includes("bi"));
        assert!(Scope::default().includes("anything"));
    }
}
