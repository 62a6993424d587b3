/* Many datagrams with one system call (recvmmsg, sendmmsg), where Python's socket module has one call, one buffer of the largest
   size and one parsed address for each.

   The datagrams are received into a buffer of the module, which is safe because the interpreter's lock is held: a socket
   of ours never waits (MSG_DONTWAIT). What is given back are copies of exactly what came. */

#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103 /* linux/udp.h; Linux 4.18 */
#endif

enum {
    MOST = 64,
    DATAGRAM = 4097, /* RFC 2865 §3 has 4096; padding beyond Length is ignored anyway */
    PARSED = 256,    /* receivers whose addresses are kept in the kernel's form */
    TRIES = 8,       /* ICMP errors of earlier datagrams that are told here, one at a call */
    SEGMENT = 1200,  /* octets of each of them, so that no path has to cut it: IPv6 carries 1,280 everywhere */
    TOGETHER = 65000 /* octets of all of them, below the 65,507 of a datagram */
};

static int is_segmenting = 0; /* where the kernel can, and until it refuses */

union segment_note {
    struct cmsghdr first; /* for its alignment */
    char octets[CMSG_SPACE(sizeof(uint16_t))];
};

static unsigned char buffer[MOST][DATAGRAM];

/* (host, port) or (host, port, flow, scope), as the socket module writes it; None for another family. */
static PyObject *build_address(const struct sockaddr_storage *from) {
    char host[INET6_ADDRSTRLEN + 1];
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *four = (const struct sockaddr_in *)from;
        inet_ntop(AF_INET, &four->sin_addr, host, sizeof host);
        return Py_BuildValue("(si)", host, (int)ntohs(four->sin_port));
    }
    if (from->ss_family == AF_INET6) {
        const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)from;
        inet_ntop(AF_INET6, &six->sin6_addr, host, sizeof host);
        return Py_BuildValue("(siII)", host, (int)ntohs(six->sin6_port), (unsigned)ntohl(six->sin6_flowinfo),
                             (unsigned)six->sin6_scope_id);
    }
    Py_RETURN_NONE;
}

/* For how many seconds a datagram has been in the kernel, if its socket has SO_TIMESTAMPNS; else 0. */
static double age_of(struct msghdr *message, const struct timespec *now) {
    for (struct cmsghdr *each = CMSG_FIRSTHDR(message); each != NULL; each = CMSG_NXTHDR(message, each)) {
        if (each->cmsg_level == SOL_SOCKET && each->cmsg_type == SO_TIMESTAMPNS && each->cmsg_len >= CMSG_LEN(sizeof *now)) {
            struct timespec came;
            memcpy(&came, CMSG_DATA(each), sizeof came);
            return (double)(now->tv_sec - came.tv_sec) + (double)(now->tv_nsec - came.tv_nsec) / 1e9;
        }
    }
    return 0.0;
}

/* receive_many(descriptor, limit, addresses[, aged]): a list of what waits, at most so many or 64: octets, and the sender after each if `addresses`
   is a dict. It remembers the senders that were built, by the octets of their address; its owner bounds it. If `aged`, the
   seconds that each has been in the kernel follow its sender. An empty list: nothing waits, or an error was told that is
   none of ours. */
static PyObject *receive_many(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    struct mmsghdr messages[MOST];
    struct iovec pieces[MOST];
    struct sockaddr_storage senders[MOST];
    union {
        struct cmsghdr first; /* for its alignment */
        char octets[CMSG_SPACE(sizeof(struct timespec))];
    } notes[MOST];
    struct timespec now = {0, 0};
    (void)module;
    if (count != 3 && count != 4) {
        PyErr_SetString(PyExc_TypeError, "a descriptor, a limit and a dict or None are expected, and perhaps whether ages are asked for");
        return NULL;
    }
    int descriptor = (int)PyLong_AsLong(arguments[0]), found = -1;
    if (descriptor == -1 && PyErr_Occurred()) return NULL;
    long limit = PyLong_AsLong(arguments[1]);
    if (limit == -1 && PyErr_Occurred()) return NULL;
    if (limit < 1 || limit > MOST) limit = MOST;
    PyObject *known = arguments[2] == Py_None ? NULL : arguments[2];
    if (known && !PyDict_Check(known)) {
        PyErr_SetString(PyExc_TypeError, "senders are remembered in a dict");
        return NULL;
    }
    int aged = known && count == 4 && PyObject_IsTrue(arguments[3]) == 1, each = known ? 2 + aged : 1;
    memset(messages, 0, sizeof messages);
    for (int i = 0; i < limit; i++) {
        pieces[i].iov_base = buffer[i], pieces[i].iov_len = DATAGRAM;
        messages[i].msg_hdr.msg_iov = &pieces[i], messages[i].msg_hdr.msg_iovlen = 1;
        if (known) messages[i].msg_hdr.msg_name = &senders[i], messages[i].msg_hdr.msg_namelen = sizeof senders[i];
        if (aged) messages[i].msg_hdr.msg_control = &notes[i], messages[i].msg_hdr.msg_controllen = sizeof notes[i];
    }
    for (int tries = 0; tries < (known ? TRIES : 1) && found < 0; tries++) { /* a connected socket's reader has to know */
        found = recvmmsg(descriptor, messages, (unsigned)limit, MSG_DONTWAIT, NULL);
        if (found < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EBADF)) break;
    }
    if (found < 0) found = 0;
    PyObject *list = PyList_New((Py_ssize_t)each * found);
    if (list == NULL) return NULL;
    if (aged) clock_gettime(CLOCK_REALTIME, &now);
    for (int i = 0; i < found; i++) {
        unsigned size = messages[i].msg_len < DATAGRAM ? messages[i].msg_len : DATAGRAM;
        PyObject *octets = PyBytes_FromStringAndSize((const char *)buffer[i], (Py_ssize_t)size);
        if (octets == NULL) goto failed;
        PyList_SET_ITEM(list, each * i, octets);
        if (known) {
            socklen_t length = messages[i].msg_hdr.msg_namelen;
            PyObject *key = PyBytes_FromStringAndSize((const char *)&senders[i], length <= sizeof senders[i] ? length : 0);
            if (key == NULL) goto failed;
            PyObject *sender = PyDict_GetItemWithError(known, key);
            if (sender != NULL) {
                Py_INCREF(sender);
            } else if (!PyErr_Occurred() && (sender = build_address(&senders[i])) != NULL &&
                       PyDict_SetItem(known, key, sender) < 0) {
                Py_CLEAR(sender);
            }
            Py_DECREF(key);
            if (sender == NULL) goto failed;
            PyList_SET_ITEM(list, each * i + 1, sender);
        }
        if (aged) {
            PyObject *age = PyFloat_FromDouble(age_of(&messages[i].msg_hdr, &now));
            if (age == NULL) goto failed;
            PyList_SET_ITEM(list, each * i + 2, age);
        }
    }
    return list;
failed:
    Py_DECREF(list);
    return NULL;
}

/* The address that the tuple names, in the kernel's form; 0 with an exception set if it names none. */
static socklen_t parse_address(PyObject *address, struct sockaddr_storage *to) {
    const char *host;
    int port;
    unsigned flow = 0, scope = 0;
    struct sockaddr_in *four = (struct sockaddr_in *)to;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)to;
    if (!PyTuple_Check(address)) {
        PyErr_SetString(PyExc_TypeError, "an address is a tuple");
        return 0;
    }
    if (!PyArg_ParseTuple(address, "si|II", &host, &port, &flow, &scope)) return 0;
    memset(to, 0, sizeof *to);
    if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET, four->sin_port = htons((uint16_t)port);
        return sizeof *four;
    }
    if (inet_pton(AF_INET6, host, &six->sin6_addr) == 1) {
        six->sin6_family = AF_INET6, six->sin6_port = htons((uint16_t)port);
        six->sin6_flowinfo = htonl(flow), six->sin6_scope_id = scope;
        return sizeof *six;
    }
    PyErr_SetString(PyExc_ValueError, "an address is written in numbers");
    return 0;
}

/* A datagram that waits, and the receiver's place among those of its call. */
struct item {
    struct iovec piece;
    int to;
};

/* Whether an error says that the datagrams can not be cut out of one (UDP_SEGMENT): a kernel that does not know it, a device
   that computes no checksums, a path that takes less than one of them. */
static int is_against_segments(int error) {
    return error == EINVAL || error == EIO || error == EMSGSIZE || error == EOPNOTSUPP || error == ENOPROTOOPT;
}

/* Sends so many messages and counts the errors that were told; returns whether the kernel took them. The message that met an
   error is tried once more, since the error was an earlier one's; one of several datagrams falls apart into them. */
static int send_messages(int descriptor, struct mmsghdr *messages, int ready, long *errors) {
    for (int sent = 0, is_again = 0; sent < ready;) {
        int done = sendmmsg(descriptor, messages + sent, (unsigned)(ready - sent), MSG_DONTWAIT);
        if (done > 0) {
            sent += done, is_again = 0;
            continue;
        }
        if (done < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EBADF)) return 0; /* it takes no more */
        const struct msghdr *failed = &messages[sent].msg_hdr;
        if (failed->msg_iovlen > 1) {
            int is_refused = done < 0 && is_against_segments(errno);
            struct mmsghdr alone[MOST];
            memset(alone, 0, sizeof alone);
            for (size_t i = 0; i < failed->msg_iovlen; i++) {
                alone[i].msg_hdr.msg_iov = failed->msg_iov + i, alone[i].msg_hdr.msg_iovlen = 1;
                alone[i].msg_hdr.msg_name = failed->msg_name, alone[i].msg_hdr.msg_namelen = failed->msg_namelen;
            }
            long found = !is_refused;
            int is_taken = send_messages(descriptor, alone, (int)failed->msg_iovlen, &found);
            if (is_refused && is_taken && !found) is_segmenting = 0; /* one by one they go: so it shall be */
            *errors += found, sent++, is_again = 0;
            if (!is_taken) return 0;
        } else {
            ++*errors, sent += is_again, is_again = !is_again;
        }
    }
    return 1;
}

/* Fills the messages with the datagrams, in their order but for those of the same length to the same receiver: these are
   one, which the kernel takes through its layers once and cuts into them. Returns how many messages there are. */
static int put_together(struct item *items, int waiting, struct sockaddr_storage *receivers, const socklen_t *lengths,
                        struct mmsghdr *messages, struct iovec *pieces, union segment_note *notes) {
    int ready = 0, placed = 0;
    char is_placed[MOST] = {0};
    memset(messages, 0, (size_t)waiting * sizeof *messages);
    for (int i = 0; i < waiting; i++) {
        if (is_placed[i]) continue;
        struct msghdr *message = &messages[ready].msg_hdr;
        size_t octets = items[i].piece.iov_len, most = octets ? TOGETHER / octets : 1, alike = 1;
        int others[MOST];
        message->msg_iov = pieces + placed;
        pieces[placed++] = items[i].piece;
        if (items[i].to >= 0) message->msg_name = &receivers[items[i].to], message->msg_namelen = lengths[items[i].to];
        if (is_segmenting && octets <= SEGMENT) {
            for (int j = i + 1; j < waiting && alike < most; j++)
                if (!is_placed[j] && items[j].piece.iov_len == octets && items[j].to == items[i].to) others[alike++] = j;
        }
        for (size_t j = 1; j < alike; j++) pieces[placed++] = items[others[j]].piece, is_placed[others[j]] = 1;
        message->msg_iovlen = alike;
        if (alike > 1) {
            uint16_t segment = (uint16_t)octets;
            message->msg_control = &notes[ready], message->msg_controllen = sizeof notes[ready];
            struct cmsghdr *note = CMSG_FIRSTHDR(message);
            memset(&notes[ready], 0, sizeof notes[ready]);
            note->cmsg_level = IPPROTO_UDP, note->cmsg_type = UDP_SEGMENT, note->cmsg_len = CMSG_LEN(sizeof segment);
            memcpy(CMSG_DATA(note), &segment, sizeof segment);
        }
        ready++;
    }
    return ready;
}

/* The addresses that were parsed lately. Tuples do not change, and these are held, so that none is another's place. */
static struct {
    PyObject *address;
    struct sockaddr_storage parsed;
    socklen_t length;
} parsed[PARSED];

/* Writes the address in the kernel's form, and returns its length; 0 with an exception set if it is none. */
static socklen_t look_up_address(PyObject *address, struct sockaddr_storage *to) {
    size_t place = ((uintptr_t)address >> 4) % PARSED;
    if (parsed[place].address == address) {
        memcpy(to, &parsed[place].parsed, parsed[place].length);
        return parsed[place].length;
    }
    socklen_t length = parse_address(address, to);
    if (!length) return 0;
    parsed[place].parsed = *to, parsed[place].length = length;
    Py_XSETREF(parsed[place].address, Py_NewRef(address));
    return length;
}

/* The place of the address among the receivers of a call, where it is put if it is new; -1 with an exception set if it is
   none. An address that comes again is mostly the same object. */
static int find_receiver(PyObject *address, PyObject **known, struct sockaddr_storage *receivers, socklen_t *lengths, int *count) {
    for (int i = *count - 1; i >= 0; i--)
        if (known[i] == address) return i;
    lengths[*count] = look_up_address(address, &receivers[*count]);
    if (!lengths[*count]) return -1;
    known[*count] = address;
    return (*count)++;
}

/* send_many(descriptor, list, addressed): the octets of the list are on their way, or lost as datagrams are; where
   `addressed`, the receiver stands after each. Those of one length to one receiver may leave before others that stand before
   them. Returns how many errors of earlier datagrams were told meanwhile. */
static PyObject *send_many(PyObject *module, PyObject *const *arguments, Py_ssize_t count) {
    struct mmsghdr messages[MOST];
    struct iovec pieces[MOST];
    struct item items[MOST];
    union segment_note notes[MOST];
    struct sockaddr_storage receivers[MOST];
    socklen_t lengths[MOST];
    PyObject *known[MOST]; /* borrowed: the list holds them */
    long errors = 0;
    (void)module;
    if (count != 3 || !PyList_Check(arguments[1])) {
        PyErr_SetString(PyExc_TypeError, "a descriptor, a list and whether it has addresses are expected");
        return NULL;
    }
    int descriptor = (int)PyLong_AsLong(arguments[0]), addressed = PyObject_IsTrue(arguments[2]);
    if (addressed < 0 || (descriptor == -1 && PyErr_Occurred())) return NULL;
    PyObject *list = arguments[1];
    for (Py_ssize_t at = 0; at + addressed < PyList_GET_SIZE(list);) { /* octets without their receiver are left */
        int waiting = 0, different = 0;
        for (; waiting < MOST && at + addressed < PyList_GET_SIZE(list); waiting++, at += 1 + addressed) {
            PyObject *octets = PyList_GET_ITEM(list, at);
            if (!PyBytes_Check(octets)) {
                PyErr_SetString(PyExc_TypeError, "octets are bytes");
                return NULL;
            }
            items[waiting].piece.iov_base = PyBytes_AS_STRING(octets);
            items[waiting].piece.iov_len = (size_t)PyBytes_GET_SIZE(octets);
            items[waiting].to = -1;
            if (addressed) {
                items[waiting].to = find_receiver(PyList_GET_ITEM(list, at + 1), known, receivers, lengths, &different);
                if (items[waiting].to < 0) return NULL;
            }
        }
        int ready = put_together(items, waiting, receivers, lengths, messages, pieces, notes);
        send_messages(descriptor, messages, ready, &errors); /* what it does not take is lost; the others are tried */
    }
    return PyLong_FromLong(errors);
}

/* Whether the kernel knows UDP_SEGMENT. One that does not overlooks the note, and would send one long datagram. */
static int can_segment(void) {
    int value = 0, descriptor = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t length = sizeof value;
    if (descriptor < 0) descriptor = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (descriptor < 0) return 0;
    int is_known = getsockopt(descriptor, IPPROTO_UDP, UDP_SEGMENT, &value, &length) == 0;
    close(descriptor);
    return is_known;
}

/* segment(wanted): whether datagrams of one length to one receiver are given to the kernel as one from now on; None asks.
   Returns whether they were until now. */
static PyObject *segment(PyObject *module, PyObject *wanted) {
    int was = is_segmenting;
    (void)module;
    if (wanted != Py_None) {
        int is_wanted = PyObject_IsTrue(wanted);
        if (is_wanted < 0) return NULL;
        is_segmenting = is_wanted && can_segment();
    }
    return PyBool_FromLong(was);
}

static PyMethodDef METHODS[] = {
    {"send_many", (PyCFunction)(void (*)(void))send_many, METH_FASTCALL, NULL},
    {"segment", segment, METH_O, NULL},
    {"receive_many", (PyCFunction)(void (*)(void))receive_many, METH_FASTCALL, NULL},
    {NULL, NULL, 0, NULL},
};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "radius.transport._batch", "Many datagrams with one system call.", 0, METHODS, NULL, NULL, NULL,
    NULL,
};

PyMODINIT_FUNC PyInit__batch(void) {
    is_segmenting = can_segment();
    return PyModuleDef_Init(&MODULE);
}
