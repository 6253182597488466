//! What this host's own stack had to bear, in a recording.

use super::wire;
use crate::model::Namespace;
use crate::model::host::{Busiest, Device, HostStack, Processors, SocketBuffers, Softnet};

/// None where nothing was watched.
pub(super) fn encode(host: &HostStack) -> Option<wire::HostStack> {
    (*host != HostStack::default()).then(|| wire::HostStack {
        watched_ns: host.watched_ns,
        processors: processors(&host.processors),
        softnet: wire::Softnet {
            processed: host.softnet.processed,
            dropped: host.softnet.dropped,
            time_squeeze: host.softnet.time_squeeze,
            flow_limit: host.softnet.flow_limit,
        },
        devices: host.devices.iter().map(device).collect(),
        sockets: host.sockets.iter().map(sockets).collect(),
    })
}

fn processors(it: &Processors) -> wire::Processors {
    wire::Processors {
        count: it.count,
        busy_ns: it.busy_ns,
        idle_ns: it.idle_ns,
        softirq_ns: it.softirq_ns,
        steal_ns: it.steal_ns,
        waiting_ns: it.waiting_ns,
        busiest: it.busiest.map(|it| wire::Busiest {
            number: it.number,
            busy: it.busy,
            softirq: it.softirq,
            steal: it.steal,
        }),
    }
}

fn device(it: &Device) -> wire::HostDevice {
    wire::HostDevice {
        netns: it.namespace.name.clone(),
        netns_cookie: it.namespace.cookie,
        netns_inode: it.namespace.inode,
        device: it.name.clone(),
        ifindex: it.ifindex,
        is_hardware: it.is_hardware,
        speed_bps: it.speed_bps,
        bytes: it.bytes,
        link_use: it.link_use,
        link_use_most: it.link_use_most,
        counters: it.counters.clone(),
        driver: it.driver.clone(),
    }
}

fn sockets(it: &SocketBuffers) -> wire::SocketBuffers {
    wire::SocketBuffers {
        netns: it.namespace.name.clone(),
        netns_cookie: it.namespace.cookie,
        netns_inode: it.namespace.inode,
        counters: it.counters.clone(),
    }
}

pub(super) fn decode(host: wire::HostStack) -> HostStack {
    let namespace = |name, cookie, inode| Namespace {
        name,
        cookie,
        inode,
    };
    let devices = host.devices.into_iter().map(|it| Device {
        namespace: namespace(it.netns, it.netns_cookie, it.netns_inode),
        name: it.device,
        ifindex: it.ifindex,
        is_hardware: it.is_hardware,
        speed_bps: it.speed_bps,
        bytes: it.bytes,
        link_use: it.link_use,
        link_use_most: it.link_use_most,
        counters: it.counters,
        driver: it.driver,
    });
    let sockets = host.sockets.into_iter().map(|it| SocketBuffers {
        namespace: namespace(it.netns, it.netns_cookie, it.netns_inode),
        counters: it.counters,
    });
    let processors = host.processors;
    HostStack {
        watched_ns: host.watched_ns,
        processors: Processors {
            count: processors.count,
            busy_ns: processors.busy_ns,
            idle_ns: processors.idle_ns,
            softirq_ns: processors.softirq_ns,
            steal_ns: processors.steal_ns,
            waiting_ns: processors.waiting_ns,
            busiest: processors.busiest.map(|it| Busiest {
                number: it.number,
                busy: it.busy,
                softirq: it.softirq,
                steal: it.steal,
            }),
        },
        softnet: Softnet {
            processed: host.softnet.processed,
            dropped: host.softnet.dropped,
            time_squeeze: host.softnet.time_squeeze,
            flow_limit: host.softnet.flow_limit,
        },
        devices: devices.collect(),
        sockets: sockets.collect(),
    }
}
