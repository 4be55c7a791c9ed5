//! A Replay's figures in its status.

use headworks_crds::{DeadLetterStatus, ReplayStatus};
use headworks_plan::ReplayFigures;

use crate::{
    controller::ShownFigures,
    reports::Coarse,
    workload::figures::{ShowsFigures, rate, rate_of},
};

impl ShowsFigures for ReplayStatus {
    fn letters(&mut self) -> &mut DeadLetterStatus {
        &mut self.letters
    }

    fn rest(&mut self) {
        self.rate = None;
    }

    fn show(&mut self, figures: Coarse) {
        self.rate = Some(rate(figures.rate));
    }

    fn shown(&self) -> ShownFigures {
        let pace = self.rate.as_deref().map(|shown| Coarse {
            rate: rate_of(Some(shown)),
            ..Coarse::default()
        });
        ShownFigures {
            letters: self.letters.clone(),
            pace,
        }
    }
}

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
