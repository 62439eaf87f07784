//! `unstick conform`: the Python implementation passes, and every fault in a modified copy is
//! detected.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{env, fs, process, thread};

use serde_json::Value;

use crate::support::*;

const PYTHON: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../interop/python/unstick.py");

/// Runs `unstick conform` with a Python program as the implementation.
fn conform(options: &[&str], program: &[&str]) -> Done {
    let mut command = unstick();
    command.env("PYTHONDONTWRITEBYTECODE", "1");
    command.arg("conform").args(options).args(["--", "python3"]).args(program);
    finish(&mut command, b"")
}

/// Runs `work` with a copy of the Python implementation in which one place is changed.
fn with_copy<T>(from: &str, to: &str, work: impl FnOnce(&str) -> T) -> T {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let text = fs::read_to_string(PYTHON).unwrap();
    assert_eq!(text.matches(from).count(), 1, "{from}");
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = env::temp_dir().join(format!("unstick-conform-{}-{number}.py", process::id()));
    fs::write(&path, text.replace(from, to)).unwrap();
    let result = work(path.to_str().unwrap());
    fs::remove_file(&path).unwrap();
    result
}

#[test]
fn the_python_implementation_passes() {
    let done = conform(&[], &[PYTHON, "--conform"]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    let last = done.stdout.lines().last().unwrap();
    assert!(last.ends_with(" passed, 0 failed, 0 unsupported"), "{last}");
    for section in ["3.2", "6.1", "7.4", "7.8", "8", "10", "13.6", "14.4", "15.5", "A.4", "A.14"] {
        assert!(
            done.stdout.lines().any(|line| line.split(' ').next() == Some(section)),
            "{done:?}"
        );
    }
}

/// The ids of the vectors that a run has, each with its outcome.
fn outcomes(done: &Done) -> BTreeMap<String, String> {
    let events = done.stdout.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let each = events.filter(|event| event["event"] != "end").map(|event| {
        let text = |name: &str| event[name].as_str().unwrap().to_owned();
        (text("id"), text("event"))
    });
    each.collect()
}

// spec: PRF-1
#[test]
fn a_profile_runs_exactly_its_vectors() {
    let run = |name: &str| {
        let done = conform(&["--json", "--profile", name], &[PYTHON, "--conform"]);
        assert_eq!(done.code, 0, "{done:?}");
        let end: Value = serde_json::from_str(done.stdout.lines().last().unwrap()).unwrap();
        assert_eq!(end["profile"], name);
        outcomes(&done)
    };
    // All of version 1 is in the largest profile, and nothing of Annex A.
    let all = outcomes(&conform(&["--json"], &[PYTHON, "--conform"]));
    let largest = run("files+skip+search+datagrams");
    let of_annex = |id: &str| id.starts_with("A.");
    let expected: Vec<_> = all.keys().filter(|id| !of_annex(id)).collect();
    // An encoder's vectors of other formats have the ids of chapter 6, too.
    let missing: Vec<_> = expected.iter().filter(|id| !largest.contains_key(**id)).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(largest.keys().all(|id| !of_annex(id)));

    let has = |profile: &BTreeMap<String, String>, ids: &[&str], expected: bool| {
        for id in ids {
            assert!(largest.contains_key(*id), "{id}");
            assert_eq!(profile.contains_key(*id), expected, "{id}");
        }
    };
    let frames = run("frames");
    has(&frames, &["3-hi", "3.3-kind-0", "7.6-payload", "6.1-oversize"], true);
    has(&frames, &["7.7-skip", "7.8-garbage", "8-one", "13.1-text", "14.1-hello"], false);
    let searching = run("frames+search");
    has(&searching, &["7.8-garbage", "7.8-end-nothing"], true);
    has(&searching, &["7.7-skip", "8-one"], false);
    let messages = run("messages+datagrams");
    has(&messages, &["3-hi", "8-one", "13.1-text", "14.1-hello", "19.3-open"], true);
    has(&messages, &["13.5-open-short", "15.2-refused-id", "14.4-own-close-name"], true);
    has(&messages, &["13.1-open", "15.5-gap", "15.4-from-held", "14.5-skipped-hello"], false);
    let files = run("files+skip");
    has(&files, &["15.5-gap", "14.5-skipped-hello", "7.7-skip", "13.1-open", "19.3-open"], true);
    has(&files, &["7.8-garbage", "8-one"], false);
}

// spec: PRF-2
#[test]
fn what_a_profile_lacks_is_not_missed() {
    let run = |from: &str, to: &str, profile: &str| {
        with_copy(from, to, |path| conform(&["--profile", profile], &[path, "--conform"]))
    };
    // Without files in every conversation, as in the profile `messages`.
    let files = r#"request.get("files", True), []"#;
    let done = run(files, "False, []", "messages+skip+search+datagrams");
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.starts_with("profile messages+skip+search+datagrams\n"), "{done:?}");
    let last = done.stdout.lines().last().unwrap();
    assert!(last.contains(" vectors of messages+skip+search+datagrams: "), "{last}");
    assert_eq!(run(files, "False, []", "files").code, 1);
    // Without the request for a search.
    assert_eq!(run("def do_resync(", "def no_resync(", "files+skip+datagrams").code, 0);
}

#[test]
fn all_that_belongs_to_a_profile_has_to_be_supported() {
    let run = |profile: &[&str]| {
        with_copy("def do_skip(", "def no_skip(", |path| {
            conform(&[&["--only", "7.7"], profile].concat(), &[path, "--conform"])
        })
    };
    assert_eq!(run(&[]).code, 0);
    let done = run(&["--profile", "frames+skip"]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.stdout.contains(" 0 failed, 13 unsupported"), "{done:?}");
    conform(&["--profile", "frames+files"], &[PYTHON]).fails(2, "no option +files");
}

#[test]
fn the_doctests_of_the_python_implementation_pass() {
    let mut python = process::Command::new("python3");
    python.env("PYTHONDONTWRITEBYTECODE", "1").args(["-m", "doctest", PYTHON]);
    finish(&mut python, b"").succeeds("");
}

#[test]
fn the_unit_tests_of_the_python_implementation_pass() {
    let mut python = process::Command::new("python3");
    let folder = Path::new(PYTHON).parent().unwrap();
    python
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .args(["-m", "unittest", "discover", "--failfast"])
        .arg(folder);
    let done = finish(&mut python, b"");
    assert_eq!(done.code, 0, "{done:?}");
}

/// A fault: its description, the original text, the replacement, and vectors that detect it.
struct Fault(&'static str, &'static str, &'static str, &'static [&'static str]);

const FAULTS: &[Fault] = &[
    Fault("the check is not compared", "if byte != expected:", "if False:", &["3.2-check"]),
    Fault(
        "the magic is not compared",
        "return None if byte == MAGIC else",
        "return None if True else",
        &["3.2-magic-one-byte", "7.5-second-frame"],
    ),
    Fault(
        "a later version is taken for this one",
        "return None if byte == VERSION else",
        "return None if byte >= VERSION else",
        &["3.2-version-2", "10-version-80"],
    ),
    Fault(
        "the length has the other byte order",
        "return (\"header\", header[2], int.from_bytes(header[3:7], \"big\"))",
        "return (\"header\", header[2], int.from_bytes(header[3:7], \"little\"))",
        &["3-hi", "3.2-length-each-byte"],
    ),
    Fault(
        "the limit is off by one",
        "if length > self.limit:",
        "if length > self.limit + 1:",
        &["6.1-oversize", "6.1-limit-unset-oversize"],
    ),
    Fault(
        "the limit is compared in 32 bits",
        "if length > self.limit:",
        "if length & 0xFFFFFFFF > self.limit:",
        &["A.2-u64be-wide"],
    ),
    Fault(
        "the end right after a header is clean",
        "if state == \"BOUNDARY\":",
        "if state == \"BOUNDARY\" or (state == \"PAYLOAD\" and self.offset - self._at == 8):",
        &["7.6-behind-header"],
    ),
    Fault(
        "missing bytes of a header are said to be exact",
        "missing=missing, exact=False",
        "missing=missing, exact=True",
        &["7.6-header-1", "A.3-unfinished"],
    ),
    Fault(
        "a resync starts one byte too far on",
        "del self._held[0]  # SYN-1",
        "del self._held[:2]",
        &["7.8-held-bytes"],
    ),
    Fault(
        "a search drops all of a failed candidate",
        "            del self._held[0]\n\n    def end",
        "            self._held.clear()\n\n    def end",
        &["7.8-false-run-overlap"],
    ),
    Fault(
        "a search does not look at the limit",
        " and int.from_bytes(window[3:7], \"big\") <= self.limit",
        "",
        &["7.8-limit"],
    ),
    Fault(
        "an overlong varint is accepted",
        "if count > 1 and byte == 0:  # FMT-8",
        "if False:",
        &["A.3-overlong"],
    ),
    Fault(
        "errors do not latch",
        "self._state = \"FAILED\"\n",
        "self._state = \"BOUNDARY\"\n",
        &["7.5-latch", "6.1-oversize"],
    ),
    Fault(
        "the end of a failed stream is clean",
        "if state == \"FAILED\":\n            return self.error",
        "if state == \"FAILED\":\n            return End()",
        &["7.5-latch", "3.2-magic"],
    ),
    Fault(
        "a skip leaves one byte",
        "self._state = \"SKIP\"\n",
        "self._state = \"SKIP\"; self._due -= 1\n",
        &["7.7-skip"],
    ),
    Fault(
        "a skip is allowed after any error",
        "if self.error.name != \"oversize\":",
        "if False:",
        &["7.4-skip-refused"],
    ),
    Fault(
        "a reset keeps the offset",
        "self.offset = 0  # bytes consumed",
        "self.offset = getattr(self, \"offset\", 0)",
        &["7.4-reset-between"],
    ),
    Fault(
        "a refused datagram is delivered in part",
        "return Error(\"unknown-kind\", frame.at, {\"found\": frame.kind})",
        "break",
        &["8-unknown-critical"],
    ),
    Fault("a cut datagram is taken", "    if cut:\n", "    if False:\n", &["8-cut"]),
    Fault(
        "a datagram may be one byte too long",
        "if len(out) > datagram_limit:",
        "if len(out) > datagram_limit + 1:",
        &["8.4-encode-over"],
    ),
    Fault(
        "kind 0 is written",
        "not 0x01 <= kind <= 0xFF",
        "not 0 <= kind <= 0xFF",
        &["3.3-kind-0"],
    ),
    Fault(
        "a length is cut to the field",
        "if length > min(_checked_limit(limit), format.greatest):",
        "length &= format.greatest\n    if length > _checked_limit(limit):",
        &["A.2-encode-u8-over", "6.1-header-above-field"],
    ),
    Fault(
        "a field below the covered header is refused only when the header is complete",
        "if value < self.counted:  # FMT-11",
        "if value < self.counted and count == self.header:",
        &["A.4-frame-short"],
    ),
    Fault(
        "the sign is looked at when the header is complete",
        "(1 if order == \"big\" else width)) if signed",
        "width) if signed",
        &["A.2-i32be-negative"],
    ),
    Fault(
        "a name may have a colon",
        "if char in \"/\\\\:\" or",
        "if char in \"/\\\\\" or",
        &["13.6-colon"],
    ),
    Fault("a ping may have 65 bytes", "length > 64:  # MSG-3", "length > 65:", &["13.3-ping-65"]),
    Fault(
        "a reason that is cut is repaired",
        "        data.decode(\"utf-8\")\n",
        "        data.decode(\"utf-8\", \"ignore\")\n",
        &["13.1-utf8-cut", "13.1-close-cut"],
    ),
    Fault(
        "a hello may come late",
        "if kind == KINDS[\"hello\"] and not first:  # CNV-1",
        "if False:",
        &["14.1-late", "14.1-behind-skipped"],
    ),
    Fault(
        "the oldest ping is answered",
        "            self._pong = message[\"payload\"]\n",
        "            self._pong = self._pong or message[\"payload\"]\n",
        &["14.3-newest"],
    ),
    Fault(
        "messages after a close are taken",
        "if self.peer_closed:  # CNV-5",
        "if False:",
        &["14.4-behind-close"],
    ),
    Fault(
        "an end without a close is clean",
        "if self.error is None and not self.peer_closed:",
        "if False:",
        &["14.4-unclosed", "14.4-own-close-only"],
    ),
    Fault(
        "of a datagram with a bad message nothing is refused",
        "            return Error(why.name, frame.at, {})",
        "            return []",
        &["14.6-bad-last", "14.6-bad-first"],
    ),
    Fault(
        "an id may be used again",
        "if transfer <= self._in_last:  # FIL-1",
        "if transfer < self._in_last:",
        &["15.2-same-id"],
    ),
    Fault(
        "there is no bound for open transfers",
        "if len(self._owed) >= 64:  # FIL-3",
        "if False:",
        &["15.2-64-received"],
    ),
    Fault(
        "data may go back",
        "return offset == self.position",
        "return offset <= self.position",
        &["15.5-back", "15.4-gap"],
    ),
    Fault(
        "the announced size is not looked at",
        "if offset + count > (",
        "if False and offset + count > (",
        &["15.5-excess", "15.4-excess"],
    ),
    Fault(
        "a cancel is not answered",
        "self._refuse(message[\"transfer\"], \"cancelled\")  # FIL-11",
        "self._in_open = None",
        &["15.5-cancel"],
    ),
    Fault(
        "data for a closed transfer ends the conversation",
        "if not self._is_open(message):  # FIL-7\n            return \"nothing\"",
        "if not self._is_open(message):\n            raise Broken(\"bad-transfer-id\")",
        &["15.5-discarded", "14.4-open-after-close"],
    ),
    Fault(
        "stored is believed before done",
        "if code == CODES[\"stored\"] and not self._unanswered[transfer]:",
        "if False:",
        &["15.4-stored-early", "15.4-stored-cancelled"],
    ),
    Fault(
        "a reserved status is final",
        "if 0x0110 <= code <= 0x011F:  # FIL-13",
        "if 0x0110 <= code <= 0x0111:",
        &["15.6-progress"],
    ),
    Fault(
        "a pong is sent after an error",
        "        if self.error is not None:\n            if self._last_words is not None:",
        "        if self._pong is None and self.error is not None:\n            if self._last_words is not None:",
        &["14.5-pong-lost"],
    ),
    Fault(
        "a pong answers only the newest ping",
        "not in self._pings:  # CNV-4",
        "not in self._pings[-1:]:",
        &["14.3-asked", "14.3-slow"],
    ),
    Fault(
        "a pong answers no older ping",
        "        while message[\"payload\"] in self._pings:\n            self._pings.pop(0)",
        "        self._pings.remove(message[\"payload\"])",
        &["14.3-older", "14.3-equal"],
    ),
    Fault(
        "any number of pings is open",
        "if len(self._pings) >= MAX_PINGS:",
        "if False:",
        &["14.3-four-open"],
    ),
    Fault(
        "a ping waits for a pong after the peer's close",
        "        if not self.peer_closed:\n            self._pings.append",
        "        if True:\n            self._pings.append",
        &["14.3-after-close"],
    ),
    Fault(
        "a ping may be too long for its pong",
        "if len(message[\"payload\"]) > self.own_limit:",
        "if False:",
        &["14.3-room-for-pong"],
    ),
    Fault("a side that drains takes files", "elif self.draining:", "elif False:", &["14.4-drain"]),
    Fault(
        "a side that drains opens files",
        "if self.draining:  # CNV-16",
        "if False:",
        &["14.4-drain-own"],
    ),
    Fault(
        "a side that has closed has an open file",
        "        self.closed = True\n        self._out_open = None\n",
        "        self.closed = True\n",
        &["15.4-own-close"],
    ),
    Fault(
        "opens after this side's close are offered",
        "if self.closed:  # CNV-6",
        "if False:",
        &["14.4-open-after-close", "14.4-own-close-64"],
    ),
    Fault(
        "the peer's close drops what is done",
        "            self._owed.pop(self._in_open.transfer, None)\n",
        "            self._owed.clear()\n",
        &["15.6-working-after-close"],
    ),
    Fault(
        "a file is opened for a peer without room for done",
        "if self.peer_limit < 46:  # FIL-20\n            raise Rejected",
        "if self.peer_limit < 45:\n            raise Rejected",
        &["15.5-peer-limit"],
    ),
    Fault(
        "a part may be larger than the file",
        " or not self._out_open.can_hold(message[\"offset\"])",
        "",
        &["15.4-ready-too-much", "15.4-ready-no-key"],
    ),
    Fault(
        "a part needs no key",
        "return (offset == 0 or self.has_key) and (",
        "return (",
        &["15.4-ready-no-key", "15.5-ready-no-key"],
    ),
    Fault(
        "a skipped frame does not count",
        "        self.heard = True\n\n    def end",
        "\n    def end",
        &["14.5-skipped-hello"],
    ),
    Fault(
        "frames are skipped after a close",
        "if self.error is None and self.peer_closed:",
        "if False:",
        &["14.5-skipped-after-close"],
    ),
    Fault(
        "any message has any code",
        "if message[\"code\"] < 0x8000 and message[\"code\"] not in _CODES_OF[name]:",
        "if False:",
        &["16-close", "16-status", "16-cancel"],
    ),
    Fault(
        "a reason is not shortened",
        ".encode(\"utf-8\")[:max(room, 0)].",
        ".encode(\"utf-8\").",
        &["14.5-reason-status", "14.5-reason-close", "14.5-reason-cancel"],
    ),
    Fault(
        "a reason is cut inside a character",
        ".decode(\"utf-8\", \"ignore\")",
        ".decode(\"utf-8\", \"replace\")",
        &["14.5-reason-status", "14.5-reason-close"],
    ),
    Fault(
        "a size of all ones is known",
        "if message.get(\"size\", 0) == UNKNOWN_SIZE:",
        "if False:",
        &["13.5-encode-size-max"],
    ),
    Fault(
        "the offset in a name counts characters",
        "return len(text[:place].encode(\"utf-8\"))",
        "return place",
        &["13.6-wide"],
    ),
    Fault(
        "a bad name does not use its id",
        "        self._in_last = transfer\n        if self.closed",
        "        if message is not None:\n            self._in_last = transfer\n        if self.closed",
        &["15.2-refused-id"],
    ),
    Fault(
        "refusals that are not sent are not owed",
        "if len(self._owed) >= 64:  # FIL-3",
        "if sum(not isinstance(state, tuple) for state in self._owed.values()) >= 64:",
        &["15.2-64-unsent"],
    ),
    Fault(
        "a bad name comes before the number of opens",
        "if len(self._owed) >= 64:  # FIL-3",
        "if message is not None and len(self._owed) >= 64:",
        &["14.8-64-name"],
    ),
    Fault(
        "an unknown kind comes before a close",
        "if self.peer_closed:  # CNV-5",
        "if self.peer_closed and kind in _KIND_NAMES:",
        &["14.8-close-kind"],
    ),
    Fault(
        "a payload comes before everything",
        "        first, self.heard = not self.heard, True\n",
        "        first, self.heard = not self.heard, True\n        if kind != KINDS[\"file-open\"]:\n            decode_message(kind, payload)\n",
        &["14.8-close-payload", "14.8-hello-payload"],
    ),
    Fault(
        "working is sent after ready",
        "opened.held is None and opened.position is None",
        "opened.position is None",
        &["15.6-working"],
    ),
    Fault(
        "what waits is sent after a close",
        "        if self.closed:\n            return out\n",
        "",
        &["14.4-dropped", "15.6-working-own-close"],
    ),
    Fault(
        "the byte that makes a frame too long is consumed",
        "            return False  # FMT-25\n",
        "            self.offset += 1\n            return True\n",
        &["A.7-limit-over"],
    ),
    Fault(
        "a check counts for the limit",
        "room = self.limit + self.format.size - self._count",
        "room = self.limit - self._count",
        &["A.7-check-limit-equal"],
    ),
    Fault(
        "a bad check at a mark is accepted",
        "        elif found != expected:\n            values = {",
        "        elif False:\n            values = {",
        &["A.7-check-bad", "A.12-bad-check"],
    ),
    Fault(
        "a bad check after a payload is accepted",
        "if found != expected:  # FMT-19",
        "if False:",
        &["A.6-bad-payload", "A.14-payload-damaged"],
    ),
    Fault(
        "a skip leaves the check after a payload",
        "self._skip = self.error.values[\"length\"] + self.format.size",
        "self._skip = self.error.values[\"length\"]",
        &["A.6-oversize-skip", "A.14-oversize"],
    ),
    Fault(
        "a search begins after the failed frame",
        "self._again = self._kept[1:] + self._again",
        "self._first += len(self._kept) - 1",
        &["A.6-search-inside"],
    ),
    Fault(
        "a frame that has ended is dropped up to another mark",
        "        if self._ended:\n",
        "        if False:\n",
        &["A.10-cut-short-skip", "A.12-aborted"],
    ),
    Fault(
        "a CR before a LF is content",
        "        if byte == 0x0A:\n            return None, b\"\", \"end\"",
        "        if byte == 0x0A:\n            return None, b\"\\r\" if held else b\"\", \"end\"",
        &["A.8-crlf"],
    ),
    Fault(
        "after a part of a delimiter nothing is looked for in that part",
        "            start += 1\n        return held[start:], held[:start], None",
        "            start = len(held)\n        return held[start:], held[:start], None",
        &["A.9-fallback"],
    ),
    Fault(
        "a zero follows a full block",
        "else ((byte - 1, byte < 0xFF), b\"\", None)",
        "else ((byte - 1, True), b\"\", None)",
        &["A.10-255"],
    ),
    Fault(
        "any byte may follow an escape",
        "            return None if ended else False, b\"\", (\"bad escape\", {\"found\": byte}, ended)  # FMT-43",
        "            return False, bytes((byte,)), None",
        &["A.11-bad-escape"],
    ),
    Fault(
        "an empty block follows a full one at the end",
        "if not part and place == len(parts) - 1:",
        "if False:",
        &["A.10-encode-254"],
    ),
    Fault(
        "a last line without an end is lost",
        "            if self._content(self.format.mark.rest(self._machine), events):  # FMT-31",
        "            if False:",
        &["A.8-or-end"],
    ),
];

#[test]
fn every_fault_is_detected() {
    let next = AtomicUsize::new(0);
    let failures = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some(fault) = FAULTS.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(why) = find(fault) {
                        failures.lock().unwrap().push(format!("{}: {why}", fault.0));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

fn find(Fault(_, from, to, ids): &Fault) -> Result<(), String> {
    with_copy(from, to, |path| ids.iter().try_for_each(|id| find_with(id, path)))
}

/// The vectors whose id begins so, without those that show another consequence of the fault.
fn find_with(id: &str, path: &str) -> Result<(), String> {
    let done = conform(&["--timeout", "10", "--only", id], &[path, "--conform"]);
    if done.code != 1 {
        return Err(format!("{id} passes: {done:?}"));
    }
    if !done.stdout.lines().any(|line| line.starts_with(&format!("FAIL {id} ("))) {
        return Err(format!("{id} does not fail: {}", done.stdout));
    }
    // The row of its section: name, title, passed, failed, unsupported.
    let section = id.split('-').next().unwrap();
    let mut lines = done.stdout.lines();
    let row = lines.find(|line| line.split(' ').next() == Some(section)).ok_or("no row")?;
    let cells: Vec<_> = row.split_whitespace().rev().collect();
    if cells[1] == "0" {
        return Err(format!("its section has no failure: {row}"));
    }
    Ok(())
}

#[test]
fn a_failure_shows_expected_and_actual_answers() {
    let done = with_copy("if length > self.limit:", "if length >= self.limit:", |path| {
        conform(&["--only", "6.1-limit-equal"], &[path, "--conform"])
    });
    assert_eq!(done.code, 1, "{done:?}");
    for text in [
        "FAIL 6.1-limit-equal (LIM-1)",
        "A payload exactly as long as the limit is accepted.",
        "v1, in one piece",
        r#"expected  {"consumed":12,"events":[{"frame":{"at":0,"kind":2,"payload":"61626364"}}]}"#,
        r#""name": "oversize""#,
        "1 vector: 0 passed, 1 failed, 0 unsupported",
    ] {
        let plain = |text: &str| text.replace(": ", ":").replace(", ", ",");
        assert!(plain(&done.stdout).contains(&plain(text)), "{text}: {done:?}");
    }
}

#[test]
fn json_prints_one_object_per_line() {
    let (from, to) = ("if state == \"SEARCH\":", "if False:");
    let done = with_copy(from, to, |path| {
        conform(&["--json", "--only", "7.8-end-"], &[path, "--conform"])
    });
    assert_eq!(done.code, 1, "{done:?}");
    let events: Vec<Value> =
        done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let fail = events.iter().find(|event| event["id"] == "7.8-end-nothing").unwrap();
    assert_eq!((fail["event"].as_str(), fail["section"].as_str()), (Some("fail"), Some("7.8")));
    let expected: Value = serde_json::from_str(fail["expected"].as_str().unwrap()).unwrap();
    assert_eq!(expected["events"][0]["error"]["name"], "unsynchronized");
    let end = events.last().unwrap();
    assert_eq!((end["event"].as_str(), end["pass"].as_u64()), (Some("end"), Some(0)));
    assert_eq!(end["fail"], events.len() - 1);
}

#[test]
fn a_command_that_hangs_fails_after_three_timeouts() {
    let done =
        conform(&["--timeout", "1", "--only", "7.6"], &["-c", "import time; time.sleep(60)"]);
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.stdout.contains("no answer within 1 seconds"), "{done:?}");
    assert!(done.stdout.contains("not tried, after 3 vectors in a row without an answer"));
}

#[test]
fn a_hang_in_one_vector_fails_only_that_one() {
    let from = "return (\"header\", header[2], int.from_bytes(header[3:7], \"big\"))";
    let to = format!("while header[2] == 0xC1: pass\n        {from}");
    let done = with_copy(from, &to, |path| {
        conform(&["--timeout", "5", "--only", "7.1"], &[path, "--conform"])
    });
    assert_eq!(done.code, 1, "{done:?}");
    assert!(done.stdout.contains("FAIL 7.1-glued ("), "{done:?}");
    assert_eq!(done.stdout.matches("FAIL ").count(), 1, "{done:?}");
}

#[test]
fn a_command_that_exits_or_answers_invalid_lines_fails() {
    for (program, why) in [
        ("import sys; sys.exit(3)", "it ended (exit status: 3)"),
        ("print('hello')\nfor line in __import__('sys').stdin: pass", "a line that"),
        (
            "for line in __import__('sys').stdin: print('\\x1b[2J', flush=True)",
            "no JSON: \u{fffd}[2J",
        ),
        ("for line in __import__('sys').stdin: print('[]', flush=True)", "got       []"),
    ] {
        let done = conform(&["--only", "7.1-no-byte"], &["-c", program]);
        assert_eq!(done.code, 1, "{done:?}");
        assert!(done.stdout.contains(why), "{why}: {done:?}");
    }
}

#[test]
fn unsupported_vectors_are_counted_and_do_not_fail() {
    let program =
        "for line in __import__('sys').stdin: print('{\"unsupported\":\"\"}', flush=True)";
    let done = conform(&["--only", "A.3"], &["-c", program]);
    assert_eq!((done.code, done.stderr.as_str()), (0, ""), "{done:?}");
    assert!(done.stdout.contains(" 0 passed, 0 failed, "), "{done:?}");
}

#[test]
fn invalid_usage_is_reported() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors");
    let dir = dir.to_str().unwrap();
    let done = conform(&["--vectors", dir, "--only", "7.7-skip-to-end"], &[PYTHON, "--conform"]);
    assert_eq!(done.code, 0, "{done:?}");
    assert!(done.stdout.contains("1 vector: 1 passed"), "{done:?}");

    let done = conform(&["--only", "99"], &[PYTHON, "--conform"]);
    done.fails(2, "there are no such vectors");
    let done = conform(&["--vectors", "/nonexistent"], &[PYTHON, "--conform"]);
    done.fails(1, "cannot read /nonexistent");
    run(&["conform", "--", "/nonexistent/program"], b"").fails(1, "cannot start");
    run(&["conform"], b"").fails(2, "COMMAND");
}
