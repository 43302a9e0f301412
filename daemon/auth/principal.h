/*
 * Who somebody is: what a token's claims say, once it was verified. A principal never changes and is shared by reference; any thread.
 */
#ifndef AUTH_PRINCIPAL_H
#define AUTH_PRINCIPAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum role { ROLE_NONE, ROLE_STUDENT, ROLE_PROFESSOR, ROLE_ADMIN, ROLE_SERVICE };
/* Bits for sets of roles in tables: ROLE_BIT(ROLE_ADMIN) | ... */
#define ROLE_BIT(role) (1u << (role))

#define PRINCIPAL_MAX_ID                                                                           \
    128 /* bytes of user, organisation, division, course ids; longer ones make a token invalid */
#define PRINCIPAL_MAX_IDS 256 /* divisions, courses, scopes each */

struct principal_ids {
    char **items;
    size_t count;
};

struct principal {
    const char *user_id;                     /* never NULL, never empty */
    const char *email, *name, *org_id, *jti; /* NULL: not said; an org_id has no colon */
    enum role role;
    struct principal_ids division_ids, courses, scopes; /* division ids without colons */
    int64_t expires_at;                                 /* Unix seconds; 0: never */
    int64_t issued_at;                                  /* 0: not said */
};

/* A copy of all that `from` points to, with one reference, to be dropped with principal_unref; NULL when memory has run out. */
struct principal *principal_new(const struct principal *from);
struct principal *principal_ref(struct principal *principal);
void principal_unref(struct principal *principal); /* NULL is accepted */

const char *role_name(enum role role); /* "STUDENT", ...; "" for ROLE_NONE */
bool role_parse(const char *name, enum role *ret);
bool principal_has_scope(const struct principal *principal, const char *scope);
bool principal_in_division(const struct principal *principal, const char *division_id);
bool principal_in_course(const struct principal *principal, const char *course_id);

#endif
