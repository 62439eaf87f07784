/* unstick_session.c: see unstick_session.h. Comments name the sections and requirements of spec.md.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "unstick_session.h"

/* ---- Payloads: chapter 13 ---------------------------------------------------------------- */

static void put_number(uint8_t *out, unsigned width, uint64_t number)
{
    while (width-- != 0) {
        out[width] = (uint8_t)number;
        number >>= 8;
    }
}

static uint64_t number_at(const uint8_t *bytes, unsigned width)
{
    uint64_t number = 0;
    while (width-- != 0)
        number = number << 8 | *bytes++;
    return number;
}

static void copy(uint8_t *to, const uint8_t *from, size_t len)
{
    for (size_t i = 0; i < len; i++)
        to[i] = from == NULL ? 0 : from[i];
}

static bool same(const uint8_t *a, const uint8_t *b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

/* The bytes of fixed fields, 13.1. */
static unsigned fixed_len(uint8_t kind)
{
    switch (kind) {
    case UNSTICK_HELLO: return 4;
    case UNSTICK_CLOSE: return 2;
    case UNSTICK_FILE_OPEN: return 28;
    case UNSTICK_FILE_DATA: return 12;
    case UNSTICK_FILE_DONE: return 44;
    case UNSTICK_FILE_STATUS: return 46;
    case UNSTICK_FILE_CANCEL: return 6;
    case UNSTICK_FILE_ATTRIBUTES: return 13;
    default: return 0;
    }
}

/* Returns the length of the character that begins the text, or 0 if none does. */
static unsigned character(const uint8_t *text, size_t len)
{
    uint8_t first = text[0], low = 0x80, high = 0xBF; /* the range of the second byte */
    unsigned n;
    if (first < 0x80)
        return 1;
    if (first < 0xC2 || first > 0xF4)
        return 0;
    n = first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (n > len)
        return 0;
    if (first == 0xE0)
        low = 0xA0; /* overlong */
    else if (first == 0xED)
        high = 0x9F; /* surrogates */
    else if (first == 0xF0)
        low = 0x90;
    else if (first == 0xF4)
        high = 0x8F; /* beyond U+10FFFF */
    if (text[1] < low || text[1] > high)
        return 0;
    for (unsigned i = 2; i < n; i++)
        if ((text[i] & 0xC0) != 0x80)
            return 0;
    return n;
}

size_t unstick_utf8(const uint8_t *text, size_t len)
{
    size_t at = 0;
    while (at < len) {
        unsigned n = character(text + at, len - at);
        if (n == 0)
            break;
        at += n;
    }
    return at;
}

/* 13.6. Returns true if the name is allowed, else the offset of what is wrong in `*at` (MSG-14). */
static bool name_allowed(const uint8_t *name, size_t len, size_t *at)
{
    *at = 0;
    if (len == 0)
        return false;
    if (len > UNSTICK_MAX_NAME) {
        *at = UNSTICK_MAX_NAME;
        return false;
    }
    *at = unstick_utf8(name, len);
    if (*at < len)
        return false;
    for (*at = 0; *at < len; *at += character(name + *at, len - *at)) {
        const uint8_t *c = name + *at;
        bool control = c[0] < 0x20 || c[0] == 0x7F || (c[0] == 0xC2 && c[1] < 0xA0);
        if (control || c[0] == '/' || c[0] == '\\' || c[0] == ':')
            return false;
    }
    *at = 0;
    return name[0] != '.' || len > 2 || (len == 2 && name[1] != '.');
}

/* MSG-5: what the length alone decides. A name's length is left to name_allowed. */
static bool length_allowed(uint8_t kind, uint64_t len, size_t *at)
{
    uint64_t min = fixed_len(kind), max = UINT64_MAX;
    if (kind == UNSTICK_FILE_DATA)
        min++;
    else if (kind == UNSTICK_FILE_DONE || kind == UNSTICK_FILE_ATTRIBUTES)
        max = min;
    else if (kind == UNSTICK_PING || kind == UNSTICK_PONG)
        max = UNSTICK_MAX_PING;
    else if (kind == UNSTICK_CLOSE && len == 0)
        min = 0; /* the same as no-error without a reason, MSG-4 */
    *at = (size_t)(len < max ? len : max);
    return min <= len && len <= max;
}

/* Checks the text after the fixed fields: 0, UNSTICK_BAD_MESSAGE or UNSTICK_BAD_NAME, with the
 * offset after the fixed fields. */
static uint16_t judge_text(uint8_t kind, const uint8_t *bytes, size_t len, size_t *at)
{
    switch (kind) {
    case UNSTICK_FILE_OPEN:
        return name_allowed(bytes, len, at) ? 0 : UNSTICK_BAD_NAME;
    case UNSTICK_TEXT:
    case UNSTICK_HELLO:
    case UNSTICK_CLOSE:
    case UNSTICK_FILE_STATUS:
    case UNSTICK_FILE_CANCEL:
        *at = unstick_utf8(bytes, len);
        return *at == len ? 0 : UNSTICK_BAD_MESSAGE;
    default:
        return 0;
    }
}

uint16_t unstick_message_decode(uint8_t kind, const uint8_t *payload, size_t len, unstick_message *m, size_t *at)
{
    unsigned fixed = fixed_len(kind);
    *m = (unstick_message){.kind = kind};
    if (!length_allowed(kind, len, at))
        return UNSTICK_BAD_MESSAGE;
    if (len < fixed)
        return 0; /* an empty close */
    if (kind == UNSTICK_HELLO)
        m->limit = (uint32_t)number_at(payload, 4);
    else if (kind == UNSTICK_CLOSE)
        m->code = (uint16_t)number_at(payload, 2);
    else if (fixed != 0)
        m->transfer = (uint32_t)number_at(payload, 4);
    switch (kind) {
    case UNSTICK_FILE_OPEN:
        m->key = payload + 4;
        m->size = number_at(payload + 20, 8);
        break;
    case UNSTICK_FILE_DATA:
        m->offset = number_at(payload + 4, 8);
        break;
    case UNSTICK_FILE_DONE:
        m->total = number_at(payload + 4, 8);
        m->digest = payload + 12;
        break;
    case UNSTICK_FILE_STATUS:
        m->code = (uint16_t)number_at(payload + 4, 2);
        m->offset = number_at(payload + 6, 8);
        m->digest = payload + 14;
        break;
    case UNSTICK_FILE_CANCEL:
        m->code = (uint16_t)number_at(payload + 4, 2);
        break;
    case UNSTICK_FILE_ATTRIBUTES:
        m->offset = number_at(payload + 4, 8); /* the bits of `modified` */
        m->executable = (payload[12] & 1) != 0;
        break;
    default:
        break;
    }
    m->len = len - fixed;
    if (m->len != 0)
        m->bytes = payload + fixed;
    *at = 0;
    uint16_t code = judge_text(kind, m->bytes, m->len, at);
    *at += fixed;
    return code;
}

int unstick_message_encode(const unstick_message *m, uint8_t fixed[UNSTICK_MAX_FIXED])
{
    size_t at;
    if (m->kind == 0 || !length_allowed(m->kind, (uint64_t)fixed_len(m->kind) + m->len, &at) ||
        judge_text(m->kind, m->bytes, m->len, &at) != 0)
        return -1;
    switch (m->kind) {
    case UNSTICK_HELLO:
        put_number(fixed, 4, m->limit);
        break;
    case UNSTICK_CLOSE:
        if (m->code == UNSTICK_NO_ERROR && m->len == 0)
            return 0;
        put_number(fixed, 2, m->code);
        break;
    case UNSTICK_FILE_OPEN:
        copy(fixed + 4, m->key, 16);
        put_number(fixed + 20, 8, m->size);
        break;
    case UNSTICK_FILE_DATA:
        put_number(fixed + 4, 8, m->offset);
        break;
    case UNSTICK_FILE_DONE:
        put_number(fixed + 4, 8, m->total);
        copy(fixed + 12, m->digest, 32);
        break;
    case UNSTICK_FILE_STATUS:
        put_number(fixed + 4, 2, m->code);
        put_number(fixed + 6, 8, m->offset);
        copy(fixed + 14, m->digest, 32);
        break;
    case UNSTICK_FILE_CANCEL:
        put_number(fixed + 4, 2, m->code);
        break;
    case UNSTICK_FILE_ATTRIBUTES:
        put_number(fixed + 4, 8, m->offset);
        fixed[12] = m->executable;
        break;
    default:
        break;
    }
    if (m->kind == UNSTICK_FILE_ATTRIBUTES || (m->kind >= UNSTICK_FILE_OPEN && m->kind <= UNSTICK_FILE_CANCEL))
        put_number(fixed, 4, m->transfer);
    return (int)fixed_len(m->kind);
}

#if UNSTICK_DATAGRAMS
bool unstick_datagram_check_messages(const uint8_t *bytes, size_t len, bool cut, uint32_t limit, const uint8_t *known,
                                     size_t known_len, unstick_error *cause)
{
    unstick_datagram_frame frame;
    unstick_message message;
    size_t position = 0, at;
    if (!unstick_datagram_check(bytes, len, cut, limit, known, known_len, cause))
        return false;
    while (unstick_datagram_next(bytes, len, known, known_len, &position, &frame)) {
        uint16_t code = unstick_message_decode(frame.kind, frame.payload, frame.len, &message, &at);
        if (code != 0) {
            *cause = (unstick_error){.code = code, .at = frame.at};
            return false;
        }
    }
    return true;
}
#endif

/* ---- The conversation: what chapters 14 and 15 decide ------------------------------------ */

enum { NONE, OPENED, SENDING };             /* 15.4 */
enum { OFFERED = 1, READY, RECEIVING };     /* 15.5; NONE too */
enum { DONE = 1, WORKING = 2 };             /* flags of a transfer that a status is owed for */

static bool defined_kind(uint8_t kind)
{
    return (kind >= UNSTICK_TEXT && kind <= UNSTICK_CLOSE) || fixed_len(kind) != 0;
}

static bool application_kind(uint8_t kind)
{
    return (kind & 0x40) != 0;
}

static bool known_kind(const unstick_session *s, uint8_t kind)
{
    if (application_kind(kind)) /* a reserved kind cannot be made known, CNV-9 */
        for (size_t i = 0; i < s->known_len; i++)
            if (s->known[i] == kind)
                return true;
    return defined_kind(kind);
}

static bool between(uint16_t code, uint16_t first, uint16_t last)
{
    return first <= code && code <= last;
}

/* COD-2: whether a message of this kind may have the code. */
static bool code_allowed(uint8_t kind, uint16_t code)
{
    if (code >= 0x8000)
        return true; /* of applications */
    switch (kind) {
    case UNSTICK_CLOSE:
        return code <= UNSTICK_IDLE_TIMEOUT ||
               (between(code, UNSTICK_BAD_MESSAGE, UNSTICK_TOO_SLOW) && code != UNSTICK_UNCLOSED);
    case UNSTICK_FILE_STATUS:
        return between(code, UNSTICK_SHUTTING_DOWN, UNSTICK_TOO_SLOW) || between(code, UNSTICK_READY, UNSTICK_WORKING) ||
               between(code, UNSTICK_STORED, UNSTICK_EXISTS) || between(code, UNSTICK_CANCELLED, UNSTICK_STORAGE_FAILED);
    case UNSTICK_FILE_CANCEL:
        return between(code, UNSTICK_GIVEN_UP, UNSTICK_UNREADABLE);
    default:
        return true;
    }
}

static bool has_reason(uint8_t kind)
{
    return kind == UNSTICK_CLOSE || kind == UNSTICK_FILE_STATUS || kind == UNSTICK_FILE_CANCEL;
}

#if UNSTICK_FILES
/* FIL-13. */
static bool others_follow(uint16_t code)
{
    return between(code, 0x0110, 0x011F);
}

/* 15.4 and 15.5: where the first data may begin, and a done without data may end. */
static bool may_begin(uint64_t at, bool ready, uint64_t held)
{
    return at == 0 || (ready && at == held);
}

/* 15.4 and 15.5: data within the announced size. Not known is 2^64 - 1, which is the bound then. */
static bool within(uint64_t offset, size_t len, uint64_t size)
{
    return offset <= size && len <= size - offset;
}

static bool total_allowed(uint64_t total, uint64_t size)
{
    return size == UNSTICK_SIZE_UNKNOWN || total == size;
}

/* FIL-25. */
static bool is_key(const uint8_t *key)
{
    for (unsigned i = 0; key != NULL && i < 16; i++)
        if (key[i] != 0)
            return true;
    return false;
}

/* FIL-14 and FIL-25: the offset in ready. */
static bool may_hold(uint64_t held, uint64_t size, bool keyed)
{
    return held <= size && (keyed || held == 0);
}
#endif

/* The rules 2 to 5 of 14.8, as far as the header decides them. Returns the error, or 0. */
static uint16_t judge_header(const unstick_session *s, uint8_t kind, uint64_t length, size_t *at)
{
    if (s->close_received)
        return UNSTICK_MISPLACED_MESSAGE; /* CNV-5 */
    if (kind == UNSTICK_HELLO && s->received)
        return UNSTICK_MISPLACED_MESSAGE; /* CNV-1 */
    if (!known_kind(s, kind))
        return (kind & 0x80) ? 0 : UNSTICK_UNKNOWN_KIND; /* CNV-9 */
    return length_allowed(kind, length, at) ? 0 : UNSTICK_BAD_MESSAGE;
}

/* The rules 6 and 7 of 14.8, except for statuses. */
static uint16_t judge_id(const unstick_session *s, const unstick_message *m)
{
    bool above = m->transfer >= s->in_next;
    if (m->kind == UNSTICK_FILE_OPEN && s->peer_limit < UNSTICK_STATUS_LEN)
        return UNSTICK_MISPLACED_MESSAGE; /* FIL-20 */
    return above == (m->kind == UNSTICK_FILE_OPEN) ? 0 : UNSTICK_BAD_TRANSFER_ID; /* FIL-1, FIL-2 */
}

/* The rules 9 to 11 of 14.8, for an open: the error, the final status that the session gives it, or
 * 0 if it is the application's. */
static uint16_t judge_open(const unstick_session *s, uint16_t name)
{
    if (s->in_count == UNSTICK_MAX_TRANSFERS)
        return UNSTICK_TOO_MANY_TRANSFERS; /* FIL-3 */
    if (name != 0)
        return name;
    if (s->in_state != NONE)
        return UNSTICK_SECOND_OPEN; /* FIL-6 */
    if (s->draining)
        return UNSTICK_SHUTTING_DOWN; /* CNV-16 */
    return UNSTICK_FILES ? 0 : UNSTICK_NOT_ACCEPTED;
}

#if UNSTICK_FILES
/* 15.5: what data or done for the open file breaks, or 0. */
static uint16_t judge_file(const unstick_session *s, const unstick_message *m)
{
    bool receiving = s->in_state == RECEIVING, ready = s->in_state == READY;
    uint64_t at = m->kind == UNSTICK_FILE_DATA ? m->offset : m->total;
    bool fits = receiving ? at == s->in_position : may_begin(at, ready, s->in_position);
    if (m->kind == UNSTICK_FILE_DATA)
        return !fits ? UNSTICK_BAD_OFFSET : !within(at, m->len, s->in_size) ? UNSTICK_EXCESS : 0;
    return !fits || !total_allowed(at, s->in_size) ? UNSTICK_WRONG_TOTAL : 0;
}

/* 15.5, the second table: whether the receiver of a file may say this about a transfer that it owes
 * a final status. */
static bool may_answer(const unstick_session *s, const unstick_message *m, bool done)
{
    bool open = s->in_state != NONE && s->in_id == m->transfer;
    switch (m->code) {
    case UNSTICK_READY: /* FIL-14 */
        return open && s->in_state == OFFERED && may_hold(m->offset, s->in_size, s->in_keyed);
    case UNSTICK_STORED: /* FIL-15 */
        return done;
    default:
        return true;
    }
}

/* 15.4, the first table. */
static bool may_send_file(const unstick_session *s, const unstick_message *m)
{
    if (m->kind == UNSTICK_FILE_OPEN)
        return s->out_state == NONE && m->transfer >= s->out_next && s->out_count < UNSTICK_MAX_TRANSFERS &&
               !s->close_received /* CNV-7 */ && !s->draining /* CNV-16 */ &&
               s->own_limit >= UNSTICK_STATUS_LEN && s->peer_limit >= UNSTICK_STATUS_LEN /* FIL-20 */;
    if (s->out_state == NONE || m->transfer != s->out_id)
        return false;
    uint64_t at = m->kind == UNSTICK_FILE_DATA ? m->offset : m->total;
    bool fits = s->out_state == SENDING ? at == s->out_position : may_begin(at, s->out_ready, s->out_held);
    switch (m->kind) {
    case UNSTICK_FILE_DATA:
        return fits && within(at, m->len, s->out_size);
    case UNSTICK_FILE_DONE:
        return fits && total_allowed(at, s->out_size);
    default:
        return true;
    }
}

/* 15.4, the second table: what a status means for an unanswered transfer. */
static unstick_told meaning(const unstick_session *s, const unstick_message *m, bool done)
{
    bool open = s->out_state != NONE && s->out_id == m->transfer;
    if (m->code == UNSTICK_READY)
        return !open || s->out_state != OPENED ? UNSTICK_ON_NOTHING
               : s->out_ready || !may_hold(m->offset, s->out_size, s->out_keyed) ? UNSTICK_ON_ERROR
               : UNSTICK_ON_FILE_READY;
    if (m->code == UNSTICK_STORED && !done)
        return UNSTICK_ON_ERROR;
    return others_follow(m->code) ? UNSTICK_ON_FILE_WORKING : UNSTICK_ON_FILE_END;
}
#endif

/* CNV-4. Returns how many open pings, from the oldest on, a pong ends; 0 if it answers none. */
static unsigned answered(const unstick_session *s, const unstick_message *pong)
{
    unsigned n = s->ping_count;
    while (n != 0 && (pong->len != s->pings[n - 1].len || !same(pong->bytes, s->pings[n - 1].bytes, pong->len)))
        n--;
    return n;
}

/* ---- The conversation: what is done about it --------------------------------------------- */

void unstick_session_begin(unstick_session *s, const uint8_t *known, size_t known_len)
{
    *s = (unstick_session){
        .known = known, .known_len = known_len, .peer_limit = UNSTICK_EARLY_LIMIT, .own_limit = UINT32_MAX};
}

static unstick_told fail(unstick_session *s, uint16_t code)
{
    if (s->error == 0) {
        s->error = code;
        s->close_due = !s->close_sent && code_allowed(UNSTICK_CLOSE, code) && s->peer_limit >= 2; /* CNV-11 */
    }
    return UNSTICK_ON_ERROR;
}

void unstick_session_fail(unstick_session *s, uint16_t code)
{
    fail(s, code);
}

/* Returns the place of a transfer that the application may still answer, or in_count. */
static unsigned owed(const unstick_session *s, uint32_t id)
{
    unsigned i = 0;
    while (i < s->in_count && (s->in[i].id != id || s->in[i].code != 0))
        i++;
    return i;
}

static void settle(unstick_session *s, unsigned i)
{
    s->in_count--;
    for (; i < s->in_count; i++)
        s->in[i] = s->in[i + 1];
}

static void owe(unstick_session *s, uint32_t id, uint16_t code)
{
    s->in[s->in_count].id = id;
    s->in[s->in_count].code = code;
    s->in[s->in_count].flags = 0;
    s->in_count++;
}

/* Refuses a transfer by a final status of the session's own. Those that are due are said in the
 * order of their opens. Nothing can be said after this side's close. */
static unstick_told refuse(unstick_session *s, unstick_message *m, uint16_t code)
{
    unsigned i = owed(s, m->transfer);
    if (i < s->in_count) {
        s->in[i].code = code;
        s->in[i].flags = 0; /* a working that waits is dropped, CNV-17 */
    } else if (!s->close_sent)
        owe(s, m->transfer, code);
    m->code = code;
    return UNSTICK_ON_FILE_REFUSED;
}

static unstick_told receive_file(unstick_session *s, unstick_message *m, uint16_t name)
{
    uint16_t code = judge_id(s, m);
    if (code != 0)
        return fail(s, code);
    if (m->kind == UNSTICK_FILE_OPEN) {
        s->in_next = (uint64_t)m->transfer + 1;
        if (s->close_sent)
            return UNSTICK_ON_NOTHING; /* CNV-6 */
        code = judge_open(s, name);
        if (code == UNSTICK_TOO_MANY_TRANSFERS)
            return fail(s, code);
        if (code != 0)
            return refuse(s, m, code);
#if UNSTICK_FILES
        owe(s, m->transfer, 0);
        s->in_state = OFFERED;
        s->in_id = m->transfer;
        s->in_size = m->size;
        s->in_keyed = is_key(m->key);
#endif
        return UNSTICK_ON_MESSAGE;
    }
#if UNSTICK_FILES
    if (s->in_state == NONE || m->transfer != s->in_id)
        return UNSTICK_ON_NOTHING; /* FIL-7 */
    if (m->kind == UNSTICK_FILE_ATTRIBUTES)
        return UNSTICK_ON_MESSAGE; /* FIL-26 */
    if (m->kind == UNSTICK_FILE_CANCEL) {
        code = m->code;
        s->in_state = NONE;
        refuse(s, m, UNSTICK_CANCELLED); /* FIL-11 */
        m->code = code;
        return UNSTICK_ON_MESSAGE;
    }
    code = judge_file(s, m);
    if (code != 0) {
        s->in_state = NONE;
        return refuse(s, m, code);
    }
    if (m->kind == UNSTICK_FILE_DATA) {
        s->in_state = RECEIVING;
        s->in_position = m->offset + m->len;
    } else {
        unsigned i = owed(s, m->transfer);
        if (i < s->in_count)
            s->in[i].flags |= DONE;
        s->in_state = NONE;
    }
    return UNSTICK_ON_MESSAGE;
#else
    return UNSTICK_ON_NOTHING;
#endif
}

static unstick_told receive_status(unstick_session *s, const unstick_message *m)
{
#if UNSTICK_FILES
    unsigned i = 0;
    while (i < s->out_count && s->out[i].id != m->transfer)
        i++;
    if (i == s->out_count)
        return fail(s, UNSTICK_BAD_TRANSFER_ID);
    unstick_told told = meaning(s, m, s->out[i].done);
    if (told == UNSTICK_ON_ERROR)
        return fail(s, UNSTICK_MISPLACED_MESSAGE);
    if (told == UNSTICK_ON_FILE_READY) {
        s->out_ready = true;
        s->out_held = m->offset;
    } else if (told == UNSTICK_ON_FILE_END) {
        s->out_count--;
        for (; i < s->out_count; i++)
            s->out[i] = s->out[i + 1];
        if (s->out_id == m->transfer)
            s->out_state = NONE;
    }
    return told;
#else
    (void)m;
    return fail(s, UNSTICK_BAD_TRANSFER_ID);
#endif
}

unstick_told unstick_session_header(unstick_session *s, uint8_t kind, uint32_t length)
{
    if (s->error != 0)
        return UNSTICK_ON_ERROR; /* CNV-10 */
    if (s->end_received)
        return UNSTICK_ON_NOTHING; /* a mistake of the caller */
    uint16_t code = judge_header(s, kind, length, &s->error_at);
    if (code != 0)
        return fail(s, code);
    if (known_kind(s, kind))
        return UNSTICK_ON_MESSAGE;
    s->received = true;
    return UNSTICK_ON_NOTHING;
}

unstick_told unstick_session_receive(unstick_session *s, uint8_t kind, const uint8_t *payload, size_t len,
                                     unstick_message *m)
{
    unstick_message none = {.kind = 0};
    *m = none;
    if (s->error != 0)
        return UNSTICK_ON_ERROR; /* CNV-10 */
    if (s->end_received)
        return UNSTICK_ON_NOTHING; /* a mistake of the caller */
    uint16_t code = judge_header(s, kind, len, &s->error_at);
    s->received = true;
    if (code == 0 && !known_kind(s, kind))
        return UNSTICK_ON_NOTHING;
    if (code == 0)
        code = unstick_message_decode(kind, payload, len, m, &s->error_at);
    if (code != 0 && code != UNSTICK_BAD_NAME)
        return fail(s, code);
    switch (kind) {
    case UNSTICK_HELLO:
        s->peer_limit = m->limit;
        return UNSTICK_ON_MESSAGE;
    case UNSTICK_PING:
        if (m->len > s->peer_limit)
            return UNSTICK_ON_NOTHING; /* CNV-3 */
        s->pong_due = true;
        s->pong_len = (uint8_t)m->len;
        copy(s->pong, m->bytes, m->len);
        return UNSTICK_ON_NOTHING;
    case UNSTICK_PONG: {
        unsigned n = answered(s, m);
        if (n == 0)
            return UNSTICK_ON_NOTHING;
        s->ping_count = (uint8_t)(s->ping_count - n);
        for (unsigned i = 0; i < s->ping_count; i++)
            s->pings[i] = s->pings[i + n];
        return UNSTICK_ON_MESSAGE;
    }
    case UNSTICK_CLOSE:
        s->close_received = true;
        s->ping_count = 0; /* CNV-15 */
        if (s->in_state != NONE) { /* no status is owed any more, FIL-5 */
            unsigned i = owed(s, s->in_id);
            if (i < s->in_count)
                settle(s, i);
            s->in_state = NONE;
        }
        return UNSTICK_ON_MESSAGE;
    case UNSTICK_FILE_OPEN:
    case UNSTICK_FILE_DATA:
    case UNSTICK_FILE_DONE:
    case UNSTICK_FILE_CANCEL:
    case UNSTICK_FILE_ATTRIBUTES:
        return receive_file(s, m, code);
    case UNSTICK_FILE_STATUS:
        return receive_status(s, m);
    default:
        return UNSTICK_ON_MESSAGE;
    }
}

unstick_told unstick_session_skipped(unstick_session *s)
{
    if (s->error != 0)
        return UNSTICK_ON_ERROR;
    if (s->close_received)
        return fail(s, UNSTICK_OVERSIZE); /* CNV-20 */
    s->received = true;
    return UNSTICK_ON_NOTHING;
}

unstick_told unstick_session_end(unstick_session *s)
{
    if (s->error != 0)
        return UNSTICK_ON_ERROR;
    if (!s->close_received)
        return fail(s, UNSTICK_UNCLOSED); /* CNV-8 */
    s->end_received = true;
    return UNSTICK_ON_CLEAN_END;
}

void unstick_session_drain(unstick_session *s)
{
    s->draining = true;
}

bool unstick_session_busy(const unstick_session *s)
{
    if (s->error != 0)
        return false;
#if UNSTICK_FILES
    if (s->out_count != 0 && !s->close_received)
        return true;
#endif
    return s->in_count != 0 && !s->close_sent;
}

void unstick_session_tick(unstick_session *s)
{
    for (unsigned i = 0; i < s->in_count; i++) {
        bool open = s->in_state != NONE && s->in_id == s->in[i].id;
        if (s->in[i].code == 0 && ((s->in[i].flags & DONE) || (open && s->in_state == OFFERED)))
            s->in[i].flags |= WORKING; /* its sender waits for a final status, or for ready */
    }
}

bool unstick_session_says(unstick_session *s, unstick_message *m)
{
    unstick_message none = {.kind = 0};
    *m = none;
    if (s->error != 0) {
        if (!s->close_due)
            return false;
        s->close_due = false;
        s->close_sent = true;
        m->kind = UNSTICK_CLOSE;
        m->code = s->error;
        return true;
    }
    if (s->close_sent)
        return false;
    if (s->pong_due) {
        s->pong_due = false;
        m->kind = UNSTICK_PONG;
        m->bytes = s->pong;
        m->len = s->pong_len;
    }
    for (unsigned i = 0; m->kind == 0 && i < s->in_count; i++) {
        bool working = (s->in[i].flags & WORKING) != 0;
        if (s->in[i].code == 0 && !working)
            continue;
        m->kind = UNSTICK_FILE_STATUS;
        m->transfer = s->in[i].id;
        m->code = working ? UNSTICK_WORKING : s->in[i].code;
        s->in[i].flags &= DONE;
        if (!working)
            settle(s, i);
    }
    s->sent |= m->kind != 0;
    return m->kind != 0;
}

#if UNSTICK_FILES
static void send_file(unstick_session *s, const unstick_message *m)
{
    switch (m->kind) {
    case UNSTICK_FILE_OPEN:
        s->out_next = (uint64_t)m->transfer + 1;
        s->out_state = OPENED;
        s->out_id = m->transfer;
        s->out_size = m->size;
        s->out_ready = false;
        s->out_keyed = is_key(m->key);
        s->out[s->out_count].id = m->transfer;
        s->out[s->out_count].done = false;
        s->out_count++;
        break;
    case UNSTICK_FILE_DATA:
        s->out_state = SENDING;
        s->out_position = m->offset + m->len;
        break;
    case UNSTICK_FILE_DONE: /* the open file is the last that was opened, and unanswered */
        s->out[s->out_count - 1].done = true;
        s->out_state = NONE;
        break;
    case UNSTICK_FILE_ATTRIBUTES:
        break;
    default:
        s->out_state = NONE;
        break;
    }
}

static bool send_status(unstick_session *s, const unstick_message *m)
{
    unsigned i = owed(s, m->transfer);
    if (i == s->in_count || !may_answer(s, m, (s->in[i].flags & DONE) != 0))
        return false;
    if (m->code == UNSTICK_READY) {
        s->in_state = READY;
        s->in_position = m->offset;
    }
    s->in[i].flags &= DONE;
    if (!others_follow(m->code)) {
        settle(s, i);
        if (s->in_id == m->transfer)
            s->in_state = NONE;
    }
    return true;
}
#endif

int unstick_session_send(unstick_session *s, unstick_message *m, uint8_t fixed[UNSTICK_MAX_FIXED])
{
    if (s->error != 0 || s->close_sent)
        return -1;
    if (has_reason(m->kind)) {
        if (!code_allowed(m->kind, m->code))
            return -1;
        unsigned need = fixed_len(m->kind);
        uint32_t room = s->peer_limit > need ? s->peer_limit - need : 0;
        m->len = unstick_utf8(m->bytes, m->len < room ? m->len : (size_t)room); /* CNV-11 */
    }
    int len = unstick_message_encode(m, fixed);
    if (len < 0 || (uint64_t)len + m->len > s->peer_limit)
        return -1;
    switch (m->kind) {
    case UNSTICK_HELLO:
        if (s->sent)
            return -1; /* CNV-1 */
        s->own_limit = m->limit;
        break;
    case UNSTICK_PING:
        if (s->ping_count == UNSTICK_MAX_PINGS || m->len > s->own_limit)
            return -1; /* CNV-15 */
        if (!s->close_received) {
            s->pings[s->ping_count].len = (uint8_t)m->len;
            copy(s->pings[s->ping_count].bytes, m->bytes, m->len);
            s->ping_count++;
        }
        break;
    case UNSTICK_CLOSE:
        s->close_sent = true; /* what is still owed cannot be answered any more */
#if UNSTICK_FILES
        s->out_state = NONE; /* 15.4 */
#endif
        break;
    case UNSTICK_FILE_OPEN:
    case UNSTICK_FILE_DATA:
    case UNSTICK_FILE_DONE:
    case UNSTICK_FILE_CANCEL:
    case UNSTICK_FILE_ATTRIBUTES:
#if UNSTICK_FILES
        if (!may_send_file(s, m))
            return -1;
        send_file(s, m);
        break;
#else
        return -1;
#endif
    case UNSTICK_FILE_STATUS:
#if UNSTICK_FILES
        if (!send_status(s, m))
            return -1;
        break;
#else
        return -1;
#endif
    default:
        if (!defined_kind(m->kind) && !application_kind(m->kind))
            return -1; /* reserved, 5.1 */
        break;
    }
    s->sent = true;
    return len;
}
