/* SPDX-License-Identifier: BSD-3-Clause
 *
 * A call of a convolution layer or of its data gradient; layer.h draws who computes it. */
#include "layers/layer.h"

int fc_conv_run(const fc_conv *g)
{
    const layer l = fc_describe(g, fc_in_use());
    if (g->images * g->groups * l.kernels * l.whole[DEPTH] * l.whole[ROWS] * l.whole[COLS] == 0)
        return 0;
    return g->gradient && fc_exchange_pays(&l) ? fc_exchange_run(&l) : fc_taps_run(&l);
}
