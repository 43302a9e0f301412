/*
 * Tokens and claims. The first byte chooses: the rest is a token as it came, or the payload of one that is signed right, or the header of one. What is
 * taken must have a sound principal; what was not signed must never be taken; what is refused has a reason.
 */
#include <stdlib.h>
#include "auth/auth.h"
#include "auth/auth_base64.h"
#include "auth/auth_claims.h"
#include "auth/auth_signature.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            abort();                                                                               \
    } while (0)

#define MAX_SIZE ((size_t)6000)
#define SECRET   "0123456789abcdef0123456789abcdef"

static struct auth *auth;
static bool may_be_taken;

static int64_t unix_s(void *data)
{
    (void)data;
    return 1700000000;
}

static void start(void)
{
    static const char *const user[] = {"sub", "user.id", NULL}, *const email[] = {"email", NULL},
                             *const name[] = {"name", "user_metadata.name", NULL},
                             *const role[] = {"app_metadata.role", "role", NULL},
                             *const org[] = {"org", NULL}, *const divisions[] = {"divisions", NULL},
                             *const courses[] = {"courses", NULL},
                             *const scopes[] = {"scope", NULL};
    struct config config = {0};
    config.auth.secret = SECRET;
    config.auth.max_token_bytes = 16384;
    config.auth.claim_user_id = (struct config_list){user, 2};
    config.auth.claim_email = (struct config_list){email, 1};
    config.auth.claim_name = (struct config_list){name, 2};
    config.auth.claim_role = (struct config_list){role, 2};
    config.auth.claim_org_id = (struct config_list){org, 1};
    config.auth.claim_division_ids = (struct config_list){divisions, 1};
    config.auth.claim_courses = (struct config_list){courses, 1};
    config.auth.claim_scopes = (struct config_list){scopes, 1};
    auth = auth_new(&config, NULL, NULL);
    CHECK(auth != NULL);
    auth_set_clock(auth, &(struct auth_clock){.unix_s = unix_s});
}

static void check_text(const char *text, size_t max)
{
    CHECK(text[0] != '\0' && strlen(text) <= max);
    for (; *text != '\0'; text++)
        CHECK((unsigned char)*text >= 0x20 && *text != 0x7f);
}

static void check_ids(const struct principal_ids *ids)
{
    CHECK(ids->count <= PRINCIPAL_MAX_IDS);
    for (size_t i = 0; i < ids->count; i++)
        check_text(ids->items[i], PRINCIPAL_MAX_ID);
}

static void on_verdict(enum auth_refusal refusal, struct principal *principal, const char *why,
                       void *data)
{
    ++*(unsigned *)data;
    CHECK((refusal == AUTH_OK) == (principal != NULL) && (refusal == AUTH_OK) == (why == NULL));
    if (principal == NULL)
        return;
    CHECK(may_be_taken);
    check_text(principal->user_id, PRINCIPAL_MAX_ID);
    if (principal->org_id != NULL)
        check_text(principal->org_id, PRINCIPAL_MAX_ID);
    if (principal->jti != NULL)
        check_text(principal->jti, PRINCIPAL_MAX_ID);
    if (principal->name != NULL)
        check_text(principal->name, AUTH_MAX_TEXT);
    if (principal->email != NULL)
        check_text(principal->email, AUTH_MAX_TEXT);
    check_ids(&principal->division_ids);
    check_ids(&principal->courses);
    check_ids(&principal->scopes);
    CHECK(principal->role > ROLE_NONE && principal->role <= ROLE_SERVICE);
    CHECK(principal->expires_at == 0 || principal->expires_at >= 1700000000);
    CHECK(principal->issued_at >= 0 && principal->issued_at <= 1700000000);
    principal_unref(principal);
}

static void verify(const char *token, size_t size)
{
    unsigned answers = 0;
    char *copy = malloc(size > 0 ? size : 1);
    CHECK(copy != NULL);
    memcpy(copy, token, size);
    auth_verify(auth, (cvn_slice){copy, size}, on_verdict, &answers);
    CHECK(answers == 1);
    free(copy);
}

static void verify_signed(cvn_slice header, cvn_slice payload)
{
    char token[2 * MAX_SIZE + 400];
    uint8_t mac[EVP_MAX_MD_SIZE];
    size_t mac_size;
    size_t size = auth_base64url_encode((const uint8_t *)header.data, header.size, token);
    token[size++] = '.';
    size += auth_base64url_encode((const uint8_t *)payload.data, payload.size, token + size);
    CHECK(
        auth_signature_make(AUTH_HS256, cvn_str(SECRET), (cvn_slice){token, size}, mac, &mac_size));
    token[size++] = '.';
    size += auth_base64url_encode(mac, mac_size, token + size);
    verify(token, size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (auth == NULL)
        start();
    if (size == 0 || size > MAX_SIZE)
        return 0;
    const cvn_slice rest = {(const char *)data + 1, size - 1};
    may_be_taken = data[0] == 'p' || data[0] == 'h';
    if (data[0] == 'p')
        verify_signed(cvn_str("{\"alg\":\"HS256\"}"), rest);
    else if (data[0] == 'h')
        verify_signed(rest, cvn_str("{\"sub\":\"a\",\"role\":\"ADMIN\"}"));
    else
        verify(rest.data, rest.size);
    return 0;
}
