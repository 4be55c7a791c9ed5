//! Edits of a text that stay on their lines, and the way from a place in the new text back to the old one.

/// What stands instead of some bytes of the text.
pub(super) struct Edit {
    pub at: usize,
    /// Bytes that go. They have no line's end, unless spaces and ends of lines come for them.
    pub removed: usize,
    pub inserted: String,
}

/// Where the lines of an edited text stand further right, or left, than they did.
#[derive(Clone, Debug, Default)]
pub(in crate::protobuf) struct Shifts(Vec<Shift>);

/// One place; lines and columns are bytes from 0, as the parser counts them.
#[derive(Clone, Debug)]
struct Shift {
    line: usize,
    /// The column in the new text.
    at: usize,
    removed: usize,
    inserted: usize,
}

impl Shifts {
    /// The text with the edits. One that begins within another is part of what that one does away with, and nothing by itself.
    pub(super) fn apply(text: &str, mut edits: Vec<Edit>) -> (String, Shifts) {
        edits.sort_by_key(|edit| edit.at);
        let mut out = String::with_capacity(text.len() + 16 * edits.len());
        let mut shifts = Vec::new();
        let (mut done, mut line, mut begin) = (0, 0, 0);
        for edit in edits {
            if edit.at < done {
                continue;
            }
            let kept = &text[done..edit.at];
            if let Some(end) = kept.rfind('\n') {
                line += kept.matches('\n').count();
                begin = out.len() + end + 1;
            }
            out.push_str(kept);
            if edit.removed != edit.inserted.len() {
                shifts.push(Shift {
                    line,
                    at: out.len() - begin,
                    removed: edit.removed,
                    inserted: edit.inserted.len(),
                });
            } else if let Some(end) = edit.inserted.rfind('\n') {
                line += edit.inserted.matches('\n').count();
                begin = out.len() + end + 1;
            }
            out.push_str(&edit.inserted);
            done = edit.at + edit.removed;
        }
        out.push_str(&text[done..]);
        (out, Shifts(shifts))
    }

    /// Where in the old text the column of a line of the new one stands; both from 0.
    pub(in crate::protobuf) fn original(&self, line: usize, column: usize) -> usize {
        // What was removed and inserted before the place.
        let (mut removed, mut inserted) = (0, 0);
        let from = self.0.partition_point(|shift| shift.line < line);
        for shift in self.0[from..].iter().take_while(|s| s.line == line) {
            if column < shift.at {
                break;
            }
            if column < shift.at + shift.inserted {
                let within = (column - shift.at).min(shift.removed);
                return (shift.at + within + removed).saturating_sub(inserted);
            }
            removed += shift.removed;
            inserted += shift.inserted;
        }
        (column + removed).saturating_sub(inserted)
    }

    /// A span of descriptors in the old text: line, column and column, or line, column, line and column.
    pub(super) fn span(&self, span: &mut [i32]) {
        let last = if span.len() == 4 { 2 } else { 0 };
        for (line, column) in [(0, 1), (last, span.len().saturating_sub(1))] {
            if let (Some(&line), Some(&from)) = (span.get(line), span.get(column)) {
                span[column] = self.original(line as usize, from as usize) as i32;
            }
        }
    }
}
