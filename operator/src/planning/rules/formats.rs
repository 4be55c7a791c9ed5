//! Well-known forms as regular expressions of the dialect (Java's syntax, without look-around and back-references). Each matches the
//! whole text; `\z` is its end, where `$` would let a line end pass.

use headworks_crds::NamedFormat;

/// An address as browsers take it: WHATWG HTML, "valid e-mail address".
const EMAIL: &str = r"\A[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*\z";
/// RFC 9562, section 4.
const UUID: &str =
    r"\A[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\z";
/// Dotted decimal; RFC 3986's `IPv4address`.
const IPV4: &str = r"\A(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\z";
/// RFC 3986, section 2 and 3.1: a scheme and characters that a URI has, those behind `%` as two digits.
const URI: &str =
    r"\A[A-Za-z][A-Za-z0-9+.-]*:(?:[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+\z";
/// A day of the Gregorian calendar, leap years by its rule.
const DATE: &str = r"\A(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))|(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)\z";

/// The regular expression of a form.
pub fn regex(format: NamedFormat) -> String {
    match format {
        NamedFormat::Email => EMAIL.to_owned(),
        NamedFormat::Uuid => UUID.to_owned(),
        NamedFormat::Ipv4 => IPV4.to_owned(),
        NamedFormat::Ipv6 => ipv6(),
        NamedFormat::Uri => URI.to_owned(),
        NamedFormat::Date => DATE.to_owned(),
    }
}

/// RFC 3986's `IPv6address`: eight groups, or fewer with one `::` in the place of at least one; the last two may be an IPv4 address.
fn ipv6() -> String {
    let octet = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
    let group = "[0-9A-Fa-f]{1,4}";
    let last = format!("(?:{group}:{group}|{octet}(?:\\.{octet}){{3}})");
    let before = |most: usize| match most {
        0 => format!("(?:{group})?"),
        most => format!("(?:(?:{group}:){{0,{most}}}{group})?"),
    };
    let alternatives = [
        format!("(?:{group}:){{6}}{last}"),
        format!("::(?:{group}:){{5}}{last}"),
        format!("{}::(?:{group}:){{4}}{last}", before(0)),
        format!("{}::(?:{group}:){{3}}{last}", before(1)),
        format!("{}::(?:{group}:){{2}}{last}", before(2)),
        format!("{}::{group}:{last}", before(3)),
        format!("{}::{last}", before(4)),
        format!("{}::{group}", before(5)),
        format!("{}::", before(6)),
    ];
    format!("\\A(?:{})\\z", alternatives.join("|"))
}
