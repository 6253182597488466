//! Where the running kernel keeps what is read of a maker.

use tracer_common::maker::{NO_MEMBER, Offsets};

use crate::source::Error;
use crate::source::live::kernel_types::KernelTypes;

impl KernelTypes {
    /// All offsets that tell who makes a change.
    ///
    /// # Errors
    /// When this kernel has a member nowhere that is known.
    pub(in crate::source::live) fn maker_offsets(&self) -> Result<Offsets, Error> {
        let task = |member| self.required("task_struct", member);
        Ok(Offsets {
            sk_cookie: self.required("sock", "__sk_common.skc_cookie")?,
            sk_receive_queue: self.required("sock", "sk_receive_queue")?,
            group_leader: task("group_leader")?,
            real_parent: task("real_parent")?,
            tgid: task("tgid")?,
            start: task("start_boottime")?,
            comm: task("comm")?,
            flags: task("flags")?,
            cred: task("cred")?,
            uid: self.required("cred", "uid")?,
            // CONFIG_AUDIT
            login_uid: self.offset("task_struct", "loginuid").unwrap_or(NO_MEMBER),
            spare: 0,
        })
    }
}
