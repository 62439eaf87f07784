/* peer.c: a client and a server over TCP, as an example for POSIX systems. It has messages, pings,
 * and files with resuming. The server has a process for each conversation.
 *
 *   peer listen HOST:PORT [--dir DIR] [--reply echo]
 *   peer send HOST:PORT [--text TEXT]... [--ping] [--key HEX] [--file PATH]... [--wait]
 *
 * Options are handled in their order, so a key comes before its file. With --text, `send` waits for one answer to each; with --wait, until the peer closes. It returns 0
 * if the conversation has ended cleanly and each file was stored.
 *
 * SPDX-License-Identifier: MIT OR Apache-2.0
 */
#define _XOPEN_SOURCE 700
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "sha256.h"
#include "unstick_session.h"

#define LIMIT 65536u             /* of received payloads; a message of a file has no more */
#define MAX_UNWRITTEN (1u << 20) /* of answers that the peer does not read */
#define PARTS ".unstick-parts"   /* a folder in DIR; no file can have this name */

/* The bounds of 14.7, in seconds. */
enum { QUIET = 20, IDLE = 60, SIGN_OF_LIFE = 5, PEER_END = 60, DISCARD = 5 };

/* The file that the peer has open. */
typedef struct {
    bool open, keyed;
    uint32_t transfer;
    int fd;
    sha256 hash; /* of what the part has */
    char path[1024], part[1024];
} inbox;

typedef struct {
    int socket;
    const char *dir; /* null: files are refused */
    bool echo;
    unstick_decoder decoder;
    unstick_session session;
    uint8_t kind, payload[LIMIT];
    size_t got;
    uint8_t *out; /* not yet written */
    size_t out_len, out_size;
    bool ended, shut; /* the peer's direction, and this side's */
    time_t heard, said, ticked, answered; /* when: a byte, a message of this side, a tick, a status */
    inbox in;
    /* What a client waits for. */
    unsigned replies, pongs;
    uint32_t transfer; /* of its file */
    bool ready;
    uint64_t held;
    uint8_t digest[32]; /* of ready, and then of the final status */
    uint16_t final_code;
} peer;

static volatile sig_atomic_t stopped;

static void stop(int signal)
{
    (void)signal;
    stopped = 1;
}

static void quit(const char *what)
{
    perror(what);
    exit(1);
}

static time_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec;
}

/* ---- messages that are sent */

static void write_frame(peer *p, unstick_message *message, const uint8_t *fixed, size_t fixed_len)
{
    size_t needed = p->out_len + UNSTICK_HEADER_LEN + fixed_len + message->len;
    if (needed > p->out_size) {
        p->out_size = 2 * needed;
        p->out = realloc(p->out, p->out_size);
        if (p->out == NULL)
            quit("memory");
    }
    unstick_encode_header(p->out + p->out_len, message->kind, fixed_len + message->len, UINT32_MAX);
    memcpy(p->out + p->out_len + UNSTICK_HEADER_LEN, fixed, fixed_len);
    if (message->len != 0)
        memcpy(p->out + needed - message->len, message->bytes, message->len);
    p->out_len = needed;
    p->said = now();
}

/* Writes what the session says by itself. */
static void say(peer *p)
{
    unstick_message message;
    uint8_t fixed[UNSTICK_MAX_FIXED];
    while (unstick_session_says(&p->session, &message)) {
        int len = unstick_message_encode(&message, fixed);
        if (len >= 0)
            write_frame(p, &message, fixed, (size_t)len);
    }
}

/* Sends a message. Returns false if it is not allowed now. */
static bool put(peer *p, unstick_message message)
{
    uint8_t fixed[UNSTICK_MAX_FIXED];
    int len;
    say(p);
    len = unstick_session_send(&p->session, &message, fixed);
    if (len >= 0)
        write_frame(p, &message, fixed, (size_t)len);
    return len >= 0;
}

static void answer(peer *p, uint32_t transfer, uint16_t code, uint64_t offset, const uint8_t *digest)
{
    /* Ready may have become pointless meanwhile: data has crossed it. */
    put(p, (unstick_message){.kind = UNSTICK_FILE_STATUS, .transfer = transfer, .code = code, .offset = offset,
                             .digest = digest});
}

/* ---- files that are received (15.7) */

/* Adds all bytes of a file to the hash. Signs of life are sent meanwhile, if they are due. */
static bool hash_file(peer *p, int fd, sha256 *hash)
{
    static uint8_t bytes[65536];
    ssize_t n;
    sha256_begin(hash);
    if (lseek(fd, 0, SEEK_SET) != 0)
        return false;
    while ((n = read(fd, bytes, sizeof bytes)) > 0) {
        sha256_add(hash, bytes, (size_t)n);
        if (now() - p->ticked >= SIGN_OF_LIFE && p->out_len < MAX_UNWRITTEN) {
            ssize_t written;
            p->ticked = now();
            unstick_session_tick(&p->session);
            say(p);
            written = send(p->socket, p->out, p->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (written > 0) {
                p->out_len -= (size_t)written;
                memmove(p->out, p->out + written, p->out_len);
            }
        }
    }
    return n == 0;
}

/* Ends the open file. */
static void leave(inbox *in, bool keep)
{
    if (!in->open)
        return;
    if (!keep)
        unlink(in->part);
    close(in->fd); /* with its lock */
    in->open = false;
}

static void refuse(peer *p, uint16_t code)
{
    answer(p, p->in.transfer, code, 0, NULL);
    leave(&p->in, false);
}

/* Answers that a file of this name exists, or with `stored` if its digest is `expected`. */
static void answer_existing(peer *p, uint32_t transfer, uint64_t size, const uint8_t *expected)
{
    struct stat status;
    sha256 hash;
    uint8_t digest[32];
    int fd = open(p->in.path, O_RDONLY | O_NOFOLLOW);
    bool same_size = fd >= 0 && fstat(fd, &status) == 0 && S_ISREG(status.st_mode) &&
                     (size == UNSTICK_SIZE_UNKNOWN || (uint64_t)status.st_size == size);
    if (same_size && hash_file(p, fd, &hash)) {
        bool same;
        sha256_digest(&hash, digest);
        same = expected != NULL && memcmp(digest, expected, 32) == 0;
        answer(p, transfer, same ? UNSTICK_STORED : UNSTICK_EXISTS, hash.len, digest);
    } else {
        answer(p, transfer, UNSTICK_EXISTS, 0, NULL);
    }
    if (fd >= 0)
        close(fd);
}

static void file_opened(peer *p, const unstick_message *message)
{
    static const uint8_t no_key[16];
    inbox *in = &p->in;
    struct stat status;
    uint8_t digest[32];
    char hex[65];
    int i, length;
    in->transfer = message->transfer;
    if (p->dir == NULL) {
        answer(p, in->transfer, UNSTICK_NOT_ACCEPTED, 0, NULL);
        return;
    }
    length = snprintf(in->path, sizeof in->path, "%s/%.*s", p->dir, (int)message->len, (const char *)message->bytes);
    if (length >= (int)sizeof in->path || (message->len == strlen(PARTS) && memcmp(message->bytes, PARTS, message->len) == 0)) {
        answer(p, in->transfer, UNSTICK_BAD_NAME, 0, NULL);
        return;
    }
    if (lstat(in->path, &status) == 0) {
        answer_existing(p, in->transfer, message->size, NULL);
        return;
    }
    /* The name of the part: of a digest, so that it shows no key and has any length of name. */
    in->keyed = memcmp(message->key, no_key, 16) != 0;
    sha256_begin(&in->hash);
    sha256_add(&in->hash, message->key, 16);
    sha256_add(&in->hash, message->bytes, message->len);
    sha256_digest(&in->hash, digest);
    for (i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", digest[i]);
    if (!in->keyed)
        snprintf(hex, sizeof hex, "%ld-%lu", (long)getpid(), (unsigned long)in->transfer);
    snprintf(in->part, sizeof in->part, "%s/%s/%s", p->dir, PARTS, hex);
    in->fd = open(in->part, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    if (in->fd < 0 || lockf(in->fd, F_TLOCK, 0) != 0) {
        answer(p, in->transfer, in->fd < 0 ? UNSTICK_STORAGE_FAILED : UNSTICK_BUSY, 0, NULL);
        if (in->fd >= 0)
            close(in->fd);
        return;
    }
    in->open = true;
    if (!hash_file(p, in->fd, &in->hash)) {
        refuse(p, UNSTICK_STORAGE_FAILED);
        return;
    }
    if (in->hash.len > message->size) /* of another file; data begins at 0 */
        sha256_begin(&in->hash);
    sha256_digest(&in->hash, digest);
    answer(p, in->transfer, UNSTICK_READY, in->hash.len, digest);
}

/* Goes to where the file's bytes go on: at 0, or after those that the part has. */
static bool go_to(inbox *in, uint64_t offset)
{
    if (offset == 0)
        sha256_begin(&in->hash);
    return ftruncate(in->fd, (off_t)offset) == 0 && lseek(in->fd, (off_t)offset, SEEK_SET) >= 0;
}

static void file_data(peer *p, const unstick_message *message)
{
    size_t written = 0;
    ssize_t n = 0;
    if (message->offset != p->in.hash.len || p->in.hash.len == 0)
        n = go_to(&p->in, message->offset) ? 0 : -1;
    while (n >= 0 && written < message->len) {
        n = write(p->in.fd, message->bytes + written, message->len - written);
        written += n > 0 ? (size_t)n : 0;
    }
    if (n < 0)
        refuse(p, errno == ENOSPC ? UNSTICK_NO_SPACE : UNSTICK_STORAGE_FAILED);
    else
        sha256_add(&p->in.hash, message->bytes, message->len);
}

static void file_done(peer *p, const unstick_message *message)
{
    inbox *in = &p->in;
    uint8_t digest[32];
    int dir;
    if (!go_to(in, message->total) || fsync(in->fd) != 0) {
        refuse(p, UNSTICK_STORAGE_FAILED);
        return;
    }
    sha256_digest(&in->hash, digest);
    if (memcmp(digest, message->digest, 32) != 0) {
        refuse(p, UNSTICK_BAD_DIGEST);
        return;
    }
    if (link(in->part, in->path) != 0) { /* fails if the name exists (FIL-24) */
        if (errno == EEXIST) {
            answer_existing(p, in->transfer, UNSTICK_SIZE_UNKNOWN, digest);
            leave(in, false);
        } else {
            refuse(p, UNSTICK_STORAGE_FAILED);
        }
        return;
    }
    leave(in, false);
    dir = open(p->dir, O_RDONLY);
    if (dir < 0 || fsync(dir) != 0)
        answer(p, in->transfer, UNSTICK_STORAGE_FAILED, 0, NULL);
    else
        answer(p, in->transfer, UNSTICK_STORED, message->total, digest);
    if (dir >= 0)
        close(dir);
    printf("stored %s\n", in->path);
}

/* ---- messages that arrive */

static void handle(peer *p, unstick_told told, const unstick_message *message)
{
    bool is_own = message->transfer == p->transfer; /* of statuses */
    if (told >= UNSTICK_ON_FILE_READY && told <= UNSTICK_ON_FILE_END && is_own)
        p->answered = now();
    if (told == UNSTICK_ON_FILE_REFUSED && message->transfer == p->in.transfer)
        leave(&p->in, false);
    if (told == UNSTICK_ON_FILE_READY && is_own) {
        p->ready = true;
        p->held = message->offset;
        memcpy(p->digest, message->digest, 32);
    }
    if (told == UNSTICK_ON_FILE_END && is_own) {
        p->final_code = message->code;
        memcpy(p->digest, message->digest, 32);
    }
    if (told != UNSTICK_ON_MESSAGE)
        return;
    switch (message->kind) {
    case UNSTICK_TEXT:
    case UNSTICK_BINARY:
        printf("%.*s\n", (int)message->len, (const char *)message->bytes);
        fflush(stdout);
        p->replies++;
        if (p->echo)
            put(p, *message);
        if (p->out_len > MAX_UNWRITTEN)
            unstick_session_fail(&p->session, UNSTICK_BUSY); /* 14.9 */
        break;
    case UNSTICK_PONG:
        p->pongs++;
        break;
    case UNSTICK_FILE_OPEN:
        file_opened(p, message);
        break;
    case UNSTICK_FILE_DATA:
        file_data(p, message);
        break;
    case UNSTICK_FILE_DONE:
        file_done(p, message);
        break;
    case UNSTICK_FILE_CANCEL:
        leave(&p->in, false);
        break;
    default:
        break;
    }
}

static void feed(peer *p, const uint8_t *bytes, size_t len)
{
    unstick_event event;
    unstick_message message;
    do {
        size_t used = unstick_decode(&p->decoder, bytes, len, &event);
        bytes += used;
        len -= used;
        if (event.type == UNSTICK_ERROR)
            unstick_session_fail(&p->session, event.error.code);
        if (event.type == UNSTICK_FRAME) {
            p->kind = event.kind;
            p->got = 0;
            unstick_session_header(&p->session, event.kind, event.length);
        }
        if (event.type == UNSTICK_DATA) {
            memcpy(p->payload + p->got, event.bytes, event.len);
            p->got += event.len;
        }
        if ((event.type == UNSTICK_FRAME || event.type == UNSTICK_DATA) && event.last && p->session.error == 0)
            handle(p, unstick_session_receive(&p->session, p->kind, p->payload, p->got, &message), &message);
        say(p);
    } while (event.type != UNSTICK_MORE && p->session.error == 0);
}

static void read_some(peer *p)
{
    static uint8_t bytes[65536];
    unstick_event event;
    ssize_t n = recv(p->socket, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    p->heard = now();
    if (n > 0) {
        if (p->session.error == 0) /* else it is discarded (CNV-18) */
            feed(p, bytes, (size_t)n);
        return;
    }
    p->ended = true;
    unstick_end(&p->decoder, &event);
    if (n == 0 && event.type == UNSTICK_ERROR)
        unstick_session_fail(&p->session, event.error.code);
    unstick_session_end(&p->session);
}

/* Waits until something can be read or written, and does it. Reading never waits for writing (CNV-17).
 * `wait` is in milliseconds. */
static void step(peer *p, int wait)
{
    struct pollfd fd = {.fd = p->socket, .events = 0};
    if (!p->ended)
        fd.events |= POLLIN;
    if (p->out_len != 0)
        fd.events |= POLLOUT;
    if (poll(&fd, 1, wait) > 0) {
        if (fd.revents & (POLLIN | POLLHUP | POLLERR) && !p->ended)
            read_some(p);
        if (p->out_len != 0 && fd.revents & (POLLOUT | POLLHUP | POLLERR)) {
            ssize_t n = send(p->socket, p->out, p->out_len, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (n < 0 && errno != EAGAIN && errno != EINTR)
                n = (ssize_t)p->out_len; /* nobody takes it any more */
            if (n > 0) {
                p->out_len -= (size_t)n;
                memmove(p->out, p->out + n, p->out_len);
            }
        }
    }
    if (now() - p->ticked >= SIGN_OF_LIFE) {
        p->ticked = now();
        unstick_session_tick(&p->session);
    }
    if (now() - p->said >= QUIET && p->out_len == 0)
        put(p, (unstick_message){.kind = UNSTICK_PING});
    if (now() - p->heard >= IDLE && !p->session.close_received && !p->session.close_sent)
        unstick_session_fail(&p->session, UNSTICK_IDLE_TIMEOUT);
    say(p);
}

/* Whether the conversation is to go on. */
static bool is_on(const peer *p)
{
    return p->session.error == 0 && !p->session.close_received && !stopped;
}

/* Goes on until both sides have ended; with `at_once` this side closes as soon as it may. Returns
 * whether that was clean. */
static bool converse(peer *p, bool at_once)
{
    unstick_session *s = &p->session;
    time_t drained = 0, closed = 0;
    while (!(p->ended && p->shut)) {
        if ((at_once || !is_on(p)) && s->error == 0 && !s->close_sent) {
            unstick_session_drain(s);
            drained = drained == 0 ? now() : drained;
            if (!unstick_session_busy(s) || now() - drained >= PEER_END)
                put(p, (unstick_message){.kind = UNSTICK_CLOSE});
        }
        if (s->error != 0 || s->close_sent) {
            closed = closed == 0 ? now() : closed;
            if (p->out_len == 0 && !p->shut) {
                shutdown(p->socket, SHUT_WR);
                p->shut = true;
                continue;
            }
            if (s->error != 0 ? now() - closed >= DISCARD
                              : now() - closed >= PEER_END && now() - p->heard >= PEER_END)
                break;
        }
        step(p, 1000);
    }
    leave(&p->in, p->in.keyed);
    close(p->socket);
    if (s->error != 0)
        fprintf(stderr, "the conversation has ended with 0x%04x\n", s->error);
    return s->error == 0 && p->ended;
}

static void begin(peer *p, int socket, const char *dir, bool echo)
{
    int on = 1;
    memset(p, 0, sizeof *p);
    p->socket = socket;
    p->dir = dir;
    p->echo = echo;
    p->heard = p->said = p->ticked = now();
    unstick_reset(&p->decoder, LIMIT);
    unstick_session_begin(&p->session, NULL, 0);
    (void)setsockopt(socket, 6 /* TCP */, 1 /* TCP_NODELAY */, &on, sizeof on);
    put(p, (unstick_message){.kind = UNSTICK_HELLO, .limit = LIMIT, .bytes = (const uint8_t *)"peer.c", .len = 6});
}

/* ---- the client */

/* Sends a file. Returns whether the peer has it. */
static bool send_file(peer *p, const char *path, const uint8_t key[16])
{
    static uint8_t bytes[LIMIT - 12];
    const char *slash = strrchr(path, '/'), *name = slash == NULL ? path : slash + 1;
    int fd = open(path, O_RDONLY);
    struct stat status;
    sha256 hash;
    uint8_t digest[32];
    size_t most;
    uint32_t transfer = ++p->transfer;
    if (fd < 0 || fstat(fd, &status) != 0)
        quit(path);
    p->ready = false;
    p->final_code = 0;
    p->answered = now();
    sha256_begin(&hash);
    put(p, (unstick_message){.kind = UNSTICK_FILE_OPEN, .transfer = transfer, .key = key,
                             .size = (uint64_t)status.st_size, .bytes = (const uint8_t *)name, .len = strlen(name)});
    /* A receiver that does not answer is waited for no longer: the file begins at 0. */
    while (key != NULL && is_on(p) && !p->ready && p->final_code == 0 && now() - p->answered < IDLE)
        step(p, 1000);
    /* Compare what the peer holds; read and keep the conversation alive meanwhile (FIL-23). */
    while (is_on(p) && hash.len < p->held && p->ready) {
        size_t n = p->held - hash.len < sizeof bytes ? (size_t)(p->held - hash.len) : sizeof bytes;
        ssize_t got = read(fd, bytes, n);
        if (got <= 0)
            break;
        sha256_add(&hash, bytes, (size_t)got);
        step(p, 0);
    }
    sha256_digest(&hash, digest);
    if (!p->ready || hash.len != p->held || memcmp(digest, p->digest, 32) != 0) {
        sha256_begin(&hash);
        if (lseek(fd, 0, SEEK_SET) != 0)
            quit(path);
    }
    most = p->session.peer_limit - 12 < sizeof bytes ? p->session.peer_limit - 12 : sizeof bytes;
    while (is_on(p) && p->final_code == 0) {
        ssize_t n;
        if (p->out_len > 4 * sizeof bytes) {
            step(p, 1000);
            continue;
        }
        n = read(fd, bytes, most);
        if (n <= 0)
            break;
        put(p, (unstick_message){.kind = UNSTICK_FILE_DATA, .transfer = transfer, .offset = hash.len,
                                 .bytes = bytes, .len = (size_t)n});
        sha256_add(&hash, bytes, (size_t)n);
        step(p, 0);
    }
    sha256_digest(&hash, digest);
    if (is_on(p) && p->final_code == 0 &&
        !put(p, (unstick_message){.kind = UNSTICK_FILE_DONE, .transfer = transfer, .total = hash.len, .digest = digest}))
        put(p, (unstick_message){.kind = UNSTICK_FILE_CANCEL, .transfer = transfer, .code = UNSTICK_CHANGED});
    p->answered = now();
    while (is_on(p) && p->final_code == 0) {
        step(p, 1000);
        if (now() - p->answered >= IDLE)
            unstick_session_fail(&p->session, UNSTICK_TOO_SLOW); /* 15.6 */
    }
    close(fd);
    printf("%s: 0x%04x\n", name, p->final_code);
    return (p->final_code == UNSTICK_STORED || p->final_code == UNSTICK_EXISTS) && memcmp(digest, p->digest, 32) == 0;
}

static int send_all(peer *p, char **arguments)
{
    static uint8_t key[16];
    bool keyed = false, good = true, waits = false;
    for (; *arguments != NULL; arguments++) {
        const char *option = arguments[0], *value = arguments[1];
        if (strcmp(option, "--wait") == 0) {
            waits = true;
        } else if (strcmp(option, "--ping") == 0) {
            unsigned pongs = p->pongs;
            put(p, (unstick_message){.kind = UNSTICK_PING, .bytes = (const uint8_t *)"ping", .len = 4});
            while (is_on(p) && p->pongs == pongs)
                step(p, 1000);
            good &= p->pongs > pongs;
        } else if (value == NULL) {
            return fprintf(stderr, "%s: not known, or without a value\n", option), 2;
        } else if (arguments++, strcmp(option, "--text") == 0) {
            unsigned replies = p->replies;
            put(p, (unstick_message){.kind = UNSTICK_TEXT, .bytes = (const uint8_t *)value, .len = strlen(value)});
            while (is_on(p) && p->replies == replies)
                step(p, 1000);
            good &= p->replies > replies;
        } else if (strcmp(option, "--key") == 0) {
            unsigned i, byte;
            for (i = 0; i < 16; i++) {
                if (sscanf(value + 2 * i, "%2x", &byte) != 1)
                    return fprintf(stderr, "--key: 32 hexadecimal digits\n"), 2;
                key[i] = (uint8_t)byte;
            }
            keyed = true;
        } else if (strcmp(option, "--file") == 0) {
            good &= send_file(p, value, keyed ? key : NULL);
        } else {
            return fprintf(stderr, "%s: not known\n", option), 2;
        }
    }
    return converse(p, !waits) && good ? 0 : 1;
}

/* ---- the server */

#define MAX_CONVERSATIONS 256

static int serve(int listener, const char *dir, bool echo)
{
    static pid_t children[MAX_CONVERSATIONS];
    size_t count = 0, i;
    pid_t ended;
    while (!stopped) {
        struct pollfd fd = {.fd = listener, .events = POLLIN};
        int socket;
        while ((ended = waitpid(-1, NULL, WNOHANG)) > 0) {
            for (i = 0; i < count && children[i] != ended; i++)
                ;
            children[i] = children[--count];
        }
        /* It looks for children that have ended at least once a second. */
        if (poll(&fd, count < MAX_CONVERSATIONS ? 1 : 0, 1000) <= 0)
            continue;
        socket = accept(listener, NULL, NULL);
        if (socket < 0)
            continue;
        children[count] = fork();
        if (children[count] == 0) {
            static peer p;
            close(listener);
            begin(&p, socket, dir, echo);
            exit(converse(&p, false) ? 0 : 1);
        }
        count += children[count] > 0;
        close(socket);
    }
    close(listener);
    for (i = 0; i < count; i++)
        kill(children[i], SIGTERM); /* they close */
    while (wait(NULL) > 0)
        ;
    return 0;
}

int main(int argc, char **argv)
{
    static peer p;
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    struct sigaction action = {.sa_handler = stop};
    char *colon = argc < 3 ? NULL : strrchr(argv[2], ':');
    const char *dir = NULL;
    bool echo = false, listens = argc > 1 && strcmp(argv[1], "listen") == 0;
    int i, on = 1, fd = socket(AF_INET, SOCK_STREAM, 0);
    if (colon == NULL || (!listens && strcmp(argv[1], "send") != 0))
        return fprintf(stderr, "usage: peer listen|send HOST:PORT ...; HOST is an address of IPv4\n"), 2;
    *colon = 0;
    address.sin_port = htons((uint16_t)atoi(colon + 1));
    if (inet_pton(AF_INET, argv[2], &address.sin_addr) != 1)
        return fprintf(stderr, "%s: not an address of IPv4\n", argv[2]), 2;
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    if (!listens) {
        if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
            quit("connect");
        begin(&p, fd, NULL, false);
        return send_all(&p, argv + 3);
    }
    for (i = 3; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--dir") == 0)
            dir = argv[i + 1];
        echo |= strcmp(argv[i], "--reply") == 0 && strcmp(argv[i + 1], "echo") == 0;
    }
    if (dir != NULL) {
        char parts[1024];
        snprintf(parts, sizeof parts, "%s/%s", dir, PARTS);
        if ((mkdir(dir, 0777) != 0 && errno != EEXIST) || (mkdir(parts, 0700) != 0 && errno != EEXIST))
            quit(parts);
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(fd, 64) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        quit("listen");
    printf("listening on %s:%u\n", argv[2], ntohs(address.sin_port));
    fflush(stdout);
    return serve(fd, dir, echo);
}
