//! Logs: one JSON object a line on standard error. No value of a record and no Secret is ever logged.

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;

/// Logs what `filter` lets through, panics too.
pub fn init(filter: &str) -> Result<(), ParseError> {
    let filter = EnvFilter::builder().parse(filter)?;
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    std::panic::set_hook(Box::new(|info| {
        let thread = std::thread::current()
            .name()
            .unwrap_or("unnamed")
            .to_owned();
        tracing::error!(thread, "panicked: {info}");
    }));
    Ok(())
}
