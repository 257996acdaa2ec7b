#include "aws/detect.h"

#include <ctype.h>
#include <stdio.h>

static const char *value_of(const struct detect *d, const char *key)
{
    for (size_t i = 0; i < d->count; i++)
        if (strcmp(d->pairs[i].key, key) == 0)
            return d->pairs[i].value;
    return NULL;
}

/* Keeps it if there is room, it has a value, and no detector before had the key. */
static void add(struct detect *d, const char *key, const char *value)
{
    struct detect_pair *pair = &d->pairs[d->count];

    if (!value || !*value || d->count == DETECT_PAIRS_MAX || value_of(d, key) ||
        strlen(key) >= sizeof(pair->key) || strlen(value) >= sizeof(pair->value))
        return;
    snprintf(pair->key, sizeof(pair->key), "%s", key);
    snprintf(pair->value, sizeof(pair->value), "%s", value);
    d->count++;
}

static void fail(struct detect *d, const char *why)
{
    buf_printf(&d->errors, "%s: %s\n", *d->next, why);
}

/* ---- env: OTEL_RESOURCE_ATTRIBUTES, "key=value,key=value" (OpenTelemetry resource SDK) ---- */

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)tolower((unsigned char)c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Percent-decodes in place, without the blanks around it. False: malformed. */
static bool decode(char **text)
{
    char *from = *text, *to, *end;

    while (isspace((unsigned char)*from))
        from++;
    end = from + strlen(from);
    while (end > from && isspace((unsigned char)end[-1]))
        *--end = '\0';
    *text = to = from;
    for (; *from; from++) {
        if (*from != '%') {
            *to++ = *from;
            continue;
        }
        if (hex(from[1]) < 0 || hex(from[2]) < 0 || hex(from[1]) + hex(from[2]) == 0)
            return false;
        *to++ = (char)(hex(from[1]) * 16 + hex(from[2]));
        from += 2;
    }
    *to = '\0';
    return true;
}

static void from_env(struct detect *d)
{
    const char *given = settings_env(d->settings, "OTEL_RESOURCE_ATTRIBUTES");
    char text[8192], *rest = text, *pair;

    if (!given)
        return;
    if (snprintf(text, sizeof(text), "%s", given) >= (int)sizeof(text)) {
        fail(d, "OTEL_RESOURCE_ATTRIBUTES is longer than 8 KiB");
        return;
    }
    while ((pair = strsep(&rest, ","))) {
        char *value = strchr(pair, '=');

        if (value)
            *value++ = '\0';
        if (!value || !decode(&pair) || !decode(&value) || !*pair) {
            fail(d, "OTEL_RESOURCE_ATTRIBUTES is not KEY=VALUE,...");
            return;
        }
        add(d, pair, value);
    }
}

/* ---- k8s: what a pod's downward API was told to put into the environment ---- */

static void from_k8s(struct detect *d)
{
    static const struct {
        const char *variable, *key;
    } variables[] = {
        {"K8S_CLUSTER_NAME", "k8s.cluster.name"},
        {"K8S_NODE_NAME", "k8s.node.name"},
        {"K8S_NAMESPACE_NAME", "k8s.namespace.name"},
        {"K8S_POD_NAME", "k8s.pod.name"},
        {"K8S_POD_UID", "k8s.pod.uid"},
        {"K8S_POD_IP", "k8s.pod.ip"},
        {"K8S_CONTAINER_NAME", "k8s.container.name"},
        {"K8S_DEPLOYMENT_NAME", "k8s.deployment.name"},
    };

    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
        add(d, variables[i].key, settings_env(d->settings, variables[i].variable));
}

static void from_eks(struct detect *d)
{
    char region[SETTINGS_REGION_MAX];

    if (!settings_env(d->settings, "KUBERNETES_SERVICE_HOST")) {
        fail(d, "this is no pod: there is no KUBERNETES_SERVICE_HOST");
        return;
    }
    add(d, "cloud.provider", "aws");
    add(d, "cloud.platform", "aws_eks");
    if (settings_region(d->settings, region))
        add(d, "cloud.region", region);
    from_k8s(d);
}

/* ---- ecs ---- */

/* A text of the answer under a key. */
static void add_text(struct detect *d, struct slice body, const char *path, const char *key)
{
    char value[DETECT_VALUE_MAX];

    if (ecs_text(body, path, value, sizeof(value)))
        add(d, key, value);
}

static void add_cluster(struct detect *d, struct slice body, const char *region,
                        const char *account, const char *partition)
{
    char cluster[256], arn[SOURCE_ARN_MAX + 64];

    if (!ecs_text(body, "Cluster", cluster, sizeof(cluster)))
        return;
    if (strncmp(cluster, "arn:", 4) == 0)
        snprintf(arn, sizeof(arn), "%s", cluster);
    else
        snprintf(arn, sizeof(arn), "arn:%s:ecs:%s:%s:cluster/%s", partition, region, account,
                 cluster);
    add(d, "aws.ecs.cluster.arn", arn);
}

static void add_launch_type(struct detect *d, struct slice body)
{
    char type[32];

    if (!ecs_text(body, "LaunchType", type, sizeof(type)))
        return;
    for (char *c = type; *c; c++)
        *c = (char)tolower((unsigned char)*c);
    add(d, "aws.ecs.launchtype", type);
}

static enum exchange_next on_task(struct exchange *x, struct ecs *e, struct slice body)
{
    struct detect *d = e->arg;
    char arn[SOURCE_ARN_MAX], partition[16], region[64], account[32];

    if (!ecs_text(body, "TaskARN", arn, sizeof(arn)) ||
        !ecs_arn_part(arn, 1, partition, sizeof(partition)) ||
        !ecs_arn_part(arn, 3, region, sizeof(region)) ||
        !ecs_arn_part(arn, 4, account, sizeof(account))) {
        snprintf(x->error, sizeof(x->error), "the task's metadata has no TaskARN");
        return EXCHANGE_FAILED;
    }
    add(d, "cloud.provider", "aws");
    add(d, "cloud.platform", "aws_ecs");
    add(d, "cloud.region", region);
    add(d, "cloud.account.id", account);
    add_text(d, body, "AvailabilityZone", "cloud.availability_zone");
    add_cluster(d, body, region, account, partition);
    add(d, "aws.ecs.task.arn", arn);
    add_text(d, body, "Family", "aws.ecs.task.family");
    add_text(d, body, "Revision", "aws.ecs.task.revision");
    add_launch_type(d, body);
    return EXCHANGE_DONE;
}

static void from_ecs(struct detect *d)
{
    if (!ecs_is_there(d->settings)) {
        fail(d, "this is no task: there is no ECS_CONTAINER_METADATA_URI_V4");
        return;
    }
    d->ecs = (struct ecs){.settings = d->settings, .path = "/task", .got = on_task, .arg = d};
    exchange_begin(&d->exchange, &ecs_kind, &d->http, &d->ecs);
}

/* ---- ec2 ---- */

static enum exchange_next on_hostname(struct exchange *x, struct imds *i, int status,
                                      struct slice body)
{
    char name[256];

    (void)x;
    if (status == 200 && body.len && body.len < sizeof(name) && !memchr(body.data, 0, body.len)) {
        snprintf(name, sizeof(name), "%.*s", (int)body.len, (const char *)body.data);
        name[strcspn(name, "\r\n")] = '\0';
        add(i->arg, "host.name", name);
    }
    return EXCHANGE_DONE;
}

static enum exchange_next on_document(struct exchange *x, struct imds *i, int status,
                                      struct slice body)
{
    struct detect *d = i->arg;
    char id[64];

    if (status != 200 || !ecs_text(body, "instanceId", id, sizeof(id))) {
        snprintf(x->error, sizeof(x->error), "the instance's identity document can't be read");
        return EXCHANGE_FAILED;
    }
    add(d, "cloud.provider", "aws");
    add(d, "cloud.platform", "aws_ec2");
    add_text(d, body, "region", "cloud.region");
    add_text(d, body, "accountId", "cloud.account.id");
    add_text(d, body, "availabilityZone", "cloud.availability_zone");
    add(d, "host.id", id);
    add_text(d, body, "instanceType", "host.type");
    add_text(d, body, "imageId", "host.image.id");
    i->got = on_hostname;
    snprintf(i->path, sizeof(i->path), "/latest/meta-data/hostname");
    return EXCHANGE_SEND;
}

static void from_ec2(struct detect *d)
{
    if (imds_is_off(d->settings)) {
        fail(d, "AWS_EC2_METADATA_DISABLED is true");
        return;
    }
    d->imds = (struct imds){.settings = d->settings, .got = on_document, .arg = d};
    snprintf(d->imds.path, sizeof(d->imds.path), "/latest/dynamic/instance-identity/document");
    exchange_begin(&d->exchange, &imds_kind, &d->http, &d->imds);
}

/* ---- one after the other ---- */

static const struct {
    const char *name;
    void (*begin)(struct detect *d);
} detectors[] = {
    {"env", from_env}, {"k8s", from_k8s}, {"eks", from_eks}, {"ecs", from_ecs}, {"ec2", from_ec2},
};

static void begin_next(struct detect *d)
{
    for (size_t i = 0; i < sizeof(detectors) / sizeof(detectors[0]); i++)
        if (strcmp(detectors[i].name, *d->next) == 0) {
            detectors[i].begin(d);
            return;
        }
    fail(d, "there is no such detector");
}

/* Begins detectors until one has to be waited for. */
static void go_on(struct detect *d)
{
    while (*d->next && d->exchange.state != EXCHANGE_RUNNING) {
        if (d->exchange.state == EXCHANGE_IDLE)
            begin_next(d);
        if (d->exchange.state == EXCHANGE_RUNNING)
            return;
        if (d->exchange.state == EXCHANGE_BROKEN)
            fail(d, d->exchange.error);
        exchange_fini(&d->exchange);
        d->next++;
    }
    d->is_done = !*d->next;
}

void detect_begin(struct detect *d, const struct aws_settings *settings,
                  const struct aws_http *http, const char *const *names)
{
    *d = (struct detect){.settings = settings, .http = *http, .next = names};
    buf_init(&d->errors, 16 << 10, NULL);
    go_on(d);
}

uint64_t detect_step(struct detect *d, uint64_t now_ns)
{
    uint64_t due;

    if (d->is_done)
        return NEVER_NS;
    due = exchange_step(&d->exchange, now_ns);
    go_on(d);
    return d->is_done ? NEVER_NS : due;
}

void detect_give_up(struct detect *d)
{
    if (d->is_done)
        return;
    for (; *d->next; d->next++)
        fail(d, "no answer in time");
    exchange_fini(&d->exchange);
    d->is_done = true;
}

void detect_fini(struct detect *d)
{
    exchange_fini(&d->exchange);
    buf_fini(&d->errors);
}
