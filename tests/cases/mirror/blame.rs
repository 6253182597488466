//! The live route joined with the files that ask for routes, as `tracer blame` shows it.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use lab::{Insert, Lab, Ns, RouteSpec};
use tracer::model::blame::{Blamed, Owner, blame, unapplied};
use tracer::source::{configured, mirror};

use crate::against::path;

/// A host with two gateways, and files that ask for routes.
struct Host {
    ns: Ns,
    root: PathBuf,
    _lab: Lab,
}

impl Host {
    fn new(files: &[(&str, &str)]) -> Self {
        let lab = Lab::new("blame").unwrap();
        let ns = lab.namespace("host").unwrap();
        ns.bridge("eth0", &[]).unwrap();
        ns.address("eth0", "10.0.1.5/16").unwrap();
        ns.address("eth0", "fd00:1::5/64").unwrap();
        let root = std::env::temp_dir().join(format!("tracer-{}", ns.name()));
        for (file, text) in files {
            let file = root.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        Self {
            ns,
            root,
            _lab: lab,
        }
    }

    fn route(&self, prefix: &str, via: &str, protocol: u8) {
        let spec = RouteSpec {
            protocol,
            legs: vec![(via.parse().ok(), "eth0".to_owned(), 1)],
            ..RouteSpec::to(prefix.parse().unwrap())
        };
        self.ns.add_route(Insert::Add, &spec).unwrap();
    }

    /// Whose the routes to a prefix are, and what was never applied.
    fn blame(&self, prefix: &str) -> (Vec<Blamed>, Vec<String>) {
        let prefix: ipnet::IpNet = prefix.parse().unwrap();
        let network = mirror::dump(&path(&self.ns)).unwrap();
        let found = configured::read(&self.root, &BTreeMap::new());
        assert_eq!(found.problems, []);
        let live = network
            .routes()
            .filter(|it| it.slot.prefix == prefix)
            .collect();
        let missing = unapplied(&network, &found, |it| *it == prefix);
        let missing = missing
            .iter()
            .map(|it| it.gateways[0].to_string())
            .collect();
        (blame(&network, live, &found), missing)
    }

    #[track_caller]
    fn one(&self, prefix: &str) -> Blamed {
        let (mut blamed, _) = self.blame(prefix);
        assert_eq!(blamed.len(), 1, "{blamed:?}");
        blamed.remove(0)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.root);
    }
}

const NETPLAN: &str = "network:
  ethernets:
    eth0:
      routes:
        - to: 10.2.0.0/16
          via: 10.0.1.1
        - to: 10.3.0.0/16
          via: 10.0.1.1
        - to: 10.4.0.0/16
          via: 10.0.1.1
        - to: \"fd02::/32\"
          via: \"fd00:1::1\"
";

#[test]
fn a_route_is_its_line_s_or_nobody_s_and_what_was_never_applied_is_said() {
    let host = Host::new(&[("etc/netplan/50-app.yaml", NETPLAN)]);
    host.route("10.2.0.0/16", "10.0.1.1", 4);
    host.route("fd02::/32", "fd00:1::1", 4);
    // Set by hand, over what the file says; and without any file.
    host.route("10.3.0.0/16", "10.0.9.1", 3);
    host.route("10.5.0.0/16", "10.0.9.1", 3);

    for (prefix, line) in [("10.2.0.0/16", 5), ("fd02::/32", 11)] {
        let Owner::Configured(places) = host.one(prefix).owner else {
            panic!("{prefix}: {:?}", host.one(prefix));
        };
        let places: Vec<_> = places
            .iter()
            .map(|it| (it.file.as_str(), it.line))
            .collect();
        assert_eq!(places, [("/etc/netplan/50-app.yaml", line)]);
    }
    let moved = host.one("10.3.0.0/16");
    assert_eq!(moved.owner, Owner::Nobody);
    assert_eq!(
        moved.unapplied[0].gateways,
        ["10.0.1.1".parse::<std::net::IpAddr>().unwrap()]
    );
    assert_eq!(moved.unapplied[0].place.line, 7);
    let orphan = host.one("10.5.0.0/16");
    assert_eq!(
        (orphan.owner, orphan.unapplied),
        (Owner::Nobody, Vec::new())
    );
    let (live, missing) = host.blame("10.4.0.0/16");
    assert_eq!((live, missing), (Vec::new(), vec!["10.0.1.1".to_owned()]));
}

#[test]
fn what_daemons_and_the_kernel_set_is_theirs() {
    let host = Host::new(&[(
        "etc/frr/frr.conf",
        "!\nrouter bgp 65001\n neighbor 10.0.1.1\n",
    )]);
    host.route("10.2.0.0/16", "10.0.1.1", 186);
    host.route("10.3.0.0/16", "10.0.1.1", 188);
    host.route("10.4.0.0/16", "10.0.1.1", 16);
    let Owner::Daemon(places) = host.one("10.2.0.0/16").owner else {
        panic!();
    };
    assert_eq!((places.len(), places[0].line), (1, 2));
    assert_eq!(host.one("10.3.0.0/16").owner, Owner::Daemon(Vec::new()));
    assert_eq!(host.one("10.4.0.0/16").owner, Owner::Leased);
    let Owner::Kernel(Some(address)) = host.one("10.0.0.0/16").owner else {
        panic!();
    };
    assert_eq!(
        address.address,
        "10.0.1.5".parse::<std::net::IpAddr>().unwrap()
    );
}
