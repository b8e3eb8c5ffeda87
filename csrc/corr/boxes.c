/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Boxes of outputs. The share of a plane that a thread computes is cut into
 *
 *            j0     left'                    right'    j1       left' ... right': columns, and
 *        i0  +--------------------------------------+           top' ... bottom': rows
 *            |               bordered               |           whose windows lie inside x;
 *      top'  +--------+---------------------+-------+           likewise in depth
 *            |bordered|      interior       |bord.  |
 *   bottom'  +--------+---------------------+-------+
 *            |               bordered               |
 *        i1  +--------------------------------------+
 *
 * Interior: the method reads the user's array as it is. Bordered: a tile and its halo are gathered into scratch with the
 * boundary applied and the same method reads that, so the cost is that of the perimeter and no kernel knows of boundaries. Left and
 * right, where few outputs lie side by side, the tile is turned if the method can: its rows are columns of x, and vectors run
 * down them.
 * An array that cannot be read where it is (columns not adjacent or not aligned, another element type, a column stride)
 * is gathered tile by tile throughout. Likewise out: tiles go through scratch only where it cannot be written. No image is
 * ever copied as a whole.
 *
 * Where boxes and tiles end decides no bits: each output is the same sum in any of them.
 */
#include "corr/call.h"

/* ---- sizes ------------------------------------------------------------------------------------- */

/* Outputs of a tile: with its halo, and that of the separable method, it stays in L2. None is much narrower than the others. */
static void boxes_size_tile(call *c)
{
    const fc_axis *axis = c->g->axis;
    ptrdiff_t deep = axis[DEPTH].k > 1 ? CORR_DEEP : 1, tall = max(CORR_TALL, c->tile_out[ROWS]), *out = c->tile_out;
    out[DEPTH] = min(deep, axis[DEPTH].out);
    out[ROWS] = clamp(tall / axis[ROWS].stride, 1, axis[ROWS].out);
    ptrdiff_t wide = min(CORR_AREA / out[DEPTH] / out[ROWS], CORR_WIDEST), least = out[COLS] > 0 ? out[COLS] : CORR_WIDE;
    const ptrdiff_t most = clamp(max(wide, least) / axis[COLS].stride, 1, axis[COLS].out),
                    tiles = parts_of(axis[COLS].out, most);
    out[COLS] = min(most, round_up(parts_of(axis[COLS].out, tiles), CORR_WIDE));
}

/* Whether strips at the left and right edges, `cols` outputs across, are turned: that takes enough rows for a block of vectors,
 * and fewer vectors than rows would; and in a narrow image, less time than to gather all of it */
static int boxes_turns(const call *c, ptrdiff_t rows, ptrdiff_t cols)
{
    const fc_axis *axis = c->g->axis;
    const ptrdiff_t lanes = c->x.lanes, vectors = parts_of(rows, lanes);
    if (c->turned_taps == 0 || !c->x_adjacent || axis[ROWS].stride > 1 || is_empty(&c->inner) || cols == 0)
        return 0;
    return vectors >= c->fc->block[2].vectors && times(cols, vectors) <= times(rows, parts_of(cols, lanes)) &&
           (axis[COLS].out > CORR_NARROW ||
            STRIP_TAP * c->turned_taps * (double)cols / (double)lanes <= STRIP_ROW + (double)(axis[COLS].out * c->size));
}

static void boxes_lay_strips(call *c)
{
    const fc_axis *axis = c->g->axis;
    const ptrdiff_t rows = min(axis[ROWS].out, CORR_STRIP);
    const ptrdiff_t cols = max(c->inner.from[COLS], axis[COLS].out - c->inner.to[COLS]);
    if (!boxes_turns(c, rows, cols))
        return;
    c->strip_out[DEPTH] = c->tile_out[DEPTH], c->strip_out[ROWS] = rows, c->strip_out[COLS] = cols;
    c->strip.row = odd_lines(reach(&axis[ROWS], rows), c->size);
    c->strip.plane = times(c->strip.row, plus(reach(&axis[COLS], cols), 2 * c->x.lanes));
}

void fc_lay_boxes(call *c)
{
    const fc_axis *axis = c->g->axis;
    c->is_tiled |= !c->x_adjacent;
    for (int a = 0; a < FC_AXES; a++) {
        inside(axis[a].n - reach(&axis[a], 1) + 1, axis[a].stride, -axis[a].lead, axis[a].out, &c->inner.from[a],
               &c->inner.to[a]);
        c->is_tiled |= c->inner.to[a] - c->inner.from[a] < axis[a].out;
    }
    if (c->method->as_stored) { /* kernels that take vectors of outputs, not some lanes, without detours */
        const ptrdiff_t lanes = c->fc->vector_bytes, n = axis[COLS].out; /* two vectors */
        ptrdiff_t *from = &c->inner.from[COLS], *to = &c->inner.to[COLS];
        *from = *from > 0 ? max(*from, min(lanes, n)) : 0;
        *to = max(*from, *to < n ? min(*to, n - lanes) : n);
    }
    c->user = (rows_of){.plane = axis[DEPTH].x_step / c->x.size, .row = axis[ROWS].x_step / c->x.size};
    if (!c->is_tiled && c->out_adjacent)
        return;
    if (c->tile_out[DEPTH] == 0)
        boxes_size_tile(c);
    c->out_row = c->more > 0 ? odd_lines(plus(c->tile_out[COLS], c->more), c->made_size) : c->tile_out[COLS];
    ptrdiff_t cols = reach(&axis[COLS], c->tile_out[COLS]), phases = min(axis[COLS].stride, cols);
    c->tile.phase = whole_lines(times(parts_of(cols, phases), c->x.size)) / c->x.size;
    c->tile.row = odd_lines(c->tile.phase > 0 ? times(phases, c->tile.phase) : cols, c->x.size);
    c->tile.plane = times(c->tile.row, reach(&axis[ROWS], c->tile_out[ROWS]));
    boxes_lay_strips(c);
}

void fc_boxes_parts(const call *c, fc_room *r, scratch *s)
{
    const fc_axis *axis = c->g->axis;
    if (c->is_tiled) {
        ptrdiff_t planes = reach(&axis[DEPTH], c->tile_out[DEPTH]), rows = plus(reach(&axis[ROWS], c->tile_out[ROWS]), c->more);
        s->tile = fc_part(r, "tile", times(times(planes, rows), c->tile.row), c->x.size);
        fc_gather_parts(&c->x, r, &s->gather, reach(&axis[COLS], c->tile_out[COLS]));
    }
    if (!c->out_adjacent) {
        s->out = fc_part(r, "out", times(c->results, times(c->tile_out[ROWS] + c->more, c->out_row)), c->made_size);
        /* whatever type results are stored as */
        s->stored = fc_part(r, "stored", max(c->tile_out[COLS], c->strip_out[ROWS]), sizeof(int64_t));
    }
    if (c->strip_out[COLS] > 0) {
        char *const strip = fc_part(r, "strip", times(reach(&axis[DEPTH], c->strip_out[DEPTH]), c->strip.plane), c->x.size);
        s->strip =
            strip ? strip + c->x.lanes * c->strip.row * c->x.size : NULL; /* behind what fc_gather_turned may overwrite */
        s->strip_sums = fc_part(r, "sums of a strip", times(c->results, strip_bytes(c)), 1);
    }
}

/* ---- outputs ----------------------------------------------------------------------------------- */

/* n adjacent results to `to`, `step` bytes apart, converted if out has another type, and divided */
static void boxes_store(const job *j, char *to, ptrdiff_t step, char *result, ptrdiff_t n)
{
    const call *c = j->c;
    const ptrdiff_t size = fc_stored_size(c->g->out_type);
    char *row = result;
    if (c->op->narrow && (c->g->out_type != c->made || (c->divisor != 1 && !c->method->as_stored))) {
        row = step == size || n == 1 ? to : j->s.stored;
        if (c->op->narrow(row, c->g->out_type, result, n, c->divisor, c->g->rounding) && j->s.doubtful)
            __atomic_store_n(j->s.doubtful, 1, __ATOMIC_RELAXED);
    } else if (c->g->out_type != c->made) {
        row = j->s.stored;
        c->fc->op[FC_I64]->widen(row, c->g->type, result, n);
    }
    if (row != to)
        fc_copy_row(to, step, row, size, n, size);
}

/* All of a patch, or of one that is turned, by parts if it has so many taps that the call could not be given up in time */
static void boxes_sum(const job *j, const patch *p, int turned)
{
    const call *c = j->c;
    const fc_axis *axis = c->g->axis;
    void (*const compute)(const call *, const scratch *, const patch *) = turned ? c->method->turned : c->method->compute;
    const double taps = (double)axis[DEPTH].k * (double)axis[ROWS].k * (double)axis[COLS].k;
    const int how = c->g->method,
              by_taps = !c->method->as_stored && (how == FC_DIRECT || how == FC_IM2COL || how == FC_ORDERED || how == FC_FFT);
    const ptrdiff_t rows = turned ? p->cols : p->rows, cols = turned ? p->rows : p->cols;
    if (!by_taps || (double)rows * (double)cols * taps <= CORR_AT_ONCE) {
        compute(c, &j->s, p);
        return;
    }
    const ptrdiff_t row = turned ? p->r->row : axis[ROWS].stride * p->r->row;
    ptrdiff_t tall = 8, wide = max((ptrdiff_t)(CORR_AT_ONCE / taps) / min(8, rows), CORR_WIDE / 2);
    if (taps > CORR_MANY) {
        /* vectors: as few as that takes; of taps that are one row, a block of K3 if that is no more, or one */
        const ptrdiff_t few = clamp((ptrdiff_t)(CORR_VECTORS / taps) / (c->g->type <= FC_F64 ? 1 : 2), 2, 16);
        const ptrdiff_t block = c->fc->block[2].vectors, fits = few >= block && cols >= block * c->x.lanes;
        const int is_row = turned || c->direct.taps.h == 1;
        tall = is_row ? 1 : min(rows, few / 2);
        wide = (is_row ? fits ? block : 1 : few / tall) * c->x.lanes;
    }
    for (ptrdiff_t i = 0; i < rows; i += tall)
        for (ptrdiff_t k = 0; k < cols; k += wide) {
            patch part = *p;
            const ptrdiff_t n = min(tall, rows - i), m = min(wide, cols - k);
            part.src += (i * row + k) * c->x.size, part.out += (i * p->out_row + k) * c->made_size;
            part.row += turned ? k : i, part.col += turned ? i : k;
            part.rows = turned ? m : n, part.cols = turned ? n : m;
            compute(c, &j->s, &part);
            if (fc_gives_up())
                return;
        }
}

void fc_boxes_place(const job *j, ptrdiff_t z, patch *p)
{
    const call *c = j->c;
    p->out = c->out_adjacent ? out_at(j, z, p->row, p->col) : j->s.out;
    p->out_row = c->out_adjacent ? c->g->axis[ROWS].out_step / c->made_size : c->out_row;
    p->out_result = c->out_adjacent ? c->g->result_step : (c->tile_out[ROWS] + c->more) * c->out_row * c->made_size;
}

void fc_boxes_store(const job *j, ptrdiff_t z, const patch *p)
{
    const call *c = j->c;
    for (ptrdiff_t r = 0; r < c->results && !c->out_adjacent; r++)
        for (ptrdiff_t i = 0; i < p->rows; i++)
            boxes_store(j, out_at(j, z, p->row + i, p->col) + r * c->g->result_step, c->g->axis[COLS].out_step,
                        p->out + r * p->out_result + i * p->out_row * c->made_size, p->cols);
}

/* A patch of depth z: to out, or by way of scratch */
static void boxes_compute(const job *j, ptrdiff_t z, patch *p)
{
    fc_boxes_place(j, z, p);
    boxes_sum(j, p, 0);
    fc_boxes_store(j, z, p);
}

/* Likewise of a turned tile: rows of its sums are columns of out */
static void boxes_compute_turned(const job *j, ptrdiff_t z, patch *p)
{
    const call *c = j->c;
    const ptrdiff_t step = c->g->axis[ROWS].out_step;
    p->out = j->s.strip_sums, p->out_row = c->strip.row, p->out_result = strip_bytes(c);
    boxes_sum(j, p, 1);
    for (ptrdiff_t r = 0; r < c->results; r++) {
        char *const from = p->out + r * p->out_result;
        const ptrdiff_t result = r * c->g->result_step;
        if (c->out_adjacent)
            fc_copy_turned(out_at(j, z, p->row, p->col) + result, step, from, p->out_row * c->size, p->cols, p->rows, c->size);
        for (ptrdiff_t i = 0; i < p->cols && !c->out_adjacent; i++)
            boxes_store(j, out_at(j, z, p->row, p->col + i) + result, step, from + i * p->out_row * c->size, p->rows);
    }
}

void fc_boxes_compute(const job *j, const box *b, int how)
{
    const call *c = j->c;
    const fc_axis *axis = c->g->axis;
    ptrdiff_t at[FC_AXES], n[FC_AXES], most[FC_AXES], tiles = 0;
    if (is_empty(b))
        return;
    for (int a = 0; a < FC_AXES; a++)
        most[a] = how == TURNED                         ? c->strip_out[a]
                  : how == GATHERED || !c->out_adjacent ? c->tile_out[a]
                                                        : b->to[a] - b->from[a];
    for (at[DEPTH] = b->from[DEPTH]; at[DEPTH] < b->to[DEPTH]; at[DEPTH] += most[DEPTH])
        for (at[ROWS] = b->from[ROWS]; at[ROWS] < b->to[ROWS]; at[ROWS] += most[ROWS])
            for (at[COLS] = b->from[COLS]; at[COLS] < b->to[COLS]; at[COLS] += most[COLS]) {
                if (tiles++ > 0 && fc_gives_up()) /* which reads a clock */
                    return;
                for (int a = 0; a < FC_AXES; a++)
                    n[a] = min(most[a], b->to[a] - at[a]);
                patch p = {.r = &c->user, .row = at[ROWS], .col = at[COLS], .rows = n[ROWS], .cols = n[COLS]};
                if (how == GATHERED) {
                    fc_gather(&c->x, &j->s.gather, j->s.tile, &c->tile, j->x, at, n);
                    p.r = &c->tile, p.src = j->s.tile;
                } else if (how == TURNED) {
                    fc_gather_turned(&c->x, j->s.strip, &c->strip, j->x, at, n);
                    p.r = &c->strip, p.src = j->s.strip;
                } else {
                    p.src = x_at(j, at);
                }
                for (ptrdiff_t z = 0; z < n[DEPTH]; z++, p.src += axis[DEPTH].stride * p.r->plane * c->x.size)
                    (how == TURNED ? boxes_compute_turned : boxes_compute)(j, at[DEPTH] + z, &p);
            }
}

/* Number `index` of the shares of a plane, of whole pixels, which are as even as can be; no product of sizes can wrap */
box fc_share(const call *c, ptrdiff_t index)
{
    box b;
    unravel(index, c->plan.parts, b.from);
    for (int a = 0; a < FC_AXES; a++) {
        const ptrdiff_t unit = unit_of(&c->g->axis[a]), n = c->g->axis[a].out / unit, parts = c->plan.parts[a], i = b.from[a],
                        each = parts == 1 ? n : n / parts, rest = n - each * parts;
        b.from[a] = (i * each + min(i, rest)) * unit;
        b.to[a] = b.from[a] + (each + (i < rest)) * unit;
    }
    return b;
}

void fc_boxes(const job *j, ptrdiff_t index)
{
    const call *c = j->c;
    box whole = fc_share(c, index), inner;
    for (int a = 0; a < FC_AXES; a++) {
        inner.from[a] = clamp(c->inner.from[a], whole.from[a], whole.to[a]);
        inner.to[a] = clamp(c->inner.to[a], inner.from[a], whole.to[a]);
    }
    int peeled = inner.from[COLS] > whole.from[COLS] || inner.to[COLS] < whole.to[COLS];
    if (!c->x_adjacent || is_empty(&inner) ||
        (peeled && c->strip_out[COLS] == 0 &&
         whole.to[COLS] - whole.from[COLS] <= (c->method->as_stored ? BYTES_NARROW : CORR_NARROW))) {
        fc_boxes_compute(j, &whole, GATHERED);
        return;
    }
    for (int a = 0; a < FC_AXES; a++) { /* peel off what lies before and behind the interior */
        box before = whole, behind = whole;
        before.to[a] = whole.from[a] = inner.from[a];
        behind.from[a] = whole.to[a] = inner.to[a];
        const int how = a == COLS && c->strip_out[COLS] > 0 ? TURNED : GATHERED;
        fc_boxes_compute(j, &before, how);
        fc_boxes_compute(j, &behind, how);
    }
    fc_boxes_compute(j, &inner, IN_PLACE);
}
