//! Dead letters one after another, as the pod prints them.

use headworks_plan::PeekLine;

use super::super::peek::reading::Listener;
use super::super::peek::{show, wrong};
use super::Form;
use super::letter::{self, Line};
use crate::End;
use crate::output::{self, note};

/// What was printed so far.
pub(super) struct Listed {
    form: Form,
    stream: String,
    /// True: not all dead letters are asked for.
    is_filtered: bool,
    letters: u64,
    end: Option<End>,
}

impl Listed {
    pub(super) fn new(form: Form, stream: &str, is_filtered: bool) -> Listed {
        Listed {
            form,
            stream: stream.to_owned(),
            is_filtered,
            letters: 0,
            end: None,
        }
    }

    /// How it ended; fine, where nobody wanted to hear more.
    pub(super) fn end(&self) -> End {
        self.end.unwrap_or(End::Fine)
    }

    fn print(&self, text: &str, letter: &letter::Letter) -> bool {
        match self.form {
            Form::Json => output::sent(&show::json(text)),
            Form::Yaml => output::sent(&super::yaml(text)),
            Form::Text | Form::Wide => {
                let wide = self.form == Form::Wide;
                (self.letters > 1 || output::sent(&letter::head(wide)))
                    && output::sent(&letter.row(wide))
            }
        }
    }
}

/// What is said where there is none.
pub(super) fn none(stream: &str, is_filtered: bool) -> String {
    if is_filtered {
        format!("no dead letter of {stream} is among those that were asked for")
    } else {
        format!("{stream} has no dead letters")
    }
}

impl Listener for Listed {
    fn is_over(&self) -> bool {
        self.end.is_some()
    }

    fn line(&mut self, text: &str) -> bool {
        match letter::line(text) {
            Line::Letter(letter) => {
                self.letters += 1;
                self.print(text, &letter)
            }
            Line::Peek(PeekLine::Note { message }) => {
                note(&show::printable(&message));
                true
            }
            Line::Peek(PeekLine::End {
                records,
                read,
                more,
                ..
            }) => {
                note(&if records == 0 && !more {
                    none(&self.stream, self.is_filtered)
                } else {
                    summary(self.letters, read, more)
                });
                self.end = Some(match show::lost(records, self.letters) {
                    None => End::Fine,
                    Some(message) => wrong(message),
                });
                true
            }
            Line::Peek(PeekLine::Failed { reason, message }) => {
                self.end = Some(wrong(show::failed(&reason, &message)));
                true
            }
            Line::Log | Line::Peek(_) => {
                note(&show::printable(text));
                true
            }
        }
    }
}

/// How much it was, in words.
fn summary(letters: u64, read: u64, more: bool) -> String {
    let shown = match letters {
        1 => "1 dead letter".to_owned(),
        n => format!("{n} dead letters"),
    };
    let more = if more {
        "; there are more, or may be: --limit, --since, --until, --reason and --rule choose others, and headworks dlq count counts all"
    } else {
        ""
    };
    format!("{shown} of {read} that were read{more}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_without_dead_letters_says_so() {
        assert_eq!(none("orders", false), "orders has no dead letters");
        assert!(none("orders", true).contains("asked for"));
        assert_eq!(summary(1, 7, false), "1 dead letter of 7 that were read");
        assert!(summary(20, 80, true).contains("headworks dlq count"));
    }

    #[test]
    fn a_log_that_was_cut_is_no_success() {
        let mut listed = Listed::new(Form::Json, "orders", false);
        assert!(listed.line(r#"{"peek":"end","records":2,"read":2,"more":false}"#));
        assert_eq!(listed.end(), End::Problems);
        let mut listed = Listed::new(Form::Json, "orders", false);
        assert!(listed.line(r#"{"peek":"end","records":0,"read":2,"more":false}"#));
        assert_eq!((listed.end(), listed.is_over()), (End::Fine, true));
    }
}
