//! Whose a process is: the systemd unit or the container that its control group's path names.

use std::fmt;

/// Who started a process and looks after it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Owner {
    /// A systemd unit: `app.service`, `session-3.scope`.
    Unit(String),
    /// A container.
    Container(Container),
}

/// A container, as far as a control group's path tells.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Container {
    /// What runs it: "docker", "podman", "containerd", "cri-o", "lxc"; "container" where the path does
    /// not say.
    pub runtime: &'static str,
    /// The first 12 digits of its number, as `docker ps` shows them, or its name (LXC).
    pub id: String,
    /// The UID of its Kubernetes pod.
    pub pod: Option<String>,
}

/// The runtimes whose names stand before a container's number.
const RUNTIMES: [(&str, &str); 7] = [
    ("docker", "docker"),
    ("libpod", "podman"),
    ("crio", "cri-o"),
    ("cri-containerd", "containerd"),
    ("nerdctl", "containerd"),
    ("containerd", "containerd"),
    ("cri-dockerd", "docker"),
];

/// The runtime whose containers have names.
const LXC: &str = "lxc";

/// What stands for a runtime that a path does not name.
const UNSAID: &str = "container";

/// What units are called that processes may belong to (systemd.unit(5)).
const UNITS: [&str; 5] = [".service", ".scope", ".socket", ".mount", ".swap"];

/// The digits of a container's number, and those that are shown.
const DIGITS: usize = 64;
const SHOWN: usize = 12;

impl Owner {
    /// The owner that a control group's path names: the innermost container, else the innermost unit.
    ///
    /// None for the root, slices, and paths that nobody is known to make.
    pub fn of_cgroup(path: &str) -> Option<Self> {
        let parts = || path.split('/').filter(|part| !part.is_empty());
        if let Some(container) = parts().rev().find_map(|part| container(path, part)) {
            return Some(Self::Container(container));
        }
        let is_unit = |part: &&str| {
            let ends = UNITS.iter().find(|&&kind| part.ends_with(kind));
            ends.is_some_and(|kind| part.len() > kind.len())
        };
        let unit = parts().rev().find(is_unit)?;
        Some(Self::Unit(unit.to_owned()))
    }
}

/// The runtime that a text names.
pub fn runtime(name: &str) -> Option<&'static str> {
    let known = RUNTIMES.iter().map(|row| row.1);
    known.chain([LXC, UNSAID]).find(|&known| known == name)
}

fn container(path: &str, part: &str) -> Option<Container> {
    if let Some(name) = part.strip_prefix("lxc.payload.") {
        return Some(Container {
            runtime: LXC,
            id: name.to_owned(),
            pod: None,
        });
    }
    // `…slice:cri-containerd:<number>`, as containerd writes it where systemd is not asked.
    let (before, number) = number(part.rsplit(':').next()?)?;
    let above = path.split('/').rev().skip_while(|it| *it != part).nth(1);
    let said = part.rsplit(':').nth(1).unwrap_or(before);
    let said = if said.is_empty() {
        above.unwrap_or("")
    } else {
        said
    };
    let runtime = RUNTIMES.iter().find(|row| row.0 == said);
    Some(Container {
        runtime: runtime.map_or(UNSAID, |row| row.1),
        id: number[..SHOWN].to_owned(),
        pod: path.split(['/', ':']).find_map(pod),
    })
}

/// A container's number, and what stands before it.
fn number(part: &str) -> Option<(&str, &str)> {
    let part = part.strip_suffix(".scope").unwrap_or(part);
    let (before, number) = part.rsplit_once('-').unwrap_or(("", part));
    let is_number = number.len() == DIGITS && number.bytes().all(|it| it.is_ascii_hexdigit());
    // A monitor stands beside the container, in a group of its own.
    (is_number && !before.ends_with("conmon")).then_some((before, number))
}

/// The UID in `pod<uid>` or `kubepods-burstable-pod<uid with _ for ->.slice`.
fn pod(part: &str) -> Option<String> {
    let part = part.strip_suffix(".slice").unwrap_or(part);
    let uid = match part.strip_prefix("kubepods") {
        Some(rest) => rest.split_once("-pod")?.1,
        None => part.strip_prefix("pod")?,
    };
    let uid = uid.replace('_', "-");
    let is_uid = |it: u8| it.is_ascii_hexdigit() || it == b'-';
    (uid.len() >= 32 && uid.bytes().all(is_uid)).then_some(uid)
}

impl fmt::Display for Owner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unit(unit) => out.write_str(unit),
            Self::Container(it) => write!(out, "{} {}", it.runtime, it.id),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `#` stands for a number of 64 digits, `U` for a pod's UID.
    #[rstest::rstest]
    #[case("/system.slice/app.service", "app.service", None)]
    #[case(
        "/system.slice/system-getty.slice/getty@tty1.service",
        "getty@tty1.service",
        None
    )]
    #[case("/system.slice/app.service/worker", "app.service", None)]
    #[case("/user.slice/user-1000.slice/session-3.scope", "session-3.scope", None)]
    #[case(
        "/user.slice/user-1000.slice/user@1000.service/app.slice/firefox.service",
        "firefox.service",
        None
    )]
    #[case("/init.scope", "init.scope", None)]
    #[case("/system.slice/docker-#.scope", "docker 0123456789ab", None)]
    #[case("/docker/#", "docker 0123456789ab", None)]
    #[case("/docker/#/init.scope", "docker 0123456789ab", None)]
    #[case("/docker/#/system.slice/nginx.service", "docker 0123456789ab", None)]
    #[case("/machine.slice/libpod-#.scope", "podman 0123456789ab", None)]
    #[case("/machine.slice/libpod-#.scope/container", "podman 0123456789ab", None)]
    #[case(
        "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-#.scope",
        "podman 0123456789ab",
        None
    )]
    #[case("/machine.slice/libpod-conmon-#.scope", "libpod-conmon-#.scope", None)]
    #[case(
        "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-podV.slice/cri-containerd-#.scope",
        "containerd 0123456789ab",
        Some("U")
    )]
    #[case(
        "/kubepods.slice/kubepods-podV.slice/crio-#.scope",
        "cri-o 0123456789ab",
        Some("U")
    )]
    #[case("/kubepods/besteffort/podU/#", "container 0123456789ab", Some("U"))]
    #[case(
        "/system.slice/containerd.service/kubepods-besteffort-podV.slice:cri-containerd:#",
        "containerd 0123456789ab",
        Some("U")
    )]
    #[case("/ecs/5f0a/#", "container 0123456789ab", None)]
    #[case("/lxc.payload.web/system.slice/nginx.service", "lxc web", None)]
    fn a_path_names_its_owner(
        #[case] path: &str,
        #[case] expected: &str,
        #[case] pod: Option<&str>,
    ) {
        let number = "0123456789abcdef".repeat(4);
        let uid = "8b4d3b5c-2f5e-4f5c-9b1a-0123456789ab";
        let full = |text: &str| {
            let text = text
                .replace('#', &number)
                .replace('V', &uid.replace('-', "_"));
            text.replace('U', uid)
        };
        let owner = Owner::of_cgroup(&full(path)).unwrap();
        assert_eq!(owner.to_string(), full(expected));
        let found = match owner {
            Owner::Container(it) => it.pod,
            Owner::Unit(_) => None,
        };
        assert_eq!(found, pod.map(full));
    }

    #[test]
    fn a_path_that_names_nobody_gives_nobody() {
        for path in [
            "",
            "/",
            "/system.slice",
            "/user.slice/user-0.slice",
            "/.service",
            "/a/b",
        ] {
            assert_eq!(Owner::of_cgroup(path), None, "{path}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_path_is_too_bad(path in "[a-z0-9/:._-]{0,200}|\\PC{0,60}") {
            let _ = Owner::of_cgroup(&path);
        }
    }
}
