/* The grape command. usage: grape info | --version | --help */
#include "core/info.h"
#include <string.h>

static const char usage[] = "usage: grape info        what this build is and what it found on this machine\n"
                            "       grape --version\n";

int main(int argc, char **argv)
{
    const char *command = argc > 1 ? argv[1] : "";
    if (argc == 2 && strcmp(command, "info") == 0) {
        gr_info_print(stdout);
        return gr_report(stderr);
    }
    if (argc == 2 && strcmp(command, "--version") == 0) {
        printf("grape %s\n", gr_version());
        return 0;
    }
    if (argc == 2 && (strcmp(command, "--help") == 0 || strcmp(command, "-h") == 0)) {
        fputs(usage, stdout);
        return 0;
    }
    if (argc > 1)
        fprintf(stderr, "grape: expected info, --version or --help, found %s\n",
            argc == 2 ? command : "more than one word");
    fputs(usage, stderr);
    return 2;
}
