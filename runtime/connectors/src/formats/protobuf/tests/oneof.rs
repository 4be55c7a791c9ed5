//! Members of a oneof, of which one is set.

use super::*;

const PAYMENT: &str = "
  message Invoice { string x = 1; int32 y = 2; }
  message R {
    int32 n = 1;
    oneof how { string card = 2; Invoice invoice = 3; int32 cash = 4; }
    oneof other { string a = 5; string b = 6; }
    optional string plain = 7;
  }";

fn payment() -> Contract {
    defined(
        "n int\ncard string null\ninvoice struct<x string not null, y int not null> null\ncash int null\na string null\nb string null\nplain string null",
        PAYMENT,
        "R",
    )
}

/// Of a oneof's members the last on the wire is set, and no other, as another implementation has it.
#[test]
fn of_a_oneof_one_member_is_set() {
    let contract = payment();
    let message = definition(&contract).unwrap();
    let parts: [&[u8]; 8] = [
        &[0x08, 1],
        b"\x12\x01c",
        b"\x1a\x03\x0a\x01i",
        b"\x1a\x02\x10\x05",
        &[0x20, 0],
        b"\x2a\x00",
        b"\x32\x01b",
        b"\x3a\x01p",
    ];
    let names = ["card", "invoice", "cash", "a", "b", "plain"];
    let mut rng = StdRng::seed_from_u64(5);
    for _ in 0..500 {
        let bytes: Vec<u8> = (0..rng.random_range(0..7))
            .flat_map(|_| parts[rng.random_range(0..parts.len())].to_vec())
            .collect();
        let theirs = DynamicMessage::decode(message.clone(), bytes.as_slice()).unwrap();
        let mut reading = decoder(&contract);
        reading.decode(&bytes).unwrap();
        let json = to_json(&contract, &reading.finish().unwrap()).remove(0);
        let ours: Value = serde_json::from_str(&json).unwrap();
        for name in names {
            let set = theirs.has_field_by_name(name);
            assert_eq!(!ours[name].is_null(), set, "{name} of {bytes:?}");
            // Asked for alone, it is the same: the others count though nobody wants them.
            let mut alone =
                ProtobufDecoder::pruned(&contract, &[name.to_owned()], Arc::default()).unwrap();
            alone.decode(&bytes).unwrap();
            let nulls = alone.finish().unwrap().column(0).null_count();
            assert_eq!(nulls, usize::from(!set), "{name} of {bytes:?}");
        }
        // What is read can be written again, and means the same there.
        let again = write(&contract, &json).unwrap();
        let again = DynamicMessage::decode(message.clone(), again.as_slice()).unwrap();
        assert_eq!(again, theirs, "{bytes:?}");
    }
}

#[test]
fn a_row_with_two_members_of_a_oneof_is_refused() {
    let contract = payment();
    let refused = write(&contract, r#"{"n":1,"card":"c","cash":2}"#).unwrap_err();
    assert_eq!(
        refused,
        "cannot write field cash: is set, and so is card; of the definition's oneof how one can be set at most"
    );
    assert!(write(&contract, r#"{"n":1,"card":"c","b":"x","plain":"y"}"#).is_ok());
}

/// As another implementation has it: the last of equal keys, and messages that come twice as one.
#[test]
fn what_comes_twice_is_the_last_or_merged() {
    let contract = defined(
        "tags map<string,int>\nw bigint null\nlists array<array<int>>\nboth map<string,array<int>>",
        "message L { repeated int32 items = 1; } message R { map<string, int32> tags = 1; google.protobuf.Int64Value w = 2; repeated L lists = 3; map<string, L> both = 4; }",
        "R",
    );
    let bytes = [
        // k: 1, j: 3, k: 2; w: 7, then an empty one.
        &b"\x0a\x05\x0a\x01k\x10\x01\x0a\x05\x0a\x01j\x10\x03\x0a\x05\x0a\x01k\x10\x02"[..],
        b"\x12\x02\x08\x07\x12\x00",
        b"\x22\x07\x0a\x01k\x12\x02\x08\x01\x22\x07\x0a\x01k\x12\x02\x08\x02",
    ]
    .concat();
    let theirs = DynamicMessage::decode(definition(&contract).unwrap(), bytes.as_slice()).unwrap();
    let mut reading = decoder(&contract);
    reading.decode(&bytes).unwrap();
    // Another implementation writes what it understood.
    reading.decode(&theirs.encode_to_vec()).unwrap();
    let read = to_json(&contract, &reading.finish().unwrap());
    let values: Vec<Value> = read
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(values[0], values[1]);
    assert_eq!(
        values[0],
        serde_json::json!({"tags": {"k": 2, "j": 3}, "w": 7, "lists": [], "both": {"k": [2]}})
    );
    let lists = defined(
        "l array<array<int>> null",
        "message I { repeated int32 items = 1; } message O { repeated I items = 1; } message R { O l = 1; }",
        "R",
    );
    let mut reading = decoder(&lists);
    reading
        .decode(b"\x0a\x05\x0a\x03\x0a\x01\x01\x0a\x05\x0a\x03\x0a\x01\x02")
        .unwrap();
    assert_eq!(
        to_json(&lists, &reading.finish().unwrap()),
        [r#"{"l":[[1],[2]]}"#]
    );
}
