/* SPDX-License-Identifier: BSD-3-Clause
 * How large a result goes past the caches: half of the L3, as Linux tells its size; elsewhere half of a usual one. */
#include "common/strides.h"
#include "costs.h"
#include <stdio.h>

double fc_stream_from(const char *size_file) /* which says "32768K" */
{
    ptrdiff_t kilobytes = 0;
    char unit = 0;
    FILE *f = fopen(size_file, "re");
    if (f) {
        if (fscanf(f, "%7td%c", &kilobytes, &unit) != 2 || unit != 'K')
            kilobytes = 0;
        fclose(f);
    }
    return kilobytes > 0 ? (double)clamp(kilobytes * 1024 / 2, FC_STREAM_LEAST, FC_STREAM_MOST) : FC_STREAM_FROM;
}
