//! The example is complete, and broken files are refused with the right words.

use std::num::NonZeroU8;

use super::*;
use crate::model::Protocol;
use crate::source::settings::{Component, Filter, Limits};

const EXAMPLE: &str = include_str!("../../docs/tracer.example.toml");

/// The example with every key that it holds as a comment.
fn complete_example() -> String {
    let lines = EXAMPLE.lines().map(|line| match line.strip_prefix('#') {
        Some(key) if key.starts_with(|it: char| it.is_ascii_lowercase() || it == '[') => key,
        _ => line,
    });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

fn parse(text: &str) -> Result<Config, String> {
    Config::parse(text, Path::new("tracer.toml")).map_err(|error| error.to_string())
}

#[test]
fn the_example_is_the_default() {
    assert_eq!(parse(EXAMPLE), Ok(Config::default()));
}

#[test]
fn the_complete_example_sets_everything() {
    let config = parse(&complete_example()).unwrap();
    let settings = Settings {
        filter: Filter {
            namespace: Some("lab-app".to_owned()),
            device: Some("eth0".to_owned()),
            prefix: Some("10.0.0.0/8".parse().unwrap()),
            protocol: Some(Protocol::Tcp),
            port: Some(5432),
        },
        components: vec![
            Component {
                name: "app".to_owned(),
                prefixes: vec![
                    "10.0.1.0/24".parse().unwrap(),
                    "fd00:1::/64".parse().unwrap(),
                ],
                ports: vec![],
                namespace: Some("lab-app".to_owned()),
            },
            Component {
                name: "database".to_owned(),
                prefixes: vec!["10.0.2.7/32".parse().unwrap()],
                ports: vec![5432],
                namespace: None,
            },
        ],
        service_ports: vec![],
        ephemeral_from: 32_768,
        through_hardware: false,
        timed_one_in: NonZeroU8::new(8).unwrap(),
        fine: false,
        limits: Limits::default(),
        passages: false,
        kernel_log: false,
        makers: true,
        exchanges: true,
        processors: None,
    };
    let agent = Agent {
        web_config: Some("/etc/tracer/web.yml".into()),
        ..Agent::default()
    };
    assert_eq!(config.duration, Duration::from_secs(10));
    assert_eq!(config.agent, agent);
    let alerts = Alerts {
        webhook: Some("https://on-call.example/hook".parse().unwrap()),
        webhook_key: Some("/etc/tracer/webhook.key".into()),
        ..Alerts::default()
    };
    assert_eq!(config.alerts, alerts);
    assert_eq!(config.settings, settings);
}

#[test]
fn service_ports_are_ports_and_ranges() {
    let config = parse("[classes]\nservice_ports = [50051, \"40000-40100\", \"53\"]").unwrap();
    assert_eq!(
        config.settings.service_ports,
        [50_051..=50_051, 40_000..=40_100, 53..=53]
    );
}

#[test]
fn a_budget_is_a_percentage_or_off() {
    let budget = |text: &str| {
        let config = parse(&format!("[agent]\nmax_cpu = {text:?}")).unwrap();
        config
            .agent
            .max_cpu
            .map(crate::app::agent::settings::Budget::share)
    };
    assert_eq!(budget("2.5%"), Some(0.025));
    assert_eq!(budget("0.01 %"), Some(0.0001));
    assert_eq!(budget("100%"), Some(1.0));
    assert_eq!(budget("off"), None);
}

/// The keys that a section takes, from what serde says about one that it does not take.
fn keys_of(section: &str) -> Vec<String> {
    let text = match section {
        "" => "no-such-key = 1".to_owned(),
        "component" => "[[component]]\nno-such-key = 1".to_owned(),
        section => format!("[{section}]\nno-such-key = 1"),
    };
    let Err(wrong) = file::parse(&text) else {
        panic!("{section} takes any key");
    };
    wrong
        .problem
        .split('`')
        .skip(3)
        .step_by(2)
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_key_is_in_the_example_and_in_the_table() {
    let sections = keys_of("");
    assert!(sections.len() > 4, "{sections:?}");
    let example: toml::Table = complete_example().parse().unwrap();
    for section in sections {
        let value = match &example[&section] {
            toml::Value::Array(all) => all[0].clone(),
            value => value.clone(),
        };
        let in_the_example = complete_example();
        for key in keys_of(&section) {
            let held = value.get(&key).is_some() || in_the_example.contains(&format!("\n{key} = "));
            assert!(held, "{section}.{key} is not in the example");
            let path = format!("{section}.{key}");
            assert!(keys::allowed(&path).is_some(), "{path} is not in the table");
        }
    }
}

#[test]
fn a_file_that_was_named_must_be_there() {
    let error = Config::load(Some(Path::new("/nowhere/tracer.toml"))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "read configuration /nowhere/tracer.toml: No such file or directory (os error 2); \
         try --config with a file that you may read"
    );
}

/// Each file is followed by the message, which starts with the path.
#[test]
fn broken_files_are_refused_with_line_key_and_what_is_allowed() {
    let mut wrong = Vec::new();
    for (text, message) in BROKEN {
        let found = parse(text).map_or_else(|error| error, |_| "it is accepted".to_owned());
        if found != format!("read configuration tracer.toml, line {message}") {
            wrong.push(format!("{text}\n  should be: {message}\n  is: {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

const BROKEN: &[(&str, &str)] = &[
    (
        "[routes]\nduration = 10",
        "2: routes.duration: invalid type: integer `10`, expected a string; allowed: a duration from 1ms to 24h, such as 10s, 500ms or 2m",
    ),
    (
        "[routes]\nduration = \"soon\"",
        "2: routes.duration: \"soon\" is no duration; allowed: a duration from 1ms to 24h, such as 10s, 500ms or 2m",
    ),
    (
        "[routes]\nduration = \"25h\"",
        "2: routes.duration: 25h is too long; allowed: a duration from 1ms to 24h, such as 10s, 500ms or 2m",
    ),
    (
        "[routes]\n\n# a word\nduratoin = \"1s\"",
        "4: routes.duratoin: there is no such key; allowed: duration, through_hardware, fine",
    ),
    (
        "[filters]\nport = 1",
        "1: filters: there is no such key; allowed: routes, agent, metrics, journal, incidents, alerts, filter, classes, timing, limits, component",
    ),
    (
        "duration = \"1s\"",
        "1: duration: there is no such key; allowed: routes, agent, metrics, journal, incidents, alerts, filter, classes, timing, limits, component",
    ),
    (
        "routes = 1",
        "1: routes: invalid type: integer `1`, expected struct Routes; allowed: a section: [routes]",
    ),
    (
        "[filter]\nprefix = \"10.0.0.0/33\"",
        "2: filter.prefix: \"10.0.0.0/33\" is no prefix; allowed: an address with or without a length, such as 10.0.1.0/24 or fd00::1",
    ),
    (
        "[filter]\nprefix = \"10.0.0.1/8\"",
        "2: filter.prefix: 10.0.0.1/8 has bits beyond its length; 10.0.0.0/8 has none; allowed: an address with or without a length, such as 10.0.1.0/24 or fd00::1",
    ),
    (
        "[filter]\nprotocol = \"sctp\"",
        "2: filter.protocol: \"sctp\" is no protocol that is told apart; allowed: tcp, udp, icmp, other",
    ),
    (
        "[filter]\nport = 0",
        "2: filter.port: 0 is no port; allowed: a port from 1 to 65535",
    ),
    (
        "[filter]\nport = 65536",
        "2: filter.port: 65536 is no port; allowed: a port from 1 to 65535",
    ),
    (
        "filter = { device = \"\" }",
        "1: filter.device: the name is empty; allowed: a name that is not empty",
    ),
    (
        "[classes]\nservice_ports = [\n  80,\n  \"90-80\",\n]",
        "4: classes.service_ports: the range \"90-80\" ends before it starts; allowed: a port from 1 to 65535, or a range such as \"8000-8100\"",
    ),
    (
        "[classes]\nservice_ports = [true]",
        "2: classes.service_ports: it is neither a port nor a range; allowed: a port from 1 to 65535, or a range such as \"8000-8100\"",
    ),
    (
        "[classes]\nservice_ports = 80",
        "2: classes.service_ports: invalid type: integer `80`, expected a sequence; allowed: a port from 1 to 65535, or a range such as \"8000-8100\"",
    ),
    (
        "[classes]\nephemeral_from = -1",
        "2: classes.ephemeral_from: -1 is no port; allowed: a port from 1 to 65535",
    ),
    (
        "[agent]\nlisten = \"9560\"",
        "2: agent.listen: \"9560\" is no address with a port; allowed: an address with a port, such as 127.0.0.1:9560 or [::1]:9560",
    ),
    (
        "[agent]\nsocket = \"tracer.sock\"",
        "2: agent.socket: \"tracer.sock\" does not start with /; allowed: a path that starts with /, or \"\" for none",
    ),
    (
        "[agent]\nweb_config = \"\"",
        "2: agent.web_config: \"\" does not start with /; allowed: a path that starts with /",
    ),
    (
        "[agent]\ninsecure_listen = 1",
        "2: agent.insecure_listen: invalid type: integer `1`, expected a boolean; allowed: true, false",
    ),
    (
        "[agent]\nconnections = 0",
        "2: agent.connections: 0 is too few; allowed: a number from 1 to 10000",
    ),
    (
        "[agent]\nmax_cpu = 1",
        "2: agent.max_cpu: invalid type: integer `1`, expected a string; allowed: a percentage from 0.01% to 100% of this host, such as 1%, or off",
    ),
    (
        "[agent]\nmax_cpu = \"1\"",
        "2: agent.max_cpu: \"1\" is no percentage; allowed: a percentage from 0.01% to 100% of this host, such as 1%, or off",
    ),
    (
        "[agent]\nmax_cpu = \"0%\"",
        "2: agent.max_cpu: 0% is too little; allowed: a percentage from 0.01% to 100% of this host, such as 1%, or off",
    ),
    (
        "[agent]\nmax_cpu = \"101%\"",
        "2: agent.max_cpu: 101% is too much; allowed: a percentage from 0.01% to 100% of this host, such as 1%, or off",
    ),
    (
        "[agent]\nmax_cpu = \"NaN%\"",
        "2: agent.max_cpu: \"NaN%\" is no percentage; allowed: a percentage from 0.01% to 100% of this host, such as 1%, or off",
    ),
    (
        "[agent]\nport = 9560",
        "2: agent.port: there is no such key; allowed: listen, insecure_listen, web_config, socket, connections, max_cpu",
    ),
    (
        "[metrics]\nmax_series = 10000001",
        "2: metrics.max_series: 10000001 is too many; allowed: a number from 1 to 10000000",
    ),
    (
        "[timing]\none_in = 6",
        "2: timing.one_in: 6 is no power of two; allowed: a power of two from 1 to 64",
    ),
    (
        "[timing]\none_in = 128",
        "2: timing.one_in: 128 is too many; allowed: a power of two from 1 to 64",
    ),
    (
        "[timing]\none_in = 0",
        "2: timing.one_in: 0 is out of range; allowed: a power of two from 1 to 64",
    ),
    (
        "[limits]\npackets = 1000",
        "2: limits.packets: 1000 is no power of two; allowed: a power of two from 16 to 16777216",
    ),
    (
        "[limits]\nnodes = 8",
        "2: limits.nodes: 8 is too few; allowed: a power of two from 16 to 16777216",
    ),
    (
        "[limits]\ncells = 33554432",
        "2: limits.cells: 33554432 is too many; allowed: a power of two from 16 to 16777216",
    ),
    (
        "[limits]\nhandover = -1",
        "2: limits.handover: -1 is out of range; allowed: a power of two from 16 to 16777216",
    ),
    (
        "[[component]]\nprefixes = [\"10.0.0.0/8\"]",
        "1: component: missing field `name`; allowed: [[component]] with a name and at least one of prefixes, ports, namespace",
    ),
    (
        "[[component]]\nname = \"app\"",
        "2: component.name: \"app\" has no prefix, no port and no namespace, so every packet would be its own; allowed: a name that no other component has, beside prefixes, ports or a namespace",
    ),
    (
        "[[component]]\nname = \"app\"\nports = [1]\n[[component]]\nname = \"app\"\nports = [2]",
        "5: component.name: a component named \"app\" stands above; allowed: a name that no other component has, beside prefixes, ports or a namespace",
    ),
    (
        "[[component]]\nname = \"a\"\nports = [1]\n[[component]]\nname = \"b\"\nprefixes = [\n\"10.0.0.0/8\",\n\"ten\"]",
        "8: component.prefixes: \"ten\" is no prefix; allowed: an address with or without a length, such as 10.0.1.0/24 or fd00::1",
    ),
    (
        "[[component]]\nname = \"app\"\nport = 1",
        "3: component.port: there is no such key; allowed: name, prefixes, ports, namespace",
    ),
    (
        "[component]\nname = \"app\"\nports = [1]",
        "1: component: invalid type: map, expected a sequence; allowed: [[component]] with a name and at least one of prefixes, ports, namespace",
    ),
    (
        "[limits]\npackets 64",
        "2: key with no value, expected `=`; allowed: TOML, https://toml.io",
    ),
    (
        "[limits]\npackets = 64\npackets = 64",
        "3: duplicate key; allowed: TOML, https://toml.io",
    ),
];
