/* vitrine: the admin's command line and a DICOM client.
 * The commands are the table of cmd/cli_commands.c. */
#include "cmd/cli.h"

int main(int argc, char **argv)
{
    return vt_cli_main(argc, argv);
}
