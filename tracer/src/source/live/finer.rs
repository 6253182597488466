//! Finer hops, for those who ask for them, and what is said where the kernel has none.

use std::collections::BTreeMap;
use std::io::ErrorKind;

use aya::programs::fentry::FEntryLink;
use aya::programs::{FEntry, Program, ProgramError};
use aya::{Btf, Ebpf};
use tracer_common::hop::{FINER, PROBES, Probe};

use super::load::{WRONG_OBJECT, chain};
use crate::model::{Availability, State};
use crate::source::Error;

const ADVICE: &str = "a kernel with CONFIG_FUNCTION_TRACER, or without --fine";

/// The programs that are attached where they can be: those of finer hops behind the others, if they
/// are asked for.
pub(super) fn probes(fine: bool) -> impl Iterator<Item = &'static Probe> {
    PROBES.iter().chain(FINER.iter().filter(move |_| fine))
}

/// A program, and the kernel's function that it is attached to.
#[derive(Clone, Copy)]
struct At {
    program: &'static str,
    function: &'static str,
}

/// What attaches the finer programs: without it they are detached, and stay loaded.
#[derive(Default)]
pub(super) struct Links {
    programs: Vec<At>,
    attached: Vec<FEntryLink>,
    /// Whether they were let go to spare the host's processors.
    left_out: bool,
}

impl Links {
    /// Attaches one more.
    pub(super) fn attach(
        &mut self,
        ebpf: &mut Ebpf,
        program: &'static str,
        function: &'static str,
    ) -> Result<(), ProgramError> {
        self.attached.push(attach(finer(ebpf, program))?);
        self.programs.push(At { program, function });
        Ok(())
    }

    /// Whether there are any, attached or not.
    pub(super) fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }

    /// Detaches all of them.
    pub(super) fn let_go(&mut self) {
        self.attached.clear();
    }

    /// Detaches all of them until there is time for them again.
    pub(super) fn leave_out(&mut self) {
        self.let_go();
        self.left_out = true;
    }

    /// Attaches those that were left out.
    pub(super) fn take_up(&mut self, ebpf: &mut Ebpf) -> Result<(), Error> {
        if self.attached.is_empty() {
            let again = self.programs.iter().map(|&at| attach_again(ebpf, at));
            self.attached = again
                .collect::<Result<_, _>>()
                .map_err(|because| Error::Kernel {
                    doing: "attach the finer hops again".to_owned(),
                    because,
                    advice: ADVICE.to_owned(),
                })?;
        }
        self.left_out = false;
        Ok(())
    }

    /// Says of those that work whether they are left out now.
    pub(super) fn mark(&self, availability: &mut [Availability]) {
        if !self.left_out {
            return;
        }
        let mine = |row: &&mut Availability| self.programs.iter().any(|at| at.program == row.name);
        for row in availability.iter_mut().filter(mine) {
            row.state = State::Unavailable {
                because: "it is left out while the programs would take more than they may"
                    .to_owned(),
                advice: "more in agent.max_cpu".to_owned(),
            };
        }
    }
}

fn finer<'a>(ebpf: &'a mut Ebpf, program: &str) -> &'a mut FEntry {
    let Program::FEntry(program) = ebpf.program_mut(program).expect(WRONG_OBJECT) else {
        unreachable!("{WRONG_OBJECT}");
    };
    program
}

fn attach(program: &mut FEntry) -> Result<FEntryLink, ProgramError> {
    let link = program.attach()?;
    program.take_link(link)
}

/// Attaches a program that was detached.
///
/// Before Linux 5.13 the kernel attaches a program of this kind once in its life, and then knows no
/// place for it (`bpf_tracing_prog_attach` of kernel/bpf/syscall.c): it is loaded anew there.
fn attach_again(ebpf: &mut Ebpf, at: At) -> Result<FEntryLink, String> {
    let program = finer(ebpf, at.program);
    match attach(program) {
        Err(ProgramError::SyscallError(error)) if error.io_error.kind() == ErrorKind::NotFound => {
            let btf = Btf::from_sys_fs().map_err(|cause| chain(&cause))?;
            program
                .unload()
                .and_then(|()| program.load(at.function, &btf))
                .and_then(|()| attach(program))
        }
        result => result,
    }
    .map_err(|cause| chain(&cause))
}

/// Of a finer hop whose program the kernel does not take.
///
/// Only trying tells: a kernel's configuration and types may promise what it refuses.
pub(super) fn refused(doing: &str, because: &str) -> State {
    State::Unavailable {
        because: format!("the kernel refuses to {doing} by fentry: {because}"),
        advice: ADVICE.to_owned(),
    }
}

/// Of a finer hop whose functions the kernel has not got: another kernel may have.
pub(super) fn absent(because: String) -> State {
    State::Unavailable {
        because,
        advice: "another kernel, or without --fine".to_owned(),
    }
}

/// Says at the start which of the finer hops there won't be, those with one reason together.
pub(super) fn tell(availability: &[Availability]) {
    for (because, names) in missing(availability) {
        tracing::warn!(
            "{} of {} finer hops can't be watched, the usual ones are: {because} ({})",
            names.len(),
            FINER.len(),
            names.join(", ")
        );
    }
}

fn missing(availability: &[Availability]) -> BTreeMap<&str, Vec<&str>> {
    let mut missing = BTreeMap::<_, Vec<_>>::new();
    let is_finer = |row: &&Availability| FINER.iter().any(|probe| probe.program == row.name);
    for row in availability.iter().filter(is_finer) {
        if let State::Unavailable { because, .. } = &row.state {
            missing.entry(&**because).or_default().push(&*row.name);
        }
    }
    missing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, state: State) -> Availability {
        Availability {
            name: name.to_owned(),
            meaning: String::new(),
            state,
        }
    }

    #[test]
    fn hops_that_one_reason_takes_are_told_together() {
        let availability = [
            row("tcp_probe", absent("too old".to_owned())),
            row("ip_rcv", State::Works),
            row("ip_forward", refused("load", "EPERM")),
            row("udp_queue_rcv_skb", absent("no such function".to_owned())),
            row("ip_output", refused("load", "EPERM")),
        ];
        let told: Vec<_> = missing(&availability).into_iter().collect();
        assert_eq!(
            told,
            [
                ("no such function", vec!["udp_queue_rcv_skb"]),
                (
                    "the kernel refuses to load by fentry: EPERM",
                    vec!["ip_forward", "ip_output"]
                ),
            ]
        );
    }

    #[test]
    fn what_is_detached_at_the_end_was_not_left_out() {
        let mut links = Links {
            programs: vec![At {
                program: "ip_rcv",
                function: "ip_rcv",
            }],
            ..Links::default()
        };
        let mut availability = [row("ip_rcv", State::Works)];
        links.let_go();
        links.mark(&mut availability);
        assert!(matches!(availability[0].state, State::Works));
        links.leave_out();
        links.mark(&mut availability);
        assert!(matches!(availability[0].state, State::Unavailable { .. }));
    }

    #[test]
    fn finer_hops_are_attached_only_where_they_are_asked_for() {
        assert!(probes(false).eq(&PROBES));
        assert_eq!(probes(true).count(), PROBES.len() + FINER.len());
    }
}
