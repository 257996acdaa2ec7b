/* identities.h: whom requests are signed as, one for each role, external id and region, and the
 * HTTP by which their credentials are found. Belongs to the export thread.
 */
#pragma once

#include "export/aws_http.h"

enum { IDENTITIES_MAX = 32 };

struct identity {
    char *role_arn, *external_id, *region; /* NULL: none */
    struct credentials *credentials;       /* NULL: an empty place */
    unsigned users;                        /* requests; the caller counts */
};

struct identities {
    struct credentials_config config;
    struct identity places[IDENTITIES_MAX];
    size_t used;                     /* places beyond these never had one */
    struct aws_http_adapter sources; /* requests by which credentials are found */
    struct aws_http source_http;     /* on it */
};

/* `http` is borrowed; `config` is copied, its http, role_arn, external_id and region don't
 * count. */
void identities_init(struct identities *ids, struct http_client *http,
                     const struct credentials_config *config);
void identities_fini(struct identities *ids);

/* The identity for a signature. Where all places are taken one goes that has no users; NULL: there
 * is none, or no memory. */
struct identity *identities_find(struct identities *ids, const struct http_sigv4 *sigv4);
/* As credentials_step, for all of them. */
uint64_t identities_step(struct identities *ids, uint64_t now_ns, uint64_t now_unix_ns);
