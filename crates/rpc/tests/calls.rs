//! Calls and notifications between ends that behave, over real sockets.
#![allow(clippy::unwrap_used, reason = "tests may fail")]

mod common;
use atoll_rpc::{Body, Code, Connection, Pool, RpcError, ServerConfig, codec};
use bytes::Bytes;
use common::*;
use std::time::Duration;
use types::{Action, Classify, limits::FRAME_BYTES_MAX};

#[tokio::test(flavor = "multi_thread")]
async fn thousands_of_calls_share_a_connection_and_each_gets_its_own_reply() {
    let (server, address, handler) = start(server_config()).await;
    let pool = Pool::new(client_config());
    let calls = (0..10_000u32).map(|n| {
        let (pool, address) = (pool.clone(), address.clone());
        tokio::spawn(async move {
            let mut body = vec![(n % 16) as u8];
            body.extend_from_slice(&n.to_be_bytes());
            body.resize(5 + (n as usize * 7919) % 3000, n as u8);
            let method = if n % 3 == 0 { ECHO_LATER } else { ECHO };
            assert_eq!(pool.call(&address, method, body.clone(), LONG).await.unwrap(), body);
        })
    });
    for call in calls.collect::<Vec<_>>() {
        call.await.unwrap();
    }
    assert_eq!(server.connections(), 1);
    let callers = handler.callers.lock().clone();
    assert_eq!(callers.len(), 1);
    assert_eq!((callers[0].node, callers[0].protocol), (Some(replica(2)), atoll_rpc::PROTOCOLS.1));
    assert_eq!(pool.peer(&address).await.unwrap().node, Some(replica(1)));
}

#[tokio::test(flavor = "multi_thread")]
async fn notifications_arrive_in_the_order_sent_however_large() {
    let (_server, address, handler) = start(server_config()).await;
    let pool = Pool::new(client_config());
    let mut sent = Vec::new();
    for n in 0..20_000u32 {
        let mut body = n.to_be_bytes().to_vec();
        if n % 500 == 0 {
            body.resize(300_000, 7);
        }
        let body = Bytes::from(body);
        // The first ones are queued before there is a connection.
        pool.notify(&address, REMEMBER, body.clone()).unwrap();
        sent.push(body);
        if n % 1000 == 0 {
            pool.call(&address, ECHO, Bytes::new(), LONG).await.unwrap();
            assert_eq!(handler.remembered.lock().len(), sent.len(), "a call overtook a notification");
        }
    }
    until("all have arrived", || handler.remembered.lock().len() == sent.len()).await;
    assert!(*handler.remembered.lock() == sent);
}

#[tokio::test]
async fn bodies_of_two_parts_arrive_as_one() {
    let (_server, address, _handler) = start(server_config()).await;
    let connection = Connection::connect(&address, &client_config()).await.unwrap();
    let payload = Bytes::from((0..4u32 << 20).map(|n| n as u8).collect::<Vec<u8>>());
    let head = codec::encode(&("block", 5u8));
    let reply = connection.call(ECHO, (head, payload.clone()), LONG).await.unwrap();
    let (read, rest) = codec::decode_head::<(String, u8)>(&reply).unwrap();
    assert_eq!((read, rest), (("block".to_string(), 5), payload));

    for len in [0u32, 1, 100, 8192, 65_536, 1 << 20, (FRAME_BYTES_MAX - 11) as u32] {
        let reply = connection.call(GIVE, len.to_be_bytes().to_vec(), LONG).await.unwrap();
        let head = len as usize / 3;
        assert_eq!(reply.len(), len as usize);
        assert!(reply[..head].iter().all(|byte| *byte == 1) && reply[head..].iter().all(|byte| *byte == 2));
    }
}

#[tokio::test]
async fn what_does_not_fit_in_a_frame_is_refused() {
    let (_server, address, _handler) = start(server_config()).await;
    let connection = Connection::connect(&address, &client_config()).await.unwrap();
    let max = FRAME_BYTES_MAX - 11;
    let error = connection.call(ECHO, vec![0; max + 1], LONG).await.unwrap_err();
    assert_eq!(error, RpcError::TooLarge { bytes: max + 1, max });
    let body = Body { head: vec![0; max].into(), payload: vec![0; 1].into() };
    assert!(matches!(connection.notify(REMEMBER, body), Err(RpcError::TooLarge { .. })));
    let reply = connection.call(GIVE, (max as u32 + 1).to_be_bytes().to_vec(), LONG).await.unwrap_err();
    assert!(matches!(reply, RpcError::Remote(status) if status.code == Code::Internal));
    connection.call(ECHO, Bytes::new(), LONG).await.expect("the connection is as good as before");
}

#[tokio::test]
async fn a_status_arrives_whole_and_panics_do_not_kill_the_server() {
    let (server, address, _handler) = start(server_config()).await;
    let pool = Pool::new(client_config());
    let detail = Bytes::from_static(b"why");
    match pool.call(&address, REFUSE, detail.clone(), LONG).await.unwrap_err() {
        RpcError::Remote(status) => {
            assert_eq!((status.code, &*status.message, status.detail), (Code::Refused, "as was asked", detail));
        }
        other => panic!("{other:?}"),
    }
    for method in [PANIC, PANIC_LATER] {
        let error = pool.call(&address, method, Bytes::new(), LONG).await.unwrap_err();
        assert_eq!(error.action(), Action::Unknown);
        assert!(matches!(error, RpcError::Remote(status) if status.code == Code::Internal));
    }
    pool.call(&address, ECHO, Bytes::new(), LONG).await.unwrap();

    // A notification has no reply to say so: the connection ends, the server stays.
    let before = pool.connection(&address).unwrap();
    pool.notify(&address, 99, Bytes::new()).unwrap();
    before.closed().await;
    pool.call(&address, ECHO, Bytes::new(), LONG).await.unwrap();
    until("the broken connection is gone", || server.connections() == 1).await;
}

/// Calls that wait for a notification behind them must not keep it from being
/// read, however many calls there are.
#[tokio::test]
async fn a_server_with_its_hands_full_refuses_calls_and_takes_notifications() {
    let (_server, address, _handler) = start(ServerConfig { calls_max: 3, ..server_config() }).await;
    let connection = Connection::connect(&address, &client_config()).await.unwrap();
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let connection = connection.clone();
            tokio::spawn(async move {
                // Refused while one of the calls below still counts.
                while let Err(error) = connection.call(WAIT, Bytes::new(), LONG).await {
                    assert_eq!(error.action(), Action::Retry);
                }
            })
        })
        .collect();
    let refused = loop {
        match connection.call(ECHO, Bytes::new(), LONG).await {
            Ok(_) => tokio::task::yield_now().await, // the others are not all there yet
            Err(error) => break error,
        }
    };
    assert_eq!(refused.action(), Action::Retry);
    assert!(matches!(refused, RpcError::Remote(status) if status.code == Code::Busy));
    for _ in 0..3 {
        connection.notify(RELEASE, Bytes::new()).unwrap();
    }
    for call in waiting {
        call.await.unwrap();
    }
    connection.call(ECHO, Bytes::new(), LONG).await.unwrap();
}

#[tokio::test]
async fn bytes_of_running_calls_are_bounded_too() {
    let (_server, address, _handler) = start(ServerConfig { call_bytes_max: 1000, ..server_config() }).await;
    let connection = Connection::connect(&address, &client_config()).await.unwrap();
    connection.call(ECHO, vec![0; 5000], LONG).await.expect("one alone may be larger");
    let calls = futures::future::join_all((0..2).map(|_| connection.call(WAIT, vec![0; 600], LONG)));
    let release = async {
        connection.call(ECHO, Bytes::new(), LONG).await.unwrap();
        connection.notify(RELEASE, Bytes::new()).unwrap();
    };
    let (results, ()) = tokio::join!(calls, release);
    assert!(results[0].is_ok());
    assert_eq!(results[1].as_ref().unwrap_err().action(), Action::Retry);
}

#[tokio::test]
async fn calls_end_in_time_and_give_their_places_up() {
    let (_server, address, _handler) = start(server_config()).await;
    let config = atoll_rpc::ClientConfig { calls_max: 1, ..client_config() };
    let connection = Connection::connect(&address, &config).await.unwrap();
    let short = Duration::from_millis(50);
    let error = connection.call(NEVER, Bytes::new(), short).await.unwrap_err();
    assert!(matches!(error, RpcError::Lost(_)), "{error:?}");
    {
        let never = connection.call(NEVER, Bytes::new(), LONG);
        tokio::pin!(never);
        assert!(futures::poll!(never.as_mut()).is_pending());
        let error = connection.call(ECHO, Bytes::new(), short).await.unwrap_err();
        assert!(matches!(error, RpcError::NotSent(_)), "no place was free: {error:?}");
    }
    connection.call(ECHO, Bytes::new(), LONG).await.expect("dropping the future frees its place");
}

#[tokio::test]
async fn a_gentle_stop_answers_what_runs_and_refuses_what_comes() {
    let (server, address, _handler) = start(server_config()).await;
    let pool = Pool::new(client_config());
    let connection = pool.connection(&address).unwrap();
    let running = {
        let connection = connection.clone();
        tokio::spawn(async move { connection.call(WAIT, Bytes::from_static(b"x"), LONG).await })
    };
    connection.call(ECHO, Bytes::new(), LONG).await.unwrap();
    let stopping = tokio::spawn(server.shutdown(LONG));
    let refused = loop {
        match connection.call(ECHO, Bytes::new(), LONG).await {
            Ok(_) => tokio::task::yield_now().await,
            Err(error) => break error,
        }
    };
    assert_eq!(refused.action(), Action::Retry, "{refused:?}");
    connection.notify(RELEASE, Bytes::new()).unwrap();
    assert_eq!(running.await.unwrap().unwrap(), &b"x"[..]);
    assert!(stopping.await.unwrap());
    connection.closed().await;
    assert!(matches!(pool.call(&address, ECHO, Bytes::new(), LONG).await, Err(RpcError::NotSent(_))));
}

#[tokio::test]
async fn a_stop_does_not_wait_for_ever_and_a_dropped_server_is_gone() {
    let (server, address, _handler) = start(server_config()).await;
    let connection = Connection::connect(&address, &client_config()).await.unwrap();
    let (never, all_answered) = tokio::join!(connection.call(NEVER, Bytes::new(), LONG), async {
        connection.call(ECHO, Bytes::new(), LONG).await.unwrap();
        server.shutdown(Duration::from_millis(50)).await
    });
    assert!(!all_answered);
    assert!(matches!(never, Err(RpcError::Lost(_))), "{never:?}");
}
