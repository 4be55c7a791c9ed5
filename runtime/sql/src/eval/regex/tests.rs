//! The answers of `java.util.regex`, stored by `make parity` in `tests/golden/regex.txt`.

use std::fmt::Write as _;

use super::compile;

struct Case {
    pattern: String,
    java: bool,
    /// Text and what Java found in it.
    answers: Vec<(String, String)>,
}

/// `{A}` is the character with that number.
fn read(written: &str) -> String {
    let (mut text, mut rest) = (String::new(), written);
    while let Some((before, after)) = rest.split_once('{') {
        let (number, behind) = after.split_once('}').unwrap();
        text.push_str(before);
        text.push(char::from_u32(u32::from_str_radix(number, 16).unwrap()).unwrap());
        rest = behind;
    }
    text + rest
}

fn cases() -> Vec<Case> {
    let path = "tests/golden/regex.txt";
    let mut cases: Vec<Case> = Vec::new();
    for line in std::fs::read_to_string(path).unwrap().lines() {
        let (kind, rest) = line.split_at(1);
        let rest = rest.trim_start();
        match kind {
            "P" => cases.push(Case {
                pattern: read(rest),
                java: true,
                answers: Vec::new(),
            }),
            "E" => cases.last_mut().unwrap().java = false,
            "T" => {
                let answers = &mut cases.last_mut().unwrap().answers;
                answers.push((read(rest), String::new()));
            }
            _ => {
                let answers = &mut cases.last_mut().unwrap().answers;
                rest.clone_into(&mut answers.last_mut().unwrap().1);
            }
        }
    }
    cases
}

/// All matches with their groups, as the file writes them.
fn found(regex: &super::Regex, text: &str) -> String {
    let place = |byte: usize| text[..byte].chars().count();
    let mut all: Vec<String> = Vec::new();
    regex.matches(text, |start, end| {
        let mut one = format!("{}-{}", place(start), place(end));
        let captures = regex.engine(text).captures_at(text, start).unwrap();
        for group in &regex.groups[1..] {
            match captures.get(*group) {
                None => one.push_str(",-"),
                Some(m) => {
                    let end = m.end().min(regex.end(&captures));
                    write!(one, ",{}-{}", place(m.start().min(end)), place(end)).unwrap();
                }
            }
        }
        all.push(one);
    });
    all.join(";")
}

#[test]
fn a_pattern_finds_what_java_finds_or_is_refused() {
    let (mut refused, mut wrong, mut compared) = (String::new(), String::new(), 0);
    for case in cases() {
        let shown = case.pattern.escape_debug();
        match compile(&case.pattern) {
            Ok(_) if !case.java => writeln!(wrong, "{shown}: Java refuses it").unwrap(),
            Ok(regex) => {
                for (text, java) in &case.answers {
                    compared += 1;
                    let ours = found(&regex, text);
                    if ours != *java {
                        let text = text.escape_debug();
                        writeln!(wrong, "{shown} in \"{text}\": {ours}, Java {java}").unwrap();
                    }
                    let some = regex.is_match(text);
                    assert_eq!(some, !java.is_empty(), "{shown} in {text:?}");
                }
            }
            Err(message) => {
                let java = if case.java { "" } else { "  (Java, too)" };
                let (_, reason) = message.split_once(" can't be used: ").unwrap();
                writeln!(refused, "{shown}{java}\n    {reason}").unwrap();
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(compared > 4000, "only {compared}");
    insta::assert_snapshot!("refused", refused);
}

#[test]
fn sets_and_cases_are_those_of_ascii() {
    let count = |pattern: &str, text: &str| {
        let mut count = 0;
        compile(pattern).unwrap().matches(text, |_, _| count += 1);
        count
    };
    assert_eq!(count(r"^\d+$", "٣"), 0);
    assert_eq!(count(r"\w", "é_x"), 2);
    assert_eq!(count(r"(?i)k", "kK\u{212a}"), 2);
    assert_eq!(count(r"^a$", "a\r\n"), 1);
    assert_eq!(count(r"^a\z", "a\n"), 0);
    assert_eq!(compile("a*").unwrap().replace_all("aab", "-"), "--b-");
    assert_eq!(compile("$").unwrap().replace_all("a\n", "-"), "a-\n-");
}

#[test]
fn a_pattern_has_bounds() {
    assert!(compile(&"(".repeat(5000)).is_err());
    assert!(compile(&"[".repeat(5000)).is_err());
    assert!(compile(&"a".repeat(20_000)).is_err());
    assert!(compile("(((a{100}){100}){100}){100}").is_err());
}
