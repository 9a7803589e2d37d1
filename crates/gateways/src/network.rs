//! Which callers count as one.

use std::net::IpAddr;

/// An IPv4 address, or a /64 of IPv6: who has one address of it usually has all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Network(u128);

impl Network {
    pub fn of(address: IpAddr) -> Network {
        match address.to_canonical() {
            IpAddr::V4(address) => Network(u128::from(u32::from(address))),
            IpAddr::V6(address) => Network(u128::from(address) >> 64 | 1 << 100),
        }
    }
}
