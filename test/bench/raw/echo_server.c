// SPDX-License-Identifier: BSL-1.0
// The reference TCP echo server: io_uring and nothing else.
//
//     raw_echo_server [tcp_echo_server] --workers N --port P [--flags coop|defer|none]
//
// One ring and one listener (SO_REUSEPORT) per worker thread, multishot accept, one RECV or one
// SEND in flight per connection, everything that a batch of completions asks for submitted by one
// system call.

#include <arpa/inet.h>
#include <errno.h>
#include <liburing.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { sq_entries = 1024, cq_entries = 4 * sq_entries };
enum tag { tag_accept, tag_recv, tag_send, tag_mask = 3 };

struct connection {
    int fd;
    unsigned length, sent;
    char data[1024];
};

struct settings {
    unsigned ring_flags;
    int port;
};

static void die(const char* what, int error) {
    fprintf(stderr, "raw_echo_server: %s: %s\n", what, strerror(error));
    exit(1);
}

static int listen_on(int port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(fd, (struct sockaddr*)&at, sizeof at) < 0) die("bind", errno);
    if (listen(fd, 4096) < 0) die("listen", errno);
    return fd;
}

static struct io_uring_sqe* next_sqe(struct io_uring* ring) {
    struct io_uring_sqe* sqe;
    while ((sqe = io_uring_get_sqe(ring)) == NULL) io_uring_submit(ring);
    return sqe;
}

static void tag_sqe(struct io_uring_sqe* sqe, struct connection* c, enum tag t) {
    io_uring_sqe_set_data64(sqe, (uint64_t)(uintptr_t)c | t);
}

static void accept_more(struct io_uring* ring, int listener) {
    struct io_uring_sqe* sqe = next_sqe(ring);
    io_uring_prep_multishot_accept(sqe, listener, NULL, NULL, SOCK_CLOEXEC);
    tag_sqe(sqe, NULL, tag_accept);
}

static void receive(struct io_uring* ring, struct connection* c) {
    struct io_uring_sqe* sqe = next_sqe(ring);
    io_uring_prep_recv(sqe, c->fd, c->data, sizeof c->data, 0);
    tag_sqe(sqe, c, tag_recv);
}

static void send_rest(struct io_uring* ring, struct connection* c) {
    struct io_uring_sqe* sqe = next_sqe(ring);
    io_uring_prep_send(sqe, c->fd, c->data + c->sent, c->length - c->sent, MSG_NOSIGNAL);
    tag_sqe(sqe, c, tag_send);
}

static void complete(struct io_uring* ring, int listener, struct io_uring_cqe* cqe) {
    uint64_t data = io_uring_cqe_get_data64(cqe);
    struct connection* c = (struct connection*)(uintptr_t)(data & ~(uint64_t)tag_mask);
    switch ((enum tag)(data & tag_mask)) {
    case tag_accept:
        if (cqe->res >= 0) {
            int one = 1;
            setsockopt(cqe->res, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
            c = malloc(sizeof *c);
            if (c == NULL) die("malloc", ENOMEM);
            c->fd = cqe->res;
            receive(ring, c);
        }
        if (!(cqe->flags & IORING_CQE_F_MORE)) accept_more(ring, listener);
        return;
    case tag_recv:
        if (cqe->res <= 0) break;
        c->length = (unsigned)cqe->res;
        c->sent = 0;
        send_rest(ring, c);
        return;
    case tag_send:
        if (cqe->res < 0) break;
        c->sent += (unsigned)cqe->res;
        if (c->sent < c->length) {
            send_rest(ring, c);
        } else {
            receive(ring, c);
        }
        return;
    default:
        return;
    }
    close(c->fd);
    free(c);
}

static void* work(void* argument) {
    const struct settings* s = argument;
    int listener = listen_on(s->port);
    struct io_uring ring;
    struct io_uring_params p = {.flags = s->ring_flags, .cq_entries = cq_entries};
    int error = io_uring_queue_init_params(sq_entries, &ring, &p);
    if (error < 0) die("io_uring_queue_init", -error);
    accept_more(&ring, listener);
    for (;;) {
        int submitted = io_uring_submit_and_wait(&ring, 1);
        if (submitted < 0 && submitted != -EINTR && submitted != -EBUSY) die("submit", -submitted);
        struct io_uring_cqe* cqe;
        unsigned head, seen = 0;
        io_uring_for_each_cqe(&ring, head, cqe) {
            ++seen;
            complete(&ring, listener, cqe);
        }
        io_uring_cq_advance(&ring, seen);
    }
    return NULL;
}

static void usage(void) {
    fprintf(stderr, "usage: raw_echo_server --workers N --port P [--flags coop|defer|none]\n");
    exit(2);
}

int main(int argc, char** argv) {
    struct settings s = {.port = 7000};
    const char* flags = "coop";
    int workers = 1;
    int i = 1;
    if (i < argc && strcmp(argv[i], "tcp_echo_server") == 0) ++i;
    for (; i < argc; i += 2) {
        if (i + 1 == argc) usage();
        if (strcmp(argv[i], "--workers") == 0) workers = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--port") == 0) s.port = atoi(argv[i + 1]);
        else if (strcmp(argv[i], "--flags") == 0) flags = argv[i + 1];
        else usage();
    }
    s.ring_flags = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CLAMP | IORING_SETUP_CQSIZE;
    if (strcmp(flags, "coop") == 0) {
        s.ring_flags |= IORING_SETUP_COOP_TASKRUN | IORING_SETUP_TASKRUN_FLAG;
    } else if (strcmp(flags, "defer") == 0) {
        s.ring_flags |= IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    } else if (strcmp(flags, "none") != 0) {
        usage();
    }
    for (int w = 1; w < workers; ++w) {
        pthread_t thread;
        int error = pthread_create(&thread, NULL, work, &s);
        if (error != 0) die("pthread_create", error);
    }
    work(&s);
}
