/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What transforms.c plans and transforms_tiles.c computes: layers by transforms, a tile at a time.
 */
#ifndef FASTCONV_TRANSFORMS_H
#define FASTCONV_TRANSFORMS_H

#include "corr/gather.h"
#include "layers/layer.h"
#include <stdatomic.h>

typedef struct {
    const layer *l;
    fc_axis seen[FC_AXES]; /* what tiles see of x: the layer's axes; of an axis that one tile holds, the elements themselves */
    source x;
    rows_of tile;
    ptrdiff_t n[FC_AXES], out[FC_AXES], count[FC_AXES]; /* points, outputs, and tiles */
    ptrdiff_t roll[FC_AXES];                            /* taps that lie before the first element */
    double us;           /* estimate, of a plane and of making its kernels ready; of a group, if it has */
    fc_fft *fft;         /* several channels */
    const char *spectra; /* of kernels; NULL: each is made when it is needed */
    ptrdiff_t spectrum;  /* bytes of one */
    ptrdiff_t kernels, chunks, shares;
    int threads;
    atomic_char *doubtful; /* planes, each of all depths */
    ptrdiff_t thread_bytes;
    char *scratch;
} transforms;

/* One thread's */
typedef struct {
    gather_room gather;
    char *tile, *bias, *spectrum, *transforms; /* spectrum: of a kernel, or of the tiles of all channels */
} tiles;

/* transforms_tiles.c. The spectrum of one kernel and channel; tile: scratch, of a whole tile */
FC_API void fc_transforms_learn_one(const transforms *d, const char *w, char *tile, char *scratch, char *spectrum);
/* The scratch of a thread; and one chunk: with one channel, index counts (kernel, share of the tiles it meets); with
 * several, (group, plane, tile, share of the kernels) */
FC_API void fc_transforms_lay_parts(const transforms *d, fc_room *r, tiles *s);
FC_API void fc_transforms_chunk(void *context, ptrdiff_t index, int slot);

#endif
