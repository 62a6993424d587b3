/* homesim: a home server that accepts everybody as fast as it can, so that the proxy before it is what is measured.
 *
 *   homesim --port P --secret S [--host H] [--no-keys] [--delay-ms D] [--silent PART [--flap-ms F | --slow-ms D] [--answers-first]]
 *
 * Answers Access-Request with Access-Accept (Message-Authenticator first, User-Name, EAP-Success, two MS-MPPE keys of a
 * known pattern, each Proxy-State in order) and Status-Server with Access-Accept. Requests whose User-Name contains
 * PART get no answer; with --flap-ms none in every other F milliseconds; with --slow-ms a late one; with
 * --answers-first all of that from SIGUSR1 on. SIGTERM ends it, with its counters on standard error as JSON. */
#include "lab.h"

enum { BATCH = 64, HELD = 1 << 16 };
static volatile sig_atomic_t stopping;
static volatile sig_atomic_t in_trouble = 1;
static void stop(int signal_number) { (void)signal_number, stopping = 1; }
static void fall(int signal_number) { (void)signal_number, in_trouble = 1; }

struct held { uint64_t due; struct sockaddr_storage to; size_t length; uint8_t octets[1024]; };

static size_t append_key(const keyed *k, uint8_t *packet, size_t at, int vendor_type, const uint8_t *authenticator) {
    static uint16_t salt;
    uint8_t value[6 + 2 + HIDDEN_OCTETS] = {0, 0, 1, 0x37, (uint8_t)vendor_type, 4 + HIDDEN_OCTETS}, plain[HIDDEN_OCTETS] = {KEY_OCTETS};
    for (int i = 0; i < KEY_OCTETS; i++) plain[1 + i] = key_pattern(vendor_type, i);
    salt++;
    value[6] = (uint8_t)(0x80 | salt >> 8), value[7] = (uint8_t)salt;
    for (int block = 0; block < HIDDEN_OCTETS; block += 16) {
        MD5_CTX c = k->plain;
        uint8_t mask[16];
        if (block) MD5_Update(&c, value + 8 + block - 16, 16);
        else MD5_Update(&c, authenticator, 16), MD5_Update(&c, value + 6, 2);
        MD5_Final(mask, &c);
        for (int i = 0; i < 16; i++) value[8 + block + i] = plain[block + i] ^ mask[i];
    }
    return append(packet, at, VENDOR_SPECIFIC, value, sizeof value);
}

/* Write the answer to the request into `answer`; 0 when the request deserves none. */
static size_t answer_to(const keyed *k, uint8_t *request, size_t received, uint8_t *answer, int keys, const char *silent, int *is_silent) {
    size_t n = received < HEADER ? 0 : get_length(request), authenticator_at = 0, at = HEADER, i;
    uint8_t given[16], expected[16];
    int has_eap = 0;
    if (n < HEADER || n > received || (request[0] != ACCESS_REQUEST && request[0] != STATUS_SERVER)) return 0;
    for (i = HEADER; i + 2 <= n && request[i + 1] >= 2; i += request[i + 1]) {
        if (request[i] == MESSAGE_AUTHENTICATOR) authenticator_at = i + 2;
        if (request[i] == EAP_MESSAGE) has_eap = 1;
        if (silent && request[i] == USER_NAME && memmem(request + i + 2, request[i + 1] - 2u, silent, strlen(silent))) *is_silent = 1;
    }
    if (i != n || !authenticator_at) return 0;
    memcpy(given, request + authenticator_at, 16);
    memset(request + authenticator_at, 0, 16);
    message_authenticator(k, request, n, expected);
    if (memcmp(given, expected, 16)) return 0;
    answer[0] = ACCESS_ACCEPT, answer[1] = request[1];
    memcpy(answer + AUTHENTICATOR, request + AUTHENTICATOR, 16);
    at = append(answer, at, MESSAGE_AUTHENTICATOR, (uint8_t[16]){0}, 16);
    for (i = HEADER; i < n; i += request[i + 1])
        if ((request[i] == USER_NAME || request[i] == PROXY_STATE) && at + request[i + 1] < 700)
            at = append(answer, at, request[i], request + i + 2, request[i + 1] - 2u);
    if (has_eap) at = append(answer, at, EAP_MESSAGE, (uint8_t[4]){3, request[1], 0, 4}, 4);
    if (keys && request[0] == ACCESS_REQUEST) {
        at = append_key(k, answer, at, 16, request + AUTHENTICATOR);
        at = append_key(k, answer, at, 17, request + AUTHENTICATOR);
    }
    set_length(answer, at);
    message_authenticator(k, answer, at, answer + HEADER + 2);
    response_authenticator(k, answer, at, expected);
    memcpy(answer + AUTHENTICATOR, expected, 16);
    return at;
}

int main(int argc, char **argv) {
    const char *port = "0", *secret = "", *host = "127.0.0.1", *silent = NULL;
    int keys = 1, option;
    uint64_t delay = 0, flap = 0, slow = 0, first = 0, last = 0, requests = 0, answers = 0;
    struct option options[] = {{"port", 1, 0, 'p'}, {"secret", 1, 0, 's'}, {"host", 1, 0, 'h'}, {"no-keys", 0, 0, 'k'},
                               {"delay-ms", 1, 0, 'd'}, {"silent", 1, 0, 'x'}, {"flap-ms", 1, 0, 'f'}, {"slow-ms", 1, 0, 'l'},
                               {"answers-first", 0, 0, 'a'}, {0}};
    while ((option = getopt_long(argc, argv, "", options, 0)) != -1) switch (option) {
        case 'p': port = optarg; break;
        case 's': secret = optarg; break;
        case 'h': host = optarg; break;
        case 'k': keys = 0; break;
        case 'd': delay = strtoull(optarg, 0, 10) * 1000000u; break;
        case 'x': silent = optarg; break;
        case 'f': flap = strtoull(optarg, 0, 10) * 1000000u; break;
        case 'l': slow = strtoull(optarg, 0, 10) * 1000000u; break;
        case 'a': in_trouble = 0; break;
        default: return 2;
    }
    keyed key;
    key_with(&key, secret);
    int fd = udp_socket(host, port, NULL, 1, 0);
    if (delay && slow) return 2; /* what is held leaves in the order in which it came */
    struct held *held = delay || slow ? calloc(HELD, sizeof *held) : NULL;
    static uint8_t in[BATCH][PACKET_MAX], out[BATCH][1024];
    static struct sockaddr_storage from[BATCH];
    static struct iovec in_at[BATCH], out_at[BATCH];
    static struct mmsghdr receive[BATCH], transmit[BATCH];
    signal(SIGTERM, stop), signal(SIGINT, stop), signal(SIGUSR1, fall);
    while (!stopping) {
        struct pollfd waiting = {fd, POLLIN, 0};
        int pause = 200, n, ready = 0;
        if (first != last) {
            uint64_t now = nanoseconds(), due = held[first % HELD].due;
            pause = due <= now ? 0 : (int)((due - now) / 1000000u) + 1;
        }
        poll(&waiting, 1, pause);
        for (uint64_t now = nanoseconds(); first != last && held[first % HELD].due <= now; first++, answers++) {
            struct held *h = &held[first % HELD];
            sendto(fd, h->octets, h->length, 0, (struct sockaddr *)&h->to, sizeof h->to);
        }
        for (int i = 0; i < BATCH; i++) {
            in_at[i] = (struct iovec){in[i], PACKET_MAX};
            receive[i].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &in_at[i], .msg_iovlen = 1};
        }
        if ((n = recvmmsg(fd, receive, BATCH, MSG_DONTWAIT, NULL)) < 0) continue;
        for (int i = 0; i < n; i++) {
            int is_silent = 0;
            size_t length = answer_to(&key, in[i], receive[i].msg_len, out[ready], keys, silent, &is_silent);
            is_silent &= in_trouble;
            requests++;
            if (!length || (is_silent && !slow && (!flap || nanoseconds() / flap % 2))) continue;
            if (delay || (is_silent && slow)) {
                if (last - first >= HELD) continue;
                struct held *h = &held[last++ % HELD];
                h->due = nanoseconds() + (delay ? delay : slow), h->to = from[i], h->length = length;
                memcpy(h->octets, out[ready], length);
                continue;
            }
            out_at[ready] = (struct iovec){out[ready], length};
            transmit[ready].msg_hdr = (struct msghdr){.msg_name = &from[i], .msg_namelen = receive[i].msg_hdr.msg_namelen, .msg_iov = &out_at[ready], .msg_iovlen = 1};
            ready++;
        }
        for (int sent = 0, wrote; sent < ready; sent += wrote > 0 ? wrote : 0) {
            wrote = sendmmsg(fd, transmit + sent, (unsigned)(ready - sent), 0);
            if (wrote < 0 && errno != EAGAIN && errno != EINTR) break;
            answers += wrote > 0 ? (uint64_t)wrote : 0;
        }
    }
    fprintf(stderr, "{\"requests\": %lu, \"answers\": %lu}\n", requests, answers);
    return 0;
}
