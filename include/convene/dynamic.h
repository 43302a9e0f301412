/**
 * @file
 * Dynamic namespaces: made when a client asks for a name, gone with their last socket.
 *
 *     cvn_namespace *documents = cvn_of_pattern(io, "^/document-[0-9]+$");
 *     cvn_use(documents, check_token, NULL);
 *     cvn_on(documents, "edit", on_edit, NULL);    // socket's: cvn_socket_namespace(socket)
 *
 * What cvn_of_pattern and cvn_of_predicate return is a parent: everything is registered on it as on
 * any namespace, and holds for each of its children. It has no sockets of its own. Every child has
 * its own sockets and rooms.
 *
 * A client that asks for a name nobody registered with cvn_of makes the parents be asked in the
 * order of registration; the first that wants the name has it. While a child exists, its own parent
 * alone is asked, and asked each time: a predicate's yes to one client is none to the next. Where
 * no parent wants the name the client hears "Invalid namespace", and "Too many namespaces" where
 * options.max_dynamic_namespaces would be exceeded.
 */
#ifndef CONVENE_DYNAMIC_H
#define CONVENE_DYNAMIC_H

#include <convene/namespace.h>

#ifdef __cplusplus
extern "C" {
#endif

/**
 * A parent for the names that match a POSIX extended regular expression; anchor it with ^ and $
 * where you mean the whole name. Names have their leading slash and at most 255 bytes. The
 * expression should have no back-references, whose matching may take exponential time. NULL when it
 * is none, memory has run out or the server runs already; cvn_server_start fails then, as with
 * every registration. Owned by the server.
 */
CVN_API cvn_namespace *cvn_of_pattern(cvn_server *server, const char *pattern);

/** What is known of a client that asks for a namespace. Valid while the predicate runs. */
typedef struct cvn_connect_request cvn_connect_request;
/** Whether `name`, with its leading slash, is wanted. Runs on the client's worker, so several may
 * run at once; it must not wait. To say no with a reason of your own use a middleware. */
typedef bool (*cvn_predicate_fn)(const char *name, const cvn_connect_request *request, void *data);
/** A parent for the names that `fn` wants. Errors as for cvn_of_pattern. */
CVN_API cvn_namespace *cvn_of_predicate(cvn_server *server, cvn_predicate_fn fn, void *data);

/** The auth payload of the CONNECT packet: a JSON object, "{}" when none was sent. */
CVN_API cvn_slice cvn_connect_auth(const cvn_connect_request *request);
/** A field of the opening request, by name in any case; NULL data when absent. */
CVN_API cvn_slice cvn_connect_header(const cvn_connect_request *request, const char *name);
/** A query parameter of the opening request, still percent-encoded; NULL data when absent. */
CVN_API cvn_slice cvn_connect_query(const cvn_connect_request *request, const char *name);
/** The peer's numeric address. */
CVN_API const char *cvn_connect_address(const cvn_connect_request *request);
/** Whether it came over TLS. */
CVN_API bool cvn_connect_is_secure(const cvn_connect_request *request);

/** The parent of a child; NULL for every other namespace. Any thread. */
CVN_API cvn_namespace *cvn_namespace_parent(const cvn_namespace *nsp);

/*
 * A child lives as long as one of its sockets (with connection state recovery: also as long as one
 * may come back) or a reference to it. Whoever holds neither a socket nor a reference must not
 * use its pointer, not even for a call like cvn_emit: inside of a handler its socket suffices, for
 * everything else take a reference. On other namespaces these do nothing.
 */

/** Keeps a child, and gives it back for convenience. Any thread. */
CVN_API cvn_namespace *cvn_namespace_ref(cvn_namespace *nsp);
/** Gives back what cvn_namespace_ref or cvn_find_namespace kept. NULL is accepted. Any thread; of a
 * child even after its server was freed, when nothing else may be done with it. */
CVN_API void cvn_namespace_unref(cvn_namespace *nsp);
/** The namespace of that name, a child or another, with a reference to be given back; NULL when
 * there is none. Nothing is made. A missing leading slash is added. Any thread, once the server has
 * started. */
CVN_API cvn_namespace *cvn_find_namespace(cvn_server *server, const char *name);

#ifdef __cplusplus
}
#endif
#endif
