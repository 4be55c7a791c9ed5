//! CRC-64-AVRO of a schema's parsing canonical form: what single-object encoding names a schema by (Avro 1.12, "Schema
//! Fingerprints" and "Single-object encoding").

use std::collections::HashSet;
use std::fmt::Write as _;

use super::schema::{Avro, Id, Kind};

/// What a record in single-object encoding begins with; the fingerprint follows, little end first.
pub const MARKER: [u8; 2] = [0xC3, 0x01];

const EMPTY: u64 = 0xc15d_213a_a4d7_a795;

impl Avro {
    /// The 64-bit Rabin fingerprint of the schema.
    pub fn fingerprint(&self) -> u64 {
        let mut fingerprint = EMPTY;
        for byte in self.canonical().bytes() {
            let mut entry = (fingerprint ^ u64::from(byte)) & 0xff;
            for _ in 0..8 {
                entry = (entry >> 1) ^ (EMPTY & (entry & 1).wrapping_neg());
            }
            fingerprint = (fingerprint >> 8) ^ entry;
        }
        fingerprint
    }

    /// The parsing canonical form: what of the schema matters to a reader of its records, in one spelling.
    pub fn canonical(&self) -> String {
        let mut out = String::new();
        self.write(self.root(), &mut HashSet::new(), &mut out);
        out
    }

    fn write(&self, id: Id, said: &mut HashSet<Id>, out: &mut String) {
        let word = match &self.node(id).kind {
            Kind::Null => "null",
            Kind::Boolean => "boolean",
            Kind::Int => "int",
            Kind::Long => "long",
            Kind::Float => "float",
            Kind::Double => "double",
            Kind::Bytes => "bytes",
            Kind::String => "string",
            Kind::Fixed { name, .. } | Kind::Enum { name, .. } | Kind::Record { name, .. }
                if !said.insert(id) =>
            {
                name
            }
            Kind::Fixed { name, size } => {
                let _ = write!(out, r#"{{"name":"{name}","type":"fixed","size":{size}}}"#);
                return;
            }
            Kind::Enum { name, symbols, .. } => {
                let symbols: Vec<String> = symbols.iter().map(|s| super::quoted(s)).collect();
                let symbols = symbols.join(",");
                let _ = write!(
                    out,
                    r#"{{"name":"{name}","type":"enum","symbols":[{symbols}]}}"#
                );
                return;
            }
            Kind::Array(item) => {
                out.push_str(r#"{"type":"array","items":"#);
                self.write(*item, said, out);
                out.push('}');
                return;
            }
            Kind::Map(value) => {
                out.push_str(r#"{"type":"map","values":"#);
                self.write(*value, said, out);
                out.push('}');
                return;
            }
            Kind::Union(branches) => {
                out.push('[');
                for (i, branch) in branches.iter().enumerate() {
                    if i > 0 {
                        out.push(',');
                    }
                    self.write(*branch, said, out);
                }
                out.push(']');
                return;
            }
            Kind::Record { name, fields } => {
                let _ = write!(out, r#"{{"name":"{name}","type":"record","fields":["#);
                for (i, field) in fields.iter().enumerate() {
                    let comma = if i > 0 { "," } else { "" };
                    let _ = write!(out, r#"{comma}{{"name":"{}","type":"#, field.name);
                    self.write(field.node, said, out);
                    out.push('}');
                }
                out.push_str("]}");
                return;
            }
        };
        let _ = write!(out, "\"{word}\"");
    }
}
