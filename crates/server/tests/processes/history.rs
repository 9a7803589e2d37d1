//! Clients write, compare-and-set and read while nodes are killed, paused and started; the
//! history must be linearizable and every acknowledged write must be there at the end.

use crate::demo::{Demo, long};
use bytes::Bytes;
use client::remote::{Remote, RemoteError, TableKey};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use simulator::history::{Call, History, Operation, Outcome, Reply, Value, check, with_final_reads};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use types::{Action, Classify, Consistency, TableKind, Test};

const KEYS: u32 = 100;
const CLIENTS: u64 = 10;
const TABLE: &str = "history";

fn seed() -> u64 {
    std::env::var("ATOLL_TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(20_261_121)
}

struct Recorder {
    history: Mutex<History>,
    start: Instant,
}

impl Recorder {
    fn now(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64
    }
}

fn value(text: String) -> Value {
    Value(Bytes::from(text))
}

async fn client(remote: Remote, id: u64, seed: u64, recorder: Arc<Recorder>, stop: Arc<AtomicBool>) -> (u64, u64) {
    let mut rng = StdRng::seed_from_u64(seed ^ (id << 32));
    let (mut acknowledged, mut unknown) = (0, 0);
    let mut count = 0u64;
    while !stop.load(Ordering::Relaxed) {
        count += 1;
        let name = format!("key-{:03}", rng.random_range(0..KEYS));
        let key = TableKey::new(TABLE, name.clone(), Bytes::new());
        let fresh = value(format!("{id}.{count}"));
        let choice = rng.random_range(0..10);
        // What to expect is read first, outside the recorded operation.
        let expected = if choice < 3 {
            match remote.get(&key, Consistency::Strong).await {
                Ok(item) => item.map(|item| Value(item.value)),
                Err(_) => continue,
            }
        } else {
            None
        };
        let call = match choice {
            0..3 => Call::CompareAndSet { expected: expected.clone(), new: fresh.clone() },
            3..6 => Call::Put { value: fresh.clone() },
            6 => Call::Delete,
            _ => Call::Get,
        };
        let ticket = recorder.history.lock().unwrap().invoke(id, name.clone(), call.clone(), recorder.now());
        let transaction = remote.transaction(name.clone());
        let result = match &call {
            Call::Get => remote
                .get(&key, Consistency::Strong)
                .await
                .map(|item| Reply::Read { found: item.map(|i| Value(i.value)) }),
            Call::Put { value: new } => {
                remote.transact(&transaction.put(TABLE, Bytes::new(), new.0.clone())).await.map(|_| Reply::Done)
            }
            Call::Delete => remote.transact(&transaction.delete(TABLE, Bytes::new())).await.map(|_| Reply::Done),
            Call::GetMany { .. } | Call::Transact { .. } => unreachable!("not asked for here"),
            Call::CompareAndSet { expected, new } => {
                let test = match expected {
                    Some(expected) => Test::ValueIs(expected.0.clone()),
                    None => Test::Absent,
                };
                let transaction = transaction.check(TABLE, Bytes::new(), test).put(TABLE, Bytes::new(), new.0.clone());
                match remote.transact(&transaction).await {
                    Ok(_) => Ok(Reply::Swapped),
                    Err(RemoteError::Refused(types::Refusal::Condition { .. })) => {
                        Ok(Reply::Mismatch { observed: None })
                    }
                    Err(error) => Err(error),
                }
            }
        };
        let outcome = match result {
            Ok(reply) => {
                acknowledged += u64::from(!matches!(call, Call::Get));
                Outcome::Ok(reply)
            }
            Err(error) if error.action() == Action::Unknown => {
                unknown += 1;
                Outcome::Unknown
            }
            Err(_) => Outcome::Refused,
        };
        recorder.history.lock().unwrap().settle(ticket, outcome, recorder.now());
    }
    (acknowledged, unknown)
}

#[test]
fn histories_are_linearizable_while_nodes_die_freeze_and_return() {
    let demo = Demo::start(3);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let seed = seed();
    println!("ATOLL_TEST_SEED={seed} repeats the clients' choices");
    let recorder = Arc::new(Recorder { history: Mutex::default(), start: Instant::now() });
    let stop = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = runtime.block_on(async {
        let remote = demo.remote(&[]).await;
        remote.create_table(TABLE, TableKind::Strong, true).await.unwrap();
        let mut clients = Vec::new();
        for id in 0..CLIENTS {
            // Each begins at another node.
            let first = (id % 3) as u16;
            let order = [first + 1, (first + 1) % 3 + 1, (first + 2) % 3 + 1];
            let remote = demo.remote(&order).await;
            clients.push(tokio::spawn(client(remote, id, seed, recorder.clone(), stop.clone())));
        }
        clients
    });

    let mut rng = StdRng::seed_from_u64(seed);
    let lasts = Duration::from_secs(if long() { 180 } else { 30 });
    let begun = Instant::now();
    let mut acts = Vec::new();
    while begun.elapsed() < lasts {
        let node = rng.random_range(1..=3).to_string();
        let (bad, good) = if rng.random_bool(0.6) { ("kill", "start") } else { ("pause", "resume") };
        demo.acted(&[bad, &node]);
        acts.push(format!("{bad} {node}"));
        std::thread::sleep(Duration::from_millis(rng.random_range(500..4000)));
        demo.acted(&[good, &node]);
        // Two at once are another test's business: wait until it serves again.
        demo.wait_whole(3);
    }
    stop.store(true, Ordering::Relaxed);
    let counts: Vec<(u64, u64)> =
        runtime.block_on(async { futures::future::join_all(clients).await }).into_iter().map(|r| r.unwrap()).collect();
    let acknowledged: u64 = counts.iter().map(|(acknowledged, _)| acknowledged).sum();
    let unknown: u64 = counts.iter().map(|(_, unknown)| unknown).sum();
    println!("{acknowledged} acknowledged writes, {unknown} unknown; {}", acts.join(", "));
    assert!(acknowledged > 500, "hardly anything was written");

    let final_state: BTreeMap<String, Value> = runtime.block_on(async {
        let remote = demo.remote(&[]).await;
        let mut state = BTreeMap::new();
        for key in 0..KEYS {
            let name = format!("key-{key:03}");
            let item =
                remote.get(&TableKey::new(TABLE, name.clone(), Bytes::new()), Consistency::Strong).await.unwrap();
            if let Some(item) = item {
                state.insert(name, Value(item.value));
            }
        }
        state
    });
    let history: Vec<Operation> = recorder.history.lock().unwrap().operations().to_vec();
    let whole = with_final_reads(&history, &final_state);
    if let Err(error) = check(&whole) {
        let path = std::env::temp_dir().join("atoll-history.jsonl");
        simulator::history::write_json_lines(std::fs::File::create(&path).unwrap(), &whole).unwrap();
        panic!("{error}\nthe whole history is in {}", path.display());
    }
}
