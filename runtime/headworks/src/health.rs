//! `/healthz`: whether a restart would help. It fails where a loop of the pod hangs, and for nothing else: not
//! while Kafka or a store is away, not while there is nothing to do. A dead thread ends the process by itself.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use headworks_engine::status::StatusHandle;

/// 200, or 503 with the name of the loop that hangs.
pub async fn healthz(State(status): State<StatusHandle>) -> Response {
    match status.hangs() {
        None => "ok\n".into_response(),
        Some(hangs) => {
            tracing::error!("not healthy: {hangs}");
            (StatusCode::SERVICE_UNAVAILABLE, format!("{hangs}\n")).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn a_loop_that_hangs_makes_the_pod_unhealthy_and_a_problem_does_not() {
        let status = StatusHandle::new();
        let pulse = status.pulse("engine", Duration::from_millis(40));
        status.hold_up(headworks_plan::Problem::new(
            headworks_plan::Reason::KafkaUnavailable,
            "no broker",
            false,
        ));
        let code = async || healthz(State(status.clone())).await.status().as_u16();
        assert_eq!(code().await, 200);
        tokio::time::sleep(Duration::from_millis(80)).await;
        assert_eq!(code().await, 503);
        pulse.beat();
        assert_eq!(code().await, 200);
    }
}
