//! systemd.network(5): the files `NAME.network.d/*.conf`, which are parsed after the file itself, as if
//! they stood in it. One in a folder that comes earlier hides the same name in one that comes later.

use std::collections::BTreeMap;
use std::path::Path;

use super::{Source, contents, files, ini, networkd, one};
use crate::model::blame::Configured;

pub(super) fn read(
    source: &Source,
    root: &Path,
    path: &Path,
    devices: &BTreeMap<u32, String>,
    all: &mut Configured,
) {
    // What could not be read was said; an empty file, or a link to /dev/null, is one that is masked.
    let Some(text) = contents(path).ok().filter(|text| !text.is_empty()) else {
        return;
    };
    let device = networkd::device(&ini::sections(&text).0);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut names = Vec::new();
    for (place, _) in source.places {
        let folder = format!("{place}/{name}.d");
        for path in files(root, &folder, &[".conf"], &mut all.problems) {
            let name = path.file_name().unwrap_or_default().to_owned();
            if names.contains(&name) {
                continue;
            }
            names.push(name);
            let before = all.routes.len();
            one(source, root, &path, devices, all, 0);
            // One that matches devices of its own adds them to the file's: more than one.
            let device = device.clone().filter(|_| !matches_more(&path));
            for route in &mut all.routes[before..] {
                route.device.clone_from(&device);
            }
        }
    }
}

fn matches_more(path: &Path) -> bool {
    let text = contents(path).unwrap_or_default();
    let (sections, _) = ini::sections(&text);
    let mut matching = sections.iter().filter(|it| it.name == "Match");
    matching.any(|it| it.get("Name").is_some())
}
