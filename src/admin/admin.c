#include "admin/admin.h"

#include "admin/conn.h"

#include <stdlib.h>
#include <unistd.h>

struct admin {
    struct loop *loop;
    struct admin_callbacks callbacks;
    struct listener http, control;
    char *control_path; /* removed at the end; NULL: none */
};

/* Says which key the address is from. */
static enum err cannot_listen(enum err err, const struct err_info *why, struct err_info *info)
{
    return err_fail(info, err, "admin.listen: %.900s", why->text);
}

static enum err start_http(struct admin *a, struct loop *loop, const char *address, char *bound,
                           struct err_info *info)
{
    struct net *net = net_system();
    struct err_info why;
    int fd;
    enum err e = net->listen(net, address, &fd, bound, &why);

    if (e)
        return cannot_listen(e, &why, info);
    if (listener_init(&a->http, loop, fd, &http_conn_type, &a->callbacks))
        return err_fail(info, ERR_FULL, "admin.listen: out of memory");
    return ERR_OK;
}

static enum err start_control(struct admin *a, struct loop *loop, const char *path,
                              struct err_info *info)
{
    int fd;
    enum err e = control_listen(path, &fd, info);

    if (e)
        return e;
    a->control_path = strdup(path);
    if (listener_init(&a->control, loop, fd, &control_conn_type, &a->callbacks) || !a->control_path)
        return err_fail(info, ERR_FULL, "admin.control: out of memory");
    return ERR_OK;
}

// NOLINTNEXTLINE(readability-function-size): one call at start
enum err admin_new(struct loop *loop, const char *listen, const char *control_path,
                   const struct admin_callbacks *callbacks, char *bound, struct admin **out,
                   struct err_info *info)
{
    struct admin *a = calloc(1, sizeof(*a));
    enum err e = ERR_OK;

    if (!a)
        return err_fail(info, ERR_FULL, "out of memory");
    a->loop = loop;
    a->callbacks = *callbacks;
    if (listen)
        e = start_http(a, loop, listen, bound, info);
    if (!e && control_path)
        e = start_control(a, loop, control_path, info);
    if (e) {
        admin_free(a);
        return e;
    }
    *out = a;
    return ERR_OK;
}

enum err admin_bind(const struct admin *a, const char *listen, char *bound, int *fd,
                    struct err_info *info)
{
    struct net *net = net_system();
    struct err_info why;
    enum err e = net->listen(net, listen, fd, bound, &why);

    if (e && a->http.net)
        e = net->listen_beside(net, listen, a->http.fd, fd, bound, &why);
    return e ? cannot_listen(e, &why, info) : ERR_OK;
}

enum err admin_move(struct admin *a, int fd)
{
    listener_fini(&a->http);
    a->http = (struct listener){0};
    return fd < 0 ? ERR_OK : listener_init(&a->http, a->loop, fd, &http_conn_type, &a->callbacks);
}

void admin_free(struct admin *a)
{
    if (!a)
        return;
    listener_fini(&a->http);
    listener_fini(&a->control);
    if (a->control_path)
        unlink(a->control_path);
    free(a->control_path);
    free(a);
}
