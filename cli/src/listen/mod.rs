//! `unstick listen`: prints every message that arrives, from many peers at once.

mod answering;
pub(crate) mod args;
mod budget;
mod conversation;
mod datagrams;
mod dialect;
pub(crate) mod end;
mod exec;
mod lane;
mod listener;
mod log;
mod others;
mod places;
mod plain;
mod pool;
mod rate;
mod reply;
mod rules;
mod shares;
mod streams;
mod typed;
mod upload_jobs;
mod uploads;

use crate::addr::Addr;
use crate::listen::args::Args;
use crate::term::output::Failure;
use crate::wire::with_wire;

/// The threads that write, digest and sync files.
const DISK_THREADS: usize = 32;

pub(crate) fn run(args: Args) -> Result<(), Failure> {
    args.framing.check_exchange()?;
    if args.inbox.dir.is_some() && !args.framing.format.has_files() {
        return Err(Failure::Usage(
            "files come in frames that say how long they are, and have no check; leave out --dir, \
             or take another --format"
                .to_owned(),
        ));
    }
    if args.broadcast && args.inbox.dir.is_some() && !args.framing.format.is_v1() {
        return Err(Failure::Usage(
            "the plain dialect of --dir has no --broadcast; leave out one of them".to_owned(),
        ));
    }
    if args.exec && matches!(args.addr, Addr::Udp { .. }) {
        return Err(Failure::Usage(
            "--exec goes with connections: the source of a datagram can be forged, and each would \
             start a command; leave `udp:` out"
                .to_owned(),
        ));
    }
    if let Some(program) = args.command.first() {
        exec::check_program(program)?;
    }
    if args.multicast_interface.is_some() && !matches!(args.addr, Addr::Udp { .. }) {
        return Err(Failure::Usage("--multicast-interface goes with a udp: address".to_owned()));
    }
    let open_files = raise_open_files();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .max_blocking_threads(DISK_THREADS)
        .build()
        .map_err(|error| Failure::job(format!("cannot start: {error}")))?;
    let result = match args.addr {
        Addr::Udp { .. } => runtime.block_on(datagrams::listen(args)),
        _ => with_wire!(args.framing.format, |wire| {
            let framing = args.framing.apply(wire);
            runtime.block_on(streams::listen(args, framing, open_files))
        }),
    };
    runtime.shutdown_background();
    result
}

/// Raises the limit of open files to its maximum, since every connection needs a file descriptor. Returns
/// the limit.
fn raise_open_files() -> usize {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, getrlimit, setrlimit};
        let mut limit = getrlimit(Resource::Nofile);
        limit.current = limit.maximum;
        // On failure the accept loop still works, and reports what is missing.
        let _ = setrlimit(Resource::Nofile, limit);
        let limit = getrlimit(Resource::Nofile).current;
        limit.and_then(|limit| usize::try_from(limit).ok()).unwrap_or(usize::MAX)
    }
    #[cfg(not(unix))]
    usize::MAX
}
