use super::*;

const LETTER: &str = r#"{"partition":1,"offset":7,"deadLetter":{"reason":"Decode"},"key":null}"#;

fn position(partition: i32, offset: i64, end: Option<i64>) -> PeekPosition {
    PeekPosition {
        partition,
        offset,
        end,
    }
}

fn file(name: &str) -> std::path::PathBuf {
    let name = format!("headworks-dlq-{}-{name}.ndjson", std::process::id());
    let path = std::env::temp_dir().join(name);
    let _ = std::fs::remove_file(&path);
    path
}

#[test]
fn lines_are_written_as_they_came_and_the_pod_says_how_far_it_is() {
    let path = file("whole");
    let mut to = sink(&path, false).unwrap();
    let mut part = Part::new(&mut to, &[]);
    assert!(part.line(LETTER) && !part.is_over());
    assert!(part.line(
        r#"{"peek":"end","records":1,"read":1,"more":true,"positions":[{"partition":0,"offset":4,"end":4},{"partition":1,"offset":8,"end":12}]}"#
    ));
    let ended = part.ended();
    assert!(matches!(ended.end, Some(Ok(true))));
    assert_eq!(
        ended.positions,
        [position(0, 4, Some(4)), position(1, 8, Some(12))]
    );
    assert_eq!(
        std::fs::read_to_string(&path).unwrap(),
        format!("{LETTER}\n")
    );
    assert_eq!(
        go_on(&ended.positions),
        "; what comes after them: --from 0:4,1:8"
    );
    std::fs::remove_file(path).unwrap();
}

#[test]
fn one_that_breaks_off_can_be_gone_on_with_after_what_was_written() {
    let path = file("broken");
    let mut to = sink(&path, false).unwrap();
    let mut part = Part::new(&mut to, &[position(0, 4, None), position(1, 2, Some(9))]);
    assert!(part.line(LETTER));
    assert!(part.line(r#"{"peek":"failed","reason":"KafkaUnavailable","message":"silent"}"#));
    let ended = part.ended();
    assert!(matches!(ended.end, Some(Err(End::Problems))));
    assert_eq!(
        ended.positions,
        [position(0, 4, None), position(1, 8, Some(9))]
    );
    // Where lines were lost, what came counts, too.
    let mut part = Part::new(&mut to, &[]);
    assert!(part.line(LETTER));
    assert!(part.line(
        r#"{"peek":"end","records":5,"read":5,"more":false,"positions":[{"partition":1,"offset":12}]}"#
    ));
    let ended = part.ended();
    assert!(matches!(ended.end, Some(Err(End::Problems))));
    assert_eq!(ended.positions, [position(1, 8, None)]);
    std::fs::remove_file(path).unwrap();
}

#[test]
fn a_file_that_is_there_is_only_gone_on_with() {
    let path = file("there");
    std::fs::write(&path, "before\n").unwrap();
    let Err(error) = sink(&path, false) else {
        panic!("it isn't written over");
    };
    assert!(error.contains("--from"), "{error}");
    let mut to = sink(&path, true).unwrap();
    to.line("after").unwrap();
    to.flush().unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "before\nafter\n");
    std::fs::remove_file(path).unwrap();
}
