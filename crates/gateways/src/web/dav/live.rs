//! Properties that are known here (RFC 4918, section 15; RFC 4331), and the elements of an answer about one resource.

use super::answer::element;
use super::place::Root;
use super::xml::{DAV, Element};
use crate::web::format;
use apps::drive::locks::Lock;
use apps::drive::properties::Property;
use apps::drive::{DrivePath, Entry, Usage};
use std::time::{Duration, SystemTime};
use types::WallMillis;

/// The last moment that dates in HTTP have a form for.
const LAST: u64 = 253_402_300_799_000;

/// Those that are told when all are asked for.
const USUAL: [&str; 9] = [
    "creationdate",
    "displayname",
    "getcontentlength",
    "getcontenttype",
    "getetag",
    "getlastmodified",
    "lockdiscovery",
    "resourcetype",
    "supportedlock",
];
/// Those that must be asked for by name.
const BY_NAME: [&str; 2] = ["quota-available-bytes", "quota-used-bytes"];

const SUPPORTED: &str = "<D:lockentry><D:lockscope><D:exclusive/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockentry>\
     <D:lockentry><D:lockscope><D:shared/></D:lockscope><D:locktype><D:write/></D:locktype></D:lockentry>";

/// What is wanted of each resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All, and these.
    All(Vec<(String, String)>),
    /// Their names alone.
    Names,
    /// These: namespace and name.
    These(Vec<(String, String)>),
}

/// A resource, with what is to be known to tell of it.
pub(super) struct Resource<'a> {
    pub root: &'a Root,
    pub path: &'a DrivePath,
    pub entry: &'a Entry,
    pub properties: &'a [Property],
    pub locks: &'a [Lock],
    pub usage: Option<&'a Usage>,
    pub now: WallMillis,
}

/// When its content last changed, by its owner's clock; of a folder, here.
pub(super) fn modified(entry: &Entry) -> WallMillis {
    entry.file().map_or(entry.modified, |file| file.mtime)
}

/// Is it a property that clients may not set?
pub(super) fn is_protected(namespace: &str, name: &str) -> bool {
    namespace == DAV && !matches!(name, "displayname" | "getcontentlanguage")
}

impl Wanted {
    /// Of a `propfind`; none when it is none.
    pub fn parse(document: &Element) -> Option<Wanted> {
        if !document.is("propfind") {
            return None;
        }
        let names = |of: &Element| of.elements().map(|it| (it.namespace.clone(), it.name.clone())).collect();
        let forms = ["prop", "allprop", "propname"].map(|name| document.child(name));
        match forms {
            [Some(these), None, None] => Some(Wanted::These(names(these))),
            [None, Some(_), None] => Some(Wanted::All(document.child("include").map(names).unwrap_or_default())),
            [None, None, Some(_)] => Some(Wanted::Names),
            _ => None,
        }
    }

    /// Are the properties that clients keep to be known?
    pub fn kept(&self) -> bool {
        let Wanted::These(names) = self else { return true };
        names.iter().any(|(namespace, name)| !is_protected(namespace, name))
    }

    /// Is the quota to be known?
    pub fn quota(&self) -> bool {
        let (Wanted::All(names) | Wanted::These(names)) = self else { return false };
        names.iter().any(|(namespace, name)| namespace == DAV && BY_NAME.contains(&&name[..]))
    }
}

impl Resource<'_> {
    /// A property as XML that can stand in an answer; none: it has none of that name.
    fn get(&self, namespace: &str, name: &str) -> Option<String> {
        let dead = self.properties.iter().find(|it| it.namespace == namespace && it.name == name);
        if let Some(dead) = dead {
            return Some(dead.xml.clone());
        }
        if namespace != DAV {
            return None;
        }
        let file = self.entry.file();
        let text = match name {
            "creationdate" => format::machine_second(self.entry.created),
            "displayname" => self.path.name().unwrap_or(self.root.name()).to_string(),
            "getcontentlength" => file?.size.to_string(),
            "getcontenttype" => file?.media_type.clone().unwrap_or_else(|| "application/octet-stream".into()),
            "getetag" => format!("\"{}\"", file?.etag),
            "getlastmodified" => {
                let at = Duration::from_millis(modified(self.entry).0.min(LAST));
                httpdate::fmt_http_date(SystemTime::UNIX_EPOCH + at)
            }
            "quota-used-bytes" => self.usage?.bytes.to_string(),
            "quota-available-bytes" => self.usage?.room?.to_string(),
            "resourcetype" if file.is_none() => return Some("<D:resourcetype><D:collection/></D:resourcetype>".into()),
            "resourcetype" => return Some("<D:resourcetype/>".into()),
            "supportedlock" => return Some(format!("<D:supportedlock>{SUPPORTED}</D:supportedlock>")),
            "lockdiscovery" => {
                return Some(discovery(self.locks.iter().filter(|lock| lock.covers(self.path)), self.root, self.now));
            }
            _ => return None,
        };
        Some(element(name, &text))
    }

    /// The `response` element about it.
    pub fn response(&self, wanted: &Wanted) -> String {
        let (mut found, mut missing) = (String::new(), String::new());
        let dead = || self.properties.iter().map(|it| (it.namespace.clone(), it.name.clone()));
        let usual = || USUAL.iter().map(|name| (DAV.to_string(), name.to_string()));
        let mut told = std::collections::BTreeSet::new();
        let mut tell = |(namespace, name): (String, String), needed: bool| {
            if !told.insert((namespace.clone(), name.clone())) {
                return;
            }
            match self.get(&namespace, &name) {
                Some(_) if *wanted == Wanted::Names => found.push_str(&empty(&namespace, &name)),
                Some(xml) => found.push_str(&xml),
                None if needed => missing.push_str(&empty(&namespace, &name)),
                None => {}
            }
        };
        match wanted {
            Wanted::These(names) => names.iter().cloned().for_each(|name| tell(name, true)),
            Wanted::All(also) => {
                usual().chain(dead()).for_each(|name| tell(name, false));
                also.iter().cloned().for_each(|name| tell(name, true));
            }
            Wanted::Names => {
                let by_name = BY_NAME.iter().map(|name| (DAV.to_string(), name.to_string()));
                usual().chain(by_name).chain(dead()).for_each(|name| tell(name, false));
            }
        }
        response(&self.root.href(self.path, self.entry.is_folder()), &found, &missing)
    }
}

/// The `response` element about a list of drives, or a drive of which nothing more is told.
pub(super) fn response_of_list(href: &str, shown: &str, wanted: &Wanted) -> String {
    let known = [
        ("resourcetype", "<D:resourcetype><D:collection/></D:resourcetype>".to_string()),
        ("displayname", element("displayname", shown)),
    ];
    let of = |name: &(String, String)| known.iter().find(|(known, _)| name.0 == DAV && name.1 == *known);
    let (mut found, mut missing) = (String::new(), String::new());
    match wanted {
        Wanted::These(names) => {
            for name in names {
                match of(name) {
                    Some((_, xml)) => found.push_str(xml),
                    None => missing.push_str(&empty(&name.0, &name.1)),
                }
            }
        }
        Wanted::All(_) => known.iter().for_each(|(_, xml)| found.push_str(xml)),
        Wanted::Names => known.iter().for_each(|(name, _)| found.push_str(&empty(DAV, name))),
    }
    response(href, &found, &missing)
}

/// What there is and what is missing of a resource. A response has at least one of them (RFC 4918, section 14.24).
fn response(href: &str, found: &str, missing: &str) -> String {
    let fine = if found.is_empty() && !missing.is_empty() { String::new() } else { propstat(found, "200 OK") };
    let lacking = if missing.is_empty() { String::new() } else { propstat(missing, "404 Not Found") };
    format!("<D:response>{}{fine}{lacking}</D:response>\n", element("href", href))
}

/// An element of that name with nothing in it.
pub(super) fn empty(namespace: &str, name: &str) -> String {
    Element::empty(namespace, name).to_xml()
}

pub(super) fn propstat(properties: &str, status: &str) -> String {
    format!("<D:propstat><D:prop>{properties}</D:prop><D:status>HTTP/1.1 {status}</D:status></D:propstat>")
}

/// The locks that hold (RFC 4918, section 15.8).
pub(super) fn discovery<'a>(locks: impl Iterator<Item = &'a Lock>, root: &Root, now: WallMillis) -> String {
    let mut out = "<D:lockdiscovery>".to_string();
    for lock in locks {
        let asked = &lock.asked;
        let scope = if asked.shared { "shared" } else { "exclusive" };
        let depth = if asked.deep { "infinity" } else { "0" };
        out.push_str(&format!(
            "<D:activelock><D:locktype><D:write/></D:locktype><D:lockscope><D:{scope}/></D:lockscope>\
             <D:depth>{depth}</D:depth>{}<D:timeout>Second-{}</D:timeout><D:locktoken>{}</D:locktoken>\
             <D:lockroot>{}</D:lockroot></D:activelock>",
            if asked.note.is_empty() { element("owner", &asked.name) } else { asked.note.clone() },
            lock.until.0.saturating_sub(now.0).div_ceil(1000),
            element("href", &lock.token),
            element("href", &root.href(&asked.path, false)),
        ));
    }
    out + "</D:lockdiscovery>"
}

#[cfg(test)]
mod tests {
    use super::super::xml;
    use super::*;

    fn wanted(xml: &str) -> Option<Wanted> {
        Wanted::parse(&xml::parse(xml.as_bytes()).unwrap())
    }

    #[test]
    fn what_is_wanted_is_read() {
        let these = |names: &[(&str, &str)]| {
            Some(Wanted::These(names.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect()))
        };
        let d = "<propfind xmlns='DAV:'>";
        assert_eq!(
            wanted(&format!("{d}<prop><getetag/><x xmlns=''/></prop></propfind>")),
            these(&[(DAV, "getetag"), ("", "x")])
        );
        assert_eq!(wanted(&format!("{d}<propname/></propfind>")), Some(Wanted::Names));
        let all = wanted(&format!("{d}<allprop/><include><quota-used-bytes/></include></propfind>")).unwrap();
        assert!(all.quota());
        assert_eq!(wanted(&format!("{d}<prop/><allprop/></propfind>")), None);
        assert_eq!(wanted("<propfind><prop/></propfind>"), None);
        assert_eq!(wanted(&format!("{d}</propfind>")), None);
    }

    #[test]
    fn an_answer_tells_what_there_is_and_what_is_missing() {
        let path = DrivePath::parse("/a <b>").unwrap();
        let entry = Entry {
            name: "a <b>".into(),
            created: WallMillis(951_782_400_123),
            modified: WallMillis(951_782_400_123),
            properties: true,
            kind: apps::drive::EntryKind::Folder(apps::drive::FolderInfo::new(apps::FolderId([1; 16]))),
        };
        let dead = Property { namespace: "u".into(), name: "x".into(), xml: "<x xmlns=\"u\">v</x>".into() };
        let usage = Usage { bytes: 7, room: None };
        let resource = Resource {
            root: &Root::Home,
            path: &path,
            entry: &entry,
            properties: &[dead],
            locks: &[],
            usage: Some(&usage),
            now: WallMillis(0),
        };
        let these = ["creationdate", "getetag", "quota-used-bytes", "quota-available-bytes"];
        let mut names: Vec<_> = these.iter().map(|name| (DAV.to_string(), name.to_string())).collect();
        names.push(("u".into(), "x".into()));
        let answer = resource.response(&Wanted::These(names));
        let read = xml::parse(answer.replace("<D:response>", "<D:response xmlns:D='DAV:'>").as_bytes()).unwrap();
        let stats: Vec<_> = read.elements().filter(|it| it.is("propstat")).collect();
        let of = |at: usize| stats[at].child("prop").unwrap().elements().map(|it| it.name.as_str()).collect::<Vec<_>>();
        assert_eq!(of(0), ["creationdate", "quota-used-bytes", "x"]);
        assert_eq!(of(1), ["getetag", "quota-available-bytes"]);
        assert!(answer.contains("2000-02-29T00:00:00Z") && answer.contains("/dav/home/a%20%3Cb%3E/"), "{answer}");
        let all = resource.response(&Wanted::All(Vec::new()));
        assert!(all.contains("<x xmlns=\"u\">v</x>") && !all.contains("quota") && !all.contains("404"), "{all}");
    }
}
