-- A Wireshark dissector for versions 1 and 2 of the unstick protocol (spec.md), over TCP and UDP.
--
-- README.md, next to this file, explains how to use it and lists the fields. Numbers of sections and names
-- of requirements in the comments are those of spec.md. It runs with Lua 5.2 (Wireshark 4.0) up to 5.4 (4.4
-- and later), and uses no libraries except Wireshark's own.

local unstick = Proto("unstick", "unstick")

local HEADER_LEN = 8
local MAGIC = 0xF5
-- The length of the check after a payload, by the version (A.14).
local TRAILER_LEN = { [1] = 0, [2] = 4 }
local U64_MAX = UInt64(0xFFFFFFFF, 0xFFFFFFFF)
-- The maximum number of frames that a packet's line in the list names.
local MOST_IN_INFO = 8

-- The names and numbers of the protocol ------------------------------------------------------------------

-- 5.2. A kind added there is added here, and its payload to PAYLOADS below.
local KINDS = {
    [0x01] = "text",
    [0x02] = "binary",
    [0x03] = "ping",
    [0x04] = "pong",
    [0x05] = "close",
    [0x10] = "file-open",
    [0x11] = "file-data",
    [0x12] = "file-done",
    [0x13] = "file-status",
    [0x14] = "file-cancel",
    [0x80] = "hello",
    [0x90] = "file-attributes",
}

-- DGM-4: the kinds that have no place in a datagram.
local STREAM_ONLY = {
    [0x05] = true, [0x10] = true, [0x11] = true, [0x12] = true, [0x13] = true, [0x14] = true, [0x80] = true,
}

-- Chapters 9 and 16.
local CODES = {
    [0x0000] = "no-error",
    [0x0001] = "bad-magic",
    [0x0002] = "unsupported-version",
    [0x0003] = "invalid-kind",
    [0x0004] = "bad-check",
    [0x0005] = "oversize",
    [0x0006] = "truncated",
    [0x0007] = "unknown-kind",
    [0x0008] = "frame-timeout",
    [0x0009] = "idle-timeout",
    [0x000A] = "bad-length",
    [0x000B] = "refused-datagram",
    [0x000C] = "unsynchronized",
    [0x000D] = "bad-frame",
    [0x0100] = "bad-message",
    [0x0101] = "misplaced-message",
    [0x0102] = "bad-transfer-id",
    [0x0103] = "too-many-transfers",
    [0x0104] = "unclosed",
    [0x0105] = "shutting-down",
    [0x0106] = "busy",
    [0x0107] = "too-slow",
    [0x0110] = "ready",
    [0x0111] = "working",
    [0x0120] = "stored",
    [0x0121] = "exists",
    [0x0130] = "cancelled",
    [0x0131] = "bad-name",
    [0x0132] = "second-open",
    [0x0133] = "bad-offset",
    [0x0134] = "excess",
    [0x0135] = "wrong-total",
    [0x0136] = "bad-digest",
    [0x0137] = "too-large",
    [0x0138] = "no-space",
    [0x0139] = "quota",
    [0x013A] = "not-accepted",
    [0x013B] = "storage-failed",
    [0x0150] = "given-up",
    [0x0151] = "changed",
    [0x0152] = "unreadable",
}

local CODE_OF = {}
for code, name in pairs(CODES) do
    CODE_OF[name] = code
end

-- Fields -------------------------------------------------------------------------------------------------

local CHECK_STATUS = { [0] = "bad", [1] = "good" }

local f = {
    frame = ProtoField.none("unstick.frame", "Frame"),
    magic = ProtoField.uint8("unstick.magic", "Magic", base.HEX),
    version = ProtoField.uint8("unstick.version", "Version", base.DEC),
    kind = ProtoField.uint8("unstick.kind", "Kind", base.HEX, KINDS),
    skippable = ProtoField.bool("unstick.kind.skippable", "Class", 8, { "skippable", "critical" }, 0x80),
    application = ProtoField.bool("unstick.kind.application", "Belongs to", 8, { "applications", "the protocol" }, 0x40),
    len = ProtoField.uint32("unstick.len", "Payload length", base.DEC),
    check = ProtoField.uint8("unstick.check", "Check", base.HEX),
    check_status = ProtoField.uint8("unstick.check.status", "Check status", base.DEC, CHECK_STATUS),
    check_expected = ProtoField.uint8("unstick.check.expected", "Check expected", base.HEX),
    crc = ProtoField.uint32("unstick.crc", "CRC-32C", base.HEX),
    crc_status = ProtoField.uint8("unstick.crc.status", "CRC-32C status", base.DEC, CHECK_STATUS),
    crc_expected = ProtoField.uint32("unstick.crc.expected", "CRC-32C expected", base.HEX),
    at = ProtoField.uint64("unstick.at", "Stream offset", base.DEC),
    payload = ProtoField.bytes("unstick.payload", "Payload"),
    limit = ProtoField.uint32("unstick.limit", "Limit", base.DEC),
    application_name = ProtoField.string("unstick.application", "Application"),
    text = ProtoField.string("unstick.text", "Text"),
    binary = ProtoField.bytes("unstick.binary", "Binary"),
    ping = ProtoField.bytes("unstick.ping", "Ping"),
    pong = ProtoField.bytes("unstick.pong", "Pong"),
    code = ProtoField.uint16("unstick.code", "Code", base.HEX, CODES),
    reason = ProtoField.string("unstick.reason", "Reason"),
    transfer = ProtoField.uint32("unstick.transfer", "Transfer", base.DEC),
    resume_key = ProtoField.bytes("unstick.resume_key", "Resume key"),
    size = ProtoField.uint64("unstick.size", "Size", base.DEC),
    size_known = ProtoField.bool("unstick.size.known", "Size known"),
    name = ProtoField.string("unstick.name", "Name"),
    offset = ProtoField.uint64("unstick.offset", "Offset", base.DEC),
    data = ProtoField.bytes("unstick.data", "Data"),
    total = ProtoField.uint64("unstick.total", "Total", base.DEC),
    digest = ProtoField.bytes("unstick.digest", "Digest"),
    modified = ProtoField.int64("unstick.modified", "Modified, in nanoseconds since 1970", base.DEC),
    flags = ProtoField.uint8("unstick.flags", "Flags", base.HEX),
    executable = ProtoField.bool("unstick.executable", "Executable", 8, nil, 0x01),
    opened_in = ProtoField.framenum("unstick.opened_in", "Opened in", base.NONE),
    missing = ProtoField.uint32("unstick.missing", "Missing bytes", base.DEC),
    skipped = ProtoField.uint64("unstick.skipped", "Skipped bytes", base.DEC),
    undecoded = ProtoField.bytes("unstick.undecoded", "Bytes of no frame"),
    continued = ProtoField.bytes("unstick.continued", "More of a payload"),
    error = ProtoField.uint16("unstick.error", "Error", base.HEX, CODES),
    error_at = ProtoField.uint64("unstick.error.at", "Error at", base.DEC),
    refused = ProtoField.string("unstick.refused", "Datagram refused, cause"),
}

local fields = {}
for _, field in pairs(f) do
    fields[#fields + 1] = field
end
unstick.fields = fields

-- Expert infos: the errors of the protocol, by name, and notes, which are not errors. The text is set on use.
local MALFORMED, SEQUENCE, NOTE = expert.group.MALFORMED, expert.group.SEQUENCE, expert.group.UNDECODED
local experts = {}
for name, group in pairs({
    ["bad-magic"] = MALFORMED,
    ["unsupported-version"] = MALFORMED,
    ["invalid-kind"] = MALFORMED,
    ["bad-check"] = MALFORMED,
    ["oversize"] = MALFORMED,
    ["truncated"] = MALFORMED,
    ["unknown-kind"] = MALFORMED,
    ["refused-datagram"] = MALFORMED,
    ["unsynchronized"] = MALFORMED,
    ["bad-message"] = MALFORMED,
    ["bad-name"] = MALFORMED,
    ["misplaced-kind"] = MALFORMED,
    ["empty"] = MALFORMED,
    ["misplaced-message"] = SEQUENCE,
    ["bad-transfer-id"] = SEQUENCE,
    ["too-many-transfers"] = SEQUENCE,
    ["second-open"] = SEQUENCE,
    ["bad-offset"] = SEQUENCE,
    ["excess"] = SEQUENCE,
    ["wrong-total"] = SEQUENCE,
    ["unopened"] = NOTE,
    ["found"] = NOTE,
    ["not-captured"] = NOTE,
    ["not-reassembled"] = NOTE,
}) do
    local severity = expert.severity.ERROR
    if group == SEQUENCE then
        severity = expert.severity.WARN
    elseif group == NOTE then
        severity = expert.severity.NOTE
    end
    experts[name] = ProtoExpert.new("unstick.expert." .. name:gsub("-", "_"), name, group, severity)
end
unstick.experts = experts

-- Preferences --------------------------------------------------------------------------------------------

unstick.prefs.limit = Pref.uint("Limit", 1048576, "The longest payload that the receivers accept, in bytes (6.1)")
unstick.prefs.version =
    Pref.uint("Version", 0, "The version of all streams and datagrams, 1 or 2; 0: as the first header says (7.10)")
unstick.prefs.ports = Pref.range("Ports", "", "TCP and UDP ports of this protocol, beside what is recognised", 65535)
unstick.prefs.known =
    Pref.range("Known kinds", "64-127,192-255", "The kinds of applications that the receivers know (5.1)", 255)

local tcp_port, udp_port = DissectorTable.get("tcp.port"), DissectorTable.get("udp.port")
local ports, known = "", {}

local function read_known()
    known = {}
    for first, last in (unstick.prefs.known .. ","):gmatch("(%d+)-?(%d*),") do
        for kind = tonumber(first), tonumber(last) or tonumber(first) do
            known[kind] = kind % 128 >= 64
        end
    end
end

function unstick.prefs_changed()
    if ports ~= unstick.prefs.ports then
        if ports ~= "" then
            tcp_port:remove(ports, unstick)
            udp_port:remove(ports, unstick)
        end
        ports = unstick.prefs.ports
        if ports ~= "" then
            tcp_port:add(ports, unstick)
            udp_port:add(ports, unstick)
        end
    end
    read_known()
end
read_known()

-- The header (chapters 3 and 4) --------------------------------------------------------------------------

-- Lua 5.2 has no operator for this, and Lua 5.4 has no library for it.
local function xor(a, b)
    local result, bit = 0, 1
    while a > 0 or b > 0 do
        if a % 2 ~= b % 2 then
            result = result + bit
        end
        a, b, bit = (a - a % 2) / 2, (b - b % 2) / 2, bit * 2
    end
    return result
end

local CRC = {}
for byte = 0, 255 do
    local r = byte
    for _ = 1, 8 do
        r = r >= 128 and xor((r * 2) % 256, 0x2F) or r * 2
    end
    CRC[byte] = r
end

-- CHK-1, of the first seven bytes.
local function check_of(bytes)
    local r = 0xFF
    for i = 1, 7 do
        r = CRC[xor(r, bytes:byte(i))]
    end
    return xor(r, 0xFF)
end

-- The version of a stream or datagram whose first frame begins with these bytes.
local function version_of(bytes)
    local version = unstick.prefs.version
    if not TRAILER_LEN[version] then
        version = bytes:byte(2) == 2 and 2 or 1
    end
    return version
end

-- Checks at most eight bytes like 7.3, for this version; nil takes that of the bytes. Returns the header, if it
-- is complete, and the name of an error, a sentence, and the number of bytes that decided it. If it returns
-- neither, more bytes are needed.
local function read_header(bytes, known_version)
    local expected_version = known_version or version_of(bytes)
    local magic, version, kind, a, b, c, d, check = bytes:byte(1, HEADER_LEN)
    if magic and magic ~= MAGIC then
        return nil, "bad-magic", ("found 0x%02x where a frame has to begin with 0xf5"):format(magic), 1
    elseif version and version ~= expected_version then
        local text = "found version %d where a frame has to have %d"
        return nil, "unsupported-version", text:format(version, expected_version), 2
    elseif kind == 0 then
        return nil, "invalid-kind", "0x00 is no kind", 3
    elseif not check then
        return nil
    end
    local expected = check_of(bytes)
    if check ~= expected then
        return nil, "bad-check", ("found 0x%02x, expected 0x%02x"):format(check, expected), HEADER_LEN
    end
    local header = { kind = kind, len = ((a * 256 + b) * 256 + c) * 256 + d, version = version }
    -- The bytes after the header.
    header.rest = header.len + TRAILER_LEN[version]
    if header.len > unstick.prefs.limit then
        local text = "a payload of %.0f bytes, and the limit is %.0f"
        return header, "oversize", text:format(header.len, unstick.prefs.limit), HEADER_LEN
    end
    return header
end

-- The check of version 2 ---------------------------------------------------------------------------------

-- Of two bytes: XOR[a * 256 + b]. With it a CRC of four bytes is four bytes; see `xor` about operators.
local XOR
-- The four bytes of each entry of the table of CRC-32C (A.13), the least significant first.
local T0, T1, T2, T3

local function make_tables()
    local nibbles = {}
    for a = 0, 15 do
        for b = 0, 15 do
            nibbles[a * 16 + b] = xor(a, b)
        end
    end
    XOR, T0, T1, T2, T3 = {}, {}, {}, {}, {}
    for a = 0, 255 do
        local a0, a1 = a % 16, math.floor(a / 16)
        for b = 0, 255 do
            local b0, b1 = b % 16, math.floor(b / 16)
            XOR[a * 256 + b] = nibbles[a1 * 16 + b1] * 16 + nibbles[a0 * 16 + b0]
        end
    end
    for byte = 0, 255 do
        local r = byte
        for _ = 1, 8 do
            local half = math.floor(r / 2)
            r = r % 2 == 1 and xor(half, 0x82F63B78) or half
        end
        T0[byte], T1[byte] = r % 256, math.floor(r / 256) % 256
        T2[byte], T3[byte] = math.floor(r / 65536) % 256, math.floor(r / 16777216)
    end
end

local function crc32c(bytes)
    if not XOR then
        make_tables()
    end
    local xors, t0, t1, t2, t3 = XOR, T0, T1, T2, T3
    local a, b, c, d = 255, 255, 255, 255
    for from = 1, #bytes, 64 do
        for _, byte in ipairs({ bytes:byte(from, from + 63) }) do
            local i = xors[a * 256 + byte]
            a, b, c, d = xors[b * 256 + t0[i]], xors[c * 256 + t1[i]], xors[d * 256 + t2[i]], t3[i]
        end
    end
    return (((255 - d) * 256 + 255 - c) * 256 + 255 - b) * 256 + 255 - a
end

-- FMT-50: whether the check after the payload of a whole frame at `at` is right; what was found, and what is
-- right.
local function read_trailer(tvb, at, header)
    if header.rest == header.len then
        return true
    end
    local covered = HEADER_LEN + header.len
    local found, expected = tvb:range(at + covered, 4):uint(), crc32c(tvb:raw(at, covered))
    return found == expected, found, expected
end

local function kind_name(kind)
    return KINDS[kind] or ("kind 0x%02x"):format(kind)
end

-- KND-1 and 5.2: a critical kind that the receiver does not know.
local function is_unknown_critical(kind)
    return kind < 0x80 and not KINDS[kind] and not known[kind]
end

-- The tree -----------------------------------------------------------------------------------------------

local function u64(number)
    return UInt64(number % 4294967296, math.floor(number / 4294967296))
end

local function count(number, what)
    return ("%.0f %s%s"):format(number, what, number == 1 and "" or "s")
end

-- Text from a peer for one line of a terminal: short, and without control characters.
local function printable(text)
    local short = text:sub(1, 48):gsub("[\192-\255][\128-\191]*$", "")
    if #text <= 48 then
        short = text
    else
        short = short .. "…"
    end
    local function escape(bytes)
        return (bytes:gsub(".", function(byte)
            return ("\\x%02x"):format(byte:byte())
        end))
    end
    return (short:gsub("[\0-\31\127]", escape):gsub("\194[\128-\159]", escape))
end

-- Adds an error of the protocol, with its code if it has one.
local function report(item, range, name, at, text)
    if CODE_OF[name] then
        item:add(f.error, range, CODE_OF[name]):set_generated()
    end
    if at then
        item:add(f.error_at, range, u64(at)):set_generated()
    end
    item:add_proto_expert_info(experts[name], name .. ": " .. text)
end

local function note(item, name, text)
    item:add_proto_expert_info(experts[name], text)
end

local function add_text(item, field, tvb, at, len)
    if len > 0 then
        item:add_packet_field(field, tvb:range(at, len), ENC_UTF_8)
    else
        item:add(field, tvb:range(at, 0), "")
    end
end

-- Adds the part of a header that is available: `n` bytes at `at`.
local function add_header(item, tvb, at, n)
    if n >= 1 then
        item:add(f.magic, tvb:range(at, 1))
    end
    if n >= 2 then
        item:add(f.version, tvb:range(at + 1, 1))
    end
    if n >= 3 then
        local kind = item:add(f.kind, tvb:range(at + 2, 1))
        kind:add(f.skippable, tvb:range(at + 2, 1))
        kind:add(f.application, tvb:range(at + 2, 1))
    end
    if n >= 7 then
        item:add(f.len, tvb:range(at + 3, 4))
    end
    if n >= HEADER_LEN then
        local range = tvb:range(at + 7, 1)
        local found, expected = range:uint(), check_of(tvb:raw(at, 7))
        local check = item:add(f.check, range)
        check:add(f.check_status, range, found == expected and 1 or 0):set_generated()
        if found ~= expected then
            check:add(f.check_expected, range, expected):set_generated()
        end
    end
end

-- Payloads (chapter 13) ----------------------------------------------------------------------------------

-- MSG-2: the offset of the first byte that belongs to no character; nil if there is none.
local function bad_utf8(text)
    local at = 1
    while true do
        at = text:find("[\128-\255]", at)
        if not at then
            return nil
        end
        local first, second = text:byte(at, at + 1)
        local least, most, more = 0x80, 0xBF, 0
        if first >= 0xC2 and first <= 0xDF then
            more = 1
        elseif first >= 0xE0 and first <= 0xEF then
            more = 2
            least = first == 0xE0 and 0xA0 or least
            most = first == 0xED and 0x9F or most
        elseif first >= 0xF0 and first <= 0xF4 then
            more = 3
            least = first == 0xF0 and 0x90 or least
            most = first == 0xF4 and 0x8F or most
        end
        if more == 0 or not second or second < least or second > most then
            return at - 1
        end
        for i = at + 2, at + more do
            local byte = text:byte(i)
            if not byte or byte < 0x80 or byte > 0xBF then
                return at - 1
            end
        end
        at = at + more + 1
    end
end

-- 13.6: the offset of the first fault in a name, and a sentence about it; nil if there is none.
local function bad_name(name)
    if name == "" then
        return 0, "a name has at least one byte"
    elseif #name > 255 then
        return 255, "a name has at most 255 bytes"
    end
    local at = bad_utf8(name)
    if at then
        return at, "the name is not UTF-8"
    elseif name == "." or name == ".." then
        return 0, "the name is that of a folder"
    end
    local separator = name:find("[/\\:]") or math.huge
    local ascii = name:find("[\0-\31\127]") or math.huge
    local control = math.min(ascii, name:find("\194[\128-\159]") or math.huge)
    if separator < control then
        return separator - 1, "the name has a separator"
    elseif control < math.huge then
        return control - 1, "the name has a control character"
    end
end

-- Each kind's fields. A reader is called with the frame's item, the buffer, and the payload's offset and
-- length in it. It returns text for the frame's line, what the tables of chapter 15 need, and the first fault:
-- its name, the offset in the payload, and a sentence. `least` and `most` are checked before (MSG-3 to MSG-5).
local function reads_text(field)
    return function(item, tvb, at, len)
        local bad = bad_utf8(tvb:raw(at, len))
        add_text(item, field, tvb, at, len)
        if bad then
            return nil, nil, { "bad-message", bad, "the text is not UTF-8" }
        end
    end
end

local function reads_bytes(field)
    return function(item, tvb, at, len)
        if len > 0 then
            item:add(field, tvb:range(at, len))
        end
    end
end

-- The text after `fixed` bytes.
local function trailing_text(item, field, tvb, at, len, fixed)
    local bad = bad_utf8(tvb:raw(at + fixed, len - fixed))
    add_text(item, field, tvb, at + fixed, len - fixed)
    return bad and { "bad-message", fixed + bad, "the text is not UTF-8" }
end

local function code_name(code)
    return CODES[code] or ("0x%04x"):format(code)
end

local PAYLOADS = {
    [0x01] = { read = reads_text(f.text) },
    [0x02] = { read = reads_bytes(f.binary) },
    [0x03] = { most = 64, read = reads_bytes(f.ping) },
    [0x04] = { most = 64, read = reads_bytes(f.pong) },
    [0x05] = {
        read = function(item, tvb, at, len)
            if len == 0 then
                return nil
            elseif len == 1 then
                item:add(f.payload, tvb:range(at, 1))
                return nil, nil, { "bad-message", 1, "a close is empty, or has a code of two bytes" }
            end
            item:add(f.code, tvb:range(at, 2))
            local fault = trailing_text(item, f.reason, tvb, at, len, 2)
            return code_name(tvb:range(at, 2):uint()), nil, fault
        end,
    },
    [0x10] = {
        least = 28,
        read = function(item, tvb, at, len)
            local id, size = tvb:range(at, 4):uint(), tvb:range(at + 20, 8):uint64()
            item:add(f.transfer, tvb:range(at, 4))
            item:add(f.resume_key, tvb:range(at + 4, 16))
            local shown = item:add(f.size, tvb:range(at + 20, 8), size)
            local is_known = size ~= U64_MAX
            if not is_known then
                shown:append_text(" (not known)")
            end
            shown:add(f.size_known, tvb:range(at + 20, 8), is_known):set_generated()
            add_text(item, f.name, tvb, at + 28, len - 28)
            local name = tvb:raw(at + 28, len - 28)
            local bad, why = bad_name(name)
            local about = { id = id, size = is_known and size or nil, bad_name = bad ~= nil }
            about.has_key = tvb:raw(at + 4, 16) ~= ("\0"):rep(16)
            if bad then
                return ("%.0f"):format(id), about, { "bad-name", 28 + bad, why }
            end
            return ('%.0f "%s"'):format(id, printable(name)), about
        end,
    },
    [0x11] = {
        least = 13,
        read = function(item, tvb, at, len)
            local id, offset = tvb:range(at, 4):uint(), tvb:range(at + 4, 8):uint64()
            item:add(f.transfer, tvb:range(at, 4))
            item:add(f.offset, tvb:range(at + 4, 8), offset)
            item:add(f.data, tvb:range(at + 12, len - 12))
            return ("%.0f at %s"):format(id, tostring(offset)), { id = id, offset = offset, len = len - 12 }
        end,
    },
    [0x12] = {
        least = 44,
        most = 44,
        read = function(item, tvb, at)
            local id, total = tvb:range(at, 4):uint(), tvb:range(at + 4, 8):uint64()
            item:add(f.transfer, tvb:range(at, 4))
            item:add(f.total, tvb:range(at + 4, 8), total)
            item:add(f.digest, tvb:range(at + 12, 32))
            return ("%.0f"):format(id), { id = id, total = total }
        end,
    },
    [0x13] = {
        least = 46,
        read = function(item, tvb, at, len)
            local id, code = tvb:range(at, 4):uint(), tvb:range(at + 4, 2):uint()
            local offset = tvb:range(at + 6, 8):uint64()
            item:add(f.transfer, tvb:range(at, 4))
            item:add(f.code, tvb:range(at + 4, 2))
            item:add(f.offset, tvb:range(at + 6, 8), offset)
            item:add(f.digest, tvb:range(at + 14, 32))
            local fault = trailing_text(item, f.reason, tvb, at, len, 46)
            local about = { id = id, code = code, offset = offset }
            return ("%.0f %s"):format(id, code_name(code)), about, fault
        end,
    },
    [0x14] = {
        least = 6,
        read = function(item, tvb, at, len)
            local id = tvb:range(at, 4):uint()
            item:add(f.transfer, tvb:range(at, 4))
            item:add(f.code, tvb:range(at + 4, 2))
            local fault = trailing_text(item, f.reason, tvb, at, len, 6)
            return ("%.0f %s"):format(id, code_name(tvb:range(at + 4, 2):uint())), { id = id }, fault
        end,
    },
    [0x80] = {
        least = 4,
        read = function(item, tvb, at, len)
            item:add(f.limit, tvb:range(at, 4))
            local fault = trailing_text(item, f.application_name, tvb, at, len, 4)
            local name = not fault and len > 4 and ('"%s"'):format(printable(tvb:raw(at + 4, len - 4)))
            return name or nil, { limit = tvb:range(at, 4):uint() }, fault
        end,
    },
    [0x90] = {
        least = 13,
        most = 13,
        read = function(item, tvb, at)
            local id = tvb:range(at, 4):uint()
            item:add(f.transfer, tvb:range(at, 4))
            item:add(f.modified, tvb:range(at + 4, 8), tvb:range(at + 4, 8):int64())
            item:add(f.flags, tvb:range(at + 12, 1)):add(f.executable, tvb:range(at + 12, 1))
            return ("%.0f"):format(id), { id = id }
        end,
    },
}

-- The first fault that the header alone shows (MSG-3 to MSG-5).
local function bad_length(kind, len)
    local payload = PAYLOADS[kind] or {}
    local least, most = payload.least or 0, payload.most
    if len < least then
        return { "bad-message", len, ("a %s has at least %s"):format(kind_name(kind), count(least, "byte")) }
    elseif most and len > most then
        return { "bad-message", most, ("a %s has at most %s"):format(kind_name(kind), count(most, "byte")) }
    end
end

-- Adds the fields of a complete payload. Returns text, facts and a fault, like the readers.
local function add_payload(item, tvb, at, header)
    if header.version ~= 1 then
        -- Part 2 is defined for version 1 (A.14), so only payloads without a structure are read, and not judged.
        local field = ({ f.text, f.binary, f.ping, f.pong })[header.kind] or f.payload
        if field == f.text then
            add_text(item, field, tvb, at, header.len)
        else
            reads_bytes(field)(item, tvb, at, header.len)
        end
        return nil
    end
    local fault = bad_length(header.kind, header.len)
    local payload = PAYLOADS[header.kind]
    if fault or not payload then
        reads_bytes(f.payload)(item, tvb, at, header.len)
        return nil, nil, fault
    end
    return payload.read(item, tvb, at, header.len)
end

-- Adds a frame's item with its header.
local function add_frame(tree, tvb, at, header)
    local len = math.min(HEADER_LEN + header.rest, tvb:captured_len() - at)
    local item = tree:add(f.frame, tvb:range(at, len))
    item:set_text(("Frame: %s, %s"):format(kind_name(header.kind), count(header.len, "byte")))
    add_header(item, tvb, at, HEADER_LEN)
    return item
end

-- Adds the check after the payload of a whole frame at `at`. Returns a sentence if it is wrong.
local function add_trailer(item, tvb, at, header)
    local is_right, found, expected = read_trailer(tvb, at, header)
    if not found then
        return nil
    end
    local range = tvb:range(at + HEADER_LEN + header.len, 4)
    local crc = item:add(f.crc, range)
    crc:add(f.crc_status, range, is_right and 1 or 0):set_generated()
    if not is_right then
        crc:add(f.crc_expected, range, expected):set_generated()
        return ("found 0x%08x after the payload, expected 0x%08x"):format(found, expected)
    end
end

-- Adds the available part of an incomplete payload.
local function add_part(item, tvb, at, header)
    local len = math.min(tvb:captured_len() - at, header.len)
    if len > 0 then
        item:add(f.payload, tvb:range(at, len))
    end
end

-- The line in the packet list: what a call found, after what earlier calls found in the same packet.
local function show_info(pinfo, found)
    if #found == 0 then
        return
    end
    local text = table.concat(found, ", ", 1, math.min(#found, MOST_IN_INFO))
    if #found > MOST_IN_INFO then
        text = ("%s and %d more"):format(text, #found - MOST_IN_INFO)
    end
    if pinfo.private["unstick_info"] then
        pinfo.cols.info:append(", " .. text)
    else
        pinfo.private["unstick_info"] = "1"
        pinfo.cols.protocol:set("unstick")
        pinfo.cols.info:set(text)
    end
end

local function summary(header, words)
    local text = kind_name(header.kind)
    if words then
        text = text .. " " .. words
    end
    return header.len > 0 and ("%s %.0f B"):format(text, header.len) or text
end

-- Datagrams (chapter 8) ----------------------------------------------------------------------------------

-- Splits a datagram. Returns its frames, and why it is refused: a name, an offset and a sentence.
local function split_datagram(tvb)
    local captured, reported = tvb:captured_len(), tvb:reported_len()
    local frames, at, version = {}, 0, nil
    if reported == 0 then
        return frames, { "empty", 0, "a datagram has at least one frame" }
    end
    while at < reported do
        local n = math.min(HEADER_LEN, captured - at)
        if n <= 0 then
            return frames, nil, at -- the capture does not have the rest
        end
        local header, name, text, enough = read_header(tvb:raw(at, n), version)
        if name then
            return frames, { name, at, text, enough = enough, header = header }
        elseif not header and at + n < reported and n < HEADER_LEN then
            return frames, nil, at -- the capture does not have it
        elseif not header then
            local missing = HEADER_LEN - n
            text = ("the datagram ends in a header, at least %s missing"):format(count(missing, "byte"))
            return frames, { "truncated", reported, text, rest = at, missing = missing }
        end
        local stop = at + HEADER_LEN + header.rest
        local missing = stop - reported
        frames[#frames + 1] = { at = at, header = header, missing = missing }
        if missing > 0 then
            local part = missing > header.rest - header.len and "a payload" or "a check"
            if header.version == 1 then
                part = "a payload"
            end
            text = ("the datagram ends in %s, %s missing"):format(part, count(missing, "byte"))
            return frames, { "truncated", reported, text, missing = missing }
        elseif stop <= captured and not read_trailer(tvb, at, header) then
            return frames, { "bad-check", at, "the check after the payload is wrong" }
        end
        at, version = stop, header.version
    end
    for _, frame in ipairs(frames) do
        local kind = frame.header.kind
        if STREAM_ONLY[kind] then
            return frames, { "misplaced-kind", frame.at, kind_name(kind) .. " has no place in a datagram" }
        elseif is_unknown_critical(kind) then
            return frames, { "unknown-kind", frame.at, kind_name(kind) .. " is critical and not known" }
        end
    end
    return frames, nil
end

local function dissect_datagram(tvb, pinfo, root)
    local captured = tvb:captured_len()
    local frames, refusal, lost = split_datagram(tvb)
    local tree = root:add(unstick, tvb:range(0, captured))
    local found = {}
    for _, frame in ipairs(frames) do
        local header, at = frame.header, frame.at
        local item = add_frame(tree, tvb, at, header)
        item:add(f.at, tvb:range(at, HEADER_LEN), u64(at)):set_generated()
        local words, fault, _
        if at + HEADER_LEN + header.rest <= captured then
            words, _, fault = add_payload(item, tvb, at + HEADER_LEN, header)
            add_trailer(item, tvb, at, header)
        else
            add_part(item, tvb, at + HEADER_LEN, header)
        end
        -- 14.6; what chapter 8 refuses comes first.
        refusal = refusal or fault
        found[#found + 1] = summary(header, words)
    end
    if refusal then
        local name, at, text = refusal[1], refusal[2], refusal[3]
        if refusal.header then
            add_frame(tree, tvb, at, refusal.header)
        elseif refusal.enough or refusal.rest then
            local start, n = refusal.rest or at, refusal.enough or captured - refusal.rest
            local item = tree:add(f.frame, tvb:range(start, n))
            item:set_text("Frame: not complete, or none")
            add_header(item, tvb, start, n)
        end
        local range = tvb:range(0, captured)
        local item = tree:add(f.refused, range, name):set_generated()
        report(item, range, name, at, text)
        if refusal.missing then
            item:add(f.missing, range, refusal.missing):set_generated()
        end
        note(item, "refused-datagram", "refused-datagram: its receiver delivers none of its frames")
        tree:append_text(", refused: " .. name)
        table.insert(found, 1, "refused: " .. name)
    elseif lost or captured < tvb:reported_len() then
        note(tree, "not-captured", "the capture has only the beginning of this datagram: it is not judged")
    end
    show_info(pinfo, found)
    return tvb:len()
end

-- Streams (chapter 7) ------------------------------------------------------------------------------------

-- A longer payload is not reassembled, but shown piece by piece.
local MOST_GATHERED = 64 * 1024 * 1024
local PORT_TYPE_TCP = 2

-- The state of each direction of each connection. It changes only while a packet is seen for the first time.
-- What a packet needs when it is shown again is kept by its number, for each call. Fields of TCP cannot be
-- used for this, because they are not always available the first time.
local sides = {} -- by addresses and ports: of the newest connection that has these
local calls = {} -- by the packet's number and the number of the call in it
local senders = {} -- by the packet's number: the direction it belongs to

function unstick.init()
    sides, calls, senders = {}, {}, {}
end

local function new_side()
    return {
        at = 0, -- the stream offset of the next byte
        version = nil, -- once a header has shown it
        due = 0, -- bytes of a payload that are still to arrive and are not reassembled
        search = nil, -- the stream offset of the error after which a header is searched
        quiet = false, -- whether it is searched only because the capture has a gap
        held_back = 0, -- the bytes that are passed again, before the next segment
        missing = nil, -- how many bytes have to follow these, if that is known
        ended_in = nil, -- the packet that ends it
        -- 14.1, 14.4, 15.5:
        frames = 0,
        closed = false,
        limit = nil,
        last_id = nil,
        open = nil,
        opened = {}, -- the packet of each file-open
        done = {},
        owed = {},
        owed_count = 0,
    }
end

local function keys_of(pinfo)
    local source = tostring(pinfo.src) .. " " .. pinfo.src_port
    local destination = tostring(pinfo.dst) .. " " .. pinfo.dst_port
    return source .. " " .. destination, destination .. " " .. source
end

-- A connection begins.
local function begin(pinfo)
    local ours, theirs = keys_of(pinfo)
    sides[ours], sides[theirs] = new_side(), new_side()
end

-- The direction of a packet that is seen for the first time, and the other one.
local function sides_of(pinfo)
    local ours, theirs = keys_of(pinfo)
    if not sides[ours] then
        begin(pinfo)
    end
    return sides[ours], sides[theirs]
end

-- The rules of chapters 14 and 15 that the order of messages can break. Each is called with the facts of a
-- frame, its direction, and the other direction. It returns the name of an error and a sentence, or nothing.
local RULES = {}

-- After a final status, or a message that leads to one: the transfer is no longer the open file.
local function close_file(side, id)
    if side.open and side.open.id == id then
        side.open = nil
    end
end

RULES[0x80] = function(about, side)
    side.limit = about.limit
end

RULES[0x05] = function(_, side)
    side.closed, side.open = true, nil
end

RULES[0x10] = function(about, side, other)
    if side.limit and side.limit < 46 then
        return "misplaced-message", "who opens files has room for a status of 46 bytes (FIL-20)"
    elseif side.last_id and about.id <= side.last_id then
        return "bad-transfer-id", ("not above the last one, %.0f (FIL-1)"):format(side.last_id)
    elseif other.closed then
        side.last_id = about.id -- it is discarded (CNV-6)
        return nil
    elseif side.owed_count >= 64 then
        return "too-many-transfers", "64 transfers have no final status yet (FIL-3)"
    end
    side.last_id = about.id
    side.owed[about.id] = true
    side.owed_count = side.owed_count + 1
    if about.bad_name then
        return nil
    elseif side.open then
        return "second-open", ("transfer %.0f is open (FIL-6)"):format(side.open.id)
    end
    side.open = { id = about.id, size = about.size, has_key = about.has_key }
end

-- FIL-2, and whether the rules for the open file concern a message. A file whose beginning is not in the
-- capture is not checked.
local function concerns_open(about, side)
    if not side.last_id then
        return false, "unopened", "the capture does not have the file-open of this transfer"
    elseif about.id > side.last_id then
        return false, "bad-transfer-id", "this transfer was never opened (FIL-2)"
    end
    return side.open and side.open.id == about.id
end

RULES[0x11] = function(about, side)
    local concerns, name, text = concerns_open(about, side)
    if not concerns then
        return name, text
    end
    local open = side.open
    local starts_right = about.offset == (open.position or UInt64(0))
    if not open.position and open.held then
        starts_right = starts_right or about.offset == open.held
    end
    if not starts_right and not open.lost then
        close_file(side, about.id)
        local expected = tostring(open.position or UInt64(0))
        return "bad-offset", ("data at %s, expected at %s (FIL-8)"):format(tostring(about.offset), expected)
    end
    local position = about.offset + about.len
    if position < about.offset or (open.size and position > open.size) then
        close_file(side, about.id)
        return "excess", "data beyond the announced size (FIL-9)"
    end
    open.position, open.lost = position, false
end

RULES[0x12] = function(about, side)
    local concerns, name, text = concerns_open(about, side)
    if not concerns then
        return name, text
    end
    local open = side.open
    local is_end = about.total == (open.position or UInt64(0))
    if not open.position and open.held then
        is_end = is_end or about.total == open.held
    end
    close_file(side, about.id)
    if not is_end and not open.lost then
        local position = tostring(open.position or UInt64(0))
        return "wrong-total", ("a total of %s, and data up to %s (FIL-10)"):format(tostring(about.total), position)
    elseif open.size and about.total ~= open.size then
        return "wrong-total", ("announced were %s bytes (FIL-10)"):format(tostring(open.size))
    end
    side.done[about.id] = true
end

RULES[0x14] = function(about, side)
    local concerns, name, text = concerns_open(about, side)
    if concerns then
        close_file(side, about.id)
    end
    return name, text
end

RULES[0x90] = function(about, side)
    local _, name, text = concerns_open(about, side)
    return name, text
end

RULES[0x13] = function(about, _, other)
    local id, code = about.id, about.code
    if not other.last_id then
        return "unopened", "the capture does not have the file-open of this transfer"
    elseif not other.owed[id] then
        return "bad-transfer-id", "this transfer waits for no status (FIL-16)"
    end
    local open = other.open and other.open.id == id and other.open
    if code == CODE_OF["ready"] then
        if open and not open.position then
            if open.held then
                return "misplaced-message", "a second ready (FIL-14)"
            elseif open.size and about.offset > open.size then
                return "misplaced-message", "a part that is larger than the file (FIL-14)"
            elseif not open.has_key and about.offset > UInt64(0) then
                return "misplaced-message", "a part without a resume key (FIL-25)"
            end
            open.held = about.offset
        end
    elseif code < 0x0110 or code > 0x011F then
        if code == CODE_OF["stored"] and not other.done[id] then
            return "misplaced-message", "stored before done (FIL-15)"
        end
        other.owed[id], other.done[id] = nil, nil
        other.owed_count = other.owed_count - 1
        close_file(other, id)
    end
end

-- Applies the rules to a whole frame, in the order of 14.8. Returns the rule that it breaks.
local function judge_order(header, about, side, other)
    local name, text
    if side.closed then
        name, text = "misplaced-message", "a frame after a close (CNV-5)"
    elseif header.kind == 0x80 and side.frames > 0 then
        name, text = "misplaced-message", "a hello is the first frame of its stream, or is not sent (CNV-1)"
    elseif about and RULES[header.kind] then
        name, text = RULES[header.kind](about, side, other)
    elseif header.kind == 0x05 then
        side.closed = true
    end
    side.frames = side.frames + 1
    return name and { name, text }
end

-- Frames are missing for the rules: the open file's position is unknown.
local function forget_position(side)
    side.frames = side.frames + 1
    if side.open then
        side.open.lost = true
    end
end

-- The first place from `from` on that a search accepts: with a valid header (SYN-2), or of version 2 with a
-- whole valid frame (FMT-22); and the header. Or the place where one may begin that is incomplete, without a
-- header, and the number of missing bytes if it is known. Or the end.
local function search_frame(tvb, from, version)
    local captured = tvb:captured_len()
    local bytes = tvb:raw(from, captured - from)
    local at = 1
    while true do
        at = bytes:find("\xF5", at, true)
        if not at then
            return captured
        end
        local place = from + at - 1
        local header, name = read_header(bytes:sub(at, at + HEADER_LEN - 1), version)
        if not name and (not header or header.version == 1) then
            return place, header
        elseif not name then
            local stop = place + HEADER_LEN + header.rest
            if stop > captured then
                return place, nil, stop - tvb:reported_len()
            elseif read_trailer(tvb, place, header) then
                return place, header
            end
        end
        at = at + 1
    end
end

local function dissect_stream(tvb, pinfo, root)
    local captured, reported = tvb:captured_len(), tvb:reported_len()
    local is_new = not pinfo.visited
    local number = (tonumber(pinfo.private["unstick_calls"]) or 0) + 1
    pinfo.private["unstick_calls"] = tostring(number)
    local key = pinfo.number .. "." .. number
    if is_new then
        local side, other = sides_of(pinfo)
        calls[key] = {
            side = side,
            other = other,
            -- How the call began.
            at = side.at,
            due = side.due,
            search = side.search,
            quiet = side.quiet,
            version = side.version,
            held_back = side.held_back,
            -- Whether TCP collected a known number of bytes.
            collected = side.missing ~= nil,
            -- The rules that its frames broke.
            verdicts = {},
        }
        side.held_back, side.missing = 0, nil
    end
    local call = calls[key]
    if not call then
        return tvb:len() -- not a call of the first time: TCP will call again for these bytes
    end
    local side, other = call.side, call.other
    local base, due, search, quiet, held_back = call.at, call.due, call.search, call.quiet, call.held_back
    local version = call.version
    -- If the capture cut the packet, there are no further bytes to wait for.
    local can_wait = (pinfo.can_desegment or 0) > 0 and captured == reported
    local gap = captured < reported and "the capture has not all of this packet" or "TCP does not reassemble here"
    local gap_name = captured < reported and "not-captured" or "not-reassembled"

    local tree_item
    local function tree()
        tree_item = tree_item or root:add(unstick, tvb:range(0, captured))
        return tree_item
    end
    local found, nth, at = {}, 0, 0

    local function finish(consumed)
        if is_new then
            side.at, side.due, side.search, side.quiet = base + consumed, due, search, quiet
            side.version = version
        end
        if tree_item then
            tree_item:set_len(math.min(consumed, captured))
        end
        show_info(pinfo, found)
        return tvb:len()
    end
    -- Requests the bytes from `from` on again, together with the missing ones, if their number is known.
    local function wait(from, missing)
        pinfo.desegment_offset = from
        pinfo.desegment_len = missing or DESEGMENT_ONE_MORE_SEGMENT
        if is_new then
            side.held_back, side.missing = reported - from, missing
        end
        return finish(from)
    end
    local function show_rest(from, to)
        if to > from then
            tree():add(f.undecoded, tvb:range(from, to - from))
        end
    end

    while at < reported do
        if due > 0 then
            local n = math.min(due, reported - at)
            if at < captured then
                tree():add(f.continued, tvb:range(at, math.min(n, captured - at)))
                found[#found + 1] = ("more of a payload %.0f B"):format(n)
            end
            due, at = due - n, at + n
        elseif at >= captured then
            search, quiet, at = base + at, true, reported
            if is_new then
                forget_position(side)
            end
        elseif search then
            local place, header, missing = search_frame(tvb, at, version)
            if header then
                missing = place + HEADER_LEN + header.rest - reported
            end
            missing = math.max(missing or 0, 0)
            local known_missing = missing > 0 and missing or nil
            -- Bytes that were held back, or collected, can only be requested again as a whole, or not at all.
            local stuck_until = held_back
            if call.collected and search <= base then
                stuck_until = captured - 1
            end
            local is_stuck = can_wait and place > 0 and place <= stuck_until
            if is_stuck and (not header or missing > 0) and missing <= MOST_GATHERED then
                return wait(0, known_missing)
            elseif header then
                version = header.version
                show_rest(at, place)
                if not quiet then
                    local skipped = base + place - search
                    local item = tree():add(f.skipped, tvb:range(place, HEADER_LEN), u64(skipped)):set_generated()
                    note(item, "found", ("a header, %s behind the error"):format(count(skipped, "byte")))
                end
                search, quiet, at = nil, false, place
            elseif place < captured and can_wait and missing <= MOST_GATHERED then
                show_rest(at, place)
                return wait(place, known_missing)
            else
                show_rest(at, captured)
                at = reported
            end
        else
            local n = math.min(HEADER_LEN, captured - at)
            local header, name, text, enough = read_header(tvb:raw(at, n), version)
            local stop = header and at + HEADER_LEN + header.rest
            if header then
                version = header.version
            end
            if name == "oversize" then
                local item = add_frame(tree(), tvb, at, header)
                report(item, tvb:range(at + 3, 4), name, base + at, text)
                found[#found + 1] = summary(header) .. " (oversize)"
                due, at = header.rest, at + HEADER_LEN
                if is_new then
                    forget_position(side)
                end
            elseif name then
                local item = tree():add(f.frame, tvb:range(at, enough))
                item:set_text("Frame: none, " .. name)
                add_header(item, tvb, at, enough)
                report(item, tvb:range(at, enough), name, base + at, text)
                found[#found + 1] = name
                search, at = base + at, at + 1
                if is_new then
                    forget_position(side)
                end
            elseif header and stop <= captured and not read_trailer(tvb, at, header) then
                local item = add_frame(tree(), tvb, at, header)
                reads_bytes(f.payload)(item, tvb, at + HEADER_LEN, header.len)
                text = add_trailer(item, tvb, at, header)
                report(item, tvb:range(stop - 4, 4), "bad-check", base + at, text)
                found[#found + 1] = summary(header) .. " (bad-check)"
                search, at = base + at, at + 1
            elseif header and stop <= captured then
                local item = add_frame(tree(), tvb, at, header)
                local words, about, fault = add_payload(item, tvb, at + HEADER_LEN, header)
                local line = summary(header, words)
                add_trailer(item, tvb, at, header)
                nth = nth + 1
                if is_new and header.version == 1 then
                    call.verdicts[nth] = judge_order(header, about, side, other)
                end
                if fault then
                    report(item, tvb:range(at + HEADER_LEN, header.len), fault[1], fault[2], fault[3])
                    line = line .. " (" .. fault[1] .. ")"
                end
                if is_unknown_critical(header.kind) then
                    local text = kind_name(header.kind) .. " is critical and not known"
                    report(item, tvb:range(at + 2, 1), "unknown-kind", base + at, text)
                    line = line .. " (unknown-kind)"
                end
                local verdict = call.verdicts[nth]
                if verdict and CODE_OF[verdict[1]] then
                    report(item, tvb:range(at, HEADER_LEN), verdict[1], base + at, verdict[2])
                    line = line .. " (" .. verdict[1] .. ")"
                elseif verdict then
                    note(item, verdict[1], verdict[2])
                end
                item:add(f.at, tvb:range(at, HEADER_LEN), u64(base + at)):set_generated()
                if about and about.id then
                    local opener = header.kind == 0x13 and other or side
                    if header.kind == 0x10 and is_new then
                        opener.opened[about.id] = opener.opened[about.id] or pinfo.number
                    elseif header.kind ~= 0x10 and opener.opened[about.id] then
                        item:add(f.opened_in, opener.opened[about.id]):set_generated()
                    end
                end
                found[#found + 1] = line
                at = stop
            elseif header and stop <= reported then
                local item = add_frame(tree(), tvb, at, header)
                add_part(item, tvb, at + HEADER_LEN, header)
                note(item, "not-captured", gap)
                found[#found + 1] = summary(header)
                at = stop
                if is_new then
                    forget_position(side)
                end
            elseif can_wait and not header then
                return wait(at)
            elseif can_wait and header.rest <= MOST_GATHERED then
                return wait(at, stop - reported)
            else
                -- The capture cut the packet, or TCP does not reassemble.
                local item
                if header then
                    item = add_frame(tree(), tvb, at, header)
                    add_part(item, tvb, at + HEADER_LEN, header)
                    found[#found + 1] = summary(header)
                else
                    item = tree():add(f.frame, tvb:range(at, n))
                    item:set_text("Frame: the beginning of a header")
                    add_header(item, tvb, at, n)
                    found[#found + 1] = "part of a header"
                end
                note(item, gap_name, gap)
                if header then
                    due = stop - reported
                else
                    search, quiet = base + at, true
                end
                at = reported
                if is_new then
                    forget_position(side)
                end
            end
        end
    end
    return finish(reported)
end

-- The end of a stream --------------------------------------------------------------------------------------

-- A segment with FIN is often empty, and then no dissector is called. This one is called for every packet.
local end_of_stream = Proto("unstick_end", "unstick, the end of a stream")

local tcp_seq = Field.new("tcp.seq")
local tcp_len = Field.new("tcp.len")
local tcp_fin = Field.new("tcp.flags.fin")
local tcp_reset = Field.new("tcp.flags.reset")

-- The value of the innermost such field; nil if there is none.
local function last(field)
    local all = { field() }
    return all[1] and all[#all].value
end

local function is_set(field)
    local value = last(field)
    return value == true or value == 1
end

-- The error at the end of the stream (7.4): a name, the stream offset, a sentence, and the number of missing
-- bytes; nil if there is none.
local function judge_end(side)
    local have, missing = side.held_back, side.missing
    -- Of version 2 a search accepts no frame that is not whole.
    local is_search = side.search and (not missing or side.version == 2)
    if have > 0 and missing then
        -- TCP collects the rest of a frame by itself; its sequence numbers, from 1 on, show how much arrived.
        local seq, len = last(tcp_seq), last(tcp_len)
        local more = seq and len and seq + len - 1 - side.at - have
        if more and more > 0 and more < missing then
            have, missing = have + more, missing - more
        end
    elseif have > 0 then
        missing = HEADER_LEN - have
    elseif side.due > 0 then
        missing = side.due
    end
    local at = side.at + have
    if is_search then
        local text = ("the stream ends, %s behind the error"):format(count(at - side.search, "byte"))
        return not side.quiet and { "unsynchronized", at, text } or nil
    elseif missing then
        local least = have > 0 and not side.missing and "a header, at least" or "a frame,"
        local text = ("the stream ends in %s %s missing"):format(least, count(missing, "byte"))
        return { "truncated", at, text, missing }
    end
end

function end_of_stream.dissector(tvb, pinfo, root)
    if next(sides) == nil or pinfo.port_type ~= PORT_TYPE_TCP then
        return
    end
    if not pinfo.visited then
        senders[pinfo.number] = sides[keys_of(pinfo)]
    end
    local side = senders[pinfo.number]
    if not side or not (is_set(tcp_fin) or is_set(tcp_reset)) then
        return
    end
    side.ended_in = side.ended_in or pinfo.number
    local ended = side.ended_in == pinfo.number and judge_end(side)
    if ended then
        local name, at, text, missing = ended[1], ended[2], ended[3], ended[4]
        local range = tvb:range(0, 0)
        local tree = root:add(unstick, range)
        tree:append_text(": " .. text)
        report(tree, range, name, at, text)
        if missing then
            tree:add(f.missing, range, missing):set_generated()
        end
        pinfo.cols.info:append(" (" .. name .. ")")
    end
end

register_postdissector(end_of_stream)

-- Registration -------------------------------------------------------------------------------------------

-- The first packet of a connection is dissected because of its port, or is recognised. All later packets are
-- passed to this dissector. So connections that use the same ports one after the other are distinguished.
local stream = Proto("unstick_stream", "unstick, a known stream")

function stream.dissector(tvb, pinfo, root)
    return dissect_stream(tvb, pinfo, root)
end

local function first_of_stream(tvb, pinfo, root)
    if not pinfo.visited then
        begin(pinfo)
    end
    pinfo.conversation = stream
    return dissect_stream(tvb, pinfo, root)
end

function unstick.dissector(tvb, pinfo, root)
    if pinfo.port_type == PORT_TYPE_TCP then
        return first_of_stream(tvb, pinfo, root)
    end
    return dissect_datagram(tvb, pinfo, root)
end

-- Whether the bytes begin with a header whose check is right, of version 1 or 2.
local function is_recognised(tvb)
    return tvb:captured_len() >= HEADER_LEN and read_header(tvb:raw(0, HEADER_LEN)) ~= nil
end

unstick:register_heuristic("tcp", function(tvb, pinfo, root)
    if not is_recognised(tvb) then
        return false
    end
    first_of_stream(tvb, pinfo, root)
    return true
end)

unstick:register_heuristic("udp", function(tvb, pinfo, root)
    if not is_recognised(tvb) then
        return false
    end
    pinfo.conversation = unstick
    dissect_datagram(tvb, pinfo, root)
    return true
end)

tcp_port:add_for_decode_as(unstick)
udp_port:add_for_decode_as(unstick)
