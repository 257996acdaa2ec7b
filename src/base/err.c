#include "base/err.h"

#include <stdarg.h>
#include <stdio.h>

enum err err_fail(struct err_info *info, enum err code, const char *fmt, ...)
{
    va_list args;

    if (!info)
        return code;
    info->code = code;
    va_start(args, fmt);
    vsnprintf(info->text, sizeof(info->text), fmt, args);
    va_end(args);
    return code;
}

const char *err_name(enum err code)
{
    static const char *const names[ERR_COUNT] = {"ok",     "full",   "again", "parse",
                                                 "script", "config", "io"};

    return (unsigned)code < ERR_COUNT ? names[code] : "unknown";
}
