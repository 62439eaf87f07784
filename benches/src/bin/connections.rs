//! Heap bytes for each idle connection: a server in this process, its clients in another one.
//!
//! `connections [--quick]` measures and writes `target/unstick-bench/connections.json`. The client
//! process is the same program with other arguments. An allocator that counts is in this program
//! only, so that no time is measured with it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

use std::env;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream as StdStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use peak_alloc::PeakAlloc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinSet, yield_now};
use unstick_bench::many::{self, raise_open_files};
use unstick_bench::results::{Results, Rounds};

#[global_allocator]
static HEAP: PeakAlloc = PeakAlloc;

/// How many connections are open at once.
const COUNTS: [usize; 5] = [1, 10, 100, 1_000, 10_000];
/// A frame of this size goes there and back, before the second count.
const LEN: usize = 1024;
/// The same of a few connections, which then wait.
const LARGE_LEN: usize = 16 * 1024 * 1024;
const LARGE_COUNT: usize = 8;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Server {
    /// A task that waits until it can read: what tokio needs by itself.
    Raw,
    Unstick,
    TokioUtil,
}

fn main() {
    raise_open_files(COUNTS[COUNTS.len() - 1]); // each connection is one in each process
    let arguments: Vec<String> = env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["client", address, count, len] => {
            client(address.parse().unwrap(), count.parse().unwrap(), len.parse().unwrap());
        }
        ["--quick"] => serve(&COUNTS[..4], true),
        [] => serve(&COUNTS, false),
        _ => panic!("usage: connections [--quick]"),
    }
}

fn serve(counts: &[usize], quick: bool) {
    let (start, mut results) = (Instant::now(), Results::new(quick));
    let servers =
        [(Server::Raw, "raw"), (Server::Unstick, "unstick"), (Server::TokioUtil, "tokio-util")];
    let large = (LARGE_COUNT, LARGE_LEN, "large");
    for (count, len, state) in counts.iter().map(|&count| (count, LEN, "used")).chain([large]) {
        for (server, name) in servers {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let [new, used] = runtime.block_on(idle(server, count, len));
            println!(
                "{count:6} connections  {name:10}  {new:8.0} B new  {used:8.0} B after {len} B"
            );
            for (state, bytes) in [("new", new), (state, used)] {
                if (state, len) == ("new", LARGE_LEN) {
                    continue; // it is as with any other count
                }
                let rounds = Rounds { heap: vec![bytes], ..Rounds::default() };
                let case = format!("idle-{state}/{count}");
                results.cases.entry(case).or_default().insert(name.into(), rounds);
            }
        }
    }
    results.seconds = start.elapsed().as_secs();
    results.save("connections", false);
}

/// Heap bytes for each connection: when none has sent anything, and after a frame of this length went
/// there and back on each.
async fn idle(server: Server, count: usize, len: usize) -> [f64; 2] {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let mut tasks = JoinSet::new();
    // The first connection of a runtime makes what all of them share.
    let first = StdStream::connect(listener.local_addr().unwrap()).unwrap();
    let (warm, _) = listener.accept().await.unwrap();
    yield_now().await;
    let mut clients = Clients::start(listener.local_addr().unwrap(), count, len);

    let before = HEAP.current_usage();
    for _ in 0..count {
        let (stream, _) = listener.accept().await.unwrap();
        match server {
            Server::Raw => tasks.spawn(raw(stream)),
            Server::Unstick => tasks.spawn(many::unstick(stream)),
            Server::TokioUtil => tasks.spawn(many::tokio_util(stream)),
        };
    }
    settle().await;
    let new = per_connection(before, count);

    clients.say("go");
    // The clients' process runs while this one has to serve it.
    let mut clients = tokio::task::spawn_blocking(move || {
        clients.hear("idle");
        clients
    })
    .await
    .unwrap();
    settle().await;
    let used = per_connection(before, count);

    clients.say("end");
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    clients.process.wait().unwrap();
    drop((first, warm));
    [new, used]
}

/// Lets every task come to its next wait.
async fn settle() {
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn per_connection(before: usize, count: usize) -> f64 {
    (HEAP.current_usage() as f64 - before as f64) / count as f64
}

// Each server is a future of its own, so that each task is as large as it has to be. All of them
// send every frame back until the peer has gone.

async fn raw(stream: TcpStream) {
    loop {
        stream.readable().await.unwrap();
        let mut buf = [0; 64]; // does not live across an await
        match stream.try_read(&mut buf) {
            Ok(0) => return,
            Ok(n) => _ = stream.try_write(&buf[..n]).unwrap(),
            Err(_) => {} // not readable after all
        }
    }
}

/// The process that the connections come from.
struct Clients {
    process: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Clients {
    fn start(address: SocketAddr, count: usize, len: usize) -> Self {
        let mut process = Command::new(env::current_exe().unwrap())
            .args(["client", &address.to_string(), &count.to_string(), &len.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { process, input, output: BufReader::new(output) }
    }

    fn say(&mut self, what: &str) {
        writeln!(self.input, "{what}").unwrap();
    }

    fn hear(&mut self, what: &str) {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), what);
    }
}

fn client(address: SocketAddr, count: usize, len: usize) {
    let connect = |_| StdStream::connect(address).unwrap();
    let mut streams: Vec<StdStream> = (0..count).map(connect).collect();
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).unwrap();
    let mut frame = vec![0; 4 + len];
    frame[..4].copy_from_slice(&u32::try_from(len).unwrap().to_be_bytes());
    let mut back = frame.clone();
    for stream in &mut streams {
        // The answer to a large frame may begin before all of it is sent.
        let mut sender = stream.try_clone().unwrap();
        thread::scope(|scope| {
            scope.spawn(|| sender.write_all(&frame).unwrap());
            stream.read_exact(&mut back).unwrap();
        });
        assert!(back == frame);
    }
    println!("idle");
    std::io::stdin().read_line(&mut line).unwrap();
}
