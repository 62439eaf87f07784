//! Sensors that send small readings in datagrams, and a collector that keeps the newest of each and
//! acknowledges them.
//!
//! ```console
//! cargo run --example udp_readings --features tokio,udp
//! ```
#![allow(clippy::expect_used)] // in a constant: the compiler checks it

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;
use unstick::Kind;
use unstick::tokio::{FrameSocket, Received};

type Error = Box<dyn std::error::Error + Send + Sync>;

const SENSORS: u8 = 3;
const READINGS: u32 = 1_000;

/// An application's kind, critical: a receiver that does not know it refuses the datagram.
const READING: Kind = kind(0x41);
/// Another one, that may be ignored.
const NEWEST: Kind = kind(0xC1);

const fn kind(number: u8) -> Kind {
    Kind::new(number).expect("only zero is no kind")
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    let addr = socket.local_addr()?;
    let collector = tokio::spawn(collect(socket));
    let mut sensors = Vec::new();
    for sensor in 0..SENSORS {
        sensors.push(tokio::spawn(measure(sensor, addr)));
    }
    for sensor in sensors {
        sensor.await??;
    }
    for (sensor, newest) in collector.await?? {
        println!("sensor {sensor}: reading {newest} is the newest");
    }
    Ok(())
}

/// Takes readings until it has the last of every sensor.
async fn collect(socket: UdpSocket) -> Result<BTreeMap<u8, u32>, Error> {
    let mut socket = FrameSocket::new(socket).with_known(|kind| *kind == READING);
    let mut newest = BTreeMap::new();
    while newest.values().filter(|newest| **newest == READINGS).count() < SENSORS.into() {
        let FrameSocket { receiver, sender } = &mut socket;
        match receiver.recv().await? {
            Received::Datagram { source, frames } => {
                for frame in frames {
                    // What may be lost, doubled or late is numbered.
                    let Some((&[sensor, a, b, c, d], _)) = frame.payload.split_first_chunk() else {
                        continue;
                    };
                    let number = u32::from_be_bytes([a, b, c, d]);
                    let last = newest.entry(sensor).or_insert(number);
                    *last = number.max(*last);
                    let answer = last.to_be_bytes();
                    sender.feed_to(source, NEWEST, &answer).await?;
                }
                sender.flush().await?; // few datagrams, however many frames
            }
            Received::Refused { source, error } => eprintln!("{source}: {error}"),
            Received::Undelivered(error) => eprintln!("a sensor has gone: {error}"),
        }
    }
    let (received, sent) = socket.stats();
    println!("{received:?}\n{sent:?}");
    Ok(newest)
}

/// Sends readings, packed, and the last one again until it is acknowledged.
async fn measure(sensor: u8, collector: SocketAddr) -> Result<(), Error> {
    let socket = UdpSocket::bind("127.0.0.1:0").await?;
    socket.connect(collector).await?;
    let mut socket = FrameSocket::new(socket).with_known(|kind| *kind == NEWEST);
    let reading = |number: u32| {
        let [a, b, c, d] = number.to_be_bytes();
        [sensor, a, b, c, d, 21, 5] // and 21.5 degrees
    };
    for number in 1..=READINGS {
        socket.sender.feed(READING, &reading(number)).await?;
    }
    for _ in 0..50 {
        socket.sender.send(READING, &reading(READINGS)).await?;
        while let Ok(received) = timeout(Duration::from_millis(200), socket.receiver.recv()).await {
            if let Received::Datagram { frames, .. } = received?
                && frames.map(|frame| frame.payload).any(|newest| newest == READINGS.to_be_bytes())
            {
                return Ok(());
            }
        }
    }
    Err("the collector does not answer".into())
}
