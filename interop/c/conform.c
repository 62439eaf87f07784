/* conform.c: answers the requests of `unstick conform` (vectors/README.md), one JSON object a line.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"
#include "unstick.h"
#include "unstick_session.h"

/* Bytes that grow: a line, an answer, a payload. This program may use the heap; what it tests does
 * not. */
typedef struct {
    char *bytes;
    size_t len, room;
} buffer;

static void put_bytes(buffer *b, const void *bytes, size_t len)
{
    if (b->room - b->len < len + 1) {
        b->room = (b->len + len + 1) * 2;
        b->bytes = realloc(b->bytes, b->room);
        if (b->bytes == NULL)
            abort();
    }
    if (len != 0)
        memcpy(b->bytes + b->len, bytes, len);
    b->len += len;
    b->bytes[b->len] = 0;
}

static buffer answer; /* to the current request */

static void put(const char *format, ...)
{
    char text[256];
    va_list arguments;
    va_start(arguments, format);
    int len = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (len < 0 || (size_t)len >= sizeof text)
        abort();
    put_bytes(&answer, text, (size_t)len);
}

static void put_hex(const uint8_t *bytes, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        char two[2] = {digits[bytes[i] >> 4], digits[bytes[i] & 15]};
        put_bytes(&answer, two, 2);
    }
}

static int digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Returns the bytes of a hexadecimal member, which are written over its text. */
static uint8_t *hex(const json *object, const char *key, size_t *len)
{
    const json *v = json_get(object, key);
    *len = 0;
    if (v == NULL || v->type != JSON_STRING)
        return NULL;
    uint8_t *bytes = (uint8_t *)v->text;
    for (size_t i = 0; i + 1 < v->len; i += 2)
        bytes[i / 2] = (uint8_t)(digit(v->text[i]) << 4 | digit(v->text[i + 1]));
    *len = v->len / 2;
    return bytes;
}

static uint32_t limit_of(const json *request)
{
    uint64_t limit = json_number(request, "limit", UNSTICK_DEFAULT_LIMIT);
    return limit > UINT32_MAX ? UINT32_MAX : (uint32_t)limit; /* LIM-6 */
}

static const char *code_name(unsigned code)
{
    switch (code) {
    case UNSTICK_BAD_MAGIC: return "bad-magic";
    case UNSTICK_UNSUPPORTED_VERSION: return "unsupported-version";
    case UNSTICK_INVALID_KIND: return "invalid-kind";
    case UNSTICK_BAD_CHECK: return "bad-check";
    case UNSTICK_OVERSIZE: return "oversize";
    case UNSTICK_TRUNCATED: return "truncated";
    case UNSTICK_UNKNOWN_KIND: return "unknown-kind";
    case UNSTICK_UNSYNCHRONIZED: return "unsynchronized";
    case UNSTICK_BAD_MESSAGE: return "bad-message";
    case UNSTICK_MISPLACED_MESSAGE: return "misplaced-message";
    case UNSTICK_BAD_TRANSFER_ID: return "bad-transfer-id";
    case UNSTICK_TOO_MANY_TRANSFERS: return "too-many-transfers";
    case UNSTICK_UNCLOSED: return "unclosed";
    case UNSTICK_BAD_NAME: return "bad-name";
    case UNSTICK_CAUSE_CUT: return "cut";
    case UNSTICK_CAUSE_EMPTY: return "empty";
    case UNSTICK_CAUSE_MISPLACED_KIND: return "misplaced-kind";
    }
    return "?";
}

static void put_error(const unstick_error *e)
{
    put("{\"name\":\"%s\"", code_name(e->code));
    if (e->code < UNSTICK_CAUSE_CUT)
        put(",\"code\":%u", (unsigned)e->code);
    if (e->code != UNSTICK_CAUSE_CUT)
        put(",\"at\":%llu", (unsigned long long)e->at);
    switch (e->code) {
    case UNSTICK_BAD_CHECK:
        put(",\"found\":%u,\"expected\":%u", e->found, e->expected);
        break;
    case UNSTICK_BAD_MAGIC:
    case UNSTICK_UNSUPPORTED_VERSION:
    case UNSTICK_UNKNOWN_KIND:
    case UNSTICK_CAUSE_MISPLACED_KIND:
        put(",\"found\":%u", e->found);
        break;
    case UNSTICK_OVERSIZE:
        put(",\"length\":%lu,\"limit\":%lu", (unsigned long)e->length, (unsigned long)e->limit);
        break;
    case UNSTICK_TRUNCATED:
        put(",\"missing\":%lu,\"exact\":%s", (unsigned long)e->missing, e->exact ? "true" : "false");
        break;
    case UNSTICK_UNSYNCHRONIZED:
        put(",\"skipped\":%llu", (unsigned long long)e->skipped);
        break;
    }
    put("}");
}

/* The stream, and the frame that is arriving. */
static unstick_decoder decoder;
static uint32_t decoder_limit;
static struct {
    uint64_t at;
    uint8_t kind;
    buffer payload;
} frame;

static void put_frame(uint64_t at, uint8_t kind, const uint8_t *payload, size_t len)
{
    put("{\"at\":%llu,\"kind\":%u,\"payload\":\"", (unsigned long long)at, kind);
    put_hex(payload, len);
    put("\"}");
}

static bool is_v1(const json *request)
{
    return json_get(request, "format") == NULL || json_is(request, "format", "v1");
}

static void do_start(const json *request)
{
    if (!is_v1(request)) {
        put("{\"unsupported\":\"Annex A\"}");
        return;
    }
    decoder_limit = limit_of(request);
    unstick_reset(&decoder, decoder_limit);
    put("{\"ok\":true}");
}

static void do_bytes(const json *request)
{
    size_t len, used = 0;
    const uint8_t *bytes = hex(request, "bytes", &len);
    const char *comma = "";
    unstick_event event;
    put("{\"events\":[");
    do {
        used += unstick_decode(&decoder, used < len ? bytes + used : NULL, len - used, &event);
        switch (event.type) {
        case UNSTICK_FRAME:
            if (event.skipped != 0) {
                put("%s{\"found\":{\"skipped\":%llu}}", comma, (unsigned long long)event.skipped);
                comma = ",";
            }
            frame.at = event.at;
            frame.kind = event.kind;
            frame.payload.len = 0;
            break;
        case UNSTICK_DATA:
            put_bytes(&frame.payload, event.bytes, event.len);
            break;
        case UNSTICK_ERROR:
            put("%s{\"error\":", comma);
            put_error(&event.error);
            put("}");
            break;
        default:
            break;
        }
        if ((event.type == UNSTICK_FRAME || event.type == UNSTICK_DATA) && event.last) {
            put("%s{\"frame\":", comma);
            put_frame(frame.at, frame.kind, (const uint8_t *)frame.payload.bytes, frame.payload.len);
            put("}");
            comma = ",";
        }
    } while (event.type == UNSTICK_FRAME || event.type == UNSTICK_DATA);
    put("],\"consumed\":%zu}", used);
}

static void do_end(void)
{
    unstick_event event;
    unstick_end(&decoder, &event);
    if (event.type == UNSTICK_CLEAN_END) {
        put("{\"events\":[{\"end\":true}]}");
        return;
    }
    put("{\"events\":[{\"error\":");
    put_error(&event.error);
    put("}]}");
}

static void put_answer(unstick_answer result)
{
    unstick_error error;
    switch (result) {
    case UNSTICK_BEGUN:
        put("{\"answer\":\"begun\",\"events\":[]}");
        break;
    case UNSTICK_REJECTED:
        put("{\"answer\":\"rejected\"}");
        break;
    case UNSTICK_SAME_ERROR:
        unstick_last_error(&decoder, &error);
        put("{\"answer\":\"same-error\",\"error\":");
        put_error(&error);
        put("}");
        break;
    }
}

static void put_refused(const char *why)
{
    put("{\"refused\":\"%s\"}", why);
}

static void do_encode(const json *request, bool header_only)
{
    uint8_t header[UNSTICK_HEADER_LEN];
    size_t len;
    const uint8_t *payload = hex(request, "payload", &len);
    uint64_t length = header_only ? json_number(request, "length", 0) : len;
    if (!is_v1(request)) {
        put("{\"unsupported\":\"Annex A\"}");
        return;
    }
    if (!unstick_encode_header(header, (uint8_t)json_number(request, "kind", 0), length, limit_of(request))) {
        put_refused("kind 0, or a payload above the limit");
        return;
    }
    put("{\"bytes\":\"");
    put_hex(header, sizeof header);
    put_hex(payload, len);
    put("\"}");
}

static void do_encode_datagram(const json *request)
{
    static uint8_t datagram[65536];
    size_t used = 0;
    const json *frames = json_get(request, "frames");
    uint64_t limit = json_number(request, "datagram_limit", UNSTICK_DEFAULT_DATAGRAM_LIMIT);
    if (limit > sizeof datagram)
        limit = sizeof datagram;
    for (const json *f = frames == NULL ? NULL : frames->child; f != NULL; f = f->next) {
        size_t len;
        const uint8_t *payload = hex(f, "payload", &len);
        used = unstick_datagram_add(datagram, used, (size_t)limit, limit_of(request), (uint8_t)json_number(f, "kind", 0),
                                    payload, len);
        if (used == 0)
            break;
    }
    if (used == 0) {
        put_refused("no frame, or one that a datagram cannot have");
        return;
    }
    put("{\"bytes\":\"");
    put_hex(datagram, used);
    put("\"}");
}

static size_t known_kinds(const json *request, uint8_t known[256])
{
    const json *list = json_get(request, "known");
    size_t len = 0;
    for (const json *item = list == NULL ? NULL : list->child; item != NULL && len < 256; item = item->next)
        known[len++] = (uint8_t)strtoul(item->text, NULL, 10);
    return len;
}

static void put_text(const char *key, const uint8_t *text, size_t len)
{
    put(",\"%s\":\"", key);
    for (size_t i = 0; i < len; i++) {
        if (text[i] < 0x20 || text[i] == '"' || text[i] == '\\')
            put("\\u%04x", text[i]);
        else
            put_bytes(&answer, text + i, 1);
    }
    put("\"");
}

static void put_hex_member(const char *key, const uint8_t *bytes, size_t len)
{
    static const uint8_t zeros[32];
    put(",\"%s\":\"", key);
    put_hex(bytes == NULL ? zeros : bytes, len);
    put("\"");
}

static void put_number(const char *key, uint64_t number)
{
    put(",\"%s\":%llu", key, (unsigned long long)number);
}

static const char *kind_name(uint8_t kind)
{
    switch (kind) {
    case UNSTICK_TEXT: return "text";
    case UNSTICK_BINARY: return "binary";
    case UNSTICK_PING: return "ping";
    case UNSTICK_PONG: return "pong";
    case UNSTICK_CLOSE: return "close";
    case UNSTICK_FILE_OPEN: return "file-open";
    case UNSTICK_FILE_DATA: return "file-data";
    case UNSTICK_FILE_DONE: return "file-done";
    case UNSTICK_FILE_STATUS: return "file-status";
    case UNSTICK_FILE_CANCEL: return "file-cancel";
    case UNSTICK_HELLO: return "hello";
    case UNSTICK_FILE_ATTRIBUTES: return "file-attributes";
    }
    return "other";
}

static void put_message(const unstick_message *m)
{
    put("{\"type\":\"%s\"", kind_name(m->kind));
    switch (m->kind) {
    case UNSTICK_TEXT:
        put_text("text", m->bytes, m->len);
        break;
    case UNSTICK_HELLO:
        put_number("limit", m->limit);
        put_text("name", m->bytes, m->len);
        break;
    case UNSTICK_CLOSE:
        put_number("code", m->code);
        put_text("reason", m->bytes, m->len);
        break;
    case UNSTICK_FILE_OPEN:
        put_number("transfer", m->transfer);
        put_hex_member("key", m->key, 16);
        if (m->size == UNSTICK_SIZE_UNKNOWN)
            put(",\"size\":null");
        else
            put_number("size", m->size);
        put_text("name", m->bytes, m->len);
        break;
    case UNSTICK_FILE_DATA:
        put_number("transfer", m->transfer);
        put_number("offset", m->offset);
        put_hex_member("payload", m->bytes, m->len);
        break;
    case UNSTICK_FILE_DONE:
        put_number("transfer", m->transfer);
        put_number("total", m->total);
        put_hex_member("digest", m->digest, 32);
        break;
    case UNSTICK_FILE_STATUS:
        put_number("transfer", m->transfer);
        put_number("code", m->code);
        put_number("offset", m->offset);
        put_hex_member("digest", m->digest, 32);
        put_text("reason", m->bytes, m->len);
        break;
    case UNSTICK_FILE_CANCEL:
        put_number("transfer", m->transfer);
        put_number("code", m->code);
        put_text("reason", m->bytes, m->len);
        break;
    case UNSTICK_FILE_ATTRIBUTES:
        put_number("transfer", m->transfer);
        if (m->modified == UNSTICK_TIME_UNKNOWN)
            put(",\"modified\":null");
        else
            put(",\"modified\":%lld", (long long)m->modified);
        put(",\"executable\":%s", m->executable ? "true" : "false");
        break;
    default:
        if (strcmp(kind_name(m->kind), "other") == 0)
            put_number("kind", m->kind);
        put_hex_member("payload", m->bytes, m->len);
        break;
    }
    put("}");
}

static void set_text(const json *object, const char *key, unstick_message *m)
{
    const json *v = json_get(object, key);
    if (v != NULL && v->type == JSON_STRING) {
        m->bytes = (const uint8_t *)v->text;
        m->len = v->len;
    }
}

/* Returns the message of a request; its bytes are those of the request. */
static unstick_message get_message(const json *o)
{
    unstick_message m = {.kind = (uint8_t)json_number(o, "kind", 0)};
    size_t len;
    for (unsigned kind = 1; kind <= UNSTICK_FILE_ATTRIBUTES; kind++)
        if (json_is(o, "type", kind_name((uint8_t)kind)) && !json_is(o, "type", "other"))
            m.kind = (uint8_t)kind;
    m.code = (uint16_t)json_number(o, "code", 0);
    m.limit = (uint32_t)json_number(o, "limit", 0);
    m.transfer = (uint32_t)json_number(o, "transfer", 0);
    if (m.kind == UNSTICK_FILE_OPEN) {
        m.key = hex(o, "key", &len);
        m.size = json_number(o, "size", UNSTICK_SIZE_UNKNOWN);
        const json *size = json_get(o, "size");
        if (m.size == UNSTICK_SIZE_UNKNOWN && size != NULL && size->type != JSON_NULL)
            m.kind = 0; /* a known size that the interface cannot express, MSG-8 */
    } else if (m.kind == UNSTICK_FILE_ATTRIBUTES) {
        m.modified = json_signed(o, "modified", UNSTICK_TIME_UNKNOWN);
        m.executable = json_true(o, "executable");
    } else {
        m.digest = hex(o, "digest", &len);
        m.offset = json_number(o, m.kind == UNSTICK_FILE_DONE ? "total" : "offset", 0);
    }
    m.bytes = hex(o, "payload", &m.len);
    set_text(o, "text", &m);
    set_text(o, "name", &m);
    set_text(o, "reason", &m);
    return m;
}

static void do_message(const json *request)
{
    size_t len, at;
    const uint8_t *payload = hex(request, "payload", &len);
    unstick_message m;
    uint16_t code = unstick_message_decode((uint8_t)json_number(request, "kind", 0), payload, len, &m, &at);
    if (code == 0) {
        put("{\"message\":");
        put_message(&m);
        put("}");
        return;
    }
    put("{\"refused\":{\"name\":\"%s\",\"code\":%u,\"at\":%zu", code_name(code), code, at);
    if (code == UNSTICK_BAD_NAME)
        put_number("transfer", m.transfer);
    put("}}");
}

static void do_encode_message(const json *request)
{
    uint8_t fixed[UNSTICK_MAX_FIXED];
    unstick_message m = get_message(json_get(request, "message"));
    int len = unstick_message_encode(&m, fixed);
    if (len < 0) {
        put_refused("a receiver would refuse it");
        return;
    }
    put("{\"kind\":%u,\"payload\":\"", m.kind);
    put_hex(fixed, (size_t)len);
    put_hex(m.bytes, m.len);
    put("\"}");
}

static unstick_session session;
static uint8_t session_known[256];

static void do_conversation(const json *request)
{
    unstick_session_begin(&session, session_known, known_kinds(request, session_known));
    put("{\"ok\":true}");
}

static void put_says(const json *request)
{
    unstick_message m;
    const char *comma = "";
    if (json_true(request, "hold"))
        return;
    put(",\"says\":[");
    while (unstick_session_says(&session, &m)) {
        put("%s", comma);
        put_message(&m);
        comma = ",";
    }
    put("]");
}

static void put_told(const json *request, unstick_told told, const unstick_message *m)
{
    const char *event = "nothing";
    switch (told) {
    case UNSTICK_ON_ERROR:
        put("{\"error\":{\"name\":\"%s\",\"code\":%u}", code_name(session.error), session.error);
        put_says(request);
        put("}");
        return;
    case UNSTICK_ON_MESSAGE:
        event = kind_name(m->kind);
        if (strcmp(event, "other") == 0)
            event = "application";
        break;
    case UNSTICK_ON_FILE_REFUSED: event = "file-refused"; break;
    case UNSTICK_ON_FILE_READY: event = "file-ready"; break;
    case UNSTICK_ON_FILE_WORKING: event = "file-working"; break;
    case UNSTICK_ON_FILE_END: event = "file-end"; break;
    case UNSTICK_ON_CLEAN_END: event = "clean"; break;
    case UNSTICK_ON_NOTHING: break;
    }
    put("{\"event\":\"%s\"", event);
    put_says(request);
    put("}");
}

static void do_receive(const json *request)
{
    const json *message = json_get(request, "message");
    unstick_message m;
    buffer payload = {NULL, 0, 0};
    uint8_t kind = (uint8_t)json_number(request, "kind", 0);
    if (message != NULL) {
        uint8_t fixed[UNSTICK_MAX_FIXED];
        m = get_message(message);
        kind = m.kind;
        int len = unstick_message_encode(&m, fixed);
        if (len < 0) {
            put_refused("not a message");
            return;
        }
        put_bytes(&payload, fixed, (size_t)len);
        put_bytes(&payload, m.bytes, m.len);
    } else {
        size_t len;
        const uint8_t *bytes = hex(request, "payload", &len);
        put_bytes(&payload, bytes, len);
    }
    unstick_told told = unstick_session_header(&session, kind, (uint32_t)payload.len);
    if (told == UNSTICK_ON_MESSAGE)
        told = unstick_session_receive(&session, kind, (const uint8_t *)payload.bytes, payload.len, &m);
    put_told(request, told, &m);
    free(payload.bytes);
}

static void do_send(const json *request)
{
    uint8_t fixed[UNSTICK_MAX_FIXED];
    unstick_message m = get_message(json_get(request, "message"));
    if (unstick_session_send(&session, &m, fixed) < 0)
        put_refused("not allowed");
    else {
        put("{\"ok\":true,\"writes\":");
        put_message(&m);
        put("}");
    }
}

/* Answers a request that has no outcome but what the session says. */
static void put_ok(const json *request)
{
    put("{\"ok\":true");
    put_says(request);
    put("}");
}

static void do_datagram(const json *request, bool messages)
{
    uint8_t known[256];
    size_t len, known_len = known_kinds(request, known), position = 0;
    const uint8_t *bytes = hex(request, "bytes", &len);
    unstick_error cause;
    unstick_datagram_frame f;
    const char *comma = "";
    bool (*check)(const uint8_t *, size_t, bool, uint32_t, const uint8_t *, size_t, unstick_error *) =
        messages ? unstick_datagram_check_messages : unstick_datagram_check;
    if (!check(bytes, len, json_true(request, "cut"), limit_of(request), known, known_len, &cause)) {
        put("{\"refused\":");
        put_error(&cause);
        put("}");
        return;
    }
    put("{\"%s\":[", messages ? "messages" : "frames");
    while (unstick_datagram_next(bytes, len, known, known_len, &position, &f)) {
        put("%s", comma);
        unstick_message m;
        size_t at;
        if (messages && unstick_message_decode(f.kind, f.payload, f.len, &m, &at) == 0)
            put_message(&m);
        else
            put_frame(f.at, f.kind, f.payload, f.len);
        comma = ",";
    }
    put("]}");
}

static void respond(const json *request)
{
    if (json_is(request, "do", "start"))
        do_start(request);
    else if (json_is(request, "do", "bytes"))
        do_bytes(request);
    else if (json_is(request, "do", "end"))
        do_end();
    else if (json_is(request, "do", "skip"))
        put_answer(unstick_skip(&decoder));
#if UNSTICK_SEARCH
    else if (json_is(request, "do", "resync"))
        put_answer(unstick_resync(&decoder));
#endif
    else if (json_is(request, "do", "reset")) {
        unstick_reset(&decoder, decoder_limit);
        put("{\"ok\":true}");
    } else if (json_is(request, "do", "encode"))
        do_encode(request, false);
    else if (json_is(request, "do", "encode-header"))
        do_encode(request, true);
    else if (json_is(request, "do", "encode-datagram"))
        do_encode_datagram(request);
    else if (json_is(request, "do", "datagram"))
        do_datagram(request, false);
    else if (json_is(request, "do", "datagram-messages"))
        do_datagram(request, true);
    else if (json_is(request, "do", "message"))
        do_message(request);
    else if (json_is(request, "do", "encode-message"))
        do_encode_message(request);
    else if (json_is(request, "do", "conversation"))
        do_conversation(request);
    else if (json_is(request, "do", "receive"))
        do_receive(request);
    else if (json_is(request, "do", "send"))
        do_send(request);
    else if (json_is(request, "do", "tick")) {
        unstick_session_tick(&session);
        put_ok(request);
    } else if (json_is(request, "do", "drain")) {
        unstick_session_drain(&session);
        put_ok(request);
    } else if (json_is(request, "do", "skipped"))
        put_told(request, unstick_session_skipped(&session), NULL);
    else if (json_is(request, "do", "end-of-stream"))
        put_told(request, unstick_session_end(&session), NULL);
    else
        put("{\"unsupported\":\"not implemented\"}");
}

/* Reads a line of any length, without its end. Returns false at the end of the input. */
static bool read_line(buffer *line)
{
    char piece[65536];
    line->len = 0;
    while (fgets(piece, sizeof piece, stdin) != NULL) {
        size_t len = strlen(piece);
        bool whole = len != 0 && piece[len - 1] == '\n';
        put_bytes(line, piece, len - whole);
        if (whole)
            return true;
    }
    return line->len != 0;
}

int main(void)
{
    buffer line = {NULL, 0, 0};
    while (read_line(&line)) {
        json *request = json_read(line.bytes);
        answer.len = 0;
        if (request == NULL)
            put_refused("not JSON");
        else
            respond(request);
        json_free(request);
        put_bytes(&answer, "\n", 1);
        fwrite(answer.bytes, 1, answer.len, stdout);
        fflush(stdout);
    }
    free(line.bytes);
    free(answer.bytes);
    free(frame.payload.bytes);
    return 0;
}
