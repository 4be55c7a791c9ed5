//! Keeps the certificate: in a Secret that all replicas share, and in what the API server trusts.
//!
//! The first certificate is made by whoever finds none: a roll-out waits for new pods to be ready, and they are once
//! they have one. Renewing, and telling the API server, is the leader's: it tells first, waits until every API server
//! may have heard, and only then puts the new certificate where the replicas find it. So at no moment a replica serves
//! what isn't trusted.

use std::{collections::BTreeMap, time::Duration};

use jiff::Timestamp;
use k8s_openapi::{
    ByteString,
    api::{
        admissionregistration::v1::{ValidatingWebhookConfiguration, WebhookClientConfig},
        core::v1::Secret,
    },
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;
use tokio::sync::watch;

use super::{
    CONFIGURATION, Options, PATH_PREFIX, SECRET, SERVICE,
    certificates::{AUTHORITIES, CERTIFICATE, KEY, Made, PATH, Step, content, make, step, trusted},
    serve::Certificate,
};
use crate::{
    names::{FIELD_MANAGER, digest},
    provisioner::password,
};

/// How often a replica without a certificate looks.
const EAGER: Duration = Duration::from_secs(1);
/// How often one that has it looks.
const CALM: Duration = Duration::from_secs(30);
/// Until every API server has taken in a changed configuration.
const SETTLE: Duration = Duration::from_secs(10);

/// Keeps it until the process ends.
pub async fn keep(
    client: Client,
    options: &Options,
    certificate: Certificate,
    mut leading: watch::Receiver<bool>,
) {
    let rotation = CertRotation {
        secrets: Api::namespaced(client.clone(), &options.namespace),
        configurations: Api::all(client),
        options,
        names: options.names(),
    };
    let mut loaded = false;
    loop {
        let leads = *leading.borrow_and_update();
        match rotation.round(&certificate, leads).await {
            Ok(has) => loaded = has,
            Err(error) => tracing::warn!(error, "the webhook's certificate; it is tried again"),
        }
        let pause = if loaded { CALM } else { EAGER };
        // A new leader looks at once.
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            changed = leading.changed() => {
                if changed.is_err() {
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }
}

struct CertRotation<'a> {
    secrets: Api<Secret>,
    configurations: Api<ValidatingWebhookConfiguration>,
    options: &'a Options,
    names: Vec<String>,
}

impl CertRotation<'_> {
    /// Looks once; says whether there is a certificate.
    async fn round(&self, certificate: &Certificate, leads: bool) -> Result<bool, String> {
        let secret = self.secrets.get_opt(SECRET).await;
        let secret = secret.map_err(|e| format!("reading Secret {SECRET}: {e}"))?;
        let mut found = secret.as_ref().map(texts).unwrap_or_default();
        let now = Timestamp::now();
        match step(&found, &self.names, self.options.lifetime, now) {
            Step::Make => {
                let made = self.made(now)?;
                let trusted = trusted(&made.authority, None);
                // Whom nobody has told the path can't ask. The API server takes no capitals in it.
                let secret_part = digest(password().as_bytes());
                let path = format!("{PATH_PREFIX}{}", &secret_part[..40]);
                let new = content(&made, &trusted, &self.names, &path);
                if !self.write(secret, &new).await? {
                    // Another replica was faster.
                    return Ok(false);
                }
                tracing::info!(until = made.until, "the webhook has a certificate");
                found = new;
            }
            Step::Renew if leads => {
                let made = self.made(now)?;
                let trusted = trusted(&made.authority, found.get(AUTHORITIES));
                let path = found.get(PATH).cloned().unwrap_or_default();
                let new = content(&made, &trusted, &self.names, &path);
                self.tell(&trusted, &path).await?;
                tokio::time::sleep(SETTLE).await;
                if !self.write(secret, &new).await? {
                    return Ok(true);
                }
                tracing::info!(until = made.until, "the webhook's certificate is renewed");
                found = new;
            }
            Step::Renew | Step::Keep => {}
        }
        let text = |key: &str| found.get(key).map(String::as_str).unwrap_or_default();
        certificate.load(text(CERTIFICATE), text(KEY), text(PATH))?;
        if leads {
            self.tell(text(AUTHORITIES), text(PATH)).await?;
        }
        Ok(true)
    }

    fn made(&self, now: Timestamp) -> Result<Made, String> {
        make(&self.names, self.options.lifetime, now).map_err(|e| format!("making it: {e}"))
    }

    /// Writes the Secret unless somebody changed it meanwhile; says whether.
    async fn write(
        &self,
        secret: Option<Secret>,
        content: &BTreeMap<String, String>,
    ) -> Result<bool, String> {
        let data = content
            .iter()
            .map(|(key, text)| (key.clone(), ByteString(text.clone().into_bytes())))
            .collect();
        let params = PostParams {
            field_manager: Some(FIELD_MANAGER.into()),
            ..PostParams::default()
        };
        let gone = secret.is_none();
        let written = if let Some(mut secret) = secret {
            // Its resource version goes along: of two that write, one gets a conflict.
            secret.data = Some(data);
            self.secrets.replace(SECRET, &params, &secret).await
        } else {
            let mut secret = Secret {
                data: Some(data),
                ..Secret::default()
            };
            secret.metadata.name = Some(SECRET.into());
            self.secrets.create(&params, &secret).await
        };
        match written {
            Ok(_) => Ok(true),
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(false),
            // The chart makes it, empty: our Role is for this one Secret, and a right to create can't be.
            Err(kube::Error::Api(status)) if status.code == 403 && gone => Err(format!(
                "Secret {SECRET} is gone, and the operator may fill it but not make it: helm upgrade with the values as they are makes it again, empty; the certificate in use is served meanwhile"
            )),
            Err(error) => Err(format!("writing Secret {SECRET}: {error}")),
        }
    }

    /// Tells the API server which CAs to trust and where to ask, if it doesn't know yet.
    async fn tell(&self, authorities: &str, path: &str) -> Result<(), String> {
        let found = self.configurations.get_opt(CONFIGURATION).await;
        let what = format!("ValidatingWebhookConfiguration {CONFIGURATION}");
        let Some(configuration) = found.map_err(|e| format!("reading {what}: {e}"))? else {
            return Ok(());
        };
        let wanted = ByteString(authorities.as_bytes().to_vec());
        let hooks = configuration.webhooks.unwrap_or_default();
        let knows = |config: &WebhookClientConfig| {
            let at = config.service.as_ref().and_then(|s| s.path.as_deref());
            config.ca_bundle.as_ref() == Some(&wanted) && at == Some(path)
        };
        if hooks.iter().all(|hook| knows(&hook.client_config)) {
            return Ok(());
        }
        // What a Service is called is part of it: without it the API server refuses the rest.
        let hooks: Vec<_> = hooks
            .iter()
            .map(|hook| {
                let namespace = &self.options.namespace;
                let service = json!({"name": SERVICE, "namespace": namespace, "path": path});
                json!({"name": hook.name, "clientConfig": {"caBundle": wanted, "service": service}})
            })
            .collect();
        let body = json!({
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": "ValidatingWebhookConfiguration",
            "metadata": {"name": CONFIGURATION},
            "webhooks": hooks,
        });
        let params = PatchParams::apply(FIELD_MANAGER).force();
        self.configurations
            .patch(CONFIGURATION, &params, &Patch::Apply(&body))
            .await
            .map(|_| tracing::info!("the API server knows whom to trust and where to ask"))
            .map_err(|e| format!("writing {what}: {e}"))
    }
}

fn texts(secret: &Secret) -> BTreeMap<String, String> {
    let data = secret.data.iter().flatten();
    data.filter_map(|(key, bytes)| Some((key.clone(), String::from_utf8(bytes.0.clone()).ok()?)))
        .collect()
}

#[cfg(test)]
mod tests;
