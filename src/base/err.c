#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void err_fill(struct err_info *info, enum err code, const char *fmt, ...)
{
    va_list args;

    if (!info)
        return;
    info->code = code;
    va_start(args, fmt);
    vsnprintf(info->text, sizeof(info->text), fmt, args);
    va_end(args);
}

void err_no_memory(const char *what)
{
    char text[128];
    int len = snprintf(text, sizeof(text), "moontail: no memory for %s\n", what);

    if (len > 0)
        (void)!write(STDERR_FILENO, text, (size_t)len);
    _exit(EXIT_FAILURE);
}

const char *err_name(enum err code)
{
    static const char *const names[ERR_COUNT] = {"ok",     "full",   "again", "parse",
                                                 "script", "config", "io"};

    return (unsigned)code < ERR_COUNT ? names[code] : "unknown";
}
