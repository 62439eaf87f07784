//! A server for many clients that answers every text in capitals, by the rules of the protocol:
//! it answers pings, tells a clean end from a cut one, and says why it ends.
//!
//! ```console
//! cargo run -p unstick-session --example uppercase --features tokio -- 127.0.0.1:7000
//! ```

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use unstick_session::message::{Close, Message};
use unstick_session::session::Event;
use unstick_session::tokio::{Connection, ConnectionError};

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let listener = TcpListener::bind(addr).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (socket, peer) = listener.accept().await?;
        tokio::spawn(async move {
            let mut connection = Connection::new(socket)
                .with_frame_timeout(Duration::from_secs(10))
                .with_idle_timeout(Duration::from_secs(60));
            let served = serve(&mut connection).await;
            let closed = connection.close(Close::ORDINARY, Duration::from_secs(5)).await;
            if let Err(error) = served.and(closed) {
                eprintln!("{peer}: {error}");
            }
        });
    }
}

async fn serve(connection: &mut Connection<TcpStream>) -> Result<(), ConnectionError> {
    while let Some(event) = connection.recv().await? {
        if let Event::Text(text) = event {
            let answer = text.to_uppercase();
            connection.feed(&Message::Text(&answer)).await?; // `recv` writes before it waits
        }
    }
    Ok(())
}
