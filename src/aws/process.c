/* credential_process of a profile: its output is the answer. It is polled, so nothing waits for
 * it. */
#include "aws/answer.h"
#include "aws/sources.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { OUTPUT_MAX = 64 << 10 };
static const uint64_t limit_ns = 60 * NS_PER_S, look_ns = 20 * NS_PER_MS;

extern char **environ;

static void fail(struct process *p, const char *why)
{
    snprintf(p->error, sizeof(p->error), "%s", why);
    p->state = EXCHANGE_BROKEN;
}

/* A group of its own, so that its children end with it; signals as a new program expects them. */
static int spawn(pid_t *pid, const char *command, int out)
{
    char *const argv[] = {(char *)"sh", (char *)"-c", (char *)command, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    int err;

    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_init(&files);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 2, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&files, out, 1);
    posix_spawn_file_actions_addclosefrom_np(&files, 3); /* libcurl's own are not close-on-exec */
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETPGROUP);
    err = posix_spawn(pid, "/bin/sh", &files, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    return err;
}

void process_begin(struct process *p, const char *command)
{
    int ends[2];

    *p = (struct process){.state = EXCHANGE_RUNNING, .fd = -1};
    buf_init(&p->output, OUTPUT_MAX, NULL);
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK)) {
        fail(p, "it can't be run: no pipe");
        return;
    }
    fcntl(ends[1], F_SETFL, 0); /* the program expects to wait */
    p->fd = ends[0];
    /* Taken at once, so that no copy of a secret is left behind by growing. */
    if (!buf_reserve(&p->output, OUTPUT_MAX) || spawn(&p->pid, command, ends[1])) {
        p->pid = 0;
        fail(p, "/bin/sh can't be run");
    }
    close(ends[1]);
}

static void release(struct process *p)
{
    if (p->fd >= 0)
        close(p->fd);
    p->fd = -1;
    if (p->output.data)
        explicit_bzero(p->output.data, p->output.cap);
    buf_fini(&p->output);
}

static void kill_it(struct process *p)
{
    if (!p->pid)
        return;
    kill(-p->pid, SIGKILL);
    kill(p->pid, SIGKILL);
    /* All of the group: as the first process of a container we get its children, too. */
    while (waitpid(-p->pid, NULL, 0) > 0 || errno == EINTR)
        ;
    p->pid = 0;
}

static void fail_with(struct process *p, int status)
{
    char why[100];

    snprintf(why, sizeof(why), "%s %d: see what it says when it is run by hand",
             WIFEXITED(status) ? "failed with status" : "was ended by signal",
             WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    fail(p, why);
}

static void take_output(struct process *p, int status)
{
    struct buf version;

    buf_init(&version, 16, NULL);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        fail_with(p, status);
    else if (!answer_json(buf_slice(&p->output), "Version", &version) ||
             !slice_is(buf_slice(&version), "1") ||
             !keys_from_json(&p->keys, buf_slice(&p->output), "SessionToken"))
        fail(p, "printed something else than credentials of version 1");
    else
        p->state = EXCHANGE_ENDED;
    buf_fini(&version);
}

/* Reads what is there. Returns true at the end of the output. */
static bool read_output(struct process *p)
{
    for (;;) {
        size_t room = OUTPUT_MAX - p->output.len;
        char over;
        ssize_t got =
            room ? read(p->fd, p->output.data + p->output.len, room) : read(p->fd, &over, 1);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return errno != EAGAIN;
        if (got == 0)
            return true;
        if (!room) {
            fail(p, "printed more than 64 KiB");
            return true;
        }
        p->output.len += (size_t)got;
    }
}

uint64_t process_step(struct process *p, uint64_t now_ns)
{
    int status;
    pid_t ended;

    if (p->state != EXCHANGE_RUNNING)
        return NEVER_NS;
    if (!p->until_ns)
        p->until_ns = now_ns + limit_ns;
    ended = waitpid(p->pid, &status, WNOHANG);
    if (ended == p->pid) { /* what it printed is in the pipe: what its children print is not ours */
        p->pid = 0;
        read_output(p);
        if (p->state == EXCHANGE_RUNNING)
            take_output(p, status);
    } else {
        read_output(p);
        if (p->state == EXCHANGE_RUNNING && now_ns >= p->until_ns)
            fail(p, "did not end within a minute");
    }
    if (p->state == EXCHANGE_RUNNING)
        return earlier_ns(now_ns + look_ns, p->until_ns);
    kill_it(p);
    release(p);
    return now_ns;
}

void process_fini(struct process *p)
{
    kill_it(p);
    if (p->state != EXCHANGE_IDLE)
        release(p);
    keys_forget(&p->keys);
    p->state = EXCHANGE_IDLE;
}
