# SPDX-License-Identifier: BSD-3-Clause
"""The table of costs: every number of the Python side that was fitted to how fast some machine is, or to its caches.

`csrc/costs.h` has those of the C core. The CPUs that these were fitted on are not recorded. What one stands for is
timed, with the number halved, as it is, and doubled, by

    python bench/crossovers.py NAME ...
"""

# ==== numbers that decide bits ====================================================================
#
# They choose methods and the order of sums, so they are the same on every machine: never read from it. Changing one is
# a change of results.

# Where one method overtakes another (methods.py)
CROSSOVERS = {
    # taps of the kernel per tap of its factors, from which two passes are faster than one
    "separable": 2.5,
    # taps of a kernel whose taps are all the same, from which running sums are faster than two passes (Intel Xeon; 81
    # by AVX2); than direct sums of integers; and than sums that are rounded to integers of up to 16 bits as they are
    # stored
    "box taps": 169,
    "box taps, integers": 20,
    "box taps, small results": 900,
    # taps of the kernel below which transforms are not considered, and how many times as fast as the direct method they
    # have to be by estimate
    "fft taps": 100,
    "fft gain": 1.3,
    # how many times as fast as tiles in cache NumPy's transforms have to be
    "whole gain": 1.5,
}

# Transforms by NumPy (spectrum.py)
TRANSFORM_NS = 1.0  # ns: a point and doubling of the length, of one transform
TRANSFORM_CALL_US = 100  # us: a call
PART_POINTS = 1 << 22  # points of a transform whose length the kernel leaves free: about 200 MB
PART_KERNELS = 3  # kernels: how many of them a part is long, at least, along each axis

# Filters of ndimage (passes.py)
ORDERED_TAPS = 27  # taps: kernels of up to so many are summed in SciPy's order for floats, too,
ORDERED_PRODUCTS = 50000  # products: as are so few, where the choice of a method would take longer
WIDE_MEAN = 48  # elements: means over more along two axes are taken one after the other: their halo is most of a tile

# Template matching (feature.py)
MATCH_SHORT = 32  # scores of a row (Zen 4): fewer lie across columns, as do channels that come last

# Three layers as one (bottlenecks.py)
BOTTLENECK_WIDER = 2  # times as many channels in between as before, from which on it is faster (Intel Xeon)

# Signals at limited lags (lags.py)
LAGS_PRODUCTS = 1 << 20  # products (Zen 4): of fewer, transforms of taps that are new take longer than the sums

# Full convolution (signal.py)
PLAIN_BELOW = 10000  # products: fewer take no longer than finding out which are needed

# ==== numbers that decide no bits =================================================================

MISSING_BAND = 1 << 17  # elements of a band where x is prepared first: what is made of them stays in L2, or L3 (Zen 4)
BOX_LINES = 16  # lines: sums of integers along fewer of them at a time do not fill vectors
PASSES_BAND = 2**21  # results of which all passes are done before others: what is in between takes 16 MB at most,
PASSES_PRODUCTS = 2**29  # products: and so many, a fraction of a second
FLOAT32_FROM = 4096  # elements: below, finding out whether float32 would do takes longer than it saves
SHORT_LINE = 32  # elements of a line of a filter: shorter ones lie across columns, or are pixels side by side
FAR = 4  # times as long as what outputs look at has what lies between to be, for that to be copied instead
PIXELS_HALO = 1 << 15  # elements beside a tile of pixels that is gathered, at most,
PIXELS_NARROW = 128  # or where outputs or windows reach beyond the row
CHUNK_APART = 8 << 20  # bytes of a chunk (Intel Xeon): copying a smaller one takes less than making its edges apart
