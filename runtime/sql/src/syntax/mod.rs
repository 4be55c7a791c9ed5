//! SQL text to a syntax tree of the dialect: Flink's, without what this version can't run.
//!
//! The parser is our own, because every node needs its place, the reserved words must be Flink's, and
//! what isn't supported must be refused by name where it stands. A tree that exists is fully
//! understood: there is no construct that could be parsed and then silently left out. Depth is
//! bounded, and what descends takes more stack where little is left.

pub(crate) mod ast;
mod clauses;
mod expression;
mod group;
mod grouping_sets;
mod interval;
mod join;
mod lexer;
mod operators;
pub(crate) mod over;
mod query;
mod refused;
mod special;
mod sub_query;
mod tvf;
mod unnest;
pub(crate) mod walk;
mod words;

pub(crate) use interval::millis;
pub(crate) use query::own_name;

use crate::error::{Place, SqlError};
use crate::stack;
use ast::{Body, FromSource, Query};
use lexer::{Placed, Token};

/// Longest query, in bytes.
pub(crate) const MAX_SQL: usize = 64 * 1024;
/// Deepest nesting of an expression or of sub-queries.
const MAX_DEPTH: usize = 160;

/// Reads one query.
pub(crate) fn parse(sql: &str) -> Result<Query, SqlError> {
    if sql.len() > MAX_SQL {
        let message = format!(
            "a query has at most {MAX_SQL} bytes, this one has {}",
            sql.len()
        );
        return Err(SqlError::new(Place { line: 1, column: 1 }, message));
    }
    let mut parser = Parser {
        tokens: lexer::tokens(sql)?,
        at: 0,
        depth: 0,
    };
    parser.whole_query()
}

/// Reads one expression, for conditions outside a query.
pub(crate) fn parse_expression(sql: &str) -> Result<ast::Expr, SqlError> {
    if sql.len() > MAX_SQL {
        return Err(SqlError::new(
            Place { line: 1, column: 1 },
            format!("a condition has at most {MAX_SQL} bytes"),
        ));
    }
    let mut parser = Parser {
        tokens: lexer::tokens(sql)?,
        at: 0,
        depth: 0,
    };
    let expr = parser.expression()?;
    if *parser.token() == Token::End {
        Ok(expr)
    } else {
        Err(parser.expected("the end of the condition"))
    }
}

/// The query's words without spaces and comments, for its fingerprint.
pub(crate) fn normal_form(sql: &str) -> Result<String, SqlError> {
    let tokens = lexer::tokens(sql)?;
    Ok(tokens
        .iter()
        .map(|t| t.token.shown_fully())
        .collect::<Vec<_>>()
        .join(" "))
}

/// The names that the query reads and doesn't define itself, each once, in order of appearance.
pub(crate) fn inputs(query: &Query) -> Vec<&ast::Name> {
    fn visit<'a>(query: &'a Query, defined: &mut Vec<&'a str>, names: &mut Vec<&'a ast::Name>) {
        let outer = defined.len();
        for named in &query.with {
            visit(&named.query, defined, names);
            defined.push(&named.name.text);
        }
        for branch in &query.branches {
            match branch {
                Body::Query(query) => visit(query, defined, names),
                Body::Select(select) => read(&select.from.source, defined, names),
            }
        }
        defined.truncate(outer);
    }
    fn read<'a>(
        source: &'a FromSource,
        defined: &mut Vec<&'a str>,
        names: &mut Vec<&'a ast::Name>,
    ) {
        match source {
            FromSource::Query(query) => visit(query, defined, names),
            FromSource::Window(table) => read(&table.source.source, defined, names),
            FromSource::Unnest(unnest) => read(&unnest.input.source, defined, names),
            FromSource::Join(join) => {
                read(&join.left.source, defined, names);
                read(&join.right.source, defined, names);
            }
            FromSource::Name(name) => {
                if !defined.contains(&name.text.as_str())
                    && !names.iter().any(|n| n.text == name.text)
                {
                    names.push(name);
                }
            }
        }
    }
    let mut names = Vec::new();
    visit(query, &mut Vec::new(), &mut names);
    names
}

type Parsed<T> = Result<T, SqlError>;

struct Parser {
    tokens: Vec<Placed>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn token(&self) -> &Token {
        self.ahead(0)
    }

    fn ahead(&self, by: usize) -> &Token {
        self.tokens
            .get(self.at + by)
            .map_or(&Token::End, |t| &t.token)
    }

    fn place(&self) -> Place {
        self.tokens
            .get(self.at)
            .or(self.tokens.last())
            .map(|t| t.place)
            .unwrap_or_default()
    }

    fn advance(&mut self) -> Token {
        let token = self.token().clone();
        self.at += 1;
        token
    }

    /// True if the token `by` places ahead is this key word (bare, in any case).
    fn is_word_ahead(&self, by: usize, word: &str) -> bool {
        matches!(self.ahead(by), Token::Word(w) if w.eq_ignore_ascii_case(word))
    }

    fn is_word(&self, word: &str) -> bool {
        self.is_word_ahead(0, word)
    }

    fn is_words(&self, words: &[&str]) -> bool {
        words
            .iter()
            .enumerate()
            .all(|(i, w)| self.is_word_ahead(i, w))
    }

    fn accept_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        self.at += usize::from(found);
        found
    }

    fn accept_words(&mut self, words: &[&str]) -> bool {
        let found = self.is_words(words);
        self.at += if found { words.len() } else { 0 };
        found
    }

    fn expect_word(&mut self, word: &str) -> Parsed<()> {
        if self.accept_word(word) {
            Ok(())
        } else {
            Err(self.expected(&format!("\"{word}\"")))
        }
    }

    fn is_sign(&self, sign: &str) -> bool {
        matches!(self.token(), Token::Sign(s) if *s == sign)
    }

    fn accept_sign(&mut self, sign: &str) -> bool {
        let found = self.is_sign(sign);
        self.at += usize::from(found);
        found
    }

    fn expect_sign(&mut self, sign: &str) -> Parsed<()> {
        if self.accept_sign(sign) {
            Ok(())
        } else {
            Err(self.expected(&format!("\"{sign}\"")))
        }
    }

    fn expected(&self, what: &str) -> SqlError {
        SqlError::new(
            self.place(),
            format!("{what} is expected here, not {}", self.token().shown()),
        )
    }

    /// A name; a bare word that Flink reserves is refused with its backticked form.
    fn name(&mut self, what: &str) -> Parsed<ast::Name> {
        let place = self.place();
        match self.token() {
            Token::Quoted(text) => {
                let text = text.clone();
                self.at += 1;
                Ok(ast::Name { text, place })
            }
            Token::Word(word) if words::is_reserved(word) => Err(self.reserved(what)),
            Token::Word(word) => {
                let text = word.clone();
                self.at += 1;
                Ok(ast::Name { text, place })
            }
            _ => Err(self.expected(what)),
        }
    }

    fn reserved(&self, what: &str) -> SqlError {
        let Token::Word(word) = self.token() else {
            return self.expected(what);
        };
        let message = format!(
            "{what} is expected here, and \"{word}\" is a reserved word of Flink SQL; as a name it stands in backticks"
        );
        SqlError::new(self.place(), message).meant(Some(format!("`{word}`")))
    }

    /// Runs `inner` one level deeper; too deep is an error, not an overflow of the stack.
    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= MAX_DEPTH {
            return Err(Self::too_deep(self.place()));
        }
        self.depth += 1;
        let result = stack::deeper(|| inner(self));
        self.depth -= 1;
        result
    }

    fn too_deep(place: Place) -> SqlError {
        SqlError::new(
            place,
            format!(
                "the query is nested more than {MAX_DEPTH} levels deep here; split it with a sub-query in WITH"
            ),
        )
    }
}

impl Token {
    fn shown_fully(&self) -> String {
        match self {
            Self::Word(word) => word.clone(),
            Self::Text(text) => format!("'{}'", text.replace('\'', "''")),
            Self::End => String::new(),
            other => other.shown(),
        }
    }
}
