/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What blocks of outputs see of a channel, packed as layer.h shows, with the boundary applied. */
#include "layer.h"
#include <string.h>

/* ---- geometry --------------------------------------------------------------------------------- */

split fc_split_axis(const fc_axis *a, ptrdiff_t block, enum sets how)
{
    ptrdiff_t shared = (a->k - 1) * a->dilation / a->stride + block;
    if (how == APART || (how == FEWER && a->k * block <= a->stride * shared))
        return (split){block, a->k, block, 1};
    return (split){block, a->stride, shared, 0};
}
/* Where tap t is: the set, and the shift in it; where a set begins in X. */
static ptrdiff_t set_of(const split *s, const fc_axis *a, ptrdiff_t t)
{
    return s->apart ? t : t * a->dilation % a->stride;
}
static ptrdiff_t shift_of(const split *s, const fc_axis *a, ptrdiff_t t)
{
    return s->apart ? 0 : t * a->dilation / a->stride;
}
static ptrdiff_t first_of(const split *s, const fc_axis *a, ptrdiff_t set)
{
    return s->apart ? set * a->dilation : set;
}

void fc_lay_out(layer *l, ptrdiff_t pitch)
{
    l->pitch = pitch;
    l->row_set = l->rows.count * pitch;
    l->col_set = l->rows.sets * l->row_set;
    l->depth_set = l->cols.sets * l->col_set;
    l->plane = l->axis[DEPTH].k * l->depth_set;
}

void fc_tabulate(const layer *l, ptrdiff_t channels, ptrdiff_t channel)
{
    ptrdiff_t *at = l->at;
    const fc_axis *axis = l->axis;
    for (ptrdiff_t c = 0; c < channels; c++)
        for (ptrdiff_t z = 0; z < axis[DEPTH].k; z++)
            for (ptrdiff_t r = 0; r < axis[ROWS].k; r++)
                for (ptrdiff_t s = 0; s < axis[COLS].k; s++)
                    *at++ = c * channel + z * l->depth_set + set_of(&l->cols, &axis[COLS], s) * l->col_set +
                            shift_of(&l->cols, &axis[COLS], s) + set_of(&l->rows, &axis[ROWS], r) * l->row_set +
                            shift_of(&l->rows, &axis[ROWS], r) * l->pitch;
}

/* ---- packing ---------------------------------------------------------------------------------- */

/* A run of rows of one set of columns, `apart` bytes from one to the next in x; x NULL: of zeros */
static void pack_rows(const layer *l, char *to, const char *x, ptrdiff_t apart, ptrdiff_t rows, ptrdiff_t first)
{
    const fc_axis *cols = &l->axis[COLS];
    ptrdiff_t n = l->cols.count, step = cols->stride;
    /* elements from ... end of the set lie inside x */
    ptrdiff_t from = clamp(first >= 0 ? 0 : parts_of(-first, step), 0, n);
    ptrdiff_t end = x == NULL || first >= cols->n ? from : clamp((cols->n - 1 - first) / step + 1, from, n);
    int readable = x == NULL || (cols->x_step % l->size == 0 && apart % l->size == 0 && (uintptr_t)x % (uintptr_t)l->size == 0);
    if (readable) {
        const char *at = x == NULL ? to : x + first * cols->x_step;
        if (end - from == n && l->pitch == n && apart == n * step * cols->x_step) /* one long row */
            end = n *= rows, rows = 1;
        l->pack(to, l->pitch, at, apart / l->size, rows, n, x == NULL ? 0 : from, x == NULL ? 0 : end,
                step * cols->x_step / l->size);
    }
    if (x == NULL || (readable && (cols->boundary == FC_CONSTANT || (from == 0 && end == n))))
        return;
    for (ptrdiff_t i = 0; i < rows; i++, to += l->pitch * l->size, x += apart)
        for (ptrdiff_t j = 0; j < n; j++) {
            if (readable && j == from)
                j = end;
            if (j == n)
                break;
            ptrdiff_t source = fc_source_index(first + j * step, cols->n, cols->boundary);
            if (source < 0)
                memset(to + j * l->size, 0, (size_t)l->size);
            else
                memcpy(to + j * l->size, x + source * cols->x_step, (size_t)l->size);
        }
}

/* What outputs from (row, col) on see of one plane of one channel */
static void pack_plane(const layer *l, char *to, const char *x, ptrdiff_t row, ptrdiff_t col)
{
    const fc_axis *rows = &l->axis[ROWS], *cols = &l->axis[COLS];
    for (ptrdiff_t s = 0; s < l->cols.sets; s++) {
        ptrdiff_t first_col = col * cols->stride - cols->lead + first_of(&l->cols, cols, s);
        for (ptrdiff_t r = 0; r < l->rows.sets; r++) {
            ptrdiff_t first_row = row * rows->stride - rows->lead + first_of(&l->rows, rows, r), step = rows->stride;
            ptrdiff_t inside = clamp(first_row >= 0 ? 0 : parts_of(-first_row, step), 0, l->rows.count);
            ptrdiff_t outside = first_row >= rows->n ? inside : clamp((rows->n - 1 - first_row) / step + 1, inside, l->rows.count);
            for (ptrdiff_t i = 0; i < l->rows.count;) {
                int run = x != NULL && i == inside && outside > inside;
                ptrdiff_t source = x == NULL ? -1 : fc_source_index(first_row + i * step, rows->n, rows->boundary);
                ptrdiff_t n = run ? outside - inside : 1;
                pack_rows(l, to, source < 0 ? NULL : x + source * rows->x_step, step * rows->x_step, n, first_col);
                i += n;
                to += n * l->pitch * l->size;
            }
        }
    }
}

void fc_pack_channel(const layer *l, char *to, const char *x, ptrdiff_t plane, ptrdiff_t row, ptrdiff_t col)
{
    const fc_axis *depth = &l->axis[DEPTH];
    ptrdiff_t image = plane / depth->out, first = plane % depth->out * depth->stride - depth->lead;
    for (ptrdiff_t z = 0; z < depth->k; z++, to += l->depth_set * l->size) {
        ptrdiff_t source = fc_source_index(first + z * depth->dilation, depth->n, depth->boundary);
        pack_plane(l, to, source < 0 ? NULL : x + image * l->g->x_image + source * depth->x_step, row, col);
    }
}
