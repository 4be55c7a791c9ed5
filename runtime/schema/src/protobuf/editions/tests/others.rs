//! Texts that are no contract: of other writers, cut off, and with what is no edition's.

use super::edition;
use crate::protobuf::editions::rewrite;
use crate::protobuf::{message, parse, to_fields};

/// A record of another writer is read as far as it can be: with groups, which no column takes.
#[test]
fn what_a_registry_has_is_read_though_it_is_no_contract() {
    let text = edition(
        "option features.message_encoding = DELIMITED; message A { B b = 1; map<string, B> m = 2; B c = 3 [features.message_encoding = LENGTH_PREFIXED]; message B { int32 x = 1; } }",
    );
    let file = parse(&text).unwrap();
    let message = message(&file, None).unwrap();
    let groups: Vec<bool> = message.fields().map(|field| field.is_group()).collect();
    assert_eq!(groups, [true, false, false]);
}

#[test]
fn a_text_that_is_cut_off_anywhere_is_refused_or_read() {
    let text = edition(
        "option features = { field_presence: IMPLICIT }; message A { int32 a = 1 [features.(pb.cpp).x = Y, deprecated = true]; reserved b, c; oneof o { int32 x = 4; } enum E { Z = 0 [deprecated = true]; } extend A { int32 y = 100; } }",
    );
    for end in (0..text.len()).filter(|end| text.is_char_boundary(*end)) {
        let _ = to_fields(&text[..end], None);
        let _ = to_fields(&text[end..], None);
        let _ = to_fields(&edition(&text[end..]), None);
    }
}

#[test]
fn what_goes_as_a_whole_goes_with_what_would_change_in_it() {
    let text = "edition = \"2023\";\nimport [features.(pb.cpp).string_type = VIEW, a = 1] \"google/protobuf/cpp_features.proto\";\nmessage A { int32 b = 1; }\n";
    let (rewritten, _) = rewrite(text, |_| false).unwrap().unwrap();
    assert_eq!(rewritten.lines().count(), text.lines().count());
    assert!(!rewritten.contains("cpp_features"), "{rewritten}");
    assert!(rewritten.contains("optional int32 b = 1;"), "{rewritten}");
}
