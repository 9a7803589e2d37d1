//! What `/api/v1` says of itself: the OpenAPI document, put together from what stands beside each route.
//!
//! What holds for all routes is said here once: how one shows who one is, what a refusal looks like, and which drive is meant.

use super::super::problem::ProblemJson;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use serde_json::Value;
use std::sync::LazyLock;
use utoipa::openapi::path::{HttpMethod, Operation, Parameter, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{ContentBuilder, OpenApi as Document, Ref, RefOr, Required, Response, ResponseBuilder};
use utoipa::{OpenApi, ToSchema};

/// The document, complete.
static DOCUMENT: LazyLock<Value> = LazyLock::new(|| serde_json::to_value(super::routes().1).unwrap_or_default());
static TEXT: LazyLock<String> = LazyLock::new(|| DOCUMENT.to_string());

/// The document, for the page that shows it.
pub(in crate::web) fn document() -> &'static Value {
    &DOCUMENT
}

/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "about", security(()),
    responses((status = 200, body = serde_json::Value)))]
pub(super) async fn openapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json")], TEXT.as_str())
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Atoll", description = "JSON for scripts. Whoever changes something from a browser must come from \
        a page of this site; programs show `Authorization: Bearer TOKEN`, or the header `X-Atoll-Client`. Times are \
        milliseconds since the Unix epoch; paths begin with a slash. What is in a shared drive has the routes of one's own \
        drive, under `/drives/{drive}` rather than `/drive`. Whoever has a link, `/s/TOKEN`, needs no account: what can be done \
        with it is under `/links/{token}`, `$LINK` in the examples being that token."),
    servers((url = "/api/v1")),
    components(schemas(ProblemJson, Id)),
    security(("cookie" = []), ("bearer" = [])),
    modifiers(&Credentials),
)]
pub(super) struct Description;

/// How one shows who one is.
struct Credentials;

impl utoipa::Modify for Credentials {
    fn modify(&self, api: &mut Document) {
        let components = api.components.get_or_insert_default();
        let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let cookie = ApiKey::Cookie(ApiKeyValue::new("atoll"));
        components.add_security_scheme("cookie", SecurityScheme::ApiKey(cookie));
        let proof = "What opening a link gave, on a link's routes alone";
        let guest = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(proof)).build();
        components.add_security_scheme("guest", SecurityScheme::Http(guest));
    }
}

/// An id: 32 hexadecimal digits.
#[derive(ToSchema)]
#[schema(pattern = "^[0-9a-f]{32}$", example = "00112233445566778899aabbccddeeff")]
#[allow(dead_code)]
pub(in crate::web) struct Id(String);

/// Bytes as they are.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[allow(dead_code)]
pub(in crate::web) struct FileBytes(Vec<u8>);

/// Says of every route what holds for all.
pub(super) fn complete(mut document: Document) -> Document {
    for (path, item) in &mut document.paths.paths {
        for (method, operation) in operations(item) {
            operation.operation_id = Some(operation_id(method_name(&method), path));
            let responses = &mut operation.responses.responses;
            for (status, what) in [
                ("4XX", "Refused: nothing was changed, unless `outcome` says otherwise"),
                ("5XX", "It did not work now; `outcome` says whether it may have been done all the same"),
            ] {
                responses.entry(status.to_string()).or_insert_with(|| refusal(what).into());
            }
            if path.contains("{drive}") {
                operation.parameters.get_or_insert_default().insert(0, drive().into());
            }
            if path.starts_with("/links/{token}") {
                operation.parameters.get_or_insert_default().insert(0, link().into());
            }
        }
    }
    document
}

fn refusal(what: &str) -> Response {
    let schema = RefOr::Ref(Ref::from_schema_name("Problem"));
    let content = ContentBuilder::new().schema(Some(schema)).build();
    ResponseBuilder::new().description(what).content("application/json", content).build()
}

fn drive() -> Parameter {
    ParameterBuilder::new()
        .name("drive")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("Id of the shared drive"))
        .schema(Some(Ref::from_schema_name("Id")))
        .build()
}

fn link() -> Parameter {
    ParameterBuilder::new()
        .name("token")
        .parameter_in(ParameterIn::Path)
        .required(Required::True)
        .description(Some("What the link's address ends with. A secret"))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .example(Some("A".repeat(43).into()))
        .build()
}

/// What can be asked of a path.
fn operations(item: &mut PathItem) -> impl Iterator<Item = (HttpMethod, &mut Operation)> {
    let all = [
        (HttpMethod::Get, &mut item.get),
        (HttpMethod::Put, &mut item.put),
        (HttpMethod::Post, &mut item.post),
        (HttpMethod::Patch, &mut item.patch),
        (HttpMethod::Delete, &mut item.delete),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?)))
}

fn method_name(method: &HttpMethod) -> &'static str {
    match method {
        HttpMethod::Get => "get",
        HttpMethod::Put => "put",
        HttpMethod::Post => "post",
        HttpMethod::Patch => "patch",
        HttpMethod::Delete => "delete",
        HttpMethod::Head | HttpMethod::Options | HttpMethod::Trace => "other",
    }
}

/// One of a kind, as generators of clients want it: `getDriveList`.
fn operation_id(method: &str, path: &str) -> String {
    let words = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(method.to_string(), |mut id, word| {
        id.push_str(&word[..1].to_ascii_uppercase());
        id.push_str(&word[1..]);
        id
    })
}
