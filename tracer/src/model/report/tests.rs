//! Routes keep the account, their names and their shares.

use super::*;
use crate::model::example;
use proptest::prelude::*;

fn births(reading: &Reading) -> u64 {
    let came = reading.nodes.iter().map(|node| match node.parent {
        super::super::Parent::Class(_) => node.packets + node.born,
        super::super::Parent::Node(_) => node.born,
    });
    came.sum()
}

fn routes_of<'a>(report: &'a Report, port: u16) -> Vec<&'a Route> {
    let of_port = |route: &&'a Route| route.class.service == Some(Service::Destination(port));
    report.routes.iter().filter(of_port).collect()
}

#[test]
fn all_routes_together_have_as_many_packets_as_were_born() {
    let reading = example::lab();
    let report = Report::from_reading(&reading);
    assert_eq!(report.packets(), births(&reading));
    for route in &report.routes {
        assert_eq!(route.balance.difference, 0, "{:?}", route.class);
        assert_eq!(route.balance.came, route.packets);
    }
}

#[test]
fn a_packet_that_is_not_accounted_for_shows_in_the_balance() {
    let mut reading = example::lab();
    let end = reading
        .nodes
        .iter_mut()
        .find(|node| node.ends.delivered > 5);
    end.unwrap().ends.delivered -= 3;
    let report = Report::from_reading(&reading);
    let differences: i64 = report.routes.iter().map(|it| it.balance.difference).sum();
    assert_eq!(differences, 3);
}

#[test]
fn drops_where_ways_part_belong_to_the_busiest_way() {
    let report = Report::from_reading(&example::lab());
    let legs = routes_of(&report, 443);
    let dropped = legs.iter().map(|leg| leg.ends.dropped.values().sum());
    assert_eq!(dropped.collect::<Vec<u64>>(), [4, 0]);
}

#[test]
fn a_read_extends_the_way_and_is_not_counted() {
    let report = Report::from_reading(&example::lab());
    let route = routes_of(&report, 6379)[0];
    let names: Vec<&str> = route.segments().map(|it| it.name.as_str()).collect();
    assert_eq!(names.last(), Some(&"deliver→read"));
    assert_eq!(route.packets, route.ends.delivered);
    assert!(route.total.count() > 0);
}

#[test]
fn shares_sum_to_one() {
    for route in Report::from_reading(&example::lab()).routes {
        let sum: f64 = route.segments().map(|segment| segment.share).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum} of {:?}", route.class);
    }
}

#[test]
fn a_route_has_the_same_id_after_a_restart() {
    let ids = |reading: &Reading| -> Vec<String> {
        let routes = Report::from_reading(reading).routes;
        routes.iter().map(|route| route.id.to_string()).collect()
    };
    let mut reading = example::lab();
    let before = ids(&reading);
    for node in &mut reading.nodes {
        node.hop_mut().namespace.cookie += 100;
        node.hop_mut().namespace.inode += 7;
        node.hop_mut().ifindex += 3;
    }
    assert_eq!(ids(&reading), before);
}

#[test]
fn ways_that_differ_in_numbers_only_have_ids_of_their_own() {
    let mut reading = example::lab();
    let again = reading.nodes.clone();
    let offset = again.len();
    reading.nodes.extend(again.into_iter().map(|mut node| {
        if let super::super::Parent::Node(parent) = &mut node.parent {
            *parent += offset;
        }
        node
    }));
    let routes = Report::from_reading(&reading).routes;
    let ids: HashSet<RouteId> = routes.iter().map(|route| route.id).collect();
    assert_eq!(ids.len(), routes.len());
}

#[test]
fn the_way_back_is_the_busiest_route_of_the_answers() {
    let report = Report::from_reading(&example::lab());
    let there = routes_of(&report, 9000)[0];
    let back = report
        .routes
        .iter()
        .find(|it| Some(it.id) == there.way_back);
    let back = back.expect("the example has answers");
    assert_eq!(back.class.service, Some(Service::Source(9000)));
    assert_eq!(back.way_back, Some(there.id));
}

proptest! {
    #[test]
    fn births_are_conserved_in_any_tree(nodes in example::any_nodes()) {
        let reading = Reading { nodes, ..example::lab() };
        let report = Report::from_reading(&reading);
        let came: i128 = report.routes.iter().map(|route| {
            i128::from(route.packets) + i128::from(route.balance.difference)
        }).sum();
        prop_assert_eq!(came, i128::from(births_outside_reads(&reading)));
    }
}

fn births_outside_reads(reading: &Reading) -> u64 {
    let tree = Tree::of(&reading.nodes);
    let mut reading = reading.clone();
    for (index, node) in reading.nodes.iter_mut().enumerate() {
        if tree.is_read(index) {
            node.born = 0;
        }
    }
    births(&reading)
}
