#include "aws/settings.h"

#include "base/disk.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

enum { TOKEN_MAX = 64 << 10 };

const char *settings_env(const struct aws_settings *s, const char *name)
{
    const char *value = s->env ? s->env(name) : getenv(name);

    return value && *value ? value : NULL;
}

bool settings_is_true(const struct aws_settings *s, const char *name)
{
    const char *value = settings_env(s, name);

    return value && strcasecmp(value, "true") == 0;
}

const char *settings_profile(const struct aws_settings *s)
{
    const char *name = settings_env(s, "AWS_PROFILE");

    if (!name)
        name = settings_env(s, "AWS_DEFAULT_PROFILE");
    return name ? name : "default";
}

enum err settings_read(const struct aws_settings *s, const char *path, struct buf *out,
                       struct err_info *info)
{
    char *data, *at;
    size_t len, size;
    enum err err =
        disk_read_file(s->disk ? s->disk : disk_system(), path, TOKEN_MAX, &data, &len, info);

    if (err)
        return err;
    at = data;
    size = len;
    while (len && isspace((unsigned char)at[len - 1]))
        len--;
    while (len && isspace((unsigned char)*at)) {
        at++;
        len--;
    }
    if (!len || memchr(at, '\n', len) || memchr(at, '\r', len) || memchr(at, '\0', len))
        err = err_fail(info, ERR_PARSE, "%s does not have one line with a token", path);
    else
        buf_append(out, at, len);
    explicit_bzero(data, size);
    free(data);
    return err;
}

/* ---- regions ---- */

bool settings_is_region(struct slice text)
{
    if (!text.len || text.len >= SETTINGS_REGION_MAX || text.data[0] == '-')
        return false;
    for (size_t i = 0; i < text.len; i++)
        if (!isalnum(text.data[i]) && text.data[i] != '-')
            return false;
    return true;
}

static bool put_region(struct slice text, char region[SETTINGS_REGION_MAX])
{
    if (!settings_is_region(text))
        return false;
    snprintf(region, SETTINGS_REGION_MAX, "%.*s", (int)text.len, (const char *)text.data);
    return true;
}

bool settings_region(const struct aws_settings *s, char region[SETTINGS_REGION_MAX])
{
    const char *value = settings_env(s, "AWS_REGION");
    struct profiles p;
    bool found;

    if (!value)
        value = settings_env(s, "AWS_DEFAULT_REGION");
    if (value)
        return put_region(slice_str(value), region);
    profiles_read(s, &p);
    found = put_region(profiles_get(&p, settings_profile(s), "region"), region);
    profiles_fini(&p);
    return found;
}

static const struct partition {
    const char *prefix, *suffix, *primary;
    const char *dual; /* suffix of hosts that have IPv6, too; NULL: there are none */
} partitions[] = {
    {"cn-", "amazonaws.com.cn", "cn-north-1", "api.amazonwebservices.com.cn"},
    {"us-gov-", "amazonaws.com", "us-gov-west-1", "api.aws"},
    {"us-isob-", "sc2s.sgov.gov", "us-isob-east-1", NULL},
    {"us-isof-", "csp.hci.ic.gov", "us-isof-south-1", NULL},
    {"us-iso-", "c2s.ic.gov", "us-iso-east-1", NULL},
    {"eu-isoe-", "cloud.adc-e.uk", "eu-isoe-west-1", NULL},
    {"eusc-", "amazonaws.eu", "eusc-de-east-1", NULL},
    {"", "amazonaws.com", "us-east-1", "api.aws"},
};

static const struct partition *partition_of(const char *region)
{
    const struct partition *p = partitions;

    while (strncmp(region, p->prefix, strlen(p->prefix)) != 0)
        p++;
    return p;
}

const char *settings_primary_region(const char *region)
{
    return partition_of(region)->primary;
}

/* ---- endpoints ---- */

static void put_url(struct buf *out, struct slice url)
{
    buf_clear(out);
    while (url.len && url.data[url.len - 1] == '/')
        url.len--;
    buf_append(out, url.data, url.len);
}

static bool from_profile(const struct aws_settings *s, struct buf *out)
{
    struct profiles p;
    struct slice url;

    if (settings_is_true(s, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"))
        return false;
    profiles_read(s, &p);
    url = profiles_get(&p, settings_profile(s), "endpoint_url");
    if (url.len)
        put_url(out, url);
    profiles_fini(&p);
    return url.len > 0;
}

/* The only one of those that are called whose name is another than that of its signatures. */
static const char *sdk_name(const char *service)
{
    return strcmp(service, "logs") == 0 ? "cloudwatch-logs" : service;
}

static bool is_configured(const struct aws_settings *s, const char *service, struct buf *out)
{
    char name[64] = "AWS_ENDPOINT_URL_";
    const char *url;
    size_t at = strlen(name);

    if (settings_is_true(s, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"))
        return false;
    service = sdk_name(service);
    for (; *service && at + 1 < sizeof(name); service++)
        name[at++] = (char)(*service == '-' ? (int)'_' : toupper((unsigned char)*service));
    name[at] = '\0';
    url = settings_env(s, name);
    if (!url)
        url = settings_env(s, "AWS_ENDPOINT_URL");
    if (!url)
        return false;
    put_url(out, slice_str(url));
    return true;
}

static void put_host(const struct aws_settings *s, const char *prefix, const char *region,
                     struct buf *out)
{
    const struct partition *p = partition_of(region);
    bool dual = p->dual && settings_is_true(s, "AWS_USE_DUALSTACK_ENDPOINT");

    buf_clear(out);
    buf_printf(out, "https://%s%s.%s.%s", prefix,
               settings_is_true(s, "AWS_USE_FIPS_ENDPOINT") ? "-fips" : "", region,
               dual ? p->dual : p->suffix);
}

void settings_endpoint(const struct aws_settings *s, const char *service, const char *prefix,
                       const char *region, struct buf *out)
{
    if (is_configured(s, service, out))
        return;
    put_host(s, prefix, region, out);
}

/* Those that sts.amazonaws.com served before there were regional endpoints. */
static bool had_global_sts(const char *region)
{
    static const char *const regions[] = {
        "ap-northeast-1", "ap-south-1",   "ap-southeast-1", "ap-southeast-2",
        "aws-global",     "ca-central-1", "eu-central-1",   "eu-north-1",
        "eu-west-1",      "eu-west-2",    "eu-west-3",      "sa-east-1",
        "us-east-1",      "us-east-2",    "us-west-1",      "us-west-2",
    };

    for (size_t i = 0; i < sizeof(regions) / sizeof(regions[0]); i++)
        if (strcmp(region, regions[i]) == 0)
            return true;
    return false;
}

void settings_sts(const struct aws_settings *s, char region[SETTINGS_REGION_MAX], struct buf *out)
{
    const char *mode = settings_env(s, "AWS_STS_REGIONAL_ENDPOINTS");
    bool legacy = mode && strcasecmp(mode, "legacy") == 0 && had_global_sts(region);

    if (!*region || strcmp(region, "aws-global") == 0)
        legacy = true;
    if (legacy)
        snprintf(region, SETTINGS_REGION_MAX, "us-east-1");
    if (is_configured(s, "sts", out) || from_profile(s, out))
        return;
    if (!legacy) {
        put_host(s, "sts", region, out);
        return;
    }
    buf_clear(out);
    buf_str(out, "https://sts.amazonaws.com");
}
