/* RFC 3339 times, as Expiration has them. */
#include "aws/answer.h"

struct reader {
    const uint8_t *at, *end;
};

/* Exactly `count` digits. */
static bool number(struct reader *r, int count, unsigned *out)
{
    *out = 0;
    for (; count > 0; count--, r->at++) {
        if (r->at == r->end || *r->at < '0' || *r->at > '9')
            return false;
        *out = *out * 10 + (*r->at - '0');
    }
    return true;
}

static bool take(struct reader *r, char byte)
{
    if (r->at == r->end || *r->at != (uint8_t)byte)
        return false;
    r->at++;
    return true;
}

static bool is_leap(unsigned year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static unsigned days_of(unsigned year, unsigned month)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

    return days[month - 1] + (month == 2 && is_leap(year));
}

/* Days since 1970-01-01. */
static bool date(struct reader *r, uint64_t *days)
{
    unsigned year, month, day;

    if (!number(r, 4, &year) || !take(r, '-') || !number(r, 2, &month) || !take(r, '-') ||
        !number(r, 2, &day))
        return false;
    if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_of(year, month))
        return false;
    *days = day - 1;
    for (unsigned y = 1970; y < year; y++)
        *days += 365 + is_leap(y);
    for (unsigned m = 1; m < month; m++)
        *days += days_of(year, m);
    return true;
}

static bool time_of_day(struct reader *r, uint64_t *seconds)
{
    unsigned hour, minute, second, digit;

    if (!number(r, 2, &hour) || !take(r, ':') || !number(r, 2, &minute) || !take(r, ':') ||
        !number(r, 2, &second) || hour > 23 || minute > 59 || second > 60)
        return false;
    *seconds = hour * 3600u + minute * 60u + second;
    if (!take(r, '.'))
        return true;
    if (!number(r, 1, &digit))
        return false;
    while (r->at < r->end && *r->at >= '0' && *r->at <= '9')
        r->at++;
    return true;
}

/* "Z", "+01:00", "-0730". */
static bool offset(struct reader *r, int64_t *seconds)
{
    unsigned hour, minute;
    bool west;

    *seconds = 0;
    if (take(r, 'Z') || take(r, 'z'))
        return true;
    west = r->at < r->end && *r->at == '-';
    if (!take(r, '-') && !take(r, '+'))
        return false;
    if (!number(r, 2, &hour))
        return false;
    take(r, ':');
    if (!number(r, 2, &minute) || hour > 23 || minute > 59)
        return false;
    *seconds = (int64_t)(hour * 3600u + minute * 60u) * (west ? 1 : -1);
    return true;
}

bool answer_time(struct slice text, uint64_t *unix_s)
{
    struct reader r = {text.data, text.data + text.len};
    uint64_t days, seconds;
    int64_t shift, sum;

    if (!date(&r, &days) || (!take(&r, 'T') && !take(&r, 't')) || !time_of_day(&r, &seconds) ||
        !offset(&r, &shift) || r.at != r.end)
        return false;
    sum = (int64_t)(days * 86400 + seconds) + shift;
    if (sum < 0)
        return false;
    *unix_s = (uint64_t)sum;
    return true;
}
