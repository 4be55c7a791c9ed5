//! `headworks import`: suites of Great Expectations and tests of dbt become QualityRules.
//!
//! A part of a file (an expectation, a test) becomes a check that gives the same verdict for every row, or needs none because the
//! stream's contract keeps it, or is named with the reason why it can't be translated. Nothing is left out in silence.
//!
//! Rooms: [`suite`] and [`dbt`] the two forms of files, [`known`] the list of expectations, [`of_columns`], [`of_rows`] and
//! [`by_contract`] what becomes of them, [`condition`], [`python_regex`] and [`strftime`] what stands in them, [`fields`] names and
//! values, [`draft`] checks and the rules that they share, [`write`] YAML.

mod by_contract;
mod condition;
mod dbt;
mod draft;
mod fields;
mod known;
mod names;
mod of_columns;
mod of_rows;
mod of_sets;
mod python_regex;
mod strftime;
mod suite;
mod write;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use headworks_crds::OnError;
use headworks_operator::planning::rules::{self as planning, Named};
use headworks_plan::Contract;
use headworks_sql::schema::Schema;

use crate::files::{self, File};
use crate::finding::hint;
use crate::object::Object;
use crate::validate::{Checked, Options, check};
use crate::yaml::{self, Node};
use crate::{End, output};

use draft::{Import, Part, Rule};
use names::object_name;

/// Arguments of `headworks import`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Suites of Great Expectations (JSON of 0.18 or 1.x), property files of dbt (schema.yml), or - for standard input.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The DataStream whose records the rules judge.
    #[arg(long, value_name = "NAME")]
    stream: String,
    /// Files or folders with the DataStream: fields and types are then known, and the result is checked.
    #[arg(short = 'f', long = "filename", value_name = "PATH")]
    streams: Vec<PathBuf>,
    /// Namespace of the rules and the stream.
    #[arg(short, long)]
    namespace: Option<String>,
    /// What the rules' names begin with. Absent: the suite's or model's name.
    #[arg(long, value_name = "PREFIX")]
    name: Option<String>,
    /// Of dbt: the model, seed, snapshot or SOURCE.TABLE whose tests are taken. Absent: the only one, or that of the stream's name.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// What becomes of a record that fails. Absent: it is counted and goes on, as with both tools.
    #[arg(long, value_enum, ignore_case = true, default_value_t = Action::Alert)]
    on_error: Action,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "PascalCase")]
enum Action {
    /// It becomes a dead letter.
    Quarantine,
    /// It is counted and gone.
    Drop,
    /// It is counted and goes on.
    Alert,
    /// What reads it stops before it.
    Stop,
}

impl From<Action> for OnError {
    fn from(action: Action) -> Self {
        match action {
            Action::Quarantine => Self::Quarantine,
            Action::Drop => Self::Drop,
            Action::Alert => Self::Alert,
            Action::Stop => Self::Stop,
        }
    }
}

/// Translates.
pub fn run(arguments: &Arguments) -> End {
    match translate(arguments) {
        Ok(end) => end,
        Err((end, message)) => {
            output::note(&format!("headworks: {message}"));
            end
        }
    }
}

type Failure = (End, String);

fn translate(arguments: &Arguments) -> Result<End, Failure> {
    let read = |paths: &[PathBuf]| {
        files::read(paths).map_err(|error| (End::Unreadable, error.to_string()))
    };
    let named = object_name(&arguments.stream);
    if named != arguments.stream {
        let message = format!(
            "{:?} is no name of a stream; did you mean {named:?}?",
            arguments.stream
        );
        return Err((End::Usage, message));
    }
    let streams = read(&arguments.streams)?;
    let contract = if streams.is_empty() {
        None
    } else {
        Some(contract(&streams, arguments)?)
    };
    let schema = contract.as_ref().map(|contract| {
        Schema::from_contract(contract).map_err(|error| (End::Problems, error.to_string()))
    });
    let schema = schema.transpose()?;
    let mut import = Import::default();
    let mut name = None;
    for file in read(&arguments.files)? {
        let found = one(&file, arguments, schema.as_ref(), &mut import)?;
        name = name.or(found);
    }
    let prefix = arguments.name.clone().or(name);
    let prefix = prefix.unwrap_or_else(|| arguments.stream.clone());
    let rules = loop {
        let rules = import.rules(&arguments.stream, &prefix, arguments.on_error.into());
        let faults = contract.as_ref().map(|contract| faults(&rules, contract));
        match faults {
            Some(faults) if !faults.is_empty() => import.leave_out(&faults),
            _ => break rules,
        }
    };
    let mut valid = Ok(());
    if !rules.is_empty() {
        let from: Vec<String> = arguments
            .files
            .iter()
            .map(|f| f.display().to_string())
            .collect();
        let about = format!("Made by headworks import of {}.", from.join(", "));
        let text = write::yaml(&import, &rules, arguments.namespace.as_deref(), &about);
        output::text(&text);
        if contract.is_some() {
            valid = verify(streams, text, arguments);
        }
    }
    tell(&import, rules.len());
    valid?;
    Ok(if import.left_out.is_empty() && import.parts() > 0 {
        End::Fine
    } else {
        End::Problems
    })
}

fn options(arguments: &Arguments) -> Options {
    Options {
        namespace: namespace(arguments).to_owned(),
        allow_missing: true,
    }
}

fn namespace(arguments: &Arguments) -> &str {
    arguments.namespace.as_deref().unwrap_or("default")
}

/// The stream's contract.
fn contract(streams: &[File], arguments: &Arguments) -> Result<Contract, Failure> {
    let Checked {
        world, findings, ..
    } = check(streams, &options(arguments));
    let wanted = arguments.stream.as_str();
    let fits = |object: &Object| {
        let namespace = arguments.namespace.as_ref();
        object.name == wanted && namespace.is_none_or(|n| *n == object.namespace)
    };
    let of_name: Vec<_> = world
        .contracts()
        .filter(|(object, _)| fits(object))
        .collect();
    match of_name[..] {
        [(_, contract)] => Ok(contract.clone()),
        [] => {
            let names = world.contracts().map(|(object, _)| object.name.as_str());
            let meant = hint(wanted, names);
            let mut message =
                format!("there is no DataStream {wanted} with a right contract{meant}");
            for finding in findings.iter().filter(|f| f.is_error()) {
                message.push_str(&format!("\n{finding}"));
            }
            Err((End::Problems, message))
        }
        _ => {
            let message =
                format!("there are several DataStreams {wanted}: name one's namespace with -n");
            Err((End::Usage, message))
        }
    }
}

/// What the operator would say against the rules, by the parts that are to blame.
fn faults(rules: &[Rule], contract: &Contract) -> BTreeMap<usize, String> {
    let mut found = BTreeMap::new();
    for rule in rules {
        let named = Named {
            name: &rule.name,
            generation: 1,
            spec: &rule.spec,
        };
        for fault in planning::plan(named, contract).err().into_iter().flatten() {
            let number = fault
                .field
                .strip_prefix("spec.checks[")
                .and_then(|rest| rest.split_once(']'));
            let check =
                number.and_then(|(number, _)| rule.parts.get(number.parse::<usize>().ok()?));
            // What isn't about one check is about all.
            let parts = check.map_or_else(|| rule.parts.concat(), Clone::clone);
            for part in parts {
                found.entry(part).or_insert_with(|| fault.message.clone());
            }
        }
    }
    found
}

/// `Err`: the rules aren't valid beside the stream.
fn verify(mut streams: Vec<File>, text: String, arguments: &Arguments) -> Result<(), Failure> {
    streams.push(File {
        name: "(the result)".into(),
        text,
        built: None,
    });
    let checked = check(&streams, &options(arguments));
    let mut wrong = checked
        .findings
        .iter()
        .filter(|f| f.is_error() && f.file == "(the result)")
        .peekable();
    if wrong.peek().is_none() {
        return Ok(());
    }
    let mut message = String::from("the result isn't valid; correct or leave out these checks:");
    for finding in wrong {
        message.push_str(&format!("\n{finding}"));
    }
    Err((End::Problems, message))
}

/// Takes in a file; gives the name of what was in it.
fn one(
    file: &File,
    arguments: &Arguments,
    schema: Option<&Schema>,
    import: &mut Import,
) -> Result<Option<String>, Failure> {
    let wrong = |what: String| (End::Unreadable, format!("{}: {what}", file.name));
    let text = joined_surrogates(&file.text);
    let (documents, flaws) = yaml::read(&text);
    if let Some(flaw) = flaws.iter().find(|flaw| flaw.fatal) {
        let place = format!("{}:{}:{}", file.name, flaw.place.line, flaw.place.column);
        return Err((End::Unreadable, format!("{place}: {}", flaw.message)));
    }
    let mut name = None;
    let mut known = false;
    for node in &documents {
        if suite::is_suite(node) {
            suite::read(&file.name, node, schema, import).map_err(wrong)?;
            name = name.or_else(|| suite::name(node).map(str::to_owned));
        } else if dbt::is_properties(node) {
            name = name.or(tests(file, node, arguments, schema, import)?);
        } else {
            continue;
        }
        known = true;
    }
    if !known {
        return Err(wrong(
            "is neither a suite of Great Expectations (JSON with expectations) nor a property file of dbt (YAML with models, seeds, snapshots or sources)".into(),
        ));
    }
    let stem = Path::new(&file.name)
        .file_stem()
        .and_then(|stem| stem.to_str());
    Ok(name.or_else(|| stem.filter(|stem| *stem != "-").map(str::to_owned)))
}

/// Takes in the tests of one relation of a property file.
fn tests(
    file: &File,
    node: &Node,
    arguments: &Arguments,
    schema: Option<&Schema>,
    import: &mut Import,
) -> Result<Option<String>, Failure> {
    let relations = dbt::relations(node);
    let wanted = arguments.model.as_deref();
    let fits = |name: &str, wanted: &str| name == wanted || name.rsplit('.').next() == Some(wanted);
    let of = |wanted: &str| relations.iter().find(|r| fits(&r.name, wanted));
    let chosen = match (wanted, &relations[..]) {
        (Some(wanted), _) => of(wanted),
        (None, [one]) => Some(one),
        (None, _) => of(&arguments.stream),
    };
    let Some(chosen) = chosen else {
        let names: Vec<&str> = relations.iter().map(|r| r.name.as_str()).collect();
        let shown = if names.is_empty() {
            "nothing".to_owned()
        } else {
            names.join(", ")
        };
        let meant = wanted.map_or_else(String::new, |wanted| hint(wanted, names.iter().copied()));
        return Err((
            End::Usage,
            format!(
                "{}: has tests of {shown}: choose one with --model{meant}",
                file.name
            ),
        ));
    };
    let others: Vec<&str> = relations
        .iter()
        .filter(|r| r.name != chosen.name)
        .map(|r| r.name.as_str())
        .collect();
    if !others.is_empty() {
        output::note(&format!(
            "headworks: {}: of {} only, not of {}",
            file.name,
            chosen.name,
            others.join(", ")
        ));
    }
    dbt::read(&file.name, chosen, schema, import);
    Ok(chosen.name.rsplit('.').next().map(str::to_owned))
}

/// `Err`: our SQL doesn't take it as a condition. Without a schema names aren't known, and then only what has none is looked at.
fn is_condition(sql: &str, schema: Option<&Schema>) -> Result<(), String> {
    let nothing = Schema::default();
    let Err(errors) = headworks_sql::expression(sql, schema.unwrap_or(&nothing)) else {
        return Ok(());
    };
    let unknown = |message: &str| schema.is_none() && message.contains("unknown column");
    match errors.iter().find(|error| !unknown(&error.message)) {
        None => Ok(()),
        Some(error) => Err(error.to_string()),
    }
}

/// JSON writes a character beyond U+FFFF as two escapes, which YAML doesn't know: they are replaced by the character.
fn joined_surrogates(text: &str) -> String {
    let code = |at: usize| {
        let digits = text.get(at..at + 6)?.strip_prefix("\\u")?;
        u32::from_str_radix(digits, 16).ok()
    };
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(c) = text[at..].chars().next() {
        let pair = (c == '\\')
            .then(|| Some((code(at)?, code(at + 6)?)))
            .flatten();
        let joined = pair.and_then(|(high, low)| {
            let fits = (0xD800..0xDC00).contains(&high) && (0xDC00..0xE000).contains(&low);
            fits.then(|| char::from_u32(0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00)))?
        });
        if let Some(joined) = joined {
            out.push(joined);
            at += 12;
        } else if c == '\\' {
            // What is escaped isn't the beginning of another escape.
            let escaped = text[at + 1..].chars().next();
            out.push(c);
            out.extend(escaped);
            at += 1 + escaped.map_or(0, char::len_utf8);
        } else {
            out.push(c);
            at += c.len_utf8();
        }
    }
    out
}

/// Says what became of the parts.
fn tell(import: &Import, rules: usize) {
    let table = |heading: &str, parts: &[(Part, String)]| {
        if parts.is_empty() {
            return;
        }
        let rows: Vec<[String; 3]> = parts
            .iter()
            .map(|(part, why)| [part.whereabouts(), part.title.clone(), why.clone()])
            .collect();
        output::note(&format!(
            "{heading}:\n{}",
            output::columns(&rows, "  ").trim_end()
        ));
    };
    table("translated, and not quite the same", &import.notes);
    table("needs no check", &import.holding);
    table("left out", &import.left_out);
    let count = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
    output::note(&format!(
        "{}: {} in {}, {} without need of one, {} left out",
        count(import.parts(), "part"),
        count(import.translated(), "check"),
        count(rules, "QualityRule"),
        import.holding.len(),
        import.left_out.len()
    ));
}

#[cfg(test)]
mod tests_of_texts {
    use super::joined_surrogates;

    #[test]
    fn two_escapes_of_json_are_one_character() {
        for (text, wanted) in [
            (r#""\ud835\udd4f""#, "\"\u{1d54f}\""),
            (r#""\\ud835\udd4f""#, r#""\\ud835\udd4f""#),
            (r#""\ud835""#, r#""\ud835""#),
            (r#""a\n\u00e9é""#, r#""a\n\u00e9é""#),
            ("\\", "\\"),
        ] {
            assert_eq!(joined_surrogates(text), wanted);
        }
    }
}
