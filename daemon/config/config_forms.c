/* The forms of addresses, networks, origins, URLs and the like that settings take. Pure: no file is opened and no name resolved. */
#include "config/config_forms.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <stddef.h>
#include <string.h>

#define LETTERS    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS     "0123456789"
#define HOST_BYTES LETTERS DIGITS "-._"

const char *config_forms_address(const char *text)
{
    unsigned char address[16];
    return inet_pton(AF_INET, text, address) == 1 || inet_pton(AF_INET6, text, address) == 1
               ? NULL
               : "is not a numeric address like 127.0.0.1 or ::1";
}

bool config_forms_is_loopback(const char *address)
{
    static const unsigned char one[16] = {[15] = 1};
    unsigned char bytes[16];
    if (inet_pton(AF_INET, address, bytes) == 1)
        return bytes[0] == 127;
    return inet_pton(AF_INET6, address, bytes) == 1 && memcmp(bytes, one, sizeof one) == 0;
}

/* A number of 0..max without sign, spaces or leading zeros; -1: it is none. */
static int small_number(const char *text, int max)
{
    size_t length = strlen(text);
    int number = 0;
    if (length == 0 || length > 5 || strspn(text, DIGITS) != length || (text[0] == '0' && text[1]))
        return -1;
    for (; *text != '\0'; text++)
        number = number * 10 + (*text - '0');
    return number <= max ? number : -1;
}

const char *config_forms_network(const char *text)
{
    static const char *const wrong = "is not a network like 10.0.0.0/8 or fd00::/8";
    char address[INET6_ADDRSTRLEN];
    unsigned char bytes[16];
    const char *slash = strchr(text, '/');
    size_t length = slash != NULL ? (size_t)(slash - text) : strlen(text);
    if (length >= sizeof address)
        return wrong;
    memcpy(address, text, length);
    address[length] = '\0';
    int size = inet_pton(AF_INET, address, bytes) == 1    ? 4
               : inet_pton(AF_INET6, address, bytes) == 1 ? 16
                                                          : 0;
    int prefix = slash != NULL ? small_number(slash + 1, size * 8) : size * 8;
    if (size == 0 || prefix < 0)
        return wrong;
    for (int bit = prefix; bit < size * 8; bit++)
        if (bytes[bit / 8] & (0x80 >> bit % 8))
            return "has bits set behind its prefix: is the number after the slash right?";
    return NULL;
}

/* The bytes of "host", "host:port", "[v6]" or "[v6]:port" at the start of `text`; 0: there is no such thing. */
static size_t authority_length(const char *text)
{
    size_t length;
    if (text[0] == '[') {
        char address[INET6_ADDRSTRLEN];
        unsigned char bytes[16];
        size_t inside = strcspn(text + 1, "]");
        if (text[1 + inside] != ']' || inside >= sizeof address)
            return 0;
        memcpy(address, text + 1, inside);
        address[inside] = '\0';
        if (inet_pton(AF_INET6, address, bytes) != 1)
            return 0;
        length = inside + 2;
    } else {
        length = strspn(text, HOST_BYTES);
        if (length == 0 || length > 253)
            return 0;
    }
    if (text[length] == ':') {
        char port[6];
        size_t digits = strspn(text + length + 1, DIGITS);
        if (digits == 0 || digits >= sizeof port)
            return 0;
        memcpy(port, text + length + 1, digits);
        port[digits] = '\0';
        if (small_number(port, 65535) < 1)
            return 0;
        length += 1 + digits;
    }
    return length;
}

const char *config_forms_origin(const char *text)
{
    static const char *const wrong =
        "is not an origin like https://a.example, https://*.a.example or *";
    if (strcmp(text, "*") == 0 || strcmp(text, "null") == 0)
        return text[0] == '*' ? NULL : "would let every sandboxed page in";
    size_t scheme = strspn(text, LETTERS DIGITS "+-.");
    if (scheme == 0 || !isalpha((unsigned char)text[0]) || strncmp(text + scheme, "://", 3) != 0)
        return wrong;
    const char *at = text + scheme + 3;
    if (strncmp(at, "*.", 2) == 0)
        at += 2;
    size_t length = authority_length(at);
    if (length == 0)
        return wrong;
    return at[length] == '/'    ? "is not an origin: nothing may follow the host and port"
           : at[length] == '\0' ? NULL
                                : wrong;
}

const char *config_forms_namespace(const char *text)
{
    return text[0] == '/' && strpbrk(text, " ,?") == NULL ? NULL
                                                          : "is not a namespace like / or /chat";
}

const char *config_forms_url(const char *text)
{
    static const char *const wrong = "is not a URL like https://host:port/path";
    const char *at = strncmp(text, "https://", 8) == 0  ? text + 8
                     : strncmp(text, "http://", 7) == 0 ? text + 7
                                                        : NULL;
    if (at == NULL)
        return wrong;
    size_t authority = strcspn(at, "/?#");
    if (memchr(at, '@', authority) != NULL)
        return "may not hold a user name or password";
    size_t length = authority_length(at);
    if (length == 0 || length != authority)
        return wrong;
    for (at += length; *at != '\0'; at++)
        if ((unsigned char)*at <= 0x20 || (unsigned char)*at >= 0x7f || strchr("#\\\"<>", *at))
            return "holds a byte that has no place in a URL";
    return NULL;
}

const char *config_forms_base_url(const char *text)
{
    const char *wrong = config_forms_url(text);
    return wrong == NULL && strchr(text, '?') != NULL ? "may not have a query" : wrong;
}

const char *config_forms_key_url(const char *text)
{
    const char *wrong = config_forms_url(text);
    if (wrong != NULL || strncmp(text, "https://", 8) == 0)
        return wrong;
    char host[INET6_ADDRSTRLEN];
    const char *at = text + 7;
    bool bracket = *at == '[';
    size_t length = strcspn(at + bracket, bracket ? "]" : ":/?");
    if (length < sizeof host) {
        memcpy(host, at + bracket, length);
        host[length] = '\0';
        if (strcmp(host, "localhost") == 0 || config_forms_is_loopback(host))
            return NULL;
    }
    return "has to be https: whoever can change the answer can sign tokens (http is taken on "
           "loopback only)";
}

const char *config_forms_algorithm(const char *text)
{
    static const char *const known[] = {"HS256", "HS384", "HS512", "RS256", "RS384", "RS512",
                                        "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(text, known[i]) == 0)
            return NULL;
    return "is none of HS256, HS384, HS512, RS256, RS384, RS512, PS256, PS384, PS512, ES256, "
           "ES384, ES512";
}

const char *config_forms_claim(const char *text)
{
    size_t length = strlen(text);
    return length > 0 && text[0] != '.' && text[length - 1] != '.' && strstr(text, "..") == NULL
               ? NULL
               : "is not a path like sub or app_metadata.role";
}

static bool is_role(const char *text)
{
    return strcmp(text, "STUDENT") == 0 || strcmp(text, "PROFESSOR") == 0 ||
           strcmp(text, "ADMIN") == 0 || strcmp(text, "SERVICE") == 0;
}

const char *config_forms_role(const char *text)
{
    return is_role(text) ? NULL : "is none of STUDENT, PROFESSOR, ADMIN, SERVICE";
}

const char *config_forms_role_pair(const char *text)
{
    const char *equals = strrchr(text, '=');
    if (equals == NULL || equals == text)
        return "is not a pair like teacher=PROFESSOR";
    return is_role(equals + 1) || strcmp(equals + 1, "NONE") == 0
               ? NULL
               : "does not end with STUDENT, PROFESSOR, ADMIN, SERVICE or NONE";
}

const char *config_forms_api_key(const char *text)
{
    size_t name = strspn(text, LETTERS DIGITS "-._");
    if (name == 0 || name > 64 || text[name] != ':')
        return "is not NAME:HASH, a name of up to 64 letters, digits, \"-._\" and a hash";
    const char *hash = text + name + 1;
    return strlen(hash) == 64 && strspn(hash, DIGITS "abcdefABCDEF") == 64
               ? NULL
               : "has no SHA-256 of the key in 64 hexadecimal digits behind its name (printf %s "
                 "KEY "
                 "| sha256sum)";
}

const char *config_forms_token(const char *text)
{
    return text[strspn(text, LETTERS DIGITS "!#$%&'*+-.^_`|~")] == '\0'
               ? NULL
               : "holds a byte that has no place in the name of a cookie";
}

const char *config_forms_crypt(const char *text)
{
    /* DES and its like (no "$") are no protection today. */
    return text[0] == '$' && strchr(text + 1, '$') != NULL && strpbrk(text, ":*! \t") == NULL
               ? NULL
               : "is not a hash of crypt(3) like $y$... or $6$... (mkpasswd writes one)";
}

const char *config_forms_bearer(const char *text)
{
    return text[strspn(text, LETTERS DIGITS "-._~+/=")] == '\0'
               ? NULL
               : "holds bytes other than letters, digits and -._~+/=";
}

const char *config_forms_class(const char *text)
{
    size_t length = strlen(text);
    return length > 0 && length <= 32 &&
                   strspn(text, "abcdefghijklmnopqrstuvwxyz" DIGITS "_") == length
               ? NULL
               : "is not the name of a rate class: up to 32 small letters, digits and \"_\"";
}
