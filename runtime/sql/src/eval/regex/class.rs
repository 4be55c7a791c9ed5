//! Sets of characters: `[a-z&&[^aeiou]]`, `\d`, `\p{L}`, in the syntax of the `regex` crate.

/// A set, as the inside of brackets.
#[derive(Clone, Debug, Default)]
pub(super) struct Set(pub String);

const SPACE: &str = r" \t\n\x0B\x0C\r";
const WORD: &str = "A-Za-z0-9_";
/// Java's `\h`.
const BLANK: &str = r" \t\xA0\x{1680}\x{180E}\x{2000}-\x{200A}\x{202F}\x{205F}\x{3000}";
/// Java's `\v` and what `\R` takes.
pub(super) const LINE_ENDS: &str = r"\n\x0B\x0C\r\x85\x{2028}\x{2029}";

impl Set {
    /// The characters from one to another; without regard to ASCII's case if `fold`.
    pub(super) fn range(from: char, to: char, fold: bool) -> Self {
        let mut text = span(from, to);
        if fold {
            for (first, last, other) in [('a', 'z', 'A'), ('A', 'Z', 'a')] {
                let (low, high) = (from.max(first), to.min(last));
                if low <= high {
                    let shift = |c: char| char::from(c as u8 - first as u8 + other as u8);
                    text += &span(shift(low), shift(high));
                }
            }
        }
        Self(text)
    }

    pub(super) fn not(self) -> Self {
        Self(format!("[^{}]", self.0))
    }

    pub(super) fn and(self, other: &Self) -> Self {
        Self(format!("[[{}]&&[{}]]", self.0, other.0))
    }

    pub(super) fn or(self, other: &Self) -> Self {
        Self(self.0 + &other.0)
    }

    /// `\d`, `\w`, … by its letter.
    pub(super) fn escape(letter: char) -> Option<Self> {
        let set = match letter.to_ascii_lowercase() {
            'd' => "0-9",
            'w' => WORD,
            's' => SPACE,
            'h' => BLANK,
            'v' => LINE_ENDS,
            _ => return None,
        };
        let set = Self(set.to_owned());
        Some(if letter.is_ascii_uppercase() {
            set.not()
        } else {
            set
        })
    }

    /// `\p{name}`; why not, if it isn't known.
    pub(super) fn property(name: &str, fold: bool) -> Result<Self, String> {
        if fold && CASED.contains(&name) {
            return Err(format!(
                r"\p{{{name}}} under (?i) differs between versions of Java; write [A-Za-z], or \p{{L}}"
            ));
        }
        let posix = POSIX.iter().find(|(n, _)| *n == name).map(|(_, set)| *set);
        if let Some(set) = posix {
            return Ok(Self(set.to_owned()));
        }
        let bare = name.strip_prefix("Is").unwrap_or(name);
        if CATEGORIES.contains(&bare) {
            return Ok(Self(format!(r"\p{{{bare}}}")));
        }
        if name != bare {
            let lower = bare.to_ascii_lowercase();
            if let Some((_, set)) = BINARY.iter().find(|(n, _)| *n == lower) {
                return Ok(Self((*set).to_owned()));
            }
            if SCRIPTS.contains(&lower.as_str()) {
                return Ok(Self(format!(r"\p{{Script={lower}}}")));
            }
        }
        Err(format!(
            r"\p{{{name}}} is not in this version; there are ASCII's (Alpha, Digit, Punct, …), general categories (L, Lu, Nd, …), IsAlphabetic and the large scripts (IsLatin, IsCyrillic, …)"
        ))
    }
}

fn span(from: char, to: char) -> String {
    if from == to {
        return format!(r"\x{{{:X}}}", from as u32);
    }
    format!(r"\x{{{:X}}}-\x{{{:X}}}", from as u32, to as u32)
}

const POSIX: &[(&str, &str)] = &[
    ("Lower", "a-z"),
    ("Upper", "A-Z"),
    ("ASCII", r"\x00-\x7F"),
    ("Alpha", "A-Za-z"),
    ("Digit", "0-9"),
    ("Alnum", "A-Za-z0-9"),
    ("Punct", r"\x21-\x2F\x3A-\x40\x5B-\x60\x7B-\x7E"),
    ("Graph", r"\x21-\x7E"),
    ("Print", r"\x20-\x7E"),
    ("Blank", r" \t"),
    ("Cntrl", r"\x00-\x1F\x7F"),
    ("XDigit", "0-9A-Fa-f"),
    ("Space", SPACE),
];
/// What `(?i)` changes.
const CASED: &[&str] = &[
    "Lower",
    "Upper",
    "Lu",
    "Ll",
    "Lt",
    "IsLu",
    "IsLl",
    "IsLt",
    "IsLowercase",
    "IsUppercase",
];
const CATEGORIES: &[&str] = &[
    "L", "Lu", "Ll", "Lt", "Lm", "Lo", "M", "Mn", "Mc", "Me", "N", "Nd", "Nl", "No", "P", "Pc",
    "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S", "Sm", "Sc", "Sk", "So", "Z", "Zs", "Zl", "Zp", "Cc",
    "Cf", "Co",
];
const BINARY: &[(&str, &str)] = &[
    ("alphabetic", r"\p{Alphabetic}"),
    ("lowercase", r"\p{Lowercase}"),
    ("uppercase", r"\p{Uppercase}"),
    ("white_space", r"\p{White_Space}"),
    ("ideographic", r"\p{Ideographic}"),
    ("letter", r"\p{L}"),
    ("digit", r"\p{Nd}"),
    ("punctuation", r"\p{P}"),
    ("control", r"\p{Cc}"),
];
const SCRIPTS: &[&str] = &[
    "latin",
    "greek",
    "cyrillic",
    "arabic",
    "hebrew",
    "han",
    "hiragana",
    "katakana",
    "hangul",
    "thai",
    "devanagari",
    "armenian",
    "georgian",
    "bengali",
    "tamil",
    "ethiopic",
    "khmer",
];
