//! Ports: taking those that were asked for, finding free ones for the demo.

use crate::failure::{Failure, Outcome};
use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};

/// Listens on a port that a person chose by `flag`; an error names both.
pub fn claim(ip: IpAddr, port: u16, flag: &str) -> Outcome<TcpListener> {
    let address = SocketAddr::new(ip, port);
    let explain = |error: io::Error| match error.kind() {
        io::ErrorKind::AddrInUse => Failure::failed(format!("port {port} is in use by another program"))
            .safe("nothing was started or changed")
            .next(format!("choose another with {flag} PORT, or see who has it: ss -ltnp 'sport = :{port}'")),
        io::ErrorKind::PermissionDenied => Failure::failed(format!("port {port} may not be used by this user"))
            .next(format!("choose one of 1024 or more with {flag} PORT")),
        io::ErrorKind::AddrNotAvailable => Failure::failed(format!("{ip} is not an address of this machine"))
            .next("choose one with --listen IP; 0.0.0.0 is all of them"),
        _ => Failure::io(format!("cannot listen on {address} ({flag})"), &error),
    };
    let listener = TcpListener::bind(address).map_err(explain)?;
    listener.set_nonblocking(true).map_err(explain)?;
    Ok(listener)
}

/// The first port from `wanted` up that is free and not `taken`; it is then taken.
pub fn find_free(ip: IpAddr, wanted: u16, taken: &mut BTreeSet<u16>) -> Outcome<u16> {
    let free = |port: &u16| !taken.contains(port) && TcpListener::bind((ip, *port)).is_ok();
    let found = (wanted..=wanted.saturating_add(2000)).find(free);
    let port = found.ok_or_else(|| Failure::failed(format!("no free port between {wanted} and {}", wanted + 2000)))?;
    taken.insert(port);
    Ok(port)
}

/// The address by which other machines reach this one: that of the way out to
/// the network, or the loopback address when there is none.
pub fn own_address(listen: IpAddr) -> IpAddr {
    if !listen.is_unspecified() {
        return listen;
    }
    // Connecting a UDP socket sends nothing; it only picks the route.
    let route = || -> io::Result<IpAddr> {
        let socket = UdpSocket::bind((IpAddr::from([0, 0, 0, 0]), 0))?;
        socket.connect(("192.0.2.1", 9))?;
        Ok(socket.local_addr()?.ip())
    };
    route().unwrap_or(IpAddr::from([127, 0, 0, 1]))
}

/// `host:port`, with brackets around an IPv6 address.
pub fn join(host: &str, port: u16) -> String {
    match host.parse() {
        Ok(IpAddr::V6(ip)) => format!("[{ip}]:{port}"),
        _ => format!("{host}:{port}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_is_named_with_its_flag() {
        let ip = IpAddr::from([127, 0, 0, 1]);
        let held = TcpListener::bind((ip, 0)).expect("a port");
        let port = held.local_addr().expect("address").port();
        let failure = claim(ip, port, "--web-port").expect_err("in use");
        assert!(failure.to_string().contains(&port.to_string()));
        let Failure::Failed { next: Some(next), .. } = failure else { panic!("advice missing") };
        assert!(next.contains("--web-port"));
        let mut taken = BTreeSet::new();
        let other = find_free(ip, port, &mut taken).expect("a free port");
        assert!(other > port);
        assert!(find_free(ip, other, &mut taken).expect("another") > other);
    }

    #[test]
    fn hosts_and_ports() {
        assert_eq!(join("::1", 7070), "[::1]:7070");
        assert_eq!(join("a.example", 7070), "a.example:7070");
    }
}
