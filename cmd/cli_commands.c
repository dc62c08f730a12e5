/* The table of commands: what help, completion and cmd/cli.c know. */
#include "cmd/cli.h"
#include "cmd/vm_commands.h"

/* clang-format off */
#define LEVEL { "--level", NULL, "LEVEL", "patient, study (default), series or image", \
                "patient study series image" }
#define MODEL { "--model", NULL, "MODEL", "study or patient root", "study patient" }
#define REASON { "--reason", NULL, "TEXT", "why, for the log", NULL }
#define JOB_CHOICE \
    { "--peer", NULL, "PEER", "jobs of this peer", "@peer" }, \
    { "--kind", NULL, "KIND", "jobs of this kind", "send fetch print" }, \
    { "--state", NULL, "STATE", "jobs in this state", \
      "waiting running paused done failed cancelled" }

#define KEYS \
    "KEY is a keyword or tag: PatientID, 0010,0020, RequestAttributesSequence.StudyInstanceUID.\n" \
    "Values match as C-FIND says: * and ? are wildcards, 20260101-20260131 is a range."
#define SEARCHED \
    "Unique keys without wildcards (PatientID, StudyInstanceUID, SeriesInstanceUID,\n" \
    "SOPInstanceUID) are asked for directly; with any other key the peer is searched first\n" \
    "and each match of --level is retrieved."

#define SLIDE_OPTIONS \
    { "--metadata", NULL, "FILE", "JSON or CSV: patient, accession, specimen", "@file" }, \
    { "--mpp", NULL, "UM", "micrometres of a pixel, where the file does not say", NULL }, \
    { "--label", NULL, "WHAT", "keep (default), drop or mask the label", "keep drop mask" }, \
    { "--no-original", NULL, NULL, "does not keep what is needed to give the file back", NULL }, \
    { "--concat-bytes", NULL, "N", "splits levels into instances of N bytes", NULL }, \
    { "--fill-holes", NULL, NULL, "tiles without bytes become white anywhere", NULL }, \
    { "--openslide", NULL, NULL, "read with OpenSlide, compressed again", NULL }

#define TLS_OPTIONS \
    { "--tls", NULL, NULL, "by TLS, also when the peer's entry does not say so", NULL }, \
    { "--cert", NULL, "FILE", "our certificate for TLS; default dicom.tls_certificate", "@file" }, \
    { "--key", NULL, "FILE", "its key; default dicom.tls_key", "@file" }, \
    { "--ca", NULL, "FILE", "who signed the peer's certificate; default dicom.tls_ca", "@file" }

const struct vt_cli_command vt_cli_commands[] = {
    /* ---- DICOM ---- */
    {
        .words = { "echo" },
        .arguments = "PEER",
        .help = "does the peer answer? (C-ECHO)",
        .examples = "  vitrine echo CT1\n  vitrine echo ORTHANC@10.0.0.7:4242",
        .options = { TLS_OPTIONS },
        .min_args = 1,
        .max_args = 1,
        .complete = "@peer",
        .run = vt_cli_echo,
    },
    {
        .words = { "send" },
        .arguments = "PEER FILE|DIR...|KEY=VALUE...",
        .help = "files and folders, or studies of the archive, to a peer (C-STORE)",
        .more =
            "Folders are searched; what is no DICOM Part 10 file in them is passed over.\n"
            "Files go out as they are stored. With keys, vitrined sends what matches in its archive,\n"
            "as a job for each study; Ctrl-C ends the waiting, not the jobs.",
        .examples =
            "  vitrine send ARCHIVE StudyInstanceUID=1.2.3\n"
            "  vitrine send ARCHIVE /data/study1\n"
            "  vitrine send ARCHIVE /data --failed failed.txt; "
            "vitrine send ARCHIVE --from failed.txt",
        .options = {
            { "--failed", NULL, "FILE", "writes the paths that failed into FILE", "@file" },
            { "--from", NULL, "FILE", "sends the paths that FILE lists too", "@file" },
            { "--background", NULL, NULL, "does not wait for jobs", NULL },
            { "--commit", NULL, NULL, "with keys: then asks the peer to commit to them", NULL },
            TLS_OPTIONS,
        },
        .min_args = 1,
        .max_args = VT_CLI_NO_LIMIT,
        .complete = "@peer @file",
        .run = vt_cli_send,
    },
    {
        .words = { "find" },
        .arguments = "PEER KEY[=VALUE]...",
        .help = "searches a peer (C-FIND)",
        .more = KEYS,
        .examples =
            "  vitrine find ARCHIVE PatientName='SMITH*' StudyDate=20260101-\n"
            "  vitrine find ARCHIVE --level series StudyInstanceUID=1.2.3 --json",
        .options = {
            LEVEL,
            MODEL,
            { "--limit", NULL, "N", "stops (C-CANCEL) after N matches", NULL },
            { "--relational", NULL, NULL, "asks for relational queries", NULL },
            { "--combined", NULL, NULL, "asks for combined date and time ranges", NULL },
            { "--fuzzy", NULL, NULL, "asks for fuzzy matching of names", NULL },
            TLS_OPTIONS,
        },
        .min_args = 1,
        .max_args = VT_CLI_NO_LIMIT,
        .complete = "@peer @key",
        .run = vt_cli_find,
    },
    {
        .words = { "get" },
        .arguments = "PEER -o DIR KEY=VALUE...",
        .help = "fetches instances into files (C-GET)",
        .more = "Files are named DIR/STUDY/SERIES/INSTANCE.dcm and stored as they come.\n" SEARCHED,
        .examples =
            "  vitrine get ARCHIVE -o out StudyInstanceUID=1.2.3\n"
            "  vitrine get ARCHIVE -o out PatientID=17 --level series Modality=CT",
        .options = { { "--output", "-o", "DIR", "the folder to write to", "@file" }, LEVEL, MODEL, TLS_OPTIONS },
        .min_args = 2,
        .max_args = VT_CLI_NO_LIMIT,
        .complete = "@peer @key",
        .run = vt_cli_get,
    },
    {
        .words = { "move" },
        .arguments = "PEER --to AET KEY=VALUE...",
        .help = "has a peer send instances to AET (C-MOVE)",
        .more = "The peer must know AET's host and port.\n" SEARCHED,
        .examples = "  vitrine move ARCHIVE --to WORKSTATION1 AccessionNumber=A100",
        .options = { { "--to", NULL, "AET", "the AE title to send to", NULL }, LEVEL, MODEL,
                     TLS_OPTIONS },
        .min_args = 2,
        .max_args = VT_CLI_NO_LIMIT,
        .complete = "@peer @key",
        .run = vt_cli_move,
    },
    {
        .words = { "commit" },
        .arguments = "PEER FILE|DIR...|KEY=VALUE...",
        .help = "asks a peer to commit to keep instances, and waits for its report",
        .more =
            "KEY=VALUE names instances of the archive. The report is taken on the same\n"
            "association, by the vitrined that runs here, or on a port of this command.",
        .examples =
            "  vitrine commit ARCHIVE StudyInstanceUID=1.2.3\n"
            "  vitrine commit ARCHIVE /data/study1 --wait 60",
        .options = {
            { "--wait", NULL, "SECONDS", "for the report; 300", NULL },
            { "--listen", NULL, "PORT", "takes the report on this port; default dicom.port", NULL },
            { "--transaction", NULL, "UID", "the Transaction UID; default a new one", NULL },
            TLS_OPTIONS,
        },
        .min_args = 2,
        .max_args = VT_CLI_NO_LIMIT,
        .complete = "@peer @file @key",
        .run = vt_cli_commit,
    },
    {
        .words = { "print" },
        .arguments = "PRINTER [FILE|KEY=VALUE]...",
        .help = "images on film by a DICOM printer; without images, how the printer is",
        .more =
            "PRINTER is a [printer \"NAME\"] of the configuration or AET@HOST:PORT. The window is --window, that of\n"
            "--state, or the image's own. Options go before the printer's configuration; their words are the\n"
            "standard's (14INX17IN, BLUE FILM, CUBIC). With keys, vitrined prints what matches in its archive, as a\n"
            "job that goes on with the next film after an interruption; Ctrl-C ends the waiting, not the job.",
        .examples =
            "  vitrine print LASER1\n"
            "  vitrine print LASER1 /data/ct --layout 4x5 --window 40/400\n"
            "  vitrine print LASER1 AccessionNumber=A100 Modality=CR --copies 2 --film-size 14INX17IN",
        .options = {
            { "--layout", NULL, "LAYOUT", "images of a film: 2x3 (columns x rows), row:1,2 or col:2,1", NULL },
            { "--copies", NULL, "N", "of each film", NULL },
            { "--window", NULL, "CENTER/WIDTH", "for all images", NULL },
            { "--state", NULL, "FILE|UID", "a presentation state whose windows count", "@file" },
            { "--frame", NULL, "N", "of multi-frame images: its number, or all; default 1", NULL },
            { "--text", NULL, "TEXT", "annotations, parted by '|'", NULL },
            { "--film-size", NULL, "SIZE", "such as 14INX17IN", "8INX10IN 10INX12IN 11INX14IN 14INX14IN 14INX17IN A4 A3" },
            { "--medium", NULL, "MEDIUM", "such as BLUE FILM", NULL },
            { "--destination", NULL, "PLACE", "MAGAZINE, PROCESSOR or a bin", "MAGAZINE PROCESSOR" },
            { "--orientation", NULL, "WAY", "of the film", "PORTRAIT LANDSCAPE" },
            { "--magnification", NULL, "HOW", "of images to their boxes", "REPLICATE BILINEAR CUBIC NONE" },
            { "--polarity", NULL, "HOW", "NORMAL or REVERSE", "NORMAL REVERSE" },
            { "--priority", NULL, "HOW", "of the films at the printer", "HIGH MED LOW" },
            { "--label", NULL, "TEXT", "of the film session", NULL },
            { "--image-size", NULL, "MM", "width of each image on the film, where the printer takes it", NULL },
            { "--bits", NULL, "N", "of a grey value: 8 or 12", "8 12" },
            { "--colour", NULL, NULL, "by the printer's Color service", NULL },
            { "--tls", NULL, NULL, "by TLS, also when the printer's entry does not say so", NULL },
            { "--background", NULL, NULL, "does not wait for the job", NULL },
        },
        .min_args = 1,
        .max_args = VT_CLI_NO_LIMIT,
        .complete = "@file @key",
        .run = vt_cli_print,
    },
    {
        .words = { "fetch" },
        .arguments = "PEER KEY=VALUE...",
        .help = "studies of a remote archive into ours (C-MOVE to ourselves, else C-GET)",
        .more =
            "vitrined asks what is there, skips what it holds, and fetches the rest as a job for each\n"
            "study; Ctrl-C ends the waiting, not the jobs. The peer must know us as a move destination,\n"
            "or offer C-GET ([peer] fetch = get).",
        .examples =
            "  vitrine fetch ARCHIVE2 AccessionNumber=A100\n"
            "  vitrine fetch ARCHIVE2 PatientID=4711 StudyDate=2025* --background",
        .options = { { "--background", NULL, NULL, "does not wait for the jobs", NULL } },
        .min_args = 2,
        .max_args = 65,
        .complete = "@peer @key",
        .run = vt_cli_archive,
    },
    {
        .words = { "peer", "list" },
        .arguments = "",
        .help = "the peers that are configured",
        .run = vt_cli_peer_list,
    },
    {
        .words = { "peer", "test" },
        .arguments = "[PEER...]",
        .help = "C-ECHO to these peers, or to all with a host",
        .examples = "  vitrine peer test\n  vitrine peer test CT1",
        .options = { TLS_OPTIONS },
        .max_args = VT_CLI_NO_LIMIT,
        .complete = "@peer",
        .run = vt_cli_peer_test,
    },
    {
        .words = { "peer", "failures" },
        .arguments = "[AET]",
        .help = "refused and broken associations that vitrined remembers",
        .max_args = 1,
        .run = vt_cli_archive,
    },
    {
        .words = { "peer", "explain" },
        .arguments = "PEER",
        .help = "a peer's entry, what it takes when it is asked, what went wrong, and what to do",
        .examples = "  vitrine peer explain CT1 --from 10.0.0.7",
        .options = { { "--from", NULL, "ADDRESS", "may it call from there?", NULL }, TLS_OPTIONS },
        .min_args = 1,
        .max_args = 1,
        .complete = "@peer",
        .run = vt_cli_peer_explain,
    },

#include "cmd/archive_commands.def"
    /* ---- the console's users ---- */
    {
        .words = { "user", "add" },
        .arguments = "NAME --role ROLE",
        .help = "lets a person log in to the console",
        .more = "The password is asked for on the terminal, or read from standard input.\n"
                "As long as there is no user, everybody on this machine is an admin of the console.",
        .examples = "  vitrine user add anna --role admin\n  vitrine user add ward3 --role viewer < password-file",
        .options = { { "--role", NULL, "ROLE", "viewer, operator or admin", "viewer operator admin" } },
        .min_args = 1,
        .max_args = 1,
        .run = vt_cli_archive,
    },
    {
        .words = { "user", "change" },
        .arguments = "NAME [--role ROLE] [--password]",
        .help = "gives a person another role or password",
        .more = "The password is asked for on the terminal, or read from standard input. Open sessions end with a new\n"
                "password; another role counts at once, also for the screens of VMs that are open.",
        .examples = "  vitrine user change ward3 --role operator\n  vitrine user change anna --password",
        .options = { { "--role", NULL, "ROLE", "viewer, operator or admin", "viewer operator admin" },
                     { "--password", NULL, NULL, "another password", NULL } },
        .min_args = 1,
        .max_args = 1,
        .run = vt_cli_archive,
    },
    {
        .words = { "user", "list" },
        .arguments = "",
        .help = "who may log in",
        .run = vt_cli_archive,
    },
    {
        .words = { "user", "remove" },
        .arguments = "NAME",
        .help = "a person may no longer log in",
        .min_args = 1,
        .max_args = 1,
        .run = vt_cli_archive,
    },

#include "cmd/vm_commands.def"

    /* ---- tools ---- */
    {
        .words = { "samples" },
        .arguments = "-o DIR",
        .help = "writes a few small demo studies",
        .examples = "  vitrine samples -o samples",
        .options = { { "--output", "-o", "DIR", "the folder to write to", "@file" } },
        .run = vt_cli_samples,
    },
    {
        .words = { "completion" },
        .arguments = "bash|zsh",
        .help = "completion for a shell, on standard output",
        .examples = "  source <(vitrine completion bash)",
        .min_args = 1,
        .max_args = 1,
        .complete = "bash zsh",
        .run = vt_cli_completion,
    },
    { .words = { NULL } },
};
