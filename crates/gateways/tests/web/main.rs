//! The web gateway over a real node in the same process.

#![allow(clippy::unwrap_used)] // A test that cannot go on should end loudly.

mod accounts;
mod archive;
mod copies;
mod dav;
mod dav_clients;
mod dav_races;
mod drive_pages;
mod gate;
mod gateway;
mod guests_api;
mod kept;
mod language;
mod links;
mod look;
mod mail;
mod names;
mod parts;
mod people;
mod personal;
mod previews;
mod shared;
mod slow;
mod texts;
mod world;
