/* Load on one server, over HTTP/1.1 or gRPC. Every answer is compared with the one that is right.
 *
 *     generator -p PORT -c CONNECTIONS -s SECONDS [-w WARM] [-l LONGEST_WAIT]
 *               [-r RATE -d DEADLINE_MS] REQUESTS
 *
 * Without -r the loop is closed: each connection sends its next request when it has its answer.
 * With -r it is open: requests are due at random moments (Poisson), whatever became of those before,
 * and time counts from when one was due. Printed is one line of JSON.
 *
 * One thread, so at most one core; `busy` says how much of it was used. REQUESTS is a file that
 * load.py writes: the requests as they go over the wire, and the numbers that have to come back.
 *
 * Of HTTP/2 it knows what one call at a time on a connection needs: it never decodes a header. An
 * answer is right when its message holds the right numbers, and a failed call has no message.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HTTP, GRPC };
enum { TAIL, JSON };
enum { DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE };
#define MOST_BODY (64u << 20)

typedef struct {
    uint8_t *bytes;
    uint32_t size;
} Bytes;

typedef struct {
    Bytes wire;
    float *answer;
    uint32_t numbers;
} Request;

typedef struct {
    float *values;
    size_t count, room;
} Times;

typedef struct {
    int fd, busy, request, writing;
    double due, sent;
    uint8_t *in;
    size_t have, room;
    uint8_t *out;
    size_t out_size, out_room, out_at;
    /* HTTP/2 */
    int ready, told;
    uint32_t stream, credit;
    int64_t window;
    uint8_t *message;
    size_t message_size, message_room;
} Connection;

static int port, connections = 1, epoll, protocol, answers;
static double seconds = 1, warm, rate, deadline = 1e9, longest_wait = 8;
static Bytes first_head, later_head;
static Request *requests;
static uint32_t request_count, next_request;
static Connection *all, **idle;
static int idle_count, alive;
static double begins, ends;
static Times good, refused;
static uint64_t refused_soon, inside, right_answers, wrong, failed, late, unsent, resets;
static int last_status;

static void die(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec * 1e-9;
}

static void *grown(void *memory, size_t *room, size_t wanted) {
    if (wanted <= *room) return memory;
    while (*room < wanted) *room = *room ? *room * 2 : 4096;
    if (*room > 2 * (size_t)MOST_BODY) die("an answer is larger than %u bytes", MOST_BODY);
    if (!(memory = realloc(memory, *room))) die("out of memory");
    return memory;
}

static void note(Times *times, double value) {
    if (times->count == times->room) {
        times->room = times->room ? times->room * 2 : 1 << 16;
        if (!(times->values = realloc(times->values, times->room * sizeof(float))))
            die("out of memory");
    }
    times->values[times->count++] = (float)value;
}

/* -- is the answer right? */

static int close_enough(double got, double expected) {
    return fabs(got - expected) <= 1e-3 + 1e-3 * fabs(expected);
}

static int right(const Request *request, uint8_t *body, size_t size) {
    uint32_t n = request->numbers;
    if (answers == TAIL) {
        if (size < 4 * (size_t)n) return 0;
        for (uint32_t i = 0; i < n; i++) {
            float got;
            memcpy(&got, body + size - 4 * (size_t)(n - i), 4);
            if (!close_enough(got, request->answer[i])) return 0;
        }
        return 1;
    }
    char *at = memmem(body, size, "\"data\":[", 8);
    at = at ? at + 7 : memrchr(body, '[', size);
    if (!at) return 0;
    for (uint32_t i = 0; i < n; i++) {
        char *end;
        double got = strtod(++at, &end); /* over '[' or ',' */
        if (end == at || !close_enough(got, request->answer[i])) return 0;
        at = end;
    }
    return *at == ']';
}

/* -- connections */

static void watch(Connection *c, int operation) {
    struct epoll_event event = {.events = EPOLLIN | (c->writing ? EPOLLOUT : 0), .data.ptr = c};
    if (epoll_ctl(epoll, operation, c->fd, &event)) die("epoll: %s", strerror(errno));
}

static void lost(Connection *c);

static void flush(Connection *c) {
    while (c->out_at < c->out_size) {
        ssize_t n = send(c->fd, c->out + c->out_at, c->out_size - c->out_at, MSG_NOSIGNAL);
        if (n < 0) {
            if (errno != EAGAIN) return lost(c);
            if (!c->writing) {
                c->writing = 1;
                watch(c, EPOLL_CTL_MOD);
            }
            return;
        }
        c->out_at += (size_t)n;
    }
    c->out_at = c->out_size = 0;
    if (c->writing) {
        c->writing = 0;
        watch(c, EPOLL_CTL_MOD);
    }
}

static void put(Connection *c, const void *bytes, size_t size) {
    c->out = grown(c->out, &c->out_room, c->out_size + size);
    memcpy(c->out + c->out_size, bytes, size);
    c->out_size += size;
}

static void put_frame(Connection *c, int type, int flags, uint32_t stream, const void *payload,
                      uint32_t size) {
    uint8_t head[9] = {size >> 16, size >> 8, size, type, flags,
                       stream >> 24, stream >> 16, stream >> 8, stream};
    put(c, head, 9);
    put(c, payload, size);
}

static void put_window(Connection *c, uint32_t more) {
    uint32_t value = htonl(more);
    put_frame(c, WINDOW_UPDATE, 0, 0, &value, 4);
}

static int opened(Connection *c) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int yes = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&to, sizeof to)) {
        if (c->fd >= 0) close(c->fd);
        return 0;
    }
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    c->have = c->out_size = c->out_at = c->message_size = 0;
    c->writing = c->ready = c->told = 0;
    watch(c, EPOLL_CTL_ADD);
    if (protocol == GRPC) {
        static const uint8_t no_push_big_window[12] = {0, 2, 0, 0, 0, 0, 0, 4, 0, 0x3f, 0xff, 0xff};
        c->stream = 1;
        c->credit = 0;
        c->window = 65535;
        put(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 24);
        put_frame(c, SETTINGS, 0, 0, no_push_big_window, 12);
        put_window(c, 1 << 30);
        flush(c);
    }
    return 1;
}

/* The server closed it: what was on its way has failed. */
static void lost(Connection *c) {
    close(c->fd);
    c->fd = -1;
    resets++;
    if (c->busy) {
        if (now() >= begins) failed++;
        c->busy = 0;
    } else {
        for (int i = 0; i < idle_count; i++)
            if (idle[i] == c) idle[i--] = idle[--idle_count];
    }
    if (resets < 100000 && opened(c))
        idle[idle_count++] = c;
    else if (--alive == 0)
        die("the server closed every connection");
}

/* -- one request */

static void send_grpc(Connection *c) {
    const Bytes *wire = &requests[c->request].wire;
    uint32_t size = wire->size + 5;
    if (!c->ready || c->window < size) return; /* its turn comes with the server's frames */
    c->window -= size;
    Bytes *head = c->told ? &later_head : &first_head;
    c->told = 1;
    put_frame(c, HEADERS, 0x4, c->stream, head->bytes, head->size);
    uint8_t start[14] = {size >> 16, size >> 8, size, DATA, 0x1,
                         c->stream >> 24, c->stream >> 16, c->stream >> 8, c->stream, 0,
                         wire->size >> 24, wire->size >> 16, wire->size >> 8, wire->size};
    put(c, start, 14);
    put(c, wire->bytes, wire->size);
    c->message_size = 0;
    c->busy = 2;
}

static void start(Connection *c, double due) {
    c->request = (int)(next_request++ % request_count);
    c->busy = 1;
    c->sent = now();
    c->due = rate > 0 ? due : c->sent;
    if (protocol == GRPC)
        send_grpc(c);
    else
        put(c, requests[c->request].wire.bytes, requests[c->request].wire.size);
    if (c->out_size) flush(c);
}

static void finish(Connection *c, int status, uint8_t *body, size_t size, int closing) {
    double t = now(), took = t - c->due;
    c->busy = 0;
    /* What was due in the time counts, whenever its answer comes; and in a closed loop also what
     * was sent before and is answered in it. */
    if (c->due >= begins || (rate <= 0 && t >= begins)) {
        if (status != 200) last_status = status;
        if (status == 200) {
            if (!right(&requests[c->request], body, size))
                wrong++;
            else if (took > deadline)
                late++;
            else {
                note(&good, took);
                inside += t < ends;
            }
        } else if (rate > 0 && (status == 503 || status == 504)) {
            note(&refused, t - c->sent);
            refused_soon += t - c->sent < 0.010;
        } else {
            failed++;
        }
    }
    if (rate > 0 || closing || t >= ends)
        idle[idle_count++] = c;
    else
        start(c, 0);
}

/* -- answers over HTTP/1.1 */

/* The value of a header in lower or mixed case, NULL where it is not there. */
static const char *header(const uint8_t *head, size_t size, const char *name) {
    size_t length = strlen(name);
    for (const uint8_t *at = head; (at = memchr(at, '\n', head + size - at)) != NULL;) {
        at++;
        if ((size_t)(head + size - at) > length && at[length] == ':' &&
            !strncasecmp((const char *)at, name, length))
            return (const char *)at + length + 1;
    }
    return NULL;
}

static size_t dechunked(uint8_t *body, size_t size) {
    uint8_t *to = body, *at = body, *end = body + size;
    while (at < end) {
        char *after;
        size_t chunk = strtoul((char *)at, &after, 16);
        uint8_t *from = memchr(after, '\n', end - (uint8_t *)after);
        if (!chunk || !from || from + 1 + chunk > end) break;
        memmove(to, from + 1, chunk);
        to += chunk;
        at = from + 1 + chunk + 2;
    }
    return to - body;
}

static void read_http(Connection *c) {
    uint8_t *end = memmem(c->in, c->have, "\r\n\r\n", 4);
    if (!end) return;
    size_t head = end + 4 - c->in, size = c->have - head;
    const char *length = header(c->in, head, "content-length");
    if (length) {
        size_t wanted = strtoul(length, NULL, 10);
        if (wanted > MOST_BODY) die("an answer is larger than %u bytes", MOST_BODY);
        if (size < wanted) return;
    } else if (header(c->in, head, "transfer-encoding")) {
        if (size < 5 || memcmp(c->in + c->have - 5, "0\r\n\r\n", 5)) return;
        c->in[c->have] = 0;
        size = dechunked(c->in + head, size);
    } else {
        die("an answer without a length: %.*s", (int)head, c->in);
    }
    const char *connection = header(c->in, head, "connection");
    int closing = connection && !strncasecmp(connection + strspn(connection, " "), "close", 5);
    c->in[head + size] = 0; /* the numbers of a text end there; there is room for it */
    int status = atoi((char *)c->in + 9);
    c->have = 0;
    finish(c, status, c->in + head, size, closing);
    if (closing) lost(c);
}

/* -- answers over HTTP/2 */

static void on_settings(Connection *c, const uint8_t *at, uint32_t size) {
    for (; size >= 6; at += 6, size -= 6) {
        uint32_t value = (uint32_t)at[2] << 24 | at[3] << 16 | at[4] << 8 | at[5];
        if (at[1] == 1 && value < 4096) die("the server's table of headers is too small");
        if (at[1] == 4 && value < 65535) die("the server's window is smaller than the default");
    }
    put_frame(c, SETTINGS, 0x1, 0, "", 0);
    c->ready = 1;
}

static void on_data(Connection *c, const uint8_t *at, uint32_t size, int flags) {
    c->credit += size;
    if (c->credit > 1 << 20) {
        put_window(c, c->credit);
        c->credit = 0;
    }
    if (flags & 0x8) {
        size -= at[0] + 1u;
        at++;
    }
    c->message = grown(c->message, &c->message_room, c->message_size + size + 1);
    memcpy(c->message + c->message_size, at, size);
    c->message_size += size;
}

static void on_end(Connection *c) {
    c->stream += 2;
    if (c->message_size > 5)
        finish(c, 200, c->message + 5, c->message_size - 5, 0);
    else
        finish(c, 500, NULL, 0, 0);
}

static void read_grpc(Connection *c) {
    size_t at = 0;
    int fd = c->fd;
    while (c->have - at >= 9) {
        uint8_t *frame = c->in + at;
        uint32_t size = (uint32_t)frame[0] << 16 | frame[1] << 8 | frame[2];
        uint32_t stream = ntohl(*(uint32_t *)(frame + 5)) & 0x7fffffff;
        int type = frame[3], flags = frame[4];
        if (c->have - at < 9 + (size_t)size) break;
        at += 9 + size;
        frame += 9;
        if (type == SETTINGS && !(flags & 1)) on_settings(c, frame, size);
        if (type == PING && !(flags & 1)) put_frame(c, PING, 0x1, 0, frame, 8);
        if (type == WINDOW_UPDATE && !stream) c->window += ntohl(*(uint32_t *)frame) & 0x7fffffff;
        if (type == GOAWAY) return lost(c);
        if (c->busy == 2 && stream == c->stream) {
            if (type == DATA) on_data(c, frame, size, flags);
            if (type == RST_STREAM) c->message_size = 0;
            if (type == RST_STREAM || ((type == DATA || type == HEADERS) && (flags & 1))) on_end(c);
        }
    }
    memmove(c->in, c->in + at, c->have - at);
    c->have -= at;
    if (c->busy == 1) send_grpc(c);
    if (c->fd == fd && c->out_size) flush(c);
}

static void arrived(Connection *c) {
    for (;;) {
        c->in = grown(c->in, &c->room, c->have + 16384 + 1);
        size_t space = c->room - c->have - 1;
        ssize_t n = recv(c->fd, c->in + c->have, space, 0);
        if (n < 0 && errno == EAGAIN) return;
        if (n <= 0) return lost(c);
        c->have += (size_t)n;
        if (protocol == GRPC)
            read_grpc(c);
        else
            read_http(c);
        if ((size_t)n < space || c->fd < 0) return;
    }
}

/* -- the run */

static double drawn(void) { return -log(1.0 - drand48()) / rate; }

static void turn(double until) {
    struct epoll_event events[256];
    double wait = until - now();
    if (wait < 0) wait = 0;
    struct timespec t = {(time_t)wait, (long)((wait - (time_t)wait) * 1e9)};
    int n = epoll_pwait2(epoll, events, 256, &t, NULL);
    for (int i = 0; i < n; i++) {
        Connection *c = events[i].data.ptr;
        if (c->fd >= 0 && (events[i].events & EPOLLOUT)) flush(c);
        if (c->fd >= 0 && (events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR))) arrived(c);
    }
}

static double cpu(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_utime.tv_sec + usage.ru_utime.tv_usec * 1e-6 + usage.ru_stime.tv_sec +
           usage.ru_stime.tv_usec * 1e-6;
}

static void run(void) {
    double used = 0, due, t;
    int counting = 0, waiting = 0;
    begins = now() + warm;
    ends = begins + seconds;
    due = now();
    while ((t = now()) < ends) {
        if (!counting && t >= begins) {
            used = cpu();
            counting = 1;
        }
        if (rate > 0) {
            for (; due <= t; due += drawn()) {
                if (idle_count)
                    start(idle[--idle_count], due);
                else if (due >= begins)
                    unsent++;
            }
        } else {
            /* One that loses its connection is idle again: not for ever within one turn. */
            for (int n = idle_count; n > 0 && idle_count; n--) start(idle[--idle_count], 0);
        }
        turn(rate > 0 ? fmin(due, ends) : ends);
    }
    used = cpu() - used;
    /* What is on its way is waited for, so that no server begins its next turn with it. */
    double last = ends + fmin(2 * deadline, longest_wait);
    for (;;) {
        waiting = 0;
        for (int i = 0; i < connections; i++) waiting += all[i].busy != 0;
        if (!waiting || now() >= last) break;
        turn(fmin(now() + 0.05, last));
    }
    right_answers = good.count;
    for (int i = 0; i < connections; i++) {
        if (!all[i].busy) continue;
        if (rate > 0)
            failed++;
        else /* It took at least so long. */
            note(&good, now() - all[i].due);
    }
    printf("\"busy\": %.3f, ", used / seconds);
}

static int compare(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double quantile(Times *times, double q) {
    if (!times->count) return 0;
    size_t at = (size_t)(q * times->count);
    return times->values[at < times->count ? at : times->count - 1] * 1000.0;
}

static uint32_t number(FILE *file) {
    uint32_t value;
    if (fread(&value, 4, 1, file) != 1) die("the file of requests ends too soon");
    return value;
}

static Bytes bytes(FILE *file) {
    Bytes made = {NULL, number(file)};
    if (!(made.bytes = malloc(made.size + 1))) die("out of memory");
    if (fread(made.bytes, 1, made.size, file) != made.size)
        die("the file of requests ends too soon");
    return made;
}

static void read_requests(const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) die("%s: %s", path, strerror(errno));
    protocol = (int)number(file);
    answers = (int)number(file);
    first_head = bytes(file);
    later_head = bytes(file);
    request_count = number(file);
    if (!request_count) die("%s holds no request", path);
    if (!(requests = calloc(request_count, sizeof *requests))) die("out of memory");
    for (uint32_t i = 0; i < request_count; i++) {
        requests[i].wire = bytes(file);
        if (protocol == GRPC && requests[i].wire.size > 16000) die("a message over 16000 bytes");
        Bytes answer = bytes(file);
        requests[i].answer = (float *)answer.bytes;
        requests[i].numbers = answer.size / 4;
    }
    fclose(file);
}

int main(int argc, char **argv) {
    int option;
    while ((option = getopt(argc, argv, "p:c:s:w:r:d:l:")) != -1) {
        if (option == 'p') port = atoi(optarg);
        else if (option == 'c') connections = atoi(optarg);
        else if (option == 's') seconds = atof(optarg);
        else if (option == 'w') warm = atof(optarg);
        else if (option == 'r') rate = atof(optarg);
        else if (option == 'd') deadline = atof(optarg) / 1000;
        else if (option == 'l') longest_wait = atof(optarg);
        else return 2;
    }
    if (optind != argc - 1 || port <= 0 || connections <= 0 || connections > 20000 || seconds <= 0)
        die("generator -p PORT -c CONNECTIONS -s SECONDS [-w WARM] [-r RATE -d DEADLINE_MS] REQUESTS");
    read_requests(argv[optind]);
    srand48(1);
    epoll = epoll_create1(0);
    all = calloc((size_t)connections, sizeof *all);
    idle = calloc((size_t)connections + 1, sizeof *idle);
    if (!all || !idle) die("out of memory");
    for (; alive < connections; alive++) {
        if (!opened(&all[alive])) die("port %d takes no connection: %s", port, strerror(errno));
        idle[idle_count++] = &all[alive];
    }
    printf("{");
    run();
    qsort(good.values, good.count, sizeof(float), compare);
    qsort(refused.values, refused.count, sizeof(float), compare);
    printf("\"seconds\": %.3f, \"good\": %lu, \"inside\": %lu, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"wrong\": %lu, "
           "\"failed\": %lu, \"late\": %lu, \"unsent\": %lu, \"refused\": %zu, "
           "\"refused_soon\": %lu, \"refused_p99_ms\": %.4f, \"resets\": %lu, \"last_status\": %d}\n",
           seconds, right_answers, inside, quantile(&good, 0.5), quantile(&good, 0.99), wrong, failed, late,
           unsent, refused.count, refused_soon, quantile(&refused, 0.99), resets, last_status);
    return 0;
}
