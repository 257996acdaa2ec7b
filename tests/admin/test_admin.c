/* The admin listeners on real sockets of 127.0.0.1 and a temporary folder, one thread. */
#include "admin/admin.h"
#include "admin/conn.h"
#include "check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
    struct loop *loop;
    struct admin *admin;
    char bound[64];
    char folder[64], path[96];
    bool ready, openmetrics, verbose;
    size_t metrics_bytes; /* how much /metrics appends; 0: a line */
} t;

static int livez(void *arg, struct buf *out)
{
    (void)arg;
    buf_str(out, "ok\n");
    return 200;
}

static int readyz(void *arg, bool verbose, struct buf *out)
{
    (void)arg;
    t.verbose = verbose;
    buf_str(out, t.ready ? "ready\n" : "draining\n");
    return t.ready ? 200 : 503;
}

static int metrics(void *arg, bool openmetrics, struct buf *out)
{
    (void)arg;
    t.openmetrics = openmetrics;
    if (!t.metrics_bytes)
        buf_str(out, "up 1\n");
    for (size_t left = t.metrics_bytes; left && buf_ok(out); left--)
        buf_byte(out, 'm');
    return 200;
}

static enum err control(void *arg, struct slice command, struct buf *out)
{
    (void)arg;
    if (slice_is(command, "large")) {
        for (size_t left = t.metrics_bytes; left && buf_ok(out); left--)
            buf_byte(out, 'c');
        return ERR_OK;
    }
    buf_str(out, "got ");
    buf_append(out, command.data, command.len);
    return slice_is(command, "fail") ? ERR_CONFIG : ERR_OK;
}

static const struct admin_callbacks callbacks = {
    .livez = livez, .readyz = readyz, .metrics = metrics, .control = control};

static void start(void)
{
    struct err_info info = {0};

    memset(&t, 0, sizeof(t));
    t.ready = true;
    snprintf(t.folder, sizeof(t.folder), "/tmp/admin_test_XXXXXX");
    CHECK(mkdtemp(t.folder) != NULL);
    snprintf(t.path, sizeof(t.path), "%s/control.sock", t.folder);
    t.loop = loop_new(clock_system());
    CHECK(!admin_new(t.loop, "127.0.0.1:0", t.path, &callbacks, t.bound, &t.admin, &info));
}

static void stop(void)
{
    admin_free(t.admin);
    loop_free(t.loop);
    CHECK(access(t.path, F_OK) < 0);
    CHECK(rmdir(t.folder) == 0);
}

static int client(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    const char *colon = strrchr(t.bound, ':');
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    to.sin_port = htons((uint16_t)strtol(colon + 1, NULL, 10));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(connect(fd, (const struct sockaddr *)&to, sizeof(to)) == 0);
    CHECK(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
    return fd;
}

/* Turns the loop until `fd` has an answer that ends with `end` (or until the server closes). */
static struct buf answer_of(int fd, const char *end)
{
    struct buf b;
    size_t end_len = strlen(end);

    buf_init(&b, 32 << 20, NULL);
    for (;;) {
        ssize_t n;

        loop_wait(t.loop, clock_now_ns(clock_system()) + 10 * NS_PER_MS);
        while ((n = recv(fd, buf_reserve(&b, 65536), 65536, 0)) > 0)
            b.len += (size_t)n;
        if (n == 0 || errno != EAGAIN)
            break;
        if (end_len && b.len >= end_len && memcmp(b.data + b.len - end_len, end, end_len) == 0)
            break;
    }
    buf_byte(&b, 0); /* so that it is a C string */
    b.len--;
    return b;
}

static bool exchange(int fd, const char *request, const char *end, const char *expected)
{
    struct buf b;
    bool found;

    CHECK(send(fd, request, strlen(request), 0) == (ssize_t)strlen(request));
    b = answer_of(fd, end);
    found = strstr((const char *)b.data, expected) != NULL;
    if (!found)
        printf("  got: %s\n", (const char *)b.data);
    buf_fini(&b);
    return found;
}

static bool get(const char *request, const char *end, const char *expected)
{
    int fd = client();
    bool ok = exchange(fd, request, end, expected);

    close(fd);
    return ok;
}

static void health_is_served(void)
{
    start();
    CHECK(get("GET /livez HTTP/1.1\r\n\r\n", "ok\n", "HTTP/1.1 200 OK\r\n"));
    CHECK(get("GET /readyz HTTP/1.1\r\n\r\n", "ready\n", "HTTP/1.1 200 OK\r\n") && !t.verbose);
    CHECK(get("GET /readyz?a=b&verbose HTTP/1.1\r\n\r\n", "ready\n", "200 OK") && t.verbose);
    t.ready = false;
    CHECK(get("GET /readyz?verbosely HTTP/1.1\r\n\r\n", "ing\n", "503 Service Unavailable"));
    CHECK(!t.verbose);
    stop();
}

static void everything_else_is_refused(void)
{
    start();
    CHECK(get("GET / HTTP/1.1\r\n\r\n", "found\n", "404 Not Found"));
    CHECK(get("GET /debug/pprof HTTP/1.1\r\n\r\n", "found\n", "404 Not Found"));
    CHECK(get("GET /metrics/ HTTP/1.1\r\n\r\n", "found\n", "404 Not Found"));
    CHECK(get("POST /metrics HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi", "", "405 Method Not"));
    CHECK(get("DELETE /livez HTTP/1.1\r\n\r\n", "", "Allow: GET, HEAD\r\n"));
    CHECK(get("\x16\x03\x01 not http\r\n\r\n", "", "400 Bad Request"));
    stop();
}

static void head_has_the_length_and_no_body(void)
{
    start();
    CHECK(get("HEAD /livez HTTP/1.1\r\nConnection: close\r\n\r\n", "", "Content-Length: 3\r\n"));
    CHECK(!get("HEAD /livez HTTP/1.0\r\n\r\n", "", "\r\n\r\nok"));
    stop();
}

static void a_connection_serves_pipelined_requests_in_order(void)
{
    int fd;

    start();
    t.metrics_bytes = 7 << 20; /* more than a socket takes, so that the second one has to wait */
    fd = client();
    CHECK(exchange(fd, "GET /metrics HTTP/1.1\r\n\r\nGET /livez HTTP/1.1\r\n\r\n", "\r\n\r\nok\n",
                   "mmHTTP/1.1 200 OK\r\n"));
    CHECK(exchange(fd, "GET /livez HTTP/1.1\r\n\r\n", "ok\n", "200 OK"));
    close(fd);
    stop();
}

/* As some HTTP clients (Java's, curl --http2) begin each request. */
static void offers_to_upgrade_are_passed_over(void)
{
    static const char request[] = "GET /livez HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                                  "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n";
    int fd;

    start();
    fd = client();
    for (int i = 0; i < 3; i++)
        CHECK(exchange(fd, request, "ok\n", "200 OK"));
    close(fd);
    stop();
}

static void the_metrics_format_follows_the_accept_header(void)
{
    start();
    CHECK(get("GET /metrics HTTP/1.1\r\n\r\n", "1\n", "text/plain; version=0.0.4") &&
          !t.openmetrics);
    CHECK(get("GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text; version=1.0.0\r\n"
              "\r\n",
              "1\n", "application/openmetrics-text; version=1.0.0") &&
          t.openmetrics);
    CHECK(get("GET /metrics HTTP/1.1\r\nACCEPT: text/html\r\nAccept: application/"
              "openmetrics-text\r\n\r\n",
              "1\n", "200 OK") &&
          t.openmetrics);
    stop();
}

static void the_better_weighted_format_wins(void)
{
    CHECK(accept_prefers_openmetrics(
        slice_str("application/openmetrics-text;version=1.0.0;q=0.5,application/openmetrics-text;"
                  "version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2")));
    CHECK(!accept_prefers_openmetrics(slice_str("text/plain, application/openmetrics-text;q=0.9")));
    CHECK(!accept_prefers_openmetrics(slice_str("application/openmetrics-text; q=0")));
    CHECK(!accept_prefers_openmetrics(slice_str("application/openmetrics-text; version=2.0.0")));
    CHECK(!accept_prefers_openmetrics(slice_str("application/openmetrics-text; q=junk, */*")));
    CHECK(!accept_prefers_openmetrics(slice_str("*/*")));
    CHECK(!accept_prefers_openmetrics(slice_str("")));
    CHECK(!accept_prefers_openmetrics(slice_str(";;==,,;q")));
}

static void long_requests_are_refused(void)
{
    static char request[40000];
    int n = snprintf(request, sizeof(request), "GET /livez HTTP/1.1\r\nX: ");

    start();
    memset(request + n, 'x', 30000);
    CHECK(get(request, "", "431 Request Header Fields Too Large"));
    n = snprintf(request, sizeof(request), "GET /");
    memset(request + n, 'y', 2000);
    snprintf(request + n + 2000, 64, " HTTP/1.1\r\n\r\n");
    CHECK(get(request, "", "414 URI Too Long"));
    t.metrics_bytes = ANSWER_MAX;
    CHECK(get("GET /metrics HTTP/1.1\r\n\r\n", "", "500 Internal Server Error"));
    stop();
}

static void one_connection_too_many_closes_the_quietest(void)
{
    int fds[CONN_MAX + 1];

    start();
    for (int i = 0; i < CONN_MAX; i++)
        fds[i] = client();
    for (int i = 0; i < CONN_MAX; i++)
        CHECK(exchange(fds[i], "GET /livez HTTP/1.1\r\n\r\n", "ok\n", "200 OK"));
    CHECK(exchange(fds[0], "GET /livez HTTP/1.1\r\n\r\n", "ok\n", "200 OK"));
    fds[CONN_MAX] = client();
    CHECK(exchange(fds[CONN_MAX], "GET /livez HTTP/1.1\r\n\r\n", "ok\n", "200 OK"));
    CHECK(exchange(fds[0], "GET /livez HTTP/1.1\r\n\r\n", "ok\n", "200 OK"));
    CHECK(recv(fds[1], &(char){0}, 1, 0) == 0); /* the quietest was the second */
    for (int i = 0; i <= CONN_MAX; i++)
        close(fds[i]);
    stop();
}

struct call {
    const char *path, *command;
    struct buf answer;
    struct err_info info;
    enum err err;
    _Atomic bool done;
};

static void *call_main(void *arg)
{
    struct call *c = arg;

    c->err =
        admin_control_call(c->path, slice_str(c->command), 20 * NS_PER_S, &c->answer, &c->info);
    c->done = true;
    loop_wake(t.loop);
    return NULL;
}

/* Runs a call on a thread of its own while the loop turns. */
static void call(struct call *c)
{
    pthread_t thread;

    buf_init(&c->answer, 16 << 20, NULL);
    CHECK(pthread_create(&thread, NULL, call_main, c) == 0);
    while (!c->done)
        loop_wait(t.loop, clock_now_ns(clock_system()) + NS_PER_S);
    pthread_join(thread, NULL);
}

static void a_command_is_answered(void)
{
    struct call summary, failing;

    start();
    summary = (struct call){.path = t.path, .command = "summary 10"};
    call(&summary);
    CHECK(!summary.err && slice_is(buf_slice(&summary.answer), "got summary 10"));
    buf_fini(&summary.answer);
    failing = (struct call){.path = t.path, .command = "fail"};
    call(&failing);
    CHECK(failing.err == ERR_SCRIPT && strcmp(failing.info.text, "got fail") == 0);
    buf_fini(&failing.answer);
    stop();
}

static void a_large_answer_comes_whole_or_not_at_all(void)
{
    struct call large, too_large;

    start();
    t.metrics_bytes = 5 << 20;
    large = (struct call){.path = t.path, .command = "large"};
    call(&large);
    CHECK(!large.err && large.answer.len == 5 << 20 &&
          large.answer.data[large.answer.len - 1] == 'c');
    buf_fini(&large.answer);
    t.metrics_bytes = ANSWER_MAX;
    too_large = (struct call){.path = t.path, .command = "large"};
    call(&too_large);
    CHECK(too_large.err == ERR_SCRIPT && strstr(too_large.info.text, "larger than its bound"));
    buf_fini(&too_large.answer);
    stop();
}

static void the_socket_is_for_its_owner_only(void)
{
    struct stat st;

    start();
    CHECK(lstat(t.path, &st) == 0 && S_ISSOCK(st.st_mode) && (st.st_mode & 0777) == 0600);
    stop();
}

static void a_stale_socket_is_replaced_and_a_live_one_is_not(void)
{
    struct admin *second = NULL;
    struct err_info info = {0};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);

    start();
    CHECK(admin_new(t.loop, NULL, t.path, &callbacks, NULL, &second, &info) == ERR_IO);
    CHECK(strstr(info.text, "another process answers"));
    CHECK(access(t.path, F_OK) == 0);
    admin_free(t.admin);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", t.path);
    CHECK(bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0);
    close(fd); /* leaves the file behind, as a killed process does */
    CHECK(access(t.path, F_OK) == 0);
    CHECK(!admin_new(t.loop, NULL, t.path, &callbacks, NULL, &t.admin, &info));
    stop();
}

static void other_files_are_never_removed(void)
{
    struct admin *second = NULL;
    struct err_info info = {0};
    char file[128], long_path[300] = "/tmp/";
    int fd;

    start();
    snprintf(file, sizeof(file), "%s/precious", t.folder);
    fd = open(file, O_CREAT | O_WRONLY, 0600);
    close(fd);
    CHECK(admin_new(t.loop, NULL, file, &callbacks, NULL, &second, &info) == ERR_IO);
    CHECK(strstr(info.text, "not a socket") && unlink(file) == 0);
    memset(long_path + 5, 'p', 250);
    CHECK(admin_new(t.loop, NULL, long_path, &callbacks, NULL, &second, &info) == ERR_CONFIG);
    CHECK(strstr(info.text, "longer than the 107 bytes"));
    stop();
}

static void nobody_there_is_a_sentence(void)
{
    struct buf answer;
    struct err_info info = {0};

    buf_init(&answer, 100, NULL);
    CHECK(admin_control_call("/tmp/no/such/socket", slice_str("x"), NS_PER_S, &answer, &info) ==
          ERR_IO);
    CHECK(strstr(info.text, "is moontail running"));
    CHECK(admin_control_call("/tmp/x", slice_str("two\nlines"), NS_PER_S, &answer, &info) ==
          ERR_PARSE);
}

int main(void)
{
    RUN(health_is_served);
    RUN(everything_else_is_refused);
    RUN(head_has_the_length_and_no_body);
    RUN(a_connection_serves_pipelined_requests_in_order);
    RUN(offers_to_upgrade_are_passed_over);
    RUN(the_metrics_format_follows_the_accept_header);
    RUN(the_better_weighted_format_wins);
    RUN(long_requests_are_refused);
    RUN(one_connection_too_many_closes_the_quietest);
    RUN(a_command_is_answered);
    RUN(a_large_answer_comes_whole_or_not_at_all);
    RUN(the_socket_is_for_its_owner_only);
    RUN(a_stale_socket_is_replaced_and_a_live_one_is_not);
    RUN(other_files_are_never_removed);
    RUN(nobody_there_is_a_sentence);
    return DONE();
}
