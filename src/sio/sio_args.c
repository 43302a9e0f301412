/* The arguments of events and acknowledgements, as the application reads them. Pure. */
#include <convene/json.h>
#include "sio/sio_packet.h"

size_t cvn_args_count(cvn_args args)
{
    size_t count = 0;
    cvn_slice value;
    while (json_next(&args.json, &value))
        count++;
    return count;
}

cvn_slice cvn_args_at(cvn_args args, size_t index)
{
    cvn_slice value;
    while (json_next(&args.json, &value))
        if (index-- == 0)
            return value;
    return (cvn_slice){NULL, 0};
}

bool cvn_args_binary(cvn_args args, cvn_slice value, cvn_slice *ret_bytes)
{
    uint64_t num;
    if (!sio_packet_placeholder(value, &num) || num >= args.attachment_count)
        return false;
    *ret_bytes = args.attachments[num];
    return true;
}
