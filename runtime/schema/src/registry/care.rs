//! What the operator asks besides: whether the registry answers, a subject's own level, and its deletion.

use serde_json::Value;

use super::{Registry, RegistryError, escaped};

impl Registry {
    /// Asks something cheap: which kinds of schemas it knows.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub async fn ping(&self) -> Result<(), RegistryError> {
        self.ask::<Value>("GET", "/schemas/types", None).await?;
        Ok(())
    }

    /// The compatibility level that was set on the subject itself, such as BACKWARD; none where only the registry's own
    /// default holds for it. (Apicurio says NONE of a subject without a level; a level of NONE refuses nothing anyway.)
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub async fn compatibility(&self, subject: &str) -> Result<Option<String>, RegistryError> {
        let path = format!("/config/{}", escaped(subject));
        match self.ask::<Value>("GET", &path, None).await {
            Ok(answer) => Ok(answer["compatibilityLevel"]
                .as_str()
                .filter(|level| *level != "NONE")
                .map(str::to_owned)),
            Err(RegistryError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Deletes a subject softly: its schemas can still be asked for by id. One that isn't there is deleted already.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub async fn delete_subject(&self, subject: &str) -> Result<(), RegistryError> {
        let path = format!("/subjects/{}", escaped(subject));
        match self.ask::<Value>("DELETE", &path, None).await {
            Ok(_) | Err(RegistryError::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }
}
