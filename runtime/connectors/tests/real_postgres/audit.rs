//! The audit's part in the database: counts beside offsets, and what a table holds.

use headworks_engine::log::{Counts, Holds, Origin, Position};
use headworks_engine::store::Move;
use headworks_sql::types::DataType;

use crate::place::{Place, Session, columns, numbers, place};

/// When counting began.
const BEGAN_MS: i64 = 1_767_225_600_000;

fn counted(written: u64) -> Counts {
    let mut counts = Counts::begin(0, BEGAN_MS, Origin::Partition);
    (counts.read, counts.written) = (written, written);
    counts
}

/// Claims, writes these numbers, and commits with the counts of all that was ever written.
fn write(session: &mut Session, rows: &[i64], written: u64) {
    let found = session.store.claim(&[("in".to_owned(), 0)]).unwrap()[0];
    session.store.begin().unwrap();
    session.write(vec![numbers(rows)]).unwrap();
    let position = Position {
        offset: found.map_or(0, |found| found.offset) + 1,
        counts: Some(counted(written)),
        ..Position::default()
    };
    let one = Move {
        topic: "in",
        partition: 0,
        expected: found.map(|found| found.offset),
        position,
    };
    session.store.commit(&[one]).unwrap();
}

fn counts(session: &mut Session) -> Option<Counts> {
    session.store.claim(&[("in".to_owned(), 0)]).unwrap()[0].and_then(|found| found.counts)
}

fn holds(session: &mut Session) -> Option<(u64, u64)> {
    let Holds { rows, expected } = session.store.holds()?;
    Some((rows, expected))
}

fn open(place: &Place, table: &str, key: &[&str]) -> Session {
    let schema = columns(&[("id", DataType::BigInt)]);
    Session::open(&place.table(table, key), schema)
}

#[test]
fn counts_are_kept_with_the_offsets_and_claims_keep_them() {
    let Some(place) = place() else { return };
    let mut session = open(&place, "counted", &[]);
    assert_eq!(counts(&mut session), None);
    write(&mut session, &[1, 2], 2);
    assert_eq!(counts(&mut session), Some(counted(2)));
    write(&mut session, &[3], 3);
    let mut successor = open(&place, "counted", &[]);
    assert_eq!(counts(&mut successor), Some(counted(3)));
    assert_eq!(
        counts(&mut successor),
        Some(counted(3)),
        "a claim alone changes nothing"
    );
    let read = successor.store.offsets(&[("in".to_owned(), 0)]).unwrap();
    assert_eq!(read[0].unwrap().counts, Some(counted(3)));
}

#[test]
fn offsets_of_an_earlier_release_get_the_columns_and_what_its_pods_write_is_not_counted() {
    let Some(place) = place() else { return };
    place.execute(
        "CREATE TABLE SCHEMA_.headworks_offsets (pipeline text NOT NULL, topic text NOT NULL, partition integer NOT NULL, \
         next_offset bigint NOT NULL, first_start_ms bigint, epoch bigint NOT NULL, PRIMARY KEY (pipeline, topic, partition))",
    );
    let mut session = open(&place, "older", &[]);
    write(&mut session, &[1], 1);
    assert_eq!(counts(&mut session), Some(counted(1)));
    assert_eq!(holds(&mut session), Some((1, 1)));
    // A pod of before claims and moves, and knows no counts.
    place.execute("UPDATE SCHEMA_.headworks_offsets SET epoch = epoch + 1 WHERE partition = 0");
    place.execute("UPDATE SCHEMA_.headworks_offsets SET next_offset = 9 WHERE partition = 0");
    let mut next = open(&place, "older", &[]);
    assert_eq!(counts(&mut next), None);
    assert_eq!(holds(&mut next), None, "what it wrote was not counted");
    write(&mut next, &[2], 1);
    assert_eq!(counts(&mut next), Some(counted(1)));
}

#[test]
fn what_a_table_holds_is_compared_with_what_was_there_and_what_was_written() {
    let Some(place) = place() else { return };
    place.execute("CREATE TABLE SCHEMA_.held (id bigint)");
    place.execute("INSERT INTO SCHEMA_.held SELECT generate_series(1, 100)");
    let mut session = open(&place, "held", &[]);
    write(&mut session, &[101, 102], 2);
    assert_eq!(holds(&mut session), Some((102, 102)));
    place.execute("DELETE FROM SCHEMA_.held WHERE id = 101");
    assert_eq!(holds(&mut session), Some((101, 102)));
    place.execute("INSERT INTO SCHEMA_.held VALUES (101), (101)");
    let mut successor = open(&place, "held", &[]);
    counts(&mut successor);
    assert_eq!(holds(&mut successor), Some((103, 102)), "it is remembered");
    place.execute("DELETE FROM SCHEMA_.held WHERE ctid = (SELECT max(ctid) FROM SCHEMA_.held)");
    // A trigger keeps rows out in silence.
    place.execute(
        "CREATE FUNCTION SCHEMA_.nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$; \
         CREATE TRIGGER nothing BEFORE INSERT ON SCHEMA_.held FOR EACH ROW EXECUTE FUNCTION SCHEMA_.nothing()",
    );
    write(&mut successor, &[103], 3);
    assert_eq!(holds(&mut successor), Some((102, 103)));
}

#[test]
fn rows_with_a_key_are_not_counted_and_a_session_without_a_connection_says_nothing() {
    let Some(place) = place() else { return };
    place.execute("CREATE TABLE SCHEMA_.keyed (id bigint PRIMARY KEY)");
    let mut session = open(&place, "keyed", &["id"]);
    assert_eq!(holds(&mut session), None);
    write(&mut session, &[1, 1, 2], 3);
    assert_eq!(holds(&mut session), None);
    assert_eq!(counts(&mut session), Some(counted(3)));
}

#[test]
fn an_owner_who_lets_nobody_add_columns_has_a_stage_that_is_not_audited() {
    let Some(mut place) = place() else { return };
    let user = format!("{}_audit", place.schema);
    place.execute(
        "CREATE TABLE SCHEMA_.headworks_offsets (pipeline text NOT NULL, topic text NOT NULL, partition integer NOT NULL, \
         next_offset bigint NOT NULL, first_start_ms bigint, epoch bigint NOT NULL, PRIMARY KEY (pipeline, topic, partition)); \
         CREATE TABLE SCHEMA_.theirs (id bigint)",
    );
    place.execute(&format!(
        "CREATE ROLE {user} LOGIN PASSWORD 'p'; GRANT USAGE ON SCHEMA SCHEMA_ TO {user}; \
         GRANT SELECT, INSERT, UPDATE ON SCHEMA_.headworks_offsets TO {user}; GRANT INSERT ON SCHEMA_.theirs TO {user}"
    ));
    let mut table = place.table("theirs", &[]);
    place.log_in(&mut table, &user, "p");
    let mut session = Session::open(&table, columns(&[("id", DataType::BigInt)]));
    write(&mut session, &[1], 1);
    write(&mut session, &[2], 2);
    assert_eq!((counts(&mut session), holds(&mut session)), (None, None));
    assert_eq!(place.texts("SELECT id::text FROM SCHEMA_.theirs").len(), 2);
    place.execute(&format!("DROP OWNED BY {user} CASCADE; DROP ROLE {user}"));
}
