//! What was seen on the way, in a recording.

use super::{decode, encode, wire};
use crate::model::Namespace;
use crate::model::passing::{Passing, Told, TtlStep};

pub(super) fn encode(it: &Passing) -> wire::Passing {
    wire::Passing {
        class: it.class,
        netns: it.namespace.name.clone(),
        netns_cookie: it.namespace.cookie,
        netns_inode: it.namespace.inode,
        device: it.device.clone(),
        ifindex: it.ifindex,
        ttl: it.ttl,
        ttl_step: it.ttl_step.map(encode_step),
        told: it.told.map(|told| wire::Told {
            by: told.by,
            kind: told.kind,
            code: told.code,
            mtu: told.mtu,
            gateway: told.gateway,
            ago_ns: told.ago_ns,
        }),
        phases: encode::phases(&it.phases),
        sights: encode::sights(&it.sights),
        sample: it.sample.iter().map(encode::connection).collect(),
    }
}

pub(super) fn encode_step(it: TtlStep) -> wire::TtlStep {
    wire::TtlStep {
        before: it.before,
        after: it.after,
        ago_ns: it.ago_ns,
    }
}

pub(super) fn decode(it: wire::Passing, classes: usize) -> Result<Passing, String> {
    decode::check_class(it.class, classes)?;
    Ok(Passing {
        class: it.class,
        namespace: Namespace {
            name: it.netns,
            cookie: it.netns_cookie,
            inode: it.netns_inode,
        },
        device: it.device,
        ifindex: it.ifindex,
        ttl: it.ttl,
        ttl_step: it.ttl_step.as_ref().map(decode_step),
        told: it.told.map(|told| Told {
            by: told.by,
            kind: told.kind,
            code: told.code,
            mtu: told.mtu,
            gateway: told.gateway,
            ago_ns: told.ago_ns,
        }),
        phases: decode::phases(&it.phases)?,
        sights: decode::sights(&it.sights),
        sample: it.sample.iter().map(decode::connection).collect(),
    })
}

pub(super) fn decode_step(it: &wire::TtlStep) -> TtlStep {
    TtlStep {
        before: it.before,
        after: it.after,
        ago_ns: it.ago_ns,
    }
}
