//! A thousand concurrent peers.

use std::collections::HashSet;
use std::sync::Arc;

use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpStream;
use tokio::sync::Barrier;
use unstick::Kind;
use unstick::tokio::{FrameReader, FrameWriter};

use crate::support::*;

const PEERS: usize = 1000;
const MESSAGES: usize = 100;

#[test]
fn a_thousand_peers_send_a_hundred_messages_each() {
    let mut files = getrlimit(Resource::Nofile);
    files.current = files.maximum;
    setrlimit(Resource::Nofile, files).unwrap();
    assert!(files.maximum.is_none_or(|limit| limit > 2100), "too few open files are allowed");

    let listen = Listen::start(&["--json"]);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let all_there = Arc::new(Barrier::new(PEERS));
        let peers: Vec<_> = (0..PEERS)
            .map(|peer| tokio::spawn(talk(listen.addr.clone(), peer, Arc::clone(&all_there))))
            .collect();
        for peer in peers {
            if let Err(error) = peer.await {
                panic!("{error}: {}", listen.err.so_far())
            }
        }
    });
    let done = listen.interrupt();
    assert_eq!((done.code, done.stderr.as_str()), (0, ""));
    let arrived: HashSet<String> = done
        .stdout
        .lines()
        .filter(|line| line.contains("\"event\":\"message\""))
        .map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            event["text"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(arrived.len(), PEERS * MESSAGES);
    assert_eq!(done.stdout.matches("\"clean\":true").count(), PEERS);
}

async fn talk(addr: String, peer: usize, all_there: Arc<Barrier>) {
    let (read, write) = TcpStream::connect(&addr).await.unwrap().into_split();
    let (mut reader, mut writer) = (FrameReader::new(read), FrameWriter::new(write));
    all_there.wait().await;
    for message in 0..MESSAGES {
        let text = format!("{peer}/{message} {}", "粘包".repeat(message % 7));
        writer.feed(Kind::TEXT, text.as_bytes()).await.unwrap();
        if message % 10 == 0 {
            writer.flush().await.unwrap();
        }
    }
    writer.send(Kind::CLOSE, b"").await.unwrap();
    writer.shutdown().await.unwrap();
    let close = reader.next_frame().await.unwrap().expect("a close");
    assert_eq!((close.meta, close.payload), (Kind::CLOSE, &b""[..]));
    assert!(reader.next_frame().await.unwrap().is_none());
}
