// SPDX-License-Identifier: BSL-1.0
// The load of the TCP echo rows: a closed loop of C connections, one message in flight on each.
//
//     raw_echo_client --port P [-c CONNECTIONS] [-n REQUESTS] [--size BYTES]
//     raw_echo_client --port P … --resp ping|set|get [--pipeline N]
//
// With --resp it speaks to a Redis server: N equal commands at once, whose answers it compares byte by
// byte. redis-benchmark spends more processor time per request than a good server does, so on a
// machine with two processors it is what it measures.
//
// Prints one line of JSON: requests, seconds, kreq_s, p50_us, p99_us (of a whole message). To cost less per request than
// the servers it measures, it uses what io_uring has best: deferred task work, multishot RECV into
// provided buffers, registered files, one system call per batch. Needs Linux 6.1.

#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { sq_entries = 1024, buffer_count = 2048, buffer_group = 0 };
static const uint64_t send_tag = UINT64_C(1) << 32;

struct connection {
    unsigned received;  // of the current message
    int64_t sent_at;
};

static int port = 7000;
static unsigned connections = 64;
static unsigned long requests = 200000;
static unsigned size = 64;    // of a message
static unsigned answer_size;  // of its answer
static unsigned pipeline = 1;  // requests in a message
static const char* resp;

static struct io_uring ring;
static struct io_uring_buf_ring* buffers;
static char* storage;
static char* message;
static char* answer;
static struct connection* connection;
static unsigned long issued, done;
static float* latency_us;

static void die(const char* what, int error) {
    fprintf(stderr, "raw_echo_client: %s: %s\n", what, strerror(error));
    exit(1);
}

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct io_uring_sqe* next_sqe(void) {
    struct io_uring_sqe* sqe;
    while ((sqe = io_uring_get_sqe(&ring)) == NULL) io_uring_submit(&ring);
    return sqe;
}

static void give_back(unsigned buffer, int offset) {
    io_uring_buf_ring_add(buffers, storage + (size_t)buffer * answer_size, answer_size,
                          (unsigned short)buffer,
                          io_uring_buf_ring_mask(buffer_count), offset);
}

static void receive(unsigned i) {
    struct io_uring_sqe* sqe = next_sqe();
    io_uring_prep_recv_multishot(sqe, (int)i, NULL, 0, 0);
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_BUFFER_SELECT;
    sqe->buf_group = buffer_group;
    io_uring_sqe_set_data64(sqe, i);
}

static void send_message(unsigned i, int64_t now) {
    if (issued == requests) return;
    ++issued;
    connection[i].received = 0;
    connection[i].sent_at = now;
    struct io_uring_sqe* sqe = next_sqe();
    io_uring_prep_send(sqe, (int)i, message, size, MSG_NOSIGNAL | MSG_WAITALL);
    sqe->flags |= IOSQE_FIXED_FILE | IOSQE_CQE_SKIP_SUCCESS;  // a short send is no success
    io_uring_sqe_set_data64(sqe, i | send_tag);
}

/// Returns whether a buffer has to be published.
static int complete(struct io_uring_cqe* cqe, int64_t now, int given) {
    uint64_t data = io_uring_cqe_get_data64(cqe);
    unsigned i = (unsigned)(data & 0xffffffff);
    if (data & send_tag) {
        if (cqe->res != (int)size) die("send", cqe->res < 0 ? -cqe->res : EPIPE);
        return 0;
    }
    if (cqe->res == -ENOBUFS) {
        receive(i);
        return 0;
    }
    if (cqe->res <= 0) die("recv", cqe->res == 0 ? ECONNRESET : -cqe->res);
    if (!(cqe->flags & IORING_CQE_F_MORE)) receive(i);
    unsigned buffer = cqe->flags >> IORING_CQE_BUFFER_SHIFT;
    unsigned got = (unsigned)cqe->res;
    struct connection* c = &connection[i];
    if (c->received + got > answer_size ||
        memcmp(storage + (size_t)buffer * answer_size, answer + c->received, got) != 0) {
        fprintf(stderr, "raw_echo_client: the answer is not the one expected\n");
        exit(1);
    }
    give_back(buffer, given);
    c->received += got;
    if (c->received == answer_size) {
        latency_us[done++] = (float)(now - c->sent_at) / 1000;
        send_message(i, now);
    }
    return 1;
}

static void connect_all(void) {
    int* fds = calloc(connections, sizeof *fds);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    for (unsigned i = 0; i < connections; ++i) {
        fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fds[i] < 0) die("socket", errno);
        if (connect(fds[i], (struct sockaddr*)&to, sizeof to) < 0) die("connect", errno);
        int one = 1;
        setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    }
    int error = io_uring_register_files(&ring, fds, connections);
    if (error < 0) die("register_files", -error);
    free(fds);  // the descriptors stay open until the program ends
}

static char* copies(const char* text, unsigned* length) {
    unsigned one = (unsigned)strlen(text);
    char* all = malloc((size_t)one * pipeline);
    if (all == NULL) die("malloc", ENOMEM);
    for (unsigned i = 0; i < pipeline; ++i) memcpy(all + (size_t)i * one, text, one);
    *length = one * pipeline;
    return all;
}

static void make_messages(void) {
    if (resp == NULL) {
        message = answer = malloc(size);
        if (message == NULL) die("malloc", ENOMEM);
        for (unsigned i = 0; i < size; ++i) message[i] = (char)('a' + i % 26);
        answer_size = size;
        return;
    }
    // As redis-benchmark has them. A get needs a set before.
    if (strcmp(resp, "ping") == 0) {
        message = copies("*1\r\n$4\r\nPING\r\n", &size);
        answer = copies("+PONG\r\n", &answer_size);
    } else if (strcmp(resp, "set") == 0) {
        message = copies("*3\r\n$3\r\nSET\r\n$16\r\nkey:000000000000\r\n$3\r\nxxx\r\n", &size);
        answer = copies("+OK\r\n", &answer_size);
    } else {
        message = copies("*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000000\r\n", &size);
        answer = copies("$3\r\nxxx\r\n", &answer_size);
    }
}

static void set_up(void) {
    struct io_uring_params p = {.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN |
                                         IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP |
                                         IORING_SETUP_CQSIZE,
                                .cq_entries = 8 * sq_entries};
    int error = io_uring_queue_init_params(sq_entries, &ring, &p);
    if (error < 0) die("io_uring_queue_init (this needs Linux 6.1)", -error);
    io_uring_register_ring_fd(&ring);

    make_messages();
    storage = malloc((size_t)buffer_count * answer_size);
    connection = calloc(connections, sizeof *connection);
    latency_us = malloc(requests * sizeof *latency_us);
    if (storage == NULL || connection == NULL || latency_us == NULL) {
        die("malloc", ENOMEM);
    }
    memset(latency_us, 0, requests * sizeof *latency_us);

    buffers = mmap(NULL, buffer_count * sizeof(struct io_uring_buf), PROT_READ | PROT_WRITE,
                   MAP_ANONYMOUS | MAP_PRIVATE, -1, 0);
    if (buffers == MAP_FAILED) die("mmap", errno);
    struct io_uring_buf_reg reg = {
        .ring_addr = (uintptr_t)buffers, .ring_entries = buffer_count, .bgid = buffer_group};
    error = io_uring_register_buf_ring(&ring, &reg, 0);
    if (error < 0) die("register_buf_ring", -error);
    io_uring_buf_ring_init(buffers);
    for (unsigned i = 0; i < buffer_count; ++i) give_back(i, (int)i);
    io_uring_buf_ring_advance(buffers, buffer_count);
}

static int by_value(const void* a, const void* b) {
    float x = *(const float*)a, y = *(const float*)b;
    return (x > y) - (x < y);
}

static void usage(void) {
    fprintf(stderr,
            "usage: raw_echo_client --port P [-c CONNECTIONS] [-n REQUESTS] [--size BYTES]\n"
            "       raw_echo_client --port P ... --resp ping|set|get [--pipeline N]\n");
    exit(2);
}

int main(int argc, char** argv) {
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 == argc) usage();
        unsigned long value = strtoul(argv[i + 1], NULL, 10);
        if (strcmp(argv[i], "--port") == 0) port = (int)value;
        else if (strcmp(argv[i], "-c") == 0) connections = (unsigned)value;
        else if (strcmp(argv[i], "-n") == 0) requests = value;
        else if (strcmp(argv[i], "--size") == 0) size = (unsigned)value;
        else if (strcmp(argv[i], "--pipeline") == 0) pipeline = (unsigned)value;
        else if (strcmp(argv[i], "--resp") == 0) resp = argv[i + 1];
        else usage();
    }
    if (connections == 0 || requests == 0 || size == 0 || pipeline == 0) usage();
    if (resp != NULL && strcmp(resp, "ping") != 0 && strcmp(resp, "set") != 0 &&
        strcmp(resp, "get") != 0) {
        usage();
    }
    if (resp == NULL && pipeline != 1) usage();
    requests = (requests + pipeline - 1) / pipeline;  // from here on: messages
    set_up();
    connect_all();
    for (unsigned i = 0; i < connections; ++i) receive(i);

    int64_t start = now_ns();
    for (unsigned i = 0; i < connections; ++i) send_message(i, start);
    while (done < requests) {
        int submitted = io_uring_submit_and_wait(&ring, 1);
        if (submitted < 0 && submitted != -EINTR && submitted != -EBUSY) die("submit", -submitted);
        int64_t now = now_ns();
        struct io_uring_cqe* cqe;
        unsigned head, seen = 0;
        int given = 0;
        io_uring_for_each_cqe(&ring, head, cqe) {
            ++seen;
            given += complete(cqe, now, given);
        }
        io_uring_cq_advance(&ring, seen);
        io_uring_buf_ring_advance(buffers, given);
    }
    double seconds = (double)(now_ns() - start) / 1e9;

    qsort(latency_us, requests, sizeof *latency_us, by_value);
    printf(
        "{\"requests\":%lu,\"connections\":%u,\"seconds\":%.6f,\"kreq_s\":%.2f,\"p50_us\":%.1f,"
        "\"p99_us\":%.1f}\n",
        requests * pipeline, connections, seconds, (double)(requests * pipeline) / seconds / 1000,
        (double)latency_us[requests / 2], (double)latency_us[requests * 99 / 100]);
    return 0;
}
