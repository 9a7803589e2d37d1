//! Where a request's address leads. `/dav/` has two collections: `home`, which is the caller's own drive, and `drives`, in which
//! are the shared drives that they are in, by name or id.

use super::answer::Refusal;
use crate::web::url::encode;
use apps::DriveError;
use apps::drive::DrivePath;
use axum::http::{StatusCode, Uri};

const PREFIX: &str = "/dav";
/// The name of one's own drive.
const HOME: &str = "home";
/// The name of the list of shared drives.
pub(super) const DRIVES: &str = "drives";

/// A drive, as addresses have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Root {
    /// One's own.
    Home,
    /// A shared one, by its name or id.
    Shared(String),
}

/// What an address names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// The list of what there is.
    Top,
    /// The list of shared drives.
    Drives,
    /// In a drive.
    In(Root, DrivePath),
    /// Nothing can be there.
    Nowhere,
}

impl Root {
    /// What the drive's folder is called.
    pub fn name(&self) -> &str {
        match self {
            Root::Home => HOME,
            Root::Shared(name) => name,
        }
    }

    /// The address of what is at a path of the drive; folders end in a slash.
    pub fn href(&self, path: &DrivePath, folder: bool) -> String {
        let mut out = match self {
            Root::Home => format!("{PREFIX}/{HOME}"),
            Root::Shared(name) => format!("{PREFIX}/{DRIVES}/{}", encode(name)),
        };
        for name in path.names() {
            out.push('/');
            out.push_str(&encode(name));
        }
        if folder {
            out.push('/');
        }
        out
    }
}

impl Place {
    /// Of an address's path, percent-encoded.
    pub fn parse(path: &str) -> Result<Place, Refusal> {
        let bad = || Refusal::bad("the address is not well-formed");
        let rest = path.strip_prefix(PREFIX).ok_or_else(bad)?;
        let rest = match rest.strip_prefix('/') {
            Some(rest) => rest,
            None if rest.is_empty() => rest,
            None => return Err(bad()),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.is_empty() {
            return Ok(Place::Top);
        }
        let mut names = rest.split('/').map(|name| decode(name).ok_or_else(bad));
        let root = match names.next().transpose()?.as_deref() {
            Some(HOME) => Root::Home,
            Some(DRIVES) => match names.next().transpose()? {
                None => return Ok(Place::Drives),
                Some(name) => Root::Shared(name),
            },
            _ => return Ok(Place::Nowhere),
        };
        let mut place = DrivePath::root();
        for name in names {
            place = place.join(&name?).map_err(|error| match error {
                DriveError::BadName { .. } | DriveError::BadPath { .. } => Refusal::from(error),
                _ => bad(),
            })?;
        }
        Ok(Place::In(root, place))
    }

    /// Of a `Destination` or a tag of an `If`: a path, or an address of this very server.
    pub fn refer(reference: &str, host: Option<&str>) -> Result<Place, Refusal> {
        let elsewhere = || Refusal::new(StatusCode::BAD_GATEWAY, "that address is not on this server");
        let uri: Uri = reference.parse().map_err(|_| Refusal::bad("that is no address"))?;
        if let Some(authority) = uri.authority() {
            // A proxy may have taken another port to itself: the name tells.
            let name = |text: &str| text.rsplit_once(':').map_or(text, |(name, _)| name).to_ascii_lowercase();
            let same = host.is_some_and(|host| name(host) == name(authority.as_str()));
            if !same {
                return Err(elsewhere());
            }
        }
        match uri.path().strip_prefix(PREFIX) {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => Place::parse(uri.path()),
            _ => Err(elsewhere()),
        }
    }
}

/// The address of the list of what there is.
pub(super) fn top() -> String {
    format!("{PREFIX}/")
}

/// The address of the list of shared drives.
pub(super) fn drives() -> String {
    format!("{PREFIX}/{DRIVES}/")
}

fn decode(name: &str) -> Option<String> {
    let mut out = Vec::with_capacity(name.len());
    let mut bytes = name.bytes();
    while let Some(byte) = bytes.next() {
        let byte = match byte {
            b'%' => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
                (high * 16 + low) as u8
            }
            other => other,
        };
        out.push(byte);
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn home(path: &str) -> Place {
        Place::In(Root::Home, DrivePath::parse(path).unwrap())
    }

    fn shared(name: &str, path: &str) -> Place {
        Place::In(Root::Shared(name.into()), DrivePath::parse(path).unwrap())
    }

    #[test]
    fn addresses_lead_to_places() {
        for (address, place) in [
            ("/dav", Place::Top),
            ("/dav/", Place::Top),
            ("/dav/home", home("/")),
            ("/dav/home/", home("/")),
            ("/dav/home/a%20b/%C3%A9/", home("/a b/é")),
            ("/dav/drives/", Place::Drives),
            ("/dav/drives/Tea%20club/", shared("Tea club", "/")),
            ("/dav/drives/a%2Fb/x", shared("a/b", "/x")),
            ("/dav/others/x", Place::Nowhere),
        ] {
            assert_eq!(Place::parse(address).unwrap(), place, "{address}");
        }
        for bad in
            ["/davx", "/dav/home/%2e%2e/x", "/dav/home/a%2Fb", "/dav/home//a", "/dav/home/%zz", "/dav/home/%ff", "/"]
        {
            assert!(Place::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn destinations_are_on_this_server() {
        let host = Some("atoll.example:8080");
        assert_eq!(Place::refer("http://atoll.example:8080/dav/home/x", host).unwrap(), home("/x"));
        assert_eq!(Place::refer("/dav/home/x", host).unwrap(), home("/x"));
        for bad in ["http://evil.example/dav/home/x", "http://atoll.example:8080/x", "/x", "", "http://"] {
            assert!(Place::refer(bad, host).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn addresses_read_back(names in prop::collection::vec("[^/\u{0}]{1,20}", 0..4), folder: bool) {
            let path = names.iter().try_fold(DrivePath::root(), |path, name| path.join(name));
            if let Ok(path) = path {
                for root in [Root::Home, Root::Shared("a/b %".into())] {
                    prop_assert_eq!(Place::parse(&root.href(&path, folder)).unwrap(), Place::In(root, path.clone()));
                }
            }
        }

        #[test]
        fn any_address_is_read_or_refused(text: String) {
            let _ = (Place::parse(&text), Place::refer(&text, None));
        }
    }
}
