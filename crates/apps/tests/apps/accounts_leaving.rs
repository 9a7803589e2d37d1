//! Accounts that go, whatever crashes on the way; and the log of it all.

use crate::model::{Fault, Handle, Model};
use crate::people::{PASSWORD, from, new_user, node, on, set_up};
use async_trait::async_trait;
use atoll_apps::accounts::{AppScope, Estate, Kept, Policy, Protocol, SETTLED_AFTER};
use atoll_apps::drive::{self, Clash, JobState, NewFile, PutCondition};
use atoll_apps::store::Store;
use atoll_apps::{AccountError, Accounts, Device, DriveId, Drives, Role, User, UserId};
use bytes::Bytes;
use client::ClientError;
use parking_lot::Mutex;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use types::{Transaction, Update};

/// A drive of three parts, which go one at a time.
#[derive(Default)]
struct Shelf {
    cleared: Mutex<Vec<DriveId>>,
}

#[async_trait]
impl Estate for Shelf {
    async fn describe(&self, _: UserId, _: DriveId) -> Result<Option<Kept>, ClientError> {
        Ok(Some(Kept::Drive(Some(3))))
    }

    async fn clear(&self, _: UserId, drive: DriveId) -> Result<bool, ClientError> {
        let mut cleared = self.cleared.lock();
        cleared.push(drive);
        Ok(cleared.iter().filter(|gone| **gone == drive).count() >= 3)
    }

    async fn clear_drive(&self, _: DriveId) -> Result<bool, ClientError> {
        Ok(true)
    }
}

async fn full_account(accounts: &Accounts, by: &User) -> User {
    let ada = accounts.create_user(by, new_user("ada", Role::User)).await.unwrap();
    for _ in 0..3 {
        accounts.sign_in("ada", PASSWORD, Device::default()).await.unwrap();
    }
    let scope = AppScope { protocols: vec![Protocol::Imap], write: true };
    accounts.create_app_password(&ada, "phone", scope).await.unwrap();
    accounts.begin_second_factor(&ada, PASSWORD).await.unwrap();
    ada
}

/// What is left of a user anywhere but in the log.
fn left_of(model: &Model, user: &User) -> Vec<String> {
    let holds = |bytes: &[u8]| bytes.windows(16).any(|window| window == user.id.0);
    let audit = model.table("accounts", "audit");
    let rows = model.values().into_iter().filter(|(key, _)| Some(key.table) != audit);
    rows.filter(|(key, value)| holds(&key.sort_key) || holds(&key.partition_key) || holds(value))
        .map(|(key, _)| format!("{key:?}"))
        .collect()
}

async fn until_ended(model: &Model, accounts: &Accounts) {
    for _ in 0..5 {
        accounts.carry_on_removals().await.unwrap();
    }
    assert!(accounts.carry_on_removals().await.unwrap() <= 1, "not before all is settled");
    model.advance(SETTLED_AFTER);
    accounts.carry_on_removals().await.unwrap();
    assert_eq!(accounts.carry_on_removals().await.unwrap(), 0);
}

#[tokio::test]
async fn an_account_goes_at_once_and_the_rest_follows() {
    let (model, accounts, root) = set_up().await;
    let shelf = Arc::new(Shelf::default());
    accounts.keep_estates(vec![shelf.clone()]);
    let ada = full_account(&accounts, &root.user).await;
    let session = accounts.sign_in("ada", PASSWORD, Device::default()).await.unwrap();
    let leaving = accounts.leaving(&ada).await.unwrap();
    assert_eq!((leaving.sessions, leaving.app_passwords), (4, 1));
    assert_eq!(leaving.estates, [Kept::Drive(Some(3))]);
    let wrong = accounts.delete_account(&ada, "wrong", None).await;
    assert_eq!(wrong, Err(AccountError::WrongCredentials));
    accounts.delete_account(&ada, PASSWORD, None).await.unwrap();
    assert!(node(&model).await.authenticate(session.token.as_str()).await.is_err(), "before anything else is done");
    assert!(accounts.sign_in("ada", PASSWORD, Device::default()).await.is_err());
    // The name is free, for somebody else with another drive.
    let again = accounts.create_user(&root.user, new_user("ada", Role::User)).await.unwrap();
    assert!(again.id != ada.id && again.drive != ada.drive);
    // Nothing ends where nobody says who keeps what: another program, say, of an older release.
    let without = node(&model).await;
    model.advance(SETTLED_AFTER);
    assert_eq!(without.carry_on_removals().await.unwrap(), 1);
    until_ended(&model, &accounts).await;
    assert_eq!(left_of(&model, &ada), Vec::<String>::new());
    assert!(shelf.cleared.lock().iter().all(|drive| *drive == ada.drive));
    assert!(accounts.find("ada").await.is_ok());
}

#[tokio::test]
async fn many_who_go_at_once_all_go() {
    let (model, accounts, root) = set_up().await;
    accounts.keep_estates(vec![]);
    for n in 0..130 {
        accounts.create_user(&root.user, new_user(&format!("user{n}"), Role::User)).await.unwrap();
        accounts.remove_user(&root.user, &format!("user{n}")).await.unwrap();
    }
    assert_eq!(accounts.carry_on_removals().await.unwrap(), 130, "each is looked at");
    model.advance(SETTLED_AFTER);
    assert_eq!(accounts.carry_on_removals().await.unwrap(), 0);
}

#[tokio::test]
async fn what_was_under_way_when_the_account_went_goes_too() {
    let (model, accounts, root) = set_up().await;
    accounts.keep_estates(vec![]);
    let ada = full_account(&accounts, &root.user).await;
    let handle = Handle::new(&model, 0);
    let elsewhere = on(handle.clone()).await;
    elsewhere.app_passwords(ada.id).await.unwrap();
    // Held back just before it is written, until the account has gone and been cleaned up.
    let scope = AppScope { protocols: vec![Protocol::Imap], write: true };
    handle.plan(Some((4, Fault::Pause)));
    let late = {
        let (elsewhere, ada) = (elsewhere.clone(), ada.clone());
        tokio::spawn(async move { elsewhere.create_app_password(&ada, "late", scope).await })
    };
    handle.until_paused().await;
    accounts.remove_user(&root.user, "ada").await.unwrap();
    assert_eq!(accounts.carry_on_removals().await.unwrap(), 1);
    handle.resume();
    assert!(late.await.unwrap().is_ok(), "it was written after all");
    model.advance(SETTLED_AFTER);
    assert_eq!(accounts.carry_on_removals().await.unwrap(), 0);
    assert_eq!(left_of(&model, &ada), Vec::<String>::new());
}

async fn file(model: &Model, drives: &Drives, drive: DriveId, path: &str, size: usize) {
    let content = model.store_content(&vec![7; size]);
    drives.put_file(drive, path, content, NewFile::default(), PutCondition::Replace).await.unwrap();
}

#[tokio::test]
async fn the_drive_goes_with_its_trash_and_its_jobs() {
    let model = Model::new();
    let drives = Drives::open_store(Handle::new(&model, 0), drive::Settings::default()).await.unwrap();
    let (user, drive) = (UserId::random(), DriveId::random());
    drives.make_folder(drive, "/a").await.unwrap();
    for n in 0..5 {
        file(&model, &drives, drive, &format!("/a/{n}"), 10).await;
        file(&model, &drives, drive, &format!("/thrown{n}"), 10).await;
        drives.trash(drive, &format!("/thrown{n}"), None, Some(user)).await.unwrap();
    }
    let job = drives.begin_copy(drive, "/a", "/copy", Clash::Fail, None).await.unwrap();
    while !drives.clear(user, drive).await.unwrap() {}
    assert_eq!(drives.trash_list(drive, None, 0).await.unwrap().items, []);
    // Whoever carried the copy on finds it stopped.
    assert_eq!(drives.run_job(drive, job.id).await.unwrap().state, JobState::Cancelled);
    assert_eq!(drives.list(drive, "/", None, 0).await.unwrap().items, []);
}

#[tokio::test]
async fn what_cannot_be_cleared_does_not_keep_the_rest() {
    let model = Model::new();
    let handle = Handle::new(&model, 0);
    let drives = Drives::open_store(handle.clone(), drive::Settings::default()).await.unwrap();
    let (user, drive) = (UserId::random(), DriveId::random());
    file(&model, &drives, drive, "/a", 100).await;
    file(&model, &drives, drive, "/b", 10).await;
    file(&model, &drives, drive, "/thrown", 10).await;
    drives.trash(drive, "/thrown", None, None).await.unwrap();
    // More bytes in a file than are counted: it cannot be taken from the count.
    let count = async |delta| {
        let (table, partition_key) = (model.table("drive", "counts").unwrap(), Bytes::copy_from_slice(&drive.0));
        let sort_key = Bytes::from_static(b"bytes");
        let add = Update::Add { table, sort_key, delta, min: 0, max: i64::MAX };
        let operation = handle.operation(&partition_key);
        let transaction = Transaction { operation, partition_key, conditions: vec![], updates: vec![add] };
        handle.transact(transaction).await.unwrap();
    };
    count(-50).await;
    assert!(!drives.clear(user, drive).await.unwrap(), "something is left");
    let left = drives.list(drive, "/", None, 0).await.unwrap().items;
    assert_eq!(left.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(), ["a"]);
    assert_eq!(drives.trash_list(drive, None, 0).await.unwrap().items, []);
    count(50).await;
    assert!(drives.clear(user, drive).await.unwrap());
    assert_eq!(drives.usage(drive).await.unwrap().bytes, 0);
}

#[tokio::test]
async fn a_crash_at_any_step_leaves_nothing_half_removed() {
    for fault in Fault::CRASHES.into_iter().chain(Fault::ERRORS) {
        for at in 0.. {
            let (model, accounts, root) = set_up().await;
            let ada = full_account(&accounts, &root.user).await;
            let handle = Handle::new(&model, 0);
            let crashing = on(handle.clone()).await;
            crashing.keep_estates(vec![Arc::new(Shelf::default())]);
            handle.plan(Some((at, fault)));
            let removing = async {
                crashing.remove_user(&root.user, "ada").await?;
                for _ in 0..4 {
                    crashing.carry_on_removals().await?;
                }
                model.advance(SETTLED_AFTER);
                crashing.carry_on_removals().await
            };
            let ended = handle.run(removing).await;
            let over = handle.calls() <= at;
            // Another node goes on.
            let other = node(&model).await;
            other.keep_estates(vec![Arc::new(Shelf::default())]);
            match other.find("ada").await {
                Ok(user) => {
                    assert!(!matches!(ended, Some(Ok(_))), "{fault:?} at {at}: said to be done");
                    assert_eq!(
                        other.sessions(&user, None).await.unwrap().len(),
                        3,
                        "{fault:?} at {at}: all or nothing"
                    );
                    assert_eq!(other.app_passwords(user.id).await.unwrap().len(), 1);
                    other.remove_user(&root.user, "ada").await.unwrap();
                }
                Err(error) => assert!(matches!(error, AccountError::NoSuchUser { .. }), "{error}"),
            }
            until_ended(&model, &other).await;
            assert_eq!(left_of(&model, &ada), Vec::<String>::new(), "{fault:?} at {at}");
            if over {
                break;
            }
        }
    }
}

#[tokio::test]
async fn every_act_is_in_the_log_and_no_secret_is() {
    let (model, accounts, root) = set_up().await;
    accounts.keep_estates(vec![]);
    let ada = full_account(&accounts, &root.user).await;
    let link = accounts.make_reset_link(&root.user, "ada").await.unwrap();
    accounts.reset_password(link.as_str(), "another password", from("10.0.0.5")).await.unwrap();
    accounts.disable(&root.user, "ada").await.unwrap();
    accounts.remove_user(&root.user, "ada").await.unwrap();
    let all = accounts.audit(&root.user, None, None, 0).await.unwrap();
    let actions: BTreeSet<&str> = all.items.iter().map(|line| line.action.as_str()).collect();
    for action in [
        "set up",
        "user made",
        "sign-in",
        "app password made",
        "reset link made",
        "password reset",
        "user changed",
        "account removed",
    ] {
        assert!(actions.contains(action), "{action}: {actions:?}");
    }
    let reset = all.items.iter().find(|line| line.action == "password reset").unwrap();
    assert_eq!((reset.actor, reset.subject, reset.address.as_str()), (None, Some(ada.id), "10.0.0.5"));
    // In pages, the latest first, and of one user alone.
    let (mut paged, mut cursor) = (Vec::new(), None);
    loop {
        let page = accounts.audit(&root.user, None, cursor.as_deref(), 3).await.unwrap();
        paged.extend(page.items);
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(paged, all.items);
    assert_eq!(paged[0].action, "account removed");
    assert!(accounts.audit(&root.user, None, Some("zz"), 3).await.is_err());
    let own = accounts.activity(&ada, None, 0).await.unwrap();
    assert!(
        own.items.len() >= 6 && own.items.iter().all(|line| line.actor == Some(ada.id) || line.subject == Some(ada.id))
    );
    let about = accounts.audit(&root.user, Some("ada"), None, 0).await.unwrap();
    assert!(about.items.len() >= own.items.len());
    // Guessing fills no log.
    let lines = model.count("accounts", "audit");
    for n in 0..200 {
        let _ = accounts.sign_in("root", "guess", from("10.6.6.6")).await;
        let _ = accounts.sign_in(&format!("x{n}"), "guess", from("10.6.6.6")).await;
    }
    // One for the name, one for the network.
    assert_eq!(model.count("accounts", "audit"), lines + 2);
    let blocked = accounts.audit(&root.user, None, None, 2).await.unwrap().items;
    assert_eq!(blocked[0].detail, "too many tries from this network");
    assert_eq!((blocked[1].detail.as_str(), blocked[1].subject), ("too many tries for root", Some(root.user.id)));
    // It is kept as long as was decided.
    accounts.set_policy(&root.user, Policy { audit_days: 1, ..Policy::default() }).await.unwrap();
    accounts.disable(&root.user, "root").await.unwrap_err();
    accounts.create_user(&root.user, new_user("bob", Role::User)).await.unwrap();
    let lines = model.count("accounts", "audit");
    model.advance(Duration::from_secs(25 * 3600));
    model.expire();
    assert!(model.count("accounts", "audit") < lines);
}
