/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What this CPU has. */
#ifndef FASTCONV_CPU_H
#define FASTCONV_CPU_H

#include "fastconv.h"

/* Whether it has all of these, "avx2,fma": names of features as compilers call them. Of a name that is not known it has nothing. */
FC_API int fc_cpu_has(const char *names);

#endif
