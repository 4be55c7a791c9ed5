use serde_json::json;

use super::*;
use crate::context::testing;

const FAMILY: Family = Family {
    part: "test",
    owner: "AccessGrant",
    content: "headworks.dev/made-from",
    role: "made for a test",
    other_content: "is made from something else",
};

fn reference(kind: &str, group: &str, uid: &str, controller: bool) -> OwnerReference {
    OwnerReference {
        api_version: group.into(),
        kind: kind.into(),
        name: "g".into(),
        uid: uid.into(),
        controller: controller.then_some(true),
        ..OwnerReference::default()
    }
}

fn of_grant(uid: &str, controller: bool) -> OwnerReference {
    reference("AccessGrant", "headworks.dev/v1alpha1", uid, controller)
}

fn stream(content: &str, owners: Vec<OwnerReference>) -> DataStream {
    let spec = json!({"key": ["id"], "schema": [{"name": "id", "type": "string"}, {"name": "n", "type": "int"}]});
    let mut stream: DataStream =
        serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap();
    stream.metadata = FAMILY.meta("shop", "d", content.into(), owners);
    stream
}

fn here(uids: &[&str]) -> BTreeSet<String> {
    uids.iter().map(|uid| (*uid).to_owned()).collect()
}

fn reason(live: &DataStream, owners: Owners<'_>) -> Result<bool, String> {
    let desired = stream("a", vec![of_grant("1", false)]);
    FAMILY
        .compare(&desired, live, owners)
        .map_err(|error| error.reason().to_owned())
}

#[test]
fn an_object_is_the_family_s_by_labels_and_by_an_owner_that_is_here() {
    let (one, other) = (here(&["1"]), here(&["2"]));
    let ours = stream("a", vec![of_grant("1", false)]);
    assert_eq!(reason(&ours, Owners::Shared(&one)), Ok(true));
    assert_eq!(
        reason(&ours, Owners::Shared(&other)),
        Err("ChildTerminating".into())
    );
    let foreign = Err("OwnedByAnother".to_owned());
    for reference in [
        reference("AccessGrant", "example.com/v1", "1", false),
        // A group that only begins as ours does.
        reference("AccessGrant", "headworks.dev.example.com/v1", "1", false),
        reference("Deployment", "apps/v1", "1", false),
    ] {
        let theirs = stream("a", vec![reference]);
        assert_eq!(reason(&theirs, Owners::Shared(&one)), foreign);
    }
    assert_eq!(reason(&stream("a", vec![]), Owners::Shared(&one)), foreign);
    let mut unlabelled = ours.clone();
    unlabelled.metadata.labels = None;
    assert_eq!(reason(&unlabelled, Owners::Shared(&one)), foreign);
    assert_eq!(
        reason(
            &stream("b", vec![of_grant("1", false)]),
            Owners::Shared(&one)
        ),
        foreign
    );
    let mut going = ours;
    going.metadata.deletion_timestamp =
        serde_json::from_value(json!("2027-01-01T00:00:00Z")).unwrap();
    assert_eq!(
        reason(&going, Owners::Shared(&one)),
        Err("ChildTerminating".into())
    );
}

#[test]
fn one_that_has_a_controller_is_that_one_s_alone() {
    let controlled = stream("a", vec![of_grant("1", true)]);
    assert_eq!(reason(&controlled, Owners::Controller("1")), Ok(true));
    let ending = Err("ChildTerminating".to_owned());
    assert_eq!(reason(&controlled, Owners::Controller("2")), ending);
    assert_eq!(reason(&controlled, Owners::Controller("")), ending);
    // To be one of the owners isn't to control.
    let shared = stream("a", vec![of_grant("1", false)]);
    assert_eq!(reason(&shared, Owners::Controller("1")), ending);
}

#[test]
fn what_differs_is_noticed_and_what_others_added_is_not() {
    let one = here(&["1"]);
    let live = || stream("a", vec![of_grant("1", false)]);
    let as_desired = |live: &DataStream| reason(live, Owners::Shared(&one));
    let mut more = live();
    more.spec.description = Some("by hand".into());
    assert_eq!(as_desired(&more), Ok(true));
    let mut changed = live();
    changed.spec.schema[1].type_ = "bigint".into();
    assert_eq!(as_desired(&changed), Ok(false));
    let mut field = live();
    field.spec.schema.push(field.spec.schema[1].clone());
    assert_eq!(as_desired(&field), Ok(false));
    let mut key = live();
    key.spec.key.push("n".into());
    assert_eq!(as_desired(&key), Ok(false));
    let shared = stream("a", vec![of_grant("1", false), of_grant("2", false)]);
    assert_eq!(as_desired(&shared), Ok(false));
}

#[tokio::test]
async fn only_what_differs_is_written_and_the_last_owner_takes_an_object_along() {
    let (live, one) = (stream("a", vec![of_grant("1", false)]), here(&["1"]));
    let stores = crate::stores::Stores {
        streams: testing::store(vec![kube::core::DeserializeGuard(Ok(live.clone()))]),
        ..testing::stores()
    };
    let (context, calls) = testing::context(stores);
    let owners = Owners::Shared(&one);
    FAMILY.put(&context, &live, owners).await.unwrap();
    assert!(testing::calls(&calls, "PATCH").is_empty());
    let mut other = live.clone();
    other.spec.retention = Some("1d".parse().unwrap());
    FAMILY.put(&context, &other, owners).await.unwrap();
    let place = "/apis/headworks.dev/v1alpha1/namespaces/shop/datastreams/d";
    assert_eq!(testing::calls(&calls, "PATCH"), [place]);
    let found: Vec<DataStream> = FAMILY.owned_by(&context, "shop", "1");
    assert_eq!(found.len(), 1);
    assert!(
        FAMILY
            .owned_by::<DataStream>(&context, "other", "1")
            .is_empty()
    );
    assert!(
        FAMILY
            .owned_by::<DataStream>(&context, "shop", "2")
            .is_empty()
    );
    FAMILY
        .leave_to(&context, &found[0], vec![], owners)
        .await
        .unwrap();
    assert_eq!(testing::calls(&calls, "DELETE"), [place]);
}
