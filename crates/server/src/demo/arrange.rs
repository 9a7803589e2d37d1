//! What a demo will be, before anything runs: as many nodes as asked for, on ports that are free.

use super::state::DemoState;
use super::{child, leftovers, state};
use crate::failure::{Failure, Outcome};
use crate::ports;
use node::Backend;
use std::collections::BTreeSet;
use std::net::{IpAddr, TcpListener};
use std::path::Path;

/// Nodes of a demo when nobody says how many.
const NODES: u16 = 3;

/// The demo of the folder, old or new; written down.
pub async fn arrange(
    folder: &Path,
    nodes: Option<u16>,
    listen: IpAddr,
    fresh: bool,
    coordination: Option<&Backend>,
) -> Outcome<DemoState> {
    leftovers::refuse_foreign(folder)?;
    leftovers::end_processes(folder).await?;
    if fresh {
        leftovers::remove_data(folder)?;
    }
    let state = match DemoState::load(folder)? {
        Some(mut state) => {
            state.listen = listen;
            if let Some(asked) = coordination {
                state.coordinate(asked)?;
            }
            resume(&mut state, folder, nodes)?;
            state
        }
        None => DemoState {
            coordination: coordination.map(Backend::to_string),
            ..DemoState::new(listen, nodes.unwrap_or(NODES))?
        },
    };
    state.save(folder)?;
    Ok(state)
}

fn resume(state: &mut DemoState, folder: &Path, nodes: Option<u16>) -> Outcome {
    let count = state.nodes.len() as u16;
    if nodes.is_some_and(|wanted| wanted < count) {
        return Err(Failure::failed(format!("the demo in {} has {count} nodes", folder.display()))
            .safe("nothing was changed")
            .next("leave out --nodes, or begin again with --fresh, or elsewhere with --data DIR"));
    }
    for node in &mut state.nodes {
        node.joined &= child::data(folder, node.number).is_dir();
    }
    let mut taken: BTreeSet<u16> = BTreeSet::new();
    let is_free = |port: u16| TcpListener::bind((state.listen, port)).is_ok();
    // Members know each other by this port: another would leave them unable to meet.
    if let Some(node) = state.nodes.iter().find(|node| !is_free(node.node_port)) {
        return Err(Failure::failed(format!(
            "port {} of node {} is in use by another program",
            node.node_port, node.number
        ))
        .safe(format!("the demo's data is kept; nothing was started (ports are in {})", state::FILE))
        .next(format!("end that program (ss -ltnp 'sport = :{}'), or begin again with --fresh", node.node_port)));
    }
    let used: Vec<u16> = state.nodes.iter().map(|node| node.node_port).collect();
    taken.extend(used);
    let listen = state.listen;
    let mut again = |port: &mut u16| -> Outcome {
        let before = *port;
        *port = ports::find_free(listen, before, &mut taken)?;
        if *port != before {
            eprintln!("Port {before} is in use by another program; using {port} instead.");
        }
        Ok(())
    };
    again(&mut state.web_port)?;
    for node in &mut state.nodes {
        again(&mut node.web_port)?;
        again(&mut node.grpc_port)?;
        if node.s3_port == 0 {
            // Of a release that had no S3.
            node.s3_port = state::S3_PORT + node.number - 1;
        }
        again(&mut node.s3_port)?;
    }
    state.grow(nodes.unwrap_or(count), &mut taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_demo_comes_back_on_its_ports() {
        let folder = tempfile::tempdir().expect("folder");
        let ip = IpAddr::from([127, 0, 0, 1]);
        let first = arrange(folder.path(), Some(2), ip, false, None).await.expect("new");
        let again = arrange(folder.path(), None, ip, false, None).await.expect("old");
        assert_eq!(first, again);
        assert!(arrange(folder.path(), Some(1), ip, false, None).await.is_err(), "data would be orphaned");
        let grown = arrange(folder.path(), Some(3), ip, false, None).await.expect("grown");
        assert_eq!(&grown.nodes[..2], &first.nodes[..]);
        let moved = {
            let _busy = TcpListener::bind((ip, first.web_port)).expect("free");
            arrange(folder.path(), None, ip, false, None).await.expect("moved")
        };
        assert_ne!(moved.web_port, first.web_port);
        let _busy = TcpListener::bind((ip, first.nodes[0].node_port)).expect("free");
        assert!(arrange(folder.path(), None, ip, false, None).await.is_err());
    }
}
