//! Mail that accounts order: to whom it goes, how often, and what is left of it whatever crashes.

use crate::model::{Fault, Handle, Model};
use crate::people::{PASSWORD, from, new_user, node, on, set_up};
use async_trait::async_trait;
use atoll_apps::accounts::{
    HOUR, Letter, Mailer, Message, NewRelay, RESETS_MAX, RecoveryState, Relay, RelayTls, Undelivered,
};
use atoll_apps::{AccountError, Accounts, Device, Role, User};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::Duration;

const NEW: &str = "another horse";

/// Mails as they arrive; or the relay's refusal.
#[derive(Default)]
struct Inbox {
    mails: Mutex<Vec<Letter>>,
    refusal: Mutex<Option<Undelivered>>,
    tries: Mutex<usize>,
}

#[async_trait]
impl Mailer for Inbox {
    async fn send(&self, relay: &Relay, letter: &Letter) -> Result<(), Undelivered> {
        assert_eq!((relay.password.as_str(), relay.site.as_str()), ("open", "https://cloud.example"));
        *self.tries.lock() += 1;
        match self.refusal.lock().clone() {
            Some(refusal) => Err(refusal),
            None => {
                self.mails.lock().push(letter.clone());
                Ok(())
            }
        }
    }
}

impl Inbox {
    fn refuse(&self, why: &str, for_good: bool) {
        *self.refusal.lock() = Some(Undelivered { why: why.into(), for_good });
    }

    /// What has come since, and to where.
    fn take(&self) -> Vec<(String, Message)> {
        self.mails.lock().drain(..).map(|letter| (letter.to, letter.message)).collect()
    }

    /// The secret of the only mail, which went there.
    fn secret(&self, to: &str) -> String {
        let mails = self.take();
        match &mails[..] {
            [(there, Message::Reset(secret) | Message::Confirm(secret))] if there == to => secret.as_str().to_string(),
            other => panic!("{other:?}"),
        }
    }
}

fn relay() -> NewRelay {
    NewRelay {
        host: "relay.example".into(),
        port: 465,
        tls: RelayTls::Implicit,
        user: "cloud".into(),
        password: Some("open".into()),
        from: "Cloud <cloud@relay.example>".into(),
        site: "https://cloud.example/".into(),
    }
}

/// As every node does at its start.
fn sends(accounts: &Accounts, inbox: &Arc<Inbox>) {
    accounts.derive_secrets_from(&[7; 32]);
    accounts.send_by(inbox.clone());
}

async fn with_relay() -> (Arc<Model>, Accounts, Arc<Inbox>, User) {
    let (model, accounts, root) = set_up().await;
    let inbox = Arc::new(Inbox::default());
    sends(&accounts, &inbox);
    accounts.set_relay(&root.user, relay()).await.unwrap();
    (model, accounts, inbox, root.user)
}

async fn confirmed(accounts: &Accounts, inbox: &Inbox, by: &User, name: &str, address: &str) -> User {
    let user = accounts.create_user(by, new_user(name, Role::User)).await.unwrap();
    accounts.set_recovery(&user, PASSWORD, address, "en").await.unwrap();
    accounts.carry_orders().await.unwrap();
    let secret = inbox.secret(address);
    accounts.confirm_recovery(&secret, Device::default(), "en").await.unwrap();
    user
}

async fn forgot(accounts: &Accounts, who: &str) {
    accounts.forgot_password(who, &Device::default(), "en").await.unwrap();
    accounts.carry_orders().await.unwrap();
}

/// Rows of these tables.
fn rows(model: &Model, tables: &[&str]) -> usize {
    let ids: Vec<_> = tables.iter().map(|name| model.table("accounts", name)).collect();
    model.values().into_iter().filter(|(key, _)| ids.contains(&Some(key.table))).count()
}

#[tokio::test]
async fn a_forgotten_password_is_set_anew_by_mail() {
    let (model, accounts, inbox, root) = with_relay().await;
    let ada = confirmed(&accounts, &inbox, &root, "ada", "Ada@Example.org").await;
    let session = accounts.sign_in("ada", PASSWORD, Device::default()).await.unwrap();
    for who in ["ada", " ADA ", "ada@example.ORG"] {
        forgot(&accounts, who).await;
        let secret = inbox.secret("Ada@Example.org");
        if who != "ada@example.ORG" {
            continue;
        }
        // Until it is used, nothing has changed.
        assert!(accounts.authenticate(session.token.as_str()).await.is_ok());
        accounts.reset_password(&secret, NEW, Device::default()).await.unwrap();
        let again = accounts.reset_password(&secret, PASSWORD, Device::default()).await;
        assert_eq!(again, Err(AccountError::WrongLink), "once");
    }
    assert!(node(&model).await.authenticate(session.token.as_str()).await.is_err(), "sessions end");
    assert!(accounts.sign_in("ada", PASSWORD, Device::default()).await.is_err());
    accounts.sign_in("ada", NEW, Device::default()).await.unwrap();
    let log = accounts.audit(&root, Some("ada"), None, 50).await.unwrap().items;
    let told: Vec<&str> = log.iter().map(|line| line.action.as_str()).collect();
    for action in ["recovery address asked for", "recovery address confirmed", "reset link mailed", "password reset"] {
        assert!(told.contains(&action), "{action}: {told:?}");
    }
    assert_eq!(
        accounts.recovery(ada.id).await.unwrap().address.map(|(address, _)| address).as_deref(),
        Some("Ada@Example.org")
    );
    assert_eq!(rows(&model, &["mail_orders"]), 0, "nothing waits");
}

#[tokio::test]
async fn a_link_is_good_for_an_hour_whatever_becomes_of_later_ones() {
    let (model, accounts, inbox, root) = with_relay().await;
    confirmed(&accounts, &inbox, &root, "ada", "ada@x").await;
    forgot(&accounts, "ada").await;
    let first = inbox.secret("ada@x");
    forgot(&accounts, "ada").await;
    let second = inbox.secret("ada@x");
    // One that never arrives takes nothing away.
    inbox.refuse("550 not today", true);
    forgot(&accounts, "ada").await;
    *inbox.refusal.lock() = None;
    assert!(accounts.check_link(&first).await.is_ok() && accounts.check_link(&second).await.is_ok());
    model.advance(HOUR);
    assert_eq!(accounts.check_link(&first).await, Err(AccountError::WrongLink));
    assert_eq!(accounts.check_link(&second).await, Err(AccountError::WrongLink));
    // Another address, another mailbox: what went to the first is over.
    forgot(&accounts, "ada").await;
    let third = inbox.secret("ada@x");
    let ada = accounts.find("ada").await.unwrap();
    // Nor does its owner go untold because it was asked to be confirmed once more.
    accounts.set_recovery(&ada, PASSWORD, "ada@x", "en").await.unwrap();
    accounts.carry_orders().await.unwrap();
    inbox.take();
    accounts.remove_recovery(&ada, PASSWORD, "en").await.unwrap();
    assert_eq!(accounts.check_link(&third).await, Err(AccountError::WrongLink));
    accounts.carry_orders().await.unwrap();
    assert!(matches!(&inbox.take()[..], [(to, Message::Changed)] if to == "ada@x"), "its owner is told");
    forgot(&accounts, "ada").await;
    assert!(inbox.take().is_empty());
}

#[tokio::test]
async fn nobody_is_flooded_and_nobody_is_locked_out() {
    let (model, accounts, inbox, root) = with_relay().await;
    confirmed(&accounts, &inbox, &root, "ada", "ada@x").await;
    for n in 0..40 {
        let device = from(&format!("10.0.0.{n}"));
        accounts.forgot_password("ada", &device, "en").await.unwrap();
        accounts.carry_orders().await.unwrap();
    }
    let mut mails = inbox.take();
    assert_eq!(mails.len(), RESETS_MAX);
    // The last that came works, and so does the password.
    let Some((_, Message::Reset(secret))) = mails.pop() else { panic!() };
    assert!(accounts.check_link(secret.as_str()).await.is_ok());
    accounts.sign_in("ada", PASSWORD, Device::default()).await.unwrap();
    model.advance(HOUR);
    forgot(&accounts, "ada").await;
    inbox.secret("ada@x");
    // One network does not ask without end, whatever for.
    let device = from("10.1.0.1");
    let mut refused = 0;
    for n in 0..100 {
        let asked = accounts.forgot_password(&format!("nobody{n}"), &device, "en").await;
        refused += usize::from(matches!(asked, Err(AccountError::TooManyTries { .. })));
    }
    assert_eq!(refused, 40);
    accounts.forgot_password("ada", &from("10.1.0.2"), "en").await.unwrap();
    accounts.carry_orders().await.unwrap();
    assert_eq!((inbox.take().len(), rows(&model, &["mail_orders"])), (1, 0));
    // Nor does anybody have strangers mailed.
    let eve = accounts.create_user(&root, new_user("eve", Role::User)).await.unwrap();
    let mut asked = 0;
    for n in 0..10 {
        asked += usize::from(accounts.set_recovery(&eve, PASSWORD, &format!("stranger{n}@x"), "en").await.is_ok());
    }
    assert_eq!(asked, 5);
}

#[tokio::test]
async fn mail_goes_to_confirmed_addresses_of_those_who_may_sign_in() {
    let (model, accounts, inbox, root) = with_relay().await;
    let ada = confirmed(&accounts, &inbox, &root, "ada", "ada@x").await;
    // Asked for, not confirmed: the one before holds.
    accounts.set_recovery(&ada, PASSWORD, "eve@x", "en").await.unwrap();
    accounts.carry_orders().await.unwrap();
    let secret = inbox.secret("eve@x");
    forgot(&accounts, "ada").await;
    inbox.secret("ada@x");
    for who in ["eve@x", "nobody", "nobody@x", "\u{e4}", "a b"] {
        forgot(&accounts, who).await;
        assert!(inbox.take().is_empty(), "{who}");
    }
    // Only the newest link confirms, for a day, and only what was asked for last.
    accounts.set_recovery(&ada, PASSWORD, "new@x", "en").await.unwrap();
    accounts.carry_orders().await.unwrap();
    let newest = inbox.secret("new@x");
    let old = accounts.confirm_recovery(&secret, Device::default(), "en").await;
    assert_eq!(old, Err(AccountError::WrongLink));
    accounts.confirm_recovery(&newest, Device::default(), "en").await.unwrap();
    assert_eq!(accounts.confirm_recovery(&newest, Device::default(), "en").await, Err(AccountError::WrongLink));
    accounts.carry_orders().await.unwrap();
    assert!(matches!(&inbox.take()[..], [(to, Message::Changed)] if to == "ada@x"));
    forgot(&accounts, "ada@x").await;
    assert!(inbox.take().is_empty(), "an address that was");
    // Wrong passwords change nothing.
    let wrong = accounts.set_recovery(&ada, "wrong", "eve@x", "en").await;
    assert_eq!(wrong, Err(AccountError::WrongCredentials));
    assert_eq!(accounts.remove_recovery(&ada, "wrong", "en").await, Err(AccountError::WrongCredentials));
    // Who is barred, or gone, gets nothing; a link that was sent before is over.
    forgot(&accounts, "ada").await;
    let secret = inbox.secret("new@x");
    accounts.disable(&root, "ada").await.unwrap();
    assert_eq!(accounts.check_link(&secret).await, Err(AccountError::WrongLink));
    forgot(&accounts, "new@x").await;
    assert!(inbox.take().is_empty());
    accounts.remove_user(&root, "ada").await.unwrap();
    assert_eq!(rows(&model, &["recovery", "addresses"]), 0);
}

#[tokio::test]
async fn an_address_may_be_that_of_a_few_accounts() {
    let (_, accounts, inbox, root) = with_relay().await;
    for n in 0..5 {
        confirmed(
            &accounts,
            &inbox,
            &root,
            &format!("user{n}"),
            &format!("{}@x", if n % 2 == 0 { "All" } else { "all" }),
        )
        .await;
    }
    forgot(&accounts, "ALL@x").await;
    assert_eq!(inbox.take().len(), 5, "each is told by name");
    let more = accounts.create_user(&root, new_user("more", Role::User)).await.unwrap();
    let model_hour_is_over = accounts.set_recovery(&more, PASSWORD, "all@x", "en").await;
    assert!(matches!(model_hour_is_over, Err(AccountError::TooManyTries { .. })), "one inbox, in an hour");
}

#[tokio::test]
async fn a_relay_that_is_away_is_tried_for_some_minutes() {
    let (model, accounts, inbox, root) = with_relay().await;
    confirmed(&accounts, &inbox, &root, "ada", "ada@x").await;
    *inbox.tries.lock() = 0;
    inbox.refuse("away", false);
    forgot(&accounts, "ada").await;
    assert_eq!(*inbox.tries.lock(), 1);
    accounts.carry_orders().await.unwrap();
    assert_eq!(*inbox.tries.lock(), 1, "not without end");
    let (_, status) = accounts.relay(&root).await.unwrap().unwrap();
    assert_eq!((status.waiting, status.failed.map(|(_, why)| why).as_deref()), (1, Some("away")));
    model.advance(Duration::from_secs(11));
    *inbox.refusal.lock() = None;
    accounts.carry_orders().await.unwrap();
    let secret = inbox.secret("ada@x");
    assert!(accounts.check_link(&secret).await.is_ok(), "the link that came");
    assert_eq!(accounts.relay(&root).await.unwrap().unwrap().1.waiting, 0);
    // Away for long: given up, and told of.
    inbox.refuse("away for long", false);
    *inbox.tries.lock() = 0;
    forgot(&accounts, "ada").await;
    for _ in 0..200 {
        model.advance(Duration::from_secs(10));
        accounts.carry_orders().await.unwrap();
    }
    let tries = *inbox.tries.lock();
    assert!((5..10).contains(&tries), "{tries}");
    assert_eq!(rows(&model, &["mail_orders"]), 0);
    // Refused for good: once.
    inbox.refuse("550 no such user", true);
    *inbox.tries.lock() = 0;
    forgot(&accounts, "ada").await;
    assert_eq!((*inbox.tries.lock(), rows(&model, &["mail_orders"])), (1, 0));
    let test = accounts.test_relay(&root, "root@x", "en").await;
    assert_eq!(test, Err(AccountError::MailNotSent { why: "550 no such user".into() }));
}

#[tokio::test]
async fn the_relay_is_administrators_and_its_password_nobodys() {
    let (model, accounts, inbox, root) = with_relay().await;
    let ada = accounts.create_user(&root, new_user("ada", Role::User)).await.unwrap();
    let forbidden = |result: Result<(), AccountError>| assert!(matches!(result, Err(AccountError::Forbidden { .. })));
    forbidden(accounts.relay(&ada).await.map(drop));
    forbidden(accounts.set_relay(&ada, relay()).await);
    forbidden(accounts.forget_relay(&ada).await);
    forbidden(accounts.test_relay(&ada, "a@x", "en").await);
    let open = model.values().into_iter().any(|(_, value)| value.windows(4).any(|window| window == b"open"));
    assert!(!open, "the password is not to be read in the store");
    assert_eq!(accounts.relay(&root).await.unwrap().unwrap().0.password, "");
    // It stays for the same user at the same place, and goes nowhere else.
    let kept = |change: fn(&mut NewRelay)| {
        let mut new = NewRelay { password: None, ..relay() };
        change(&mut new);
        new
    };
    accounts.set_relay(&root, kept(|new| new.from = "other@x".into())).await.unwrap();
    accounts.test_relay(&root, "root@x", "en").await.unwrap();
    assert_eq!(inbox.take().len(), 1);
    let elsewhere: [fn(&mut NewRelay); 4] = [
        |new| new.host = "evil.example".into(),
        |new| new.port = 25,
        |new| new.tls = RelayTls::StartTls,
        |new| new.user = "eve".into(),
    ];
    for change in elsewhere {
        let set = accounts.set_relay(&root, kept(change)).await;
        assert_eq!(set, Err(AccountError::Invalid("the relay's password is needed")));
    }
    accounts.forget_relay(&root).await.unwrap();
    let off = accounts.forgot_password("ada", &Device::default(), "en").await;
    assert_eq!(off, Err(AccountError::NoRelay));
    assert!(accounts.relay(&root).await.unwrap().is_none());
}

/// Whatever breaks at whichever call: another node carries on, the mail comes with a link that works, and nothing is left over.
#[tokio::test]
async fn a_crash_at_any_step_loses_no_mail_that_was_promised() {
    for fault in Fault::CRASHES.into_iter().chain(Fault::ERRORS) {
        for at in 0.. {
            let (model, accounts, inbox, root) = with_relay().await;
            confirmed(&accounts, &inbox, &root, "ada", "ada@x").await;
            let handle = Handle::new(&model, 0);
            let crashing = on(handle.clone()).await;
            sends(&crashing, &inbox);
            handle.plan(Some((at, fault)));
            let promised = Arc::new(Mutex::new(false));
            let promise = promised.clone();
            handle
                .run(async {
                    crashing.forgot_password("ada", &Device::default(), "en").await?;
                    *promise.lock() = true;
                    crashing.carry_orders().await
                })
                .await;
            let over = handle.calls() <= at;
            for _ in 0..3 {
                accounts.carry_orders().await.unwrap();
                model.advance(Duration::from_secs(100));
            }
            let mails = inbox.take();
            assert!(!*promised.lock() || !mails.is_empty(), "{fault:?} at {at}: promised, and not sent");
            assert!(mails.len() <= 2, "{fault:?} at {at}: {mails:?}");
            if let Some((_, Message::Reset(secret))) = mails.last() {
                accounts.reset_password(secret.as_str(), NEW, Device::default()).await.unwrap();
            }
            assert_eq!(rows(&model, &["mail_orders"]), 0, "{fault:?} at {at}");
            assert_eq!(accounts.relay(&root).await.unwrap().unwrap().1.waiting, 0, "{fault:?} at {at}");
            if over {
                break;
            }
        }
    }
}

/// The same of an address: it is the old one or the new one, as who confirmed it was told.
#[tokio::test]
async fn a_crash_at_any_step_leaves_one_address() {
    for fault in Fault::CRASHES.into_iter().chain(Fault::ERRORS) {
        for at in 0.. {
            let (model, accounts, inbox, root) = with_relay().await;
            let ada = confirmed(&accounts, &inbox, &root, "ada", "old@x").await;
            accounts.set_recovery(&ada, PASSWORD, "new@x", "en").await.unwrap();
            accounts.carry_orders().await.unwrap();
            let secret = inbox.secret("new@x");
            let handle = Handle::new(&model, 0);
            let crashing = on(handle.clone()).await;
            handle.plan(Some((at, fault)));
            let ended = handle.run(crashing.confirm_recovery(&secret, Device::default(), "en")).await;
            let over = handle.calls() <= at;
            let RecoveryState { address, pending } = accounts.recovery(ada.id).await.unwrap();
            let holds = address.map(|(address, _)| address).unwrap_or_default();
            match ended {
                Some(Ok(_)) => assert_eq!(holds, "new@x", "{fault:?} at {at}"),
                _ => assert!(holds == "old@x" || holds == "new@x", "{fault:?} at {at}: {holds}"),
            }
            assert_eq!(pending.is_some(), holds == "old@x", "{fault:?} at {at}");
            assert_eq!(rows(&model, &["recovery", "addresses"]), 2, "{fault:?} at {at}");
            accounts.carry_orders().await.unwrap();
            inbox.take();
            forgot(&accounts, &holds).await;
            inbox.secret(&holds);
            if over {
                break;
            }
        }
    }
}
