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
            { "--bits", NULL, "N", "of a grey value: 8 or 12", "8 12" },
            { "--colour", NULL, NULL, "by the printer's Color service", NULL },
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

    /* ---- the archive ---- */
    {
        .words = { "study", "list" },
        .arguments = "[KEY=VALUE]...",
        .help = "studies of the archive",
        .more = KEYS,
        .examples = "  vitrine study list PatientName='SMITH*' ModalitiesInStudy=CT",
        .max_args = 64,
        .complete = "@key",
        .run = vt_cli_archive,
    },
    {
        .words = { "study", "show" },
        .arguments = "STUDY-UID",
        .help = "a study's series, instances, files and digests",
        .min_args = 1,
        .max_args = 1,
        .run = vt_cli_archive,
    },
    {
        .words = { "study", "delete" },
        .arguments = "STUDY-UID",
        .help = "moves a study to the trash",
        .more = "It stays there for archive.trash_retention (30 days).",
        .examples = "  vitrine study delete 1.2.3 --reason 'sent twice'",
        .options = {
            REASON,
            { "--committed", NULL, NULL, "also what was committed to others", NULL },
        },
        .min_args = 1,
        .max_args = 1,
        .run = vt_cli_archive,
    },
    {
        .words = { "study", "restore" },
        .arguments = "TRASH-NUMBER|STUDY-UID",
        .help = "brings a study back from the trash",
        .min_args = 1,
        .max_args = 1,
        .run = vt_cli_archive,
    },
    {
        .words = { "study", "hold" },
        .arguments = "STUDY-UID",
        .help = "nobody and no rule deletes a study before it is released",
        .examples = "  vitrine study hold 1.2.3 --reason 'court order 17/4'",
        .options = { REASON },
        .min_args = 1,
        .max_args = 1,
        .run = vt_cli_archive,
    },
    {
        .words = { "study", "release" },
        .arguments = "STUDY-UID",
        .help = "ends a hold",
        .min_args = 1,
        .max_args = 1,
        .run = vt_cli_archive,
    },
    {
        .words = { "study", "holds" },
        .arguments = "",
        .help = "the studies that are held, since when, by whom and why",
        .run = vt_cli_archive,
    },
    {
        .words = { "trash", "list" },
        .arguments = "",
        .help = "what was deleted and can be restored",
        .run = vt_cli_archive,
    },
    {
        .words = { "trash", "purge" },
        .arguments = "",
        .help = "removes for good what is past its retention",
        .options = {
            { "--all", NULL, NULL, "everything in the trash, now", NULL },
            { "--committed", NULL, NULL, "with --all: also what was committed to others", NULL },
        },
        .run = vt_cli_archive,
    },
    {
        .words = { "quarantine", "list" },
        .arguments = "",
        .help = "arrivals with a UID that is taken and other pixels",
        .run = vt_cli_archive,
    },
    {
        .words = { "quarantine", "show" },
        .arguments = "NUMBER",
        .help = "one of them",
        .min_args = 1,
        .max_args = 1,
        .run = vt_cli_archive,
    },
    {
        .words = { "quarantine", "resolve" },
        .arguments = "NUMBER accept|discard",
        .help = "accept: becomes a version and is served; discard: to the trash",
        .examples = "  vitrine quarantine resolve 3 discard",
        .min_args = 2,
        .max_args = 2,
        .complete = "accept discard",
        .run = vt_cli_archive,
    },
    {
        .words = { "version", "list" },
        .arguments = "",
        .help = "instances that came again with other attributes",
        .run = vt_cli_archive,
    },
    {
        .words = { "version", "show" },
        .arguments = "SOP-INSTANCE-UID",
        .help = "the versions of an instance",
        .min_args = 1,
        .max_args = 1,
        .run = vt_cli_archive,
    },
    {
        .words = { "version", "resolve" },
        .arguments = "SOP-INSTANCE-UID VERSION",
        .help = "serves that version, the others go to the trash",
        .min_args = 2,
        .max_args = 2,
        .run = vt_cli_archive,
    },
    {
        .words = { "conflict", "list" },
        .arguments = "",
        .help = "studies under several patients, patients under several names",
        .run = vt_cli_archive,
    },
    {
        .words = { "conflict", "show" },
        .arguments = "NUMBER",
        .help = "one of them",
        .min_args = 1,
        .max_args = 1,
        .run = vt_cli_archive,
    },
    {
        .words = { "conflict", "resolve" },
        .arguments = "NUMBER accept|to:PATIENT-ID",
        .help = "accept: as it is; to: under that patient",
        .examples = "  vitrine conflict resolve 2 to:4711",
        .min_args = 2,
        .max_args = 2,
        .complete = "accept to:",
        .run = vt_cli_archive,
    },
    {
        .words = { "patient", "merge" },
        .arguments = "FROM INTO",
        .help = "two IDs are one patient",
        .more =
            "Files stay as they are; the new identity is applied on the way out.\n"
            "'patient undo' takes it back.",
        .examples = "  vitrine patient merge 4711 4712 --reason 'registered twice'",
        .options = { REASON },
        .min_args = 2,
        .max_args = 2,
        .run = vt_cli_archive,
    },
    {
        .words = { "patient", "correct" },
        .arguments = "PATIENT-ID KEY=VALUE...",
        .help = "other name, birth date, sex or ID of a patient",
        .examples =
            "  vitrine patient correct 4711 PatientName='M\xc3\xbcller^Anna' "
            "PatientBirthDate=19700131",
        .options = { REASON },
        .min_args = 2,
        .max_args = 32,
        .complete = "@key",
        .run = vt_cli_archive,
    },
    {
        .words = { "patient", "undo" },
        .arguments = "NUMBER",
        .help = "takes a merge or correction back",
        .min_args = 1,
        .max_args = 1,
        .run = vt_cli_archive,
    },
    {
        .words = { "patient", "log" },
        .arguments = "",
        .help = "merges and corrections that were made",
        .run = vt_cli_archive,
    },
    {
        .words = { "commitment", "list" },
        .arguments = "",
        .help = "who asked us to commit to what, and what became of it",
        .run = vt_cli_archive,
    },
    {
        .words = { "commitment", "show" },
        .arguments = "NUMBER|TRANSACTION-UID",
        .help = "its instances, with size and SHA-256",
        .min_args = 1,
        .max_args = 1,
        .run = vt_cli_archive,
    },
    {
        .words = { "commitment", "export" },
        .arguments = "NUMBER|TRANSACTION-UID",
        .help = "the receipt, whole, with its own SHA-256",
        .examples = "  vitrine commitment export 17 --json >receipt.json",
        .min_args = 1,
        .max_args = 1,
        .run = vt_cli_archive,
    },
    {
        .words = { "commitment", "check" },
        .arguments = "NUMBER|TRANSACTION-UID",
        .help = "reads all its instances again; exit 1 when one is not what the receipt says",
        .min_args = 1,
        .max_args = 1,
        .run = vt_cli_archive,
    },
    {
        .words = { "commitment", "resend" },
        .arguments = "NUMBER|TRANSACTION-UID",
        .help = "sends its report once more",
        .min_args = 1,
        .max_args = 1,
        .run = vt_cli_archive,
    },
    {
        .words = { "commitment", "instances" },
        .arguments = "KEY=VALUE...",
        .help = "what 'vitrine commit' would ask a peer to keep",
        .min_args = 1,
        .max_args = 64,
        .complete = "@key",
        .run = vt_cli_archive,
    },
    {
        .words = { "commitment", "expect" },
        .arguments = "TRANSACTION-UID AET",
        .help = "a report on a transaction that another program asked AET for comes here",
        .min_args = 2,
        .max_args = 2,
        .run = vt_cli_archive,
    },
    {
        .words = { "commitment", "answer" },
        .arguments = "TRANSACTION-UID",
        .help = "what the report said, of what we asked another archive for",
        .min_args = 1,
        .max_args = 1,
        .run = vt_cli_archive,
    },
    {
        .words = { "commitment", "ask" },
        .arguments = "PEER KEY=VALUE...",
        .help = "vitrined asks a peer to commit to what we hold, again and again until it reports",
        .more = "Ctrl-C ends the waiting, not the jobs. What the peer committed to can be given up by\n"
                "an [expire] rule; what it did not is listed by 'vitrine job show'.",
        .examples = "  vitrine commitment ask ARCHIVE2 StudyDate=-20201231 --background",
        .options = { { "--background", NULL, NULL, "does not wait for the jobs", NULL } },
        .min_args = 2,
        .max_args = 64,
        .complete = "@peer @key",
        .run = vt_cli_archive,
    },
    {
        .words = { "volume", "list" },
        .arguments = "",
        .help = "short-term and long-term storage: state, contents and free space",
        .run = vt_cli_archive,
    },
    {
        .words = { "volume", "add" },
        .arguments = "NAME",
        .help = "the first use of a [volume \"NAME\"] of the configuration: marks its folder",
        .min_args = 1,
        .max_args = 1,
        .run = vt_cli_archive,
    },
    {
        .words = { "volume", "drain" },
        .arguments = "NAME",
        .help = "moves all that is served from NAME to MAIN; goes on where it was stopped",
        .examples = "  vitrine volume drain LT\n  vitrine volume drain MAIN --to LT --background",
        .options = { { "--to", NULL, "NAME", "to another volume than MAIN", NULL },
                     { "--background", NULL, NULL, "does not wait", NULL } },
        .min_args = 1,
        .max_args = 1,
        .run = vt_cli_archive,
    },
    {
        .words = { "volume", "verify" },
        .arguments = "NAME",
        .help = "reads every file of a volume; exit 1 when it finds a fault",
        .min_args = 1,
        .max_args = 1,
        .run = vt_cli_archive,
    },
    {
        .words = { "volume", "expire" },
        .arguments = "RULE",
        .help = "a turn of an [expire \"RULE\"] now: gives up what is elsewhere as well",
        .more = "A row for each study: gone, or why it stays. vitrined does the same by itself.",
        .examples = "  vitrine volume expire OLD --dry-run",
        .options = { { "--dry-run", NULL, NULL, "only shows what would go", NULL } },
        .min_args = 1,
        .max_args = 1,
        .run = vt_cli_archive,
    },
    {
        .words = { "verify" },
        .arguments = "[KEY=VALUE]...",
        .help = "every file against its digest and its row; exit 1 when it finds a fault",
        .examples = "  vitrine verify\n  vitrine verify StudyDate=20260101- --sha256",
        .options = { { "--sha256", NULL, NULL, "lists SHA-256 of all", NULL } },
        .max_args = 64,
        .complete = "@key",
        .run = vt_cli_archive,
    },
    {
        .words = { "reindex" },
        .arguments = "",
        .help = "builds the index anew from the objects",
        .run = vt_cli_archive,
    },
    {
        .words = { "backup" },
        .arguments = "DIR",
        .help = "a consistent copy of the archive, also while vitrined runs",
        .examples = "  vitrine backup /backup/2026-11-22",
        .min_args = 1,
        .max_args = 1,
        .complete = "@file",
        .run = vt_cli_archive,
    },
    {
        .words = { "status" },
        .arguments = "",
        .help = "counts, bytes, free space, and what wants attention",
        .run = vt_cli_archive,
    },
    {
        .words = { "import" },
        .arguments = "PATH...",
        .help = "files, folders and discs of DICOM, and slides, into the archive",
        .more =
            "A PATH is a DICOM file, a folder, an ISO 9660 image or a ZIP file, or a DICOMDIR, which says what is\n"
            "imported. Links out of a folder or disc are not followed.\n"
            "Slides (.svs and others) become whole slide images, tiles unchanged; what is known of a slide\n"
            "beside it is read from --metadata, or from NAME.json, NAME.csv or slides.csv beside it.\n"
            "vitrined must be able to read the files when it runs.",
        .examples = "  vitrine import /media/cdrom\n  vitrine import disc.iso --patient-id 4711 --report\n"
                    "  vitrine import scan.svs --metadata scan.json",
        .options = { { "--patient-id", NULL, "ID", "what is new goes under this patient; the files keep what came", NULL },
                     { "--report", NULL, NULL, "a row for every file", NULL },
                     { "--background", NULL, NULL, "a job of vitrined, which goes on when it is restarted", NULL },
                     { "--worklist", NULL, NULL, "a slide's patient from the worklist, by barcode or file name", NULL },
                     SLIDE_OPTIONS },
        .min_args = 1,
        .max_args = VT_CLI_NO_LIMIT,
        .complete = "@file",
        .run = vt_cli_import,
    },
    {
        .words = { "export" },
        .arguments = "KEY=VALUE... -o DIR|FILE.iso|FILE.zip|--burn BURNER",
        .help = "studies as a DICOM file-set: a folder, an ISO 9660 image, a ZIP file",
        .more =
            "With DICOMDIR, README.TXT and SHA256.TXT. It is read back before it gets its name; --capacity writes\n"
            "NAME-1, NAME-2 ... when one medium is not enough. vitrined writes it when it runs.",
        .examples = "  vitrine export PatientID=4711 -o disc.iso\n"
                    "  vitrine export StudyInstanceUID=1.2.3 -o study.zip --profile STD-GEN-USB-JPEG",
        .options = { { "--output", "-o", "PATH", "what to write; must not be there", "@file" },
                     { "--profile", NULL, "NAME", "STD-GEN-CD (default) and others: which transfer syntaxes may stay",
                       "STD-GEN-CD STD-GEN-DVD-RAM STD-GEN-DVD-JPEG STD-GEN-DVD-J2K STD-GEN-USB-JPEG STD-GEN-USB-J2K" },
                     { "--capacity", NULL, "SIZE", "of a medium, such as 700M", NULL },
                     { "--deidentify", NULL, "PROFILE", "basic, and options behind commas: retain-dates, modify-dates, retain-uids ...",
                       "basic basic,retain-dates basic,modify-dates basic,retain-patient basic,clean-descriptors" },
                     { "--patient-name", NULL, "NAME", "of the de-identified patient; default: a pseudonym", NULL },
                     { "--patient-id", NULL, "ID", "of the de-identified patient; default: a pseudonym", NULL },
                     { "--icons", NULL, NULL, "small pictures in the DICOMDIR", NULL },
                     { "--viewer", NULL, "DIR", "a folder that is copied to each medium as VIEWER", "@file" },
                     { "--background", NULL, NULL, "a job of vitrined, which begins again when it is restarted", NULL },
                     { "--burn", NULL, "BURNER", "discs for a production centre ([burner] sections) instead of -o", NULL },
                     { "--label", NULL, "TEXT", "a line for the label of burned discs", NULL },
                     { "--copies", NULL, "N", "of each burned disc", NULL } },
        .min_args = 1,
        .max_args = 64,
        .complete = "@key",
        .run = vt_cli_export,
    },
    {
        .words = { "burn", "list" },
        .arguments = "",
        .help = "discs for production centres: exporting, queued, burning, done, failed",
        .run = vt_cli_archive,
    },
    {
        .words = { "burn", "show" },
        .arguments = "JOB",
        .help = "each disc of a burn job",
        .min_args = 1,
        .max_args = 1,
        .run = vt_cli_archive,
    },
    {
        .words = { "burn", "cancel" },
        .arguments = "JOB...",
        .help = "takes discs back that nobody burns yet; 'vitrine job retry' tries failed ones again",
        .min_args = 1,
        .max_args = 64,
        .run = vt_cli_archive,
    },
    {
        .words = { "worklist", "add" },
        .arguments = "KEY=VALUE...|FILE...",
        .help = "what is scheduled: one entry from words, or those of worklist files and CSV tables",
        .more =
            "Needed: PatientName, PatientID, Modality, ScheduledStationAETitle. The start is now unless\n"
            "ScheduledProcedureStepStartDate and -Time say otherwise; UIDs and identifiers are made when they are\n"
            "missing. The first line of a CSV table names the keywords. An entry that comes again is changed.\n"
            "vitrined must be able to read the files when it runs.",
        .examples =
            "  vitrine worklist add PatientName=Smith^Anna PatientID=4711 Modality=CT \\\n"
            "      ScheduledStationAETitle=CT1 ScheduledProcedureStepStartDate=20261123 \\\n"
            "      ScheduledProcedureStepStartTime=0930 AccessionNumber=A100\n"
            "  vitrine worklist add today.csv --charset ISO_IR 100",
        .options = { { "--charset", NULL, "SET", "of a CSV table or file that names none; default UTF-8",
                       "ISO_IR_100 ISO_IR_192" } },
        .min_args = 1,
        .max_args = 256,
        .complete = "@key @file",
        .run = vt_cli_archive,
    },
    {
        .words = { "worklist", "list" },
        .arguments = "",
        .help = "what is scheduled and what runs, in the order of its start",
        .options = { { "--all", NULL, NULL, "what is done, too", NULL } },
        .run = vt_cli_archive,
    },
    {
        .words = { "worklist", "remove" },
        .arguments = "NUMBER...",
        .help = "takes entries off the worklist",
        .min_args = 1,
        .max_args = 4096,
        .run = vt_cli_archive,
    },
    {
        .words = { "mpps", "list" },
        .arguments = "",
        .help = "performed procedure steps, newest first, and how many of their instances have not come",
        .options = { { "--all", NULL, NULL, "more than the newest 200", NULL } },
        .run = vt_cli_archive,
    },
    {
        .words = { "mpps", "show" },
        .arguments = "STEP-UID",
        .help = "a performed procedure step and the instances that it names and that have not come",
        .min_args = 1,
        .max_args = 1,
        .run = vt_cli_archive,
    },
    {
        .words = { "slide", "info" },
        .arguments = "FILE",
        .help = "what a slide file holds",
        .options = { { "--mpp", NULL, "UM", "micrometres of a pixel, where the file does not say", NULL },
                     { "--openslide", NULL, NULL, "read it with OpenSlide", NULL } },
        .min_args = 1,
        .max_args = 1,
        .complete = "@file",
        .run = vt_cli_slide_info,
    },
    {
        .words = { "slide", "convert" },
        .arguments = "FILE -o DIR",
        .help = "a slide into DICOM files, without the archive",
        .more = "Tiles pass through unchanged; 'slide restore DIR' gives the very same file back.",
        .examples = "  vitrine slide convert scan.svs -o dicom --metadata scan.json",
        .options = { { "--output", "-o", "DIR", "the folder to write to", "@file" },
                     { "--dual", NULL, NULL, "files of levels are TIFF as well", NULL },
                     SLIDE_OPTIONS },
        .min_args = 1,
        .max_args = 1,
        .complete = "@file",
        .run = vt_cli_slide_convert,
    },
    {
        .words = { "slide", "list" },
        .arguments = "[KEY=VALUE]...",
        .help = "slides of the archive that can be given back",
        .max_args = 64,
        .complete = "@key",
        .run = vt_cli_archive,
    },
    {
        .words = { "slide", "restore" },
        .arguments = "DIR|KEY=VALUE... -o FILE",
        .help = "the original slide file, byte for byte, from DICOM files or the archive",
        .examples =
            "  vitrine slide restore dicom -o scan.svs\n"
            "  vitrine slide restore SeriesInstanceUID=1.2.3 -o scan.svs",
        .options = { { "--output", "-o", "FILE", "the file to write", "@file" } },
        .min_args = 1,
        .max_args = 64,
        .complete = "@file @key",
        .run = vt_cli_slide_restore,
    },
    {
        .words = { "job", "list" },
        .arguments = "",
        .help = "what the node works on, waits with and has done; newest first",
        .more = "200 of them, all with --all. A job that ended stays listed for 30 days.",
        .examples = "  vitrine job list --state failed",
        .options = { JOB_CHOICE,
                     { "--all", NULL, NULL, "all of them", NULL } },
        .run = vt_cli_archive,
    },
    {
        .words = { "job", "show" },
        .arguments = "NUMBER",
        .help = "one job, and what of it failed and why",
        .min_args = 1,
        .max_args = 1,
        .run = vt_cli_archive,
    },
    {
        .words = { "job", "cancel" },
        .arguments = "[NUMBER...]",
        .help = "jobs that are not to be done",
        .options = { JOB_CHOICE },
        .max_args = VT_CLI_NO_LIMIT,
        .run = vt_cli_archive,
    },
    {
        .words = { "job", "pause" },
        .arguments = "[NUMBER...]",
        .help = "jobs that are to wait for 'job resume'",
        .examples = "  vitrine job pause --peer ARCHIVE2",
        .options = { JOB_CHOICE },
        .max_args = VT_CLI_NO_LIMIT,
        .run = vt_cli_archive,
    },
    {
        .words = { "job", "resume" },
        .arguments = "[NUMBER...]",
        .help = "paused jobs go on where they were",
        .options = { JOB_CHOICE },
        .max_args = VT_CLI_NO_LIMIT,
        .run = vt_cli_archive,
    },
    {
        .words = { "job", "retry" },
        .arguments = "[NUMBER...]",
        .help = "failed jobs once more; those that wait for their next attempt, now",
        .examples = "  vitrine job retry 17\n  vitrine job retry --peer ARCHIVE2",
        .options = { JOB_CHOICE },
        .max_args = VT_CLI_NO_LIMIT,
        .run = vt_cli_archive,
    },

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
