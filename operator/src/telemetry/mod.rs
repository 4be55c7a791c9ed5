//! What the operator says about itself: JSON logs on stderr, metrics, and whether it makes progress. `metrics_server` serves the last two.

mod health;
mod metrics;

pub use health::{Health, Running};
pub use metrics::Metrics;
use tracing_subscriber::{EnvFilter, layer::SubscriberExt, util::SubscriberInitExt};

/// Starts logging. `filter` is a tracing directive such as `info` or `headworks_operator=debug,info`.
pub fn logs(filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false)
        .with_writer(std::io::stderr);
    // Fails only if logging was started before, as tests do.
    let _ = tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .try_init();
    // Where a panic happened stands in the log as everything does: one JSON object a line. What it said, `supervise` logs.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string);
        let thread = std::thread::current();
        tracing::error!(
            place,
            thread = thread.name(),
            "panic: a mistake of our own; please report it"
        );
    }));
}
