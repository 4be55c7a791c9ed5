mod numbers;
pub(in crate::formats) mod random;
mod written;

use std::fmt::Write as _;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use headworks_engine::format::{Decoder, Encoder, RowError};
use headworks_plan::{Contract, Field, UnknownFields};

use super::{JsonDecoder, JsonEncoder};

/// A contract from lines of `name type` or `name type null`.
pub(in crate::formats) fn contract(lines: &str) -> Contract {
    let fields = lines
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let (name, type_) = line.trim().split_once(' ').unwrap();
            let (type_, nullable) = type_
                .strip_suffix(" null")
                .map_or((type_, false), |t| (t, true));
            Field {
                name: name.into(),
                type_: type_.into(),
                nullable,
                labels: vec![],
            }
        })
        .collect();
    Contract {
        fields,
        ..Contract::default()
    }
}

fn orders() -> Contract {
    contract(
        "order_id string
         user_id bigint
         items array<struct<sku string not null, qty int>>
         amount decimal(12,2)
         coupon string null
         placed_at timestamp_ltz(3)",
    )
}

pub(in crate::formats) fn everything() -> Contract {
    contract(
        "a boolean null
         b int null
         c bigint null
         d float null
         e double null
         f decimal(38,10) null
         g string null
         h bytes null
         i date null
         j time null
         k0 timestamp(0) null
         k3 timestamp(3) null
         k6 timestamp(6) null
         l0 timestamp_ltz(0) null
         l3 timestamp_ltz(3) null
         l6 timestamp_ltz(6) null
         m array<array<int>> null
         n map<string,map<string,double>> null
         o struct<x int not null, y array<struct<z decimal(4,1)>>, m map<string,bytes>> null
         p string",
    )
}

fn refusal(contract: &Contract, json: &str) -> RowError {
    let mut decoder = JsonDecoder::whole(contract, UnknownFields::Ignore).unwrap();
    let error = decoder.decode(json.as_bytes()).expect_err(json);
    error.refused().unwrap()
}

fn reencoded(contract: &Contract, json: &str) -> String {
    let mut decoder = JsonDecoder::whole(contract, UnknownFields::Ignore).unwrap();
    decoder
        .decode(json.as_bytes())
        .unwrap_or_else(|e| panic!("{e}: {json}"));
    line(
        &mut JsonEncoder::new(contract).unwrap(),
        &decoder.finish().unwrap(),
        0,
    )
}

fn line(encoder: &mut JsonEncoder, batch: &RecordBatch, row: usize) -> String {
    let mut out = Vec::new();
    encoder.encode(batch, row, &mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn a_record_is_written_in_the_contracts_words() {
    let json = r#" {"placed_at":"2026-01-01T01:00:00.5+01:00","amount":12.5,"user_id":"42","x":{"y":[1,{"z":null}]},"order_id":"a\u00e9\n",
        "items":[{"qty":2,"sku":"s1","color":"red"},null,{"sku":"s2"}]} "#;
    assert_eq!(
        reencoded(&orders(), json),
        r#"{"order_id":"aé\n","user_id":42,"items":[{"sku":"s1","qty":2},null,{"sku":"s2","qty":null}],"amount":"12.50","coupon":null,"placed_at":"2026-01-01T00:00:00.500Z"}"#
    );
}

#[test]
fn every_type_is_read_and_written() {
    let json = r#"{"a":true,"b":-2147483648,"c":9223372036854775807,"d":0.1,"e":1e300,"f":"1234567890123456789012345678.0123456789",
        "g":"","h":"AP8=","i":"2024-02-29","j":"23:59:59.000001","k0":"2026-01-01T00:00:00","k3":"2026-01-01T00:00:00","k6":"2026-01-01T00:00:00.1",
        "l0":"2026-01-01T00:00:00Z","l3":"2026-01-01T00:00:00.1239Z","l6":"2026-01-01T00:00:00.123456789-00:30","m":[[],[1,null],null],
        "n":{"k":{"q\"":1},"z":null},"o":{"x":1,"y":[{"z":-100.5}],"m":{"":"YQ=="}},"p":"x"}"#;
    insta::assert_snapshot!(reencoded(&everything(), json).replace(",\"", ",\n\""), @r#"
    {"a":true,
    "b":-2147483648,
    "c":9223372036854775807,
    "d":0.1,
    "e":1e+300,
    "f":"1234567890123456789012345678.0123456789",
    "g":"",
    "h":"AP8=",
    "i":"2024-02-29",
    "j":"23:59:59.000001",
    "k0":"2026-01-01T00:00:00",
    "k3":"2026-01-01T00:00:00.000",
    "k6":"2026-01-01T00:00:00.100000",
    "l0":"2026-01-01T00:00:00Z",
    "l3":"2026-01-01T00:00:00.123Z",
    "l6":"2026-01-01T00:30:00.123456Z",
    "m":[[],[1,null],null],
    "n":{"k":{"q\"":1.0},
    "z":null},
    "o":{"x":1,
    "y":[{"z":"-100.5"}],
    "m":{"":"YQ=="}},
    "p":"x"}
    "#);
}

#[test]
fn what_breaks_the_contract_is_refused_with_its_place() {
    let good =
        r#""order_id":"a","user_id":1,"items":[],"amount":1,"placed_at":"2026-01-01T00:00:00Z""#;
    let mut report = String::new();
    for json in [
        r#"{"order_id":1}"#.to_owned(),
        r#"{"order_id":null}"#.to_owned(),
        r#"{"order_id":"a"}"#.to_owned(),
        r#"{"user_id":1.5}"#.to_owned(),
        r#"{"user_id":9223372036854775808}"#.to_owned(),
        r#"{"user_id":123456789012345678901234567890}"#.to_owned(),
        r#"{"user_id":"12a"}"#.to_owned(),
        r#"{"user_id":{"a":1}}"#.to_owned(),
        r#"{"items":[{"sku":"a","qty":1},{"sku":"a"},{"sku":true}]}"#.to_owned(),
        r#"{"items":[{"qty":2147483648}]}"#.to_owned(),
        r#"{"items":[{"qty":2}]}"#.to_owned(),
        r#"{"items":{}}"#.to_owned(),
        r#"{"items":[3]}"#.to_owned(),
        r#"{"items":[{"sku":"a","sku":"b"}]}"#.to_owned(),
        r#"{"amount":12.345}"#.to_owned(),
        r#"{"amount":"12,3"}"#.to_owned(),
        r#"{"amount":12345678901}"#.to_owned(),
        r#"{"amount":[1]}"#.to_owned(),
        r#"{"placed_at":1767225600}"#.to_owned(),
        r#"{"placed_at":"2026-01-01T00:00:00"}"#.to_owned(),
        r#"{"placed_at":"yesterday"}"#.to_owned(),
        format!("{{{good},\"order_id\":\"b\"}}"),
    ] {
        let error = refusal(&orders(), &json);
        assert_eq!(error.reason, "Contract", "{json}");
        writeln!(report, "{error}").unwrap();
    }
    for json in [
        r#"{"a":0}"#,
        r#"{"d":1e39}"#,
        r#"{"e":-1e999}"#,
        r#"{"e":"1"}"#,
        r#"{"h":"AP8"}"#,
        r#"{"h":"A P8="}"#,
        r#"{"i":"2026-02-30"}"#,
        r#"{"j":"24:00:00"}"#,
        r#"{"k3":"2026-01-01T00:00:00Z"}"#,
        r#"{"m":[[],[1,"2"]]}"#,
        r#"{"n":{"one":{"two":"x"}}}"#,
        r#"{"n":{"k":{},"l":{},"k":{}}}"#,
        r#"{"o":{}}"#,
        r#"{"o":{"x":1,"y":[{"z":0.05}]}}"#,
    ] {
        let error = refusal(&everything(), json);
        assert_eq!(error.reason, "Contract", "{json}");
        writeln!(report, "{error}").unwrap();
    }
    insta::assert_snapshot!(report);
}

#[test]
fn what_is_not_a_json_object_is_refused() {
    let mut report = String::new();
    for json in [
        "",
        " ",
        "null",
        "[]",
        "1",
        "-1",
        "1.5",
        "\"a\"",
        "true",
        "{",
        "{\"order_id\"",
        "{\"order_id\":",
        "{\"user_id\":NaN}",
        "{\"items\":[null 2]}",
        "{\"items\":[{\"qty\":01}]}",
        "{'order_id':1}",
        "{\"order_id\":\"a\u{1}\"}",
        "\u{feff}{}",
        "{\"x\":tru}",
        "{\"amount\":Infinity}",
        "{\"order_id\":\"\\ud800\"}",
    ] {
        let error = refusal(&orders(), json);
        assert_eq!(error.reason, "Decode", "{json}");
        writeln!(report, "{error}").unwrap();
    }
    let whole = reencoded(
        &orders(),
        r#"{"order_id":"a","user_id":1,"items":[],"amount":1,"placed_at":"2026-01-01T00:00:00Z"}"#,
    );
    for tail in ["}", "{}", ",", "x", "\0"] {
        let error = refusal(&orders(), &format!("{whole}{tail}"));
        assert_eq!(error.reason, "Decode", "{tail}");
    }
    let mut decoder = JsonDecoder::whole(&orders(), UnknownFields::Ignore).unwrap();
    // Also in a field that nobody reads.
    let error = decoder.decode(b"{\"x\":\"\xff\"}").unwrap_err();
    writeln!(report, "{error}").unwrap();
    insta::assert_snapshot!(report);
}

#[test]
fn a_refused_record_leaves_no_trace() {
    let good = |i: usize| {
        format!(
            r#"{{"order_id":"o{i}","user_id":{i},"items":[{{"sku":"s{i}","qty":{i}}}],"amount":"{i}.25","coupon":"c{i}","placed_at":"2026-01-01T00:00:00Z"}}"#
        )
    };
    let mut mixed = JsonDecoder::whole(&orders(), UnknownFields::Ignore).unwrap();
    let mut clean = JsonDecoder::whole(&orders(), UnknownFields::Ignore).unwrap();
    for i in 0..50 {
        let good = good(i);
        clean.decode(good.as_bytes()).unwrap();
        mixed.decode(good.as_bytes()).unwrap();
        // Cut off anywhere, it is no record; each cut leaves other columns half written.
        for cut in 0..good.len() {
            mixed.decode(&good.as_bytes()[..cut]).unwrap_err();
        }
        mixed
            .decode(format!("{good}{good}").as_bytes())
            .unwrap_err();
    }
    assert_eq!(mixed.rows(), 50);
    assert_eq!(mixed.finish().unwrap(), clean.finish().unwrap());
    assert_eq!(mixed.rows(), 0);
}

#[test]
fn only_the_columns_asked_for_are_read_and_checked() {
    let columns = ["amount".to_owned(), "order_id".to_owned()];
    let mut decoder = JsonDecoder::pruned(&orders(), &columns).unwrap();
    decoder
        .decode(br#"{"order_id":"a","user_id":"not a number","amount":1,"user_id":[[[]]]}"#)
        .unwrap();
    let batch = decoder.finish().unwrap();
    assert_eq!(
        batch
            .schema()
            .fields()
            .iter()
            .map(|f| f.name().as_str())
            .collect::<Vec<_>>(),
        ["amount", "order_id"]
    );
    assert!(JsonDecoder::pruned(&orders(), &["amout".to_owned()]).is_err());
}

#[test]
fn no_column_at_all_still_counts_records() {
    let mut decoder = JsonDecoder::pruned(&orders(), &[]).unwrap();
    decoder.decode(b"{}").unwrap();
    decoder.decode(br#"{"a":1}"#).unwrap();
    decoder.decode(b"[]").unwrap_err();
    assert_eq!(decoder.finish().unwrap().num_rows(), 2);
}

#[test]
fn unknown_fields_can_be_refused_at_every_depth() {
    let mut decoder = JsonDecoder::whole(&everything(), UnknownFields::Reject).unwrap();
    decoder.decode(br#"{"p":"x","o":{"x":1}}"#).unwrap();
    assert_eq!(
        decoder
            .decode(br#"{"p":"x","q":1}"#)
            .unwrap_err()
            .refused()
            .unwrap()
            .path,
        "q"
    );
    assert_eq!(
        decoder
            .decode(br#"{"p":"x","o":{"x":1,"y":[{},{"zz":1}]}}"#)
            .unwrap_err()
            .refused()
            .unwrap()
            .path,
        "o.y[1].zz"
    );
    assert_eq!(decoder.rows(), 1);
}

#[test]
fn depth_costs_no_stack() {
    let deep =
        |open: &str, close: &str| format!("{}{}", open.repeat(300_000), close.repeat(300_000));
    let mut decoder =
        JsonDecoder::pruned(&everything(), &["m".to_owned(), "e".to_owned()]).unwrap();
    // Skipped whole where nobody reads it, refused at once where somebody does.
    decoder
        .decode(format!(r#"{{"unread":{}}}"#, deep("[", "]")).as_bytes())
        .unwrap();
    decoder
        .decode(
            format!(
                r#"{{"unread":{}1{}}}"#,
                "{\"a\":".repeat(300_000),
                "}".repeat(300_000)
            )
            .as_bytes(),
        )
        .unwrap();
    assert_eq!(
        decoder
            .decode(format!(r#"{{"m":{}}}"#, deep("[", "]")).as_bytes())
            .unwrap_err()
            .refused()
            .unwrap()
            .path,
        "m[0][0]"
    );
    assert_eq!(
        decoder
            .decode(format!(r#"{{"e":{}}}"#, deep("[", "]")).as_bytes())
            .unwrap_err()
            .refused()
            .unwrap()
            .path,
        "e"
    );
    decoder.decode(deep("[", "]").as_bytes()).unwrap_err();
}

#[test]
fn doubles_of_a_large_map_are_found() {
    let mut json = String::from(r#"{"p":"x","n":{"#);
    for i in 0..1000 {
        write!(json, r#""k{i}":{{}},"#).unwrap();
    }
    let good = format!("{}}}}}", json.trim_end_matches(','));
    let bad = format!(r#"{json}"k500":null}}}}"#);
    assert_eq!(
        refusal(&everything(), &bad).to_string(),
        r#"field n["k500"]: comes twice in the object"#
    );
    reencoded(&everything(), &good);
}

#[test]
fn integers_keep_every_digit() {
    let mut decoder = JsonDecoder::pruned(&orders(), &["user_id".to_owned()]).unwrap();
    for json in [
        r#"{"user_id":9007199254740993}"#,
        r#"{"user_id":"-9223372036854775808"}"#,
    ] {
        decoder.decode(json.as_bytes()).unwrap();
    }
    let batch = decoder.finish().unwrap();
    assert_eq!(
        batch.column(0).as_primitive::<Int64Type>().values(),
        &[9_007_199_254_740_993, i64::MIN]
    );
    assert_eq!(batch.column(0).null_count(), 0);
}
