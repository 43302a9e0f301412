/*
 * jansson next to base/json.h, which uses some of the same names: jansson's types are called JANSSON_... here, and its macros that
 * ask for a type (json_is_object and so on) must not be used.
 */
#ifndef BASE_TEST_ORACLE_H
#define BASE_TEST_ORACLE_H

#define json_type   jansson_type
#define JSON_OBJECT JANSSON_OBJECT
#define JSON_ARRAY  JANSSON_ARRAY
#define JSON_STRING JANSSON_STRING
#define JSON_TRUE   JANSSON_TRUE
#define JSON_FALSE  JANSSON_FALSE
#define JSON_NULL   JANSSON_NULL
#include <jansson.h>
#undef json_type
#undef JSON_OBJECT
#undef JSON_ARRAY
#undef JSON_STRING
#undef JSON_TRUE
#undef JSON_FALSE
#undef JSON_NULL
#include "base/json.h"

#endif
