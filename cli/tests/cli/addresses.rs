//! Addresses: names with several, zones, abstract sockets, groups, and broadcast.

use std::net::{TcpListener, ToSocketAddrs, UdpSocket};

use crate::support::*;

fn has_v6() -> bool {
    TcpListener::bind("[::1]:0").is_ok()
}

#[test]
fn a_listener_binds_every_address_of_a_name() {
    let mut addrs: Vec<_> = "localhost:0".to_socket_addrs().unwrap().collect();
    addrs.dedup();
    let addrs: Vec<_> = addrs.into_iter().filter(|addr| TcpListener::bind(addr).is_ok()).collect();
    for prefix in ["", "udp:"] {
        let listen = Listen::at(&format!("{prefix}localhost:0"), &[]);
        listen.out.lines("listening on ", addrs.len());
        let port = listen.addr.rsplit_once(':').unwrap().1.to_owned();
        for addr in &addrs {
            let mut at = *addr;
            at.set_port(port.parse().unwrap());
            listen.out.line(&format!("listening on {prefix}{at}"));
            let text = format!("to {}", at.ip());
            let done = run(&["send", &format!("{prefix}{at}"), "--text", &text], b"");
            assert_eq!(done.code, 0, "{done:?}");
            listen.out.line(&text);
        }
        let done = run(&["send", &format!("{prefix}localhost:{port}"), "--text", "by name"], b"");
        assert_eq!(done.code, 0, "{done:?}");
        listen.out.line("by name");
    }
}

#[test]
fn a_zone_is_part_of_an_address() {
    if !cfg!(target_os = "linux") || !has_v6() {
        return;
    }
    for prefix in ["", "udp:"] {
        let listen = Listen::at(&format!("{prefix}[::1%lo]:0"), &[]);
        let port = listen.addr.rsplit_once(':').unwrap().1;
        for zone in ["lo", "1"] {
            let done = run(&["send", &format!("{prefix}[::1%{zone}]:{port}"), "--text", zone], b"");
            assert_eq!(done.code, 0, "{done:?}");
            listen.out.line(&format!("\"{zone}\""));
        }
        let done = run(&["send", &format!("{prefix}[::1%nowhere]:{port}"), "--text", "x"], b"");
        assert_eq!(done.code, 1, "{done:?}");
        assert!(
            done.stderr.contains("is what follows `%` an interface of this machine"),
            "{done:?}"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn an_abstract_socket_has_no_file() {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::net::{SocketAddr, UnixStream};

    let name = format!("unstick-test-{}", std::process::id());
    let addr = format!("unix:@{name}");
    let listen = Listen::at(&addr, &["--reply", "upper"]);
    assert_eq!(listen.addr, addr);
    assert!(!std::path::Path::new(&format!("@{name}")).exists());
    run(&["send", &addr, "--text", "hello", "--expect-reply"], b"").succeeds("HELLO\n");
    let raw = SocketAddr::from_abstract_name(&name).unwrap();
    drop(UnixStream::connect_addr(&raw).unwrap());
    run(&["listen", &addr], b"").fails(1, "take another name");
    drop(listen);
    run(&["send", &addr, "--text", "x"], b"").fails(1, "nothing listens there");
    run(&["send", "unix:@", "--text", "x"], b"").fails(2, "unix:@");
}

#[test]
fn datagrams_go_to_the_address_that_takes_them() {
    // Whichever of its addresses is tried first, only one has a listener.
    for host in ["127.0.0.1", "[::1]"] {
        if host == "[::1]"
            && (!has_v6() || !"localhost:0".to_socket_addrs().unwrap().any(|a| a.is_ipv6()))
        {
            continue;
        }
        let listen = Listen::at(&format!("udp:{host}:0"), &["--reply", "upper"]);
        let port = listen.addr.rsplit_once(':').unwrap().1;
        let to = format!("udp:localhost:{port}");
        for args in [&["--expect-reply"][..], &[]] {
            let text = ["send", &to, "--text", "one", "--text", "two"];
            let done = run(&[&text[..], args].concat(), b"");
            assert_eq!(done.code, 0, "{done:?}");
            assert!(done.stdout.starts_with("ONE\nTWO\n"), "{done:?}");
        }
    }
}

#[test]
fn a_broadcast_address_needs_the_option() {
    let listen = Listen::at("udp:0.0.0.0:0", &["--reply", "upper"]);
    let port = listen.addr.rsplit_once(':').unwrap().1;
    let to = format!("udp:127.255.255.255:{port}");
    let done = run(&["send", &to, "--text", "hello"], b"");
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.stderr.contains("give --allow-broadcast"), "{done:?}");
    let done = run(&["send", &to, "--allow-broadcast", "--text", "hello", "--expect-reply"], b"");
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.starts_with("HELLO\n"), "{done:?}");
    listen.out.line("\"hello\"");
}

#[test]
fn a_group_is_joined_by_all_who_listen() {
    let at = ["--multicast-interface", "127.0.0.1"];
    let first = Listen::at("udp:239.73.1.2:0", &at);
    // Other programs of this machine listen at the same port.
    let second = Listen::at(&first.addr, &at);
    let send = |ttl: &str| {
        let args =
            [&["send", &first.addr, "--text", "hello", "--multicast-ttl", ttl], &at[..]].concat();
        run(&args, b"")
    };
    for ttl in ["0", "1"] {
        let done = send(ttl);
        assert_eq!(done.code, 0, "{done:?}");
    }
    for listen in [first, second] {
        listen.out.lines("\"hello\"", 2);
    }
}

#[test]
fn the_options_of_datagrams_go_with_udp() {
    for option in [
        &["--allow-broadcast"][..],
        &["--multicast-ttl", "2"],
        &["--multicast-interface", "127.0.0.1"],
    ] {
        let args = [&["send", ":1", "--text", "x"], option].concat();
        run(&args, b"").fails(2, &format!("{} goes with a udp: address", option[0]));
    }
    run(&["listen", ":0", "--multicast-interface", "127.0.0.1"], b"")
        .fails(2, "goes with a udp: address");
}

#[test]
fn an_error_names_every_address_that_was_tried() {
    // A port that is free at each of them.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    let mut addrs: Vec<_> = ("localhost", port).to_socket_addrs().unwrap().collect();
    addrs.dedup();
    let done = run(&["send", &format!("localhost:{port}"), "--text", "x"], b"");
    done.fails(1, "nothing listens there");
    if addrs.len() > 1 {
        assert!(addrs.iter().all(|addr| done.stderr.contains(&addr.to_string())), "{done:?}");
    }
}

#[test]
fn the_address_of_all_takes_both_families() {
    if !has_v6() {
        return;
    }
    for prefix in ["", "udp:"] {
        let listen = Listen::at(&format!("{prefix}[::]:0"), &[]);
        let port = listen.addr.rsplit_once(':').unwrap().1;
        for host in ["127.0.0.1", "[::1]"] {
            let done = run(&["send", &format!("{prefix}{host}:{port}"), "--text", host], b"");
            assert_eq!(done.code, 0, "{done:?}");
            listen.out.line(&format!("\"{host}\""));
        }
    }
}
