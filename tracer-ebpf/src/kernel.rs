//! Reading the kernel's structures, by the offsets that the agent found in its BTF.
//!
//! A pointer that the kernel handed over is read directly: the verifier knows its type, adds an
//! offset that it knows as a constant, and makes a read of bad memory give 0.

use core::{arch::asm, mem::offset_of};

use aya_ebpf::helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns, generated};
use tracer_common::{
    constant::{Table, Word},
    settings::Offsets,
};

/// What addresses are told as distances from; see [`number`].
#[unsafe(no_mangle)]
static ANCHOR: u64 = 0;

/// A constant that the agent writes into this very instruction: the word that the mark stands for.
///
/// The verifier knows it, so that what is not asked for costs nothing.
#[inline(always)]
pub(crate) fn constant<const MARK: u64>() -> u64 {
    let value;
    // SAFETY: it sets a register, and nothing else.
    unsafe { asm!("{} = {} ll", out(reg) value, const MARK, options(nomem, nostack)) };
    value
}

/// A type that settings have.
pub(crate) trait Setting: Copy {
    /// The setting that the mark stands for, of the same type as the one that is given.
    fn of<const MARK: u64>(like: Self) -> Self;
}

impl Setting for u32 {
    #[inline(always)]
    fn of<const MARK: u64>(_like: Self) -> Self {
        up_to(constant::<MARK>(), u32::MAX.into()) as Self
    }
}

impl Setting for u64 {
    #[inline(always)]
    fn of<const MARK: u64>(_like: Self) -> Self {
        constant::<MARK>()
    }
}

/// What a register holds that is not above a limit: then the compiler need not cut it off.
#[inline(always)]
fn up_to(register: u64, limit: u64) -> u64 {
    // SAFETY: what was loaded, or written into the instruction, has no more bits.
    unsafe { core::hint::assert_unchecked(register <= limit) };
    register
}

/// The mark of a member of a structure of the agent's.
pub(crate) const fn mark<S, T>(table: Table, structure: &S, member: &T) -> u64 {
    // SAFETY: the member is one of the structure's.
    let at = unsafe { (&raw const *member).byte_offset_from(&raw const *structure) };
    Word {
        table,
        at: at.cast_unsigned(),
        bytes: size_of::<T>(),
    }
    .mark()
}

/// A member of the settings.
macro_rules! setting {
    ($($member:tt)+) => {{
        const ALL: &tracer_common::settings::Settings = &tracer_common::settings::Settings::ZERO;
        const MARK: u64 = $crate::kernel::mark(
            tracer_common::constant::Table::Settings,
            ALL,
            &ALL.$($member)+,
        );
        $crate::kernel::Setting::of::<MARK>(ALL.$($member)+)
    }};
}
pub(crate) use setting;

/// An offset as a number, for addresses that are numbers.
macro_rules! offset {
    ($member:ident) => {{
        const ALL: &Offsets = &Offsets::ZERO;
        up_to(
            constant::<{ mark(Table::Offsets, ALL, &ALL.$member) }>(),
            u32::MAX.into(),
        ) as u32
    }};
}

/// Reads a member of a structure of the kernel, whose offset the agent writes into the instruction.
macro_rules! load {
    ($base:expr, $member:ident) => {
        Load::load::<{ offset_of!(Offsets, $member) }>($base)
    };
    ($base:expr, $member:ident: $type:ty) => {
        <$type as Load>::load::<{ offset_of!(Offsets, $member) }>($base)
    };
}

/// What can be read from a structure of the kernel, by one instruction.
///
/// The verifier checks the pointer's type, and that the offset lies within it.
trait Load {
    /// Reads the member whose offset stands in this word of [`Offsets`].
    fn load<const WORD: usize>(base: *const u8) -> Self;
}

macro_rules! loads {
    ($($type:ty: $size:literal, |$register:ident| $value:expr;)+) => {
        $(impl Load for $type {
            #[inline(always)]
            fn load<const WORD: usize>(base: *const u8) -> Self {
                let $register: u64;
                // SAFETY: the verifier's.
                unsafe {
                    asm!(
                        concat!("{} = *(", $size, " *)({} + {})"),
                        out(reg) $register,
                        in(reg) base,
                        const Word::member(WORD),
                        options(readonly, nostack),
                    );
                }
                $value
            }
        })+
    };
}

loads! {
    u8: "u8", |register| up_to(register, u8::MAX.into()) as Self;
    u16: "u16", |register| up_to(register, u16::MAX.into()) as Self;
    u32: "u32", |register| up_to(register, u32::MAX.into()) as Self;
    u64: "u64", |register| register;
    *const u8: "u64", |register| register as *const u8;
}

/// Reads a member of a structure of the kernel, by an offset that the verifier knows.
#[inline(always)]
pub(crate) fn member<T: Copy>(base: *const u8, offset: u32) -> T {
    // SAFETY: the verifier checks the pointer's type, and that the offset lies within it.
    unsafe { core::ptr::read_volatile(base.add(offset as usize).cast()) }
}

/// Now, on the monotonic clock.
#[inline(always)]
pub(crate) fn now() -> u64 {
    // SAFETY: the helper has no precondition.
    unsafe { bpf_ktime_get_ns() }
}

/// The number of this CPU.
#[inline(always)]
pub(crate) fn cpu() -> u32 {
    // SAFETY: the helper has no precondition.
    unsafe { bpf_get_smp_processor_id() }
}

/// Whether one CPU may put datagrams of others into a socket's queue and tell the socket of each
/// (`__udp_enqueue_schedule_skb` of net/ipv4/udp.c, since Linux 6.18).
#[inline(always)]
pub(crate) fn tells_of_others() -> bool {
    offset!(skb_prev) != 0
}

/// The packet before one in a queue, by their addresses; only where a CPU
/// [tells of others](tells_of_others).
#[inline(always)]
pub(crate) fn previous_of(address: u64) -> u64 {
    fetch(address, offset!(skb_prev))
}

/// A number that stands for an address: its distance from a static of ours.
///
/// The verifier refuses arithmetic on the kernel's pointers, and lets one be subtracted.
#[inline(always)]
pub(crate) fn number(pointer: *const u8) -> u64 {
    (pointer as u64).wrapping_sub(&raw const ANCHOR as u64)
}

/// Copies bytes of a packet's head, which is not a structure that BTF knows.
///
/// False where they could not be read.
#[inline(always)]
pub(crate) fn copy<T: Copy>(to: *mut T, words: u32, from: Bytes) -> bool {
    // SAFETY: `to` has room for `words`; the helper checks `from`.
    unsafe {
        generated::bpf_probe_read_kernel(to.cast(), words * size_of::<T>() as u32, from.0.cast())
            == 0
    }
}

/// An address in a packet's head.
#[derive(Clone, Copy)]
pub(crate) struct Bytes(*const u8);

impl Bytes {
    #[inline(always)]
    pub(crate) fn add(self, offset: u64) -> Self {
        Self(self.0.wrapping_add(offset as usize))
    }

    #[inline(always)]
    pub(crate) fn before(self, offset: u64) -> Self {
        Self(self.0.wrapping_sub(offset as usize))
    }

    /// The address, to be written into memory of ours: what is read from there is a number.
    #[inline(always)]
    pub(crate) fn address(self) -> u64 {
        self.0 as u64
    }

    /// An address that was a number.
    #[inline(always)]
    pub(crate) fn at(address: u64) -> Self {
        Self(address as *const u8)
    }

    /// Two bytes at an address that was a number.
    #[inline(always)]
    pub(crate) fn fetch_u16(self) -> u16 {
        let mut value = 0;
        copy(&raw mut value, 1, self);
        value
    }

    /// The distance from an earlier address.
    #[inline(always)]
    pub(crate) fn since(self, earlier: Self) -> u64 {
        (self.0 as u64).wrapping_sub(earlier.0 as u64)
    }

    /// Two bytes.
    #[inline(always)]
    pub(crate) fn u16(self) -> u16 {
        if setting!(direct_head) != 0 {
            member(self.0, 0)
        } else {
            let mut value = 0;
            copy(&raw mut value, 1, self);
            value
        }
    }

    /// Words from there on, where a packet's head may be read directly; what can't be read is 0.
    #[expect(
        clippy::cast_ptr_alignment,
        reason = "it lies in a structure of words of 8 bytes"
    )]
    #[inline(always)]
    pub(crate) fn read<const WORDS: usize>(self, to: &mut [u32; WORDS]) {
        let to = to.as_mut_ptr().cast::<u64>();
        let mut word = 0;
        while word < WORDS / 2 {
            // SAFETY: within the array, which is part of a structure of words of 8 bytes.
            unsafe { to.add(word).write_volatile(member(self.0, word as u32 * 8)) };
            word += 1;
        }
    }

    /// Six bytes, as the lower ones of a number.
    #[inline(always)]
    pub(crate) fn mac(self) -> u64 {
        if setting!(direct_head) != 0 {
            // Two bytes more are there in any buffer, and one read is less than two.
            member::<u64>(self.0, 0) & 0xffff_ffff_ffff
        } else {
            let mut value = 0u64;
            copy(&raw mut value, 1, self);
            value & 0xffff_ffff_ffff
        }
    }
}

/// A `struct sk_buff`.
#[derive(Clone, Copy)]
pub(crate) struct Skb(*const u8);

impl Skb {
    #[inline(always)]
    pub(crate) fn new(pointer: *const u8) -> Self {
        Self(pointer)
    }

    /// Its address, to be written into memory of ours.
    #[inline(always)]
    pub(crate) fn address(self) -> u64 {
        self.0 as u64
    }

    /// A number that stands for the address; never 0, the mark of an empty entry.
    #[inline(always)]
    pub(crate) fn tag(self) -> u64 {
        number(self.0)
    }

    #[inline(always)]
    pub(crate) fn pointer(self) -> *const u8 {
        self.0
    }

    #[inline(always)]
    pub(crate) fn device(self) -> Device {
        Device(load!(self.0, skb_dev))
    }

    #[inline(always)]
    pub(crate) fn len(self) -> u32 {
        load!(self.0, skb_len)
    }

    /// How many bytes lie in the head, from `data` on.
    #[inline(always)]
    pub(crate) fn head_len(self) -> u32 {
        self.len() - load!(self.0, skb_data_len: u32)
    }

    /// The device that it came in by; 0 for a packet of this namespace's own.
    #[inline(always)]
    pub(crate) fn iif(self) -> u32 {
        load!(self.0, skb_iif)
    }

    /// The ethertype, in network order.
    #[inline(always)]
    pub(crate) fn protocol(self) -> u16 {
        load!(self.0, skb_protocol)
    }

    /// Where its data begin: the link layer's header on the way out, the network's on the way in.
    #[inline(always)]
    pub(crate) fn data(self) -> Bytes {
        Bytes(load!(self.0, skb_data))
    }

    /// Where its buffer begins; copies share it.
    #[inline(always)]
    pub(crate) fn head(self) -> Bytes {
        Bytes(load!(self.0, skb_head))
    }

    #[inline(always)]
    pub(crate) fn network_header(self) -> Bytes {
        self.head()
            .add(u64::from(load!(self.0, skb_network_header: u16)))
    }

    /// The length of the network header, as the kernel noted it on the way in.
    #[inline(always)]
    pub(crate) fn network_header_len(self) -> u32 {
        let network: u16 = load!(self.0, skb_network_header);
        let transport: u16 = load!(self.0, skb_transport_header);
        u32::from(transport.wrapping_sub(network))
    }

    #[inline(always)]
    pub(crate) fn mac_header(self) -> Bytes {
        self.head()
            .add(u64::from(load!(self.0, skb_mac_header: u16)))
    }

    /// The size of the segments that it is to be split into, and how many they are; 0 where it is not.
    #[inline(always)]
    pub(crate) fn segments(self) -> (u16, u16) {
        let shared = self.head().add(u64::from(load!(self.0, skb_end: u32)));
        (
            shared.add(u64::from(offset!(shinfo_gso_size))).u16(),
            shared.add(u64::from(offset!(shinfo_gso_segs))).u16(),
        )
    }
}

/// A `struct net_device`.
#[derive(Clone, Copy)]
pub(crate) struct Device(*const u8);

/// `ARPHRD_ETHER` of `include/uapi/linux/if_arp.h`.
const ETHERNET: u16 = 1;

/// `IFF_LOOPBACK` of include/uapi/linux/if.h.
const LOOPBACK: u32 = 8;

impl Device {
    #[inline(always)]
    pub(crate) fn new(pointer: *const u8) -> Self {
        Self(pointer)
    }

    #[inline(always)]
    pub(crate) fn ifindex(self) -> u32 {
        load!(self.0, dev_ifindex)
    }

    /// The cookie of its network namespace, never used twice.
    #[inline(always)]
    pub(crate) fn cookie(self) -> u64 {
        let net: *const u8 = load!(self.0, dev_net);
        if setting!(no_cookies) != 0 {
            return u64::from(load!(net, net_inum: u32));
        }
        load!(net, net_cookie)
    }

    /// Its address, to be written into memory of ours.
    #[inline(always)]
    pub(crate) fn address(self) -> u64 {
        self.0 as u64
    }

    /// The name, as two words.
    #[inline(always)]
    pub(crate) fn name(self) -> [u64; 2] {
        let mut name = [0; 2];
        let from = Bytes::at(self.0 as u64).add(u64::from(offset!(dev_name)));
        // The 16 bytes of `IFNAMSIZ`.
        copy(name.as_mut_ptr(), 2, from);
        name
    }

    #[inline(always)]
    pub(crate) fn is_ethernet(self) -> bool {
        load!(self.0, dev_type: u16) == ETHERNET
    }

    #[inline(always)]
    pub(crate) fn is_loopback(self) -> bool {
        load!(self.0, dev_flags: u32) & LOOPBACK != 0
    }

    #[inline(always)]
    pub(crate) fn link_ops(self) -> LinkOps {
        LinkOps(load!(self.0, dev_link_ops))
    }
}

/// A `struct rtnl_link_ops`: what all devices of a kind share.
#[derive(Clone, Copy)]
pub(crate) struct LinkOps(*const u8);

impl LinkOps {
    #[inline(always)]
    pub(crate) fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// A number that stands for the kind.
    #[inline(always)]
    pub(crate) fn tag(self) -> u64 {
        number(self.0)
    }

    /// The kind's name, as two words.
    #[inline(always)]
    pub(crate) fn kind(self) -> [u64; 2] {
        let text: *const u8 = load!(self.0, link_ops_kind);
        let mut kind = [0u64; 2];
        fetch_text(kind.as_mut_ptr().cast(), text as u64);
        kind
    }
}

/// A `struct net_device` by its address, for the slow paths.
#[derive(Clone, Copy)]
pub(crate) struct DeviceAt(pub(crate) u64);

impl DeviceAt {
    /// The inode of its network namespace, used again at once.
    #[inline(always)]
    pub(crate) fn inode(self) -> u32 {
        let net: u64 = fetch(self.0, offset!(dev_net));
        fetch(net, offset!(net_inum))
    }

    /// Writes its name to where it is kept.
    #[inline(always)]
    pub(crate) fn read_name(self, to: &mut [u8; 16]) {
        copy(
            to.as_mut_ptr(),
            16,
            Bytes::at(self.0).add(u64::from(offset!(dev_name))),
        );
    }

    #[inline(always)]
    pub(crate) fn is_loopback(self) -> bool {
        fetch::<u32>(self.0, offset!(dev_flags)) & LOOPBACK != 0
    }

    /// Writes its kind's name to where it is kept; false for hardware and loopback, which have none.
    #[inline(always)]
    pub(crate) fn read_kind(self, to: &mut [u8; 16]) -> bool {
        let link_ops: u64 = fetch(self.0, offset!(dev_link_ops));
        if link_ops != 0 {
            fetch_text(to.as_mut_ptr(), fetch(link_ops, offset!(link_ops_kind)));
        }
        link_ops != 0
    }
}

/// Reads a member of a structure that is known by its address only; 0 where it can't be read.
#[inline(always)]
pub(crate) fn fetch<T: Copy + Default>(base: u64, offset: u32) -> T {
    let mut value = T::default();
    copy(&raw mut value, 1, Bytes::at(base).add(u64::from(offset)));
    value
}

/// Copies a text of the kernel's to 16 bytes.
#[inline(always)]
fn fetch_text(to: *mut u8, text: u64) {
    // SAFETY: `to` has 16 bytes; the helper checks the source.
    unsafe {
        generated::bpf_probe_read_kernel_str(to.cast(), 16, text as *const _);
    }
}

/// A `struct sock`.
#[derive(Clone, Copy)]
pub(crate) struct Sock(*const u8);

impl Sock {
    #[inline(always)]
    pub(crate) fn new(pointer: *const u8) -> Self {
        Self(pointer)
    }

    /// `AF_INET`, `AF_INET6` …
    #[inline(always)]
    pub(crate) fn family(self) -> u16 {
        load!(self.0, sk_family)
    }

    /// The IP protocol number.
    #[inline(always)]
    pub(crate) fn protocol(self) -> u16 {
        load!(self.0, sk_protocol)
    }

    /// Its own port.
    #[inline(always)]
    pub(crate) fn port(self) -> u16 {
        load!(self.0, sk_num)
    }

    /// The other end's port.
    #[inline(always)]
    pub(crate) fn peer_port(self) -> u16 {
        u16::from_be(load!(self.0, sk_dport))
    }

    /// Its address, to be written into memory of ours.
    #[inline(always)]
    pub(crate) fn address(self) -> u64 {
        self.0 as u64
    }

    /// A word of it.
    #[inline(always)]
    pub(crate) fn word(self, offset: u32) -> u64 {
        member(self.0, offset)
    }

    /// The packet that was queued last; the queue's own head where it is empty.
    #[inline(always)]
    pub(crate) fn last_queued(self) -> Skb {
        Skb(load!(self.0, sk_receive_tail))
    }
}

/// A `struct nf_hook_state`: what netfilter's hooks are called with.
#[derive(Clone, Copy)]
pub(crate) struct HookState(*const u8);

impl HookState {
    #[inline(always)]
    pub(crate) fn new(pointer: *const u8) -> Self {
        Self(pointer)
    }

    /// `NFPROTO_IPV4` …
    #[inline(always)]
    pub(crate) fn protocol(self) -> u8 {
        load!(self.0, nf_state_protocol)
    }

    /// `NF_INET_PRE_ROUTING` …; of the four bytes that it has on Linux 5.10, the lowest.
    #[inline(always)]
    pub(crate) fn hook(self) -> u8 {
        load!(self.0, nf_state_hook)
    }
}

/// The cookie of a network namespace by its address, as [`Device::cookie`] has it.
#[inline(always)]
pub(crate) fn cookie_at(net: u64) -> u64 {
    if setting!(no_cookies) != 0 {
        return u64::from(fetch::<u32>(net, offset!(net_inum)));
    }
    fetch(net, offset!(net_cookie))
}

/// A device's number by its address.
#[inline(always)]
pub(crate) fn ifindex_at(device: u64) -> u32 {
    fetch(device, offset!(dev_ifindex))
}
