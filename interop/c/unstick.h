/* unstick.h: the frames of the unstick protocol, version 1 (spec.md, Part 1), in C11.
 *
 * No heap, no table and no payload buffer: a decoder is 40 bytes, and passes payload bytes on as
 * they arrive. It needs no library but memory functions that a compiler may call by itself.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef UNSTICK_H
#define UNSTICK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* 0 leaves out the search for the next header (7.8): the profile `frames`. */
#ifndef UNSTICK_SEARCH
#define UNSTICK_SEARCH 1
#endif
/* 0 leaves out datagrams (chapter 8). */
#ifndef UNSTICK_DATAGRAMS
#define UNSTICK_DATAGRAMS 1
#endif

#define UNSTICK_HEADER_LEN 8
#define UNSTICK_DEFAULT_LIMIT 1048576u       /* payload bytes, LIM-3 */
#define UNSTICK_DEFAULT_DATAGRAM_LIMIT 1200u /* bytes with headers, DGM-10 */

/* Kinds, 5.2. */
enum {
    UNSTICK_TEXT = 0x01,
    UNSTICK_BINARY = 0x02,
    UNSTICK_PING = 0x03,
    UNSTICK_PONG = 0x04,
    UNSTICK_CLOSE = 0x05,
    UNSTICK_FILE_OPEN = 0x10,
    UNSTICK_FILE_DATA = 0x11,
    UNSTICK_FILE_DONE = 0x12,
    UNSTICK_FILE_STATUS = 0x13,
    UNSTICK_FILE_CANCEL = 0x14,
    UNSTICK_HELLO = 0x80,
    UNSTICK_FILE_ATTRIBUTES = 0x90
};

/* Codes, chapter 9. */
enum {
    UNSTICK_NO_ERROR = 0x0000,
    UNSTICK_BAD_MAGIC = 0x0001,
    UNSTICK_UNSUPPORTED_VERSION = 0x0002,
    UNSTICK_INVALID_KIND = 0x0003,
    UNSTICK_BAD_CHECK = 0x0004,
    UNSTICK_OVERSIZE = 0x0005,
    UNSTICK_TRUNCATED = 0x0006,
    UNSTICK_UNKNOWN_KIND = 0x0007,
    UNSTICK_FRAME_TIMEOUT = 0x0008,
    UNSTICK_IDLE_TIMEOUT = 0x0009,
    UNSTICK_REFUSED_DATAGRAM = 0x000B,
    UNSTICK_UNSYNCHRONIZED = 0x000C,
    /* Causes of a refused datagram that have no code of their own (8.2). Never on the wire. */
    UNSTICK_CAUSE_CUT = 0xFFF0,
    UNSTICK_CAUSE_EMPTY = 0xFFF1,
    UNSTICK_CAUSE_MISPLACED_KIND = 0xFFF2
};

/* An error of a stream, or the cause of a refused datagram. */
typedef struct {
    uint64_t at;       /* the stream offset of chapter 9 */
    uint64_t skipped;  /* unsynchronized */
    uint32_t length;   /* oversize: the length announced */
    uint32_t limit;    /* oversize: the limit in force */
    uint32_t missing;  /* truncated: the number of missing bytes */
    uint16_t code;     /* 0: no error */
    uint8_t found;     /* bad-magic, unsupported-version, bad-check, and kinds: the byte found */
    uint8_t expected;  /* bad-check: the check expected */
    bool exact;        /* truncated: `missing` is exact; otherwise at least that many */
} unstick_error;

typedef enum {
    UNSTICK_MORE,     /* all bytes were consumed, and more are needed */
    UNSTICK_FRAME,    /* a frame begins */
    UNSTICK_DATA,     /* a run of its payload */
    UNSTICK_ERROR,    /* an error, which stays until a reset, a skip or a resync */
    UNSTICK_CLEAN_END /* only from unstick_end: no frame was cut */
} unstick_event_type;

typedef struct {
    unstick_event_type type;
    bool last;            /* FRAME: there is no payload. DATA: this is its last run. */
    uint8_t kind;         /* FRAME */
    uint32_t length;      /* FRAME: payload bytes */
    uint64_t at;          /* FRAME: the stream offset of its first byte */
    uint64_t skipped;     /* FRAME: the bytes that a search skipped before it, or 0 */
    const uint8_t *bytes; /* DATA: a part of the input */
    size_t len;           /* DATA: bytes in this run, at least 1 */
    unstick_error error;  /* ERROR */
} unstick_event;

/* The state of a receiver (7.2). Its members are private, except that `offset` and `start` may be
 * read: the stream offset, and that of the first byte of the current frame. */
typedef struct {
    uint64_t offset;
    uint64_t start; /* in a search: `at` of the error it began with */
    uint32_t limit;
    uint32_t rest;  /* payload bytes still due; after truncated, the missing bytes */
    uint8_t header[UNSTICK_HEADER_LEN];
    uint8_t held;   /* bytes in `header` */
    uint8_t state;
    uint16_t code;  /* the error, in the failed state */
} unstick_decoder;

/* What a receiver answers to a request (7.4). */
typedef enum {
    UNSTICK_BEGUN,
    UNSTICK_REJECTED,  /* a mistake of the caller; nothing has changed */
    UNSTICK_SAME_ERROR /* the error that unstick_last_error returns is still there */
} unstick_answer;

/* Begins a new stream, from any state. `limit` is the maximum payload length, in bytes. */
void unstick_reset(unstick_decoder *d, uint32_t limit);

/* Consumes bytes up to the next event, and returns how many. Call it again with the rest of the
 * bytes until the event is MORE or ERROR. `bytes` may be null if `len` is 0. */
size_t unstick_decode(unstick_decoder *d, const uint8_t *bytes, size_t len, unstick_event *event);

/* Reports the end of the stream: CLEAN_END or ERROR. Afterwards only unstick_reset, or the end
 * again, is allowed. */
void unstick_end(unstick_decoder *d, unstick_event *event);

/* Discards the payload of an oversize frame. */
unstick_answer unstick_skip(unstick_decoder *d);

/* Writes the latched error to `error`; its code is 0 if there is none. */
void unstick_last_error(const unstick_decoder *d, unstick_error *error);

#if UNSTICK_SEARCH
/* Searches for the next header after an error. Only for lossy lines such as a serial line: on any
 * other transport a caller must not search (7.8). */
unstick_answer unstick_resync(unstick_decoder *d);

/* Rejects a frame that has begun and searches as if it had failed, for instance after a timeout on
 * a serial line. Rejected at a frame boundary and in a search. */
unstick_answer unstick_reject(unstick_decoder *d);
#endif

/* Writes the header of a frame to `out`; the payload follows it unchanged. Returns false and
 * writes nothing for kind 0 and for a length above the limit. */
bool unstick_encode_header(uint8_t out[UNSTICK_HEADER_LEN], uint8_t kind, uint64_t length, uint32_t limit);

/* Validates the 8 bytes of a header and returns 0, or the code of the first error (HDR-7). The
 * kind and the length are written only if the result is 0. */
uint16_t unstick_decode_header(const uint8_t header[UNSTICK_HEADER_LEN], uint32_t limit, uint8_t *kind, uint32_t *length);

#if UNSTICK_DATAGRAMS
/* A frame of a datagram. */
typedef struct {
    uint64_t at;
    const uint8_t *payload; /* a part of the datagram; null if `len` is 0 */
    size_t len;
    uint8_t kind;
} unstick_datagram_frame;

/* Checks a whole datagram (8.2) and returns true if it is taken. Otherwise `cause` has the reason.
 * `known` are the application kinds that the receiver knows, `cut` is the transport's report that
 * the datagram was longer than the buffer. */
bool unstick_datagram_check(const uint8_t *bytes, size_t len, bool cut, uint32_t limit, const uint8_t *known,
                            size_t known_len, unstick_error *cause);

/* Writes the next frame of a checked datagram to `frame`, beginning at `*position`, and advances
 * it. Frames of unknown kinds are left out. Returns false after the last one. */
bool unstick_datagram_next(const uint8_t *bytes, size_t len, const uint8_t *known, size_t known_len, size_t *position,
                           unstick_datagram_frame *frame);

/* Appends a frame to the `used` bytes of a datagram, and returns how many it has then. Returns 0
 * and writes nothing if the frame is refused: kind 0, a kind that a datagram cannot have, a payload
 * above `limit`, or a datagram above `datagram_limit`, which counts all its bytes and is at most
 * the size of the buffer. */
size_t unstick_datagram_add(uint8_t *datagram, size_t used, size_t datagram_limit, uint32_t limit, uint8_t kind,
                            const uint8_t *payload, size_t len);
#endif

#ifdef __cplusplus
}
#endif

#endif
