//! One question to one pod, bounded in time and bytes.
//!
//! The address is the pod's own, by number, and never where it sends us: a redirect is an answer like any other that isn't a
//! report. A connection is made for each question and closed behind it, so a thousand pods hold no thousand connections.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use headworks_plan::Report;
use reqwest::{Client, StatusCode, redirect::Policy};

use super::clean::clean;

/// A pod that takes longer to answer counts as silent.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// A pod that takes longer to take a connection counts as silent.
const CONNECT: Duration = Duration::from_secs(1);
/// The longest report, in bytes: some six thousand partitions of one pod.
pub const LONGEST: usize = 2 << 20;

/// Why there is no report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// No connection, or no answer in time.
    NoAnswer,
    /// An answer that isn't a pod's, such as a redirect.
    Refused,
    /// More bytes than a report has.
    TooLong,
    /// Not the JSON of a report.
    NotAReport,
    /// A report of another version.
    OtherVersion,
}

impl Silence {
    /// The reason in metrics.
    pub fn label(self) -> &'static str {
        match self {
            Self::NoAnswer => "no_answer",
            Self::Refused => "refused",
            Self::TooLong => "too_long",
            Self::NotAReport => "not_a_report",
            Self::OtherVersion => "other_version",
        }
    }
}

/// The client for all questions.
///
/// # Errors
/// What the HTTP client says.
pub fn client() -> reqwest::Result<Client> {
    Client::builder()
        .timeout(ANSWER_TIMEOUT)
        .connect_timeout(CONNECT)
        .redirect(Policy::none())
        // Pods are asked directly, never through a proxy that the environment names.
        .no_proxy()
        .http1_only()
        .pool_max_idle_per_host(0)
        .build()
}

/// Where a pod is asked, by the address in its status. None where that is no pod's address: this machine's own, or one that is
/// only good on one link, such as a cloud's metadata service.
pub fn address(ip: &str, port: u16) -> Option<SocketAddr> {
    let ip: IpAddr = ip.parse().ok()?;
    let plain = match ip {
        IpAddr::V6(six) => six.to_ipv4_mapped().map_or(ip, IpAddr::V4),
        IpAddr::V4(_) => ip,
    };
    let link_local = match plain {
        IpAddr::V4(four) => four.is_link_local() || four.is_broadcast(),
        IpAddr::V6(six) => six.is_unicast_link_local(),
    };
    let strange = plain.is_loopback() || plain.is_unspecified() || plain.is_multicast();
    (!link_local && !strange).then(|| SocketAddr::new(ip, port))
}

/// Asks one pod.
///
/// # Errors
/// Why there is no report.
pub async fn ask(client: &Client, at: SocketAddr) -> Result<Report, Silence> {
    let url = format!("http://{at}/status");
    let mut answer = client
        .get(url)
        .send()
        .await
        .map_err(|_| Silence::NoAnswer)?;
    // A pod with problems may answer that it isn't ready; the report is what counts.
    let status = answer.status();
    if !(status.is_success() || status == StatusCode::SERVICE_UNAVAILABLE) {
        return Err(Silence::Refused);
    }
    let announced = answer.content_length().unwrap_or(0);
    if announced > LONGEST as u64 {
        return Err(Silence::TooLong);
    }
    let mut body = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(|_| Silence::NoAnswer)? {
        if body.len() + chunk.len() > LONGEST {
            return Err(Silence::TooLong);
        }
        body.extend_from_slice(&chunk);
    }
    read(&body)
}

/// The report in a body.
///
/// # Errors
/// It is none.
pub fn read(body: &[u8]) -> Result<Report, Silence> {
    let report: Report = serde_json::from_slice(body).map_err(|_| Silence::NotAReport)?;
    if report.version != headworks_plan::REPORT_VERSION {
        return Err(Silence::OtherVersion);
    }
    Ok(clean(report))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_pods_own_address_is_asked() {
        for pod in [
            "10.42.0.7",
            "192.168.1.1",
            "100.64.3.2",
            "fd00::7",
            "2001:db8::1",
        ] {
            assert!(address(pod, 8080).is_some(), "{pod}");
        }
        for other in [
            "127.0.0.1",
            "::1",
            "0.0.0.0",
            "::",
            "169.254.169.254",
            "fe80::1",
            "224.0.0.1",
            "ff02::1",
            "255.255.255.255",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "pod.example",
            "10.0.0.1:80",
            "10.0.0.1/../x",
            "",
        ] {
            assert_eq!(address(other, 8080), None, "{other}");
        }
    }
}
