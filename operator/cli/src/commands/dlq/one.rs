//! One dead letter, with all that is known of it.

use headworks_plan::PeekLine;

use super::super::peek::reading::Listener;
use super::super::peek::{show, wrong};
use super::Form;
use super::ask::At;
use super::letter::{self, Line};
use crate::End;
use crate::output::{self, note};

/// What came of it.
pub(super) struct Shown {
    form: Form,
    stream: String,
    at: At,
    /// True: it was shown.
    came: bool,
    /// The place of the next one, where there is none at that which was asked for.
    next: Option<String>,
    end: Option<End>,
}

impl Shown {
    pub(super) fn new(form: Form, stream: &str, at: At) -> Shown {
        Shown {
            form,
            stream: stream.to_owned(),
            at,
            came: false,
            next: None,
            end: None,
        }
    }

    /// How it ended; fine, where nobody wanted to hear more.
    pub(super) fn end(&self) -> End {
        self.end.unwrap_or(End::Fine)
    }

    fn missing(&self) -> String {
        let (at, stream) = (self.at, &self.stream);
        let next = self.next.as_ref().map_or_else(
            || format!("; headworks dlq ls {stream} lists those that are there"),
            |next| format!("; the next is at {next}"),
        );
        format!(
            "{stream} has no dead letter at {at}: none was written there, or it isn't kept any more{next}"
        )
    }
}

impl Listener for Shown {
    fn is_over(&self) -> bool {
        self.end.is_some()
    }

    fn line(&mut self, text: &str) -> bool {
        match letter::line(text) {
            Line::Letter(letter) if letter.at() == self.at.to_string() => {
                self.came = true;
                match self.form {
                    Form::Json => output::sent(&show::json(text)),
                    Form::Yaml => output::sent(&super::yaml(text)),
                    Form::Text | Form::Wide => output::sent(letter.text().trim_end()),
                }
            }
            Line::Letter(letter) => {
                self.next = Some(letter.at());
                true
            }
            Line::Peek(PeekLine::End { .. }) => {
                self.end = Some(if self.came {
                    End::Fine
                } else {
                    wrong(self.missing())
                });
                true
            }
            Line::Peek(PeekLine::Failed { reason, message }) => {
                self.end = Some(wrong(show::failed(&reason, &message)));
                true
            }
            // Where the partition begins or ends is said below, in other words.
            Line::Peek(PeekLine::Note { .. }) => true,
            Line::Log | Line::Peek(_) => {
                note(&show::printable(text));
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_without_a_dead_letter_names_the_next() {
        let at = At {
            partition: 0,
            offset: 3,
        };
        let mut shown = Shown::new(Form::Json, "orders", at);
        assert!(shown.missing().contains("headworks dlq ls orders"));
        assert!(shown.line(r#"{"partition":0,"offset":5,"deadLetter":{"reason":"Decode"}}"#));
        assert!(shown.missing().contains("the next is at 0:5"));
        assert!(shown.line(r#"{"peek":"end","records":1,"read":1,"more":true}"#));
        assert_eq!(shown.end(), End::Problems);
        let mut shown = Shown::new(Form::Json, "orders", at);
        assert!(shown.line(r#"{"partition":0,"offset":3,"deadLetter":{"reason":"Decode"}}"#));
        assert!(shown.line(r#"{"peek":"end","records":1,"read":1,"more":true}"#));
        assert_eq!(shown.end(), End::Fine);
    }
}
