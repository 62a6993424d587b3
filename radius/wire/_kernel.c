/* The dearest steps of a proxied login in C: the walk over a packet, the two rewrites and the checks of authenticators.

   What is here decides nothing. Each rewrite returns the octets that `rewrite.py` would have returned, or None: "I do not
   do this one". Then the Python beside it does, and it alone says why a packet is dropped or refused. None is returned for
   every length that does not fit, for codes other than those of a login, and for vendor attributes that have to be taken
   apart. So a fault here could only be a wrong octet, and the tests compare each with the Python.

   Nothing is allocated but the result; packets are edited in one buffer on the stack, every write to which passes `put`.
   The walk trusts no length: it is bounded by the octets it was given. Secrets and filters are prepared once, and held by
   capsules that the functions below know by name. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>
#include <string.h>

#include "_md5.h"

enum {
    HEADER = 20,
    BLOCK = 16,        /* of what MD5 gives, and of an authenticator */
    MAX_PACKET = 4096, /* RFC 2865 §3 */
    MESSAGE_AUTHENTICATOR_OCTETS = 18,
    MAX_BODY = MAX_PACKET - HEADER - MESSAGE_AUTHENTICATOR_OCTETS,
    MAX_PASSWORD = 128, /* RFC 2865 §5.2 */
    SALT = 2,           /* RFC 2548 §2.4.2 */
    MAX_ENTRIES = 512,  /* of a filter's tables */
    MAX_ATTRIBUTES = 200, /* as `packet.py` has it */
};

enum { ACCESS_REQUEST = 1, ACCESS_ACCEPT = 2, ACCESS_REJECT = 3, ACCESS_CHALLENGE = 11 };

enum {
    USER_PASSWORD = 2,
    CHAP_PASSWORD = 3,
    REPLY_MESSAGE = 18,
    VENDOR_SPECIFIC = 26,
    PROXY_STATE = 33,
    CHAP_CHALLENGE = 60,
    TUNNEL_PASSWORD = 69,
    EAP_MESSAGE = 79,
    MESSAGE_AUTHENTICATOR = 80,
};

/* What a filter says about a type, and about a vendor; `rewrite.py` makes both tables. */
enum { COPY = 0, REMOVE = 1, LOOK = 2, LOOK_INSIDE = 3 };
enum { VENDOR_COPY = 0, VENDOR_REMOVE = 1, VENDOR_DECLINE = 2 };

static const uint8_t ZEROS[BLOCK];

static inline uint32_t load32_big(const uint8_t *p) {
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | (uint32_t)p[3];
}

/* Shared secrets. */

typedef struct {
    md5 start;        /* with the secret in it */
    md5 inner, outer; /* HMAC with its key in it (RFC 2104) */
    size_t length;
    uint8_t octets[];
} secret;

static const char SECRET[] = "radius.wire._kernel.secret";

static void release_secret(PyObject *capsule) {
    secret *keyed = PyCapsule_GetPointer(capsule, SECRET);
    if (keyed == NULL) return;
    memset(keyed, 0, sizeof *keyed + keyed->length);
    PyMem_Free(keyed);
}

static PyObject *prepare_secret(PyObject *module, PyObject *argument) {
    char *octets;
    Py_ssize_t size;
    uint8_t key[64] = {0}, pad[64];
    (void)module;
    if (PyBytes_AsStringAndSize(argument, &octets, &size) < 0) return NULL;
    secret *keyed = PyMem_Malloc(sizeof *keyed + (size_t)size);
    if (keyed == NULL) return PyErr_NoMemory();
    memset(keyed, 0, sizeof *keyed);
    keyed->length = (size_t)size;
    memcpy(keyed->octets, octets, (size_t)size);
    md5_start(&keyed->start), md5_add(&keyed->start, keyed->octets, keyed->length);
    if (keyed->length > sizeof key) {
        md5 whole = keyed->start;
        md5_end(&whole, key);
    } else {
        memcpy(key, octets, (size_t)size);
    }
    for (int i = 0; i < 64; i++) pad[i] = key[i] ^ 0x36;
    md5_start(&keyed->inner), md5_add(&keyed->inner, pad, 64);
    for (int i = 0; i < 64; i++) pad[i] = key[i] ^ 0x5c;
    md5_start(&keyed->outer), md5_add(&keyed->outer, pad, 64);
    PyObject *capsule = PyCapsule_New(keyed, SECRET, release_secret);
    if (capsule == NULL) PyMem_Free(keyed);
    return capsule;
}

static void hmac_end(const secret *keyed, md5 *inner, uint8_t result[BLOCK]) {
    uint8_t digest[BLOCK];
    md5 outer = keyed->outer;
    md5_end(inner, digest);
    md5_add(&outer, digest, BLOCK), md5_end(&outer, result);
}

/* In a time that does not tell where they differ. */
static int is_equal(const uint8_t *left, const uint8_t *right) {
    volatile uint8_t difference = 0;
    for (int i = 0; i < BLOCK; i++) difference |= left[i] ^ right[i];
    return difference == 0;
}

/* Filters. */

typedef struct {
    uint8_t request_marks[256], response_marks[256];
    uint8_t vendor_default;
    size_t bounds_count, salted_count, vendors_count;
    const uint8_t *bounds;  /* type, least, largest: 9 octets each */
    const uint8_t *salted;  /* vendor, type: 5 octets each */
    const uint8_t *vendors; /* vendor, action: 5 octets each */
    uint8_t tables[];
} filter;

static const char FILTER[] = "radius.wire._kernel.filter";

static void release_filter(PyObject *capsule) { PyMem_Free(PyCapsule_GetPointer(capsule, FILTER)); }

static PyObject *prepare_filter(PyObject *module, PyObject *arguments) {
    Py_buffer requests = {0}, responses = {0}, bounds = {0}, salted = {0}, vendors = {0};
    unsigned char vendor_default;
    PyObject *capsule = NULL;
    (void)module;
    if (!PyArg_ParseTuple(arguments, "y*y*y*y*by*", &requests, &responses, &bounds, &salted, &vendor_default, &vendors))
        return NULL;
    if (requests.len != 256 || responses.len != 256 || bounds.len % 9 || salted.len % 5 || vendors.len % 5 ||
        vendor_default > VENDOR_DECLINE || bounds.len / 9 > MAX_ENTRIES || salted.len / 5 > MAX_ENTRIES ||
        vendors.len / 5 > MAX_ENTRIES) {
        PyErr_SetString(PyExc_ValueError, "a table of the filter has a length that can not be");
    } else {
        filter *made = PyMem_Malloc(sizeof *made + (size_t)(bounds.len + salted.len + vendors.len));
        if (made == NULL) {
            PyErr_NoMemory();
        } else {
            uint8_t *place = made->tables;
            memcpy(made->request_marks, requests.buf, 256), memcpy(made->response_marks, responses.buf, 256);
            made->vendor_default = vendor_default;
            made->bounds_count = (size_t)bounds.len / 9, made->bounds = place;
            if (bounds.len) memcpy(place, bounds.buf, (size_t)bounds.len), place += bounds.len;
            made->salted_count = (size_t)salted.len / 5, made->salted = place;
            if (salted.len) memcpy(place, salted.buf, (size_t)salted.len), place += salted.len;
            made->vendors_count = (size_t)vendors.len / 5, made->vendors = place;
            if (vendors.len) memcpy(place, vendors.buf, (size_t)vendors.len);
            capsule = PyCapsule_New(made, FILTER, release_filter);
            if (capsule == NULL) PyMem_Free(made);
        }
    }
    PyBuffer_Release(&requests), PyBuffer_Release(&responses), PyBuffer_Release(&bounds);
    PyBuffer_Release(&salted), PyBuffer_Release(&vendors);
    return capsule;
}

static int is_salted(const filter *passing, const uint8_t *header) {
    for (size_t i = 0; i < passing->salted_count; i++)
        if (!memcmp(passing->salted + 5 * i, header, 5)) return 1;
    return 0;
}

static uint8_t vendor_action(const filter *passing, const uint8_t *vendor) {
    for (size_t i = 0; i < passing->vendors_count; i++)
        if (!memcmp(passing->vendors + 5 * i, vendor, 4)) return passing->vendors[5 * i + 4];
    return passing->vendor_default;
}

/* Whether an attribute that is no hidden one passes; `size` counts its header. */
static int is_in_bounds(const filter *passing, const uint8_t *attribute, size_t size) {
    for (size_t i = 0; i < passing->bounds_count; i++) {
        const uint8_t *entry = passing->bounds + 9 * i;
        if (entry[0] == attribute[0]) {
            if (size != 6) return 0;
            uint32_t value = load32_big(attribute + 2);
            return load32_big(entry + 1) <= value && value <= load32_big(entry + 5);
        }
    }
    return 1;
}

/* The packet that is made. */

typedef struct {
    size_t size; /* of the body; what would pass MAX_BODY is counted and not written */
    uint8_t octets[MAX_PACKET];
} draft;

enum { BODY = HEADER + MESSAGE_AUTHENTICATOR_OCTETS };

static int put(draft *made, const uint8_t *octets, size_t size) {
    if (size > MAX_BODY - made->size) return 0;
    if (size) memcpy(made->octets + BODY + made->size, octets, size);
    made->size += size;
    return 1;
}

/* Header, authenticator and our Message-Authenticator, first of all attributes; returns the size of the packet. */
static size_t sign(draft *made, uint8_t code, uint8_t identifier, const uint8_t *authenticator, const secret *keyed) {
    size_t size = BODY + made->size;
    uint8_t *octets = made->octets;
    md5 inner = keyed->inner;
    octets[0] = code, octets[1] = identifier, octets[2] = (uint8_t)(size >> 8), octets[3] = (uint8_t)size;
    memcpy(octets + 4, authenticator, BLOCK);
    octets[HEADER] = MESSAGE_AUTHENTICATOR, octets[HEADER + 1] = MESSAGE_AUTHENTICATOR_OCTETS;
    memset(octets + HEADER + 2, 0, BLOCK);
    md5_add(&inner, octets, size);
    hmac_end(keyed, &inner, octets + HEADER + 2);
    return size;
}

/* Hidden values, from hop to hop. */

typedef struct {
    const secret *source, *target;
    const uint8_t *source_authenticator, *target_authenticator;
    unsigned salt; /* of the next salted value: none comes twice in a packet (RFC 2548 §2.4.2) */
} rehiding;

/* The key streams of the next block on both hops: the secret, then what the block follows. */
static void move_stream(const rehiding *hops, const uint8_t *source_chain, const uint8_t *target_chain, size_t chain_size,
                        uint8_t source[BLOCK], uint8_t target[BLOCK]) {
    md5 from = hops->source->start, to = hops->target->start;
    md5_add(&from, source_chain, chain_size), md5_add(&to, target_chain, chain_size);
    md5_end_two(&from, source, &to, target);
}

/* `size` octets, a multiple of 16, from blocks that follow `chain` on both hops; the largest first octet of the value
   that is allowed is `limit`. */
static int move_blocks(const rehiding *hops, const uint8_t *hidden, size_t size, const uint8_t *source_chain,
                       const uint8_t *target_chain, size_t chain_size, unsigned limit, uint8_t *result) {
    uint8_t source[BLOCK], target[BLOCK];
    for (size_t at = 0; at < size; at += BLOCK) {
        move_stream(hops, source_chain, target_chain, chain_size, source, target);
        if (!at && (uint8_t)(hidden[0] ^ source[0]) > limit) return 0;
        for (int i = 0; i < BLOCK; i++) result[at + (size_t)i] = hidden[at + (size_t)i] ^ source[i] ^ target[i];
        source_chain = hidden + at, target_chain = result + at, chain_size = BLOCK;
    }
    return 1;
}

/* The header of an attribute and its salted value, hidden for the next hop. */
static int put_salted(draft *made, rehiding *hops, const uint8_t *attribute, size_t header, size_t size) {
    uint8_t result[256], source_chain[BLOCK + SALT], target_chain[BLOCK + SALT];
    const uint8_t *hidden = attribute + header;
    if (size > sizeof result || size < header + SALT + BLOCK || (size - header - SALT) % BLOCK) return 0;
    unsigned salt = 0x8000u | (hops->salt++ & 0x7fffu);
    memcpy(result, attribute, header);
    result[header] = (uint8_t)(salt >> 8), result[header + 1] = (uint8_t)salt;
    memcpy(source_chain, hops->source_authenticator, BLOCK), memcpy(source_chain + BLOCK, hidden, SALT);
    memcpy(target_chain, hops->target_authenticator, BLOCK), memcpy(target_chain + BLOCK, result + header, SALT);
    size_t blocks = size - header - SALT;
    /* The value's first octet says how many follow: fewer than there are. */
    return move_blocks(hops, hidden + SALT, blocks, source_chain, target_chain, sizeof source_chain,
                       (unsigned)(blocks - 1), result + header + SALT) &&
           put(made, result, size);
}

static int put_password(draft *made, const rehiding *hops, const uint8_t *attribute, size_t size) {
    uint8_t result[2 + MAX_PASSWORD];
    size_t blocks = size - 2;
    if (blocks < BLOCK || blocks > MAX_PASSWORD || blocks % BLOCK) return 0;
    memcpy(result, attribute, 2);
    return move_blocks(hops, attribute + 2, blocks, hops->source_authenticator, hops->target_authenticator, BLOCK, 255,
                       result + 2) &&
           put(made, result, size);
}

static int put_vendor(draft *made, rehiding *hops, const filter *passing, const uint8_t *attribute, size_t size) {
    if (size > 8 && attribute[7] == size - 6 && is_salted(passing, attribute + 2))
        return put_salted(made, hops, attribute, 8, size);
    if (size < 6) return 0;
    switch (vendor_action(passing, attribute + 2)) {
    case VENDOR_COPY: return put(made, attribute, size);
    case VENDOR_REMOVE: return 1;
    default: return 0;
    }
}

/* Arguments. */

static const uint8_t *octets_of(PyObject *object, size_t *size) {
    if (!PyBytes_Check(object)) {
        PyErr_SetString(PyExc_TypeError, "octets are bytes");
        return NULL;
    }
    *size = (size_t)PyBytes_GET_SIZE(object);
    return (const uint8_t *)PyBytes_AS_STRING(object);
}

static int is_count_right(Py_ssize_t given, Py_ssize_t expected) {
    if (given == expected) return 1;
    PyErr_Format(PyExc_TypeError, "%zd arguments are expected, not %zd", expected, given);
    return 0;
}

/* Secrets and filters that were made while there was no kernel. */
static int is_any_none(PyObject *const *arguments, int count) {
    for (int i = 0; i < count; i++)
        if (arguments[i] == Py_None) return 1;
    return 0;
}

/* Whether the attributes fill the packet exactly; the rewrites and nobody else walk it afterwards. */
static int is_sound(const uint8_t *packet, size_t size) {
    size_t at = HEADER;
    if (size < HEADER || size > MAX_PACKET) return 0;
    while (at < size) {
        if (size - at < 2 || packet[at + 1] < 2 || packet[at + 1] > size - at) return 0;
        at += packet[at + 1];
    }
    return 1;
}

/* rewrite_request(octets, identifier, authenticator, downstream, upstream, filter, appended, proxy_state) */
static PyObject *rewrite_request(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    size_t size, authenticator_size, appended_size, state_size;
    const uint8_t *packet, *authenticator, *appended, *state;
    draft made;
    (void)module;
    if (!is_count_right(count, 8) || !(packet = octets_of(arguments[0], &size))) return NULL;
    long identifier = PyLong_AsLong(arguments[1]);
    if (identifier == -1 && PyErr_Occurred()) return NULL;
    if (!(authenticator = octets_of(arguments[2], &authenticator_size))) return NULL;
    if (is_any_none(arguments + 3, 3)) Py_RETURN_NONE;
    const secret *downstream = PyCapsule_GetPointer(arguments[3], SECRET);
    const secret *upstream = downstream ? PyCapsule_GetPointer(arguments[4], SECRET) : NULL;
    const filter *passing = upstream ? PyCapsule_GetPointer(arguments[5], FILTER) : NULL;
    if (!passing || !(appended = octets_of(arguments[6], &appended_size)) ||
        !(state = octets_of(arguments[7], &state_size)))
        return NULL;
    if (!is_sound(packet, size) || packet[0] != ACCESS_REQUEST || identifier < 0 || identifier > 255 ||
        authenticator_size != BLOCK || state_size > 253)
        Py_RETURN_NONE;
    rehiding hops = {downstream, upstream, packet + 4, authenticator, (unsigned)authenticator[0] << 8 | authenticator[1]};
    int has_password = 0, has_challenge = 0, done = 1;
    made.size = 0;
    for (size_t at = HEADER, length; done && at < size; at += length) {
        const uint8_t *attribute = packet + at;
        length = attribute[1];
        has_password |= attribute[0] == CHAP_PASSWORD, has_challenge |= attribute[0] == CHAP_CHALLENGE;
        switch (passing->request_marks[attribute[0]]) {
        case COPY: done = put(&made, attribute, length); break;
        case REMOVE: break;
        case LOOK_INSIDE: done = put_vendor(&made, &hops, passing, attribute, length); break;
        default:
            if (attribute[0] == USER_PASSWORD)
                done = put_password(&made, &hops, attribute, length);
            else if (attribute[0] == TUNNEL_PASSWORD)
                done = length > 3 && put_salted(&made, &hops, attribute, 3, length);
            else if (is_in_bounds(passing, attribute, length))
                done = put(&made, attribute, length);
        }
    }
    if (done && has_password && !has_challenge && passing->request_marks[CHAP_PASSWORD] != REMOVE) {
        const uint8_t header[2] = {CHAP_CHALLENGE, 2 + BLOCK}; /* RFC 2865 §2.3 */
        done = put(&made, header, 2) && put(&made, packet + 4, BLOCK);
    }
    done = done && put(&made, appended, appended_size);
    if (done && state_size) {
        const uint8_t header[2] = {PROXY_STATE, (uint8_t)(state_size + 2)};
        done = put(&made, header, 2) && put(&made, state, state_size);
    }
    if (!done) Py_RETURN_NONE;
    size = sign(&made, packet[0], (uint8_t)identifier, authenticator, upstream);
    return PyBytes_FromStringAndSize((const char *)made.octets, (Py_ssize_t)size);
}

/* Where our own Proxy-State is, and whether the client's are all there (`*lost` = 0), all forgotten (1), or altered: then
   the result is 0 (CVE-2024-3596). */
static int match_proxy_states(const uint8_t *packet, size_t size, const uint8_t *states, size_t states_size,
                              const uint8_t *own, size_t own_size, size_t *own_at, int *lost) {
    size_t found = 0, seen = 0, last = 0, matched = 0;
    for (size_t at = HEADER; at < size; at += packet[at + 1])
        if (packet[at] == PROXY_STATE) found++, last = at;
    *own_at = 0;
    if (own_size) {
        if (!found || packet[last + 1] != own_size + 2 || memcmp(packet + last + 2, own, own_size)) return 0;
        *own_at = last, found--;
    }
    *lost = !found;
    for (size_t at = HEADER; seen < found; at += packet[at + 1])
        if (packet[at] == PROXY_STATE) {
            size_t length = packet[at + 1];
            if (length > states_size - matched || memcmp(packet + at, states + matched, length)) return 0;
            matched += length, seen++;
        }
    return *lost || matched == states_size;
}

/* rewrite_response(octets, identifier, request_authenticator, own_request_authenticator, downstream, upstream, filter,
   proxy_states, proxy_state, appended) */
static PyObject *rewrite_response(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    size_t size, given_size, own_given_size, states_size, state_size, appended_size, own_at;
    const uint8_t *packet, *authenticator, *own_authenticator, *states, *state, *appended;
    int lost;
    draft made;
    (void)module;
    if (!is_count_right(count, 10) || !(packet = octets_of(arguments[0], &size))) return NULL;
    long identifier = PyLong_AsLong(arguments[1]);
    if (identifier == -1 && PyErr_Occurred()) return NULL;
    if (!(authenticator = octets_of(arguments[2], &given_size)) ||
        !(own_authenticator = octets_of(arguments[3], &own_given_size)))
        return NULL;
    if (is_any_none(arguments + 4, 3)) Py_RETURN_NONE;
    const secret *downstream = PyCapsule_GetPointer(arguments[4], SECRET);
    const secret *upstream = downstream ? PyCapsule_GetPointer(arguments[5], SECRET) : NULL;
    const filter *passing = upstream ? PyCapsule_GetPointer(arguments[6], FILTER) : NULL;
    if (!passing || !(states = octets_of(arguments[7], &states_size)) ||
        !(state = octets_of(arguments[8], &state_size)) || !(appended = octets_of(arguments[9], &appended_size)))
        return NULL;
    if (!is_sound(packet, size) || identifier < 0 || identifier > 255 || given_size != BLOCK || own_given_size != BLOCK ||
        (packet[0] != ACCESS_ACCEPT && packet[0] != ACCESS_REJECT && packet[0] != ACCESS_CHALLENGE) ||
        !match_proxy_states(packet, size, states, states_size, state, state_size, &own_at, &lost))
        Py_RETURN_NONE;
    rehiding hops = {upstream, downstream, own_authenticator, authenticator,
                     (unsigned)own_authenticator[0] << 8 | own_authenticator[1]};
    int has_eap = 0, done = 1;
    for (size_t at = HEADER; at < size; at += packet[at + 1]) has_eap |= packet[at] == EAP_MESSAGE;
    made.size = 0;
    for (size_t at = HEADER, length; done && at < size; at += length) {
        const uint8_t *attribute = packet + at;
        length = attribute[1];
        switch (passing->response_marks[attribute[0]]) {
        case COPY: done = put(&made, attribute, length); break;
        case REMOVE: break;
        case LOOK_INSIDE: done = put_vendor(&made, &hops, passing, attribute, length); break;
        default:
            if (at == own_at || (attribute[0] == REPLY_MESSAGE && has_eap)) /* RFC 3579 §2.6.5 */
                break;
            if (attribute[0] == TUNNEL_PASSWORD)
                done = length > 3 && put_salted(&made, &hops, attribute, 3, length);
            else if (is_in_bounds(passing, attribute, length))
                done = put(&made, attribute, length);
        }
    }
    done = done && put(&made, appended, appended_size) && (!lost || put(&made, states, states_size));
    if (!done) Py_RETURN_NONE;
    size = sign(&made, packet[0], (uint8_t)identifier, authenticator, downstream);
    md5 digest;
    md5_start(&digest), md5_add(&digest, made.octets, size), md5_add(&digest, downstream->octets, downstream->length);
    md5_end(&digest, made.octets + 4);
    return PyBytes_FromStringAndSize((const char *)made.octets, (Py_ssize_t)size);
}

/* A request's Message-Authenticator at `offset` (RFC 3579 §3.2). */
static int is_signed(const uint8_t *packet, size_t size, size_t offset, const secret *keyed) {
    uint8_t expected[BLOCK];
    md5 inner = keyed->inner;
    md5_add(&inner, packet, offset + 2), md5_add(&inner, ZEROS, BLOCK);
    md5_add(&inner, packet + offset + MESSAGE_AUTHENTICATOR_OCTETS, size - offset - MESSAGE_AUTHENTICATOR_OCTETS);
    hmac_end(keyed, &inner, expected);
    return is_equal(expected, packet + offset + 2);
}

static int parse_signed(PyObject *const *arguments, const uint8_t **packet, size_t *size, size_t *offset,
                        const secret **keyed) {
    if (!(*packet = octets_of(arguments[0], size))) return 0;
    *offset = PyLong_AsSize_t(arguments[1]);
    if (*offset == (size_t)-1 && PyErr_Occurred()) return 0;
    if (!(*keyed = PyCapsule_GetPointer(arguments[2], SECRET))) return 0;
    if (*size < HEADER || (*offset && (*offset < HEADER || *offset > *size || *size - *offset < MESSAGE_AUTHENTICATOR_OCTETS))) {
        PyErr_SetString(PyExc_ValueError, "the packet has no Message-Authenticator there");
        return 0;
    }
    return 1;
}

/* verify_request(octets, offset, secret) */
static PyObject *verify_request(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    size_t size, offset;
    const uint8_t *packet;
    const secret *keyed;
    (void)module;
    if (!is_count_right(count, 3) || !parse_signed(arguments, &packet, &size, &offset, &keyed)) return NULL;
    return PyBool_FromLong(offset && is_signed(packet, size, offset, keyed));
}

/* verify_response(octets, offset, secret, request_authenticator): 0 right, 1 and 2 which of the two authenticators is not */
static PyObject *verify_response(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    size_t size, offset, authenticator_size;
    const uint8_t *packet, *authenticator;
    const secret *keyed;
    uint8_t expected[BLOCK];
    (void)module;
    if (!is_count_right(count, 4) || !parse_signed(arguments, &packet, &size, &offset, &keyed) ||
        !(authenticator = octets_of(arguments[3], &authenticator_size)))
        return NULL;
    if (authenticator_size != BLOCK) {
        PyErr_SetString(PyExc_ValueError, "an authenticator has 16 octets");
        return NULL;
    }
    /* The two digests run over nearly the same octets. What is no packet's size is not copied, and can not be right. */
    uint8_t answer[MAX_PACKET], unsigned_answer[MAX_PACKET], signature[BLOCK];
    if (size > MAX_PACKET) return PyLong_FromLong(1);
    memcpy(answer, packet, size), memcpy(answer + 4, authenticator, BLOCK);
    memcpy(unsigned_answer, answer, size);
    if (offset) memset(unsigned_answer + offset + 2, 0, BLOCK);
    md5 digest, inner = keyed->inner;
    md5_start(&digest);
    if (!offset) {
        md5_add(&digest, answer, size), md5_add(&digest, keyed->octets, keyed->length), md5_end(&digest, expected);
        return PyLong_FromLong(is_equal(expected, packet + 4) ? 0 : 1);
    }
    md5_add_two(&digest, answer, &inner, unsigned_answer, size);
    md5_add(&digest, keyed->octets, keyed->length);
    md5_end_two(&digest, expected, &inner, signature);
    if (!is_equal(expected, packet + 4)) return PyLong_FromLong(1);
    md5 outer = keyed->outer;
    md5_add(&outer, signature, BLOCK), md5_end(&outer, expected);
    return PyLong_FromLong(is_equal(expected, packet + offset + 2) ? 0 : 2);
}

/* find_attributes(datagram): (octets cut at Length, types, offsets, offset of the Message-Authenticator or 0, firsts,
   counts), as `parse_packet` finds them; None for whatever is not sound. */
static PyObject *find_attributes(PyObject *module, PyObject *argument) {
    size_t received, size, count = 0, signed_at = 0;
    uint8_t types[MAX_ATTRIBUTES], firsts[256] = {0}, counts[256] = {0};
    uint16_t places[MAX_ATTRIBUTES];
    const uint8_t *packet = octets_of(argument, &received);
    (void)module;
    if (!packet) return NULL;
    if (received < HEADER) Py_RETURN_NONE;
    size = (size_t)packet[2] << 8 | packet[3];
    if (size < HEADER || size > MAX_PACKET || size > received) Py_RETURN_NONE;
    for (size_t at = HEADER; at < size; at += packet[at + 1], count++) {
        if (count == MAX_ATTRIBUTES || size - at < 2 || packet[at + 1] < 2 || packet[at + 1] > size - at || !packet[at])
            Py_RETURN_NONE;
        if (packet[at] == MESSAGE_AUTHENTICATOR) {
            if (signed_at || packet[at + 1] != MESSAGE_AUTHENTICATOR_OCTETS) Py_RETURN_NONE;
            signed_at = at;
        }
        types[count] = packet[at], places[count] = (uint16_t)at;
        if (!counts[packet[at]]++) firsts[packet[at]] = (uint8_t)(count + 1);
    }
    PyObject *offsets = PyList_New((Py_ssize_t)count);
    if (offsets == NULL) return NULL;
    for (size_t i = 0; i < count; i++) {
        PyObject *place = PyLong_FromLong(places[i]);
        if (place == NULL) {
            Py_DECREF(offsets);
            return NULL;
        }
        PyList_SET_ITEM(offsets, (Py_ssize_t)i, place);
    }
    PyObject *octets = size == received ? Py_NewRef(argument)
                                        : PyBytes_FromStringAndSize((const char *)packet, (Py_ssize_t)size);
    PyObject *kinds = PyBytes_FromStringAndSize((const char *)types, (Py_ssize_t)count);
    PyObject *offset = PyLong_FromSize_t(signed_at);
    PyObject *index = PyBytes_FromStringAndSize((const char *)firsts, sizeof firsts);
    PyObject *numbers = PyBytes_FromStringAndSize((const char *)counts, sizeof counts);
    PyObject *found = octets && kinds && offset && index && numbers ? PyTuple_New(6) : NULL;
    if (found == NULL) {
        Py_XDECREF(octets), Py_XDECREF(kinds), Py_XDECREF(offset), Py_DECREF(offsets);
        Py_XDECREF(index), Py_XDECREF(numbers);
        return NULL;
    }
    PyTuple_SET_ITEM(found, 0, octets), PyTuple_SET_ITEM(found, 1, kinds);
    PyTuple_SET_ITEM(found, 2, offsets), PyTuple_SET_ITEM(found, 3, offset);
    PyTuple_SET_ITEM(found, 4, index), PyTuple_SET_ITEM(found, 5, numbers);
    return found;
}

static PyMethodDef METHODS[] = {
    {"find_attributes", find_attributes, METH_O, NULL},
    {"prepare_secret", prepare_secret, METH_O, NULL},
    {"prepare_filter", prepare_filter, METH_VARARGS, NULL},
    {"rewrite_request", (PyCFunction)(void (*)(void))rewrite_request, METH_FASTCALL, NULL},
    {"rewrite_response", (PyCFunction)(void (*)(void))rewrite_response, METH_FASTCALL, NULL},
    {"verify_request", (PyCFunction)(void (*)(void))verify_request, METH_FASTCALL, NULL},
    {"verify_response", (PyCFunction)(void (*)(void))verify_response, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "radius.wire._kernel", "The walk, the two rewrites and the checks of authenticators, in C.", 0, METHODS,
    NULL, NULL, NULL, NULL,
};

PyMODINIT_FUNC PyInit__kernel(void) { return PyModuleDef_Init(&MODULE); }
