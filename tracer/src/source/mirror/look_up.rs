//! Which FIB entry the kernel answers a packet with (`RTM_GETROUTE` with `RTM_F_FIB_MATCH`).

use std::io;
use std::net::IpAddr;

use super::decode;
use super::socket::Asker;
use crate::model::network::{Fact, Family, Route, Told};

/// A packet that there could be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Question {
    /// Its source.
    pub source: IpAddr,
    /// Its destination.
    pub destination: IpAddr,
    /// Its transport protocol's number, with its ports; rules may ask for them.
    pub transport: Option<(u8, u16, u16)>,
    /// The device that it came by; none for one that this namespace sends.
    pub input: Option<u32>,
    /// The VRF device that its socket is bound to, or that it leaves by.
    pub output: Option<u32>,
    /// Its mark.
    pub mark: u32,
}

/// The entry that the kernel finds.
///
/// # Errors
/// What the kernel says where there is no way: `ENETUNREACH`, `EHOSTUNREACH` …
pub(super) fn ask(asker: &mut Asker, question: &Question) -> io::Result<Route> {
    let (kind, body) = asker.ask(libc::RTM_GETROUTE, &request(question))?;
    match decode::message(kind, 0, &body) {
        Ok(Some(Told::New(Fact::Route(route), _))) => Ok(route),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// `struct rtmsg` and its attributes.
fn request(question: &Question) -> Vec<u8> {
    /// include/uapi/linux/rtnetlink.h, Linux 4.13.
    const RTM_F_FIB_MATCH: u32 = 0x2000;
    const RTA_IP_PROTO: u16 = 27;
    const RTA_SPORT: u16 = 28;
    const RTA_DPORT: u16 = 29;
    let family = Family::of(question.destination);
    let (number, len, flags) = match family {
        Family::V4 => (
            libc::AF_INET,
            32,
            RTM_F_FIB_MATCH | libc::RTM_F_LOOKUP_TABLE,
        ),
        // IPv6 always says which table.
        Family::V6 => (libc::AF_INET6, 128, RTM_F_FIB_MATCH),
    };
    let has_source = Family::of(question.source) == family && !question.source.is_unspecified();
    let mut body = vec![0; 12];
    body[0] = number as u8;
    body[1] = len;
    body[2] = if has_source { len } else { 0 };
    body[8..12].copy_from_slice(&flags.to_ne_bytes());
    let mut add = |kind: u16, value: &[u8]| {
        body.extend((value.len() as u16 + 4).to_ne_bytes());
        body.extend(kind.to_ne_bytes());
        body.extend(value);
        body.resize(body.len().next_multiple_of(4), 0);
    };
    add(libc::RTA_DST, &octets(question.destination));
    if has_source {
        add(libc::RTA_SRC, &octets(question.source));
    }
    if let Some(input) = question.input {
        add(libc::RTA_IIF, &input.to_ne_bytes());
    }
    if let Some(output) = question.output {
        add(libc::RTA_OIF, &output.to_ne_bytes());
    }
    if question.mark != 0 {
        add(libc::RTA_MARK, &question.mark.to_ne_bytes());
    }
    if let Some((protocol, source, destination)) = question.transport {
        add(RTA_IP_PROTO, &[protocol]);
        // inet_rtm_valid_getroute_req takes no port that is 0.
        if source != 0 && destination != 0 {
            add(RTA_SPORT, &source.to_be_bytes());
            add(RTA_DPORT, &destination.to_be_bytes());
        }
    }
    body
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}
