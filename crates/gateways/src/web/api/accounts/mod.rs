//! Accounts, as JSON. What is said of a route here is its entry in `/api/v1/openapi.json`.

mod mail;
mod me;
mod sign_in;
mod types;
mod user_types;
mod users;

use super::super::WebState;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// The routes, described.
pub(super) fn routes() -> OpenApiRouter<WebState> {
    OpenApiRouter::new()
        .routes(routes!(sign_in::show, sign_in::sign_in, sign_in::sign_out))
        .routes(routes!(sign_in::sign_in_with_code))
        .routes(routes!(sign_in::policy))
        .routes(routes!(sign_in::sign_up))
        .routes(routes!(sign_in::check_link))
        .routes(routes!(sign_in::reset_password))
        .routes(routes!(sign_in::forgotten))
        .routes(routes!(sign_in::confirm_address))
        .routes(routes!(me::show, me::change))
        .routes(routes!(me::change_recovery))
        .routes(routes!(me::leaving))
        .routes(routes!(me::delete))
        .routes(routes!(me::change_password))
        .routes(routes!(me::sessions, me::end_others))
        .routes(routes!(me::end_session))
        .routes(routes!(me::app_passwords, me::make_app_password))
        .routes(routes!(me::remove_app_password))
        .routes(routes!(me::begin_factor))
        .routes(routes!(me::confirm_factor))
        .routes(routes!(me::new_codes))
        .routes(routes!(me::stop_factor))
        .routes(routes!(me::activity))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::show, users::change, users::remove))
        .routes(routes!(users::reset))
        .routes(routes!(users::sessions, users::end_sessions))
        .routes(routes!(users::end_session))
        .routes(routes!(users::clear_factor))
        .routes(routes!(users::invitations, users::invite))
        .routes(routes!(users::uninvite))
        .routes(routes!(users::policy, users::set_policy))
        .routes(routes!(mail::show, mail::set, mail::off))
        .routes(routes!(mail::test))
        .routes(routes!(users::audit))
}
