/* SPDX-License-Identifier: BSD-3-Clause
 * Every micro-kernel of one type, and its row of the table: all.h includes this with FC_TYPE defined: f32, f64, i32, i64 or i16. */
#include "kernels/vec.h"
#ifndef FC_INTEGER
#include "kernels/half_tmpl.h"
#endif
#include "kernels/corr_tmpl.h"
#include "kernels/widen_tmpl.h"
#if FC_SIZE == 2
#include "kernels/across_tmpl.h"
#else
#include "kernels/transpose_tmpl.h"
#include "kernels/box_tmpl.h"
#endif
#if defined FC_INTEGER && FC_SIZE <= 4
#include "kernels/quotient_tmpl.h"
#include "kernels/windows_tmpl.h"
#if FC_SIZE == 2
#include "kernels/threes_tmpl.h"
#endif
#endif
#ifndef FC_INTEGER
#include "kernels/gemm_tmpl.h"
#include "kernels/dot_tmpl.h"
#include "kernels/pack_tmpl.h"
#include "kernels/lanes_tmpl.h"
#include "kernels/planes_tmpl.h"
#include "kernels/finish_tmpl.h"
#include "kernels/split_tmpl.h"
#include "kernels/pooling_tmpl.h"
#include "kernels/fft_tmpl.h"
#include "kernels/match_tmpl.h"
#include "kernels/norms_tmpl.h"
#include "kernels/passes_tmpl.h"
#include "kernels/ordered_tmpl.h"
#include "kernels/narrow_tmpl.h"
#include "kernels/missing_tmpl.h"
#include "kernels/peak_tmpl.h"
#endif
#if FC_SIZE == 4 && !defined FC_INTEGER
#include "kernels/winograd_tmpl.h"
#include "kernels/winograd_weight_tmpl.h"
#include "kernels/products_tmpl.h"
#include "kernels/put_tmpl.h"
#include "kernels/pixels_tmpl.h"
#include "kernels/weave_tmpl.h"
#include "kernels/bytes_tmpl.h"
#endif

#define FC_ENTRY(kernel) .kernel = NAME(kernel),
#if FC_SIZE == 2
static const fc_ops NAME(ops) = {FC_OPS(FC_ENTRY) FC_SHORT_OPS(FC_ENTRY) FC_WINDOW_OPS(FC_ENTRY) FC_ENTRY(narrow)};
#elif defined FC_INTEGER && FC_SIZE == 4
static const fc_ops NAME(ops) = {FC_OPS(FC_ENTRY) FC_WINDOW_OPS(FC_ENTRY) FC_WIDE_OPS(FC_ENTRY)};
#elif defined FC_INTEGER
static const fc_ops NAME(ops) = {FC_OPS(FC_ENTRY) FC_WIDE_OPS(FC_ENTRY)};
#elif FC_SIZE == 4
static const fc_ops NAME(ops) = {FC_OPS(FC_ENTRY) FC_WIDE_OPS(FC_ENTRY) FC_FLOAT_OPS(FC_ENTRY) FC_SINGLE_OPS(FC_ENTRY)};
#else
static const fc_ops NAME(ops) = {FC_OPS(FC_ENTRY) FC_WIDE_OPS(FC_ENTRY) FC_FLOAT_OPS(FC_ENTRY) FC_DOUBLE_OPS(FC_ENTRY)};
#endif
#undef FC_ENTRY
#undef vhalf
#undef vhalfm
#undef vhalfn
#undef FC_EITHER
#undef vhalve
#undef vhalvem
#undef vhalven
#undef vputbytes
#undef vputwords
#undef FC_TYPE
