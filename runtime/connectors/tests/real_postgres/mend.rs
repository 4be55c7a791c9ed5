//! What a person must mend is said, with the remedy.

use headworks_engine::log::Reason;
use headworks_plan::StoreReason;
use headworks_sql::types::DataType;

use crate::place::{Session, columns, held, numbers, place, postgres};

#[test]
fn what_a_person_must_mend_is_named() {
    let Some(place) = place() else { return };
    let schema = columns(&[("id", DataType::BigInt), ("v", DataType::String)]);
    let mut absent = place.table("absent", &[]);
    absent.create = false;
    let (reason, message) = held(Session::open(&absent, schema.clone()).claim());
    assert!(
        reason == StoreReason::TableNotFound
            && message.contains("create: true")
            && message.contains("CREATE TABLE"),
        "{message}"
    );

    place.execute("CREATE TABLE SCHEMA_.other (id text, needed int NOT NULL); CREATE VIEW SCHEMA_.seen AS SELECT 1 AS id; CREATE UNLOGGED TABLE SCHEMA_.weak (id bigint, v text); CREATE TABLE SCHEMA_.keyless (id bigint NOT NULL, v text)");
    let (reason, message) = held(Session::open(&place.table("other", &[]), schema.clone()).claim());
    assert_eq!(reason, StoreReason::TableMismatch);
    for part in [
        "column \"id\": the query gives bigint, the table has text",
        "ALTER COLUMN \"id\" TYPE bigint",
        "ADD COLUMN \"v\" text",
        "column \"needed\": the table requires a value (integer)",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    for (name, key, said) in [
        ("seen", &[][..], "is no table"),
        ("weak", &[], "SET LOGGED"),
        ("keyless", &["id"], "ADD PRIMARY KEY (\"id\")"),
        ("keyless", &["nothing"], "the query doesn't give it"),
    ] {
        let (reason, message) =
            held(Session::open(&place.table(name, key), schema.clone()).claim());
        assert!(
            reason == StoreReason::TableMismatch && message.contains(said),
            "{message}"
        );
    }
    // A unique index of another order is a key as well.
    place.execute("ALTER TABLE SCHEMA_.keyless ALTER COLUMN v SET NOT NULL; CREATE UNIQUE INDEX ON SCHEMA_.keyless (v, id)");
    Session::open(&place.table("keyless", &["id", "v"]), schema.clone())
        .claim()
        .unwrap();

    let mut table = place.table("absent", &[]);
    let connection = postgres(&mut table.store);
    let wrong = std::env::temp_dir().join(format!("headworks-pg-wrong-{}", std::process::id()));
    std::fs::write(&wrong, "not-the-password").unwrap();
    connection.password_file = wrong.to_string_lossy().into_owned();
    let (reason, message) = held(Session::open(&table, schema.clone()).claim());
    assert!(
        reason == StoreReason::StoreCredentialsRefused
            && message.contains("DataStore warehouse")
            && !message.contains("not-the-password"),
        "{reason:?} {message}"
    );
    std::fs::write(&wrong, "").unwrap();
    let (reason, message) = held(Session::open(&table, schema.clone()).claim());
    assert!(
        reason == Reason::SecretMissing && message.contains("is empty"),
        "{message}"
    );
    std::fs::remove_file(&wrong).unwrap();

    let mut table = place.table("absent", &[]);
    let connection = postgres(&mut table.store);
    connection.port = 1;
    let (reason, message) = held(Session::open(&table, schema.clone()).claim());
    assert!(
        reason == Reason::StoreUnavailable
            && message.contains(":1/")
            && message.contains("refused"),
        "{message}"
    );

    let mut table = place.table("absent", &[]);
    let connection = postgres(&mut table.store);
    connection.tls_ca_file = Some(connection.username_file.clone());
    let (reason, message) = held(Session::open(&table, schema).claim());
    assert!(
        reason == Reason::StoreUnavailable && message.contains("no CA certificate"),
        "{message}"
    );
}

#[test]
fn a_user_without_rights_is_told_which() {
    let Some(mut place) = place() else { return };
    let user = format!("{}_user", place.schema);
    place.execute(&format!("CREATE ROLE {user} LOGIN PASSWORD 'p'; GRANT USAGE ON SCHEMA SCHEMA_ TO {user}; CREATE TABLE SCHEMA_.mine (id bigint)"));
    let mut table = place.table("mine", &[]);
    place.log_in(&mut table, &user, "p");
    let schema = columns(&[("id", DataType::BigInt)]);
    let mut session = Session::open(&table, schema);
    let (reason, message) = held(session.claim());
    assert!(
        reason == StoreReason::StorePermissionDenied && message.contains("headworks_offsets"),
        "{reason:?} {message}"
    );
    place.execute(&format!("GRANT CREATE ON SCHEMA SCHEMA_ TO {user}"));
    assert_eq!(session.claim().unwrap(), None);
    session.store.begin().unwrap();
    let (reason, message) = held(session.write(vec![numbers(&[1])]));
    assert_eq!(reason, StoreReason::StorePermissionDenied, "{message}");
    place.execute(&format!("GRANT INSERT ON SCHEMA_.mine TO {user}"));
    session.store(vec![numbers(&[1])]);
    place.execute(&format!("DROP OWNED BY {user} CASCADE; DROP ROLE {user}"));
}
