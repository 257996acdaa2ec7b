/* pages.h: a page for each script, made from the script itself (lua/moontail/script_page.lua). */
#pragma once

/* Writes out/policies/TYPE.md, out/processors/ and out/exporters/, each with a README.md that lists
 * them: of the scripts in `folder` (policies/TYPE.lua and so on), or of those that the program
 * carries where it is NULL. Makes the folders. Blocks. Returns an exit code; what is wrong is said
 * on stderr. */
int pages_write(const char *out, const char *folder);
