//! The help lists everything that the options accept.

use crate::support::*;

#[test]
fn help_h_and_help_command_print_the_same() {
    for command in ["demo", "listen", "send", "inspect"] {
        let done = run(&["help", command], b"");
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
        assert_eq!(done.stdout, run(&[command, "--help"], b"").stdout);
        assert_eq!(done.stdout, run(&[command, "-h"], b"").stdout);
    }
}

#[test]
fn formats_and_times_are_listed() {
    for command in ["listen", "send", "inspect"] {
        let help = run(&["help", command], b"").stdout;
        let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
        for text in [
            "u24be, u24le",
            "order is be or le",
            "covers is payload, rest, which is",
            "lines, crlf, nul, delim:HEX for any bytes, such as delim:0d0a, cobs, slip, hdlc",
            "fixed:N for frames of N bytes",
            "v2 (kinds as in v1, but no session: each frame is a message, without hello, ping, close",
            "where send needs --header, mavlink, modbus-rtu-request, modbus-rtu-response, resp, ubx",
            "dns, kafka, lsp, postgres-startup, protobuf, tpkt; and, for inspect only, 9p, grpc, \
             http2, modbus, mqtt, mysql, postgres, tls, websocket",
        ] {
            assert!(help.contains(text), "{text}: {help}");
        }
        assert!(command == "inspect" || help.contains("0.5 or 5s"), "{help}");
    }
    for covers in ["payload", "rest", "frame"] {
        for order in ["be", "le"] {
            let format = format!("field:width=2,order={order},covers={covers}");
            assert_eq!(run(&["inspect", "--format", &format], b"").code, 0, "{format}");
        }
    }
}

#[test]
fn protocols_with_other_header_fields_are_for_inspect_only() {
    for name in ["9p", "grpc", "http2", "modbus", "mqtt", "mysql", "postgres", "tls", "websocket"] {
        for command in ["listen", "send", "inspect"] {
            let args: &[&str] = if command == "inspect" { &[] } else { &["127.0.0.1:1"] };
            let done = run(&[&[command, "--format", name], args].concat(), b"");
            if command == "inspect" {
                assert_eq!(done.code, 0, "{done:?}");
            } else {
                done.fails(2, &format!("the headers of {name} say more than a length"));
            }
        }
    }
}
