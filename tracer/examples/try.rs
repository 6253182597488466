//! try
use tracer::source::{Settings, Source, live::Live};
fn main() {
    let s = Settings::default();
    let live = Live::open(&s).unwrap_or_else(|e| panic!("{e}"));
    std::thread::sleep(std::time::Duration::from_secs(std::env::args().nth(1).map_or(3, |a| a.parse().unwrap())));
    let r = Box::new(live).finish().unwrap();
    for (i, n) in r.nodes.iter().enumerate() {
        println!("{i} <- {:?} {} {} {:?} n={} b={} born={} p50={:?} tot={:?} ends={:?} tr={:?}", n.parent, n.hop.namespace.name, n.hop.device, n.hop.stage, n.packets, n.bytes, n.born, n.latency.quantile_ns(0.5), n.total.count(), n.ends, n.translated);
    }
    for (i, c) in r.classes.iter().enumerate() { println!("class {i} {c:?}"); }
    println!("{:?}", r.losses);
    for a in r.availability { if a.state != tracer::model::State::Works { println!("{a:?}"); } }
}
