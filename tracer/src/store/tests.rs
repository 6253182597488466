//! What a journal survives, and what it gives back.

use std::collections::VecDeque;
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::model::Histogram;
use crate::model::journal::epochs::Epoch;
use crate::model::journal::{Kind, Process, Since, Subject, Task, Who};
use crate::model::network::How;
use crate::model::owner::Owner;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = format!("tracer-journal-{name}-{}", std::process::id());
        let folder = std::env::temp_dir().join(folder);
        let _ = fs::remove_dir_all(&folder);
        Self(folder)
    }

    fn settings(&self, max_size: u64) -> Settings {
        Settings {
            directory: self.0.clone(),
            max_size,
        }
    }

    fn file(&self) -> PathBuf {
        self.0.join(FILE)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn entry(id: u64) -> Entry {
    Entry {
        id,
        at: 1_000 + id,
        since: None,
        namespace: "host".to_owned(),
        kind: Kind::Route,
        subject: "10.2.0.0/16 table main".to_owned(),
        before: Some("10.2.0.0/16 table main via 10.0.1.1 dev eth0 proto static".to_owned()),
        after: None,
        protocol: Some("static".to_owned()),
        how: How::Told,
        who: Who::Process(Arc::new(Process {
            ancestry: vec![Task {
                pid: 7,
                start_ns: 8,
                command: "ip".to_owned(),
            }],
            uid: 0,
            login_uid: Some(1000),
            login: Some("alice".to_owned()),
            owner: Some(Owner::Unit("session-3.scope".to_owned())),
        })),
        count: 1,
        last: 1_000 + id,
        unused: false,
    }
}

fn news(ids: impl Iterator<Item = u64>) -> News {
    let entries: Vec<_> = ids.map(entry).collect();
    let mut latency = Histogram::default();
    latency.record_n(5_000, 3);
    let life = Life {
        class: "a".to_owned(),
        name: "a → b tcp/1".to_owned(),
        way: "host eth0".to_owned(),
        epochs: VecDeque::from([Epoch {
            began: 5,
            change: Some(1),
            during: false,
            packets: 3,
            latency,
        }]),
    };
    let subject = Subject {
        kind: Kind::Route,
        name: "10.2.0.0/16 table main".to_owned(),
    };
    let row = Row {
        state: "10.2.0.0/16 table main dev eth0".to_owned(),
        since: Since { at: 6, exact: true },
        who: Who::Kernel,
    };
    News {
        heard: 99,
        next: entries.last().map_or(0, |it| it.id + 1),
        entries,
        known: vec![(("host".to_owned(), subject), Some(row))],
        lives: vec![(RouteId::of("a"), Some(life))],
        boot: "boot".to_owned(),
    }
}

#[test]
fn what_was_written_is_there_again() {
    let folder = Folder::new("again");
    let settings = folder.settings(64 << 20);
    let (mut store, past, damaged) = Store::open(&settings).unwrap();
    assert!(past.heard.is_none() && past.entries.is_empty() && damaged.is_none());
    let written = news(0..3);
    store.write(&written).unwrap();
    assert!(matches!(Store::open(&settings), Err(Error::Taken { .. })));
    assert_eq!(store.entries(1_001).unwrap(), written.entries[1..]);
    drop(store);
    let (_, past) = Store::past(&folder.0).unwrap();
    assert_eq!(past.entries, written.entries);
    let known: Vec<_> = past
        .known
        .into_iter()
        .map(|(key, row)| (key, Some(row)))
        .collect();
    assert_eq!(known, written.known);
    let lives: Vec<_> = past
        .lives
        .into_iter()
        .map(|(id, life)| (id, Some(life)))
        .collect();
    assert_eq!(lives, written.lives);
    assert_eq!(
        (past.heard, past.next, past.boot.as_deref()),
        (Some(99), 3, Some("boot"))
    );
}

#[test]
fn who_made_things_before_a_reboot_did_not_make_them_again() {
    let known = || Past {
        known: news(0..1)
            .known
            .into_iter()
            .map(|(key, row)| (key, row.unwrap()))
            .collect(),
        boot: Some("boot".to_owned()),
        ..Past::default()
    };
    for (boot, who) in [("boot", Who::Kernel), ("next", Who::Unknown)] {
        let mut past = known();
        assert_eq!(past.forget_makers_before(boot), boot != "boot");
        let row = &past.known[0].1;
        assert_eq!((&row.who, row.since.at), (&who, 6));
    }
}

#[test]
fn it_grows_no_further_than_it_may() {
    let folder = Folder::new("bounded");
    let max_size = 16 << 20;
    let (mut store, _, _) = Store::open(&folder.settings(max_size)).unwrap();
    for round in 0..60 {
        store.write(&news(round * 500..(round + 1) * 500)).unwrap();
    }
    let size = fs::metadata(folder.file()).unwrap().len();
    println!("{size} bytes");
    assert!(size <= max_size, "{size}");
    let entries = store.entries(0).unwrap();
    assert_eq!(entries.last().map(|it| it.id), Some(29_999));
    assert!(entries[0].id > 0, "nothing was removed");
}

#[test]
fn a_damaged_journal_is_set_aside() {
    let folder = Folder::new("damaged");
    let settings = folder.settings(64 << 20);
    fs::create_dir_all(&folder.0).unwrap();
    fs::write(
        folder.file(),
        "this is no journal at all, however long it may be",
    )
    .unwrap();
    let (mut store, past, damaged) = Store::open(&settings).unwrap();
    let damaged = damaged.expect("what was wrong with it").to_string();
    assert!(
        damaged.starts_with("read ") && damaged.contains(FILE),
        "{damaged}"
    );
    assert!(past.entries.is_empty());
    assert!(folder.0.join(DAMAGED).exists());
    store.write(&news(0..1)).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn whatever_happened_to_the_file_it_opens(at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 1..4096), cut in any::<bool>()) {
        let folder = Folder::new("flipped");
        let settings = folder.settings(64 << 20);
        let (mut store, _, _) = Store::open(&settings).unwrap();
        store.write(&news(0..200)).unwrap();
        drop(store);
        let mut file = fs::read(folder.file()).unwrap();
        let at = at.index(file.len());
        if cut {
            file.truncate(at);
        } else {
            for (to, byte) in file[at..].iter_mut().zip(bytes) {
                *to ^= byte;
            }
        }
        fs::write(folder.file(), file).unwrap();
        let (mut store, past, _) = Store::open(&settings).unwrap();
        prop_assert!(past.entries.iter().all(|it| *it == entry(it.id)));
        store.write(&news(200..201)).unwrap();
    }
}
