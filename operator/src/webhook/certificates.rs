//! The certificate that the API server trusts: a CA of our own that signs one certificate and is then forgotten. Pure.
//!
//! The CA's key is never kept: the next certificate comes with a CA of its own, and for a while the API server trusts
//! both. What is kept in the Secret: `tls.crt`, `tls.key`, `ca.crt`, the CAs that are trusted, newest first,
//! and `path`, where reviews are posted.

use std::{collections::BTreeMap, time::Duration};

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// Key of the Secret: the certificate, PEM.
pub const CERTIFICATE: &str = "tls.crt";
/// Key of the Secret: its private key, PEM.
pub const KEY: &str = "tls.key";
/// Key of the Secret: the CAs that are trusted, PEM, newest first.
pub const AUTHORITIES: &str = "ca.crt";
/// Key of the Secret: the path that reviews are posted to. Nobody but the API server knows it: see [`super`].
pub const PATH: &str = "path";
/// Key of the Secret: the day on which the certificate ends.
pub const UNTIL: &str = "until";
/// Key of the Secret: the names that it is for.
pub const NAMES: &str = "names";

/// A certificate, and who says it is good.
#[derive(Clone, PartialEq, Eq)]
pub struct Made {
    /// The CA, PEM.
    pub authority: String,
    /// The certificate, PEM.
    pub certificate: String,
    /// Its private key, PEM.
    pub key: String,
    /// The first day on which it isn't good any more.
    pub until: String,
}

/// What is to be done about a Secret's content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Keep,
    /// There is none, or it can't be used: make one.
    Make,
    /// It ends before long, or is for other names: make another, and trust both.
    Renew,
}

/// What to do. A certificate is renewed when a third of its life is left.
pub fn step(
    content: &BTreeMap<String, String>,
    names: &[String],
    lifetime: Duration,
    now: Timestamp,
) -> Step {
    let whole = [CERTIFICATE, KEY, AUTHORITIES, PATH]
        .iter()
        .all(|key| content.get(*key).is_some_and(|text| !text.is_empty()));
    let until = content.get(UNTIL).and_then(|t| t.parse::<Date>().ok());
    let (true, Some(until)) = (whole, until) else {
        return Step::Make;
    };
    let left = (days(until) - today(now)).max(0);
    if left == 0 {
        return Step::Make;
    }
    let third = i64::try_from(lifetime.as_secs() / 86_400 / 3).unwrap_or(i64::MAX);
    let same = content.get(NAMES).map(String::as_str) == Some(names.join(",").as_str());
    if left <= third || !same {
        Step::Renew
    } else {
        Step::Keep
    }
}

fn today(now: Timestamp) -> i64 {
    now.as_second().div_euclid(86_400)
}

fn days(date: Date) -> i64 {
    date.to_zoned(TimeZone::UTC)
        .map_or(0, |zoned| zoned.timestamp().as_second().div_euclid(86_400))
}

/// Makes a certificate for these names. It is good from yesterday on, so that clocks may differ.
///
/// # Errors
/// A name that is none.
pub fn make(names: &[String], lifetime: Duration, now: Timestamp) -> Result<Made, rcgen::Error> {
    let date = |at: Timestamp| at.to_zoned(TimeZone::UTC).date();
    let day = jiff::SignedDuration::from_hours(24);
    let from = date(now.checked_sub(day).unwrap_or(now));
    let life = jiff::SignedDuration::try_from(lifetime).unwrap_or(day);
    let until = date(now.checked_add(life).unwrap_or(now));
    let ymd = |date: Date| {
        date_time_ymd(
            i32::from(date.year()),
            date.month().unsigned_abs(),
            date.day().unsigned_abs(),
        )
    };
    let subject = |common: &str| {
        let mut distinguished = DistinguishedName::new();
        distinguished.push(DnType::OrganizationName, "headworks.dev");
        distinguished.push(DnType::CommonName, common);
        distinguished
    };

    let authority_key = KeyPair::generate()?;
    let mut authority = CertificateParams::new(Vec::<String>::new())?;
    // Two CAs of one name would be taken for one another.
    authority.distinguished_name = subject(&format!("headworks webhook CA {}", now.as_second()));
    authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    authority.key_usages = vec![
        KeyUsagePurpose::KeyCertSign,
        KeyUsagePurpose::DigitalSignature,
    ];
    (authority.not_before, authority.not_after) = (ymd(from), ymd(until));
    let signed = authority.self_signed(&authority_key)?;

    let key = KeyPair::generate()?;
    let mut leaf = CertificateParams::new(names.to_vec())?;
    leaf.distinguished_name = subject("headworks webhook");
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    leaf.use_authority_key_identifier_extension = true;
    (leaf.not_before, leaf.not_after) = (ymd(from), ymd(until));
    let certificate = leaf.signed_by(&key, &Issuer::from_params(&authority, &authority_key))?;
    Ok(Made {
        authority: signed.pem(),
        certificate: certificate.pem(),
        key: key.serialize_pem(),
        until: until.to_string(),
    })
}

/// The CAs to trust from now on: the new one, and the newest of those before it.
pub fn trusted(new: &str, before: Option<&String>) -> String {
    const END: &str = "-----END CERTIFICATE-----\n";
    let newest = before
        .and_then(|all| all.find(END).map(|at| &all[..at + END.len()]))
        .unwrap_or_default();
    format!("{new}{newest}").replace("\r\n", "\n")
}

/// What is written into the Secret.
pub fn content(
    made: &Made,
    trusted: &str,
    names: &[String],
    path: &str,
) -> BTreeMap<String, String> {
    BTreeMap::from([
        (PATH.into(), path.to_owned()),
        (CERTIFICATE.into(), made.certificate.clone()),
        (KEY.into(), made.key.clone()),
        (AUTHORITIES.into(), trusted.to_owned()),
        (UNTIL.into(), made.until.clone()),
        (NAMES.into(), names.join(",")),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFE: Duration = Duration::from_secs(90 * 86_400);

    fn at(day: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + day * 86_400).unwrap()
    }

    fn names() -> Vec<String> {
        vec![
            "headworks-operator-webhook.ns.svc".into(),
            "127.0.0.1".into(),
        ]
    }

    #[test]
    fn a_certificate_is_made_once_and_renewed_in_its_last_third() {
        assert_eq!(step(&BTreeMap::new(), &names(), LIFE, at(0)), Step::Make);
        let made = make(&names(), LIFE, at(0)).unwrap();
        let first = content(
            &made,
            &trusted(&made.authority, None),
            &names(),
            "/validate/x",
        );
        assert_eq!(step(&first, &names(), LIFE, at(0)), Step::Keep);
        assert_eq!(step(&first, &names(), LIFE, at(59)), Step::Keep);
        assert_eq!(step(&first, &names(), LIFE, at(60)), Step::Renew);
        assert_eq!(step(&first, &names(), LIFE, at(90)), Step::Make);
        assert_eq!(step(&first, &names()[..1], LIFE, at(0)), Step::Renew);
        for key in [KEY, PATH] {
            let mut cut = first.clone();
            cut.remove(key);
            assert_eq!(step(&cut, &names(), LIFE, at(0)), Step::Make);
        }
    }

    #[test]
    fn both_authorities_are_trusted_for_a_while_and_never_three() {
        let ca = |n: u32| format!("-----BEGIN CERTIFICATE-----\n{n}\n-----END CERTIFICATE-----\n");
        let first = trusted(&ca(1), None);
        assert_eq!(first, ca(1));
        let second = trusted(&ca(2), Some(&first));
        assert_eq!(second, format!("{}{}", ca(2), ca(1)));
        let third = trusted(&ca(3), Some(&second));
        assert_eq!(third, format!("{}{}", ca(3), ca(2)));
    }

    #[test]
    fn the_certificate_is_one_that_a_client_trusts() {
        use rustls::pki_types::{CertificateDer, ServerName, UnixTime, pem::PemObject};
        let made = make(&names(), LIFE, at(0)).unwrap();
        let mut roots = rustls::RootCertStore::empty();
        let der = CertificateDer::from_pem_slice(made.authority.as_bytes()).unwrap();
        roots.add(der).unwrap();
        let provider = std::sync::Arc::new(rustls::crypto::ring::default_provider());
        let verifier =
            rustls::client::WebPkiServerVerifier::builder_with_provider(roots.into(), provider)
                .build()
                .unwrap();
        let leaf = CertificateDer::from_pem_slice(made.certificate.as_bytes()).unwrap();
        let ask = |name: &str, day: i64| {
            use rustls::client::danger::ServerCertVerifier;
            let name = ServerName::try_from(name.to_owned()).unwrap();
            let seconds = at(day).as_second().unsigned_abs();
            let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
            verifier
                .verify_server_cert(&leaf, &[], &name, &[], now)
                .is_ok()
        };
        assert!(ask("headworks-operator-webhook.ns.svc", 1));
        assert!(ask("127.0.0.1", 80));
        assert!(!ask("127.0.0.1", 100));
        assert!(!ask("other.ns.svc", 1));
    }
}
