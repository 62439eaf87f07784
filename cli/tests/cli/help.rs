//! The help says what the options accept, and the formats are a list of their own.

use crate::support::*;

const COMMANDS: [&str; 9] =
    ["demo", "listen", "send", "inspect", "encode", "decode", "conform", "completions", "man"];
const WITH_FORMATS: [&str; 5] = ["listen", "send", "inspect", "encode", "decode"];

#[test]
fn help_command_prints_the_long_help_and_h_a_shorter_one() {
    for command in COMMANDS {
        let done = run(&["help", command], b"");
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
        assert_eq!(done.stdout, run(&[command, "--help"], b"").stdout);
        let short = run(&[command, "-h"], b"").stdout;
        assert!(short.lines().count() <= 56, "{command}: {short}");
        assert!(short.lines().count() <= done.stdout.lines().count(), "{command}");
        assert!(short.lines().all(|line| line.chars().count() <= 100), "{command}: {short}");
    }
}

#[test]
fn every_command_has_examples_of_its_own() {
    for command in COMMANDS {
        let help = run(&[command, "--help"], b"").stdout;
        let (_, examples) = help.split_once("\nExample").expect(command);
        assert!(examples.contains(&format!("unstick {command}")), "{command}: {examples}");
    }
}

#[test]
fn times_are_explained() {
    for command in ["listen", "send"] {
        let help = run(&["help", command], b"").stdout;
        assert!(help.contains("0.5 or 5s"), "{help}");
    }
}

#[test]
fn the_formats_are_listed_without_other_arguments() {
    for command in WITH_FORMATS {
        let help = run(&[command, "-h"], b"").stdout;
        assert!(help.contains("--format list"), "{command}: {help}");
        assert!(!help.contains("u24be"), "{command}: {help}");
        let done = run(&[command, "--format", "list"], b"");
        assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
        for other in [&["--format=list"][..], &["-f", "list"], &["-flist", "--limit", "1"]] {
            assert_eq!(run(&[&[command], other].concat(), b"").stdout, done.stdout, "{other:?}");
        }
        for text in
            ["v1 ", "u24be, u24le ", "order is be or le", "covers is payload, rest", "lines "]
        {
            assert!(done.stdout.contains(text), "{text}: {}", done.stdout);
        }
        assert_eq!(done.stdout.contains("\n  postgres "), command == "inspect", "{}", done.stdout);
        assert_eq!(done.stdout.contains("need --header"), command != "inspect");
        // A line for each.
        assert!(done.stdout.lines().all(|line| !line.starts_with("   ")), "{}", done.stdout);
    }
}

#[test]
fn an_unknown_format_is_refused_with_the_names_of_all() {
    let done = run(&["listen", ":0", "--format", "lists"], b"");
    assert_eq!(done.code, 2, "{done:?}");
    assert!(done.stderr.contains("the formats are v1, u8,"), "{done:?}");
}

#[test]
fn every_order_and_cover_of_a_longer_header_is_taken() {
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

#[test]
fn a_page_is_printed_or_all_are_written() {
    let folder = Folder::new("man");
    let done = run(&["man", "--out", &folder.str("pages/man1")], b"");
    done.succeeds("");
    assert_eq!(folder.files("pages/man1").len(), COMMANDS.len() + 1);
    for command in COMMANDS {
        let page = std::fs::read_to_string(folder.path(&format!("pages/man1/unstick-{command}.1")));
        assert_eq!(run(&["man", command], b"").stdout, page.unwrap());
    }
    assert!(run(&["man"], b"").stdout.contains(".SH SUBCOMMANDS"));
    run(&["man", "sned"], b"").fails(2, "the commands are demo, listen, send, inspect,");
}

#[test]
fn completions_name_commands_options_and_formats() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["completions", shell], b"");
        assert_eq!((script.code, script.stderr.as_str()), (0, ""), "{script:?}");
        for word in ["inspect", "expect-reply", "netstring", "websocket"] {
            assert!(script.stdout.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(run(&["completions", "tcsh"], b"").code, 2);
}

/// The text with single spaces, as lines are broken anywhere.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_long_help_says_how_one_sender_is_known_and_how_folders_and_lines_are_sent() {
    let long = |command: &str| words(&run(&[command, "--help"], b"").stdout);
    let (listen, send, decode) = (long("listen"), long("send"), long("decode"));
    for text in [
        "-subj /CN=alice -keyout alice.key -out alice.pem -addext basicConstraints=CA:FALSE",
        "--tls-self-signed --tls-ca alice.pem",
        "but for the first line, `listening on`",
        "With other formats a last line end stays.",
        "With lines the answer has to be one line.",
    ] {
        assert!(listen.contains(text), "{text}: {listen}");
    }
    assert!(
        send.contains("under the last part of its path; send a folder as an archive"),
        "{send}"
    );
    assert!(send.contains("/etc/ssl/certs/ca-certificates.crt"), "{send}");
    assert!(decode.contains("use -0 on both, encode and decode"), "{decode}");
    assert!(long("inspect").contains("not a command such as SET"));
    assert!(!words(&run(&["listen", "-h"], b"").stdout).contains("alice"));
}

#[test]
fn an_option_of_the_other_side_has_a_tip() {
    for pin in [&["--tls-pin", "sha256:00"][..], &["--tls-pin=sha256:00"]] {
        let done = run(&[&["listen", ":0"], pin].concat(), b"");
        done.fails(2, "tip: --tls-pin is for senders; a listener takes one sender with --tls-ca");
        assert_eq!(done.stderr.matches("tip:").count(), 1, "{done:?}");
    }
    let done = run(&["listen", ":0", "--tls-cart", "x"], b"");
    done.fails(2, "a similar argument exists: '--tls-ca'");
}

#[test]
fn pages_have_their_examples_line_by_line_and_name_the_others() {
    for command in COMMANDS {
        let page = run(&["man", command], b"").stdout;
        assert_eq!(page.matches(".ds Aq '").count(), 1, "{command}: {page}");
        let (_, examples) = page.split_once(".SH EXAMPLES\n.nf\n").expect(command);
        let (examples, after) = examples.split_once(".fi\n").expect(command);
        assert!(examples.contains(&format!("unstick {command}")), "{command}: {examples}");
        assert!(examples.lines().all(|line| !line.starts_with([' ', '.', '\''])), "{examples}");
        let (_, others) = after.split_once(".SH \"SEE ALSO\"\n").expect(command);
        assert!(others.starts_with(".BR unstick (1),\n"), "{others}");
        let names = COMMANDS.map(|other| format!(".BR unstick\\-{other} (1)"));
        for (other, name) in COMMANDS.iter().zip(names) {
            assert_eq!(others.contains(&name), *other != command, "{command}: {others}");
        }
    }
    let page = run(&["man"], b"").stdout;
    assert!(page.contains("Exit codes: 0 all went well") && page.contains("SEE ALSO"), "{page}");
}

#[test]
fn completions_offer_values_that_are_not_the_only_ones() {
    let script = run(&["completions", "zsh"], b"").stdout;
    for values in ["HOW:(echo upper)", "KIND:(text binary ", "(demo listen send inspect "] {
        assert!(script.contains(values), "{values}: {script}");
    }
    for command in ["listen", "send", "inspect", "man"] {
        assert!(!run(&[command, "--help"], b"").stdout.contains("possible values: [echo"));
        assert!(!run(&[command, "-h"], b"").stdout.contains("[possible values: text"), "{command}");
    }
    let done = run(&["inspect", "--format", "resp", "--kind", "integer"], b":1\r\n");
    assert!(done.code == 0 && done.stdout.contains("integer"), "{done:?}");
}
