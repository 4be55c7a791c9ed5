//! Sessions that are replaced, cut off, or meet a server that hangs.

use headworks_connectors::stores::probe;
use headworks_engine::log::Reason;
use headworks_engine::store::StoreError;
use headworks_sql::types::DataType;

use crate::place::{Session, columns, held, numbers, place, postgres};

#[test]
fn a_replaced_process_writes_nothing_more() {
    let Some(place) = place() else { return };
    let schema = columns(&[("id", DataType::BigInt)]);
    let table = place.table("fenced", &[]);
    let mut zombie = Session::open(&table, schema.clone());
    zombie.store(vec![numbers(&[1])]);
    assert_eq!(zombie.claim().unwrap(), Some(1));
    zombie.store.begin().unwrap();
    zombie.write(vec![numbers(&[2])]).unwrap();

    let mut successor = Session::open(&table, schema.clone());
    assert_eq!(successor.claim().unwrap(), Some(1));
    let late = zombie.commit(Some(1), 2);
    assert!(
        matches!(late, Err(StoreError::Conflict { .. })),
        "a claim fences: {late:?}"
    );
    successor.store.begin().unwrap();
    successor.write(vec![numbers(&[2])]).unwrap();
    let wrong = successor.commit(Some(5), 6);
    assert!(
        matches!(wrong, Err(StoreError::Conflict { .. })),
        "so does an offset: {wrong:?}"
    );
    successor.store.begin().unwrap();
    successor.write(vec![numbers(&[2])]).unwrap();
    successor.commit(Some(1), 2).unwrap();

    let mut third = Session::open(&table, schema);
    third.claim().unwrap();
    third.store.begin().unwrap();
    let made_twice = third.commit(None, 7);
    assert!(
        matches!(made_twice, Err(StoreError::Conflict { .. })),
        "{made_twice:?}"
    );
    // Reading fences nobody.
    assert_eq!(
        third
            .store
            .offsets(&[("in".to_owned(), 0), ("in".to_owned(), 1)])
            .unwrap()[1],
        None
    );
    assert_eq!(place.texts("SELECT id::text FROM SCHEMA_.fenced").len(), 2);
    assert_eq!(
        place.texts("SELECT next_offset::text FROM SCHEMA_.headworks_offsets"),
        [Some("2".to_owned())]
    );
}

#[test]
fn a_connection_that_is_gone_is_made_anew_between_transactions_and_gives_up_within_one() {
    let Some(place) = place() else { return };
    let mut session = Session::open(
        &place.table("cut", &[]),
        columns(&[("id", DataType::BigInt)]),
    );
    session.store(vec![numbers(&[1])]);
    // Only this session's own backend: the tests run side by side.
    let backend = |session: &mut Session| {
        session.store.begin().unwrap();
        session.write(vec![numbers(&[77])]).unwrap();
        let found = place.texts(
            "SELECT DISTINCT l.pid::text FROM pg_locks l WHERE l.relation = 'SCHEMA_.cut'::regclass AND l.granted",
        );
        found[0].clone().unwrap()
    };
    let pid = backend(&mut session);
    place.execute(&format!("SELECT pg_terminate_backend({pid})"));
    std::thread::sleep(std::time::Duration::from_millis(200));
    let (reason, message) = held(session.write(vec![numbers(&[78])]));
    assert_eq!(reason, Reason::StoreUnavailable, "{message}");
    assert!(message.contains("DataStore warehouse ("), "{message}");
    assert_eq!(session.claim().unwrap(), Some(1), "nothing of it stays");

    let pid = backend(&mut session);
    session.store.rollback();
    place.execute(&format!("SELECT pg_terminate_backend({pid})"));
    std::thread::sleep(std::time::Duration::from_millis(200));
    session.store.begin().unwrap();
    session.write(vec![numbers(&[2])]).unwrap();
    session.commit(Some(1), 2).unwrap();
    assert_eq!(place.texts("SELECT id::text FROM SCHEMA_.cut").len(), 2);

    let pid = backend(&mut session);
    place.execute(&format!("SELECT pg_terminate_backend({pid})"));
    std::thread::sleep(std::time::Duration::from_millis(200));
    let lost = session.commit(Some(2), 3);
    assert!(
        matches!(
            lost,
            Err(StoreError::Held { .. } | StoreError::Unknown { .. })
        ),
        "{lost:?}"
    );
    assert_eq!(session.claim().unwrap(), Some(2));
}

/// Where `HEADWORKS_POSTGRES_CA` names the file of the CA that signed the server's certificate.
#[test]
fn tls_is_verified_in_full() {
    let Some(place) = place() else { return };
    let Ok(ca) = std::env::var("HEADWORKS_POSTGRES_CA") else {
        eprintln!("SKIPPED: HEADWORKS_POSTGRES_CA names no CA");
        return;
    };
    let mut store = place.table("none", &[]).store;
    let connection = postgres(&mut store);
    connection.tls_ca_file = Some(ca);
    place.runtime.block_on(probe(&store).check()).unwrap();
    let connection = postgres(&mut store);
    // The system's roots didn't sign it.
    connection.tls_ca_file = Some(String::new());
    let refused = place.runtime.block_on(probe(&store).check());
    let trouble = refused.unwrap_err();
    assert!(
        trouble.reason == Reason::StoreUnavailable && trouble.message.contains("certificate"),
        "{trouble:?}"
    );
}

#[test]
fn a_server_that_hangs_is_noticed() {
    let Some(place) = place() else { return };
    // Takes connections, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut table = place.table("none", &[]);
    let connection = postgres(&mut table.store);
    connection.host = "127.0.0.1".to_owned();
    connection.port = silent.local_addr().unwrap().port();
    let begun = std::time::Instant::now();
    let mut session = Session::open(&table, columns(&[("id", DataType::BigInt)]));
    let (reason, message) = held(session.claim());
    assert_eq!(reason, Reason::StoreUnavailable, "{message}");
    assert!(
        begun.elapsed() < std::time::Duration::from_secs(18),
        "{message}"
    );
}

#[test]
fn a_watch_tells_the_servers_version() {
    let Some(place) = place() else { return };
    let mut watch = probe(&place.table("none", &[]).store);
    let version = place.runtime.block_on(watch.check()).unwrap().unwrap();
    assert!(
        version.starts_with(|c: char| c.is_ascii_digit()) && !version.contains(' '),
        "{version}"
    );
    let mut away = place.table("none", &[]).store;
    let connection = postgres(&mut away);
    connection.port = 1;
    let trouble = place.runtime.block_on(probe(&away).check()).unwrap_err();
    assert_eq!(trouble.reason, Reason::StoreUnavailable, "{trouble:?}");
}
