#include "base/log.h"

#include "base/clock.h"
#include "base/hash.h"
#include "base/log_line.h"
#include "base/number_text.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SLOTS = 64, BURST = 20, MESSAGE_MAX = 128 };

#define WINDOW_NS (10 * NS_PER_S)

/* How often one message came in its window. A message that hashes to a taken slot evicts. */
struct slot {
    uint64_t hash;
    uint64_t window_ns; /* the window's start */
    unsigned written;
    unsigned suppressed;
    enum log_level level;
    char message[MESSAGE_MAX];
};

static _Atomic int level_now = LOG_INFO;
static _Atomic int format_now = LOG_AUTO;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* for all that follows */
static struct slot slots[SLOTS];
static void (*redirect)(void *arg, const char *line, size_t len);
static void *redirect_arg;
static const struct clock *log_clock;

void log_configure(enum log_level level, enum log_format format)
{
    atomic_store(&level_now, (int)level);
    atomic_store(&format_now, (int)format);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&level_now, memory_order_relaxed);
}

void log_redirect(void (*fn)(void *arg, const char *line, size_t len), void *arg)
{
    pthread_mutex_lock(&lock);
    redirect = fn;
    redirect_arg = arg;
    pthread_mutex_unlock(&lock);
}

void log_use_clock(const struct clock *clock)
{
    pthread_mutex_lock(&lock);
    log_clock = clock;
    memset(slots, 0, sizeof(slots));
    pthread_mutex_unlock(&lock);
}

static const struct clock *clock_in_use(void)
{
    return log_clock ? log_clock : clock_system();
}

bool log_is_screen(int fd)
{
    const char *term = getenv("TERM");

    return isatty(fd) && !(term && strcmp(term, "dumb") == 0);
}

/* no-color.org: of any value but the empty one. */
static bool wants_no_colour(void)
{
    const char *value = getenv("NO_COLOR");

    return value && *value;
}

static void start_line(struct log_line *l, enum log_level level, const char *message)
{
    bool terminal = !redirect && isatty(STDERR_FILENO);

    l->format = (enum log_format)atomic_load(&format_now);
    if (l->format == LOG_AUTO)
        l->format = terminal ? LOG_PRETTY : LOG_LOGFMT;
    l->colour =
        l->format == LOG_PRETTY && terminal && log_is_screen(STDERR_FILENO) && !wants_no_colour();
    log_line_begin(l, clock_unix_ns(clock_in_use()), level, message);
}

static void finish_line(struct log_line *l)
{
    log_line_end(l);
    if (redirect)
        redirect(redirect_arg, (const char *)l->out.data, l->out.len);
    else if (write(STDERR_FILENO, l->out.data, l->out.len) < 0)
        (void)0; /* nobody is left to tell */
    buf_fini(&l->out);
}

/* Says how many were left out, and forgets the window. */
static void close_window(struct slot *s)
{
    struct log_line line;
    char count[16];

    if (s->suppressed) {
        snprintf(count, sizeof(count), "%u", s->suppressed);
        start_line(&line, s->level, s->message);
        log_line_pair(&line, "suppressed", count);
        finish_line(&line);
    }
    memset(s, 0, sizeof(*s));
}

static void close_windows_before(uint64_t now_ns)
{
    for (size_t i = 0; i < SLOTS; i++) {
        if (slots[i].written && now_ns - slots[i].window_ns >= WINDOW_NS)
            close_window(&slots[i]);
    }
}

/* True if this message may be written now; else it is counted as suppressed. */
static bool admit(enum log_level level, const char *message, uint64_t now_ns)
{
    uint64_t hash = hash_bytes((struct hash_key){(uint64_t)level, 0}, message, strlen(message));
    struct slot *s = &slots[hash % SLOTS];

    close_windows_before(now_ns);
    if (s->written && s->hash != hash)
        close_window(s);
    if (!s->written) {
        s->hash = hash;
        s->window_ns = now_ns;
        s->level = level;
        snprintf(s->message, sizeof(s->message), "%s", message);
    }
    if (s->written < BURST) {
        s->written++;
        return true;
    }
    s->suppressed++;
    return false;
}

void log_write(enum log_level level, const char *message, ...)
{
    struct log_line line;
    va_list args;
    const char *key;

    pthread_mutex_lock(&lock);
    if (admit(level, message, clock_now_ns(clock_in_use()))) {
        start_line(&line, level, message);
        va_start(args, message);
        while ((key = va_arg(args, const char *)) != NULL)
            log_line_pair(&line, key, va_arg(args, const char *));
        va_end(args);
        finish_line(&line);
    }
    pthread_mutex_unlock(&lock);
}

void log_flush(void)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < SLOTS; i++)
        close_window(&slots[i]);
    pthread_mutex_unlock(&lock);
}

const char *log_number(double value)
{
    static _Thread_local char ring[8][NUMBER_TEXT + 1];
    static _Thread_local unsigned next;
    char *text = ring[next++ % 8];

    text[number_text(text, value)] = '\0';
    return text;
}
