//! Where a gateway listens, and whether TLS is spoken there.

use super::RemoteError;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// `host:port`, over TLS but on this machine itself; `https://` or `http://` before it says so where it is otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GatewayAddress {
    authority: String,
    tls: bool,
}

impl GatewayAddress {
    /// Of `host:port`.
    pub fn new(authority: impl Into<String>, tls: bool) -> GatewayAddress {
        GatewayAddress { authority: authority.into(), tls }
    }

    /// `host:port`.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Without the port, and without the brackets of an IPv6 address.
    pub fn host(&self) -> &str {
        let host = self.authority.rsplit_once(':').map_or(self.authority.as_str(), |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// What is said there, nobody else hears.
    pub fn is_private(&self) -> bool {
        self.tls || self.is_here()
    }

    /// Whether TLS is spoken.
    pub fn tls(&self) -> bool {
        self.tls
    }

    /// This machine, where nobody else hears.
    pub fn is_here(&self) -> bool {
        self.host() == "localhost" || self.host().parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl fmt::Display for GatewayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match (self.tls, self.is_here()) {
            (true, true) => "https://",
            (false, false) => "http://",
            _ => "",
        };
        write!(f, "{scheme}{}", self.authority)
    }
}

impl FromStr for GatewayAddress {
    type Err = RemoteError;

    fn from_str(text: &str) -> Result<GatewayAddress, RemoteError> {
        let invalid = |why| RemoteError::Invalid(format!("{text:?} is not the address of a gateway: {why}"));
        let (said, authority) = match text.split_once("://") {
            None => (None, text),
            Some(("http", rest)) => (Some(false), rest),
            Some(("https", rest)) => (Some(true), rest),
            Some(_) => return Err(invalid("it begins neither with http:// nor with https://")),
        };
        let authority = authority.trim_end_matches('/');
        if !authority.contains(':') {
            return Err(invalid("it has no port; an address looks like host:7070"));
        }
        let bare = GatewayAddress::new(authority, true);
        let tls = said.unwrap_or(!bare.is_here());
        Ok(GatewayAddress { tls, ..bare })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_spoken_but_on_this_machine_or_where_it_is_said_otherwise() {
        for (text, host, tls, again) in [
            ("a:7070", "a", true, "a:7070"),
            ("https://a:7070/", "a", true, "a:7070"),
            ("http://a:1", "a", false, "http://a:1"),
            ("localhost:1", "localhost", false, "localhost:1"),
            ("127.0.0.2:1", "127.0.0.2", false, "127.0.0.2:1"),
            ("http://[::1]:1", "::1", false, "[::1]:1"),
            ("https://[::1]:1", "::1", true, "https://[::1]:1"),
            ("localhost.example:1", "localhost.example", true, "localhost.example:1"),
        ] {
            let read: GatewayAddress = text.parse().unwrap();
            assert_eq!((read.host(), read.tls(), read.to_string().as_str()), (host, tls, again), "{text}");
            assert_eq!(read.to_string().parse::<GatewayAddress>().unwrap(), read);
        }
        for wrong in ["", "a", "ftp://a:1"] {
            assert!(wrong.parse::<GatewayAddress>().is_err(), "{wrong}");
        }
    }
}
