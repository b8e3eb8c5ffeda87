/* SPDX-License-Identifier: BSD-3-Clause
 *
 * The table of costs: every number that was fitted to how fast some machine is, or how large its caches are. fastconv/costs.py has
 * those of Python. A number that follows from the code itself (squares that are transposed, errors of sums) stands there.
 *
 *      python bench/crossovers.py NAME ...      times what NAME stands for, with the number halved, as it is, and doubled
 *
 * Each group says which CPU it was fitted on: "Zen 4" is an AMD EPYC with 1 MB of L2 a core and 32 MB of L3; "unknown" is not
 * recorded.
 */
#ifndef FASTCONV_COSTS_H
#define FASTCONV_COSTS_H

/* Estimated time on one thread, in us: multiply-adds, given by the bytes of their elements, and what is moved */
typedef struct { double fma, moved; /* in a us: vectors of multiply-adds; bytes or elements moved */ } fc_rate;
static inline double fc_time_us(fc_rate rate, double fma_bytes, int vector_bytes, double moved)
{
    return fma_bytes / rate.fma / vector_bytes + moved / rate.moved;
}

/* clang-format off */

/* ==== numbers that decide bits =====================================================================
 *
 * They choose methods, tiles and parts of sums, so they are the same on every machine: never read from it. Changing one is a
 * change of results. */

/* ---- direct or transforms (corr.c, overlap.c): CPU unknown */
static const fc_rate RATE_DIRECT = {7e3, 3e4};   /* floats: two fma a cycle at 3.5 GHz; bytes, from and to memory */
static const fc_rate RATE_INTEGERS = {2e3, 3e4}; /* integers: no fma, and multiplied in several steps */
static const double BOX_FMA = 24;                /* fma: of an output of running sums, whatever the size of the box */
static const double GATHER_ROW_US = 0.015, GATHER_BYTE_US = 2e-5; /* us: a row, and a byte, of a tile that looks beyond x */

/* ---- tiles of transforms (fft_sizes.c): fitted to AVX-512, 16x16 to 512x512 and 256 to 262144 points, within 10 %; AVX2 takes 0.85
 * of it; CPU unknown */
static const double FFT_NS = 11;         /* ns: a complex vector of a tile in cache, */
static const double FFT_DOUBLING_NS = 0.4; /* more for each doubling of an axis that is transformed, */
static const double FFT_FLAT_NS = 3;     /* if it is a row that is taken as rows and columns, */
static const double FFT_DEEP_NS = 1;     /* if it has planes, */
static const double FFT_LONG_NS = 2;     /* and if a strip and its spectrum do not fit into L1: */
enum { FFT_LONG = 256 };                 /* columns, from which on they do not */
static const double FFT_L2_NS[3] = {2, 4, 8}; /* ns: beyond so many bytes of blocks, spectrum and twist: */
static const double FFT_L2_BYTES[3] = {1 << 19, 1 << 20, 1 << 22};
enum { FFT_CALL_NS = 20 };               /* ns: a tile */
/* us: a byte of a tile's points, beyond so many bytes of x and y: these come from L3, or from memory (Intel Xeon) */
static const double FFT_FAR_US[2] = {8e-5, 2.6e-4}, FFT_FAR_BYTES[2] = {1 << 23, 1 << 25};

/* ---- folded tiles (fft_sizes.c): Zen 4. How many times as long as such a tile one takes; us: a row that is gathered */
static const double FOLDED_TIMES = 1.8, FOLDED_ROW_US = 0.04;

/* ---- template matching (match.c): CPU unknown */
enum {
    MATCH_ROWS = 96, MATCH_COLS = 512, /* outputs of a tile, where windows are correlated directly; */
    MATCH_FFT_COLS = 512,              /* by transforms, as many of them as give so many columns (Zen 4); MATCH_ROWS likewise */
    MATCH_FFT_PLAN = 1,                /* tiles: what a plan costs (Zen 4) */
    MATCH_BYTES = 1 << 24,             /* of a tile of x, at most */
    MATCH_LONG = 4096, /* taps, from which on sums of a tile are made some rows at a time: they may be given up */
    MATCH_FFT_TAPS = 144, MATCH_FFT_SIDE = 4, /* taps, and rows and columns of them, from which on transforms may pay */
};
static const fc_rate RATE_MATCH = {6e4, 1}; /* taps that are multiplied directly, of any type; beside transforms by AVX-512 */

/* ---- layers of products (blocks.c, products.c): CPU unknown */
enum {
    PRODUCTS_PART = 128,          /* taps summed in one go, but for rounding to whole channels */
    PRODUCTS_PACKED = 320 << 10,  /* bytes of a packed block, which shares L2 with rows of weights */
    PRODUCTS_PIXELS = 1024,       /* outputs of a block and phase, at most; */
    PRODUCTS_REGION = 1 << 16,    /* of all phases */
    PRODUCTS_FEW_PARTS = 2,       /* parts packed in one go, where blocks can be chosen; */
    PRODUCTS_MOST_PARTS = 16,     /* where there is room left */
    PRODUCTS_DOT_ROWS = 16,       /* rows of weights, at least, for inner products */
    PRODUCTS_WEIGHTS = 8,         /* bytes of weights in a cycle, read once for every block */
};
/* ---- zones of padding (zones.c): Zen 4 */
enum { ZONES_CALL = 20000, ZONES_COPY = 12 }; /* products of vectors: what a zone costs more, and a vector of results; */
static const double ZONES_READ = 0.5;         /* vectors: reading the weights once more; */
static const double ZONES_MOST = 0.97;        /* what zones take, of the whole, where they are worth it */

/* In cycles: packing a vector, by the stride of columns, and a row; a product of two vectors, and what is saved where all loads are
 * aligned; a panel of one vector or two keeps the fma units waiting; an inner product, and gathering for it. Blocks that are not
 * even leave threads idle at the end. */
static const double CYCLES_PACK[6] = {0, 8, 9, 30, 11, 30}, CYCLES_PACK_ROW = 3;
static const double CYCLES_FMA = 0.6, CYCLES_ALIGNED = 0.02, VECTORS_IDLE[3] = {0, 0.7, 0.3}, VECTORS_DOT = 0.16, CYCLES_GATHER = 2;
static const double UNEVEN = 1.02;

/* ---- Winograd's convolution (winograd.c): Zen 4; 3 to 512 channels and kernels, 4x4 to 56x56 outputs */
enum {
    WINOGRAD_PART = 32, WINOGRAD_DEPTH = 128, /* channels summed in one go; these sums, in registers */
    WINOGRAD_LANES = 16, WINOGRAD_FEW = 4,    /* tiles that share a product; a part of them that few take beside theirs. In such
                                                 products: */
    WINOGRAD_CALL = 1000,                     /* an image and group take more than in products.c; */
    WINOGRAD_VALUE = 18,                      /* a value of all channels and kernels; */
    WINOGRAD_PACK = 5,                        /* packing a tap of a channel there; */
    WINOGRAD_LEARN = 12,                      /* a value of so many channels of a kernel, */
    WINOGRAD_LEARN_PARTS = 30,                /* if the kernel has parts along both axes (both: Intel Xeon with AMX), */
    WINOGRAD_LEARN_LINE = 8,                  /* and of one of a single line besides, */
    WINOGRAD_AT_ONCE = 192,                   /* of so many tiles, and of more, */
    WINOGRAD_LEARN_NEAR = 20,                 /* which have them all in memory that is */
    WINOGRAD_LEARN_FAR = 120,                 /* or is not kept for the next call: */
    WINOGRAD_NEAR = 16 << 20,                 /* bytes */
    WINOGRAD_STEP = 1,                        /* an element that is read, or stored, away from its neighbours */
};
enum { WINOGRAD_WIDE = 1024 }; /* taps of float16 that are widened in one go */
enum { WINOGRAD_LARGEST = 7 << 19 }; /* bytes of the values of so many tiles, at most */
/* By pairs of points: values of a channel, and the products of a kernel, each of them; and a row of a channel */
static const double WINOGRAD_IN[3] = {0, 5.5, 5.5}, WINOGRAD_OUT[3] = {0, 8, 11}, WINOGRAD_ROW[3] = {30, 44, 70};

/* ---- large kernels by transforms (transforms.c): Zen 4. Taps below which they are not considered, and if errors may be larger; what
 * direct sums take */
enum { TRANSFORMS_TAPS = 100, TRANSFORMS_TAPS_FAST = 49 };
enum { TRANSFORMS_SPECTRA = 4 << 20 }; /* bytes of all kernels' spectra, where there are several channels, at most */
static const fc_rate RATE_TRANSFORMS = {3.5e3, 1}, RATE_TRANSFORMS_SUMS = {1.5e3, 1}; /* and products of spectra */

/* ---- one channel a group (taps.c, slides.c, lanes.c): CPU unknown; kernels a group with strides, and TAPS_MOST: Zen 4 */
enum {
    TAPS_MANY = 8,             /* kernels a group: of short rows, matrix products are then up to five times as fast, and with strides
                                  up to four times; */
    TAPS_MOST = 64,            /* of long rows without a stride */
    TAPS_LONG = 24, TAPS_LONGER = 8, /* outputs of a row, and more for each column of taps, beyond which lanes are slower */
    SLIDES_BLOCK = 20 << 10,   /* bytes of packed rows: half of L1, */
    SLIDES_MOST = 1 << 20,     /* or more, if rows between distant taps are packed, too */
    SLIDES_COLUMNS = 1024,     /* outputs of a block's row */
    LANES_BLOCK = 384 << 10,   /* bytes of pixels that a block sees, */
    LANES_LARGEST = 1 << 20,   /* where even a small block sees more */
    LANES_TAP_ROWS = 1 << 14,  /* rows of taps of a block's rows */
    LANES_NARROW = 14,         /* outputs of a block's rows, at least */
};

/* ---- exchanged roles (conv.c): Zen 4; 1 to 1024 channels, 1x1 to 8x8 outputs, batches of 1 and 8. In vectors of multiply-adds: */
enum {
    EXCHANGE_PHASE = 100, /* what beginning a phase takes, */
    EXCHANGE_PACK = 12,   /* packing a vector of weights, */
    EXCHANGE_CALL = 3000, /* a layer of its own for an image and group; */
    EXCHANGE_ALONE = 4,   /* a multiply-add where every kernel is read for one image alone */
};

/* ---- three layers in one pass (bottleneck.c): Intel Xeon. Inner channels summed in one go, a multiple of all vectors' lanes */
enum { BOTTLENECK_PART = 96, BOTTLENECK_LANES = 16 };

/* ---- weight gradients (weight.c): CPU unknown */
enum {
    WEIGHT_PART = 256,        /* outputs summed in one go, at most */
    WEIGHT_BLOCK = 192 << 10, /* bytes of a block's pixels */
    WEIGHT_PASS = 24 << 10,   /* of these, what a pass over a part with lanes of groups should see: half of L1 */
    WEIGHT_SUMS = 1 << 20,    /* bytes of a chunk's sums */
    WEIGHT_VECTORS = 8,       /* vectors of a chunk with one tap; */
    WEIGHT_TAP_VECTORS = 18,  /* with several, taps times vectors */
    WEIGHT_TURN = 16,         /* fma: turning a vector */
    WEIGHT_WIDE = 16,         /* strides beyond which the elements between outputs are left out */
};
/* ---- the same by Winograd's convolution (winograd_weight.c): Zen 4; 1 to 512 channels and kernels, 4x4 to 56x56 outputs */
enum {
    WEIGHT_TILES = 64,         /* tiles summed in one go, at most; */
    WEIGHT_PLANES = 32,        /* of several planes */
    WEIGHT_FEW = 128,          /* outputs: sums of fewer have smaller errors than the values of tiles */
    WEIGHT_CHANNELS = 96,      /* times depth taps, of a chunk, if these are few; */
    WEIGHT_DEEP = 32,          /* depth taps, at most: a vector of channels has all of them in scratch */
    WEIGHT_CHUNK = 512 << 10,  /* bytes of a chunk's sums, */
    WEIGHT_SEEN = 512 << 10,   /* and of values of a block's tiles */
    WEIGHT_LEAST = 16000,      /* products of vectors: of fewer it is not asked, */
    WEIGHT_CALL = 2000,        /* as a group takes more than in weight.c; */
    WEIGHT_DELIVER = 7,        /* there, a vector of taps */
};
/* A product in these; by pairs of points, a value of x or dy, and that of a vector of sums */
static const double WEIGHT_PRODUCT = 1.08, WEIGHT_VALUE[3] = {0, 3.5, 5}, WEIGHT_SUM[3] = {0, 10, 8};

/* ==== numbers that decide no bits ==================================================================
 *
 * They cut work for threads and caches; a machine may well be asked for better ones. */

/* ---- blocks of tiles (winograd.c): Zen 4. Bytes of the values of a block, and so many tiles, at most; bytes of products */
enum { WINOGRAD_VALUES = 2 << 20, WINOGRAD_TILES = 144, WINOGRAD_PRODUCTS = 384 << 10 };
/* Values of kernels are made for so many blocks again, of so many bytes */
enum { WINOGRAD_AGAIN = 4, WINOGRAD_SOME = 768 << 10 };

/* ---- bands (bottleneck.c): Intel Xeon. Bytes of the inner channels of a band, at most */
enum { BOTTLENECK_BLOCK = 704 << 10 };

/* ---- planes where they lie (planes.c): Zen 4. The part of lanes, at least, that rows of outputs use */
static const double PLANES_LEAST = 0.4;
/* And where float16 is finished: Intel Xeon with AMX. Elements of rows of sums; of a plane, at least */
enum { PLANES_SUMS = 2048, PLANES_FEW = 256 };

/* ---- planes that adjoin, and bands (products.c, bands.c): Zen 4. Products of vectors: what storing a row of outputs of a kernel
 * takes; and the rows of taps, of all, that bands may meet to be worth it */
enum { PRODUCTS_STORE = 8 };
static const double PRODUCTS_BANDS = 0.98;

/* ---- small planes of a batch (across.c): Intel Xeon with AMX. Planes, at least; outputs of a plane, and planes of a chunk, at most.
 * Products of vectors: what packing a tap of a channel takes there; turning a vector of weights; how much longer one takes where a chunk
 * has a single vector of kernels; what it may take, of the way of products.c */
enum { ACROSS_LEAST = 4, ACROSS_OUTPUTS = 256, ACROSS_PLANES = 32, ACROSS_PACK = 5 };
static const double ACROSS_TURN = 16, ACROSS_ALONE = 1.15, ACROSS_MOST = 0.97;

/* ---- planes of x that are packed, though they lie as if they were, for vectors of them cross lines (products.c): Intel Xeon (AVX-512,
 * AMX). Kernels that it takes to be worth it, and outputs of a block times kernels beyond these */
enum { PRODUCTS_CROSSED = 112, PRODUCTS_CROSSED_LEAST = 8192 };

/* ---- small numbers (dots.c): Xeon (AVX-512 VNNI). Cycles: a vector that is packed, a product of vectors, and one of those that are
 * alone in a panel, which last so long at least; bytes of a packed block, and of sums; columns, and outputs, of one */
static const double DOTS_PACK = 12, DOTS_PRODUCT = 0.6, DOTS_ALONE = 0.78, DOTS_LATENCY = 5.5;
enum { DOTS_PACKED = 768 << 10, DOTS_SUMS = 64 << 10, DOTS_COLS = 1024, DOTS_OUTPUTS = 4096 };
/* With a kernel for each channel (dots_lanes.c): Intel Xeon (AVX-512, AMX). Channels, at least; bytes of pixels, and columns of outputs, of a block, at most;
 * elements that are mixed at a time, which stay in L1 */
enum { DOTS_LANES_LEAST = 8, DOTS_LANES_PIXELS = 256 << 10, DOTS_LANES_COLS = 128, DOTS_LANES_MIXED = 80 };

/* ---- threads (pool.c, corr.c and all drivers): CPU unknown */
enum {
    FC_THREADS_FROM_US = 200, /* us: work that is worth a second thread; waking one takes 50 us and more on a virtual machine */
    KEEP_GIL_BELOW = 20000,   /* multiply-adds: fewer end sooner than Python's lock could be released and taken again */
    LISTEN_US = 50000,        /* us: until a call asks whether it is given up, and from then on: for 0.3 s after Ctrl-C */
    SPIN_US = 100,            /* us: that a worker looks out for the next job, and the caller for its last worker */
    CORR_CHUNK_US = 50,       /* us: a slab of planes is worth at least so much */
    LAYER_CHUNK_US = 20,      /* us: planes, or groups, of layers with one channel a group likewise */
};
static const fc_rate RATE_PRODUCTS = {3e3, 1e4}; /* elements: of x that are turned, where every group has a lane */
static const fc_rate RATE_LANES = {6e3, 1e4};    /* elements */
static const fc_rate RATE_SLIDES = {7e3, 3e4};   /* bytes */
static const fc_rate RATE_FOLDS = {1, 8e3};      /* bytes of columns; no multiply-adds */
static const fc_rate RATE_ACTIVATIONS = {1, 1e4}; /* bytes; likewise */
static const fc_rate RATE_POOLS = {1, 1.6e4};    /* bytes of x, and of rows that are met across; likewise (Zen 4) */

/* ---- bands and rows (corr.c, boxes.c, gather.c, separable.c, lines.c, fold.c): CPU unknown */
/* Turned strips, in bytes of a row that are gathered meanwhile: a tap of a vector, less what the row takes besides (Zen 4) */
static const double STRIP_TAP = 80, STRIP_ROW = 320;
enum {
    FC_BAND_ROWS = 256,          /* rows of outputs */
    FC_STREAM_FROM = 15 << 20,   /* bytes of a result that goes past the caches: half of an L3 of 32 MB, where a later reader finds none; */
    FC_STREAM_LEAST = 4 << 20, FC_STREAM_MOST = 64 << 20, /* half of the machine's own, if it tells, within these */
    CORR_COLS = 8192,            /* columns of a chunk; of a single row, 8 times that */
    CORR_AT_ONCE = 1 << 29,      /* multiply-adds of a patch: at most a quarter of a second, after which a call may be given up */
    CORR_MANY = 1 << 22,         /* taps, from which on vectors count instead: */
    CORR_PAGE = 1 << 12,         /* bytes from one tap of these to the next, multiples of which no cache likes */
    CORR_VECTORS = 1 << 27,      /* multiply-adds of vectors: 0.03 s, 0.1 s by SSE2; of integers, half as many */
    TAPS_AT_ONCE = 1 << 19,      /* taps that are laid out, likewise */
    GATHER_AT_ONCE = 1 << 22,    /* elements that are gathered, likewise */
    CORR_LEAST_ROWS = 32,        /* rows of a band that is made for threads */
    CORR_NARROW = 256,           /* outputs across: below, gathering all costs less than strips of the border alone, if these are not turned; */
    CORR_STRIP = 256,            /* rows of strips that are */
    CORR_AREA = 32768,           /* outputs of a gathered tile, which stays in L2 with its halo and that of the separable method; */
    CORR_TALL = 64, CORR_WIDE = 128, /* rows and columns of it, at least, */
    CORR_WIDEST = 8192,          /* and columns at most */
    LINES_TALL = 96,             /* rows of a tile whose rows are summed in blocks, about */
    CORR_DEEP = 4,               /* planes of it */
    GATHER_AHEAD = 2,            /* rows that are fetched before they are gathered */
    GATHER_NARROW = 32,          /* columns that are picked one by one, if most lie beyond x */
    GATHER_FEW = 4,              /* Zen 4. Columns that are turned element by element, rather than in squares */
    /* separable.c: Zen 4. Outputs of a block between whose passes sums stay in cache: rows and columns, at least; all; and bytes
     * of x that the rows look at, at most */
    SEPARABLE_ROWS = 8, SEPARABLE_COLS = 1024, SEPARABLE_AREA = 1 << 15, SEPARABLE_BYTES = 1 << 19,
    /* Intel Xeon (AVX-512). Taps, from which on sums are stored turned, and outputs of a row whose sums stay in L2 meanwhile */
    SEPARABLE_TURNED = 8, SEPARABLE_STRIP = 1024,
    /* steps.c: Intel Xeon (AVX-512). Rows and columns of outputs whose sums stay in cache; rows of x under them, about */
    STEPS_ROWS = 8, STEPS_COLS = 1024, STEPS_TALL = 32, STEPS_BYTES = 1 << 18,
    BYTE_STEPS_ROWS = 16, BYTE_STEPS_COLS = 1024, BYTE_STEPS_TALL = 64, /* byte_steps.c, likewise */
    /* corr.c: Zen 4. Bytes of a result from which rows of x are asked for ahead, of so many
     * tap rows or more, or of one (Intel Xeon, AVX-512); where results go past the caches, of any */
    CORR_AHEAD = 6 << 20, CORR_AHEAD_ROWS = 5,
    CORR_FAR = 1 << 20, SEPARABLE_AT_ONCE = 256, /* bytes of a result that L2 does not hold; outputs of a row of it, at least, to be made at once */
    /* bytes.c: Zen 4. Outputs of a block, rows and columns, and rows of it that stay in L1 from byte to byte; CORR_NARROW for it */
    BYTES_ROWS = 128, BYTES_COLS = 4096, BYTES_STEP = 8, BYTES_NARROW = 1024,
    /* threes.c: Zen 4. Rows of outputs that a vector walks down, of which two more are summed twice: at least, at most, and bytes of
     * them that stay in L1 */
    THREES_ROWS = 4, THREES_MOST = 32, THREES_BYTES = 32 << 10,
    /* box.c: Intel Xeon (AVX-512, AMX). Bytes of the tails of a block, in L2; columns of a strip, and heights of a box
     * in a band of rows, at least */
    BOX_TAILS = 256 << 10, BOX_COLS = 256, BOX_BAND = 4,
    COLUMNS_BLOCK = 2048,        /* columns.c: Zen 4. Outputs of a row whose sums so far stay in L1 */
    PRODUCTS_AHEAD = 4,          /* channels that are fetched before they are packed */
    LANES_STRIP = 96,            /* outputs turned back at a time, at least */
    FOLD_CHUNK = 1 << 16,        /* bytes written by a chunk, about */
    FOLD_BLOCK = 1 << 16,        /* elements of a row that are folded in one go */
    POOL_BLOCK = 16 << 10,       /* pooling.c: Zen 4. Bytes of rows between the passes of a block; */
    POOL_FIND = 32 << 10,        /* pooling_parts.c: likewise, if indices are found (Intel Xeon with AMX); */
    POOL_TURNED = 2,             /* vectors of a row of outputs: longer ones are not turned to pixels (Intel Xeon with AMX); */
    POOL_FRAME = 4 << 10,        /* of a plane that is copied amid what lies beyond; */
    POOL_CHUNK = 1 << 18,        /* of x that a chunk reads, about (Intel Xeon with AMX); */
    POOL_AT_ONCE = 1 << 25,      /* elements under taps, after which a call may be given up: less than 0.1 s; */
    POOL_PIXELS = 8,             /* taps of a whole window in one go, channels last; */
    POOL_NARROW = 16,            /* outputs of a row of uneven windows, whose gradients are summed one by one */
};

/* ---- memory kept for the next call (kept.c): Intel Xeon with AMX. Blocks, and bytes of all of them, at most; bytes beyond what was
 * in use at a time; and of a result that may be kept, and begins at a line, at least */
enum { KEPT_BLOCKS = 4, KEPT_SCRATCH = 32 << 20, KEPT_RESULTS = 64 << 20, KEPT_BEYOND = 2 << 20, KEPT_RESULT_LEAST = 1 << 16 };
/* A result may take a block that is larger by such a part of it: an eighth */
enum { KEPT_SPARE = 8 };
/* Bytes from which on memory begins at a huge page, and is asked to be in such */
enum { KEPT_HUGE = 2 << 20 };

/* clang-format on */
#endif
