//! Requests and answers about users: what they may do (ACLs: KIP-140, KIP-290).

use std::{collections::BTreeSet, ffi::c_char, ptr};

use rdkafka::types::RDKafkaErrorCode as Code;
use rdkafka_sys as sys;
use sys::{
    rd_kafka_AclOperation_t as Op, rd_kafka_AclPermissionType_t as Permission,
    rd_kafka_ResourcePatternType_t as Kind, rd_kafka_ResourceType_t as Type,
};

use super::{
    Reply, Request,
    replies::{error_object, pointers},
    requests::Owned,
    string,
};
use crate::kafka::{Acl, Held, KafkaError, Operation, Pattern, Resource};

/// Rules hold from everywhere.
const ANY_HOST: &str = "*";

impl Request<'_> {
    /// DescribeAcls of one principal.
    pub(in crate::kafka) fn describe_acls(&self, principal: &str) -> Result<(), KafkaError> {
        let filter = self.acl_filter(principal, None)?;
        // SAFETY: one live filter, freed by its guard after it is sent.
        unsafe { sys::rd_kafka_DescribeAcls(self.rk, filter.pointer, self.options, self.queue) };
        Ok(())
    }

    /// CreateAcls for one principal.
    pub(in crate::kafka) fn create_acls(
        &self,
        principal: &str,
        acls: &[Acl],
    ) -> Result<(), KafkaError> {
        let bindings = acls
            .iter()
            .map(|acl| self.acl_binding(principal, acl))
            .collect::<Result<Vec<_>, _>>()?;
        let mut pointers: Vec<_> = bindings.iter().map(|b| b.pointer).collect();
        // SAFETY: as many live bindings as said, freed by their guards after they are sent.
        unsafe {
            sys::rd_kafka_CreateAcls(
                self.rk,
                pointers.as_mut_ptr(),
                pointers.len(),
                self.options,
                self.queue,
            );
        }
        Ok(())
    }

    /// DeleteAcls of exactly these.
    pub(in crate::kafka) fn delete_acls(
        &self,
        principal: &str,
        acls: &[Acl],
    ) -> Result<(), KafkaError> {
        let filters = acls
            .iter()
            .map(|acl| self.acl_filter(principal, Some(acl)))
            .collect::<Result<Vec<_>, _>>()?;
        self.send_delete_acls(&filters);
        Ok(())
    }

    /// DeleteAcls of everything that a principal has.
    pub(in crate::kafka) fn delete_all_acls(&self, principal: &str) -> Result<(), KafkaError> {
        let filter = self.acl_filter(principal, None)?;
        self.send_delete_acls(&[filter]);
        Ok(())
    }

    fn send_delete_acls(&self, filters: &[Owned<sys::rd_kafka_AclBindingFilter_t>]) {
        let mut pointers: Vec<_> = filters.iter().map(|f| f.pointer).collect();
        // SAFETY: as many live filters as said, freed by their guards after they are sent.
        unsafe {
            sys::rd_kafka_DeleteAcls(
                self.rk,
                pointers.as_mut_ptr(),
                pointers.len(),
                self.options,
                self.queue,
            );
        }
    }

    fn acl_binding(
        &self,
        principal: &str,
        acl: &Acl,
    ) -> Result<Owned<sys::rd_kafka_AclBinding_t>, KafkaError> {
        let (name, principal) = (self.text(&acl.name)?, self.text(principal)?);
        let host = self.text(ANY_HOST)?;
        let mut why = [0 as c_char; 256];
        // SAFETY: the texts live until after the call, which copies them; `why` is as long as said and ends with a zero byte.
        let (binding, why) = unsafe {
            let binding = sys::rd_kafka_AclBinding_new(
                resource(acl.resource),
                name.as_ptr(),
                pattern(acl.pattern),
                principal.as_ptr(),
                host.as_ptr(),
                operation(acl.operation),
                Permission::RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW,
                why.as_mut_ptr(),
                why.len(),
            );
            (binding, string(why.as_ptr()))
        };
        self.owned(binding, sys::rd_kafka_AclBinding_destroy, &why)
    }

    /// A filter for one rule of a principal, or for all that it has.
    fn acl_filter(
        &self,
        principal: &str,
        acl: Option<&Acl>,
    ) -> Result<Owned<sys::rd_kafka_AclBindingFilter_t>, KafkaError> {
        let principal = self.text(principal)?;
        let name = acl.map(|acl| self.text(&acl.name)).transpose()?;
        let host = acl.map(|_| self.text(ANY_HOST)).transpose()?;
        let mut why = [0 as c_char; 256];
        // SAFETY: as in `acl_binding`; null stands for any.
        let (filter, why) = unsafe {
            let filter = sys::rd_kafka_AclBindingFilter_new(
                acl.map_or(Type::RD_KAFKA_RESOURCE_ANY, |a| resource(a.resource)),
                name.as_ref().map_or(ptr::null(), |n| n.as_ptr()),
                acl.map_or(Kind::RD_KAFKA_RESOURCE_PATTERN_ANY, |a| pattern(a.pattern)),
                principal.as_ptr(),
                host.as_ref().map_or(ptr::null(), |h| h.as_ptr()),
                acl.map_or(Op::RD_KAFKA_ACL_OPERATION_ANY, |a| operation(a.operation)),
                acl.map_or(Permission::RD_KAFKA_ACL_PERMISSION_TYPE_ANY, |_| {
                    Permission::RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW
                }),
                why.as_mut_ptr(),
                why.len(),
            );
            (filter, string(why.as_ptr()))
        };
        self.owned(filter, sys::rd_kafka_AclBinding_destroy, &why)
    }
}

impl Reply {
    /// Rules, of DescribeAcls.
    pub(in crate::kafka) fn described_acls(&self) -> Held {
        if !self.answers(sys::RD_KAFKA_EVENT_DESCRIBEACLS_RESULT) {
            return Held::default();
        }
        // SAFETY: the event is live and answers DescribeAcls; everything is copied before it goes.
        unsafe {
            let mut n = 0;
            let first = sys::rd_kafka_DescribeAcls_result_acls(self.0.cast_const(), &raw mut n);
            let bindings = pointers(first, n);
            let acls: BTreeSet<Acl> = bindings.iter().filter_map(|b| acl(*b)).collect();
            let others = bindings.iter().filter(|b| acl(**b).is_none()).count();
            Held { acls, others }
        }
    }

    /// What became of each rule, of CreateAcls.
    pub(in crate::kafka) fn created_acls(&self) -> Option<Vec<Option<(Code, String)>>> {
        if !self.answers(sys::RD_KAFKA_EVENT_CREATEACLS_RESULT) {
            return None;
        }
        // SAFETY: the event is live and answers CreateAcls; errors are copied before it goes.
        unsafe {
            let mut n = 0;
            let first = sys::rd_kafka_CreateAcls_result_acls(self.0.cast_const(), &raw mut n);
            let results = pointers(first, n).iter();
            Some(
                results
                    .map(|result| error_object(sys::rd_kafka_acl_result_error(*result)))
                    .collect(),
            )
        }
    }

    /// What became of each filter and of each rule that it matched, of DeleteAcls.
    pub(in crate::kafka) fn deleted_acls(&self) -> Option<Vec<Option<(Code, String)>>> {
        if !self.answers(sys::RD_KAFKA_EVENT_DELETEACLS_RESULT) {
            return None;
        }
        // SAFETY: the event is live and answers DeleteAcls; errors are copied before it goes.
        unsafe {
            let mut n = 0;
            let first = sys::rd_kafka_DeleteAcls_result_responses(self.0.cast_const(), &raw mut n);
            let mut all = Vec::new();
            for response in pointers(first, n) {
                all.push(error_object(
                    sys::rd_kafka_DeleteAcls_result_response_error(*response),
                ));
                let mut n = 0;
                let first =
                    sys::rd_kafka_DeleteAcls_result_response_matching_acls(*response, &raw mut n);
                for binding in pointers(first, n) {
                    all.push(error_object(sys::rd_kafka_AclBinding_error(*binding)));
                }
            }
            Some(all)
        }
    }
}

/// A rule as Headworks makes them; none for any other.
///
/// # Safety
/// The pointer is a live binding.
unsafe fn acl(binding: *const sys::rd_kafka_AclBinding_t) -> Option<Acl> {
    // SAFETY: by this function's own condition; texts are copied.
    unsafe {
        let allowed = sys::rd_kafka_AclBinding_permission_type(binding)
            == Permission::RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW;
        if !allowed || string(sys::rd_kafka_AclBinding_host(binding)) != ANY_HOST {
            return None;
        }
        Some(Acl {
            resource: match sys::rd_kafka_AclBinding_restype(binding) {
                Type::RD_KAFKA_RESOURCE_TOPIC => Resource::Topic,
                Type::RD_KAFKA_RESOURCE_GROUP => Resource::Group,
                Type::RD_KAFKA_RESOURCE_TRANSACTIONAL_ID => Resource::TransactionalId,
                _ => return None,
            },
            name: string(sys::rd_kafka_AclBinding_name(binding)),
            pattern: match sys::rd_kafka_AclBinding_resource_pattern_type(binding) {
                Kind::RD_KAFKA_RESOURCE_PATTERN_LITERAL => Pattern::Literal,
                Kind::RD_KAFKA_RESOURCE_PATTERN_PREFIXED => Pattern::Prefixed,
                _ => return None,
            },
            operation: match sys::rd_kafka_AclBinding_operation(binding) {
                Op::RD_KAFKA_ACL_OPERATION_READ => Operation::Read,
                Op::RD_KAFKA_ACL_OPERATION_WRITE => Operation::Write,
                Op::RD_KAFKA_ACL_OPERATION_DESCRIBE => Operation::Describe,
                Op::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS => Operation::DescribeConfigs,
                Op::RD_KAFKA_ACL_OPERATION_DELETE => Operation::Delete,
                _ => return None,
            },
        })
    }
}

fn resource(resource: Resource) -> Type {
    match resource {
        Resource::Topic => Type::RD_KAFKA_RESOURCE_TOPIC,
        Resource::Group => Type::RD_KAFKA_RESOURCE_GROUP,
        Resource::TransactionalId => Type::RD_KAFKA_RESOURCE_TRANSACTIONAL_ID,
    }
}

fn pattern(pattern: Pattern) -> Kind {
    match pattern {
        Pattern::Literal => Kind::RD_KAFKA_RESOURCE_PATTERN_LITERAL,
        Pattern::Prefixed => Kind::RD_KAFKA_RESOURCE_PATTERN_PREFIXED,
    }
}

fn operation(operation: Operation) -> Op {
    match operation {
        Operation::Read => Op::RD_KAFKA_ACL_OPERATION_READ,
        Operation::Write => Op::RD_KAFKA_ACL_OPERATION_WRITE,
        Operation::Describe => Op::RD_KAFKA_ACL_OPERATION_DESCRIBE,
        Operation::DescribeConfigs => Op::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS,
        Operation::Delete => Op::RD_KAFKA_ACL_OPERATION_DELETE,
    }
}
