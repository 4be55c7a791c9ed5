//! From a place within a text (a query's line and column) to a place in the file.

use granit_parser::ScalarStyle;

use super::Place;

/// Places in texts that begin further along their line aren't looked for: it is JSON on one line, where nobody
/// reads a place, and to count the line's characters for each of its texts would take minutes.
const FAR: u32 = 10_000;

/// How a text stands in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// A literal block (`|`): its first line is this line of the file, indented by so many columns.
    Literal {
        /// Line of the file, from 1.
        first: u32,
        /// Blanks before each line.
        indent: u32,
    },
    /// On one line, as it is, from this place on.
    Inline(Place),
    /// Folded, escaped or over several lines: places in it are not places of the file.
    Other,
}

impl Block {
    /// Finds out how the text stands in `lines`.
    pub(super) fn of(text: &str, style: ScalarStyle, start: Place, lines: &[&str]) -> Self {
        match style {
            ScalarStyle::Literal => Self::literal(text, start, lines),
            _ if start.column > FAR => Self::Other,
            ScalarStyle::Plain | ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                let quote = u32::from(style != ScalarStyle::Plain);
                let from = start.column as usize - 1 + quote as usize;
                let line = lines.get(start.line as usize - 1).copied().unwrap_or("");
                let rest = line
                    .char_indices()
                    .nth(from)
                    .map_or("", |(at, _)| &line[at..]);
                if !text.contains('\n') && rest.starts_with(text) {
                    Self::Inline(Place {
                        line: start.line,
                        column: start.column + quote,
                    })
                } else {
                    Self::Other
                }
            }
            ScalarStyle::Folded => Self::Other,
        }
    }

    fn literal(text: &str, start: Place, lines: &[&str]) -> Self {
        // The parser may name the place of the `|` or that of the first line that isn't blank.
        let line_of = |line: u32| lines.get(line as usize - 1).copied().unwrap_or("");
        let mark = line_of(start.line).chars().nth(start.column as usize - 1);
        let mut header = start.line;
        if mark != Some('|') {
            header = header.saturating_sub(1);
            while header > 1 && line_of(header).trim().is_empty() {
                header -= 1;
            }
        }
        let first = header + 1;
        let blanks = |line: &str| line.len() - line.trim_start_matches(' ').len();
        let wanted = text
            .lines()
            .enumerate()
            .find(|(_, line)| !line.trim().is_empty());
        let Some((at, line)) = wanted else {
            return Self::Other;
        };
        match lines.get(first as usize - 1 + at) {
            Some(of_file) if of_file.trim_end() != "" => Self::Literal {
                first,
                indent: (blanks(of_file).saturating_sub(blanks(line))) as u32,
            },
            _ => Self::Other,
        }
    }

    /// The file's place of a line and column (both from 1) of the text.
    pub fn place(self, line: u32, column: u32) -> Option<Place> {
        match self {
            Self::Literal { first, indent } => Some(Place {
                line: first + line - 1,
                column: indent + column,
            }),
            Self::Inline(start) if line == 1 => Some(Place {
                line: start.line,
                column: start.column + column - 1,
            }),
            _ => None,
        }
    }
}
