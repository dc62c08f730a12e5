/* console/http_rules.h: what headers mean, as pure functions: hosts, origins, ranges, entity tags, codings. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { VT_ETAG_MAX = 96 };

/* "name:port", "[::1]:port", "name": is it a loopback name, the address that we listen on, or one of `names`? NULL is not. */
bool vt_host_is_one_of(const char *host, const char *address, const char *const *names, size_t count);

/* A browser names the page that asks (Origin, Sec-Fetch-Site); a program sends neither. Is it a page of `host`? */
bool vt_origin_is_same(const char *site, const char *origin, const char *host);

enum vt_range { VT_RANGE_WHOLE, VT_RANGE_PART, VT_RANGE_OUTSIDE };
/* "bytes=from-to", "bytes=from-", "bytes=-last" of `size` bytes. Several ranges, or what cannot be read: the whole. */
enum vt_range vt_range_read(const char *text, uint64_t size, uint64_t *out_from, uint64_t *out_to);

/* Is `etag` (with its quotes) in the list of If-None-Match? Weak comparison (RFC 9110 8.8.3.2); "*" is any. NULL: no. */
bool vt_etag_is_listed(const char *list, const char *etag);
/* If-Range: true when there is none, or it names `etag` strongly. */
bool vt_etag_keeps_range(const char *if_range, const char *etag);

enum vt_coding { VT_CODING_NONE, VT_CODING_GZIP, VT_CODING_ZSTD };
/* Of Accept-Encoding: zstd where it is wanted no less than gzip. NULL: none. */
enum vt_coding vt_coding_choose(const char *accept_encoding);
