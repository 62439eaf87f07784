//! A customer-service bot: a line of welcome, and the same answer to every question.
//!
//! ```console
//! cargo run -p unstick-session --example service_bot --features tokio -- 127.0.0.1:7000
//! ```

use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use unstick_session::message::{Close, Message};
use unstick_session::session::Event;
use unstick_session::tokio::{Connection, ConnectionError};

const WELCOME: &str = "Welcome to customer service. What can we do for you?";
const ANSWER: &str = "Thank you for your question. We will come back to you.";

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let listener = TcpListener::bind(addr).await?;
    println!("listening on {}", listener.local_addr()?);
    loop {
        let (socket, peer) = listener.accept().await?;
        tokio::spawn(async move {
            match serve(socket).await {
                Ok(questions) => println!("{peer}: {questions} questions"),
                Err(error) => println!("{peer}: {error}"),
            }
        });
    }
}

async fn serve(socket: TcpStream) -> Result<u64, ConnectionError> {
    let mut connection = Connection::new(socket).with_idle_timeout(Duration::from_secs(600));
    connection.announce("service bot")?;
    connection.send(&Message::Text(WELCOME)).await?;
    let mut questions = 0;
    while let Some(event) = connection.recv().await? {
        if let Event::Text(_) = event {
            questions += 1;
            connection.feed(&Message::Text(ANSWER)).await?;
        }
    }
    connection.close(Close::ORDINARY, Duration::from_secs(5)).await?;
    Ok(questions)
}
