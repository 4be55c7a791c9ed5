//! The blast radius in words: whole for the command line, short for a refusal.

use std::fmt::Write;

use super::{Change, Effect, Impact, Item};
use crate::evolution::annotation;

const EFFECTS: [(Effect, &str); 3] = [
    (Effect::Broken, "breaks"),
    (Effect::Altered, "alters"),
    (Effect::Touched, "touches"),
];

/// Longest line of a short list, in characters.
const LINE_MAX: usize = 300;

impl Item {
    /// `Kind namespace/name`.
    fn title(&self) -> String {
        format!("{} {}/{}", self.kind, self.namespace, self.name)
    }
}

impl Impact {
    /// All of it, as `headworks impact` prints it.
    pub fn text(&self) -> String {
        let mut text = String::new();
        if self.changes.is_empty() {
            text.push_str("no contract changes\n");
        }
        for change in &self.changes {
            whole(change, &mut text);
        }
        for (effect, heading) in EFFECTS {
            let mut of = self.of(effect).peekable();
            if of.peek().is_some() {
                let _ = writeln!(text, "\n{heading}");
            }
            for item in of {
                let _ = writeln!(text, "  {}", item.title());
                for line in &item.what {
                    let _ = writeln!(text, "    {line}");
                }
            }
        }
        if !self.owners.is_empty() {
            text.push_str("\nowners\n");
            for owner in &self.owners {
                let _ = writeln!(text, "  {}: {}", owner.owner, owner.streams.join(", "));
            }
        }
        text
    }

    /// As much as fits into `most` bytes, a line an item, and how many are left out.
    pub fn list(&self, most: usize) -> String {
        let mut lines = Vec::new();
        for (effect, heading) in EFFECTS {
            for item in self.of(effect) {
                let line = format!("  {heading} {}: {}", item.title(), item.what.join("; "));
                lines.push(cut(&line));
            }
        }
        if !self.owners.is_empty() {
            let all: Vec<String> = self
                .owners
                .iter()
                .map(|o| format!("{} ({})", o.owner, o.streams.join(", ")))
                .collect();
            lines.push(cut(&format!("  owners: {}", all.join(", "))));
        }
        let count = lines.len();
        let mut text = String::new();
        for (index, line) in lines.into_iter().enumerate() {
            // Room for the last line, too.
            if text.len() + line.len() + 48 > most {
                let _ = writeln!(text, "  … and {} more: headworks impact -f", count - index);
                break;
            }
            let _ = writeln!(text, "{line}");
        }
        text
    }
}

fn cut(line: &str) -> String {
    let line = line.replace('\n', " ");
    if line.chars().count() <= LINE_MAX {
        return line;
    }
    let head: String = line.chars().take(LINE_MAX - 1).collect();
    format!("{head}…")
}

fn whole(change: &Change, text: &mut String) {
    let force = match change.in_force {
        None => "nothing is accepted yet".to_owned(),
        // A folder of files has no numbers.
        Some(0) => "compared with the base".to_owned(),
        Some(n) => format!("contract {n} is in force"),
    };
    let _ = writeln!(
        text,
        "DataStream {}/{}: {force}, change {}",
        change.namespace, change.name, change.change
    );
    for field in &change.fields {
        let _ = writeln!(text, "  {field}");
    }
    if change.faults.is_empty() {
        let _ = writeln!(text, "  compatibility {}: accepted", change.compatibility);
    } else if change.permitted {
        let _ = writeln!(
            text,
            "  compatibility {}: refused, but permitted by its annotation",
            change.compatibility
        );
    } else {
        let _ = writeln!(text, "  compatibility {}: refused", change.compatibility);
    }
    for fault in &change.faults {
        let _ = writeln!(text, "    {fault}");
    }
    if !change.unreadable.is_empty() {
        let _ = writeln!(
            text,
            "  records from before this change go to the dead letters where a query needs {}",
            change.unreadable.join(", ")
        );
    }
    if change.is_refused() {
        let _ = writeln!(
            text,
            "  to permit exactly this change, add to its metadata: {}",
            annotation(&change.change)
        );
    }
}
