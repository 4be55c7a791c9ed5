//! Reads a contract's type text. Small and hand-written, so that an error has a place and a remedy.

#[cfg(test)]
mod tests;

use std::str::FromStr;

use snafu::Snafu;

use super::{DataType, StructField};

/// Nesting that a type may have; deeper ones are refused before the stack is at risk.
const MAX_DEPTH: usize = 16;
/// Longest type text, in bytes.
const MAX_LENGTH: usize = 16 * 1024;
const WORDS: &str = "boolean, int, bigint, float, double, decimal(p,s), string, bytes, date, time, \
    timestamp(0|3|6), timestamp_ltz(0|3|6), array<…>, map<string,…>, struct<…>";

/// A type's text that can't be read.
#[derive(Clone, Debug, PartialEq, Eq, Snafu)]
#[snafu(display("at character {position}: {message}{}", suggestion.as_ref().map(|s| format!("; did you mean `{s}`?")).unwrap_or_default()))]
pub struct TypeError {
    /// Where, as a character of the text, from 1.
    pub position: usize,
    /// What is wrong.
    pub message: String,
    /// What was probably meant.
    pub suggestion: Option<String>,
}

impl FromStr for DataType {
    type Err = TypeError;

    fn from_str(text: &str) -> Result<Self, TypeError> {
        let mut parser = Parser { text, at: 0 };
        if text.len() > MAX_LENGTH {
            return Err(parser.error(format!(
                "a type's text may have {MAX_LENGTH} bytes, this one has {}",
                text.len()
            )));
        }
        let data_type = parser.data_type(0)?;
        parser.skip_space();
        if parser.at < text.len() {
            let rest: String = parser.rest().chars().take(20).collect();
            return Err(parser.error(format!("the type ends before `{rest}`")));
        }
        Ok(data_type)
    }
}

/// True for a word that needs no backticks in a type's text.
pub(super) fn is_plain_word(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The canonical text for a word that other systems use.
fn canonical(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "bool" | "boolean" => "boolean",
        "int" | "integer" | "int32" | "i32" | "int4" | "tinyint" | "smallint" | "byte"
        | "short" | "int8" | "int16" => "int",
        "bigint" | "long" | "int64" | "i64" => "bigint",
        "float" | "real" | "float32" | "float4" => "float",
        "double" | "float64" | "float8" | "number" => "double",
        "decimal" | "numeric" | "dec" => "decimal(12,2)",
        "string" | "varchar" | "char" | "text" | "utf8" | "character" | "uuid" | "keyword"
        | "str" => "string",
        "bytes" | "binary" | "varbinary" | "blob" | "bytea" => "bytes",
        "date" => "date",
        "time" => "time",
        "timestamp" | "datetime" => "timestamp(3)",
        "timestamp_ltz" | "timestamptz" | "instant" => "timestamp_ltz(3)",
        "array" | "list" | "repeated" => "array<string>",
        "map" => "map<string,string>",
        "struct" | "row" | "record" | "object" => "struct<name string>",
        _ => return None,
    })
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn data_type(&mut self, depth: usize) -> Result<DataType, TypeError> {
        self.skip_space();
        let start = self.at;
        if depth > MAX_DEPTH {
            return Err(self.error(format!("a type may be nested {MAX_DEPTH} levels deep")));
        }
        let word = self.word();
        Ok(match word {
            "boolean" => DataType::Boolean,
            "int" => DataType::Int,
            "bigint" => DataType::BigInt,
            "float" => DataType::Float,
            "double" => DataType::Double,
            "string" => DataType::String,
            "bytes" => DataType::Bytes,
            "date" => DataType::Date,
            "time" => DataType::Time,
            "decimal" => self.decimal(start)?,
            "timestamp" => DataType::Timestamp(self.digits(start, word)?),
            "timestamp_ltz" => DataType::TimestampLtz(self.digits(start, word)?),
            "array" => {
                self.expect('<', "array<string>")?;
                let element = self.data_type(depth + 1)?;
                self.expect('>', "array<string>")?;
                DataType::Array(Box::new(element))
            }
            "map" => {
                self.expect('<', "map<string,string>")?;
                let key_at = self.at;
                if self.data_type(depth + 1)? != DataType::String {
                    self.at = key_at;
                    return Err(self.error("a map's key is a string").meant("map<string,…>"));
                }
                self.expect(',', "map<string,string>")?;
                let value = self.data_type(depth + 1)?;
                self.expect('>', "map<string,string>")?;
                DataType::Map(Box::new(value))
            }
            "struct" => DataType::Struct(self.fields(depth)?),
            _ => {
                self.at = start;
                return Err(self.unknown(word));
            }
        })
    }

    fn unknown(&self, word: &str) -> TypeError {
        if word.is_empty() {
            return self.error(format!("a type is missing here; the types are {WORDS}"));
        }
        let error = self.error(format!("unknown type `{word}`; the types are {WORDS}"));
        if let Some(word) = canonical(word) {
            return error.meant(word);
        }
        let words = [
            "boolean",
            "bigint",
            "float",
            "double",
            "decimal",
            "string",
            "bytes",
            "timestamp",
            "timestamp_ltz",
            "array",
            "struct",
        ];
        match crate::suggest::nearest(&word.to_ascii_lowercase(), words.into_iter())
            .and_then(|w| canonical(&w))
        {
            Some(near) => error.meant(near),
            None => error,
        }
    }

    fn decimal(&mut self, start: usize) -> Result<DataType, TypeError> {
        let need = "decimal needs its digits in all and after the point";
        if self.peek() != Some('(') {
            self.at = start;
            return Err(self.error(need).meant("decimal(12,2)"));
        }
        self.expect('(', "decimal(12,2)")?;
        let at = self.at;
        let precision = self.number()?;
        if self.peek() == Some(')') {
            self.at = start;
            return Err(self.error(need).meant(&format!("decimal({precision},0)")));
        }
        self.expect(',', "decimal(12,2)")?;
        let scale_at = self.at;
        let scale = self.number()?;
        self.expect(')', "decimal(12,2)")?;
        if !(1..=38).contains(&precision) {
            self.at = at;
            return Err(self.error(format!("a decimal has 1 to 38 digits, not {precision}")));
        }
        if scale > precision {
            self.at = scale_at;
            return Err(self.error(format!(
                "of {precision} digits, {scale} can't stand after the point"
            )));
        }
        Ok(DataType::Decimal {
            precision: precision as u8,
            scale: scale as u8,
        })
    }

    fn digits(&mut self, start: usize, word: &str) -> Result<u8, TypeError> {
        if self.peek() != Some('(') {
            self.at = start;
            return Err(self
                .error(format!("{word} needs its digits of a second: 0, 3 or 6"))
                .meant(&format!("{word}(3)")));
        }
        self.expect('(', "timestamp(3)")?;
        let at = self.at;
        let digits = self.number()?;
        if ![0, 3, 6].contains(&digits) {
            self.at = at;
            let near = if digits < 3 { 3 } else { 6 };
            return Err(self
                .error(format!(
                    "a {word} has 0, 3 or 6 digits of a second, not {digits}"
                ))
                .meant(&format!("{word}({near})")));
        }
        self.expect(')', "timestamp(3)")?;
        Ok(digits as u8)
    }

    fn fields(&mut self, depth: usize) -> Result<Vec<StructField>, TypeError> {
        let example = "struct<sku string, qty int not null>";
        self.expect('<', example)?;
        let mut fields: Vec<StructField> = Vec::new();
        loop {
            self.skip_space();
            let at = self.at;
            let name = self.name()?;
            if fields.iter().any(|f| f.name == name) {
                self.at = at;
                return Err(self.error(format!("the struct has two fields named `{name}`")));
            }
            if self.peek() == Some(':') {
                return Err(self
                    .error("a field's name and type are separated by a space")
                    .meant(example));
            }
            let data_type = self.data_type(depth + 1)?;
            let mut nullable = true;
            if matches!(self.peek(), Some('n' | 'N')) {
                let at = self.at;
                if (self.word(), self.spaced_word()) != ("not", "null") {
                    self.at = at;
                    return Err(self
                        .error("after a field's type only `not null` may stand")
                        .meant("not null"));
                }
                nullable = false;
            }
            fields.push(StructField {
                name,
                data_type,
                nullable,
            });
            if let Some(',') = self.peek() {
                self.expect(',', example)?;
            } else {
                self.expect('>', example)?;
                return Ok(fields);
            }
        }
    }

    fn name(&mut self) -> Result<String, TypeError> {
        if self.peek() != Some('`') {
            let word = self.word();
            if word.is_empty() {
                return Err(self.error("a field's name is missing here; a name that is no plain word stands in backticks"));
            }
            return Ok(word.to_owned());
        }
        let start = self.at;
        let mut name = String::new();
        let mut chars = self.rest().char_indices().skip(1).peekable();
        while let Some((i, c)) = chars.next() {
            if c != '`' {
                name.push(c);
            } else if chars.next_if(|(_, c)| *c == '`').is_some() {
                name.push('`');
            } else if name.is_empty() {
                return Err(self.error("a field's name is empty"));
            } else {
                self.at = start + i + 1;
                return Ok(name);
            }
        }
        Err(self.error("this backtick is not closed"))
    }

    fn number(&mut self) -> Result<u32, TypeError> {
        self.skip_space();
        let rest = self.rest();
        let end = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let number = rest[..end]
            .parse()
            .map_err(|_| self.error("a number is missing here"))?;
        self.at += end;
        Ok(number)
    }

    fn word(&mut self) -> &'a str {
        let rest = &self.text[self.at..];
        let end = rest
            .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
            .unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    fn spaced_word(&mut self) -> &'a str {
        self.skip_space();
        self.word()
    }

    fn expect(&mut self, wanted: char, example: &str) -> Result<(), TypeError> {
        match self.peek() {
            Some(c) if c == wanted => {
                self.at += c.len_utf8();
                Ok(())
            }
            Some(c) => Err(self.error(format!(
                "`{wanted}` is missing before `{c}`, as in {example}"
            ))),
            None => Err(self.error(format!(
                "the text ends where `{wanted}` must stand, as in {example}"
            ))),
        }
    }

    /// The next character that is no space; the parser then stands on it.
    fn peek(&mut self) -> Option<char> {
        self.skip_space();
        self.rest().chars().next()
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn error(&self, message: impl Into<String>) -> TypeError {
        let position = self.text[..self.at].chars().count() + 1;
        TypeError {
            position,
            message: message.into(),
            suggestion: None,
        }
    }
}

impl TypeError {
    fn meant(mut self, suggestion: &str) -> Self {
        self.suggestion = Some(suggestion.to_owned());
        self
    }
}
