//! Greets: `Welcome!` at first, then `Hello, NAME!` for each text, until `exit`. Blocking, with a
//! thread for each client.
//!
//! ```console
//! cargo run -p unstick-session --example greeter -- 127.0.0.1:7000
//! ```

use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use unstick_session::io::{Connection, ConnectionError};
use unstick_session::message::{Close, Message};
use unstick_session::session::Event;

fn main() -> std::io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or("127.0.0.1:7000".into());
    let listener = TcpListener::bind(addr)?;
    println!("listening on {}", listener.local_addr()?);
    for socket in listener.incoming() {
        let socket = socket?;
        socket.set_read_timeout(Some(Duration::from_secs(60)))?;
        socket.set_write_timeout(Some(Duration::from_secs(60)))?;
        thread::spawn(move || {
            let mut connection = Connection::new(socket);
            let greeted = greet(&mut connection);
            let closed = connection.close(Close::ORDINARY, Duration::from_secs(5));
            if let Err(error) = greeted.and(closed) {
                eprintln!("{error}");
            }
        });
    }
    Ok(())
}

fn greet(connection: &mut Connection<TcpStream>) -> Result<(), ConnectionError> {
    connection.feed(&Message::Text("Welcome!"))?; // `recv` writes before it reads
    while let Some(event) = connection.recv()? {
        match event {
            Event::Text("exit") => break,
            Event::Text(name) => {
                let greeting = format!("Hello, {name}!");
                connection.feed(&Message::Text(&greeting))?;
            }
            _ => {}
        }
    }
    Ok(())
}
