/* What texts of a certain kind look like: each says what is wrong with `text`, or NULL. Pure. */
#ifndef CONFIG_CONFIG_FORMS_H
#define CONFIG_CONFIG_FORMS_H

#include <stdbool.h>

/* 127.0.0.1, ::1 */
const char *config_forms_address(const char *text);
/* 10.0.0.0/8, fd00::/8, 192.0.2.7 */
const char *config_forms_network(const char *text);
/* An origin of the library's lists: https://a.example:8443, the same with "*." before its host, or "*" */
const char *config_forms_origin(const char *text);
/* /chat */
const char *config_forms_namespace(const char *text);
/* http or https, without credentials; the second without a query, the third https or on loopback */
const char *config_forms_url(const char *text);
const char *config_forms_base_url(const char *text);
const char *config_forms_key_url(const char *text);
/* RS256 */
const char *config_forms_algorithm(const char *text);
/* app_metadata.role */
const char *config_forms_claim(const char *text);
/* STUDENT; teacher=PROFESSOR */
const char *config_forms_role(const char *text);
const char *config_forms_role_pair(const char *text);
/* name:sha256-hex */
const char *config_forms_api_key(const char *text);
/* The name of a cookie. */
const char *config_forms_token(const char *text);
/* What crypt(3) writes. */
const char *config_forms_crypt(const char *text);
/* What may stand behind "Bearer ". */
const char *config_forms_bearer(const char *text);
/* The name of a rate class. */
const char *config_forms_class(const char *text);
bool config_forms_is_loopback(const char *address);

#endif
