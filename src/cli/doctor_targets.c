/* Where exporters send: any option of theirs that is an http, https or udp URL, or a list of them.
 */
#include "aws/settings.h"
#include "cli/doctor.h"
#include "config/config.h"

#include <stdio.h>
#include <string.h>

static bool is_url(const char *text)
{
    return strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0 ||
           strncmp(text, "udp://", 6) == 0;
}

/* The string at `key` of the table on the top of the stack; "" if there is none. */
static void get_text(lua_State *L, const char *key, char *out, size_t size)
{
    lua_getfield(L, -1, key);
    snprintf(out, size, "%s", lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "");
    lua_pop(L, 1);
}

static void add(struct doctor_targets *t, const struct doctor_target *like, const char *url)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->list[i].url, url) == 0 && strcmp(t->list[i].exporter, like->exporter) == 0)
            return;
    if (t->count == DOCTOR_TARGETS_MAX)
        return;
    t->list[t->count] = *like;
    snprintf(t->list[t->count++].url, sizeof(like->url), "%s", url);
}

/* What is on the top of the stack, and what is in it if it is a list. */
static void add_value(lua_State *L, struct doctor_targets *t, const struct doctor_target *like)
{
    size_t len = lua_type(L, -1) == LUA_TTABLE ? lua_objlen(L, -1) : 0;

    if (lua_type(L, -1) == LUA_TSTRING && is_url(lua_tostring(L, -1)))
        add(t, like, lua_tostring(L, -1));
    for (size_t i = 1; i <= len && i <= DOCTOR_TARGETS_MAX; i++) {
        lua_rawgeti(L, -1, (int)i);
        if (lua_type(L, -1) == LUA_TSTRING && is_url(lua_tostring(L, -1)))
            add(t, like, lua_tostring(L, -1));
        lua_pop(L, 1);
    }
}

/* An option says where to send unless it is about the way there. */
static void add_options(lua_State *L, struct doctor_targets *t, const struct doctor_target *like)
{
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        if (lua_type(L, -2) != LUA_TSTRING || strncmp(lua_tostring(L, -2), "proxy", 5) != 0)
            add_value(L, t, like);
        lua_pop(L, 1);
    }
}

/* Exporters of AWS services whose endpoint follows from the region where none is given. */
static const char *aws_service(const char *exporter_type)
{
    if (strcmp(exporter_type, "xray") == 0)
        return "xray";
    return strcmp(exporter_type, "awsemf") == 0 ? "logs" : NULL;
}

/* What an exporter signs for where its sigv4 does not say. */
static const char *usual_service(const char *exporter_type)
{
    return strcmp(exporter_type, "prometheus_remote_write") == 0 ? "aps" : "";
}

static void add_regional(struct doctor_targets *t, const struct doctor_target *like,
                         const char *service)
{
    const struct aws_settings settings = {0};
    char region[SETTINGS_REGION_MAX];
    struct buf url;

    snprintf(region, sizeof(region), "%s", like->region);
    if (!region[0] && !settings_region(&settings, region)) {
        add(t, like, "");
        return;
    }
    buf_init(&url, sizeof(like->url), NULL);
    settings_endpoint(&settings, service, service, region, &url);
    buf_byte(&url, 0);
    if (buf_ok(&url))
        add(t, like, (const char *)url.data);
    buf_fini(&url);
}

/* As the exporter writes it where the resource says nothing. */
static void read_log_group(lua_State *L, struct doctor_target *like)
{
    char name[256], *open, *close;

    get_text(L, "log_group_name", name, sizeof(name));
    if (!name[0]) {
        get_text(L, "namespace", name, sizeof(name));
        snprintf(like->log_group, sizeof(like->log_group), "/metrics/%s",
                 name[0] ? name : "default");
        return;
    }
    snprintf(like->log_group, sizeof(like->log_group), "%s", name);
    while ((open = strchr(like->log_group, '{')) && (close = strchr(open, '}'))) {
        snprintf(name, sizeof(name), "%s", close + 1);
        snprintf(open, sizeof(like->log_group) - (size_t)(open - like->log_group), "undefined%s",
                 name);
    }
}

static bool writes_to_stdout(lua_State *L)
{
    char text[16];

    get_text(L, "output_destination", text, sizeof(text));
    return strcmp(text, "stdout") == 0;
}

/* The exporter's options are on the top of the stack. */
static void read_options(lua_State *L, struct doctor_targets *t, struct doctor_target *like,
                         const char *type)
{
    const char *service = aws_service(type);
    size_t before = t->count;

    if (writes_to_stdout(L))
        return;
    get_text(L, "proxy_address", like->proxy, sizeof(like->proxy));
    lua_getfield(L, -1, "no_verify_ssl");
    like->no_verify = lua_toboolean(L, -1);
    lua_pop(L, 1);
    lua_getfield(L, -1, "sigv4");
    like->is_signed = service || lua_istable(L, -1);
    if (!lua_istable(L, -1)) {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
    }
    get_text(L, "service", like->service, sizeof(like->service));
    get_text(L, "region", like->region, sizeof(like->region));
    get_text(L, "role_arn", like->role_arn, sizeof(like->role_arn));
    get_text(L, "external_id", like->external_id, sizeof(like->external_id));
    lua_pop(L, 1);
    if (service || !like->service[0])
        snprintf(like->service, sizeof(like->service), "%s",
                 service ? service : usual_service(type));
    if (service && strcmp(service, "logs") == 0)
        read_log_group(L, like);
    add_options(L, t, like);
    for (size_t i = before; i < t->count; i++)
        t->list[i].is_signed &= strncmp(t->list[i].url, "udp:", 4) != 0;
    if (service && t->count == before)
        add_regional(t, like, service);
}

void doctor_targets_read(lua_State *L, struct doctor_targets *t)
{
    int list = lua_gettop(L) + 1;

    config_push(L, "exporters");
    for (int i = 1; lua_istable(L, list); i++) {
        struct doctor_target like = {0};
        char type[64];

        lua_rawgeti(L, list, i);
        if (!lua_istable(L, -1))
            break;
        get_text(L, "name", like.exporter, sizeof(like.exporter));
        get_text(L, "type", type, sizeof(type));
        lua_getfield(L, -1, "options");
        if (lua_istable(L, -1))
            read_options(L, t, &like, type);
        lua_settop(L, list);
    }
    lua_settop(L, list - 1);
}
