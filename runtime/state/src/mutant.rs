//! Rules of joins and of OVER that tests break, to see that it is noticed.

/// A broken rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A row of an outer side is given with nulls when it comes and has no partner yet.
    PaddedEarly,
    /// A row that is behind the watermark is dropped.
    LateDropped,
    /// Rows go before the watermark has passed their last partner.
    CutTooSoon,
    /// A row that was restored isn't given with nulls when it goes.
    TimerLost,
    /// OVER gives rows that others may still come before.
    GivenEarly,
    /// Rows of one time aren't in each other's RANGE.
    PeersSplit,
    /// A frame begins a row, or a millisecond, too soon.
    FrameLonger,
    /// A temporal join takes the newest version of a key, though it is valid later only.
    NewestVersion,
    /// A deletion doesn't end what was valid.
    DeletionIgnored,
    /// What is valid goes with the rows that it was given to.
    VersionGone,
    /// What is kept of a key is gone once the state was restored.
    HistoryLost,
}
