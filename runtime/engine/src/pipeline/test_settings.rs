//! What the stages of tests are set to.

use std::time::Duration;

use headworks_plan::{OnBadRecord, StartFrom};

use super::{InputTopic, Settings};

/// A stage of Pipeline `shop/p` that reads topic `in` from its beginning, and whose dead letters go to `in.dlq`.
pub fn of_tests() -> Settings {
    Settings {
        pipeline: "shop/p".into(),
        inputs: vec![InputTopic {
            topic: "in".into(),
            dead_letter_topic: "in.dlq".into(),
            max_message_bytes: 1_000_000,
        }],
        on_bad_record: OnBadRecord::DeadLetter,
        start_from: StartFrom::Earliest,
        commit_interval: Duration::from_millis(50),
        accept_data_loss: None,
    }
}
