use super::*;
use crate::reason::ConditionReason;

#[test]
fn what_the_spec_names_no_longer_is_told_from_spec_and_status_alone() {
    let has = |stream: &str, access: &str, derived: Option<&str>| GrantedStream {
        stream: stream.into(),
        topic: format!("shop.{stream}"),
        access: access.into(),
        derived: derived.map(str::to_owned),
    };
    let whole = has("orders", READ, None);
    let part = has("customers", READ, Some("customers-without-pii"));
    let status = AccessGrantStatus {
        streams: vec![whole.clone(), part.clone()],
        ..AccessGrantStatus::default()
    };
    let left = |spec: serde_json::Value| {
        let mut all = serde_json::json!({"to": {"namespace": "bi", "name": "report"}});
        let fields = spec.as_object().unwrap().clone();
        all.as_object_mut().unwrap().extend(fields);
        still_named(&serde_json::from_value(all).unwrap(), &status)
    };
    let both = serde_json::json!(["orders", "customers"]);
    let read = |names: &serde_json::Value, except: &[&str]| {
        left(serde_json::json!({"read": names, "exceptLabels": except}))
    };
    assert_eq!(read(&both, &["pii"]), [whole.clone(), part.clone()]);
    let customers = serde_json::json!(["customers"]);
    assert_eq!(read(&customers, &["pii"]), [part]);
    // To write is another right than to read.
    assert!(left(serde_json::json!({"write": ["orders"]})).is_empty());
    // What was left out isn't what must be left out now.
    assert_eq!(read(&both, &["pii", "secret"]), [whole]);
}

#[test]
fn a_derived_stream_stays_while_its_stream_cannot_be_looked_at() {
    let except = vec!["pii".to_owned()];
    let away = Error::waiting(ConditionReason::ReferenceNotFound, "");
    let derived = still_derived(READ, "customers", &except, &away);
    assert_eq!(derived.as_deref(), Some("customers-without-pii"));
    assert_eq!(still_derived(WRITE, "customers", &except, &away), None);
    assert_eq!(still_derived(READ, "customers", &[], &away), None);
    let nothing = Error::stalled(ConditionReason::NothingLeft, "");
    assert_eq!(still_derived(READ, "customers", &except, &nothing), None);
}

#[test]
fn what_a_client_has_of_a_stream_that_is_away_stays_unless_labels_are_excepted_now() {
    let except = vec!["pii".to_owned()];
    let whole = GrantedStream {
        stream: "orders".into(),
        topic: "shop.orders".into(),
        access: READ.into(),
        derived: None,
    };
    let part = GrantedStream {
        topic: "shop.orders-without-pii".into(),
        derived: Some("orders-without-pii".into()),
        ..whole.clone()
    };
    let has = |stream: &GrantedStream| AccessGrantStatus {
        streams: vec![stream.clone()],
        ..AccessGrantStatus::default()
    };
    assert_eq!(kept(&has(&whole), "orders", READ, &[]), Some(&whole));
    assert_eq!(kept(&has(&whole), "orders", WRITE, &[]), None);
    assert_eq!(kept(&has(&whole), "orders", READ, &except), None);
    assert_eq!(kept(&has(&part), "orders", READ, &except), Some(&part));
    assert_eq!(kept(&has(&part), "orders", READ, &[]), None);
    assert_eq!(
        kept(&has(&part), "orders", READ, &["secret".to_owned()]),
        None
    );
}

fn grant(spec: serde_json::Value) -> AccessGrant {
    let mut all = serde_json::json!({"to": {"namespace": "bi", "name": "report"}});
    let fields = spec.as_object().unwrap().clone();
    all.as_object_mut().unwrap().extend(fields);
    serde_json::from_value(serde_json::json!({
        "metadata": {"name": "report", "namespace": "shop"}, "spec": all}))
    .unwrap()
}

fn resolved(name: &str, labels: &[&str]) -> ResolvedStream {
    let field = |name: &str, labels: &[&str]| headworks_plan::Field {
        labels: labels.iter().map(|l| (*l).to_owned()).collect(),
        ..headworks_plan::Field::new(name, "string", false)
    };
    ResolvedStream {
        stream: headworks_plan::Stream {
            name: name.into(),
            topic: format!("shop.{name}"),
            dead_letter_topic: format!("shop.{name}.dlq"),
            contract: headworks_plan::Contract {
                fields: vec![field("id", &[]), field("email", labels)],
                ..headworks_plan::Contract::default()
            },
            max_message_bytes: 1,
            rules: Vec::new(),
        },
        platform: "default".into(),
        partitions: Some(3),
        registry: None,
    }
}

/// `name` as a look finds it, with labels at the second of its two fields; `derived`: the topic of the derived stream.
fn found(name: &str, labels: &[&str], derived: Result<String, Error>) -> FoundStream {
    let resolved = resolved(name, labels);
    let stream = serde_json::from_value(serde_json::json!({
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"schema": [{"name": "id", "type": "string"}, {"name": "email", "type": "string"}]}}))
    .unwrap();
    FoundStream {
        name: name.into(),
        access: READ,
        place: "spec.read[0]".into(),
        fields: Some(FoundFields {
            stream,
            labels: crate::planning::lineage::of_contract(&resolved.stream.contract),
            unsettled: None,
            owners: vec![],
            derived_topic: derived,
        }),
        resolved: Ok(resolved),
    }
}

fn decided(grant: &AccessGrant, found: Vec<FoundStream>) -> (Granted, usize) {
    let decisions = streams(grant, "default", found).unwrap();
    let made = decisions.iter().filter(|d| d.derive.is_some()).count();
    let status = grant.status.clone().unwrap_or_default();
    (granted(&grant.spec, &status, decisions), made)
}

fn reason(granted: &Granted) -> Option<&str> {
    granted.problem.as_ref().map(Error::reason)
}

#[test]
fn a_client_gets_a_stream_without_the_labelled_fields_or_the_whole_where_there_are_none() {
    let grant = grant(serde_json::json!({"read": ["customers"], "exceptLabels": ["pii"]}));
    let topic = || Ok("shop.customers-without-pii".to_owned());
    let (given, made) = decided(&grant, vec![found("customers", &["pii"], topic())]);
    assert_eq!((made, reason(&given)), (1, None));
    let part = GrantedStream {
        stream: "customers".into(),
        topic: "shop.customers-without-pii".into(),
        access: READ.into(),
        derived: Some("customers-without-pii".into()),
    };
    let derived = BTreeSet::from(["customers-without-pii".to_owned()]);
    assert_eq!((given.streams, given.derived), (vec![part], derived));
    let (given, made) = decided(&grant, vec![found("customers", &["internal"], topic())]);
    assert_eq!((made, reason(&given)), (0, None));
    assert_eq!(given.streams[0].topic, "shop.customers");
    assert!(given.derived.is_empty());
}

#[test]
fn a_derived_stream_that_is_not_there_yet_is_made_and_nothing_is_given_meanwhile() {
    let mut grant = grant(serde_json::json!({"read": ["customers"], "exceptLabels": ["pii"]}));
    let away = || Err(Error::missing(ConditionReason::StreamNotFound, ""));
    let whole = GrantedStream {
        stream: "customers".into(),
        topic: "shop.customers".into(),
        access: READ.into(),
        derived: None,
    };
    // The client had all of it before the field was labelled.
    grant.status = Some(AccessGrantStatus {
        streams: vec![whole],
        ..AccessGrantStatus::default()
    });
    let (given, made) = decided(&grant, vec![found("customers", &["pii"], away())]);
    assert_eq!((made, reason(&given)), (1, Some("StreamNotFound")));
    assert!(given.streams.is_empty());
    assert_eq!(given.derived.len(), 1);
}

#[test]
fn a_stream_of_which_nothing_is_left_or_nothing_is_known_is_not_given() {
    let mut grant = grant(serde_json::json!({"read": ["customers"], "exceptLabels": ["pii"]}));
    let topic = || Ok("shop.customers-without-pii".to_owned());
    let mut all = found("customers", &["pii"], topic());
    if let Some(fields) = &mut all.fields {
        fields.labels.insert("id".into(), ["pii".to_owned()].into());
    }
    let (given, made) = decided(&grant, vec![all]);
    assert_eq!((made, reason(&given)), (0, Some("NothingLeft")));
    assert!(given.streams.is_empty() && given.derived.is_empty());
    // It went while it was looked at.
    let gone = FoundStream {
        fields: None,
        ..found("customers", &[], topic())
    };
    let (given, _) = decided(&grant, vec![gone.clone()]);
    assert_eq!(reason(&given), Some("StreamNotFound"));
    assert!(given.streams.is_empty());
    grant.spec.except_labels.clear();
    assert_eq!(decided(&grant, vec![gone]).0.streams.len(), 1);
}

#[test]
fn a_new_client_waits_for_a_writer_whose_labels_are_not_known_yet() {
    let grant = grant(serde_json::json!({"read": ["customers"], "exceptLabels": ["pii"]}));
    let unsettled = || {
        let mut one = found("customers", &[], Ok(String::new()));
        if let Some(fields) = &mut one.fields {
            fields.unsettled = Some("p".into());
        }
        one
    };
    let (given, _) = decided(&grant, vec![unsettled()]);
    assert_eq!(reason(&given), Some("StreamNotReady"));
    // Who has it already keeps it.
    let mut has = grant;
    has.status = Some(AccessGrantStatus {
        streams: decided(&has, vec![found("customers", &[], Ok(String::new()))])
            .0
            .streams,
        ..AccessGrantStatus::default()
    });
    let (given, _) = decided(&has, vec![unsettled()]);
    assert_eq!((given.streams.len(), reason(&given)), (1, None));
}

#[test]
fn a_stream_of_another_platform_is_a_fault_of_the_whole_grant() {
    let grant = grant(serde_json::json!({"read": ["orders"]}));
    let elsewhere = FoundStream {
        resolved: Ok(ResolvedStream {
            platform: "other".into(),
            ..resolved("orders", &[])
        }),
        fields: None,
        ..found("orders", &[], Ok(String::new()))
    };
    let error = streams(&grant, "default", vec![elsewhere]).unwrap_err();
    assert_eq!(error.reason(), "PlatformMismatch");
}
