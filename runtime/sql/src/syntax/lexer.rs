//! Text to tokens, each with its place.

use crate::error::{Place, SqlError};

/// One token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    /// A bare word: key word or name.
    Word(String),
    /// A name in backticks.
    Quoted(String),
    /// A number as written.
    Number(String),
    /// A string literal's value.
    Text(String),
    /// A sign such as `<=`.
    Sign(&'static str),
    /// The end of the text.
    End,
}

impl Token {
    /// The token as an error message shows it.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::Word(word) => format!("\"{word}\""),
            Self::Quoted(name) => format!("`{name}`"),
            Self::Number(number) => number.clone(),
            Self::Text(text) if text.chars().count() > 20 => {
                format!("'{}…'", text.chars().take(20).collect::<String>())
            }
            Self::Text(text) => format!("'{text}'"),
            Self::Sign(sign) => format!("\"{sign}\""),
            Self::End => "the end of the query".to_owned(),
        }
    }
}

/// A token and where it begins.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    pub token: Token,
    pub place: Place,
}

/// Longest signs first, so that `<=` is not read as `<`.
const SIGNS: &[&str] = &[
    "<>", "!=", "<=", ">=", "||", "=>", "::", "(", ")", "[", "]", ",", ".", ";", "+", "-", "*",
    "/", "%", "=", "<", ">", "{", "}", "?", ":", "&", "|", "^", "~", "!", "@", "#", "$", "\\",
];

/// Reads the whole text.
pub(crate) fn tokens(sql: &str) -> Result<Vec<Placed>, SqlError> {
    let mut lexer = Lexer {
        rest: sql,
        place: Place { line: 1, column: 1 },
    };
    let mut tokens = Vec::new();
    loop {
        lexer.skip_space()?;
        let place = lexer.place;
        let token = lexer.token()?;
        let end = token == Token::End;
        tokens.push(Placed { token, place });
        if end {
            return Ok(tokens);
        }
    }
}

struct Lexer<'a> {
    rest: &'a str,
    place: Place,
}

impl<'a> Lexer<'a> {
    fn token(&mut self) -> Result<Token, SqlError> {
        let Some(first) = self.rest.chars().next() else {
            return Ok(Token::End);
        };
        if first.is_alphabetic() || first == '_' {
            let word = self.take(|c| c.is_alphanumeric() || c == '_' || c == '$');
            return Ok(Token::Word(word.to_owned()));
        }
        if first.is_ascii_digit()
            || (first == '.' && self.rest[1..].starts_with(|c: char| c.is_ascii_digit()))
        {
            return self.number();
        }
        match first {
            '\'' => return self.delimited('\'', "string").map(Token::Text),
            '`' => {
                let place = self.place;
                let name = self.delimited('`', "name")?;
                if name.is_empty() {
                    return Err(SqlError::new(place, "a name in backticks is empty"));
                }
                return Ok(Token::Quoted(name));
            }
            '"' | '“' | '”' | '‘' | '’' => {
                return Err(SqlError::new(
                    self.place,
                    format!(
                        "{first} is no quote here: a string stands in 'single quotes', a name in `backticks`"
                    ),
                ));
            }
            _ => {}
        }
        if let Some(sign) = SIGNS.iter().find(|s| self.rest.starts_with(**s)) {
            self.advance(sign.len());
            return Ok(Token::Sign(sign));
        }
        Err(SqlError::new(
            self.place,
            format!("the character {first:?} has no meaning here"),
        ))
    }

    fn number(&mut self) -> Result<Token, SqlError> {
        let place = self.place;
        let bytes = self.rest.as_bytes();
        let digits = |mut i: usize| {
            while bytes.get(i).is_some_and(u8::is_ascii_digit) {
                i += 1;
            }
            i
        };
        let mut end = digits(0);
        if bytes.get(end) == Some(&b'.') {
            end = digits(end + 1);
        }
        if matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let exponent = digits(end + 1 + sign);
            if exponent > end + 1 + sign {
                end = exponent;
            }
        }
        let number = self.rest[..end].to_owned();
        self.advance(end);
        if self
            .rest
            .starts_with(|c: char| c.is_alphanumeric() || c == '_')
        {
            return Err(SqlError::new(
                place,
                format!(
                    "after the number {number} a space is missing; a name that begins with a digit stands in `backticks`"
                ),
            ));
        }
        Ok(Token::Number(number))
    }

    /// Text between two delimiters, where a doubled delimiter means itself.
    fn delimited(&mut self, delimiter: char, what: &str) -> Result<String, SqlError> {
        let place = self.place;
        self.advance(1);
        let mut value = String::new();
        loop {
            let Some(end) = self.rest.find(delimiter) else {
                return Err(SqlError::new(
                    place,
                    format!("this {what} is not closed: {delimiter} is missing"),
                ));
            };
            value.push_str(&self.rest[..end]);
            self.advance(end + 1);
            if !self.rest.starts_with(delimiter) {
                return Ok(value);
            }
            value.push(delimiter);
            self.advance(1);
        }
    }

    fn skip_space(&mut self) -> Result<(), SqlError> {
        loop {
            self.take(char::is_whitespace);
            if self.rest.starts_with("--") {
                self.take(|c| c != '\n');
            } else if self.rest.starts_with("/*+") {
                return Err(SqlError::new(
                    self.place,
                    "query hints are not part of the dialect; leave the hint out",
                ));
            } else if self.rest.starts_with("/*") {
                match self.rest.find("*/") {
                    Some(end) => self.advance(end + 2),
                    None => {
                        return Err(SqlError::new(
                            self.place,
                            "this comment is not closed: */ is missing",
                        ));
                    }
                }
            } else {
                return Ok(());
            }
        }
    }

    fn take(&mut self, wanted: impl Fn(char) -> bool) -> &'a str {
        let end = self.rest.find(|c| !wanted(c)).unwrap_or(self.rest.len());
        let taken = &self.rest[..end];
        self.advance(end);
        taken
    }

    fn advance(&mut self, bytes: usize) {
        for c in self.rest[..bytes].chars() {
            if c == '\n' {
                self.place.line += 1;
                self.place.column = 1;
            } else {
                self.place.column += 1;
            }
        }
        self.rest = &self.rest[bytes..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_have_places_in_characters() {
        let placed = tokens("SELECT 'ü''b' -- c\n  , `a``b`<=1.5e3.x /* x\n*/ ||").unwrap();
        let shown: Vec<String> = placed
            .iter()
            .map(|p| format!("{}:{} {}", p.place.line, p.place.column, p.token.shown()))
            .collect();
        assert_eq!(
            shown,
            [
                "1:1 \"SELECT\"",
                "1:8 'ü'b'",
                "2:3 \",\"",
                "2:5 `a`b`",
                "2:11 \"<=\"",
                "2:13 1.5e3",
                "2:18 \".\"",
                "2:19 \"x\"",
                "3:4 \"||\"",
                "3:6 the end of the query"
            ]
        );
    }

    #[test]
    fn what_is_left_open_is_named_where_it_begins() {
        for (sql, column) in [
            ("a 'bc", 3),
            ("a `bc", 3),
            ("ab /* x", 4),
            ("a \"b\"", 3),
            ("1abc", 1),
            ("a \u{0}", 3),
            ("a /*+ x */", 3),
        ] {
            assert_eq!(tokens(sql).unwrap_err().column, column, "{sql}");
        }
    }
}
