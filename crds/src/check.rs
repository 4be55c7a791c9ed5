//! The checks that need our own parsing (garde), with faults named as users write them.

use garde::Validate;

/// Checks a spec beyond its schema.
///
/// # Errors
/// What is wrong and where, such as `spec.http.maxBodyBytes: 2Gi is out of range: choose between 1 and 1073741824 bytes`.
pub fn check<S: Validate<Context = ()>>(spec: &S) -> Result<(), String> {
    let Err(report) = spec.validate() else {
        return Ok(());
    };
    let faults: Vec<String> = report
        .iter()
        .map(|(path, error)| format!("spec.{}: {error}", yaml_path(&path.to_string())))
        .collect();
    Err(faults.join("; "))
}

/// Rust's `http.max_body_bytes` as YAML's `http.maxBodyBytes`.
fn yaml_path(path: &str) -> String {
    let mut after_underscore = false;
    let mut yaml = String::with_capacity(path.len());
    for c in path.chars() {
        match c {
            '_' => after_underscore = true,
            c if after_underscore => {
                yaml.push(c.to_ascii_uppercase());
                after_underscore = false;
            }
            c => yaml.push(c),
        }
    }
    yaml
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_written_as_in_yaml() {
        assert_eq!(yaml_path("http.max_body_bytes"), "http.maxBodyBytes");
        assert_eq!(yaml_path("to[0].stream"), "to[0].stream");
    }
}
