"""Faults in the session. Those marked with (*) are in the application of the model, because the session alone
cannot break their law."""

INCOMING = "session/src/session/incoming.rs"
OUTGOING = "session/src/session/outgoing.rs"
SESSION = "session/src/session/mod.rs"
TRANSFER = "session/src/session/transfer.rs"
RECEIVER = "session/src/session/receiver.rs"
FILE = "session/src/message/file.rs"
PING = "session/src/session/ping.rs"
PLAIN = "explore/src/plain.rs"
TURN = "explore/src/turn/mod.rs"
RECEIVING = "explore/src/turn/receiving.rs"
STEPS = "explore/src/steps.rs"

# name, the bound to explore, the law that has to be broken, [(file, text, replacement)]
FAULTS = [
    ("drain-accepts", "closes", "drain-refuses", [(INCOMING, "if self.is_draining {", "if false {")]),
    ("cancel-unanswered", "either", "memory-bounded", [
        (INCOMING, "self.refuse(cancel.id, Code::CANCELLED);", "self.ended();")]),
    ("cancel-stays-open", "either", "allowed-sends-accepted", [
        (OUTGOING, "self.open_at(cancel.id)?;\n        self.open = None;", "self.open_at(cancel.id)?;")]),
    ("done-forgotten-by-receiver", "retry", "allowed-sends-accepted", [
        (INCOMING, "*owed = Owed::Answer { done: true, working: false };",
         "*owed = Owed::Answer { done: false, working: false };")]),
    ("done-forgotten-by-sender", "retry", "no-error-without-cause", [(OUTGOING, "*is_done = true;", "*is_done = false;")]),
    ("stored-before-done-sent", "retry", "stored-is-on-disk", [(INCOMING, "if code == Code::STORED && !is_done {", "if false {")]),
    ("stored-before-done-taken", "retry", "stored-is-on-disk", [(OUTGOING, "if code == Code::STORED && !is_done {", "if false {")]),
    ("answered-still-owed", "retry", "memory-bounded", [
        (INCOMING, "if code.is_final() {\n            self.owed.remove(id);", "if code.is_final() {")]),
    ("answered-still-waiting", "retry", "memory-bounded", [
        (OUTGOING, "self.waiting.remove(id);\n        if", "if")]),
    ("status-sent-for-ever", "either", "one-final-status", [
        (INCOMING, "self.owed.remove(id);\n            return Some((id, code));", "return Some((id, code));")]),
    ("working-for-ever", "pings", "memory-bounded", [(INCOMING, "*working = false;\n        Some((id, Code::WORKING))", "Some((id, Code::WORKING))")]),
    ("speaks-after-close", "pings", "nothing-sent-after-close", [
        (SESSION, "if self.closed {\n            return None;\n        }", "")]),
    ("hears-after-close", "closes", "nothing-delivered-after-close", [
        (SESSION, "if self.peer_closed {\n            return Err(SessionError::AfterClose { kind });\n        }", "")]),
    ("close-keeps-the-open-file", "closes", "memory-bounded", [
        (SESSION, "self.pings = OpenPings::NONE;\n                self.incoming.ended();", "self.pings = OpenPings::NONE;")]),
    ("cut-is-clean", "retry", "clean-end-exactly-after-close", [
        (SESSION, "None => Err(self.end(SessionError::Unclosed)),", "None => Ok(()),")]),
    ("close-is-unclean", "closes", "clean-end-exactly-after-close", [
        (SESSION, "None if self.peer_closed => Ok(()),\n", "")]),
    ("pong-forgotten", "pings", "pings-answered", [(SESSION, "self.pong_is_due = true;", "")]),
    ("pong-for-ever", "pings", "memory-bounded", [(SESSION, "self.pong_is_due = false;\n            self.has_sent", "self.has_sent")]),
    ("wrong-pong", "pings", "pings-answered", [
        (PING, "let Some(place) = open.iter().rposition(|ping| ping.bytes() == payload) else {",
         "let Some(place) = open.iter().rposition(|ping| ping.bytes() != payload) else {")]),
    ("long-reason", "either", "within-limit", [
        (SESSION, 'Some(if reason.len() as u64 <= room { reason } else { "" })', "let _ = room;\n        Some(reason)")]),
    ("reason-refused", "either", "allowed-sends-accepted", [
        (SESSION, "Message::FileCancel(FileCancel { reason, ..cancel })", "let _ = reason;\n                Message::FileCancel(cancel)")]),
    ("crossing-ready-is-an-error", "pipeline", "no-error-without-cause", [
        (OUTGOING, "_ => Ok(Event::Nothing),", "_ => Err(SessionError::Status { id, code }),")]),
    ("late-ready-is-sent", "either", "allowed-sends-accepted", [
        (INCOMING, ".filter(|open| open.id == id && open.awaits_ready())", ".filter(|open| open.id == id)")]),
    ("held-is-forgotten", "retry", "allowed-sends-accepted", [
        (TRANSFER, "Position::Start { held: Some(held) };", "Position::Start { held: Some(held.min(0)) };")]),
    ("position-at-beginning", "retry", "allowed-sends-accepted", [
        (TRANSFER, "self.position = Position::At(end);", "self.position = Position::At(offset.max(end - len));")]),
    ("sixty-five-opened", "full", "memory-bounded", [
        (OUTGOING, "if self.waiting.is_full() {", "if false {")]),
    ("sixty-three-taken", "full", "no-error-without-cause", [
        (INCOMING, "if answers && !self.owed.insert(id, owed) {", "if answers && (self.owed.len() == 63 || !self.owed.insert(id, owed)) {")]),
    ("id-used-twice", "change", "no-error-without-cause", [
        (OUTGOING, "Some(last) => last.checked_add(1),", "Some(last) => Some(last),"),
        (OUTGOING, "self.last.filter(|last| open.id <= *last)", "self.last.filter(|last| open.id < *last)")]),
    ("digest-not-compared", "change", "no-refusal-without-cause", [
        (FILE, "if own == self.digest && own != Digest::NONE {", "if own != Digest::NONE {")]),
    ("no-digest-compared", "change", "whole-files", [
        (FILE, "if own == self.digest && own != Digest::NONE {", "if own != Digest::NONE {"),
        (FILE, "if found == self.digest {", "if true {")]),
    ("never-resumes", "retry", "prefix-never-back", [
        (FILE, "{ self.offset } else { 0 }", "{ 0 } else { 0 }")]),
    ("gap-accepted", "retry", "no-gap", [
        (FILE, "{ self.offset } else { 0 }", "{ self.offset + 1 } else { 0 }"),
        (TRANSFER, "offset == 0 || held == Some(offset)", "offset == 0 || held <= Some(offset)")]),
    ("failed-store-is-stored", "plain", "stored-is-on-disk", [
        (RECEIVER, "Err(error) => refusal(done.id, error.into()),\n                })", "Err(_) => answer,\n                })")]),
    ("second-final", "retry", "one-final-status", [
        (INCOMING, "Some(Owed::Refusal(_)) | None => return Err(SendError::NotOwed { id }),",
         "Some(Owed::Refusal(_)) | None => true,")]),
    ("refusal-never-sent", "either", "transfers-end", [
        (INCOMING, "if let Some((id, code)) = refusals.min_by_key(|(id, _)| *id) {", "if let Some((id, code)) = refusals.min_by_key(|(id, _)| *id).filter(|_| false) {")]),
    ("store-replaces (*)", "plain", "nothing-replaced", [
        (PLAIN, "Some(_) => Err(Code::EXISTS),", "Some(_) => {\n                disk.files[self.file] = Some(self.bytes);\n                Ok(())\n            }")]),
    ("retry-given-up (*)", "retry", "retry-stores", [
        (RECEIVING, "                _ => Phase::Todo,\n            };\n        }\n        if !self.bound.keyed", "                _ => Phase::Over(Outcome::Refused(Code::GIVEN_UP)),\n            };\n        }\n        if !self.bound.keyed")]),
    ("close-never-sent (*)", "closes", "closes-end", [
        (TURN, "&& side.session.owed() == 0", "&& side.session.owed() == 0 && !side.saw_close")]),
    ("status-never-sent (*)", "either", "transfers-end", [
        (STEPS, "incoming.is_unanswered || incoming.done.is_some()", "incoming.is_unanswered")]),
]
