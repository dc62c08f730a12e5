/* tools/dictionary.c: writes dicom/tags.c's table from DCMTK's dicom.dic, at build time.
 *
 *   dictionary /usr/share/libdcmtk17/dicom.dic > dictionary_table.inc
 *
 * So the programs start without reading 250 KB of text, and the table lives in pages that all of them share.
 * Lines are "(gggg,eeee)<tab>VR<tab>Keyword<tab>...", with ranges as "(6000-60FF,0010)" (even groups). */
#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ENTRIES_MAX = 20000, KEYWORD_MAX = 127, LINE_MAX_LENGTH = 1024 };

struct entry {
    uint32_t first, last;     /* of a range: the same element in every even group, or every element between */
    char vr[3];
    char keyword[KEYWORD_MAX + 1];
    size_t offset;
};

static struct entry entries[ENTRIES_MAX];
static size_t count;

/* DCMTK's letters for VRs that depend on other elements; what an implicit data set means by them. */
static const char *public_vr(const char *vr)
{
    static const char *const internal[][2] = {
        { "xs", "US" }, { "ox", "OW" }, { "px", "OW" }, { "lt", "OW" }, { "up", "UL" }, { "na", "UN" },
    };

    for (size_t i = 0; i < sizeof internal / sizeof internal[0]; i++)
        if (strcmp(vr, internal[i][0]) == 0)
            return internal[i][1];
    return vr;
}

static int read_tag(const char *text, struct entry *out)
{
    unsigned g1, g2, e1, e2;
    char end;

    if (sscanf(text, "(%4x,%4x%c", &g1, &e1, &end) == 3 && end == ')') {
        g2 = g1;
        e2 = e1;
    } else if (sscanf(text, "(%4x-%4x,%4x%c", &g1, &g2, &e1, &end) == 4 && end == ')') {
        e2 = e1;
    } else if (sscanf(text, "(%4x,%4x-%4x%c", &g1, &e1, &e2, &end) == 4 && end == ')') {
        g2 = g1;
    } else {
        return 0;     /* "-o-" and "-u-": private creators and group lengths, which tags.c knows */
    }
    out->first = g1 << 16 | e1;
    out->last = g2 << 16 | e2;
    return 1;
}

static void read_line(char *line)
{
    struct entry *entry = &entries[count];
    char vr[8], keyword[KEYWORD_MAX + 1];
    char *rest = strchr(line, '\t');

    if (line[0] != '(' || !rest || sscanf(rest, " %7s %127s", vr, keyword) != 2 ||
        !read_tag(line, entry))
        return;
    snprintf(entry->vr, sizeof entry->vr, "%s", public_vr(vr));
    const char *name = strncmp(keyword, "RETIRED_", 8) == 0 ? keyword + 8 : keyword;
    snprintf(entry->keyword, sizeof entry->keyword, "%s", name);
    if (++count == ENTRIES_MAX) {
        fprintf(stderr, "more than %d entries\n", ENTRIES_MAX);
        exit(1);
    }
}

static int by_tag(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    return x->first < y->first ? -1 : x->first > y->first;
}

static int by_keyword(const void *a, const void *b)
{
    return strcasecmp(entries[*(const uint16_t *)a].keyword, entries[*(const uint16_t *)b].keyword);
}

static void write_keywords(void)
{
    size_t offset = 0;

    printf("static const char keywords[] =\n");
    for (size_t i = 0; i < count; i++) {
        entries[i].offset = offset;
        offset += strlen(entries[i].keyword) + 1;
        printf("    \"%s\\0\"\n", entries[i].keyword);
    }
    printf("    ;\n");
}

static void write_entries(const char *name, int ranges)
{
    printf("static const struct entry %s[] = {\n", name);
    for (size_t i = 0; i < count; i++)
        if ((entries[i].first != entries[i].last) == ranges)
            printf("    { 0x%08x, 0x%08x, %zu, \"%s\" },\n", entries[i].first, entries[i].last,
                   entries[i].offset, entries[i].vr);
    printf("};\n");
}

/* Numbers of `entries` (without ranges) in the order of their keywords. */
static void write_order(void)
{
    static uint16_t order[ENTRIES_MAX];
    static uint16_t number[ENTRIES_MAX];
    uint16_t single = 0;

    for (size_t i = 0; i < count; i++)
        if (entries[i].first == entries[i].last) {
            number[i] = single;
            order[single++] = (uint16_t)i;
        }
    qsort(order, single, sizeof order[0], by_keyword);
    printf("static const uint16_t keyword_order[] = {");
    for (size_t i = 0; i < single; i++)
        printf("%s%u,", i % 16 == 0 ? "\n    " : " ", (unsigned)number[order[i]]);
    printf("\n};\n");
}

static void drop_doubles(void)
{
    size_t kept = 0;

    for (size_t i = 0; i < count; i++)
        if (kept == 0 || entries[kept - 1].first != entries[i].first)
            entries[kept++] = entries[i];
    count = kept;
}

int main(int argc, char **argv)
{
    char line[LINE_MAX_LENGTH];
    FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;

    if (!file) {
        fprintf(stderr, "dictionary: cannot read %s\n", argc == 2 ? argv[1] : "(no file named)");
        return 1;
    }
    while (fgets(line, sizeof line, file))
        read_line(line);
    fclose(file);
    if (count < 3000) {
        fprintf(stderr, "dictionary: only %zu entries in %s\n", count, argv[1]);
        return 1;
    }
    qsort(entries, count, sizeof entries[0], by_tag);
    drop_doubles();
    printf("/* Made by tools/dictionary.c from %s. */\n", argv[1]);
    write_keywords();
    write_entries("entries", 0);
    write_entries("ranges", 1);
    write_order();
    return 0;
}
