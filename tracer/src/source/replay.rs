//! A recorded reading: what one run saw, kept in a file.

mod decode;
mod encode;
mod host;
mod names;
mod passing;
mod wire;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use super::{Error, Source};
use crate::model::Reading;

/// The schema that recordings name.
pub const SCHEMA: &str = "tracer.reading/1";

/// A source that knows what a file knows.
#[derive(Clone, Debug)]
pub struct Replay {
    reading: Arc<Reading>,
}

impl Replay {
    /// Reads a recording.
    ///
    /// # Errors
    /// When the file can't be read, is no recording, or contradicts itself.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let text = fs::read(path).map_err(|cause| Error::File {
            doing: "read",
            path: path.to_owned(),
            cause,
            advice: "a file that `tracer routes --record` wrote",
        })?;
        parse(&text)
            .map(|reading| Self {
                reading: Arc::new(reading),
            })
            .map_err(|because| Error::Recording {
                path: path.to_owned(),
                because,
            })
    }
}

impl Source for Replay {
    fn read(&mut self) -> Result<Arc<Reading>, Error> {
        Ok(Arc::clone(&self.reading))
    }

    fn finish(self: Box<Self>) -> Result<Reading, Error> {
        Ok(Arc::unwrap_or_clone(self.reading))
    }
}

/// Records a reading in a file, for [`Replay`].
///
/// # Errors
/// When the file can't be written.
pub fn record(reading: &Reading, path: &Path) -> Result<(), Error> {
    fs::write(path, to_text(reading)).map_err(|cause| Error::File {
        doing: "write",
        path: path.to_owned(),
        cause,
        advice: "a folder that you may write to",
    })
}

/// A reading as the text of a recording: one line for each class and node.
pub fn to_text(reading: &Reading) -> String {
    encode::reading(reading)
}

/// The reading in a recording's text, or what is wrong with it.
///
/// # Errors
/// When the text is no recording, or one that contradicts itself.
pub fn parse(text: &[u8]) -> Result<Reading, String> {
    decode::reading(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::example;
    use proptest::prelude::*;

    #[test]
    fn what_was_recorded_is_read() {
        let with_sockets = crate::model::connection::example::lab();
        let on_the_way = crate::model::connection::example::lab_on_the_way();
        for reading in [
            example::lab(),
            example::lab_with_forwarding(),
            with_sockets,
            on_the_way,
        ] {
            assert_eq!(parse(to_text(&reading).as_bytes()), Ok(reading));
        }
    }

    #[test]
    fn an_empty_reading_is_read() {
        let reading = Reading::default();
        assert_eq!(parse(to_text(&reading).as_bytes()), Ok(reading));
    }

    /// `INSTA_UPDATE=always` writes it anew.
    #[test]
    fn the_recording_of_the_lab_is_the_lab() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/recordings/lab.json");
        if std::env::var("INSTA_UPDATE").is_ok_and(|it| it == "always") {
            record(&example::lab(), Path::new(path)).unwrap();
        }
        let replayed = Replay::open(Path::new(path)).unwrap().read().unwrap();
        assert_eq!(*replayed, example::lab());
    }

    /// Replaces the first `from` of the lab's recording.
    fn refused(from: &str, to: &str) -> String {
        let text = to_text(&example::lab());
        assert!(text.contains(from), "the recording holds no {from}");
        parse(text.replacen(from, to, 1).as_bytes()).expect_err("it contradicts itself")
    }

    #[rstest::rstest]
    #[case(
        r#""schema":"tracer.reading/1""#,
        r#""schema":"tracer.reading/9""#,
        r#"its schema is "tracer.reading/9", and this tracer reads "tracer.reading/1""#
    )]
    #[case(
        r#""way_back":1"#,
        r#""way_back":5"#,
        "class 0: its way back is class 5, and there are 5 classes"
    )]
    #[case(
        r#"{"class":0}"#,
        r#"{"class":5}"#,
        "node 0: it starts class 5, and there are 5 classes"
    )]
    #[case(
        r#"{"node":0}"#,
        r#"{"node":1}"#,
        "node 1: its parent is node 1, which does not stand before it"
    )]
    #[case(
        r#"{"node":0}"#,
        r#"{"node":99}"#,
        "node 1: its parent is node 99, which does not stand before it"
    )]
    #[case(
        r#""stage":"queue""#,
        r#""stage":"total""#,
        r#"node 0: its stage is "total""#
    )]
    #[case(
        r#""protocol":"udp""#,
        r#""protocol":"carrier pigeon""#,
        r#"class 0: its protocol is "carrier pigeon""#
    )]
    #[case(
        r#""02:00:00:00:01:01""#,
        r#""02:00""#,
        r#"node 1: "02:00" is no MAC address"#
    )]
    #[case(
        "[[",
        "[[226,1],[",
        "node 1: its latency: bucket 226, and there are 226"
    )]
    #[case(r#""born":0,"#, "", "missing field `born` at line 13 column 438")]
    #[case(
        r#""packets":12000"#,
        r#""packets":-1"#,
        "invalid value: integer `-1`, expected u64 at line 13 column 225"
    )]
    fn a_broken_recording_is_refused(#[case] from: &str, #[case] to: &str, #[case] because: &str) {
        assert_eq!(refused(from, to), because);
    }

    #[test]
    fn a_file_that_is_not_there_says_what_to_try() {
        let error = Replay::open(Path::new("/nowhere/reading.json")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "read /nowhere/reading.json: No such file or directory (os error 2); \
             try a file that `tracer routes --record` wrote"
        );
    }

    proptest! {
        #[test]
        fn any_tree_is_read_as_it_was_recorded(nodes in example::any_nodes()) {
            let reading = Reading { nodes, ..example::lab() };
            prop_assert_eq!(parse(to_text(&reading).as_bytes()), Ok(reading));
        }

        #[test]
        fn arbitrary_bytes_are_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(parse(&bytes).is_err());
        }

        #[test]
        fn a_damaged_recording_never_panics(at in any::<prop::sample::Index>(), byte in any::<u8>()) {
            let mut text = to_text(&example::lab()).into_bytes();
            let at = at.index(text.len());
            text[at] = byte;
            if let Ok(reading) = parse(&text) {
                let _ = crate::model::Report::from_reading(&reading).packets();
            }
        }
    }
}
