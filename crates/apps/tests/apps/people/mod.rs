//! People to try accounts with.

#![allow(dead_code)]

use crate::model::{Handle, Model};
use atoll_apps::accounts::{Cost, Settings};
use atoll_apps::{Accounts, Device, NewUser, Role, Session};
use std::sync::Arc;

pub const PASSWORD: &str = "correct horse";

/// Accounts as another node sees them: the same store, another cache.
pub async fn node(model: &Arc<Model>) -> Accounts {
    on(Handle::new(model, 0)).await
}

pub async fn on(handle: Arc<Handle>) -> Accounts {
    let settings = Settings { cost: Cost { memory: 32, passes: 1 } };
    Accounts::open_store(handle, settings).await.unwrap()
}

pub fn from(address: &str) -> Device {
    Device { label: "test".into(), address: address.parse().ok(), ..Device::default() }
}

pub fn new_user(name: &str, role: Role) -> NewUser {
    NewUser { name: name.into(), display: String::new(), password: PASSWORD.into(), role, quota: None }
}

pub async fn set_up() -> (Arc<Model>, Accounts, Session) {
    let model = Model::new();
    let accounts = node(&model).await;
    let secret = accounts.make_setup_secret().await.unwrap();
    let session = accounts.complete_setup(&secret, "Root", PASSWORD, from("::1")).await.unwrap();
    (model, accounts, session)
}

/// What an authenticator program does with a secret.
pub fn unbase32(text: &str) -> Vec<u8> {
    let digit = |c: char| "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".find(c).unwrap() as u32;
    let (mut held, mut bits, mut out) = (0u32, 0, Vec::new());
    for c in text.chars() {
        held = held << 5 | digit(c);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            out.push((held >> bits) as u8);
        }
    }
    out
}
