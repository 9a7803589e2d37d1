//! The `If` header (RFC 4918, section 10.4).

/// Bytes of the header.
const BYTES_MAX: usize = 8 * 1024;
/// Conditions in one header.
const CONDITIONS_MAX: usize = 64;

/// Conditions that hold together of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct List {
    /// Of which, as the header has it; none: of the request's own.
    pub resource: Option<String>,
    pub conditions: Vec<Condition>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    pub not: bool,
    pub state: State,
}

/// What a resource is to have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// A lock of that token.
    Token(String),
    /// That etag, without quotes; a weak one never is.
    Etag(Option<String>),
}

/// Every token in the header counts as shown, whatever comes of its list.
pub(super) fn tokens(lists: &[List]) -> Vec<String> {
    let conditions = lists.iter().flat_map(|list| &list.conditions);
    let token = |condition: &Condition| match &condition.state {
        State::Token(token) => Some(token.clone()),
        State::Etag(_) => None,
    };
    conditions.filter_map(token).collect()
}

/// Reads the header; none: it is not well-formed.
pub(super) fn parse(text: &str) -> Option<Vec<List>> {
    if text.len() > BYTES_MAX {
        return None;
    }
    let mut rest = text.trim_start();
    let (mut lists, mut resource, mut tagged) = (Vec::new(), None, None);
    let mut conditions = 0;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('<') {
            // With or without tags, never both; and a tag has a list.
            if tagged == Some(false) {
                return None;
            }
            let (tag, after) = after.split_once('>')?;
            (tagged, resource, rest) = (Some(true), Some(tag.to_string()), after.trim_start());
            if !rest.starts_with('(') {
                return None;
            }
            continue;
        }
        tagged.get_or_insert(false);
        let (list, after) = list(rest.strip_prefix('(')?)?;
        conditions += list.len();
        if conditions > CONDITIONS_MAX {
            return None;
        }
        lists.push(List { resource: resource.clone(), conditions: list });
        rest = after.trim_start();
    }
    (!lists.is_empty()).then_some(lists)
}

fn list(text: &str) -> Option<(Vec<Condition>, &str)> {
    let mut rest = text.trim_start();
    let mut list = Vec::new();
    loop {
        if let Some(after) = rest.strip_prefix(')') {
            return (!list.is_empty()).then_some((list, after));
        }
        let not = rest.get(..3).is_some_and(|word| word.eq_ignore_ascii_case("not"));
        if not {
            rest = rest[3..].trim_start();
        }
        let (state, after) = if let Some(after) = rest.strip_prefix('<') {
            let (token, after) = after.split_once('>')?;
            (State::Token(token.to_string()), after)
        } else {
            let (etag, after) = rest.strip_prefix('[')?.split_once(']')?;
            let strong = match etag.strip_prefix("W/") {
                Some(_) => None,
                None => Some(etag.strip_prefix('"')?.strip_suffix('"')?.to_string()),
            };
            (State::Etag(strong), after)
        };
        list.push(Condition { not, state });
        rest = after.trim_start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn token(text: &str, not: bool) -> Condition {
        Condition { not, state: State::Token(text.into()) }
    }

    #[test]
    fn headers_of_the_standard() {
        let etag = Condition { not: false, state: State::Etag(Some("I am an ETag".into())) };
        let read = parse(r#"(<urn:uuid:1> ["I am an ETag"]) (Not <urn:uuid:2>)"#).unwrap();
        assert_eq!(read[0], List { resource: None, conditions: vec![token("urn:uuid:1", false), etag] });
        assert_eq!(read[1], List { resource: None, conditions: vec![token("urn:uuid:2", true)] });
        assert_eq!(tokens(&read), ["urn:uuid:1", "urn:uuid:2"]);
        let read = parse("</a> (<t:1>) (<t:2>) <http://h/b>(<t:3>)").unwrap();
        let resources: Vec<_> = read.iter().map(|list| list.resource.as_deref().unwrap()).collect();
        assert_eq!(resources, ["/a", "/a", "http://h/b"]);
    }

    #[test]
    fn what_is_none_is_refused() {
        for bad in ["", "()", "(<t>", "<t>", "(<t>) </a> (<t>)", "</a> </b> (<t>)", "(t)", "([e])", "(Not)", "(<t>) x"]
        {
            assert_eq!(parse(bad), None, "{bad}");
        }
        assert_eq!(parse(&"(<t>)".repeat(100)), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "[(<>)\\[\\]\"Nott:/ aW]{0,60}") {
            let _ = parse(&text);
        }

        #[test]
        fn any_unicode_is_read_or_refused(text: String) {
            let _ = parse(&text);
        }
    }
}
