//! Which programs a process holds in the kernel, and whether they are still there.

use std::collections::BTreeSet;
use std::fs;

use aya::programs::loaded_programs;

/// The kernel's numbers of the programs that a process holds; none where it may not be asked.
pub fn programs_of(pid: u32) -> BTreeSet<u32> {
    let files = fs::read_dir(format!("/proc/{pid}/fdinfo"));
    let files = files.into_iter().flatten().flatten();
    files
        .filter_map(|file| program(&fs::read_to_string(file.path()).ok()?))
        .collect()
}

fn program(fdinfo: &str) -> Option<u32> {
    let line = fdinfo
        .lines()
        .find_map(|line| line.strip_prefix("prog_id:"))?;
    line.trim().parse().ok()
}

/// Those of these programs that the kernel still has; it says so to root alone.
pub fn still_there(programs: &BTreeSet<u32>) -> BTreeSet<u32> {
    if programs.is_empty() {
        return BTreeSet::new();
    }
    let ids = loaded_programs().filter_map(|program| Some(program.ok()?.id()));
    ids.filter(|id| programs.contains(id)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_known_by_its_number() {
        let text = "pos:\t0\nflags:\t02000002\nprog_type:\t26\nprog_id:\t417\nrun_cnt:\t0\n";
        assert_eq!(program(text), Some(417));
        assert_eq!(program("pos:\t0\nflags:\t02\n"), None);
    }
}
