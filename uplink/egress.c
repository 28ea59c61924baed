/* SPDX-License-Identifier: Apache-2.0
 * uplink/egress.c: see egress.h. Messages of DNS come from the sandbox and from the network: every length is
 * checked. Sources: RFC 1035 section 4, RFC 3596.
 */
#include "uplink/egress.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "netstack/wire/wire_ipv4.h"

enum { DNS_HEADER = 12, DNS_NAME_MAX = 255, LABEL_MAX = 63, QUESTION_TAIL = 4, RR_TAIL = 10, JUMPS_MAX = 32 };
enum { TYPE_A = 1, TYPE_AAAA = 28, CLASS_IN = 1, FLAG_ANSWER = 0x8000, FLAG_RECURSION = 0x80, REFUSED = 5 };
enum {
    RULE_TCP = 1,
    RULE_UDP = 2,
    RULE_ICMP = 4,
    MAX_RANGES = 16,
    PIN_AT_LEAST_S = 60,
    PIN_AT_MOST_S = 86400
};

struct range {
    uint16_t first, last;
};

struct rule {
    unsigned protocols; /* RULE_* */
    char *name;         /* in small letters; owned; NULL: an address */
    bool below;         /* *.name: what is below it, not itself */
    struct ipa ip;
    unsigned prefix;
    struct range ports[MAX_RANGES];
    size_t port_count;
};

struct pin {
    struct ipa ip;
    size_t rule;
    int64_t until;
};

struct egress {
    struct rule *rules;
    size_t rule_count;
    struct pin *pins; /* a ring: the oldest gives way */
    size_t pin_count, pin_next;
};

/* ---- the file ---- */

static bool parse_ports(const char *text, struct rule *r) {
    char *end;

    if (strcmp(text, "*") == 0) {
        r->ports[r->port_count++] = (struct range){0, UINT16_MAX};
        return true;
    }
    for (;;) {
        unsigned long first = strtoul(text, &end, 10), last = first;
        if (end == text || r->port_count == MAX_RANGES)
            return false;
        if (*end == '-') {
            text = end + 1;
            last = strtoul(text, &end, 10);
            if (end == text)
                return false;
        }
        if (first > last || last > UINT16_MAX)
            return false;
        r->ports[r->port_count++] = (struct range){(uint16_t)first, (uint16_t)last};
        if (!*end)
            return true;
        if (*end != ',')
            return false;
        text = end + 1;
    }
}

static bool parse_name(const char *text, struct rule *r) {
    r->below = strncmp(text, "*.", 2) == 0;
    text += r->below ? 2 : 0;
    size_t len = strlen(text);
    if (len == 0 || len > DNS_NAME_MAX ||
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") != len)
        return false;
    len -= text[len - 1] == '.';
    r->name = strndup(text, len);
    for (char *c = r->name; c && *c; c++)
        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
    return r->name != NULL;
}

static bool parse_host(char *text, struct rule *r) {
    char *slash = strchr(text, '/'), *end;

    if (slash)
        *slash = '\0';
    if (!ipa_parse(text, &r->ip))
        return !slash && parse_name(text, r);
    unsigned whole = ipa_max_prefix(&r->ip);
    unsigned long prefix = slash ? strtoul(slash + 1, &end, 10) : whole;
    if (slash && (end == slash + 1 || *end || prefix > whole))
        return false;
    r->prefix = (unsigned)prefix;
    return true;
}

static bool parse_rule(char *line, struct rule *r) {
    static const struct {
        const char *name;
        unsigned protocols;
    } protocols[] = {
        {"tcp", RULE_TCP}, {"udp", RULE_UDP}, {"icmp", RULE_ICMP}, {"any", RULE_TCP | RULE_UDP | RULE_ICMP}};
    char *word[5] = {NULL}, *save = NULL;
    size_t n = 0;

    for (char *w = strtok_r(line, " \t\r", &save); w && n < ARRAY_SIZE(word);
         w = strtok_r(NULL, " \t\r", &save))
        word[n++] = w;
    if (n < 3 || n > 4 || strcmp(word[0], "allow") != 0)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(protocols); i++)
        if (strcmp(word[1], protocols[i].name) == 0)
            r->protocols = protocols[i].protocols;
    bool icmp = r->protocols == RULE_ICMP;
    return r->protocols && parse_host(word[2], r) && (icmp ? n == 3 : n == 4 && parse_ports(word[3], r));
}

int egress_parse(const char *text, size_t len, struct egress **ret, size_t *ret_line) {
    cleanup(freep) char *copy = len <= EGRESS_MAX_BYTES ? strndup(text, len) : NULL;
    struct egress *e = calloc(1, sizeof *e);
    int r = len > EGRESS_MAX_BYTES ? -E2BIG : copy && e ? 0 : -ENOMEM;
    size_t line = 0;

    if (r == 0) {
        e->rules = calloc(EGRESS_MAX_RULES, sizeof *e->rules);
        e->pins = calloc(EGRESS_MAX_PINS, sizeof *e->pins);
        r = e->rules && e->pins ? 0 : -ENOMEM;
    }
    if (r == 0 && strlen(copy) != len)
        r = -EINVAL; /* a zero byte hides the rest */
    for (char *at = copy, *next; r == 0 && at && *at; at = next) {
        next = at + strcspn(at, "\n");
        if (*next)
            *next++ = '\0';
        line++;
        at[strcspn(at, "#")] = '\0';
        if (at[strspn(at, " \t\r")] == '\0')
            continue;
        if (e->rule_count == EGRESS_MAX_RULES)
            r = -E2BIG;
        else if (!parse_rule(at, &e->rules[e->rule_count++]))
            r = -EINVAL;
    }
    if (r < 0) {
        egress_free(e);
        *ret_line = line;
        return r;
    }
    *ret = e;
    return 0;
}

void egress_free(struct egress *e) {
    if (!e)
        return;
    for (size_t i = 0; e->rules && i < e->rule_count; i++)
        free(e->rules[i].name);
    free(e->rules);
    free(e->pins);
    free(e);
}

/* ---- deciding ---- */

static bool pinned(const struct egress *e, size_t rule, const struct ipa *ip) {
    int64_t now = monotonic_ns();

    for (size_t i = 0; i < e->pin_count; i++)
        if (e->pins[i].rule == rule && e->pins[i].until > now && ipa_eq(&e->pins[i].ip, ip))
            return true;
    return false;
}

static bool port_listed(const struct rule *r, uint16_t port) {
    for (size_t i = 0; i < r->port_count; i++)
        if (port >= r->ports[i].first && port <= r->ports[i].last)
            return true;
    return false;
}

int egress_check(struct egress *e, uint8_t proto, const struct ipa *ip, uint16_t port) {
    unsigned bit = proto == IPPROTO_NUM_TCP ? RULE_TCP : proto == IPPROTO_NUM_UDP ? RULE_UDP : RULE_ICMP;
    char text[64];

    for (size_t i = 0; i < e->rule_count; i++) {
        const struct rule *r = &e->rules[i];
        bool host = r->name ? pinned(e, i, ip)
                            : ipa_is_v4(ip) == ipa_is_v4(&r->ip) && ipa_prefix_match(ip, &r->ip, r->prefix);
        if (r->protocols & bit && host && (bit == RULE_ICMP || port_listed(r, port)))
            return 0;
    }
    log_warning(LOG_NET, "egress denied: %s to %s port %u",
                bit == RULE_TCP   ? "tcp"
                : bit == RULE_UDP ? "udp"
                                  : "icmp",
                ipa_str(ip, text), port);
    return -EACCES;
}

/* ---- DNS ---- */

/* The name at *at in small letters, with a dot after every label, and *at behind it. False: it is none. */
static bool read_name(const uint8_t *m, size_t len, size_t *at, char name[DNS_NAME_MAX + 2]) {
    size_t pos = *at, out = 0;
    bool jumped = false;

    for (int jumps = 0; pos < len && jumps < JUMPS_MAX;) {
        uint8_t label = m[pos];
        if (label == 0) {
            name[out] = '\0';
            *at = jumped ? *at : pos + 1;
            return true;
        }
        if ((label & 0xc0) == 0xc0) {
            if (pos + 1 >= len)
                return false;
            if (!jumped)
                *at = pos + 2;
            jumped = true;
            pos = (size_t)(label & 0x3f) << 8 | m[pos + 1];
            jumps++;
            continue;
        }
        if (label > LABEL_MAX || pos + 1 + label > len || out + label + 1 > DNS_NAME_MAX)
            return false;
        for (size_t i = 0; i < label; i++) {
            uint8_t c = m[pos + 1 + i];
            if (c == '.' || c == 0)
                return false; /* would read as another name */
            name[out++] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
        }
        name[out++] = '.';
        pos += 1u + label;
    }
    return false;
}

static bool name_matches(const struct rule *r, const char *name) {
    size_t len = strlen(name), want = r->name ? strlen(r->name) : 0;

    if (!r->name || len == 0)
        return false;
    len--; /* the last dot */
    if (!r->below)
        return len == want && memcmp(name, r->name, want) == 0;
    return len > want + 1 && memcmp(name + len - want, r->name, want) == 0 && name[len - want - 1] == '.';
}

/* The one question of a message; *ret_at is behind it. */
static bool read_question(const uint8_t *m, size_t len, char name[DNS_NAME_MAX + 2], size_t *ret_at) {
    *ret_at = DNS_HEADER;
    if (len < DNS_HEADER || get_be16(m + 4) != 1 || !read_name(m, len, ret_at, name) ||
        *ret_at + QUESTION_TAIL > len)
        return false;
    *ret_at += QUESTION_TAIL;
    return true;
}

bool egress_dns_question(struct egress *e, uint8_t *m, size_t len, size_t room, size_t *ret_len) {
    char name[DNS_NAME_MAX + 2];
    size_t end;

    *ret_len = 0;
    if (len > room || !read_question(m, len, name, &end) || get_be16(m + 2) & FLAG_ANSWER)
        return false;
    for (size_t i = 0; i < e->rule_count; i++)
        if (name_matches(&e->rules[i], name))
            return true;
    log_warning(LOG_NET, "egress denied: the name %s", name);
    put_be16(m + 2, (uint16_t)(get_be16(m + 2) | FLAG_ANSWER));
    m[3] = (uint8_t)((m[3] & 0x70) | FLAG_RECURSION | REFUSED);
    memset(m + 6, 0, 6); /* no answers, no other sections */
    *ret_len = end;
    return false;
}

static void pin_address(struct egress *e, const char *name, const struct ipa *ip, uint32_t ttl_s) {
    int64_t seconds = MIN(MAX(ttl_s, (uint32_t)PIN_AT_LEAST_S), (uint32_t)PIN_AT_MOST_S);

    for (size_t i = 0; i < e->rule_count; i++) {
        if (!name_matches(&e->rules[i], name))
            continue;
        e->pins[e->pin_next] =
            (struct pin){.ip = *ip, .rule = i, .until = monotonic_ns() + seconds * NSEC_PER_SEC};
        e->pin_next = (e->pin_next + 1) % EGRESS_MAX_PINS;
        e->pin_count = MIN(e->pin_count + 1, (size_t)EGRESS_MAX_PINS);
    }
}

void egress_dns_answer(struct egress *e, const uint8_t *m, size_t len) {
    char asked[DNS_NAME_MAX + 2], owner[DNS_NAME_MAX + 2];
    size_t at;

    if (!read_question(m, len, asked, &at) || !(get_be16(m + 2) & FLAG_ANSWER))
        return;
    for (unsigned left = get_be16(m + 6); left > 0; left--) {
        if (!read_name(m, len, &at, owner) || at + RR_TAIL > len)
            return;
        uint16_t type = get_be16(m + at), class = get_be16(m + at + 2), size = get_be16(m + at + 8);
        uint32_t ttl = get_be32(m + at + 4);
        at += RR_TAIL;
        if (at + size > len)
            return;
        struct ipa ip;
        if (class == CLASS_IN && type == TYPE_A && size == 4)
            ip = ipa_from4_wire(m + at);
        else if (class == CLASS_IN && type == TYPE_AAAA && size == 16)
            ip = ipa_from6_wire(m + at);
        else
            ip = IPA_ANY6;
        if (!ipa_is_any(&ip)) /* of an alias's chain too: it was asked for by this name */
            pin_address(e, asked, &ip, ttl);
        at += size;
    }
}
