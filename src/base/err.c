#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

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

const char *err_name(enum err code)
{
    static const char *const names[ERR_COUNT] = {"ok",     "full",   "again", "parse",
                                                 "script", "config", "io"};

    return (unsigned)code < ERR_COUNT ? names[code] : "unknown";
}
