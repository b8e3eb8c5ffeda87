# SPDX-License-Identifier: BSD-3-Clause
"""Finding a figure in a picture: a drop-in for `skimage.feature.match_template`, with OpenCV's six measures."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from fastconv import costs
from fastconv.arguments.matching import Matching, matching_arguments
from fastconv.arguments.values import native
from fastconv.plans import Answer, planned
from fastconv.reference import matching as exact
from fastconv.runtime import _core, check_result, checking, thread_count
from fastconv.typing import Measure, PadMode

__all__ = ["match_template"]


@planned(image="data", template="taps", mask="taps", out="out")
def match_template(
    image: ArrayLike,
    template: ArrayLike,
    pad_input: bool = False,
    mode: PadMode = "constant",
    constant_values: Any = 0,
    *,
    method: Measure = "ccoeff_normed",
    mask: ArrayLike | None = None,
    axes: tuple[int, ...] | None = None,
    dtype: DTypeLike | None = None,
    out: NDArray[Any] | None = None,
    threads: int | None = None,
) -> Any:
    """How well a template matches the image, at every place.

    With I the window of the image at a place, T the template, M the mask (or 1) and means weighted by M:

    =================  ==========================================  =================================================
    method             score                                       the best match
    =================  ==========================================  =================================================
    ``ccoeff``         sum of M (T - mean T) M (I - mean I)        the highest
    ``ccorr``          sum of M T M I                              the highest, if all windows were equally bright
    ``sqdiff``         sum of (M (T - I))^2                        the lowest
    ``ccoeff_normed``  divided by the norms of M (T - mean T)      1; -1: the negative picture. Neither brightness
                       and M (I - mean I)                          nor contrast matter
    ``ccorr_normed``   divided by the norms of M T and M I         1; contrast does not matter
    ``sqdiff_normed``  divided by the norms of M T and M I, at     0
                       most 1
    =================  ==========================================  =================================================

    The default is what scikit-image computes; the six are OpenCV's ``TM_CCOEFF`` and so on.

    Parameters
    ----------
    image : array_like, 2-D or 3-D
        A picture, a volume, or a picture with channels (`axes`). Bool, integers, float16, float32 or float64; any
        strides. Never copied as a whole, but for float16, a foreign byte order, and padding by rules that look at a
        whole axis (`mode`).
    template : array_like
        As many dimensions, in none of them larger.
    pad_input : bool
        False: one score for every place where the template lies inside the image, at the place of
        its first element. True: the image's shape, scores at the place of the template's centre ``size // 2``, the
        image being continued.
    mode, constant_values
        How it is continued: `numpy.pad`'s, "constant", "edge", "reflect", "symmetric" and "wrap" on the way,
        "linear_ramp", "maximum", "mean", "median" and "minimum" by way of a padded copy.
    method : str
        One of the table.
    mask : array_like, optional
        Of the template's shape, or of one channel of it. Bool and uint8: pixels where it is not 0 count. Other dtypes:
        weights, at least 0.
    axes : tuple of int, optional
        Which axes of the image the template slides over; by default all. Of three, two are those of a picture with
        channels, of which the template has as many: ``axes=(0, 1)`` if they come last, (H, W, C). The result then has
        one score for every place, shape (H-h+1, W-w+1): all sums go over the channels, and means (of "ccoeff") are
        those of each channel, as in OpenCV. By default they are a third axis of the result, of one score where image
        and template have as many of them, and means are those of all, as in scikit-image.
    dtype : dtype, optional
        Of result and arithmetic, float32 or float64; by default float32 for float16 and float32 images, else
        float64, as in scikit-image. float32 halves the time for images of small integers.
    out : ndarray, optional
        Where to put the result: of its shape and dtype, any strides. May overlap image, template and mask.
    threads : int, optional
        At most so many; default `get_num_threads()`. The result has the same bits for any number.

    Returns
    -------
    ndarray
        Normed scores are within [-1, 1] ([0, 1] for sqdiff_normed). Where a normed score is 0/0 it is 0, for flat
        windows and flat templates as in scikit-image (OpenCV: 1 for flat templates); sqdiff_normed then is 1 as
        in OpenCV, and 0 if window and template agree. A window is flat if all its (weighted) elements are equal.
        A window that holds NaN or infinity scores NaN, others are unaffected; so does all with such a template.
        (scikit-image: all 0.) Pixels without weight never matter.

    Raises
    ------
    ValueError
        Unknown names, wrong dimensions, a template larger than the image, an unfit mask, `out` of another shape or
        read-only.
    TypeError
        Dtypes that are not real numbers of at most 64 bits; masked arrays; `out` of another dtype.
    MemoryError
        No memory for the result or for scratch; `out` is untouched.

    Notes
    -----
    The sums over windows [1]_ are not taken from an integral image, which loses the contrast of a window among the
    digits of the whole picture: here tiles are centred about their own mean, sums of values and squares are made
    in float64 without a subtraction, and windows whose contrast still is too small to tell are
    summed again about their own mean. Scratch memory is that of a tile for each thread.

    Scores are compared by `fastconv.checked()` within `fastconv.reference.match_error_bound`; for
    float32 images of good contrast they are within about 1e-6.

    References
    ----------
    .. [1] J. P. Lewis, Fast Normalized Cross-Correlation, Industrial Light & Magic, 1995.
    .. [2] OpenCV, Object Detection, TemplateMatchModes: the six measures and their masks.

    Examples
    --------
    >>> import numpy as np
    >>> from fastconv.feature import match_template
    >>> template = np.array([[0.0, 1.0], [2.0, 1.0]])
    >>> image = np.zeros((3, 5))
    >>> image[1:, 2:4] = 5 * template + 7
    >>> scores = match_template(image, template)
    >>> np.unravel_index(scores.argmax(), scores.shape)
    (np.int64(1), np.int64(2))
    >>> match_template(image, template).round(3)
    array([[0.   , 0.   , 0.488, 0.816],
           [0.   , 0.   , 1.   , 0.   ]])
    >>> match_template(image, template, method="sqdiff")
    array([[  6.,  41., 147., 102.],
           [  6., 296., 516., 246.]])
    >>> colours = np.stack([image, image, -image], axis=-1)  # (H, W, 3)
    >>> match_template(colours, colours[1:, 2:4], axes=(0, 1)).shape
    (2, 4)
    """
    how: Any = {"method": method, "mask": mask, "axes": axes, "dtype": dtype, "out": out}
    m = matching_arguments(image, template, pad_input, mode, constant_values, **how)
    return matched(m, 0 if threads is None else thread_count(threads, "threads"), image)


def matched(m: Matching, threads: int, asked: Any) -> Answer:
    """The scores. threads: 0 for the default. asked: the image that was given."""
    if _core is None:
        return Answer(exact.match(m))
    if checking.get():
        alone = m._replace(asked_out=None, out=None)  # which may overlap the image
        result = _run(alone, threads, None).result
        check_result(result, exact.match(alone), exact.match_error_bound(m), "match_template")
        return Answer(m.delivered(result))
    return _run(m, threads, asked)


def _run(m: Matching, threads: int, asked: Any) -> Answer:
    """threads: 0 for the default. asked: the image that was given."""
    assert _core is not None
    is_free = m.out is not None and not np.may_share_memory(m.out, m.image)
    result = m.out if m.out is not None and is_free else np.empty(m.shape, m.dtype)
    counts = np.True_ if m.weights is None else m.weights > 0
    if not np.isfinite(m.template[counts].ravel()).all():
        result.fill(math.nan)
        return Answer(m.delivered(result))
    image = native(m.image)
    if image.dtype == np.float16:
        image = image.astype(np.float32)

    weights = np.ones(m.template.shape) if m.weights is None else m.weights
    energies = weights**2
    template = np.where(counts, m.template, 0)
    # Without the mean, by a power of two about one: nothing overflows, and integers stay integers.
    most = float(np.abs(template[weights > 0]).max())
    scale = 1.0 if m.whole or most == 0 else math.ldexp(1, -max(min(math.frexp(most)[1], 1000), -1000))
    scaled = template * scale
    about_mean = m.measure.startswith("ccoeff")
    by = weights if about_mean else energies
    by_plane = about_mean and m.has_channels
    shifts, spread = np.zeros(template.shape), 0.0
    for part in range(len(template)) if by_plane else (slice(None),):
        if weights[part].any() and m.measure != "ccorr":  # whose sums of products need no others then
            shifts[part], of_part = _centre(scaled[part], by[part], energies[part], scale, m.whole)
            spread += of_part
    shift = float(shifts.flat[0])
    square = float((energies * (scaled - shifts) ** 2).sum())
    power = float((energies * scaled**2).sum())
    t = energies * (scaled - shifts)

    masks: tuple[NDArray[np.float64], NDArray[np.float64]] | None = None
    if m.weights is not None:
        binary = bool((weights == energies).all())
        masks = (energies if binary or not about_mean else weights), energies
    order = _order(m)
    plan = _core.MatchPlan(
        _laid(image, order),
        _laid(result, order),
        np.ascontiguousarray(_laid(t, order)),
        masks and tuple([np.ascontiguousarray(_laid(a, order)) for a in masks[masks[0] is masks[1] :]]),
        [m.lead[axis] if axis >= 0 else 0 for axis in order],
        m.measure,
        m.boundary,
        m.fillvalue,
        threads,
        m.whole,
        by_plane,
        (shift / scale, scale, float(by.sum()), float(energies.sum()), spread, square, power),
    )
    plan((image,), result)
    if m.out is not None and result is not m.out:
        return Answer(m.delivered(result))
    delivered = m.delivered(result)
    return Answer(delivered, plan.serve((asked,), (image,), delivered))


def _centre(
    scaled: NDArray[np.float64], by: NDArray[np.float64], energies: NDArray[np.float64], scale: float, whole: bool
) -> tuple[float, float]:
    """What is taken from a template that was multiplied by scale, its mean as near as that can be, and its spread about
    the mean."""
    counted = scaled[by > 0]
    first = float(counted[0])
    is_flat = bool((counted == first).all())
    beyond = 0.0 if is_flat else float((by * (scaled - first)).sum()) / float(by.sum())
    mean = first + beyond
    shift = float(round(mean)) if whole else mean / scale * scale  # as exact without the scale, however small
    return shift, 0.0 if is_flat else float((energies * (scaled - first - beyond) ** 2).sum())


def _order(m: Matching) -> tuple[int, int, int]:
    """Which axes are depth, rows and columns of compiled code, whose vectors lie along columns; -1: an axis of one."""
    depth, rows, columns = (0, 1, 2) if len(m.shape) == 3 else (-1, 0, 1)
    if m.shape[-1] >= min(costs.MATCH_SHORT, max(m.shape)):
        return depth, rows, columns
    return (depth, columns, rows) if m.has_channels or depth < 0 else (columns, depth, rows)


def _laid(a: NDArray[Any], order: tuple[int, int, int]) -> NDArray[Any]:
    moved = a.transpose([axis for axis in order if axis >= 0])
    return moved if moved.ndim == 3 else moved[None]
