//! What the file survives, and what it gives back.

use proptest::prelude::*;

use super::*;
use crate::model::incident::example;

struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let folder = format!("tracer-incidents-{name}-{}", std::process::id());
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
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn news() -> IncidentNews {
    IncidentNews {
        incidents: example::incidents()
            .into_iter()
            .map(|it| (it.number, Some(it)))
            .collect(),
        streams: (0..50).map(|key| (key, Some(vec![7; 900]))).collect(),
        clock: (5, 6),
        habit: vec![1, 2, 3],
        next: 9,
    }
}

#[test]
fn what_was_written_is_there_again() {
    let folder = Folder::new("again");
    let settings = folder.settings(64 << 20);
    let (mut store, kept, damaged) = Incidents::open(&settings).unwrap();
    assert!(kept.incidents.is_empty() && damaged.is_none() && kept.clock.is_none());
    store.write(&news()).unwrap();
    drop(store);
    let kept = Incidents::past(&folder.0).unwrap();
    assert_eq!(kept.incidents, example::incidents());
    assert_eq!((kept.clock, kept.next), (Some((5, 6)), 9));
    assert_eq!((kept.streams.len(), kept.habit), (50, Some(vec![1, 2, 3])));
    let (mut store, ..) = Incidents::open(&settings).unwrap();
    store
        .write(&IncidentNews {
            incidents: vec![(1, None)],
            streams: vec![(3, None)],
            ..news_of_nothing()
        })
        .unwrap();
    drop(store);
    let kept = Incidents::past(&folder.0).unwrap();
    assert!(kept.incidents.iter().all(|it| it.number != 1));
    assert_eq!(kept.streams.len(), 49);
}

fn news_of_nothing() -> IncidentNews {
    IncidentNews::default()
}

#[test]
fn streams_take_no_more_room_than_they_may() {
    let folder = Folder::new("bounded");
    let max_size = 16 << 20;
    let (mut store, ..) = Incidents::open(&folder.settings(max_size)).unwrap();
    for round in 0..40u64 {
        let streams = (0..1_000).map(|key| (key + round * 500, Some(vec![round as u8; 1_200])));
        let news = IncidentNews {
            streams: streams.collect(),
            ..news()
        };
        store.write(&news).unwrap();
    }
    let size = fs::metadata(folder.0.join(FILE)).unwrap().len();
    println!("{size} bytes");
    assert!(size <= max_size, "{size}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn whatever_happened_to_the_file_it_opens(at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 1..4096), cut in any::<bool>()) {
        let folder = Folder::new("flipped");
        let settings = folder.settings(64 << 20);
        let (mut store, ..) = Incidents::open(&settings).unwrap();
        store.write(&news()).unwrap();
        drop(store);
        let path = folder.0.join(FILE);
        let mut file = fs::read(&path).unwrap();
        let at = at.index(file.len());
        if cut {
            file.truncate(at);
        } else {
            for (to, byte) in file[at..].iter_mut().zip(bytes) {
                *to ^= byte;
            }
        }
        fs::write(&path, file).unwrap();
        let (mut store, kept, _) = Incidents::open(&settings).unwrap();
        let known = example::incidents();
        prop_assert!(kept.incidents.iter().all(|it| known.contains(it)));
        store.write(&news()).unwrap();
    }
}
