//! Tables in a real PostgreSQL. Runs where `HEADWORKS_POSTGRES=host:port/database` names one, with
//! `HEADWORKS_POSTGRES_USER` and `HEADWORKS_POSTGRES_PASSWORD` of a user who may make schemas.

// All of this is test: a helper may fail it as well.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int32Array, Int64Array, ListArray, RecordBatch, StringArray, Time64MicrosecondArray,
    TimestampMicrosecondArray, TimestampMillisecondArray,
};
use arrow::datatypes::Int32Type;
use headworks_connectors::stores::Known;
use headworks_connectors::stores::postgres::Watch;
use headworks_engine::format::Encoder;
use headworks_engine::log::{Position, Reason};
use headworks_engine::store::{Move, Store, StoreError, Stores};
use headworks_plan::{PostgresConnection, StoreConnection, TableOutput};
use headworks_sql::schema::{Column, Schema};
use headworks_sql::types::DataType;
use tokio::runtime::Runtime;
use tokio_postgres::{Client, NoTls};

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// A schema of its own on the server.
struct Place {
    runtime: Runtime,
    client: Client,
    connection: PostgresConnection,
    schema: String,
    files: Vec<PathBuf>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let drop = format!("DROP SCHEMA {} CASCADE", self.schema);
        let _ = self.runtime.block_on(self.client.batch_execute(&drop));
        for file in &self.files {
            let _ = std::fs::remove_file(file);
        }
    }
}

fn place() -> Option<Place> {
    let var = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let (Some(at), Some(user), Some(password)) = (
        var("HEADWORKS_POSTGRES"),
        var("HEADWORKS_POSTGRES_USER"),
        var("HEADWORKS_POSTGRES_PASSWORD"),
    ) else {
        eprintln!(
            "SKIPPED: HEADWORKS_POSTGRES=host:port/database, HEADWORKS_POSTGRES_USER and HEADWORKS_POSTGRES_PASSWORD name no PostgreSQL"
        );
        return None;
    };
    let (address, database) = at.split_once('/').unwrap();
    let (host, port) = address.rsplit_once(':').unwrap();
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let unique = format!("{}_{number}", std::process::id());
    let mut files = Vec::new();
    let mut file = |name: &str, content: &str| {
        let path = std::env::temp_dir().join(format!("headworks-pg-{unique}-{name}"));
        std::fs::write(&path, content).unwrap();
        files.push(path.clone());
        path.to_string_lossy().into_owned()
    };
    let connection = PostgresConnection {
        host: host.to_owned(),
        port: port.parse().unwrap(),
        database: database.to_owned(),
        username_file: file("username", &format!("{user}\n")),
        password_file: file("password", &password),
        tls_ca_file: None,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let mut config = tokio_postgres::Config::new();
    config
        .host(host)
        .port(connection.port)
        .dbname(database)
        .user(&user)
        .password(&password);
    let (client, driver) = runtime.block_on(config.connect(NoTls)).unwrap();
    runtime.spawn(driver);
    let schema = format!("headworks_{unique}");
    runtime
        .block_on(client.batch_execute(&format!("CREATE SCHEMA {schema}")))
        .unwrap();
    Some(Place {
        runtime,
        client,
        connection,
        schema,
        files,
    })
}

impl Place {
    fn execute(&self, statement: &str) {
        let statement = statement.replace("SCHEMA_", &self.schema);
        self.runtime
            .block_on(self.client.batch_execute(&statement))
            .unwrap();
    }

    /// The first column of the answer as text.
    fn texts(&self, query: &str) -> Vec<Option<String>> {
        let query = query.replace("SCHEMA_", &self.schema);
        let rows = self.runtime.block_on(self.client.query(&query, &[]));
        rows.unwrap().iter().map(|row| row.get(0)).collect()
    }

    fn table(&self, name: &str, key: &[&str]) -> TableOutput {
        TableOutput {
            store: headworks_plan::Store {
                name: "warehouse".into(),
                connection: StoreConnection::Postgres(self.connection.clone()),
            },
            table: format!("{}.{name}", self.schema),
            key: key.iter().map(|key| (*key).to_owned()).collect(),
            create: true,
            group: format!("group of {name}"),
        }
    }
}

fn columns(columns: &[(&str, DataType)]) -> Schema {
    Schema {
        columns: columns
            .iter()
            .map(|(name, data_type)| Column {
                name: (*name).into(),
                data_type: data_type.clone(),
                nullable: true,
                labels: Vec::new(),
            })
            .collect(),
    }
}

/// A session and the encoder of its rows.
struct Session {
    store: Box<dyn Store>,
    encoder: Box<dyn Encoder>,
    columns: Schema,
}

impl Session {
    fn open(table: &TableOutput, columns: Schema) -> Session {
        Session {
            store: Known.open(table, &columns),
            encoder: Known.encoder(table, &columns).unwrap(),
            columns,
        }
    }

    fn claim(&mut self) -> Result<Option<i64>, StoreError> {
        let found = self.store.claim(&[("in".to_owned(), 0)])?;
        Ok(found[0].map(|position| position.offset))
    }

    fn write(&mut self, columns: Vec<ArrayRef>) -> Result<(), StoreError> {
        let batch = RecordBatch::try_new(self.columns.to_arrow(), columns).unwrap();
        let rows: Vec<Vec<u8>> = (0..batch.num_rows())
            .map(|row| {
                let mut out = Vec::new();
                self.encoder.encode(&batch, row, &mut out).unwrap();
                out
            })
            .collect();
        let rows: Vec<&[u8]> = rows.iter().map(Vec::as_slice).collect();
        self.store.write(&rows)
    }

    fn commit(&mut self, expected: Option<i64>, offset: i64) -> Result<(), StoreError> {
        let position = Position {
            offset,
            first_start_ms: None,
            clock: headworks_engine::log::Clock::default(),
        };
        self.store.commit(&[Move {
            topic: "in",
            partition: 0,
            expected,
            position,
        }])
    }

    /// Claims, writes and commits.
    fn store(&mut self, columns: Vec<ArrayRef>) {
        let at = self.claim().unwrap();
        self.store.begin().unwrap();
        self.write(columns).unwrap();
        self.commit(at, at.unwrap_or(0) + 1).unwrap();
    }
}

fn numbers(numbers: &[i64]) -> ArrayRef {
    Arc::new(Int64Array::from(numbers.to_vec()))
}

fn words(words: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(words.to_vec()))
}

fn held<T: std::fmt::Debug>(answer: Result<T, StoreError>) -> (Reason, String) {
    match answer {
        Err(StoreError::Held { reason, message }) => (reason, message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_type_comes_back_as_it_went() {
    let Some(place) = place() else { return };
    let decimal = DataType::Decimal {
        precision: 12,
        scale: 2,
    };
    let schema = columns(&[
        ("truth", DataType::Boolean),
        ("small", DataType::Int),
        ("big", DataType::BigInt),
        ("single", DataType::Float),
        ("double", DataType::Double),
        ("amount", decimal),
        ("text", DataType::String),
        ("raw", DataType::Bytes),
        ("day", DataType::Date),
        ("clock", DataType::Time),
        ("local", DataType::Timestamp(3)),
        ("instant", DataType::TimestampLtz(6)),
        ("list", DataType::Array(Box::new(DataType::Int))),
    ]);
    let table = place.table("every \"type\"", &[]);
    let mut session = Session::open(&table, schema);
    let awkward = "\\N\t\"é\u{1F600}\r\n\\.";
    let amounts = Decimal128Array::from(vec![Some(-123_456), None])
        .with_precision_and_scale(12, 2)
        .unwrap();
    let list = ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1), None]), None]);
    session.store(vec![
        Arc::new(BooleanArray::from(vec![Some(true), None])),
        Arc::new(Int32Array::from(vec![Some(i32::MIN), None])),
        Arc::new(Int64Array::from(vec![Some(i64::MAX), None])),
        Arc::new(Float32Array::from(vec![Some(0.1), None])),
        Arc::new(Float64Array::from(vec![Some(f64::NAN), None])),
        Arc::new(amounts),
        Arc::new(StringArray::from(vec![Some(awkward), None])),
        Arc::new(BinaryArray::from_opt_vec(vec![
            Some(&b"\x00\\\xff"[..]),
            None,
        ])),
        Arc::new(Date32Array::from(vec![Some(-719_162), None])),
        Arc::new(Time64MicrosecondArray::from(vec![
            Some(86_399_999_999),
            None,
        ])),
        Arc::new(TimestampMillisecondArray::from(vec![Some(1_500), None])),
        Arc::new(TimestampMicrosecondArray::from(vec![Some(1), None]).with_timezone("UTC")),
        Arc::new(list),
    ]);
    place.execute("SET TimeZone = 'UTC'; SET bytea_output = 'hex'");
    let from = "FROM SCHEMA_.\"every \"\"type\"\"\" ORDER BY truth NULLS LAST";
    for (column, wanted) in [
        ("truth", "true"),
        ("small", "-2147483648"),
        ("big", "9223372036854775807"),
        ("single", "0.1"),
        ("double", "NaN"),
        ("amount", "-1234.56"),
        ("text", awkward),
        ("raw", "\\x005cff"),
        ("day", "0001-01-01"),
        ("clock", "23:59:59.999999"),
        ("local", "1970-01-01 00:00:01.5"),
        ("instant", "1970-01-01 00:00:00.000001+00"),
        ("list", "[1, null]"),
    ] {
        let found = place.texts(&format!("SELECT \"{column}\"::text {from}"));
        assert_eq!(found, [Some(wanted.to_owned()), None], "{column}");
    }
    let made = place.texts(
        "SELECT string_agg(data_type, ' ' ORDER BY ordinal_position) FROM information_schema.columns \
         WHERE table_schema = 'SCHEMA_' AND table_name LIKE 'every%'",
    );
    assert_eq!(
        made[0].as_deref(),
        Some(
            "boolean integer bigint real double precision numeric text bytea date \
             time without time zone timestamp without time zone timestamp with time zone jsonb"
        )
    );
}

#[test]
fn the_last_row_of_a_key_wins_within_a_batch_and_after_it() {
    let Some(place) = place() else { return };
    let schema = columns(&[
        ("eu", DataType::String),
        ("id", DataType::BigInt),
        ("v", DataType::String),
    ]);
    let table = place.table("latest", &["id", "eu"]);
    let mut session = Session::open(&table, schema);
    session.store(vec![
        words(&["a", "b", "a", "a"]),
        numbers(&[1, 1, 1, 2]),
        words(&["first", "other", "second", "third"]),
    ]);
    session.store(vec![words(&["a"]), numbers(&[2]), words(&["fourth"])]);
    assert_eq!(
        place.texts("SELECT eu || id || v FROM SCHEMA_.latest ORDER BY 1"),
        ["a1second", "a2fourth", "b1other"].map(|row| Some(row.to_owned()))
    );

    let keys_only = columns(&[("id", DataType::BigInt)]);
    let mut session = Session::open(&place.table("ids", &["id"]), keys_only);
    session.store(vec![numbers(&[1, 1, 2])]);
    session.store(vec![numbers(&[2, 3])]);
    assert_eq!(place.texts("SELECT id::text FROM SCHEMA_.ids").len(), 3);
}

#[test]
fn a_refusal_names_the_column_and_does_not_repeat_the_value() {
    let Some(place) = place() else { return };
    place.execute("CREATE TABLE SCHEMA_.quoted (id smallint PRIMARY KEY, u uuid)");
    let schema = columns(&[("id", DataType::BigInt), ("u", DataType::String)]);
    for key in [&[][..], &["id"][..]] {
        let mut session = Session::open(&place.table("quoted", key), schema.clone());
        session.claim().unwrap();
        session.store.begin().unwrap();
        for (id, u, code, column) in [
            (1, "se\"cret", "22P02", "u"),
            (4_111_111, "", "22003", "id"),
        ] {
            let row: Vec<ArrayRef> = vec![numbers(&[id]), Arc::new(StringArray::from(vec![u]))];
            let Err(StoreError::Refused { message }) = session.write(row) else {
                panic!("{code}")
            };
            assert!(
                message.contains(code) && message.contains(&format!("column \"{column}\"")),
                "{message}"
            );
            assert!(
                !message.contains("cret") && !message.contains("4111111"),
                "{message}"
            );
        }
    }
}

#[test]
fn rows_that_the_server_refuses_leave_no_trace_and_the_others_go_on() {
    let Some(place) = place() else { return };
    place.execute(
        "CREATE TABLE SCHEMA_.strict (id bigint PRIMARY KEY DEFERRABLE INITIALLY DEFERRED, v varchar(3) NOT NULL CHECK (v <> 'bad'), n numeric(4,2))",
    );
    let amount = DataType::Decimal {
        precision: 12,
        scale: 2,
    };
    let schema = columns(&[
        ("id", DataType::BigInt),
        ("v", DataType::String),
        ("n", amount),
    ]);
    let mut session = Session::open(&place.table("strict", &[]), schema);
    assert_eq!(session.claim().unwrap(), None);
    session.store.begin().unwrap();
    let row = |id: i64, v: Option<&str>, n: i128| -> Vec<ArrayRef> {
        let n = Decimal128Array::from(vec![n])
            .with_precision_and_scale(12, 2)
            .unwrap();
        vec![
            numbers(&[id]),
            Arc::new(StringArray::from(vec![v])),
            Arc::new(n),
        ]
    };
    session.write(row(1, Some("a"), 1)).unwrap();
    for (refused, why) in [
        (row(2, None, 1), "23502"),
        (row(3, Some("long"), 1), "22001"),
        (row(4, Some("bad"), 1), "23514"),
        (row(5, Some("a\0"), 1), "22021"),
        (row(6, Some("a"), 1_000_000), "22003"),
        (row(1, Some("a"), 1), "23505"),
    ] {
        match session.write(refused) {
            Err(StoreError::Refused { message }) => assert!(message.contains(why), "{message}"),
            other => panic!("{why}: {other:?}"),
        }
    }
    session.write(row(7, Some("b"), 1)).unwrap();
    session.commit(None, 9).unwrap();
    assert_eq!(
        place.texts("SELECT id::text FROM SCHEMA_.strict ORDER BY id"),
        [Some("1".to_owned()), Some("7".to_owned())]
    );
    // Many rows and one that is bad, far above what a message buffer holds.
    assert_eq!(session.claim().unwrap(), Some(9));
    session.store.begin().unwrap();
    let many: Vec<i64> = (100..60_100).collect();
    let texts: StringArray = many
        .iter()
        .map(|id| Some(if *id == 200 { "bad" } else { "a" }))
        .collect();
    let ns = Decimal128Array::from(vec![1; many.len()])
        .with_precision_and_scale(12, 2)
        .unwrap();
    let written = session.write(vec![numbers(&many), Arc::new(texts), Arc::new(ns)]);
    assert!(
        matches!(written, Err(StoreError::Refused { .. })),
        "{written:?}"
    );
    session.write(row(8, Some("c"), 1)).unwrap();
    session.commit(Some(9), 10).unwrap();
    assert_eq!(place.texts("SELECT id::text FROM SCHEMA_.strict").len(), 3);

    // A column that comes later isn't the rows' fault.
    place.execute("ALTER TABLE SCHEMA_.strict ADD COLUMN later int; UPDATE SCHEMA_.strict SET later = 1; ALTER TABLE SCHEMA_.strict ALTER COLUMN later SET NOT NULL");
    session.store.begin().unwrap();
    let (reason, message) = held(session.write(row(9, Some("d"), 1)));
    assert_eq!(reason, Reason::TableMismatch, "{message}");
    let (reason, message) = held(session.claim());
    assert!(
        reason == Reason::TableMismatch
            && message.contains("\"later\": the table requires a value"),
        "{message}"
    );
    place.execute("ALTER TABLE SCHEMA_.strict ALTER COLUMN later SET DEFAULT 0");
    assert_eq!(session.claim().unwrap(), Some(10), "mended");
}

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

#[test]
fn what_a_person_must_mend_is_named() {
    let Some(place) = place() else { return };
    let schema = columns(&[("id", DataType::BigInt), ("v", DataType::String)]);
    let mut absent = place.table("absent", &[]);
    absent.create = false;
    let (reason, message) = held(Session::open(&absent, schema.clone()).claim());
    assert!(
        reason == Reason::TableNotFound
            && message.contains("create: true")
            && message.contains("CREATE TABLE"),
        "{message}"
    );

    place.execute("CREATE TABLE SCHEMA_.other (id text, needed int NOT NULL); CREATE VIEW SCHEMA_.seen AS SELECT 1 AS id; CREATE UNLOGGED TABLE SCHEMA_.weak (id bigint, v text); CREATE TABLE SCHEMA_.keyless (id bigint NOT NULL, v text)");
    let (reason, message) = held(Session::open(&place.table("other", &[]), schema.clone()).claim());
    assert_eq!(reason, Reason::TableMismatch);
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
            reason == Reason::TableMismatch && message.contains(said),
            "{message}"
        );
    }
    // A unique index of another order is a key as well.
    place.execute("ALTER TABLE SCHEMA_.keyless ALTER COLUMN v SET NOT NULL; CREATE UNIQUE INDEX ON SCHEMA_.keyless (v, id)");
    Session::open(&place.table("keyless", &["id", "v"]), schema.clone())
        .claim()
        .unwrap();

    let mut table = place.table("absent", &[]);
    let StoreConnection::Postgres(connection) = &mut table.store.connection;
    let wrong = std::env::temp_dir().join(format!("headworks-pg-wrong-{}", std::process::id()));
    std::fs::write(&wrong, "not-the-password").unwrap();
    connection.password_file = wrong.to_string_lossy().into_owned();
    let (reason, message) = held(Session::open(&table, schema.clone()).claim());
    assert!(
        reason == Reason::StoreCredentialsRefused
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
    let StoreConnection::Postgres(connection) = &mut table.store.connection;
    connection.port = 1;
    let (reason, message) = held(Session::open(&table, schema.clone()).claim());
    assert!(
        reason == Reason::StoreUnavailable
            && message.contains(":1/")
            && message.contains("refused"),
        "{message}"
    );

    let mut table = place.table("absent", &[]);
    let StoreConnection::Postgres(connection) = &mut table.store.connection;
    connection.tls_ca_file = Some(connection.username_file.clone());
    let (reason, message) = held(Session::open(&table, schema).claim());
    assert!(
        reason == Reason::StoreUnavailable && message.contains("no CA certificate"),
        "{message}"
    );
}

#[test]
fn a_user_without_rights_is_told_which() {
    let Some(place) = place() else { return };
    let user = format!("{}_user", place.schema);
    place.execute(&format!("CREATE ROLE {user} LOGIN PASSWORD 'p'; GRANT USAGE ON SCHEMA SCHEMA_ TO {user}; CREATE TABLE SCHEMA_.mine (id bigint)"));
    let mut table = place.table("mine", &[]);
    let StoreConnection::Postgres(connection) = &mut table.store.connection;
    let (name, password) = (
        format!("{}-u", connection.username_file),
        format!("{}-p", connection.password_file),
    );
    std::fs::write(&name, &user).unwrap();
    std::fs::write(&password, "p").unwrap();
    (connection.username_file, connection.password_file) = (name.clone(), password.clone());
    let schema = columns(&[("id", DataType::BigInt)]);
    let mut session = Session::open(&table, schema);
    let (reason, message) = held(session.claim());
    assert!(
        reason == Reason::StorePermissionDenied && message.contains("headworks_offsets"),
        "{reason:?} {message}"
    );
    place.execute(&format!("GRANT CREATE ON SCHEMA SCHEMA_ TO {user}"));
    assert_eq!(session.claim().unwrap(), None);
    session.store.begin().unwrap();
    let (reason, message) = held(session.write(vec![numbers(&[1])]));
    assert_eq!(reason, Reason::StorePermissionDenied, "{message}");
    place.execute(&format!("GRANT INSERT ON SCHEMA_.mine TO {user}"));
    session.store(vec![numbers(&[1])]);
    place.execute(&format!("DROP OWNED BY {user} CASCADE; DROP ROLE {user}"));
    std::fs::remove_file(name).unwrap();
    std::fs::remove_file(password).unwrap();
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
    let StoreConnection::Postgres(connection) = &mut store.connection;
    connection.tls_ca_file = Some(ca);
    place
        .runtime
        .block_on(Watch::new(store.clone()).look())
        .unwrap();
    let StoreConnection::Postgres(connection) = &mut store.connection;
    // The system's roots didn't sign it.
    connection.tls_ca_file = Some(String::new());
    let refused = place.runtime.block_on(Watch::new(store).look());
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
    let StoreConnection::Postgres(connection) = &mut table.store.connection;
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
    let mut watch = Watch::new(place.table("none", &[]).store);
    let version = place.runtime.block_on(watch.look()).unwrap();
    assert!(
        version.starts_with(|c: char| c.is_ascii_digit()) && !version.contains(' '),
        "{version}"
    );
    let mut away = place.table("none", &[]).store;
    let StoreConnection::Postgres(connection) = &mut away.connection;
    connection.port = 1;
    let trouble = place.runtime.block_on(Watch::new(away).look()).unwrap_err();
    assert_eq!(trouble.reason, Reason::StoreUnavailable, "{trouble:?}");
}
