/* SPDX-License-Identifier: BSD-3-Clause
 * How large a result goes past the caches: half of the L3, as Linux tells its size; elsewhere half of a usual one. */
#include "common/platform.h"
#include "common/strides.h"
#include "costs.h"

double fc_stream_from(const char *size_file)
{
    ptrdiff_t bytes = fc_cache_bytes(size_file);
    return bytes > 0 ? (double)clamp(bytes / 2, FC_STREAM_LEAST, FC_STREAM_MOST) : FC_STREAM_FROM;
}
