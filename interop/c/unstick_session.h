/* unstick_session.h: the messages and the session of the unstick protocol, version 1 (spec.md,
 * Part 2), in C11. It needs unstick.h, and unstick.c for datagrams.
 *
 * No heap. A session remembers at most 64 transfers in each direction, in arrays of fixed size.
 * It has no clock, no socket and no files: the caller collects payloads, gives them to the session,
 * and sends what it allows.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef UNSTICK_SESSION_H
#define UNSTICK_SESSION_H

#include "unstick.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 0 leaves out files: the profile `messages`. Each open is then answered with not-accepted. */
#ifndef UNSTICK_FILES
#define UNSTICK_FILES 1
#endif

#define UNSTICK_EARLY_LIMIT 65536u   /* payload bytes before the peer's hello, CNV-2 */
#define UNSTICK_MAX_PING 64          /* bytes, MSG-3 */
#define UNSTICK_MAX_PINGS 4          /* without an answer, CNV-15 */
#define UNSTICK_MAX_NAME 255         /* MSG-12 */
#define UNSTICK_MAX_FIXED 46         /* the fixed fields of the longest message */
#define UNSTICK_STATUS_LEN 46        /* a status without a reason, FIL-20 */
#define UNSTICK_MAX_TRANSFERS 64     /* without a final status, in each direction, FIL-3 */
#define UNSTICK_SIZE_UNKNOWN UINT64_MAX
#define UNSTICK_TIME_UNKNOWN INT64_MIN

/* Codes, chapter 16. */
enum {
    UNSTICK_BAD_MESSAGE = 0x0100,
    UNSTICK_MISPLACED_MESSAGE = 0x0101,
    UNSTICK_BAD_TRANSFER_ID = 0x0102,
    UNSTICK_TOO_MANY_TRANSFERS = 0x0103,
    UNSTICK_UNCLOSED = 0x0104,
    UNSTICK_SHUTTING_DOWN = 0x0105,
    UNSTICK_BUSY = 0x0106,
    UNSTICK_TOO_SLOW = 0x0107,
    UNSTICK_READY = 0x0110,
    UNSTICK_WORKING = 0x0111,
    UNSTICK_STORED = 0x0120,
    UNSTICK_EXISTS = 0x0121,
    UNSTICK_CANCELLED = 0x0130,
    UNSTICK_BAD_NAME = 0x0131,
    UNSTICK_SECOND_OPEN = 0x0132,
    UNSTICK_BAD_OFFSET = 0x0133,
    UNSTICK_EXCESS = 0x0134,
    UNSTICK_WRONG_TOTAL = 0x0135,
    UNSTICK_BAD_DIGEST = 0x0136,
    UNSTICK_TOO_LARGE = 0x0137,
    UNSTICK_NO_SPACE = 0x0138,
    UNSTICK_QUOTA = 0x0139,
    UNSTICK_NOT_ACCEPTED = 0x013A,
    UNSTICK_STORAGE_FAILED = 0x013B,
    UNSTICK_GIVEN_UP = 0x0150,
    UNSTICK_CHANGED = 0x0151,
    UNSTICK_UNREADABLE = 0x0152
};

/* A message. Members that its kind does not have are 0. Its bytes are borrowed. */
typedef struct {
    uint8_t kind;
    uint16_t code;     /* close, file-status, file-cancel */
    uint32_t limit;    /* hello */
    uint32_t transfer; /* file-… */
    bool executable;   /* file-attributes */
    union {
        uint64_t size;   /* file-open; UNSTICK_SIZE_UNKNOWN, which is no known size (MSG-8) */
        uint64_t offset; /* file-data, file-status */
        uint64_t total;  /* file-done */
        int64_t modified; /* file-attributes: nanoseconds since 1970; UNSTICK_TIME_UNKNOWN, which is no known time */
    };
    union {
        const uint8_t *key;    /* file-open: 16 bytes; all 0 is no resume key. Null means zeros, to an encoder. */
        const uint8_t *digest; /* file-done, file-status: 32 bytes, in the same way */
    };
    const uint8_t *bytes; /* text, name, reason, data, or the payload of any other kind */
    size_t len;
} unstick_message;

/* Reads a payload (chapter 13). Returns 0; or UNSTICK_BAD_MESSAGE; or UNSTICK_BAD_NAME, which
 * refuses only that file: the fields of the message are then valid, except for the name. Both errors
 * write the offset in the payload to `*at` (MSG-14). */
uint16_t unstick_message_decode(uint8_t kind, const uint8_t *payload, size_t len, unstick_message *message, size_t *at);

/* Writes the fixed fields of a message, and returns how many bytes they have. The payload is these
 * bytes and then message->bytes. Returns -1 for a message that a receiver would refuse. */
int unstick_message_encode(const unstick_message *message, uint8_t fixed[UNSTICK_MAX_FIXED]);

/* Returns the length of the longest beginning of `text` that is whole characters of UTF-8. */
size_t unstick_utf8(const uint8_t *text, size_t len);

#if UNSTICK_DATAGRAMS
/* As unstick_datagram_check, for a receiver of messages (CNV-12): UNSTICK_BAD_MESSAGE is one more
 * cause, and its `at` is the first byte of the frame. */
bool unstick_datagram_check_messages(const uint8_t *bytes, size_t len, bool cut, uint32_t limit, const uint8_t *known,
                                     size_t known_len, unstick_error *cause);
#endif

/* One side of a conversation. Its members are private, except for the first three. `error` is the
 * code that ended the conversation, or 0. `error_at` is the offset in the payload of the last
 * bad-message or bad-name. `peer_limit` is the longest payload that the peer takes; it may be set
 * after unstick_session_begin, if that limit is known by other means than a hello. */
typedef struct {
    uint16_t error;
    size_t error_at;
    uint32_t peer_limit;
    uint32_t own_limit;   /* in the hello that was sent */
    const uint8_t *known; /* the application kinds that this side knows */
    size_t known_len;
    bool received;       /* a frame arrived */
    bool sent;           /* a message was sent */
    bool close_received;
    bool close_sent;
    bool end_received;
    bool close_due;      /* the close that an error causes */
    bool draining;       /* CNV-16 */
    bool pong_due;
    uint8_t pong_len;
    uint8_t pong[UNSTICK_MAX_PING]; /* the answer to the newest ping that arrived */
    uint8_t ping_count;
    struct {
        uint8_t len;
        uint8_t bytes[UNSTICK_MAX_PING];
    } pings[UNSTICK_MAX_PINGS]; /* sent and without an answer, the oldest first */

    /* Files that arrive: 15.5. */
    uint64_t in_next;  /* the lowest id that the next open may have */
    uint64_t in_size;  /* of the open file */
    uint64_t in_position; /* what was received; after ready, held */
    uint32_t in_id;
    uint8_t in_state;
    bool in_keyed;     /* the open file has a resume key */
    uint8_t in_count;  /* final statuses owed */
    struct {
        uint32_t id;
        uint16_t code; /* a final status of the session's that is due, or 0 */
        uint8_t flags;
    } in[UNSTICK_MAX_TRANSFERS];
#if UNSTICK_FILES
    /* Files that are sent: 15.4. */
    uint64_t out_next;
    uint64_t out_size;
    uint64_t out_position;
    uint64_t out_held;
    uint32_t out_id;
    uint8_t out_state;
    uint8_t out_count; /* without a final status */
    bool out_ready;    /* ready has arrived */
    bool out_keyed;    /* the open file has a resume key */
    struct {
        uint32_t id;
        bool done;
    } out[UNSTICK_MAX_TRANSFERS];
#endif
} unstick_session;

/* What a received message means to the application. */
typedef enum {
    UNSTICK_ON_NOTHING,      /* the session has dealt with it */
    UNSTICK_ON_MESSAGE,      /* it is the application's: see its kind */
    UNSTICK_ON_FILE_REFUSED, /* the session refused a file of the peer: transfer, code */
    UNSTICK_ON_FILE_READY,   /* a status: the peer has `offset` bytes of this digest */
    UNSTICK_ON_FILE_WORKING, /* a status: the peer is still working on the file */
    UNSTICK_ON_FILE_END,     /* a status, the final one: code */
    UNSTICK_ON_CLEAN_END,    /* the stream ended after a close */
    UNSTICK_ON_ERROR         /* session->error has ended the conversation */
} unstick_told;

/* Begins a conversation. `known` must stay valid. */
void unstick_session_begin(unstick_session *s, const uint8_t *known, size_t known_len);

/* A header has arrived, if the caller wants to know before the payload whether it is refused: for
 * ON_ERROR the conversation has ended, for ON_NOTHING the payload can be discarded, and for ON_MESSAGE
 * unstick_session_receive follows. */
unstick_told unstick_session_header(unstick_session *s, uint8_t kind, uint32_t length);

/* A frame has arrived. The message borrows from the payload. */
unstick_told unstick_session_receive(unstick_session *s, uint8_t kind, const uint8_t *payload, size_t len,
                                     unstick_message *message);

/* The framing has skipped an oversize frame. After the peer's close that is an error (CNV-20). */
unstick_told unstick_session_skipped(unstick_session *s);

/* The stream has ended on a frame boundary, or the transport has failed (CNV-19). */
unstick_told unstick_session_end(unstick_session *s);

/* An error from elsewhere ends the conversation: of the frames, or a time limit. */
void unstick_session_fail(unstick_session *s, uint16_t code);

/* This side wants to close: from now on it opens no file and refuses those of the peer, with
 * shutting-down (CNV-16). It closes when no transfer is without its final status. */
void unstick_session_drain(unstick_session *s);

/* Returns whether this side still owes a final status, or waits for one that can arrive. Those that
 * the session is to say are owed. */
bool unstick_session_busy(const unstick_session *s);

/* Some seconds have passed: transfers whose sender waits are due a sign of life (FIL-19). */
void unstick_session_tick(unstick_session *s);

/* Asks for the next message that the session sends by itself, to be called after each call above
 * until it returns false. The message is valid until the next call of a function with this session,
 * and is written by unstick_message_encode. */
bool unstick_session_says(unstick_session *s, unstick_message *message);

/* The application is to send a message. Returns what unstick_message_encode does, and -1 as well
 * if the message is not allowed now; then nothing is to be sent, and the session has not changed. A
 * reason that does not fit the peer's limit, or is not UTF-8, is shortened. What the session is to
 * say is lost with a close, so it is asked for that first. */
int unstick_session_send(unstick_session *s, unstick_message *message, uint8_t fixed[UNSTICK_MAX_FIXED]);

#ifdef __cplusplus
}
#endif

#endif
