//! Whether a pod's memory limit leaves room for what its state may take. Pure: the command line asks the same.

use headworks_crds::{PipelineSpec, PodTemplate, SpecFault};
use serde_json::json;

use crate::{apply::quantity, workload::resources::OWN_MEMORY_MI};

/// A pod's memory limit that its state alone would fill.
pub fn memory_fault(spec: &PipelineSpec, template: &PodTemplate) -> Option<SpecFault> {
    let limits = template.resources.as_ref()?.limits.as_ref()?;
    let limit = limits.get("memory")?;
    let state = spec.state.clone().unwrap_or_default().memory;
    let needed = i128::from(state.value()) + i128::from(OWN_MEMORY_MI << 20);
    let given = quantity(&json!(limit.0))? / 1_000_000_000;
    (given < needed).then(|| {
        let message = format!(
            "{} is too little for spec.state.memory: {state} and the {OWN_MEMORY_MI}Mi that a pod needs besides: raise the limit to {}Mi at least, or lower spec.state.memory",
            limit.0,
            needed.unsigned_abs().div_ceil(1 << 20)
        );
        SpecFault::at("podTemplate.resources.limits.memory", message)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_that_the_state_alone_would_fill_is_refused() {
        let of = |memory: &str, limit: &str| {
            let spec = json!({"sql": "", "to": [], "state": {"memory": memory},
                "podTemplate": {"resources": {"limits": {"memory": limit}}}});
            let spec: PipelineSpec = serde_json::from_value(spec).unwrap();
            memory_fault(&spec, spec.pod_template.as_ref().unwrap())
        };
        assert_eq!(of("256Mi", "320Mi"), None);
        assert_eq!(of("256Mi", "1G"), None);
        let fault = of("256Mi", "256Mi").unwrap();
        assert_eq!(fault.field, "spec.podTemplate.resources.limits.memory");
        assert!(fault.message.contains("320Mi at least"), "{fault}");
    }
}
