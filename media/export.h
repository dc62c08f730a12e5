/* media/export.h: studies out of the archive as a file-set on media (PS3.10, PS3.11): a folder, an ISO image or a ZIP file, several of
 * them when a capacity says so.
 *
 * Each instance goes out as C-MOVE would send it (corrections of patients applied), in a transfer syntax that the profile allows;
 * stored ones it does not allow are transcoded without loss, or refused with the reason; de-identified when that is asked for. Memory does not grow with the bytes. What was
 * written is read back before it gets its name; on failure nothing is left. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json_t;
struct vt_archive;
struct vt_err;

enum { VT_EXPORT_MEDIA_MAX = 1000, VT_EXPORT_CAPACITY_MIN = 1 << 20 };

struct vt_export_call {
    struct vt_archive *archive;
    const char *const *words;     /* KEY=VALUE */
    size_t word_count;
    const char *output;           /* absolute; NAME.iso, NAME.zip, or a folder */
    const char *profile;          /* NULL: STD-GEN-CD */
    uint64_t capacity;            /* bytes of a medium; 0: as many as there are */
    const char *deidentify;       /* "basic,retain-dates" (media/deidentify.h); NULL: as it is */
    const char *patient_name, *patient_id;   /* of de-identified instances; NULL: pseudonyms */
    const char *viewer;           /* a folder that is copied to each medium; NULL: none */
    bool icons;                   /* in the records of images */
    /* For who may be killed and begins again. */
    bool again;                   /* hidden names that an earlier run left are removed first */
    bool (*written)(void *context, size_t media, struct vt_err *err);   /* all is read back, nothing has its name yet. NULL: none */
    /* A row for each medium, and for each instance that could not go; false stops. */
    bool (*row)(void *context, struct json_t *row);
    bool (*progress)(void *context, uint64_t done, uint64_t total, const char *unit);   /* instances; NULL: none */
    void (*sizes)(void *context, uint64_t done, uint64_t total);   /* bytes, behind each progress; NULL: none */
    void *context;
};

struct vt_export_result {
    uint64_t matched;   /* instances; told of what failed, too */
    uint64_t instances, failed, left_out, media, bytes, transcoded;
    int64_t verified;   /* ns of reading back */
};

/* VT_E_EXISTS: the output is there. VT_E_NOTFOUND: nothing matches. Instances that cannot go are counted in `failed`, and the rest
 * goes. */
bool vt_export(const struct vt_export_call *call, struct vt_export_result *out, struct vt_err *err);
/* Only whether it could begin: words, profile, what is to be written. */
bool vt_export_check(const struct vt_export_call *call, struct vt_err *err);
/* Hidden names that a killed export left. */
void vt_export_sweep(const struct vt_export_call *call);
/* The rest of an export of so many media that was stopped behind call->written: they get their names. VT_E_NOTFOUND: it must be
 * done anew. */
bool vt_export_publish(const struct vt_export_call *call, size_t media, struct vt_err *err);
/* The name of the i-th medium of so many, from 0. */
bool vt_export_name(const struct vt_export_call *call, size_t i, size_t media, char *out, size_t room, struct vt_err *err);
/* The i-th name of a profile; NULL behind the last. */
const char *vt_export_profile_at(size_t i);
