# SPDX-License-Identifier: BSD-3-Clause
"""The faults of `mutants.py`: a file, a line of it that is there once, what it becomes, and which tests would know.

Tests are files without `test_`; "c" is the checks of the C core. A line that is changed for good changes here, too
(`test_mutants.py` looks). What another fault of its kind already shows need not be here.
"""

from __future__ import annotations

from mutants_core import CORR, MATCH, MEMORY, POOL, STRIDES, faults

LAYERS = [
    *faults(
        "csrc/layers/tile.c",
        ("the second block of channels starts anew", "m.add = first + tap > 0;", "m.add = tap > 0;", "nn"),
        ("parts of sums are clamped", "d->adds) && first + channels == l->channels", "d->adds)", "nn c"),
        (
            "elements without taps lose the bias",
            "double value = m->bias ? element_at(g->type, m->bias, i) : 0;",
            "double value = 0;",
            "transposed gradients",
        ),
        (
            "tails of runs are whole vectors",
            "min(l->lanes, r.length - r.dots - j), l->lanes);",
            "l->lanes, l->lanes);",
            "nn memory",
        ),
    ),
    *faults(
        "csrc/layers/products.c",
        (
            "bands look at clamped sums",
            "!d.apart && d.bands == 1 && /* which look at sums */",
            "!d.apart && /* which look at sums */",
            "nn",
        ),
    ),
    *faults(
        "csrc/layers/bands.c",
        (
            "a band begins at the first tap",
            "rows->tap_first += before * rows->tap_step;",
            "rows->tap_first += 0 * before;",
            "nn c",
        ),
    ),
    *faults(
        "csrc/layers/phases.c",
        ("a gradient does not flip", ".tap_step = back ? -1 : 1,", ".tap_step = back ? 1 : 1,", "gradients"),
        (
            "wrong phase",
            "return modulo(t * a->dilation - a->lead, step); }",
            "return modulo(t * a->dilation + a->lead, step); }",
            "gradients transposed",
        ),
        (
            "odd and even columns are swapped",
            "if (p->axis[COLS].first == 0)",
            "if (p->axis[COLS].first != 0)",
            "transposed gradients",
        ),
    ),
    *faults(
        "csrc/layers/winograd_block.c",
        ("Winograd loses its bias", "sums.bias = winograd_bias(l, first + k);", "sums.bias = 0;", "winograd c"),
        (
            "Winograd spreads NaN",
            "atomic_store_explicit(&d->doubtful[image], 1",
            "atomic_store_explicit(&d->doubtful[image], 0",
            "winograd c",
        ),
        ("Winograd forgets channels", "m.add = c > from;", "m.add = 0;", "winograd"),
        (
            "Winograd's last row of tiles",
            "min(rows, height - row * m); i++",
            "min(rows, height - row * m - 1); i++",
            "winograd c",
        ),
    ),
    *faults(
        "csrc/layers/transforms.c",
        ("tiles are not rolled", "d->roll[i] = holds ? a->lead : 0;", "d->roll[i] = 0;", "layer_transforms"),
        (
            "transforms spread NaN",
            "if (atomic_load_explicit(&d.doubtful[i], memory_order_relaxed)) {",
            "if (0) {",
            "layer_transforms",
        ),
    ),
    *faults(
        "csrc/layers/zones.c",
        (
            "a zone begins at the first tap",
            "z->first * a->stride + z->tap * a->dilation;",
            "z->first * a->stride;",
            "nn c",
        ),
        (
            "zones hide NaN",
            "    if (!l->g->halves)\n        return l->op->finite(l->g->w, n);",
            "    if (!l->g->halves)\n        return 1;",
            "nn",
        ),
    ),
    *faults(
        "csrc/layers/lanes.c",
        ("depthwise layers lose the bias", "k.bias = last ? b->bias : NULL;", "k.bias = NULL;", "nn c"),
        ("parts of depthwise sums start anew", "            k.add = 1;\n", "", "nn c"),
    ),
    *faults(
        "csrc/layers/slides.c",
        ("every part adds the bias", "part.start = first ? start : 0;", "part.start = start;", "nn c"),
    ),
    *faults(
        "csrc/layers/points.c",
        ("channels last lose the bias", "g->bias ? g->bias + s->first * l->size : NULL};", "NULL};", "nn"),
        ("channels last start anew", "m->add = c > 0;", "m->add = 0;", "nn"),
    ),
    *faults(
        "csrc/layers/single.c",
        ("lone outputs lose the bias", ".bias = g->bias ? g->bias + first * size : NULL,", ".bias = NULL,", "nn dense"),
    ),
    *faults(
        "csrc/layers/weight.c",
        (
            "a weight gradient sees one image",
            "b->dy = g->dy + image * g->dy_image",
            "b->dy = g->dy + 0 * image",
            "gradients c",
        ),
        ("parts of a weight gradient start anew", "row += d->part, m.add = 1)", "row += d->part)", "gradients c"),
    ),
    *faults(
        "csrc/layers/winograd_weight.c",
        (
            "a weight gradient spreads NaN",
            "if (weight_deliver(d, &b))",
            "if (weight_deliver(d, &b) && 0)",
            "winograd gradients not_finite",
        ),
    ),
    *faults(
        "csrc/layers/activate.c",
        (
            "the last share is whole",
            "f.cols = min(SHARE, d->n - index * SHARE);",
            "f.cols = SHARE;",
            "activations memory",
        ),
    ),
    *faults(
        "csrc/layers/fold.c",
        (
            "columns end with what was there",
            "memset(to + end * wide, 0, (size_t)((rows->out - end) * wide));",
            "memset(to + end * wide, 0, 0);",
            "folding c",
        ),
        (
            "a row of columns is not added",
            "for (ptrdiff_t i = rows->from; i < rows->end; i++) {",
            "for (ptrdiff_t i = rows->from; i < rows->end - 1; i++) {",
            "folding c",
        ),
    ),
    *faults(
        "csrc/layers/pooling_parts.c",
        ("rows that see less are alike", "|| y->count < a->k)\n        return 1;", ")\n        return 1;", "pooling"),
        ("pieces lose NaN", "*x > r || *x != *x ? *x : r;", "*x > r ? *x : r;", "pooling"),
        (
            "means count what lies beyond",
            "const ptrdiff_t all = inside_x ? cols->k",
            "const ptrdiff_t all = 1 ? cols->k",
            "pooling",
        ),
    ),
    *faults(
        "csrc/layers/pooling.c",
        (
            "a plane's frame has a row too many",
            "k.rows = min(down->n, d->rows_met - down->lead);",
            "k.rows = down->n + 1;",
            "pooling memory",
        ),
    ),
    *faults(
        "csrc/layers/pooling_back.c",
        (
            "an index beyond a plane is taken",
            "if ((uint64_t)index[i] >= all)",
            "if ((uint64_t)index[i] > all)",
            "pooling",
        ),
    ),
    *faults(
        "csrc/layers/pooling_find.c",
        ("indices of a part begin at the row", "k.cols, by);", "k.cols, 0);", "pooling"),
    ),
    *faults(
        "csrc/layers/pooling.h",
        (
            "parts of a row are found in the first",
            "part.x = (const char *)k->x + j * k->step",
            "part.x = (const char *)k->x + 0 * k->step",
            "pooling",
        ),
        ("rows of a part are the first", "+ i * k->xs * d->size;", "+ 0 * k->xs * d->size;", "pooling"),
    ),
    *faults(
        "csrc/layers/pooling_means.c",
        (
            "a lone output is not divided",
            "repeat(d, to, x.rows * x.cols, dy, p.by);",
            "repeat(d, to, x.rows * x.cols, dy, NULL);",
            "pooling",
        ),
    ),
]

KERNELS = [
    *faults(
        "csrc/kernels/vec.h",
        (
            "a tail writes one lane more",
            "for (ptrdiff_t i = 0; i < n; i++)\n        p[i] = lane[i];",
            "for (ptrdiff_t i = 0; i <= n; i++)\n        p[i] = lane[i];",
            "memory c",
        ),
        (
            "a tail lacks a lane",
            "for (ptrdiff_t i = 0; i < n; i++)\n        lane[i] = p[i];",
            "for (ptrdiff_t i = 1; i < n; i++)\n        lane[i] = p[i];",
            "c corr2d",
        ),
    ),
    *faults(
        "csrc/kernels/gemm_tmpl.h",
        ("products lose the bias", "VT first = vsplat(bias[m]);", "VT first = vzero();", "nn c"),
        ("products keep -0", "acc[m][v] += vzero(); /*", "acc[m][v] += 0 * acc[m][v]; /*", "nn c"),
    ),
    *faults(
        "csrc/kernels/dot_tmpl.h",
        ("inner products lose a part", "value[i] += sum[i];", "value[i] = sum[i];", "nn c"),
    ),
    *faults(
        "csrc/kernels/corr_tmpl.h",
        ("the last block overlaps too little", "j = cols - width;", "j = cols - width + 1;", "corr2d memory c"),
        ("last vectors overlap too little", "? j : cols - apiece,", "? j : cols - apiece + 1,", "corr2d memory c"),
    ),
    *faults(
        "csrc/kernels/corr_rolling_tmpl.h",
        ("the last outputs meet the wrong tap row", "H + (q) - 2,", "H + (q) - 3,", "corr2d c"),
        ("the last band overlaps too little", "? i : rows - band;", "? i : rows - band + 1;", "corr2d memory c"),
        isa="avx512",
    ),
    *faults(
        "csrc/kernels/corr_rows_tmpl.h",
        ("a column is met twice", "FC_COLUMN(2)", "FC_COLUMN(1)", "corr2d c"),
        ("a tap is taken for a kept one", "if (at < FC_KEPT)", "if (at < FC_KEPT + 1)", "corr2d c"),
        (
            "columns are made of the wrong one",
            "s[v] = vnext(base[v], base[v + 1], 2);",
            "s[v] = vnext(base[v], base[v + 1], 1);",
            "corr2d c",
        ),
        isa="avx512",
    ),
    *faults(
        "csrc/kernels/box_tmpl.h",
        ("a window lacks a row", "taken < past + t; taken++)", "taken < past + t - 1; taken++)", "ndimage c"),
        ("tails are those of the last block", "vstore(coming + back, tail);", "vstore(tails + back, tail);", "box c"),
        ("heads of pixels are those of neighbours", "vload(heads + t), sum", "vload(heads + t + VLEN), sum", "box c"),
    ),
    *faults(
        "csrc/kernels/finish_tmpl.h",
        (
            "nothing is added in tails",
            "v += left < VLEN ? vloadn(add + j, left) : vload(add + j);",
            "v += left < VLEN ? vzero() : vload(add + j);",
            "nn c",
        ),
    ),
    *faults(
        "csrc/kernels/narrow_tmpl.h",
        ("a sum half beyond is taken", "highest[i] < high + (T)0.5);", "highest[i] <= high + (T)0.5);", "c dtypes"),
        ("NaN fits into bytes", "unfit |= nan[i] != 0 || !(", "unfit |= !(", "dtypes c"),
    ),
    *faults(
        "csrc/kernels/pooling_tmpl.h",
        (
            "the first tap counts as 0",
            "m[v] = vsplat(sums ? (T)0 : (T)-__builtin_inf());",
            "m[v] = vzero();",
            "pooling",
        ),
    ),
]

CYTHON = [
    *faults(
        "fastconv/plans.pxi",
        (
            "the larger array is not looked for",
            "cnp.PyArray_SIZE(<cnp.ndarray> x) < cnp.PyArray_SIZE(<cnp.ndarray> k)",
            "False",
            "signal plans_layers plans",
        ),
        (
            "calls that checked are taken from plans",
            "(checking is None or not checking()) and look(",
            "look(",
            "plans runtime",
        ),
    ),
    *faults(
        "fastconv/plans_places.pxi",
        ("what is kept is not bounded", "    if kept > fc_most_kept():", "    if False:", "plans caches"),
    ),
    *faults(
        "fastconv/plans_words.pxi",
        ("strides are not asked for", "        if role != TAPS:\n", "        if role == OUT:\n", "plans bits"),
        (
            "byte order is not asked for",
            "put(s, ~cnp.PyArray_TYPE(a) if cnp.PyArray_ISBYTESWAPPED(a) else cnp.PyArray_TYPE(a))",
            "put(s, cnp.PyArray_TYPE(a))",
            "plans",
        ),
        ("the end of taps is not hashed", "memcpy(&word, data + i, size - i)", "word = 0", "plans"),
    ),
    *faults(
        "fastconv/plans_correlation.pxi",
        ("out may be x", "    return low[0] < high[1] and low[1] < high[0]", "    return False", "plans memory"),
        (
            "large integers fit",
            "    return -most <= low and high <= most",
            "    return high <= most",
            "plans whole_sums",
        ),
        (
            "x begins where the array does",
            "self.run(<const char *> cnp.PyArray_DATA(x) + self.first,",
            "self.run(<const char *> cnp.PyArray_DATA(x),",
            "plans",
        ),
        ("taps that are not finite are taken", "elif self.finite and not", "elif False and not", "plans not_finite"),
        (
            "no memory is not told",
            '            raise MemoryError("no memory for the scratch tiles of a correlation")',
            "            return 0",
            "memory",
        ),
    ),
    *faults(
        "fastconv/plans_layers.pxi",
        (
            "layers forget what is added",
            "            g.add = <ptrdiff_t> read[3] - <ptrdiff_t> out\n",
            "            g.add = 0\n",
            "nn plans_layers",
        ),
        (
            "images have the stride of channels",
            "    cdef int start(self, const char **read, char *out, int threads) noexcept nogil:\n"
            "        cdef fc_conv g = self.g\n        g.x, g.dy, g.out, g.threads = read[0], read[1], out, threads\n",
            "    cdef int start(self, const char **read, char *out, int threads) noexcept nogil:\n"
            "        cdef fc_conv g = self.g\n        g.dy_image = g.dy_channel\n"
            "        g.x, g.dy, g.out, g.threads = read[0], read[1], out, threads\n",
            "gradients",
        ),
        (
            "indices that are none pass",
            '        if status > 0:\n            raise ValueError("indices',
            '        if status > 9:\n            raise ValueError("indices',
            "pooling",
        ),
    ),
    *faults(
        "fastconv/_core.pyx",
        ("pixels forget their lead", "a.lead * unit, a.start * unit", "a.lead, a.start * unit", "ranks corr2d"),
        (
            "batches are one too few",
            "    if rank == 1 and batches > 0 and g.method != FC_FFT:",
            "    if rank == 1 and batches > 0:",
            "fft ranks",
        ),
    ),
]

PYTHON = [
    *faults(
        "fastconv/nn/bfloat16.py",
        ("float32 is asked for in vain", "            return known\n", "            return own\n", "bfloat16"),
        (
            "bfloat16 is made anew beside out",
            "return delivered(result, dtype, to)",
            "return delivered(result, dtype, None)",
            "bfloat16",
        ),
    ),
]

FAULTS = [*POOL, *MEMORY, *STRIDES, *CORR, *LAYERS, *MATCH, *KERNELS, *CYTHON, *PYTHON]
