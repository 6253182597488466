//! Routes as a person reads them: each as its packets' way, the slowest segment marked.

mod account;
mod class;
mod dependents;
mod passing;
mod row;
mod sockets;
mod way;

use super::fit;
use super::host_text;
use super::look::{Ink, Look};
use super::units;
use crate::model::report::class_key;
use crate::model::{Availability, Report, Route, State};

pub(super) use account::kinds;
pub(super) use class::heading as class_heading;
pub(super) use way::device_line;

/// A report as text for a screen.
pub fn to_text(report: &Report, look: Look) -> String {
    let classes = by_class(report);
    let mut blocks = vec![heading(report, classes.len(), look)];
    for routes in &classes {
        for (index, route) in routes.iter().enumerate() {
            blocks.push(way::text(route, index + 1, routes, look));
        }
        if let Some(last) = blocks.last_mut() {
            *last += &sockets::of_class(report, routes[0], look);
            *last += &passing::of_class(report, routes[0], look);
        }
    }
    blocks.push(sockets::without_routes(report, look));
    blocks.push(dependents::text(report, look));
    blocks.push(passing::without_routes(report, look));
    if report.routes.is_empty() {
        blocks.push("no packet was seen; try a longer --duration or fewer filters\n".to_owned());
    }
    blocks.push(losses(report, look));
    blocks.retain(|block| !block.is_empty());
    blocks.join("\n")
}

/// The routes of each class together, the busiest class first.
pub(super) fn by_class(report: &Report) -> Vec<Vec<&Route>> {
    let mut classes: Vec<(String, Vec<&Route>)> = Vec::new();
    for route in &report.routes {
        let key = class_key(&route.class);
        match classes.iter_mut().find(|(known, _)| *known == key) {
            Some((_, routes)) => routes.push(route),
            None => classes.push((key, vec![route])),
        }
    }
    classes.into_iter().map(|(_, routes)| routes).collect()
}

fn heading(report: &Report, classes: usize, look: Look) -> String {
    let text = format!(
        "{:.1} s on Linux {} · {} · {} · {}",
        report.duration_ns as f64 / 1e9,
        fit::name(&report.kernel, 40),
        units::counted(classes as u64, "class"),
        units::counted(report.routes.len() as u64, "route"),
        units::counted(report.packets(), "packet"),
    );
    look.paint(Ink::Faint, &fit::wrap(&text, look.width, 2)) + "\n"
}

fn losses(report: &Report, look: Look) -> String {
    let lost: Vec<String> = report
        .losses
        .iter()
        .filter(|&(_, &count)| count > 0)
        .map(|(reason, &count)| format!("{} {}", units::count(count), fit::name(reason, 40)))
        .collect();
    let mut text = if lost.is_empty() {
        "lost from sight: nothing\n".to_owned()
    } else {
        let line = format!("lost from sight: {}", lost.join(", "));
        look.paint(Ink::Unsure, &fit::wrap(&line, look.width, 2)) + "\n"
    };
    let forgotten = &report.forgotten;
    if forgotten.nodes > 0 {
        let line = format!(
            "made room for others: {} and {} that were used least lately, of {} on routes not shown; \
             with larger limits in the configuration they stay",
            units::counted(forgotten.nodes, "hop"),
            units::counted(forgotten.classes, "class"),
            units::counted(forgotten.whole.packets, "packet"),
        );
        text += &look.paint(Ink::Faint, &fit::wrap(&line, look.width, 2));
        text.push('\n');
    }
    for poor in report.coverage.iter().filter(|it| it.is_poor()) {
        let line = format!(
            "seen only {} of what {} {} {}s: {} of {} packets; others pass by the hops (XDP, offload)",
            units::share(poor.ratio().unwrap_or(0.0)),
            fit::name(&poor.namespace.name, 30),
            fit::name(&poor.device, 15),
            poor.direction.name(),
            units::count(poor.seen),
            units::count(poor.carried),
        );
        text += &look.paint(Ink::Bad, &fit::wrap(&line, look.width, 2));
        text.push('\n');
    }
    for trouble in &report.host.troubles() {
        let line = format!("this host: {}", host_text::trouble(trouble));
        text += &look.paint(Ink::Bad, &fit::wrap(&line, look.width, 2));
        text.push('\n');
    }
    for ((because, advice), names) in not_watched(&report.availability) {
        let line = format!("not watched: {}: {because}; try {advice}", names.join(", "));
        text += &look.paint(Ink::Faint, &fit::wrap(&line, look.width, 2));
        text.push('\n');
    }
    text
}

/// What can't be watched, those with the same reason and advice together.
fn not_watched(rows: &[Availability]) -> Vec<((&str, &str), Vec<&str>)> {
    let mut groups = Vec::<((&str, &str), Vec<&str>)>::new();
    for row in rows {
        let (State::Unavailable { because, advice } | State::Missing { because, advice }) =
            &row.state
        else {
            continue;
        };
        let why = (&**because, &**advice);
        match groups.iter_mut().find(|(known, _)| *known == why) {
            Some((_, names)) => names.push(&row.name),
            None => groups.push((why, vec![&row.name])),
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{End, Reading, example};

    fn lab(width: usize) -> String {
        let report = Report::from_reading(&example::lab());
        let look = Look {
            width,
            colour: false,
        };
        to_text(&report, look)
    }

    #[test]
    fn what_one_reason_takes_is_told_on_one_line() {
        let unavailable = |name: &str, because: &str| Availability {
            name: name.to_owned(),
            meaning: String::new(),
            state: State::Unavailable {
                because: because.to_owned(),
                advice: "another kernel".to_owned(),
            },
        };
        let report = Report {
            availability: vec![
                unavailable("ip_rcv", "no fentry"),
                unavailable("tcp_probe", "too old"),
                unavailable("ip_output", "no fentry"),
            ],
            ..Report::default()
        };
        let text = losses(&report, Look::default());
        let told: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(
            told,
            [
                "not watched: ip_rcv, ip_output: no fentry; try another kernel",
                "not watched: tcp_probe: too old; try another kernel",
            ]
        );
    }

    #[test]
    fn the_lab_at_80_columns() {
        insta::assert_snapshot!(lab(80));
    }

    #[test]
    fn next_hops_and_entries_of_the_fib_stand_where_frames_were_sent() {
        let report = Report::from_reading(&example::lab_with_forwarding());
        let text = to_text(&report, Look::default());
        let sent: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("▼") || line.contains("    by ") || line.contains("leg"))
            .collect();
        insta::assert_snapshot!(sent.join("\n"));
        for line in text.lines() {
            assert!(fit::width(line) <= 80, "{line}");
        }
    }

    #[test]
    fn who_is_behind_the_ends_stands_beside_them_where_there_is_room() {
        let report = Report::from_reading(&example::lab_with_forwarding());
        let at = |width: usize| {
            let look = Look {
                width,
                colour: false,
            };
            let text = to_text(&report, look);
            let lines = text.lines().filter(|line| line.contains("uwsgi"));
            lines.collect::<Vec<_>>().join("\n")
        };
        insta::assert_snapshot!([80, 160].map(at).join("\n"));
    }

    #[test]
    fn sockets_stand_behind_the_routes_of_what_they_receive() {
        let report = Report::from_reading(&crate::model::connection::example::lab());
        let text = to_text(&report, Look::default());
        let lines: Vec<&str> = text.lines().collect();
        let start = lines.iter().position(|line| line.contains("⇄ sockets"));
        let start = start.expect("they are shown");
        let end = start
            + lines[start..]
                .iter()
                .position(|line| line.is_empty())
                .unwrap();
        let poor = text.lines().filter(|line| line.contains("seen only"));
        let told: Vec<&str> = lines[start..end].iter().copied().chain(poor).collect();
        insta::assert_snapshot!(told.join("\n"));
        for line in lines {
            assert!(fit::width(line) <= 80, "{line}");
        }
    }

    #[test]
    fn what_passes_stands_behind_the_routes_that_it_takes() {
        let report = Report::from_reading(&crate::model::connection::example::lab_on_the_way());
        let text = to_text(&report, Look::default());
        let lines: Vec<&str> = text.lines().collect();
        let blocks = lines.split(|line| line.is_empty()).filter_map(|route| {
            let start = route
                .iter()
                .position(|line| line.contains("and the source"))?;
            Some([&route[..1], &route[start..]].concat().join("\n"))
        });
        insta::assert_snapshot!(blocks.collect::<Vec<_>>().join("\n\n"));
        for line in lines {
            assert!(fit::width(line) <= 80, "{line}");
        }
    }

    #[test]
    fn the_lab_at_120_columns() {
        insta::assert_snapshot!(lab(120));
    }

    #[test]
    fn the_lab_at_60_columns() {
        insta::assert_snapshot!(lab(60));
    }

    #[test]
    fn the_lab_in_colour() {
        let report = Report::from_reading(&example::lab());
        let look = Look {
            width: 80,
            colour: true,
        };
        insta::assert_snapshot!(to_text(&report, look).replace('\x1b', "␛"));
    }

    #[test]
    fn no_line_is_wider_than_the_screen() {
        for width in [50, 60, 71, 72, 80, 99, 100, 120, 200] {
            for line in lab(width).lines() {
                assert!(fit::width(line) <= width, "{width}: {line}");
            }
        }
    }

    #[test]
    fn long_names_are_shortened_and_long_numbers_are_not() {
        let mut reading = example::lab();
        let long = "a-namespace-whose-name-was-made-by-a-program-0123456789abcdef-0123456789abcdef";
        for node in &mut reading.nodes {
            long.clone_into(&mut node.hop_mut().namespace.name);
            node.packets *= 1_000_000_000;
        }
        reading.classes[0].source = End::Component(long.to_owned());
        reading.classes[1].source = End::Prefix(
            "2001:db8:1111:2222:3333:4444:5555:6666".parse().unwrap(),
            128,
        );
        reading.classes[1].destination = reading.classes[1].source.clone();
        let report = Report::from_reading(&reading);
        let text = to_text(&report, Look::default());
        for line in text.lines() {
            assert!(fit::width(line) <= 80, "{line}");
        }
        assert!(text.contains("12,000,000,000,000"), "{text}");
        assert!(
            text.contains("2001:db8:1111:2222:3333:4444:5555:6666/128"),
            "{text}"
        );
        assert!(!text.contains(long), "{text}");
    }

    #[test]
    fn an_error_of_the_tracer_is_shown() {
        let mut reading = example::lab();
        reading.nodes[0].born += 3;
        let text = to_text(&Report::from_reading(&reading), Look::default());
        assert!(text.contains("≠ 3 packets came and have no end"), "{text}");
    }

    #[test]
    fn what_made_room_for_others_is_told() {
        let mut reading = example::lab();
        reading.forgotten.nodes = 1_024;
        reading.forgotten.classes = 1;
        reading.forgotten.whole.packets = 12_345;
        let text = to_text(&Report::from_reading(&reading), Look::default());
        let (_, told) = text.split_once("lost from sight").unwrap();
        insta::assert_snapshot!(told);
    }

    #[test]
    fn nothing_seen_says_so() {
        let report = Report::from_reading(&Reading::default());
        insta::assert_snapshot!(to_text(&report, Look::default()));
    }
}
