/* test.c: tests without vectors, meant to run with sanitizers. Prints what fails, and exits with 1.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unstick.h"
#include "unstick_session.h"

static unsigned failures, tests;
static const char *test_name;

#define CHECK(condition)                                                                    \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            failures++;                                                                     \
            printf("%s: line %d: not so: %s\n", test_name, __LINE__, #condition);           \
        }                                                                                   \
    } while (0)

static uint32_t random_state = 1;

static uint32_t below(uint32_t bound)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 17;
    random_state ^= random_state << 5;
    return random_state % bound;
}

static const uint8_t HI[] = {0xF5, 0x01, 0x01, 0x00, 0x00, 0x00, 0x02, 0xF2, 'h', 'i'};

/* ---- Frames ------------------------------------------------------------------------------- */

static void the_state_is_a_few_dozen_bytes(void)
{
    CHECK(sizeof(unstick_decoder) <= 40);
}

static void a_header_is_written_and_read(void)
{
    uint8_t header[UNSTICK_HEADER_LEN], kind = 0;
    uint32_t length = 0;
    CHECK(unstick_encode_header(header, UNSTICK_TEXT, 2, 2));
    CHECK(memcmp(header, HI, sizeof header) == 0);
    CHECK(unstick_decode_header(header, 2, &kind, &length) == 0 && kind == UNSTICK_TEXT && length == 2);
    CHECK(unstick_decode_header(header, 1, &kind, &length) == UNSTICK_OVERSIZE);
    header[7] ^= 1;
    CHECK(unstick_decode_header(header, 1, &kind, &length) == UNSTICK_BAD_CHECK);
    memset(header, 0xAA, sizeof header);
    CHECK(!unstick_encode_header(header, UNSTICK_TEXT, 3, 2) && header[0] == 0xAA);
    CHECK(!unstick_encode_header(header, 0, 0, 2) && header[0] == 0xAA);
    CHECK(!unstick_encode_header(header, 1, UINT64_C(1) << 32, UINT32_MAX) && header[0] == 0xAA);
}

static void no_byte_changes_nothing(void)
{
    unstick_decoder d;
    unstick_event event;
    unstick_reset(&d, 2);
    CHECK(unstick_decode(&d, NULL, 0, &event) == 0 && event.type == UNSTICK_MORE);
    unstick_end(&d, &event);
    CHECK(event.type == UNSTICK_CLEAN_END);
}

static void every_single_to_triple_bit_error_is_refused(void)
{
    for (unsigned a = 0; a < 64; a++)
        for (unsigned b = a; b < 64; b++)
            for (unsigned c = b; c < 64; c++) {
                uint8_t header[UNSTICK_HEADER_LEN], kind;
                uint32_t length;
                memcpy(header, HI, sizeof header);
                /* One bit if all are equal, two bits if two of them are. */
                header[a / 8] ^= (uint8_t)(1 << a % 8);
                if (b != a)
                    header[b / 8] ^= (uint8_t)(1 << b % 8);
                if (c != b)
                    header[c / 8] ^= (uint8_t)(1 << c % 8);
                CHECK(unstick_decode_header(header, UINT32_MAX, &kind, &length) != 0);
            }
}

#if UNSTICK_SEARCH
static void a_frame_that_has_begun_can_be_rejected(void)
{
    unstick_decoder d;
    unstick_event event;
    size_t used;
    unstick_reset(&d, 100);
    CHECK(unstick_reject(&d) == UNSTICK_REJECTED);
    /* A header whose bytes stop coming, and a whole frame that begins inside of it. */
    unstick_decode(&d, HI, 2, &event);
    unstick_decode(&d, HI, 2, &event);
    CHECK(unstick_reject(&d) == UNSTICK_BEGUN);
    CHECK(unstick_reject(&d) == UNSTICK_REJECTED);
    used = unstick_decode(&d, HI + 2, sizeof HI - 2, &event);
    CHECK(used == 6 && event.type == UNSTICK_FRAME && event.at == 2 && event.skipped == 2);
    /* A payload whose rest does not come. */
    CHECK(unstick_decode(&d, HI, 1, &event) == 1 && event.type == UNSTICK_DATA && !event.last);
    CHECK(unstick_reject(&d) == UNSTICK_BEGUN);
    used = unstick_decode(&d, HI, sizeof HI, &event);
    CHECK(used == 8 && event.type == UNSTICK_FRAME && event.at == 11 && event.skipped == 9);
}
#endif

static void requests_are_answered_as_the_table_says(void)
{
    unstick_decoder d;
    unstick_event event;
    unstick_error error;
    unstick_reset(&d, 1);
    CHECK(unstick_skip(&d) == UNSTICK_REJECTED);
    CHECK(unstick_decode(&d, HI, sizeof HI, &event) == 8 && event.type == UNSTICK_ERROR);
    CHECK(event.error.code == UNSTICK_OVERSIZE && event.error.length == 2 && event.error.limit == 1);
    CHECK(unstick_skip(&d) == UNSTICK_BEGUN);
    CHECK(unstick_decode(&d, HI + 8, 1, &event) == 1 && event.type == UNSTICK_MORE);
    unstick_end(&d, &event);
    CHECK(event.error.code == UNSTICK_TRUNCATED && event.error.exact && event.error.missing == 1 && event.error.at == 9);
    CHECK(unstick_skip(&d) == UNSTICK_SAME_ERROR);
    CHECK(unstick_decode(&d, HI, 1, &event) == 0 && event.error.missing == 1);
    unstick_last_error(&d, &error);
    CHECK(error.code == UNSTICK_TRUNCATED);
    unstick_reset(&d, 1);
    unstick_last_error(&d, &error);
    CHECK(error.code == 0 && d.offset == 0);
}

#if UNSTICK_DATAGRAMS
static void a_datagram_takes_what_fits(void)
{
    uint8_t datagram[20];
    unstick_error cause;
    unstick_datagram_frame frame;
    size_t position = 0;
    size_t used = unstick_datagram_add(datagram, 0, sizeof datagram, 100, UNSTICK_TEXT, HI + 8, 2);
    CHECK(used == 10);
    CHECK(unstick_datagram_add(datagram, used, sizeof datagram, 100, UNSTICK_TEXT, HI, 3) == 0);
    CHECK(unstick_datagram_add(datagram, used, sizeof datagram, 100, UNSTICK_CLOSE, NULL, 0) == 0);
    used = unstick_datagram_add(datagram, used, sizeof datagram, 100, 0xC0, HI + 8, 2);
    CHECK(used == 20);
    CHECK(unstick_datagram_add(datagram, used, sizeof datagram, 100, UNSTICK_TEXT, NULL, 0) == 0);
    CHECK(unstick_datagram_check(datagram, used, false, 100, NULL, 0, &cause));
    CHECK(unstick_datagram_next(datagram, used, NULL, 0, &position, &frame) && frame.kind == UNSTICK_TEXT);
    CHECK(!unstick_datagram_next(datagram, used, NULL, 0, &position, &frame));
    CHECK(!unstick_datagram_check(datagram, used, true, 100, NULL, 0, &cause) && cause.code == UNSTICK_CAUSE_CUT);
}
#endif

/* ---- Messages and the session ------------------------------------------------------------- */

static const uint8_t KNOWN[] = {0x41, 0xC1};
static const uint8_t LETTERS[] = "abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqrstuvwxyz0123456789";

static void a_message_that_was_decoded_is_encoded_as_it_was(void)
{
    unsigned valid = 0;
    for (unsigned i = 0; i < 200000; i++) {
        uint8_t payload[90], fixed[UNSTICK_MAX_FIXED];
        static const uint8_t kinds[] = {1, 2, 3, 4, 5, 16, 17, 18, 19, 20, 128, 65};
        uint8_t kind = kinds[below(sizeof kinds)];
        size_t len = below(sizeof payload + 1), at = 0;
        unstick_message m;
        for (size_t j = 0; j < len; j++)
            payload[j] = below(8) == 0 ? (uint8_t)below(256) : LETTERS[j % 26];
        uint16_t code = unstick_message_decode(kind, payload, len, &m, &at);
        CHECK(code == 0 || at <= len);
        int n = unstick_message_encode(&m, fixed);
        if (code != 0)
            continue;
        valid++;
        if (kind == UNSTICK_CLOSE && m.code == 0 && m.len == 0) /* the one with two encodings */
            continue;
        CHECK(n >= 0 && (size_t)n + m.len == len && memcmp(fixed, payload, (size_t)n) == 0);
        CHECK(m.len == 0 || m.bytes == payload + n);
    }
    CHECK(valid > 1000);
}

static void random_messages_never_leave_the_tables(void)
{
    static unstick_session s;
    unsigned long delivered = 0, errors = 0;
    for (unsigned i = 0; i < 3000; i++) {
        unstick_session_begin(&s, KNOWN, sizeof KNOWN);
        for (unsigned step = 0; step < 300; step++) {
            static const uint8_t kinds[] = {1, 3, 4, 16, 16, 16, 17, 17, 18, 18, 19, 20, 20, 65, 193};
            unstick_message m = {.kind = kinds[below(sizeof kinds)]}, out;
            uint8_t fixed[UNSTICK_MAX_FIXED], payload[80];
            m.transfer = below(20) == 0 ? UINT32_MAX - below(2) : below(step + 2);
            m.offset = below(4) == 0 ? UINT64_MAX - below(3) : below(3);
            m.code = (uint16_t)(0x0100 + below(0x40));
            m.bytes = LETTERS;
            m.len = m.kind == UNSTICK_FILE_DONE ? 0 : 1 + below(3);
            if (below(500) == 0)
                m.kind = UNSTICK_CLOSE;
            if (below(8) == 0)
                unstick_session_tick(&s);
            if (below(400) == 0)
                unstick_session_drain(&s);
            if (below(400) == 0)
                unstick_session_skipped(&s);
            if (below(3) == 0) {
                unstick_session_send(&s, &m, fixed);
            } else {
                int n = unstick_message_encode(&m, fixed);
                CHECK(n >= 0);
                memcpy(payload, fixed, (size_t)n);
                memcpy(payload + n, m.bytes, m.len);
                uint16_t before = s.error;
                unstick_session copy = s;
                bool early = unstick_session_header(&copy, m.kind, (uint32_t)((size_t)n + m.len)) == UNSTICK_ON_ERROR;
                unstick_told told = unstick_session_receive(&s, m.kind, payload, (size_t)n + m.len, &out);
                CHECK((told == UNSTICK_ON_ERROR) == (s.error != 0));
                CHECK(before == 0 || s.error == before);
                CHECK(!early || (told == UNSTICK_ON_ERROR && s.error == copy.error));
                delivered += told == UNSTICK_ON_MESSAGE;
            }
            CHECK(s.in_count <= UNSTICK_MAX_TRANSFERS);
            if (below(2) == 0) {
                unsigned said = 0;
                while (unstick_session_says(&s, &out)) {
                    CHECK(unstick_message_encode(&out, fixed) >= 0);
                    said++;
                }
                CHECK(said <= 2 * UNSTICK_MAX_TRANSFERS + 1); /* CNV-17 */
            }
        }
        errors += s.error != 0;
    }
    CHECK(delivered > 1000 && errors > 1000);
}

/* Gives a message to a session as a peer would. */
static unstick_told give(unstick_session *s, unstick_message m)
{
    uint8_t payload[UNSTICK_MAX_FIXED + 32];
    unstick_message out;
    int n = unstick_message_encode(&m, payload);
    CHECK(n >= 0 && m.len <= 32);
    if (m.len != 0)
        memcpy(payload + n, m.bytes, m.len);
    return unstick_session_receive(s, m.kind, payload, (size_t)n + m.len, &out);
}

static bool sends(unstick_session *s, unstick_message m)
{
    uint8_t fixed[UNSTICK_MAX_FIXED];
    return unstick_session_send(s, &m, fixed) >= 0;
}

static void nothing_is_said_after_the_own_close(void)
{
    static unstick_session s;
    unstick_message out;
    unstick_session_begin(&s, NULL, 0);
    CHECK(give(&s, (unstick_message){.kind = UNSTICK_PING}) == UNSTICK_ON_NOTHING);
    give(&s, (unstick_message){.kind = UNSTICK_FILE_OPEN, .bytes = LETTERS, .len = 1});
    give(&s, (unstick_message){.kind = UNSTICK_FILE_DONE, .total = 1});
    CHECK(sends(&s, (unstick_message){.kind = UNSTICK_CLOSE}));
    unstick_session_tick(&s);
    CHECK(!unstick_session_says(&s, &out));
    CHECK(!sends(&s, (unstick_message){.kind = UNSTICK_TEXT}));
    CHECK(give(&s, (unstick_message){.kind = UNSTICK_PING}) == UNSTICK_ON_NOTHING);
    CHECK(give(&s, (unstick_message){.kind = 0x20}) == UNSTICK_ON_ERROR && s.error == UNSTICK_UNKNOWN_KIND);
    CHECK(!unstick_session_says(&s, &out));
}

static void a_header_is_refused_before_its_payload(void)
{
    static unstick_session s;
    unstick_session_begin(&s, NULL, 0);
    CHECK(unstick_session_header(&s, UNSTICK_TEXT, 65536) == UNSTICK_ON_MESSAGE);
    CHECK(unstick_session_header(&s, UNSTICK_FILE_OPEN, 65536) == UNSTICK_ON_MESSAGE); /* only that file, by its name */
    CHECK(unstick_session_header(&s, UNSTICK_PING, 65) == UNSTICK_ON_ERROR);
    CHECK(s.error == UNSTICK_BAD_MESSAGE && s.error_at == 64);
    CHECK(unstick_session_header(&s, UNSTICK_TEXT, 0) == UNSTICK_ON_ERROR);

    unstick_session_begin(&s, NULL, 0);
    CHECK(unstick_session_header(&s, UNSTICK_FILE_STATUS, 45) == UNSTICK_ON_ERROR && s.error_at == 45);
    unstick_session_begin(&s, NULL, 0);
    CHECK(unstick_session_header(&s, 0x20, 9) == UNSTICK_ON_ERROR && s.error == UNSTICK_UNKNOWN_KIND);
    unstick_session_begin(&s, NULL, 0);
    CHECK(give(&s, (unstick_message){.kind = UNSTICK_CLOSE}) == UNSTICK_ON_MESSAGE);
    CHECK(unstick_session_header(&s, UNSTICK_TEXT, 9) == UNSTICK_ON_ERROR && s.error == UNSTICK_MISPLACED_MESSAGE);
}

static void a_frame_that_is_discarded_by_its_header_was_the_first(void)
{
    static unstick_session s;
    unstick_session_begin(&s, NULL, 0);
    CHECK(unstick_session_header(&s, UNSTICK_HELLO, 4) == UNSTICK_ON_MESSAGE);
    CHECK(unstick_session_header(&s, 0x81, 9) == UNSTICK_ON_NOTHING);
    CHECK(unstick_session_header(&s, UNSTICK_HELLO, 4) == UNSTICK_ON_ERROR && s.error == UNSTICK_MISPLACED_MESSAGE);
}

static void the_offset_of_what_is_wrong_is_kept(void)
{
    static unstick_session s;
    static const uint8_t status[48] = {[46] = 'a', [47] = 0xFF};
    static const uint8_t open[31] = {[3] = 7, [28] = 'a', [29] = '/', [30] = 'b'};
    unstick_message m;
    unstick_session_begin(&s, NULL, 0);
    CHECK(unstick_session_receive(&s, UNSTICK_FILE_OPEN, open, sizeof open, &m) == UNSTICK_ON_FILE_REFUSED);
    CHECK(m.transfer == 7 && m.code == UNSTICK_BAD_NAME && s.error_at == 29);
    CHECK(unstick_session_receive(&s, UNSTICK_FILE_STATUS, status, sizeof status, &m) == UNSTICK_ON_ERROR);
    CHECK(s.error == UNSTICK_BAD_MESSAGE && s.error_at == 47);
}

static void every_single_octet_is_judged_in_a_name(void)
{
    for (unsigned octet = 0; octet < 256; octet++) {
        uint8_t payload[30] = {[28] = (uint8_t)octet, [29] = '.'};
        unstick_message m;
        size_t at = 0;
        uint16_t code = unstick_message_decode(UNSTICK_FILE_OPEN, payload, sizeof payload, &m, &at);
        bool allowed = octet >= 0x20 && octet < 0x7F && strchr("/\\:.", (int)octet) == NULL;
        CHECK(code == (allowed ? 0 : UNSTICK_BAD_NAME) && (allowed || at == 28));
        /* A name that is not UTF-8 at its end: that counts first. */
        payload[29] = 0xC2;
        code = unstick_message_decode(UNSTICK_FILE_OPEN, payload, sizeof payload, &m, &at);
        CHECK(code == UNSTICK_BAD_NAME && at == (octet < 0x80 ? 29u : 28u));
    }
}

static void after_the_close_of_the_peer_no_ping_is_open(void)
{
    static unstick_session s;
    unstick_session_begin(&s, NULL, 0);
    for (unsigned i = 0; i < 6; i++)
        CHECK(sends(&s, (unstick_message){.kind = UNSTICK_PING}) == (i < 4));
    CHECK(give(&s, (unstick_message){.kind = UNSTICK_CLOSE}) == UNSTICK_ON_MESSAGE);
    for (unsigned i = 0; i < 6; i++)
        CHECK(sends(&s, (unstick_message){.kind = UNSTICK_PING}));
}

static void a_skipped_frame_does_not_change_an_error(void)
{
    static unstick_session s;
    unstick_session_begin(&s, NULL, 0);
    unstick_session_fail(&s, UNSTICK_IDLE_TIMEOUT);
    CHECK(unstick_session_skipped(&s) == UNSTICK_ON_ERROR && s.error == UNSTICK_IDLE_TIMEOUT);
    unstick_session_begin(&s, NULL, 0);
    CHECK(sends(&s, (unstick_message){.kind = UNSTICK_CLOSE}));
    CHECK(unstick_session_skipped(&s) == UNSTICK_ON_NOTHING);
}

static void a_reason_that_is_not_text_is_shortened(void)
{
    static unstick_session s;
    static const uint8_t reason[] = {'a', 0xFF, 'b'};
    unstick_message m = {.kind = UNSTICK_CLOSE, .code = UNSTICK_BUSY, .bytes = reason, .len = sizeof reason};
    uint8_t fixed[UNSTICK_MAX_FIXED];
    CHECK(unstick_message_encode(&m, fixed) == -1);
    unstick_session_begin(&s, NULL, 0);
    CHECK(unstick_session_send(&s, &m, fixed) == 2 && m.len == 1);
}

static void a_limit_that_is_known_by_other_means_holds(void)
{
    static unstick_session s;
    uint8_t long_text[100] = {0};
    const unstick_message text = {.kind = UNSTICK_TEXT, .bytes = long_text, .len = sizeof long_text};
    const unstick_message open = {.kind = UNSTICK_FILE_OPEN, .transfer = 1, .bytes = LETTERS, .len = 1};
    unstick_session_begin(&s, NULL, 0);
    s.peer_limit = 99;
    CHECK(!sends(&s, text));
    s.peer_limit = 100;
    CHECK(sends(&s, text));
    s.peer_limit = UNSTICK_STATUS_LEN - 1; /* there is no room for an answer */
    CHECK(!sends(&s, open) && give(&s, open) == UNSTICK_ON_ERROR && s.error == UNSTICK_MISPLACED_MESSAGE);
}

static void a_side_that_drains_refuses_files_and_is_busy_until_they_are_answered(void)
{
    static unstick_session s;
    unstick_message out;
    unstick_session_begin(&s, NULL, 0);
    unstick_session_drain(&s);
    CHECK(!unstick_session_busy(&s));
    const unstick_message open = {.kind = UNSTICK_FILE_OPEN, .transfer = 1, .bytes = LETTERS, .len = 1};
    CHECK(give(&s, open) == UNSTICK_ON_FILE_REFUSED);
    CHECK(unstick_session_busy(&s));
    CHECK(unstick_session_says(&s, &out) && out.code == UNSTICK_SHUTTING_DOWN);
    CHECK(!unstick_session_busy(&s));
    CHECK(!sends(&s, open));
}

static void every_code_is_sent_where_it_belongs_only(void)
{
    static unstick_session s;
    unsigned closes = 0, fails = 0;
    for (unsigned code = 1; code < 0x10000; code++) {
        unstick_message out;
        unstick_session_begin(&s, NULL, 0);
        closes += sends(&s, (unstick_message){.kind = UNSTICK_CLOSE, .code = (uint16_t)code});
        unstick_session_begin(&s, NULL, 0);
        unstick_session_fail(&s, (uint16_t)code);
        fails += unstick_session_says(&s, &out);
        CHECK(s.error == code);
    }
    CHECK(closes == 0x8000 + 9 + 7 && fails == closes);
#if UNSTICK_FILES
    unsigned statuses = 0, cancels = 0;
    const unstick_message open = {.kind = UNSTICK_FILE_OPEN, .transfer = 1, .bytes = LETTERS, .len = 1};
    for (unsigned code = 0; code < 0x10000; code++) {
        unstick_message m = {.kind = UNSTICK_FILE_STATUS, .transfer = 1, .code = (uint16_t)code};
        unstick_session_begin(&s, NULL, 0);
        give(&s, open);
        statuses += sends(&s, m);
        unstick_session_begin(&s, NULL, 0);
        sends(&s, open);
        m.kind = UNSTICK_FILE_CANCEL;
        cancels += sends(&s, m);
    }
    CHECK(statuses == 0x8000 + 18 && cancels == 0x8000 + 3); /* stored is too early */
#endif
}

#if UNSTICK_FILES
static void a_drain_does_not_wait_for_what_cannot_come(void)
{
    static unstick_session s;
    unstick_message open = {.kind = UNSTICK_FILE_OPEN, .transfer = 1, .bytes = LETTERS, .len = 1};
    unstick_session_begin(&s, NULL, 0);
    CHECK(sends(&s, open) && give(&s, open) == UNSTICK_ON_MESSAGE);
    unstick_session_drain(&s);
    /* Both go on. */
    CHECK(sends(&s, (unstick_message){.kind = UNSTICK_FILE_DONE, .transfer = 1, .total = 0}));
    open.transfer = 2;
    CHECK(give(&s, open) == UNSTICK_ON_FILE_REFUSED); /* second-open, not shutting-down */
    unstick_message out;
    CHECK(unstick_session_says(&s, &out) && out.code == UNSTICK_SECOND_OPEN);
    CHECK(unstick_session_busy(&s));
    CHECK(give(&s, (unstick_message){.kind = UNSTICK_CLOSE}) == UNSTICK_ON_MESSAGE);
    CHECK(!unstick_session_busy(&s));
}

static void a_working_that_is_due_is_dropped_by_a_refusal(void)
{
    static unstick_session s;
    unstick_message out;
    unstick_session_begin(&s, NULL, 0);
    give(&s, (unstick_message){.kind = UNSTICK_FILE_OPEN, .transfer = 1, .bytes = LETTERS, .len = 1});
    unstick_session_tick(&s);
    give(&s, (unstick_message){.kind = UNSTICK_FILE_CANCEL, .transfer = 1});
    CHECK(unstick_session_says(&s, &out) && out.code == UNSTICK_CANCELLED);
    CHECK(!unstick_session_says(&s, &out));
}
#endif

static void local_codes_and_reserved_kinds_are_not_sent(void)
{
    static unstick_session s;
    unstick_message out;
    unstick_session_begin(&s, NULL, 0);
    CHECK(!sends(&s, (unstick_message){.kind = UNSTICK_CLOSE, .code = UNSTICK_UNCLOSED}));
    CHECK(!sends(&s, (unstick_message){.kind = 0x20}));
    CHECK(!sends(&s, (unstick_message){.kind = 0x81}));
    CHECK(sends(&s, (unstick_message){.kind = 0x7F}));
    unstick_session_fail(&s, UNSTICK_UNSYNCHRONIZED);
    CHECK(s.error == UNSTICK_UNSYNCHRONIZED && !unstick_session_says(&s, &out));
}

static void an_error_of_the_frames_is_said_as_a_close(void)
{
    static unstick_session s;
    unstick_message out;
    unstick_session_begin(&s, NULL, 0);
    unstick_session_fail(&s, UNSTICK_BAD_CHECK);
    CHECK(unstick_session_says(&s, &out) && out.kind == UNSTICK_CLOSE && out.code == UNSTICK_BAD_CHECK);
    CHECK(!unstick_session_says(&s, &out));
}

#if UNSTICK_FILES
static void what_was_held_of_an_earlier_file_is_forgotten(void)
{
    static unstick_session s;
    const unstick_message open = {
        .kind = UNSTICK_FILE_OPEN, .transfer = 1, .size = 9, .key = LETTERS, .bytes = LETTERS, .len = 1};
    const unstick_message ready = {.kind = UNSTICK_FILE_STATUS, .transfer = 1, .code = UNSTICK_READY, .offset = 3};
    const unstick_message data = {.kind = UNSTICK_FILE_DATA, .transfer = 1, .offset = 3, .bytes = LETTERS, .len = 1};
    unstick_message next_open = open, next_data = data;
    next_open.transfer = next_data.transfer = 2;

    unstick_session_begin(&s, NULL, 0);
    CHECK(sends(&s, open) && !sends(&s, data));
    CHECK(give(&s, ready) == UNSTICK_ON_FILE_READY);
    CHECK(sends(&s, (unstick_message){.kind = UNSTICK_FILE_CANCEL, .transfer = 1, .code = UNSTICK_GIVEN_UP}));
    CHECK(sends(&s, next_open) && !sends(&s, next_data));

    unstick_session_begin(&s, NULL, 0);
    CHECK(give(&s, open) == UNSTICK_ON_MESSAGE && sends(&s, ready));
    CHECK(give(&s, (unstick_message){.kind = UNSTICK_FILE_CANCEL, .transfer = 1}) == UNSTICK_ON_MESSAGE);
    CHECK(give(&s, next_open) == UNSTICK_ON_MESSAGE && give(&s, next_data) == UNSTICK_ON_FILE_REFUSED);
}

/* A side of a connection: a session, the bytes under way to it, and what its application did. */
typedef struct {
    unstick_session session;
    unstick_decoder decoder;
    uint8_t bytes[1 << 16], payload[256];
    size_t len, arrived;
    uint8_t kind;
    uint32_t next_id, out_id, in_id;
    uint64_t out_at, in_at, out_size;
    bool ended, writes;
    unsigned ends;
} side;

static void transmit(side *to, const unstick_message *m, const uint8_t *fixed, int n)
{
    size_t len = (size_t)n + m->len;
    CHECK(to->len + UNSTICK_HEADER_LEN + len <= sizeof to->bytes);
    CHECK(unstick_encode_header(to->bytes + to->len, m->kind, len, UNSTICK_DEFAULT_LIMIT));
    memcpy(to->bytes + to->len + UNSTICK_HEADER_LEN, fixed, (size_t)n);
    if (m->len != 0)
        memcpy(to->bytes + to->len + UNSTICK_HEADER_LEN + (size_t)n, m->bytes, m->len);
    to->len += UNSTICK_HEADER_LEN + len;
}

static void say(side *from, side *to)
{
    unstick_message m;
    uint8_t fixed[UNSTICK_MAX_FIXED];
    while (unstick_session_says(&from->session, &m)) {
        int n = unstick_message_encode(&m, fixed);
        CHECK(n >= 0);
        if (n >= 0)
            transmit(to, &m, fixed, n);
    }
}

static void take(side *s)
{
    unstick_message m;
    unstick_told told = unstick_session_receive(&s->session, s->kind, s->payload, s->arrived, &m);
    CHECK(told != UNSTICK_ON_ERROR);
    if (told == UNSTICK_ON_ERROR)
        printf("error 0x%04x by kind 0x%02x\n", s->session.error, s->kind);
    if (told == UNSTICK_ON_MESSAGE && m.kind == UNSTICK_FILE_OPEN)
        s->in_id = m.transfer;
    s->ends += told == UNSTICK_ON_FILE_END;
}

static void arrive(side *s, size_t len)
{
    unstick_event event;
    size_t used = 0;
    do {
        used += unstick_decode(&s->decoder, s->bytes + used, len - used, &event);
        CHECK(event.type != UNSTICK_ERROR);
        if (event.type == UNSTICK_FRAME) {
            s->kind = event.kind;
            s->arrived = 0;
        } else if (event.type == UNSTICK_DATA) {
            memcpy(s->payload + s->arrived, event.bytes, event.len);
            s->arrived += event.len;
        }
        if (event.type != UNSTICK_MORE && event.type != UNSTICK_ERROR && event.last)
            take(s);
    } while (event.type == UNSTICK_FRAME || event.type == UNSTICK_DATA);
    s->len -= len;
    memmove(s->bytes, s->bytes + len, s->len);
}

static void act(side *from, side *to)
{
    static const uint8_t kinds[] = {1, 3, 4, 16, 16, 16, 17, 17, 17, 18, 18, 19, 19, 19, 20, 65, 193};
    static const uint16_t codes[] = {UNSTICK_READY, UNSTICK_WORKING, UNSTICK_STORED, UNSTICK_EXISTS, UNSTICK_QUOTA};
    unstick_message m = {.kind = kinds[below(sizeof kinds)], .bytes = LETTERS};
    uint8_t fixed[UNSTICK_MAX_FIXED];
    m.len = m.kind == UNSTICK_FILE_DONE ? 0 : 1 + below(5);
    m.transfer = from->out_id;
    m.offset = below(8) == 0 ? below(4) : from->out_at;
    switch (m.kind) {
    case UNSTICK_FILE_OPEN:
        m.transfer = from->next_id + below(3);
        m.size = below(2) == 0 ? UNSTICK_SIZE_UNKNOWN : below(9);
        m.key = below(2) == 0 ? NULL : LETTERS;
        break;
    case UNSTICK_FILE_STATUS:
        m.transfer = below(2) == 0 ? from->in_id : below(from->in_id + 1);
        m.code = codes[below(5)];
        m.offset = below(4);
        break;
    case UNSTICK_FILE_CANCEL:
        m.code = UNSTICK_GIVEN_UP;
        if (below(3) != 0)
            return;
        break;
    default:
        break;
    }
    if (below(100) == 0)
        m.kind = UNSTICK_HELLO, m.limit = below(120);
    if (below(150) == 0) {
        say(from, to);
        m.kind = UNSTICK_CLOSE;
        m.code = 0;
    }
    int n = unstick_session_send(&from->session, &m, fixed);
    if (n < 0)
        return;
    transmit(to, &m, fixed, n);
    if (m.kind == UNSTICK_FILE_OPEN) {
        from->out_id = m.transfer;
        from->next_id = m.transfer + 1;
        from->out_at = 0;
    } else if (m.kind == UNSTICK_FILE_DATA) {
        from->out_at = m.offset + m.len;
    }
}

static void two_sessions_never_refuse_each_other(void)
{
    static side sides[2];
    unsigned long ends = 0, closed = 0;
    for (unsigned i = 0; i < 4000; i++) {
        memset(sides, 0, sizeof sides);
        for (unsigned j = 0; j < 2; j++) {
            unstick_session_begin(&sides[j].session, KNOWN, sizeof KNOWN);
            unstick_reset(&sides[j].decoder, UNSTICK_EARLY_LIMIT);
        }
        unsigned steps = 20 + below(300), failed = failures;
        for (unsigned step = 0; step < steps && failures == failed; step++) {
            unsigned j = below(2);
            side *from = &sides[j], *to = &sides[1 - j];
            switch (below(4)) {
            case 0:
                arrive(from, below((uint32_t)from->len + 1));
                break;
            case 1:
                say(from, to);
                break;
            case 2:
                if (below(10) == 0)
                    unstick_session_tick(&from->session);
                else if (below(50) == 0)
                    unstick_session_drain(&from->session);
                break;
            default:
                act(from, to);
                break;
            }
        }
        /* Each side closes, and all that is under way arrives. */
        for (unsigned j = 0; j < 2 && failures == failed; j++) {
            unstick_message m = {.kind = UNSTICK_CLOSE};
            uint8_t fixed[UNSTICK_MAX_FIXED];
            say(&sides[j], &sides[1 - j]);
            if (unstick_session_send(&sides[j].session, &m, fixed) >= 0)
                transmit(&sides[1 - j], &m, fixed, 0);
        }
        for (unsigned j = 0; j < 2 && failures == failed; j++) {
            arrive(&sides[j], sides[j].len);
            closed += unstick_session_end(&sides[j].session) == UNSTICK_ON_CLEAN_END;
            ends += sides[j].ends;
        }
        if (failures != failed)
            break;
    }
    CHECK(ends > 1000 && closed == 8000);
}

static void the_65th_open_without_an_answer_ends_the_conversation(void)
{
    static unstick_session sender, receiver;
    unstick_session_begin(&sender, NULL, 0);
    unstick_session_begin(&receiver, NULL, 0);
    for (uint32_t id = 0; id <= 64; id++) {
        unstick_message m = {.kind = UNSTICK_FILE_OPEN, .transfer = id, .bytes = LETTERS, .len = 1}, out;
        uint8_t payload[UNSTICK_MAX_FIXED + 1];
        CHECK((unstick_session_send(&sender, &m, payload) >= 0) == (id < 64));
        unstick_message_encode(&m, payload);
        payload[28] = 'a';
        unstick_told told = unstick_session_receive(&receiver, UNSTICK_FILE_OPEN, payload, 29, &out);
        CHECK(told == (id == 64 ? UNSTICK_ON_ERROR : UNSTICK_ON_MESSAGE));
        m = (unstick_message){.kind = UNSTICK_FILE_DONE, .transfer = id};
        CHECK((unstick_session_send(&sender, &m, payload) >= 0) == (id < 64));
        if (id < 64)
            CHECK(unstick_session_receive(&receiver, UNSTICK_FILE_DONE, payload, 44, &out) == UNSTICK_ON_MESSAGE);
    }
    CHECK(receiver.error == UNSTICK_TOO_MANY_TRANSFERS);
}
#else
static void without_files_each_open_is_not_accepted(void)
{
    static unstick_session s;
    unstick_message m = {.kind = UNSTICK_FILE_OPEN, .transfer = 7, .bytes = LETTERS, .len = 1}, out;
    uint8_t payload[UNSTICK_MAX_FIXED + 1];
    unstick_session_begin(&s, NULL, 0);
    unstick_message_encode(&m, payload);
    payload[28] = 'a';
    CHECK(unstick_session_receive(&s, UNSTICK_FILE_OPEN, payload, 29, &out) == UNSTICK_ON_FILE_REFUSED);
    CHECK(unstick_session_says(&s, &out) && out.kind == UNSTICK_FILE_STATUS);
    CHECK(out.transfer == 7 && out.code == UNSTICK_NOT_ACCEPTED);
    CHECK(!unstick_session_says(&s, &out));
    m.kind = UNSTICK_FILE_DATA;
    unstick_message_encode(&m, payload);
    payload[12] = 'a';
    CHECK(unstick_session_receive(&s, UNSTICK_FILE_DATA, payload, 13, &out) == UNSTICK_ON_NOTHING);
    payload[3] = 8;
    CHECK(unstick_session_receive(&s, UNSTICK_FILE_DATA, payload, 13, &out) == UNSTICK_ON_ERROR);
    CHECK(s.error == UNSTICK_BAD_TRANSFER_ID);
}
#endif

static void a_reason_is_shortened_at_a_character(void)
{
    static unstick_session s;
    static const uint8_t hello[] = {0, 0, 0, 5}, reason[] = {'a', 0xE7, 0xB2, 0x98};
    unstick_message m, out;
    uint8_t fixed[UNSTICK_MAX_FIXED];
    unstick_session_begin(&s, NULL, 0);
    CHECK(unstick_session_receive(&s, UNSTICK_HELLO, hello, sizeof hello, &out) == UNSTICK_ON_MESSAGE);
    m = (unstick_message){.kind = UNSTICK_CLOSE, .code = UNSTICK_BUSY, .bytes = reason, .len = sizeof reason};
    CHECK(unstick_session_send(&s, &m, fixed) == 2 && m.len == 1);
    CHECK(unstick_session_send(&s, &m, fixed) == -1);
}

#define RUN(test) (tests++, test_name = #test, test())

int main(void)
{
    RUN(the_state_is_a_few_dozen_bytes);
    RUN(a_header_is_written_and_read);
    RUN(no_byte_changes_nothing);
    RUN(every_single_to_triple_bit_error_is_refused);
#if UNSTICK_SEARCH
    RUN(a_frame_that_has_begun_can_be_rejected);
#endif
    RUN(requests_are_answered_as_the_table_says);
#if UNSTICK_DATAGRAMS
    RUN(a_datagram_takes_what_fits);
#endif
    RUN(a_message_that_was_decoded_is_encoded_as_it_was);
    RUN(random_messages_never_leave_the_tables);
#if UNSTICK_FILES
    RUN(two_sessions_never_refuse_each_other);
    RUN(the_65th_open_without_an_answer_ends_the_conversation);
#else
    RUN(without_files_each_open_is_not_accepted);
#endif
    RUN(nothing_is_said_after_the_own_close);
    RUN(a_header_is_refused_before_its_payload);
    RUN(a_frame_that_is_discarded_by_its_header_was_the_first);
    RUN(the_offset_of_what_is_wrong_is_kept);
    RUN(every_single_octet_is_judged_in_a_name);
    RUN(after_the_close_of_the_peer_no_ping_is_open);
    RUN(a_skipped_frame_does_not_change_an_error);
    RUN(a_reason_that_is_not_text_is_shortened);
    RUN(a_limit_that_is_known_by_other_means_holds);
    RUN(a_side_that_drains_refuses_files_and_is_busy_until_they_are_answered);
    RUN(every_code_is_sent_where_it_belongs_only);
    RUN(local_codes_and_reserved_kinds_are_not_sent);
    RUN(an_error_of_the_frames_is_said_as_a_close);
#if UNSTICK_FILES
    RUN(what_was_held_of_an_earlier_file_is_forgotten);
    RUN(a_drain_does_not_wait_for_what_cannot_come);
    RUN(a_working_that_is_due_is_dropped_by_a_refusal);
#endif
    RUN(a_reason_is_shortened_at_a_character);
    if (failures == 0)
        printf("%u tests pass\n", tests);
    return failures != 0;
}
