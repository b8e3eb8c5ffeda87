/* SPDX-License-Identifier: BSD-3-Clause
 * Takes back every name that vec.h defines, so that it can be included for the next element type. */
#undef T
#undef VT
#undef VLEN
#undef VOP
#undef NAME
#undef FC_INLINE
#undef FC_JOIN
#undef FC_JOIN3
#undef FC_LANES
#undef FC_FULL
#undef FC_MASK_ELEMENT
#undef vload
#undef vstore
#undef vloadn
#undef vstoren
#undef vsplat
#undef vzero
#undef vfma
#undef vpin
