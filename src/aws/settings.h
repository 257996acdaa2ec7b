/* settings.h: what the environment and the shared files say about AWS: texts, the region,
 * endpoints. Reads files through the disk seam; any thread.
 */
#pragma once

#include "base/buf.h"
#include "base/err.h"
#include "base/slice.h"

struct disk;

/* Everything that comes from the environment passes through `env`. */
struct aws_settings {
    const char *(*env)(const char *name); /* NULL: the process's */
    struct disk *disk;                    /* NULL: the system's */
};

enum { SETTINGS_FILE_MAX = 1 << 20, SETTINGS_TEXT_MAX = 4096, SETTINGS_REGION_MAX = 64 };

/* A variable; NULL: not set, or empty. */
const char *settings_env(const struct aws_settings *s, const char *name);
/* "true" in any case. */
bool settings_is_true(const struct aws_settings *s, const char *name);
/* Reads a small file (a token) whole into `out` without the blanks around it. ERR_IO with a
 * sentence; ERR_PARSE: there is a line break or a NUL in it, or nothing. */
enum err settings_read(const struct aws_settings *s, const char *path, struct buf *out,
                       struct err_info *info) MUST_CHECK;

/* ---- the shared files ---- */

/* The two files, read once; empty where they are not there. */
struct profiles {
    struct buf config, credentials;
};

void profiles_read(const struct aws_settings *s, struct profiles *p);
void profiles_fini(struct profiles *p);
/* The value of a key in a profile; that of the credentials file comes first. Empty: not there. */
struct slice profiles_get(const struct profiles *p, const char *profile, const char *key);
bool profiles_has(const struct profiles *p, const char *profile);
/* AWS_PROFILE, AWS_DEFAULT_PROFILE, or "default". */
const char *settings_profile(const struct aws_settings *s);

/* In the text of an ini file: the value of `key` in section `section` (the last one counts), and
 * whether there is such a section. `prefix`: sections are "[profile NAME]" but for "default".
 * As the AWS SDK for Go reads it: keys in any case, "=" or ":", quotes around a value, and lines
 * may be indented, but not behind a key without a value, to which they belong ("s3 ="). */
struct slice ini_get(struct slice text, const char *section, const char *key, bool prefix);
bool ini_has(struct slice text, const char *section, bool prefix);

/* ---- regions and endpoints ---- */

/* AWS_REGION, AWS_DEFAULT_REGION, or the profile's. False: none of them. */
bool settings_region(const struct aws_settings *s, char region[SETTINGS_REGION_MAX]);
/* Letters, digits and "-" only: fit for a host's name. */
bool settings_is_region(struct slice text);
/* Where a service is called in a region, as "https://HOST": AWS_ENDPOINT_URL_<SERVICE> (in the
 * upper case, "-" as "_"; CLOUDWATCH_LOGS of "logs", as SDKs call it), AWS_ENDPOINT_URL, unless
 * AWS_IGNORE_CONFIGURED_ENDPOINT_URLS; else HOST is `prefix`.REGION.SUFFIX of the partition, as
 * AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT want it. Without "/" at the end. Reads no
 * file. Replaces `out`. */
void settings_endpoint(const struct aws_settings *s, const char *service, const char *prefix,
                       const char *region, struct buf *out);
/* The same for STS, also by endpoint_url of the profile; the global endpoint where
 * AWS_STS_REGIONAL_ENDPOINTS is "legacy" and the region is one of those that had it. `region`
 * becomes that to sign for. */
void settings_sts(const struct aws_settings *s, char region[SETTINGS_REGION_MAX], struct buf *out);
/* The region that is always there: STS falls back to it where it is not active in `region`. */
const char *settings_primary_region(const char *region);
