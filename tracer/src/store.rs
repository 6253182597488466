//! The journal on disk: what changed, since when things are as they are, and the epochs of routes.
//!
//! One file of [redb](https://www.redb.org), which survives being killed at any moment.

mod damage;
pub mod incidents;
pub mod settings;
mod wire;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use redb::{Builder, Database, DatabaseError, Durability, ReadableDatabase, ReadableTable};
use redb::{StorageError, TableDefinition};

pub use settings::Settings;

use self::damage::is_damage;
use crate::model::RouteId;
use crate::model::journal::epochs::Life;
use crate::model::journal::known::{Key, Row};
use crate::model::journal::{Entry, Moment, Who, book};

/// The journal's file in its folder.
pub const FILE: &str = "journal.redb";

/// What a damaged journal is called from then on; the next one takes its place.
pub const DAMAGED: &str = "journal.damaged";

const ENTRIES: TableDefinition<u64, &[u8]> = TableDefinition::new("entries");
const KNOWN: TableDefinition<&[u8], &[u8]> = TableDefinition::new("known");
const EPOCHS: TableDefinition<u64, &[u8]> = TableDefinition::new("epochs");
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const BOOT: TableDefinition<&str, &str> = TableDefinition::new("boot");

/// The keys of [`META`] and [`BOOT`].
const HEARD: &str = "heard";
const NEXT: &str = "next";
const BOOT_ID: &str = "id";

/// What redb keeps in memory of the file.
const CACHE: usize = 4 << 20;

/// The file holds its rows, the trees above them, and rows that were replaced and not yet freed: so
/// the rows of each table get this part of it.
const PART_FOR_ENTRIES: u64 = 4;
const PART_FOR_REST: u64 = 8;

/// Why the journal, or the file of incidents, could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process has it.
    #[error("open {}: another agent has it; try another --state-directory", path.display())]
    Taken {
        /// Its file.
        path: PathBuf,
    },
    /// The file is damaged, or is no journal.
    #[error("read {}: {because}; try to move it away", path.display())]
    Damaged {
        /// Its file.
        path: PathBuf,
        /// What is wrong with it.
        because: String,
    },
    /// The system refused.
    #[error("{doing} {}: {because}; try {advice}", path.display())]
    System {
        /// The verb: "open", "write".
        doing: &'static str,
        /// Its file.
        path: PathBuf,
        /// What the system said.
        because: String,
        /// What to try, as it follows "try".
        advice: &'static str,
    },
}

/// A journal that is open.
pub struct Store {
    database: Database,
    path: PathBuf,
    max_size: u64,
    /// Bytes of entries, and of lives.
    entry_bytes: u64,
    life_bytes: u64,
}

/// What a journal holds of the time before.
#[derive(Debug, Default)]
pub struct Past {
    /// The last entries, oldest first.
    pub entries: Vec<Entry>,
    /// The last known state.
    pub known: Vec<(Key, Row)>,
    /// The lives of routes.
    pub lives: Vec<(RouteId, Life)>,
    /// The last moment at which the agent was alive; none for a new journal.
    pub heard: Option<Moment>,
    /// The number of the next entry.
    pub next: u64,
    /// The boot in which it was written last (`/proc/sys/kernel/random/boot_id`).
    pub boot: Option<String>,
}

impl Past {
    /// Forgets who made things as they are, if that was before a reboot: then whoever did it at the boot
    /// made them so again. Returns whether it was.
    pub fn forget_makers_before(&mut self, boot: &str) -> bool {
        let is_before = self.boot.as_deref() != Some(boot);
        if is_before {
            for (_, row) in &mut self.known {
                row.who = Who::Unknown;
            }
        }
        is_before
    }
}

/// What names this boot (`/proc/sys/kernel/random/boot_id`); empty where it can't be read.
pub fn boot() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    boot.trim_end().to_owned()
}

/// What is to be written at once.
#[derive(Debug, Default)]
pub struct News {
    /// Entries, new or changed.
    pub entries: Vec<Entry>,
    /// Things whose state is known anew, or no more.
    pub known: Vec<(Key, Option<Row>)>,
    /// Lives of routes that went on; none for one that is forgotten.
    pub lives: Vec<(RouteId, Option<Life>)>,
    /// Now: the agent is alive.
    pub heard: Moment,
    /// The number of the next entry.
    pub next: u64,
    /// The boot.
    pub boot: String,
}

impl Store {
    /// Opens the journal of a folder, which is made where there is none. A damaged one is set aside,
    /// and what was wrong with it is returned beside the new one.
    ///
    /// # Errors
    /// When another process has it, or the system refuses.
    pub fn open(settings: &Settings) -> Result<(Self, Past, Option<Error>), Error> {
        let path = settings.directory.join(FILE);
        let refused = |cause: &io::Error| system("open", &path, &cause.to_string());
        fs::create_dir_all(&settings.directory).map_err(|cause| refused(&cause))?;
        match Self::open_file(&path, settings.max_size) {
            Err(damaged @ Error::Damaged { .. }) => {
                let aside = settings.directory.join(DAMAGED);
                fs::rename(&path, aside).map_err(|cause| refused(&cause))?;
                let (store, past) = Self::open_file(&path, settings.max_size)?;
                Ok((store, past, Some(damaged)))
            }
            opened => opened.map(|(store, past)| (store, past, None)),
        }
    }

    fn open_file(path: &Path, max_size: u64) -> Result<(Self, Past), Error> {
        let mut builder = Builder::new();
        builder.set_cache_size(CACHE);
        builder.set_check_integrity_on_open(true);
        let database = builder
            .create(path)
            .map_err(|cause| opening(&cause, path))?;
        let mut store = Self {
            database,
            path: path.to_owned(),
            max_size,
            entry_bytes: 0,
            life_bytes: 0,
        };
        let past = store.read()?;
        Ok((store, past))
    }

    /// What the journal of a folder holds; for reading alone, while no agent runs.
    ///
    /// # Errors
    /// When there is none, or it can't be read.
    pub fn past(directory: &Path) -> Result<(Self, Past), Error> {
        let path = directory.join(FILE);
        if !path.exists() {
            return Err(system("open", &path, "there is none"));
        }
        Self::open_file(&path, u64::MAX)
    }

    fn read(&mut self) -> Result<Past, Error> {
        let mut past = Past::default();
        let bytes = self.read_into(&mut past);
        (self.entry_bytes, self.life_bytes) = bytes.map_err(|cause| self.failed("read", &cause))?;
        Ok(past)
    }

    fn read_into(&self, past: &mut Past) -> Result<(u64, u64), redb::Error> {
        let written = self.database.begin_write()?;
        let (mut bytes, mut life_bytes) = (0, 0);
        {
            for row in written.open_table(ENTRIES)?.iter()? {
                let (id, value) = row?;
                bytes += value.value().len() as u64;
                past.entries.extend(wire::entry(id.value(), value.value()));
                if past.entries.len() >= 2 * book::ENTRIES {
                    past.entries.drain(..book::ENTRIES);
                }
            }
            for row in written.open_table(KNOWN)?.iter()? {
                let (key, value) = row?;
                past.known.extend(wire::known(key.value(), value.value()));
            }
            for row in written.open_table(EPOCHS)?.iter()? {
                let (id, value) = row?;
                life_bytes += value.value().len() as u64;
                past.lives.extend(wire::life(id.value(), value.value()));
            }
            let meta = written.open_table(META)?;
            past.heard = meta.get(HEARD)?.map(|it| it.value());
            past.next = meta.get(NEXT)?.map_or(0, |it| it.value());
            let boot = written.open_table(BOOT)?;
            past.boot = boot.get(BOOT_ID)?.map(|it| it.value().to_owned());
        }
        // A new file gets its tables.
        written.commit()?;
        Ok((bytes, life_bytes))
    }

    /// Writes what is new, all or nothing; what is too much is removed, the oldest first.
    ///
    /// # Errors
    /// When the disk is full, or fails: the journal has to be opened anew then.
    pub fn write(&mut self, news: &News) -> Result<(), Error> {
        let written = self.write_all(news);
        (self.entry_bytes, self.life_bytes) =
            written.map_err(|cause| self.failed("write", &cause))?;
        Ok(())
    }

    fn write_all(&self, news: &News) -> Result<(u64, u64), redb::Error> {
        let mut written = self.database.begin_write()?;
        written.set_durability(Durability::Immediate)?;
        let (mut bytes, life_bytes);
        {
            bytes = self.entry_bytes;
            let mut entries = written.open_table(ENTRIES)?;
            for entry in &news.entries {
                let value = wire::of_entry(entry);
                bytes += value.len() as u64;
                let old = entries.insert(entry.id, value.as_slice())?;
                bytes -= old.map_or(0, |old| old.value().len() as u64);
            }
            while bytes > self.max_size / PART_FOR_ENTRIES
                && let Some((_, oldest)) = entries.pop_first()?
            {
                bytes -= oldest.value().len() as u64;
            }
            let mut known = written.open_table(KNOWN)?;
            for (key, row) in &news.known {
                let key = wire::of_key(key);
                match row {
                    Some(row) => known.insert(key.as_slice(), wire::of_row(row).as_slice())?,
                    None => known.remove(key.as_slice())?,
                };
            }
            life_bytes = self.write_lives(&mut written.open_table(EPOCHS)?, &news.lives)?;
            let mut meta = written.open_table(META)?;
            meta.insert(HEARD, news.heard)?;
            meta.insert(NEXT, news.next)?;
            let mut boot = written.open_table(BOOT)?;
            boot.insert(BOOT_ID, news.boot.as_str())?;
        }
        written.commit()?;
        Ok((bytes, life_bytes))
    }

    /// The lives that went on, as many as there is room for.
    fn write_lives(
        &self,
        epochs: &mut redb::Table<'_, u64, &[u8]>,
        lives: &[(RouteId, Option<Life>)],
    ) -> Result<u64, redb::Error> {
        let (mut bytes, room) = (self.life_bytes, self.max_size / PART_FOR_REST);
        for (id, life) in lives {
            let value = life.as_ref().map(wire::of_life).unwrap_or_default();
            let old = epochs.remove(id.number())?;
            bytes -= old.map_or(0, |old| old.value().len() as u64);
            if life.is_some() && bytes + value.len() as u64 <= room {
                bytes += value.len() as u64;
                epochs.insert(id.number(), value.as_slice())?;
            }
        }
        Ok(bytes)
    }

    /// The entries from a number on, and since a moment.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn entries(&self, since: Moment) -> Result<Vec<Entry>, Error> {
        let read = || -> Result<Vec<Entry>, redb::Error> {
            let reading = self.database.begin_read()?;
            let entries = reading.open_table(ENTRIES)?;
            let mut found = Vec::new();
            for row in entries.iter()?.rev() {
                let (id, value) = row?;
                match wire::entry(id.value(), value.value()) {
                    Some(entry) if entry.last < since => break,
                    entry => found.extend(entry),
                }
            }
            found.reverse();
            Ok(found)
        };
        read().map_err(|cause| self.failed("read", &cause))
    }

    fn failed(&self, doing: &'static str, cause: &redb::Error) -> Error {
        if is_damage(cause) {
            let path = self.path.clone();
            let because = cause.to_string();
            return Error::Damaged { path, because };
        }
        system(doing, &self.path, &cause.to_string())
    }
}

fn opening(cause: &DatabaseError, path: &Path) -> Error {
    let path = path.to_owned();
    match cause {
        DatabaseError::DatabaseAlreadyOpen => Error::Taken { path },
        DatabaseError::Storage(StorageError::Io(cause)) if !damage::is_no_journal(cause) => {
            system("open", &path, &cause.to_string())
        }
        cause => Error::Damaged {
            path,
            because: cause.to_string(),
        },
    }
}

fn system(doing: &'static str, path: &Path, because: &str) -> Error {
    Error::System {
        doing,
        path: path.to_owned(),
        because: because.to_owned(),
        advice: match doing {
            "write" => "to make room on its disk",
            _ => "--state-directory with a folder that you may write to",
        },
    }
}

/// A row as it stands in the file, for whoever asks the agent for it.
pub fn of_row(row: &Row) -> Vec<u8> {
    wire::of_row(row)
}

/// The row that an agent answered with; none for what makes no sense.
pub fn row(value: &[u8]) -> Option<Row> {
    wire::row(value)
}

/// A row of the file, with a key of a line.
#[cfg(feature = "fuzz")]
pub fn fuzz(bytes: &[u8]) {
    let at = bytes.iter().position(|&byte| byte == b'\n');
    let (key, value) = bytes.split_at(at.unwrap_or(0));
    let _ = (
        wire::entry(1, value),
        wire::known(key, value),
        wire::life(1, value),
    );
}

#[cfg(test)]
mod tests;
