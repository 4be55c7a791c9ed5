//! What a user may use of each broker (KIP-546). librdkafka has no call for it: [`super::wire`] asks by itself.

use kafka_protocol::{
    messages::{
        AlterClientQuotasRequest, AlterClientQuotasResponse, ApiKey, DescribeClientQuotasRequest,
        DescribeClientQuotasResponse,
        alter_client_quotas_request::{EntityData, EntryData, OpData},
        describe_client_quotas_request::ComponentData,
    },
    protocol::StrBytes,
};

use super::{Admin, KafkaError, wire::Wire};

const USER: &str = "user";
const PRODUCER: &str = "producer_byte_rate";
const CONSUMER: &str = "consumer_byte_rate";
const REQUESTS: &str = "request_percentage";

/// What a user may use of each broker. Absent: what the cluster gives everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Quota {
    /// Bytes a second that it may write.
    pub producer_bytes: Option<f64>,
    /// Bytes a second that it may read.
    pub consumer_bytes: Option<f64>,
    /// Per cent of a broker's request threads.
    pub request_percentage: Option<f64>,
}

impl Quota {
    fn entries(&self) -> [(&'static str, Option<f64>); 3] {
        [
            (PRODUCER, self.producer_bytes),
            (CONSUMER, self.consumer_bytes),
            (REQUESTS, self.request_percentage),
        ]
    }
}

impl Admin {
    /// A user's quota.
    ///
    /// # Errors
    /// [`KafkaError::NotAuthorized`] without the ACL DescribeConfigs of the cluster; other [`KafkaError`]s as for every call.
    pub async fn quota(&self, user: &str) -> Result<Quota, KafkaError> {
        let doing = format!("describe the quota of user {user}");
        let request = DescribeClientQuotasRequest::default()
            .with_components(vec![
                ComponentData::default()
                    .with_entity_type(StrBytes::from_static_str(USER))
                    .with_match_type(0)
                    .with_match(Some(StrBytes::from_string(user.to_owned()))),
            ])
            .with_strict(true);
        let mut wire = Wire::connect(&self.connection).await?;
        let answer: DescribeClientQuotasResponse = wire
            .ask(ApiKey::DescribeClientQuotas, 0, &request, &doing)
            .await?;
        refused(answer.error_code, answer.error_message.as_deref(), &doing)?;
        let mut quota = Quota::default();
        for entry in answer.entries.iter().flatten() {
            for value in &entry.values {
                match value.key.as_str() {
                    PRODUCER => quota.producer_bytes = Some(value.value),
                    CONSUMER => quota.consumer_bytes = Some(value.value),
                    REQUESTS => quota.request_percentage = Some(value.value),
                    _ => {}
                }
            }
        }
        Ok(quota)
    }

    /// Gives a user exactly this quota.
    ///
    /// # Errors
    /// [`KafkaError::NotAuthorized`] without the ACL AlterConfigs of the cluster; other [`KafkaError`]s as for every call.
    pub async fn set_quota(&self, user: &str, quota: Quota) -> Result<(), KafkaError> {
        let doing = format!("set the quota of user {user}");
        let entity = EntityData::default()
            .with_entity_type(StrBytes::from_static_str(USER))
            .with_entity_name(Some(StrBytes::from_string(user.to_owned())));
        let ops = quota.entries().map(|(key, value)| {
            OpData::default()
                .with_key(StrBytes::from_static_str(key))
                .with_value(value.unwrap_or_default())
                .with_remove(value.is_none())
        });
        let entry = EntryData::default()
            .with_entity(vec![entity])
            .with_ops(ops.into());
        let request = AlterClientQuotasRequest::default().with_entries(vec![entry]);
        let mut wire = Wire::connect(&self.connection).await?;
        let answer: AlterClientQuotasResponse = wire
            .ask(ApiKey::AlterClientQuotas, 0, &request, &doing)
            .await?;
        for entry in &answer.entries {
            refused(entry.error_code, entry.error_message.as_deref(), &doing)?;
        }
        Ok(())
    }
}

/// A broker's error as ours.
fn refused(code: i16, text: Option<&str>, doing: &str) -> Result<(), KafkaError> {
    if code == 0 {
        return Ok(());
    }
    let code = super::wire::code(code);
    Err(KafkaError::from_code(
        code,
        text.unwrap_or_default(),
        doing,
        "",
    ))
}
