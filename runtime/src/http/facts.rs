//! In charge of where a request comes from: its address, over what, from which page.
//! Invariant: a header that a proxy sets is believed only of a proxy that the operator named.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use engine::auth::Client;

use crate::state::Settings;

/// Addresses that belong together: `10.0.0.0/8`, or one alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    base: IpAddr,
    bits: u32,
}

impl std::str::FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || format!("`{text}` is no address and no network such as 10.0.0.0/8");
        let (base, bits) = text.split_once('/').map_or((text, None), |(base, bits)| (base, Some(bits)));
        let base: IpAddr = base.trim().parse().map_err(|_| wrong())?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(most), str::parse).map_err(|_| wrong())?;
        if bits > most { Err(wrong()) } else { Ok(Self { base, bits }) }
    }
}

impl Network {
    /// Whether `address` is one of these.
    #[must_use]
    pub fn holds(self, address: IpAddr) -> bool {
        let differing = match (self.base, address.to_canonical()) {
            (IpAddr::V4(base), IpAddr::V4(address)) => u32::from(base) ^ u32::from(address),
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                let differing = u128::from(base) ^ u128::from(address);
                return differing.leading_zeros() >= self.bits;
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return false,
        };
        differing.leading_zeros() >= self.bits
    }
}

/// Where a request comes from.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Who sent it.
    pub client: Client,
    /// Whether the client speaks TLS, to us or to the proxy before us.
    pub secure: bool,
    /// Whether the request says that it comes from another host's page.
    pub foreign: bool,
    /// Whether it came straight from this machine.
    pub local: bool,
    /// The language that the address names.
    pub asked_locale: Option<String>,
    /// The language that the browser prefers.
    pub preferred_locale: Option<&'static str>,
}

impl Facts {
    /// Reads them off a request.
    #[must_use]
    pub fn of(parts: &Parts, settings: &Settings) -> Self {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.0.ip()).to_canonical();
        let proxied = settings.behind_proxy.iter().any(|network| network.holds(peer));
        let forwarded = proxied.then(|| forwarded_for(&parts.headers, settings)).flatten();
        let told_secure = proxied && text(&parts.headers, "x-forwarded-proto").is_some_and(|scheme| scheme.trim().eq_ignore_ascii_case("https"));
        let public_secure = settings.base_url.as_deref().is_some_and(|url| url.starts_with("https://"));
        Self {
            client: Client {
                address: forwarded.unwrap_or(peer),
                agent: text(&parts.headers, header::USER_AGENT.as_str()).unwrap_or_default().to_owned(),
            },
            secure: told_secure || public_secure,
            foreign: is_foreign(&parts.headers, settings.base_url.as_deref()),
            local: peer.is_loopback() && !proxied,
            asked_locale: asked_locale(parts.uri.query().unwrap_or_default()),
            preferred_locale: text(&parts.headers, header::ACCEPT_LANGUAGE.as_str()).and_then(super::locale::preferred),
        }
    }

    /// The language before anybody is known.
    #[must_use]
    pub fn locale(&self) -> String {
        self.asked_locale.clone().or_else(|| self.preferred_locale.map(str::to_owned)).unwrap_or_else(|| "en".to_owned())
    }
}

/// Whether `Origin` names another host than the one that was asked, and than the public one: a proxy may have changed `Host`.
fn is_foreign(headers: &HeaderMap, base_url: Option<&str>) -> bool {
    let host = |url: &str| url.split_once("://").map(|(_, host)| host.trim_end_matches('/').to_ascii_lowercase());
    let Some(origin) = headers.get(header::ORIGIN) else { return false };
    let Some(origin) = origin.to_str().ok().and_then(host) else { return true };
    let asked = text(headers, header::HOST.as_str()).map(str::to_ascii_lowercase);
    asked.as_ref() != Some(&origin) && base_url.and_then(host).as_ref() != Some(&origin)
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// The nearest address in `X-Forwarded-For` that is no proxy of ours: those before it anybody can write.
fn forwarded_for(headers: &HeaderMap, settings: &Settings) -> Option<IpAddr> {
    let hops = text(headers, "x-forwarded-for")?.rsplit(',').map(|hop| hop.trim().parse::<IpAddr>().ok());
    for hop in hops {
        let hop = hop?.to_canonical();
        if !settings.behind_proxy.iter().any(|network| network.holds(hop)) {
            return Some(hop);
        }
    }
    None
}

fn asked_locale(query: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix("locale="))?;
    super::locale::well_formed(value).then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_their_addresses() {
        let network: Network = "10.0.0.0/8".parse().expect("a network");
        assert!(network.holds("10.200.3.4".parse().expect("an address")));
        assert!(!network.holds("11.0.0.1".parse().expect("an address")));
        assert!(network.holds("::ffff:10.0.0.1".parse().expect("an address")));
        assert!("::1".parse::<Network>().expect("an address").holds("::1".parse().expect("an address")));
        assert!("10.0.0.0/33".parse::<Network>().is_err());
        assert!("example.com".parse::<Network>().is_err());
    }

    #[test]
    fn foreign_pages_are_known_by_their_origin() {
        let of = |origin: Option<&str>, base_url: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert("host", "crm.internal:8080".parse().expect("a header"));
            if let Some(origin) = origin {
                headers.insert("origin", origin.parse().expect("a header"));
            }
            is_foreign(&headers, base_url)
        };
        assert!(!of(None, None));
        assert!(!of(Some("http://CRM.internal:8080"), None));
        assert!(of(Some("https://crm.example.com"), None));
        assert!(!of(Some("https://crm.example.com"), Some("https://crm.example.com/")));
        assert!(of(Some("null"), None));
    }

    #[test]
    fn the_last_stranger_counts() {
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", "1.2.3.4, 203.0.113.7, 10.0.0.9".parse().expect("a header"));
        let settings = Settings { behind_proxy: vec!["10.0.0.0/8".parse().expect("a network")], ..Settings::default() };
        assert_eq!(forwarded_for(&headers, &settings), "203.0.113.7".parse().ok());
    }
}
