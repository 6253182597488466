//! `tracer off`: nothing of an agent stays, and nothing of others goes.

use std::path::Path;

use nix::sys::signal::Signal;

use super::command::{Running, Said, programs_of, still_loaded, tracer};
use super::running::{Agent, Start, folder};

fn off(socket: &Path) -> Said {
    let socket = socket.to_str().unwrap();
    let said = tracer(&["off", "--socket", socket]).output();
    said.unwrap().into()
}

fn start() -> Agent {
    let agent = Start::live(&[]).run();
    agent.wait_until_ready();
    agent
}

/// Ends an agent in a way; checks that all of it is gone, and that a second call finds none.
fn check(in_the_state: Signal) {
    let agent = start();
    let programs = programs_of(agent.id());
    assert!(!programs.is_empty());
    agent.signal(in_the_state);
    let said = off(&agent.socket());
    let expected = format!(
        "the agent {} has ended; {} programs are detached\n",
        agent.id(),
        programs.len()
    );
    assert_eq!(
        (said.code, said.out.as_str()),
        (Some(0), expected.as_str()),
        "{said:?}"
    );
    assert!(still_loaded(&programs).is_empty());
    let again = off(&agent.socket());
    let expected = format!("no agent runs at {}\n", agent.socket().display());
    assert_eq!((again.code, again.out), (Some(0), expected));
}

#[test]
fn an_agent_that_works_is_ended() {
    check(Signal::SIGCONT);
}

#[test]
fn an_agent_that_is_stopped_is_ended() {
    check(Signal::SIGSTOP);
}

#[test]
fn what_others_attached_stays() {
    let other = Running::start(&[]);
    let second = start();
    let agent = start();
    let said = off(&agent.socket());
    assert_eq!(said.code, Some(0), "{said:?}");
    assert_eq!(still_loaded(&other.programs).len(), other.programs.len());
    assert_eq!(second.get("/healthz").code, 200);
    other.signal(Signal::SIGINT);
    assert_eq!(other.wait().code, Some(0));
}

#[test]
fn where_no_agent_ever_was_it_says_so() {
    let folder = folder();
    let socket = folder.join("sock");
    let said = off(&socket);
    let expected = format!("no agent runs at {}\n", socket.display());
    assert_eq!((said.code, said.out), (Some(0), expected));
}
