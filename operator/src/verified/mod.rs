//! What was last seen to be so in Kafka, so that it isn't asked for again and again: users that are as they should be, passwords that
//! were taken, and which clusters have a User Operator that would delete our users. And since when the ConfigMaps of a definition say what
//! they say.
//!
//! Kept in memory: an operator that starts anew asks for all of it anew. `access` fills it; it lies below the context, which holds it.

mod passwords;
mod texts;
mod user_operators;
mod users;

pub use passwords::VerifiedPasswords;
pub use texts::SettlingTexts;
pub use user_operators::{UserOperator, UserOperatorCache};
pub use users::{Recalled, VERIFIED_FOR, VerifiedUsers};
