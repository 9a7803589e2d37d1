//! What whoever has stolen something, or guesses, must not get; and what is said when the store fails on the way.

use crate::model::{Fault, Handle, Model};
use crate::people::{PASSWORD, from, new_user, on, set_up, unbase32};
use atoll_apps::accounts::{
    APP_PASSWORDS_MAX, AppScope, NETWORK_TRIES_MAX, NewInvitation, Policy, Protocol, SIGN_UPS_MAX, SignUp, TRIES_MAX,
    TRIES_WINDOW, UserChange, code_now,
};
use atoll_apps::{AccountError, Accounts, Device, Role, Token, User};
use std::time::Duration;

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn factor_on(model: &Model, accounts: &Accounts, user: &User) -> Vec<u8> {
    let secret = unbase32(&accounts.begin_second_factor(user, PASSWORD).await.unwrap().secret);
    accounts.confirm_second_factor(user, &code_now(&secret, model.now())).await.unwrap();
    model.advance(Duration::from_secs(30));
    secret
}

async fn challenge(accounts: &Accounts, name: &str) -> Token {
    match accounts.sign_in(name, PASSWORD, from("10.0.0.1")).await {
        Err(AccountError::CodeNeeded { challenge }) => challenge,
        other => panic!("{other:?}"),
    }
}

fn too_many(error: &AccountError) -> bool {
    matches!(error, AccountError::TooManyTries { .. })
}

#[tokio::test]
async fn an_app_password_is_never_a_session() {
    let (_, accounts, root) = set_up().await;
    let scope = AppScope { protocols: vec![Protocol::Grpc], write: false };
    let (_, secret) = accounts.create_app_password(&root.user, "laptop", scope).await.unwrap();
    // What is remembered of it, written as a token of as many bytes: hyphens more or less do not matter to it.
    for hyphens in 0..20 {
        let typed = secret.as_str().replace('-', "") + &"-".repeat(hyphens);
        let caller = accounts.authenticate_app("root", &typed, Protocol::Grpc, &from("10.0.0.9")).await.unwrap();
        assert!(caller.user.role == Role::User && !caller.write, "it administers nothing");
        let again = accounts.authenticate_app("root", &typed, Protocol::Grpc, &from("10.0.0.9")).await.unwrap();
        assert_eq!(again, caller, "remembered or not");
        let token = hex(format!("root\0{typed}\0grpc").as_bytes());
        let session = accounts.authenticate(&token).await;
        assert_eq!(session, Err(AccountError::NotSignedIn), "{} bytes", token.len() / 2);
    }
}

#[tokio::test]
async fn made_up_devices_are_strangers() {
    let (model, accounts, root) = set_up().await;
    let made_up = |n: u8| Some(Token::shown(hex(&[&root.user.id.0[..], &[n; 32]].concat())));
    for n in 0..60 {
        let device = Device { known: made_up(n), ..from("10.0.0.1") };
        let session = accounts.sign_in("root", PASSWORD, device.clone()).await.unwrap();
        assert!(session.device.is_some_and(|token| Some(token) != device.known), "it is given one of ours");
    }
    assert_eq!(model.count("accounts", "known_devices"), 50, "as many as there may be");
    // Nor do they get tries of their own: for passwords, and for codes.
    for n in 0..TRIES_MAX as u8 {
        let device = Device { known: made_up(n), ..from("10.0.0.66") };
        assert_eq!(accounts.sign_in("root", "guess", device).await.unwrap_err(), AccountError::WrongCredentials);
    }
    let device = Device { known: made_up(0), ..from("10.0.0.66") };
    assert!(too_many(&accounts.sign_in("root", PASSWORD, device).await.unwrap_err()));
    let ours = accounts.sign_in("root", PASSWORD, from("10.0.0.1")).await.unwrap().device;
    let secret = factor_on(&model, &accounts, &root.user).await;
    for n in 0..TRIES_MAX as u8 {
        let token = challenge(&accounts, "root").await;
        let device = Device { known: if n % 2 == 0 { made_up(n) } else { ours.clone() }, ..Device::default() };
        let wrong = accounts.sign_in_with_code(token.as_str(), "12345x", device).await.unwrap_err();
        assert_eq!(wrong, AccountError::WrongCode);
    }
    let token = challenge(&accounts, "root").await;
    let code = code_now(&secret, model.now());
    for known in [None, made_up(1), ours] {
        let device = Device { known, ..Device::default() };
        assert!(too_many(&accounts.sign_in_with_code(token.as_str(), &code, device).await.unwrap_err()));
    }
}

#[tokio::test]
async fn a_device_is_known_until_the_password_changes() {
    let (model, accounts, root) = set_up().await;
    let ada = accounts.create_user(&root.user, new_user("ada", Role::User)).await.unwrap();
    let mut device = accounts.sign_in("ada", PASSWORD, from("10.0.0.1")).await.unwrap().device;
    let locked_out = async |known: &Option<Token>| {
        for _ in 0..TRIES_MAX {
            accounts.sign_in("ada", "guess", from("10.0.0.66")).await.unwrap_err();
        }
        let device = Device { known: known.clone(), ..from("10.0.0.66") };
        let out = accounts.sign_in("ada", PASSWORD, device).await;
        model.advance(TRIES_WINDOW);
        out.is_err_and(|error| too_many(&error))
    };
    for ends in ["nothing", "change", "reset", "disabling"] {
        assert!(!locked_out(&device).await);
        match ends {
            "change" => drop(accounts.change_password(&ada, PASSWORD, PASSWORD).await.unwrap()),
            "reset" => {
                let link = accounts.make_reset_link(&root.user, "ada").await.unwrap();
                accounts.reset_password(link.as_str(), PASSWORD, Device::default()).await.unwrap();
            }
            "disabling" => {
                accounts.disable(&root.user, "ada").await.unwrap();
                let enable = UserChange { disabled: Some(false), ..UserChange::default() };
                accounts.change_user(&root.user, "ada", enable).await.unwrap();
            }
            _ => {}
        }
        assert_eq!(locked_out(&device).await, ends != "nothing", "{ends}");
        let known = Device { known: device.clone(), ..from("10.0.0.1") };
        device = accounts.sign_in("ada", PASSWORD, known).await.unwrap().device.or(device);
    }
}

#[tokio::test]
async fn one_name_does_not_lock_a_network_out() {
    let (_, accounts, root) = set_up().await;
    accounts.create_user(&root.user, new_user("ada", Role::User)).await.unwrap();
    for _ in 0..NETWORK_TRIES_MAX + 50 {
        accounts.sign_in("ada", "guess", from("10.0.0.66")).await.unwrap_err();
    }
    accounts.sign_in("root", PASSWORD, from("10.0.0.66")).await.unwrap();
    // What is refused for the network is none of the name's tries.
    for n in 0..NETWORK_TRIES_MAX {
        accounts.sign_in(&format!("name{n}"), "guess", from("10.0.0.66")).await.unwrap_err();
    }
    for _ in 0..TRIES_MAX * 2 {
        assert!(too_many(&accounts.sign_in("root", PASSWORD, from("10.0.0.66")).await.unwrap_err()));
    }
    accounts.create_user(&root.user, new_user("bob", Role::User)).await.unwrap();
}

#[tokio::test]
async fn a_stolen_session_does_not_take_its_administrator_over() {
    let (model, accounts, root) = set_up().await;
    accounts.create_user(&root.user, new_user("second", Role::Administrator)).await.unwrap();
    factor_on(&model, &accounts, &root.user).await;
    let own = |error: AccountError| assert!(matches!(error, AccountError::OwnAccount { .. }), "{error:?}");
    own(accounts.clear_second_factor(&root.user, "Root").await.unwrap_err());
    own(accounts.make_reset_link(&root.user, "root").await.unwrap_err());
    own(accounts.remove_user(&root.user, "root").await.unwrap_err());
    assert!(accounts.second_factor(root.user.id).await.unwrap().since.is_some());
    // Another administrator may.
    let second = accounts.find("second").await.unwrap();
    accounts.make_reset_link(&second, "root").await.unwrap();
    accounts.clear_second_factor(&second, "root").await.unwrap();
    accounts.remove_user(&second, "root").await.unwrap();
}

/// Whether the act was done, after it ended so: an error that lets one try again, or is sure that nothing was
/// changed, is only for what was not done.
fn judged<T>(said: &Result<T, AccountError>, done: bool, context: &str) {
    match said {
        Ok(_) | Err(AccountError::DoneSignIn | AccountError::CodeUsed) => assert!(done, "{context}: not done"),
        Err(error) => assert!(!done, "{context}: done, and told {error}"),
    }
}

#[tokio::test]
async fn what_was_done_is_not_said_to_be_undone() {
    let mut without_session = 0;
    for act in ["set up", "sign up", "password", "code"] {
        for at in 0.. {
            let context = format!("{act}, fault at call {at}");
            let handle;
            let over = if act == "set up" {
                let model = Model::new();
                let accounts = crate::people::node(&model).await;
                let secret = accounts.make_setup_secret().await.unwrap();
                handle = Handle::new(&model, 0);
                let failing = on(handle.clone()).await;
                handle.plan(Some((at, Fault::Busy)));
                let said = failing.complete_setup(&secret, "root", PASSWORD, Device::default()).await;
                judged(&said, accounts.find("root").await.is_ok(), &context);
                without_session += u32::from(matches!(said, Err(AccountError::DoneSignIn)));
                handle.calls() <= at
            } else {
                let (model, accounts, root) = set_up().await;
                let open = Policy { sign_up: SignUp::Open, ..Policy::default() };
                accounts.set_policy(&root.user, open).await.unwrap();
                handle = Handle::new(&model, 0);
                let failing = on(handle.clone()).await;
                match act {
                    "sign up" => {
                        handle.plan(Some((at, Fault::Busy)));
                        let said = failing.sign_up(None, new_user("ada", Role::User), from("10.0.0.1")).await;
                        judged(&said, accounts.find("ada").await.is_ok(), &context);
                        without_session += u32::from(matches!(said, Err(AccountError::DoneSignIn)));
                    }
                    "password" => {
                        handle.plan(Some((at, Fault::Busy)));
                        let said = failing.change_password(&root.user, PASSWORD, "another password").await;
                        let done = accounts.sign_in("root", "another password", from("10.0.0.1")).await.is_ok();
                        judged(&said, done, &context);
                        without_session += u32::from(matches!(said, Err(AccountError::DoneSignIn)));
                    }
                    _ => {
                        let secret = factor_on(&model, &accounts, &root.user).await;
                        let token = challenge(&accounts, "root").await;
                        let code = code_now(&secret, model.now());
                        handle.plan(Some((at, Fault::Busy)));
                        let said = failing.sign_in_with_code(token.as_str(), &code, Device::default()).await;
                        let again = accounts.sign_in_with_code(token.as_str(), &code, Device::default()).await;
                        judged(&said, again.is_err(), &context);
                        if matches!(said, Err(AccountError::CodeUsed)) {
                            without_session += 1;
                            // The sign-in goes on with the next one.
                            model.advance(Duration::from_secs(30));
                            let code = code_now(&secret, model.now());
                            accounts.sign_in_with_code(token.as_str(), &code, Device::default()).await.unwrap();
                        }
                    }
                }
                handle.calls() <= at
            };
            if over {
                break;
            }
        }
    }
    assert!(without_session >= 8, "{without_session}");
}

#[tokio::test]
async fn made_up_tokens_write_nothing_and_acts_that_fail_have_no_line() {
    let (model, accounts, root) = set_up().await;
    let written = model.seq();
    accounts.sign_out(&hex(&[&root.user.id.0[..], &[7; 32]].concat())).await.unwrap();
    accounts.end_other_sessions(&root.user, root.token.as_str()).await.unwrap();
    assert_eq!(model.seq(), written);
    let scope = || AppScope { protocols: vec![Protocol::Imap], write: true };
    let mut ids = Vec::new();
    for _ in 0..APP_PASSWORDS_MAX {
        ids.push(accounts.create_app_password(&root.user, "x", scope()).await.unwrap().0.id);
    }
    let lines = model.count("accounts", "audit");
    for _ in 0..20 {
        let full = accounts.create_app_password(&root.user, "x", scope()).await.unwrap_err();
        assert!(matches!(full, AccountError::TooMany { .. }), "{full}");
    }
    assert_eq!(model.count("accounts", "audit"), lines);
    // Nor does making and removing go on without end.
    let mut made = ids.len();
    loop {
        accounts.remove_app_password(&root.user, &ids.pop().unwrap()).await.unwrap();
        match accounts.create_app_password(&root.user, "x", scope()).await {
            Ok((app, _)) => ids.push(app.id),
            Err(error) => break assert!(too_many(&error), "{error}"),
        }
        made += 1;
        assert!(made <= 200);
    }
    model.advance(TRIES_WINDOW);
    accounts.create_app_password(&root.user, "x", scope()).await.unwrap();
}

#[tokio::test]
async fn who_is_no_administrator_any_more_ends_no_sessions() {
    let (model, accounts, root) = set_up().await;
    let second = accounts.create_user(&root.user, new_user("second", Role::Administrator)).await.unwrap();
    accounts.create_user(&root.user, new_user("ada", Role::User)).await.unwrap();
    let handle = Handle::new(&model, 0);
    let slow = on(handle.clone()).await;
    let (first, _) = (slow.end_sessions_of(&second, "root", Some("0000000000000000")).await, slow.policy().await);
    assert!(first.is_err());
    for id in [None, Some(())] {
        let session = accounts.sign_in("ada", PASSWORD, from("10.0.0.1")).await.unwrap();
        let listed = accounts.sessions(&session.user, None).await.unwrap();
        let id = id.map(|()| listed[0].id.clone());
        // How many calls there are; the one before the last writes the line.
        let promote = UserChange { role: Some(Role::Administrator), ..UserChange::default() };
        accounts.change_user(&root.user, "second", promote).await.unwrap();
        let counting = on(handle.clone()).await;
        accounts.sign_in("second", PASSWORD, from("10.0.0.1")).await.unwrap();
        counting.end_sessions_of(&second, "second", None).await.unwrap();
        accounts.sign_in("second", PASSWORD, from("10.0.0.1")).await.unwrap();
        handle.plan(None);
        counting.end_sessions_of(&second, "second", None).await.unwrap();
        let calls = handle.calls();
        handle.plan(Some((calls - 2, Fault::Pause)));
        let late = {
            let (counting, second) = (counting.clone(), second.clone());
            tokio::spawn(async move { counting.end_sessions_of(&second, "ada", id.as_deref()).await })
        };
        handle.until_paused().await;
        let demote = UserChange { role: Some(Role::User), ..UserChange::default() };
        accounts.change_user(&root.user, "second", demote).await.unwrap();
        handle.resume();
        assert_eq!(late.await.unwrap(), Err(AccountError::Conflict));
        assert!(accounts.authenticate(session.token.as_str()).await.is_ok());
    }
}

#[tokio::test]
async fn an_invitation_does_not_list_names() {
    let (model, accounts, root) = set_up().await;
    let new = NewInvitation { role: Role::User, quota: None, valid: TRIES_WINDOW * 3, note: String::new() };
    let (_, secret) = accounts.invite(&root.user, new).await.unwrap();
    let sign_up = async |name: &str, address: String| {
        accounts.sign_up(Some(secret.as_str()), new_user(name, Role::User), from(&address)).await
    };
    for n in 0..TRIES_MAX {
        let taken = sign_up("root", format!("10.1.0.{n}")).await.unwrap_err();
        assert!(matches!(taken, AccountError::NameTaken { .. }));
    }
    assert!(too_many(&sign_up("root", "10.2.0.1".into()).await.unwrap_err()));
    model.advance(TRIES_WINDOW);
    sign_up("ada", "10.1.0.1".into()).await.unwrap();
}

#[tokio::test]
async fn wrong_links_keep_nobody_out() {
    let model = Model::new();
    let accounts = crate::people::node(&model).await;
    let secret = accounts.make_setup_secret().await.unwrap();
    let written = model.seq();
    for guess in 0..TRIES_MAX * 5 {
        let guess =
            [format!("{guess:064x}"), format!("{secret}00"), "é".repeat(32), String::new()][guess as usize % 4].clone();
        assert_eq!(accounts.check_setup_secret(&guess).await.unwrap_err(), AccountError::WrongSetupSecret);
    }
    assert_eq!(model.seq(), written, "and make us write nothing");
    let root = accounts.complete_setup(&secret, "root", PASSWORD, from("10.0.0.1")).await.unwrap();
    let new = NewInvitation { role: Role::User, quota: None, valid: TRIES_WINDOW * 3, note: String::new() };
    let (_, secret) = accounts.invite(&root.user, new).await.unwrap();
    for _ in 0..TRIES_MAX * 5 {
        assert_eq!(accounts.check_link(&"ab".repeat(32)).await.unwrap_err(), AccountError::WrongLink);
    }
    accounts.sign_up(Some(secret.as_str()), new_user("ada", Role::User), from("10.0.0.1")).await.unwrap();
}

#[tokio::test]
async fn a_class_signs_up_from_one_address_and_no_machine_does_for_ever() {
    let (model, accounts, root) = set_up().await;
    accounts.set_policy(&root.user, Policy { sign_up: SignUp::Open, ..Policy::default() }).await.unwrap();
    let sign_up = async |name: &str| accounts.sign_up(None, new_user(name, Role::User), from("10.0.0.1")).await;
    for n in 0..40 {
        sign_up(&format!("pupil{n}")).await.unwrap();
    }
    for _ in 40..SIGN_UPS_MAX {
        assert!(matches!(sign_up("root").await.unwrap_err(), AccountError::NameTaken { .. }));
    }
    assert!(too_many(&sign_up("late").await.unwrap_err()));
    let lines = accounts.audit(&root.user, None, None, 0).await.unwrap().items;
    assert_eq!(lines.iter().filter(|line| line.action == "sign-up blocked").count(), 1);
    accounts.sign_up(None, new_user("elsewhere", Role::User), from("10.0.0.2")).await.unwrap();
    model.advance(TRIES_WINDOW);
    sign_up("late").await.unwrap();
}

#[tokio::test]
async fn who_has_only_the_password_does_not_lock_its_owner_out_of_the_second_step() {
    let (model, accounts, root) = set_up().await;
    let secret = factor_on(&model, &accounts, &root.user).await;
    let sign_in = async |known: &Option<Token>, code: &str| {
        let token = challenge(&accounts, "root").await;
        let device = Device { known: known.clone(), ..from("10.0.0.1") };
        accounts.sign_in_with_code(token.as_str(), code, device).await
    };
    let mine = sign_in(&None, &code_now(&secret, model.now())).await.unwrap().device;
    assert!(mine.is_some());
    for _ in 0..TRIES_MAX {
        assert_eq!(sign_in(&None, "12345x").await.unwrap_err(), AccountError::WrongCode);
    }
    model.advance(Duration::from_secs(30));
    let code = code_now(&secret, model.now());
    assert!(too_many(&sign_in(&None, &code).await.unwrap_err()));
    // Where they showed a code before, and where they are signed in, their own tries count.
    sign_in(&mine, &code).await.unwrap();
    model.advance(Duration::from_secs(30));
    let code = code_now(&secret, model.now());
    accounts.new_recovery_codes(&root.user, PASSWORD, &code).await.unwrap();
    for _ in 0..TRIES_MAX {
        assert_eq!(sign_in(&mine, "12345x").await.unwrap_err(), AccountError::WrongCode);
    }
    assert!(too_many(&sign_in(&mine, "12345x").await.unwrap_err()));
}

#[tokio::test]
async fn nothing_that_is_not_seen_is_in_a_name() {
    let (_, accounts, root) = set_up().await;
    for bad in ["\u{202e}toor", "a\u{2066}b", "\u{200b}root", "a\nb", "ro\u{ad}ot"] {
        let refused = accounts.change_display(&root.user, bad).await;
        assert!(matches!(refused, Err(AccountError::BadName { .. })), "{bad:?}");
    }
    accounts.change_display(&root.user, "क्‍ष \u{1f468}\u{200d}\u{1f469}").await.unwrap();
    let device = Device { label: "Fire\u{202e}fox".into(), ..from("10.0.0.1") };
    accounts.sign_in("root", PASSWORD, device).await.unwrap();
    let sessions = accounts.sessions(&root.user, None).await.unwrap();
    assert!(sessions.iter().any(|session| session.device == "Firefox"));
}

#[tokio::test]
async fn a_link_to_an_administrators_rights_ends_with_its_makers() {
    let (_, accounts, root) = set_up().await;
    let second = accounts.create_user(&root.user, new_user("second", Role::Administrator)).await.unwrap();
    let invite = async |role| {
        let new = NewInvitation { role, quota: None, valid: TRIES_WINDOW, note: String::new() };
        accounts.invite(&second, new).await.unwrap().1
    };
    let (high, low) = (invite(Role::Administrator).await, invite(Role::User).await);
    let used = invite(Role::Administrator).await;
    let sign_up = async |secret: &Token, name: &str| {
        accounts.sign_up(Some(secret.as_str()), new_user(name, Role::User), from("10.0.0.1")).await
    };
    assert_eq!(sign_up(&used, "third").await.unwrap().user.role, Role::Administrator);
    accounts.create_user(&root.user, new_user("ada", Role::User)).await.unwrap();
    let (of_root, of_ada) = (
        accounts.make_reset_link(&second, "root").await.unwrap(),
        accounts.make_reset_link(&second, "ada").await.unwrap(),
    );
    let (_, of_fourth) = accounts.create_user_by_link(&second, new_user("fourth", Role::Administrator)).await.unwrap();
    let demote = UserChange { role: Some(Role::User), ..UserChange::default() };
    accounts.change_user(&root.user, "second", demote).await.unwrap();
    for secret in [&high, &of_root, &of_fourth] {
        let seen = accounts.check_link(secret.as_str()).await;
        assert_eq!(seen, Err(AccountError::WrongLink));
    }
    assert_eq!(sign_up(&high, "fifth").await.unwrap_err(), AccountError::WrongLink);
    for secret in [&of_root, &of_fourth] {
        let reset = accounts.reset_password(secret.as_str(), "another password", from("10.0.0.1")).await;
        assert_eq!(reset.unwrap_err(), AccountError::WrongLink);
    }
    // What gives no such rights stays good.
    sign_up(&low, "fifth").await.unwrap();
    accounts.reset_password(of_ada.as_str(), "another password", from("10.0.0.1")).await.unwrap();
    accounts.sign_in("root", PASSWORD, from("10.0.0.1")).await.unwrap();
}

#[tokio::test]
async fn every_act_has_its_line() {
    let (model, accounts, root) = set_up().await;
    accounts.change_display(&root.user, "The Root").await.unwrap();
    accounts.change_display(&root.user, "The Root").await.unwrap();
    factor_on(&model, &accounts, &root.user).await;
    accounts.set_policy(&root.user, Policy { users_max: 77, ..Policy::default() }).await.unwrap();
    accounts.sign_out(root.token.as_str()).await.unwrap();
    accounts.sign_out(root.token.as_str()).await.unwrap();
    let lines = accounts.audit(&root.user, None, None, 0).await.unwrap().items;
    let told: Vec<_> = lines.iter().rev().map(|line| (line.action.as_str(), line.actor_name.as_str())).collect();
    let wanted = [
        ("set-up link made", ""),
        ("set up", ""),
        ("user changed", "root"),
        ("second factor begun", "root"),
        ("second factor on", "root"),
        ("policy", "root"),
        ("sign-out", "root"),
    ];
    assert_eq!(told, wanted);
    assert!(lines[1].detail.contains("up to 77 accounts"), "{}", lines[1].detail);
}
