use super::*;

fn letter(text: &str) -> Letter {
    match line(text) {
        Line::Letter(letter) => *letter,
        other => panic!("{other:?}"),
    }
}

/// One that a rule refused, one that a source couldn't take, and one that somebody else wrote.
const LETTERS: [&str; 4] = [
    r#"{"partition":0,"offset":12,"timestamp":"2026-01-01T00:00:00.000Z","deadLetter":{"time":"2026-01-01T00:00:05Z","reason":"Quality","error":"rule orders-sane, check positive: amount > 0 is false","rule":"orders-sane","ruleGeneration":"3","check":"positive","field":"amount","pipeline":"shop/big","origin":{"topic":"shop.orders","partition":"3","offset":"977"}},"key":"o-1","value":{"id":"o-1","amount":9007199254740993,"email":"***"}}"#,
    r#"{"partition":11,"offset":1,"timestamp":"2026-01-01T00:00:00.000Z","deadLetter":{"time":"2026-01-01T00:00:06Z","reason":"Decode","error":"not JSON: expected value at line 1 column 1; this is a long story that goes on and on and on","source":"shop/web"},"key":null,"error":{"reason":"Decode","message":"not JSON"},"raw":"YnJva2VuIMO8","bytes":5000}"#,
    r#"{"partition":0,"offset":13,"timestamp":null,"deadLetter":{"reason":"TooLarge","error":"x","truncated":"2000","pipeline":"shop/big","origin":{"topic":"shop.orders","partition":"0","offset":"1"}},"key":{"base64":"/wA="},"error":{"reason":"Decode","message":"no Avro"},"raw":"/wABAg==","bytes":4}"#,
    r#"{"partition":0,"offset":14,"timestamp":null,"deadLetter":{"reason":"Contract","error":"the message may quote a masked field; --unmask shows it"},"key":"***","error":{"reason":"Contract","message":"hidden"},"bytes":44}"#,
];

#[test]
fn dead_letters_are_rows() {
    for wide in [false, true] {
        let rows = LETTERS.iter().map(|text| letter(text).row(wide));
        let rows: Vec<String> = std::iter::once(head(wide)).chain(rows).collect();
        let name = if wide { "wide_rows" } else { "rows" };
        insta::assert_snapshot!(name, rows.join("\n"));
    }
}

#[test]
fn times_have_the_room_of_milliseconds() {
    for (said, shown) in [
        ("2026-01-01T00:00:05.543874563Z", "2026-01-01T00:00:05.543Z"),
        ("2026-01-01T00:00:05.500Z", "2026-01-01T00:00:05.500Z"),
        ("2026-01-01T00:00:05Z", "2026-01-01T00:00:05Z"),
        ("soon", "soon"),
    ] {
        assert_eq!(in_millis(said), shown);
    }
}

#[test]
fn one_is_shown_with_all_that_is_known() {
    let texts = LETTERS.iter().map(|text| letter(text).text());
    insta::assert_snapshot!(texts.collect::<Vec<_>>().join("\n"));
}

#[test]
fn nothing_in_a_dead_letter_reaches_the_terminal_as_a_command() {
    let evil = letter(
        r#"{"partition":0,"offset":1,"deadLetter":{"reason":"\u001b[2J","error":"\u001b[31m","rule":"\u001b[r","check":"\u0007","pipeline":"\u001b]0;x","origin":{"topic":"\u001b","partition":"0","offset":"1"}},"key":"\u001b","error":{"reason":"Decode","message":"\u001b"},"raw":"G1syShs=","bytes":5}"#,
    );
    for text in [evil.row(false), evil.row(true), evil.text()] {
        let commands = text.chars().filter(|c| c.is_control() && *c != '\n');
        assert_eq!(commands.count(), 0, "{text:?}");
    }
}

#[test]
fn what_is_no_dead_letter_is_told_apart() {
    assert!(matches!(
        line(r#"{"peek":"end","records":1,"read":2,"more":false}"#),
        Line::Peek(PeekLine::End { .. })
    ));
    for log in [r#"{"partition":0,"offset":1}"#, "exec format error", ""] {
        assert!(matches!(line(log), Line::Log), "{log}");
    }
}
