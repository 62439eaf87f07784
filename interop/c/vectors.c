/* vectors.c: runs the stream vectors in vectors.h, which vectors/to-c.py generates. It has no heap and
 * no JSON, so it can be a model for a test on a microcontroller. Prints the vectors that fail, and
 * exits with 1.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "unstick.h"
#include "vectors.h"

static const struct vector *vector;
static unsigned next;        /* the step that is due */
static size_t pos, received; /* bytes consumed, and those of the payload that arrives */
static const struct vector_step *failed; /* the error that stays, if there is one */
static uint64_t frame_at;
static uint8_t frame_kind;

static bool same_error(const struct vector_step *s, const unstick_error *e)
{
    if (e->code != s->code || e->at != s->at)
        return false;
    switch (e->code) {
    case UNSTICK_BAD_MAGIC:
    case UNSTICK_UNSUPPORTED_VERSION: return e->found == s->a;
    case UNSTICK_BAD_CHECK: return e->found == s->a && e->expected == s->b;
    case UNSTICK_OVERSIZE: return e->length == s->a && e->limit == s->b;
    case UNSTICK_TRUNCATED: return e->missing == s->a && e->exact == (s->b != 0);
    case UNSTICK_UNSYNCHRONIZED: return e->skipped == s->a;
    default: return e->code == UNSTICK_INVALID_KIND;
    }
}

/* The step that is due, if it is of this type and comes at this byte. */
static const struct vector_step *due(uint8_t type)
{
    if (next == vector->step_count)
        return NULL;
    const struct vector_step *s = &vector->steps[next];
    return s->type == type && s->after == pos ? s : NULL;
}

static bool is_action(const struct vector_step *s)
{
    return s->type > VECTOR_FOUND ||
           (s->type == VECTOR_ERROR && (s->code == UNSTICK_TRUNCATED || s->code == UNSTICK_UNSYNCHRONIZED));
}

static bool frame_done(void)
{
    const struct vector_step *s = due(VECTOR_FRAME);
    next++;
    return s != NULL && s->kind == frame_kind && s->at == frame_at && s->a == received;
}

/* Takes an event of the decoder; `pos` is after it. */
static bool take(const unstick_event *e)
{
    const struct vector_step *s;
    switch (e->type) {
    case UNSTICK_MORE: return true;
    case UNSTICK_FRAME:
        if (e->skipped != 0) {
            s = due(VECTOR_FOUND);
            next++;
            if (s == NULL || s->a != e->skipped)
                return false;
        }
        frame_at = e->at;
        frame_kind = e->kind;
        received = 0;
        return !e->last || frame_done();
    case UNSTICK_DATA:
        received += e->len;
        /* The payload is the bytes of the vector that were just consumed. */
        if (memcmp(e->bytes, vector->bytes + pos - e->len, e->len) != 0)
            return false;
        return !e->last || frame_done();
    case UNSTICK_ERROR:
        s = due(VECTOR_ERROR);
        next++;
        failed = s;
        return s != NULL && same_error(s, &e->error);
    default: return false;
    }
}

/* Offers the bytes up to `to`, or up to an error. */
static bool feed(unstick_decoder *d, size_t to)
{
    unstick_event event;
    do {
        pos += unstick_decode(d, vector->bytes + pos, to - pos, &event);
        if (!take(&event))
            return false;
    } while (event.type != UNSTICK_MORE && event.type != UNSTICK_ERROR);
    return failed != NULL || pos == to;
}

/* Makes a request, or ends the stream. */
static bool act(unstick_decoder *d, const struct vector_step *s)
{
    unstick_event event;
    unstick_answer answer = UNSTICK_REJECTED;
    next++;
    switch (s->type) {
    case VECTOR_END:
        unstick_end(d, &event);
        return event.type == UNSTICK_CLEAN_END;
    case VECTOR_ERROR:
        unstick_end(d, &event);
        failed = s;
        return event.type == UNSTICK_ERROR && same_error(s, &event.error);
    case VECTOR_RESET:
        unstick_reset(d, vector->limit);
        failed = NULL;
        return true;
    case VECTOR_SKIP: answer = unstick_skip(d); break;
    default:
#if UNSTICK_SEARCH
        answer = unstick_resync(d);
#endif
        break;
    }
    failed = answer == UNSTICK_BEGUN ? NULL : failed;
    return answer == (unstick_answer)s->answer;
}

/* Runs the vector, cut at these offsets or, without any, after every `size` bytes. */
static bool run(const uint16_t *cuts, size_t size)
{
    unstick_decoder d;
    unstick_event event;
    unstick_reset(&d, vector->limit);
    next = 0;
    pos = received = 0;
    failed = NULL;
    while (next < vector->step_count) {
        const struct vector_step *s = &vector->steps[next];
        if (is_action(s) && s->after == pos) {
            if (!act(&d, s))
                return false;
            continue;
        }
        size_t to = vector->len;
        for (unsigned i = next; i < vector->step_count; i++)
            if (is_action(&vector->steps[i])) {
                to = vector->steps[i].after; /* an action is at its byte, so the piece ends there */
                break;
            }
        if (cuts == NULL && to > pos + size)
            to = pos + size;
        for (; cuts != NULL && *cuts != VECTOR_CUTS_END; cuts++)
            if (*cuts > pos) {
                to = *cuts < to ? *cuts : to;
                break;
            }
        if (failed != NULL || to <= pos || !feed(&d, to))
            return false;
    }
    /* An error stays, for bytes and for the end (ERR-4). */
    if (failed == NULL)
        return true;
    if (unstick_decode(&d, (const uint8_t *)"", 1, &event) != 0 || event.type != UNSTICK_ERROR || !same_error(failed, &event.error))
        return false;
    unstick_end(&d, &event);
    return event.type == UNSTICK_ERROR && same_error(failed, &event.error);
}

static bool needs_search(void)
{
    for (unsigned i = 0; i < vector->step_count; i++)
        if (vector->steps[i].type == VECTOR_RESYNC)
            return true;
    return false;
}

int main(void)
{
    unsigned passed = 0, wrong = 0;
    for (vector = vectors; vector < vectors + VECTOR_COUNT; vector++) {
        if (!UNSTICK_SEARCH && needs_search())
            continue;
        bool good = run(NULL, vector->len) && run(NULL, 1);
        for (unsigned i = 0; good && i < vector->cuts_len; i++)
            if (i == 0 || vector->cuts[i - 1] == VECTOR_CUTS_END)
                good = run(vector->cuts + i, 1);
        if (!good)
            printf("%s fails\n", vector->id);
        passed += good;
        wrong += !good;
    }
    printf("%u vectors of vectors.h pass\n", passed);
    return wrong != 0;
}
