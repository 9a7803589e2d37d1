//! What templates do to what people made up.

use askama::{Result, Values, filter_fn};
use std::fmt::Display;

/// A name as people may see it: what changes how text around it reads, or is not seen, is spelt out. Not for attributes that
/// scripts and forms take names and paths from.
#[filter_fn]
pub(super) fn shown<T: Display>(name: T, _: &dyn Values) -> Result<String> {
    Ok(apps::drive::path::shown(&name.to_string()))
}
