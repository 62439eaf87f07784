//! `unstick send`: sends messages and files, and shows the answers.

pub(crate) mod args;
mod conversation;
mod datagrams;
mod file;
mod job;
mod pace;
mod plain;
mod progress;
pub(crate) mod prompt;
pub(crate) mod secret;
pub(crate) mod shape;
pub(crate) mod source;
mod stream;
mod tally;
mod transfer;

use crate::addr::Addr;
use crate::send::args::Args;
use crate::send::shape::Shape;
use crate::term::output::Failure;
use crate::wire::with_wire;

pub(crate) fn run(args: Args) -> Result<(), Failure> {
    let shape = Shape::new(&args.framing, args.kind, args.header.as_deref())?;
    if !shape.format.is_v1() && args.items.has_files() {
        return Err(Failure::Usage("only v1 has files; leave out --format".to_owned()));
    }
    if !matches!(args.addr, Addr::Udp { .. }) {
        let given = [
            ("--datagram-limit", args.datagram_limit.is_some()),
            ("--rate", args.rate.is_some()),
            ("--allow-broadcast", args.allow_broadcast),
            ("--multicast-ttl", args.multicast_ttl.is_some()),
            ("--multicast-interface", args.multicast_interface.is_some()),
        ];
        if let Some((option, _)) = given.into_iter().find(|(_, given)| *given) {
            return Err(Failure::Usage(format!("{option} goes with a udp: address")));
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::job(format!("cannot start: {error}")))?;
    let result = match args.addr {
        Addr::Udp { .. } => runtime.block_on(datagrams::send(args, shape)),
        _ => with_wire!(args.framing.format, |wire| {
            let framing = args.framing.apply(wire);
            runtime.block_on(stream::send(args, framing, shape))
        }),
    };
    // Does not wait for a thread that still reads standard input.
    runtime.shutdown_background();
    result
}
