//! Locked memory is limited, and the limit can't be raised: no matter where maps are not counted
//! against it, and a clear error where they are.

use std::fs;
use std::thread;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tracer::source::live::{Live, rights};
use tracer::source::{Error, Settings};

/// What an unprivileged user has on many hosts; the maps take thirty times as much.
const LIMIT: u64 = 1 << 20;

/// Since when maps count as memory of the control group ("bpf: Memcg-based memory accounting", Linux
/// 5.11).
const FREE: (u32, u32) = (5, 11);

fn release() -> (u32, u32) {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
    let mut numbers = text.split('.').map(|number| number.parse().unwrap_or(0));
    (numbers.next().unwrap(), numbers.next().unwrap())
}

/// Opens with nothing but the rights that tracing takes.
fn open() -> Result<(), Error> {
    rights::keep_for_tracing().unwrap();
    setrlimit(Resource::RLIMIT_MEMLOCK, LIMIT, LIMIT).unwrap();
    Live::open(&Settings::default()).map(drop)
}

#[test]
fn a_limit_that_cant_be_raised_is_named_where_it_matters() {
    let (soft, hard) = getrlimit(Resource::RLIMIT_MEMLOCK).unwrap();
    let opened = thread::scope(|scope| scope.spawn(open).join().unwrap());
    // Where not even root may raise it again, this test has a process of its own.
    let _ = setrlimit(Resource::RLIMIT_MEMLOCK, soft, hard);
    match opened {
        Ok(()) => assert!(release() >= FREE, "1 MiB is enough before 5.11?"),
        Err(error) => {
            println!("{error}");
            assert!(release() < FREE, "{error}");
            let error = error.to_string();
            assert!(error.contains("RLIMIT_MEMLOCK"), "{error}");
            assert!(error.contains("LimitMEMLOCK=infinity"), "{error}");
        }
    }
}
