//! Traffic whose every packet, request and byte is counted by both ends.

pub(crate) mod bulk;
pub(crate) mod garbage;
pub(crate) mod icmp;
pub(crate) mod pace;
pub(crate) mod tcp;
pub(crate) mod udp;
