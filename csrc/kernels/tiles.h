/* SPDX-License-Identifier: BSD-3-Clause
 *
 * How large the tiles of the micro-kernels are, by the number of vector registers. No result depends on it.
 *
 *   K3       blocks of FC_TALL, FC_LOW or 1 rows, of FC_WIDE(rows) vectors; of floats whose columns adjoin, FC_DENSE_WIDE(rows);
 *            kernels of one column and FC_LOW_FROM rows or more take FC_LOW;
 *            signals of FC_FOLD_FROM vectors of taps and more are folded;
 *            kernels of FC_SMALL rows and columns have blocks of their own (behind them: rows), without loops, where
 *            FC_KEPT taps stay in registers. AVX2 gains nothing from more of them;
 *            where columns are made from others, kernels of FC_ROLLED rows, of so many vectors, and FC_ROLLED_FROM columns have blocks of
 *            as many rows that roll down FC_BAND rows: no more streams of memory than a CPU follows by itself, if they come from far
 *   K1       M <= FC_ROWS rows, of FC_COLS_OF(M) vectors
 *   K4       products of FC_PRODUCT_ROWS rows x FC_PANEL_VECTORS, and as many sums of parts; of twice the rows x a vector
 *   K2       4 rows x FC_DOT_COLS
 *   lanes    FC_PIXELS outputs of a row; of gradients, FC_TAP_ROWS rows of taps
 *   ordered  FC_ORDERED vectors
 *   norms    FC_NORMS vectors of a row
 */
#if FC_HAS & FC_32_REGISTERS /* 24 accumulators, 4 vectors of the row and the tap */
#define FC_ROWS 8
#define FC_COLS_OF(H) ((H) <= 2 ? 8 : (H) <= 5 ? 5 : (H) <= 6 ? 4 : 3)
#define FC_PRODUCT_ROWS 4
#define FC_DOT_COLS 4
#define FC_PIXELS 14
#define FC_TAP_ROWS 3
#define FC_ORDERED 8
#define FC_NORMS 8
#define FC_TALL 8
#define FC_LOW 4
#define FC_LOW_FROM 9
#define FC_WIDE(R) ((R) == 8 ? 2 : (R) == 4 ? 4 : 8)
#define FC_DENSE_WIDE(R) (FC_HAS & FC_MASK_REGISTERS && (R) == 8 ? 3 : FC_WIDE(R)) /* 24, 6 of the row and the tap */
#define FC_KEPT 12 /* beside 16 accumulators, 2 vectors of the row and a tap */
#define FC_SMALL(X) X(3, 3, 8) X(5, 5, 8)
#define FC_BAND(far) ((far) ? 16 : 64)
#define FC_ROLLED(X) X(6, 3) X(7, 3) X(8, 3) X(9, 2)
#define FC_ROLLED_MOST 9
#define FC_ROLLED_FROM 4
#else /* 12 accumulators, 3 vectors of the row and the tap; 8 where the row is alone, and four taps */
#define FC_ROWS 4
#define FC_COLS_OF(H) ((H) <= 1 ? 6 : (H) <= 2 ? 4 : (H) <= 4 ? 3 : 2)
#define FC_PRODUCT_ROWS 2
#define FC_DOT_COLS 2
#define FC_PIXELS 10
#define FC_TAP_ROWS 2
#define FC_ORDERED 4
#define FC_NORMS 4
#define FC_TALL 4
#define FC_LOW 2
#define FC_LOW_FROM (1 << 30) /* never: its blocks are slower */
#define FC_WIDE(R) ((R) == 4 ? 3 : (R) == 2 ? 4 : 8)
#define FC_DENSE_WIDE(R) FC_WIDE(R)
#define FC_KEPT 1
#if FC_HAS & FC_FMA
#define FC_SMALL(X) X(3, 3, 4)
#else
#define FC_SMALL(X)
#endif
#endif
/* Where columns of a row are made from others, loads bind less; where a product is two instructions, they never do (x86: Zen 4) */
#define FC_FOLD_FROM (FC_HAS & (FC_MASK_REGISTERS | FC_MASKED_MEMORY) ? 6 : FC_HAS & FC_FMA ? 2 : 1 << 30)
#define FC_COLS_MAX FC_COLS_OF(1)

/* FC_UP_TO(n, X) is X(1) X(2) ... X(n), and with arguments behind X, X(1, them) ... */
#define FC_UP_TO(n, ...) FC_WITH(FC_UP_TO, n)(__VA_ARGS__)
#define FC_UP_TO_2(X, ...) X(1, ##__VA_ARGS__) X(2, ##__VA_ARGS__)
#define FC_UP_TO_3(X, ...) FC_UP_TO_2(X, ##__VA_ARGS__) X(3, ##__VA_ARGS__)
#define FC_UP_TO_4(X, ...) FC_UP_TO_3(X, ##__VA_ARGS__) X(4, ##__VA_ARGS__)
#define FC_UP_TO_5(X, ...) FC_UP_TO_4(X, ##__VA_ARGS__) X(5, ##__VA_ARGS__)
#define FC_UP_TO_6(X, ...) FC_UP_TO_5(X, ##__VA_ARGS__) X(6, ##__VA_ARGS__)
#define FC_UP_TO_7(X, ...) FC_UP_TO_6(X, ##__VA_ARGS__) X(7, ##__VA_ARGS__)
#define FC_UP_TO_8(X, ...) FC_UP_TO_7(X, ##__VA_ARGS__) X(8, ##__VA_ARGS__)
#define FC_UP_TO_10(X) FC_UP_TO_8(X) X(9) X(10)
#define FC_UP_TO_14(X) FC_UP_TO_10(X) X(11) X(12) X(13) X(14)
#define FC_HALVES(X) X(8) X(4) X(2) X(1)
