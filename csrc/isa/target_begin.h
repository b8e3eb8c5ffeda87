/* SPDX-License-Identifier: BSD-3-Clause
 * From here to target_end.h every function is compiled for FC_TARGET. (A pragma and not a compiler flag
 * per file: a plain setuptools Extension has one set of flags.) Include <immintrin.h> before this. */
#define FC_PRAGMA2(p) _Pragma(#p)
#define FC_PRAGMA(p) FC_PRAGMA2(p)
#ifdef __clang__
FC_PRAGMA(clang attribute push(__attribute__((target(FC_TARGET))), apply_to = function))
#else
#pragma GCC push_options
FC_PRAGMA(GCC target(FC_TARGET))
#endif
