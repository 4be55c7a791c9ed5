//! Text functions.

use super::bound_expr::{Analyzed, BoundExpr, Nulls, call, refuse};
use super::casts::coerce;
use super::functions::{Function, ParamType, Rule, failing, kernel, nullable, own};
use super::literals;
use super::scope::shortened;
use crate::error::Place;
use crate::eval::strings as eval;
use crate::eval::{hash, regex, url};
use crate::syntax::ast::TrimSide;
use crate::types::DataType as T;

use ParamType::{Any, Int, Text};

pub(super) const FUNCTIONS: &[Function] = &[
    kernel("UPPER", &[Text], 1, T::String, eval::upper),
    kernel("LOWER", &[Text], 1, T::String, eval::lower),
    kernel("CHAR_LENGTH", &[Text], 1, T::Int, eval::char_length),
    kernel("CHARACTER_LENGTH", &[Text], 1, T::Int, eval::char_length),
    kernel("LTRIM", &[Text, Text], 1, T::String, eval::left_trim),
    kernel("RTRIM", &[Text, Text], 1, T::String, eval::right_trim),
    kernel("BTRIM", &[Text, Text], 1, T::String, eval::both_trim),
    nullable(
        "SUBSTRING",
        &[Text, Int, Int],
        2,
        T::String,
        eval::substring,
    ),
    nullable("SUBSTR", &[Text, Int, Int], 2, T::String, eval::substring),
    kernel("POSITION", &[Text, Text], 2, T::Int, eval::position),
    kernel("LOCATE", &[Text, Text, Int], 2, T::Int, eval::position),
    kernel("INSTR", &[Text, Text], 2, T::Int, eval::position_in),
    kernel("REPLACE", &[Text, Text, Text], 3, T::String, eval::replace),
    Function {
        name: "CONCAT",
        params: &[Text],
        least: 1,
        repeats: true,
        rule: Rule::Own(concat_call),
    },
    Function {
        name: "CONCAT_WS",
        params: &[Text],
        least: 1,
        repeats: true,
        rule: Rule::Own(concat_with),
    },
    nullable("LPAD", &[Text, Int, Text], 3, T::String, eval::left_pad),
    nullable("RPAD", &[Text, Int, Text], 3, T::String, eval::right_pad),
    failing("REPEAT", &[Text, Int], 2, T::String, eval::repeat),
    kernel("REVERSE", &[Text], 1, T::String, eval::reverse),
    kernel("LEFT", &[Text, Int], 2, T::String, eval::left),
    kernel("RIGHT", &[Text, Int], 2, T::String, eval::right),
    kernel("INITCAP", &[Text], 1, T::String, eval::initcap),
    kernel("ASCII", &[Text], 1, T::Int, eval::ascii),
    own("CHR", &[Any], 1, false, chr),
    own(
        "SPLIT_INDEX",
        &[Text, Text, Int],
        3,
        false,
        |place, _, args| {
            call(
                place,
                T::String,
                &args,
                Nulls::Possible,
                false,
                super::expressions::plain(eval::split_index),
            )
        },
    ),
    own("SPLIT", &[Text, Text], 2, false, |place, _, args| {
        call(
            place,
            T::Array(Box::new(T::String)),
            &args,
            Nulls::Strict,
            false,
            super::expressions::plain(eval::split),
        )
    }),
    kernel(
        "OVERLAY",
        &[Text, Text, Int, Int],
        3,
        T::String,
        eval::overlay,
    ),
    kernel(
        "TRANSLATE",
        &[Text, Text, Text],
        3,
        T::String,
        eval::translate,
    ),
    kernel(
        "STARTSWITH",
        &[Text, Text],
        2,
        T::Boolean,
        eval::starts_with,
    ),
    kernel("ENDSWITH", &[Text, Text], 2, T::Boolean, eval::ends_with),
    own("REGEXP", &[Text, Text], 2, false, regexp),
    own("REGEXP_EXTRACT", &[Text, Text, Int], 2, false, regexp),
    own("REGEXP_REPLACE", &[Text, Text, Text], 3, false, regexp),
    own("REGEXP_COUNT", &[Text, Text], 2, false, regexp),
    own("REGEXP_SUBSTR", &[Text, Text], 2, false, regexp),
    kernel("MD5", &[Text], 1, T::String, hash::md5),
    kernel("SHA1", &[Text], 1, T::String, hash::sha1),
    kernel("SHA224", &[Text], 1, T::String, hash::sha224),
    kernel("SHA256", &[Text], 1, T::String, hash::sha256),
    kernel("SHA384", &[Text], 1, T::String, hash::sha384),
    kernel("SHA512", &[Text], 1, T::String, hash::sha512),
    own("SHA2", &[Text, Int], 2, false, sha2),
    own("TO_BASE64", &[Any], 1, false, to_base64),
    failing("FROM_BASE64", &[Text], 1, T::String, hash::from_base64),
    nullable(
        "PARSE_URL",
        &[Text, Text, Text],
        2,
        T::String,
        url::parse_url,
    ),
    kernel("URL_ENCODE", &[Text], 1, T::String, url::url_encode),
    nullable("URL_DECODE", &[Text], 1, T::String, url::url_decode),
];

/// `a || b`, and CONCAT: null if an argument is.
pub(super) fn concat(place: Place, what: &str, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    let mut texts = Vec::with_capacity(args.len());
    for arg in args {
        if arg.untyped_null || arg.data_type == T::String {
            texts.push(coerce(arg, &T::String)?);
        } else {
            return refuse(
                arg.place,
                format!(
                    "{what} joins text, this is {}; use CAST(… AS STRING)",
                    shortened(&arg.data_type)
                ),
            );
        }
    }
    call(
        place,
        T::String,
        &texts,
        Nulls::Strict,
        false,
        super::expressions::plain(eval::concat),
    )
}

fn concat_call(place: Place, name: &'static str, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    concat(place, name, args)
}

/// CONCAT_WS: null only if the separator is; null arguments are left out.
fn concat_with(place: Place, _: &'static str, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    let nulls = if args[0].nullable {
        Nulls::Possible
    } else {
        Nulls::Never
    };
    call(
        place,
        T::String,
        &args,
        nulls,
        false,
        super::expressions::plain(eval::concat_with),
    )
}

/// `TRIM([BOTH|LEADING|TRAILING] [what] FROM text)`.
pub(super) fn trim(
    place: Place,
    side: TrimSide,
    text: BoundExpr,
    what: Option<BoundExpr>,
) -> Analyzed<BoundExpr> {
    let what = what.unwrap_or_else(|| literals::text(place, " "));
    for arg in [&text, &what] {
        if arg.data_type != T::String {
            return refuse(
                arg.place,
                format!(
                    "TRIM takes text, this is {}; use CAST(… AS STRING)",
                    shortened(&arg.data_type)
                ),
            );
        }
    }
    let kernel = match side {
        TrimSide::Leading => eval::left_trim,
        TrimSide::Trailing => eval::right_trim,
        TrimSide::Both => eval::both_trim,
    };
    call(
        place,
        T::String,
        &[text, what],
        Nulls::Strict,
        false,
        super::expressions::plain(kernel),
    )
}

fn chr(place: Place, name: &'static str, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    if !matches!(args[0].data_type, T::Int | T::BigInt) {
        return refuse(
            args[0].place,
            format!(
                "{name} takes a whole number, this is {}",
                shortened(&args[0].data_type)
            ),
        );
    }
    let args: Analyzed<Vec<BoundExpr>> = args.into_iter().map(|a| coerce(a, &T::BigInt)).collect();
    call(
        place,
        T::String,
        &args?,
        Nulls::Strict,
        false,
        super::expressions::plain(eval::chr),
    )
}

/// SHA2 with a length that is known now.
fn sha2(place: Place, name: &'static str, mut args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    let kernel = match args[1].literal_int() {
        Some(224) => hash::sha224,
        Some(256) => hash::sha256,
        Some(384) => hash::sha384,
        Some(512) => hash::sha512,
        _ => {
            return refuse(
                args[1].place,
                format!("{name}'s length is 224, 256, 384 or 512"),
            );
        }
    };
    args.truncate(1);
    let kernel = super::expressions::plain(kernel);
    call(place, T::String, &args, Nulls::Strict, false, kernel)
}

fn to_base64(place: Place, name: &'static str, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    let kernel = match args[0].data_type {
        T::String => hash::text_to_base64,
        T::Bytes => hash::bytes_to_base64,
        _ => {
            return refuse(
                args[0].place,
                format!(
                    "{name} takes text or bytes, this is {}",
                    shortened(&args[0].data_type)
                ),
            );
        }
    };
    call(
        place,
        T::String,
        &args,
        Nulls::Strict,
        false,
        super::expressions::plain(kernel),
    )
}

/// The functions of regular expressions. A constant pattern is compiled, and refused, once.
fn regexp(place: Place, name: &'static str, args: Vec<BoundExpr>) -> Analyzed<BoundExpr> {
    let pattern = match args[1].literal_text() {
        None => regex::Pattern::Each,
        Some(text) => match regex::compile(text) {
            Ok(compiled) => regex::Pattern::Fixed(compiled),
            Err(message) => return refuse(args[1].place, message),
        },
    };
    let (result, nulls, kernel) = match name {
        "REGEXP" => (T::Boolean, Nulls::Strict, regex::matches(pattern)),
        "REGEXP_COUNT" => (T::Int, Nulls::Strict, regex::count(pattern)),
        "REGEXP_REPLACE" => (T::String, Nulls::Strict, regex::replace(pattern)),
        _ => (T::String, Nulls::Possible, regex::extract(pattern)),
    };
    let fails = args[1].literal_text().is_none();
    call(place, result, &args, nulls, fails, kernel)
}
