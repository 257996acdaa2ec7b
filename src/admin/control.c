/* control.c: the control socket: a line with a command in, "ok LEN\n" or "error LEN\n" and LEN
 * bytes out. The socket's mode (0600) is the authorisation. */
#include "admin/conn.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static void control_open(struct conn *c)
{
    (void)c;
}

static bool control_input(struct conn *c)
{
    const struct admin_callbacks *cb = c->listener->callbacks;
    const uint8_t *newline = memchr(c->in, '\n', c->in_len);
    struct buf answer;
    enum err e;

    if (!newline)
        return c->in_len < CONN_INPUT;
    buf_init(&answer, ANSWER_MAX / 2, NULL);
    e = cb->control(cb->arg, slice_make(c->in, (size_t)(newline - c->in)), &answer);
    if (!buf_ok(&answer)) {
        buf_clear(&answer);
        buf_str(&answer, "the answer is larger than its bound");
        e = ERR_FULL;
    }
    buf_printf(&c->out, "%s %zu\n", e ? "error" : "ok", answer.len);
    buf_append(&c->out, answer.data, answer.len);
    buf_fini(&answer);
    conn_consume(c, (size_t)(newline - c->in) + 1);
    return true;
}

const struct conn_type control_conn_type = {
    .open = control_open,
    .input = control_input,
};

static enum err address_of(const char *path, struct sockaddr_un *address, struct err_info *info)
{
    size_t len = strlen(path);

    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (len >= sizeof(address->sun_path))
        return err_fail(info, ERR_CONFIG,
                        "admin.control: %s is longer than the %zu bytes that a unix socket allows",
                        path, sizeof(address->sun_path) - 1);
    memcpy(address->sun_path, path, len);
    return ERR_OK;
}

/* What is at `path`: nothing, or a socket; another kind of file is an error. */
static enum err look_at(const char *path, bool *is_there, struct err_info *info)
{
    struct stat st;

    *is_there = lstat(path, &st) == 0;
    if (!*is_there)
        return errno == ENOENT ? ERR_OK : err_fail(info, ERR_IO, "%s: %s", path, strerror(errno));
    if (!S_ISSOCK(st.st_mode))
        return err_fail(info, ERR_IO, "%s is there and is not a socket", path);
    return ERR_OK;
}

enum err admin_control_look(const char *path, struct err_info *info)
{
    struct sockaddr_un address;
    bool is_there;
    enum err e = address_of(path, &address, info);

    return e ? e : look_at(path, &is_there, info);
}

/* Removes a socket that nobody answers on. Another kind of file, and a live socket, are left. */
static enum err remove_stale(const char *path, const struct sockaddr_un *address,
                             struct err_info *info)
{
    bool is_there, refused;
    enum err e = look_at(path, &is_there, info);
    int fd;

    if (e || !is_there)
        return e;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return err_fail(info, ERR_IO, "socket: %s", strerror(errno));
    refused = connect(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 &&
              errno == ECONNREFUSED;
    close(fd);
    if (!refused)
        return err_fail(info, ERR_IO, "%s: another process answers there", path);
    if (unlink(path) < 0 && errno != ENOENT)
        return err_fail(info, ERR_IO, "%s: %s", path, strerror(errno));
    return ERR_OK;
}

enum err control_listen(const char *path, int *fd, struct err_info *info)
{
    struct sockaddr_un address;
    enum err e = address_of(path, &address, info);
    int s;

    if (!e)
        e = remove_stale(path, &address, info);
    if (e)
        return e;
    s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    /* fchmod before bind: the file never has another mode, and no umask of the process is touched
     */
    if (s < 0 || fchmod(s, 0600) < 0 ||
        bind(s, (const struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(s, CONN_MAX) < 0) {
        e = err_fail(info, ERR_IO, "%s: %s", path, strerror(errno));
        if (s >= 0)
            close(s);
        return e;
    }
    *fd = s;
    return ERR_OK;
}
