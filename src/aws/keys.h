/* keys.h: one set of credentials, and how each source's answer becomes one. Overwritten when it is
 * given up.
 */
#pragma once

#include "aws/sigv4.h"
#include "base/slice.h"

enum { KEYS_NAME_MAX = 256, KEYS_TOKEN_MAX = 16384 };

struct keys {
    char access[KEYS_NAME_MAX], secret[KEYS_NAME_MAX], session[KEYS_TOKEN_MAX];
    uint64_t expires_unix_s; /* UINT64_MAX: never */
};

/* Both keys are there and fit, and no text has a control character in it. An empty session: none.
 * `keys` is as before if not. */
bool keys_set(struct keys *k, struct slice access, struct slice secret, struct slice session,
              uint64_t expires_unix_s);
/* {AccessKeyId, SecretAccessKey, `token`, Expiration?}. False: it is not that. */
bool keys_from_json(struct keys *k, struct slice text, const char *token);
/* The Credentials element in `path` ("AssumeRoleResponse/AssumeRoleResult"). */
bool keys_from_xml(struct keys *k, struct slice text, const char *path);
void keys_forget(struct keys *k);
struct sigv4_credentials keys_view(const struct keys *k);
