//! Plays one vector against an implementation: sends each request and compares its answer.

use serde_json::{Map, Value, json};

use super::vector::{
    Act, Answer, Expect, Request, Sent, Step, Test, Vector, integer, parse_hex, write_hex,
};

/// An implementation under test, which answers the requests of `vectors/README.md`.
pub(crate) trait Peer {
    /// Sends a request and returns its answer.
    ///
    /// # Errors
    /// A message if there is no answer.
    fn ask(&mut self, request: &Value) -> Result<Value, String>;
}

/// The result of a vector.
#[derive(Debug, PartialEq)]
pub(crate) enum Verdict {
    Pass,
    Unsupported(String),
    Fail(Failed),
}

#[derive(Debug, PartialEq)]
pub(crate) struct Failed {
    /// The offsets at which the stream was cut; `None` if the vector has no stream.
    pub(crate) cuts: Option<Vec<usize>>,
    pub(crate) request: String,
    pub(crate) expected: String,
    pub(crate) got: String,
    /// Whether there was no answer.
    pub(crate) broken: bool,
}

enum Stop {
    Unsupported(String),
    Fail { request: String, expected: String, got: String, broken: bool },
}

/// An incomplete header, which every receiver of datagrams refuses.
const REFUSED_DATAGRAM: &str = "f50101";

pub(crate) fn play(vector: &Vector, peer: &mut impl Peer) -> Verdict {
    let bytes = vector.stream().unwrap_or_default();
    if vector.test != Test::Stream {
        return verdict(
            None,
            first_that_fits(vector, |expect| answer(vector, &bytes, expect, peer)),
        );
    }
    for cuts in vector.every_cut(bytes.len()) {
        let played = first_that_fits(vector, |expect| stream(vector, &bytes, &cuts, expect, peer));
        match verdict(Some(cuts), played) {
            Verdict::Pass => {}
            other => return other,
        }
    }
    Verdict::Pass
}

fn verdict(cuts: Option<Vec<usize>>, played: Result<(), Stop>) -> Verdict {
    match played {
        Ok(()) => Verdict::Pass,
        Err(Stop::Unsupported(why)) => Verdict::Unsupported(why),
        Err(Stop::Fail { request, expected, got, broken }) => {
            Verdict::Fail(Failed { cuts, request, expected, got, broken })
        }
    }
}

/// Plays a vector with each permitted outcome until one fits. If none does, returns the failure of
/// the first.
fn first_that_fits(
    vector: &Vector,
    mut play: impl FnMut(&Expect) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let first = play(&vector.expect);
    let Err(Stop::Fail { broken: false, .. }) = first else { return first };
    if vector.or.iter().any(|expect| play(expect).is_ok()) { Ok(()) } else { first }
}

fn fail(request: &Value, expected: impl Into<String>, got: impl Into<String>) -> Stop {
    let (request, expected, got) = (request.to_string(), expected.into(), got.into());
    Stop::Fail { request, expected, got, broken: false }
}

fn ask(peer: &mut impl Peer, request: &Value) -> Result<Value, Stop> {
    let answer = peer.ask(request).map_err(|got| Stop::Fail {
        request: request.to_string(),
        expected: "an answer".to_owned(),
        got,
        broken: true,
    })?;
    match answer.get("unsupported") {
        None => Ok(answer),
        Some(why) => {
            Err(Stop::Unsupported(why.as_str().map_or_else(|| why.to_string(), str::to_owned)))
        }
    }
}

/// Plays the acts of a conversation in order.
fn conversation(vector: &Vector, acts: &[Act], peer: &mut impl Peer) -> Result<(), Stop> {
    let start = json!({"do": "conversation", "known": vector.known});
    compare(&start, &json!({"ok": true}), &ask(peer, &start)?)?;
    for act in acts {
        let (request, expected) = request_of(act);
        let mut got = ask(peer, &request)?;
        if act.any_order {
            order_like(&expected, &mut got);
        }
        compare(&request, &expected, &got)?;
    }
    Ok(())
}

/// Brings the messages that the session says into the expected order, as far as they are expected.
fn order_like(expected: &Value, got: &mut Value) {
    let Some(expected) = expected.get("says").and_then(Value::as_array) else { return };
    let Some(Value::Array(got)) = got.get_mut("says") else { return };
    let mut rest = std::mem::take(got);
    for message in expected {
        if let Some(place) = rest.iter().position(|other| fits("says", message, other)) {
            got.push(rest.remove(place));
        }
    }
    got.append(&mut rest);
}

/// Returns the request of an act, and its expected answer.
fn request_of(act: &Act) -> (Value, Value) {
    let mut request = match (&act.receive, &act.send) {
        (Some(frame), _) if frame.get("type").is_none() => {
            let mut request = plain(frame);
            merge(&mut request, &json!({"do": "receive"}));
            request
        }
        (Some(message), _) => json!({"do": "receive", "message": plain(message)}),
        (_, Some(message)) => json!({"do": "send", "message": plain(message)}),
        _ if act.end.is_some() => json!({"do": "end-of-stream"}),
        _ if act.drain.is_some() => json!({"do": "drain"}),
        _ if act.skipped.is_some() => json!({"do": "skipped"}),
        _ => json!({"do": "tick"}),
    };
    if act.hold {
        merge(&mut request, &json!({"hold": true}));
    }
    let mut expected = match act.answer {
        Some(Sent::Ok) => json!({"ok": true}),
        Some(Sent::Refused) => json!({"refused": true}),
        None => json!({}),
    };
    let outcomes = [
        ("event", &act.event),
        ("error", &act.error),
        ("says", &act.says),
        ("writes", &act.writes),
    ];
    for (name, value) in outcomes {
        if let Some(value) = value {
            merge(&mut expected, &json!({ name: value }));
        }
    }
    (request, expected)
}

/// Returns whether the test is about a received datagram.
fn is_datagram(test: Test) -> bool {
    matches!(test, Test::Datagram | Test::DatagramMessages)
}

/// Creates a request with the fields that streams and encoders share.
fn request(what: &str, vector: &Vector) -> Map<String, Value> {
    let mut request = Map::new();
    request.insert("do".to_owned(), what.into());
    if !is_datagram(vector.test) && vector.test != Test::EncodeDatagram {
        request.insert("format".to_owned(), vector.format.as_str().into());
    }
    if let Some(limit) = &vector.limit {
        request.insert("limit".to_owned(), limit.clone());
    }
    request
}

/// Plays a vector that is no stream: one request and its answer, or a conversation.
fn answer(
    vector: &Vector,
    bytes: &[u8],
    expect: &Expect,
    peer: &mut impl Peer,
) -> Result<(), Stop> {
    let expected = match expect {
        Expect::Answer(expected) => expected,
        Expect::Acts(acts) => return conversation(vector, acts, peer),
        Expect::Steps(_) => return Ok(()),
    };
    let name = match vector.test {
        Test::Stream | Test::SetUp => "start",
        Test::Datagram => "datagram",
        Test::DatagramMessages => "datagram-messages",
        Test::Encode => "encode",
        Test::EncodeHeader => "encode-header",
        Test::EncodeDatagram => "encode-datagram",
        Test::Message => "message",
        Test::EncodeMessage => "encode-message",
        Test::Conversation => "conversation",
    };
    let mut request = request(name, vector);
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            request.insert(name.to_owned(), value);
        }
    };
    let hex = |text: &String| Value::String(write_hex(&parse_hex(text).unwrap_or_default()));
    put("kind", vector.kind.map(Value::from));
    put("header", vector.header.as_ref().map(hex));
    put("payload", vector.payload.as_ref().map(hex));
    put("length", vector.length.clone());
    put("datagram_limit", vector.datagram_limit.clone());
    put("frames", vector.frames.as_ref().map(plain));
    put("message", vector.message.as_ref().map(plain));
    if is_datagram(vector.test) {
        put("bytes", Some(write_hex(bytes).into()));
        put("known", Some(vector.known.clone().into()));
        put("cut", Some(vector.cut.into()));
    }
    let request = Value::Object(request);
    let got = ask(peer, &request)?;
    compare(&request, expected, &got)?;
    if is_datagram(vector.test) {
        // A datagram does not influence another (DGM-3).
        let other = json!({"do": name, "bytes": REFUSED_DATAGRAM, "known": [], "cut": false});
        compare(&other, &json!({"refused": {"name": "truncated"}}), &ask(peer, &other)?)?;
        let again = ask(peer, &request)?;
        compare(&request, expected, &again)?;
    }
    Ok(())
}

fn stream(
    vector: &Vector,
    bytes: &[u8],
    cuts: &[usize],
    expect: &Expect,
    peer: &mut impl Peer,
) -> Result<(), Stop> {
    let Expect::Steps(steps) = expect else { return Ok(()) };
    let start = Value::Object(request("start", vector));
    compare(&start, &json!({"ok": true}), &ask(peer, &start)?)?;
    let mut run = Run { vector, bytes, cuts, pos: 0, failed: None, ended: false };
    let mut rest = steps.as_slice();
    while let [step, remaining @ ..] = rest {
        if step.is_action() && step.after == run.pos {
            rest = run.act(step, remaining, peer)?;
        } else if run.pos < bytes.len() && run.failed.is_none() {
            rest = run.feed(rest, peer)?;
        } else {
            return Err(fail(&Value::Null, event_text(step), "nothing"));
        }
    }
    run.check_latched(peer)
}

/// The state of a stream that is being played.
struct Run<'a> {
    vector: &'a Vector,
    bytes: &'a [u8],
    cuts: &'a [usize],
    /// The number of bytes consumed.
    pos: usize,
    failed: Option<Value>,
    ended: bool,
}

impl Run<'_> {
    /// Sends the next piece of the stream. Returns the steps after those that the piece caused.
    fn feed<'s>(&mut self, steps: &'s [Step], peer: &mut impl Peer) -> Result<&'s [Step], Stop> {
        // A request inside the stream is made at its byte, so the piece ends there. After an error
        // the receiver stops by itself.
        let action = steps.iter().position(Step::is_action);
        let forced = action.and_then(|action| {
            let step = steps.get(action)?;
            let before = action.checked_sub(1).and_then(|before| steps.get(before));
            let stops = before.is_some_and(|b| b.error.is_some() && b.after == step.after);
            (!stops).then_some(step.after)
        });
        let next = |cuts: &mut dyn Iterator<Item = usize>| cuts.filter(|cut| *cut > self.pos).min();
        let to = next(&mut self.cuts.iter().copied().chain(forced))
            .unwrap_or(self.bytes.len())
            .min(self.bytes.len());
        let piece = self.bytes.get(self.pos..to).unwrap_or_default();

        let mut count = 0;
        let mut stop = to;
        for step in steps {
            if step.is_action() || step.seen() > to {
                break;
            }
            count += 1;
            if step.error.is_some() {
                stop = step.after;
                self.failed = step.event();
                break;
            }
        }
        let (expected_steps, remaining) = steps.split_at_checked(count).unwrap_or((steps, &[]));
        let events: Vec<_> = expected_steps.iter().filter_map(Step::event).collect();
        let expected = json!({"consumed": stop - self.pos, "events": events});
        let request = json!({"do": "bytes", "bytes": write_hex(piece)});
        compare(&request, &expected, &ask(peer, &request)?)?;
        self.pos = stop;
        Ok(remaining)
    }

    /// Sends a request of the caller, or the end of the stream. Returns the steps after those that it
    /// caused.
    fn act<'s>(
        &mut self,
        step: &Step,
        steps: &'s [Step],
        peer: &mut impl Peer,
    ) -> Result<&'s [Step], Stop> {
        // Further events of the end, or what a request finds in bytes that are consumed already.
        let caused = |next: &&Step| match step.request {
            Some(Request::Reset) => false,
            Some(_) => !next.is_action() && next.after == self.pos,
            None => next.request.is_none(),
        };
        let count = steps.iter().take_while(caused).count();
        let (caused, remaining) = steps.split_at_checked(count).unwrap_or((steps, &[]));
        let mut events: Vec<_> = caused.iter().filter_map(Step::event).collect();
        let failed = caused.iter().rfind(|step| step.error.is_some()).and_then(Step::event);
        let Some(what) = step.request else {
            events.insert(0, step.event().unwrap_or_default());
            let request = json!({"do": "end"});
            compare(&request, &json!({ "events": events }), &ask(peer, &request)?)?;
            self.failed = events.pop();
            self.ended = true;
            return Ok(remaining);
        };
        let request = json!({ "do": what.name() });
        let got = ask(peer, &request)?;
        if what == Request::Reset {
            (self.failed, self.ended) = (None, false);
            compare(&request, &json!({"ok": true}), &got)?;
            return Ok(remaining);
        }
        let answer = step.answer.unwrap_or(Answer::Begun);
        // FMT-2: a format without a check need not have the request at all. FMT-22: it can be offered
        // by a receiver that keeps the bytes of the frame.
        let not_offered = what == Request::Resync
            && self.vector.format != "v1"
            && got.get("answer").is_some_and(|answer| answer == "not-offered");
        if not_offered && answer == Answer::Begun {
            return Err(Stop::Unsupported("no search in the bytes of a frame".to_owned()));
        }
        if not_offered {
            return Ok(remaining);
        }
        let mut expected = json!({ "answer": answer.name() });
        match (&self.failed, answer) {
            (Some(failed), Answer::SameError) => merge(&mut expected, failed),
            (_, Answer::Begun) => self.failed = failed,
            _ => {}
        }
        if !events.is_empty() {
            merge(&mut expected, &json!({ "events": events }));
        }
        compare(&request, &expected, &got)?;
        Ok(remaining)
    }

    /// Checks that an error is reported again by every further request (ERR-4).
    fn check_latched(&self, peer: &mut impl Peer) -> Result<(), Stop> {
        let Some(failed) = &self.failed else { return Ok(()) };
        if !self.ended {
            let rest = self.bytes.get(self.pos..).filter(|rest| !rest.is_empty());
            let piece = write_hex(rest.unwrap_or(&[0]));
            let request = json!({"do": "bytes", "bytes": piece});
            let expected = json!({"consumed": 0, "events": [failed]});
            compare(&request, &expected, &ask(peer, &request)?)?;
        }
        let request = json!({"do": "end"});
        compare(&request, &json!({ "events": [failed] }), &ask(peer, &request)?)
    }
}

fn merge(into: &mut Value, from: &Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from.clone());
    }
}

fn event_text(step: &Step) -> String {
    step.event().unwrap_or_default().to_string()
}

fn compare(request: &Value, expected: &Value, got: &Value) -> Result<(), Stop> {
    if fits("", expected, got) {
        return Ok(());
    }
    Err(fail(request, plain(expected).to_string(), got.to_string()))
}

/// Rewrites all byte strings in a value to the protocol's hexadecimal form.
fn plain(value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(plain).collect(),
        Value::Object(members) => {
            let each = |(name, value): (&String, &Value)| {
                let value = match value.as_str() {
                    Some(text) if is_bytes(name) => {
                        write_hex(&parse_hex(text).unwrap_or_default()).into()
                    }
                    _ => plain(value),
                };
                (name.clone(), value)
            };
            Value::Object(members.iter().map(each).collect())
        }
        other => other.clone(),
    }
}

fn is_bytes(name: &str) -> bool {
    matches!(name, "bytes" | "payload" | "header" | "key" | "digest")
}

/// Returns whether an answer is the expected one. It may have additional members, and it may omit
/// the `at` of a frame and the `code` of an error.
pub(crate) fn fits(name: &str, expected: &Value, got: &Value) -> bool {
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => {
            expected.iter().all(|(member, expected)| match got.get(member) {
                Some(got) => fits(member, expected, got),
                None => member == "code" || (name == "frame" && member == "at"),
            })
        }
        (Value::Array(expected), Value::Array(got)) => {
            // Items of `frames` are compared like `frame`.
            let name = if name == "frames" { "frame" } else { name };
            expected.len() == got.len()
                && expected.iter().zip(got).all(|(expected, got)| fits(name, expected, got))
        }
        (Value::Bool(true), got) if name == "refused" => {
            !matches!(got, Value::Null | Value::Bool(false))
        }
        (Value::String(expected), Value::String(got)) if is_bytes(name) => {
            parse_hex(expected).is_ok_and(|expected| parse_hex(got) == Ok(expected))
        }
        _ => expected == got || (integer(expected).is_some() && integer(expected) == integer(got)),
    }
}
