# SPDX-License-Identifier: BSD-3-Clause
"""Faults of `mutants.py` in what everything stands on: the pool, memory, strides; and in correlations and scores.

The others, and what the columns are, are in `mutants_table.py`.
"""

from __future__ import annotations

from typing import NamedTuple


class Fault(NamedTuple):
    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...] = ()
    isa: str = ""  # the instruction set that alone has the line; else the least one is asked


def faults(file: str, *rows: tuple[str, str, str, str], isa: str = "") -> list[Fault]:
    """Of one file: (name, old, new, tests)"""
    return [Fault(name, file, old, new, tuple(tests.split()), isa) for name, old, new, tests in rows]


POOL = [
    *faults(
        "csrc/common/pool.c",
        ("a worker's slot is counted twice", "int slot = ++pool.slot;", "int slot = pool.slot += 2;", "c pool"),
        ("all workers have one slot", "int slot = ++pool.slot;", "int slot = 1;", "c pool"),
        ("one worker too many", "pool.tickets = threads - 1;", "pool.tickets = threads;", "c pool"),
        (
            "tickets are not withdrawn",
            "    pool.tickets = 0;\n    fc_lock_release(&pool.lock);\n    pool_spin",
            "    fc_lock_release(&pool.lock);\n    pool_spin",
            "c pool bits",
        ),
        ("nobody waits for the workers", "while (j.joined > 0)", "while (0)", "c pool"),
        ("the last chunk is lost", "< j->chunks;)", "< j->chunks - 1;)", "c"),
        ("a chunk beyond the last", "< j->chunks;)", "<= j->chunks;)", "c"),
        (
            "the pool stays busy",
            "    fc_lock_release(&pool.lock);\n    atomic_flag_clear(&pool.busy);\n",
            "    fc_lock_release(&pool.lock);\n",
            "pool",
        ),
        ("no handler of forks", "handles_forks = fc_after_fork(pool_forget);", "handles_forks = 1;", "pool bits"),
        ("the handler of forks resets nothing", "    memset(&pool, 0, sizeof pool);\n", "    return;\n", "pool bits"),
        (
            "the handler of forks keeps the workers",
            "    memset(&pool, 0, sizeof pool);\n",
            "    pool.tickets = 0;\n",
            "pool bits",
        ),
        ("a fork amid a call loses chunks", "    if (atomic_load(&forks) != before) {", "    if (0) {", "pool"),
        (
            "a job does not hear that it is given up",
            "        if (j->chunks > 1 && fc_gives_up())\n            break;\n",
            "",
            "interrupts",
        ),
        (
            "what is given up goes on with the next job",
            "    if (fc_here.gave_up)\n        return;\n",
            "",
            "c",  # alone: the results of what is given up are anything, so that nothing tells in Python
        ),
    ),
    *faults(
        "csrc/common/giving_up.c",
        (
            "all calls are given up after one",
            "    fc_here.gave_up = 0, fc_here.next = 0;",
            "    fc_here.next = 0;",
            "interrupts",
        ),
        ("nobody is asked", "    if (now < fc_here.next)", "    if (1)", "interrupts"),
        ("a handler that calls is taken for the call", "    fc_here = (fc_call_state){0};\n", "", "interrupts"),
    ),
    *faults(
        "csrc/common/platform.c",
        ("workers take signals", "sigfillset(&all);", "sigemptyset(&all);", "pool"),
        ("the caller's signals stay blocked", "    pthread_sigmask(SIG_SETMASK, &before, NULL);\n", "", "pool"),
        ("workers share the caller's CPU", "    CPU_CLR((size_t)cpu, &allowed);\n", "", "pool"),
    ),
]

MEMORY = [
    *faults(
        "csrc/common/alloc.c",
        ("blocks end too soon", "(bytes + LINE) / LINE * LINE", "bytes / LINE * LINE", "c"),
        (
            "sizes of blocks wrap",
            "__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX - LINE",
            "(bytes = count * size, 0)",
            "c sizes",
        ),
    ),
    *faults(
        "csrc/common/kept.c",
        ("what is kept has no bound", "    shelf_clear(s, i, s->most);\n", "", "results"),
        ("blocks of other sizes do not make room", "peak > used ? peak - used : 0", "s->most", "results"),
        (
            "blocks that give way are lost",
            "fc_free(shelf_exchange(s, i, block));",
            "shelf_exchange(s, i, block);",
            "results",
        ),
    ),
    *faults(
        "csrc/common/room.h",
        ("parts overlap", "(bytes + LINE - 1) / LINE * LINE;", "bytes / LINE * LINE;", "c"),
        (
            "products of sizes wrap",
            "return __builtin_mul_overflow(a, b, &product) ? PTRDIFF_MAX : product;",
            "return __builtin_mul_overflow(a, b, &product) ? product : product;",
            "c sizes",
        ),
    ),
]

STRIDES = [
    *faults(
        "csrc/common/strides.c",
        ("reflect repeats the edge", "i < n ? i : 2 * (n - 1) - i;", "i < n ? i : 2 * n - 1 - i;", "c boundaries"),
        ("symmetric is off by one", "i < n ? i : 2 * n - 1 - i;", "i < n ? i : 2 * n - 2 - i;", "c boundaries"),
        ("the far edge is off by one", "return i < 0 ? 0 : n - 1;", "return i < 0 ? 0 : n - 2;", "c boundaries"),
        ("a tail is not turned", "from_step, many - i, size);", "from_step, many - i - 1, size);", "corr2d edges"),
    ),
    *faults(
        "csrc/common/strides.h",
        (
            "the last element inside is lost",
            "(n - 1 - first) / step) + 1, *from, count)",
            "(n - 1 - first) / step), *from, count)",
            "c corr2d",
        ),
    ),
]

CORR = [
    *faults(
        "csrc/corr/corr.c",
        (
            "a batch has the strides of x",
            "j.out += plane % g->batch[b].n * g->batch[b].out_step;",
            "j.out += plane % g->batch[b].n * g->batch[b].x_step;",
            "corr2d",
        ),
        (
            "scratch for one thread",
            "fc_alloc((size_t)c->plan.threads, (size_t)c->thread_bytes)",
            "fc_alloc(1, (size_t)c->thread_bytes)",
            "c bits",
        ),
        ("a failed allocation is not told", "return failed ? -1 : 0;", "return 0 * failed;", "memory"),
    ),
    *faults(
        "csrc/corr/boxes.c",
        (
            "the interior is one row too large",
            "inner.to[a] = clamp(c->inner.to[a], inner.from[a], whole.to[a]);",
            "inner.to[a] = clamp(c->inner.to[a] + 1, inner.from[a], whole.to[a]);",
            "corr2d",
        ),
        ("a share lacks a row", "(each + (i < rest)) * unit;", "each * unit;", "c bits"),
        (
            "the stride in depth is lost",
            "p.src += axis[DEPTH].stride * p.r->plane * c->x.size)",
            "p.src += p.r->plane * c->x.size)",
            "ranks c",
        ),
        (
            "the second result lies on the first",
            "+ r * c->g->result_step, c->g->axis[COLS].out_step,",
            "+ 0 * c->g->result_step, c->g->axis[COLS].out_step,",
            "picture_gradients c",
        ),
        (
            "a sum that does not fit is not told",
            "c->g->rounding) && j->s.doubtful)",
            "c->g->rounding) && 0)",
            "dtypes whole_sums",
        ),
    ),
    *faults(
        "csrc/corr/gather.c",
        (
            "the fill value lacks its last",
            "x->fill, 0, n - end, x->size);",
            "x->fill, 0, n - end - 1, x->size);",
            "corr2d",
        ),
        ("planes before the first are read", "if (from_z < 0 || from_i < 0)", "if (from_i < 0)", "ranks c"),
        ("pixels before the first", "i / u : -((-i + u - 1) / u);", "i / u : -(-i / u);", "ranks corr2d"),
        ("pieces of a long row are the first", "first += GATHER_AT_ONCE;", "first += 0;", "boundaries"),
    ),
    *faults(
        "csrc/corr/direct.c",
        (
            "the last tap row is whole",
            "taps->full = (all - (taps->h - 1) * together) * each;",
            "taps->full = together * each;",
            "c ranks",
        ),
        ("a strip forgets the dilation", "at[t] = a * axis[ROWS].dilation + z", "at[t] = a + z", "bits c"),
        (
            "rows of a dilation are lost",
            "images * p->out_row, parts_of(p->rows - i, images), p->cols);",
            "images * p->out_row, p->rows / images, p->cols);",
            "ranks c",
        ),
        ("zero taps change the order", "listed += w != 0;", "listed += 1;", "ndimage"),
    ),
    *faults(
        "csrc/corr/separable.c",
        (
            "columns forget the dilation",
            "t % axis[COLS].k * axis[COLS].dilation;",
            "t % axis[COLS].k;",
            "separable c",
        ),
        (
            "every term has the first one's rows",
            ".k = c->g->factor[ROWS] + t * axis[ROWS].k * c->size,",
            ".k = c->g->factor[ROWS],",
            "separable c",
        ),
        (
            "a block lacks its halo",
            "broad = reach(&axis[COLS], cols);",
            "broad = reach(&axis[COLS], cols) - 1;",
            "separable c",
        ),
    ),
    *faults(
        "csrc/corr/steps.c",
        ("phases of sums are one", "pixel % stride * c->separable.phase +", "0 +", "separable c"),
        ("a long row lacks its last tap", "q < k; q += columns)", "q < k - 1; q += columns)", "separable c"),
        ("rows forget the stride", "c->g->axis[ROWS].stride * row, &down", "row, &down", "separable c"),
        ("terms have the first one's phases", "row = t * c->separable.rows + i;", "row = i;", "separable c"),
        ("a tap is a pixel on, not its channels", "pixel / stride * unit;", "pixel / stride;", "separable"),
        (
            "a column beyond x is the first one there",
            "column < 0 ? -1 : there, q);",
            "column < 0 ? -1 : low, q);",
            "separable c",
        ),
        (
            "columns of other strips are fill values",
            "steps_down(j, z, p->row, p->rows, column, 1, q);",
            "steps_copy(j, p->rows, -1, q);",
            "separable c",
        ),
        ("depth has one tap", "d < deep->k; d++", "d < 1; d++", "separable c"),
    ),
    *faults(
        "csrc/corr/byte_steps.c",
        ("phases of bytes are one", "pixel % stride * c->separable.phase +", "0 +", "separable c"),
        ("columns beyond x are zeros", "column < 0 ? fill : x[column * step];", "0;", "separable c"),
        ("rows of sums forget the stride", "i * down->stride * row * c->size", "i * row * c->size", "separable c"),
        (
            "the last pixel is left out",
            "for (; from < end; from += step, to += unit)",
            "for (; from + 1 < end; from += step, to += unit)",
            "separable c",
        ),
    ),
    *faults(
        "csrc/kernels/split_tmpl.h",
        (
            "pixels lose their last channel",
            "unit < n - j ? unit : n - j",
            "unit < n - j ? unit - 1 : n - j",
            "c separable",
        ),
    ),
    *faults(
        "csrc/corr/separable.c",
        (
            "what lies beyond an edge is the first column",
            "s->sums + wide * line);",
            "s->sums);",
            "separable",
        ),
        ("channels of the last pixel are lost", "cols * FC_TURN - whole * row", "FC_TURN", "separable c"),
        (
            "strips begin before their first column",
            "(k - across->lead + low) * c->size",
            "(k - across->lead) * c->size",
            "separable",
        ),
        ("the last band is the one before", "min(n, rows - FC_TURN), k", "min(n, rows - 2 * FC_TURN), k", "separable"),
        isa="avx512",
    ),
    *faults(
        "csrc/corr/direct.c",
        ("a fold lacks its end", "if (cols > rows * fold)", "if (cols > rows * fold + 1)", "ranks c"),
        isa="avx512",
    ),
    *faults(
        "csrc/corr/overlap.c",
        ("a window begins elsewhere", "* t->out[a] - axis->start;", "* t->out[a];", "fft bits c"),
        ("NaN spreads over a pair", "if (!finite)", "if (0)", "fft c"),
        (
            "the second tile is the first",
            "overlap_share(g, grid, 2 * pair + 1)}",
            "overlap_share(g, grid, 2 * pair)}",
            "fft c",
        ),
    ),
    *faults(
        "csrc/corr/fft_roots.c",
        ("roots of one are conjugated", "*im = lower ? up :", "*im = !lower ? up :", "c fft"),
    ),
    *faults(
        "csrc/corr/box.c",
        ("blocks begin at the window", "past = (rows->start + p->row) % rows->k", "past = p->row % rows->k", "box c"),
        ("sums go on behind a block", "resets |= 1u << (first - i - 1);", "resets |= 0u << (first - i - 1);", "box c"),
        ("what is not finite is not told", "if (s->doubtful && !finite)", "if (s->doubtful && 0)", "box c"),
    ),
    *faults(
        "csrc/corr/lines.c",
        ("the first pass is not divided", "wide, divisor != 0 ? divisor : 1);", "wide, 1);", "ndimage c"),
        ("the second term is the first", "lines_term(c, s, 1, &other);", "lines_term(c, s, 0, &other);", "ndimage c"),
    ),
    *faults(
        "csrc/corr/each.c",
        ("shares overlap", "share * size + min(share, rest)", "share * size", "own_kernels c"),
        (
            "all elements have one kernel",
            "t->g.k += at * e->axis[a].k_step",
            "t->g.k += 0 * e->axis[a].k_step",
            "own_kernels c",
        ),
    ),
    *faults(
        "csrc/corr/threes.c",
        (
            "taps of bytes are one row too low",
            "t.row[a] = s->rows[i + a * images];",
            "t.row[a] = s->rows[i + a];",
            "whole_sums pixels",
        ),
    ),
]

MATCH = [
    *faults(
        "csrc/match/scores.c",
        ("no score is in doubt", "if (e <= f->doubt * two + f->floor && !mark[j])", "if (0)", "feature c"),
        (
            "scores leave -1 ... 1",
            "{ return v < low ? low : v > 1 ? 1 : v; }",
            "{ return v < low ? low : v; }",
            "feature c",
        ),
    ),
    *faults(
        "csrc/match/match.c",
        (
            "a template's sums see what is missing",
            "fc_match_gather(&t, t.centre, t.scale, NAN);",
            "fc_match_gather(&t, t.centre, t.scale, 0);",
            "feature c",
        ),
        (
            "a tile is one row short",
            "t.rows = t.count[ROWS] + g->k[ROWS] - 1,",
            "t.rows = t.count[ROWS] + g->k[ROWS] - 2,",
            "feature c",
        ),
    ),
]
