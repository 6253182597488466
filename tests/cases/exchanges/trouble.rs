//! Connections that fail: each kind of trouble is counted, at its class.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use lab::Lab;
use lab::topology::Wired;
use lab::{TcpPairs, WireSpec};
use socket2::{Domain, Socket, Type};
use tracer::model::connection::Sight;
use tracer::model::host::Trouble;

use super::seen::{port, trace_all};
use super::side::{asking, tell};

const PORT: u16 = 9720;

fn wired(loss: f64) -> Wired {
    let spec = WireSpec {
        loss,
        ..WireSpec::delay(Duration::from_millis(1))
    };
    Wired::new(Lab::new("exchanges").unwrap(), spec).unwrap()
}

fn connect(wired: &Wired, to: SocketAddr, patience: Duration) -> bool {
    let pairs = TcpPairs {
        count: 1,
        patience,
        ..TcpPairs::new((&wired.app, wired.app_at.v4.into()), to)
    };
    pairs.run().is_ok()
}

#[test]
fn a_syn_that_nobody_answers_is_sent_again() {
    let wired = wired(1.0);
    let to = (wired.db_at.v4, PORT).into();
    let (is_open, reading, _) = trace_all(&port(PORT), || {
        connect(&wired, to, Duration::from_millis(3_500))
    });
    assert!(!is_open);
    let asking = asking(&reading);
    println!("{}", tell(asking));
    assert!(asking.sight(Sight::SynRetransmits) >= 1, "{}", tell(asking));
    assert_eq!(asking.sight(Sight::Opened), 0);
}

#[test]
fn a_port_where_nobody_listens_refuses() {
    let wired = wired(0.0);
    let to = (wired.db_at.v4, PORT).into();
    let (is_open, reading, _) =
        trace_all(&port(PORT), || connect(&wired, to, Duration::from_secs(2)));
    assert!(!is_open);
    let asking = asking(&reading);
    println!("{}", tell(asking));
    assert_eq!(asking.sight(Sight::Unopened), 1, "{}", tell(asking));
}

/// Nobody accepts, and the queue has room for one: those after it knock in vain.
#[test]
fn a_listen_queue_that_is_full_is_told_from_a_silent_path() {
    let wired = wired(0.0);
    let to: SocketAddr = (wired.db_at.v4, PORT).into();
    let listener = wired.db.run(|| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&to.into()).unwrap();
        socket.listen(0).unwrap();
        socket
    });
    let (opened, reading, _) = trace_all(&port(PORT), || {
        let connections = (0..6).map(|_| {
            let patience = Duration::from_millis(1_300);
            wired.app.run(|| TcpStream::connect_timeout(&to, patience))
        });
        let opened: Vec<_> = connections.filter_map(Result::ok).collect();
        opened.len()
    });
    drop(listener);
    let asking = asking(&reading);
    println!(
        "{opened} opened\n{}\n{:?}",
        tell(asking),
        reading.host.sockets
    );
    assert!(opened < 6);
    let ours = reading.host.troubles().into_iter().find_map(|it| match it {
        Trouble::ListenQueueFull { namespace, times } if namespace == wired.db.name() => {
            Some(times)
        }
        _ => None,
    });
    assert!(ours.is_some_and(|times| times >= 1), "{:?}", reading.host);
    assert!(asking.sight(Sight::SynRetransmits) >= 1, "{}", tell(asking));
    assert_eq!(asking.sight(Sight::PeerZeroWindow), 0);
}

#[test]
fn a_receiver_that_does_not_read_closes_its_window() {
    use std::io::Write;
    let wired = wired(0.0);
    let to: SocketAddr = (wired.db_at.v4, PORT).into();
    let listener = wired.db.run(|| TcpListener::bind(to)).unwrap();
    let ((), reading, _) = trace_all(&port(PORT), || {
        let mut stream = wired
            .app
            .run(|| TcpStream::connect_timeout(&to, Duration::from_secs(2)))
            .unwrap();
        let (_kept, _) = listener.accept().unwrap();
        stream
            .set_write_timeout(Some(Duration::from_millis(700)))
            .unwrap();
        let chunk = vec![0; 1 << 16];
        while stream.write(&chunk).is_ok() {}
        std::thread::sleep(Duration::from_millis(600));
    });
    let asking = asking(&reading);
    println!("{}", tell(asking));
    assert!(asking.sight(Sight::PeerZeroWindow) >= 1, "{}", tell(asking));
}
