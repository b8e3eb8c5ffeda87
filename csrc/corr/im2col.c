/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Method im2col: a panel of windows, then taps times panel (K3, of one tap row), a panel of one row of outputs at a time:
 *
 *      panel[t][p] = element under tap t of output p
 *
 * Taps in the order of direct.c, and the same bits.
 */
#include "corr/call.h"

static ptrdiff_t im2col_width(const call *c) { return c->fc->cols_of[1] * c->fc->vector_bytes / c->size; }

static void im2col_parts(const call *c, fc_room *r, scratch *s)
{
    ptrdiff_t taps = c->direct.taps.full;
    s->at = fc_part(r, "taps of a panel", taps, sizeof *s->at);
    s->panel = fc_part(r, "panel", times(taps, im2col_width(c)), c->size);
}

static void im2col_compute(const call *c, const scratch *s, const patch *p)
{
    ptrdiff_t width = im2col_width(c);
    fc_taps taps = {.h = 1, .full = c->direct.taps.full, .at = s->at, .k = c->direct.taps.k};
    for (ptrdiff_t t = 0; t < taps.full; t++)
        s->at[t] = t * width;
    for (ptrdiff_t i = 0; i < p->rows; i++)
        for (ptrdiff_t j = 0; j < p->cols; j += width) {
            size_t bytes = (size_t)(min(width, p->cols - j) * c->size);
            const char *from = p->src + (i * c->g->axis[ROWS].stride * p->r->row + j) * c->size;
            for (ptrdiff_t t = 0; t < taps.full && !(t % TAPS_AT_ONCE == TAPS_AT_ONCE - 1 && fc_gives_up()); t++)
                memcpy(s->panel + t * width * c->size, from + p->r->at[t] * c->size, bytes);
            c->op->corr(s->panel, 0, &taps, p->out + (i * p->out_row + j) * c->size, 0, 1, min(width, p->cols - j));
        }
}

const method fc_im2col = {.prepare = fc_direct_prepare,
                          .tables = fc_direct_tables,
                          .retap = fc_direct_retap,
                          .parts = im2col_parts,
                          .compute = im2col_compute};
