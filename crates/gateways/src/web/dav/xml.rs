//! XML as WebDAV needs it: small documents read into a tree, elements written so that each stands by itself.
//! Documents with a type declaration are refused, so that nothing is ever expanded.

use quick_xml::escape::escape;
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::reader::NsReader;

/// The namespace of WebDAV's own elements.
pub(super) const DAV: &str = "DAV:";
/// Elements within elements.
const DEPTH_MAX: usize = 32;
/// Elements in a document.
const ELEMENTS_MAX: usize = 256;
/// Bytes of a namespace.
const NAMESPACE_BYTES_MAX: usize = 512;

/// An element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Element {
    pub namespace: String,
    pub name: String,
    attributes: Vec<Attribute>,
    children: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Attribute {
    namespace: String,
    name: String,
    value: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Element(Element),
    Text(String),
}

const XML: &str = "http://www.w3.org/XML/1998/namespace";
const XMLNS: &str = "http://www.w3.org/2000/xmlns/";

impl Element {
    /// Nothing but a name.
    pub fn empty(namespace: &str, name: &str) -> Element {
        Element { namespace: namespace.into(), name: name.into(), ..Element::default() }
    }

    /// Is it that element of WebDAV's?
    pub fn is(&self, name: &str) -> bool {
        self.namespace == DAV && self.name == name
    }

    pub fn elements(&self) -> impl Iterator<Item = &Element> {
        self.children.iter().filter_map(|node| if let Node::Element(element) = node { Some(element) } else { None })
    }

    /// The first child that is that element of WebDAV's.
    pub fn child(&self, name: &str) -> Option<&Element> {
        self.elements().find(|element| element.is(name))
    }

    /// The language that it says it is in.
    pub fn language(&self) -> Option<&str> {
        let found = self.attributes.iter().find(|it| it.namespace == XML && it.name == "lang");
        found.map(|it| it.value.as_str())
    }

    /// Says the language, if it says none.
    pub fn in_language(mut self, language: Option<&str>) -> Element {
        if let (None, Some(language)) = (self.language(), language) {
            let (namespace, name) = (XML.to_string(), "lang".to_string());
            self.attributes.push(Attribute { namespace, name, value: language.to_string() });
        }
        self
    }

    /// As text that can stand anywhere in a document.
    pub fn to_xml(&self) -> String {
        let mut out = String::new();
        self.write(None, &mut out);
        out
    }

    fn write(&self, around: Option<&str>, out: &mut String) {
        out.push('<');
        out.push_str(&self.name);
        if around != Some(&self.namespace) {
            attribute("xmlns", &self.namespace, out);
        }
        for (index, Attribute { namespace, name, value }) in self.attributes.iter().enumerate() {
            match &namespace[..] {
                "" => attribute(name, value, out),
                XML => attribute(&format!("xml:{name}"), value, out),
                namespace => {
                    attribute(&format!("xmlns:a{index}"), namespace, out);
                    attribute(&format!("a{index}:{name}"), value, out);
                }
            }
        }
        if self.children.is_empty() {
            out.push_str("/>");
            return;
        }
        out.push('>');
        for child in &self.children {
            match child {
                Node::Element(element) => element.write(Some(&self.namespace), out),
                Node::Text(text) => out.push_str(&escape(&text[..])),
            }
        }
        out.push_str("</");
        out.push_str(&self.name);
        out.push('>');
    }
}

fn attribute(name: &str, value: &str, out: &mut String) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    // As they stand, a reader would make spaces of them.
    let value = escape(value).replace('\n', "&#10;").replace('\t', "&#9;").replace('\r', "&#13;");
    out.push_str(&value);
    out.push('"');
}

/// Text between tags.
pub(super) fn text(raw: &str) -> String {
    // What XML cannot say at all becomes the sign for that.
    escape(raw.chars().map(|c| if said(c) { c } else { '\u{fffd}' }).collect::<String>()).into_owned()
}

/// Reads a document; or why it is none.
pub(super) fn parse(bytes: &[u8]) -> Result<Element, &'static str> {
    const BAD: &str = "the XML is not well-formed";
    let text = std::str::from_utf8(bytes).map_err(|_| "XML is taken in UTF-8 only")?;
    let mut reader = NsReader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    let mut elements = 0;
    loop {
        let event = reader.read_event().map_err(|_| BAD)?;
        let done = match event {
            Event::Start(start) => {
                open.push(element(&reader, &start)?);
                None
            }
            Event::Empty(start) => Some(element(&reader, &start)?),
            Event::End(_) => open.pop(),
            Event::Text(text) => {
                add_text(&mut open, &text.xml10_content())?;
                None
            }
            Event::CData(text) => {
                add_text(&mut open, &text.xml10_content())?;
                None
            }
            Event::GeneralRef(reference) => {
                let name = reference.xml10_content();
                let resolved = match reference.resolve_char_ref().map_err(|_| BAD)? {
                    Some(c) => c.to_string(),
                    None => quick_xml::escape::resolve_predefined_entity(&name).ok_or(BAD)?.to_string(),
                };
                add_text(&mut open, &resolved)?;
                None
            }
            Event::DocType(_) => return Err("XML with a document type is not taken"),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => None,
            Event::Eof => break,
        };
        if let Some(done) = done {
            match (open.last_mut(), &root) {
                (Some(parent), _) => parent.children.push(Node::Element(done)),
                (None, None) => root = Some(done),
                (None, Some(_)) => return Err(BAD),
            }
            elements += 1;
        }
        if open.len() > DEPTH_MAX || elements > ELEMENTS_MAX {
            return Err("the XML is too large or too deep");
        }
    }
    if open.is_empty() { root.ok_or(BAD) } else { Err(BAD) }
}

fn add_text(open: &mut [Element], text: &str) -> Result<(), &'static str> {
    if !text.chars().all(said) {
        return Err("the XML has characters that XML has not");
    }
    let Some(parent) = open.last_mut() else {
        return if text.trim().is_empty() { Ok(()) } else { Err("the XML is not well-formed") };
    };
    match parent.children.last_mut() {
        Some(Node::Text(before)) => before.push_str(text),
        _ => parent.children.push(Node::Text(text.to_string())),
    }
    Ok(())
}

fn bound(found: ResolveResult<'_>) -> Result<String, &'static str> {
    match found {
        ResolveResult::Bound(namespace) => {
            let read = quick_xml::escape::unescape(namespace.as_ref()).map_err(|_| "a namespace is not well-formed")?;
            if read.len() > NAMESPACE_BYTES_MAX || !read.chars().all(said) {
                return Err("a namespace in the XML is longer than 512 bytes, or has characters that XML has not");
            }
            Ok(read.into_owned())
        }
        ResolveResult::Unbound => Ok(String::new()),
        ResolveResult::Unknown(_) => Err("a namespace prefix in the XML is not declared"),
    }
}

/// A character that XML 1.0 has (section 2.2).
fn said(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{d7ff}' | '\u{e000}'..='\u{fffd}' | '\u{10000}'..)
}

/// A name without a prefix (Namespaces in XML 1.0, section 3; XML 1.0, section 2.3).
fn is_name(text: &str) -> bool {
    let begins = |c: char| {
        matches!(c, 'A'..='Z' | '_' | 'a'..='z' | '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}'
            | '\u{370}'..='\u{37d}' | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}'
            | '\u{2c00}'..='\u{2fef}' | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}'
            | '\u{10000}'..='\u{effff}')
    };
    let goes_on = |c: char| {
        begins(c) || matches!(c, '-' | '.' | '0'..='9' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
    };
    text.chars().next().is_some_and(begins) && text.chars().all(goes_on)
}

fn element(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Result<Element, &'static str> {
    const BAD: &str = "an attribute in the XML is not well-formed";
    let (namespace, name) = reader.resolver().resolve_element(start.name());
    let mut read = Element { namespace: bound(namespace)?, name: name.as_ref().to_string(), ..Element::default() };
    if !is_name(&read.name) || [XML, XMLNS].contains(&&read.namespace[..]) {
        return Err("the name of an element in the XML is none");
    }
    for attribute in start.attributes() {
        let attribute = attribute.map_err(|_| BAD)?;
        if let Some(prefix) = attribute.key.as_namespace_binding() {
            if matches!(prefix, quick_xml::name::PrefixDeclaration::Named(_)) && attribute.value.is_empty() {
                return Err("a namespace prefix in the XML is bound to nothing");
            }
            continue;
        }
        let (namespace, name) = reader.resolver().resolve_attribute(attribute.key);
        let value = attribute.normalized_value(quick_xml::XmlVersion::Implicit1_0).map_err(|_| BAD)?.into_owned();
        let (namespace, name) = (bound(namespace)?, name.as_ref().to_string());
        if !is_name(&name) || !value.chars().all(said) {
            return Err(BAD);
        }
        read.attributes.push(Attribute { namespace, name, value });
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn documents_are_read_with_their_namespaces() {
        let text = r#"<?xml version="1.0"?><D:a xmlns:D="DAV:" xmlns="x" xml:lang="de"><b k="1 &amp; 2"/>t&lt;&#x41;<![CDATA[<c>]]></D:a>"#;
        let read = parse(text.as_bytes()).unwrap();
        assert!(read.is("a") && read.language() == Some("de"));
        let inner = read.elements().next().unwrap();
        assert_eq!((&inner.namespace[..], &inner.name[..]), ("x", "b"));
        let written = read.to_xml();
        assert_eq!(parse(written.as_bytes()).unwrap(), read, "{written}");
        assert!(written.contains("t&lt;A&lt;c&gt;"), "{written}");
    }

    #[test]
    fn what_is_no_document_is_refused() {
        for bad in [
            "",
            "x",
            "<a>",
            "<a></b>",
            "<a/><b/>",
            "<a/>x",
            "<p:a/>",
            "<a xmlns:p=''/>",
            "<a>&e;</a>",
            "<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>",
            "<a b=c/>",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        for bad in [
            "<u:a&b xmlns:u='u'/>",
            "<1/>",
            "<u:a:b xmlns:u='u'/>",
            "<xml:a/>",
            "<xmlns:a/>",
            "<a>&#1;</a>",
            "<a b='&#1;'/>",
        ] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        let long = format!("<a xmlns='{}'/>", "n".repeat(600));
        assert!(parse(long.as_bytes()).is_err());
        let many = format!("<a>{}</a>", "<b/>".repeat(300));
        assert!(parse(many.as_bytes()).is_err());
        let deep = "<a>".repeat(100) + &"</a>".repeat(100);
        assert!(parse(deep.as_bytes()).is_err());
        assert!(parse(b"\xff<a/>").is_err());
    }

    fn tree() -> impl Strategy<Value = Element> {
        let name = "[a-z][a-z0-9]{0,3}";
        let leaf =
            (prop::sample::select(vec!["", "DAV:", "urn:x & y"]), name, prop::collection::vec((name, ".{0,8}"), 0..3))
                .prop_map(|(namespace, name, attributes)| {
                    let mut seen = std::collections::BTreeSet::new();
                    let attributes = attributes.into_iter().filter(|(name, _)| seen.insert(name.clone()));
                    let attributes = attributes.map(|(name, value): (String, String)| Attribute {
                        namespace: String::new(),
                        name,
                        value: text(&value).chars().filter(|c| !c.is_control()).collect(),
                    });
                    Element { namespace: namespace.into(), name, attributes: attributes.collect(), children: vec![] }
                });
        leaf.prop_recursive(4, 24, 4, |inner| {
            (inner.clone(), prop::collection::vec(inner, 0..4)).prop_map(|(mut parent, children)| {
                parent.children = children.into_iter().map(Node::Element).collect();
                parent
            })
        })
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(tree in tree()) {
            prop_assert_eq!(parse(tree.to_xml().as_bytes()).unwrap(), tree);
        }

        #[test]
        fn any_text_can_be_written(raw: String) {
            let written = format!("<a>{}</a>", text(&raw));
            prop_assert!(parse(written.as_bytes()).is_ok());
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
