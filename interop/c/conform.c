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

static void do_datagram(const json *request)
{
    uint8_t known[256];
    size_t len, known_len = known_kinds(request, known), position = 0;
    const uint8_t *bytes = hex(request, "bytes", &len);
    unstick_error cause;
    unstick_datagram_frame f;
    const char *comma = "";
    if (!unstick_datagram_check(bytes, len, json_true(request, "cut"), limit_of(request), known, known_len, &cause)) {
        put("{\"refused\":");
        put_error(&cause);
        put("}");
        return;
    }
    put("{\"frames\":[");
    while (unstick_datagram_next(bytes, len, known, known_len, &position, &f)) {
        put("%s", comma);
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
        do_datagram(request);
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
