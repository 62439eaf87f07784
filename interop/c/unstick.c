/* unstick.c: see unstick.h. Comments name the sections and requirements of spec.md.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "unstick.h"

/* The states of 7.2. BOUNDARY is HEADER without a held byte. */
enum { HEADER, PAYLOAD, SKIP, SEARCH, FAILED };

/* A constant without the search, which is then left out of every function. */
static bool searching(const unstick_decoder *d)
{
    return UNSTICK_SEARCH && d->state == SEARCH;
}

/* CRC-8/AUTOSAR of the first seven bytes of a header (CHK-1). */
static uint8_t check_of(const uint8_t *header)
{
    unsigned r = 0xFF;
    for (unsigned i = 0; i < UNSTICK_HEADER_LEN - 1; i++) {
        r ^= header[i];
        for (unsigned bit = 0; bit < 8; bit++)
            r = (r & 0x80) ? ((r << 1) & 0xFF) ^ 0x2F : r << 1;
    }
    return (uint8_t)(r ^ 0xFF);
}

static uint32_t length_of(const uint8_t *header)
{
    return (uint32_t)header[3] << 24 | (uint32_t)header[4] << 16 | (uint32_t)header[5] << 8 | header[6];
}

/* Returns the first error in the n bytes that begin a header, in the order of HDR-7, or 0. */
static uint16_t judge(const uint8_t *h, unsigned n, uint32_t limit)
{
    if (n >= 1 && h[0] != 0xF5)
        return UNSTICK_BAD_MAGIC;
    if (n >= 2 && h[1] != 0x01)
        return UNSTICK_UNSUPPORTED_VERSION;
    if (n >= 3 && h[2] == 0)
        return UNSTICK_INVALID_KIND;
    if (n == UNSTICK_HEADER_LEN) {
        if (h[7] != check_of(h))
            return UNSTICK_BAD_CHECK;
        if (length_of(h) > limit)
            return UNSTICK_OVERSIZE;
    }
    return 0;
}

bool unstick_encode_header(uint8_t out[UNSTICK_HEADER_LEN], uint8_t kind, uint64_t length, uint32_t limit)
{
    if (kind == 0 || length > limit)
        return false;
    out[0] = 0xF5;
    out[1] = 0x01;
    out[2] = kind;
    for (unsigned i = 0; i < 4; i++)
        out[3 + i] = (uint8_t)(length >> (24 - 8 * i));
    out[7] = check_of(out);
    return true;
}

uint16_t unstick_decode_header(const uint8_t header[UNSTICK_HEADER_LEN], uint32_t limit, uint8_t *kind, uint32_t *length)
{
    uint16_t code = judge(header, UNSTICK_HEADER_LEN, limit);
    if (code == 0) {
        *kind = header[2];
        *length = length_of(header);
    }
    return code;
}

void unstick_reset(unstick_decoder *d, uint32_t limit)
{
    *d = (unstick_decoder){.limit = limit};
}

/* The error is a function of the state, so that nothing has to be kept for it (ERR-4). */
void unstick_last_error(const unstick_decoder *d, unstick_error *error)
{
    *error = (unstick_error){.at = d->start};
    if (d->state != FAILED)
        return;
    error->code = d->code;
    switch (d->code) {
    case UNSTICK_BAD_CHECK:
        error->expected = check_of(d->header);
        error->found = d->header[d->held - 1];
        break;
    case UNSTICK_OVERSIZE:
        error->length = length_of(d->header);
        error->limit = d->limit;
        break;
    case UNSTICK_TRUNCATED:
        error->at = d->offset;
        error->missing = d->rest;
        error->exact = d->held == 0;
        break;
    case UNSTICK_UNSYNCHRONIZED:
        error->at = d->offset;
        error->skipped = d->offset - d->start;
        break;
    default: /* bad-magic, unsupported-version, invalid-kind: the last byte held */
        error->found = d->header[d->held - 1];
        break;
    }
}

static void report(const unstick_decoder *d, unstick_event *event)
{
    event->type = UNSTICK_ERROR;
    unstick_last_error(d, &event->error);
}

static void fail(unstick_decoder *d, uint16_t code, unstick_event *event)
{
    d->state = FAILED;
    d->code = code;
    report(d, event);
}

static void drop_first(unstick_decoder *d)
{
    d->held--;
    for (unsigned i = 0; i < d->held; i++)
        d->header[i] = d->header[i + 1];
}

/* Consumes a byte of a header or of a search: 7.3. */
static void header_byte(unstick_decoder *d, uint8_t byte, unstick_event *event)
{
    if (d->held == 0 && d->state == HEADER)
        d->start = d->offset;
    d->header[d->held++] = byte;
    d->offset++;
    uint16_t code = judge(d->header, d->held, d->limit);
    while (code != 0) {
        if (!searching(d)) {
            fail(d, code, event);
            return;
        }
        drop_first(d); /* trims the window */
        code = judge(d->header, d->held, d->limit);
    }
    if (d->held < UNSTICK_HEADER_LEN)
        return;
    event->type = UNSTICK_FRAME;
    event->skipped = 0;
    if (searching(d)) {
        event->skipped = d->offset - UNSTICK_HEADER_LEN - d->start;
        d->start += event->skipped;
    }
    event->at = d->start;
    event->kind = d->header[2];
    event->length = d->rest = length_of(d->header);
    event->last = d->rest == 0;
    d->state = d->rest == 0 ? HEADER : PAYLOAD;
    d->held = 0;
}

size_t unstick_decode(unstick_decoder *d, const uint8_t *bytes, size_t len, unstick_event *event)
{
    size_t used = 0;
    event->type = UNSTICK_MORE;
    if (d->state == FAILED)
        report(d, event);
    while (event->type == UNSTICK_MORE && used < len) {
        if (d->state == HEADER || searching(d)) {
            header_byte(d, bytes[used++], event);
            continue;
        }
        size_t n = len - used;
        if (n > d->rest)
            n = (size_t)d->rest;
        if (d->state == PAYLOAD) {
            event->type = UNSTICK_DATA;
            event->bytes = bytes + used;
            event->len = n;
            event->last = n == d->rest;
        }
        used += n;
        d->offset += n;
        d->rest -= (uint32_t)n;
        if (d->rest == 0)
            d->state = HEADER;
    }
    return used;
}

void unstick_end(unstick_decoder *d, unstick_event *event)
{
    if (d->state == FAILED) {
        report(d, event);
    } else if (searching(d)) {
        fail(d, UNSTICK_UNSYNCHRONIZED, event);
    } else if (d->state == HEADER && d->held == 0) {
        event->type = UNSTICK_CLEAN_END;
    } else {
        if (d->state == HEADER) /* a payload has no header held, which marks `rest` as exact */
            d->rest = (uint32_t)(UNSTICK_HEADER_LEN - d->held);
        fail(d, UNSTICK_TRUNCATED, event);
    }
}

unstick_answer unstick_skip(unstick_decoder *d)
{
    if (d->state != FAILED)
        return UNSTICK_REJECTED;
    if (d->code != UNSTICK_OVERSIZE)
        return UNSTICK_SAME_ERROR;
    d->rest = length_of(d->header); /* above the limit, so it is not 0 */
    d->held = 0;
    d->state = SKIP;
    return UNSTICK_BEGUN;
}

#if UNSTICK_SEARCH
/* Searches from the byte after the first one held; the window has at most 7 bytes, so that it
 * cannot hold a whole header. */
static unstick_answer search(unstick_decoder *d)
{
    d->state = SEARCH;
    if (d->held != 0) {
        do
            drop_first(d);
        while (judge(d->header, d->held, d->limit) != 0);
    }
    return UNSTICK_BEGUN;
}

unstick_answer unstick_resync(unstick_decoder *d)
{
    if (d->state != FAILED)
        return UNSTICK_REJECTED;
    if (d->code > UNSTICK_OVERSIZE)
        return UNSTICK_SAME_ERROR;
    return search(d);
}

unstick_answer unstick_reject(unstick_decoder *d)
{
    if (d->state == FAILED)
        return UNSTICK_SAME_ERROR;
    if (searching(d) || (d->state == HEADER && d->held == 0))
        return UNSTICK_REJECTED;
    d->rest = 0;
    return search(d);
}
#endif

#if UNSTICK_DATAGRAMS
/* Returns whether a datagram can have a frame of a kind: 0, or the cause of its refusal (DGM-4,
 * DGM-5). An unknown skippable kind is to be ignored, and the result is UNSTICK_UNKNOWN_KIND too. */
static uint16_t judge_kind(uint8_t kind, const uint8_t *known, size_t known_len)
{
    if (kind >= UNSTICK_TEXT && kind <= UNSTICK_PONG)
        return 0;
    if (kind == UNSTICK_CLOSE || kind == UNSTICK_HELLO || (kind >= UNSTICK_FILE_OPEN && kind <= UNSTICK_FILE_CANCEL))
        return UNSTICK_CAUSE_MISPLACED_KIND;
    if (kind & 0x40) /* an application's; a reserved kind cannot be made known */
        for (size_t i = 0; i < known_len; i++)
            if (known[i] == kind)
                return 0;
    return UNSTICK_UNKNOWN_KIND;
}

bool unstick_datagram_check(const uint8_t *bytes, size_t len, bool cut, uint32_t limit, const uint8_t *known,
                            size_t known_len, unstick_error *cause)
{
    unstick_decoder d;
    unstick_event event;
    unstick_error kind_error = {.code = 0};

    *cause = (unstick_error){.code = 0};
    if (cut || len == 0) {
        cause->code = cut ? UNSTICK_CAUSE_CUT : UNSTICK_CAUSE_EMPTY;
        return false;
    }
    unstick_reset(&d, limit);
    for (size_t used = 0; used < len;) {
        used += unstick_decode(&d, bytes + used, len - used, &event);
        if (event.type == UNSTICK_ERROR) {
            *cause = event.error;
            return false;
        }
        if (event.type != UNSTICK_FRAME || kind_error.code != 0)
            continue;
        uint16_t code = judge_kind(event.kind, known, known_len);
        if (code == UNSTICK_UNKNOWN_KIND && (event.kind & 0x80))
            continue;
        kind_error.code = code;
        kind_error.at = event.at;
        kind_error.found = event.kind;
    }
    unstick_end(&d, &event);
    *cause = event.type == UNSTICK_ERROR ? event.error : kind_error;
    return cause->code == 0;
}

bool unstick_datagram_next(const uint8_t *bytes, size_t len, const uint8_t *known, size_t known_len, size_t *position,
                           unstick_datagram_frame *frame)
{
    while (len - *position >= UNSTICK_HEADER_LEN) {
        const uint8_t *header = bytes + *position;
        size_t rest = len - *position - UNSTICK_HEADER_LEN;
        uint32_t length = length_of(header);
        if (length > rest) /* not a datagram that was checked */
            return false;
        frame->at = *position;
        frame->kind = header[2];
        frame->len = (size_t)length;
        frame->payload = length == 0 ? NULL : header + UNSTICK_HEADER_LEN;
        *position += UNSTICK_HEADER_LEN + (size_t)length;
        if (judge_kind(frame->kind, known, known_len) == 0)
            return true;
    }
    return false;
}

size_t unstick_datagram_add(uint8_t *datagram, size_t used, size_t datagram_limit, uint32_t limit, uint8_t kind,
                            const uint8_t *payload, size_t len)
{
    if (judge_kind(kind, NULL, 0) == UNSTICK_CAUSE_MISPLACED_KIND || used > datagram_limit ||
        datagram_limit - used < UNSTICK_HEADER_LEN || datagram_limit - used - UNSTICK_HEADER_LEN < len ||
        !unstick_encode_header(datagram + used, kind, len, limit))
        return 0;
    used += UNSTICK_HEADER_LEN;
    for (size_t i = 0; i < len; i++)
        datagram[used++] = payload[i];
    return used;
}
#endif
