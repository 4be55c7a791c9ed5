//! Requests and answers about users: their SCRAM credentials (KIP-554).

use std::{
    ffi::{c_char, c_int},
    ptr,
};

use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka_sys as sys;
use sys::rd_kafka_ScramMechanism_t as Mechanism;

use super::{
    Reply, Request,
    replies::{error_object, pointers},
    string,
};
use crate::kafka::{KafkaError, Scram};

/// Rounds of hashing that a password costs: Kafka's own default and least.
const ITERATIONS: c_int = 4096;
/// What a broker says of one user's SCRAM credentials.
pub(in crate::kafka) struct ScramAnswer {
    pub(in crate::kafka) name: String,
    pub(in crate::kafka) failure: Option<(Code, String)>,
    pub(in crate::kafka) has_sha512: bool,
}

impl Request<'_> {
    /// DescribeUserScramCredentials.
    pub(in crate::kafka) fn describe_scram(&self, users: &[String]) -> Result<(), KafkaError> {
        let users = users
            .iter()
            .map(|user| self.text(user))
            .collect::<Result<Vec<_>, _>>()?;
        let mut pointers: Vec<*const c_char> = users.iter().map(|user| user.as_ptr()).collect();
        // SAFETY: as many texts as said, alive until after the call, which copies them.
        unsafe {
            sys::rd_kafka_DescribeUserScramCredentials(
                self.rk,
                pointers.as_mut_ptr(),
                pointers.len(),
                self.options,
                self.queue,
            );
        }
        Ok(())
    }

    /// AlterUserScramCredentials: a password. librdkafka makes the salt.
    pub(in crate::kafka) fn upsert_scram(&self, user: &Scram) -> Result<(), KafkaError> {
        let name = self.text(&user.username)?;
        let password = user.password.as_bytes();
        // SAFETY: name and password live until after the call, which copies them; no salt is given.
        let alteration = unsafe {
            sys::rd_kafka_UserScramCredentialUpsertion_new(
                name.as_ptr(),
                Mechanism::RD_KAFKA_SCRAM_MECHANISM_SHA_512,
                ITERATIONS,
                password.as_ptr(),
                password.len(),
                ptr::null(),
                0,
            )
        };
        self.alter_scram(alteration)
    }

    /// AlterUserScramCredentials: a user goes.
    pub(in crate::kafka) fn delete_scram(&self, user: &str) -> Result<(), KafkaError> {
        let name = self.text(user)?;
        // SAFETY: the name lives until after the call, which copies it.
        let alteration = unsafe {
            sys::rd_kafka_UserScramCredentialDeletion_new(
                name.as_ptr(),
                Mechanism::RD_KAFKA_SCRAM_MECHANISM_SHA_512,
            )
        };
        self.alter_scram(alteration)
    }

    fn alter_scram(
        &self,
        alteration: *mut sys::rd_kafka_UserScramCredentialAlteration_t,
    ) -> Result<(), KafkaError> {
        let alteration = self.owned(
            alteration,
            sys::rd_kafka_UserScramCredentialAlteration_destroy,
            "no user",
        )?;
        let mut all = [alteration.pointer];
        // SAFETY: one live alteration, freed by its guard after it is sent.
        unsafe {
            sys::rd_kafka_AlterUserScramCredentials(
                self.rk,
                all.as_mut_ptr(),
                all.len(),
                self.options,
                self.queue,
            );
        }
        Ok(())
    }
}

impl Reply {
    /// Users, of DescribeUserScramCredentials.
    pub(in crate::kafka) fn scram_users(&self) -> Vec<ScramAnswer> {
        if !self.answers(sys::RD_KAFKA_EVENT_DESCRIBEUSERSCRAMCREDENTIALS_RESULT) {
            return Vec::new();
        }
        // SAFETY: the event is live and answers DescribeUserScramCredentials; everything is copied before it goes.
        unsafe {
            let mut n = 0;
            let first = sys::rd_kafka_DescribeUserScramCredentials_result_descriptions(
                self.0.cast_const(),
                &raw mut n,
            );
            let users = pointers(first, n).iter();
            users
                .map(|user| {
                    let n = sys::rd_kafka_UserScramCredentialsDescription_scramcredentialinfo_count(
                        *user,
                    );
                    ScramAnswer {
                        name: string(sys::rd_kafka_UserScramCredentialsDescription_user(*user)),
                        failure: error_object(sys::rd_kafka_UserScramCredentialsDescription_error(
                            *user,
                        )),
                        has_sha512: (0..n).any(|i| {
                            let one =
                                sys::rd_kafka_UserScramCredentialsDescription_scramcredentialinfo(
                                    *user, i,
                                );
                            sys::rd_kafka_ScramCredentialInfo_mechanism(one)
                                == Mechanism::RD_KAFKA_SCRAM_MECHANISM_SHA_512
                        }),
                    }
                })
                .collect()
        }
    }

    /// What became of each user, of AlterUserScramCredentials.
    pub(in crate::kafka) fn altered_scram(&self) -> Option<Vec<Option<(Code, String)>>> {
        if !self.answers(sys::RD_KAFKA_EVENT_ALTERUSERSCRAMCREDENTIALS_RESULT) {
            return None;
        }
        // SAFETY: the event is live and answers AlterUserScramCredentials; errors are copied before it goes.
        unsafe {
            let mut n = 0;
            let first = sys::rd_kafka_AlterUserScramCredentials_result_responses(
                self.0.cast_const(),
                &raw mut n,
            );
            let users = pointers(first, n).iter();
            Some(
                users
                    .map(|user| {
                        error_object(
                            sys::rd_kafka_AlterUserScramCredentials_result_response_error(*user),
                        )
                    })
                    .collect(),
            )
        }
    }
}
