/* json.h: reads one JSON value, and no more than `conform` needs.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#ifndef UNSTICK_JSON_H
#define UNSTICK_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum { JSON_NULL, JSON_FALSE, JSON_TRUE, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT } json_type;

typedef struct json {
    json_type type;
    char *text;          /* of a string, without escapes, and of a number; it may contain NUL */
    size_t len;          /* bytes of the text */
    char *key;           /* of an object's member, ends with NUL */
    struct json *child;  /* the first item of an array or object */
    struct json *next;   /* the next item of the same array or object */
} json;

/* Reads the value that is all of `text`, which ends with NUL and is changed; the value points into
 * it. Returns null if it is not one JSON value. json_free frees the value, but not the text. */
json *json_read(char *text);
void json_free(json *value);

/* Returns the member of an object, or null. */
const json *json_get(const json *object, const char *key);

/* Returns the number of a member, given as a number or as a string of digits. Returns `absent` if
 * there is none, and UINT64_MAX for a larger one. */
uint64_t json_number(const json *object, const char *key, uint64_t absent);

int64_t json_signed(const json *object, const char *key, int64_t absent); /* an integer, or a string of one */
bool json_is(const json *object, const char *key, const char *text); /* a string member of this text */
bool json_true(const json *object, const char *key);

#endif
