/* crc32c.h: the checksum of everything that lies on disk (CRC-32C, Castagnoli).
 *
 * Data path: journal and outbox check frames with it, on write and on read. Any thread.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* The checksum of `data`, continuing `seed`: 0 to begin, else what an earlier call returned, so
 * that crc32c(crc32c(0, a), b) is that of a and b together. A seed that is a salt begins another
 * sequence of checksums. len 0 returns the seed; data may be NULL then. */
uint32_t crc32c(uint32_t seed, const void *data, size_t len);
