//! Where a packet is.

pub use tracer_common::hop::Stage;

/// A point where the kernel hands a packet on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hop {
    /// The network namespace.
    pub namespace: Namespace,
    /// The device's name.
    pub device: String,
    /// The device's number in its namespace.
    pub ifindex: u32,
    /// What kind of device it is, as the kernel calls it ("veth", "tun", "vxlan"); empty for hardware and loopback.
    pub kind: String,
    /// Where in the stack.
    pub stage: Stage,
    /// At `xmit` of an Ethernet device, whom the frame was sent to: the decision as it was taken.
    pub next_hop_mac: Option<[u8; 6]>,
    /// At `rx` of an Ethernet device, who sent the frame.
    pub previous_hop_mac: Option<[u8; 6]>,
}

impl Hop {
    /// Whether a packet that goes on from here to another hop goes through this host: it is received,
    /// and sent on.
    pub fn is_forwarding_to(&self, next: &Self) -> bool {
        self.stage == Stage::Receive
            && next.stage == Stage::Queue
            && self.namespace.cookie == next.namespace.cookie
    }
}

/// A network namespace.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Namespace {
    /// Its name: from `ip netns`, else of a process in it, else its inode.
    pub name: String,
    /// The kernel's cookie, never used twice before the next boot.
    pub cookie: u64,
    /// The inode of `/proc/…/ns/net`, used again at once: for display only.
    pub inode: u32,
}

/// A MAC address as it is written: `02:00:00:00:01:01`.
pub fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

/// The MAC address of a text as [`mac_text`] writes it; none for any other.
pub fn mac_from_text(text: &str) -> Option<[u8; 6]> {
    let mut mac = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut mac {
        let part = parts.next()?;
        if part.len() != 2 || !part.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return None;
        }
        *byte = u8::from_str_radix(part, 16).ok()?;
    }
    parts.next().is_none().then_some(mac)
}
