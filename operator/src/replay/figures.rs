//! A Replay's figures in its status.

use headworks_crds::ReplayStatus;
use headworks_plan::ReplayFigures;

use crate::workload::figures::shows_a_rate;

shows_a_rate!(ReplayStatus);

/// Shows how far it is. These are exact, and they only grow.
pub fn show(status: &mut ReplayStatus, figures: &ReplayFigures) {
    let whole = |count: u64| i64::try_from(count).ok();
    status.of = whole(figures.of);
    status.position = whole(figures.done);
    status.selected = whole(figures.selected);
    status.replayed = whole(figures.replayed);
    status.refused = whole(figures.refused);
    status.truncated = whole(figures.truncated);
}
