/* MD5 (RFC 1321): one chain, or two side by side.

   Each step of MD5 waits for the one before it, so that one chain leaves most of the processor idle: two chains, step by
   step in turn, take 1.15 times as long as one (AMD EPYC, gcc 12). Four in vector registers take 1.5 times as long, but
   what a proxied login gives to four at a time is little. */

#ifndef BIEBROAM_MD5_H
#define BIEBROAM_MD5_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { MD5_BLOCK = 64, MD5_DIGEST = 16, MD5_LENGTH = 8, MD5_STEPS = 64 };

typedef struct {
    uint32_t state[4];
    uint64_t octets;
    uint8_t waiting[MD5_BLOCK]; /* the last octets % 64 of what went in */
} md5;

static inline uint32_t load32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline void store32(uint8_t *p, uint32_t x) {
    p[0] = (uint8_t)x, p[1] = (uint8_t)(x >> 8), p[2] = (uint8_t)(x >> 16), p[3] = (uint8_t)(x >> 24);
}

/* Of each step: the constant (RFC 1321 §3.4). Of each of the four rounds: how far its steps turn, and in which order they
   take the words of the block. The loops below are unrolled, so that the compiler reads these tables and nobody else. */
static const uint32_t MD5_CONSTANT[MD5_STEPS] = {
    0xd76aa478, 0xe8c7b756, 0x242070db, 0xc1bdceee, 0xf57c0faf, 0x4787c62a, 0xa8304613, 0xfd469501, 0x698098d8, 0x8b44f7af,
    0xffff5bb1, 0x895cd7be, 0x6b901122, 0xfd987193, 0xa679438e, 0x49b40821, 0xf61e2562, 0xc040b340, 0x265e5a51, 0xe9b6c7aa,
    0xd62f105d, 0x02441453, 0xd8a1e681, 0xe7d3fbc8, 0x21e1cde6, 0xc33707d6, 0xf4d50d87, 0x455a14ed, 0xa9e3e905, 0xfcefa3f8,
    0x676f02d9, 0x8d2a4c8a, 0xfffa3942, 0x8771f681, 0x6d9d6122, 0xfde5380c, 0xa4beea44, 0x4bdecfa9, 0xf6bb4b60, 0xbebfbc70,
    0x289b7ec6, 0xeaa127fa, 0xd4ef3085, 0x04881d05, 0xd9d4d039, 0xe6db99e5, 0x1fa27cf8, 0xc4ac5665, 0xf4292244, 0x432aff97,
    0xab9423a7, 0xfc93a039, 0x655b59c3, 0x8f0ccc92, 0xffeff47d, 0x85845dd1, 0x6fa87e4f, 0xfe2ce6e0, 0xa3014314, 0x4e0811a1,
    0xf7537e82, 0xbd3af235, 0x2ad7d2bb, 0xeb86d391,
};
static const int MD5_TURN[4][4] = {{7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
static const int MD5_FIRST_WORD[4] = {0, 1, 5, 0}, MD5_NEXT_WORD[4] = {1, 5, 3, 7};

typedef struct {
    uint32_t a, b, c, d;
} md5_chain;

static inline void md5_step(md5_chain *chain, int step, const uint8_t *block) {
    int round = step / 16;
    uint32_t b = chain->b, c = chain->c, d = chain->d;
    uint32_t sum = chain->a + (load32(block + 4 * ((MD5_FIRST_WORD[round] + MD5_NEXT_WORD[round] * step) % 16)) + MD5_CONSTANT[step]);
    switch (round) {
    case 0: sum += d ^ (b & (c ^ d)); break;
    case 1: sum = sum + (c & ~d) + (b & d); break; /* the terms share no bit: + lets the processor wait for b alone */
    case 2: sum += b ^ (c ^ d); break;
    default: sum += c ^ (b | ~d);
    }
    int turn = MD5_TURN[round][step % 4];
    chain->a = d, chain->d = c, chain->c = b, chain->b = b + (sum << turn | sum >> (32 - turn));
}

static inline void md5_advance(uint32_t state[4], const md5_chain *chain) {
    state[0] += chain->a, state[1] += chain->b, state[2] += chain->c, state[3] += chain->d;
}

static void md5_compress(uint32_t state[4], const uint8_t *block) {
    md5_chain chain = {state[0], state[1], state[2], state[3]};
#pragma GCC unroll 64
    for (int step = 0; step < MD5_STEPS; step++) md5_step(&chain, step, block);
    md5_advance(state, &chain);
}

/* The same of two states and their blocks. */
static void md5_compress_two(uint32_t one[4], const uint8_t *block, uint32_t other[4], const uint8_t *other_block) {
    md5_chain chain = {one[0], one[1], one[2], one[3]}, second = {other[0], other[1], other[2], other[3]};
#pragma GCC unroll 64
    for (int step = 0; step < MD5_STEPS; step++) md5_step(&chain, step, block), md5_step(&second, step, other_block);
    md5_advance(one, &chain), md5_advance(other, &second);
}

static void md5_start(md5 *digest) {
    digest->state[0] = 0x67452301u, digest->state[1] = 0xefcdab89u;
    digest->state[2] = 0x98badcfeu, digest->state[3] = 0x10325476u;
    digest->octets = 0;
}

static void md5_add(md5 *digest, const uint8_t *octets, size_t size) {
    size_t held = digest->octets & 63;
    digest->octets += size;
    if (held) {
        size_t room = 64 - held, taken = size < room ? size : room;
        memcpy(digest->waiting + held, octets, taken);
        if (taken < room) return;
        md5_compress(digest->state, digest->waiting);
        octets += taken, size -= taken;
    }
    for (; size >= 64; octets += 64, size -= 64) md5_compress(digest->state, octets);
    if (size) memcpy(digest->waiting, octets, size);
}

/* `md5_add` of as many octets to each of two digests that have whole blocks in them. */
static void md5_add_two(md5 *one, const uint8_t *octets, md5 *other, const uint8_t *other_octets, size_t size) {
    size_t whole = size - size % MD5_BLOCK;
    for (size_t at = 0; at < whole; at += MD5_BLOCK)
        md5_compress_two(one->state, octets + at, other->state, other_octets + at);
    one->octets += whole, other->octets += whole;
    md5_add(one, octets + whole, size - whole), md5_add(other, other_octets + whole, size - whole);
}

/* Padding and length follow what waits: the last block, or the first of the last two, which is compressed then. */
static void md5_pad(md5 *digest) {
    size_t held = digest->octets % MD5_BLOCK;
    uint64_t bits = digest->octets << 3;
    digest->waiting[held++] = 0x80;
    if (held > MD5_BLOCK - MD5_LENGTH) {
        memset(digest->waiting + held, 0, MD5_BLOCK - held);
        md5_compress(digest->state, digest->waiting);
        held = 0;
    }
    memset(digest->waiting + held, 0, MD5_BLOCK - MD5_LENGTH - held);
    store32(digest->waiting + 56, (uint32_t)bits), store32(digest->waiting + 60, (uint32_t)(bits >> 32));
}

static void md5_tell(const md5 *digest, uint8_t result[MD5_DIGEST]) {
    for (int i = 0; i < 4; i++) store32(result + 4 * i, digest->state[i]);
}

static void md5_end(md5 *digest, uint8_t result[MD5_DIGEST]) {
    md5_pad(digest);
    md5_compress(digest->state, digest->waiting);
    md5_tell(digest, result);
}

static void md5_end_two(md5 *one, uint8_t result[MD5_DIGEST], md5 *other, uint8_t other_result[MD5_DIGEST]) {
    md5_pad(one), md5_pad(other);
    md5_compress_two(one->state, one->waiting, other->state, other->waiting);
    md5_tell(one, result), md5_tell(other, other_result);
}

#endif
