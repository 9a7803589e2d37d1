//! Bucket policies: the part of their language that is offered. People and everybody, actions and resources with wildcards,
//! to allow and to deny. What goes beyond is refused when a policy is put, never passed over.

use crate::access::{ACTIONS, is_reading};
use crate::errors::refused;
use s3s::{S3Error, S3ErrorCode, S3Result};
use serde_json::{Map, Value};

/// Bytes of a policy: as S3 has it.
pub(crate) const POLICY_BYTES_MAX: usize = 20 * 1024;
/// Characters of all patterns with a `?`, which are held against every place of a text.
const MARKED_MAX: usize = 1024;
/// People whom one may name.
const PEOPLE_MAX: usize = 100;
/// How resources begin.
const ARN: &str = "arn:aws:s3:::";

/// What a policy says to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Denied,
    Allowed,
    /// Nothing: roles decide.
    Silent,
}

/// Who asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who<'a> {
    /// Who did not sign. Policies open reading to them, and no more.
    Nobody,
    /// With the name by which the policy knows them, if it does.
    Person(Option<&'a str>),
}

#[derive(Debug)]
pub(crate) struct Policy {
    statements: Vec<Statement>,
}

#[derive(Debug)]
struct Statement {
    allow: bool,
    everybody: bool,
    people: Vec<String>,
    /// In small letters, as S3 does not tell them apart.
    actions: Vec<String>,
    /// A bucket, or one with a slash and a key.
    resources: Vec<String>,
}

fn malformed(what: impl std::fmt::Display) -> S3Error {
    refused(S3ErrorCode::MalformedPolicy, format!("the policy cannot be taken: {what}"))
}

impl Policy {
    /// A policy that somebody puts: held to its bounds, which one that is kept already may be beyond.
    pub(crate) fn of_new(text: &str, bucket: &str) -> S3Result<Policy> {
        if text.len() > POLICY_BYTES_MAX {
            return Err(malformed("it has more than 20 KiB"));
        }
        let policy = Policy::parse(text, bucket)?;
        let patterns = policy.statements.iter().flat_map(|one| one.actions.iter().chain(&one.resources));
        if patterns.filter(|pattern| pattern.contains('?')).map(String::len).sum::<usize>() > MARKED_MAX {
            return Err(malformed("its patterns with a ? have more than 1024 characters together"));
        }
        if policy.people().len() > PEOPLE_MAX {
            return Err(malformed(format!("it names more than {PEOPLE_MAX} people")));
        }
        Ok(policy)
    }

    /// A policy of that bucket.
    pub(crate) fn parse(text: &str, bucket: &str) -> S3Result<Policy> {
        let value: Value = serde_json::from_str(text).map_err(|error| malformed(format!("it is no JSON: {error}")))?;
        let Value::Object(policy) = value else { return Err(malformed("it is no JSON object")) };
        only(&policy, &["Version", "Id", "Statement"])?;
        let version = policy.get("Version").map(Value::as_str);
        if !matches!(version, None | Some(Some("2012-10-17" | "2008-10-17"))) {
            return Err(malformed("its Version is 2012-10-17 or 2008-10-17"));
        }
        let statements: Vec<Statement> = match policy.get("Statement") {
            Some(Value::Array(all)) => all.iter().map(|one| Statement::read(one, bucket)).collect::<S3Result<_>>()?,
            Some(one @ Value::Object(_)) => vec![Statement::read(one, bucket)?],
            _ => return Err(malformed("it has no Statement")),
        };
        if statements.is_empty() {
            return Err(malformed("it has no Statement"));
        }
        Ok(Policy { statements })
    }

    /// Whom it names.
    pub(crate) fn people(&self) -> Vec<String> {
        let mut names: Vec<String> = self.statements.iter().flat_map(|one| one.people.iter().cloned()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// Does it let everybody in?
    pub(crate) fn is_public(&self) -> bool {
        self.statements.iter().any(|one| one.allow && one.everybody)
    }

    /// May they do that to this resource, a bucket's name or one with a key? What denies comes first. `restricted`: who
    /// is let in must be named.
    pub(crate) fn judge(&self, who: Who<'_>, action: &str, resource: &str, restricted: bool) -> Verdict {
        let action = action.to_ascii_lowercase();
        let mut verdict = Verdict::Silent;
        for one in &self.statements {
            let named = matches!(who, Who::Person(Some(name)) if one.people.iter().any(|person| person == name));
            let meant = named || (one.everybody && !(one.allow && restricted));
            if !meant
                || !one.actions.iter().any(|pattern| matches(pattern, &action))
                || !one.resources.iter().any(|pattern| matches(pattern, resource))
            {
                continue;
            }
            if !one.allow {
                return Verdict::Denied;
            }
            if who != Who::Nobody || is_reading(&action) {
                verdict = Verdict::Allowed;
            }
        }
        verdict
    }
}

impl Statement {
    fn read(value: &Value, bucket: &str) -> S3Result<Statement> {
        let Value::Object(one) = value else { return Err(malformed("a Statement is no JSON object")) };
        if one.contains_key("Condition") {
            return Err(malformed("conditions are not offered here"));
        }
        if let Some(not) = one.keys().find(|key| key.starts_with("Not")) {
            return Err(malformed(format!("{not} is not offered here: name what is meant")));
        }
        only(one, &["Sid", "Effect", "Principal", "Action", "Resource"])?;
        let allow = match one.get("Effect").and_then(Value::as_str) {
            Some("Allow") => true,
            Some("Deny") => false,
            _ => return Err(malformed("an Effect is Allow or Deny")),
        };
        let (everybody, people) = principal(one.get("Principal"))?;
        let actions = texts(one.get("Action"), "Action")?.into_iter().map(action).collect::<S3Result<_>>()?;
        let resources = texts(one.get("Resource"), "Resource")?
            .into_iter()
            .map(|it| resource(it, bucket))
            .collect::<S3Result<_>>()?;
        Ok(Statement { allow, everybody, people, actions, resources })
    }
}

fn only(object: &Map<String, Value>, known: &[&str]) -> S3Result<()> {
    match object.keys().find(|key| !known.contains(&key.as_str())) {
        Some(other) => Err(malformed(format!("{other:?} is not known"))),
        None => Ok(()),
    }
}

/// One text, or several.
fn texts<'a>(value: Option<&'a Value>, what: &str) -> S3Result<Vec<&'a str>> {
    let wrong = || malformed(format!("{what} is a text, or a list of some"));
    let found: Vec<&str> = match value {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(all)) => all.iter().map(|one| one.as_str().ok_or_else(wrong)).collect::<S3Result<_>>()?,
        _ => return Err(wrong()),
    };
    if found.is_empty() { Err(wrong()) } else { Ok(found) }
}

fn principal(value: Option<&Value>) -> S3Result<(bool, Vec<String>)> {
    let names = match value {
        Some(Value::String(all)) if all == "*" => vec!["*"],
        Some(Value::Object(kinds)) if kinds.len() == 1 => texts(kinds.get("AWS"), "Principal.AWS")?,
        _ => return Err(malformed(r#"a Principal is "*" or {"AWS": …} with names of people"#)),
    };
    let (mut everybody, mut people) = (false, Vec::new());
    for name in names {
        match name {
            "*" => everybody = true,
            _ => people.push(person(name).ok_or_else(|| {
                malformed(format!("{name:?} names nobody here: a person is arn:aws:iam:::user/NAME"))
            })?),
        }
    }
    Ok((everybody, people))
}

/// The name in `arn:aws:iam::…:user/NAME`, in small letters as accounts have them: a person is the same however they are
/// spelled. What stands for the account says nothing here.
fn person(text: &str) -> Option<String> {
    let (account, name) = text.strip_prefix("arn:aws:iam::")?.split_once(":user/")?;
    let plain = account.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (plain && !name.is_empty() && !name.contains(['*', '?', '/'])).then(|| name.to_lowercase())
}

fn action(text: &str) -> S3Result<String> {
    let small = text.to_ascii_lowercase();
    let known = small == "*" || ACTIONS.iter().any(|known| matches(&small, &known.to_ascii_lowercase()));
    if known { Ok(small) } else { Err(malformed(format!("there is no action {text:?}"))) }
}

fn resource(text: &str, bucket: &str) -> S3Result<String> {
    if text.contains("${") {
        return Err(malformed("variables are not offered here"));
    }
    let rest = text.strip_prefix(ARN);
    let own = rest.filter(|rest| *rest == "*" || rest.split(['/', '*']).next() == Some(bucket));
    let own = own.ok_or_else(|| malformed(format!("{text:?} is no resource in this bucket, as {ARN}{bucket}/*")))?;
    Ok(own.to_string())
}

/// Does the text fit a pattern, in which `*` stands for any text and `?` for any character? What is between stars is
/// looked for where it comes first: once through the text, however many stars there are.
pub(crate) fn matches(pattern: &str, text: &str) -> bool {
    let mut between = pattern.split('*');
    let Some(mut rest) = behind(between.next().unwrap_or_default(), text) else { return false };
    let Some(last) = between.next_back() else { return rest.is_empty() };
    for part in between {
        let found = match part.contains('?') {
            false => rest.find(part).map(|at| &rest[at + part.len()..]),
            true => rest.char_indices().find_map(|(at, _)| behind(part, &rest[at..])),
        };
        let Some(after) = found else { return false };
        rest = after;
    }
    if !last.contains('?') {
        return rest.ends_with(last);
    }
    let places = rest.char_indices().rev().nth(last.chars().count() - 1);
    places.is_some_and(|(at, _)| behind(last, &rest[at..]) == Some(""))
}

/// What comes behind that beginning, without stars.
fn behind<'a>(begin: &str, text: &'a str) -> Option<&'a str> {
    if !begin.contains('?') {
        return text.strip_prefix(begin);
    }
    let mut rest = text.chars();
    let fits = begin.chars().all(|wanted| rest.next().is_some_and(|c| wanted == '?' || wanted == c));
    fits.then_some(rest.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn statement(text: &str) -> S3Result<Policy> {
        Policy::of_new(&format!(r#"{{"Version":"2012-10-17","Statement":[{text}]}}"#), "pics")
    }

    const PUBLIC: &str = r#"{"Effect":"Allow","Principal":"*","Action":["s3:GetObject","s3:ListBucket"],
        "Resource":["arn:aws:s3:::pics","arn:aws:s3:::pics/open/*"]}"#;
    const ADA: &str = r#"{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::123:user/ada"},"Action":"s3:*Object",
        "Resource":"arn:aws:s3:::pics/*"}"#;
    const DENY: &str = r#"{"Sid":"no","Effect":"Deny","Principal":{"AWS":["*"]},"Action":"s3:Delete*",
        "Resource":"arn:aws:s3:::pics/open/*"}"#;

    #[test]
    fn everybody_reads_below_a_prefix_and_nobody_deletes_there() {
        let policy = statement(&[PUBLIC, ADA, DENY].join(",")).unwrap();
        let judge = |who, action, resource| policy.judge(who, action, resource, false);
        let ada = Who::Person(Some("ada"));
        assert_eq!(judge(Who::Nobody, "s3:GetObject", "pics/open/a"), Verdict::Allowed);
        assert_eq!(judge(Who::Nobody, "s3:GetObject", "pics/a"), Verdict::Silent);
        assert_eq!(judge(Who::Nobody, "s3:ListBucket", "pics"), Verdict::Allowed);
        assert_eq!(judge(Who::Nobody, "s3:PutObject", "pics/open/a"), Verdict::Silent);
        assert_eq!(judge(ada, "s3:PutObject", "pics/a"), Verdict::Allowed);
        assert_eq!(judge(ada, "s3:DeleteObject", "pics/a"), Verdict::Allowed);
        assert_eq!(judge(ada, "s3:DeleteObject", "pics/open/a"), Verdict::Denied);
        assert_eq!(judge(Who::Person(None), "s3:PutObject", "pics/a"), Verdict::Silent);
        assert_eq!(policy.judge(Who::Nobody, "s3:GetObject", "pics/open/a", true), Verdict::Silent);
        assert_eq!(policy.judge(ada, "s3:DeleteObject", "pics/open/a", true), Verdict::Denied);
        assert!(policy.is_public());
        assert_eq!(policy.people(), ["ada"]);
    }

    #[test]
    fn a_person_is_the_same_however_they_are_spelled() {
        let no = DENY.replace(r#"["*"]"#, r#"["arn:aws:iam::123:user/Ada"]"#);
        let policy = statement(&[ADA, &no].join(",")).unwrap();
        assert_eq!(policy.people(), ["ada"]);
        let verdict = policy.judge(Who::Person(Some("ada")), "s3:DeleteObject", "pics/open/a", false);
        assert_eq!(verdict, Verdict::Denied);
    }

    #[test]
    fn who_does_not_sign_only_reads() {
        let all = r#"{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":["arn:aws:s3:::pics*"]}"#;
        let policy = statement(all).unwrap();
        for action in ACTIONS {
            let verdict = policy.judge(Who::Nobody, action, "pics/a", false);
            assert_eq!(verdict == Verdict::Allowed, is_reading(&action.to_ascii_lowercase()), "{action}");
            assert_eq!(policy.judge(Who::Person(None), action, "pics/a", false), Verdict::Allowed);
        }
    }

    #[test]
    fn what_goes_beyond_is_refused() {
        let wrong = [
            PUBLIC.replace("\"Allow\"", "\"allow\""),
            PUBLIC.replace("s3:GetObject", "s3:GetObjects"),
            PUBLIC.replace("arn:aws:s3:::pics/open/*", "arn:aws:s3:::picsie/*"),
            PUBLIC.replace("arn:aws:s3:::pics/open/*", "pics/*"),
            PUBLIC.replace("open/*", "${aws:username}/*"),
            PUBLIC.replace("\"Principal\"", "\"NotPrincipal\""),
            PUBLIC.replace("\"Action\"", "\"NotAction\""),
            PUBLIC.replace("{\"Effect\"", "{\"Condition\":{},\"Effect\""),
            PUBLIC.replace("{\"Effect\"", "{\"Other\":1,\"Effect\""),
            ADA.replace("AWS", "Federated"),
            ADA.replace("user/ada", "role/ada"),
            ADA.replace("user/ada", "user/a*"),
            PUBLIC.replace("open/*", &"?".repeat(1025)),
            "{}".into(),
            "[]".into(),
            String::new(),
        ];
        for text in wrong {
            assert_eq!(*statement(&text).unwrap_err().code(), S3ErrorCode::MalformedPolicy, "{text}");
        }
        assert!(Policy::of_new("{}", "pics").is_err() && Policy::of_new(&" ".repeat(30_000), "pics").is_err());
    }

    #[test]
    fn one_that_was_taken_before_its_bounds_is_still_read() {
        let long = PUBLIC.replace("open/*", &"?".repeat(1025));
        let long = format!(r#"{{"Statement":[{long}]}}"#);
        assert!(Policy::of_new(&long, "pics").is_err());
        assert!(Policy::parse(&long, "pics").unwrap().is_public());
    }

    #[test]
    fn a_long_pattern_is_held_against_a_long_text_in_no_time() {
        let pattern = format!("pics/{}", "*aaaaaaaaaaaaaaaaaaab".repeat(900));
        let text = format!("pics/{}", "a".repeat(1024));
        let begun = std::time::Instant::now();
        for _ in 0..1000 {
            assert!(!matches(&pattern, &text));
        }
        assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
    }

    proptest! {
        #[test]
        fn stars_and_marks_stand_for_what_they_should(pattern in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            fn slow(pattern: &[u8], text: &[u8]) -> bool {
                match pattern.first() {
                    None => text.is_empty(),
                    Some(b'*') => (0..=text.len()).any(|at| slow(&pattern[1..], &text[at..])),
                    Some(c) => !text.is_empty() && (*c == b'?' || *c == text[0]) && slow(&pattern[1..], &text[1..]),
                }
            }
            prop_assert_eq!(matches(&pattern, &text), slow(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,60}") {
            let _ = Policy::of_new(&text, "pics");
        }
    }
}
