//! Type names as a query writes them, and the clauses of the JSON functions.

use super::ast::{
    Expr, JsonDefault, JsonExistsError, JsonFunction, JsonQueryDefault, JsonWrapper, Kind, TypeName,
};
use super::lexer::Token;
use super::{Parsed, Parser};
use crate::error::{Place, SqlError};
use crate::suggest::nearest;
use crate::types::{DataType, StructField};

const TYPES: &[&str] = &[
    "BOOLEAN",
    "INT",
    "INTEGER",
    "BIGINT",
    "FLOAT",
    "DOUBLE",
    "DECIMAL",
    "NUMERIC",
    "STRING",
    "VARCHAR",
    "BYTES",
    "DATE",
    "TIME",
    "TIMESTAMP",
    "TIMESTAMP_LTZ",
    "ARRAY",
    "MAP",
    "ROW",
];

/// A word that names no type of the dialect; those of other databases have a type here that is meant.
fn no_type(word: &str, upper: &str, place: Place) -> SqlError {
    let meant = match upper {
        "TINYINT" | "SMALLINT" => "INT",
        "CHAR" => {
            return SqlError::new(place, "CHAR (padded text) is not a type here")
                .meant(Some("STRING".into()));
        }
        "BINARY" | "VARBINARY" | "BLOB" => "BYTES",
        "TEXT" | "UTF8" => "STRING",
        "LONG" => "BIGINT",
        "DATETIME" => "TIMESTAMP(3)",
        "BOOL" => "BOOLEAN",
        "REAL" => "FLOAT",
        _ => {
            return SqlError::new(place, format!("unknown type \"{word}\""))
                .meant(nearest(word, TYPES.iter()));
        }
    };
    // As it is written, or as the dialect would write it: the message has always been so.
    let shown = match upper {
        "LONG" | "DATETIME" | "BOOL" | "REAL" => upper,
        _ => word,
    };
    SqlError::new(place, format!("{shown} is not a type here")).meant(Some(meant.into()))
}

impl Parser {
    pub(super) fn type_name(&mut self) -> Parsed<TypeName> {
        self.deeper(Self::one_type)
    }

    fn one_type(&mut self) -> Parsed<TypeName> {
        let place = self.place();
        let Token::Word(word) = self.advance() else {
            self.at -= 1;
            return Err(self.expected("a type such as STRING"));
        };
        let mut max_chars = None;
        let data_type = match word.to_ascii_uppercase().as_str() {
            "BOOLEAN" => DataType::Boolean,
            "INT" | "INTEGER" => DataType::Int,
            "BIGINT" => DataType::BigInt,
            "FLOAT" => DataType::Float,
            "DOUBLE" => {
                self.accept_word("PRECISION");
                DataType::Double
            }
            "DECIMAL" | "DEC" | "NUMERIC" => self.decimal()?,
            "STRING" => DataType::String,
            "VARCHAR" => {
                max_chars = Some(self.varchar(place)?);
                DataType::String
            }
            "BYTES" => DataType::Bytes,
            "DATE" => DataType::Date,
            "TIME" => {
                self.digits("TIME", 0)?;
                DataType::Time
            }
            "TIMESTAMP" => {
                let digits = self.digits("TIMESTAMP", 6)?;
                if self.accept_words(&["WITH", "LOCAL", "TIME", "ZONE"]) {
                    DataType::TimestampLtz(digits)
                } else if self.is_word("WITH") {
                    return Err(SqlError::new(
                        self.place(),
                        "a time stamp WITH TIME ZONE is not part of the dialect",
                    )
                    .meant(Some("TIMESTAMP_LTZ(3)".into())));
                } else {
                    self.accept_words(&["WITHOUT", "TIME", "ZONE"]);
                    DataType::Timestamp(digits)
                }
            }
            "TIMESTAMP_LTZ" => DataType::TimestampLtz(self.digits("TIMESTAMP_LTZ", 6)?),
            "ARRAY" => {
                self.expect_sign("<")?;
                let element = self.type_name()?;
                self.expect_sign(">")?;
                DataType::Array(Box::new(element.data_type))
            }
            "MAP" => {
                self.expect_sign("<")?;
                let key = self.type_name()?;
                if key.data_type != DataType::String {
                    return Err(SqlError::new(
                        key.place,
                        format!("a map's key is a STRING, not {}", key.data_type),
                    ));
                }
                self.expect_sign(",")?;
                let value = self.type_name()?;
                self.expect_sign(">")?;
                DataType::Map(Box::new(value.data_type))
            }
            "ROW" => self.row()?,
            upper => return Err(no_type(&word, upper, place)),
        };
        if self.is_word("ARRAY") || self.is_word("MULTISET") {
            return Err(SqlError::new(self.place(), "a type's name ends here")
                .meant(Some(format!("ARRAY<{word}>"))));
        }
        if self.is_words(&["NOT", "NULL"]) {
            return Err(SqlError::new(
                self.place(),
                "NOT NULL is not part of a type in a query; a cast keeps what it is given",
            ));
        }
        Ok(TypeName {
            place,
            data_type,
            max_chars,
        })
    }

    fn row(&mut self) -> Parsed<DataType> {
        self.expect_sign("<")?;
        let mut fields: Vec<StructField> = Vec::new();
        loop {
            let name = self.name("a field's name")?;
            if fields.iter().any(|f| f.name == name.text) {
                return Err(SqlError::new(
                    name.place,
                    format!("the row has two fields named \"{}\"", name.text),
                ));
            }
            let data_type = self.type_name()?.data_type;
            fields.push(StructField {
                name: name.text,
                data_type,
                nullable: true,
            });
            if !self.accept_sign(",") {
                self.expect_sign(">")?;
                return Ok(DataType::Struct(fields));
            }
        }
    }

    fn varchar(&mut self, place: Place) -> Parsed<usize> {
        if !self.accept_sign("(") {
            return Err(SqlError::new(
                place,
                "VARCHAR without a length is one character long in Flink",
            )
            .meant(Some("STRING".into())));
        }
        let at = self.place();
        let length = self.whole_number()?;
        self.expect_sign(")")?;
        if length == 0 {
            return Err(SqlError::new(at, "VARCHAR's length is at least 1"));
        }
        Ok(length)
    }

    fn decimal(&mut self) -> Parsed<DataType> {
        let place = self.place();
        let (mut precision, mut scale) = (10, 0);
        if self.accept_sign("(") {
            precision = self.whole_number()?;
            if self.accept_sign(",") {
                scale = self.whole_number()?;
            }
            self.expect_sign(")")?;
        }
        if !(1..=38).contains(&precision) || scale > precision {
            return Err(SqlError::new(
                place,
                "a decimal has 1 to 38 digits, of which at most all stand after the point",
            ));
        }
        Ok(DataType::Decimal {
            precision: precision as u8,
            scale: scale as u8,
        })
    }

    fn digits(&mut self, word: &str, default: u8) -> Parsed<u8> {
        if !self.accept_sign("(") {
            return Ok(default);
        }
        let place = self.place();
        let digits = self.whole_number()?;
        self.expect_sign(")")?;
        match digits {
            0 => Ok(0),
            3 => Ok(3),
            6 => Ok(6),
            _ => Err(SqlError::new(
                place,
                format!("{word} has 0, 3 or 6 digits of a second here, not {digits}"),
            )),
        }
    }

    fn whole_number(&mut self) -> Parsed<usize> {
        if let Token::Number(number) = self.token()
            && let Ok(n) = number.parse()
        {
            self.advance();
            return Ok(n);
        }
        Err(self.expected("a whole number"))
    }

    pub(super) fn json(&mut self, upper: &str) -> Parsed<Expr> {
        let name = self.callee();
        let input = self.expression()?;
        self.expect_sign(",")?;
        let path = self.expression()?;
        let function = match upper {
            "JSON_EXISTS" => JsonFunction::Exists(self.exists_error()?),
            "JSON_VALUE" => self.json_value()?,
            _ => self.json_query()?,
        };
        if !self.accept_sign(")") {
            return Err(self.expected(&format!("a clause of {upper} or \")\"")));
        }
        let depth = input.depth.max(path.depth);
        Self::node(
            name.place,
            depth,
            Kind::Json {
                function,
                input: Box::new(input),
                path: Box::new(path),
            },
        )
    }

    fn exists_error(&mut self) -> Parsed<JsonExistsError> {
        let words = [
            ("TRUE", JsonExistsError::True),
            ("FALSE", JsonExistsError::False),
            ("UNKNOWN", JsonExistsError::Unknown),
            ("ERROR", JsonExistsError::Error),
        ];
        for (word, error) in words {
            if self.accept_word(word) {
                self.expect_word("ON")?;
                self.expect_word("ERROR")?;
                return Ok(error);
            }
        }
        Ok(JsonExistsError::False)
    }

    fn json_value(&mut self) -> Parsed<JsonFunction> {
        let returning = if self.accept_word("RETURNING") {
            Some(self.type_name()?)
        } else {
            None
        };
        let (mut on_empty, mut on_error) = (None, None);
        while on_error.is_none() {
            let default = if self.accept_word("NULL") {
                JsonDefault::Null
            } else if self.accept_word("ERROR") {
                JsonDefault::Error
            } else if self.accept_word("DEFAULT") {
                JsonDefault::Default(Box::new(self.expression()?))
            } else {
                break;
            };
            self.on_clause(default, &mut on_empty, &mut on_error)?;
        }
        Ok(JsonFunction::Value {
            returning,
            on_empty: on_empty.unwrap_or(JsonDefault::Null),
            on_error: on_error.unwrap_or(JsonDefault::Null),
        })
    }

    fn json_query(&mut self) -> Parsed<JsonFunction> {
        if self.is_word("RETURNING") {
            return Err(SqlError::new(
                self.place(),
                "JSON_QUERY gives a STRING here; RETURNING is not part of the dialect",
            ));
        }
        let mut wrapper = JsonWrapper::Without;
        let stated = if self.accept_word("WITHOUT") {
            true
        } else if self.accept_word("WITH") {
            wrapper = if self.accept_word("CONDITIONAL") {
                JsonWrapper::Conditional
            } else {
                self.accept_word("UNCONDITIONAL");
                JsonWrapper::Unconditional
            };
            true
        } else {
            false
        };
        if stated {
            self.accept_word("ARRAY");
            self.expect_word("WRAPPER")?;
        }
        let (mut on_empty, mut on_error) = (None, None);
        while on_error.is_none() {
            let default = if self.accept_word("NULL") {
                JsonQueryDefault::Null
            } else if self.accept_word("ERROR") {
                JsonQueryDefault::Error
            } else if self.accept_words(&["EMPTY", "ARRAY"]) {
                JsonQueryDefault::EmptyArray
            } else if self.accept_words(&["EMPTY", "OBJECT"]) {
                JsonQueryDefault::EmptyObject
            } else {
                break;
            };
            self.on_clause(default, &mut on_empty, &mut on_error)?;
        }
        Ok(JsonFunction::Query {
            wrapper,
            on_empty: on_empty.unwrap_or(JsonQueryDefault::Null),
            on_error: on_error.unwrap_or(JsonQueryDefault::Null),
        })
    }

    fn on_clause<T>(
        &mut self,
        default: T,
        on_empty: &mut Option<T>,
        on_error: &mut Option<T>,
    ) -> Parsed<()> {
        self.expect_word("ON")?;
        let place = self.place();
        if self.accept_word("ERROR") {
            *on_error = Some(default);
            Ok(())
        } else if self.accept_word("EMPTY") {
            match on_empty.replace(default) {
                None => Ok(()),
                Some(_) => Err(SqlError::new(place, "ON EMPTY is said twice")),
            }
        } else {
            Err(self.expected("EMPTY or ERROR"))
        }
    }
}
