//! Fetches a kernel from Debian's archive, once, without touching this machine's apt.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use xshell::{Cmd, Shell, cmd};

use super::{Files, Kernel};

/// Names the archive to fetch kernels from, where this machine's isn't Debian's.
const MIRROR: &str = "TRACER_DEBIAN_MIRROR";

impl Kernel {
    /// The kernel's files, fetched into the user's cache when they aren't there yet.
    pub(crate) fn fetch(&self, shell: &Shell) -> Result<Files> {
        let folder = cache()?.join(self.name);
        if !folder.is_dir() {
            let fetched = self.unpack(shell, &folder);
            fetched
                .with_context(|| format!("fetch Linux {} from Debian {}", self.name, self.suite))?;
        }
        let image = find(&folder, &|name| name.starts_with("vmlinuz"))?;
        let image = image
            .with_context(|| format!("find vmlinuz in {}: remove the folder", folder.display()))?;
        Ok(Files {
            image,
            modules: folder,
        })
    }

    /// Unpacks beside `folder` and renames at the end, so that `folder` is whole or absent.
    fn unpack(&self, shell: &Shell, folder: &Path) -> Result<()> {
        let partial = folder.with_file_name(format!("{}.partial", self.name));
        shell.remove_path(&partial)?;
        let apt = Apt::new(shell, self.suite, &partial.join("apt"))?;
        let _here = shell.push_dir(&partial);
        let packages = self.packages(&apt)?;
        eprintln!("Linux {}: fetch {}", self.name, packages.join(" "));
        apt.call("apt-get")
            .args(["--quiet", "download"])
            .args(&packages)
            .run()?;
        for archive in shell.read_dir(&partial)? {
            if archive
                .extension()
                .is_some_and(|extension| extension == "deb")
            {
                let files = partial.join("files");
                cmd!(shell, "dpkg-deb --extract {archive} {files}").run()?;
            }
        }
        fs::rename(partial.join("files"), folder)?;
        Ok(fs::remove_dir_all(&partial)?)
    }

    /// The suite's newest cloud kernel of this name, and the packages that it is split into.
    fn packages(&self, apt: &Apt) -> Result<Vec<String>> {
        let prefix = format!("linux-image-{}", self.name);
        let names = apt.call("apt-cache").args(["pkgnames", &prefix]).read()?;
        let is_ours = |name: &&str| {
            let rest = name.strip_prefix(&prefix);
            rest.is_some_and(|rest| rest.starts_with('.')) && name.ends_with("-cloud-amd64")
        };
        let image = names
            .lines()
            .filter(is_ours)
            .max_by_key(|name| numbers(name));
        let image = image.with_context(|| {
            format!(
                "find {prefix}*-cloud-amd64: Debian {} has none any more",
                self.suite
            )
        })?;
        let depends = apt.call("apt-cache").args(["depends", image]).read()?;
        let parts = depends
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "));
        let parts = parts
            .filter(|part| part.starts_with("linux-binary") || part.starts_with("linux-modules"));
        Ok([image]
            .into_iter()
            .chain(parts)
            .map(str::to_owned)
            .collect())
    }
}

/// apt with lists, archives and sources of its own.
struct Apt<'a> {
    shell: &'a Shell,
    options: Vec<String>,
}

impl<'a> Apt<'a> {
    fn new(shell: &'a Shell, suite: &str, folder: &Path) -> Result<Self> {
        for name in ["lists/partial", "archives/partial"] {
            shell.create_dir(folder.join(name))?;
        }
        let sources = folder.join("sources.list");
        shell.write_file(
            &sources,
            format!("deb [arch=amd64] {} {suite} main\n", mirror(shell)?),
        )?;
        let folder = folder.display();
        let options = vec![
            format!("Dir::Etc::sourcelist={}", sources.display()),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State::lists={folder}/lists"),
            format!("Dir::Cache={folder}"),
            "Acquire::Languages=none".to_owned(),
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false".to_owned(),
            // The folder is the user's, where apt's own user may not write.
            "APT::Sandbox::User=root".to_owned(),
        ];
        let apt = Self { shell, options };
        // Without this it warns of what it could not fetch, and goes on.
        let all = ["--option", "APT::Update::Error-Mode=any"];
        let update = apt.call("apt-get").args(all).args(["--quiet", "update"]);
        update.run().with_context(|| {
            format!(
                "reach Debian's archive: it needs the network, or another archive in {MIRROR}; \
                 what was fetched once stays in the user's cache"
            )
        })?;
        Ok(apt)
    }

    fn call(&self, program: &str) -> Cmd<'a> {
        let options = self.options.iter().flat_map(|option| ["--option", option]);
        cmd!(self.shell, "{program} {options...}").quiet()
    }
}

/// The archive that this machine itself takes Debian's packages from.
fn mirror(shell: &Shell) -> Result<String> {
    if let Ok(mirror) = std::env::var(MIRROR) {
        return Ok(mirror);
    }
    let format = "$(CREATED_BY) $(LABEL) $(REPO_URI)";
    let targets = cmd!(shell, "apt-get indextargets --format {format}")
        .quiet()
        .read()?;
    let uri = targets
        .lines()
        .find_map(|line| line.strip_prefix("Packages Debian "));
    match uri {
        Some(uri) => Ok(uri.to_owned()),
        None => bail!(
            "find Debian's archive in this machine's apt: run apt-get update, or name one in {MIRROR}"
        ),
    }
}

/// A package's version as numbers, so that 6.1.0-10 is newer than 6.1.0-9.
fn numbers(name: &str) -> Vec<u64> {
    name.split(|c: char| !c.is_ascii_digit())
        .filter_map(|number| number.parse().ok())
        .collect()
}

fn cache() -> Result<PathBuf> {
    let home = || Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(home);
    Ok(cache
        .context("find the user's cache: neither XDG_CACHE_HOME nor HOME is set")?
        .join("tracer/kernels"))
}

/// The first file below `folder` whose name will do.
fn find(folder: &Path, is_wanted: &dyn Fn(&str) -> bool) -> Result<Option<PathBuf>> {
    let mut files = Vec::new();
    super::modules::walk(folder, &mut files)?;
    let name = |path: &PathBuf| {
        path.file_name()
            .is_some_and(|name| is_wanted(&name.to_string_lossy()))
    };
    Ok(files.into_iter().find(name))
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn the_newest_package_is_the_one_with_the_larger_numbers() {
        let newer = numbers("linux-image-6.1.0-10-cloud-amd64");
        assert!(newer > numbers("linux-image-6.1.0-9-cloud-amd64"));
    }
}
