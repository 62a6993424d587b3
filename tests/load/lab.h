/* Shared by the load generator and the simulated home server: RADIUS octets and keyed MD5, nothing else.
 * OpenSSL's low-level MD5 is used on purpose: its states can be copied, so a peer's key is digested once. */
#ifndef LAB_H
#define LAB_H
#define _GNU_SOURCE
#define OPENSSL_SUPPRESS_DEPRECATED
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <openssl/md5.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ACCESS_REQUEST = 1, ACCESS_ACCEPT = 2, ACCESS_REJECT = 3, STATUS_SERVER = 12 };
enum { USER_NAME = 1, CALLED_STATION_ID = 30, CALLING_STATION_ID = 31, NAS_IDENTIFIER = 32, PROXY_STATE = 33,
       NAS_PORT_TYPE = 61, VENDOR_SPECIFIC = 26, EAP_MESSAGE = 79, MESSAGE_AUTHENTICATOR = 80 };
enum { HEADER = 20, AUTHENTICATOR = 4, PACKET_MAX = 4096, KEY_OCTETS = 32, HIDDEN_OCTETS = 48 };

typedef struct {
    MD5_CTX inner, outer; /* HMAC with the key already digested */
    MD5_CTX plain;        /* MD5(secret …): where MPPE keys begin */
    const char *secret;
    size_t length;
} keyed;

static inline uint64_t nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static inline void key_with(keyed *k, const char *secret) {
    uint8_t block[64] = {0}, pad[64];
    k->secret = secret;
    k->length = strlen(secret);
    if (k->length > sizeof block)
        MD5((const uint8_t *)secret, k->length, block);
    else
        memcpy(block, secret, k->length);
    for (int i = 0; i < 64; i++) pad[i] = block[i] ^ 0x36;
    MD5_Init(&k->inner), MD5_Update(&k->inner, pad, 64);
    for (int i = 0; i < 64; i++) pad[i] = block[i] ^ 0x5c;
    MD5_Init(&k->outer), MD5_Update(&k->outer, pad, 64);
    MD5_Init(&k->plain), MD5_Update(&k->plain, secret, k->length);
}

static inline void message_authenticator(const keyed *k, const uint8_t *packet, size_t n, uint8_t out[16]) {
    MD5_CTX c = k->inner;
    uint8_t digest[16];
    MD5_Update(&c, packet, n), MD5_Final(digest, &c);
    c = k->outer;
    MD5_Update(&c, digest, 16), MD5_Final(out, &c);
}

/* MD5(packet | secret): the Response Authenticator once the request's authenticator stands in the packet. */
static inline void response_authenticator(const keyed *k, const uint8_t *packet, size_t n, uint8_t out[16]) {
    MD5_CTX c;
    MD5_Init(&c), MD5_Update(&c, packet, n), MD5_Update(&c, k->secret, k->length), MD5_Final(out, &c);
}

static inline size_t append(uint8_t *packet, size_t at, uint8_t type, const void *value, size_t n) {
    packet[at] = type, packet[at + 1] = (uint8_t)(n + 2);
    memcpy(packet + at + 2, value, n);
    return at + n + 2;
}

static inline void set_length(uint8_t *packet, size_t n) { packet[2] = (uint8_t)(n >> 8), packet[3] = (uint8_t)n; }
static inline size_t get_length(const uint8_t *packet) { return (size_t)packet[2] << 8 | packet[3]; }

/* The pattern that the simulated home server sends as MPPE keys, so that the generator can tell a right one. */
static inline uint8_t key_pattern(int vendor_type, int i) { return (uint8_t)(i * 11 + vendor_type * 3 + 1); }

static inline int udp_socket(const char *host, const char *port, const char *source, int listens, int reuse_port) {
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_DGRAM, .ai_flags = AI_NUMERICHOST}, *found;
    int one = 1, octets = 8 << 20;
    if (getaddrinfo(host, port, &hints, &found)) { fprintf(stderr, "not an address: %s %s\n", host, port); exit(2); }
    int fd = socket(found->ai_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &octets, sizeof octets);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &octets, sizeof octets);
    if (reuse_port) setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof one);
    if (source) {
        struct addrinfo *own;
        if (getaddrinfo(source, "0", &hints, &own) || bind(fd, own->ai_addr, own->ai_addrlen)) { perror(source); exit(2); }
        freeaddrinfo(own);
    }
    if (fd < 0 || (listens ? bind : connect)(fd, found->ai_addr, found->ai_addrlen)) { perror(host); exit(2); }
    freeaddrinfo(found);
    return fd;
}
#endif
