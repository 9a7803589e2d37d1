//! Ways in beside the password: second factor, app passwords, links; and what strangers can do to them.

use crate::model::{Handle, Model};
use crate::people::{PASSWORD, from, new_user, node, on, set_up, unbase32};
use atoll_apps::accounts::{
    ACCESS_KEYS_MAX, APP_PASSWORDS_MAX, AccessScope, AppScope, NETWORK_TRIES_MAX, NewInvitation, Policy, Protocol,
    RECOVERY_CODES, SESSIONS_MAX, SignUp, TRIES_MAX, TRIES_WINDOW, UserChange, code_now,
};
use atoll_apps::{AccountError, Accounts, Device, Role, Token, User};
use std::sync::Arc;
use std::time::Duration;

/// Turns the second factor on. The secret, and the recovery codes.
async fn factor_on(model: &Model, accounts: &Accounts, user: &User) -> (Vec<u8>, Vec<String>) {
    let new = accounts.begin_second_factor(user, PASSWORD).await.unwrap();
    assert!(new.address.contains(&new.secret) && new.address.contains(&user.name));
    assert!(!format!("{new:?}").contains(&new.secret));
    let secret = unbase32(&new.secret);
    let codes = accounts.confirm_second_factor(user, &code_now(&secret, model.now())).await.unwrap();
    (secret, codes)
}

async fn challenge(accounts: &Accounts, name: &str) -> Token {
    match accounts.sign_in(name, PASSWORD, from("10.0.0.1")).await {
        Err(AccountError::CodeNeeded { challenge }) => challenge,
        other => panic!("{other:?}"),
    }
}

fn step(model: &Model) {
    model.advance(Duration::from_secs(30));
}

#[tokio::test]
async fn a_second_factor_is_asked_for() {
    let (model, accounts, root) = set_up().await;
    let ada = accounts.create_user(&root.user, new_user("ada", Role::User)).await.unwrap();
    let early = accounts.confirm_second_factor(&ada, "123456").await;
    assert_eq!(early, Err(AccountError::NothingToConfirm));
    let wrong = accounts.begin_second_factor(&ada, "wrong").await;
    assert_eq!(wrong, Err(AccountError::WrongCredentials));
    let (secret, codes) = factor_on(&model, &accounts, &ada).await;
    assert_eq!(codes.len(), RECOVERY_CODES);
    assert_eq!(accounts.begin_second_factor(&ada, PASSWORD).await, Err(AccountError::FactorOn));

    let token = challenge(&accounts, "ada").await;
    let sign_in =
        |code: String| accounts.sign_in_with_code(token.as_str(), Box::leak(code.into_boxed_str()), from("10.0.0.1"));
    assert!(accounts.authenticate(token.as_str()).await.is_err(), "a challenge is no session");
    assert_eq!(sign_in(code_now(&secret, model.now())).await.unwrap_err(), AccountError::WrongCode, "it turned it on");
    assert_eq!(sign_in("000000".into()).await.unwrap_err(), AccountError::WrongCode);
    step(&model);
    let session = sign_in(code_now(&secret, model.now())).await.unwrap();
    assert_eq!(session.user.name, "ada");
    assert!(accounts.authenticate(session.token.as_str()).await.is_ok());
    step(&model);
    let again = sign_in(code_now(&secret, model.now())).await.unwrap_err();
    assert_eq!(again, AccountError::ChallengeOver, "a challenge is good once");

    // A recovery code, once, however it is typed.
    let token = challenge(&accounts, "ada").await;
    let typed = codes[3].to_uppercase().replace('-', " ");
    accounts.sign_in_with_code(token.as_str(), &typed, Device::default()).await.unwrap();
    let token = challenge(&accounts, "ada").await;
    let again = accounts.sign_in_with_code(token.as_str(), &codes[3], Device::default()).await;
    assert_eq!(again.unwrap_err(), AccountError::WrongCode);
    assert_eq!(accounts.second_factor(ada.id).await.unwrap().recovery_codes, RECOVERY_CODES - 1);

    // New ones, and off; each by password and code.
    step(&model);
    let code = code_now(&secret, model.now());
    let new = accounts.new_recovery_codes(&ada, PASSWORD, &code).await.unwrap();
    let replay = accounts.stop_second_factor(&ada, PASSWORD, &code).await;
    assert_eq!(replay, Err(AccountError::WrongCode));
    assert_eq!(accounts.stop_second_factor(&ada, PASSWORD, &codes[5]).await, Err(AccountError::WrongCode));
    assert_eq!(accounts.stop_second_factor(&ada, "wrong", &new[0]).await, Err(AccountError::WrongCredentials));
    let token = challenge(&accounts, "ada").await;
    accounts.stop_second_factor(&ada, PASSWORD, &new[0]).await.unwrap();
    let over = accounts.sign_in_with_code(token.as_str(), &new[1], Device::default()).await;
    assert_eq!(over.unwrap_err(), AccountError::ChallengeOver);
    accounts.sign_in("ada", PASSWORD, Device::default()).await.unwrap();

    // An administrator helps who has lost everything.
    factor_on(&model, &accounts, &ada).await;
    accounts.clear_second_factor(&root.user, "ada").await.unwrap();
    assert_eq!(accounts.clear_second_factor(&root.user, "ada").await, Err(AccountError::FactorOff));
    accounts.sign_in("ada", PASSWORD, Device::default()).await.unwrap();
}

#[tokio::test]
async fn of_many_who_show_the_same_code_at_once_one_gets_in() {
    let (model, accounts, root) = set_up().await;
    let (secret, codes) = factor_on(&model, &accounts, &root.user).await;
    step(&model);
    for code in [code_now(&secret, model.now()), codes[0].clone()] {
        let mut tasks = Vec::new();
        for seed in 0..6 {
            let (token, code) = (challenge(&accounts, "root").await, code.clone());
            let model = model.clone();
            tasks.push(tokio::spawn(async move {
                let accounts = on(Handle::new(&model, seed).yielding(4)).await;
                accounts.sign_in_with_code(token.as_str(), &code, Device::default()).await
            }));
        }
        let mut won = 0;
        for task in tasks {
            won += usize::from(task.await.unwrap().is_ok());
        }
        assert_eq!(won, 1, "{code}");
    }
}

#[tokio::test]
async fn codes_cannot_be_guessed_for_long_and_challenges_end() {
    let (model, accounts, root) = set_up().await;
    let (secret, _) = factor_on(&model, &accounts, &root.user).await;
    step(&model);
    for n in 0..TRIES_MAX {
        // From another address each time, with a new challenge each time: it does not help.
        let token = challenge(&accounts, "root").await;
        let device = from(&format!("10.1.0.{n}"));
        let wrong = accounts.sign_in_with_code(token.as_str(), "12345x", device).await.unwrap_err();
        assert_eq!(wrong, AccountError::WrongCode);
    }
    let token = challenge(&accounts, "root").await;
    let code = code_now(&secret, model.now());
    let blocked = accounts.sign_in_with_code(token.as_str(), &code, Device::default()).await.unwrap_err();
    assert!(matches!(blocked, AccountError::TooManyTries { .. }));
    // A device that is known from before there were codes gets no tries of its own: it showed none.
    let device = Device { known: root.device.clone(), ..Device::default() };
    let blocked = accounts.sign_in_with_code(token.as_str(), &code, device).await.unwrap_err();
    assert!(matches!(blocked, AccountError::TooManyTries { .. }));
    // Challenges end by time, and by what ends sessions.
    model.advance(TRIES_WINDOW);
    let (late, ended) = (challenge(&accounts, "root").await, challenge(&accounts, "root").await);
    accounts.change_password(&root.user, PASSWORD, "another password").await.unwrap();
    let code = code_now(&secret, model.now());
    let over = accounts.sign_in_with_code(ended.as_str(), &code, Device::default()).await;
    assert_eq!(over.unwrap_err(), AccountError::ChallengeOver);
    model.advance(Duration::from_secs(301));
    let over = accounts.sign_in_with_code(late.as_str(), &code, Device::default()).await;
    assert_eq!(over.unwrap_err(), AccountError::ChallengeOver);
    model.expire();
    assert_eq!(model.count("accounts", "challenges"), 0);
}

#[tokio::test]
async fn a_device_that_is_known_is_not_locked_out() {
    let (model, accounts, root) = set_up().await;
    accounts.create_user(&root.user, new_user("ada", Role::User)).await.unwrap();
    let shared = || from("10.0.0.66");
    let first = accounts.sign_in("ada", PASSWORD, shared()).await.unwrap();
    for _ in 0..TRIES_MAX {
        accounts.sign_in("ada", "guess", shared()).await.unwrap_err();
    }
    let blocked = accounts.sign_in("ada", PASSWORD, shared()).await.unwrap_err();
    assert!(matches!(blocked, AccountError::TooManyTries { .. }));
    let known = || Device { known: first.device.clone(), ..shared() };
    let again = accounts.sign_in("ada", PASSWORD, known()).await.unwrap();
    assert_eq!(again.device, None, "it keeps what it has");
    assert!(accounts.authenticate(first.token.as_str()).await.is_ok(), "nor does a session end");
    // It helps for its own account alone, does not make guessing endless, and is nothing by itself.
    let root_blocked = || Device { known: root.device.clone(), ..shared() };
    let blocked = accounts.sign_in("ada", PASSWORD, root_blocked()).await.unwrap_err();
    assert!(matches!(blocked, AccountError::TooManyTries { .. }));
    for _ in 0..TRIES_MAX {
        assert_eq!(accounts.sign_in("ada", "guess", known()).await.unwrap_err(), AccountError::WrongCredentials);
    }
    let blocked = accounts.sign_in("ada", "guess", known()).await.unwrap_err();
    assert!(matches!(blocked, AccountError::TooManyTries { .. }));
    assert!(accounts.authenticate(first.device.unwrap().as_str()).await.is_err());
    // Many names from one place are limited, too; who gets in is not counted.
    let elsewhere = || from("10.0.0.77");
    for n in 0..NETWORK_TRIES_MAX {
        let wrong = accounts.sign_in(&format!("name{n}"), "guess", elsewhere()).await.unwrap_err();
        assert_eq!(wrong, AccountError::WrongCredentials);
    }
    let blocked = accounts.sign_in("root", PASSWORD, elsewhere()).await.unwrap_err();
    assert!(matches!(blocked, AccountError::TooManyTries { .. }));
    model.advance(TRIES_WINDOW);
    for _ in 0..NETWORK_TRIES_MAX + 5 {
        accounts.sign_in("root", PASSWORD, elsewhere()).await.unwrap();
    }
    // Sessions and known devices of one user are bounded.
    assert!(model.count("accounts", "sessions") <= 2 * SESSIONS_MAX);
    let sessions = accounts.sessions(&root.user, None).await.unwrap();
    assert_eq!(sessions.len(), SESSIONS_MAX);
    assert!(model.count("accounts", "known_devices") <= 100);
}

#[tokio::test]
async fn app_passwords_open_what_they_say() {
    let (model, accounts, root) = set_up().await;
    let ada = accounts.create_user(&root.user, new_user("ada", Role::User)).await.unwrap();
    let scope = |protocols: &[Protocol], write| AppScope { protocols: protocols.to_vec(), write };
    for (label, protocols) in [("", &[Protocol::Imap][..]), ("laptop", &[])] {
        let bad = accounts.create_app_password(&ada, label, scope(protocols, true)).await;
        assert!(matches!(bad, Err(AccountError::Invalid(_))), "{label}");
    }
    let both = scope(&[Protocol::Webdav, Protocol::Imap], false);
    let (made, secret) = accounts.create_app_password(&ada, "laptop", both.clone()).await.unwrap();
    assert_eq!((made.label.as_str(), &made.scope, made.used), ("laptop", &both, None));
    let comes_in = async |name: &str, secret: &str, protocol| {
        accounts.authenticate_app(name, secret, protocol, &from("10.0.0.9")).await
    };
    let typed = secret.as_str().replace('-', "").to_uppercase();
    for secret in [secret.as_str(), &typed] {
        let caller = comes_in("Ada", secret, Protocol::Webdav).await.unwrap();
        assert_eq!((caller.user.id, caller.write), (ada.id, false));
    }
    for (name, secret, protocol) in [
        ("ada", secret.as_str(), Protocol::Grpc),
        ("root", secret.as_str(), Protocol::Imap),
        ("nobody", secret.as_str(), Protocol::Imap),
        ("ada", PASSWORD, Protocol::Imap),
        ("ada", "", Protocol::Imap),
        ("a/b", "x", Protocol::Imap),
    ] {
        let refused = comes_in(name, secret, protocol).await;
        assert_eq!(refused, Err(AccountError::WrongAppPassword), "{name} {protocol}");
    }
    assert!(accounts.sign_in("ada", secret.as_str(), Device::default()).await.is_err(), "it is no password");
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
    let listed = accounts.app_passwords(ada.id).await.unwrap();
    assert_eq!((listed[0].used, listed[0].used_from.as_str()), (Some(model.now()), "10.0.0.9"));

    // Ends: one's own change of password leaves it; disabling, a reset and removing do not.
    accounts.change_password(&ada, PASSWORD, "another password").await.unwrap();
    assert!(comes_in("ada", secret.as_str(), Protocol::Imap).await.is_ok());
    let elsewhere = node(&model).await;
    assert!(elsewhere.remove_app_password(&root.user, &made.id).await.is_err(), "nobody else's");
    accounts.disable(&root.user, "ada").await.unwrap();
    assert!(comes_in("ada", secret.as_str(), Protocol::Imap).await.is_err());
    let enable = UserChange { disabled: Some(false), ..UserChange::default() };
    accounts.change_user(&root.user, "ada", enable).await.unwrap();
    assert!(comes_in("ada", secret.as_str(), Protocol::Imap).await.is_ok());
    accounts.remove_app_password(&ada, &made.id).await.unwrap();
    assert!(comes_in("ada", secret.as_str(), Protocol::Imap).await.is_err());
    let again = accounts.remove_app_password(&ada, &made.id).await;
    assert!(matches!(again, Err(AccountError::NotFound { .. })));
    for bad in ["", "xyz", "0000000000000000", "zzzzzzzzzzzzzzzz"] {
        assert!(accounts.remove_app_password(&ada, bad).await.is_err());
    }

    // As many as there may be, under a race too; those that a reset has ended make room.
    let tasks: Vec<_> = (0..u64::from(APP_PASSWORDS_MAX) + 5)
        .map(|seed| {
            let (model, ada) = (model.clone(), ada.clone());
            tokio::spawn(async move {
                let accounts = on(Handle::new(&model, seed).yielding(2)).await;
                let scope = AppScope { protocols: vec![Protocol::Grpc], write: true };
                accounts.create_app_password(&ada, "x", scope).await.map(drop)
            })
        })
        .collect();
    let mut made = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => made += 1,
            Err(error) => assert!(matches!(error, AccountError::TooMany { .. }), "{error}"),
        }
    }
    assert_eq!(made, APP_PASSWORDS_MAX);
    let link = accounts.make_reset_link(&root.user, "ada").await.unwrap();
    accounts.reset_password(link.as_str(), PASSWORD, Device::default()).await.unwrap();
    assert_eq!(accounts.app_passwords(ada.id).await.unwrap(), []);
    accounts.create_app_password(&ada, "new", scope(&[Protocol::Grpc], true)).await.unwrap();
    assert_eq!(model.count("accounts", "app_passwords"), 1);
}

/// A key of before keys knew their buckets' drives is bound at its next use: for no drive that gets the name later.
#[tokio::test]
async fn a_key_that_was_not_bound_is_bound_when_it_is_used() {
    let (model, accounts, root) = set_up().await;
    accounts.derive_secrets_from(&[7; 32]);
    let ada = accounts.create_user(&root.user, new_user("ada", Role::User)).await.unwrap();
    let made = accounts.make_bucket(&ada, "tea").await.unwrap();
    let scope = AccessScope { read: true, write: true, buckets: vec!["tea".into()] };
    let (key, _) = accounts.create_access_key(&ada, "x", scope).await.unwrap();
    let own = u64::from_str_radix(&key.id[key.id.len() - 16..], 16).unwrap().to_be_bytes();
    let row = model.value("accounts", "access_keys", &own);
    // The drives stand last in it: a tag, a length, and 16 bytes.
    model.overwrite("accounts", "access_keys", &own, &row[..row.len() - 18]);
    let (at, other) = (Device::default(), atoll_apps::DriveId([9; 16]));
    assert!(accounts.access_key(&key.id, &at).await.unwrap().is_for("tea", other), "it is not bound yet");
    while !model.value("accounts", "access_keys", &own).ends_with(&made.id.0) {
        tokio::task::yield_now().await;
    }
    let later = node(&model).await;
    later.derive_secrets_from(&[7; 32]);
    let caller = later.access_key(&key.id, &at).await.unwrap();
    assert!(caller.is_for("tea", made.id) && !caller.is_for("tea", other));
}

/// Access keys: as many as there may be; those that a reset has ended open nothing and make room.
#[tokio::test]
async fn access_keys_end_with_the_password_that_was_reset() {
    let (model, accounts, root) = set_up().await;
    accounts.derive_secrets_from(&[7; 32]);
    let ada = accounts.create_user(&root.user, new_user("ada", Role::User)).await.unwrap();
    let scope = || AccessScope { read: true, write: true, buckets: Vec::new() };
    let mut ids = Vec::new();
    for n in 0..ACCESS_KEYS_MAX {
        if n % 10 == 9 {
            // Making them is bounded in time, too.
            model.advance(Duration::from_secs(24 * 3600));
        }
        ids.push(accounts.create_access_key(&ada, "x", scope()).await.unwrap().0.id);
    }
    model.advance(Duration::from_secs(24 * 3600));
    let one_more = accounts.create_access_key(&ada, "x", scope()).await;
    assert!(matches!(one_more, Err(AccountError::TooMany { .. })), "{one_more:?}");
    let at = Device { address: Some([10, 0, 0, 1].into()), ..Device::default() };
    accounts.access_key(&ids[0], &at).await.unwrap();
    let link = accounts.make_reset_link(&root.user, "ada").await.unwrap();
    accounts.reset_password(link.as_str(), PASSWORD, Device::default()).await.unwrap();
    assert_eq!(accounts.access_keys(ada.id).await.unwrap(), []);
    assert!(accounts.access_key(&ids[0], &at).await.is_err());
    accounts.create_access_key(&ada, "new", scope()).await.unwrap();
    assert_eq!(model.count("accounts", "access_keys"), 1);
}

/// A bucket's name that is somebody's own is for their own drive.
#[tokio::test]
async fn nobody_takes_a_bucket_of_somebody_elses_name() {
    let (_, accounts, root) = set_up().await;
    let ada = accounts.create_user(&root.user, new_user("ada", Role::User)).await.unwrap();
    let ben = accounts.create_user(&root.user, new_user("ben", Role::User)).await.unwrap();
    let taken = accounts.make_bucket(&ben, "ada").await;
    assert!(matches!(taken, Err(AccountError::NameTaken { .. })), "{taken:?}");
    accounts.make_bucket(&ben, "adas").await.unwrap();
    assert_eq!(accounts.bucket(&ada, "ada").await.unwrap().drive, ada.drive);
}

fn invitation(role: Role) -> NewInvitation {
    NewInvitation { role, quota: Some(7), valid: Duration::from_secs(3600), note: "for ada".into() }
}

#[tokio::test]
async fn people_sign_up_as_the_policy_says() {
    let (model, accounts, root) = set_up().await;
    let sign_up = async |secret: Option<&str>, name: &str| {
        accounts.sign_up(secret, new_user(name, Role::Administrator), from("10.0.0.1")).await
    };
    assert_eq!(sign_up(None, "ada").await.unwrap_err(), AccountError::InvitationNeeded);
    let (made, secret) = accounts.invite(&root.user, invitation(Role::User)).await.unwrap();
    assert_eq!(accounts.invitations(&root.user).await.unwrap(), std::slice::from_ref(&made));
    assert_eq!(sign_up(Some("wrong"), "ada").await.unwrap_err(), AccountError::WrongLink);
    assert!(
        matches!(sign_up(Some(secret.as_str()), "root").await, Err(AccountError::NameTaken { .. })),
        "and it stays good"
    );
    // Of many who use it at once, one gets in, as what the invitation says.
    let tasks: Vec<_> = (0..5)
        .map(|seed| {
            let (model, secret) = (model.clone(), secret.clone());
            tokio::spawn(async move {
                let accounts = on(Handle::new(&model, seed).yielding(4)).await;
                let new = new_user(&format!("ada{seed}"), Role::Administrator);
                accounts.sign_up(Some(secret.as_str()), new, Device::default()).await
            })
        })
        .collect();
    let mut won = Vec::new();
    for task in tasks {
        won.extend(task.await.unwrap().ok());
    }
    assert_eq!(won.len(), 1);
    assert_eq!((won[0].user.role, won[0].user.quota), (Role::User, Some(7)));
    assert_eq!(accounts.quota(won[0].user.id).await.unwrap(), Some(7));
    assert!(accounts.authenticate(won[0].token.as_str()).await.is_ok());
    // Taken back, or too late.
    let (made, secret) = accounts.invite(&root.user, invitation(Role::User)).await.unwrap();
    accounts.uninvite(&root.user, &made.id).await.unwrap();
    assert_eq!(sign_up(Some(secret.as_str()), "bob").await.unwrap_err(), AccountError::WrongLink);
    let (_, secret) = accounts.invite(&root.user, invitation(Role::User)).await.unwrap();
    model.advance(Duration::from_secs(3601));
    assert_eq!(sign_up(Some(secret.as_str()), "bob").await.unwrap_err(), AccountError::WrongLink);

    // Open, within bounds; an administrator is nobody by signing up.
    let open = Policy { sign_up: SignUp::Open, users_max: 3, quota: Some(100), ..Policy::default() };
    accounts.set_policy(&root.user, open).await.unwrap();
    let bob = sign_up(None, "bob").await.unwrap();
    assert_eq!(bob.user.role, Role::User);
    assert_eq!(accounts.quota(bob.user.id).await.unwrap(), Some(100));
    assert_eq!(sign_up(None, "cy").await.unwrap_err(), AccountError::AccountsFull);
    accounts.create_user(&root.user, new_user("cy", Role::User)).await.unwrap();
    // Off, also for who is under way and for who has an invitation.
    let (_, secret) = accounts.invite(&root.user, invitation(Role::User)).await.unwrap();
    accounts.set_policy(&root.user, Policy { sign_up: SignUp::Off, ..open }).await.unwrap();
    assert_eq!(sign_up(Some(secret.as_str()), "dan").await.unwrap_err(), AccountError::SignUpOff);
    assert!(matches!(accounts.invite(&root.user, invitation(Role::User)).await, Err(AccountError::SignUpOff)));
    for bad in [0, 5000] {
        assert!(accounts.set_policy(&root.user, Policy { audit_days: bad, ..open }).await.is_err());
    }
}

#[tokio::test]
async fn links_set_passwords_once() {
    let (model, accounts, root) = set_up().await;
    let (ada, first) = accounts.create_user_by_link(&root.user, new_user("ada", Role::User)).await.unwrap();
    let second = accounts.make_reset_link(&root.user, "ada").await.unwrap();
    let reset = async |secret: &str, password: &str| accounts.reset_password(secret, password, from("10.0.0.3")).await;
    assert!(matches!(reset(first.as_str(), "short").await, Err(AccountError::BadPassword { .. })));
    for wrong in ["", "x", &"0".repeat(64), &format!("{}0", first.as_str()), &first.as_str()[..62]] {
        assert_eq!(reset(wrong, PASSWORD).await.unwrap_err(), AccountError::WrongLink);
    }
    assert_eq!(reset(first.as_str(), "another password").await.unwrap().id, ada.id);
    accounts.sign_in("ada", "another password", Device::default()).await.unwrap();
    for used in [&first, &second] {
        let again = reset(used.as_str(), PASSWORD).await.unwrap_err();
        assert_eq!(again, AccountError::WrongLink, "the others end with the password that was");
    }
    // A link of one kind is none of another.
    let (_, secret) = accounts.invite(&root.user, invitation(Role::User)).await.unwrap();
    assert_eq!(reset(secret.as_str(), PASSWORD).await.unwrap_err(), AccountError::WrongLink);
    let third = accounts.make_reset_link(&root.user, "ada").await.unwrap();
    let joined = accounts.sign_up(Some(third.as_str()), new_user("eve", Role::User), Device::default()).await;
    assert_eq!(joined.unwrap_err(), AccountError::WrongLink);
    model.advance(Duration::from_secs(24 * 3600));
    assert_eq!(reset(third.as_str(), PASSWORD).await.unwrap_err(), AccountError::WrongLink);
    let fourth = accounts.make_reset_link(&root.user, "ada").await.unwrap();
    accounts.disable(&root.user, "ada").await.unwrap();
    assert_eq!(reset(fourth.as_str(), PASSWORD).await.unwrap_err(), AccountError::WrongLink);
}

#[tokio::test]
async fn sessions_are_listed_and_ended() {
    let (model, accounts, root) = set_up().await;
    let ada = accounts.create_user(&root.user, new_user("ada", Role::User)).await.unwrap();
    let mut sessions = Vec::new();
    for n in 0..4 {
        let device = Device { label: format!("device {n}\x1b"), ..from("10.0.0.4") };
        sessions.push(accounts.sign_in("ada", PASSWORD, device).await.unwrap());
        model.advance(Duration::from_secs(1));
    }
    let listed = accounts.sessions(&ada, Some(sessions[1].token.as_str())).await.unwrap();
    assert_eq!(listed.len(), 4);
    assert_eq!((listed[0].device.as_str(), listed[0].address.as_str()), ("device 3", "10.0.0.4"));
    assert_eq!(listed.iter().filter(|session| session.current).count(), 1);
    assert!(listed[2].current);
    accounts.end_session(&ada, &listed[0].id).await.unwrap();
    assert!(accounts.authenticate(sessions[3].token.as_str()).await.is_err());
    assert!(accounts.end_session(&ada, &listed[0].id).await.is_err());
    assert!(accounts.end_session(&root.user, &listed[1].id).await.is_err(), "nobody else's");
    assert_eq!(accounts.end_other_sessions(&ada, sessions[1].token.as_str()).await.unwrap(), 2);
    for (n, holds) in [(0, false), (1, true), (2, false)] {
        assert_eq!(node(&model).await.authenticate(sessions[n].token.as_str()).await.is_ok(), holds);
    }
    assert_eq!(accounts.sessions_of(&root.user, "ada").await.unwrap().len(), 1);
    assert_eq!(accounts.end_sessions_of(&root.user, "ada", None).await.unwrap(), 1);
    assert_eq!(accounts.sessions(&ada, None).await.unwrap(), []);
}

#[tokio::test]
async fn the_last_administrator_stays_whatever_is_tried_at_once() {
    for seed in 0..20u64 {
        let (model, accounts, root) = set_up().await;
        let second = accounts.create_user(&root.user, new_user("second", Role::Administrator)).await.unwrap();
        let acts = [(root.user.clone(), "second", seed % 3), (second, "root", seed / 3 % 3)];
        let tasks = acts.map(|(by, name, act)| {
            let model: Arc<Model> = model.clone();
            tokio::spawn(async move {
                let accounts = on(Handle::new(&model, seed).yielding(4)).await;
                match act {
                    0 => accounts.disable(&by, name).await.map(drop),
                    1 => {
                        let change = UserChange { role: Some(Role::User), ..UserChange::default() };
                        accounts.change_user(&by, name, change).await.map(drop)
                    }
                    _ => accounts.remove_user(&by, name).await.map(drop),
                }
            })
        });
        let mut done = 0;
        for task in tasks {
            done += usize::from(task.await.unwrap().is_ok());
        }
        assert_eq!(done, 1, "seed {seed}");
        assert!(!accounts.setup_pending().await.unwrap());
    }
    let (_, accounts, root) = set_up().await;
    assert_eq!(accounts.delete_account(&root.user, PASSWORD, None).await, Err(AccountError::LastAdministrator));
    let change = UserChange { role: Some(Role::User), ..UserChange::default() };
    assert_eq!(accounts.change_user(&root.user, "root", change).await, Err(AccountError::LastAdministrator));
}
