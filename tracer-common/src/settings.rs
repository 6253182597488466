//! What the agent tells the kernel half before it is loaded; the verifier knows all of it as
//! constants and leaves out what is not asked for.

/// Where the members of the kernel's structures are, in bytes, from the running kernel's BTF.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offsets {
    /// `sk_buff.dev`
    pub skb_dev: u32,
    /// `sk_buff.len`
    pub skb_len: u32,
    /// `sk_buff.data_len`
    pub skb_data_len: u32,
    /// `sk_buff.skb_iif`
    pub skb_iif: u32,
    /// `sk_buff.protocol`
    pub skb_protocol: u32,
    /// `sk_buff.network_header`
    pub skb_network_header: u32,
    /// `sk_buff.transport_header`
    pub skb_transport_header: u32,
    /// `sk_buff.mac_header`
    pub skb_mac_header: u32,
    /// `sk_buff.head`
    pub skb_head: u32,
    /// `sk_buff.data`
    pub skb_data: u32,
    /// `sk_buff.end`
    pub skb_end: u32,
    /// `sk_buff.prev`, where one CPU may put datagrams of others into a socket's queue; else 0.
    pub skb_prev: u32,
    /// `skb_shared_info.gso_size`
    pub shinfo_gso_size: u32,
    /// `skb_shared_info.gso_segs`
    pub shinfo_gso_segs: u32,
    /// `net_device.ifindex`
    pub dev_ifindex: u32,
    /// `net_device.nd_net`
    pub dev_net: u32,
    /// `net_device.name`
    pub dev_name: u32,
    /// `net_device.type`
    pub dev_type: u32,
    /// `net_device.flags`
    pub dev_flags: u32,
    /// `net_device.rtnl_link_ops`
    pub dev_link_ops: u32,
    /// `rtnl_link_ops.kind`
    pub link_ops_kind: u32,
    /// `net.net_cookie`
    pub net_cookie: u32,
    /// `net.ns.inum`
    pub net_inum: u32,
    /// `sock.sk_protocol`
    pub sk_protocol: u32,
    /// `sock.__sk_common.skc_family`
    pub sk_family: u32,
    /// `sock.__sk_common.skc_num`
    pub sk_num: u32,
    /// `sock.__sk_common.skc_dport`
    pub sk_dport: u32,
    /// `sock.sk_receive_queue.prev`
    pub sk_receive_tail: u32,
    /// `nf_hook_state.hook`
    pub nf_state_hook: u32,
    /// `nf_hook_state.pf`
    pub nf_state_protocol: u32,
}

/// The choices of the one who traces.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Packet sets, less one; a power of two less one.
    pub packets_mask: u32,
    /// Handover sets, less one; a power of two less one.
    pub handover_mask: u32,
    /// How many nodes, classes and cells there may be.
    pub nodes: u32,
    /// How many classes there may be; 65,535 at most.
    pub classes: u32,
    /// How many cells there may be.
    pub cells: u32,
    /// Ports from this one on are ephemeral.
    pub ephemeral_from: u32,
    /// 1 when there are named components.
    pub components: u32,
    /// 1 when `kfree_skb` tells a reason (since Linux 5.17).
    pub drop_reasons: u32,
    /// 1 when the verifier lets a packet's head be read directly (since Linux 6.17).
    pub direct_head: u32,
    /// 1 when each hop of each packet is to be written to the ring buffer.
    pub passages: u32,
    /// Only this network namespace, by cookie; 0 for all.
    pub filter_cookie: u64,
    /// Only this device, by name; empty for all.
    pub filter_device: [u64; 2],
    /// Only packets from or to this prefix: its address (IPv4 in the first word) …
    pub filter_address: [u32; 4],
    /// … and its mask.
    pub filter_mask: [u32; 4],
    /// 4 or 6 when there is a prefix to filter by, else 0.
    pub filter_family: u32,
    /// 1 when there is a protocol to filter by.
    pub filter_protocols: u32,
    /// Only this IP protocol (of TCP, UDP, ICMP); 0 for all others.
    pub filter_protocol: u32,
    /// Only packets with this port on either side; 0 for all.
    pub filter_port: u32,
    /// 1 when packets that leave by hardware may come in again by hardware of this host.
    pub handover_physical: u32,
    /// The number of the reason `NOT_SPECIFIED`; 0 where the kernel tells none.
    pub unspecified: u32,
    /// 1 when nobody can ask for a network namespace's cookie (before Linux 5.14): its inode is taken
    /// instead.
    pub no_cookies: u32,
    /// Of many packets 1 in 2 to the power of this is timed; 0 times all of them.
    pub timing_shift: u32,
    /// How many CPUs there may be.
    pub cpus: u32,
    /// Slots of a program's node cache on each CPU, less one; a power of two less one.
    pub slots_mask: u32,
    /// 1 when more than hops is looked for in headers: round trips of what is forwarded, loops, errors.
    pub exchanges: u32,
    /// Nothing, so that no byte is left without a value.
    pub zero: u32,
}

impl Offsets {
    /// Nothing, as it stands in the object before the agent writes it.
    pub const ZERO: Self = Self {
        skb_dev: 0,
        skb_len: 0,
        skb_data_len: 0,
        skb_iif: 0,
        skb_protocol: 0,
        skb_network_header: 0,
        skb_transport_header: 0,
        skb_mac_header: 0,
        skb_head: 0,
        skb_data: 0,
        skb_end: 0,
        skb_prev: 0,
        shinfo_gso_size: 0,
        shinfo_gso_segs: 0,
        dev_ifindex: 0,
        dev_net: 0,
        dev_name: 0,
        dev_type: 0,
        dev_flags: 0,
        dev_link_ops: 0,
        link_ops_kind: 0,
        net_cookie: 0,
        net_inum: 0,
        sk_protocol: 0,
        sk_family: 0,
        sk_num: 0,
        sk_dport: 0,
        sk_receive_tail: 0,
        nf_state_hook: 0,
        nf_state_protocol: 0,
    };
}

impl Settings {
    /// Nothing, as it stands in the object before the agent writes it.
    pub const ZERO: Self = Self {
        packets_mask: 0,
        handover_mask: 0,
        nodes: 0,
        classes: 0,
        cells: 0,
        ephemeral_from: 0,
        components: 0,
        drop_reasons: 0,
        direct_head: 0,
        passages: 0,
        filter_cookie: 0,
        filter_device: [0; 2],
        filter_address: [0; 4],
        filter_mask: [0; 4],
        filter_family: 0,
        filter_protocols: 0,
        filter_protocol: 0,
        filter_port: 0,
        handover_physical: 0,
        unspecified: 0,
        no_cookies: 0,
        timing_shift: 0,
        cpus: 0,
        slots_mask: 0,
        exchanges: 0,
        zero: 0,
    };
}

// Without padding, so that their bytes can be handed to the loader.
const _: () = assert!(size_of::<Offsets>() == 30 * 4 && size_of::<Settings>() == 36 * 4);

/// The words of the bitmap of ports that are services wherever they stand.
pub const SERVICE_WORDS: usize = 65_536 / 64;
