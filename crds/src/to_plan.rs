//! The API's words as a plan says them to pods. Both are matched in full here, so that a word that one of them gains is
//! a fault of the compiler and not of a pod.

use headworks_plan as plan;

use crate::data_store::Guarantee;
use crate::data_stream::Format;
use crate::pipeline::{Delivery, OnBadRecord, OnOverflow};
use crate::pipeline_test::DeadLetterReason;
use crate::source::{OnInvalid, ShopRecords, UnknownFields};

/// One word for each: the same variants on both sides.
macro_rules! same {
    ($name:ident: $($variant:ident),+) => {
        impl From<$name> for plan::$name {
            fn from(said: $name) -> plan::$name {
                match said {
                    $($name::$variant => plan::$name::$variant,)+
                }
            }
        }
    };
}

same!(DeadLetterReason: Decode, Contract, Evaluation, TooLarge, Late, Quality);
same!(Delivery: ExactlyOnce, AtLeastOnce);
same!(Format: Json, Avro, Protobuf);
same!(OnBadRecord: DeadLetter, Drop, Stop);
same!(OnInvalid: Reject, DeadLetter);
same!(OnOverflow: SetNull, DeadLetter);
same!(ShopRecords: Clicks, Orders, Inventory, Feedback);
same!(UnknownFields: Ignore, Reject);

/// This one goes the other way: a status says what a plan's store is.
impl From<plan::Guarantee> for Guarantee {
    fn from(said: plan::Guarantee) -> Guarantee {
        match said {
            plan::Guarantee::Transactional => Guarantee::Transactional,
            plan::Guarantee::IdempotentUpsert => Guarantee::IdempotentUpsert,
            plan::Guarantee::AtLeastOnce => Guarantee::AtLeastOnce,
        }
    }
}
