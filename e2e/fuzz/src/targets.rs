//! The targets. Each says what it is fed from, and checks more than that nothing panics where there is more to check.

use std::sync::OnceLock;

use headworks_connectors::formats::FormatRegistry;
use headworks_engine::format::Formats;
use headworks_operator::reports::coarse;
use headworks_plan::{Contract, Definition, EventTime, Field, Format, Plan, Report, v1};
use headworks_sql::{Catalog, plan};

use crate::{http, websocket};

/// A place where bytes come in from outside.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name on the command line.
    pub name: &'static str,
    /// Inputs that are good, or nearly.
    pub examples: &'static [&'static [u8]],
    /// What is put into them.
    pub words: &'static [&'static str],
    /// Panics where something is wrong.
    pub check: fn(&[u8]),
}

/// Every target.
pub fn all() -> Vec<Target> {
    vec![
        Target {
            name: "sql",
            examples: SQL,
            words: SQL_WORDS,
            check: sql,
        },
        Target {
            name: "json",
            examples: JSON,
            words: JSON_WORDS,
            check: |bytes| record(bytes, json_contract()),
        },
        Target {
            name: "avro",
            examples: AVRO,
            words: &["\u{0}", "\u{2}", "shop", "a"],
            check: |bytes| record(bytes, avro_contract()),
        },
        Target {
            name: "protobuf",
            examples: PROTOBUF,
            words: &["\n", "\u{8}", "\u{12}", "shop"],
            check: |bytes| record(bytes, protobuf_contract()),
        },
        Target {
            name: "avro-schema",
            examples: AVRO_SCHEMAS,
            words: AVRO_WORDS,
            check: avro_schema,
        },
        Target {
            name: "protobuf-schema",
            examples: PROTOBUF_SCHEMAS,
            words: PROTOBUF_WORDS,
            check: protobuf_schema,
        },
        Target {
            name: "plan",
            examples: PLANS,
            words: JSON_WORDS,
            check: |bytes| {
                let _ = serde_json::from_slice::<Plan>(bytes);
                if let Ok(before) = serde_json::from_slice::<v1::Plan>(bytes) {
                    let _ = Plan::from(before);
                }
            },
        },
        Target {
            name: "http",
            examples: http::EXAMPLES,
            words: http::WORDS,
            check: http::request,
        },
        Target {
            name: "websocket",
            examples: websocket::EXAMPLES,
            words: websocket::WORDS,
            check: websocket::messages,
        },
        Target {
            name: "report",
            examples: REPORTS,
            words: JSON_WORDS,
            check: report,
        },
    ]
}

const SQL: &[&[u8]] = &[
    b"SELECT s, COUNT(*) AS c, SUM(i) AS x FROM t GROUP BY s, TUMBLE(tz, INTERVAL '1' MINUTE)",
    b"SELECT i * 2 AS j, UPPER(s) AS u, CAST(d AS STRING) AS e FROM t WHERE i BETWEEN 1 AND 10 OR s LIKE '%a_'",
    b"SELECT s, i FROM (SELECT s, i, ROW_NUMBER() OVER (PARTITION BY s ORDER BY tz DESC) AS rn FROM t) WHERE rn = 1",
    b"WITH a AS (SELECT i, s FROM t UNION ALL SELECT 1, 'x' FROM t) SELECT * FROM a WHERE REGEXP(s, '^[a-z]+$')",
    b"SELECT CASE WHEN i > 0 THEN JSON_VALUE(s, '$.a.b') ELSE SUBSTRING(s, 2, 3) END AS v FROM t",
    b"SELECT window_start, window_end, MAX(d) AS m FROM TABLE(HOP(TABLE t, DESCRIPTOR(tz), INTERVAL '1' MINUTE, INTERVAL '5' MINUTES)) GROUP BY window_start, window_end",
];
const SQL_WORDS: &[&str] = &[
    "SELECT ",
    " FROM t",
    " WHERE ",
    "(",
    ")",
    ",",
    "''",
    "NULL",
    " AS x",
    "CAST(",
    "`",
    "--",
    "/*",
    "*/",
    "INTERVAL '1' DAY",
    " NOT ",
    " IN (",
    "CASE WHEN ",
    " END",
    "DECIMAL(38,38)",
    " || ",
    "ARRAY[",
    "MAP[",
    "]",
    "U&'\\",
    "X'",
    "\u{fe0f}",
    "é",
    "LAG(",
    " OVER (",
    " HAVING ",
    "CUMULATE(",
    "SESSION(",
    "DATE '2026-02-30'",
    "TIMESTAMPADD(",
    "{",
    ";",
];

pub(crate) fn fields() -> Vec<Field> {
    [
        ("i", "bigint"),
        ("s", "string"),
        ("d", "decimal(12,2)"),
        ("tz", "timestamp_ltz(3)"),
        ("xs", "array<struct<a int, b string>>"),
        ("mp", "map<string,double>"),
        ("st", "struct<a int not null, b timestamp(6)>"),
        ("by", "bytes"),
        ("f", "double"),
        ("da", "date"),
    ]
    .into_iter()
    .map(|(name, type_)| Field::new(name, type_, name != "s" && name != "tz"))
    .collect()
}

fn contract() -> Contract {
    Contract {
        fields: fields(),
        event_time: Some(EventTime {
            field: "tz".to_owned(),
            max_out_of_orderness_ms: 0,
            idle_timeout_ms: None,
        }),
        ..Contract::default()
    }
}

fn sql(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let catalog = Catalog::new().with("t", contract());
    if let Err(errors) = plan(&text, &catalog) {
        assert!(!errors.is_empty(), "refused without a reason");
        for error in errors {
            assert!(!error.to_string().is_empty(), "an error that says nothing");
        }
    }
}

const JSON: &[&[u8]] = &[
    br#"{"i":1,"s":"a","d":"12.50","tz":"2026-01-01T00:00:00Z","xs":[{"a":1,"b":"x"}],"mp":{"k":1.5},"st":{"a":1,"b":"2026-01-01T00:00:00.123456"},"by":"AAEC","f":1e3,"da":"2026-01-01"}"#,
    br#"{"s":"\u0061\ud83d\ude00","tz":"2026-01-01T00:00:00+01:00","i":null,"xs":[],"mp":{}}"#,
];
const JSON_WORDS: &[&str] = &[
    "null",
    "true",
    "\"",
    "{",
    "}",
    "[",
    "]",
    ":",
    ",",
    "\\u0000",
    "\\ud800",
    "\"i\":",
    "\"s\":\"\"",
    "\"xs\":[",
    "\u{feff}",
    "NaN",
    "\"figures\":{",
    "\"watermarkMs\":",
    "\"state\":{",
    "\"rate\":",
    "\"problems\":[",
];

fn json_contract() -> &'static Contract {
    static CONTRACT: OnceLock<Contract> = OnceLock::new();
    CONTRACT.get_or_init(contract)
}

const AVRO: &[&[u8]] = &[
    b"\x02\x02\x02a\x02\x04\x01\x02\x80\x80\x80\x80\x80\x01\x00\x00\x00\x00\x00\x00",
    b"\x00\x08shop\x00\xf0\xc8\xd6\x9c\xf0\x66\x00\x00\x00\x00\x00\x00",
];

fn avro_contract() -> &'static Contract {
    static CONTRACT: OnceLock<Contract> = OnceLock::new();
    CONTRACT.get_or_init(|| {
        let contract = contract();
        let definition = headworks_schema::avro::from_contract(&contract, "shop.orders").ok();
        assert!(definition.is_some(), "every type is in Avro");
        Contract {
            format: Format::Avro,
            definition,
            ..contract
        }
    })
}

const PROTOBUF: &[&[u8]] = &[
    b"\x08\x01\x12\x01a\x1a\x0512.50\x22\x06\x08\xc0\xf0\xd9\xca\x06",
    b"\x12\x04shop\x2a\x05\x08\x01\x12\x01x\x32\x0c\x0a\x01k\x11\x00\x00\x00\x00\x00\x00\xf0\x3f",
];

fn protobuf_contract() -> &'static Contract {
    static CONTRACT: OnceLock<Contract> = OnceLock::new();
    CONTRACT.get_or_init(|| {
        let contract = contract();
        let definition =
            headworks_schema::protobuf::from_contract(&contract, "shop.orders", None).ok();
        assert!(definition.is_some(), "every type is in Protobuf");
        Contract {
            format: Format::Protobuf,
            definition,
            ..contract
        }
    })
}

/// What is read is written, and read again as it was.
fn record(bytes: &[u8], contract: &Contract) {
    let columns: Vec<String> = contract.fields.iter().map(|f| f.name.clone()).collect();
    let formats = FormatRegistry::default();
    let read = |payload: &[u8]| {
        let decoder = formats.decoder(contract, &columns);
        let mut decoder = decoder.unwrap_or_else(|error| unreachable!("{error}"));
        decoder.decode(payload).ok()?;
        decoder.finish().ok()
    };
    let Some(batch) = read(bytes) else { return };
    let encoder = formats.encoder(contract);
    let mut encoder = encoder.unwrap_or_else(|error| unreachable!("{error}"));
    let mut out = Vec::new();
    // JSON has no infinity and no NaN, though the other formats' doubles do.
    if encoder.encode(&batch, 0, &mut out).is_ok() {
        let again = read(&out);
        assert!(again.is_some(), "what was written can't be read: {out:?}");
        // Two NaN are never equal, so what is printed is compared.
        assert_eq!(
            format!("{batch:?}"),
            format!("{:?}", again.unwrap_or_else(|| batch.clone())),
            "read back otherwise"
        );
    }
}

const AVRO_SCHEMAS: &[&[u8]] = &[
    br#"{"type":"record","name":"o","namespace":"shop","fields":[{"name":"a","type":["null","int"],"default":null},{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"],"default":"A"}},{"name":"f","type":{"type":"fixed","name":"F","size":4}},{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":10,"scale":2}},{"name":"m","type":{"type":"map","values":"double"}}]}"#,
    br#"{"type":"record","name":"n","fields":[{"name":"next","type":["null","n"]},{"name":"l","type":{"type":"array","items":"string"},"default":[]}]}"#,
];
const AVRO_WORDS: &[&str] = &[
    "\"type\":",
    "\"record\"",
    "\"enum\"",
    "\"fixed\"",
    "\"size\":",
    "[",
    "]",
    "{",
    "}",
    "\"null\"",
    "\"name\":\"o\"",
    "\"fields\":[]",
    "\"logicalType\":\"timestamp-millis\"",
    "\"default\":",
    "\"symbols\":[]",
    "\"aliases\":[\"x\"]",
    "\"precision\":",
];

fn avro_schema(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = headworks_schema::avro::to_fields(&*text);
    fed(Format::Avro, &text);
}

const PROTOBUF_SCHEMAS: &[&[u8]] = &[
    b"syntax = \"proto3\"; package shop; message Order { int64 id = 1; string s = 2; repeated Item items = 3; map<string, double> m = 4; oneof o { int32 a = 5; string b = 6; } enum E { X = 0; Y = 1; } E e = 7; message Item { optional uint32 q = 1; } reserved 9 to 12; }",
    b"syntax = \"proto2\"; message A { required int32 a = 1 [default = 5]; optional group G = 2 { optional bytes b = 3; } extensions 100 to 199; }",
    b"edition = \"2023\"; message A { int32 a = 1; }",
];
const PROTOBUF_WORDS: &[&str] = &[
    "message ",
    "enum ",
    "oneof ",
    "map<",
    "repeated ",
    "optional ",
    "reserved ",
    " = 1;",
    " = 536870911;",
    "{",
    "}",
    "[packed = true]",
    "import \"google/protobuf/timestamp.proto\";",
    "google.protobuf.Timestamp",
    "extend ",
    "option ",
    "/*",
    "//",
    "\"",
    "to max",
];

fn protobuf_schema(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = headworks_schema::protobuf::to_fields(&*text, None);
    fed(Format::Protobuf, &text);
}

/// A definition that somebody else wrote, as a pod gets it.
fn fed(format: Format, text: &str) {
    let contract = Contract {
        format,
        definition: Some(Definition::new(text)),
        ..contract()
    };
    let columns: Vec<String> = contract.fields.iter().map(|f| f.name.clone()).collect();
    let formats = FormatRegistry::default();
    let _ = formats.decoder(&contract, &columns);
    let _ = formats.encoder(&contract);
}

const PLANS: &[&[u8]] = &[
    include_bytes!("../../../runtime/plan/tests/v1/keyed.json"),
    include_bytes!("../../../runtime/plan/tests/v2/keyed.json"),
    br#"{"version":2,"installation":"a","namespace":"shop","name":"p","kafka":{"bootstrapServers":"k:9092"},"role":{"source":{"into":{"name":"orders","topic":"shop.orders","deadLetterTopic":"shop.orders.dlq","contract":{"fields":[{"name":"id","type":"string","nullable":false}],"format":"Json"},"maxMessageBytes":1048576},"http":{"path":"/v1/orders","bearer":true,"tls":false,"maxBodyBytes":1000,"recordsPerSecond":10},"onInvalid":"Reject","unknownFields":"Ignore"}}}"#,
    br#"{"version":2,"installation":"a","namespace":"shop","name":"f","kafka":{"bootstrapServers":"k:9092"},"role":{"source":{"into":{"name":"trades","topic":"shop.trades","deadLetterTopic":"shop.trades.dlq","contract":{"fields":[{"name":"id","type":"bigint","nullable":false}],"format":"Json"},"maxMessageBytes":1048576},"websocket":{"url":"wss://feed/","headers":[{"name":"A","file":"/a"}],"caFile":"/ca","maxMessageBytes":4096,"idleTimeoutMs":1000},"onInvalid":"Reject","unknownFields":"Ignore"}}}"#,
    br#"{"version":2,"installation":"a","namespace":"shop","name":"dump","kafka":{"bootstrapServers":""},"role":{"store":{"store":{"name":"dump","connection":{"file":{"folder":"/x"}}}}}}"#,
];
const REPORTS: &[&[u8]] = &[
    br#"{"version":1,"runtime":"0.1.0","phase":"Running","problems":[{"reason":"BadRecord","message":"m","fatal":true}],"figures":{"recordsIn":10,"recordsOut":9,"deadLetters":1,"dropped":0,"rate":1.5,"lag":3,"maxEventTimeMs":1767225600000,"lastCommitMs":1767225601000,"state":{"memoryBytes":1,"diskBytes":2,"keys":3,"late":4,"watermarkMs":1767225600000,"restoreMs":5,"hotKey":"k"}}}"#,
    br#"{"version":1,"runtime":"0.1.0","phase":"Starting"}"#,
];

/// What a pod says of itself, through the figures that are shown, twice, so that the ones shown before count, too.
fn report(bytes: &[u8]) {
    let Ok(report) = serde_json::from_slice::<Report>(bytes) else {
        return;
    };
    let other = Report::default();
    let first = coarse(None, &[&report, &other]);
    let _ = coarse(Some(&first), &[&report]);
    let _ = coarse(Some(&coarse(None, &[&other])), &[&other, &report]);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn examples_are_good_so_that_chance_begins_at_something() {
        for plan in PLANS {
            let now = serde_json::from_slice::<Plan>(plan);
            now.or_else(|_| serde_json::from_slice::<v1::Plan>(plan).map(Plan::from))
                .unwrap();
        }
        for report in REPORTS {
            serde_json::from_slice::<Report>(report).unwrap();
        }
        for text in SQL {
            let catalog = Catalog::new().with("t", contract());
            plan(std::str::from_utf8(text).unwrap(), &catalog).unwrap();
        }
        let read = |contract: &Contract, record: &[u8]| {
            let columns: Vec<String> = contract.fields.iter().map(|f| f.name.clone()).collect();
            let mut decoder = FormatRegistry::default()
                .decoder(contract, &columns)
                .unwrap();
            decoder.decode(record).map_err(|error| error.to_string())
        };
        assert_eq!(read(json_contract(), JSON[0]), Ok(()));
        // The other holds itself, which is read and refused.
        let text = std::str::from_utf8(AVRO_SCHEMAS[0]).unwrap();
        headworks_schema::avro::to_fields(text).unwrap();
        let text = std::str::from_utf8(PROTOBUF_SCHEMAS[0]).unwrap();
        headworks_schema::protobuf::to_fields(text, Some("shop.Order")).unwrap();
    }
}
