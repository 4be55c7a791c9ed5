//! Sending requests. librdkafka copies what a request holds, so each is freed as soon as it is sent.

use std::{
    collections::BTreeMap,
    ffi::{CString, c_char},
    ptr,
};

use rdkafka_sys as sys;

use super::{Request, c_string, string};
use crate::kafka::{ConfigChange, KafkaError};

/// Something of librdkafka's that is freed when it has been sent.
pub(super) struct Owned<T> {
    pub(super) pointer: *mut T,
    free: unsafe extern "C" fn(*mut T),
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer isn't null (`Request::owned` sees to it), came from the constructor that belongs to `free`,
        // and is freed only here.
        unsafe { (self.free)(self.pointer) }
    }
}

impl Request<'_> {
    pub(super) fn owned<T>(
        &self,
        pointer: *mut T,
        free: unsafe extern "C" fn(*mut T),
        why: &str,
    ) -> Result<Owned<T>, KafkaError> {
        if pointer.is_null() {
            return Err(KafkaError::PolicyRefused {
                doing: self.doing.to_owned(),
                what: why.to_owned(),
            });
        }
        Ok(Owned { pointer, free })
    }

    pub(super) fn text(&self, text: &str) -> Result<CString, KafkaError> {
        c_string(text, self.doing)
    }

    /// DescribeCluster (KIP-700).
    pub(in crate::kafka) fn describe_cluster(&self) {
        // SAFETY: the three handles are live (see `Client::call`).
        unsafe { sys::rd_kafka_DescribeCluster(self.rk, self.options, self.queue) }
    }

    /// DescribeTopics: a metadata request that makes no topic.
    pub(in crate::kafka) fn describe_topics(&self, names: &[String]) -> Result<(), KafkaError> {
        let names = names
            .iter()
            .map(|name| self.text(name))
            .collect::<Result<Vec<_>, _>>()?;
        let mut pointers: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        // SAFETY: `pointers` has as many texts as said, alive until after the call; the collection copies them.
        unsafe {
            let topics =
                sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
            let topics = self.owned(topics, sys::rd_kafka_TopicCollection_destroy, "no topics")?;
            sys::rd_kafka_DescribeTopics(self.rk, topics.pointer, self.options, self.queue);
        }
        Ok(())
    }

    /// DescribeConfigs of one topic.
    pub(in crate::kafka) fn describe_config(&self, topic: &str) -> Result<(), KafkaError> {
        let resource = self.topic_resource(topic)?;
        // SAFETY: one live resource, freed by its guard after it is sent.
        unsafe {
            let mut all = [resource.pointer];
            sys::rd_kafka_DescribeConfigs(
                self.rk,
                all.as_mut_ptr(),
                all.len(),
                self.options,
                self.queue,
            );
        }
        Ok(())
    }

    /// IncrementalAlterConfigs (KIP-339) of one topic: sets some settings, takes others back to the broker's
    /// default, leaves the rest alone.
    pub(in crate::kafka) fn alter_config(
        &self,
        topic: &str,
        changes: &[ConfigChange],
    ) -> Result<(), KafkaError> {
        use sys::rd_kafka_AlterConfigOpType_t as Op;
        let resource = self.topic_resource(topic)?;
        for change in changes {
            let (name, operation, value) = match change {
                ConfigChange::Set(name, value) => {
                    (name, Op::RD_KAFKA_ALTER_CONFIG_OP_TYPE_SET, Some(value))
                }
                ConfigChange::Delete(name) => {
                    (name, Op::RD_KAFKA_ALTER_CONFIG_OP_TYPE_DELETE, None)
                }
            };
            let name = self.text(name)?;
            let value = value.map(|value| self.text(value)).transpose()?;
            let value = value.as_ref().map_or(ptr::null(), |value| value.as_ptr());
            // SAFETY: a live resource; both texts live until after the call, which copies them; the error is freed.
            let refused = unsafe {
                let error = sys::rd_kafka_ConfigResource_add_incremental_config(
                    resource.pointer,
                    name.as_ptr(),
                    operation,
                    value,
                );
                if error.is_null() {
                    None
                } else {
                    let text = string(sys::rd_kafka_error_string(error));
                    sys::rd_kafka_error_destroy(error);
                    Some(text)
                }
            };
            if let Some(what) = refused {
                return Err(KafkaError::PolicyRefused {
                    doing: self.doing.to_owned(),
                    what,
                });
            }
        }
        // SAFETY: one live resource, freed by its guard after it is sent.
        unsafe {
            let mut all = [resource.pointer];
            sys::rd_kafka_IncrementalAlterConfigs(
                self.rk,
                all.as_mut_ptr(),
                all.len(),
                self.options,
                self.queue,
            );
        }
        Ok(())
    }

    /// CreateTopics for one topic; -1 for partitions or replicas means the broker's default (KIP-464).
    pub(in crate::kafka) fn create_topic(
        &self,
        name: &str,
        partitions: i32,
        replicas: i32,
        config: &BTreeMap<String, String>,
    ) -> Result<(), KafkaError> {
        let name = self.text(name)?;
        let mut why = [0 as c_char; 256];
        // SAFETY: the name lives until after the call, `why` is as long as said and ends with a zero byte.
        let (topic, why) = unsafe {
            let topic = sys::rd_kafka_NewTopic_new(
                name.as_ptr(),
                partitions,
                replicas,
                why.as_mut_ptr(),
                why.len(),
            );
            (topic, string(why.as_ptr()))
        };
        let topic = self.owned(topic, sys::rd_kafka_NewTopic_destroy, &why)?;
        for (name, value) in config {
            let (name, value) = (self.text(name)?, self.text(value)?);
            // SAFETY: a live topic; both texts live until after the call, which copies them.
            unsafe {
                sys::rd_kafka_NewTopic_set_config(topic.pointer, name.as_ptr(), value.as_ptr())
            };
        }
        // SAFETY: one live topic, freed by its guard after it is sent.
        unsafe {
            let mut all = [topic.pointer];
            sys::rd_kafka_CreateTopics(
                self.rk,
                all.as_mut_ptr(),
                all.len(),
                self.options,
                self.queue,
            );
        }
        Ok(())
    }

    /// CreatePartitions: raises a topic's partitions to `total`.
    pub(in crate::kafka) fn create_partitions(
        &self,
        topic: &str,
        total: i32,
    ) -> Result<(), KafkaError> {
        let name = self.text(topic)?;
        let total = usize::try_from(total).unwrap_or_default();
        let mut why = [0 as c_char; 256];
        // SAFETY: the name lives until after the call, `why` is as long as said and ends with a zero byte.
        let (partitions, why) = unsafe {
            let partitions =
                sys::rd_kafka_NewPartitions_new(name.as_ptr(), total, why.as_mut_ptr(), why.len());
            (partitions, string(why.as_ptr()))
        };
        let partitions = self.owned(partitions, sys::rd_kafka_NewPartitions_destroy, &why)?;
        // SAFETY: one live object, freed by its guard after it is sent.
        unsafe {
            let mut all = [partitions.pointer];
            sys::rd_kafka_CreatePartitions(
                self.rk,
                all.as_mut_ptr(),
                all.len(),
                self.options,
                self.queue,
            );
        }
        Ok(())
    }

    /// DeleteTopics for one topic.
    pub(in crate::kafka) fn delete_topic(&self, topic: &str) -> Result<(), KafkaError> {
        let name = self.text(topic)?;
        // SAFETY: the name lives until after the call, which copies it.
        let topic = unsafe { sys::rd_kafka_DeleteTopic_new(name.as_ptr()) };
        let topic = self.owned(topic, sys::rd_kafka_DeleteTopic_destroy, "no topic")?;
        // SAFETY: one live object, freed by its guard after it is sent.
        unsafe {
            let mut all = [topic.pointer];
            sys::rd_kafka_DeleteTopics(
                self.rk,
                all.as_mut_ptr(),
                all.len(),
                self.options,
                self.queue,
            );
        }
        Ok(())
    }

    /// DeleteGroups for one group.
    pub(in crate::kafka) fn delete_group(&self, group: &str) -> Result<(), KafkaError> {
        let name = self.text(group)?;
        // SAFETY: the name lives until after the call, which copies it.
        let group = unsafe { sys::rd_kafka_DeleteGroup_new(name.as_ptr()) };
        let group = self.owned(group, sys::rd_kafka_DeleteGroup_destroy, "no group")?;
        // SAFETY: one live object, freed by its guard after it is sent.
        unsafe {
            let mut all = [group.pointer];
            sys::rd_kafka_DeleteGroups(
                self.rk,
                all.as_mut_ptr(),
                all.len(),
                self.options,
                self.queue,
            );
        }
        Ok(())
    }

    fn topic_resource(
        &self,
        topic: &str,
    ) -> Result<Owned<sys::rd_kafka_ConfigResource_t>, KafkaError> {
        let name = self.text(topic)?;
        let kind = sys::rd_kafka_ResourceType_t::RD_KAFKA_RESOURCE_TOPIC;
        // SAFETY: the name lives until after the call, which copies it.
        let resource = unsafe { sys::rd_kafka_ConfigResource_new(kind, name.as_ptr()) };
        self.owned(resource, sys::rd_kafka_ConfigResource_destroy, "no topic")
    }
}
