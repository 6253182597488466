//! Devices whose packets may pass by the hops, since an XDP program is attached to them.

use std::fs::File;

use super::attributes::{Attributes, Malformed};
use super::socket::Asker;
use crate::source::netns::find;

/// `IFLA_XDP_ATTACHED` of `include/uapi/linux/if_link.h`.
const ATTACHED: u16 = 2;

/// A device with an XDP program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// The name of its network namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// All devices with an XDP program, in every namespace that can be entered.
pub fn by_xdp() -> Vec<Device> {
    let mut all = Vec::new();
    for found in find::all().into_values() {
        // One that went meanwhile, or that this process may not enter, tells nothing.
        let _ = File::open(&found.path).and_then(|file| {
            Asker::of_routes(&file)?.dump(libc::RTM_GETLINK, &[0; 16], &mut |_, _, body| {
                if let Ok(Some(name)) = with_xdp(body) {
                    let namespace = found.name.clone();
                    all.push(Device { namespace, name });
                }
            })
        });
    }
    all
}

/// The name of a device, if it has an XDP program.
fn with_xdp(body: &[u8]) -> Result<Option<String>, Malformed> {
    let (_, attributes) = Attributes::behind::<16>(body)?;
    let (mut name, mut is_attached) = (String::new(), false);
    attributes.each(|kind, value| {
        match kind {
            libc::IFLA_IFNAME => name = value.text(),
            libc::IFLA_XDP => value.nested().each(|kind, value| {
                is_attached |= kind == ATTACHED && value.u8()? != 0;
                Ok(())
            })?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(is_attached.then_some(name))
}
