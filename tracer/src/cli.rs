//! The command line's arguments.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::config::value::{self, MaxCpu, SocketPath, Target};
use crate::model::Protocol;
use crate::model::incident::Name;
use crate::source::settings::Prefix;

/// Says what is wrong on one screen: the path, the peer, this host, the application, nothing, or that
/// it can't tell; and with a command, where packets spend their time on their way through this host
#[derive(Debug, Parser)]
#[command(
    name = "tracer",
    version,
    max_term_width = 100,
    args_conflicts_with_subcommands = true
)]
pub struct Cli {
    /// What to do; without it, what is wrong is told.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to tell what is wrong.
    #[command(flatten)]
    pub verdict: Verdict,
    /// Says on standard error what it does; twice, shows the kernel half's own log too
    #[arg(short, long, action = ArgAction::Count, global = true)]
    pub verbose: u8,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Says what is wrong with one dependency, at more length than tracer without a command
    Why(Why),
    /// Traces for a while, then shows each route with the time that its packets spent at each hop
    Routes(Routes),
    /// Says whose the live route to a prefix or an address is: which line of which file asks for it, a
    /// daemon, a lease, or nobody; and what files ask for that the kernel has not
    Blame(Blame),
    /// Traces until it is told to end, and serves what it sees to Prometheus and other commands
    Run(Run),
    /// Shows what changed on the network, who made it, and what became of the routes
    Changes(Changes),
    /// Shows what is wrong and what was: incidents, from their first sign to their end
    Incidents(Incidents),
    /// Prints what monitoring is given to begin with
    #[command(subcommand)]
    Export(Export),
    /// Ends the agent, even one that hangs, so that nothing of it is left in the kernel
    Off(Off),
    /// Says whether tracing can work here, and what to do about what can't
    Doctor(Doctor),
}

/// Arguments of `tracer` without a command.
#[derive(Clone, Debug, Default, Args)]
pub struct Verdict {
    /// For how long to look: 10s, 500ms, 2m; Ctrl-C ends it earlier [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = told(value::duration, value::DURATION))]
    pub duration: Option<Duration>,
    /// Writes JSON (docs/verdict.md) in place of text
    #[arg(long)]
    pub json: bool,
    /// Reads this configuration [default: /etc/tracer/tracer.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The Unix socket of the agent that is asked, "" for none: where no agent runs, the command
    /// looks for itself [default: /run/tracer/tracer.sock]
    #[arg(long, value_name = "PATH", value_parser = told(value::socket, value::SOCKET))]
    pub socket: Option<SocketPath>,
}

/// Arguments of `tracer why`.
#[derive(Debug, Default, Args)]
pub struct Why {
    /// What it is about: a component's name, an address with its service's port or without, a program or
    /// unit of this host, or an incident of the agent that is not over [default: all dependencies]
    #[arg(value_name = "DEST|COMPONENT|INC-7", value_parser = told(value::name, value::NAME))]
    pub about: Option<String>,
    /// Writes what was measured of it to this file, in place of showing it: Markdown without any name of
    /// this host, for whoever owns the other side
    #[arg(long, value_name = "FILE.md", conflicts_with = "json")]
    pub evidence: Option<PathBuf>,
    /// Then sends probes too: SYNs whose TTL is used up on the way, to the other end of the first
    /// dependency, from source ports of their own and at most 10 packets a second, to show where beyond
    /// the next hop round trip or loss begins. Takes 10 to 40 s; needs the right to open raw sockets
    #[arg(long)]
    pub probe: bool,
    /// How to look.
    #[command(flatten)]
    pub how: Verdict,
}

/// Arguments of `tracer routes`.
#[derive(Debug, Default, Args)]
pub struct Routes {
    /// For how long to trace: 10s, 500ms, 2m; Ctrl-C ends it earlier [default: 10s]
    #[arg(long, value_name = "DURATION", value_parser = told(value::duration, value::DURATION))]
    pub duration: Option<Duration>,
    /// Writes JSON (docs/routes-json.md) in place of text
    #[arg(long)]
    pub json: bool,
    /// Reads this configuration [default: /etc/tracer/tracer.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Asks the system's resolver (DNS) what other hosts are called, at the end; without it nobody is
    /// asked
    #[arg(long)]
    pub resolve: bool,
    /// Records what was seen in this file too, for --replay
    #[arg(long, value_name = "FILE")]
    pub record: Option<PathBuf>,
    /// Shows what a file recorded; traces nothing
    #[arg(long, value_name = "FILE", conflicts_with_all = TRACING)]
    pub replay: Option<PathBuf>,
    /// Writes each packet's timeline to this file, as a line of JSON each
    #[arg(long, value_name = "FILE")]
    pub passages: Option<PathBuf>,
    /// Times packets at functions of IP, netfilter, TCP and UDP too, where the kernel has fentry;
    /// each costs what a hop costs
    #[arg(long)]
    pub fine: bool,
    /// Which packets are traced.
    #[command(flatten)]
    pub filter: Filter,
}

/// Arguments of `tracer blame`.
#[derive(Debug, Args)]
pub struct Blame {
    /// A prefix, whose routes of all tables are shown, or an address, whose packets' route is: the
    /// kernel is asked for it. "default" is 0.0.0.0/0
    #[arg(value_name = "PREFIX|DEST", value_parser = told(value::target, value::TARGET))]
    pub target: Target,
    /// The network namespace, by its name or file [default: that of this process]
    #[arg(long, value_name = "NAME", value_parser = told(value::name, value::NAME))]
    pub netns: Option<String>,
    /// Reads configurations below this folder
    #[arg(long, value_name = "DIR", default_value = "/")]
    pub root: PathBuf,
    /// Writes JSON (docs/blame.md) in place of text
    #[arg(long)]
    pub json: bool,
    /// Reads this configuration, to learn the agent's socket and the journal's folder [default:
    /// /etc/tracer/tracer.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The Unix socket of the agent that is asked how old a route is and who set it [default:
    /// /run/tracer/tracer.sock]
    #[arg(long, value_name = "PATH", value_parser = told(value::socket, value::SOCKET))]
    pub socket: Option<SocketPath>,
    /// The folder of the journal that is read where no agent runs [default: /var/lib/tracer]
    #[arg(long, value_name = "PATH", value_parser = told(value::socket, value::DIRECTORY))]
    pub state_directory: Option<SocketPath>,
}

/// Arguments of `tracer run`.
#[derive(Clone, Debug, Default, Args)]
pub struct Run {
    /// Reads this configuration [default: /etc/tracer/tracer.toml, if it is there]; again on SIGHUP
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Serves HTTP on this address [default: 127.0.0.1:9560]
    #[arg(long, value_name = "ADDRESS:PORT", value_parser = told(value::listen, value::LISTEN))]
    pub listen: Option<SocketAddr>,
    /// Does TLS and asks for passwords as this file of Prometheus's web-config format says
    #[arg(long, value_name = "FILE")]
    pub web_config: Option<PathBuf>,
    /// Lets other hosts ask without TLS and without a password
    #[arg(long)]
    pub insecure_listen: bool,
    /// Serves on this Unix socket too, "" for none [default: /run/tracer/tracer.sock]
    #[arg(long, value_name = "PATH", value_parser = told(value::socket, value::SOCKET))]
    pub socket: Option<SocketPath>,
    /// Keeps the journal of changes in this folder, "" for in memory alone [default: /var/lib/tracer]
    #[arg(long, value_name = "PATH", value_parser = told(value::socket, value::DIRECTORY))]
    pub state_directory: Option<SocketPath>,
    /// Follows fewer packets, or none, where the programs in the kernel take more than this of the
    /// host's processor time, "off" for as much as they need [default: 1%]
    #[arg(long, value_name = "PERCENT", value_parser = told(value::max_cpu, value::MAX_CPU))]
    pub max_cpu: Option<MaxCpu>,
    /// Times packets at functions of IP, netfilter, TCP and UDP too, where the kernel has fentry;
    /// each costs what a hop costs
    #[arg(long, conflicts_with = "replay")]
    pub fine: bool,
    /// Serves what a file recorded; traces nothing
    #[arg(long, value_name = "FILE")]
    pub replay: Option<PathBuf>,
    /// Tells nobody of incidents, and lists at its end what would have been sent
    #[arg(long)]
    pub shadow: bool,
}

/// Arguments of `tracer changes`.
#[derive(Debug, Default, Args)]
pub struct Changes {
    /// Shows the changes of this last time: 10m, 1h, 720h
    #[arg(long, value_name = "DURATION", default_value = "1h", value_parser = told(value::since, value::SINCE))]
    pub since: Duration,
    /// Writes JSON (docs/changes-json.md) in place of text
    #[arg(long)]
    pub json: bool,
    /// Reads this configuration, to learn the agent's socket and the journal's folder [default:
    /// /etc/tracer/tracer.toml, if it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The Unix socket of the agent that is asked [default: /run/tracer/tracer.sock]
    #[arg(long, value_name = "PATH", value_parser = told(value::socket, value::SOCKET))]
    pub socket: Option<SocketPath>,
    /// The folder of the journal that is read where no agent runs [default: /var/lib/tracer]
    #[arg(long, value_name = "PATH", value_parser = told(value::socket, value::DIRECTORY))]
    pub state_directory: Option<SocketPath>,
}

/// Arguments of `tracer incidents`.
#[derive(Debug, Default, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Incidents {
    /// What to do with one.
    #[command(subcommand)]
    pub what: Option<OfIncidents>,
    /// Shows this one alone: INC-7
    #[arg(value_name = "INC-ID", value_parser = told(value::incident, value::INCIDENT))]
    pub id: Option<Name>,
    /// Writes JSON (docs/incidents.md) in place of text
    #[arg(long)]
    pub json: bool,
    /// Goes on, and shows each incident again when something about it is new
    #[arg(long, conflicts_with = "report")]
    pub follow: bool,
    /// Writes the draft of a postmortem, in Markdown, to this file
    #[arg(long, value_name = "FILE", requires = "id", conflicts_with = "json")]
    pub report: Option<PathBuf>,
    /// Reads this configuration, to learn the agent's socket and folder [default:
    /// /etc/tracer/tracer.toml, if it is there]
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// The Unix socket of the agent that is asked [default: /run/tracer/tracer.sock]
    #[arg(long, value_name = "PATH", global = true, value_parser = told(value::socket, value::SOCKET))]
    pub socket: Option<SocketPath>,
    /// The folder that is read where no agent runs [default: /var/lib/tracer]
    #[arg(long, value_name = "PATH", global = true, value_parser = told(value::socket, value::DIRECTORY))]
    pub state_directory: Option<SocketPath>,
}

/// What can be printed for monitoring.
#[derive(Clone, Copy, Debug, Subcommand)]
pub enum Export {
    /// Alerting rules for Prometheus: incidents, an agent that says nothing, what is lost
    Rules,
    /// A dashboard that Grafana imports
    Dashboard,
}

/// What can be done with an incident.
#[derive(Debug, Subcommand)]
pub enum OfIncidents {
    /// Says that what an incident's streams do now is normal, which ends it; over the socket alone
    Accept {
        /// The incident: INC-7
        #[arg(value_name = "INC-ID", value_parser = told(value::incident, value::INCIDENT))]
        id: Name,
    },
}

/// Arguments of `tracer off`.
#[derive(Debug, Default, Args)]
pub struct Off {
    /// Reads this configuration, to learn the agent's socket [default: /etc/tracer/tracer.toml, if
    /// it is there]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The Unix socket of the agent that is ended [default: /run/tracer/tracer.sock]
    #[arg(long, value_name = "PATH", value_parser = told(value::socket, value::SOCKET))]
    pub socket: Option<SocketPath>,
}

/// Arguments that say how to trace, which a recording can't follow any more.
const TRACING: [&str; 10] = [
    "duration", "config", "record", "passages", "fine", "netns", "device", "prefix", "protocol",
    "port",
];

/// Which packets are traced; they win over the configuration's.
#[derive(Debug, Default, Args)]
#[command(next_help_heading = "Filters")]
pub struct Filter {
    /// Packets that start in this network namespace
    #[arg(long, value_name = "NAME", value_parser = told(value::name, value::NAME))]
    pub netns: Option<String>,
    /// Packets that start at this device
    #[arg(long, value_name = "NAME", value_parser = told(value::name, value::NAME))]
    pub device: Option<String>,
    /// Packets from or to an address in this prefix
    #[arg(long, value_name = "CIDR", value_parser = told(value::prefix, value::PREFIX))]
    pub prefix: Option<Prefix>,
    /// Packets of this transport: tcp, udp, icmp, other
    #[arg(long, value_name = "NAME", value_parser = told(value::protocol, value::PROTOCOL))]
    pub protocol: Option<Protocol>,
    /// Packets from or to this port
    #[arg(long, value_name = "PORT", value_parser = told(value::port_text, value::PORT))]
    pub port: Option<u16>,
}

/// Arguments of `tracer doctor`.
#[derive(Debug, Default, Args)]
pub struct Doctor {
    /// Writes JSON in place of text
    #[arg(long)]
    pub json: bool,
    /// Says in place of that which eBPF object this program has inside, and what it can do: the
    /// types of its programs, the kernel's functions that they call, and its maps
    #[arg(long)]
    pub verify: bool,
}

/// A value's parser that says what is allowed when the value is wrong.
fn told<T>(
    parse: fn(&str) -> Result<T, String>,
    allowed: &'static str,
) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: 'static,
{
    move |text| parse(text).map_err(|problem| format!("{problem}; allowed: {allowed}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn help(path: &[&str]) -> String {
        let mut command = Cli::command().term_width(80);
        command.build();
        for name in path {
            command = command.find_subcommand(name).expect("a command").clone();
        }
        command.render_long_help().to_string()
    }

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_of_tracer() {
        insta::assert_snapshot!(help(&[]));
    }

    #[test]
    fn help_of_why() {
        insta::assert_snapshot!(help(&["why"]));
    }

    #[test]
    fn help_of_routes() {
        insta::assert_snapshot!(help(&["routes"]));
    }

    #[test]
    fn help_of_blame() {
        insta::assert_snapshot!(help(&["blame"]));
    }

    #[test]
    fn help_of_run() {
        insta::assert_snapshot!(help(&["run"]));
    }

    #[test]
    fn help_of_changes() {
        insta::assert_snapshot!(help(&["changes"]));
    }

    #[test]
    fn help_of_incidents() {
        insta::assert_snapshot!(help(&["incidents"]));
    }

    #[test]
    fn help_of_export() {
        insta::assert_snapshot!(help(&["export"]));
    }

    #[test]
    fn help_of_off() {
        insta::assert_snapshot!(help(&["off"]));
    }

    #[test]
    fn help_of_doctor() {
        insta::assert_snapshot!(help(&["doctor"]));
    }

    #[rstest::rstest]
    #[case(&["--duration", "10"], "\"10\" is no duration; allowed: a duration from 1ms to 24h, such as 10s, 500ms or 2m")]
    #[case(&["--duration", "0s"], "0s is too short; allowed")]
    #[case(&["--prefix", "10.0.0.0/33"], "\"10.0.0.0/33\" is no prefix; allowed: an address with or without a length")]
    #[case(&["--protocol", "sctp"], "\"sctp\" is no protocol that is told apart; allowed: tcp, udp, icmp, other")]
    #[case(&["--port", "0"], "0 is no port; allowed: a port from 1 to 65535")]
    #[case(&["--netns", ""], "the name is empty")]
    #[case(&["--replay", "a.json", "--port", "1"], "cannot be used with")]
    fn a_wrong_argument_is_refused(#[case] arguments: &[&str], #[case] message: &str) {
        let arguments = [&["tracer", "routes"], arguments].concat();
        let error = Cli::try_parse_from(arguments)
            .expect_err("it is wrong")
            .to_string();
        assert!(error.contains(message), "{error}");
    }
}
