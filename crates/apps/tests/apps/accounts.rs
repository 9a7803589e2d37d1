//! Accounts against a store in memory, from one node or several at once.

use crate::model::{Fault, Handle, Model};
use crate::people::{PASSWORD, from, new_user, node, on, set_up};
use atoll_apps::accounts::{
    AppScope, LINK_LIFETIME, Policy, Protocol, SESSION_LIFETIME, TRIES_MAX, TRIES_WINDOW, UserChange, code_now,
};
use atoll_apps::{AccountError, Accounts, Device, Role, User};
use client::ClientError;
use std::time::Duration;

async fn all_names(accounts: &Accounts, by: &User) -> Vec<String> {
    let page = accounts.list(by, None, 0).await.unwrap();
    page.items.into_iter().map(|user| user.name).collect()
}

#[tokio::test]
async fn the_first_administrator_comes_by_a_link_used_once() {
    let model = Model::new();
    let accounts = node(&model).await;
    assert!(accounts.setup_pending().await.unwrap());
    let (first, second) = (accounts.make_setup_secret().await.unwrap(), accounts.make_setup_secret().await.unwrap());
    let wrong = accounts.complete_setup(&"0".repeat(64), "root", PASSWORD, Device::default()).await;
    assert!(matches!(wrong, Err(AccountError::WrongSetupSecret)));
    let extended = accounts.complete_setup(&format!("{first}00"), "root", PASSWORD, Device::default()).await;
    assert!(matches!(extended, Err(AccountError::WrongSetupSecret)));
    let weak = accounts.complete_setup(&first, "root", "short", Device::default()).await;
    assert!(matches!(weak, Err(AccountError::BadPassword { .. })), "and the link is not used up");
    let session = accounts.complete_setup(&first, "Root", PASSWORD, Device::default()).await.unwrap();
    assert_eq!((session.user.name.as_str(), session.user.role), ("root", Role::Administrator));
    assert_eq!(accounts.authenticate(session.token.as_str()).await.unwrap(), session.user);
    assert!(!accounts.setup_pending().await.unwrap());
    for secret in [first, second] {
        let again = accounts.complete_setup(&secret, "other", PASSWORD, Device::default()).await;
        assert!(matches!(again, Err(AccountError::SetupDone)));
    }
    assert!(matches!(accounts.make_setup_secret().await, Err(AccountError::SetupDone)));
}

#[tokio::test]
async fn of_many_who_use_links_at_once_one_wins() {
    for seed in 0..20 {
        let model = Model::new();
        let accounts = node(&model).await;
        let secrets = [accounts.make_setup_secret().await.unwrap(), accounts.make_setup_secret().await.unwrap()];
        let tasks: Vec<_> = (0..6u64)
            .map(|at| {
                let (model, secret) = (model.clone(), secrets[at as usize % 2].clone());
                tokio::spawn(async move {
                    let accounts = on(Handle::new(&model, seed * 10 + at).yielding(5)).await;
                    accounts.complete_setup(&secret, &format!("root{at}"), PASSWORD, Device::default()).await
                })
            })
            .collect();
        let mut won = Vec::new();
        for task in tasks {
            match task.await.unwrap() {
                Ok(session) => won.push(session.user),
                Err(AccountError::SetupDone | AccountError::WrongSetupSecret) => {}
                Err(error) => panic!("seed {seed}: {error}"),
            }
        }
        assert_eq!(won.len(), 1, "seed {seed}");
        assert_eq!(all_names(&accounts, &won[0]).await, [won[0].name.clone()]);
    }
}

#[tokio::test]
async fn a_link_expires() {
    let model = Model::new();
    let accounts = node(&model).await;
    let secret = accounts.make_setup_secret().await.unwrap();
    model.advance(LINK_LIFETIME);
    let late = accounts.complete_setup(&secret, "root", PASSWORD, Device::default()).await;
    assert!(matches!(late, Err(AccountError::WrongSetupSecret)), "whether or not the item has gone yet");
}

#[tokio::test]
async fn names_are_unique_and_each_user_has_a_drive() {
    let (model, accounts, root) = set_up().await;
    let ada = accounts.create_user(&root.user, new_user("Ada", Role::User)).await.unwrap();
    assert_eq!((ada.name.as_str(), ada.display.as_str()), ("ada", "ada"));
    assert_ne!(ada.drive, root.user.drive);
    let again = accounts.create_user(&root.user, new_user("ADA", Role::User)).await;
    assert_eq!(again, Err(AccountError::NameTaken { name: "ada".into() }));
    let tasks: Vec<_> = (0..5)
        .map(|seed| {
            let (model, by) = (model.clone(), root.user.clone());
            tokio::spawn(async move {
                let accounts = on(Handle::new(&model, seed).yielding(4)).await;
                accounts.create_user(&by, new_user("bob", Role::User)).await
            })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        made += usize::from(task.await.unwrap().is_ok());
    }
    assert_eq!(made, 1);
    for name in ["zoe", "cy"] {
        accounts.create_user(&root.user, new_user(name, Role::User)).await.unwrap();
    }
    assert_eq!(all_names(&accounts, &root.user).await, ["ada", "bob", "cy", "root", "zoe"]);
    let first = accounts.list(&root.user, None, 3).await.unwrap();
    let rest = accounts.list(&root.user, first.next.as_deref(), 3).await.unwrap();
    assert_eq!((rest.items[0].name.as_str(), rest.items.len(), rest.next), ("root", 2, None));
    assert_eq!(accounts.find("ZOE").await.unwrap().name, "zoe");
    assert!(matches!(accounts.find("nobody").await, Err(AccountError::NoSuchUser { .. })));
}

#[tokio::test]
async fn only_administrators_manage_people() {
    let (_, accounts, root) = set_up().await;
    let ada = accounts.create_user(&root.user, new_user("ada", Role::User)).await.unwrap();
    let forbidden = |error| assert!(matches!(error, AccountError::Forbidden { .. }), "{error:?}");
    forbidden(accounts.create_user(&ada, new_user("eve", Role::Administrator)).await.unwrap_err());
    forbidden(accounts.make_reset_link(&ada, "root").await.unwrap_err());
    forbidden(accounts.remove_user(&ada, "root").await.unwrap_err());
    forbidden(accounts.set_policy(&ada, Policy::default()).await.unwrap_err());
    forbidden(accounts.audit(&ada, None, None, 0).await.unwrap_err());
    forbidden(accounts.sessions_of(&ada, "root").await.unwrap_err());
    forbidden(accounts.end_sessions_of(&ada, "root", None).await.unwrap_err());
    forbidden(accounts.clear_second_factor(&ada, "root").await.unwrap_err());
    forbidden(accounts.disable(&ada, "root").await.unwrap_err());
    forbidden(accounts.list(&ada, None, 0).await.unwrap_err());
    // Who only says so, or was one once, is not one.
    let liar = User { role: Role::Administrator, ..ada };
    forbidden(accounts.disable(&liar, "root").await.unwrap_err());
    let second = accounts.create_user(&root.user, new_user("second", Role::Administrator)).await.unwrap();
    accounts.disable(&root.user, "second").await.unwrap();
    forbidden(accounts.create_user(&second, new_user("eve", Role::User)).await.unwrap_err());
}

#[tokio::test]
async fn the_last_administrator_stays() {
    let (model, accounts, root) = set_up().await;
    assert_eq!(accounts.disable(&root.user, "root").await, Err(AccountError::LastAdministrator));
    let second = accounts.create_user(&root.user, new_user("second", Role::Administrator)).await.unwrap();
    // Each disables the other at once: one of them must lose.
    let tasks = [(root.user.clone(), "second"), (second, "root")].map(|(by, name)| {
        let model = model.clone();
        tokio::spawn(async move { on(Handle::new(&model, 1).yielding(3)).await.disable(&by, name).await })
    });
    let mut disabled = 0;
    for task in tasks {
        disabled += usize::from(task.await.unwrap().is_ok());
    }
    assert_eq!(disabled, 1);
    assert!(!accounts.setup_pending().await.unwrap());
}

#[tokio::test]
async fn signing_in_and_out() {
    let (model, accounts, root) = set_up().await;
    accounts.create_user(&root.user, new_user("ada", Role::User)).await.unwrap();
    let session = accounts.sign_in(" ADA ", PASSWORD, from("10.0.0.1")).await.unwrap();
    let token = session.token.as_str();
    assert!(token.len() <= 128 && token.bytes().all(|b| b.is_ascii_alphanumeric()));
    assert!(!format!("{session:?}").contains(token));
    let elsewhere = node(&model).await;
    assert_eq!(elsewhere.authenticate(token).await.unwrap(), session.user);
    for wrong in ["", "x", &token[1..], &"0".repeat(96), &token.replace(&token[95..], "g")] {
        assert!(matches!(accounts.authenticate(wrong).await, Err(AccountError::NotSignedIn)), "{wrong:?}");
    }
    accounts.sign_out(token).await.unwrap();
    accounts.sign_out(token).await.unwrap();
    accounts.sign_out("nonsense").await.unwrap();
    assert!(matches!(accounts.authenticate(token).await, Err(AccountError::NotSignedIn)));
    // Another node may go on believing it for two seconds.
    let until = tokio::time::Instant::now() + Duration::from_secs(3);
    while elsewhere.authenticate(token).await.is_ok() {
        assert!(tokio::time::Instant::now() < until);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn wrong_names_and_wrong_passwords_look_the_same() {
    let (model, _, root) = set_up().await;
    let handle = Handle::new(&model, 0);
    let accounts = on(handle.clone()).await;
    accounts.create_user(&root.user, new_user("ada", Role::User)).await.unwrap();
    let mut calls = Vec::new();
    let too_long = "x".repeat(5000);
    for (name, password) in
        [("ada", "wrong"), ("nobody", "wrong"), ("ada", ""), ("nobody", PASSWORD), ("ada", &too_long)]
    {
        handle.plan(None);
        let error = accounts.sign_in(name, password, Device::default()).await.unwrap_err();
        assert_eq!(error, AccountError::WrongCredentials);
        calls.push(handle.calls());
    }
    assert!(calls.iter().all(|n| *n == calls[0]), "calls of the store: {calls:?}");
    accounts.disable(&root.user, "ada").await.unwrap();
    let barred = accounts.sign_in("ada", PASSWORD, Device::default()).await.unwrap_err();
    assert_eq!(barred, AccountError::WrongCredentials);
    assert_eq!(accounts.sign_in("no/name", PASSWORD, Device::default()).await.unwrap_err(), barred);
}

#[tokio::test]
async fn tries_are_limited_by_name_and_address() {
    let (model, accounts, root) = set_up().await;
    accounts.create_user(&root.user, new_user("ada", Role::User)).await.unwrap();
    let tasks: Vec<_> = (0..TRIES_MAX * 3)
        .map(|at| {
            let model = model.clone();
            tokio::spawn(async move {
                let accounts = on(Handle::new(&model, at as u64).yielding(3)).await;
                accounts.sign_in("ada", "guess", from("10.0.0.66")).await.unwrap_err()
            })
        })
        .collect();
    let mut looked_at = 0;
    for task in tasks {
        looked_at += i64::from(task.await.unwrap() == AccountError::WrongCredentials);
    }
    assert_eq!(looked_at, TRIES_MAX, "guesses at once gain nothing");
    let limited = accounts.sign_in("ada", PASSWORD, from("10.0.0.66")).await.unwrap_err();
    assert!(matches!(limited, AccountError::TooManyTries { wait } if wait <= TRIES_WINDOW), "{limited:?}");
    // Nobody else is locked out, nor is who guessed from what is theirs.
    accounts.sign_in("ada", PASSWORD, from("10.0.0.1")).await.unwrap();
    accounts.sign_in("root", PASSWORD, from("10.0.0.66")).await.unwrap();
    model.advance(TRIES_WINDOW);
    accounts.sign_in("ada", PASSWORD, from("10.0.0.66")).await.unwrap();
    // Signing in wipes the slate.
    for _ in 0..3 {
        for _ in 0..TRIES_MAX - 1 {
            accounts.sign_in("ada", "typo", from("10.0.0.1")).await.unwrap_err();
        }
        accounts.sign_in("ada", PASSWORD, from("10.0.0.1")).await.unwrap();
    }
    model.advance(TRIES_WINDOW * 2);
    model.expire();
    assert_eq!(model.count("accounts", "tries"), 0, "what was counted is forgotten in time");
}

#[tokio::test]
async fn sessions_end_when_they_should() {
    let (model, accounts, root) = set_up().await;
    accounts.create_user(&root.user, new_user("ada", Role::User)).await.unwrap();
    let sign_in = || accounts.sign_in("ada", PASSWORD, Device::default());
    // By a change of password: all but the new one, everywhere.
    let (one, two) = (sign_in().await.unwrap(), sign_in().await.unwrap());
    let wrong = accounts.change_password(&one.user, "wrong", "another password").await;
    assert!(matches!(wrong, Err(AccountError::WrongCredentials)));
    let three = accounts.change_password(&one.user, PASSWORD, "another password").await.unwrap();
    for (session, holds) in [(&one, false), (&two, false), (&three, true)] {
        assert_eq!(node(&model).await.authenticate(session.token.as_str()).await.is_ok(), holds);
    }
    assert!(sign_in().await.is_err());
    // By an administrator.
    let link = accounts.make_reset_link(&root.user, "ada").await.unwrap();
    assert!(accounts.authenticate(three.token.as_str()).await.is_ok(), "until it is used, nothing has changed");
    accounts.reset_password(link.as_str(), PASSWORD, Device::default()).await.unwrap();
    assert!(accounts.authenticate(three.token.as_str()).await.is_err());
    let four = sign_in().await.unwrap();
    accounts.disable(&root.user, "ada").await.unwrap();
    assert!(accounts.authenticate(four.token.as_str()).await.is_err());
    let enable = UserChange { disabled: Some(false), ..UserChange::default() };
    accounts.change_user(&root.user, "ada", enable).await.unwrap();
    assert!(accounts.authenticate(four.token.as_str()).await.is_err(), "a session that ended stays ended");
    // By time, but not while it is used.
    let five = sign_in().await.unwrap();
    model.advance(SESSION_LIFETIME / 2);
    node(&model).await.authenticate(five.token.as_str()).await.unwrap();
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    model.advance(SESSION_LIFETIME / 2);
    node(&model).await.authenticate(five.token.as_str()).await.unwrap();
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    model.advance(SESSION_LIFETIME);
    assert!(node(&model).await.authenticate(five.token.as_str()).await.is_err());
    model.expire();
    assert_eq!(model.count("accounts", "sessions"), 0);
}

#[tokio::test]
async fn noting_its_use_does_not_bring_a_session_back() {
    let (model, _, root) = set_up().await;
    let handle = Handle::new(&model, 0);
    let accounts = on(handle.clone()).await;
    model.advance(Duration::from_secs(3600));
    // Read; then the note is held back while the session ends.
    handle.plan(Some((1, Fault::Pause)));
    accounts.authenticate(root.token.as_str()).await.unwrap();
    handle.until_paused().await;
    node(&model).await.sign_out(root.token.as_str()).await.unwrap();
    handle.resume();
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    assert_eq!(model.count("accounts", "sessions"), 0);
}

#[tokio::test]
async fn no_secret_is_stored() {
    let (model, accounts, root) = set_up().await;
    let secret = accounts.make_setup_secret().await;
    assert!(secret.is_err());
    let session = accounts.sign_in("root", PASSWORD, Device::default()).await.unwrap();
    let other = Model::new();
    let link = node(&other).await.make_setup_secret().await.unwrap();
    let bytes = |hex: &str| -> Vec<u8> {
        (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
    };
    let scope = AppScope { protocols: vec![Protocol::Imap], write: true };
    let (_, app) = accounts.create_app_password(&root.user, "phone", scope).await.unwrap();
    let second = accounts.create_user(&root.user, new_user("second", Role::Administrator)).await.unwrap();
    let reset = accounts.make_reset_link(&second, "root").await.unwrap();
    let factor = accounts.begin_second_factor(&root.user, PASSWORD).await.unwrap();
    let code = code_now(&crate::people::unbase32(&factor.secret), model.now());
    let codes = accounts.confirm_second_factor(&root.user, &code).await.unwrap();
    let challenge = match accounts.sign_in("root", PASSWORD, Device::default()).await {
        Err(AccountError::CodeNeeded { challenge }) => challenge,
        other => panic!("{other:?}"),
    };
    let plain = |typed: &str| typed.replace('-', "").into_bytes();
    let secrets = [
        PASSWORD.as_bytes().to_vec(),
        plain(app.as_str()),
        app.as_str().as_bytes().to_vec(),
        plain(&codes[0]),
        codes[0].as_bytes().to_vec(),
        bytes(reset.as_str()),
        bytes(challenge.as_str())[16..].to_vec(),
        bytes(root.device.as_ref().unwrap().as_str())[16..].to_vec(),
        bytes(session.token.as_str())[16..].to_vec(),
        bytes(root.token.as_str())[16..].to_vec(),
        bytes(&link),
    ];
    for (key, value) in model.values().into_iter().chain(other.values()) {
        for secret in &secrets {
            let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!holds(&value) && !holds(&key.sort_key) && !holds(&key.partition_key), "{key:?}");
        }
    }
}

#[tokio::test]
async fn what_is_not_known_is_said_so() {
    let (model, _, root) = set_up().await;
    for fault in [Fault::UnknownAfter, Fault::UnknownBefore] {
        let handle = Handle::new(&model, 0);
        let accounts = on(handle.clone()).await;
        accounts.disable(&root.user, "nobody").await.unwrap_err();
        // The administrator is read twice, and how long the log is kept; then the user is written.
        handle.plan(Some((3, fault)));
        let made = accounts.create_user(&root.user, new_user("ada", Role::User)).await;
        assert!(matches!(made, Err(AccountError::Client(ClientError::Unknown { .. }))));
        let again = accounts.create_user(&root.user, new_user("ada", Role::User)).await;
        assert!(matches!(again, Err(AccountError::NameTaken { .. })));
    }
}
