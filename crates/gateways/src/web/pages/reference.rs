//! The API, for people who write programs: the OpenAPI document as a page.

mod schema;

use super::{Frame, render};
use crate::web::api;
use askama::Template;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use schema::{Field, Kind, sample};
use serde_json::Value;
use std::sync::LazyLock;

/// The document in the order of reading.
static REFERENCE: LazyLock<Reference> = LazyLock::new(|| Reference::of(api::document()));

#[derive(Template)]
#[template(path = "reference.html")]
struct ReferencePage {
    frame: Frame,
    reference: &'static Reference,
}

struct Reference {
    lead: String,
    groups: Vec<Group>,
    types: Vec<Type>,
}

/// Routes about one thing.
struct Group {
    id: String,
    name: String,
    routes: Vec<Route>,
}

struct Route {
    id: String,
    method: String,
    path: String,
    /// The same, in a shared drive.
    also: Option<String>,
    summary: String,
    /// Nobody needs to be signed in.
    open: bool,
    parameters: Vec<Field>,
    body: Option<Content>,
    answers: Vec<Answer>,
    example: String,
}

/// What is sent, or comes back.
struct Content {
    media: String,
    kind: Kind,
}

struct Answer {
    status: String,
    description: String,
    content: Option<Content>,
}

/// A named type: its fields, or those of each of its forms.
struct Type {
    name: String,
    description: String,
    kind: Kind,
    forms: Vec<Vec<Field>>,
}

pub(in crate::web) async fn show() -> Response {
    render(StatusCode::OK, &ReferencePage { frame: Frame::new(), reference: &REFERENCE })
}

pub(in crate::web) async fn to_page() -> Response {
    Redirect::to("/api/docs").into_response()
}

/// Words as they are shown: what the document sets as code stands as it is.
fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().replace('`', "")
}

impl Reference {
    fn of(document: &Value) -> Reference {
        let mut groups: Vec<Group> = Vec::new();
        let none = serde_json::Map::new();
        let paths = document["paths"].as_object().unwrap_or(&none);
        for (path, item) in paths {
            // What is in a shared drive is told where the own one is.
            let own = path.strip_prefix("/drives/{drive}/").map(|rest| format!("/drive/{rest}"));
            if own.is_some_and(|own| paths.contains_key(&own)) {
                continue;
            }
            for (method, operation) in item.as_object().unwrap_or(&none) {
                let mut route = Route::of(document, path, method, operation);
                let shared = path.strip_prefix("/drive/").map(|rest| format!("/drives/{{drive}}/{rest}"));
                route.also = shared.filter(|shared| paths.contains_key(shared));
                let name = text(&operation["tags"][0]);
                match groups.iter_mut().find(|group| group.name == name) {
                    Some(group) => group.routes.push(route),
                    None => groups.push(Group { id: name.replace(' ', "-"), name, routes: vec![route] }),
                }
            }
        }
        // The drive first, then who may use it, then what is about the API itself.
        let order = [
            "files",
            "acts",
            "trash",
            "versions",
            "jobs",
            "links",
            "guests",
            "shared drives",
            "session",
            "me",
            "users",
        ];
        groups.sort_by_key(|group| order.iter().position(|name| *name == group.name).unwrap_or(order.len()));
        let schemas = document["components"]["schemas"].as_object().unwrap_or(&none);
        let types = schemas.iter().map(|(name, schema)| Type {
            name: name.clone(),
            description: text(&schema["description"]),
            kind: Kind::of(schema),
            forms: schema::forms(document, schema),
        });
        Reference { lead: text(&document["info"]["description"]), groups, types: types.collect() }
    }
}

impl Route {
    fn of(document: &Value, path: &str, method: &str, operation: &Value) -> Route {
        let empty = Vec::new();
        let parameters = operation["parameters"].as_array().unwrap_or(&empty);
        let fields = parameters.iter().map(|parameter| Field {
            name: text(&parameter["name"]),
            kind: Kind::of(&parameter["schema"]),
            required: parameter["required"] == true,
            description: text(&parameter["description"]),
        });
        let none = serde_json::Map::new();
        let answers = operation["responses"].as_object().unwrap_or(&none).iter().map(|(status, answer)| Answer {
            status: status.clone(),
            description: text(&answer["description"]),
            content: content(&answer["content"]),
        });
        let words = [text(&operation["summary"]), text(&operation["description"])];
        let open =
            operation["security"].as_array().is_some_and(|ways| ways.iter().any(|way| way.as_object() == Some(&none)));
        Route {
            id: text(&operation["operationId"]),
            method: method.to_uppercase(),
            path: path.to_string(),
            also: None,
            summary: words.join(" ").trim().to_string(),
            open,
            parameters: fields.collect(),
            body: content(&operation["requestBody"]["content"]),
            answers: answers.collect(),
            example: example(document, path, method, operation, open),
        }
    }
}

fn content(content: &Value) -> Option<Content> {
    let (media, content) = content.as_object()?.iter().next()?;
    Some(Content { media: media.clone(), kind: Kind::of(&content["schema"]) })
}

/// A call of curl that does it.
fn example(document: &Value, path: &str, method: &str, operation: &Value, open: bool) -> String {
    let empty = Vec::new();
    let (mut path, mut query) = (path.to_string(), Vec::new());
    for parameter in operation["parameters"].as_array().unwrap_or(&empty) {
        let name = text(&parameter["name"]);
        let example = Some(&parameter["example"]).filter(|example| !example.is_null()).cloned();
        let value = example.unwrap_or_else(|| sample(document, &parameter["schema"], 0));
        let value = value.as_array().and_then(|several| several.first()).cloned().unwrap_or(value);
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_string);
        if parameter["in"] == "path" {
            let value = if name == "token" { "$LINK".to_string() } else { crate::web::url::encode(&value) };
            path = path.replace(&format!("{{{name}}}"), &value);
        } else if parameter["required"] == true || name == "path" {
            query.push(format!("{name}={}", crate::web::url::encode(&value)));
        }
    }
    let mut words = vec!["curl".to_string()];
    if method != "get" && operation["requestBody"].is_null() || matches!(method, "put" | "patch") {
        words.push(format!("-X {}", method.to_uppercase()));
    }
    words.push(if open { "-H 'X-Atoll-Client: curl'" } else { "-H \"Authorization: Bearer $TOKEN\"" }.to_string());
    if let Some((media, content)) = operation["requestBody"]["content"].as_object().and_then(|all| all.iter().next()) {
        match media.as_str() {
            "application/json" => {
                let body = sample(document, &content["schema"], 0).to_string().replace('\'', "'\\''");
                words.push(format!("--json '{body}'"));
            }
            "application/x-www-form-urlencoded" => words.push("--data-urlencode path=/ideas".to_string()),
            _ => words.push("--data-binary @notes.txt".to_string()),
        }
    }
    let answers = operation["responses"]["200"]["content"].as_object();
    if answers.is_some_and(|content| !content.contains_key("application/json")) {
        words.push("-o FILE".to_string());
    }
    let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
    words.push(format!("\"$ATOLL/api/v1{path}{query}\""));
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_is_described_is_on_the_page_once() {
        let routes: Vec<&Route> = REFERENCE.groups.iter().flat_map(|group| &group.routes).collect();
        let told: usize = routes.iter().map(|route| 1 + usize::from(route.also.is_some())).sum();
        let paths = api::document()["paths"].as_object().unwrap();
        assert_eq!(told, paths.values().map(|item| item.as_object().unwrap().len()).sum::<usize>());
        for route in &routes {
            assert!(!route.summary.is_empty() && !route.id.is_empty(), "{} {}", route.method, route.path);
            assert!(!route.example.contains('{') || route.example.contains("--json"), "{}", route.example);
            for answer in &route.answers {
                assert!(!answer.description.is_empty() || answer.status.starts_with('2'), "{}", route.path);
            }
        }
        // Whatever a type names is a type of the page.
        let known: Vec<&str> = REFERENCE.types.iter().map(|it| it.name.as_str()).collect();
        let fields = REFERENCE.types.iter().flat_map(|it| it.forms.iter().flatten());
        for link in
            fields.chain(routes.iter().flat_map(|route| &route.parameters)).filter_map(|it| it.kind.link.as_ref())
        {
            assert!(known.contains(&link.as_str()), "{link}");
        }
    }

    #[test]
    fn examples_can_be_typed_as_they_are() {
        let route = |id: &str| {
            let mut routes = REFERENCE.groups.iter().flat_map(|group| &group.routes);
            routes.find(|route| route.id == id).map(|route| route.example.clone()).unwrap()
        };
        assert_eq!(
            route("getDriveList"),
            "curl -H \"Authorization: Bearer $TOKEN\" \"$ATOLL/api/v1/drive/list?path=%2F\""
        );
        let moved = route("postDriveMove");
        assert!(moved.contains(r#"--json '{"from":"/notes.txt","to":"/ideas/notes.txt"}'"#), "{moved}");
        assert!(route("putDriveFile").contains("-X PUT"), "{}", route("putDriveFile"));
        assert_eq!(
            route("putLinksTokenFile"),
            "curl -X PUT -H 'X-Atoll-Client: curl' --data-binary @notes.txt \"$ATOLL/api/v1/links/$LINK/file?name=notes.txt\""
        );
    }
}
