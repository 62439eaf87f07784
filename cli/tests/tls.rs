//! TLS on both sides, with certificates made here.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::expect_used)]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use support::*;

/// A CA.
struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// A new one, whose certificate is in `NAME.pem`.
    fn new(folder: &Folder, name: &str) -> Self {
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        folder.write(&format!("{name}.pem"), certificate.pem().as_bytes());
        Self(Issuer::new(params, key))
    }

    /// Signs a certificate for a name or an address: `NAME.pem` and `NAME.key`.
    fn sign(&self, folder: &Folder, name: &str, subject: &str) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![subject.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        folder.write(&format!("{name}.pem"), certificate.pem().as_bytes());
        folder.write(&format!("{name}.key"), key.serialize_pem().as_bytes());
    }
}

fn certificates(name: &str) -> Folder {
    let folder = Folder::new(name);
    let ca = Authority::new(&folder, "ca");
    ca.sign(&folder, "server", "127.0.0.1");
    ca.sign(&folder, "client", "somebody");
    Authority::new(&folder, "stranger").sign(&folder, "strange", "127.0.0.1");
    folder
}

fn send(folder: &Folder, addr: &str, args: &[&str]) -> Done {
    let args: Vec<_> =
        args.iter().map(|arg| arg.replace('@', folder.0.to_str().unwrap())).collect();
    finish(unstick().args(["send", addr, "--timeout", "5"]).args(args), b"")
}

fn listen(folder: &Folder, addr: &str, args: &[&str]) -> Listen {
    let args: Vec<_> =
        args.iter().map(|arg| arg.replace('@', folder.0.to_str().unwrap())).collect();
    Listen::at(addr, &args.iter().map(String::as_str).collect::<Vec<_>>())
}

#[test]
fn messages_and_files_go_over_tls() {
    let folder = certificates("tls");
    let server = ["--tls-cert", "@/server.pem", "--tls-key", "@/server.key", "--dir", "@/inbox"];
    let listen = listen(&folder, "0.0.0.0:0", &[&server[..], &["--reply", "upper"]].concat());
    let addr = listen.addr.replace("0.0.0.0", "127.0.0.1");
    let bytes = content(3_000_000, 1);
    folder.write("file", &bytes);
    let args = ["--tls-ca", "@/ca.pem", "--text", "hello", "@/file", "--expect-reply"];
    let done = send(&folder, &addr, &args);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    assert!(
        done.stdout.starts_with("HELLO\n") && done.stdout.contains(&digest(&bytes).to_string())
    );
    assert!(fs::read(folder.path("inbox/file")).unwrap() == bytes);
    assert!(!listen.err.so_far().contains("warning"));

    for (args, why) in [
        (&["--tls-ca", "@/stranger.pem"][..], "no TLS with this peer: invalid peer certificate"),
        (&[], "without a close"),
    ] {
        let done = send(&folder, &addr, &[args, &["--text", "x"]].concat());
        assert_eq!(done.code, 1, "{done:?}");
        assert!(done.stderr.contains(why) || args.is_empty(), "{why}: {done:?}");
    }
    listen.err.line("no TLS with this peer: ");
    // Who says nothing keeps nobody else from being served.
    let mut silent = std::net::TcpStream::connect(&addr).unwrap();
    silent.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    assert_eq!(send(&folder, &addr, &["--tls-ca", "@/ca.pem", "--text", "again"]).code, 0);
    assert!(silent.read(&mut [0]).is_err());
    silent.write_all(b"x").unwrap();
}

#[test]
fn a_listener_with_a_ca_takes_its_clients_only() {
    let folder = certificates("tls-clients");
    let server =
        ["--tls-cert", "@/server.pem", "--tls-key", "@/server.key", "--tls-ca", "@/ca.pem"];
    let listen = listen(&folder, "127.0.0.1:0", &server);
    let with = |name: &str| {
        let (cert, key) = (format!("@/{name}.pem"), format!("@/{name}.key"));
        let args = ["--tls-ca", "@/ca.pem", "--tls-cert", &cert, "--tls-key", &key, "--text", name];
        send(&folder, &listen.addr, &args)
    };
    assert_eq!(with("client").code, 0);
    assert_eq!(with("strange").code, 1);
    assert_eq!(send(&folder, &listen.addr, &["--tls-ca", "@/ca.pem", "--text", "nobody"]).code, 1);
    listen.err.lines("no TLS with this peer: ", 2);
    let said = listen.interrupt().stdout;
    assert!(said.contains("\"client\"") && !said.contains("strange") && !said.contains("nobody"));
}

#[test]
fn options_that_cannot_be_are_refused() {
    let folder = certificates("tls-options");
    let text = &["--text", "x"][..];
    for (args, code, why) in [
        (&["--tls-cert", "@/client.pem", "--tls-key", "@/client.key"][..], 2, "needs --tls-ca"),
        (&["--tls-cert", "@/client.pem"], 2, "--tls-key"),
        (&["--tls-ca", "@/missing.pem"], 1, "cannot use "),
        (&["--tls-ca", "@/client.key"], 1, "no certificate in it"),
    ] {
        send(&folder, "127.0.0.1:1", &[args, text].concat()).fails(code, why);
    }
    send(&folder, "unix:/nowhere", &["--tls-ca", "@/ca.pem", "--text", "x"])
        .fails(2, "TLS needs a HOST:PORT");
    let ca = folder.str("ca.pem");
    run(&["listen", ":0", "--tls-ca", &ca], b"").fails(2, "needs --tls-cert and --tls-key");
    let (cert, key) = (folder.str("server.pem"), folder.str("client.key"));
    run(&["listen", ":0", "--tls-cert", &cert, "--tls-key", &key], b"")
        .fails(1, "do certificate and key belong together?");
}
