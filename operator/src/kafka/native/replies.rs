//! Reading answers. Everything is copied out of librdkafka's event before it is freed.

use std::ptr;

use rdkafka::types::{RDKafkaErrorCode as Code, RDKafkaRespErr};
use rdkafka_sys as sys;

use super::{Reply, string};

/// librdkafka's arrays of pointers.
///
/// # Safety
/// `first` is null or points to `count` pointers that live as long as `'a`.
pub(super) unsafe fn pointers<'a, T>(first: *mut *const T, count: usize) -> &'a [*const T] {
    if first.is_null() {
        return &[];
    }
    // SAFETY: by this function's own condition.
    unsafe { std::slice::from_raw_parts(first, count) }
}

/// An error object that may be null, which means none.
///
/// # Safety
/// The pointer is null or points to a live error.
pub(super) unsafe fn error_object(error: *const sys::rd_kafka_error_t) -> Option<(Code, String)> {
    if error.is_null() {
        return None;
    }
    // SAFETY: by this function's own condition.
    let (code, text) = unsafe {
        (
            sys::rd_kafka_error_code(error),
            string(sys::rd_kafka_error_string(error)),
        )
    };
    failure(code, text)
}

fn failure(code: RDKafkaRespErr, text: String) -> Option<(Code, String)> {
    match Code::from(code) {
        Code::NoError => None,
        code => Some((code, text)),
    }
}

/// What a broker says of one topic.
pub(in crate::kafka) struct TopicAnswer {
    pub(in crate::kafka) name: String,
    pub(in crate::kafka) failure: Option<(Code, String)>,
    pub(in crate::kafka) partitions: i32,
    pub(in crate::kafka) replicas: i32,
}

/// One setting of a topic as a broker tells it.
pub(in crate::kafka) struct ConfigAnswer {
    pub(in crate::kafka) name: String,
    pub(in crate::kafka) value: Option<String>,
    pub(in crate::kafka) on_topic: bool,
}

fn count(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

impl Reply {
    pub(super) fn answers(&self, event: i32) -> bool {
        // SAFETY: the event is live.
        unsafe { sys::rd_kafka_event_type(self.0) == event }
    }

    /// Cluster id and number of brokers, of DescribeCluster.
    pub(in crate::kafka) fn cluster(&self) -> (String, i32) {
        if !self.answers(sys::RD_KAFKA_EVENT_DESCRIBECLUSTER_RESULT) {
            return (String::new(), 0);
        }
        // SAFETY: the event is live and answers DescribeCluster; texts are copied.
        unsafe {
            let result = self.0.cast_const();
            let mut brokers = 0;
            sys::rd_kafka_DescribeCluster_result_nodes(result, &raw mut brokers);
            (
                string(sys::rd_kafka_DescribeCluster_result_cluster_id(result)),
                count(brokers),
            )
        }
    }

    /// Topics, of DescribeTopics.
    pub(in crate::kafka) fn topics(&self) -> Vec<TopicAnswer> {
        if !self.answers(sys::RD_KAFKA_EVENT_DESCRIBETOPICS_RESULT) {
            return Vec::new();
        }
        // SAFETY: the event is live and answers DescribeTopics; everything is copied before it goes.
        unsafe {
            let mut n = 0;
            let first = sys::rd_kafka_DescribeTopics_result_topics(self.0.cast_const(), &raw mut n);
            pointers(first, n)
                .iter()
                .map(|topic| topic_answer(*topic))
                .collect()
        }
    }

    /// Topics and what became of them, of CreateTopics, CreatePartitions and DeleteTopics, whose results are alike.
    pub(in crate::kafka) fn topic_results(&self) -> Vec<TopicAnswer> {
        // SAFETY: the event is live; the accessor is chosen by its type; everything is copied before it goes.
        unsafe {
            let mut n = 0;
            let result = self.0.cast_const();
            let first = match sys::rd_kafka_event_type(self.0) {
                sys::RD_KAFKA_EVENT_CREATETOPICS_RESULT => {
                    sys::rd_kafka_CreateTopics_result_topics(result, &raw mut n)
                }
                sys::RD_KAFKA_EVENT_CREATEPARTITIONS_RESULT => {
                    sys::rd_kafka_CreatePartitions_result_topics(result, &raw mut n)
                }
                sys::RD_KAFKA_EVENT_DELETETOPICS_RESULT => {
                    sys::rd_kafka_DeleteTopics_result_topics(result, &raw mut n)
                }
                _ => ptr::null_mut(),
            };
            pointers(first, n)
                .iter()
                .map(|topic| TopicAnswer {
                    name: string(sys::rd_kafka_topic_result_name(*topic)),
                    failure: failure(
                        sys::rd_kafka_topic_result_error(*topic),
                        string(sys::rd_kafka_topic_result_error_string(*topic)),
                    ),
                    partitions: 0,
                    replicas: 0,
                })
                .collect()
        }
    }

    /// The topic's settings, of DescribeConfigs, or what became of it, of IncrementalAlterConfigs.
    pub(in crate::kafka) fn configs(&self) -> Result<Vec<ConfigAnswer>, (Code, String)> {
        // SAFETY: the event is live; the accessor is chosen by its type; everything is copied before it goes.
        unsafe {
            let mut n = 0;
            let result = self.0.cast_const();
            let first = match sys::rd_kafka_event_type(self.0) {
                sys::RD_KAFKA_EVENT_DESCRIBECONFIGS_RESULT => {
                    sys::rd_kafka_DescribeConfigs_result_resources(result, &raw mut n)
                }
                sys::RD_KAFKA_EVENT_INCREMENTALALTERCONFIGS_RESULT => {
                    sys::rd_kafka_IncrementalAlterConfigs_result_resources(result, &raw mut n)
                }
                _ => ptr::null_mut(),
            };
            let Some(resource) = pointers(first, n).first().copied() else {
                return Err((Code::Fail, "an empty answer".to_owned()));
            };
            let text = string(sys::rd_kafka_ConfigResource_error_string(resource));
            if let Some(failure) = failure(sys::rd_kafka_ConfigResource_error(resource), text) {
                return Err(failure);
            }
            let mut n = 0;
            let first = sys::rd_kafka_ConfigResource_configs(resource, &raw mut n);
            Ok(pointers(first, n)
                .iter()
                .map(|entry| config_answer(*entry))
                .collect())
        }
    }

    /// What became of the group, of DeleteGroups.
    pub(in crate::kafka) fn group(&self) -> Option<(Code, String)> {
        if !self.answers(sys::RD_KAFKA_EVENT_DELETEGROUPS_RESULT) {
            return Some((Code::Fail, "an answer to something else".to_owned()));
        }
        // SAFETY: the event is live and answers DeleteGroups; the error is copied before it goes.
        unsafe {
            let mut n = 0;
            let first = sys::rd_kafka_DeleteGroups_result_groups(self.0.cast_const(), &raw mut n);
            pointers(first, n)
                .first()
                .and_then(|group| error_object(sys::rd_kafka_group_result_error(*group)))
        }
    }
}

/// # Safety
/// The pointer is a live topic description.
unsafe fn topic_answer(topic: *const sys::rd_kafka_TopicDescription_t) -> TopicAnswer {
    // SAFETY: by this function's own condition; the arrays live as long as the description.
    unsafe {
        let (mut partitions, mut replicas) = (0, 0);
        let first = sys::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
        if let Some(partition) = pointers(first, partitions).first() {
            sys::rd_kafka_TopicPartitionInfo_replicas(*partition, &raw mut replicas);
        }
        TopicAnswer {
            name: string(sys::rd_kafka_TopicDescription_name(topic)),
            failure: error_object(sys::rd_kafka_TopicDescription_error(topic)),
            partitions: count(partitions),
            replicas: count(replicas),
        }
    }
}

/// # Safety
/// The pointer is a live configuration entry.
unsafe fn config_answer(entry: *const sys::rd_kafka_ConfigEntry_t) -> ConfigAnswer {
    // SAFETY: by this function's own condition; texts are copied.
    unsafe {
        let value = sys::rd_kafka_ConfigEntry_value(entry);
        ConfigAnswer {
            name: string(sys::rd_kafka_ConfigEntry_name(entry)),
            value: (!value.is_null()).then(|| string(value)),
            on_topic: sys::rd_kafka_ConfigEntry_source(entry)
                == sys::rd_kafka_ConfigSource_t::RD_KAFKA_CONFIG_SOURCE_DYNAMIC_TOPIC_CONFIG,
        }
    }
}
