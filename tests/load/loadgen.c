/* loadgen: access points that ask, and check every answer.
 *
 *   loadgen --port P --secret S [--host H] [--source H] [--seconds T | --count N] [--window W] [--rate R] [--realms N]
 *           [--realm-format F] [--octets N] [--spread N] [--timeout-ms M] [--retransmit-ms M] [--sockets N] [--no-keys]
 *
 * Keeps W requests in flight (at most R new ones a second), spread over N realms; each answer's Response Authenticator,
 * Message-Authenticator and MPPE keys are verified. With --retransmit-ms a request is sent again, octet for octet, as
 * an access point does, until --timeout-ms has passed. With --spread requests have up to so many octets more. --source is an address of ours to ask from, by N sockets. One JSON object on
 * standard output; `realms_p99_us` has the 99th percentile of each realm, `seconds_p99_us` of what was sent in each second. */
#include "lab.h"

enum { SOCKETS_MAX = 256 };
/* The octets stand apart: all requests are looked through every 20 ms, on a processor that the home servers share. Six
 * thousand of them took 63 us where each stood 4 KiB behind the one before, and take 6. */
struct request { uint64_t first_sent, last_sent; uint8_t *octets; uint32_t realm; uint16_t length; uint8_t waiting; };
static struct request *table[SOCKETS_MAX]; /* 256 identifiers a socket */
static unsigned waiting[SOCKETS_MAX]; /* of these, how many wait for an answer */
struct figure { uint32_t group, us, realm, second; };
static int by_group(const void *a, const void *b) {
    const struct figure *x = a, *y = b;
    return x->group != y->group ? (x->group > y->group) - (x->group < y->group) : (x->us > y->us) - (x->us < y->us);
}

/* The 99th percentile of each group, as a JSON array; the figures are sorted by it. */
static void print_groups(struct figure *figures, size_t n) {
    qsort(figures, n, sizeof *figures, by_group);
    printf("[");
    for (size_t from = 0, to; from < n; from = to) {
        for (to = from; to < n && figures[to].group == figures[from].group; to++);
        printf("%s%u", from ? ", " : "", figures[from + (size_t)((double)(to - from - 1) * 0.99)].us);
    }
    printf("]");
}

static uint64_t state = 88172645463325252u;
static uint64_t random64(void) { state ^= state << 13, state ^= state >> 7, state ^= state << 17; return state; }

static size_t build(const keyed *k, uint8_t *packet, uint8_t id, uint64_t number, const char *format, unsigned realms, size_t octets) {
    char name[254], realm[200], station[32];
    size_t at = HEADER;
    uint64_t r[2] = {random64(), random64()};
    packet[0] = ACCESS_REQUEST, packet[1] = id;
    memcpy(packet + AUTHENTICATOR, r, 16);
    at = append(packet, at, MESSAGE_AUTHENTICATOR, (uint8_t[16]){0}, 16);
    snprintf(realm, sizeof realm, format, (unsigned)(number % realms));
    int n = snprintf(name, sizeof name, "reader%u@%s", (unsigned)(number % 10000), realm);
    at = append(packet, at, USER_NAME, name, (size_t)n);
    n = snprintf(station, sizeof station, "02-00-5E-10-%02X-%02X", (unsigned)(number >> 8 & 0x1f), (unsigned)(number & 255));
    at = append(packet, at, CALLING_STATION_ID, station, (size_t)n);
    at = append(packet, at, CALLED_STATION_ID, "02-00-5E-20-00-01:biebroam", 26);
    at = append(packet, at, NAS_IDENTIFIER, "reading-room", 12);
    at = append(packet, at, NAS_PORT_TYPE, (uint8_t[4]){0, 0, 0, 19}, 4);
    /* EAP-Response/Identity of whatever size brings the packet to the octets asked for. */
    size_t room = octets > at + 8 ? octets - at : 8, pieces = (room + 254) / 255, length = room - 2 * pieces;
    uint8_t eap[PACKET_MAX];
    memset(eap, 'x', sizeof eap);
    eap[0] = 2, eap[1] = id, eap[2] = (uint8_t)(length >> 8), eap[3] = (uint8_t)length, eap[4] = 1;
    for (size_t from = 0; from < length; from += 253)
        at = append(packet, at, EAP_MESSAGE, eap + from, length - from < 253 ? length - from : 253);
    set_length(packet, at);
    message_authenticator(k, packet, at, packet + HEADER + 2);
    return at;
}

static int key_is_right(const keyed *k, const uint8_t *value, size_t n, const uint8_t *authenticator) {
    int vendor_type = value[4];
    if (n != 6 + 2 + HIDDEN_OCTETS) return 0;
    for (int block = 0; block < HIDDEN_OCTETS; block += 16) {
        MD5_CTX c = k->plain;
        uint8_t mask[16];
        if (block) MD5_Update(&c, value + 8 + block - 16, 16);
        else MD5_Update(&c, authenticator, 16), MD5_Update(&c, value + 6, 2);
        MD5_Final(mask, &c);
        for (int i = 0; i < 16; i++) {
            int place = block + i - 1;
            uint8_t plain = value[8 + block + i] ^ mask[i];
            if (place < 0 ? plain != KEY_OCTETS : place < KEY_OCTETS && plain != key_pattern(vendor_type, place)) return 0;
        }
    }
    return 1;
}

/* 0: all is right. 1: an authenticator is wrong. 2: keys wrong or missing. 3: a Proxy-State that we never sent. */
static int fault_of(const keyed *k, uint8_t *answer, size_t n, const uint8_t *authenticator, int keys) {
    uint8_t given[16], expected[16];
    size_t at, message_authenticator_at = 0;
    int right_keys = 0, leaked = 0;
    memcpy(given, answer + AUTHENTICATOR, 16);
    memcpy(answer + AUTHENTICATOR, authenticator, 16);
    response_authenticator(k, answer, n, expected);
    if (memcmp(given, expected, 16)) return 1;
    for (at = HEADER; at + 2 <= n && answer[at + 1] >= 2; at += answer[at + 1]) {
        const uint8_t *v = answer + at + 2;
        if (answer[at] == MESSAGE_AUTHENTICATOR) message_authenticator_at = at + 2;
        if (answer[at] == PROXY_STATE) leaked = 1;
        if (answer[at] == VENDOR_SPECIFIC && answer[at + 1] > 8 && v[2] == 1 && v[3] == 0x37 && (v[4] == 16 || v[4] == 17))
            right_keys += key_is_right(k, v, answer[at + 1] - 2u, authenticator);
    }
    if (at != n || !message_authenticator_at) return 1;
    memcpy(given, answer + message_authenticator_at, 16);
    memset(answer + message_authenticator_at, 0, 16);
    message_authenticator(k, answer, n, expected);
    if (memcmp(given, expected, 16)) return 1;
    if (keys && answer[0] == ACCESS_ACCEPT && right_keys != 2) return 2;
    return leaked ? 3 : 0;
}

int main(int argc, char **argv) {
    const char *port = "", *secret = "", *host = "127.0.0.1", *format = "r%u.bench.example", *source = NULL;
    unsigned window = 32, realms = 50, sockets = 0;
    size_t octets = 225, spread = 0;
    double seconds = 5, rate = 0;
    uint64_t count = 0, timeout = 3000000000u, again = 0;
    int keys = 1, option;
    struct option options[] = {{"port", 1, 0, 'p'}, {"secret", 1, 0, 's'}, {"host", 1, 0, 'h'}, {"source", 1, 0, 'S'}, {"seconds", 1, 0, 't'},
                               {"count", 1, 0, 'n'}, {"window", 1, 0, 'w'}, {"rate", 1, 0, 'R'}, {"realms", 1, 0, 'r'},
                               {"realm-format", 1, 0, 'f'}, {"octets", 1, 0, 'o'}, {"spread", 1, 0, 'd'}, {"timeout-ms", 1, 0, 'T'},
                               {"retransmit-ms", 1, 0, 'a'}, {"sockets", 1, 0, 'i'}, {"no-keys", 0, 0, 'k'}, {0}};
    while ((option = getopt_long(argc, argv, "", options, 0)) != -1) switch (option) {
        case 'p': port = optarg; break;
        case 's': secret = optarg; break;
        case 'h': host = optarg; break;
        case 'S': source = optarg; break;
        case 't': seconds = atof(optarg); break;
        case 'n': count = strtoull(optarg, 0, 10); break;
        case 'w': window = (unsigned)atoi(optarg); break;
        case 'R': rate = atof(optarg); break;
        case 'r': realms = (unsigned)atoi(optarg); break;
        case 'f': format = optarg; break;
        case 'o': octets = strtoull(optarg, 0, 10); break;
        case 'd': spread = strtoull(optarg, 0, 10); break;
        case 'T': timeout = strtoull(optarg, 0, 10) * 1000000u; break;
        case 'a': again = strtoull(optarg, 0, 10) * 1000000u; break;
        case 'i': sockets = (unsigned)atoi(optarg); break;
        case 'k': keys = 0; break;
        default: return 2;
    }
    /* Identifiers are used in turn over all sockets, so one comes again as late as can be. */
    if (!sockets) sockets = window / 64 + 8; /* always more identifiers than the window */
    if (sockets > SOCKETS_MAX) sockets = SOCKETS_MAX;
    if (window > sockets * 250 || !realms || octets + spread > 4000 || octets + spread < octets) { fprintf(stderr, "window, realms or octets out of range\n"); return 2; }
    keyed key;
    key_with(&key, secret);
    int fd[SOCKETS_MAX], poller = epoll_create1(0);
    for (unsigned i = 0; i < sockets; i++) {
        fd[i] = udp_socket(host, port, source, 0, 0);
        table[i] = calloc(256, sizeof(struct request));
        uint8_t *octets = calloc(256, PACKET_MAX);
        if (!table[i] || !octets) { perror("calloc"); return 1; }
        for (int id = 0; id < 256; id++) table[i][id].octets = octets + id * PACKET_MAX;
        struct epoll_event event = {.events = EPOLLIN, .data.u32 = i};
        epoll_ctl(poller, EPOLL_CTL_ADD, fd[i], &event);
    }
    size_t capacity = 1 << 16, measured = 0;
    struct figure *latency = malloc(capacity * sizeof *latency);
    uint64_t sent = 0, accepts = 0, rejects = 0, lost = 0, repeats = 0, strays = 0, faults[4] = {0}, longest_gap = 0;
    uint64_t start = nanoseconds(), end = start + (uint64_t)(seconds * 1e9), scan = start, last_answer = start, cursor = 0;
    unsigned flying = 0;
    for (;;) {
        uint64_t now = nanoseconds();
        int open = count ? sent < count : now < end;
        if (!open && !flying) break;
        while (open && flying < window && (!count || sent < count)) {
            if (rate > 0 && (double)sent >= (double)(now - start) / 1e9 * rate) break;
            unsigned tries = 0;
            while (table[cursor % sockets][cursor / sockets % 256].waiting && tries++ < sockets * 256) cursor++;
            struct request *q = &table[cursor % sockets][cursor / sockets % 256];
            q->length = (uint16_t)build(&key, q->octets, (uint8_t)(cursor / sockets), sent, format, realms, octets + (spread ? random64() % (spread + 1) : 0));
            q->first_sent = q->last_sent = nanoseconds(), q->waiting = 1, waiting[cursor % sockets]++, q->realm = (uint32_t)(sent % realms);
            if (send(fd[cursor % sockets], q->octets, q->length, 0) < 0 && errno != EAGAIN && errno != ECONNREFUSED) { perror("send"); return 1; }
            cursor++, sent++, flying++;
        }
        struct epoll_event events[16];
        int n = epoll_wait(poller, events, 16, open && rate > 0 && flying < window ? 1 : 20);
        for (int e = 0; e < n; e++) {
            unsigned s = events[e].data.u32;
            uint8_t answer[PACKET_MAX];
            ssize_t received;
            while ((received = recv(fd[s], answer, sizeof answer, 0)) >= 0) {
                struct request *q = received < HEADER ? NULL : &table[s][answer[1]];
                now = nanoseconds();
                if (!q || !q->waiting || (size_t)received < get_length(answer)) { strays++; continue; }
                int fault = fault_of(&key, answer, get_length(answer), q->octets + AUTHENTICATOR, keys);
                if (fault == 1) { faults[1]++; continue; } /* not an answer: the right one may still come */
                faults[fault]++;
                *(answer[0] == ACCESS_ACCEPT ? &accepts : &rejects) += 1;
                q->waiting = 0, waiting[s]--, flying--;
                if (measured == capacity) latency = realloc(latency, (capacity *= 2) * sizeof *latency);
                latency[measured++] = (struct figure){.us = (uint32_t)((now - q->first_sent) / 1000u), .realm = q->realm, .second = (uint32_t)((q->first_sent - start) / 1000000000u)};
                if (now - last_answer > longest_gap) longest_gap = now - last_answer;
                last_answer = now;
            }
        }
        now = nanoseconds();
        if (now - scan > 20000000u) {
            scan = now;
            for (unsigned s = 0; s < sockets; s++)
                for (int id = 0; id < 256 && waiting[s]; id++) {
                    struct request *q = &table[s][id];
                    if (!q->waiting) continue;
                    if (now - q->first_sent > timeout) q->waiting = 0, waiting[s]--, flying--, lost++;
                    else if (again && now - q->last_sent > again) { q->last_sent = now, repeats++; if (send(fd[s], q->octets, q->length, 0) < 0) continue; }
                }
        }
    }
    double took = (double)(last_answer - start) / 1e9;
    qsort(latency, measured, sizeof *latency, by_group); /* all are of one group yet */
#define AT(p) (measured ? latency[(size_t)((double)(measured - 1) * (p))].us : 0)
    printf("{\"sent\": %lu, \"accepts\": %lu, \"rejects\": %lu, \"lost\": %lu, \"retransmitted\": %lu, \"strays\": %lu, \"wrong_authenticator\": %lu, "
           "\"wrong_keys\": %lu, \"leaked_proxy_state\": %lu, \"seconds\": %.3f, \"per_second\": %.1f, \"p50_us\": %u, \"p90_us\": %u, \"p99_us\": %u, \"p999_us\": %u, \"max_us\": %u, "
           "\"longest_gap_ms\": %.1f, \"realms_p99_us\": ",
           sent, accepts, rejects, lost, repeats, strays, faults[1], faults[2], faults[3], took, took > 0 ? (double)measured / took : 0,
           AT(0.5), AT(0.9), AT(0.99), AT(0.999), measured ? latency[measured - 1].us : 0, (double)longest_gap / 1e6);
    for (size_t i = 0; i < measured; i++) latency[i].group = latency[i].realm;
    print_groups(latency, measured);
    printf(", \"seconds_p99_us\": ");
    for (size_t i = 0; i < measured; i++) latency[i].group = latency[i].second;
    print_groups(latency, measured);
    printf("}\n");
    return 0;
}
