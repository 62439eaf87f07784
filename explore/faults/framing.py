"""Faults in the framing core."""

BEGIN = "src/frame_buf/mod.rs"
RECOVER = "src/frame_buf/recover.rs"
DECODER = "src/decoder/counted.rs"
RESYNC = "src/decoder/resync.rs"
MARKED = "src/decoder/marked.rs"
MARKED_END = "src/decoder/marked_end.rs"
SCAN = "src/scan/counted.rs"
SEARCH = "src/scan/search.rs"
SCAN_MARKED = "src/scan/marked.rs"
INSPECT = "src/format/inspect.rs"
VARINT = "src/format/varint.rs"
FIELD = "src/format/length_field.rs"
HEADER = "src/format/v1/header.rs"
FALL_BACK = "src/mark/delimited.rs"
LINES = "src/mark/lines.rs"
ESCAPE = "src/mark/escape.rs"

# The tests in orders.rs, by the words in which their names differ.
HEADERS, CHECKS, MARKS = "a_header_has_the_length", "a_check_follows", "a_mark_ends_a_frame"

# name, the test that has to fail, the framing in which it has to find the fault, [(file, text, replacement)]
FAULTS = [
    # The decoder, if a header has the length.
    ("skip-leaves-the-check", CHECKS, "a byte with a check", [
        (DECODER, "let rest = len.saturating_add(Self::TRAILER as u64);", "let rest = len;")]),
    ("skip-of-a-begun-frame-leaves-its-check", CHECKS, "version 2", [
        (DECODER, "self.phase = Phase::skip(remaining);\n                    Ok(())",
         "self.phase = Phase::skip(remaining.saturating_sub(Self::TRAILER as u64));\n                    Ok(())")]),
    ("reset-keeps-the-offset", HEADERS, "two bytes", [
        (DECODER, "self.limit = self.limit();\n        self.pos = 0;", "self.limit = self.limit();")]),
    ("refuses-all-that-arrived", HEADERS, "version 1", [
        (DECODER, "shortest_refused(wire.header_format(), self.limit, self.held(now), held);", "now;")]),
    ("check-without-the-header", CHECKS, "two bytes with a check", [
        (DECODER, "self.digest = wire.check_after().begin(self.held(header.header_len));",
         "self.digest = wire.check_after().begin(self.held(0));")]),
    ("search-begins-anew", HEADERS, "version 1", [
        (RESYNC, "Err(_) => self.drop_candidates(format, held + 1),", "Err(_) => 0,")]),
    ("search-counts-the-header", HEADERS, "version 1", [
        (RESYNC, "return Ok(Some(skipped - held as u64));", "return Ok(Some(skipped));")]),
    # The decoder, if a mark ends a frame.
    ("skip-of-an-ended-frame-drops-the-next", MARKS, "HDLC", [
        (MARKED_END, "Phase::Failed { ended: true, .. } => self.boundary(),\n", "")]),
    ("search-of-an-ended-frame-drops-the-next", MARKS, "COBS", [
        (MARKED_END, "if self.phase != (Phase::Search { over: true }) && !self.drop_rest(wire, input) {",
         "if !self.drop_rest(wire, input) {")]),
    ("limit-is-one-less", MARKS, "lines", [
        (MARKED, "if run.len() as u64 > left {\n            return Content::TooLong;",
         "if run.len() as u64 >= left {\n            return Content::TooLong;")]),
    ("limit-counts-all-frames", MARKS, "SLIP", [
        (MARKED, "(self.start, self.count, self.held) = (self.pos, 0, 0);", "(self.start, self.held) = (self.pos, 0);")]),
    ("too-short-is-a-bad-check", MARKS, "COBS with a check", [
        (MARKED, "if usize::from(self.held) < Self::TAIL {", "if false {")]),
    ("idle-bytes-are-empty-frames", MARKS, "SLIP", [
        (MARKED, "if unit == Unit::Idle && self.phase == Phase::Boundary {", "if false {")]),
    ("skip-misses-a-mark-that-overlaps", MARKS, "a delimiter", [
        (MARKED_END, "if matches!(unit, Unit::Held(_)) && self.released < MAX_HELD {", "if false {")]),
    ("the-end-leaves-a-skipped-line", MARKS, "lines or the end", [
        (MARKED, "Phase::Skip if self.end_completes(wire) => Ok(()),\n", "")]),
    # The scanner and the read buffer.
    ("buffer-skips-without-the-check", CHECKS, "a varint with a check", [
        (SCAN, "let remaining = len.saturating_add(Self::TRAILER as u64);", "let remaining = len;")]),
    ("buffer-waits-for-a-byte-too-many", HEADERS, "a byte", [
        (SCAN, "self.gate = self.position.saturating_add(len as u64);", "self.gate = self.position.saturating_add(len as u64 + 1);")]),
    ("reset-keeps-what-was-seen", HEADERS, "version 1", [
        (SCAN, "(self.undecided, self.gate, self.phase) = (0, 0, Phase::Frames);",
         "(self.gate, self.phase) = (0, Phase::Frames);")]),
    ("reset-keeps-the-need", HEADERS, "a byte", [
        (BEGIN, "(self.start, self.end, self.need) = (0, 0, 0);", "(self.start, self.end) = (0, 0);")]),
    ("search-takes-an-unchecked-frame", CHECKS, "a byte with a check", [
        (SEARCH, "if self.check(wire, &header, frame).is_ok() {", "if true {")]),
    ("search-waits-for-no-frame", CHECKS, "a byte with a check", [
        (SEARCH, "let Some(frame) = candidate.get(..len) else { break };",
         "let Some(frame) = candidate.get(..len) else {\n                        discard += 1;\n                        continue;\n                    };")]),
    ("search-forgets-its-count", CHECKS, "version 2", [
        (SEARCH, "let skipped = skipped.saturating_add(discard as u64);", "let skipped = skipped.max(discard as u64);")]),
    ("error-stays-after-a-skip", MARKS, "lines", [
        (SCAN_MARKED, "self.decoder.skip();\n                self.error = None;", "self.decoder.skip();")]),
    # Limits, headers and marks.
    ("frame-at-the-limit-is-refused", HEADERS, "four bytes", [
        (INSPECT, "if len > limit.min(format.limit_of(meta)) =>", "if len >= limit.min(format.limit_of(meta)) =>")]),
    ("overlong-varint", HEADERS, "a varint", [(VARINT, "if byte == 0 && i > 0 {", "if false {")]),
    ("length-of-what-follows-the-field", HEADERS, "a field", [
        (FIELD, "Covers::AfterField => header_len - offset - width,", "Covers::AfterField => header_len - offset,")]),
    ("check-of-a-header-ignored", HEADERS, "version 1", [
        (HEADER, "            && Self::check_after_version(kind, [l0, l1, l2, l3]) == check\n",
         "            && Self::check_after_version(kind, [l0, l1, l2, l3]) | 1 == check | 1\n")]),
    ("delimiter-that-overlaps-is-missed", MARKS, "a delimiter", [
        (FALL_BACK, "if held.get(..kept) == held.get(len - kept..) {", "if false {")]),
    ("cr-before-a-byte-is-lost", MARKS, "lines", [
        (LINES, "_ if *held => {\n                *held = false;\n                Unit::Held(b'\\r')", "_ if *held => {\n                *held = false;\n                Unit::Byte(byte)")]),
    ("escape-before-the-mark-ends-the-frame", MARKS, "SLIP", [
        (ESCAPE, "Unit::Refused { error, ended }", "Unit::Refused { error, ended: !ended }")]),
]
