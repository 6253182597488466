//! Which hops are asked for. Filters that are not given cost nothing: the verifier removes them.

use crate::kernel::{Device, setting};

/// Whether hops on this device are traced.
#[inline(always)]
pub(crate) fn is_in_scope(device: Device) -> bool {
    let cookie = setting!(filter_cookie);
    if cookie != 0 && device.cookie() != cookie {
        return false;
    }
    let first = setting!(filter_device[0]);
    if first != 0 {
        let name = device.name();
        if name[0] != first || name[1] != setting!(filter_device[1]) {
            return false;
        }
    }
    true
}

/// Whether only a part of the host is traced, so that packets enter it without being born.
#[inline(always)]
pub(crate) fn has_scope() -> bool {
    setting!(filter_cookie) != 0 || setting!(filter_device[0]) != 0
}
