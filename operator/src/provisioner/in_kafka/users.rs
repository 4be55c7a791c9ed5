//! Users by Kafka's Admin API.

use std::{collections::BTreeSet, time::Duration};

use crate::{
    kafka::{Acl, Admin, Held, KafkaError, Quota, Scram},
    provisioner::user::User,
};

/// How often Kafka is asked whether what was changed is so, and how long between.
const POLLS: u32 = 50;
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// What must change in a user's rights.
#[derive(Debug, PartialEq, Eq)]
struct Change {
    missing: Vec<Acl>,
    extra: Vec<Acl>,
}

fn change(wanted: &BTreeSet<Acl>, held: &Held) -> Change {
    Change {
        missing: wanted.difference(&held.acls).cloned().collect(),
        extra: held.acls.difference(wanted).cloned().collect(),
    }
}

/// A call by which a user's rights become the wanted ones.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Give(Vec<Acl>),
    Take(Vec<Acl>),
}

impl Change {
    /// What is missing is given before anything goes: one rule may stand in for another, and whoever has the user goes on
    /// all the while.
    fn steps(self, prune: bool) -> Vec<Step> {
        let mut steps = vec![Step::Give(self.missing)];
        if prune {
            steps.push(Step::Take(self.extra));
        }
        steps
    }
}

async fn carry_out(admin: &Admin, user: &str, steps: Vec<Step>) -> Result<(), KafkaError> {
    for step in steps {
        match step {
            Step::Give(acls) => admin.create_acls(user, &acls).await?,
            Step::Take(acls) => admin.delete_acls(user, &acls).await?,
        }
    }
    Ok(())
}

/// Makes a user so, and comes back when Kafka shows it and lets it in.
///
/// `tried`: its password is known to be the right one. `prune`: rights that it has beyond the wanted ones go; a user whose
/// pods are still rolling out keeps them until they have.
///
/// # Errors
/// Any [`KafkaError`] but those about topics. After one, it may be done in part, and calling again goes on.
pub async fn ensure(
    admin: &Admin,
    user: &User,
    password: &str,
    tried: bool,
    prune: bool,
) -> Result<(), KafkaError> {
    let credentials = Scram {
        username: user.name.clone(),
        password: password.to_owned(),
    };
    let right = admin
        .users_exist(std::slice::from_ref(&user.name))
        .await?
        .contains(&user.name)
        && (tried || admin.accepts(&credentials).await?);
    let change = change(&user.acls, &admin.acls(&user.name).await?);
    let complete = change.missing.is_empty();
    carry_out(admin, &user.name, change.steps(prune)).await?;
    if let Some(quota) = user.quota
        && admin.quota(&user.name).await? != quota
    {
        admin.set_quota(&user.name, quota).await?;
    }
    if !right {
        admin.set_password(&user.name, password).await?;
    }
    if right && complete {
        return Ok(());
    }
    confirm(admin, user, password).await
}

/// Comes back when Kafka shows a user's rights and lets it in.
///
/// # Errors
/// [`KafkaError::Timeout`] if it doesn't soon; others as [`ensure`].
pub async fn confirm(admin: &Admin, user: &User, password: &str) -> Result<(), KafkaError> {
    let credentials = Scram {
        username: user.name.clone(),
        password: password.to_owned(),
    };
    for _ in 0..POLLS {
        let held = admin.acls(&user.name).await?;
        if user.acls.is_subset(&held.acls) && admin.accepts(&credentials).await? {
            tracing::info!(user = user.name, "a Kafka user is as it should be");
            return Ok(());
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Err(KafkaError::Timeout {
        doing: format!("make user {}", user.name),
    })
}

/// Gives a user exactly these rights, and touches nothing else of it.
///
/// # Errors
/// As [`ensure`].
pub async fn set_rights(admin: &Admin, user: &User) -> Result<(), KafkaError> {
    let change = change(&user.acls, &admin.acls(&user.name).await?);
    carry_out(admin, &user.name, change.steps(true)).await
}

/// Takes from a user what isn't among these rights, and gives it nothing.
///
/// # Errors
/// As [`ensure`].
pub async fn narrow(admin: &Admin, user: &str, acls: &BTreeSet<Acl>) -> Result<(), KafkaError> {
    let change = change(acls, &held(admin.acls(user).await)?);
    admin.delete_acls(user, &change.extra).await
}

/// True: Kafka has neither the user nor anything of it.
///
/// # Errors
/// As [`ensure`].
pub async fn gone(admin: &Admin, user: &str) -> Result<bool, KafkaError> {
    Ok(!admin.users_exist(&[user.to_owned()]).await?.contains(user)
        && held(admin.acls(user).await)?.is_empty()
        && admin.quota(user).await? == Quota::default())
}

/// Brokers that check no rights keep none.
fn held(found: Result<Held, KafkaError>) -> Result<Held, KafkaError> {
    match found {
        Err(KafkaError::NoAuthorizer { .. }) => Ok(Held::default()),
        other => other,
    }
}

/// Takes a user away: first all it may do, until Kafka shows none of it; then its quota and its password. True if there was
/// anything.
///
/// Connections of the user that are open can do nothing any more once the rights are gone.
///
/// # Errors
/// Any [`KafkaError`] but those about topics. After one, calling again goes on.
pub async fn revoke(admin: &Admin, user: &str) -> Result<bool, KafkaError> {
    let cut = cut(admin, user).await?;
    if !admin.users_exist(&[user.to_owned()]).await?.contains(user) {
        return Ok(cut);
    }
    if admin.quota(user).await? != Quota::default() {
        admin.set_quota(user, Quota::default()).await?;
    }
    admin.delete_user(user).await?;
    tracing::info!(user, "a Kafka user is gone");
    Ok(true)
}

/// Takes all rights away and comes back when Kafka shows none. True if there were any.
///
/// # Errors
/// As [`revoke`].
pub async fn cut(admin: &Admin, user: &str) -> Result<bool, KafkaError> {
    if held(admin.acls(user).await)?.is_empty() {
        return Ok(false);
    }
    for _ in 0..POLLS {
        admin.delete_all_acls(user).await?;
        if held(admin.acls(user).await)?.is_empty() {
            return Ok(true);
        }
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    Err(KafkaError::Timeout {
        doing: format!("take the rights of user {user} away"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{Operation, Resource};

    #[test]
    fn only_the_difference_is_changed_and_what_others_made_is_left() {
        let acl = |name: &str| Acl::literal(Resource::Topic, name, Operation::Read);
        let held = Held {
            acls: [acl("a"), acl("b")].into(),
            others: 1,
        };
        assert_eq!(
            change(&[acl("b"), acl("c")].into(), &held),
            Change {
                missing: vec![acl("c")],
                extra: vec![acl("a")]
            }
        );
    }

    #[test]
    fn a_rule_goes_only_when_those_that_stand_in_for_it_are_there() {
        let old = Acl::prefixed(Resource::Group, "bi.report", Operation::Read);
        let new = [
            Acl::literal(Resource::Group, "bi.report", Operation::Read),
            Acl::prefixed(Resource::Group, "bi.report.", Operation::Read),
        ];
        let held = Held {
            acls: [old.clone()].into(),
            others: 0,
        };
        let steps = |prune| change(&new.clone().into(), &held).steps(prune);
        let give = || Step::Give(new.to_vec());
        assert_eq!(steps(true), [give(), Step::Take(vec![old.clone()])]);
        assert_eq!(steps(false), [give()]);
    }
}
