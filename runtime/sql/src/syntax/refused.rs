//! What this version refuses, by name and place, with the reason and the other way to write it.

use super::Parser;
use super::lexer::Token;
use crate::error::{Place, SqlError};
use crate::suggest::nearest;

const JOIN: &str = "; an interval join is: a JOIN b ON a.key = b.key AND b.time BETWEEN a.time - INTERVAL '5' MINUTE AND a.time + INTERVAL '1' HOUR";
const MORE: &str =
    "; write the first two joined to a stream by a Pipeline of its own, and join that stream here";
const SORTED: &str = ": a stream has no end, so it is never sorted or counted out as a whole; the first rows of each window are taken with ROW_NUMBER() OVER (PARTITION BY window_start, window_end ORDER BY …) and WHERE row_number <= n";

/// A construct that isn't in this version.
pub(super) fn refused(place: Place, what: &str) -> SqlError {
    let why = match what {
        "CROSS JOIN" | "NATURAL JOIN" => JOIN,
        "a join of more than two inputs" => MORE,
        "ORDER BY" | "LIMIT" | "OFFSET" | "FETCH" => SORTED,
        "QUALIFY" => "; write WHERE around a sub-query that names the row number",
        "WINDOW" => " at this place; it stands behind FROM, WHERE, GROUP BY and HAVING",
        _ if what.contains("sub-query") => {
            " would be a join, which is not in this version; a sub-query stands in FROM, in WITH, or in WHERE behind EXISTS or IN"
        }
        _ => "",
    };
    if why.starts_with(' ') {
        return SqlError::new(place, format!("{what}{why}"));
    }
    SqlError::new(place, format!("{what} is not in this version{why}"))
}

/// UNION that removes duplicates.
pub(super) fn union(place: Place) -> SqlError {
    SqlError::new(
        place,
        "UNION without ALL removes duplicates; write SELECT DISTINCT … FROM (… UNION ALL …) if that is meant",
    )
    .meant(Some("UNION ALL".into()))
}

/// Why a function that aggregates or numbers rows isn't there.
pub(super) fn aggregate(place: Place, upper: &str) -> Option<SqlError> {
    let (why, meant) = match upper {
        "STRING_AGG" | "GROUP_CONCAT" => ("", Some("LISTAGG(text, ', ')")),
        "APPROX_COUNT_DISTINCT" => (
            ": Flink refuses it over streams, too",
            Some("COUNT(DISTINCT x)"),
        ),
        "EVERY" => ("", Some("MIN(IF(condition, 1, 0)) = 1")),
        "SOME" | "ANY" => ("", Some("MAX(IF(condition, 1, 0)) = 1")),
        "COLLECT" => (
            ": it gives a MULTISET, which is no type here",
            Some("ARRAY_AGG(x)"),
        ),
        "JSON_OBJECTAGG" | "JSON_ARRAYAGG" => ("; ARRAY_AGG(x) gives an array", None),
        "PERCENTILE" | "PERCENTILE_CONT" | "PERCENTILE_DISC" => {
            (": it would keep every value", None)
        }
        "LEAD" => (
            ": the row that comes next isn't known yet when a row is given; look back from that row with LAG, as in Flink over streams",
            None,
        ),
        "NTILE" | "CUME_DIST" | "PERCENT_RANK" | "NTH_VALUE" => (
            "; of OVER there are the aggregates, LAG, ROW_NUMBER, RANK and DENSE_RANK",
            None,
        ),
        _ => return None,
    };
    let error = SqlError::new(place, format!("{upper} is not in this version{why}"));
    Some(error.meant(meant.map(str::to_owned)))
}

impl Parser {
    /// What may stand behind a stream's name elsewhere, and not here.
    pub(super) fn refused_in_from(&self) -> Option<SqlError> {
        let place = self.place();
        if self.at_unnest() {
            return None;
        }
        if self.is_words(&["FOR", "SYSTEM_TIME"]) {
            return Some(SqlError::new(
                place,
                "FOR SYSTEM_TIME AS OF stands right behind a stream's name, before its alias: JOIN rates FOR SYSTEM_TIME AS OF o.placed_at AS r ON …",
            ));
        }
        if self.is_sign(",") {
            return Some(SqlError::new(
                place,
                format!(
                    "FROM names more than one stream: a join without JOIN is not in this version{JOIN}"
                ),
            ));
        }
        [
            "CROSS",
            "NATURAL",
            "MATCH_RECOGNIZE",
            "TABLESAMPLE",
            "PIVOT",
        ]
        .into_iter()
        .find(|w| self.is_word(w))
        .map(|w| match w {
            "CROSS" => refused(place, "CROSS JOIN"),
            "NATURAL" => refused(place, "NATURAL JOIN"),
            w => refused(place, w),
        })
    }

    /// What stands where a SELECT should have ended.
    pub(super) fn unexpected_clause(&self, wanted: &str) -> SqlError {
        let place = self.place();
        for (word, what) in [
            ("GROUP", "a second GROUP BY"),
            ("HAVING", "a second HAVING"),
            ("WINDOW", "WINDOW"),
            ("QUALIFY", "QUALIFY"),
            ("ORDER", "ORDER BY"),
            ("LIMIT", "LIMIT"),
            ("OFFSET", "OFFSET"),
            ("FETCH", "FETCH"),
            ("INTERSECT", "INTERSECT"),
            ("EXCEPT", "EXCEPT"),
            ("MINUS", "MINUS"),
            ("OVER", "OVER"),
        ] {
            if self.is_word(word) {
                return refused(place, what);
            }
        }
        if self
            .tokens
            .get(self.at.wrapping_sub(1))
            .is_some_and(|t| t.token == Token::Sign(";"))
        {
            return SqlError::new(
                place,
                "a pipeline's SQL is one query; this begins a second one",
            );
        }
        if self.is_sign(")") {
            return SqlError::new(place, "this \")\" closes nothing");
        }
        if let Token::Word(word) = self.token() {
            let near = nearest(
                word,
                [
                    "WHERE", "UNION", "AND", "OR", "AS", "GROUP", "ORDER", "HAVING",
                ]
                .into_iter(),
            );
            return self
                .expected(wanted)
                .meant(near.filter(|n| !n.eq_ignore_ascii_case(word)));
        }
        self.expected(wanted)
    }
}
