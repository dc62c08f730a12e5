#include "cmd/cli.h"

/* What several commands share. */
#define NO_OPTIONS { { NULL, NULL, NULL, NULL, NULL } }
#define LEVEL { "--level", NULL, "LEVEL", "patient, study (default), series or image", "patient study series image" }
#define MODEL { "--model", NULL, "MODEL", "study or patient root", "study patient" }
#define REASON { "--reason", NULL, "TEXT", "why, for the log", NULL }

#define KEYS "KEY is a keyword or tag (PatientID, 0010,0020, RequestAttributesSequence.ScheduledProcedureStepID); values match as C-FIND\n" \
             "says: * and ? are wildcards, 20260101-20260131 a range."
#define SEARCHED "Unique keys (PatientID, StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID) without wildcards are asked for directly; with\n" \
                 "any other key the peer is searched first and each match of --level is retrieved."

const struct vt_cli_command vt_cli_commands[] = {
    /* ---- DICOM ---- */
    { { "echo" }, "PEER", "does the peer answer? (C-ECHO)", NULL,
      "  vitrine echo CT1\n  vitrine echo ORTHANC@10.0.0.7:4242", NO_OPTIONS, 1, 1, "@peer", vt_cli_echo },
    { { "send" }, "PEER FILE|DIR...", "files and folders to a peer (C-STORE)",
      "Folders are searched; what is no DICOM Part 10 file in them is passed over. Files go out as they are stored.",
      "  vitrine send ARCHIVE /data/study1\n  vitrine send ARCHIVE /data --failed failed.txt; vitrine send ARCHIVE --from failed.txt",
      { { "--failed", NULL, "FILE", "writes the paths that failed into FILE", "@file" },
        { "--from", NULL, "FILE", "sends the paths that FILE lists too", "@file" } },
      1, VT_CLI_NO_LIMIT, "@peer @file", vt_cli_send },
    { { "find" }, "PEER KEY[=VALUE]...", "searches a peer (C-FIND)", KEYS,
      "  vitrine find ARCHIVE PatientName='SMITH*' StudyDate=20260101-\n"
      "  vitrine find ARCHIVE --level series StudyInstanceUID=1.2.3 --json",
      { LEVEL, MODEL,
        { "--limit", NULL, "N", "stops (C-CANCEL) after N matches", NULL },
        { "--relational", NULL, NULL, "asks for relational queries", NULL },
        { "--combined", NULL, NULL, "asks for combined date and time ranges", NULL },
        { "--fuzzy", NULL, NULL, "asks for fuzzy matching of names", NULL } },
      1, VT_CLI_NO_LIMIT, "@peer @key", vt_cli_find },
    { { "get" }, "PEER -o DIR KEY=VALUE...", "fetches instances into files (C-GET)",
      "Files are named DIR/STUDY/SERIES/INSTANCE.dcm and stored as they come.\n" SEARCHED,
      "  vitrine get ARCHIVE -o out StudyInstanceUID=1.2.3\n  vitrine get ARCHIVE -o out PatientID=17 --level series Modality=CT",
      { { "--output", "-o", "DIR", "the folder to write to", "@file" }, LEVEL, MODEL }, 2, VT_CLI_NO_LIMIT, "@peer @key", vt_cli_get },
    { { "move" }, "PEER --to AET KEY=VALUE...", "has a peer send instances to AET (C-MOVE)",
      "The peer must know AET's host and port.\n" SEARCHED, "  vitrine move ARCHIVE --to WORKSTATION1 AccessionNumber=A100",
      { { "--to", NULL, "AET", "the AE title to send to", NULL }, LEVEL, MODEL }, 2, VT_CLI_NO_LIMIT, "@peer @key", vt_cli_move },
    { { "peer", "list" }, "", "the peers that are configured", NULL, NULL, NO_OPTIONS, 0, 0, NULL,
      vt_cli_peer_list },
    { { "peer", "test" }, "[PEER...]", "C-ECHO to these peers, or to all with a host", NULL, "  vitrine peer test\n  vitrine peer test CT1",
      NO_OPTIONS, 0, VT_CLI_NO_LIMIT, "@peer", vt_cli_peer_test },
    { { "peer", "explain" }, "PEER", "what the configuration says of a peer, and what it may do", NULL,
      "  vitrine peer explain CT1 --from 10.0.0.7", { { "--from", NULL, "ADDRESS", "may it call from there?", NULL } }, 1, 1, "@peer",
      vt_cli_peer_explain },

    /* ---- the archive ---- */
    { { "study", "list" }, "[KEY=VALUE]...", "studies of the archive", KEYS, "  vitrine study list PatientName='SMITH*' ModalitiesInStudy=CT",
      NO_OPTIONS, 0, 64, "@key", vt_cli_archive },
    { { "study", "show" }, "STUDY-UID", "a study's series, instances, files and digests", NULL, NULL, NO_OPTIONS, 1, 1,
      NULL, vt_cli_archive },
    { { "study", "delete" }, "STUDY-UID", "moves a study to the trash", "It stays there for archive.trash_retention (30 days).",
      "  vitrine study delete 1.2.3 --reason 'sent twice'", { REASON }, 1, 1, NULL, vt_cli_archive },
    { { "study", "restore" }, "TRASH-NUMBER|STUDY-UID", "brings a study back from the trash", NULL, NULL, NO_OPTIONS, 1,
      1, NULL, vt_cli_archive },
    { { "trash", "list" }, "", "what was deleted and can be restored", NULL, NULL, NO_OPTIONS, 0, 0, NULL,
      vt_cli_archive },
    { { "trash", "purge" }, "", "removes for good what is past its retention", NULL, NULL,
      { { "--all", NULL, NULL, "everything in the trash, now", NULL } }, 0, 0, NULL, vt_cli_archive },
    { { "quarantine", "list" }, "", "arrivals with a UID that is taken and other pixels", NULL, NULL, NO_OPTIONS, 0, 0,
      NULL, vt_cli_archive },
    { { "quarantine", "show" }, "NUMBER", "one of them", NULL, NULL, NO_OPTIONS, 1, 1, NULL, vt_cli_archive },
    { { "quarantine", "resolve" }, "NUMBER accept|discard", "accept: becomes a version and is served; discard: to the trash", NULL,
      "  vitrine quarantine resolve 3 discard", NO_OPTIONS, 2, 2, "accept discard", vt_cli_archive },
    { { "version", "list" }, "", "instances that came again with other attributes", NULL, NULL, NO_OPTIONS, 0, 0, NULL,
      vt_cli_archive },
    { { "version", "show" }, "SOP-INSTANCE-UID", "the versions of an instance", NULL, NULL, NO_OPTIONS, 1, 1, NULL,
      vt_cli_archive },
    { { "version", "resolve" }, "SOP-INSTANCE-UID VERSION", "serves that version, the others go to the trash", NULL, NULL,
      NO_OPTIONS, 2, 2, NULL, vt_cli_archive },
    { { "conflict", "list" }, "", "studies under several patients, patients under several names", NULL, NULL,
      NO_OPTIONS, 0, 0, NULL, vt_cli_archive },
    { { "conflict", "show" }, "NUMBER", "one of them", NULL, NULL, NO_OPTIONS, 1, 1, NULL, vt_cli_archive },
    { { "conflict", "resolve" }, "NUMBER accept|to:PATIENT-ID", "accept: as it is; to: under that patient", NULL,
      "  vitrine conflict resolve 2 to:4711", NO_OPTIONS, 2, 2, "accept to:", vt_cli_archive },
    { { "patient", "merge" }, "FROM INTO", "two IDs are one patient", "Files stay as they are; the new identity is applied on the way out. 'patient undo' takes it back.",
      "  vitrine patient merge 4711 4712 --reason 'registered twice'", { REASON }, 2, 2, NULL, vt_cli_archive },
    { { "patient", "correct" }, "PATIENT-ID KEY=VALUE...", "other name, birth date, sex or ID of a patient", NULL,
      "  vitrine patient correct 4711 PatientName='M\xc3\xbcller^Anna' PatientBirthDate=19700131", { REASON }, 2, 32, "@key", vt_cli_archive },
    { { "patient", "undo" }, "NUMBER", "takes a merge or correction back", NULL, NULL, NO_OPTIONS, 1, 1, NULL,
      vt_cli_archive },
    { { "patient", "log" }, "", "merges and corrections that were made", NULL, NULL, NO_OPTIONS, 0, 0, NULL,
      vt_cli_archive },
    { { "verify" }, "[KEY=VALUE]...", "every file against its digest and its row; exit 1 when it finds a fault", NULL,
      "  vitrine verify\n  vitrine verify StudyDate=20260101- --sha256", { { "--sha256", NULL, NULL, "lists SHA-256 of all", NULL } }, 0, 64,
      "@key", vt_cli_archive },
    { { "reindex" }, "", "builds the index anew from the objects", NULL, NULL, NO_OPTIONS, 0, 0, NULL, vt_cli_archive },
    { { "backup" }, "DIR", "a consistent copy of the archive, also while vitrined runs", NULL, "  vitrine backup /backup/2026-11-22",
      NO_OPTIONS, 1, 1, "@file", vt_cli_archive },
    { { "status" }, "", "counts, bytes, free space, and what wants attention", NULL, NULL, NO_OPTIONS, 0, 0, NULL,
      vt_cli_archive },
    { { "import" }, "PATH...", "files and folders of DICOM into the archive", "vitrined must be able to read them when it runs.",
      "  vitrine import /media/cdrom", NO_OPTIONS, 1, VT_CLI_NO_LIMIT, "@file", vt_cli_archive },

    /* ---- tools ---- */
    { { "samples" }, "-o DIR", "writes a few small demo studies", NULL, "  vitrine samples -o samples",
      { { "--output", "-o", "DIR", "the folder to write to", "@file" } }, 0, 0, NULL, vt_cli_samples },
    { { "completion" }, "bash|zsh", "completion for a shell, on standard output", NULL, "  source <(vitrine completion bash)",
      NO_OPTIONS, 1, 1, "bash zsh", vt_cli_completion },
    { { NULL, NULL }, NULL, NULL, NULL, NULL, NO_OPTIONS, 0, 0, NULL, NULL },
};
