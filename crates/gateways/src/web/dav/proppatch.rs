//! PROPPATCH: all of a request's changes, or none (RFC 4918, section 9.2).

use super::answer::{Refusal, element};
use super::ask::{Ask, Touched};
use super::live::{empty, is_protected, propstat};
use super::propfind::multistatus_of;
use super::xml::{self, Element};
use apps::DriveError;
use apps::drive::DrivePath;
use apps::drive::properties::{Property, PropertyChange};
use axum::response::Response;

pub(super) async fn proppatch(ask: &Ask, path: &DrivePath, document: &[u8]) -> Result<Response, Refusal> {
    let entry = ask.found(path).await?;
    let locks = ask.may_change(path, Some(&entry), &[Touched { path, deep: false, member: false }]).await?;
    let read = xml::parse(document).map_err(Refusal::bad)?;
    let changes = changes(&read).ok_or_else(|| Refusal::bad("the request is no propertyupdate as RFC 4918 has it"))?;
    let name = |change: &PropertyChange| match change {
        PropertyChange::Set(property) => (property.namespace.clone(), property.name.clone()),
        PropertyChange::Remove { namespace, name } => (namespace.clone(), name.clone()),
    };
    let (mut fine, mut protected) = (String::new(), String::new());
    for (namespace, name) in changes.iter().map(name) {
        let to = if path.is_root() || is_protected(&namespace, &name) { &mut protected } else { &mut fine };
        to.push_str(&empty(&namespace, &name));
    }
    let stats = if protected.is_empty() {
        match ask.drives().keeping(&locks).change_properties(ask.drive, path, &changes, Some(ask.only(&entry))).await {
            Ok(()) => propstat(&fine, "200 OK"),
            Err(DriveError::Invalid(_)) => propstat(&fine, "507 Insufficient Storage"),
            Err(error) => return Err(Refusal::overtaken(error)),
        }
    } else {
        let why = "<D:error><D:cannot-modify-protected-property/></D:error></D:propstat>";
        let refused = propstat(&protected, "403 Forbidden").replace("</D:propstat>", why);
        let others = if fine.is_empty() { String::new() } else { propstat(&fine, "424 Failed Dependency") };
        refused + &others
    };
    let href = element("href", &ask.root.href(path, entry.is_folder()));
    Ok(multistatus_of(&format!("<D:response>{href}{stats}</D:response>\n")))
}

/// In their order; none: it is no `propertyupdate`.
fn changes(document: &Element) -> Option<Vec<PropertyChange>> {
    if !document.is("propertyupdate") {
        return None;
    }
    let mut changes = Vec::new();
    for act in document.elements().filter(|it| it.is("set") || it.is("remove")) {
        let prop = act.child("prop")?;
        // The language of what is around a property is its own (RFC 4918, section 4.3).
        let language = [prop, act, document].into_iter().find_map(Element::language);
        for property in prop.elements() {
            let (namespace, name) = (property.namespace.clone(), property.name.clone());
            changes.push(match act.is("set") {
                true => {
                    let xml = property.clone().in_language(language).to_xml();
                    PropertyChange::Set(Property { namespace, name, xml })
                }
                false => PropertyChange::Remove { namespace, name },
            });
        }
    }
    (!changes.is_empty()).then_some(changes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_keep_their_order_and_language() {
        let text = "<propertyupdate xmlns='DAV:' xml:lang='fr'>\
                    <set><prop><x xmlns='u'>1</x><y xmlns='u' xml:lang='de'/></prop></set>\
                    <remove><prop><x xmlns='u'/></prop></remove></propertyupdate>";
        let read = changes(&xml::parse(text.as_bytes()).unwrap()).unwrap();
        let set = |name: &str, xml: &str| {
            PropertyChange::Set(Property { namespace: "u".into(), name: name.into(), xml: xml.into() })
        };
        assert_eq!(
            read,
            [
                set("x", "<x xmlns=\"u\" xml:lang=\"fr\">1</x>"),
                set("y", "<y xmlns=\"u\" xml:lang=\"de\"/>"),
                PropertyChange::Remove { namespace: "u".into(), name: "x".into() },
            ]
        );
        for none in [
            "<propertyupdate/>",
            "<propertyupdate xmlns='DAV:'/>",
            "<propertyupdate xmlns='DAV:'><set/></propertyupdate>",
        ] {
            assert!(changes(&xml::parse(none.as_bytes()).unwrap()).is_none());
        }
    }
}
