//! A Source's figures in its status.

use headworks_crds::{DeadLetterStatus, SourceStatus};

use crate::{
    controller::ShownFigures,
    reports::Coarse,
    workload::figures::{ShowsFigures, rate, rate_of},
};

impl ShowsFigures for SourceStatus {
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
