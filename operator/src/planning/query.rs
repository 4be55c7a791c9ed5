//! What the operator says of a query's text.

use headworks_crds::PipelineSpec;
use headworks_plan::OnOverflow;
use headworks_sql::{Overflow, SqlError};

/// What becomes of a number with more digits than its decimal type has.
pub fn overflow(spec: &PipelineSpec) -> Overflow {
    OnOverflow::from(spec.on_overflow).into()
}

/// The streams that a query reads, each once; or what is wrong with its text, in words for a condition.
pub fn inputs(sql: &str) -> Result<Vec<String>, String> {
    headworks_sql::inputs(sql).map_err(|error| places(&[error]))
}

/// SQL errors in words for a condition: `spec.sql line 3, column 12: …`.
pub fn places(errors: &[SqlError]) -> String {
    let list: Vec<String> = errors
        .iter()
        .map(|error| format!("spec.sql {error}"))
        .collect();
    list.join("; ")
}
