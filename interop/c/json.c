/* json.c: see json.h.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#include "json.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH 16

static json *value(char **at, unsigned depth);

static void space(char **at)
{
    while (**at == ' ' || **at == '\t' || **at == '\r' || **at == '\n')
        ++*at;
}

static bool hex4(const char *at, unsigned *code)
{
    *code = 0;
    for (unsigned i = 0; i < 4; i++) {
        char c = at[i];
        unsigned digit;
        if (c >= '0' && c <= '9')
            digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f')
            digit = (unsigned)(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F')
            digit = (unsigned)(c - 'A') + 10;
        else
            return false;
        *code = *code << 4 | digit;
    }
    return true;
}

static char *utf8(char *out, unsigned code)
{
    if (code < 0x80) {
        *out++ = (char)code;
        return out;
    }
    unsigned more = code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const unsigned lead[] = {0, 0xC0, 0xE0, 0xF0};
    *out++ = (char)(lead[more] | code >> (6 * more));
    while (more-- != 0)
        *out++ = (char)(0x80 | (code >> (6 * more) & 0x3F));
    return out;
}

/* Removes the escapes in place: what an escape stands for is shorter than the escape. */
static bool string(char **at, char **text, size_t *len)
{
    static const char names[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
    char *in = *at, *out;
    if (*in++ != '"')
        return false;
    *text = out = in;
    while (*in != '"') {
        if ((unsigned char)*in < 0x20) /* the end of the text, too */
            return false;
        if (*in != '\\') {
            *out++ = *in++;
            continue;
        }
        in++;
        unsigned code, low;
        const char *name;
        if (*in == 'u') {
            if (!hex4(in + 1, &code))
                return false;
            in += 5;
            if (code >= 0xD800 && code < 0xDC00 && in[0] == '\\' && in[1] == 'u' && hex4(in + 2, &low) &&
                low >= 0xDC00 && low < 0xE000) {
                code = 0x10000 + ((code & 0x3FF) << 10) + (low & 0x3FF);
                in += 6;
            }
            out = utf8(out, code);
        } else if (*in != 0 && (name = strchr(names, *in)) != NULL) {
            *out++ = means[name - names];
            in++;
        } else {
            return false;
        }
    }
    *at = in + 1;
    *len = (size_t)(out - *text);
    *out = 0;
    return true;
}

static bool items(char **at, json *parent, char end, unsigned depth)
{
    json **last = &parent->child;
    ++*at;
    space(at);
    if (**at == end) {
        ++*at;
        return true;
    }
    for (;;) {
        char *key = NULL;
        size_t key_len;
        if (end == '}') {
            space(at);
            if (!string(at, &key, &key_len))
                return false;
            space(at);
            if (*(*at)++ != ':')
                return false;
        }
        json *item = value(at, depth + 1);
        if (item == NULL)
            return false;
        item->key = key;
        *last = item;
        last = &item->next;
        space(at);
        char c = **at;
        if (c != ',' && c != end)
            return false;
        ++*at;
        if (c == end)
            return true;
    }
}

static bool word(char **at, const char *text)
{
    size_t len = strlen(text);
    if (strncmp(*at, text, len) != 0)
        return false;
    *at += len;
    return true;
}

static bool content(char **at, json *v, unsigned depth)
{
    switch (**at) {
    case '"':
        v->type = JSON_STRING;
        return string(at, &v->text, &v->len);
    case '{':
        v->type = JSON_OBJECT;
        return items(at, v, '}', depth);
    case '[':
        v->type = JSON_ARRAY;
        return items(at, v, ']', depth);
    case 'n':
        v->type = JSON_NULL;
        return word(at, "null");
    case 't':
        v->type = JSON_TRUE;
        return word(at, "true");
    case 'f':
        v->type = JSON_FALSE;
        return word(at, "false");
    default:
        v->type = JSON_NUMBER;
        v->text = *at;
        v->len = strspn(*at, "+-0123456789.eE");
        *at += v->len;
        return v->len != 0;
    }
}

static json *value(char **at, unsigned depth)
{
    json *v = depth < DEPTH ? calloc(1, sizeof *v) : NULL;
    if (v == NULL)
        return NULL;
    space(at);
    if (content(at, v, depth))
        return v;
    json_free(v);
    return NULL;
}

json *json_read(char *text)
{
    json *v = value(&text, 0);
    if (v != NULL) {
        space(&text);
        if (*text != 0) {
            json_free(v);
            return NULL;
        }
    }
    return v;
}

void json_free(json *v)
{
    while (v != NULL) {
        json *next = v->next;
        json_free(v->child);
        free(v);
        v = next;
    }
}

const json *json_get(const json *object, const char *key)
{
    if (object == NULL || object->type != JSON_OBJECT)
        return NULL;
    for (const json *item = object->child; item != NULL; item = item->next)
        if (strcmp(item->key, key) == 0)
            return item;
    return NULL;
}

uint64_t json_number(const json *object, const char *key, uint64_t absent)
{
    const json *v = json_get(object, key);
    uint64_t number = 0;
    if (v == NULL || (v->type != JSON_NUMBER && v->type != JSON_STRING))
        return absent;
    for (size_t i = 0; i < v->len; i++) {
        if (v->text[i] < '0' || v->text[i] > '9')
            return absent;
        unsigned digit = (unsigned)(v->text[i] - '0');
        if (number > (UINT64_MAX - digit) / 10)
            return UINT64_MAX;
        number = number * 10 + digit;
    }
    return number;
}

int64_t json_signed(const json *object, const char *key, int64_t absent)
{
    const json *v = json_get(object, key);
    if (v == NULL || (v->type != JSON_NUMBER && v->type != JSON_STRING))
        return absent;
    return strtoll(v->text, NULL, 10);
}

bool json_is(const json *object, const char *key, const char *text)
{
    const json *v = json_get(object, key);
    return v != NULL && v->type == JSON_STRING && v->len == strlen(text) && memcmp(v->text, text, v->len) == 0;
}

bool json_true(const json *object, const char *key)
{
    const json *v = json_get(object, key);
    return v != NULL && v->type == JSON_TRUE;
}
