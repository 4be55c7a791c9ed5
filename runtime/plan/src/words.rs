//! Words that are types: an enum whose variants are what is written.

/// An enum whose variants are CamelCase words: `as_str` gives the word, `ALL` and `all` every one, and `from_word` finds one. A
/// word is written once.
///
/// Behind a semicolon stand enums of such words that are in it, too: `Source(SourceReason)`. A room that lies further down
/// contributes its words that way, and nobody else has a list of them. Such an enum has no `ALL`.
#[macro_export]
macro_rules! words {
    ($(#[$about:meta])* $visible:vis enum $name:ident { $($(#[$doc:meta])* $word:ident,)+ }) => {
        $crate::words! {
            $(#[$about])* $visible enum $name { $($(#[$doc])* $word,)+ ; }
        }

        impl $name {
            /// All of them.
            pub const ALL: &'static [$name] = &[$($name::$word,)+];
        }
    };
    (
        $(#[$about:meta])* $visible:vis enum $name:ident {
            $($(#[$doc:meta])* $word:ident,)+
            ; $($(#[$part_doc:meta])* $part:ident($words:ident),)*
        }
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        $visible enum $name {
            $($(#[$doc])* $word,)+
            $($(#[$part_doc])* $part($words),)*
        }

        impl $name {
            /// The word, as it is written.
            pub const fn as_str(self) -> &'static str {
                match self {
                    $($name::$word => stringify!($word),)+
                    $($name::$part(word) => word.as_str(),)*
                }
            }

            /// All of them.
            pub fn all() -> impl Iterator<Item = $name> {
                let all = [$($name::$word,)+].into_iter();
                $(let all = all.chain($words::all().map($name::$part));)*
                all
            }

            /// The one that is written so; none for a word that this version doesn't know.
            pub fn from_word(word: &str) -> Option<$name> {
                match word {
                    $(stringify!($word) => Some($name::$word),)+
                    _ => {
                        let part: Option<$name> = None;
                        $(let part = part.or_else(|| $words::from_word(word).map($name::$part));)*
                        part
                    }
                }
            }
        }

        $(
            impl From<$words> for $name {
                fn from(word: $words) -> $name {
                    $name::$part(word)
                }
            }

            impl PartialEq<$words> for $name {
                fn eq(&self, other: &$words) -> bool {
                    matches!(self, $name::$part(word) if word == other)
                }
            }
        )*

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl PartialEq<str> for $name {
            fn eq(&self, other: &str) -> bool {
                self.as_str() == other
            }
        }

        impl PartialEq<&str> for $name {
            fn eq(&self, other: &&str) -> bool {
                self.as_str() == *other
            }
        }
    };
}

#[cfg(test)]
mod tests {
    words! {
        /// Of a room further down.
        enum Colour {
            /// Red.
            Red,
            /// Blue.
            Blue,
        }
    }

    words! {
        /// Of all.
        enum Word {
            /// Big.
            Big,
            ;
            /// A colour.
            Colour(Colour),
        }
    }

    #[test]
    fn words_of_a_room_further_down_are_words_as_any() {
        let all: Vec<&str> = Word::all().map(Word::as_str).collect();
        assert_eq!(all, ["Big", "Red", "Blue"]);
        assert_eq!(Colour::ALL, [Colour::Red, Colour::Blue]);
        for word in Word::all() {
            assert_eq!(Word::from_word(word.as_str()), Some(word));
        }
        assert_eq!(Word::from_word("Green"), None);
        assert!(Word::from(Colour::Red) == Colour::Red && Word::Big != Colour::Red);
        assert!(Word::from(Colour::Blue) != Colour::Red);
        assert!(Word::Big == "Big" && Colour::Blue == *"Blue");
        assert_eq!(Word::from(Colour::Blue).to_string(), "Blue");
    }
}
