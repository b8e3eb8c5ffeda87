/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The arithmetic limit of one core: 12 independent chains of fma, enough to cover any fma latency x
 * throughput (4 x 2 on current x86), nothing loaded or stored. bench/ measures with it.
 */

static double NAME(peak)(ptrdiff_t rounds)
{
    enum { CHAINS = 12 };
    VT acc[CHAINS], a = vsplat((T)0.5), b = vsplat((T)1);
    EACH(i, CHAINS)
        acc[i] = vsplat((T)i);
    for (ptrdiff_t r = 0; r < rounds; r++) {
        EACH(i, CHAINS)
            acc[i] = vfma(acc[i], a, b);
        __asm__ volatile("" : "+r"(r)); /* the loop may not be folded away */
    }
#pragma GCC unroll 16
    for (int i = 1; i < CHAINS; i++)
        acc[0] = vfma(acc[i], a, acc[0]);
    T sink[VLEN];
    vstore(sink, acc[0]);
    __asm__ volatile("" : : "r"(sink) : "memory");
    return 2.0 * CHAINS * VLEN * (double)rounds;
}
