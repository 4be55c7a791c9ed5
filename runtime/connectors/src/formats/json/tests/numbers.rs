//! Numbers are values, however they are written.

use arrow::array::AsArray;
use arrow::datatypes::{Float64Type, Int32Type, Int64Type};
use headworks_engine::format::{Decoder, Encoder};
use headworks_plan::Contract;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{JsonDecoder, JsonEncoder, UnknownFields, contract, refusal};

fn long(text: &str) -> Result<i64, String> {
    let mut decoder =
        JsonDecoder::whole(&contract("x bigint\ny int null"), UnknownFields::Ignore).unwrap();
    let read = decoder.decode(format!("{{\"x\":{text}}}").as_bytes());
    read.map_err(|error| error.to_string())?;
    let batch = decoder.finish().unwrap();
    Ok(batch.column(0).as_primitive::<Int64Type>().value(0))
}

#[test]
fn a_whole_number_may_be_written_in_any_way() {
    for (text, value) in [
        ("-0", 0),
        ("0", 0),
        ("-0.0", 0),
        ("1.0", 1),
        ("-1.000", -1),
        ("1e2", 100),
        ("1E+2", 100),
        ("100e-2", 1),
        ("1.5e1", 15),
        ("0e999999999999", 0),
        ("9007199254740993.0", 9_007_199_254_740_993),
        ("999999999999999999", 999_999_999_999_999_999),
        ("9223372036854775807", i64::MAX),
        ("-9223372036854775808", i64::MIN),
        ("9.223372036854775807e18", i64::MAX),
        ("-9223372036854775808.000", i64::MIN),
        ("\"\\u0031\\u0032\"", 12),
        ("\"-0\"", 0),
    ] {
        assert_eq!(long(text), Ok(value), "{text}");
    }
    for (text, why) in [
        (
            "1.5",
            "expected bigint, a whole number, found a number with a fraction",
        ),
        ("1e-1", "found a number with a fraction"),
        (
            "0.99999999999999999999999999999999999999999999999999",
            "with a fraction",
        ),
        ("9223372036854775808", "out of the range of bigint"),
        ("-9223372036854775809.0", "out of the range of bigint"),
        ("1e19", "out of the range of bigint"),
        ("1e400", "out of the range of bigint"),
        (
            "\"1e2\"",
            "expected bigint, a whole number, found a string that is none",
        ),
        ("\"1.0\"", "found a string that is none"),
        ("true", "found a boolean"),
        ("[1]", "found an array"),
        ("{}", "found an object"),
        ("null", "is null; bigint is required"),
    ] {
        let said = long(text).unwrap_err();
        assert!(said.contains(why), "{text}: {said}");
    }
    let ints = contract("y int");
    for (text, why) in [
        ("2147483648", "out of the range of int"),
        ("2.147483648e9", "out of the range of int"),
        (
            "0.5",
            "expected int, a whole number, found a number with a fraction",
        ),
        ("\"7\"", "found a string"),
    ] {
        let said = refusal(&ints, &format!("{{\"y\":{text}}}")).to_string();
        assert!(said.contains(why), "{text}: {said}");
    }
    let mut decoder = JsonDecoder::whole(&ints, UnknownFields::Ignore).unwrap();
    for text in ["-0", "2147483647.0", "-2.147483648E9"] {
        decoder
            .decode(format!("{{\"y\":{text}}}").as_bytes())
            .unwrap();
    }
    let batch = decoder.finish().unwrap();
    assert_eq!(
        batch.column(0).as_primitive::<Int32Type>().values(),
        &[0, i32::MAX, i32::MIN]
    );
}

/// The same number with its point moved anywhere.
#[test]
fn a_moved_point_changes_nothing() {
    let mut rng = StdRng::seed_from_u64(3);
    for _ in 0..5_000 {
        // JSON has no leading zeros, so not 0 itself.
        let value = (rng.random::<i64>() >> rng.random_range(0..64)) | 1;
        let sign = if value < 0 { "-" } else { "" };
        let mut digits = value.unsigned_abs().to_string();
        let zeros = rng.random_range(0..8);
        digits.push_str(&"0".repeat(zeros));
        let moved = rng.random_range(0..digits.len());
        let (whole, rest) = digits.split_at(digits.len() - moved);
        let point = if rest.is_empty() { "" } else { "." };
        let power = moved as i64 - zeros as i64;
        let text = format!("{sign}{whole}{point}{rest}e{power}");
        assert_eq!(long(&text), Ok(value), "{text}");
        // One digit more behind the point, and it is none.
        let more = format!("{sign}{digits}1e-{}", zeros + 1);
        assert!(long(&more).is_err(), "{more}");
    }
}

/// Once a record had such a number, the next are read from their text at once: with the same outcome.
#[test]
fn what_came_before_makes_no_difference() {
    let contract = contract("x bigint null\ny int null\nz array<int> null");
    let records = [
        r#"{"x":7,"y":-7}"#,
        r#"{"x":"7","y":null}"#,
        r#"{"x":"\u0037"}"#,
        r#"{"x":-9223372036854775808}"#,
        r#"{"x":9223372036854775808}"#,
        r#"{"x":"1e2"}"#,
        r#"{"x":7,"y":2147483648}"#,
        r#"{"x":7,"y":"7"}"#,
        r#"{"x":[7]}"#,
        r#"{"x":{"a":7}}"#,
        r#"{"x":true}"#,
        r#"{"x":07}"#,
        r#"{"x":1e}"#,
        r#"{"x":7,"x":8}"#,
        r#"{"z":[1,2.0,3e0,null]}"#,
        r#"{"z":[1,2.5]}"#,
        r#"{"x":1e400}"#,
        r#"{"x":7"#,
        r#"{"x":7}}"#,
        r#"{"x":"\ud800"}"#,
    ];
    let outcome = |decoder: &mut JsonDecoder, record: &str| {
        let read = decoder.decode(record.as_bytes());
        read.map(|()| decoder.finish().unwrap())
            .map_err(|error| error.refused().unwrap())
    };
    for record in records {
        let mut first = JsonDecoder::whole(&contract, UnknownFields::Ignore).unwrap();
        let mut later = JsonDecoder::whole(&contract, UnknownFields::Ignore).unwrap();
        later.decode(br#"{"x":1.0}"#).unwrap();
        later.finish().unwrap();
        assert_eq!(
            outcome(&mut first, record),
            outcome(&mut later, record),
            "{record}"
        );
    }
}

/// Neither a size nor a time follows an exponent.
#[test]
fn an_exponent_is_only_a_number() {
    let contract =
        contract("a int null\nb bigint null\nc decimal(38,10) null\nd double null\ne float null");
    let digits = "9".repeat(1_000_000);
    for field in ["a", "b", "c", "d", "e"] {
        for text in [
            "1e999999999",
            "-1e999999999999999999999999",
            &format!("1e{digits}"),
        ] {
            let error = refusal(&contract, &format!("{{\"{field}\":{text}}}"));
            assert_eq!(
                (error.reason.as_str(), error.path.as_str()),
                ("Contract", field)
            );
        }
    }
    for field in ["a", "b", "c"] {
        for text in ["1e-999999999", &format!("1e-{digits}")] {
            let error = refusal(&contract, &format!("{{\"{field}\":{text}}}"));
            assert_eq!(
                (error.reason.as_str(), error.path.as_str()),
                ("Contract", field)
            );
        }
    }
    // Of a double what is too small is 0.
    let mut decoder = JsonDecoder::whole(&contract, UnknownFields::Ignore).unwrap();
    decoder
        .decode(br#"{"d":1e-999999999,"e":-1e-99999}"#)
        .unwrap();
    decoder.decode(br#"{"d":-0.0}"#).unwrap();
    decoder.decode(br#"{"d":-0}"#).unwrap();
    let batch = decoder.finish().unwrap();
    let doubles = batch.column(3).as_primitive::<Float64Type>();
    assert_eq!(doubles.value(0).to_bits(), 0);
    // A double has a zero with a sign, and it stays.
    assert!(doubles.value(1).is_sign_negative() && doubles.value(2).is_sign_negative());
}

/// A key is the value's one spelling, whichever way the number came.
#[test]
fn a_key_has_one_spelling() {
    for (type_, texts, key) in [
        ("int", &["100", "1e2", "100.0", "1000e-1"][..], "100"),
        ("bigint", &["0", "-0", "0.0", "\"00\""][..], "0"),
        (
            "decimal(12,2)",
            &["12.5", "\"12.50\"", "125e-1", "1.25e1"][..],
            "12.50",
        ),
        ("decimal(12,2)", &["0", "-0", "\"-0.00\""][..], "0.00"),
    ] {
        for text in texts {
            let contract = Contract {
                key: vec!["k".into()],
                ..contract(&format!("k {type_}"))
            };
            let mut decoder = JsonDecoder::whole(&contract, UnknownFields::Ignore).unwrap();
            decoder
                .decode(format!("{{\"k\":{text}}}").as_bytes())
                .unwrap();
            let mut out = Vec::new();
            let batch = decoder.finish().unwrap();
            let mut encoder = JsonEncoder::new(&contract).unwrap();
            assert!(encoder.key(&batch, 0, &mut out).unwrap());
            assert_eq!(String::from_utf8(out).unwrap(), key, "{text}");
        }
    }
}
