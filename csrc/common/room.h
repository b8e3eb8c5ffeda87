/* SPDX-License-Identifier: BSD-3-Clause
 *
 * Scratch: sizes that cannot wrap, and blocks cut into parts.
 *
 * One function names the parts of a block in turn. It is called twice: with a room that has no block, which counts the bytes,
 * and with one that has, which places the parts. So what is planned is what there is, and nowhere are there two formulas.
 *
 *      static void lay_parts(const driver *d, fc_room *r, parts *p)       fc_room r = {0};           r.bytes is the size
 *      {                                                                  lay_parts(&d, &r, &p);
 *          p->row = fc_part(r, "row", d->cols, d->size);
 *          p->at = fc_part(r, "at", d->taps, sizeof *p->at);              r = fc_room_at(block, bytes, slot);
 *      }                                                                  lay_parts(&d, &r, &p);  ...  fc_close(&r);
 *
 * Builds for tests (FASTCONV_CANARIES) put a canary behind each part, exactly where it ends, and fc_close looks whether it lives.
 */
#ifndef FASTCONV_ROOM_H
#define FASTCONV_ROOM_H

#include <stddef.h>
#include <stdint.h>

enum { LINE = 64 /* bytes; parts begin at whole lines */ };

/* Sizes, none of them negative. PTRDIFF_MAX stands for all that do not fit: it stays what it is, and no memory is that large. */
static inline ptrdiff_t times(ptrdiff_t a, ptrdiff_t b)
{
    ptrdiff_t product;
    return __builtin_mul_overflow(a, b, &product) ? PTRDIFF_MAX : product;
}
static inline ptrdiff_t plus(ptrdiff_t a, ptrdiff_t b)
{
    ptrdiff_t sum;
    return __builtin_add_overflow(a, b, &sum) ? PTRDIFF_MAX : sum;
}
static inline ptrdiff_t whole_lines(ptrdiff_t bytes)
{
    return bytes > PTRDIFF_MAX - LINE ? PTRDIFF_MAX : (bytes + LINE - 1) / LINE * LINE;
}

typedef struct {
    char *block;     /* NULL: parts are only counted */
    ptrdiff_t bytes; /* of the parts so far */
#ifdef FASTCONV_CANARIES
    int parts;
    struct {
        const char *name;
        unsigned char *end;
        ptrdiff_t canary;
    } part[40];
#endif
} fc_room;

/* alloc.c */
#ifdef FASTCONV_CANARIES
enum { FC_CANARY = 4 * LINE };
__attribute__((visibility("hidden"))) void fc_guard(fc_room *r, const char *name, char *end, ptrdiff_t canary);
__attribute__((visibility("hidden"))) const char *fc_overrun(const fc_room *r); /* the first part written beyond, or NULL */
__attribute__((visibility("hidden"))) void fc_close(const fc_room *r);          /* aborts where there is one */
#else
enum { FC_CANARY = 0 };
static inline void fc_guard(fc_room *r, const char *name, char *end, ptrdiff_t canary)
{
    (void)r, (void)name, (void)end, (void)canary;
}
static inline void fc_close(const fc_room *r) { (void)r; }
#endif

/* Room for so many elements; NULL: it is only counted. name: for messages */
static inline void *fc_part(fc_room *r, const char *name, ptrdiff_t count, ptrdiff_t size)
{
    ptrdiff_t bytes = times(count, size), all = plus(whole_lines(bytes), FC_CANARY);
    char *part = r->block ? r->block + r->bytes : NULL;
    if (part)
        fc_guard(r, name, part + bytes, all - bytes);
    r->bytes = plus(r->bytes, all);
    return part;
}

/* A thread's share of a block; NULL: there are no parts */
static inline fc_room fc_room_at(char *block, ptrdiff_t bytes, int slot)
{
    return (fc_room){.block = block ? block + slot * bytes : NULL};
}

#endif
