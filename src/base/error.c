/* Words for the public error codes. Any thread. */
#include <convene/types.h>

const char *cvn_strerror(enum cvn_error error)
{
    switch (error) {
    case CVN_OK:
        return "no error";
    case CVN_ERR_MEMORY:
        return "out of memory";
    case CVN_ERR_ARGUMENT:
        return "invalid argument";
    case CVN_ERR_STATE:
        return "not possible in this state";
    case CVN_ERR_LIMIT:
        return "a limit would be exceeded";
    case CVN_ERR_JSON:
        return "invalid JSON";
    case CVN_ERR_SYSTEM:
        return "system error";
    case CVN_ERR_TLS:
        return "certificate or key refused";
    case CVN_ERR_NOT_FOUND:
        return "not found";
    case CVN_ERR_TIMEOUT:
        return "timed out";
    }
    return "unknown error";
}
