//! A run: a cluster, clients, one storm after the other, a calm, and the reckoning.

use crate::args::{Args, Phase};
use crate::clients::{Client, Way};
use crate::cluster::Cluster;
use crate::fault::Kind;
use crate::last_reads;
use crate::load::Load;
use crate::record::Recorder;
use crate::schedule::{Schedule, Storm};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// What came of it, beside the history.
#[derive(Default)]
pub struct Findings {
    /// Faults, by kind.
    pub faults: BTreeMap<&'static str, u32>,
    /// How long the cluster took to be whole, each time.
    pub recoveries: Vec<Duration>,
    /// Acknowledged writes between one fault and the next, where all nodes were killed.
    pub between: Vec<usize>,
    /// Times that a node ended by itself.
    pub ended: u32,
    /// What is wrong, beyond what the judge will say.
    pub complaints: Vec<String>,
}

/// Does everything but judge.
pub fn run(args: &Args, seed: u64, work: &Path, recorder: &Arc<Recorder>) -> Result<Findings, String> {
    let runtime = Runtime::new().map_err(|error| error.to_string())?;
    // The first process of a namespace gets no signal that it does not ask for.
    runtime.spawn(async {
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
    let begun = Instant::now();
    let mut cluster = Cluster::start(work, args.nodes, &args.binary, args.on_zookeeper(), runtime.handle().clone())?;
    println!("{} nodes serve after {:.1} s", args.nodes, begun.elapsed().as_secs_f64());
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for id in 0..args.clients {
        let (gateways, token) = (cluster.gateways(id as usize), cluster.token());
        // Of each four: one that is tied to a gateway, one that gives up soon.
        let way = Way { gateways, token, pinned: id % 4 == 1, hasty: id % 4 == 2 };
        let remote = runtime.block_on(way.connect()).map_err(|error| format!("client {id}: {error}"))?;
        let client = Client { id, way, remote, recorder: recorder.clone() };
        clients.push(runtime.spawn(client.work(Load::new(seed, id), stop.clone())));
    }
    let mut findings = Findings::default();
    recorder.rest();
    let mut raged = Ok(());
    for (place, phase) in args.phases().iter().enumerate() {
        let seed = seed.wrapping_add(place as u64);
        raged = raged.and_then(|()| storms(phase, seed, args.nodes, &mut cluster, recorder, &mut findings));
    }
    // Clients go on for a while with a cluster that nothing ails.
    let before = recorder.acknowledged();
    std::thread::sleep(Duration::from_secs(2));
    let mended = Instant::now();
    while raged.is_ok() && recorder.acknowledged() == before {
        if mended.elapsed() > Duration::from_secs(60) {
            findings.complaints.push("nothing was acknowledged in a minute after everything was mended".into());
            break;
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        runtime.block_on(client).map_err(|error| format!("a client: {error}"))?;
    }
    let reckoned = raged.and_then(|()| look(&mut cluster, &runtime, recorder));
    findings.complaints.extend(reckoned.err());
    findings.complaints.append(&mut cluster.complaints);
    for node in &cluster.nodes {
        findings.ended += node.ended_by_itself;
        findings.complaints.extend(node.panics().into_iter().map(|line| format!("node {}: {line}", node.number)));
    }
    Ok(findings)
}

/// Is everything there, through every gateway?
fn look(cluster: &mut Cluster, runtime: &Runtime, recorder: &Arc<Recorder>) -> Result<(), String> {
    let gateways: Vec<Way> = (0..cluster.nodes.len())
        .map(|first| Way { gateways: cluster.gateways(first), token: cluster.token(), pinned: true, hasty: false })
        .collect();
    println!("reading everything through every gateway");
    runtime.block_on(last_reads::read_all(&gateways, recorder))?;
    cluster.verify()
}

/// Storms, for as long as the phase lasts; afterwards the cluster is whole.
fn storms(
    phase: &Phase,
    seed: u64,
    nodes: u16,
    cluster: &mut Cluster,
    recorder: &Recorder,
    findings: &mut Findings,
) -> Result<(), String> {
    let mut schedule = Schedule::new(seed, nodes, &phase.kinds);
    let names: Vec<&str> = phase.kinds.iter().map(|kind| kind.name()).collect();
    println!("for {:.1} minutes: {}", phase.lasts.as_secs_f64() / 60.0, names.join(", "));
    let begun = Instant::now();
    while begun.elapsed() < phase.lasts && !phase.kinds.is_empty() {
        let storm = schedule.storm();
        let before = recorder.acknowledged();
        rage(&storm, begun, cluster, findings)?;
        if storm.calm_after {
            calm(begun, cluster, findings)?;
        }
        if phase.kinds == [Kind::AllAtOnce] {
            findings.between.push(recorder.acknowledged() - before);
        }
    }
    calm(begun, cluster, findings)
}

/// Begins and ends each fault at its time.
fn rage(storm: &Storm, begun: Instant, cluster: &mut Cluster, findings: &mut Findings) -> Result<(), String> {
    let mut moments: Vec<(Duration, bool, usize)> = Vec::new();
    for (place, fault) in storm.faults.iter().enumerate() {
        moments.push((fault.at, false, place));
        moments.push((fault.at + fault.lasts, true, place));
    }
    // What ends frees its nodes for what begins at the same time.
    moments.sort_by_key(|(at, ends, place)| (*at, !*ends, *place));
    let start = Instant::now();
    for (at, ends, place) in moments {
        std::thread::sleep((start + at).saturating_duration_since(Instant::now()));
        let fault = &storm.faults[place];
        if ends {
            cluster.end(&fault.act).map_err(|why| format!("mending {fault}: {why}"))?;
        } else {
            println!("{:7.1} s  {fault}", begun.elapsed().as_secs_f64());
            *findings.faults.entry(fault.kind.name()).or_default() += 1;
            cluster.begin(&fault.act).map_err(|why| format!("{fault}: {why}"))?;
        }
    }
    Ok(())
}

fn calm(begun: Instant, cluster: &mut Cluster, findings: &mut Findings) -> Result<(), String> {
    let took = cluster.wait_whole()?;
    println!("{:7.1} s  whole after {:.1} s", begun.elapsed().as_secs_f64(), took.as_secs_f64());
    findings.recoveries.push(took);
    Ok(())
}
