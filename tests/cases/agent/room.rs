//! The memory of the kernel's maps, with more processors than this machine has.

use std::collections::BTreeMap;
use std::fs;

use tracer::source::Settings;
use tracer::source::live::Live;

/// What the agent and its maps may take together, in bytes.
const ALLOWED: u64 = 128 << 20;

/// What the agent itself may take of that; the maps' pages that it sees are the maps'.
const AGENT: u64 = 48 << 20;

/// Bytes of the maps that this process holds, by their numbers.
fn maps() -> BTreeMap<u32, (u64, String)> {
    let files = fs::read_dir("/proc/self/fdinfo").unwrap().flatten();
    let texts = files.filter_map(|file| fs::read_to_string(file.path()).ok());
    let number = |text: &str, key: &str| -> Option<u64> {
        let line = text.lines().find_map(|line| line.strip_prefix(key))?;
        line.trim().parse().ok()
    };
    texts
        .filter_map(|text| {
            let id = number(&text, "map_id:")?;
            Some((id as u32, (number(&text, "memlock:")?, text)))
        })
        .collect()
}

/// Bytes of all maps with room for so many processors.
fn taken(processors: u32) -> u64 {
    let before = maps();
    let live = Live::open(&Settings {
        processors: Some(processors),
        ..Settings::default()
    })
    .unwrap();
    let all = maps();
    let ours = all.iter().filter(|(id, _)| !before.contains_key(id));
    let mut rows: Vec<_> = ours.map(|(_, (bytes, text))| (*bytes, text)).collect();
    rows.sort();
    for (bytes, text) in rows.iter().rev() {
        println!("{processors} {bytes} {}", text.replace('\n', " "));
    }
    drop(live);
    rows.iter().map(|(bytes, _)| bytes).sum()
}

#[test]
fn the_maps_of_many_processors_have_room_beside_the_agent() {
    let few = taken(2);
    for processors in [256, 512, 1024] {
        let bytes = taken(processors);
        println!("{few} bytes with 2 processors, {bytes} with {processors}");
        assert!(bytes + AGENT <= ALLOWED, "{processors}: {bytes}");
    }
}
