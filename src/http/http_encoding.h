/* What a client takes its answers in (RFC 9110 section 12.5.3). Pure. */
#ifndef HTTP_ENCODING_H
#define HTTP_ENCODING_H

#include "http/http_head.h"

enum http_encoding {
    HTTP_IDENTITY, /* as it is */
    HTTP_GZIP,
    HTTP_DEFLATE /* RFC 1950, whatever the name says */
};

/* The content coding to answer in, by Accept-Encoding: the one of gzip and deflate that the client likes better, gzip when it likes both
 * as much; HTTP_IDENTITY when it takes neither, says nothing, or says that it likes that better. Elements that break
 * the grammar are passed over. */
enum http_encoding http_encoding_choose(const struct http_head *head);
/* "gzip", "deflate", "identity". */
cvn_slice http_encoding_name(enum http_encoding encoding);

#endif
