//! Where tracing can't work, one line says why and what to do.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::command::{Said, tracer};

/// Linux's overflow user, who may do nothing (`/proc/sys/kernel/overflowuid`).
const NOBODY: u32 = 65_534;

/// A folder that everyone may read, for one test alone.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("tracer-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // A folder left behind is no failure of what was tested.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs the command as a user without rights, who may not even see the folder it was built in.
fn as_nobody(name: &str, arguments: &[&str]) -> Said {
    let folder = Folder::new(name);
    let copy = folder.0.join("tracer");
    // By a process of its own: a file that this one has open for writing can't be run.
    let copied = Command::new("install")
        .args([env!("CARGO_BIN_EXE_tracer")])
        .arg(&copy)
        .status();
    assert!(copied.unwrap().success());
    let mut command = Command::new(copy);
    command
        .args(arguments)
        .current_dir("/")
        .uid(NOBODY)
        .gid(NOBODY);
    command.output().unwrap().into()
}

fn check_one_line(said: &Said, words: &[&str]) {
    assert_eq!((said.code, said.out.as_str()), (Some(1), ""), "{said:?}");
    assert_eq!(said.err.trim_end().lines().count(), 1, "{said:?}");
    assert!(said.err.starts_with("tracer: "), "{said:?}");
    for word in words {
        assert!(said.err.contains(word), "no {word:?}: {said:?}");
    }
}

#[test]
fn without_rights_the_error_says_who_has_them() {
    let said = as_nobody("routes", &["routes", "--duration", "1s"]);
    println!("{}", said.err);
    check_one_line(
        &said,
        &["has not got CAP_BPF and CAP_PERFMON", "; try sudo tracer"],
    );
}

#[test]
fn the_one_screen_needs_the_same_rights() {
    let said = as_nobody("screen", &["--socket", ""]);
    check_one_line(
        &said,
        &["has not got CAP_BPF and CAP_PERFMON", "; try sudo tracer"],
    );
}

#[test]
fn the_doctor_says_which_rights_are_missing() {
    let said = as_nobody("doctor", &["doctor"]);
    println!("{}", said.out);
    assert_eq!((said.code, said.err.as_str()), (Some(1), ""), "{said:?}");
    for word in [
        "CAP_BPF",
        "CAP_PERFMON",
        "this process has not got it",
        "sudo tracer",
    ] {
        assert!(said.out.contains(word), "{said:?}");
    }
    assert!(said.out.contains("tracing can't work here"), "{said:?}");
}

#[test]
fn the_doctor_of_root_finds_nothing_missing() {
    let said: Said = tracer(&["doctor"]).output().unwrap().into();
    println!("{}", said.out);
    assert_eq!(said.code, Some(0), "{said:?}");
    assert!(said.out.contains("tracing works here"), "{said:?}");
}

/// Runs the command where the kernel's types are hidden, in a mount namespace of its own.
fn without_types(arguments: &[&str]) -> Said {
    let run = || {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let (none, all) = (None::<&str>, MsFlags::MS_PRIVATE | MsFlags::MS_REC);
        mount(none, "/", none, all, none).unwrap();
        mount(
            none,
            "/sys/kernel/btf",
            Some("tmpfs"),
            MsFlags::empty(),
            none,
        )
        .unwrap();
        tracer(arguments).output().unwrap().into()
    };
    thread::scope(|scope| scope.spawn(run).join().unwrap())
}

#[test]
fn without_types_the_error_says_which_kernel_has_them() {
    let said = without_types(&["routes", "--duration", "1s"]);
    println!("{}", said.err);
    check_one_line(
        &said,
        &["/sys/kernel/btf/vmlinux", "CONFIG_DEBUG_INFO_BTF=y"],
    );
    let said = without_types(&["doctor"]);
    println!("{}", said.out);
    assert_eq!((said.code, said.err.as_str()), (Some(1), ""), "{said:?}");
    assert!(said.out.contains("CONFIG_DEBUG_INFO_BTF=y"), "{said:?}");
}

#[test]
fn an_unknown_key_is_named_with_its_line_and_what_is_allowed() {
    let folder = Folder::new("key");
    let path = folder.0.join("tracer.toml");
    fs::write(&path, "[filter]\nport = 53\ncolour = \"red\"\n").unwrap();
    let path = path.to_str().unwrap();
    let said: Said = tracer(&["routes", "--config", path])
        .output()
        .unwrap()
        .into();
    let expected = format!(
        "tracer: read configuration {path}, line 3: filter.colour: there is no such key; allowed: \
         namespace, device, prefix, protocol, port\n"
    );
    assert_eq!((said.code, said.err), (Some(2), expected));
}

#[test]
fn an_unknown_namespace_is_named() {
    let said: Said = tracer(&["routes", "--netns", "no-such-namespace"])
        .output()
        .unwrap()
        .into();
    println!("{}", said.err);
    check_one_line(&said, &["no-such-namespace", "; try "]);
}
