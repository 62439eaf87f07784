//! Certificates that a listener makes for itself, those that are renewed, and senders that know one by its
//! fingerprint.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use super::tls::{Authority, certificates, listen, send};
use crate::support::*;

/// Starts a listener with its own certificate, which is kept in this folder; returns the line for senders.
fn own(folder: &Folder, addr: &str, args: &[&str]) -> (Listen, Vec<String>) {
    let mut command = unstick();
    command.env("XDG_STATE_HOME", folder.path("state")).args(["listen", addr, "--tls-self-signed"]);
    let listen = Listen::of(command.args(args));
    let line = listen.err.line("senders give: unstick send ");
    let line = line.strip_prefix("senders give: unstick ").unwrap();
    let words = line.split(' ').map(str::to_owned).collect();
    (listen, words)
}

#[test]
fn the_line_that_is_printed_works_and_stays() {
    let folder = Folder::new("tls-own");
    let (first, line) = own(&folder, "127.0.0.1:0", &["--dir", &folder.str("inbox")]);
    let bytes = content(1_000_000, 1);
    let file = folder.write("file", &bytes);
    let done = finish(unstick().args(&line).args(["--text", "hello", &file]), b"");
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    assert_eq!(fs::read(folder.path("inbox/file")).unwrap(), bytes);
    first.out.line("\"hello\"");
    let kept = folder.path("state/unstick/tls-self-signed.pem");
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);

    // At another start it is the same, and the line has an address for others.
    drop(first);
    let (second, again) = own(&folder, "0.0.0.0:0", &[]);
    assert_eq!(line.last(), again.last());
    assert!(!again[1].starts_with("0.0.0.0"), "{again:?}");
    assert_eq!(finish(unstick().args(&again).args(["--text", "again"]), b"").code, 0);
    second.out.line("\"again\"");
    assert!(!second.interrupt().stderr.contains("read along"));
}

#[test]
fn another_certificate_is_refused_and_named() {
    let (mine, other) = (Folder::new("tls-mine"), Folder::new("tls-other"));
    let (listen, line) = own(&mine, "127.0.0.1:0", &[]);
    let (_, foreign) = own(&other, "127.0.0.1:0", &[]);
    let (pin, wrong) = (line.last().unwrap(), foreign.last().unwrap());
    let send = |pin: &str| {
        finish(unstick().args(["send", &listen.addr, "--tls-pin", pin, "--text", "x"]), b"")
    };
    let done = send(wrong);
    done.fails(1, "its certificate is another one than that of --tls-pin");
    assert!(done.stderr.contains(pin), "{done:?}");
    listen.err.line("the peer ended TLS: ");
    assert_eq!(send(&pin.to_ascii_uppercase()).code, 0);
    send("sha256:12").fails(2, "64 hexadecimal digits");
    let args = ["send", &listen.addr, "--tls-pin", pin, "--tls-ca", "x", "--text", "x"];
    assert_eq!(run(&args, b"").code, 2);
}

/// A certificate of a CA, as `openssl req -x509` makes it, is as good as any.
#[test]
fn any_certificate_can_be_pinned() {
    let folder = Folder::new("tls-pin-ca");
    Authority::new(&folder, "ca");
    let (cert, key) = (folder.str("ca.pem"), folder.str("ca.key"));
    let listen = Listen::start(&["--tls-cert", &cert, "--tls-key", &key]);
    let warning = listen.err.line("is the certificate of a CA");
    assert!(warning.contains("basicConstraints=CA:FALSE"), "{warning}");
    let pin = warning.split(' ').next_back().unwrap();
    let send = |args: &[&str]| {
        finish(unstick().args(["send", &listen.addr, "--text", "hello"]).args(args), b"")
    };
    assert_eq!(send(&["--tls-pin", pin]).code, 0);
    send(&["--tls-ca", &cert]).fails(1, "make it with `-addext basicConstraints=CA:FALSE`");
}

/// Returns whether a sender takes the listener's certificate by this CA.
fn takes(folder: &Folder, addr: &str, ca: &str) -> bool {
    let ca = format!("@/{ca}.pem");
    send(folder, addr, &["--tls-ca", &ca, "--text", "x"]).code == 0
}

#[test]
fn a_hangup_reads_renewed_certificates() {
    let folder = certificates("tls-renewed");
    let args = ["--tls-cert", "@/server.pem", "--tls-key", "@/server.key", "--reply", "echo"];
    let listen = listen(&folder, "127.0.0.1:0", &args);
    let open = send(&folder, &listen.addr, &["--tls-ca", "@/ca.pem", "--text", "x"]);
    assert_eq!(open.code, 0);

    // A file that is no certificate changes nothing.
    let before = fs::read(folder.path("server.pem")).unwrap();
    folder.write("server.pem", b"none");
    listen.signal(Signal::HUP);
    listen.err.line("the certificates are not read anew, and the old ones stay: cannot use ");
    assert!(takes(&folder, &listen.addr, "ca"));

    // Nor does one that does not go with the key.
    fs::copy(folder.path("client.pem"), folder.path("server.pem")).unwrap();
    listen.signal(Signal::HUP);
    listen.err.lines("the old ones stay: ", 2);
    assert!(takes(&folder, &listen.addr, "ca"));

    folder.write("server.pem", &before);
    Authority::new(&folder, "new-ca").sign(&folder, "server", "127.0.0.1");
    assert!(!takes(&folder, &listen.addr, "new-ca"));
    listen.signal(Signal::HUP);
    listen.err.line("read the certificates anew");
    assert!(takes(&folder, &listen.addr, "new-ca") && !takes(&folder, &listen.addr, "ca"));
    assert_eq!(listen.interrupt().code, 0);
}

#[test]
fn changed_files_are_noticed() {
    let folder = certificates("tls-watched");
    let args = ["--tls-cert", "@/server.pem", "--tls-key", "@/server.key", "--tls-reload", "0.1"];
    let listen = listen(&folder, "127.0.0.1:0", &args);
    assert!(takes(&folder, &listen.addr, "ca"));
    thread::sleep(Duration::from_millis(300));
    assert!(!listen.err.so_far().contains("anew"), "{}", listen.err.so_far());
    Authority::new(&folder, "new-ca").sign(&folder, "server", "127.0.0.1");
    // The certificate may have been seen before its key.
    listen.err.line("unstick: read the certificates anew");
    assert!(takes(&folder, &listen.addr, "new-ca"));
    run(&["listen", ":0", "--tls-reload", "1"], b"").fails(2, "--tls-cert");
}

/// A file that waits for its writer is read without holding up anybody.
#[test]
fn a_certificate_that_cannot_be_read_yet_holds_up_nobody() {
    let folder = certificates("tls-fifo");
    let args = ["--tls-cert", "@/server.pem", "--tls-key", "@/server.key"];
    let listen = listen(&folder, "127.0.0.1:0", &args);
    fs::remove_file(folder.path("server.pem")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(folder.path("server.pem")).status();
    assert!(made.unwrap().success());
    listen.signal(Signal::HUP);
    thread::sleep(Duration::from_millis(100));
    assert!(takes(&folder, &listen.addr, "ca"));
    assert_eq!(listen.interrupt().code, 0);
}
