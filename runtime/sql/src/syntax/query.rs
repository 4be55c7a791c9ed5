//! Queries: WITH, SELECT, FROM, WHERE, GROUP BY, HAVING, UNION ALL.

use super::ast::{Body, From, FromSource, Item, Kind, Name, Named, Query, Select};
use super::lexer::Token;
use super::{Parsed, Parser, refused, sub_query, words};
use crate::error::SqlError;
use crate::suggest::nearest;

/// Most branches that a query may unite.
const MAX_BRANCHES: usize = 64;

impl Parser {
    pub(super) fn whole_query(&mut self) -> Parsed<Query> {
        if *self.token() == Token::End {
            return Err(SqlError::new(
                self.place(),
                "the query is empty; it begins with SELECT",
            ));
        }
        let query = self.query()?;
        while self.accept_sign(";") {}
        if *self.token() != Token::End {
            return Err(self.unexpected_clause("the end of the query"));
        }
        Ok(query)
    }

    pub(super) fn query(&mut self) -> Parsed<Query> {
        self.deeper(|p| {
            let with = if p.accept_word("WITH") {
                p.with()?
            } else {
                Vec::new()
            };
            let mut branches = vec![p.branch()?];
            while p.is_word("UNION") {
                let place = p.place();
                p.advance();
                if !p.accept_word("ALL") {
                    return Err(refused::union(place));
                }
                if branches.len() == MAX_BRANCHES {
                    return Err(SqlError::new(
                        place,
                        format!("a query unites at most {MAX_BRANCHES} branches"),
                    ));
                }
                branches.push(p.branch()?);
            }
            Ok(Query { with, branches })
        })
    }

    fn with(&mut self) -> Parsed<Vec<Named>> {
        if self.is_word("RECURSIVE") {
            return Err(SqlError::new(
                self.place(),
                "WITH RECURSIVE is not part of the dialect",
            ));
        }
        let mut with: Vec<Named> = Vec::new();
        loop {
            let name = self.name("a sub-query's name")?;
            if with.iter().any(|n| n.name.text == name.text) {
                return Err(SqlError::new(
                    name.place,
                    format!("WITH defines \"{}\" twice", name.text),
                ));
            }
            let columns = self.column_names()?;
            self.expect_word("AS")?;
            self.expect_sign("(")?;
            let mut query = self.query()?;
            self.close_query()?;
            name_columns(&mut query);
            with.push(Named {
                name,
                columns,
                query,
            });
            if !self.accept_sign(",") {
                return Ok(with);
            }
        }
    }

    pub(super) fn column_names(&mut self) -> Parsed<Vec<Name>> {
        let mut names = Vec::new();
        if self.accept_sign("(") {
            loop {
                names.push(self.name("a column's name")?);
                if !self.accept_sign(",") {
                    break;
                }
            }
            self.expect_sign(")")?;
        }
        Ok(names)
    }

    fn branch(&mut self) -> Parsed<Body> {
        if self.accept_sign("(") {
            let query = self.query()?;
            self.close_query()?;
            return Ok(Body::Query(Box::new(query)));
        }
        if self.is_word("SELECT") {
            return self.select().map(|s| Body::Select(Box::new(s)));
        }
        let statement = [
            "INSERT", "CREATE", "UPDATE", "DELETE", "MERGE", "SET", "DROP", "ALTER", "EXPLAIN",
            "USE", "SHOW", "DESCRIBE", "EXECUTE", "BEGIN",
        ];
        if statement.iter().any(|w| self.is_word(w)) {
            let message = format!(
                "a pipeline's SQL is one query that begins with SELECT, not {}; where the result goes is said in `to:`",
                self.token().shown()
            );
            return Err(SqlError::new(self.place(), message));
        }
        if self.is_word("VALUES") {
            return Err(SqlError::new(
                self.place(),
                "VALUES is not part of the dialect: a pipeline reads streams",
            ));
        }
        let near = match self.token() {
            Token::Word(word) => nearest(word, ["SELECT", "WITH"].into_iter()),
            _ => None,
        };
        Err(self.expected("\"SELECT\"").meant(near))
    }

    fn select(&mut self) -> Parsed<Select> {
        let place = self.place();
        self.expect_word("SELECT")?;
        let at = self.place();
        let distinct = self.accept_word("DISTINCT").then_some(at);
        if self.is_word("STREAM") {
            return Err(SqlError::new(
                self.place(),
                "SELECT STREAM is not part of the dialect; leave STREAM out",
            ));
        }
        self.accept_word("ALL");
        let mut items = vec![self.item()?];
        while self.accept_sign(",") {
            if self.is_word("FROM") {
                return Err(SqlError::new(
                    self.place(),
                    "after the comma another column is expected, not FROM; leave the comma out",
                ));
            }
            items.push(self.item()?);
        }
        if !self.is_word("FROM") {
            return Err(self.no_from(&items));
        }
        self.advance();
        let from = self.all_of_from()?;
        let (from, filter) = if self.accept_word("WHERE") {
            sub_query::join(from, self.expression()?)?
        } else {
            (from, None)
        };
        let group = self.group_by()?;
        let having = if self.accept_word("HAVING") {
            Some(self.expression()?)
        } else {
            None
        };
        let windows = self.windows()?;
        if !self.at_end_of_select() {
            return Err(self.unexpected_clause("the end of the SELECT"));
        }
        Ok(Select {
            place,
            distinct,
            items,
            from,
            filter,
            group,
            having,
            windows,
        })
    }

    fn at_end_of_select(&self) -> bool {
        *self.token() == Token::End
            || self.is_sign(")")
            || self.is_sign(";")
            || self.is_word("UNION")
    }

    fn no_from(&self, items: &[Item]) -> SqlError {
        // `SELECT a FORM orders` reads FORM as a's alias.
        if let Some(Item::Expr {
            alias: Some(alias), ..
        }) = items.last()
            && !alias.text.eq_ignore_ascii_case("FROM")
            && nearest(&alias.text, ["FROM"].into_iter()).is_some()
        {
            return SqlError::new(
                alias.place,
                format!(
                    "\"{}\" is read as a column's alias, and FROM is missing",
                    alias.text
                ),
            )
            .meant(Some("FROM".into()));
        }
        if *self.token() == Token::End
            || self.is_sign(")")
            || self.is_word("UNION")
            || self.is_word("WHERE")
            || self.is_sign(";")
        {
            return SqlError::new(self.place(), "FROM is missing: a pipeline reads a stream");
        }
        self.expected("\",\" or \"FROM\"")
    }

    fn item(&mut self) -> Parsed<Item> {
        let place = self.place();
        if self.accept_sign("*") {
            return Ok(Item::All { place, of: None });
        }
        if let (Token::Word(_) | Token::Quoted(_), Token::Sign("."), Token::Sign("*")) =
            (self.ahead(0), self.ahead(1), self.ahead(2))
        {
            let of = self.name("a stream's name")?;
            self.at += 2;
            return Ok(Item::All {
                place,
                of: Some(of),
            });
        }
        let expr = self.expression()?;
        let alias = self.alias("an alias")?;
        Ok(Item::Expr { expr, alias })
    }

    pub(super) fn alias(&mut self, what: &str) -> Parsed<Option<Name>> {
        if self.accept_word("AS") {
            return self.name(what).map(Some);
        }
        match self.token() {
            Token::Quoted(_) => self.name(what).map(Some),
            Token::Word(word) if !words::is_reserved(word) => self.name(what).map(Some),
            _ => Ok(None),
        }
    }

    pub(super) fn from(&mut self) -> Parsed<From> {
        let place = self.place();
        let source = if self.accept_sign("(") {
            let mut query = self.query()?;
            self.close_query()?;
            name_columns(&mut query);
            FromSource::Query(Box::new(query))
        } else if self.at_window_table() {
            self.window_table()?
        } else if self.is_word("UNNEST") {
            return Err(Self::unnest_first(place));
        } else if self.is_word("LATERAL") {
            return Err(refused::refused(place, "a table made in FROM"));
        } else {
            let name = self.name("a stream's name")?;
            if self.is_sign(".") {
                return Err(SqlError::new(
                    self.place(),
                    "a stream is named without a catalog or namespace; a name with a dot stands in backticks",
                ));
            }
            if self.is_sign("(") {
                return Err(refused::refused(
                    place,
                    &format!("the table function {}", name.text),
                ));
            }
            FromSource::Name(name)
        };
        let as_of = self.as_of(&source)?;
        if let Some(refused) = self.refused_in_from() {
            return Err(refused);
        }
        let alias = self.alias("an alias")?;
        let columns = if alias.is_some() {
            self.column_names()?
        } else {
            Vec::new()
        };
        if let Some(refused) = self.refused_in_from() {
            return Err(refused);
        }
        Ok(From {
            source,
            as_of,
            alias,
            columns,
        })
    }

    pub(super) fn close_query(&mut self) -> Parsed<()> {
        if self.accept_sign(")") {
            Ok(())
        } else {
            Err(self.unexpected_clause("\")\""))
        }
    }
}

/// Names the columns of a sub-query that have none as Flink does, by their number. Behind `*` that isn't known here.
pub(super) fn name_columns(query: &mut Query) {
    // The first branch names them.
    match query.branches.first_mut() {
        Some(Body::Query(inner)) => name_columns(inner),
        Some(Body::Select(select)) => {
            for (number, item) in select.items.iter_mut().enumerate() {
                match item {
                    Item::All { .. } => break,
                    Item::Expr { expr, alias } if alias.is_none() => {
                        if own_name(&expr.kind).is_none() {
                            *alias = Some(Name {
                                text: format!("EXPR${number}"),
                                place: expr.place,
                            });
                        }
                    }
                    Item::Expr { .. } => {}
                }
            }
        }
        None => {}
    }
}

/// A path of one name is a column's; used for a SELECT item's own name.
pub(crate) fn own_name(kind: &Kind) -> Option<&str> {
    match kind {
        Kind::Path(names) => names.last().map(|n| n.text.as_str()),
        Kind::Field(_, name) => Some(&name.text),
        _ => None,
    }
}
