/* SPDX-License-Identifier: BSD-3-Clause */
#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
