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

/* 13.6. Returns true if the name is allowed, else the offset of what is wrong in `*at`. */
static bool name_allowed(const uint8_t *name, size_t len, size_t *at)
{
    *at = 0;
    if (len == 0)
        return false;
    if (len > UNSTICK_MAX_NAME) {
        *at = UNSTICK_MAX_NAME;
        return false;
    }
    if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
        return false;
    while (*at < len) {
        const uint8_t *c = name + *at;
        unsigned n = character(c, len - *at);
        bool control = c[0] < 0x20 || c[0] == 0x7F || (c[0] == 0xC2 && n == 2 && c[1] < 0xA0);
        if (n == 0 || control || c[0] == '/' || c[0] == '\\' || c[0] == ':')
            return false;
        *at += n;
    }
    return true;
}

/* Checks what follows the fixed fields: 0, UNSTICK_BAD_MESSAGE or UNSTICK_BAD_NAME, with the offset
 * after the fixed fields. */
static uint16_t judge_rest(uint8_t kind, const uint8_t *bytes, size_t len, size_t *at)
{
    bool good = true;
    *at = 0;
    switch (kind) {
    case UNSTICK_PING:
    case UNSTICK_PONG:
        good = len <= UNSTICK_MAX_PING;
        *at = UNSTICK_MAX_PING;
        break;
    case UNSTICK_FILE_DATA:
        good = len != 0;
        break;
    case UNSTICK_FILE_DONE:
        good = len == 0;
        break;
    case UNSTICK_FILE_OPEN:
        return name_allowed(bytes, len, at) ? 0 : UNSTICK_BAD_NAME;
    case UNSTICK_TEXT:
    case UNSTICK_HELLO:
    case UNSTICK_CLOSE:
    case UNSTICK_FILE_STATUS:
    case UNSTICK_FILE_CANCEL:
        *at = unstick_utf8(bytes, len);
        good = *at == len;
        break;
    default:
        break;
    }
    return good ? 0 : UNSTICK_BAD_MESSAGE;
}

uint16_t unstick_message_decode(uint8_t kind, const uint8_t *payload, size_t len, unstick_message *m, size_t *at)
{
    unsigned fixed = fixed_len(kind);
    *m = (unstick_message){.kind = kind};
    if (kind == UNSTICK_CLOSE && len == 0)
        return 0; /* the same as no-error without a reason, MSG-4 */
    if (len < fixed) {
        *at = len;
        return UNSTICK_BAD_MESSAGE;
    }
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
    default:
        break;
    }
    m->len = len - fixed;
    if (m->len != 0)
        m->bytes = payload + fixed;
    uint16_t code = judge_rest(kind, m->bytes, m->len, at);
    *at += fixed;
    return code;
}

int unstick_message_encode(const unstick_message *m, uint8_t fixed[UNSTICK_MAX_FIXED])
{
    size_t at;
    if (m->kind == 0 || judge_rest(m->kind, m->bytes, m->len, &at) != 0)
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
    default:
        break;
    }
    if (m->kind >= UNSTICK_FILE_OPEN && m->kind <= UNSTICK_FILE_CANCEL)
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
            *cause = (unstick_error){.code = code, .at = at};
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

/* Codes that are never sent: chapters 9 and 16. */
static bool local_code(uint16_t code)
{
    return code == UNSTICK_REFUSED_DATAGRAM || code == UNSTICK_UNSYNCHRONIZED || code == UNSTICK_UNCLOSED;
}

static bool has_reason(uint8_t kind)
{
    return kind == UNSTICK_CLOSE || kind == UNSTICK_FILE_STATUS || kind == UNSTICK_FILE_CANCEL;
}

#if UNSTICK_FILES
/* FIL-13. */
static bool others_follow(uint16_t code)
{
    return code >= 0x0110 && code <= 0x011F;
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
#endif

/* The order in which a frame is judged, before the rules for files: a malformed payload, an unknown
 * kind, a message out of place. Returns 0, UNSTICK_BAD_NAME for a file that is refused, or the
 * error. */
static uint16_t judge(const unstick_session *s, uint8_t kind, const uint8_t *payload, size_t len, unstick_message *m)
{
    size_t at;
    uint16_t code = unstick_message_decode(kind, payload, len, m, &at);
    if (code == UNSTICK_BAD_MESSAGE)
        return code;
    if (s->close_received)
        return UNSTICK_MISPLACED_MESSAGE; /* CNV-5 */
    if (!known_kind(s, kind))
        return (kind & 0x80) ? 0 : UNSTICK_UNKNOWN_KIND; /* CNV-9 */
    if (kind == UNSTICK_HELLO && s->received)
        return UNSTICK_MISPLACED_MESSAGE; /* CNV-1 */
    if (kind == UNSTICK_FILE_OPEN && s->short_peer)
        return UNSTICK_MISPLACED_MESSAGE; /* FIL-20 */
    return code;
}

/* The rows for open, data, done and cancel that do not depend on the open file. */
static uint16_t judge_id(const unstick_session *s, const unstick_message *m)
{
    bool above = m->transfer >= s->in_next;
    if (m->kind == UNSTICK_FILE_OPEN)
        return !above ? UNSTICK_BAD_TRANSFER_ID /* FIL-1 */
               : s->in_count == UNSTICK_MAX_TRANSFERS ? UNSTICK_TOO_MANY_TRANSFERS : 0; /* FIL-3 */
    return above ? UNSTICK_BAD_TRANSFER_ID : 0; /* FIL-2 */
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
        return open && s->in_state == OFFERED && m->offset <= s->in_size;
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
               !s->close_received /* CNV-7 */ && !s->short_self /* FIL-20 */;
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
               : s->out_ready ? UNSTICK_ON_ERROR : UNSTICK_ON_FILE_READY;
    if (m->code == UNSTICK_STORED && !done)
        return UNSTICK_ON_ERROR;
    return others_follow(m->code) ? UNSTICK_ON_FILE_WORKING : UNSTICK_ON_FILE_END;
}
#endif

/* CNV-4. */
static bool answers_ping(const unstick_session *s, const unstick_message *pong)
{
    return s->ping_open && pong->len == s->ping_len && same(pong->bytes, s->ping, pong->len);
}

/* ---- The conversation: what is done about it --------------------------------------------- */

void unstick_session_begin(unstick_session *s, const uint8_t *known, size_t known_len)
{
    *s = (unstick_session){.known = known, .known_len = known_len, .peer_limit = UNSTICK_EARLY_LIMIT};
}

static unstick_told fail(unstick_session *s, uint16_t code)
{
    if (s->error == 0) {
        s->error = code;
        s->close_due = !s->close_sent && !local_code(code) && s->peer_limit >= 2; /* CNV-11 */
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
    if (i < s->in_count)
        s->in[i].code = code;
    else if (!s->close_sent)
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
        if (name != 0)
            return refuse(s, m, name);
#if UNSTICK_FILES
        if (s->in_state != NONE)
            return refuse(s, m, UNSTICK_SECOND_OPEN); /* FIL-6 */
        owe(s, m->transfer, 0);
        s->in_state = OFFERED;
        s->in_id = m->transfer;
        s->in_size = m->size;
        return UNSTICK_ON_MESSAGE;
#else
        return refuse(s, m, UNSTICK_NOT_ACCEPTED);
#endif
    }
#if UNSTICK_FILES
    if (s->in_state == NONE || m->transfer != s->in_id)
        return UNSTICK_ON_NOTHING; /* FIL-7 */
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

unstick_told unstick_session_receive(unstick_session *s, uint8_t kind, const uint8_t *payload, size_t len,
                                     unstick_message *m)
{
    unstick_message none = {.kind = 0};
    *m = none;
    if (s->error != 0)
        return UNSTICK_ON_ERROR; /* CNV-10 */
    if (s->end_received)
        return UNSTICK_ON_NOTHING; /* a mistake of the caller */
    uint16_t code = judge(s, kind, payload, len, m);
    s->received = true;
    if (code != 0 && code != UNSTICK_BAD_NAME)
        return fail(s, code);
    if (!known_kind(s, kind))
        return UNSTICK_ON_NOTHING;
    switch (kind) {
    case UNSTICK_HELLO:
        s->peer_limit = m->limit;
        s->short_peer = m->limit < UNSTICK_STATUS_LEN;
        return UNSTICK_ON_MESSAGE;
    case UNSTICK_PING:
        s->pong_due = true;
        s->pong_len = (uint8_t)m->len;
        copy(s->pong, m->bytes, m->len);
        return UNSTICK_ON_NOTHING;
    case UNSTICK_PONG:
        if (!answers_ping(s, m))
            return UNSTICK_ON_NOTHING;
        s->ping_open = false;
        return UNSTICK_ON_MESSAGE;
    case UNSTICK_CLOSE:
        s->close_received = true;
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
        return receive_file(s, m, code);
    case UNSTICK_FILE_STATUS:
        return receive_status(s, m);
    default:
        return UNSTICK_ON_MESSAGE;
    }
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
        if (s->pong_len <= s->peer_limit) { /* CNV-3 */
            m->kind = UNSTICK_PONG;
            m->bytes = s->pong;
            m->len = s->pong_len;
        }
    }
    for (unsigned i = 0; m->kind == 0 && i < s->in_count; i++) {
        if (s->in[i].code == 0 && !(s->in[i].flags & WORKING))
            continue;
        m->kind = UNSTICK_FILE_STATUS;
        m->transfer = s->in[i].id;
        m->code = s->in[i].code;
        if (m->code != 0) {
            settle(s, i);
        } else {
            m->code = UNSTICK_WORKING;
            s->in[i].flags &= DONE;
        }
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
        if (local_code(m->code))
            return -1;
        unsigned need = fixed_len(m->kind);
        uint32_t room = s->peer_limit > need ? s->peer_limit - need : 0;
        if (m->len > room && unstick_utf8(m->bytes, m->len) == m->len)
            m->len = unstick_utf8(m->bytes, (size_t)room); /* CNV-11 */
    }
    int len = unstick_message_encode(m, fixed);
    if (len < 0 || (uint64_t)len + m->len > s->peer_limit)
        return -1;
    switch (m->kind) {
    case UNSTICK_HELLO:
        if (s->sent)
            return -1; /* CNV-1 */
        s->short_self = m->limit < UNSTICK_STATUS_LEN;
        break;
    case UNSTICK_PING:
        s->ping_open = true;
        s->ping_len = (uint8_t)m->len;
        copy(s->ping, m->bytes, m->len);
        break;
    case UNSTICK_CLOSE:
        s->close_sent = true; /* what is still owed cannot be answered any more */
        break;
    case UNSTICK_FILE_OPEN:
    case UNSTICK_FILE_DATA:
    case UNSTICK_FILE_DONE:
    case UNSTICK_FILE_CANCEL:
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
