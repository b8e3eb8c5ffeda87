/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What a thread knows of the call that it works for (giving_up.c). */
#ifndef FASTCONV_GIVING_UP_H
#define FASTCONV_GIVING_UP_H

#include "fastconv.h"
#include <stdatomic.h>

typedef struct {
    atomic_int *stop; /* of the outermost job: whether it is given up; NULL: there is none */
    double next;      /* us: when the program is asked next; 0: no call was long enough yet */
    int gave_up;      /* the call of this thread was given up */
    int is_worker;    /* it makes no calls, and asks nobody: it sees the flag */
} fc_call_state;

extern __attribute__((visibility("hidden"))) _Thread_local fc_call_state fc_here;

#endif
