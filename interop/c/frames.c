/* frames.c: lists the frames and errors of a file, a line each, for fuzz.py to compare.
 *
 *     frames LIMIT [resync] [skip] FILE CUT…
 *
 * The file is decoded in pieces that end at the offsets CUT…, then again in one piece and byte by
 * byte; it is an error if that gives other lines. `resync` and `skip` go on after an error. Without
 * them a search shows what it would find, except after oversize, and the rest is left.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unstick.h"

static bool resync, skip;
static uint32_t limit;

/* Memory streams are not in C11. */
typedef struct {
    char *text;
    size_t len, room;
} lines;

static void *grown(void *bytes, size_t *room, size_t need)
{
    if (need > *room) {
        *room = need * 2;
        bytes = realloc(bytes, *room);
        if (bytes == NULL)
            abort();
    }
    return bytes;
}

static void put(lines *out, const char *text)
{
    size_t len = strlen(text);
    out->text = grown(out->text, &out->room, out->len + len + 1);
    memcpy(out->text + out->len, text, len + 1);
    out->len += len;
}

typedef struct {
    unstick_decoder decoder;
    lines out;
    bool in_frame; /* its payload is not complete */
    bool stopped;
    uint64_t at;
    uint8_t kind;
    uint32_t length;
    uint8_t *payload;
    size_t arrived, room;
} run;

static void put_frame(run *r)
{
    char text[96];
    snprintf(text, sizeof text, "frame %" PRIu64 " %02x %" PRIu32 " %zu ", r->at, r->kind, r->length, r->arrived);
    put(&r->out, text);
    for (size_t i = 0; i < r->arrived; i++) {
        snprintf(text, sizeof text, "%02x", r->payload[i]);
        put(&r->out, text);
    }
    put(&r->out, "\n");
    r->in_frame = false;
}

static void put_error(run *r, const unstick_error *e)
{
    char text[160];
    if (e->code == UNSTICK_UNSYNCHRONIZED) {
        snprintf(text, sizeof text, "resync none %" PRIu64 "\n", e->skipped);
        put(&r->out, text);
        return;
    }
    uint64_t byte = e->code <= UNSTICK_BAD_CHECK ? r->decoder.offset - 1 : e->at;
    snprintf(text, sizeof text, "error %" PRIu64 " %" PRIu64 " %u found %u expected %u length %" PRIu32 " limit %" PRIu32
             " missing %" PRIu32 " exact %d\n", e->at, byte, (unsigned)e->code, (unsigned)e->found, (unsigned)e->expected,
             e->length, e->limit, e->missing, (int)e->exact);
    put(&r->out, text);
}

static void step(run *r, const unstick_event *event)
{
    char text[64];
    if (event->type == UNSTICK_FRAME) {
        if (event->skipped != 0) {
            snprintf(text, sizeof text, "resync %" PRIu64 " %" PRIu64 "\n", event->at, event->skipped);
            put(&r->out, text);
            r->stopped = !resync;
        }
        r->at = event->at;
        r->kind = event->kind;
        r->length = event->length;
        r->arrived = 0;
        r->in_frame = true;
    } else if (event->type == UNSTICK_DATA) {
        r->payload = grown(r->payload, &r->room, r->arrived + event->len);
        memcpy(r->payload + r->arrived, event->bytes, event->len);
        r->arrived += event->len;
    } else if (event->type == UNSTICK_ERROR) {
        if (r->in_frame) /* what arrived of a frame that was cut */
            put_frame(r);
        put_error(r, &event->error);
        bool oversize = event->error.code == UNSTICK_OVERSIZE;
        r->stopped = oversize && !skip && !resync;
        if (!r->stopped)
            r->stopped = (oversize && skip ? unstick_skip : unstick_resync)(&r->decoder) != UNSTICK_BEGUN;
        return;
    }
    if (event->type != UNSTICK_MORE && event->last && !r->stopped)
        put_frame(r);
}

static void piece(run *r, const uint8_t *bytes, size_t len)
{
    unstick_event event;
    size_t used = 0;
    if (len == 0)
        return;
    /* A copy of its own, in which a sanitizer sees each access outside of it. */
    uint8_t *copy = malloc(len);
    if (copy == NULL)
        abort();
    memcpy(copy, bytes, len);
    do {
        used += unstick_decode(&r->decoder, used == len ? NULL : copy + used, len - used, &event);
        step(r, &event);
    } while (event.type != UNSTICK_MORE && !r->stopped);
    free(copy);
}

/* Decodes the bytes in pieces that end at the cuts, or in pieces of `every` bytes. */
static char *decoded(const uint8_t *bytes, size_t len, char **cuts, size_t every)
{
    run r;
    unstick_event event;
    memset(&r, 0, sizeof r);
    unstick_reset(&r.decoder, limit);
    put(&r.out, "");
    for (size_t at = 0; at < len && !r.stopped;) {
        size_t to = cuts == NULL ? at + every : *cuts == NULL ? len : strtoul(*cuts++, NULL, 10);
        if (to > len)
            to = len;
        if (to > at)
            piece(&r, bytes + at, to - at);
        at = to > at ? to : at;
    }
    if (!r.stopped) {
        unstick_end(&r.decoder, &event);
        if (event.type == UNSTICK_ERROR)
            step(&r, &event);
    }
    free(r.payload);
    return r.out.text;
}

int main(int argc, char **argv)
{
    int i = 2;
    if (argc < 3)
        return 2;
    limit = (uint32_t)strtoul(argv[1], NULL, 10);
    for (; i < argc; i++) {
        if (strcmp(argv[i], "resync") == 0)
            resync = true;
        else if (strcmp(argv[i], "skip") == 0)
            skip = true;
        else
            break;
    }
    FILE *file = i < argc ? fopen(argv[i], "rb") : NULL;
    if (file == NULL)
        return 2;
    uint8_t *bytes = NULL;
    size_t len = 0, room = 0, n;
    do {
        bytes = grown(bytes, &room, len + 65536);
        n = fread(bytes + len, 1, room - len, file);
        len += n;
    } while (n != 0);
    fclose(file);

    char *cut = decoded(bytes, len, argv + i + 1, 0);
    char *whole = decoded(bytes, len, NULL, len == 0 ? 1 : len);
    char *single = decoded(bytes, len, NULL, 1);
    fputs(cut, stdout);
    bool same = strcmp(cut, whole) == 0 && strcmp(cut, single) == 0;
    if (!same)
        fprintf(stderr, "other cuts give other lines:\n%s\n%s", whole, single);
    free(cut);
    free(whole);
    free(single);
    free(bytes);
    return same ? 0 : 1;
}
