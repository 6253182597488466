//! A device gets another name while it is traced, and is called by that.

use lab::topology::Line;
use lab::{Lab, NumberedUdp};

use super::account::trace_checked;
use super::seen::{port, requests, tell};

const PORT: u16 = 9310;
const COUNT: u64 = 2_000;

#[test]
fn a_renamed_device_stays_the_same_hop() {
    let line = Line::new(Lab::new("renamed").unwrap()).unwrap();
    let from = line.app_at.v4.into();
    let udp = NumberedUdp {
        count: COUNT,
        ..NumberedUdp::new((&line.app, from), (&line.db, line.db_at.facing(from, PORT)))
    };
    let seen = trace_checked(&port(PORT), || {
        let before = udp.run().unwrap().received;
        line.app.rename("app0", "lan0").unwrap();
        line.router.rename("r-db", "backend").unwrap();
        before + udp.run().unwrap().received
    });
    assert_eq!(seen.done, 2 * COUNT);
    let routes = requests(&seen.report, PORT);
    assert_eq!(routes.len(), 1);
    let route = routes[0];
    assert!(
        route.steps.iter().all(|step| step.packets == 2 * COUNT),
        "{}",
        tell(route)
    );
    assert_eq!(route.ends.delivered, 2 * COUNT, "{}", tell(route));
    for (step, name) in [(0, "lan0"), (4, "backend")] {
        assert_eq!(route.steps[step].hop.device, name, "{}", tell(route));
    }
    println!("shown as: {}", tell(route));
}
