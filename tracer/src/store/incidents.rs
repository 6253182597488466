//! Incidents on disk, with the state of the streams that they were found in.
//!
//! A file of its own beside the journal's, so that damage to one leaves the other. Streams are bytes
//! that their reader checks; what can't be read is left out.

mod wire;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use redb::{Builder, Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};

use super::damage::is_damage;
use super::{CACHE, Error, Settings, opening, system};
use crate::model::incident::Incident;
use crate::model::journal::Moment;

/// The file in the state folder.
pub const FILE: &str = "incidents.redb";

/// What a damaged one is called from then on.
pub const DAMAGED: &str = "incidents.damaged";

const INCIDENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("incidents");
const STREAMS: TableDefinition<u64, &[u8]> = TableDefinition::new("streams");
const META: TableDefinition<&str, u64> = TableDefinition::new("meta");
const HABIT: TableDefinition<&str, &[u8]> = TableDefinition::new("habit");

const NEXT: &str = "next";
const OWN_NS: &str = "own_ns";
const AT: &str = "at";
const KEY: &str = "host";

/// Streams get this part of the file: rows that were replaced and not yet freed need room too.
const PART_FOR_STREAMS: u64 = 4;

/// The file, open.
pub struct Incidents {
    database: Database,
    path: PathBuf,
    max_size: u64,
    stream_bytes: u64,
}

/// What it holds.
#[derive(Debug, Default)]
pub struct Kept {
    /// Incidents by number.
    pub incidents: Vec<Incident>,
    /// Streams' state.
    pub streams: Vec<(u64, Vec<u8>)>,
    /// The judge's own nanoseconds and what the host's clock said then.
    pub clock: Option<(u64, Moment)>,
    /// What is known of bursts.
    pub habit: Option<Vec<u8>>,
    /// The number of the next incident.
    pub next: u64,
}

/// What is to be written at once.
#[derive(Debug, Default)]
pub struct IncidentNews {
    /// Incidents; none for those that are forgotten.
    pub incidents: Vec<(u64, Option<Incident>)>,
    /// Streams' state; none for those that are forgotten.
    pub streams: Vec<(u64, Option<Vec<u8>>)>,
    /// The judge's own nanoseconds, and what the host's clock says.
    pub clock: (u64, Moment),
    /// What is known of bursts.
    pub habit: Vec<u8>,
    /// The number of the next incident.
    pub next: u64,
}

impl Incidents {
    /// Opens the file of a folder, which is made where there is none. A damaged one is set aside, and
    /// what was wrong with it is returned beside the new one.
    ///
    /// # Errors
    /// When another process has it, or the system refuses.
    pub fn open(settings: &Settings) -> Result<(Self, Kept, Option<Error>), Error> {
        let path = settings.directory.join(FILE);
        let refused = |cause: &io::Error| system("open", &path, &cause.to_string());
        fs::create_dir_all(&settings.directory).map_err(|cause| refused(&cause))?;
        match Self::open_file(&path, settings.max_size) {
            Err(damaged @ Error::Damaged { .. }) => {
                let aside = settings.directory.join(DAMAGED);
                fs::rename(&path, aside).map_err(|cause| refused(&cause))?;
                let (store, kept) = Self::open_file(&path, settings.max_size)?;
                Ok((store, kept, Some(damaged)))
            }
            opened => opened.map(|(store, kept)| (store, kept, None)),
        }
    }

    /// What the file of a folder holds; for reading alone, while no agent runs.
    ///
    /// # Errors
    /// When there is none, or it can't be read.
    pub fn past(directory: &Path) -> Result<Kept, Error> {
        let path = directory.join(FILE);
        if !path.exists() {
            return Err(system("open", &path, "there is none"));
        }
        Ok(Self::open_file(&path, u64::MAX)?.1)
    }

    fn open_file(path: &Path, max_size: u64) -> Result<(Self, Kept), Error> {
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
            stream_bytes: 0,
        };
        let kept = store.read().map_err(|cause| store.failed("read", &cause))?;
        let bytes = kept.streams.iter().map(|(_, bytes)| bytes.len() as u64);
        store.stream_bytes = bytes.sum();
        Ok((store, kept))
    }

    fn read(&self) -> Result<Kept, redb::Error> {
        let mut kept = Kept::default();
        // A new file gets its tables.
        let written = self.database.begin_write()?;
        {
            written.open_table(INCIDENTS)?;
            written.open_table(STREAMS)?;
            written.open_table(META)?;
            written.open_table(HABIT)?;
        }
        written.commit()?;
        let reading = self.database.begin_read()?;
        for row in reading.open_table(INCIDENTS)?.iter()? {
            let (number, value) = row?;
            kept.incidents
                .extend(wire::incident(number.value(), value.value()));
        }
        for row in reading.open_table(STREAMS)?.iter()? {
            let (key, value) = row?;
            kept.streams.push((key.value(), value.value().to_owned()));
        }
        let meta = reading.open_table(META)?;
        let number = |key| Ok::<_, redb::Error>(meta.get(key)?.map(|it| it.value()));
        kept.next = number(NEXT)?.unwrap_or_default();
        kept.clock = number(OWN_NS)?.zip(number(AT)?);
        let habit = reading.open_table(HABIT)?;
        kept.habit = habit.get(KEY)?.map(|it| it.value().to_owned());
        Ok(kept)
    }

    /// Writes what is new, all or nothing. Streams that find no room are left out: they begin anew
    /// after a restart.
    ///
    /// # Errors
    /// When the disk is full, or fails: the file has to be opened anew then.
    pub fn write(&mut self, news: &IncidentNews) -> Result<(), Error> {
        let written = self.write_all(news);
        self.stream_bytes = written.map_err(|cause| self.failed("write", &cause))?;
        Ok(())
    }

    fn write_all(&self, news: &IncidentNews) -> Result<u64, redb::Error> {
        let mut written = self.database.begin_write()?;
        written.set_durability(Durability::Immediate)?;
        let mut bytes = self.stream_bytes;
        {
            let mut incidents = written.open_table(INCIDENTS)?;
            for (number, incident) in &news.incidents {
                match incident {
                    Some(it) => incidents.insert(number, wire::of_incident(it).as_slice())?,
                    None => incidents.remove(number)?,
                };
            }
            let mut streams = written.open_table(STREAMS)?;
            for (key, stream) in &news.streams {
                let old = streams.remove(key)?;
                bytes -= old.map_or(0, |old| old.value().len() as u64);
                let Some(stream) = stream else {
                    continue;
                };
                let size = stream.len() as u64;
                if bytes + size <= self.max_size / PART_FOR_STREAMS {
                    bytes += size;
                    streams.insert(key, stream.as_slice())?;
                }
            }
            let mut meta = written.open_table(META)?;
            meta.insert(NEXT, news.next)?;
            meta.insert(OWN_NS, news.clock.0)?;
            meta.insert(AT, news.clock.1)?;
            let mut habit = written.open_table(HABIT)?;
            habit.insert(KEY, news.habit.as_slice())?;
        }
        written.commit()?;
        Ok(bytes)
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

#[cfg(test)]
mod tests;
