//! What is replayed, from where and into what.

use super::*;

#[test]
fn what_a_replay_does_is_said_once() {
    let letters = |more: Value| with(json!({"deadLetterOf": "orders"}), &more);
    refused!(
        replay(json!({"from": {}})),
        "exactly one of deadLetterOf and stream"
    );
    let both = json!({"deadLetterOf": "orders", "stream": "orders"});
    refused!(
        replay(json!({"from": both})),
        "exactly one of deadLetterOf and stream"
    );
    let late = letters(json!({"reasons": ["Late"], "rules": ["sane"], "by": ["p"]}));
    accepted!(replay(json!({"from": late})));
    for selects in [
        json!({"reasons": ["Late"]}),
        json!({"rules": ["a"]}),
        json!({"by": ["p"]}),
    ] {
        let from = with(json!({"stream": "orders"}), &selects);
        refused!(replay(json!({"from": from})), "they go with deadLetterOf");
    }
    for (field, value) in [("fix", json!("SELECT 1")), ("into", json!({"stream": "b"}))] {
        let words = format!("{field} can't change");
        refused!(replay(json!({})) => replay(json!({field: value})), &words);
        refused!(replay(json!({field: value})) => replay(json!({})), &words);
        accepted!(replay(json!({field: value})) => replay(json!({field: value})));
    }
    let late = letters(json!({"reasons": ["Late"]}));
    for into in [json!({}), json!({"stream": "b", "pipeline": "p"})] {
        refused!(
            replay(json!({"into": into})),
            "exactly one of stream and pipeline"
        );
    }
    accepted!(replay(json!({"into": {"pipeline": "p"}})));
    refused!(replay(json!({})) => replay(json!({"from": late})), "from can't change");
    let slower = json!({"recordsPerSecond": "5", "approved": true, "suspend": true});
    accepted!(replay(json!({})) => replay(slower));
}
