//! What is refused: bad records, foreign definitions, schemas that would cost too much.

use super::*;

#[test]
fn a_bad_record_is_refused_with_its_place_and_leaves_no_trace() {
    let other = r#"{"type":"record","name":"R","fields":[{"name":"n","type":"string"}]}"#;
    let contract = registered(
        defined(
            "n bigint\nitems array<struct<sku string not null, qty int>>",
            r#"{"type":"record","name":"R","fields":[{"name":"n","type":"long"},{"name":"items","type":{"type":"array","items":{"type":"record","name":"I","fields":[{"name":"sku","type":["null","string"]},{"name":"qty","type":"int"}]}}}]}"#,
        ),
        1,
        &[
            (2, other),
            (3, "{}"),
            (
                4,
                r#"{"type":"record","name":"R","fields":[{"name":"n","type":"long"}]}"#,
            ),
        ],
    );
    let mut reading = decoder(&contract);
    let good = framed(1, &[2, 2, 2, 2, b'x', 4, 0]);
    let cases: Vec<Vec<u8>> = vec![
        vec![],
        vec![0, 0, 0, 0],
        b"{\"n\":1}".to_vec(),
        framed(1, &[]),
        framed(1, &[2]),
        framed(1, &[2, 2, 2, 20, b'x']),
        framed(1, &[2, 2, 6, 0]),
        // A null sku, a sku that is no UTF-8, bytes left over.
        framed(1, &[2, 4, 2, 2, b'x', 4, 0, 4, 0]),
        framed(1, &[2, 2, 2, 2, 0xff, 4, 0]),
        framed(1, &[2, 0, 0]),
        // Two thousand million items.
        framed(1, &[2, 0xfe, 0xff, 0xff, 0xff, 0x0f, 0]),
        framed(2, &[2, b'x']),
        framed(3, &[]),
        framed(4, &[2]),
        framed(77, &[2]),
    ];
    reading.decode(&good).unwrap();
    let said: Vec<String> = cases
        .iter()
        .map(|case| refusal(&mut reading, case))
        .collect();
    reading.decode(&good).unwrap();
    insta::assert_snapshot!(said.join("\n"));
    let row = r#"{"n":1,"items":[{"sku":"x","qty":2}]}"#;
    assert_eq!(to_json(&contract, &reading.finish().unwrap()), [row, row]);
    // Without a registry a record names its schema by its fingerprint.
    let alone = in_avro(self::contract("n bigint"));
    let batch = from_json(&alone, &[r#"{"n":5}"#.to_owned()]);
    let mut bytes = encoded(&alone, &batch).remove(0);
    let mut reading = decoder(&alone);
    reading.decode(&bytes).unwrap();
    bytes[5] ^= 1;
    assert!(refusal(&mut reading, &bytes).contains("schema that nobody knows"));
    assert!(refusal(&mut reading, &bytes[..9]).contains("single-object encoding"));
}

#[test]
fn random_bytes_and_damaged_records_never_panic() {
    let contract = in_avro(everything());
    let mut rng = StdRng::seed_from_u64(11);
    let mut reading = decoder(&contract);
    let mut taken = 0;
    for round in 0..10_000 {
        let record = random_record(&mut rng);
        let batch = from_json(&contract, &[record]);
        let mut bytes = encoded(&contract, &batch).remove(0);
        if round % 5 == 0 {
            rng.fill_bytes(&mut bytes[10..]);
        }
        for _ in 0..rng.random_range(0..4) {
            let at = rng.random_range(10..bytes.len());
            match rng.random_range(0..3) {
                0 => bytes[at] = rng.random(),
                1 => bytes.truncate(at + 1),
                _ => bytes.insert(at, rng.random()),
            }
        }
        taken += usize::from(reading.decode(&bytes).is_ok());
        if round % 500 == 0 {
            to_json_or_refused(&contract, &reading.finish().unwrap());
        }
    }
    assert!(
        taken > 1_000,
        "the damage must leave some records whole: {taken}"
    );
}

/// NaN can be in Avro and not in JSON; all else can be written.
fn to_json_or_refused(contract: &Contract, batch: &RecordBatch) {
    let mut encoder = JsonEncoder::new(contract).unwrap();
    for row in 0..batch.num_rows() {
        if let Err(error) = encoder.encode(batch, row, &mut Vec::new()) {
            assert!(error.to_string().contains("NaN"), "{error}");
        }
    }
}

#[test]
fn a_definition_that_is_not_the_contracts_is_refused() {
    let wrong = defined(
        "n bigint\nm int",
        r#"{"type":"record","name":"R","fields":[{"name":"n","type":"string"},{"name":"m","type":"int"}]}"#,
    );
    let said = AvroEncoder::new(&wrong).err().unwrap().to_string();
    assert!(
        said.contains("is bigint in the contract, and string in the definition"),
        "{said}"
    );
    let lacks = defined(
        "n bigint\nm int",
        r#"{"type":"record","name":"R","fields":[{"name":"n","type":"long"}]}"#,
    );
    let said = AvroEncoder::new(&lacks).err().unwrap().to_string();
    assert!(
        said.contains("field m: the definition doesn't have it"),
        "{said}"
    );
    let _: Arc<Schemas> = Arc::default();
}

/// A writer's schema is anybody's who may write to the registry.
#[test]
fn no_schema_makes_a_short_record_a_long_work() {
    // Each record holds fifty of the next, the last holds nothing: fifty to the tenth values, and not a byte.
    let mut empties = r#"{"type":"record","name":"R10","fields":[]}"#.to_owned();
    for level in (0..10).rev() {
        let more: Vec<String> = (1..50)
            .map(|i| format!(r#",{{"name":"f{i}","type":"R{}"}}"#, level + 1))
            .collect();
        let more = more.concat();
        empties = format!(
            r#"{{"type":"record","name":"R{level}","fields":[{{"name":"f0","type":{empties}}}{more}]}}"#
        );
    }
    // Four records to choose from, at each of twelve levels.
    let mut forks = r#""int""#.to_owned();
    for level in 0..12 {
        let kind = |kind: &str, of: &str| {
            format!(
                r#"{{"type":"record","name":"{kind}{level}","fields":[{{"name":"s","type":{of}}}]}}"#
            )
        };
        // A name is declared once.
        let again = if level == 0 {
            r#""int""#.to_owned()
        } else {
            let names = ["a", "b", "c", "d"].map(|kind| format!(r#""{kind}{}""#, level - 1));
            format!("[{}]", names.join(","))
        };
        let others = ["b", "c", "d"].map(|name| kind(name, &again));
        forks = format!("[{},{}]", kind("a", &forks), others.join(","));
    }
    let nulls = record_of(r#"{"name":"x","type":{"type":"array","items":"null"}}"#);
    let mut deep = "int".to_owned();
    for _ in 0..12 {
        deep = format!("struct<s {deep}>");
    }
    let kept = r#"{"name":"n","type":"int"}"#;
    let contract = registered(
        defined(&format!("n int\ns {deep} null"), &{
            let mut own = r#""int""#.to_owned();
            for level in 0..12 {
                own = format!(
                    r#"{{"type":"record","name":"S{level}","fields":[{{"name":"s","type":["null",{own}]}}]}}"#
                );
            }
            record_of(&format!(
                r#"{kept},{{"name":"s","type":["null",{own}],"default":null}}"#
            ))
        }),
        9,
        &[
            (
                1,
                &record_of(&format!(r#"{{"name":"x","type":{empties}}},{kept}"#)),
            ),
            (
                2,
                &record_of(&format!(r#"{{"name":"s","type":{forks}}},{kept}"#)),
            ),
            (3, &nulls),
        ],
    );
    let start = std::time::Instant::now();
    let mut reading = decoder(&contract);
    let said = [
        refusal(&mut reading, &framed(1, &[2])),
        refusal(&mut reading, &framed(2, &[2])),
        refusal(
            &mut reading,
            &framed(
                3,
                &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0],
            ),
        ),
    ];
    assert!(start.elapsed().as_secs() < 2, "{:?}", start.elapsed());
    insta::assert_snapshot!(said.join("\n"));
}
