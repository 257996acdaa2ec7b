/* bytes.h: what scripts do with bytes: digests, encodings, JSON. Internal to policy. */
#pragma once

#include <lua.h>

/* Adds hex, base64, sha256, hmac_sha256, json_string and json_decode to the table on top: for
 * moontail.bytes. */
void bytes_register(lua_State *L);
