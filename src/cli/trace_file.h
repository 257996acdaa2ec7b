/* trace_file.h: OTLP traces in a file, for commands that look at them: protobuf, OTLP/JSON, or a
 * line of OTLP/JSON for each request, as the exporter "file" writes them.
 */
#pragma once

#include "base/buf.h"
#include "base/disk.h"

/* Appends the TracesData to `out`. ERR_IO, ERR_PARSE, ERR_FULL with a sentence that names the file,
 * and the line in it. */
enum err trace_file_read(struct disk *disk, const char *path, struct buf *out,
                         struct err_info *info) MUST_CHECK;
/* The same of a text; `name` is what sentences call it. */
enum err trace_text_read(struct slice text, const char *name, struct buf *out,
                         struct err_info *info) MUST_CHECK;
