/* The octets of a TLS connection over memory: what came is decrypted and cut into packets, and many packets are encrypted, with one
   call from Python for each, where pyOpenSSL has some for each record, each with a buffer of the largest size.

   There is no OpenSSL of its own here: the caller gives the addresses of the functions that pyOpenSSL itself calls, and
   of one connection's structures, which the connection given with them keeps alive. The interpreter's lock is held
   throughout, so that the buffers of the module are free whenever somebody comes. Its Python twin is in records.py. */

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <string.h>

enum {
    HEADER = 20,        /* RFC 2865 §3 */
    MOST = 4096,        /* of one packet */
    RECORD = 16384,     /* of what one record carries (RFC 8446 §5.1) */
    READ = 65536,
    WANT_READ = 2,      /* SSL_ERROR_WANT_READ */
    ZERO_RETURN = 6,    /* SSL_ERROR_ZERO_RETURN: close_notify came */
};

/* How the connection stands, as records.py names it. */
enum { OPEN = 0, ENDED = 1, BROKEN = 2, LOST = 3 };

typedef int (*transfer)(void *, void *, int);
typedef int (*handshake)(void *);
typedef int (*get_error)(const void *, int);
typedef void (*clear_errors)(void);

static transfer ssl_read, ssl_write, bio_read, bio_write;
static handshake ssl_do_handshake;
static get_error ssl_get_error;
static clear_errors err_clear_error;

typedef struct {
    PyObject_HEAD
    PyObject *owner;
    void *ssl, *into, *out;
    int state;
    int is_established; /* shake_hands has come to its end */
    int pending; /* octets of a packet that is not whole yet */
    unsigned char partial[MOST];
} Records;

static PyObject *bind(PyObject *module, PyObject *arguments) {
    unsigned long long address[7];
    (void)module;
    if (!PyArg_ParseTuple(arguments, "KKKKKKK", &address[0], &address[1], &address[2], &address[3], &address[4], &address[5],
                          &address[6]))
        return NULL;
    for (int i = 0; i < 7; i++) {
        if (!address[i]) {
            PyErr_SetString(PyExc_ValueError, "a function has no address");
            return NULL;
        }
    }
    ssl_read = (transfer)(uintptr_t)address[0], ssl_write = (transfer)(uintptr_t)address[1];
    bio_read = (transfer)(uintptr_t)address[2], bio_write = (transfer)(uintptr_t)address[3];
    ssl_get_error = (get_error)(uintptr_t)address[4], err_clear_error = (clear_errors)(uintptr_t)address[5];
    ssl_do_handshake = (handshake)(uintptr_t)address[6];
    Py_RETURN_NONE;
}

static PyObject *records_new(PyTypeObject *type, PyObject *arguments, PyObject *keywords) {
    unsigned long long ssl, into, out;
    PyObject *owner;
    (void)keywords;
    if (!PyArg_ParseTuple(arguments, "OKKK", &owner, &ssl, &into, &out)) return NULL;
    if (!ssl || !into || !out || ssl_read == NULL) {
        PyErr_SetString(PyExc_ValueError, "there is no connection over memory, or nothing is bound");
        return NULL;
    }
    Records *self = (Records *)type->tp_alloc(type, 0);
    if (self == NULL) return NULL;
    self->owner = Py_NewRef(owner);
    self->ssl = (void *)(uintptr_t)ssl, self->into = (void *)(uintptr_t)into, self->out = (void *)(uintptr_t)out;
    return (PyObject *)self;
}

static int records_traverse(Records *self, visitproc visit, void *arg) {
    Py_VISIT(self->owner);
    Py_VISIT(Py_TYPE(self));
    return 0;
}

static void records_dealloc(Records *self) {
    PyTypeObject *type = Py_TYPE(self);
    PyObject_GC_UnTrack(self);
    Py_CLEAR(self->owner);
    type->tp_free((PyObject *)self);
    Py_DECREF(type);
}

/* Whether all of the octets are in what TLS reads from; a BIO over memory takes all, or has no memory. */
static int feed(Records *self, const char *octets, Py_ssize_t size) {
    while (size > 0) {
        int piece = size > RECORD * 64 ? RECORD * 64 : (int)size;
        int taken = bio_write(self->into, (void *)octets, piece);
        if (taken <= 0) return 0;
        octets += taken, size -= taken;
    }
    return 1;
}

/* Append the packets that are whole in plain[0..size], and keep the rest; 0: a Length can not be (RFC 6613 §2.6.4), and the list is as it was;
   -1: an exception is set. */
static int cut(Records *self, const unsigned char *plain, int size, PyObject *packets) {
    Py_ssize_t before = PyList_GET_SIZE(packets);
    int start = 0;
    while (size - start >= 4) {
        int length = plain[start + 2] << 8 | plain[start + 3];
        if (length < HEADER || length > MOST) {
            self->pending = 0;
            return PyList_SetSlice(packets, before, PyList_GET_SIZE(packets), NULL) < 0 ? -1 : 0;
        }
        if (size - start < length) break;
        PyObject *packet = PyBytes_FromStringAndSize((const char *)plain + start, length);
        if (packet == NULL) return -1;
        int failed = PyList_Append(packets, packet);
        Py_DECREF(packet);
        if (failed) return -1;
        start += length;
    }
    self->pending = size - start; /* less than a packet's largest size */
    memcpy(self->partial, plain + start, (size_t)self->pending);
    return 1;
}

static int is_bytes(PyObject *octets) {
    if (PyBytes_Check(octets)) return 1;
    PyErr_SetString(PyExc_TypeError, "octets are bytes");
    return 0;
}

/* receive(octets): the packets that are whole now. `state` says whether anything comes after them. */
static PyObject *receive(PyObject *object, PyObject *octets) {
    Records *self = (Records *)object;
    unsigned char plain[MOST + RECORD];
    if (!is_bytes(octets)) return NULL;
    PyObject *packets = PyList_New(0);
    if (packets == NULL || self->state != OPEN) return packets;
    err_clear_error(); /* else SSL_get_error may tell what others have met */
    if (!feed(self, PyBytes_AS_STRING(octets), PyBytes_GET_SIZE(octets))) {
        self->state = BROKEN;
        return packets;
    }
    for (;;) {
        int found = ssl_read(self->ssl, plain + self->pending, RECORD);
        if (PyErr_Occurred()) goto failed; /* a callback of ours */
        if (found <= 0) {
            int error = ssl_get_error(self->ssl, found);
            if (error != WANT_READ) {
                self->state = error == ZERO_RETURN ? ENDED : BROKEN; /* why it is broken, the caller reads from the queue of errors */
            }
            return packets;
        }
        memcpy(plain, self->partial, (size_t)self->pending);
        int done = cut(self, plain, self->pending + found, packets);
        if (done < 0) goto failed;
        if (!done) {
            self->state = LOST;
            return packets;
        }
    }
failed:
    Py_DECREF(packets);
    return NULL;
}

/* take(): the records that wait to travel. */
static PyObject *take_records(Records *self) {
    unsigned char cipher[READ];
    int size = bio_read(self->out, cipher, READ);
    if (size < READ) return PyBytes_FromStringAndSize((const char *)cipher, size > 0 ? size : 0);
    PyObject *whole = PyByteArray_FromStringAndSize((const char *)cipher, size);
    while (whole != NULL && (size = bio_read(self->out, cipher, READ)) > 0) {
        Py_ssize_t end = PyByteArray_GET_SIZE(whole);
        if (PyByteArray_Resize(whole, end + size) < 0) {
            Py_CLEAR(whole);
        } else {
            memcpy(PyByteArray_AS_STRING(whole) + end, cipher, (size_t)size);
        }
    }
    if (whole == NULL) return NULL;
    PyObject *octets = PyBytes_FromObject(whole);
    Py_DECREF(whole);
    return octets;
}

static PyObject *take(PyObject *object, PyObject *nothing) {
    (void)nothing;
    return take_records((Records *)object);
}

/* shake_hands(octets): the handshake goes on with these; the records that are to travel, an alert when it has failed. */
static PyObject *shake_hands(PyObject *object, PyObject *octets) {
    Records *self = (Records *)object;
    if (!is_bytes(octets)) return NULL;
    if (self->state == OPEN && !self->is_established) {
        err_clear_error();
        if (feed(self, PyBytes_AS_STRING(octets), PyBytes_GET_SIZE(octets))) {
            int done = ssl_do_handshake(self->ssl);
            if (done == 1) {
                self->is_established = 1;
            } else if (ssl_get_error(self->ssl, done) != WANT_READ) {
                self->state = BROKEN;
            }
        } else {
            self->state = BROKEN;
        }
        err_clear_error();
        if (PyErr_Occurred()) return NULL; /* a callback of ours */
    }
    return take_records(self);
}

/* read(octets): what the peer says with these, not cut into packets. `state` as after receive. */
static PyObject *read_plain(PyObject *object, PyObject *octets) {
    Records *self = (Records *)object;
    char plain[RECORD];
    if (!is_bytes(octets)) return NULL;
    PyObject *whole = PyBytes_FromStringAndSize(NULL, 0);
    if (whole == NULL || self->state != OPEN) return whole;
    err_clear_error();
    if (!feed(self, PyBytes_AS_STRING(octets), PyBytes_GET_SIZE(octets))) self->state = BROKEN;
    while (whole != NULL && self->state == OPEN) {
        int found = ssl_read(self->ssl, plain, RECORD);
        if (found <= 0) {
            int error = ssl_get_error(self->ssl, found);
            if (error == WANT_READ) break;
            self->state = error == ZERO_RETURN ? ENDED : BROKEN;
        } else if (PyBytes_GET_SIZE(whole)) {
            PyBytes_ConcatAndDel(&whole, PyBytes_FromStringAndSize(plain, found));
        } else {
            Py_SETREF(whole, PyBytes_FromStringAndSize(plain, found));
        }
    }
    err_clear_error();
    if (PyErr_Occurred()) Py_CLEAR(whole); /* a callback of ours, or there is no memory */
    return whole;
}

/* seal(list): the packets, each in a record of its own, that are to travel now; None: nothing can be sent any more. */
static PyObject *seal(PyObject *object, PyObject *packets) {
    Records *self = (Records *)object;
    if (!PyList_Check(packets)) {
        PyErr_SetString(PyExc_TypeError, "packets are a list");
        return NULL;
    }
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(packets); i++) {
        if (!PyBytes_Check(PyList_GET_ITEM(packets, i))) {
            PyErr_SetString(PyExc_TypeError, "packets are bytes");
            return NULL;
        }
    }
    err_clear_error();
    for (Py_ssize_t i = 0; i < PyList_GET_SIZE(packets); i++) {
        PyObject *packet = PyList_GET_ITEM(packets, i);
        int size = (int)PyBytes_GET_SIZE(packet);
        if (size && ssl_write(self->ssl, PyBytes_AS_STRING(packet), size) != size) goto ended;
    }
    return take_records(self);
ended:
    err_clear_error();
    if (PyErr_Occurred()) return NULL;
    Py_RETURN_NONE;
}

static PyObject *get_state(PyObject *object, void *closure) {
    (void)closure;
    return PyLong_FromLong(((Records *)object)->state);
}

static PyObject *get_established(PyObject *object, void *closure) {
    (void)closure;
    return PyBool_FromLong(((Records *)object)->is_established);
}

static PyObject *get_pending(PyObject *object, void *closure) {
    (void)closure;
    return PyLong_FromLong(((Records *)object)->pending);
}

static PyMethodDef RECORDS_METHODS[] = {
    {"shake_hands", shake_hands, METH_O, NULL},
    {"read", read_plain, METH_O, NULL},
    {"receive", receive, METH_O, NULL},
    {"seal", seal, METH_O, NULL},
    {"take", take, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyGetSetDef RECORDS_FIELDS[] = {
    {"state", get_state, NULL, NULL, NULL},
    {"is_established", get_established, NULL, NULL, NULL},
    {"pending_octets", get_pending, NULL, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

static PyType_Slot RECORDS_SLOTS[] = {
    {Py_tp_new, (void *)records_new},
    {Py_tp_traverse, (void *)records_traverse},
    {Py_tp_dealloc, (void *)records_dealloc},
    {Py_tp_methods, RECORDS_METHODS},
    {Py_tp_getset, RECORDS_FIELDS},
    {0, NULL},
};

static PyType_Spec RECORDS_SPEC = {
    "radius.tls._records.Records", sizeof(Records), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_HAVE_GC, RECORDS_SLOTS,
};

static int set_up(PyObject *module) {
    PyObject *type = PyType_FromSpec(&RECORDS_SPEC);
    if (type == NULL) return -1;
    int failed = PyModule_AddObjectRef(module, "Records", type);
    Py_DECREF(type);
    return failed;
}

static PyMethodDef METHODS[] = {
    {"bind", bind, METH_VARARGS, NULL},
    {NULL, NULL, 0, NULL},
};

static PyModuleDef_Slot SLOTS[] = {{Py_mod_exec, (void *)set_up}, {0, NULL}};

static struct PyModuleDef MODULE = {
    PyModuleDef_HEAD_INIT, "radius.tls._records", "The octets of TLS connections over memory.", 0, METHODS, SLOTS, NULL, NULL,
    NULL,
};

PyMODINIT_FUNC PyInit__records(void) { return PyModuleDef_Init(&MODULE); }
