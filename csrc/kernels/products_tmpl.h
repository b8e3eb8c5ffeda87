/* SPDX-License-Identifier: BSD-3-Clause
 *
 * K4, the products between the transforms of Winograd's convolution (winograd_tmpl.h): kernels, the rows, by tiles. Parts of a sum are
 * summed in registers, too.
 *
 *      M rows x V vectors of tiles      a row's value to all lanes, times vectors of tiles
 *      VLEN rows x N tiles              a tile's value to all lanes, times a vector of rows, where the last vector would hold few tiles
 *
 * Either way each sum is made of the same products in the same order.
 */

FC_INLINE void NAME(products_tile)(const int M, const int V, const fc_winograd_products *g, const T *a, const T *b, T *c)
{
    const ptrdiff_t as = g->as, bs = g->bs, cs = g->cs, part = g->part;
    const int quads = (M + FC_QUAD - 1) / FC_QUAD, add = g->add;
    const T *ahead = a + quads * as;
    VT sum[2 * FC_PRODUCT_ROWS][FC_PANEL_VECTORS];
    EACH(m, M)
        EACH(v, V)
            sum[m][v] = vzero();
    for (ptrdiff_t left = g->depth; left > 0; left -= part) {
        const T *stop = a + (left > part ? part : left) * FC_QUAD;
        VT acc[2 * FC_PRODUCT_ROWS][FC_PANEL_VECTORS];
        EACH(q, quads)
            EACH(i, 8)
                __builtin_prefetch((const char *)(ahead + q * as) + 64 * i, 0, 3);
        ahead += FC_QUAD * part;
        EACH(m, M)
            EACH(v, V)
                acc[m][v] = vzero();
        for (; a < stop; a += FC_QUAD, b += bs) {
            VT s[FC_PANEL_VECTORS];
            EACH(v, V) {
                s[v] = vload(b + v * VLEN);
                vpin(s[v]);
            }
            EACH(m, M) {
                const VT w = vsplat(a[m / FC_QUAD * as + m % FC_QUAD]);
                EACH(v, V)
                    vfma_to(acc[m][v], w, s[v]);
            }
        }
        EACH(m, M)
            EACH(v, V)
                sum[m][v] += acc[m][v];
    }
    EACH(m, M)
        EACH(v, V) {
            T *to = c + m * cs + v * VLEN;
            if (add)
                sum[m][v] += vload(to);
            vstore(to, sum[m][v]);
        }
}

#define FC_PRODUCTS_OF(M)                                                                                                \
    static void NAME(products_##M)(const fc_winograd_products *g, int vectors, const T *a, const T *b, T *c)             \
    {                                                                                                                    \
        if (vectors == 3)                                                                                                \
            NAME(products_tile)(M, 3, g, a, b, c);                                                                       \
        else if (vectors == 2)                                                                                           \
            NAME(products_tile)(M, 2, g, a, b, c);                                                                       \
        else                                                                                                             \
            NAME(products_tile)(M, 1, g, a, b, c);                                                                       \
    }
FC_UP_TO(FC_PRODUCT_ROWS, FC_PRODUCTS_OF)
#undef FC_PRODUCTS_OF

/* One vector, and twice as many rows: fewer sums would wait for one another */
static void NAME(products_alone)(const fc_winograd_products *g, const T *a, const T *b, T *c)
{
    NAME(products_tile)(2 * FC_PRODUCT_ROWS, 1, g, a, b, c);
}

static void NAME(products_rows)(const fc_winograd_products *g, int vectors, ptrdiff_t row, const T *b, T *c)
{
    static void (*const of[])(const fc_winograd_products *, int, const T *, const T *, T *) = {NULL,
#define ROW(M) NAME(products_##M),
                                                                                               FC_UP_TO(FC_PRODUCT_ROWS, ROW)
#undef ROW
    };
    const T *a = g->a;
    for (; vectors == 1 && row + 2 * FC_PRODUCT_ROWS <= g->rows; row += 2 * FC_PRODUCT_ROWS)
        NAME(products_alone)(g, a + row / FC_QUAD * g->as, b, c + row * g->cs);
    for (ptrdiff_t M; row < g->rows; row += M) {
        M = g->rows - row < FC_PRODUCT_ROWS ? g->rows - row : FC_PRODUCT_ROWS;
        of[M](g, vectors, a + row / FC_QUAD * g->as + row % FC_QUAD, b, c + row * g->cs);
    }
}

static void NAME(few_stored)(const fc_winograd_products *g, T *c, const VT *sum, int tiles)
{
    const T *lane = (const T *)sum;
    for (int n = 0; n < tiles; n++, c++)
        for (ptrdiff_t l = 0; l < VLEN; l++, lane++)
            c[l * g->cs] = g->add ? c[l * g->cs] + *lane : *lane;
}

FC_INLINE void NAME(products_few)(const int N, const fc_winograd_products *g, const T *a, const T *b, T *c)
{
    const ptrdiff_t as = g->as, bs = g->bs, part = g->part;
    VT sum[8];
    EACH(n, N)
        sum[n] = vzero();
    for (ptrdiff_t left = g->depth; left > 0; left -= part) {
        const T *stop = a + (left > part ? part : left) * FC_QUAD;
        VT acc[8];
        EACH(n, N)
            acc[n] = vzero();
        for (; a < stop; a += FC_QUAD, b += bs) {
            VT w = vpieces(a, as);
            vpin(w);
            EACH(n, N)
                vfma_to(acc[n], vsplat(b[n]), w);
        }
        EACH(n, N)
            sum[n] += acc[n];
    }
    NAME(few_stored)(g, c, sum, N);
}

static void NAME(winograd_products)(const fc_winograd_products *g)
{
    const ptrdiff_t rest = g->tiles % VLEN, few = rest <= VLEN / 2 ? rest : 0, whole = g->tiles - few;
    const T *a = g->a, *b = (const T *)g->b + whole;
    T *c = (T *)g->c + whole;
    if (whole)
        NAME(products_rows)(g, (int)((whole + VLEN - 1) / VLEN), 0, g->b, g->c);
    if (few == 0)
        return;
    ptrdiff_t row = 0;
    for (; row + VLEN <= g->rows; row += VLEN, a += VLEN / FC_QUAD * g->as, c += VLEN * g->cs) {
#define FEW(N)                                                                                                           \
    if (N <= VLEN / 2 && few == N)                                                                                       \
        NAME(products_few)(N, g, a, b, c);
        FC_UP_TO(8, FEW)
#undef FEW
    }
    NAME(products_rows)(g, 1, row, b, (T *)g->c + whole);
}
