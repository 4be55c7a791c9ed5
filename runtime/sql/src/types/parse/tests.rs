use super::*;

fn parse(text: &str) -> Result<DataType, TypeError> {
    text.parse()
}

#[test]
fn every_canonical_text_reads_back_as_itself() {
    for text in [
        "boolean",
        "int",
        "bigint",
        "float",
        "double",
        "decimal(12,2)",
        "decimal(38,38)",
        "string",
        "bytes",
        "date",
        "time",
        "timestamp(0)",
        "timestamp(3)",
        "timestamp_ltz(6)",
        "array<int>",
        "map<string,array<decimal(5,1)>>",
        "struct<sku string, qty int not null, `content-type` map<string,bigint>>",
        "array<struct<a struct<b int>>>",
    ] {
        assert_eq!(parse(text).unwrap().to_string(), text);
    }
    assert_eq!(
        parse(" array < struct<  a  int,b string> > ")
            .unwrap()
            .to_string(),
        "array<struct<a int, b string>>"
    );
}

#[test]
fn a_synonym_is_refused_with_the_canonical_word() {
    for (text, meant) in [
        ("varchar", "string"),
        ("BIGINT", "bigint"),
        ("integer", "int"),
        ("Timestamp", "timestamp(3)"),
        ("strnig", "string"),
        ("row<a int>", "struct<name string>"),
        ("decimal", "decimal(12,2)"),
        ("decimal(7)", "decimal(7,0)"),
        ("timestamp_ltz", "timestamp_ltz(3)"),
        ("timestamp(9)", "timestamp(6)"),
        ("datetime", "timestamp(3)"),
    ] {
        assert_eq!(
            parse(text).unwrap_err().suggestion.as_deref(),
            Some(meant),
            "{text}"
        );
    }
}

#[test]
fn an_error_names_its_place() {
    for (text, position) in [
        ("array<strin>", 7),
        ("struct<a int, a int>", 15),
        ("decimal(39,2)", 9),
        ("decimal(5,6)", 11),
        ("map<int,string>", 5),
        ("int int", 5),
        ("", 1),
        ("struct<>", 8),
        ("struct<a int nott null>", 14),
        ("array<int", 10),
        ("struct<`ü int>", 8),
        ("struct<`é` in>", 12),
    ] {
        let error = parse(text).unwrap_err();
        assert_eq!(error.position, position, "{text}: {error}");
    }
}

#[test]
fn a_very_deep_type_is_refused_and_does_not_overflow_the_stack() {
    let deep = "array<".repeat(2000);
    assert!(parse(&deep).unwrap_err().message.contains("levels deep"));
    assert!(parse(&"a".repeat(20_000)).is_err());
}
