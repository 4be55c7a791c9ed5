//! Reading the few Secrets that a Platform names, one by one and never listed: the operator has `get` in
//! the namespaces that its chart was told, and no verb on Secrets anywhere else.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use crate::{context::Context, retry::Error};

/// One key of a Secret as text. `place` is the field that names the Secret.
pub async fn text(
    context: &Context,
    place: &str,
    namespace: &str,
    name: &str,
    key: &str,
) -> Result<String, Error> {
    let api: Api<Secret> = Api::namespaced(context.client.clone(), namespace);
    let secret = match api.get_opt(name).await {
        Ok(Some(secret)) => secret,
        Ok(None) => {
            return Err(Error::missing(
                "SecretNotFound",
                format!("{place}: Secret {namespace}/{name} doesn't exist; make it with key {key}"),
            ));
        }
        Err(kube::Error::Api(status)) if status.code == 403 => {
            return Err(Error::stalled(
                "SecretForbidden",
                format!(
                    "{place}: the operator may not read Secrets in namespace {namespace}; add it to secretNamespaces of the Helm chart"
                ),
            ));
        }
        Err(error) => {
            return Err(Error::api(
                &format!("{place}: reading Secret {namespace}/{name}"),
                &error,
            ));
        }
    };
    let Some(bytes) = secret.data.as_ref().and_then(|data| data.get(key)) else {
        return Err(Error::missing(
            "SecretNotFound",
            format!("{place}: Secret {namespace}/{name} has no key {key}; add it"),
        ));
    };
    let text = std::str::from_utf8(&bytes.0).map_err(|_| {
        Error::stalled(
            "SecretInvalid",
            format!("{place}: Secret {namespace}/{name}, key {key} isn't UTF-8 text"),
        )
    })?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}
