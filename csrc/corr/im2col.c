/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Method im2col: a panel of windows, then taps times panel (K1), a panel of one row of outputs at a time:
 *
 *      panel[t][p] = element under tap t of output p
 *
 * Taps in the order of direct.c, and the same bits.
 */
#include "corr/call.h"
#include <string.h>

static ptrdiff_t im2col_width(const call *c) { return c->fc->cols_of[1] * c->fc->vector_bytes / c->size; }

static void im2col_parts(const call *c, fc_room *r, scratch *s)
{
    ptrdiff_t taps = c->direct.taps.full;
    s->im2col.at = fc_part(r, "taps of a row", taps, sizeof *s->im2col.at);
    s->im2col.panel_at = fc_part(r, "taps of a panel", taps, sizeof *s->im2col.panel_at);
    s->im2col.panel = fc_part(r, "panel", times(taps, im2col_width(c)), c->size);
}

static void im2col_compute(const call *c, const scratch *s, const patch *p)
{
    ptrdiff_t taps = c->direct.taps.full, lanes = c->fc->vector_bytes / c->size, width = im2col_width(c);
    for (ptrdiff_t t = 0; t < taps; t++)
        s->im2col.at[t] = t, s->im2col.panel_at[t] = t * width;
    fc_panel panel = {.vectors = c->fc->cols_of[1]};
    for (ptrdiff_t v = 0; v < panel.vectors; v++)
        panel.b[v] = panel.c[v] = v * lanes;
    fc_gemm g = {.a = c->direct.taps.k,
                 .as = taps,
                 .rows = 1,
                 .depth = taps,
                 .b = s->im2col.panel,
                 .a_at = s->im2col.at,
                 .b_at = s->im2col.panel_at,
                 .panel = &panel,
                 .panels = 1};
    for (ptrdiff_t i = 0; i < p->rows; i++)
        for (ptrdiff_t j = 0; j < p->cols; j += width) {
            ptrdiff_t n = min(width, p->cols - j);
            const char *from = p->src + (i * c->g->axis[ROWS].stride * p->r->row + j) * c->size;
            for (ptrdiff_t t = 0; t < taps; t++)
                memcpy(s->im2col.panel + t * width * c->size, from + p->r->at[t] * c->size, (size_t)(n * c->size));
            for (ptrdiff_t v = 0; v < panel.vectors; v++)
                panel.lanes[v] = n - v * lanes;
            g.c = p->out + (i * p->out_row + j) * c->size;
            c->op->gemm(&g);
        }
}

const method fc_im2col = {
    .prepare = fc_direct_prepare, .tables = fc_direct_tables, .parts = im2col_parts, .compute = im2col_compute};
