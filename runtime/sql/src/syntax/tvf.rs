//! Windows in FROM: `TABLE(TUMBLE(TABLE orders, DESCRIPTOR(placed_at), INTERVAL '1' MINUTE))`.

use super::ast::{Expr, From, FromSource, Kind, Length, Name, WindowTable};
use super::lexer::Token;
use super::query::name_columns;
use super::{Parsed, Parser};
use crate::error::SqlError;
use crate::suggest::nearest;

/// The window functions and their lengths, in the order of Flink's parameters; those in the second list
/// may be left out.
const FUNCTIONS: &[(&str, &[&str], &[&str])] = &[
    ("TUMBLE", &["SIZE"], &["OFFSET"]),
    ("HOP", &["SLIDE", "SIZE"], &["OFFSET"]),
    ("CUMULATE", &["STEP", "SIZE"], &["OFFSET"]),
    ("SESSION", &["GAP"], &[]),
];

/// What has been read of a window table.
#[derive(Default)]
struct Given {
    source: Option<From>,
    partition: Vec<Name>,
    time: Option<Name>,
    lengths: Vec<Length>,
}

impl Parser {
    /// True where a window table begins.
    pub(super) fn at_window_table(&self) -> bool {
        self.is_word("TABLE")
            || self.ahead(1) == &Token::Sign("(")
                && FUNCTIONS.iter().any(|(name, ..)| self.is_word(name))
    }

    /// Reads from TABLE on, or from the function's name on where TABLE( ) is left out.
    pub(super) fn window_table(&mut self) -> Parsed<FromSource> {
        self.deeper(|p| {
            let wrapped = p.accept_word("TABLE");
            if wrapped {
                p.expect_sign("(")?;
            }
            let place = p.place();
            let Token::Word(word) = p.advance() else {
                p.at -= 1;
                return Err(p.expected("TUMBLE, HOP, CUMULATE or SESSION"));
            };
            let upper = word.to_ascii_uppercase();
            let Some((name, needed, optional)) = FUNCTIONS.iter().find(|f| f.0 == upper) else {
                let near = nearest(&upper, FUNCTIONS.iter().map(|f| f.0));
                return Err(SqlError::new(
                    place,
                    format!("\"{word}\" is no window; there are TUMBLE, HOP, CUMULATE and SESSION"),
                )
                .meant(near));
            };
            p.expect_sign("(")?;
            let mut given = Given::default();
            loop {
                p.argument(name, needed, optional, &mut given)?;
                if !p.accept_sign(",") {
                    break;
                }
            }
            p.expect_sign(")")?;
            if wrapped {
                p.expect_sign(")")?;
            }
            let missing = |what: &str| {
                SqlError::new(
                    place,
                    format!("{name}: {what}; it is written {}", form(name)),
                )
            };
            let source = given
                .source
                .ok_or_else(|| missing("the stream is missing"))?;
            let time = given
                .time
                .ok_or_else(|| missing("the time column is missing"))?;
            for parameter in *needed {
                if !given.lengths.iter().any(|l| l.parameter == *parameter) {
                    return Err(missing(&format!("{parameter} is missing")));
                }
            }
            Ok(FromSource::Window(Box::new(WindowTable {
                function: Name { text: upper, place },
                source,
                partition: given.partition,
                time,
                lengths: given.lengths,
            })))
        })
    }

    fn argument(
        &mut self,
        function: &str,
        needed: &'static [&'static str],
        optional: &'static [&'static str],
        given: &mut Given,
    ) -> Parsed<()> {
        let parameters = || needed.iter().chain(optional).copied();
        let place = self.place();
        let named = match (self.ahead(0), self.ahead(1)) {
            // Flink reserves some of the names, such as OFFSET, and takes those in backticks.
            (Token::Word(word) | Token::Quoted(word), Token::Sign("=>")) => {
                Some(word.to_ascii_uppercase())
            }
            _ => None,
        };
        if named.is_some() {
            self.at += 2;
        }
        let name = named.as_deref();
        let twice = |what: &str| SqlError::new(place, format!("{function}: {what} is given twice"));
        if self.is_word("TABLE") || self.is_sign("(") && name.is_none_or(|n| n == "DATA") {
            if given.source.is_some() {
                return Err(twice("the stream"));
            }
            given.source = Some(self.data()?);
            if self.accept_words(&["PARTITION", "BY"]) {
                given.partition = self.partition(function)?;
            }
            return Ok(());
        }
        if self.is_word("DESCRIPTOR") {
            if given.time.is_some() {
                return Err(twice("the time column"));
            }
            self.at += 1;
            self.expect_sign("(")?;
            given.time = Some(self.name("the event-time column's name")?);
            self.expect_sign(")")?;
            return Ok(());
        }
        let parameter = match name {
            Some(name) => parameters().find(|p| *p == name),
            // By position: the first that is still open.
            None => parameters().find(|p| !given.lengths.iter().any(|l| l.parameter == *p)),
        };
        let Some(parameter) = parameter else {
            let all: Vec<&str> = ["DATA", "TIMECOL"]
                .into_iter()
                .chain(parameters())
                .collect();
            let message = match name {
                Some(name) => format!(
                    "{function} has no parameter {name}; there are {}",
                    all.join(", ")
                ),
                None => format!(
                    "{function} has too many arguments; it is written {}",
                    form(function)
                ),
            };
            return Err(SqlError::new(place, message));
        };
        if given.lengths.iter().any(|l| l.parameter == parameter) {
            return Err(twice(parameter));
        }
        let expr = self.expression()?;
        let Expr {
            kind: Kind::Interval(interval),
            ..
        } = expr
        else {
            return Err(SqlError::new(
                expr.place,
                format!(
                    "{function}: {parameter} is an interval, such as INTERVAL '1' MINUTE; it is written {}",
                    form(function)
                ),
            ));
        };
        given.lengths.push(Length {
            parameter,
            place: expr.place,
            interval,
        });
        Ok(())
    }

    fn data(&mut self) -> Parsed<From> {
        let source = if self.accept_word("TABLE") {
            if self.is_sign("(") {
                return Err(
                    self.expected("a stream's name; a sub-query stands here without TABLE,")
                );
            }
            FromSource::Name(self.name("a stream's name")?)
        } else {
            self.expect_sign("(")?;
            let mut query = self.query()?;
            self.close_query()?;
            name_columns(&mut query);
            FromSource::Query(Box::new(query))
        };
        Ok(From {
            source,
            as_of: None,
            alias: None,
            columns: Vec::new(),
        })
    }

    fn partition(&mut self, function: &str) -> Parsed<Vec<Name>> {
        if function != "SESSION" {
            return Err(SqlError::new(
                self.place(),
                format!(
                    "{function} has no PARTITION BY: its windows are the same for all keys; name the keys in GROUP BY"
                ),
            ));
        }
        if !self.accept_sign("(") {
            return Ok(vec![self.name("a column's name")?]);
        }
        let mut names = vec![self.name("a column's name")?];
        while self.accept_sign(",") {
            names.push(self.name("a column's name")?);
        }
        self.expect_sign(")")?;
        Ok(names)
    }
}

/// How a window is written.
fn form(function: &str) -> &'static str {
    match function {
        "TUMBLE" => "TUMBLE(TABLE stream, DESCRIPTOR(time), size [, offset])",
        "HOP" => "HOP(TABLE stream, DESCRIPTOR(time), slide, size [, offset])",
        "CUMULATE" => "CUMULATE(TABLE stream, DESCRIPTOR(time), step, size [, offset])",
        _ => "SESSION(TABLE stream PARTITION BY key, DESCRIPTOR(time), gap)",
    }
}
