//! The files of each owner, as recorded; and such as nobody should write.

use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

fn recorded() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/recordings/owners")
}

fn devices() -> BTreeMap<u32, String> {
    BTreeMap::from([(2, "ens9".to_owned())])
}

fn row(route: &Declared) -> String {
    let gateways: Vec<String> = route.gateways.iter().map(ToString::to_string).collect();
    let place = &route.place;
    format!(
        "{}:{} {}: {} via [{}] dev {} metric {} table {}",
        place.file,
        place.line,
        place.manager.name(),
        route.prefix,
        gateways.join(" "),
        route.device.as_deref().unwrap_or("-"),
        route
            .metric
            .map_or_else(|| "-".to_owned(), |it| it.to_string()),
        route.table
    )
}

#[test]
fn each_owner_s_files_are_read_with_their_lines() {
    let found = read(&recorded(), &devices());
    let rows: Vec<String> = found.routes.iter().map(row).collect();
    let daemons = found.daemons.iter().map(|it| format!("{it:?}"));
    let problems = found.problems.iter().map(|it| format!("{it:?}"));
    let rows: Vec<String> = rows.into_iter().chain(daemons).chain(problems).collect();
    insta::assert_snapshot!(rows.join("\n"));
}

/// Each line that is said really names the destination, or its gateway.
#[test]
fn no_line_is_invented() {
    let root = recorded();
    for route in read(&root, &devices()).routes {
        let file = fs::read_to_string(root.join(&route.place.file[1..])).unwrap();
        let line = file.lines().nth(route.place.line - 1).unwrap();
        // RFC 3442 is written in numbers alone, and of a prefix only the part that counts.
        let bytes = |address: &str| address.replace('.', ",");
        let is_said = |address: String| line.contains(&address) || line.contains(&bytes(&address));
        let names = is_said(route.prefix.addr().to_string())
            || line.contains("default")
            || route.gateways.iter().any(|it| is_said(it.to_string()));
        assert!(names, "{}: {line}", row(&route));
    }
}

#[test]
fn what_can_t_be_read_is_said_with_its_line() {
    for (index, text, line, because) in [
        (
            0,
            "network:\n  ethernets:\n    eth0:\n      routes:\n        - to: nowhere\n          via: 10.0.0.1\n",
            Some(5),
            "\"nowhere\" is no prefix",
        ),
        (0, "network: [", None, ""),
        (
            1,
            "[Route]\nDestination=10.0.0.0/33\n",
            Some(2),
            "\"10.0.0.0/33\" is no prefix",
        ),
        (
            1,
            "[Route]\nDestination=10.0.0.0/8\nTable=vpn\n",
            Some(3),
            "\"vpn\" is no table's number",
        ),
        (1, "what is this\n", Some(1), "it is no section and no key"),
        (
            2,
            "[ipv4]\nroute1=10.0.0.0/8,gateway\n",
            Some(2),
            "\"gateway\" is no address",
        ),
        (
            3,
            "iface a inet static\n up ip route add 10.0.0.0/8 via $GW\n",
            Some(2),
            "\"$GW\" is no address",
        ),
        (
            3,
            "iface a inet static\n up ip route add 10.0.0.0/8 frobnicate\n",
            Some(2),
            "\"frobnicate\" is not understood",
        ),
        (
            4,
            "ip route 10.24.0.0/16 10.0.4.1 vrf blue\n",
            Some(1),
            "the table of a VRF is not known here",
        ),
        (
            5,
            "protocol static {\n route NET via 10.0.0.1;\n}",
            Some(2),
            "\"NET\" is no prefix",
        ),
        (
            6,
            "ROUTES=10.0.0.0/8\n",
            Some(1),
            "\"10.0.0.0/8\" is no route",
        ),
        (
            7,
            "lease {\n option rfc3442-classless-static-routes 24,10;\n}\n",
            Some(2),
            "\"24,10\" are no routes",
        ),
        (
            8,
            "{\"plugins\": [{\"ipam\": {\"routes\": [\n{\"dst\": \"x\"}]}}]}",
            Some(2),
            "\"x\" is no prefix",
        ),
    ] {
        let source = &SOURCES[index];
        let found = (source.read)(&Text {
            manager: source.manager,
            file: "/file",
            content: text,
            devices: &devices(),
        });
        let problem = found
            .problems
            .first()
            .unwrap_or_else(|| panic!("{text}: no problem"));
        assert!(problem.because.contains(because), "{text}: {problem:?}");
        assert!(
            line.is_none() || problem.line == line,
            "{text}: {problem:?}"
        );
        assert_eq!(found.routes, [], "{text}");
    }
}

#[test]
fn a_file_in_etc_hides_one_of_its_name_in_run() {
    let root = std::env::temp_dir().join(format!("tracer-owners-{}", std::process::id()));
    for (folder, gateway) in [("etc", "10.0.0.1"), ("run", "10.0.0.2")] {
        let folder = root.join(folder).join("systemd/network");
        fs::create_dir_all(&folder).unwrap();
        let text = format!("[Network]\nGateway={gateway}\n");
        fs::write(folder.join("a.network"), text).unwrap();
    }
    fs::write(root.join("etc/systemd/network/b.network"), [0xff, 0xfe]).unwrap();
    let found = read(&root, &devices());
    fs::remove_dir_all(&root).unwrap();
    let gateways: Vec<String> = found
        .routes
        .iter()
        .map(|it| it.gateways[0].to_string())
        .collect();
    assert_eq!(gateways, ["10.0.0.1"]);
    assert_eq!(found.problems[0].file, "/etc/systemd/network/b.network");
    assert_eq!(found.problems[0].because, "it is no UTF-8 text");
}

#[test]
fn a_masked_file_s_drop_ins_are_not_parsed_and_a_drop_in_that_matches_more_has_no_device() {
    let root = std::env::temp_dir().join(format!("tracer-masked-{}", std::process::id()));
    let write = |file: &str, text: &str| {
        let file = root.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
    };
    let route = |gateway: &str| format!("[Route]\nGateway={gateway}\n");
    write("usr/lib/systemd/network/a.network", &route("10.0.0.1"));
    write("etc/systemd/network/a.network.d/x.conf", &route("10.0.0.2"));
    let masked = root.join("etc/systemd/network/a.network");
    std::os::unix::fs::symlink("/dev/null", &masked).unwrap();
    write("etc/systemd/network/b.network", "[Match]\nName=eth0\n");
    let more = "[Match]\nName=eth1\n".to_owned() + &route("10.0.0.3");
    write("etc/systemd/network/b.network.d/more.conf", &more);
    write("run/systemd/network/b.network.d/z.conf", &route("10.0.0.4"));
    let found = read(&root, &devices());
    fs::remove_dir_all(&root).unwrap();
    assert_eq!(found.problems, []);
    let routes = found.routes.iter();
    let found: Vec<_> = routes
        .map(|it| (it.gateways[0].to_string(), it.device.as_deref()))
        .collect();
    assert_eq!(
        found,
        [
            ("10.0.0.3".to_owned(), None),
            ("10.0.0.4".to_owned(), Some("eth0"))
        ]
    );
}

/// Lines of real files, cut and shuffled, with noise between.
fn nonsense() -> impl Strategy<Value = String> {
    let mut lines: Vec<String> = Vec::new();
    let mut folders = vec![recorded()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            match fs::read_to_string(entry.path()) {
                Ok(text) => lines.extend(text.lines().map(|line| format!("{line}\n"))),
                Err(_) => folders.push(entry.path()),
            }
        }
    }
    let line = prop_oneof![
        6 => (proptest::sample::select(lines), 0usize..60).prop_map(|(line, keep)| {
            line.chars().take(keep.max(4) * 2).collect::<String>()
        }),
        1 => "\\PC{0,20}\n?",
    ];
    proptest::collection::vec(line, 0..40).prop_map(|lines| lines.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]
    #[test]
    fn no_file_is_too_bad(text in nonsense()) {
        for source in &SOURCES {
            let found = (source.read)(&Text {
                manager: source.manager,
                file: "/file",
                content: &text,
                devices: &BTreeMap::new(),
            });
            let lines = text.lines().count();
            for route in found.routes {
                prop_assert!(route.place.line >= 1 && route.place.line <= lines.max(1));
            }
        }
    }
}
