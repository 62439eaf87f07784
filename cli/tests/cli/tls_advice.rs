//! What is said when TLS does not come about: on both sides, and what to try.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;

use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, date_time_ymd};

use super::tls::{Authority, certificates, listen, send};
use crate::support::*;

#[test]
fn what_is_wrong_with_a_certificate_is_said_on_both_sides() {
    let folder = Folder::new("tls-wrong");
    let ca = Authority::new(&folder, "ca");
    ca.sign_with(&folder, "old", "127.0.0.1", |params| {
        params.not_after = date_time_ymd(2021, 1, 1)
    });
    ca.sign_with(&folder, "young", "127.0.0.1", |params| {
        params.not_before = date_time_ymd(2999, 1, 1);
    });
    ca.sign(&folder, "other", "elsewhere.test");
    ca.sign_with(&folder, "authority", "127.0.0.1", |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    });
    ca.sign_with(&folder, "client", "127.0.0.1", |params| {
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    });
    for (name, warning, sender, listener) in [
        (
            "old",
            "old.pem expired on 2021-01-01, and peers refuse it; renew it",
            "its certificate expired on 2021-01-01, and here it is ",
            "this side's certificate has expired",
        ),
        (
            "young",
            "young.pem is valid from 2999-01-01 on",
            "its certificate is valid from 2999-01-01 on",
            "this side's certificate has expired, or is not valid yet",
        ),
        ("other", "", "put this one into its subjectAltName", "it refuses this side's certificate"),
        (
            "authority",
            "basicConstraints=CA:FALSE",
            "(CaUsedAsEndEntity), as a plain `openssl req -x509` makes it; make it with `-addext \
             basicConstraints=CA:FALSE`",
            "basicConstraints=CA:FALSE",
        ),
        ("client", "", "extendedKeyUsage=serverAuth", "it refuses this side's certificate"),
    ] {
        let (cert, key) = (format!("@/{name}.pem"), format!("@/{name}.key"));
        let listen = listen(&folder, "127.0.0.1:0", &["--tls-cert", &cert, "--tls-key", &key]);
        if !warning.is_empty() {
            listen.err.line("warning");
        }
        send(&folder, &listen.addr, &["--tls-ca", "@/ca.pem", "--text", "x"]).fails(1, sender);
        let line = listen.err.line("the peer ended TLS: ");
        assert!(line.contains(listener), "{name}: {line}");
        let done = listen.interrupt();
        assert_eq!(!warning.is_empty(), done.stderr.contains("warning"), "{name}: {done:?}");
        assert!(done.stderr.contains(warning), "{name}");
    }
}

#[test]
fn an_alert_is_the_error_of_a_sender_without_a_certificate() {
    let folder = certificates("tls-alert");
    let args = ["--tls-cert", "@/server.pem", "--tls-key", "@/server.key", "--tls-ca", "@/ca.pem"];
    // The sender has sent much before the listener has looked at its certificate.
    folder.write("file", &content(8_000_000, 1));
    for format in ["v1", "u32be"] {
        let listen = listen(&folder, "127.0.0.1:0", &[&args[..], &["--format", format]].concat());
        let items: &[&str] = if format == "v1" { &["@/file"] } else { &["--text", "x"] };
        for _ in 0..5 {
            let args = [&["--tls-ca", "@/ca.pem", "--format", format], items].concat();
            let done = send(&folder, &listen.addr, &args);
            assert_eq!(done.code, 1, "{done:?}");
            let alert = "unstick: the peer ended TLS: it demands a certificate; give --tls-cert";
            assert!(done.stderr.contains(alert), "{done:?}");
        }
        listen.err.line("it has no certificate, which --tls-ca demands; it has to give --tls-cert");
    }
}

#[test]
fn tls_on_one_side_is_named_on_both() {
    let folder = certificates("tls-one-side");
    let text = ["--text", "hello"];
    for format in ["v1", "u32be", "u16be", "lines", "varint"] {
        let framing = ["--format", format];
        // A sender with TLS, and a listener without it.
        let plain = listen(&folder, "127.0.0.1:0", &framing);
        let args = [&text[..], &framing, &["--tls-ca", "@/ca.pem"]].concat();
        let done = send(&folder, &plain.addr, &args);
        assert_eq!(done.code, 1, "{format}: {done:?}");
        let named = ["without TLS; leave --tls-ca", "does it speak TLS?", "without TLS, its first"];
        assert!(named.iter().any(|part| done.stderr.contains(part)), "{format}: {done:?}");
        plain.err.line(if format == "v1" {
            "it is that of TLS; listen with"
        } else {
            "it begins with TLS; give"
        });

        // And the other way.
        let args = ["--tls-cert", "@/server.pem", "--tls-key", "@/server.key"];
        let tls = listen(&folder, "127.0.0.1:0", &[&args[..], &framing].concat());
        let done = send(&folder, &tls.addr, &[&text[..], &framing].concat());
        assert_eq!(done.code, 1, "{format}: {done:?}");
        assert!(
            done.stderr.contains("TLS") && done.stderr.contains("give --tls-ca or --tls-pin"),
            "{format}: {done:?}"
        );
        tls.err.line("without TLS");
    }
}

/// What another program's listener answers is an alert.
#[test]
fn an_alert_in_place_of_version_1_is_named() {
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = server.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in server.incoming() {
            let mut stream = stream.unwrap();
            let mut first = [0; 7];
            std::io::Read::read_exact(&mut stream, &mut first).unwrap();
            stream.write_all(b"\x15\x03\x03\0\x02\x02\x32").unwrap();
        }
    });
    let done = run(&["send", &addr, "--text", "x"], b"");
    done.fails(
        1,
        "the peer speaks TLS, it answered with an alert of it; give --tls-ca or --tls-pin",
    );
    let args = ["send", &addr, "--format", "u32be", "--text", "hello", "--timeout", "2"];
    run(&args, b"").fails(1, "the peer speaks TLS");
    // A capture has no options of a listener.
    let done = run(&["inspect", "-"], b"\x15\x03\x03\0\x02\x02\x32");
    assert!(done.code == 1 && done.stderr.contains("it is that of an alert of TLS"), "{done:?}");
}

#[test]
fn keys_that_do_not_work_are_explained() {
    let folder = certificates("tls-keys");
    folder.write(
        "locked.key",
        b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    folder.write("old.key", b"-----BEGIN EC PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END EC PRIVATE KEY-----\n");
    for name in ["locked.key", "old.key"] {
        fs::set_permissions(folder.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let cert = folder.str("server.pem");
    for (name, why) in [
        (
            "locked.key",
            "the key is encrypted with a passphrase; decrypt it with `openssl pkey -in ",
        ),
        ("old.key", "the key is encrypted with a passphrase"),
        ("server.pem", "it has a certificate and no private key"),
    ] {
        let key = folder.str(name);
        let done = run(&["listen", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key], b"");
        assert_eq!(done.code, 1, "{done:?}");
        assert!(done.stderr.contains(why), "{done:?}");
    }
}

#[test]
fn a_key_that_others_can_read_is_warned_of() {
    let folder = certificates("tls-mode");
    let args = ["--tls-cert", "@/server.pem", "--tls-key", "@/server.key"];
    assert!(!listen(&folder, "127.0.0.1:0", &args).interrupt().stderr.contains("warning"));
    fs::set_permissions(folder.path("server.key"), fs::Permissions::from_mode(0o644)).unwrap();
    let listen = listen(&folder, "127.0.0.1:0", &args);
    listen.err.line("every user of this machine can read the key in ");
}

#[test]
fn an_inbox_for_everybody_is_warned_of() {
    let folder = certificates("tls-everybody");
    let inbox = ["--dir", "@/inbox"];
    let tls = ["--tls-cert", "@/server.pem", "--tls-key", "@/server.key"];
    let err =
        |addr: &str, args: &[&[&str]]| listen(&folder, addr, &args.concat()).interrupt().stderr;
    let warning = "warning: everyone on the network can upload files; take only senders with a";
    assert!(err("0.0.0.0:0", &[&inbox, &tls]).contains(warning));
    for args in [&[&inbox[..], &tls, &["--tls-ca", "@/ca.pem"]][..], &[&tls]] {
        assert!(!err("0.0.0.0:0", args).contains("warning"));
    }
    assert!(!err("127.0.0.1:0", &[&inbox, &tls]).contains("warning"));
    assert!(err("0.0.0.0:0", &[&inbox]).contains("read along, send, and upload files"));
}

/// As `openssl x509 -req` makes it without extensions.
const VERSION_1: &[u8] = b"-----BEGIN CERTIFICATE-----
MIIBFDCBuwIUMFNfubLcNESkxj+xdS+y/tbqYZUwCgYIKoZIzj0EAwIwDDEKMAgG
A1UEAwwBeDAgFw0yNjExMjgyMjIxMzdaGA8yMTI2MTEwNDIyMjEzN1owDDEKMAgG
A1UEAwwBeDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABBN9BlGDMTUfj17sW96x
wE0O3RqvhDmtSB+sBjns4VicOu3g4b1W5kKKG5gDhslNcJDlTZzvfpkguePhZN09
GjkwCgYIKoZIzj0EAwIDSAAwRQIgQhsImzZQyUzVBQH8d31Qu1rLAJoTPdB7RcTi
mHSPmwoCIQDatmz9thIG7pAWpcXeZYajVxkMqQi9EnPFm21/FFuPug==
-----END CERTIFICATE-----
";

#[test]
fn a_certificate_of_version_1_is_named() {
    let folder = certificates("tls-version-1");
    let (cert, key) = (folder.write("old.pem", VERSION_1), folder.str("server.key"));
    run(&["listen", "127.0.0.1:0", "--tls-cert", &cert, "--tls-key", &key], b"").fails(
        1,
        "the certificate is X.509 version 1, as `openssl x509 -req` makes it; add -extfile with \
         basicConstraints=CA:FALSE",
    );
}

#[test]
fn a_listener_that_is_refused_asks_for_the_senders_pin() {
    let folder = certificates("tls-other-pin");
    let args = ["--tls-cert", "@/server.pem", "--tls-key", "@/server.key"];
    let listen = listen(&folder, "127.0.0.1:0", &args);
    let pin = format!("sha256:{}", "00".repeat(32));
    let done = send(&folder, &listen.addr, &["--tls-pin", &pin, "--text", "x"]);
    assert_eq!(done.code, 1, "{done:?}");
    listen.err.line("; has the sender another --tls-pin? Or is it for the name or address");
}
