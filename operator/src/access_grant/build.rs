//! A grant's users as they are to be. Pure.

use std::collections::BTreeSet;

use headworks_crds::{AccessGrantSpec, GrantedStream};

use super::{
    rights,
    rotation::{Plan, Slot},
};
use crate::{kafka::Acl, provisioner::user::User};

/// The two users of a grant.
#[derive(Clone, Debug, PartialEq)]
pub struct DesiredUsers {
    /// The one that the client is told of.
    pub current: User,
    /// The other one: it lives on for a while, or is gone.
    pub other: User,
    /// What the names of the client's groups and transactional ids begin with.
    pub prefix: String,
}

/// Builds them: both may do the same. `base` is what their names begin with.
pub fn users(
    spec: &AccessGrantSpec,
    streams: &[GrantedStream],
    base: &str,
    plan: &Plan,
) -> DesiredUsers {
    let prefix = rights::prefix(spec);
    let acls: BTreeSet<Acl> = rights::acls(streams, spec.dead_letters, &prefix);
    let user = |slot: Slot| User {
        name: slot.user(base),
        acls: acls.clone(),
        quota: Some(rights::quota(spec)),
    };
    DesiredUsers {
        current: user(plan.current),
        other: user(plan.current.other()),
        prefix,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::access_grant::rotation;

    #[test]
    fn both_users_may_do_what_the_grant_says_and_no_more() {
        let spec: AccessGrantSpec = serde_json::from_value(json!({
            "to": {"namespace": "bi", "name": "report"}, "read": ["orders"], "write": ["answers"],
            "quota": {"consumerBytesPerSecond": "1Mi"}, "rotation": {"every": "30d"},
        }))
        .unwrap();
        let stream = |name: &str, access: &str| GrantedStream {
            stream: name.into(),
            topic: format!("shop.{name}"),
            access: access.into(),
            derived: None,
        };
        let streams = [
            stream("orders", rights::READ),
            stream("answers", rights::WRITE),
        ];
        let now = "2027-01-01T00:00:00Z".parse().unwrap();
        let times = rotation::times(&spec).unwrap();
        let plan = rotation::plan(None, Some(Slot::A), &times, now);
        let base = "headworks.prod.grant.shop.report";
        let built = users(&spec, &streams, base, &plan);
        // The Secret with `a` is lost, so `b` is made, and `a` lives on for a while.
        assert_eq!(built.current.name, format!("{base}-b"));
        assert_eq!(built.other.name, format!("{base}-a"));
        assert_eq!(built.prefix, "bi.report");
        assert_eq!(
            built.current.acls,
            rights::acls(&streams, false, "bi.report")
        );
        assert_eq!(built.other.acls, built.current.acls);
        assert_eq!(built.current.quota, Some(rights::quota(&spec)));
        assert_eq!(built.other.quota, built.current.quota);
    }
}
